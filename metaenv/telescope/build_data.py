"""Make the frozen lists in ``data/`` anew: ``python -m metaenv.telescope.build_data``.

Seven minutes on one core with SciPy, most of them for the oracle's plans; the same files from the same seed. What is
there already for the same tasks is kept, so delete the files to make everything anew. Anything that changes them is a
new version of the environment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.tasks import TaskBatch
from metaenv.telescope.references import play_references
from metaenv.telescope.tasks import (
    FROZEN_SIZE,
    NIGHT_SETUPS,
    SPLITS,
    STORE,
    UNIT_DIM,
    TargetSelectionDistribution,
    TargetSelectionTask,
    Variant,
    draw,
)

SEED = 20_250_901  # chosen; any fixed number does
VERSION = 1  # of the environment that these files belong to

Stored = dict[str, NDArray[Any]]


def frozen_tasks(split: str) -> TaskBatch:
    """The evaluation list of a split, its numbers rounded to single precision."""
    rng = np.random.default_rng([SEED, SPLITS.index(split)])
    drawn = draw(rng.random((4 * FROZEN_SIZE, UNIT_DIM)), split)
    good = np.flatnonzero(TargetSelectionDistribution().accept(drawn))[:FROZEN_SIZE]
    return drawn.with_matrix(drawn.take(good).matrix().astype(np.float32).astype(np.float64))


def add_references(split: str, variant: Variant) -> dict[str, Any]:
    """Write the tasks and the references of a variant to ``split.npz``; returns its entry of the manifest."""
    tasks, path = frozen_tasks(split), STORE.folder / f"{split}.npz"
    stored: Stored = {f.name: tasks.columns[f.name].astype(np.float32) for f in fields(TargetSelectionTask)}
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            known = dict(file)
        if all(np.array_equal(known[name], stored[name]) for name in stored):
            stored = known
    if f"oracle_{variant}" not in stored:
        found = play_references(tasks, variant)
        stored[f"random_{variant}"], stored[f"oracle_{variant}"] = found.random, found.oracle
        np.savez_compressed(path, **stored)  # type: ignore[arg-type]
    ready = [name for name in NIGHT_SETUPS if f"oracle_{name}" in stored]
    means = {p: [round(float(stored[f"{kind}_{p}"].mean()), 4) for kind in ("random", "oracle")] for p in ready}
    played = {p: references_sha256(stored, p) for p in ready}
    return {"n": len(tasks), "sha256": tasks.sha256, "mean_random_and_oracle": means, "references_sha256": played}


def references_sha256(stored: Mapping[str, NDArray[Any]], name: str) -> str:
    """Of the scores of random play and of the oracle, to four digits, which other machines reproduce."""
    both = np.stack([stored[f"{kind}_{name}"] for kind in ("random", "oracle")])
    return hashlib.sha256(np.round(both, 4).astype("<f4").tobytes()).hexdigest()


def main() -> None:
    """Write all lists, one variant after the other."""
    STORE.folder.mkdir(exist_ok=True)
    known: dict[str, Any] = {}
    for name in NIGHT_SETUPS:
        for split in SPLITS[1:]:
            known[split] = add_references(split, name)
            print(name, split, known[split]["mean_random_and_oracle"][name], flush=True)
        STORE.write_manifest(VERSION, SEED, known)


if __name__ == "__main__":
    main()
