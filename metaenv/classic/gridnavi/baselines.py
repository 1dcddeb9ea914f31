"""Baselines for GridNavi: the Bayes-optimal one, posterior sampling, and the best search that forgets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.classic.gridnavi.env import PLACES, PROBLEM, SIZE
from metaenv.classic.gridnavi.exact import ON_GOAL, GridProblem, SearchPlan, bayes_optimal_plan, best_blind_search
from metaenv.policies import Policy
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index
from metaenv.vector import Observations

STAY, UP, RIGHT, DOWN, LEFT = range(5)
UNKNOWN = -1


def cells_seen(observation: Observations) -> Index:
    """(n,) numbers of the cells that observations (n, d) of trials, or of the environment, show."""
    column, row = np.round((observation[:, :2].T + 1) * (SIZE - 1) / 2).astype(np.intp)
    return column * SIZE + row


def step_towards(cells: Index, goals: Index, column_first: NDArray[np.bool_]) -> Index:
    """(n,) actions along a shortest path from ``cells`` to ``goals``; stay when there."""
    dx = goals // SIZE - cells // SIZE
    dy = goals % SIZE - cells % SIZE
    across = np.where(dx > 0, RIGHT, np.where(dx < 0, LEFT, STAY))
    along = np.where(dy > 0, UP, np.where(dy < 0, DOWN, STAY))
    return np.where((across != STAY) & (column_first | (along == STAY)), across, along)


class WalkingPolicy(ABC):
    """What the policies share: where the walker is, how far the episode has come, and the goal once it was found."""

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """New trials begin: no goal is known."""
        n = env.num_envs
        self._rng = rng
        self._goals = np.full(n, UNKNOWN)
        self._cells = np.zeros(n, np.intp)
        self._step, self._episode = np.zeros(n, np.int64), np.zeros(n, np.int64)

    def act(self, observation: Observations) -> NDArray[Any]:
        """To the goal where it is known; else search."""
        self._cells = cells_seen(observation)
        began = observation[:, -2] > 0  # the trial's boundary flag
        self._step[began] = 0
        self._episode[began] += 1
        self._new_episode(began)
        home = step_towards(self._cells, self._goals, np.ones(len(began), bool))
        return np.where(self._goals == UNKNOWN, self._search(), home)

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Learn whether the cell just reached is the goal."""
        reached = PROBLEM.next_cell[self._cells, action]
        self._goals = np.where(reward >= ON_GOAL, reached, self._goals)
        self._step += 1
        self._exclude(reached)

    def _new_episode(self, began: NDArray[np.bool_]) -> None:  # noqa: B027 (optional)
        """Called before each action with the rows in which an episode has just begun, but for the first."""

    def _exclude(self, cells: Index) -> None:  # noqa: B027 (optional)
        """Called after each action with the cells reached."""

    @abstractmethod
    def _search(self) -> Index:
        """(n,) moves of the rows that look for their goal."""


class PlanPolicy(WalkingPolicy):
    """Follows a search plan, over and over, until the goal is found; then stays there, or walks straight to it.

    Args:
        plan: where to search.
        remembers: whether the goal is still known in the next episode.
    """

    def __init__(self, plan: SearchPlan, remembers: bool) -> None:
        self.plan, self.remembers = plan, remembers

    def _new_episode(self, began: NDArray[np.bool_]) -> None:
        if not self.remembers:
            self._goals[began] = UNKNOWN

    def _search(self) -> Index:
        step = np.minimum(self._step, self.plan.problem.steps - 1)
        return self.plan.actions[self._episode % len(self.plan.actions), step]


class PosteriorSampling(WalkingPolicy):
    """Each episode, draw a goal that is not excluded and walk there by a random shortest path; draw again if it is.

    Thompson, Biometrika 25, 1933; figure 1 of VariBAD sets it against the Bayes-optimal policy.
    """

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """See `WalkingPolicy.start`."""
        super().start(env, rng)
        self._possible = np.zeros((env.num_envs, len(PLACES)), bool)
        self._possible[:, PROBLEM.goal_cells] = True
        self._drawn = self._draw()

    def _draw(self) -> Index:
        return np.where(self._possible, self._rng.random(self._possible.shape), -1).argmax(axis=1)

    def _new_episode(self, began: NDArray[np.bool_]) -> None:
        if began.any():
            self._drawn = np.where(began, self._draw(), self._drawn)

    def _exclude(self, cells: Index) -> None:
        rows = np.arange(len(cells))
        self._possible[rows, cells] = False
        if (stale := ~self._possible[rows, self._drawn]).any():
            self._drawn = np.where(stale, self._draw(), self._drawn)

    def _search(self) -> Index:
        return step_towards(self._cells, self._drawn, self._rng.random(len(self._cells)) < 0.5)


def baselines(problem: GridProblem = PROBLEM) -> dict[str, Policy]:
    """The best search of one episode, repeated by a policy who forgets; posterior sampling; the Bayes-optimal one."""
    return {
        "best blind search": PlanPolicy(best_blind_search(problem), remembers=False),
        "posterior sampling": PosteriorSampling(),
        "Bayes-optimal": PlanPolicy(bayes_optimal_plan(problem), remembers=True),
    }
