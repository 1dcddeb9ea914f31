"""`metaenv reproduce rl2-bandits` and `rl2-mdps`: the tables of the RL² paper, every cell beside ours.

All policies meet the same frozen test tasks, and on bandits the same noise on the same pulls, so that
columns are paired. What was played or trained is kept in the output folder and not done again.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metaenv.agents.rl2 import RL2, RL2Config
from metaenv.baselines import baselines_of
from metaenv.classic.bandit.exact import bayes_optimal_value
from metaenv.classic.mdp import baselines as mdp_baselines
from metaenv.evaluation import first_tasks, package_versions, write_text
from metaenv.experiments.paper_numbers import BANDITS, INSTANCES, MDPS, BanditCell, MDPCell, PaperTable
from metaenv.policies import AgentPolicy, Policy, play_trials
from metaenv.runs.parallel import Engine, map_runs
from metaenv.runs.sets import is_complete, seconds_spent, train_set
from metaenv.runs.training import TrainConfig, parsed, preset, read_config, replace
from metaenv.stats import Interval, bootstrap_interval, paired_difference
from metaenv.tasks import FrozenTasks
from metaenv.trial import VectorTrial
from metaenv.typing import Floats

AGENT = "RL²"
CHUNK = 500  # trials played at once, to keep memory small; chosen
RESAMPLES = 1000  # of the bootstrap; chosen
Z95 = 1.96  # standard deviations to either side that hold 95 % of a normal law
EXACT_PULLS = 10  # longest bandits that are solved exactly
MDP_EPISODES = 10  # of a trial of TabularMDP where settings name no number

Play = Callable[[TrainConfig, str, FrozenTasks], Floats]
"""``play(config, policy, test)``: total rewards (n,) of a baseline; a function that a process can import."""


@dataclass(frozen=True)
class Cell:
    """One number of ours.

    Attributes:
        returns: total rewards of single trials, (seeds, tasks).
        interval: their mean with its 95 % interval, over tasks, and over seeds where there are several.
        seconds: of playing, and of training for each seed.
        steps: trained for, 0 for a baseline.
        settings: of the training, for the reader.
    """

    returns: Floats
    interval: Interval
    seconds: list[float]
    steps: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single trials, as plain Python."""
        sd = float(self.returns.std())
        spent = {"seconds": self.seconds, "steps": self.steps}
        return {**self.interval._asdict(), "sd": sd, **spent, **({"training": self.settings} if self.settings else {})}


@dataclass
class Result:
    """A table of the paper with our numbers: ``cells[row][column]``; missing where nothing was trained."""

    paper: PaperTable
    tasks: int
    extra: str
    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)
    extras: dict[str, float | None] = field(default_factory=dict)

    def to_json(self) -> str:
        """Everything, with the versions of the packages."""
        rows = {
            row: {
                "paper": dict(zip(self.paper.columns, self.paper.rows[row], strict=True)),
                "ours": {column: cell.to_dict() for column, cell in cells.items()},
                self.extra: self.extras[row],
            }
            for row, cells in self.cells.items()
        }
        given = {"title": self.paper.title, "tasks": self.tasks, "policies": dict(self.paper.policies)}
        return json.dumps({**given, "rows": rows, "versions": package_versions()}, indent=1, ensure_ascii=False) + "\n"


def rl2_bandits(
    out: Path = Path("runs/reproduce/rl2-bandits"),
    cells: tuple[BanditCell, ...] | None = None,
    train: tuple[BanditCell, ...] | None = None,
    seeds: int = 1,
    tasks: int = 10_000,
    steps: int | None = None,
    sample: bool = True,
    engine: Engine = "local",
    workers: int = 1,
) -> None:
    """Table 1 of the RL² paper: Bernoulli bandits, n pulls of k arms; every classical column, and RL² trained here.

    On one core the six rows of 10 and 100 pulls take about an hour; a row of 500 pulls takes 0.6 (5 arms) to 1 h (50
    arms) to train. All classical columns of all rows take 20 minutes, most of them the 30 votes of OTS.

    Args:
        out: folder of the runs and tables.
        cells: rows n-k of the table; all nine by default.
        train: rows in which RL² is trained. By default those of 10 and 100 pulls, or the rows that --cells names.
            A row that was trained in this folder before is shown in any case.
        seeds: how many training runs of each row.
        tasks: the first so many of the 10,000 frozen test bandits.
        steps: pulls to train on; the preset's own number by default.
        sample: draw RL²'s actions from its policy, as it was trained; else take the most likely ones.
        engine: local processes, or a Ray cluster.
        workers: local processes at once.
    """
    rows = cells or tuple(BANDITS.rows)
    small = tuple(row for row in rows if not row.startswith("500"))
    wanted = train if train is not None else cells or small
    made = Making(BANDITS, bandit_returns, out, rows, wanted, seeds, tasks, steps, sample, engine, workers)
    _finish(made.result("exact optimum", _exact_bandit), out)


