"""The tabular MDPs' baselines, seated at the same table as agents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.classic.mdp.baselines import ALGORITHMS, MDPPolicy
from metaenv.classic.mdp.env import TabularMDPVectorEnv
from metaenv.policies import Policy
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index
from metaenv.vector import Observations

FLAG = -2  # where a trial's observation tells that the previous step ended an episode; see TrialState


class MDPTrialPolicy:
    """A `metaenv.classic.mdp.baselines.MDPPolicy` on trials of TabularMDP.

    It sees what the trial shows, no more: states, the rewards paid, and where episodes end.

    Args:
        make: gives the policy for a number of episodes.
    """

    def __init__(self, make: Callable[[int], MDPPolicy]) -> None:
        self._make = make

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """New MDPs in every row.

        Raises:
            TypeError: trials of another environment.
        """
        inner = env.innermost
        if not isinstance(inner, TabularMDPVectorEnv):
            raise TypeError(f"expected trials of TabularMDP, got {type(inner).__name__}")
        self._n_states = inner.n_states
        self._policy = self._make(env.episodes)
        self._policy.start(env.num_envs, inner.n_states, inner.n_actions, inner.episode_length, rng)
        self._before: tuple[Index, Index] | None = None  # state and action of the step before

    def act(self, observation: Observations) -> NDArray[Any]:
        """The actions to play. Episodes begin and end in all rows at once, as all have the same length."""
        state = observation[:, : self._n_states].argmax(axis=1)
        if self._before is None or observation[0, FLAG]:
            self._policy.begin()
        else:
            self._policy.move(*self._before, state)
        action = self._policy.act(state)
        self._before = state, action
        return action

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """What the actions paid."""
        assert self._before is not None
        # What was played may be another's choice: a teacher watches its pupil.
        self._before = self._before[0], action
        self._policy.observe(self._before[0], action, reward)


def baselines() -> dict[str, Policy]:
    """The columns of Table 2 of the RL² paper but random, and the strongest two planning again before every step."""
    return {name: MDPTrialPolicy(make) for name, make in ALGORITHMS.items() if name != "random"}
