"""PEARL on the sparse point robot of its paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from metaenv.evaluation import Evaluation
from metaenv.experiments.comparison import cell, mean_cells, play_repeatedly
from metaenv.experiments.evaluate import save
from metaenv.experiments.runner import AgentExperiment, final_policies
from metaenv.experiments.trainings import PEARL_TITLE, Training
from metaenv.markdown import table

SUMMARY = (0, 1, 2, 5, 10, 19)  # trajectories that the short table shows


@dataclass(frozen=True)
class PointRobot(AgentExperiment):
    """PEARL on the sparse point robot of its paper: 20 trajectories to each of 20 goals never trained on."""

    name = "pearl-point-robot"
    title = "PEARL on the sparse point robot"

    repetitions: int = 10
    """Number of trials of each goal."""

    def trainings(self) -> dict[str, Training]:
        return {"pearl": Training(PEARL_TITLE, self.settings("SparsePointRobot", "pearl"))}

    def sections(self, runs: dict[str, Training]) -> Iterator[list[str]]:
        played = play_repeatedly(runs["pearl"].config, final_policies(runs), self.tasks, self.repetitions)
        shown = [k for k in SUMMARY if k < played.episodes]
        rows = [
            [name, *mean_cells(np.concatenate([s[:, :, shown], s.mean(axis=2, keepdims=True)], axis=2))]
            for name, s in played.over_tasks().items()
        ]
        oracle = played.test.reference.oracle
        evaluation = played.evaluation(range(1, played.episodes + 1), runs)
        save(evaluation, self.folder)
        self.draw_beliefs(runs["pearl"])
        rows.append(["known goal, exact", *[f"{oracle.mean():.3f}"] * (len(shown) + 1)])
        yield [
            f"Sparse return of a trajectory of {played.steps} steps, on {len(oracle)} test goals, {self.repetitions} "
            f"trials of each, final policies; mean [95 % interval over goals and {len(runs['pearl'].folders)} training "
            f"seeds]. The oracle walks straight to the goal and stays: {oracle.mean():.2f}, exactly, on these goals. "
            "Nothing is trained on them. The paper shows its result as a figure only and prints no numbers, so there "
            "are none here to compare with.",
            "",
            *table(["trajectory", *map(str, shown), "mean of all"], rows),
        ]
        yield [
            "As fractions of the oracle's return (ratio of means), trajectory by trajectory:",
            "",
            *by_trajectory(evaluation),
        ]


def by_trajectory(evaluation: Evaluation) -> list[str]:
    """A table of fractions with the policies as columns; trajectories are counted from 0, as in the paper."""
    policies = [row for row in evaluation.rows if row.name != "task oracle"]
    rows = [[str(k - 1), *(cell(row.fraction[i]) for row in policies)] for i, k in enumerate(evaluation.shots)]
    return table(["trajectory", *(row.label for row in policies)], rows)
