"""Random tabular MDPs: Table 2 of the RL² paper."""

from __future__ import annotations

from dataclasses import dataclass

from metaenv.experiments.paper_numbers import MDPS, MDPCell
from metaenv.experiments.paper_table import PaperExperiment
from metaenv.runs.training import TrainConfig
from metaenv.tasks import FrozenTasks


@dataclass(frozen=True)
class RL2MDPs(PaperExperiment):
    """Table 2 of the RL² paper: n episodes of random tabular MDPs; every classical column, and RL² trained here."""

    name = "rl2-mdps"
    title = f"RL² paper, {MDPS.title}"
    paper = MDPS
    default_rows = ("10", "25")
    extra = "task oracle"

    cells: tuple[MDPCell, ...] | None = None
    train: tuple[MDPCell, ...] | None = None

    def bound(self, config: TrainConfig, test: FrozenTasks) -> float | None:
        """Expected total reward of the optimal policy of each MDP, which a policy would have to know beforehand."""
        return float(test.reference.oracle.mean()) * (config.episodes or 0)
