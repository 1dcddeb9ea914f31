"""Baselines for Bernoulli bandits: those of Table 1 of the RL² paper, and the exact ones it lacks.

Yan Duan, John Schulman, Xi Chen, Peter Bartlett, Ilya Sutskever, Pieter Abbeel,
"RL²: Fast Reinforcement Learning via Slow Reinforcement Learning", 2016, https://arxiv.org/abs/1611.02779
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.classic.bandit.env import BernoulliBanditVectorEnv
from metaenv.classic.bandit.exact import GittinsTable, gittins_table
from metaenv.classic.tuning import tuned
from metaenv.policies import Policy
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index
from metaenv.vector import Observations

TUNED_C: Mapping[int, float] = MappingProxyType({10: 0.1, 100: 0.2, 500: 0.2})
"""Best c of `UCB1` for each number of pulls, by a grid of 0.1 to 0.5 for k = 5, 10 and 50 arms alike."""

TUNED_EPSILON: Mapping[int, float] = MappingProxyType({10: 0.0, 100: 0.01, 500: 0.05})
"""Best epsilon of `EpsilonGreedy` for each number of pulls, by a grid of 0 to 0.1; below 500 pulls 0 is as good."""


class CountingPolicy(ABC):
    """Pulls the arm with the highest score, drawn at random among ties; remembers successes and failures.

    Attributes:
        successes: rewards of 1 seen, shape (n, n_arms).
        failures: rewards of 0 seen, shape (n, n_arms).
        horizon: pulls in the trial.
        pulls: pulls of each bandit so far.
        rng: the policy's own randomness.
    """

    successes: Index
    failures: Index
    horizon: int
    pulls: int
    rng: np.random.Generator

    @abstractmethod
    def scores(self) -> NDArray[np.floating]:
        """How much each arm is worth pulling now, shape (n, n_arms)."""

    def check(self, env: VectorTrial) -> None:
        """Raise ValueError unless ``env`` plays trials of BernoulliBandit."""
        if not isinstance(env.innermost, BernoulliBanditVectorEnv):
            raise ValueError(f"expected trials of BernoulliBandit, got {type(env.innermost).__name__}")

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Forget everything. Raises ValueError for trials of another environment."""
        self.check(env)
        shape = env.num_envs, int(env.single_action_space.n)  # type: ignore[attr-defined]
        self.successes, self.failures = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.horizon, self.pulls, self.rng = env.episodes, 0, rng

    def act(self, observation: Observations) -> NDArray[Any]:
        """The arms to pull. A bandit shows nothing: all that counts is what `observe` was told."""
        return random_argmax(self.scores(), self.rng)

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Learn what the arms paid. Raises ValueError for rewards other than 0 and 1; nothing is learned then."""
        if not ((reward == 0) | (reward == 1)).all():
            raise ValueError(f"expected rewards of 0 or 1, got {np.unique(reward)[:5]}; only Bernoulli arms are played")
        rows, gain = np.arange(len(reward)), reward.astype(np.int64)
        self.successes[rows, action] += gain
        self.failures[rows, action] += 1 - gain
        self.pulls += 1

    def posterior_mean(self) -> Floats:
        """Mean of Beta(1 + successes, 1 + failures), shape (n, n_arms)."""
        return (1 + self.successes) / (2 + self.successes + self.failures)

    def posterior_sample(self) -> Floats:
        """One draw from Beta(1 + successes, 1 + failures) for every arm, shape (n, n_arms)."""
        return self.rng.beta(1 + self.successes, 1 + self.failures)


class Greedy(CountingPolicy):
    """Pulls the arm with the highest posterior mean.

    The paper does not say how it breaks ties. At random, as here, it does better than in Table 1 for 100 pulls
    or more (n=100, k=5: 76.3 against 74.8).
    """

    def scores(self) -> NDArray[np.floating]:
        """Posterior means."""
        return self.posterior_mean()


class EpsilonGreedy(CountingPolicy):
    """Greedy, but a random arm with probability epsilon.

    Args:
        epsilon: probability of a random pull, in [0, 1], or a table of it by the number of pulls. The paper tunes it
            for every cell of Table 1.

    Raises:
        ValueError: `epsilon` is outside [0, 1].
    """

    def __init__(self, epsilon: float | Mapping[int, float] = TUNED_EPSILON) -> None:
        if not (isinstance(epsilon, Mapping) or 0 <= epsilon <= 1):
            raise ValueError(f"expected epsilon in [0, 1], got {epsilon}; it is a probability")
        self.epsilon = epsilon

    def scores(self) -> NDArray[np.floating]:
        """Posterior means; all the same in the bandits that explore now."""
        explores = self.rng.random((len(self.successes), 1)) < tuned(self.epsilon, self.horizon)
        return np.where(explores, 0.0, self.posterior_mean())


class UCB1(CountingPolicy):
    """Upper confidence bounds in the form of the paper: mean + c sqrt(2 ln t / T).

    T counts the pulls of the arm and starts with one success and one failure, as the mean does; t is the
    pull about to be made, counted from 1. c = 1 is UCB1 of Auer, Cesa-Bianchi and Fischer, "Finite-time
    Analysis of the Multiarmed Bandit Problem", Machine Learning 47, 2002; far smaller values win here.

    Args:
        c: weight of the bonus, at least 0, or a table of it by the number of pulls. The paper tunes it for every cell
            of Table 1.

    Raises:
        ValueError: `c` is negative.
    """

    def __init__(self, c: float | Mapping[int, float] = TUNED_C) -> None:
        if not (isinstance(c, Mapping) or c >= 0):
            raise ValueError(f"expected c >= 0, got {c}; a negative bonus would shun what is unknown")
        self.c = c

    def scores(self) -> NDArray[np.floating]:
        """Upper confidence bounds."""
        c, counts = tuned(self.c, self.horizon), 2 + self.successes + self.failures
        return self.posterior_mean() + c * np.sqrt(2 * np.log(self.pulls + 1) / counts)


class ThompsonSampling(CountingPolicy):
    """Draws each arm from its posterior and pulls the highest draw (Thompson, Biometrika 25, 1933)."""

    def scores(self) -> NDArray[np.floating]:
        """One posterior draw for every arm."""
        return self.posterior_sample()


class OptimisticThompson(CountingPolicy):
    """Thompson sampling by majority: of `votes` posterior draws, pulls the arm that is highest most often.

    Stands for the column "OTS" of Table 1. The paper cites May, Korda, Lee and Leslie, "Optimistic Bayesian
    Sampling in Contextual-Bandit Problems", JMLR 13, 2012, whose rule is to take max(draw, mean) for every arm.
    That rule does not give the column: 76.0 for n=100, k=5 and 64.7 for k=50, where the paper has 77.9 and
    67.7; nor does the best of several draws. The vote does, though not with one number of votes:

    - 5 votes from 100 pulls on: 77.3, 80.6, 66.8 for n=100 and k=5, 10, 50 (paper: 77.9, 81.4, 67.7), and
      406.4, 439.0, 437.6 for n=500 (paper: 406.7, 438.9, 437.6);
    - 30 votes for 10 pulls: 6.5, 6.4, 5.3 (paper: 6.5, 6.2, 5.5). With 100 pulls, 30 votes do better than
      the paper: 78.2, 82.9, 77.7.

    Args:
        votes: posterior draws for each pull, at least 1; 1 is plain Thompson sampling, many pull the arm most
            likely to be the best. 30 is chosen, as the stronger of the two.

    Raises:
        ValueError: `votes` is below 1.
    """

    def __init__(self, votes: int = 30) -> None:
        if votes < 1:
            raise ValueError(f"expected votes >= 1, got {votes}; each vote is one posterior draw")
        self.votes = votes

    def scores(self) -> NDArray[np.floating]:
        """Votes for every arm."""
        tally = np.zeros(self.successes.shape)
        rows = np.arange(len(tally))
        for _ in range(self.votes):
            tally[rows, self.posterior_sample().argmax(axis=1)] += 1
        return tally


class GittinsIndex(CountingPolicy):
    """Pulls the arm with the highest finite-horizon Gittins index; near-optimal. See `exact.gittins_table`.

    Of equally good arms it pulls the first. By symmetry a random one would earn the same, but only a policy that always
    takes the first one can be imitated from what it has seen.
    """

    _table: GittinsTable

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Also computes the table of a new number of pulls (0.2 s for 100 pulls, 20 s for 500)."""
        super().start(env, rng)
        self._table = gittins_table(self.horizon)

    def act(self, observation: Observations) -> NDArray[Any]:
        """The first of the best arms."""
        return self.scores().argmax(axis=1)

    def scores(self) -> NDArray[np.floating]:
        """Gittins indices for the pulls left."""
        return self._table.index(self.successes, self.failures, self.horizon - self.pulls)


def random_argmax(scores: NDArray[np.floating], rng: np.random.Generator) -> Index:
    """Index of the highest score of every row, drawn uniformly among ties: (n, k) to (n,)."""
    is_best = scores == scores.max(axis=1, keepdims=True)
    return np.where(is_best, rng.random(scores.shape), -1).argmax(axis=1)


def baselines() -> dict[str, Policy]:
    """The columns of Table 1 of the RL² paper, with settings tuned for the number of pulls."""
    return {
        "greedy": Greedy(),
        "epsilon-greedy": EpsilonGreedy(),
        "UCB1": UCB1(),
        "Thompson": ThompsonSampling(),
        "OTS (vote-30)": OptimisticThompson(),
        "Gittins index": GittinsIndex(),
    }
