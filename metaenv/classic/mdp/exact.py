"""Exact values of finite-horizon Markov decision processes, for many MDPs at once.

Arrays carry a leading axis ``n``, one row an MDP: rewards (n, S, A) are mean rewards, transitions (n, S, A, S)
probabilities of the next state. Values are undiscounted sums over the ``horizon`` steps of one episode.

Martin Puterman, "Markov Decision Processes", Wiley, 1994, chapter 4 (backward induction).
"""

from __future__ import annotations

import numpy as np

from metaenv.typing import Floats


def optimal_q(rewards: Floats, transitions: Floats, horizon: int) -> Floats:
    """Optimal action values by backward induction.

    Args:
        rewards: (n, S, A) mean rewards.
        transitions: (n, S, A, S) probabilities of the next state.
        horizon: steps of an episode, at least 1.

    Returns:
        (horizon, n, S, A): what step t and those after it earn in expectation, when the action is played in
        step t and all later ones are optimal.

    Raises:
        ValueError: shapes that do not fit, or a horizon below 1.
    """
    check_model(rewards, transitions, horizon)
    q = np.empty((horizon, *rewards.shape))
    q[-1] = rewards
    for t in range(horizon - 2, -1, -1):
        np.add(rewards, expected_next(transitions, q[t + 1].max(axis=2)), out=q[t])
    return q


def optimal_value(rewards: Floats, transitions: Floats, horizon: int, start: int = 0) -> Floats:
    """(n,) the most that one episode from state ``start`` can earn in expectation; arguments as `optimal_q`."""
    return optimal_q(rewards, transitions, horizon)[0, :, start].max(axis=1)


def uniform_value(rewards: Floats, transitions: Floats, horizon: int, start: int = 0) -> Floats:
    """(n,) what one episode of uniformly random actions earns in expectation."""
    check_model(rewards, transitions, horizon)
    # Random actions make a Markov chain, ten times cheaper to follow than the MDP.
    mean, chain = rewards.mean(axis=2), transitions.mean(axis=2)
    value = mean
    for _ in range(horizon - 1):
        value = mean + np.matmul(chain, value[:, :, None])[:, :, 0]
    return value[:, start]


def expected_next(transitions: Floats, value: Floats) -> Floats:
    """(n, S, A) the expected value of the next state, from transitions (n, S, A, S) and values (n, S)."""
    n, s, a, _ = transitions.shape
    return np.matmul(transitions.reshape(n, s * a, s), value[:, :, None]).reshape(n, s, a)


def check_model(rewards: Floats, transitions: Floats, horizon: int) -> None:
    """Raise ValueError unless rewards (n, S, A) and transitions (n, S, A, S) fit and the horizon is at least 1."""
    if rewards.ndim != 3 or transitions.shape != (*rewards.shape, rewards.shape[1]):
        raise ValueError(
            f"expected rewards (n, S, A) and transitions (n, S, A, S), got {rewards.shape} and {transitions.shape}"
        )
    if horizon < 1:
        raise ValueError(f"expected horizon >= 1, got {horizon}; an episode has at least one step")
