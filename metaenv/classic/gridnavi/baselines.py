"""Baselines for GridNavi: the Bayes-optimal one, posterior sampling, and the best search that forgets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.classic.gridnavi.env import PLACES, PROBLEM, SIZE
from metaenv.classic.gridnavi.exact import ON_GOAL, SearchPlan, bayes_optimal_plan, best_blind_search
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


class SearchPolicy(ABC):
    """Searches until the goal is found; then walks straight to it and stays. All trials are at the same step.

    A subclass says how it searches, in `search`.
    """

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """New trials begin: no goal is known."""
        n = env.num_envs
        self.rng = rng
        self.steps = 0
        """How many were made in this trial."""
        self.goals = np.full(n, UNKNOWN)
        """(n,) cells of the goals that were found."""
        self.cells = np.zeros(n, np.intp)
        """(n,) where the walkers are."""

    def act(self, observation: Observations) -> NDArray[Any]:
        """To the goal where it is known; else search."""
        self.cells = cells_seen(observation)
        home = step_towards(self.cells, self.goals, np.ones(len(self.cells), bool))
        return np.where(self.goals == UNKNOWN, self.search(), home)

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Learn whether the cell just reached is the goal."""
        self.cells = PROBLEM.next_cell[self.cells, action]
        self.goals = np.where(reward >= ON_GOAL, self.cells, self.goals)
        self.steps += 1

    @abstractmethod
    def search(self) -> Index:
        """(n,) moves of the walkers that look for their goal."""


class PlanPolicy(SearchPolicy):
    """Follows a search plan, over and over, until the goal is found.

    Args:
        plan: where to search.
        remembers: whether the goal is still known in the next episode.
    """

    def __init__(self, plan: SearchPlan, remembers: bool) -> None:
        self.plan, self.remembers = plan, remembers

    def act(self, observation: Observations) -> NDArray[Any]:
        """To the goal where it is known; else the plan's next move."""
        if self.steps % PROBLEM.steps == 0 and not self.remembers:
            self.goals[:] = UNKNOWN
        return super().act(observation)

    def search(self) -> Index:
        """The plan's next move."""
        episode, step = divmod(self.steps, PROBLEM.steps)
        return np.full(len(self.cells), self.plan.actions[episode % len(self.plan.actions), step])


class PosteriorSampling(SearchPolicy):
    """Each episode, draw a goal that is not excluded and walk there by a random shortest path; draw again if it is.

    Thompson, Biometrika 25, 1933; figure 1 of VariBAD sets it against the Bayes-optimal policy.
    """

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """New trials begin: every goal is possible."""
        super().start(env, rng)
        self._possible = np.zeros((env.num_envs, len(PLACES)), bool)
        self._possible[:, PROBLEM.goal_cells] = True

    def search(self) -> Index:
        """Towards the goal drawn."""
        if self.steps % PROBLEM.steps == 0:
            self._drawn = self._draw()
        return step_towards(self.cells, self._drawn, self.rng.random(len(self.cells)) < 0.5)

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Exclude the cells reached as goals, known goals too, as nobody searches for those any more."""
        super().observe(action, reward)
        rows = np.arange(len(self.cells))
        self._possible[rows, self.cells] = False
        if (stale := ~self._possible[rows, self._drawn]).any():
            self._drawn = np.where(stale, self._draw(), self._drawn)

    def _draw(self) -> Index:
        return np.where(self._possible, self.rng.random(self._possible.shape), -1).argmax(axis=1)


def baselines() -> dict[str, Policy]:
    """The best search of one episode, repeated by a policy that forgets; posterior sampling; the Bayes-optimal one."""
    return {
        "best blind search": PlanPolicy(best_blind_search(PROBLEM), remembers=False),
        "posterior sampling": PosteriorSampling(),
        "Bayes-optimal": PlanPolicy(bayes_optimal_plan(PROBLEM), remembers=True),
    }
