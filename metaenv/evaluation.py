"""Evaluation on frozen tasks: k-shot curves, normalised scores and intervals, as one object that is a JSON file.

A policy meets tasks it has never seen, with its weights as training left them, and plays one trial of each. What
counts after k episodes is its *recommendation*: for trials that seek the best episode, the true score of the episode
with the best reading so far; for trials that add up, the mean score of the k-th episode.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from metaenv.files import write_text
from metaenv.limits import COUNT_OR_ZERO, check
from metaenv.markdown import interval_cell, table
from metaenv.policies import AgentPolicy, Policy, Progress, RandomPolicy, TrialRecord, play_trials
from metaenv.stats import Interval, bootstrap_interval, interquartile_mean, paired_difference, ratio_of_means
from metaenv.task_sets import task_batch
from metaenv.tasks import FrozenTasks, Task, TaskBatch, TaskDistribution
from metaenv.trial import VectorTrial, make_trials
from metaenv.typing import Floats

SHOTS = (1, 2, 3, 5, 10)
PACKAGES = ("gymnasium", "numpy", "scipy", "torch", "stable-baselines3", "botorch")
CHUNK = 256  # trials played at once; chosen


@dataclass(frozen=True)
class Row:
    """One policy's curve over the number of episodes.

    Attributes:
        name: of the policy.
        values: (seeds, tasks, shots) recommendation's true score.
        fraction: of the oracle's score, as a ratio of means, for each shot.
        normalised: (score - random) / (oracle - random), as a ratio of means, for each shot.
        adaptation: (score - fixed) / (oracle - fixed) against the best fixed rule, where one was given.
        iqm: of the tasks' scores over seeds and tasks, for each shot.
        trial_return: mean over seeds and tasks of the whole trial's reward, as the policy saw it.
        trainings: how many training seeds the values are of; None for a policy that is not trained.
        measures: what the environment tells of whole trials besides their scores (`BatchedEnv.measures`), by name.
    """

    name: str
    values: Floats
    fraction: list[Interval]
    normalised: list[Interval]
    adaptation: list[Interval] | None
    iqm: list[float]
    trial_return: Interval | None = None
    trainings: int | None = None
    measures: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name in tables; with a mark where there is one training seed, so that intervals are over tasks only."""
        return f"{self.name} (1 seed)" if self.trainings == 1 else self.name

    def to_dict(self) -> dict[str, Any]:
        """Curves with intervals, without the values of single tasks."""
        curves = {"fraction": self.fraction, "normalised": self.normalised, "adaptation": self.adaptation}
        seeds = self.values.mean(axis=1)
        return {
            "name": self.name,
            "trainings": self.trainings,
            "intervals_over": "tasks and training seeds" if (self.trainings or 0) > 1 else "tasks",
            **{k: None if v is None else [i._asdict() for i in v] for k, v in curves.items()},
            "iqm": self.iqm,
            "trial_return": None if self.trial_return is None else self.trial_return._asdict(),
            "mean_score_of_each_seed": seeds.tolist(),
            "measures": {name: interval._asdict() for name, interval in self.measures.items()},
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Row:
        """The row that `to_dict` described, with means over tasks as its values."""

        def curve(name: str) -> list[Interval]:
            return [Interval(**interval) for interval in given[name] or []]

        total = given["trial_return"]
        return cls(
            given["name"],
            np.array(given["mean_score_of_each_seed"])[:, None],
            curve("fraction"),
            curve("normalised"),
            curve("adaptation") or None,
            given["iqm"],
            None if total is None else Interval(**total),
            given["trainings"],
            {name: Interval(**interval) for name, interval in given.get("measures", {}).items()},
        )


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found, with all that is needed to find it again."""

    env_id: str
    split: str
    tasks_sha256: str
    n_tasks: int
    shots: tuple[int, ...]
    settings: Mapping[str, Any]
    seed: int
    rows: list[Row]
    versions: Mapping[str, str] = field(default_factory=lambda: package_versions())
    notes: Mapping[str, Any] = field(default_factory=dict)

    def row(self, name: str) -> Row:
        """The row of a policy. Raises KeyError with the names there are."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no policy {name!r} in this evaluation; there are {[r.name for r in self.rows]}")

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python, the rows by `Row.to_dict`."""
        names = ("env_id", "split", "tasks_sha256", "n_tasks", "shots", "settings", "seed", "versions", "notes")
        return {**{k: getattr(self, k) for k in names}, "rows": [row.to_dict() for row in self.rows]}

    def save(self, path: str | Path) -> Path:
        """Write JSON, to a temporary name first."""
        return write_text(path, json.dumps(self.to_dict(), indent=1, default=_plain) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Evaluation:
        """The evaluation that `save` wrote; its rows' ``values`` are means over tasks, (seeds, 1, shots)."""
        given = json.loads(Path(path).read_text(encoding="utf-8"))
        rows = [Row.from_dict(row) for row in given.pop("rows")]
        return cls(**{**given, "shots": tuple(given["shots"])}, rows=rows)

    def table(self, curve: str = "fraction") -> str:
        """A Markdown table: a row for each policy, a column for each number of episodes, mean and 95 % interval."""
        rows = []
        for row in self.rows:
            cells = [interval_cell(interval) for interval in getattr(row, curve) or []]
            rows.append([row.label, *cells, *[""] * (len(self.shots) - len(cells))])
        return "\n".join(table(["policy", *[f"@{k}" for k in self.shots]], rows, aligned=True))

    def measures_table(self) -> str:
        """A Markdown table of what the environment tells of whole trials besides scores; "" where that is nothing."""
        names = list(dict.fromkeys(name for row in self.rows for name in row.measures))
        rows = [[r.label, *(interval_cell(r.measures[n]) for n in names)] for r in self.rows if r.measures]
        return "\n".join(table(["policy", *names], rows, aligned=True)) if rows else ""


