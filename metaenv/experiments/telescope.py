"""RL² and PEARL on observing programmes and skies that they have never seen, night by night.

Values are known at once, as in the variants "short" and "depth". That the default needs memory, which these do not, is
shown by `metaenv certify TargetSelection`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from metaenv.agents.rl2_config import RL2Config
from metaenv.evaluation import Evaluation, Row, ratio_interval
from metaenv.experiments.evaluate import drawn
from metaenv.experiments.runner import AgentExperiment, final_policies
from metaenv.experiments.trainings import PEARL_TITLE, RL2_TITLE, Training, Trainings
from metaenv.markdown import table
from metaenv.plots import COLOURS, new_figure
from metaenv.plots import save as save_figure
from metaenv.runs.training import TrainConfig
from metaenv.stats import Interval
from metaenv.telescope.baselines import BEST_FIXED
from metaenv.telescope.references import ORACLE, informed_policies
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.tasks import SPLITS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLIND = "PPO without memory"
KINDS = {"rl2": RL2_TITLE, "pearl": PEARL_TITLE, "blind": BLIND, "depth-rl2": RL2_TITLE, "depth-pearl": PEARL_TITLE}
"""Kinds of runs, and the name of each in tables."""
HELD_OUT = tuple(s for s in SPLITS if s not in ("train", "validation"))
RANDOM = "random"
MARKS = "osv^D*P<>hXd"
BLIND_STEPS = 1_500_000  # chosen: a policy that remembers nothing has learned what it can by then


@dataclass(frozen=True)
class Telescope(AgentExperiment):
    """Target selection under hidden skies for hidden programmes: score of each night on tasks never trained on."""

    name = "telescope"
    title = "Target selection for programmes and skies never seen"

    kinds: tuple[str, ...] = tuple(KINDS)
    """What to train: rl2, pearl, blind (a PPO without memory and with one seed, which sees no more than tonight's last
    exposure); depth-rl2 and depth-pearl on the variant in which exposures take 1, 2 or 4 slots."""
    splits: tuple[str, ...] = HELD_OUT
    """Held-out lists to evaluate on."""

    def trainings(self) -> dict[str, Training]:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise ValueError(f"Expected kinds out of {', '.join(KINDS)}; got {', '.join(unknown) or 'none'}.")
        return {kind: self._training(kind) for kind in self.kinds}

    def _training(self, kind: str) -> Training:
        if kind == "blind":
            config = self.settings("telescope-short")
            taught = cast(RL2Config, config.agent)
            agent = replace(taught, network=replace(taught.network, recurrent=False), teacher=None)
            steps = self.steps or BLIND_STEPS
            return Training(BLIND, replace(config, steps=steps, hide_history=True, agent=agent), "rl2", seeds=1)
        if kind.startswith("depth-"):
            config = self.settings("telescope-depth", kind.removeprefix("depth-"))
            return Training(f"{KINDS[kind]}, variant depth", config)
        return Training(KINDS[kind], self.settings("telescope-short", kind))

    def sections(self, runs: dict[str, Training]) -> Iterator[list[str]]:
        for name in ("short", "depth"):
            chosen = {kind: runs[kind] for kind in self.kinds if kind.startswith("depth") == (name == "depth")}
            for split in self.splits if chosen else ():
                evaluation = self._evaluate(chosen, split)
                evaluation.save(self.folder / name / f"evaluation-{split}.json")
                path = self.folder / name / f"nights-{split}.png"
                drawn(lambda e=evaluation, path=path: save_figure(nightly_figure(e), path))
                yield [f"## {name}, split {split}", "", nightly_table(evaluation)]

    def _evaluate(self, runs: Trainings, split: str) -> Evaluation:
        config: TrainConfig = next(iter(runs.values())).config
        agents = final_policies({kind: replace(group, title=KINDS[kind]) for kind, group in runs.items()})
        trials = config.make_env(num_envs=1)
        setup = cast(TargetSelectionVectorEnv, trials.innermost).setup
        policies = {**informed_policies(setup), **agents}
        evaluation = self.compare(config, policies, split, shots=tuple(range(1, trials.episodes + 1)))
        return replace(evaluation, rows=evaluation.rows[:-1])  # the oracle has been played, night by night


def nightly(evaluation: Evaluation, row: Row, low: str = RANDOM) -> tuple[list[Interval], Interval]:
    """Scores of each night and of all, (J - J_low) / (J_oracle - J_low), as ratios of means over the same nights.

    Args:
        evaluation: with rows of "random", of the "task oracle" and of the best fixed rule.
        row: whose scores.
        low: who scores 0: "random", or the best fixed rule for the adaptation score.
    """
    floor, oracle = evaluation.row(low).values.mean(axis=0), evaluation.row(ORACLE).values.mean(axis=0)
    nights = [ratio_interval(row.values[:, :, k], floor[:, k], oracle[:, k]) for k in range(row.values.shape[2])]
    return nights, ratio_interval(row.values.mean(axis=2), floor.mean(axis=1), oracle.mean(axis=1))


def nightly_table(evaluation: Evaluation) -> str:
    """A Markdown table: score of each night and of all nights, then the adaptation score, with 95 % intervals."""
    nights = [f"night {k}" for k in evaluation.shots]
    rows: list[list[str]] = []
    for row in evaluation.rows:
        each, whole = nightly(evaluation, row)
        gained = nightly(evaluation, row, BEST_FIXED)[1]
        cells = [f"{i.estimate:.2f}" for i in each]
        rows.append([row.label, *cells, *_two_cells(whole), *_two_cells(gained)])
    head = ["policy", *nights, "all nights", "95 % interval", "adaptation", "95 % interval"]
    note = (
        f"{evaluation.n_tasks} tasks; 0 is random play and 1 is the task oracle on the same nights. In the adaptation "
        "score 0 is the best fixed rule."
    )
    return "\n".join([note, "", *table(head, rows, text=(0, len(nights) + 2, len(nights) + 4))])


def _two_cells(interval: Interval) -> list[str]:
    return [f"{interval.estimate:.3f}", f"[{interval.low:.3f}, {interval.high:.3f}]"]


def nightly_figure(evaluation: Evaluation) -> Figure:
    """Score night by night of every policy, with the agents' 95 % intervals."""
    figure = new_figure(8.0, 4.4)
    axes: Any = figure.add_subplot()
    rows = sorted(evaluation.rows, key=lambda row: -float(row.values[:, :, -1].mean()))
    agents = [row.name for row in rows if row.name in KINDS.values()]
    others = [row.name for row in rows if row.name not in KINDS.values()]
    for row in rows:
        each, _ = nightly(evaluation, row)
        y, is_agent = [i.estimate for i in each], row.name in agents
        place = (agents if is_agent else others).index(row.name)
        # What learns stands out; the others differ by their marks.
        look = (
            {"color": COLOURS[place], "lw": 2.2}
            if is_agent
            else {"color": "#999999", "lw": 0.9, "marker": MARKS[place % len(MARKS)]}
        )
        axes.plot(evaluation.shots, y, label=row.name, ms=4, **look)
        if is_agent:
            axes.fill_between(
                evaluation.shots, [i.low for i in each], [i.high for i in each], color=COLOURS[place], alpha=0.15, lw=0
            )
    axes.set_xlabel("night")
    axes.set_ylabel("score (0: random, 1: task oracle)")
    axes.set_xticks(evaluation.shots)
    axes.set_title(f"Target selection, {evaluation.split}: {evaluation.n_tasks} unseen tasks", fontsize=10)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
