"""Speed of few-shot learning on one core: MAML's meta-update, the sampler of episodes, the light-curve generator.

The update of all tasks at once is held against a loop over the tasks with the same nets, data and Adam in the same run,
written as it is in libraries: one task after the other, each with its own graph. For large convolutions on one core,
the loop is faster (``engine="loop"``).

Times are processor time with one torch thread, so that other programs on the machine disturb little.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from metaenv.experiments.speed.timing import fastest

CHARACTERS, EXAMPLES = 1_200, 20  # Omniglot's training set
EPISODES = 32  # in a batch of the sampler, as in MAML's Omniglot


def run(compiled: bool = True) -> dict[str, float]:
    """Measure and print; milliseconds an update, episodes and objects a second, by name."""
    import torch

    torch.set_num_threads(1)
    results = {**meta_updates(compiled), **engines(), **sampler(), **light_curves()}
    return results


# META-UPDATES


def meta_updates(compiled: bool = True) -> dict[str, float]:
    """Milliseconds of an update of the paper's sinusoid: 25 tasks, 10 + 10 samples, second order, Adam."""
    from metaenv.supervised.data.sinusoid import PAPER, SinusoidDistribution
    from metaenv.tasks import TaskSampler

    print(
        "MAML's meta-update, sinusoid net (1-40-40-1), 25 tasks, K = 10, second order, Adam; ms, one core\n", flush=True
    )
    sines = _episodes(TaskSampler(SinusoidDistribution(), "train", seed=0), 10, 10)
    engines = {"task by task": "loop", "all at once": "vmap"} | (
        {"all at once, compiled": "compiled"} if compiled else {}
    )
    results: dict[str, float] = {}
    for steps in (1, 5):
        update = {name: MetaUpdate(sines, engine, {**PAPER, "inner_steps": steps}) for name, engine in engines.items()}
        found = fastest(update)
        for name, seconds in found.items():
            ratio = found["task by task"] / seconds
            print(
                f"  {steps} inner step{'s' if steps > 1 else ' '}  {name:<24}{1e3 * seconds:8.2f}{ratio:7.1f}x",
                flush=True,
            )
            results[f"{name}, {steps} steps"] = 1e3 * seconds
    return results


def engines() -> dict[str, float]:
    """How many times as fast tasks are computed all at once as one by one, on other networks."""
    import torch

    from metaenv.supervised.data.datasets import Dataset

    print("\nOther networks, 5-way 1-shot, all tasks at once against the loop\n", flush=True)
    rng = np.random.default_rng(0)
    results: dict[str, float] = {}
    for name, shape, tasks, width in (
        ("vectors of 46, two layers of 64", (46,), 25, 64),
        ("sequences of 11 x 128, convolutions of 32", (11, 128), 8, 32),
        ("images of 28 x 28, convolutions of 16", (1, 28, 28), 8, 16),
    ):
        x = rng.normal(size=(200, *shape)).astype(np.float32)
        episodes = _episodes(Dataset(torch.from_numpy(x), np.repeat(np.arange(20), 10)), 1, 5)
        settings = {"tasks_per_batch": tasks, "sizes": (64, width) if len(shape) == 1 else (width,), "inner_steps": 1}
        found = fastest({engine: MetaUpdate(episodes, engine, settings) for engine in ("vmap", "loop")})
        results[f"{name}, over the loop"] = ratio = found["loop"] / found["vmap"]
        print(f"  {name:<44}{1e3 * found['vmap']:8.1f} ms{ratio:7.2f}x", flush=True)
    return results


class MetaUpdate:
    """One meta-update on the same scaled episodes each time."""

    def __init__(self, episodes: Any, engine: str, settings: dict[str, Any]) -> None:
        from metaenv.supervised.learners.maml import MAML, MAMLConfig

        config = MAMLConfig(**{**settings, "engine": engine})
        self.learner = MAML(episodes.problem, config, seed=0, device="cpu")
        self.batch = self.learner.scaling.batch(episodes.draw(self.learner.config.tasks_per_batch))

    def __call__(self) -> None:
        """Update."""
        if not math.isfinite(self.learner._update(self.batch)["loss"]):
            raise FloatingPointError("expected a finite loss in the benchmark; its settings are wrong")


# SAMPLERS


def sampler() -> dict[str, float]:
    """Episodes a second, 5-way 1-shot, of as many 28 x 28 images as Omniglot trains on."""
    from metaenv.supervised.data.datasets import Dataset

    print("\nEpisodes a second, 5-way 1-shot, 24,000 images of 28 x 28 in memory\n", flush=True)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (CHARACTERS * EXAMPLES, 1, 28, 28), dtype=np.uint8)
    data = Dataset(images, np.repeat(np.arange(CHARACTERS), EXAMPLES))
    results: dict[str, float] = {}
    for queries in (1, 15):
        episodes = _episodes(data, 1, queries)
        seconds = fastest({"draw": lambda episodes=episodes: episodes.draw(EPISODES)})["draw"]
        results[f"episodes, {queries} queries"] = EPISODES / seconds
        print(f"  {queries:2d} quer{'ies' if queries > 1 else 'y  '}{EPISODES / seconds:12,.0f}", flush=True)
    return results


def light_curves() -> dict[str, float]:
    """Simulated objects a second, as measured by a survey, in the mean over all kinds."""
    from metaenv.supervised.families.light_curve_light import N_UNIT
    from metaenv.supervised.families.light_curve_models import FAMILIES
    from metaenv.supervised.families.light_curve_survey import BLOCK, WIDE, simulate

    print("\nLight curves a second, six bands, 128 visits\n", flush=True)
    rng = np.random.default_rng(0)
    unit = rng.random((BLOCK, N_UNIT))
    seconds = fastest({f.name: lambda i=i: simulate(i, unit, WIDE, rng) for i, f in enumerate(FAMILIES)}, 0.1)
    slowest = max(seconds, key=lambda name: seconds[name])
    mean = BLOCK * len(FAMILIES) / sum(seconds.values())
    print(
        f"  mean of {len(FAMILIES)} kinds {mean:12,.0f}\n  slowest, {slowest} {BLOCK / seconds[slowest]:12,.0f}",
        flush=True,
    )
    return {"light curves": mean, "light curves, slowest kind": BLOCK / seconds[slowest]}


def _episodes(source: Any, n_shot: int, n_query: int) -> Any:
    from metaenv.supervised.data.episodes import Episodes

    return Episodes(source, n_shot, n_query, seed=0)