def evaluate(
    policies: Mapping[str, Policy | Sequence[Policy]],
    env_id: str,
    split: str = "test",
    n_tasks: int | None = None,
    shots: Sequence[int] = SHOTS,
    seed: int = 0,
    best_fixed: str | None = None,
    progress: Progress | None = None,
    episodes: int | None = None,
    tasks: FrozenTasks | TaskBatch | Sequence[Task] | None = None,
    **settings: Any,
) -> Evaluation:
    """Let policies play the frozen tasks of a split, or tasks of one's own.

    Args:
        policies: by name; a sequence of policies is one method trained with several seeds.
        env_id: of a registered environment.
        split: a frozen split.
        n_tasks: the first so many tasks of the frozen list; all by default.
        shots: after how many episodes to score; those beyond the trial's length are left out.
        seed: of the noise and of policies' own draws; the same for all policies.
        best_fixed: name of the policy that is the best fixed rule, for the adaptation score.
        progress: called with (tasks done, tasks in all) for each policy.
        episodes: of a trial; the environment's own number by default.
        tasks: instead of the split's list. Random play and the oracle are then scored here, which may take a while,
            unless they come with a `FrozenTasks`.
        **settings: of the environment.

    Raises:
        KeyError: ``best_fixed`` is none of the policies.
        ValueError: the seed is negative, or a policy cannot play this environment, by its method ``check(env)``;
            nothing was played.
    """

    def trials(policy: Policy, n: int) -> VectorTrial:
        return make_trials(env_id, n, episodes, split=split, **getattr(policy, "trial_options", {}), **settings)

    check("seed", seed, COUNT_OR_ZERO)
    env = trials(RandomPolicy(), 1)
    frozen = first_tasks(_listed(env, split, tasks), n_tasks)
    at_once = min(CHUNK, len(frozen))
    kept = tuple(k for k in shots if k <= env.episodes)
    if best_fixed is not None and best_fixed not in policies:
        raise KeyError(f"best_fixed={best_fixed!r} is not one of the policies {list(policies)}")
    groups = {name: p if isinstance(p, Sequence) else [p] for name, p in policies.items()}
    for policy in (p for group in groups.values() for p in group):
        getattr(policy, "check", lambda env: None)(env)
    values, returns, measures = {}, {}, {}
    for name, group in groups.items():
        records = [play_trials(p, trials(p, at_once), frozen.tasks, seed, progress) for p in group]
        values[name] = np.stack([recommended(r, kept, env.trial_state.objective) for r in records])
        measures[name] = measured([env.measures(record) for record in records])
        returns[name] = np.stack([trial_returns(r, env.trial_state.objective) for r in records])
    fixed = None if best_fixed is None else values[best_fixed].mean(axis=0)
    rows = [make_row(name, v, frozen, fixed, returns[name], trainings_of(groups[name])) for name, v in values.items()]
    rows = [replace(row, measures=measures[row.name]) for row in rows]
    return Evaluation(env_id, frozen.split, frozen.sha256, len(frozen), kept, dict(settings), seed, rows)


