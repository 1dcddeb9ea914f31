"""Baselines for random tabular MDPs: those of Table 2 of the RL² paper, and two that plan before every step.

All keep the exact posterior: Dirichlet(1, …, 1) on the transitions of each (state, action), N(1, 1) on its mean reward,
noise N(0, 1). These are the true priors. A plan is made at the start of each episode, by backward induction in some
model; with ``every_step`` a policy plans again before every step, which is worth more than any choice between the
policies: for 10 episodes it takes `Greedy` from 149.6 to 158.5 and `ExplorationBonus` from 151.7 to 162.6, above the
paper's RL² (156.2) and above SNAIL (159.1; Mishra et al. 2018, https://arxiv.org/abs/1707.03141).

The state after an episode's last step is not seen, so T steps teach T - 1 transitions.

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

from metaenv.classic.mdp.env import TabularMDPVectorEnv
from metaenv.classic.mdp.exact import expected_next, optimal_q
from metaenv.classic.mdp.tasks import REWARD_MEAN
from metaenv.classic.tuning import tuned
from metaenv.policies import Policy
from metaenv.trial import VectorTrial
from metaenv.typing import Bools, Floats
from metaenv.vector import Observations

# Each is the best of a grid, by the mean over the 1,000 frozen validation MDPs; two runs of each value, or one (OPSRL).
TUNED_BETA: Mapping[int, float] = MappingProxyType({10: 0.25, 25: 0.75, 50: 1.0, 75: 1.5, 100: 1.5})
"""Best beta of `ExplorationBonus` for each number of episodes, of 0.1 to 2."""

TUNED_BETA_EVERY_STEP: Mapping[int, float] = MappingProxyType({10: 0.5, 25: 0.75, 50: 1.5, 75: 1.5, 100: 1.5})
"""The same for a policy that plans before every step, of 0.25 to 2."""

TUNED_SAMPLES: Mapping[int, int] = MappingProxyType({10: 20, 25: 10, 50: 10, 75: 5, 100: 5})
"""Best number of `OptimisticPSRL`'s draws, of 1 to 20."""

TUNED_WIDTH: Mapping[int, float] = MappingProxyType({10: 0.01, 25: 0.03, 50: 0.03, 75: 0.03, 100: 0.05})
"""Best factor on `UCRL2`'s intervals, of 0.01 to 0.15."""

TUNED_EPSILON: Mapping[int, float] = MappingProxyType({10: 0.0, 25: 0.01, 50: 0.02, 75: 0.05, 100: 0.05})
"""Best epsilon of `EpsilonGreedy`, of 0 to 0.1."""


class PlanningPolicy(ABC):
    """Plans at the start of an episode and plays the plan; keeps the posterior.

    Of equally good actions it plays the first: to this family, in which actions are exchangeable, the same as any.
    Episodes begin and end in all trials at once, as all have the same length.

    Attributes:
        every_step: whether to plan again before every step, with what has been learned by then.
        alpha: parameters of the Dirichlet posterior on the next state, shape (n, S, A, S).
        visits: how often each pair was played, shape (n, S, A).
        reward_mean: posterior mean of each mean reward, shape (n, S, A); its variance is 1 / (1 + visits).
        horizon: steps of an episode.
        episodes: of a trial.
        steps: steps seen so far, in all episodes.
        rng: the policy's own randomness.
    """

    every_step: bool = False
    alpha: Floats
    visits: Floats
    reward_mean: Floats
    horizon: int
    episodes: int
    steps: int
    rng: np.random.Generator

    @abstractmethod
    def plan(self, steps: int) -> Floats:
        """Values by which actions are chosen in the ``steps`` left of the episode, shape (steps, n, S, A)."""

    def check(self, env: VectorTrial) -> None:
        """Raise ValueError unless ``env`` plays trials of TabularMDP."""
        if not isinstance(env.innermost, TabularMDPVectorEnv):
            raise ValueError(f"expected trials of TabularMDP, got {type(env.innermost).__name__}")

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Forget everything. Raises ValueError for trials of another environment."""
        self.check(env)
        inner: Any = env.innermost
        n, s, a = env.num_envs, inner.n_states, inner.n_actions
        self.alpha, self.visits = np.ones((n, s, a, s)), np.zeros((n, s, a))
        self.reward_mean = np.full((n, s, a), REWARD_MEAN)
        self.horizon, self.episodes, self.steps, self.rng = inner.episode_length, env.episodes, 0, rng
        self._rows = np.arange(n)
        self._left = 0  # steps of the episode

    def act(self, observation: Observations) -> NDArray[Any]:
        """The plan's actions in the states that the trials show."""
        state = observation[:, : self.visits.shape[1]].argmax(axis=1)
        if began := self._left == 0:
            self._left = self.horizon
        else:
            self.alpha[(*self._played, state)] += 1
        if began or self.every_step:
            self._policy = self.plan(self._left).argmax(axis=3)  # (steps, n, S)
        action = self._policy[-self._left, self._rows, state]
        self._state = state
        return action

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Learn what the actions paid. They may be another's choice: a teacher watches its pupil."""
        self._played = at = (self._rows, self._state, action)
        self.visits[at] += 1
        self.reward_mean[at] += (reward - self.reward_mean[at]) / (1 + self.visits[at])
        self.steps += 1
        self._left -= 1

    def mean_transitions(self) -> Floats:
        """Posterior mean of the transitions, shape (n, S, A, S)."""
        return self.alpha / self.alpha.sum(axis=3, keepdims=True)

    def sampled_q(self, steps: int) -> Floats:
        """Optimal action values of one MDP drawn from the posterior, shape (steps, n, S, A)."""
        rewards = self.reward_mean + self.rng.standard_normal(self.visits.shape) / np.sqrt(1 + self.visits)
        weights = self.rng.standard_gamma(self.alpha)
        weights /= weights.sum(axis=3, keepdims=True)
        return optimal_q(rewards, weights, steps)


