"""Policies of the random tabular MDPs in Table 2 of the RL² paper.

Each plays many MDPs at once: all arrays carry a leading axis ``n``, one row an MDP. All but `Random` keep the exact
posterior: Dirichlet(1, …, 1) on the transitions of each (state, action), N(1, 1) on its mean reward, noise N(0, 1).
These are the true priors. A plan is made at the start of each episode, by backward induction in some model;
`Replanning` makes a policy plan again before every step, which is worth more than any choice between the policies.

As in the environment, the state after an episode's last step is not seen, so T steps teach T - 1 transitions.

Yan Duan, John Schulman, Xi Chen, Peter Bartlett, Ilya Sutskever, Pieter Abbeel,
"RL²: Fast Reinforcement Learning via Slow Reinforcement Learning", 2016, https://arxiv.org/abs/1611.02779
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol, TypeVar

import numpy as np

from metaenv.classic.mdp.exact import expected_next, optimal_q
from metaenv.classic.mdp.tasks import NOISE_SD, REWARD_MEAN, MDPDistribution
from metaenv.errors import nearest
from metaenv.tasks import TaskBatch
from metaenv.typing import Bools, Floats, Index

Setting = TypeVar("Setting", int, float)
CHUNK = 500  # MDPs played at once: their tables then fit the processor's cache (chosen)
HORIZON = 10  # steps of an episode in the paper

# Each is the best of a grid, by the mean over the 1,000 frozen validation MDPs; two or one (OPSRL) run of each value.
TUNED_BETA: Mapping[int, float] = MappingProxyType({10: 0.25, 25: 0.75, 50: 1.0, 75: 1.5, 100: 1.5})
"""Best beta of `ExplorationBonus` for each number of episodes, of 0.1 to 2."""

TUNED_BETA_EVERY_STEP: Mapping[int, float] = MappingProxyType({10: 0.5, 25: 0.75, 50: 1.5, 75: 1.5, 100: 1.5})
"""The same with `Replanning`, of 0.25 to 2."""

TUNED_SAMPLES: Mapping[int, int] = MappingProxyType({10: 20, 25: 10, 50: 10, 75: 5, 100: 5})
"""Best number of `OptimisticPSRL`'s draws, of 1 to 20."""

TUNED_WIDTH: Mapping[int, float] = MappingProxyType({10: 0.01, 25: 0.03, 50: 0.03, 75: 0.03, 100: 0.05})
"""Best factor on `UCRL2`'s intervals, of 0.01 to 0.15."""

TUNED_EPSILON: Mapping[int, float] = MappingProxyType({10: 0.0, 25: 0.01, 50: 0.02, 75: 0.05, 100: 0.05})
"""Best epsilon of `EpsilonGreedy`, of 0 to 0.1."""


class MDPPolicy(Protocol):
    """A policy for ``n`` MDPs at once: `start`; then for each episode `begin`, and `act` and `observe` in turn."""

    def start(self, n: int, n_states: int, n_actions: int, horizon: int, rng: np.random.Generator) -> None:
        """Forget everything and expect ``n`` new MDPs, in episodes of ``horizon`` steps."""
        ...

    def begin(self) -> None:
        """A new episode begins in every MDP."""
        ...

    def act(self, state: Index) -> Index:
        """The actions (n,) to play in the states (n,)."""
        ...

    def observe(self, state: Index, action: Index, reward: Floats) -> None:
        """Learn the rewards that ``action`` gave in ``state``; each (n,)."""
        ...

    def move(self, state: Index, action: Index, following: Index) -> None:
        """Learn where ``action`` led from ``state``; each (n,). Not called after an episode's last step."""
        ...


