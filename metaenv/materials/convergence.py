"""How exact and how fast the simulator is. ``python -m metaenv.materials.convergence`` prints it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metaenv.materials.kinetics import advance, begin, simulate
from metaenv.materials.oracle import true_utility
from metaenv.materials.recipes import ACTION_DIM, Variant, from_action, one_step
from metaenv.materials.schedule import DEFAULT_SUBSTEPS
from metaenv.materials.tasks import SolidStateDistribution, informed_recipes

FINE_SUBSTEPS = 4000


@dataclass(frozen=True)
class Accuracy:
    """Error of the utility against `FINE_SUBSTEPS` substeps."""

    mean: float
    p99: float
    largest: float


def accuracy(
    n: int = 1000, substeps: int = DEFAULT_SUBSTEPS, variant: Variant = "recipe", informed: bool = False, seed: int = 0
) -> Accuracy:
    """The error in J of ``n`` experiments on training tasks.

    Args:
        n: experiments.
        substeps: of a one-step schedule.
        variant: of the random recipes.
        informed: recipes of one who knows the task, where J is large, instead of random ones.
        seed: of tasks and recipes.
    """
    rng = np.random.default_rng(seed)
    tasks = SolidStateDistribution().sample(n, "train", rng)
    recipe = from_action(rng.uniform(-1.0, 1.0, (n, ACTION_DIM[variant])), variant)
    if informed:
        recipes = informed_recipes(tasks)
        recipe = recipes.take(np.arange(n) * (len(recipes) // n) + rng.integers(len(recipes) // n, size=n))
    error = np.abs(true_utility(tasks, recipe, substeps) - true_utility(tasks, recipe, FINE_SUBSTEPS))
    return Accuracy(float(error.mean()), float(np.quantile(error, 0.99)), float(error.max()))


def experiments_per_second(n: int, substeps: int = DEFAULT_SUBSTEPS, seconds: float = 1.0) -> float:
    """Whole experiments a second in batches of ``n``: the median call."""
    rng = np.random.default_rng(0)
    tasks = SolidStateDistribution().sample(n, "train", rng)
    actions = rng.uniform(-1.0, 1.0, (n, ACTION_DIM["recipe"]))
    return n / _median_seconds(lambda: simulate(tasks, from_action(actions), substeps), seconds)


def furnace_substeps_per_second(n: int, seconds: float = 1.0) -> float:
    """Substeps of `advance` a second in batches of ``n``: the median call."""
    tasks = SolidStateDistribution().sample(n, "train", np.random.default_rng(0))
    state, parameters = begin(tasks, one_step(np.full(n, 1200.0), 1.0))
    cold, hot, hours = np.full(n, 1000.0), np.full(n, 1075.0), np.full(n, 0.25)
    return n / _median_seconds(lambda: advance(state, parameters, cold, hot, hours), seconds)


def _median_seconds(call: Callable[[], object], seconds: float) -> float:
    call()
    taken, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def main() -> None:
    """Print errors and speeds."""
    for substeps in (24, 32, DEFAULT_SUBSTEPS, 64, 96):
        for kind, e in (
            ("recipe, random", accuracy(substeps=substeps)),
            ("recipe, informed", accuracy(substeps=substeps, informed=True)),
            ("full, random", accuracy(substeps=substeps, variant="full")),
        ):
            print(f"{substeps:4d} substeps, {kind:17s} |dJ| mean {e.mean:.5f}  p99 {e.p99:.4f}  max {e.largest:.4f}")
    for n in (1, 1024, 4096):
        whole, steps = experiments_per_second(n), furnace_substeps_per_second(n)
        print(f"n = {n:5d}: {whole:9.0f} experiments/s, {steps:10.0f} furnace substeps/s")


if __name__ == "__main__":
    main()
