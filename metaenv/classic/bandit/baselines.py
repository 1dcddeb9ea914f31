"""Policies of the Bernoulli bandits in Table 1 of the RL² paper, and the exact ones it lacks.

Each plays many bandits at once: all arrays carry a leading axis `n`, one row a bandit.

Yan Duan, John Schulman, Xi Chen, Peter Bartlett, Ilya Sutskever, Pieter Abbeel,
"RL²: Fast Reinforcement Learning via Slow Reinforcement Learning", 2016, https://arxiv.org/abs/1611.02779
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metaenv.classic.bandit.exact import Arm, Belief, GittinsTable, bayes_optimal_policy, gittins_table

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.int64]

TUNED_C: Mapping[int, float] = MappingProxyType({10: 0.1, 100: 0.2, 500: 0.2})
"""Best c of `UCB1` for each number of pulls, by a grid of 0.1 to 0.5 for k = 5, 10 and 50 arms alike."""

TUNED_EPSILON: Mapping[int, float] = MappingProxyType({10: 0.0, 100: 0.01, 500: 0.05})
"""Best epsilon of `EpsilonGreedy` for each number of pulls, by a grid of 0 to 0.1; below 500 pulls 0 is as good."""


class BanditPolicy(Protocol):
    """A policy for `n` bandits at once: `start`, then `act` and `observe` in turn, `horizon` times."""

    def start(self, n: int, n_arms: int, horizon: int, rng: np.random.Generator) -> None:
        """Forget everything and expect `n` new bandits of `n_arms` arms, to be pulled `horizon` times each."""
        ...

    def act(self) -> IntArray:
        """The arm to pull in each bandit, shape (n,), in [0, n_arms)."""
        ...

    def observe(self, action: ArrayLike, reward: ArrayLike) -> None:
        """Learn the rewards, 0 or 1, that the arms `action` gave; both of shape (n,)."""
        ...


def play(policy: BanditPolicy, probabilities: ArrayLike, n_pulls: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Plays `n_pulls` of every bandit.

    With generators in the same state, two policies meet common random numbers: the reward of pull t on
    arm a of bandit i is the same for both, whatever they did before. Their difference is then paired.

    Args:
        policy: it is started anew.
        probabilities: chance of reward of each arm, in [0, 1], shape (n, n_arms).
        n_pulls: pulls of each bandit, at least 1.
        rng: spawns two streams, one for the rewards and one for the policy.

    Returns:
        Rewards, 0 or 1, shape (n, n_pulls).

    Raises:
        ValueError: `probabilities` has another shape or leaves [0, 1], or `n_pulls` is below 1.
    """
    chances = _checked_probabilities(probabilities)
    if n_pulls < 1:
        raise ValueError(f"expected n_pulls >= 1, got {n_pulls}; a trial needs a pull")
    reward_rng, policy_rng = rng.spawn(2)
    n, n_arms = chances.shape
    policy.start(n, n_arms, n_pulls, policy_rng)
    rewards = np.empty((n, n_pulls), np.int8)
    for t in range(n_pulls):
        action = policy.act()
        draws = reward_rng.random((n, n_arms))  # for all arms, so that the stream does not depend on the action
        rewards[:, t] = draws[np.arange(n), action] < chances[np.arange(n), action]
        policy.observe(action, rewards[:, t])
    return rewards