def _listed(env: VectorTrial, split: str, tasks: FrozenTasks | TaskBatch | Sequence[Task] | None) -> FrozenTasks:
    """The tasks to play, with their references."""
    if tasks is None:
        return env.distribution.frozen(split)
    if isinstance(tasks, FrozenTasks):
        return tasks
    batch = task_batch(tasks, env.distribution)
    return FrozenTasks("given", batch, env.distribution.reference(batch), batch.sha256)


def trainings_of(group: Sequence[Policy]) -> int | None:
    """How many trained agents there are among policies of one name; None where there is none."""
    return sum(isinstance(policy, AgentPolicy) for policy in group) or None


def measured(trials: Sequence[Mapping[str, Floats]]) -> dict[str, Interval]:
    """Means over seeds and trials with intervals, of a mapping of arrays (tasks,) for each seed."""
    return {
        name: bootstrap_interval(
            np.stack([each[name] for each in trials]), rng=np.random.default_rng(0), n_resamples=1000
        )
        for name in trials[0]
    }


def make_row(
    name: str,
    values: Floats,
    frozen: FrozenTasks,
    fixed: Floats | None = None,
    returns: Floats | None = None,
    trainings: int | None = None,
) -> Row:
    """Curves with intervals.

    Args:
        name: of the policy.
        values: (seeds, tasks, shots) recommendation's true score.
        frozen: the tasks, with their references.
        fixed: (tasks, shots) the best fixed rule's values.
        returns: (seeds, tasks) of the whole trials.
        trainings: how many training seeds the values are of; None for a policy that is not trained.
    """
    random, oracle = frozen.reference.random, frozen.reference.oracle
    nothing = np.zeros_like(oracle)
    shots = range(values.shape[2])
    fraction = [ratio_interval(values[:, :, k], nothing, oracle) for k in shots]
    normalised = [ratio_interval(values[:, :, k], random, oracle) for k in shots]
    adaptation = None
    if fixed is not None and np.all(oracle.mean() > fixed.mean(axis=0)):
        adaptation = [ratio_interval(values[:, :, k], fixed[:, k], oracle) for k in shots]
    iqm = [interquartile_mean(values[:, :, k]) for k in shots]
    total = None if returns is None else bootstrap_interval(returns, rng=np.random.default_rng(0), n_resamples=1000)
    return Row(name, values, fraction, normalised, adaptation, iqm, total, trainings)


def oracle_row(frozen: FrozenTasks, shots: int) -> Row:
    """The oracle that knows the task, in every column."""
    oracle = frozen.reference.oracle
    return make_row("task oracle", np.repeat(oracle[None, :, None], shots, axis=2), frozen)


def difference(a: Row, b: Row, shot: int) -> Interval:
    """Mean difference of two policies' true scores at one of the shots (by position), paired by task."""
    return paired_difference(a.values[:, :, shot], b.values[:, :, shot], rng=np.random.default_rng(0))


def first_tasks(frozen: FrozenTasks, n: int | None) -> FrozenTasks:
    """The first ``n`` tasks of a frozen list, under a hash of their own."""
    if n is None or n >= len(frozen):
        return frozen
    if n < 1:
        raise ValueError(f"expected at least one task to evaluate on, got n_tasks={n}")
    return frozen.take(np.arange(n))


def package_versions() -> dict[str, str]:
    """Versions of Python, of this package and of those that numbers depend on."""
    from metaenv.version import __version__

    found = {"python": platform.python_version(), "metaenv": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def recommended(record: TrialRecord, shots: Sequence[int], objective: str) -> Floats:
    """(tasks, shots) the true score of the recommendation after each number of episodes; see the module."""
    index = np.array(shots) - 1
    return record.best_so_far()[:, index] if objective == "best" else record.scores[:, index]


def trial_returns(record: TrialRecord, objective: str) -> Floats:
    """(tasks,) rewards of the whole trials, as the policy saw them."""
    return record.readings.max(axis=1) if objective == "best" else record.readings.sum(axis=1)


def ratio_interval(values: Floats, low: Floats, high: Floats) -> Interval:
    """(mean - mean low) / (mean high - mean low) of (seeds, tasks) with its 95 % interval; low and high (tasks,)."""
    return bootstrap_interval(
        values, ratio_of_means, rng=np.random.default_rng(0), paired=(low, high), n_resamples=1000
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, TaskDistribution):
        return repr(value)
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")
