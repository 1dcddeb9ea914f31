"""The tables of the RL² paper, every cell beside ours.

All policies meet the same frozen test tasks, and the same noise on the same steps, so that columns are paired. What
was played or trained is kept in the output folder and not done again.
"""

from __future__ import annotations

import json
import re
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from metaenv.baselines import baselines_of
from metaenv.evaluation import first_tasks, package_versions, write_text
from metaenv.experiments.comparison import mean_interval
from metaenv.experiments.paper_numbers import INSTANCES, PaperTable
from metaenv.experiments.runner import AgentExperiment
from metaenv.experiments.settings import SETTINGS
from metaenv.experiments.trainings import RL2_TITLE, TAUGHT, TAUGHT_TITLE, Training, description, finished
from metaenv.markdown import interval_cell, table
from metaenv.policies import AgentPolicy, Policy, play_trials
from metaenv.runs.parallel import map_runs
from metaenv.runs.training import TrainConfig, load_run
from metaenv.stats import Interval, paired_difference
from metaenv.tasks import FrozenTasks
from metaenv.trial import VectorTrial
from metaenv.typing import Floats

CHUNK = 500  # trials played at once, to keep memory small (chosen)
RESAMPLES = 1000  # of the bootstrap (chosen)
Z95 = 1.96  # standard deviations to either side that hold 95 % of a normal distribution


