"""Agents that learn to learn. Importing this package imports no torch; using an agent does (`metaenv[agents]`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metaenv.lazy import lazy_exports

if TYPE_CHECKING:
    from metaenv.agents.pearl import PEARL, PEARLConfig
    from metaenv.agents.rl2 import RL2, RL2Config

__all__ = ["PEARL", "RL2", "PEARLConfig", "RL2Config"]

__getattr__, __dir__ = lazy_exports(
    __name__, {"metaenv.agents.pearl": ["PEARL", "PEARLConfig"], "metaenv.agents.rl2": ["RL2", "RL2Config"]}
)
