"""Agents that learn to learn. Importing this package imports no torch; using an agent does (`metaenv[agents]`)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaenv.agents.pearl import PEARL, PEARLConfig
    from metaenv.agents.rl2 import RL2, RL2Config

__all__ = ["PEARL", "RL2", "PEARLConfig", "RL2Config"]

_MODULES = {
    "PEARL": "metaenv.agents.pearl",
    "PEARLConfig": "metaenv.agents.pearl",
    "RL2": "metaenv.agents.rl2",
    "RL2Config": "metaenv.agents.rl2",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
