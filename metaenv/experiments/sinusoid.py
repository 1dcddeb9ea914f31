"""MAML on sines: Table 2 of its paper (Finn, Abbeel and Levine 2017), on 2,000 held-out sines.

The paper trains with 10 samples and tests with 5; training with as many as the test has does better after several
steps, and is the default here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metaenv.evaluation import package_versions, write_text
from metaenv.experiments.runner import Experiment
from metaenv.markdown import table
from metaenv.runs.choosing import Chooser
from metaenv.runs.folder import RunFolder
from metaenv.runs.learning import meta_train
from metaenv.stats import Interval, bootstrap_interval
from metaenv.supervised.data.episodes import Episodes, FrozenEpisodes, frozen_episodes
from metaenv.supervised.data.sinusoid import PAPER, SinusoidDistribution
from metaenv.supervised.evaluation import Scores, evaluate, interval_text
from metaenv.supervised.learners.maml import MAML, Engine, MAMLConfig
from metaenv.tasks import TaskSampler

UPDATES = 70_000  # of the paper's code
QUERIES, EVALUATION_SEED = 100, 20  # (chosen)
STEPS = (0, 1, 5, 10)
PAPER_TABLE = {5: {1: 0.67, 5: 0.38, 10: 0.35}}
"""Mean squared error of MAML after so many gradient steps: Table 2 there."""
DIVERGED = 50.0  # mean squared error; a sine of the largest amplitude has 12.5 of its own (chosen)


@dataclass(frozen=True)
class Sinusoid(Experiment):
    """MAML on sines of unknown amplitude and phase: mean squared error after some gradient steps on K points.

    Trainings that are complete are kept, and interrupted ones go on.
    """

    name = "sinusoid"
    title = "MAML on sines"

    seeds: int = 1
    k_shots: tuple[int, ...] = (5, 10)
    """Numbers of samples to learn from, in training as in the evaluation; each is trained for by itself."""
    updates: int = UPDATES
    """Number of meta-updates of a training; 70,000 in the paper."""
    engine: Engine = "compiled"
    """How MAML is computed: "compiled" takes half a minute to begin, and then a minute; "vmap" takes four minutes."""

    def run(self) -> None:
        given = {"updates": self.updates, "engine": self.engine}
        stored: dict[str, Any] = {"versions": package_versions(), **given, "rows": []}
        seconds: list[float] = []
        n = 0
        for k in self.k_shots:
            test = held_out(k)
            stored[f"sha256, K = {k}"], n = test.sha256, len(test)
            trained = [train(k, seed, self.updates, self.engine, self.folder) for seed in range(self.seeds)]
            seconds += [spent for _, spent in trained]
            stored["rows"] += [_row(k, s, scores_after([learner for learner, _ in trained], s, test)) for s in STEPS]
        write_text(self.folder / "sinusoid.json", json.dumps(stored, indent=1) + "\n")
        head = ["", "gradient steps", "mean squared error", "median", "diverged", "paper"]
        self.finish(
            [
                f"# {self.title}",
                "",
                *table(head, map(_cells, stored["rows"])),
                "",
                f"{n:,} held-out sines of {QUERIES} query points, final parameters, seeds 0 to {self.seeds - 1}, "
                f"{self.updates:,} meta-updates; {np.mean(seconds):.0f} s per training, compiling included; "
                f"± half the 95 % interval. Episodes with an error above {DIVERGED:.0f} count as diverged "
                "and not in the mean. The paper trained with 10 samples, these runs with K.",
            ]
        )


def held_out(k: int, n: int = 2_000) -> FrozenEpisodes:
    """``n`` draws from the frozen list of test sines, with ``k`` samples to learn from."""
    episodes = Episodes(TaskSampler(SinusoidDistribution(), "test", EVALUATION_SEED), k, QUERIES, seed=EVALUATION_SEED)
    return frozen_episodes(episodes, n)


def train(k: int, seed: int, updates: int, engine: Engine, out: Path, progress_bar: bool = True) -> tuple[MAML, float]:
    """MAML trained on ``k`` samples with the paper's settings, and the seconds that took; kept and gone on with.

    Args:
        k: samples to learn from, and to be judged on.
        seed: of weights and tasks.
        updates: meta-updates.
        engine: see `MAMLConfig.engine`.
        out: folder that the folders of trainings are in.
        progress_bar: show one.
    """
    place = RunFolder(out / f"maml-{k}-shots" / f"seed-{seed}")
    episodes = Episodes(TaskSampler(SinusoidDistribution(), "train", seed), k, k, seed=seed)
    if begun := place.checkpoint.exists():
        learner = MAML.load(place.checkpoint)
        if learner.iterations != updates:
            raise ValueError(
                f"{place.path} has {learner.iterations:,} updates, not {updates:,}; give another folder by --out"
            )
    else:
        learner = MAML(episodes.problem, MAMLConfig(**PAPER, engine=engine), seed=seed)
    if learner.iteration < updates:
        final = Chooser(place.best, None, "mse", updates)  # no validation: the paper's last parameters
        meta_train(learner, episodes, updates, place, final, resume=begun, progress_bar=progress_bar)
    return learner, place.seconds


def scores_after(learners: Sequence[MAML], steps: int, test: FrozenEpisodes) -> Scores:
    """Errors on every episode after so many gradient steps, of learners trained with several seeds."""
    for learner in learners:
        learner.test_steps = steps
    return evaluate({"maml": learners}, test, diverged_above=DIVERGED).scores["maml"]


def _row(k: int, steps: int, scores: Scores) -> dict[str, Any]:
    mse = scores.by_episode["mse"][..., scores.valid]
    return {
        "n_shot": k,
        "steps": steps,
        "mse": bootstrap_interval(mse, rng=np.random.default_rng(0))._asdict(),
        "median": float(np.median(mse)),
        "diverged": int((~scores.finite).sum()),
        "paper": PAPER_TABLE.get(k, {}).get(steps),
    }


def _cells(row: dict[str, Any]) -> list[str]:
    paper = "–" if row["paper"] is None else f"{row['paper']:.2f}"
    error, median = interval_text(Interval(**row["mse"])), f"{row['median']:.3f}"
    return [f"K = {row['n_shot']}", str(row["steps"]), error, median, str(row["diverged"]), paper]