class CountingPolicy(ABC):
    """Pulls the arm with the highest score, drawn at random among ties; remembers successes and failures.

    Attributes:
        successes: rewards of 1 seen, shape (n, n_arms).
        failures: rewards of 0 seen, shape (n, n_arms).
        horizon: pulls in the trial.
        pulls: pulls of each bandit so far.
        rng: the policy's own randomness.
    """

    successes: IntArray
    failures: IntArray
    horizon: int
    pulls: int
    rng: np.random.Generator

    @abstractmethod
    def scores(self) -> FloatArray:
        """How much each arm is worth pulling now, shape (n, n_arms)."""

    def start(self, n: int, n_arms: int, horizon: int, rng: np.random.Generator) -> None:
        """See `BanditPolicy.start`."""
        self.successes = np.zeros((n, n_arms), np.int64)
        self.failures = np.zeros((n, n_arms), np.int64)
        self.horizon, self.pulls, self.rng = horizon, 0, rng

    def act(self) -> IntArray:
        """See `BanditPolicy.act`."""
        return random_argmax(self.scores(), self.rng)

    def observe(self, action: ArrayLike, reward: ArrayLike) -> None:
        """See `BanditPolicy.observe`.

        Raises:
            ValueError: wrong shapes, an unknown arm, or a reward other than 0 and 1; nothing is learned then.
        """
        arm, gain = self._checked_outcome(action, reward)
        rows = np.arange(len(arm))
        self.successes[rows, arm] += gain
        self.failures[rows, arm] += 1 - gain
        self.pulls += 1

    def posterior_mean(self) -> FloatArray:
        """Mean of Beta(1 + successes, 1 + failures), shape (n, n_arms)."""
        return (1 + self.successes) / (2 + self.successes + self.failures)

    def posterior_sample(self) -> FloatArray:
        """One draw from Beta(1 + successes, 1 + failures) for every arm, shape (n, n_arms)."""
        return self.rng.beta(1 + self.successes, 1 + self.failures)

    def _checked_outcome(self, action: ArrayLike, reward: ArrayLike) -> tuple[IntArray, IntArray]:
        arm, gain = np.asarray(action), np.asarray(reward)
        n, n_arms = self.successes.shape
        if arm.shape != (n,) or gain.shape != (n,):
            raise ValueError(f"expected action and reward of shape ({n},), got {arm.shape} and {gain.shape}")
        if not np.isin(arm, list(range(n_arms))).all():
            raise ValueError(f"expected actions in 0..{n_arms - 1}, got {arm.min()}..{arm.max()}")
        if not np.isin(gain, (0, 1)).all():
            raise ValueError(f"expected rewards of 0 or 1, got {np.unique(gain)[:5]}; only Bernoulli arms are played")
        return arm.astype(np.int64), gain.astype(np.int64)


class Random(CountingPolicy):
    """Pulls every arm with the same probability."""

    def scores(self) -> FloatArray:
        """The same for all arms."""
        return np.zeros(self.successes.shape)


class Greedy(CountingPolicy):
    """Pulls the arm with the highest posterior mean.

    The paper does not say how it breaks ties. At random, as here, it does better than in Table 1 for 100 pulls
    or more (n=100, k=5: 76.3 against 74.8).
    """

    def scores(self) -> FloatArray:
        """Posterior means."""
        return self.posterior_mean()


class EpsilonGreedy(CountingPolicy):
    """Greedy, but a random arm with probability epsilon.

    Args:
        epsilon: probability of a random pull, in [0, 1]. The paper tunes it for every cell of Table 1.

    Raises:
        ValueError: `epsilon` is outside [0, 1].
    """

    def __init__(self, epsilon: float) -> None:
        if not 0 <= epsilon <= 1:
            raise ValueError(f"expected epsilon in [0, 1], got {epsilon}; it is a probability")
        self.epsilon = epsilon

    def scores(self) -> FloatArray:
        """Posterior means; all the same in the bandits that explore now."""
        explores = self.rng.random((len(self.successes), 1)) < self.epsilon
        return np.where(explores, 0.0, self.posterior_mean())


class UCB1(CountingPolicy):
    """Upper confidence bounds in the form of the paper: mean + c sqrt(2 ln t / T).

    T counts the pulls of the arm and starts with one success and one failure, as the mean does; t is the
    pull about to be made, counted from 1. c = 1 is UCB1 of Auer, Cesa-Bianchi and Fischer, "Finite-time
    Analysis of the Multiarmed Bandit Problem", Machine Learning 47, 2002; far smaller values win here.

    Args:
        c: weight of the bonus, at least 0. The paper tunes it for every cell of Table 1.

    Raises:
        ValueError: `c` is negative.
    """

    def __init__(self, c: float) -> None:
        if not c >= 0:
            raise ValueError(f"expected c >= 0, got {c}; a negative bonus would shun what is unknown")
        self.c = c

    def scores(self) -> FloatArray:
        """Upper confidence bounds."""
        counts = 2 + self.successes + self.failures
        return self.posterior_mean() + self.c * np.sqrt(2 * np.log(self.pulls + 1) / counts)


