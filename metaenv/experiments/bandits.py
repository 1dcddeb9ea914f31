"""Bernoulli bandits: 10 pulls of 5 arms by RL², Table 1 of its paper, and PEARL on 100 pulls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from metaenv.classic.bandit.exact import bayes_optimal_value
from metaenv.experiments.comparison import RESAMPLES, cell, mean_interval, play_repeatedly
from metaenv.experiments.evaluate import save
from metaenv.experiments.paper_numbers import BANDITS, BanditCell
from metaenv.experiments.paper_table import PaperExperiment
from metaenv.experiments.runner import AgentExperiment, Policies, final_policies
from metaenv.experiments.trainings import PEARL_TITLE, RL2_TITLE, Training, finished
from metaenv.markdown import table
from metaenv.registry import parsed
from metaenv.runs.training import TrainConfig
from metaenv.stats import paired_difference
from metaenv.tasks import FrozenTasks
from metaenv.typing import Floats

EXACT_PULLS = 10  # longest bandits that are solved exactly
SHOTS = (1, 2, 5, 10, 20, 50, 100)  # pulls at which PEARL's curves are drawn (chosen)


@dataclass(frozen=True)
class BanditRL2(AgentExperiment):
    """RL² on 10 pulls of a 5-armed bandit (Duan et al. 2016, Table 1): final policies, 10,000 frozen bandits."""

    name = "bandit-rl2"
    title = "10 pulls of a 5-armed bandit: total reward"

    def trainings(self) -> dict[str, Training]:
        return {"rl2": Training(RL2_TITLE, self.settings("bandit-10-5"))}

    def sections(self, runs: dict[str, Training]) -> Iterator[list[str]]:
        evaluation = self.compare(runs["rl2"].config, final_policies(runs), "test")
        save(evaluation, self.folder)
        rows: list[list[str]] = []
        for row in evaluation.rows:
            if row.trial_return is not None:
                estimate, low, high = row.trial_return
                rows.append([row.name, f"{estimate:.3f}", f"[{low:.3f}, {high:.3f}]"])
        rows.append(["exact Bayes optimum (dynamic programming)", f"{bayes_optimal_value(10, 5):.4f}", "exact"])
        yield [
            f"{evaluation.n_tasks:,} frozen bandits, final policies, {len(runs['rl2'].folders)} training seeds.",
            "",
            *table(["policy", "total reward", "95 % interval"], rows, text=(0, 2)),
        ]


@dataclass(frozen=True)
class RL2Bandits(PaperExperiment):
    """Table 1 of the RL² paper: Bernoulli bandits, n pulls of k arms; every classical column, and RL² trained here.

    On one core the six rows of 10 and 100 pulls take about an hour; a row of 500 pulls takes 0.6 (5 arms) to 1 h (50
    arms) to train. All classical columns of all rows take 20 minutes, most of them the 30 votes of OTS.
    """

    name = "rl2-bandits"
    title = f"RL² paper, {BANDITS.title}"
    paper = BANDITS
    default_rows = tuple(row for row in BANDITS.rows if not row.startswith("500"))
    extra = "exact optimum"

    cells: tuple[BanditCell, ...] | None = None
    train: tuple[BanditCell, ...] | None = None

    def bound(self, config: TrainConfig, test: FrozenTasks) -> float | None:
        pulls = config.episodes or 0
        return bayes_optimal_value(pulls, parsed(config.settings)["n_arms"]) if pulls <= EXACT_PULLS else None


@dataclass(frozen=True)
class PEARLBandit(AgentExperiment):
    """PEARL with discrete actions on 100 pulls of a 5-armed bandit, beside baselines on the same bandits.

    Complete runs of `metaenv reproduce rl2-bandits` in the folder beside this one are shown, too.
    """

    name = "pearl-bandit"
    title = "PEARL on a 5-armed bandit"

    seeds: int = 1
    tasks: int | None = 2000
    rl2: bool = False
    """Whether to train RL², too, which takes an hour."""

    def trainings(self) -> dict[str, Training]:
        found = {"pearl": Training(PEARL_TITLE, self.settings("bandit-100-5", "pearl"))}
        if self.rl2:
            found["rl2"] = Training(RL2_TITLE, self.settings("bandit-100-5"))
        return found

    def beside(self) -> dict[str, Training | None]:
        return {} if self.rl2 else {"rl2": finished(RL2_TITLE, self.folder.parent / "rl2-bandits" / "100-5")}

    def sections(self, runs: dict[str, Training]) -> Iterator[list[str]]:
        # RL²'s actions are drawn from its policy, as in the table of its own paper.
        agents: Policies = {r.title: r.policies(deterministic=key == "pearl") for key, r in runs.items()}
        played = play_repeatedly(runs["pearl"].config, agents, self.tasks, 1)
        save(played.evaluation([k for k in SHOTS if k <= played.episodes], runs), self.folder)
        self.draw_beliefs(runs["pearl"])
        totals = played.total_readings()
        rows = [[name, cell(mean_interval(values)), _lead(totals, name)] for name, values in totals.items()]
        # All arms have the same distribution: what is not learned within the trial cannot help, so 1/2 a pull.
        rows.append(["any context-blind policy", f"{played.episodes / 2:g}, exactly", ""])
        yield [
            f"Total reward of {played.episodes} pulls, mean over {len(played.test):,} frozen test bandits, the same "
            "noise for all; 95 % intervals over bandits, and over seeds where there are several. The last column is "
            "paired, bandit by bandit.",
            "",
            *table(["policy", "total reward", "PEARL minus this"], rows),
        ]


def _lead(totals: dict[str, Floats], name: str) -> str:
    if name == PEARL_TITLE:
        return ""
    rng = np.random.default_rng(0)
    return cell(paired_difference(totals[PEARL_TITLE], totals[name], rng=rng, n_resamples=RESAMPLES))
