"""Make the frozen lists and portfolios in ``data/`` anew: ``python -m metaenv.materials.build_data``.

Minutes on one core, and the same files from the same seed on the same machine. Anything that changes them is a new
version of the environments.
"""

from __future__ import annotations

import json
import platform
from typing import Any

import numpy as np

from metaenv.materials.oracle import even_cover, oracle, utility_table
from metaenv.materials.recipes import ACTION_DIM, Variant
from metaenv.materials.schedule import DEFAULT_SUBSTEPS
from metaenv.materials.tasks import (
    FROZEN_SIZES,
    ORACLE_SEED,
    SOLVABLE,
    STORE,
    SolidStateDistribution,
    random_score,
)
from metaenv.stats import greedy_portfolio
from metaenv.tasks import TaskBatch, TaskDistribution

SEED = 20_240_503  # chosen; any fixed number does
VERSION = 0  # of the environments that these lists belong to
VARIANTS: tuple[Variant, ...] = ("recipe", "full")
PORTFOLIO_TASKS, PORTFOLIO_RECIPES, PORTFOLIO_SIZE = 2_000, 1_024, 10


def accepted_draws(
    distribution: TaskDistribution, split: str, size: int, tries: int, rng: np.random.Generator
) -> TaskBatch:
    """The first ``size`` acceptable ones of ``tries`` draws, with numbers that single precision holds exactly."""
    drawn = distribution.draw(rng.random((tries, distribution.unit_dim)), split)
    columns = {k: v.astype(np.float32).astype(np.float64) for k, v in drawn.columns.items()}
    tasks = TaskBatch(drawn.task_type, columns)
    good = np.flatnonzero(distribution.accept(tasks))
    if len(good) < size:
        raise RuntimeError(f"split {split!r} accepts {len(good)} of {tries} draws, expected at least {size}")
    return tasks.take(good[:size])


def frozen_tasks(split: str, rng: np.random.Generator) -> TaskBatch:
    """The list of a split: solvable draws."""
    size = FROZEN_SIZES[split]
    return accepted_draws(SolidStateDistribution(), split, size, 4 * size, rng)


def freeze_split(split: str, rng: np.random.Generator) -> dict[str, Any]:
    """Write ``{split}.npz`` and describe it."""
    tasks = frozen_tasks(split, rng)
    columns: dict[str, Any] = {k: v.astype(np.float32) for k, v in tasks.columns.items()}
    entry: dict[str, Any] = {"n": len(tasks), "sha256": tasks.sha256}
    for variant in VARIANTS:
        best, action = oracle(tasks, ORACLE_SEED, variant)
        if best.min() < SOLVABLE:
            raise RuntimeError(f"the oracle of {split!r} finds only {best.min():.3f} in task {best.argmin()}")
        random = random_score(tasks, variant)
        columns |= {
            f"oracle_{variant}": best,
            f"random_{variant}": random,
            f"action_{variant}": action.astype(np.float32),
        }
        entry[variant] = {"mean_oracle": float(best.mean()), "mean_random": float(random.mean())}
    np.savez_compressed(STORE.folder / f"{split}.npz", **columns)
    return entry


def freeze_portfolio(variant: Variant, rng: np.random.Generator) -> dict[str, Any]:
    """Ten recipes for the training tasks, out of an even cover."""
    tasks = SolidStateDistribution(variant).sample(PORTFOLIO_TASKS, "train", rng)
    recipes = even_cover(PORTFOLIO_RECIPES, ACTION_DIM[variant], rng)
    chosen, scores = greedy_portfolio(utility_table(tasks, recipes, variant), PORTFOLIO_SIZE)
    return {"recipes": recipes[chosen].tolist(), "train_score": scores}


def main() -> None:
    """Write everything."""
    STORE.folder.mkdir(exist_ok=True)
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(SEED).spawn(len(FROZEN_SIZES) + len(VARIANTS))]
    splits: dict[str, Any] = {}
    for split, rng in zip(FROZEN_SIZES, streams, strict=False):
        splits[split] = freeze_split(split, rng)
        print(split, splits[split], flush=True)
    portfolios = {
        variant: freeze_portfolio(variant, rng) for variant, rng in zip(VARIANTS, streams[len(splits) :], strict=True)
    }
    STORE.write_manifest(VERSION, SEED, splits, python=platform.python_version(), substeps=DEFAULT_SUBSTEPS)
    (STORE.folder / "portfolio.json").write_text(json.dumps(portfolios, indent=1) + "\n")


if __name__ == "__main__":
    main()