def play(name: str, n_episodes: int, tasks: TaskBatch, rng: np.random.Generator, horizon: int = HORIZON) -> Floats:
    """Lets an algorithm play ``n_episodes`` of every MDP.

    With generators in the same state, two algorithms meet common random numbers.

    Args:
        name: one of `ALGORITHMS`; its setting is the one tuned for the nearest number of episodes.
        n_episodes: at least 1.
        tasks: `MDPTask`s, n of them; any number of states and actions.
        rng: spawns two streams for every chunk, one for the MDPs and one for the policy.
        horizon: steps of an episode.

    Returns:
        Total rewards, shape (n,).

    Raises:
        ValueError: an unknown name, or ``n_episodes`` below 1.
    """
    if name not in ALGORITHMS:
        raise ValueError(f"no algorithm {name!r}.{nearest(name, ALGORITHMS)}")
    return play_with(lambda: ALGORITHMS[name](n_episodes), n_episodes, tasks, rng, horizon)


def play_with(
    make: Callable[[], MDPPolicy], n_episodes: int, tasks: TaskBatch, rng: np.random.Generator, horizon: int = HORIZON
) -> Floats:
    """As `play`, with a policy of one's own from ``make``."""
    if n_episodes < 1:
        raise ValueError(f"expected n_episodes >= 1, got {n_episodes}; a trial needs an episode")
    states = tasks.transitions.shape[1] // tasks.mean_rewards.shape[1]
    distribution = MDPDistribution(states, tasks.mean_rewards.shape[1] // states, horizon)
    totals: list[Floats] = []
    for start in range(0, len(tasks), CHUNK):
        model = distribution.tables(tasks.take(np.arange(start, min(start + CHUNK, len(tasks)))))
        totals.append(_play_chunk(make(), n_episodes, *model, horizon, *rng.spawn(2)))
    return np.concatenate(totals)


def _play_chunk(
    policy: MDPPolicy,
    n_episodes: int,
    rewards: Floats,
    transitions: Floats,
    horizon: int,
    world: np.random.Generator,
    policy_rng: np.random.Generator,
) -> Floats:
    """(n,) total rewards, from mean rewards (n, S, A) and transitions (n, S, A, S)."""
    n, n_states, n_actions = rewards.shape
    rows, total = np.arange(n), np.zeros(n)
    bounds = np.cumsum(transitions[..., :-1], axis=3)
    policy.start(n, n_states, n_actions, horizon, policy_rng)
    for _ in range(n_episodes):
        policy.begin()
        state = np.zeros(n, np.intp)
        for step in range(horizon):
            action = policy.act(state)
            reward = rewards[rows, state, action] + NOISE_SD * world.standard_normal(n)
            policy.observe(state, action, reward)
            total += reward
            following = np.count_nonzero(bounds[rows, state, action] <= world.random((n, 1)), axis=1)
            if step < horizon - 1:
                policy.move(state, action, following)
            state = following
    return total


class Random:
    """Plays every action with the same probability."""

    def start(self, n: int, n_states: int, n_actions: int, horizon: int, rng: np.random.Generator) -> None:
        """See `MDPPolicy.start`."""
        self._n_actions, self._rng = n_actions, rng

    def begin(self) -> None:
        """Nothing is planned."""

    def act(self, state: Index) -> Index:
        """Random actions."""
        return self._rng.integers(self._n_actions, size=len(state))

    def observe(self, state: Index, action: Index, reward: Floats) -> None:
        """Nothing is learned."""

    def move(self, state: Index, action: Index, following: Index) -> None:
        """Nothing is learned."""


class PlanningPolicy(ABC):
    """Plans at the start of an episode and plays the plan; keeps the posterior.

    Of equally good actions it plays the first: to this family, in which actions are exchangeable, the same as any.

    Attributes:
        alpha: parameters of the Dirichlet posterior on the next state, shape (n, S, A, S).
        visits: how often each pair was played, shape (n, S, A).
        reward_mean: posterior mean of each mean reward, shape (n, S, A); its variance is 1 / (1 + visits).
        horizon: steps of an episode.
        steps: steps seen so far, in all episodes.
        rng: the policy's own randomness.
    """

    alpha: Floats
    visits: Floats
    reward_mean: Floats
    horizon: int
    steps: int
    rng: np.random.Generator

    @abstractmethod
    def plan(self, steps: int) -> Floats:
        """Values by which actions are chosen in the ``steps`` left of the episode, shape (steps, n, S, A)."""

    def start(self, n: int, n_states: int, n_actions: int, horizon: int, rng: np.random.Generator) -> None:
        """See `MDPPolicy.start`."""
        self.alpha = np.ones((n, n_states, n_actions, n_states))
        self.visits = np.zeros((n, n_states, n_actions))
        self.reward_mean = np.full((n, n_states, n_actions), REWARD_MEAN)
        self.horizon, self.steps, self.rng = horizon, 0, rng
        self._rows = np.arange(n)

    def begin(self) -> None:
        """Make the plan of an episode."""
        self._left = self.horizon
        self.replan()

    def replan(self) -> None:
        """Make a plan of the steps left in the episode."""
        self._policy = self.plan(self._left).argmax(axis=3)  # (steps, n, S)

    def act(self, state: Index) -> Index:
        """The plan's actions."""
        action = self._policy[-self._left, self._rows, state]
        self._left -= 1
        return action

    def observe(self, state: Index, action: Index, reward: Floats) -> None:
        """Update the posterior of the mean rewards."""
        at = (self._rows, state, action)
        self.visits[at] += 1
        self.reward_mean[at] += (reward - self.reward_mean[at]) / (1 + self.visits[at])
        self.steps += 1

    def move(self, state: Index, action: Index, following: Index) -> None:
        """Update the posterior of the transitions."""
        self.alpha[self._rows, state, action, following] += 1

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
    """

    def plan(self, steps: int) -> Floats:
        """Optimal values of the posterior mean MDP."""
        return optimal_q(self.reward_mean, self.mean_transitions(), steps)


class EpsilonGreedy(Greedy):
    """Greedy, but a random action with probability epsilon, independently in each step.

    Args:
        epsilon: probability of a random action, in [0, 1].

    Raises:
        ValueError: ``epsilon`` is outside [0, 1].
    """

    def __init__(self, epsilon: float) -> None:
        if not 0 <= epsilon <= 1:
            raise ValueError(f"expected epsilon in [0, 1], got {epsilon}; it is a probability")
        self.epsilon = epsilon

    def act(self, state: Index) -> Index:
        """The plan's actions, some of them replaced by random ones."""
        explores: Bools = self.rng.random(len(state)) < self.epsilon
        any_action = self.rng.integers(self.visits.shape[2], size=len(state))
        return np.where(explores, any_action, super().act(state))


class ExplorationBonus(PlanningPolicy):
    """Plans in the posterior mean MDP with beta / (1 + visits) added to every reward.

    BEB: J. Zico Kolter and Andrew Y. Ng, "Near-Bayesian Exploration in Polynomial Time", ICML 2009,
    https://doi.org/10.1145/1553374.1553441. Where the paper counts the prior's observations, here only visits count.

    Args:
        beta: weight of the bonus, in units of reward, at least 0.

    Raises:
        ValueError: ``beta`` is negative.
    """

    def __init__(self, beta: float) -> None:
        if not beta >= 0:
            raise ValueError(f"expected beta >= 0, got {beta}; a negative bonus would shun what is unknown")
        self.beta = beta

    def plan(self, steps: int) -> Floats:
        """Optimal values of the posterior mean MDP with bonuses."""
        return optimal_q(self.reward_mean + self.beta / (1 + self.visits), self.mean_transitions(), steps)


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
    Table 2 (n=25: 411 against 404; there 425.2 against 408.8). With `Replanning`, 5 draws give that column: 146, 425,
    929 and 1969 for n = 10, 25, 50 and 100 (paper: 144.1, 425.2, 930.7, 1973.9).

    Args:
        samples: MDPs drawn for each episode, at least 1; 1 is `PSRL`.

    Raises:
        ValueError: ``samples`` is below 1.
    """

    def __init__(self, samples: int) -> None:
        if samples < 1:
            raise ValueError(f"expected samples >= 1, got {samples}; each is one MDP drawn from the posterior")
        self.samples = samples

    def plan(self, steps: int) -> Floats:
        """The highest values of the drawn MDPs, for each step, state and action."""
        best = self.sampled_q(steps)
        for _ in range(self.samples - 1):
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
        width: factor on the widths, at least 0; 0 is `Greedy`.

    Raises:
        ValueError: ``width`` is negative.
    """

    DELTA = 0.05  # chance that an interval fails (chosen; it hardly matters beside the factor)

    def __init__(self, width: float) -> None:
        if not width >= 0:
            raise ValueError(f"expected width >= 0, got {width}; it multiplies the confidence intervals")
        self.width = width

    def plan(self, steps: int) -> Floats:
        """Optimal values of the most favourable MDP."""
        _, s, a = self.visits.shape
        t, visits = self.steps + 1, np.maximum(self.visits, 1)
        rewards = self.reward_mean + self.width * np.sqrt(3.5 * np.log(2 * s * a * t / self.DELTA) / visits)
        distance = self.width * np.sqrt(14 * s * np.log(2 * a * t / self.DELTA) / visits)
        return optimistic_q(rewards, self.mean_transitions(), distance, steps)


class Replanning:
    """Another policy, made to plan again before every step with what it has learned by then.

    For 10 episodes it takes `Greedy` from 149.6 to 158.4 and `ExplorationBonus` from 151.5 to 162.4: above the paper's
    RL² (156.2) and above SNAIL (159.1; Mishra et al. 2018, https://arxiv.org/abs/1707.03141).

    Args:
        policy: what it does is left as it is.
    """

    def __init__(self, policy: PlanningPolicy) -> None:
        self.policy = policy

    def start(self, n: int, n_states: int, n_actions: int, horizon: int, rng: np.random.Generator) -> None:
        """See `MDPPolicy.start`."""
        self.policy.start(n, n_states, n_actions, horizon, rng)

    def begin(self) -> None:
        """Plan the episode; the first step needs no second plan."""
        self._planned = True
        self.policy.begin()

    def act(self, state: Index) -> Index:
        """The first actions of a new plan."""
        if not self._planned:
            self.policy.replan()
        self._planned = False
        return self.policy.act(state)

    def observe(self, state: Index, action: Index, reward: Floats) -> None:
        """Tell the policy."""
        self.policy.observe(state, action, reward)

    def move(self, state: Index, action: Index, following: Index) -> None:
        """Tell the policy."""
        self.policy.move(state, action, following)


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


def tuned(table: Mapping[int, Setting], n_episodes: int) -> Setting:
    """The setting tuned for the number of episodes nearest to ``n_episodes``."""
    return table[min(table, key=lambda n: abs(n - n_episodes))]


ALGORITHMS: Mapping[str, Callable[[int], MDPPolicy]] = MappingProxyType(
    {
        "random": lambda n: Random(),
        "greedy": lambda n: Greedy(),
        "epsilon-greedy": lambda n: EpsilonGreedy(tuned(TUNED_EPSILON, n)),
        "PSRL": lambda n: PSRL(),
        "OPSRL": lambda n: OptimisticPSRL(tuned(TUNED_SAMPLES, n)),
        "UCRL2": lambda n: UCRL2(tuned(TUNED_WIDTH, n)),
        "BEB": lambda n: ExplorationBonus(tuned(TUNED_BETA, n)),
        "greedy (every step)": lambda n: Replanning(Greedy()),
        "BEB (every step)": lambda n: Replanning(ExplorationBonus(tuned(TUNED_BETA_EVERY_STEP, n))),
    }
)
"""A policy for a number of episodes, with the setting tuned for it: the columns of Table 2, then two that replan."""
