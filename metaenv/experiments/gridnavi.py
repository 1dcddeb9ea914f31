"""RL² and PEARL on VariBAD's grid, beside the exact values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from metaenv.baselines import RANDOM
from metaenv.classic.gridnavi.env import PROBLEM
from metaenv.classic.gridnavi.exact import (
    OFF_GOAL,
    ON_GOAL,
    bayes_optimal_plan,
    best_blind_search,
    known_goal_returns,
    random_returns,
)
from metaenv.experiments.comparison import mean_cells, play_repeatedly
from metaenv.experiments.evaluate import save
from metaenv.experiments.runner import AgentExperiment, final_policies
from metaenv.experiments.trainings import PEARL_TITLE, RL2_TITLE, Training
from metaenv.markdown import table
from metaenv.typing import Floats

BLIND = "PPO, context-blind"
BLIND_SHARE = 3  # the control has a third of RL²'s steps (chosen: it has less to learn)


@dataclass(frozen=True)
class GridNavi(AgentExperiment):
    """RL² and PEARL on GridNavi, beside the exact values: four episodes towards each of all 21 goals.

    The distribution has no other goals, so that nothing is held out.
    """

    name = "gridnavi"
    title = "GridNavi: a hidden goal on 5 by 5 cells, four episodes"

    repetitions: int = 50
    """Number of trials of each goal."""
    blind: bool = True
    """Whether to train a PPO, too, that sees neither rewards nor its past actions."""

    def trainings(self) -> dict[str, Training]:
        rl2 = self.settings("GridNavi")
        found = {"rl2": Training(RL2_TITLE, rl2), "pearl": Training(PEARL_TITLE, self.settings("GridNavi", "pearl"))}
        if self.blind:
            steps = max(1, rl2.steps // BLIND_SHARE)
            found["blind"] = Training(BLIND, replace(rl2, hide_history=True, steps=steps), "rl2")
        return found

    def sections(self, runs: dict[str, Training]) -> Iterator[list[str]]:
        played = play_repeatedly(runs["rl2"].config, final_policies(runs), self.tasks, self.repetitions)
        evaluation = played.evaluation(range(1, played.episodes + 1), runs)
        heading = f"{evaluation.env_id}: {evaluation.n_tasks} goals, {played.episodes} episodes to each"
        save(evaluation, self.folder, heading, "episode")
        totals = {n: np.concatenate([s, s.sum(axis=2, keepdims=True)], axis=2) for n, s in played.over_draws().items()}
        exact = exact_returns() if played.episodes == PROBLEM.episodes and self.tasks is None else {}
        rows = [[name, *mean_cells(values, 4), _exact_total(exact, name)] for name, values in totals.items()]
        rows += [_exact_row(name, values) for name, values in exact.items() if name not in totals]
        self.draw_beliefs(runs["pearl"])
        yield [
            f"Return of each episode, mean over {len(played.test)} goals. The distribution has 21 goals and no others: "
            f"nothing is held out, and the 95 % intervals are over {len(runs['rl2'].folders)} training seeds and "
            f"{self.repetitions} repetitions, not over goals. Final policies play their most likely actions. VariBAD "
            "(Zintgraf et al. 2020) shows its results as figures only.",
            "",
            *table(["policy", *(f"episode {k + 1}" for k in range(played.episodes)), "total", "exact total"], rows),
        ]
        each = {r.title: ", ".join(f"{x:.2f}" for x in totals[r.title][:, :, -1].mean(axis=1)) for r in runs.values()}
        yield ["Total of each training seed:", "", *[f"- {name}: {text}" for name, text in each.items()]]


def exact_returns() -> dict[str, Floats]:
    """Expected returns of the episodes over all goals, where they are known exactly."""
    # Without rewards every place in reach of the goals is as good as another: it is the goal with the same chance.
    on_goal = (PROBLEM.steps - PROBLEM.distances[0].min() + 1) / len(PROBLEM.goals)
    each = {
        RANDOM: random_returns(PROBLEM).mean(),
        BLIND: PROBLEM.steps * OFF_GOAL + on_goal * (ON_GOAL - OFF_GOAL),
        "best blind search": best_blind_search(PROBLEM).value(),
        "known goal": known_goal_returns(PROBLEM).mean(),
    }
    exact = {name: np.full(PROBLEM.episodes, value) for name, value in each.items()}
    return {**exact, "Bayes-optimal": bayes_optimal_plan(PROBLEM).episode_returns()}


def _exact_total(exact: Mapping[str, Floats], name: str) -> str:
    if name not in exact:
        return ""
    return f"{'at most ' * (name == BLIND)}{exact[name].sum():.4f}"


def _exact_row(name: str, values: Floats) -> list[str]:
    label = f"{name}, at most" if name == BLIND else name
    return [label, *(f"{v:.4f}" for v in values), "", f"{values.sum():.4f}"]
