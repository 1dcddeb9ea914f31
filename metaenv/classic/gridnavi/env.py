"""GridNavi: a walker on a small grid looks for a hidden goal cell, four times over.

Luisa Zintgraf, Kyriacos Shiarlis, Maximilian Igl, Sebastian Schulze, Yarin Gal, Katja Hofmann, Shimon Whiteson,
"VariBAD: A Very Good Method for Bayes-Adaptive Deep RL via Meta-Learning", 2020, https://arxiv.org/abs/1910.08348
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.classic.gridnavi.exact import (
    MOVES,
    OFF_GOAL,
    ON_GOAL,
    Cell,
    GridProblem,
    known_goal_returns,
    random_returns,
)
from metaenv.env import MetaEnv
from metaenv.errors import TaskError
from metaenv.layout import Block, ObservationLayout
from metaenv.tasks import FrozenTasks, Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.typing import Bools, Floats, Index, Rows
from metaenv.vector import BatchedEnv, EnvOptions, Info, Observations

PROBLEM = GridProblem(size=5, steps=15, episodes=4)  # VariBAD
SIZE = PROBLEM.size


@dataclass(frozen=True)
class GridNaviTask(Task):
    """One goal cell: any of the 5 by 5 but the four around the start, (0, 0), (0, 1), (1, 0) and (1, 1)."""

    family: ClassVar[str] = "GridNavi"
    goal_x: int
    """Column, from 0 to 4."""
    goal_y: int
    """Row, from 0 to 4."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.goal_x, self.goal_y) not in PROBLEM.goals:
            raise TaskError(
                f"expected a goal cell from (0, 0) to (4, 4) outside the start's 2 by 2, "
                f"got ({self.goal_x}, {self.goal_y})"
            )


@dataclass(frozen=True)
class GridNaviDistribution(TaskDistribution):
    """All 21 goals, equally likely, in every split.

    The family is closed: it has these members and no others, so "test" holds no goal that "train" lacks, and a
    score on it says how well a policy searches, not how well it generalises. VariBAD evaluates the same way.
    """

    task_type: ClassVar[type[Task]] = GridNaviTask
    closed: ClassVar[bool] = True
    unit_dim: int = 1
    splits: tuple[str, ...] = ("train", "validation", "test")

    def members(self, split: str) -> TaskBatch:
        """Every goal, whatever the split."""
        self.check_split(split)
        return every_goal()

    def frozen_list(self, split: str) -> FrozenTasks:
        """Every goal once, whatever the split."""
        goals = every_goal()
        return FrozenTasks(split, goals, self.reference(goals), goals.sha256)

    def reference(self, tasks: TaskBatch) -> Reference:
        """Return of an episode, exactly: expected of uniformly random actions, and of walking straight to the goal."""
        index = np.searchsorted(PROBLEM.goal_cells, cell_numbers(tasks))
        return Reference(random=random_returns(PROBLEM)[index], oracle=known_goal_returns(PROBLEM)[index])

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """``x`` a random cell, scaled as in the observation, ``y`` the reward of a step that ends there."""
        cells = rng.integers(SIZE**2, size=(len(tasks), n))
        rewards = np.where(cells == cell_numbers(tasks)[:, None], ON_GOAL, OFF_GOAL)
        return Labelled(PLACES[cells].astype(np.float64), rewards, tasks.ids)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """The goal's place, scaled as in the observation."""
        return PLACES[cell_numbers(tasks)]


PLACES = (np.stack(np.divmod(np.arange(SIZE**2), SIZE), axis=1) * 2 / (SIZE - 1) - 1).astype(np.float32)
"""(25, 2): column and row of each cell, from 0-4 to [-1, 1]."""


@lru_cache(maxsize=1)
def every_goal() -> TaskBatch:
    """The 21 members of the family."""
    x, y = np.array(PROBLEM.goals).T
    return TaskBatch(GridNaviTask, {"goal_x": x, "goal_y": y})


def cell_numbers(tasks: TaskBatch) -> Index:
    """(n,) numbers of the goals' cells."""
    return (SIZE * tasks.goal_x + tasks.goal_y).astype(np.intp)