def rl2_mdps(
    out: Path = Path("runs/reproduce/rl2-mdps"),
    cells: tuple[MDPCell, ...] | None = None,
    train: tuple[MDPCell, ...] | None = None,
    seeds: int = 1,
    tasks: int = 10_000,
    steps: int | None = None,
    sample: bool = True,
    engine: Engine = "local",
    workers: int = 1,
) -> None:
    """Table 2 of the RL² paper: n episodes of random tabular MDPs; every classical column, and RL² trained here.

    Args:
        out: folder of the runs and tables.
        cells: rows n of the table; all five by default.
        train: rows in which RL² is trained. By default those of 10 and 25 episodes, or the rows that --cells names.
            A row that was trained in this folder before is shown in any case.
        seeds: how many training runs of each row.
        tasks: the first so many of the frozen test MDPs.
        steps: steps to train on; the preset's own number by default.
        sample: draw RL²'s actions from its policy, as it was trained; else take the most likely ones.
        engine: local processes, or a Ray cluster.
        workers: local processes at once.
    """
    rows = cells or tuple(MDPS.rows)
    small = tuple(row for row in rows if row in ("10", "25"))
    wanted = train if train is not None else cells or small
    made = Making(MDPS, mdp_returns, out, rows, wanted, seeds, tasks, steps, sample, engine, workers)
    _finish(made.result("task oracle", _mdp_oracle), out)


@dataclass(frozen=True)
class Making:
    """How a table is made: see `rl2_bandits` for the settings."""

    paper: PaperTable
    play: Play
    out: Path
    rows: Sequence[str]
    trained: Sequence[str]
    seeds: int
    tasks: int
    steps: int | None
    sample: bool
    engine: Engine
    workers: int

    def result(self, extra: str, bound: Callable[[TrainConfig, FrozenTasks], float | None]) -> Result:
        """Train and play what is missing; returns the table, its extra column from ``bound``."""
        if self.seeds < 1:
            raise ValueError(f"expected seeds >= 1, got {self.seeds}; a row needs a training run")
        train_set({row: self.config(row) for row in self.trained}, self.seeds, self.out, self.engine, self.workers)
        jobs = [
            (self.play, self.config(row), policy, self.tasks, self.path(row, policy))
            for row in self.rows
            for policy in self.paper.all_policies.values()
        ]
        todo = [job for job in jobs if _kept(job[4], frozen_tests(job[1], self.tasks)) is None]
        print(f"{len(jobs)} classical cells, {len(jobs) - len(todo)} of them played already.", flush=True)
        map_runs(play_classical, [(*job[:4], job[4].resolve()) for job in todo], self.engine, self.workers)
        result = Result(self.paper, self.tasks, extra)
        for row in self.rows:
            test = frozen_tests(self.config(row), self.tasks)
            result.tasks = len(test)
            result.cells[row] = {**self.classical_cells(row, test), **self.trained_cell(row, test)}
            result.extras[row] = bound(self.config(row), test)
        return result

    def config(self, row: str) -> TrainConfig:
        """The settings of a row's training."""
        config = preset(self.paper.preset.format(row))
        return replace(config, steps=self.steps) if self.steps else config

    def path(self, row: str, policy: str) -> Path:
        """Where a baseline's results are kept."""
        return self.out / row / f"{'-'.join(re.findall('[a-z0-9]+', policy.lower()))}.json"

    def classical_cells(self, row: str, test: FrozenTasks) -> dict[str, Cell]:
        """Our numbers of the paper's columns but RL²'s."""
        kept = {column: _kept(self.path(row, policy), test) for column, policy in self.paper.all_policies.items()}
        return {column: _cell([data]) for column, data in kept.items() if data is not None}

    def trained_cell(self, row: str, test: FrozenTasks) -> dict[str, Cell]:
        """Our number of RL², from all complete runs in the row's folder; empty where there is none."""
        folders = [f for f in sorted((self.out / row).glob("seed-*")) if is_complete(f)]
        if not folders:
            return {}
        played = [play_agent(folder, self.sample, test) for folder in folders]
        for data, folder in zip(played, folders, strict=True):
            data["seconds"] = seconds_spent(folder)
        steps = RL2.load(folders[0] / "checkpoint.pt").num_timesteps
        return {AGENT: _cell(played, steps, _settings(read_config(folders[0])))}


