"""RL² and PEARL on molecule objectives of variant "windows-3", beside what knows more and what knows less."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from metaenv.evaluation import Evaluation, difference
from metaenv.experiments.evaluate import save
from metaenv.experiments.runner import AgentExperiment, final_policies
from metaenv.experiments.trainings import PEARL_TITLE, RL2_TITLE, TAUGHT, TAUGHT_TITLE, Training
from metaenv.markdown import interval_cell

CONDITIONED, BLIND = "PPO, told the task", "PPO, context-blind"
SPLITS = ("test", "ood-combination")
MOLECULES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Molecules(AgentExperiment):
    """Molecule design, variant "windows-3": score of the 1st to 5th molecule for objectives never trained on."""

    name = "molecules"
    title = "Molecules for objectives never seen"

    controls: bool = True
    """Whether to train two controls, too: a PPO that sees nothing of the trial, and one that is told the task."""
    pearl: bool = True
    """Whether to train PEARL, too."""
    taught: bool = False
    """Whether to train RL² with help, too: the Bayes adapter teaches it, and it predicts the task in training."""

    def trainings(self) -> dict[str, Training]:
        config = self.settings("molecules-windows")
        found = {"rl2": Training(RL2_TITLE, config)}
        if self.taught:
            found["rl2" + TAUGHT] = Training(TAUGHT_TITLE, self.settings("molecules-windows" + TAUGHT))
        if self.pearl:
            found["pearl"] = Training(PEARL_TITLE, self.settings("molecules-windows", "pearl"))
        if self.controls:
            found["blind"] = Training(BLIND, replace(config, hide_history=True), "rl2")
            found["conditioned"] = Training(CONDITIONED, replace(config, observe_task=True), "rl2")
        return found

    def sections(self, runs: dict[str, Training]) -> Iterator[list[str]]:
        for split in SPLITS:
            evaluation = self.compare(runs["rl2"].config, final_policies(runs), split, shots=MOLECULES)
            save(evaluation, self.folder)
            agents = [t.title for t in runs.values() if t.control_of is None]
            yield _section(evaluation, agents, self.controls)


def _section(evaluation: Evaluation, agents: list[str], controls: bool) -> list[str]:
    lines = [
        f"## Split {evaluation.split}",
        "",
        f"{evaluation.n_tasks} objectives, each certified by a real molecule of score 1. Mean score of the k-th "
        "molecule of a trial, as it is: 0 is a score of 0, not random play. 95 % intervals are over objectives and "
        "training seeds. Final policies.",
        "",
        evaluation.table("fraction"),
        "",
        "Whole trials:",
        "",
        evaluation.measures_table(),
        "",
    ]
    last = len(evaluation.shots) - 1
    for name in agents if controls else []:
        lead = difference(evaluation.row(name), evaluation.row(BLIND), last)
        lines.append(
            f"- {name} minus the context-blind PPO at molecule {evaluation.shots[last]}, paired by objective: "
            f"{interval_cell(lead, sign=True)}"
        )
    each = evaluation.row(RL2_TITLE).to_dict()["mean_score_of_each_seed"]
    lines.append(f"- {RL2_TITLE}, seed by seed: " + "; ".join("/".join(f"{x:.3f}" for x in seed) for seed in each))
    return lines
