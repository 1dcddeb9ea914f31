"""The bandits' classical players, seated at the same table as agents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.arrays import Floats
from metaenv.classic.baselines import (
    TUNED_C,
    TUNED_EPSILON,
    UCB1,
    EpsilonGreedy,
    GittinsIndex,
    Greedy,
    OptimisticThompson,
    Player,
    ThompsonSampling,
)
from metaenv.players import TrialPlayer
from metaenv.trial import VectorTrial
from metaenv.vector import Observations


class BanditTrialPlayer:
    """A `metaenv.classic.baselines.Player` on trials of BernoulliBandit.

    Args:
        make: gives the player for a number of pulls.
    """

    def __init__(self, make: Callable[[int], Player]) -> None:
        self._make = make

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """New bandits in every row."""
        self._player = self._make(env.episodes)
        self._player.start(env.num_envs, int(env.single_action_space.n), env.episodes, rng)  # type: ignore[attr-defined]

    def act(self, observation: Observations) -> NDArray[Any]:
        """The arms to pull."""
        return self._player.act()

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """What the arms paid."""
        self._player.observe(action, reward.astype(np.int64))


def tuned(table: dict[int, float] | Any, n_pulls: int) -> float:
    """The setting tuned for the number of pulls nearest to ``n_pulls``."""
    return table[min(table, key=lambda n: abs(n - n_pulls))]


def players() -> dict[str, TrialPlayer]:
    """The columns of Table 1 of the RL² paper, and the finite-horizon Gittins index."""
    return {
        "greedy": BanditTrialPlayer(lambda n: Greedy()),
        "epsilon-greedy": BanditTrialPlayer(lambda n: EpsilonGreedy(tuned(TUNED_EPSILON, n))),
        "UCB1": BanditTrialPlayer(lambda n: UCB1(tuned(TUNED_C, n))),
        "Thompson": BanditTrialPlayer(lambda n: ThompsonSampling()),
        "OTS (vote-30)": BanditTrialPlayer(lambda n: OptimisticThompson(votes=30)),
        "Gittins index": BanditTrialPlayer(lambda n: GittinsIndex(ties="first")),
    }
