"""The family of random tabular MDPs: hidden mean rewards and hidden transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from metaenv.classic.mdp.exact import optimal_value, uniform_value
from metaenv.errors import TaskError
from metaenv.tasks import Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.typing import Floats

FROZEN_DRAWS = {"validation": (1_000, 1_611_029), "test": (10_000, 1_611_030)}  # sizes, and seeds (any would do)
REWARD_MEAN, REWARD_SD, NOISE_SD = 1.0, 1.0, 1.0
"""Mean rewards are drawn from N(1, 1) and paid with noise N(0, 1): Duan et al. 2016, arXiv 1611.02779, section 3.1."""
GRID = 2.0**20
"""Draws are multiples of 1 / GRID (chosen), so that the last bit of a machine's logarithm changes no task."""
SUM_TOLERANCE = 1e-9  # of the probabilities of next states (chosen: far above rounding, far below any effect)
LARGEST_REWARD = 1e6  # of a task that somebody brings (chosen: a return then keeps its noise in single precision)
CHUNK = 1_000  # MDPs solved at once, to stay in the processor's cache (chosen)


@dataclass(frozen=True)
class MDPTask(Task):
    """One MDP with S states and A actions; its tables are written row after row."""

    family: ClassVar[str] = "TabularMDP"
    mean_rewards: tuple[float, ...]
    """Mean reward of each (state, action): S * A numbers, the action running fastest."""
    transitions: tuple[float, ...]
    """Probability of each (state, action, next state): S * A * S numbers, the next state running fastest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        pairs, triples = len(self.mean_rewards), len(self.transitions)
        if not pairs or not triples or triples % pairs or pairs % (triples // pairs):
            raise TaskError(f"expected S * A mean_rewards and S * A * S transitions, got {pairs} and {triples} numbers")
        if max(map(abs, self.mean_rewards)) > LARGEST_REWARD:
            raise TaskError(f"expected mean_rewards from {-LARGEST_REWARD:g} to {LARGEST_REWARD:g}")
        rows = np.reshape(self.transitions, (pairs, -1))
        if (rows < 0).any() or np.abs(rows.sum(axis=1) - 1).max() > SUM_TOLERANCE:
            raise TaskError(
                "expected transitions of at least 0 that sum to 1 over the next states, got a smallest of "
                f"{rows.min()} and sums from {rows.sum(axis=1).min()} to {rows.sum(axis=1).max()}"
            )


@dataclass(frozen=True)
class MDPDistribution(TaskDistribution):
    """Transitions of each (state, action) from a flat Dirichlet, mean rewards from N(1, 1).

    Duan et al. 2016 (RL², arXiv 1611.02779), section 3.1, after Osband, Russo and Van Roy 2013 (arXiv 1306.0940).
    """

    n_states: int = 10
    n_actions: int = 5
    horizon: int = 10
    """Steps of an episode; the tasks do not depend on it, their references do."""
    task_type: ClassVar[type[Task]] = MDPTask
    frozen_draws: ClassVar[Mapping[str, tuple[int, int]]] = FROZEN_DRAWS
    splits: tuple[str, ...] = ("train", "validation", "test")

    def __post_init__(self) -> None:
        for name, least in (("n_states", 1), ("n_actions", 2), ("horizon", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"expected {name} >= {least}, got {getattr(self, name)}")

    @property
    def pairs(self) -> int:
        """How many (state, action) pairs there are."""
        return self.n_states * self.n_actions

    @property
    def unit_dim(self) -> int:  # type: ignore[override]
        """One uniform number for each mean reward (rounded up to pairs of them) and each transition."""
        return 2 * self._normal_pairs + self.pairs * self.n_states

    @property
    def _normal_pairs(self) -> int:
        return (self.pairs + 1) // 2

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        """MDPs for points of the unit cube."""
        # Numbers first, tasks last: the layout of a TaskBatch's table.
        numbers = np.ascontiguousarray(unit.T)
        k = self._normal_pairs
        rewards = REWARD_MEAN + REWARD_SD * _normals(numbers[:k], numbers[k : 2 * k])[: self.pairs]
        transitions = _flat_dirichlet(numbers[2 * k :].reshape(self.pairs, self.n_states, -1))
        return TaskBatch(
            MDPTask, {"mean_rewards": rewards.T, "transitions": transitions.reshape(-1, rewards.shape[1]).T}
        )

    def reference(self, tasks: TaskBatch) -> Reference:
        """Exact value of an episode: of uniformly random actions, and of the optimal policy (undiscounted)."""
        random, oracle = np.empty(len(tasks)), np.empty(len(tasks))
        for start in range(0, len(tasks), CHUNK):
            part = slice(start, min(start + CHUNK, len(tasks)))
            model = self.tables(tasks.take(np.arange(part.start, part.stop)))
            random[part] = uniform_value(*model, self.horizon)
            oracle[part] = optimal_value(*model, self.horizon)
        return Reference(random, oracle)

    def tables(self, tasks: TaskBatch) -> tuple[Floats, Floats]:
        """Mean rewards (n, S, A) and transitions (n, S, A, S).

        Raises:
            TaskError: tasks with another number of states or actions.
        """
        s, a = self.n_states, self.n_actions
        rewards, transitions = tasks.mean_rewards, tasks.transitions
        if rewards.shape[1] != s * a or transitions.shape[1] != s * a * s:
            states = transitions.shape[1] // rewards.shape[1]
            raise TaskError(
                f"expected MDPs of {s} states and {a} actions, got {states} states and "
                f"{rewards.shape[1] // states} actions; make the environment with n_states and n_actions to match"
            )
        n = len(tasks)
        return (
            np.ascontiguousarray(rewards).reshape(n, s, a),
            np.ascontiguousarray(transitions).reshape(n, s, a, s),
        )

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """Rewards of random pairs: ``x`` the (state, action) pair (one-hot), ``y`` the reward paid, with its noise."""
        pairs = rng.integers(self.pairs, size=(len(tasks), n))
        mean = np.take_along_axis(tasks.mean_rewards, pairs, axis=1)
        return Labelled(np.eye(self.pairs)[pairs], mean + NOISE_SD * rng.standard_normal(pairs.shape), tasks.ids)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, S * A + S * A * S) every number standardised, then squashed by tanh(z / 2) into [-1, 1]."""
        # A flat Dirichlet of S has mean 1 / S and, near enough, the same standard deviation.
        rewards = (tasks.mean_rewards - REWARD_MEAN) / REWARD_SD
        transitions = tasks.transitions * self.n_states - 1
        return np.tanh(np.concatenate([rewards, transitions], axis=1) / 2).astype(np.float32)


def _normals(first: Floats, second: Floats) -> Floats:
    """Two standard normals of each two uniforms (Box and Muller 1958, Ann. Math. Stat. 29, 610)."""
    radius, angle = np.sqrt(-2 * np.log(1 - first)), 2 * np.pi * second
    return np.rint(np.concatenate([radius * np.cos(angle), radius * np.sin(angle)]) * GRID) / GRID


def _flat_dirichlet(unit: Floats) -> Floats:
    """Dirichlet(1, …, 1) over axis 1 of uniforms: exponentials over their sum (Devroye 1986, section XI.4)."""
    weights = np.log(1 - unit)
    weights *= -GRID
    np.floor(weights, out=weights)
    weights += 1  # rounded up: a sum is never 0
    weights /= weights.sum(axis=1, keepdims=True)
    return weights
