"""RL² and PEARL on chemical systems in laboratories that lack instruments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from metaenv.evaluation import Evaluation, difference
from metaenv.experiments.evaluate import save
from metaenv.experiments.runner import AgentExperiment, final_policies
from metaenv.experiments.trainings import PEARL_TITLE, RL2_TITLE, Training
from metaenv.materials.system.baselines import baselines

LABORATORIES = ("none", "balance", "SEM", "XRD", "SEM,balance", "XRD,SEM,balance")
"""What is missing in each."""
SHOTS = (1, 3, 6, 9, 12)
DRAWN, ALL = "instruments drawn in training", "all instruments in training"
TITLES = {"pearl": PEARL_TITLE, "rl2": RL2_TITLE}


@dataclass(frozen=True)
class MissingInstruments(AgentExperiment):
    """RL² and PEARL on unseen chemical systems in laboratories without XRD, SEM or balance.

    Each is trained twice: in laboratories whose instruments are drawn, and where there are all.
    """

    name = "missing-instruments"
    title = "Chemical systems in laboratories that lack instruments"

    agents: tuple[Literal["pearl", "rl2"], ...] = ("pearl", "rl2")
    """Which to train."""
    particles: bool = False
    """Whether to run particle Bayes, too, which takes ten minutes for each laboratory and 200 systems."""

    def trainings(self) -> dict[str, Training]:
        return {
            f"{agent}-{short}": Training(f"{TITLES[agent]}, {how}", self.settings(name, agent))
            for agent in self.agents
            for short, how, name in (("drawn", DRAWN, "materials-missing"), ("all", ALL, "MaterialsSynthesis"))
        }

    def sections(self, runs: dict[str, Training]) -> Iterator[list[str]]:
        yield [
            "(score - random) / (oracle - random) of the k-th experiment, as a ratio of means, with 95 % intervals "
            "over systems, and over seeds where there are several. The reading is always there."
        ]
        without = () if self.particles else ("particle Bayes",)
        for missing in LABORATORIES:
            config = replace(next(iter(runs.values())).config, settings={"missing": missing})
            evaluation = self.compare(config, final_policies(runs), "test", shots=SHOTS, without=without)
            save(evaluation, self.folder / missing.replace(",", "-"))
            leads = [line for agent in self.agents for line in ["", *_leads(evaluation, TITLES[agent])]]
            yield [f"## Missing: {missing.replace(',', ', ')}", "", evaluation.table("normalised"), *leads]


def _leads(evaluation: Evaluation, agent: str) -> list[str]:
    """Differences in the last experiment to what does not adapt and to who was trained with all instruments."""
    drawn = evaluation.row(f"{agent}, {DRAWN}")
    lines = [f"After {SHOTS[-1]} experiments, paired by system, in units of the utility, {drawn.name} less", ""]
    for other in evaluation.rows:
        if other.name in (*baselines(), f"{agent}, {ALL}"):
            lead = difference(drawn, other, len(SHOTS) - 1)
            lines.append(f"- {other.name}: {lead.estimate:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}]")
    return lines