class GridNaviVectorEnv(BatchedEnv):
    """``num_envs`` walkers, each with a hidden goal; see `GridNaviEnv`."""

    trial_episodes: ClassVar[int] = PROBLEM.episodes
    episode_length = PROBLEM.steps
    reward_range = (OFF_GOAL, ON_GOAL)
    best_fixed: ClassVar[str | None] = "best blind search"
    baselines_at: ClassVar[str] = "metaenv.classic.gridnavi.baselines:baselines"

    def __init__(
        self,
        num_envs: int = 1,
        **options: Unpack[EnvOptions],
    ) -> None:
        super().__init__(
            num_envs,
            GridNaviDistribution(),
            ObservationLayout([Block("place", "column and row of the walker, 0-4 scaled", -1, 1, 2)]),
            gym.spaces.Discrete(len(MOVES)),
            **options,
        )
        self._cells = np.zeros(num_envs, np.intp)
        self._goals = np.zeros(num_envs, np.intp)
        self._score = np.zeros(num_envs)
        self._steps = np.zeros(num_envs, np.int64)
        self._path = np.zeros((num_envs, PROBLEM.steps + 1), np.intp)  # cells of the episode; kept for pictures only
        self._entered = np.zeros((num_envs, SIZE**2), bool)  # cells entered on the task; kept for pictures only

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        super().set_tasks(rows, tasks)
        if self.render_mode:
            self._entered[rows] = np.arange(SIZE**2) == 0  # the start is no goal

    def begin(self, rows: Rows) -> None:
        self._cells[rows] = 0
        self._goals[rows] = cell_numbers(self.tasks.take(rows))
        self._score[rows], self._steps[rows] = 0.0, 0

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        cells = PROBLEM.next_cell[self._cells[rows], action]
        reward = np.where(cells == self._goals[rows], ON_GOAL, OFF_GOAL)
        self._cells[rows] = cells
        self._score[rows] += reward
        self._steps[rows] += 1
        if self.render_mode:
            index = np.arange(self.num_envs)[rows]
            self._path[index, self._steps[rows]] = cells
            self._entered[index, cells] = True
        return reward, np.zeros(len(reward), bool), self._steps[rows] >= PROBLEM.steps

    def observe(self, rows: Rows) -> Observations:
        return PLACES[self._cells[rows]]

    def report(self, rows: Rows) -> Info:
        return {"score": self._score[rows].copy()}

    def text(self, row: int) -> str:
        from metaenv.classic.render import grid_text

        return grid_text(*self._drawn(row))

    def frame(self, row: int) -> NDArray[np.uint8]:
        from metaenv.classic.render import grid_frame

        return grid_frame(*self._drawn(row))

    def _drawn(self, row: int) -> tuple[list[Cell], list[Cell], Cell | None, int, str]:
        """The path, all cells entered, the goal if it was found or is to be told, the grid's size, and a line."""
        path, known = self._path[row, : self._steps[row] + 1], np.flatnonzero(self._entered[row])
        goal = self._goals[row] if self.draw_hidden or self._entered[row, self._goals[row]] else None
        head = f"step {self._steps[row]} of {PROBLEM.steps}, return of the episode {self._score[row]:.1f}"
        return [*map(as_cell, path)], [*map(as_cell, known)], None if goal is None else as_cell(goal), SIZE, head


def as_cell(number: int | np.intp) -> Cell:
    """Column and row of a cell."""
    return divmod(int(number), SIZE)


class GridNaviEnv(MetaEnv):
    """Walk on a 5 by 5 grid and find the hidden goal cell; the next episodes can go straight to it.

    Observation: ``Box(-1, 1, (2,))``, the walker's column and row, 0-4 scaled to [-1, 1]. It starts every episode
    in the corner (0, 0).

    Action: ``Discrete(5)``: stay, up (row + 1), right (column + 1), down, left; all always allowed. A move against
    a wall stays.

    Reward: +1 for every step that ends on the goal, else -0.1. ``info["score"]`` is the return of the episode so far.

    Episode end: truncated after 15 steps. A trial is four episodes.

    Task: ``goal_x``, ``goal_y``: 21 goals, all cells but the 2 by 2 of the start. The family is closed: every
    split ("train", "validation", "test") plays all 21, as in VariBAD, and nothing is held out.

    References, exact, in `metaenv.classic.gridnavi.exact`: a policy that knows the goal gets 11.0714 an episode on
    average. The best search gets 4.0000 in a first episode and covers 14 goals. The Bayes-optimal trial gets
    37.2143: the same 4.0000 first, and 11.0714 in each of the other three, because the seven goals that are left
    lie on one shortest path. Random play gets -1.1655. Policies are in `metaenv.classic.gridnavi.baselines`.

    Arguments: ``split``.

    Version history: v0, first release.
    """

    batched: ClassVar[type[BatchedEnv]] = GridNaviVectorEnv