class Greedy(PlanningPolicy):
    """Plans in the posterior mean MDP.

    Much stronger here than in Table 2 (n=10: 150.4 against 134.8); the paper does not say what it did.

    Args:
        every_step: whether to plan again before every step.
    """

    def __init__(self, every_step: bool = False) -> None:
        self.every_step = every_step

    def plan(self, steps: int) -> Floats:
        """Optimal values of the posterior mean MDP."""
        return optimal_q(self.reward_mean, self.mean_transitions(), steps)


class EpsilonGreedy(Greedy):
    """Greedy, but a random action with probability epsilon, independently in each step.

    Args:
        epsilon: probability of a random action, in [0, 1], or a table of it by the number of episodes.

    Raises:
        ValueError: ``epsilon`` is outside [0, 1].
    """

    def __init__(self, epsilon: float | Mapping[int, float] = TUNED_EPSILON) -> None:
        if not (isinstance(epsilon, Mapping) or 0 <= epsilon <= 1):
            raise ValueError(f"expected epsilon in [0, 1], got {epsilon}; it is a probability")
        super().__init__()
        self.epsilon = epsilon

    def act(self, observation: Observations) -> NDArray[Any]:
        """The plan's actions, some of them replaced by random ones."""
        explores: Bools = self.rng.random(len(observation)) < tuned(self.epsilon, self.episodes)
        any_action = self.rng.integers(self.visits.shape[2], size=len(observation))
        return np.where(explores, any_action, super().act(observation))


class ExplorationBonus(PlanningPolicy):
    """Plans in the posterior mean MDP with beta / (1 + visits) added to every reward.

    BEB: J. Zico Kolter and Andrew Y. Ng, "Near-Bayesian Exploration in Polynomial Time", ICML 2009,
    https://doi.org/10.1145/1553374.1553441. Where the paper counts the prior's observations, here only visits count.

    Args:
        beta: weight of the bonus, in units of reward, at least 0, or a table of it by the number of episodes.

    Raises:
        ValueError: ``beta`` is negative.
    """

    def __init__(self, beta: float | Mapping[int, float] = TUNED_BETA, every_step: bool = False) -> None:
        if not (isinstance(beta, Mapping) or beta >= 0):
            raise ValueError(f"expected beta >= 0, got {beta}; a negative bonus would shun what is unknown")
        self.beta, self.every_step = beta, every_step

    def plan(self, steps: int) -> Floats:
        """Optimal values of the posterior mean MDP with bonuses."""
        bonus = tuned(self.beta, self.episodes) / (1 + self.visits)
        return optimal_q(self.reward_mean + bonus, self.mean_transitions(), steps)


class PSRL(PlanningPolicy):
    """Draws one MDP from the posterior for each episode and plays it optimally.

    Ian Osband, Daniel Russo, Benjamin Van Roy, "(More) Efficient Reinforcement Learning via Posterior Sampling",
    NeurIPS 2013, https://arxiv.org/abs/1306.0940; first in Malcolm Strens, "A Bayesian Framework for Reinforcement
    Learning", ICML 2000.
    """

    def plan(self, steps: int) -> Floats:
        """Optimal values of the drawn MDP."""
        return self.sampled_q(steps)


