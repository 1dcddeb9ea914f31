"""Policies on the same frozen tasks, each task played several times, as arrays and as an evaluation.

An agent that infers the task draws at random, so trials are repeated where there are few tasks. Every policy meets the
same tasks and the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from metaenv.baselines import baselines_of
from metaenv.evaluation import CHUNK, Evaluation, first_tasks, make_row, oracle_row
from metaenv.experiments.runner import Policies
from metaenv.experiments.trainings import Trainings
from metaenv.markdown import interval_cell
from metaenv.policies import Policy, RandomPolicy, play_trials
from metaenv.registry import parsed
from metaenv.runs.training import TrainConfig
from metaenv.stats import Interval, bootstrap_interval
from metaenv.tasks import FrozenTasks, Reference
from metaenv.trial import VectorTrial, make_trials
from metaenv.typing import Floats

RESAMPLES = 1000  # of the bootstrap (chosen)


@dataclass(frozen=True)
class Comparison:
    """What policies did on the same frozen tasks, several times over."""

    config: TrainConfig
    """Settings of the environment."""
    test: FrozenTasks
    """The tasks."""
    scores: dict[str, Floats]
    """By policy, the true scores of the episodes, (seeds, repetitions, tasks, K)."""
    readings: dict[str, Floats]
    """Likewise, the returns of the episodes as the policy saw them."""
    best_fixed: str | None
    """Name of the policy that is the best fixed rule, if there is one."""
    closed: bool
    """Whether the distribution has no other tasks."""
    steps: int | None
    """Length of an episode; None where episodes differ."""

    @property
    def episodes(self) -> int:
        """K, the number of episodes of a trial."""
        return next(iter(self.scores.values())).shape[3]

    def over_tasks(self) -> dict[str, Floats]:
        """(seeds, tasks, K) means over repetitions, so that intervals are over tasks."""
        return {name: s.mean(axis=1) for name, s in self.scores.items()}

    def over_draws(self) -> dict[str, Floats]:
        """(seeds, repetitions, K) means over tasks, for a distribution that has no other tasks."""
        return {name: s.mean(axis=2) for name, s in self.scores.items()}

    def total_readings(self) -> dict[str, Floats]:
        """(seeds, tasks) rewards of whole trials."""
        return {name: r.mean(axis=1).sum(axis=2) for name, r in self.readings.items()}

    def evaluation(self, shots: Sequence[int], runs: Trainings) -> Evaluation:
        """Curves over episodes, as `metaenv.evaluation.evaluate` makes them, with intervals over what was drawn.

        Args:
            shots: after how many episodes to score.
            runs: the trained rows, whose seconds of training are noted.
        """
        values, judged, axis = self.over_tasks(), self.test, 1
        if self.closed:  # the mean over all tasks is then as one task, once for each repetition
            values, axis = self.over_draws(), 2
            n = next(iter(values.values())).shape[1]
            means = (np.full(n, x.mean()) for x in (judged.reference.random, judged.reference.oracle))
            judged = FrozenTasks(judged.split, judged.tasks, Reference(*means), judged.sha256)
        index = np.array(shots) - 1
        kept = {name: v[:, :, index] for name, v in values.items()}
        fixed = None if self.best_fixed is None else kept[self.best_fixed].mean(axis=0)
        rows = [make_row(n, v, judged, fixed, self.readings[n].mean(axis=axis).sum(axis=2)) for n, v in kept.items()]
        return Evaluation(
            self.config.env, self.test.split, self.test.sha256, len(self.test), tuple(shots),
            parsed(self.config.settings), 0, [*rows, oracle_row(judged, len(shots))],
            notes={"training": asdict(self.config), **training_seconds(runs)},
        )  # fmt: skip


def play_repeatedly(config: TrainConfig, agents: Policies, tasks: int | None, repetitions: int) -> Comparison:
    """Let agents and the baselines of their environment play frozen test tasks.

    Args:
        config: settings of the environment.
        agents: by name; a sequence is one method trained with several seeds.
        tasks: number of test tasks to play; all if None.
        repetitions: trials of each task, each with noise and draws of its own.

    Raises:
        ValueError: fewer than one repetition.
    """
    if repetitions < 1:
        raise ValueError(f"Expected repetitions >= 1, got {repetitions}. Every task is played at least once.")
    env = _trials(config, RandomPolicy(), 1)
    test = first_tasks(env.distribution.frozen("test"), tasks)
    classical, best_fixed = baselines_of(env)
    repeated = test.tasks.take(np.tile(np.arange(len(test)), repetitions))
    scores, readings = {}, {}
    for name, policy in {**classical, **agents}.items():
        group = policy if isinstance(policy, Sequence) else [policy]
        records = [play_trials(p, _trials(config, p, min(CHUNK, len(repeated))), repeated) for p in group]
        shape = len(group), repetitions, len(test), -1
        scores[name] = np.stack([r.scores for r in records]).reshape(shape)
        readings[name] = np.stack([r.readings for r in records]).reshape(shape)
    length = None if env.trial_length is None else env.trial_length // env.episodes
    return Comparison(config, test, scores, readings, best_fixed, env.distribution.closed, length)


def _trials(config: TrainConfig, policy: Policy, num_envs: int) -> VectorTrial:
    options = getattr(policy, "trial_options", {})
    return make_trials(config.env, num_envs, config.episodes, split="test", **options, **parsed(config.settings))


def training_seconds(runs: Trainings) -> dict[str, dict[str, list[float]]]:
    """Seconds of training per seed of each trained row, as a note for `Evaluation`."""
    return {"training_seconds": {group.title: group.seconds() for group in runs.values()}}


def mean_interval(values: Floats) -> Interval:
    """Mean of (seeds, tasks) with its 95 % interval."""
    return bootstrap_interval(values, rng=np.random.default_rng(0), n_resamples=RESAMPLES)


def mean_cells(values: Floats, digits: int = 3) -> list[str]:
    """A cell for each column of (seeds, tasks, columns)."""
    return [cell(mean_interval(values[:, :, k]), digits) for k in range(values.shape[2])]


def cell(interval: Interval, digits: int = 3) -> str:
    """An estimate with its interval, or to so many digits alone where nothing is left to chance."""
    certain = interval.high - interval.low < 10.0**-digits / 2
    return f"{interval.estimate:.{digits}f}" if certain else interval_cell(interval)