def play_classical(play: Play, config: TrainConfig, policy: str, tasks: int, path: Path) -> None:
    """Let a baseline play frozen test tasks, and write their returns to ``path``."""
    test = frozen_tests(config, tasks)
    _keep(lambda: play(config, policy, test), test, path)


def bandit_returns(config: TrainConfig, policy: str, test: FrozenTasks) -> Floats:
    """Total rewards (n,) of a policy of `metaenv.baselines.baselines_of`."""
    env = config.make_env(num_envs=CHUNK, split="test")
    return trial_returns(baselines_of(env)[0][policy], env, test)


def mdp_returns(config: TrainConfig, policy: str, test: FrozenTasks) -> Floats:
    """Total rewards (n,) of an algorithm of `metaenv.classic.mdp.baselines`."""
    return mdp_baselines.play(policy, config.episodes or MDP_EPISODES, test.tasks, np.random.default_rng(0))


def frozen_tests(config: TrainConfig, tasks: int) -> FrozenTasks:
    """The first so many frozen test tasks."""
    return first_tasks(config.make_env(num_envs=1, split="test").distribution.frozen("test"), tasks)


def play_agent(folder: Path, sample: bool, test: FrozenTasks) -> dict[str, Any]:
    """Let a run's final policy play frozen test tasks; what was played before is read back."""
    path = folder / f"test-{'sampled' if sample else 'deterministic'}.json"
    kept = _kept(path, test)
    if kept is not None:
        return kept
    env = read_config(folder).make_env(num_envs=CHUNK, split="test")
    policy = AgentPolicy(RL2.load(folder / "checkpoint.pt"), deterministic=not sample)
    return _keep(lambda: trial_returns(policy, env, test), test, path)


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


def _keep(play: Callable[[], Floats], test: FrozenTasks, path: Path) -> dict[str, Any]:
    start = time.perf_counter()
    returns = play()
    data = {"tasks_sha256": test.sha256, "seconds": time.perf_counter() - start, "returns": returns.tolist()}
    write_text(path, json.dumps(data) + "\n")
    return data


def _kept(path: Path, test: FrozenTasks) -> dict[str, Any] | None:
    """What was played on these very tasks, if it was."""
    if not path.exists():
        return None
    data: dict[str, Any] = json.loads(path.read_text())
    return data if data["tasks_sha256"] == test.sha256 else None


def _cell(played: Sequence[Mapping[str, Any]], steps: int = 0, settings: Mapping[str, str] | None = None) -> Cell:
    returns = np.array([data["returns"] for data in played], np.float64)  # (seeds, tasks)
    interval = bootstrap_interval(returns, rng=np.random.default_rng(0), n_resamples=RESAMPLES)
    return Cell(returns, interval, [data["seconds"] for data in played], steps, settings or {})


def _exact_bandit(config: TrainConfig, test: FrozenTasks) -> float | None:
    """Expected reward of the best possible policy, where dynamic programming can find it."""
    pulls = config.episodes or 0
    return bayes_optimal_value(pulls, parsed(config.settings)["n_arms"]) if pulls <= EXACT_PULLS else None


def _mdp_oracle(config: TrainConfig, test: FrozenTasks) -> float | None:
    """Expected total reward of the optimal policy of each MDP, which a policy would have to know beforehand."""
    return float(test.reference.oracle.mean()) * (config.episodes or 0)


# -------------------------------------------------------------------- as Markdown


def markdown(result: Result) -> list[str]:
    """The table and what it shows, as lines."""
    columns = result.paper.columns
    return [
        f"# RL² paper, {result.paper.title}",
        "",
        f"Mean total reward: the paper's number ({INSTANCES:,} instances), then ours with its 95 % interval over "
        f"{result.tasks:,} frozen test tasks (and over seeds, where there are several), the same for all columns. "
        "RL²: final policies.",
        "",
        _line(["row", *columns, *result.paper.ours, result.extra]),
        _line(["---"] * (len(columns) + len(result.paper.ours) + 2)),
        *[_row(result, row) for row in result.cells],
        "",
        *_training_lines(result),
        *_notes(result),
    ]


