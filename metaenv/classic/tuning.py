"""Settings of baselines that were tuned for several lengths of a trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Setting = TypeVar("Setting", int, float)


def tuned(setting: Setting | Mapping[int, Setting], n_episodes: int) -> Setting:
    """The setting itself; of a table by numbers of episodes, the one tuned for the number nearest to ``n_episodes``."""
    if not isinstance(setting, Mapping):
        return setting
    return setting[min(setting, key=lambda n: abs(n - n_episodes))]