class OptimisticPSRL(PlanningPolicy):
    """Draws several MDPs for each episode and plays by the highest of their optimal action values.

    OPSRL in Table 2, after Ian Osband and Benjamin Van Roy, "Why is Posterior Sampling Better than Optimism for
    Reinforcement Learning?", ICML 2017, https://arxiv.org/abs/1607.00215. The gain over `PSRL` is half of that in
    Table 2 (n=25: 411 against 404; there 425.2 against 408.8). With ``every_step``, 5 draws give that column: 146, 425,
    929 and 1969 for n = 10, 25, 50 and 100 (paper: 144.1, 425.2, 930.7, 1973.9).

    Args:
        samples: MDPs drawn for each episode, at least 1, or a table of it by the number of episodes; 1 is `PSRL`.

    Raises:
        ValueError: ``samples`` is below 1.
    """

    def __init__(self, samples: int | Mapping[int, int] = TUNED_SAMPLES) -> None:
        if not (isinstance(samples, Mapping) or samples >= 1):
            raise ValueError(f"expected samples >= 1, got {samples}; each is one MDP drawn from the posterior")
        self.samples = samples

    def plan(self, steps: int) -> Floats:
        """The highest values of the drawn MDPs, for each step, state and action."""
        best = self.sampled_q(steps)
        for _ in range(tuned(self.samples, self.episodes) - 1):
            np.maximum(best, self.sampled_q(steps), out=best)
        return best


class UCRL2(PlanningPolicy):
    """Plans in the most favourable MDP within confidence intervals, by extended value iteration.

    Thomas Jaksch, Ronald Ortner, Peter Auer, "Near-optimal Regret Bounds for Reinforcement Learning", JMLR 11, 2010:
    mean rewards within sqrt(7 ln(2 S A t / delta) / (2 N)), next states within an L1 distance of
    sqrt(14 S ln(2 A t / delta) / N), N visits (at least 1) by time t. Adapted to this setting: undiscounted backward
    induction over the episode's steps; a new plan for each episode; centred on posterior means instead of empirical
    ones; and both widths times one factor, as the proven ones explore far beyond the paper's 1,000 steps.

    Args:
        width: factor on the widths, at least 0, or a table of it by the number of episodes; 0 is `Greedy`.

    Raises:
        ValueError: ``width`` is negative.
    """

    DELTA = 0.05  # chance that an interval fails (chosen; it hardly matters beside the factor)

    def __init__(self, width: float | Mapping[int, float] = TUNED_WIDTH) -> None:
        if not (isinstance(width, Mapping) or width >= 0):
            raise ValueError(f"expected width >= 0, got {width}; it multiplies the confidence intervals")
        self.width = width

    def plan(self, steps: int) -> Floats:
        """Optimal values of the most favourable MDP."""
        _, s, a = self.visits.shape
        width, t, visits = tuned(self.width, self.episodes), self.steps + 1, np.maximum(self.visits, 1)
        rewards = self.reward_mean + width * np.sqrt(3.5 * np.log(2 * s * a * t / self.DELTA) / visits)
        distance = width * np.sqrt(14 * s * np.log(2 * a * t / self.DELTA) / visits)
        return optimistic_q(rewards, self.mean_transitions(), distance, steps)


def optimistic_q(rewards: Floats, transitions: Floats, distance: Floats, horizon: int) -> Floats:
    """Optimal action values when the policy may also choose the transitions, within an L1 distance of those given.

    Args:
        rewards: (n, S, A).
        transitions: (n, S, A, S), the centres.
        distance: (n, S, A), at least 0.
        horizon: steps of an episode.

    Returns:
        (horizon, n, S, A).
    """
    q = np.empty((horizon, *rewards.shape))
    q[-1] = rewards
    for t in range(horizon - 2, -1, -1):
        value = q[t + 1].max(axis=2)
        order = value.argsort(axis=1)  # worst state first
        ranked = np.take_along_axis(transitions, order[:, None, None, :], axis=3)
        np.add(rewards, expected_next(_favourable(ranked, distance), np.take_along_axis(value, order, 1)), out=q[t])
    return q


def _favourable(ranked: Floats, distance: Floats) -> Floats:
    """Move up to distance / 2 of probability from the worst states, which come first, to the best, which is last."""
    moved = np.minimum(distance / 2, 1 - ranked[..., -1])[..., None]
    below = ranked.cumsum(axis=3)
    below -= moved
    np.maximum(below, 0, out=below)  # what is left of the states up to each one
    chance = np.diff(below, axis=3, prepend=0)
    chance[..., -1:] = ranked[..., -1:] + moved
    return chance


def baselines() -> dict[str, Policy]:
    """The columns of Table 2 of the RL² paper, then two that plan before every step, all tuned for the episodes."""
    return {
        "greedy": Greedy(),
        "epsilon-greedy": EpsilonGreedy(),
        "PSRL": PSRL(),
        "OPSRL": OptimisticPSRL(),
        "UCRL2": UCRL2(),
        "BEB": ExplorationBonus(),
        "greedy (every step)": Greedy(every_step=True),
        "BEB (every step)": ExplorationBonus(TUNED_BETA_EVERY_STEP, every_step=True),
    }