class ThompsonSampling(CountingPolicy):
    """Draws each arm from its posterior and pulls the highest draw (Thompson, Biometrika 25, 1933)."""

    def scores(self) -> FloatArray:
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

    def scores(self) -> FloatArray:
        """Votes for every arm."""
        tally = np.zeros(self.successes.shape)
        rows = np.arange(len(tally))
        for _ in range(self.votes):
            tally[rows, self.posterior_sample().argmax(axis=1)] += 1
        return tally


class GittinsIndex(CountingPolicy):
    """Pulls the arm with the highest finite-horizon Gittins index; near-optimal. See `exact.gittins_table`.

    Args:
        ties: which of the best arms it pulls. By symmetry it earns the same; only a policy that always takes the
            ``"first"`` of them can be imitated from what it has seen.
    """

    _table: GittinsTable

    def __init__(self, ties: Literal["random", "first"] = "random") -> None:
        if ties not in ("random", "first"):
            raise ValueError(f"expected ties to be 'random' or 'first', got {ties!r}")
        self.ties = ties

    def act(self) -> IntArray:
        """See `BanditPolicy.act`."""
        return self.scores().argmax(axis=1) if self.ties == "first" else super().act()

    def start(self, n: int, n_arms: int, horizon: int, rng: np.random.Generator) -> None:
        """See `BanditPolicy.start`; computes the table of a new horizon (0.2 s for 100 pulls, 20 s for 500)."""
        super().start(n, n_arms, horizon, rng)
        self._table = gittins_table(horizon)

    def scores(self) -> FloatArray:
        """Gittins indices for the pulls left."""
        return self._table.index(self.successes, self.failures, self.horizon - self.pulls)


class BayesOptimal(CountingPolicy):
    """Plays `exact.bayes_optimal_policy`: no policy does better in expectation. For few pulls only."""

    _policy: Mapping[Belief, Arm]

    def start(self, n: int, n_arms: int, horizon: int, rng: np.random.Generator) -> None:
        """See `BanditPolicy.start`.

        Raises:
            ValueError: the problem has too many beliefs to be solved exactly.
        """
        super().start(n, n_arms, horizon, rng)
        self._policy = bayes_optimal_policy(horizon, n_arms)

    def scores(self) -> FloatArray:
        """1 for the optimal arms, 0 for the others."""
        # Arms as single numbers, so that bandits with the same belief, of which there are few, are looked up once.
        base = self.horizon + 1
        code = self.successes * base + self.failures  # (n, n_arms)
        beliefs, belief_of = np.unique(np.sort(code, axis=1), axis=0, return_inverse=True)
        best = np.array([self._best_code(row, base) for row in beliefs.tolist()])
        return (code == best[belief_of.ravel(), None]).astype(float)

    def _best_code(self, codes: list[int], base: int) -> int:
        successes, failures = self._policy[tuple(divmod(code, base) for code in codes if code)]
        return successes * base + failures


def random_argmax(scores: FloatArray, rng: np.random.Generator) -> IntArray:
    """Index of the highest score of every row, drawn uniformly among ties: (n, k) to (n,)."""
    is_best = scores == scores.max(axis=1, keepdims=True)
    return np.where(is_best, rng.random(scores.shape), -1).argmax(axis=1)


def _checked_probabilities(probabilities: ArrayLike) -> NDArray[np.float64]:
    chances = np.asarray(probabilities, dtype=np.float64)
    if chances.ndim != 2 or chances.size == 0:
        raise ValueError(f"expected probabilities of shape (n, n_arms), got {chances.shape}; one row a bandit")
    if not ((chances >= 0) & (chances <= 1)).all():
        raise ValueError(f"expected probabilities in [0, 1], got {chances.min()} to {chances.max()}")
    return chances
