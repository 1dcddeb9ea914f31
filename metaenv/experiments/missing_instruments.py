"""RL² on chemical systems in laboratories that lack instruments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from metaenv.evaluation import Evaluation, difference
from metaenv.experiments.evaluate import compare, save
from metaenv.experiments.runner import AgentExperiment, final_policies
from metaenv.experiments.trainings import Training
from metaenv.materials.system.baselines import baselines

LABORATORIES = ("none", "balance", "SEM", "XRD", "SEM,balance", "XRD,SEM,balance")
"""What is missing in each."""
SHOTS = (1, 3, 6, 9, 12)
DRAWN, ALL = "RL², instruments drawn in training", "RL², all instruments in training"


@dataclass(frozen=True)
class MissingInstruments(AgentExperiment):
    """RL² on unseen chemical systems in laboratories without XRD, SEM or balance.

    One agent was trained in laboratories whose instruments were drawn, the other where there are all.
    """

    name = "missing-instruments"
    title = "RL² on chemical systems in laboratories that lack instruments"

    particles: bool = False
    """Whether to run particle Bayes, too, which takes ten minutes for each laboratory and 200 systems."""

    def trainings(self) -> dict[str, Training]:
        return {
            "drawn": Training(DRAWN, self.settings("materials-missing")),
            "all": Training(ALL, self.settings("MaterialsSynthesis")),
        }

    def sections(self, runs: dict[str, Training]) -> Iterator[list[str]]:
        yield [
            "(score - random) / (oracle - random) of the k-th experiment, as a ratio of means, with 95 % intervals "
            "over systems, and over seeds where there are several. The reading is always there."
        ]
        without = () if self.particles else ("particle Bayes",)
        for missing in LABORATORIES:
            config = replace(runs["drawn"].config, settings={"missing": missing})
            evaluation = compare(
                config, dict(final_policies(runs)), "test", self.tasks, 0, False, config.settings, shots=SHOTS,
                without=without,
            )  # fmt: skip
            save(evaluation, self.folder / missing.replace(",", "-"))
            yield [
                f"## Missing: {missing.replace(',', ', ')}",
                "",
                evaluation.table("normalised"),
                "",
                *_leads(evaluation),
            ]


def _leads(evaluation: Evaluation) -> list[str]:
    """Differences in the last experiment to what does not adapt and to who was trained with all instruments."""
    lines = [f"After {SHOTS[-1]} experiments, paired by system, in units of the utility, {DRAWN} less", ""]
    for other in (*baselines(), ALL):
        if other in {row.name for row in evaluation.rows}:
            lead = difference(evaluation.row(DRAWN), evaluation.row(other), len(SHOTS) - 1)
            lines.append(f"- {other}: {lead.estimate:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}]")
    return lines
