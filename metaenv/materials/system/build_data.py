"""Make the frozen lists and the best fixed recipe anew: ``python -m metaenv.materials.system.build_data``.

Minutes on one core, and the same files from the same seed on the same machine. Anything that changes them is a new
version of the environment.
"""

from __future__ import annotations

import json
import platform
from typing import Any

import numpy as np

from metaenv.materials.build_data import accepted_draws
from metaenv.materials.oracle import even_cover, proposed_steps
from metaenv.materials.schedule import DEFAULT_SUBSTEPS
from metaenv.materials.system.distribution import FROZEN_SIZES, STORE, SystemDistribution, references
from metaenv.materials.system.options import COMPOUNDS, N_OPTIONS, SIZES
from metaenv.materials.system.oracle import utility_table
from metaenv.materials.system.recipes import N_QUANTITIES, from_action, with_choice
from metaenv.tasks import TaskBatch
from metaenv.typing import Floats

SEED = 20_250_702  # chosen; any fixed number does
VERSION = 1  # of the environment that these lists belong to
FIXED_TASKS, FIXED_RECIPES, FIXED_ROUNDS = 500, 512, 12  # training systems and search of the best fixed recipe


def frozen_tasks(split: str, rng: np.random.Generator) -> TaskBatch:
    """The list of a split: systems each of whose compounds can be made."""
    size = FROZEN_SIZES[split]
    return accepted_draws(SystemDistribution(), split, size, 6 * size, rng)


def freeze_split(split: str, rng: np.random.Generator) -> dict[str, Any]:
    """Write ``{split}.npz`` and describe it."""
    tasks = frozen_tasks(split, rng)
    random, best = references(tasks)
    columns: dict[str, Any] = {k: v.astype(np.float32) for k, v in tasks.columns.items()}
    columns |= {"random_system": random.mean(axis=1), "oracle_system": best.mean(axis=1)}
    columns |= {"random_compounds": random, "oracle_compounds": best}
    np.savez_compressed(STORE.folder / f"{split}.npz", **columns)
    means = {"mean_oracle": float(best.mean()), "mean_random": float(random.mean())}
    return {"n": len(tasks), "sha256": tasks.sha256, "system": means}


def best_fixed_recipe(rng: np.random.Generator) -> tuple[Floats, float]:
    """The action that serves training systems best, and its mean utility: an even cover, then shrinking proposals."""
    tasks = SystemDistribution().sample(FIXED_TASKS, "train", rng)

    def worth(actions: Floats) -> Floats:
        tables = (utility_table(tasks, np.full(len(tasks), e), actions) for e in range(COMPOUNDS))
        return np.mean([table.mean(axis=0) for table in tables], axis=0)

    tried = even_cover(FIXED_RECIPES, N_QUANTITIES + N_OPTIONS, rng)
    at, value = tried[0], -np.inf
    for width in np.geomspace(0.3, 0.03, FIXED_ROUNDS):
        values = worth(tried)
        if values.max() > value:
            at, value = tried[np.argmax(values)], float(values.max())
        tried = np.repeat(at[None], 48, axis=0)
        step = proposed_steps((48, N_QUANTITIES), width, rng)
        tried[:, :N_QUANTITIES] = np.clip(tried[:, :N_QUANTITIES] + step, -1, 1)
        choice = from_action(tried)[1]
        other = rng.random(choice.shape) < 0.2
        choice = np.where(other, (rng.random(choice.shape) * np.array(SIZES)).astype(np.intp), choice)
        tried = with_choice(tried, choice)
    return at, value


def main() -> None:
    """Write everything."""
    STORE.folder.mkdir(exist_ok=True)
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(SEED).spawn(len(FROZEN_SIZES) + 1)]
    streams.append(streams.pop(-2))  # the stream of the best fixed recipe is older than the last list
    splits: dict[str, Any] = {}
    for split, rng in zip(FROZEN_SIZES, streams, strict=False):
        splits[split] = freeze_split(split, rng)
        print(split, splits[split], flush=True)
    STORE.write_manifest(VERSION, SEED, splits, python=platform.python_version(), substeps=DEFAULT_SUBSTEPS)
    action, score = best_fixed_recipe(streams[-1])
    told = {"action": action.tolist(), "train_score": score, "train_tasks": FIXED_TASKS}
    (STORE.folder / "fixed.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