@dataclass(frozen=True)
class Number:
    """One number of ours."""

    returns: Floats
    """Total rewards of single trials, (seeds, tasks)."""
    interval: Interval
    """Their mean with its 95 % interval, over tasks, and over seeds where there are several."""
    notes: Mapping[str, Any]
    """Seconds of playing, or of training per seed; steps and settings of the training."""

    @classmethod
    def of(cls, played: Sequence[Mapping[str, Any]], **notes: Any) -> Number:
        """From what was kept of each seed."""
        returns = np.array([data["returns"] for data in played], np.float64)
        spent = {"seconds": [data["seconds"] for data in played], "steps": 0}
        return cls(returns, mean_interval(returns), {**spent, **notes})

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single trials, as plain Python."""
        return {**self.interval._asdict(), "sd": float(self.returns.std()), **self.notes}

    def __str__(self) -> str:
        return _text(self.interval)


Numbers = dict[str, Number]
"""Our numbers of one row, by column; RL² is missing where it was not trained."""

ENDINGS = {RL2_TITLE: "", TAUGHT_TITLE: TAUGHT}
"""Ends of the names of folders, by the column that the trainings fill."""


@dataclass(frozen=True)
class PaperExperiment(AgentExperiment):
    """A table of the RL² paper. What is played or trained is kept in the folder and not done again."""

    paper: ClassVar[PaperTable]
    """The numbers as printed."""
    default_rows: ClassVar[tuple[str, ...]]
    """Rows in which RL² is trained where the options do not say."""
    extra: ClassVar[str]
    """Name of the last column, an exact bound."""

    seeds: int = 1
    tasks: int | None = 10_000
    cells: tuple[str, ...] | None = None
    """Rows of the table; all by default."""
    train: tuple[str, ...] | None = None
    """Rows in which RL² is trained; by default the shorter ones, or the rows that --cells names. A row that was trained
    in this folder before is shown in any case."""
    taught: bool = False
    """Whether to train RL² with help, too, where such settings are kept (``bandit-100-5-taught``): a teacher or, on 500
    pulls, the true task to predict. It has a column of its own, since the paper's RL² had none."""
    sample: bool = True
    """Whether to draw RL²'s actions from its policy, as in training, instead of taking the most likely ones."""

    @abstractmethod
    def bound(self, config: TrainConfig, test: FrozenTasks) -> float | None:
        """The number in the last column, where it is known."""

    @property
    def rows(self) -> tuple[str, ...]:
        """Of the table."""
        return self.cells or tuple(self.paper.rows)

    def config(self, row: str) -> TrainConfig:
        """The settings of a row's training."""
        return self.settings(self.paper.preset.format(row))

    def trainings(self) -> dict[str, Training]:
        shorter = tuple(row for row in self.rows if row in self.default_rows)
        wanted = self.train if self.train is not None else self.cells or shorter
        return {
            row + ending: Training(_title(row, column), self.config(row + ending))
            for column, ending in ENDINGS.items()
            for row in wanted
            if column == RL2_TITLE or (self.taught and self.paper.preset.format(row + ending) in SETTINGS)
        }

    def beside(self) -> dict[str, Training | None]:
        return {row + ending: self._finished(row, column) for row in self.rows for column, ending in ENDINGS.items()}

    def _finished(self, row: str, column: str) -> Training | None:
        return finished(_title(row, column), self.folder / f"{row}{ENDINGS[column]}")

    def sections(self, runs: dict[str, Training]) -> Iterator[list[str]]:
        self._play_baselines()
        tests = {row: frozen_tests(self.config(row), self.tasks) for row in self.rows}
        numbers = {row: self._numbers(row, test) for row, test in tests.items()}
        bounds = {row: self.bound(self.config(row), test) for row, test in tests.items()}
        n_tasks = len(tests[self.rows[-1]])
        write_text(self.folder / "table.json", self._to_json(numbers, bounds, n_tasks))
        yield self._table(numbers, bounds, n_tasks)
        yield [_note(self.paper, row, found) for row, found in numbers.items()]

    def _play_baselines(self) -> None:
        jobs = [
            (self.config(row), policy, self.tasks, self._path(row, policy))
            for row in self.rows
            for policy in self.paper.all_policies.values()
        ]
        todo = [job for job in jobs if kept(job[3], frozen_tests(job[0], self.tasks)) is None]
        print(f"{len(jobs)} classical cells, {len(jobs) - len(todo)} of them played already.", flush=True)
        map_runs(play_baseline, [(*job[:3], job[3].resolve()) for job in todo], self.engine, self.workers)

    def _path(self, row: str, policy: str) -> Path:
        """Where a baseline's results are kept."""
        return self.folder / row / f"{'-'.join(re.findall('[a-z0-9]+', policy.lower()))}.json"

    def _numbers(self, row: str, test: FrozenTasks) -> Numbers:
        played = {column: kept(self._path(row, policy), test) for column, policy in self.paper.all_policies.items()}
        found = {column: Number.of([data]) for column, data in played.items() if data is not None}
        for column in ENDINGS:
            runs = self._finished(row, column)
            if runs is not None:
                trials = [play_agent(folder, self.sample, test) for folder in runs.folders]
                steps = load_run(runs.folders[0])[1].num_timesteps
                seconds, training = runs.seconds(), description(runs.config)
                found[column] = Number.of(trials, seconds=seconds, steps=steps, training=training)
        return found

    def _to_json(self, numbers: Mapping[str, Numbers], bounds: Mapping[str, float | None], n_tasks: int) -> str:
        """Everything, with the versions of the packages."""
        rows = {
            row: {
                "paper": dict(zip(self.paper.columns, self.paper.rows[row], strict=True)),
                "ours": {column: number.to_dict() for column, number in found.items()},
                self.extra: bounds[row],
            }
            for row, found in numbers.items()
        }
        given = {"title": self.paper.title, "tasks": n_tasks, "policies": dict(self.paper.policies)}
        return json.dumps({**given, "rows": rows, "versions": package_versions()}, indent=1, ensure_ascii=False) + "\n"

    def _table(self, numbers: Mapping[str, Numbers], bounds: Mapping[str, float | None], n_tasks: int) -> list[str]:
        columns, ours = self.paper.columns, [*self.paper.ours]
        ours += [TAUGHT_TITLE] * any(TAUGHT_TITLE in found for found in numbers.values())
        rows = []
        for row, found in numbers.items():
            printed = dict(zip(columns, self.paper.rows[row], strict=True))
            cells = [f"{printed[c]} / {found.get(c, 'not trained')}" for c in columns]
            bound = bounds[row]
            last = "" if bound is None else f"{bound:.4g}" if bound >= 100 else f"{bound:.3f}"
            rows.append([row, *cells, *(str(found.get(c, "not trained")) for c in ours), last])
        return [
            f"Mean total reward: the paper's number ({INSTANCES:,} instances), then ours with its 95 % interval over "
            f"{n_tasks:,} frozen test tasks (and over seeds, where there are several), the same for all columns. RL²: "
            "final policies. The paper's RL² had no teacher; how ours were trained stands at the end.",
            "",
            *table(["row", *columns, *ours, self.extra], rows, text=range(len(columns) + len(ours) + 2)),
        ]


