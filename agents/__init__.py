"""Agents that learn to learn. Importing this package imports no torch; using an agent does (`metaenv[agents]`)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaenv.agents.config import TaskPrediction, Teacher
    from metaenv.agents.pearl import PEARL
    from metaenv.agents.pearl_config import PEARLConfig
    from metaenv.agents.rl2 import RL2
    from metaenv.agents.rl2_config import Network, RL2Config

__all__ = ["PEARL", "RL2", "Network", "PEARLConfig", "RL2Config", "TaskPrediction", "Teacher"]

_MODULES = {
    "Network": "metaenv.agents.rl2_config",
    "PEARL": "metaenv.agents.pearl",
    "PEARLConfig": "metaenv.agents.pearl_config",
    "RL2": "metaenv.agents.rl2",
    "RL2Config": "metaenv.agents.rl2_config",
    "TaskPrediction": "metaenv.agents.config",
    "Teacher": "metaenv.agents.config",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