def _row(result: Result, row: str) -> str:
    ours, extra = result.cells[row], result.extras[row]
    paper = dict(zip(result.paper.columns, result.paper.rows[row], strict=True))
    cells = [f"{paper[c]} / {_number(ours.get(c))}" for c in result.paper.columns]
    cells += [_number(ours.get(c)) for c in result.paper.ours]
    return _line([row, *cells, "" if extra is None else f"{extra:.4g}" if extra >= 100 else f"{extra:.3f}"])


def _number(cell: Cell | None) -> str:
    if cell is None:
        return "not trained"
    return _written(cell.interval)


def _written(interval: Interval) -> str:
    digits = 3 if abs(interval.estimate) < 10 else 2
    return "{:.{d}f} [{:.{d}f}, {:.{d}f}]".format(*interval, d=digits)


def _training_lines(result: Result) -> list[str]:
    trained = {row: cells[AGENT] for row, cells in result.cells.items() if AGENT in cells}
    if not trained:
        return []
    head = ["RL² trained", "seeds", "steps a seed", "minutes a seed", "memory", "also learned from, in training"]
    lines = [_line(head), _line(["---", *["---:"] * 3, "---", "---"])]
    for row, cell in trained.items():
        minutes = "-".join(f"{m / 60:.1f}" for m in sorted({min(cell.seconds), max(cell.seconds)}))
        told = [cell.settings[k] for k in ("memory", "told")]
        lines.append(_line([row, str(len(cell.seconds)), f"{cell.steps:,}", minutes, *told]))
    return [*lines, ""]


def _settings(config: TrainConfig) -> dict[str, str]:
    """What a reader must know of how RL² was trained: its memory, and what it was told beyond observations."""
    agent = config.agent
    assert isinstance(agent, RL2Config), "the tables of the RL² paper are of RL²"
    told: list[str] = []
    if agent.teacher:
        told.append(f"the actions of {agent.teacher}, fading over the first {agent.teacher_share:.0%}")
    if agent.reveal_share:
        told.append(f"the task itself in some trials, fading over the first {agent.reveal_until:.0%}")
    if agent.task_prediction_coef:
        told.append("predicting the hidden task")
    return {"memory": f"{agent.cell} {agent.hidden_size}", "told": "; ".join(told) or "nothing"}


def _notes(result: Result) -> list[str]:
    """Row by row: what of ours is stronger than the paper's RL², and our RL² beside the best classical column."""
    lines: list[str] = []
    for row, cells in result.cells.items():
        printed = result.paper.rows[row][-1]
        margin = Z95 * max(float(cell.returns.std()) for cell in cells.values()) / INSTANCES**0.5
        stronger = [f"{c} {cells[c].interval.estimate:.2f}" for c in cells if cells[c].interval.low > printed]
        beyond = [c for c in cells if cells[c].interval.low > printed + margin]
        text = f"- {row}: the paper's RL² has {printed}, known to ±{margin:.2f} (95 %, {INSTANCES:,} instances). "
        text += f"Stronger here: {', '.join(stronger)}" if stronger else "Nothing here is stronger"
        text += f"; by more than that: {', '.join(beyond)}." if beyond else "."
        lines.append(text + _beside_the_best(cells))
    return lines


def _beside_the_best(cells: Mapping[str, Cell]) -> str:
    if AGENT not in cells:
        return ""
    best = max((c for c in cells if c != AGENT), key=lambda c: cells[c].interval.estimate)
    difference = paired_difference(
        cells[AGENT].returns, cells[best].returns, rng=np.random.default_rng(0), n_resamples=RESAMPLES
    )
    return f" RL² here minus the best classical column ({best}), on the same tasks: {_written(difference)}."


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _finish(result: Result, out: Path) -> None:
    lines = markdown(result)
    path = write_text(out / "table.md", "\n".join(lines) + "\n")
    write_text(out / "table.json", result.to_json())
    print("\n".join(lines))
    print(f"\nWritten: {path} and {path.with_suffix('.json').name}.")
