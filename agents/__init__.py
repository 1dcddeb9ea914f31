"""Agents that learn to learn. Importing this package imports no torch; using an agent does (`metaenv[agents]`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metaenv.imports import lazy_exports

if TYPE_CHECKING:
    from metaenv.agents.config import TaskPrediction, Teacher
    from metaenv.agents.pearl import PEARL
    from metaenv.agents.pearl_config import PEARLConfig
    from metaenv.agents.rl2 import RL2
    from metaenv.agents.rl2_config import Network, RL2Config, VariationalBelief

__all__ = ["PEARL", "RL2", "Network", "PEARLConfig", "RL2Config", "TaskPrediction", "Teacher", "VariationalBelief"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "metaenv.agents.config": ["TaskPrediction", "Teacher"],
        "metaenv.agents.pearl": ["PEARL"],
        "metaenv.agents.pearl_config": ["PEARLConfig"],
        "metaenv.agents.rl2": ["RL2"],
        "metaenv.agents.rl2_config": ["Network", "RL2Config", "VariationalBelief"],
    },
)
