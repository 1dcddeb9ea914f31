"""Tables 1 and 2 of the RL² paper as printed: mean total reward of 1,000 random instances, without intervals.

Yan Duan, John Schulman, Xi Chen, Peter Bartlett, Ilya Sutskever, Pieter Abbeel,
"RL²: Fast Reinforcement Learning via Slow Reinforcement Learning", 2016, https://arxiv.org/abs/1611.02779v2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

INSTANCES = 1000
"""Random bandits or MDPs that each of the paper's numbers averages (sections 3.1 and 3.2)."""

BanditCell = Literal["10-5", "10-10", "10-50", "100-5", "100-10", "100-50", "500-5", "500-10", "500-50"]
MDPCell = Literal["10", "25", "50", "75", "100"]


@dataclass(frozen=True)
class PaperTable:
    """One table of the paper.

    Attributes:
        title: what it shows.
        preset: name of the settings (`metaenv.experiments.settings`) for a row, with ``{}`` for the row's name.
        policies: the paper's columns but the last, which is RL², and the policy of ours that stands for each.
        rows: the paper's numbers by row, in the order of the columns; RL² last.
        ours: columns that the paper does not have, and our policies for them.
    """

    title: str
    preset: str
    policies: Mapping[str, str]
    rows: Mapping[str, tuple[float, ...]]
    ours: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_policies(self) -> Mapping[str, str]:
        """Policies by column, of the paper's columns and of ours."""
        return {**self.policies, **self.ours}

    @property
    def columns(self) -> tuple[str, ...]:
        """The paper's columns, RL² last."""
        return (*self.policies, "RL²")


BANDITS = PaperTable(
    "Table 1: Bernoulli bandits, n pulls of k arms",
    "bandit-{}",
    MappingProxyType(
        {
            "Random": "random",
            "Gittins": "Gittins index",
            "TS": "Thompson",
            "OTS": "OTS (vote-30)",
            "UCB1": "UCB1",
            "ε-Greedy": "epsilon-greedy",
            "Greedy": "greedy",
        }
    ),
    MappingProxyType(
        {
            "10-5": (5.0, 6.6, 5.7, 6.5, 6.7, 6.6, 6.6, 6.7),
            "10-10": (5.0, 6.6, 5.5, 6.2, 6.7, 6.6, 6.6, 6.7),
            "10-50": (5.1, 6.5, 5.2, 5.5, 6.6, 6.5, 6.5, 6.8),
            "100-5": (49.9, 78.3, 74.7, 77.9, 78.0, 75.4, 74.8, 78.7),
            "100-10": (49.9, 82.8, 76.7, 81.4, 82.4, 77.4, 77.1, 83.5),
            "100-50": (49.8, 85.2, 64.5, 67.7, 84.3, 78.3, 78.0, 84.9),
            "500-5": (249.8, 405.8, 402.0, 406.7, 405.8, 388.2, 380.6, 401.6),
            "500-10": (249.0, 437.8, 429.5, 438.9, 437.1, 408.0, 395.0, 432.5),
            "500-50": (249.6, 463.7, 427.2, 437.6, 457.6, 413.6, 402.8, 438.9),
        }
    ),
)

MDPS = PaperTable(
    "Table 2: random tabular MDPs, n episodes of 10 steps, 10 states, 5 actions",
    "mdp-{}",
    MappingProxyType(
        {
            "Random": "random",
            "PSRL": "PSRL",
            "OPSRL": "OPSRL",
            "UCRL2": "UCRL2",
            "BEB": "BEB",
            "ε-Greedy": "epsilon-greedy",
            "Greedy": "greedy",
        }
    ),
    MappingProxyType(
        {
            "10": (100.1, 138.1, 144.1, 146.6, 150.2, 132.8, 134.8, 156.2),
            "25": (250.2, 408.8, 425.2, 424.1, 427.8, 377.3, 368.8, 445.7),
            "50": (499.7, 904.4, 930.7, 918.9, 917.8, 823.3, 769.3, 936.1),
            "75": (749.9, 1417.1, 1449.2, 1427.6, 1422.6, 1293.9, 1172.9, 1428.8),
            "100": (999.4, 1939.5, 1973.9, 1942.1, 1935.1, 1778.2, 1578.5, 1913.7),
        }
    ),
    MappingProxyType({"BEB, every step": "BEB (every step)", "Greedy, every step": "greedy (every step)"}),
)
