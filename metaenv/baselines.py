"""The classical players of each family, by name, for comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaenv.players import RandomPlayer, TrialPlayer

RANDOM = "random"


def classical_players(family: str, settings: Mapping[str, Any]) -> tuple[dict[str, TrialPlayer], str]:
    """What to compare an agent with.

    Args:
        family: the ``family`` of the environment's tasks.
        settings: of the environment.

    Returns:
        Players by name, random first, and the name of the best fixed rule.
    """
    if family == "SolidState" and "max_steps" not in settings:
        from metaenv.materials.baselines import players

        return {RANDOM: RandomPlayer(), **players(settings.get("tier", "default"))}, "best fixed recipe"
    if family == "BernoulliBandit":
        from metaenv.classic.trial_players import players

        return {RANDOM: RandomPlayer(), **players()}, RANDOM
    return {RANDOM: RandomPlayer()}, RANDOM