def play_baseline(config: TrainConfig, policy: str, tasks: int | None, path: Path) -> None:
    """Let a baseline play frozen test tasks, and write their returns to ``path``."""
    test, env = frozen_tests(config, tasks), config.make_env(num_envs=CHUNK, split="test")
    _keep(lambda: trial_returns(baselines_of(env)[0][policy], env, test), test, path)


def play_agent(folder: Path, sample: bool, test: FrozenTasks) -> dict[str, Any]:
    """Let a run's final policy play frozen test tasks; what was played before is read back."""
    path = folder / f"test-{'sampled' if sample else 'deterministic'}.json"
    found = kept(path, test)
    if found is not None:
        return found
    config, agent = load_run(folder)
    env = config.make_env(num_envs=CHUNK, split="test")
    return _keep(lambda: trial_returns(AgentPolicy(agent, deterministic=not sample), env, test), test, path)


def frozen_tests(config: TrainConfig, tasks: int | None) -> FrozenTasks:
    """The first so many frozen test tasks."""
    return first_tasks(config.make_env(num_envs=1, split="test").distribution.frozen("test"), tasks)


def trial_returns(policy: Policy, env: VectorTrial, test: FrozenTasks) -> Floats:
    """Total rewards of one trial of each task, (n,).

    The noise of a trial depends on the task's place in the list only: it is that of `metaenv.evaluation.evaluate` with
    seed 0. Actions and observations are dropped after each chunk; of 10,000 trials of 500 pulls they fill gigabytes.
    """
    n, size = len(test), env.num_envs
    returns = np.zeros(n)
    for chunk, start in enumerate(range(0, n, size)):
        index = np.arange(start, start + size)
        record = play_trials(policy, env, test.tasks.take(index % n), seed=chunk)
        returns[start : start + size] = record.readings.sum(axis=1)[: n - start]
    return returns


def kept(path: Path, test: FrozenTasks) -> dict[str, Any] | None:
    """What was played on these very tasks, if it was."""
    if not path.exists():
        return None
    data: dict[str, Any] = json.loads(path.read_text())
    return data if data["tasks_sha256"] == test.sha256 else None


def _keep(play: Callable[[], Floats], test: FrozenTasks, path: Path) -> dict[str, Any]:
    start = time.perf_counter()
    returns = play()
    data = {"tasks_sha256": test.sha256, "seconds": time.perf_counter() - start, "returns": returns.tolist()}
    write_text(path, json.dumps(data) + "\n")
    return data


def _title(row: str, column: str) -> str:
    return f"{column}, row {row}"


def _text(interval: Interval) -> str:
    return interval_cell(interval, digits=3 if abs(interval.estimate) < 10 else 2)


def _note(paper: PaperTable, row: str, numbers: Numbers) -> str:
    """What of ours is stronger than the paper's RL², and our RL² beside the best classical column."""
    printed = paper.rows[row][-1]
    margin = Z95 * max(float(number.returns.std()) for number in numbers.values()) / INSTANCES**0.5
    stronger = [f"{c} {n.interval.estimate:.2f}" for c, n in numbers.items() if n.interval.low > printed]
    beyond = [c for c, n in numbers.items() if n.interval.low > printed + margin]
    text = f"- {row}: the paper's RL² has {printed}, known to ±{margin:.2f} (95 %, {INSTANCES:,} instances). "
    text += f"Stronger here: {', '.join(stronger)}" if stronger else "Nothing here is stronger"
    text += f"; by more than that: {', '.join(beyond)}." if beyond else "."
    if RL2_TITLE not in numbers:
        return text
    best = max((c for c in numbers if c not in ENDINGS), key=lambda c: numbers[c].interval.estimate)
    pair = numbers[RL2_TITLE].returns, numbers[best].returns
    lead = paired_difference(*pair, rng=np.random.default_rng(0), n_resamples=RESAMPLES)
    return f"{text} RL² here minus the best classical column ({best}), on the same tasks: {_text(lead)}."
