"""The bandits' baselines, seated at the same table as agents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.classic.bandit.baselines import (
    TUNED_C,
    TUNED_EPSILON,
    UCB1,
    BanditPolicy,
    EpsilonGreedy,
    GittinsIndex,
    Greedy,
    OptimisticThompson,
    ThompsonSampling,
)
from metaenv.policies import Policy
from metaenv.trial import VectorTrial
from metaenv.typing import Floats
from metaenv.vector import Observations


class BanditTrialPolicy:
    """A `metaenv.classic.bandit.baselines.BanditPolicy` on trials of BernoulliBandit.

    Args:
        make: gives the policy for a number of pulls.
    """

    def __init__(self, make: Callable[[int], BanditPolicy]) -> None:
        self._make = make

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """New bandits in every row."""
        self._policy = self._make(env.episodes)
        self._policy.start(env.num_envs, int(env.single_action_space.n), env.episodes, rng)  # type: ignore[attr-defined]

    def act(self, observation: Observations) -> NDArray[Any]:
        """The arms to pull."""
        return self._policy.act()

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """What the arms paid."""
        self._policy.observe(action, reward.astype(np.int64))


def tuned(table: dict[int, float] | Any, n_pulls: int) -> float:
    """The setting tuned for the number of pulls nearest to ``n_pulls``."""
    return table[min(table, key=lambda n: abs(n - n_pulls))]


def baselines() -> dict[str, Policy]:
    """The columns of Table 1 of the RL² paper, and the finite-horizon Gittins index."""
    return {
        "greedy": BanditTrialPolicy(lambda n: Greedy()),
        "epsilon-greedy": BanditTrialPolicy(lambda n: EpsilonGreedy(tuned(TUNED_EPSILON, n))),
        "UCB1": BanditTrialPolicy(lambda n: UCB1(tuned(TUNED_C, n))),
        "Thompson": BanditTrialPolicy(lambda n: ThompsonSampling()),
        "OTS (vote-30)": BanditTrialPolicy(lambda n: OptimisticThompson(votes=30)),
        "Gittins index": BanditTrialPolicy(lambda n: GittinsIndex(ties="first")),
    }
