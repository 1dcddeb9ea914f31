"""SparsePointRobot: a point on a plane looks for a goal on a half circle and is paid only near it.

Kate Rakelly, Aurick Zhou, Deirdre Quillen, Chelsea Finn, Sergey Levine, "Efficient Off-Policy Meta-Reinforcement
Learning via Probabilistic Context Variables" (PEARL), 2019, https://arxiv.org/abs/1903.08254; goals, step and
radius are those of the authors' own configuration (https://github.com/katerakelly/oyster).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.env import MetaEnv
from metaenv.errors import TaskError, nearest
from metaenv.layout import Block, ObservationLayout
from metaenv.tasks import FrozenTasks, Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.typing import Bools, Floats, Rows
from metaenv.vector import BatchedEnv, EnvOptions, Info, Observations

STEP = 0.1  # how far a full action goes along each axis (PEARL)
GOAL_RADIUS = 0.2  # within it the robot is paid (PEARL)
EPISODE_STEPS = 20  # PEARL
N_GOALS, N_TRAIN, GOAL_SEED = 100, 80, 1337  # PEARL
N_VALIDATION, VALIDATION_SEED = 20, 1903  # chosen
N_LOWER = 100  # goals of the split on the lower half circle (chosen)
KNOTS = 256  # of the table of densities, for each unit; chosen: finer changes nothing in the eighth decimal
RINGS, SPOKES = 24, 48  # of the quadrature over a goal's disc (chosen)


@dataclass(frozen=True)
class PointRobotTask(Task):
    """One goal. The robot starts at the origin and moves at most 0.1 along each axis in a step."""

    family: ClassVar[str] = "SparsePointRobot"
    goal_x: float
    """Between -1 and 1."""
    goal_y: float
    """Between -1 and 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if max(abs(self.goal_x), abs(self.goal_y)) > 1:
            raise TaskError(f"expected a goal within [-1, 1] on both axes, got ({self.goal_x}, {self.goal_y})")


@dataclass(frozen=True)
class PointRobotDistribution(TaskDistribution):
    """Goals on the unit half circle.

    * ``train``, ``test``: the 80 and 20 goals of PEARL: 100 angles evenly from 0 to pi, shuffled as there;
    * ``validation``: 20 goals halfway between neighbours among the 100;
    * ``ood-lower``: 100 goals on the lower half circle, which training never shows.

    Args:
        goals: what ``train`` draws from: the 80 goals (``"finite"``), or all angles in [0, pi) (``"uniform"``).
    """

    goals: Literal["finite", "uniform"] = "finite"
    task_type: ClassVar[type[Task]] = PointRobotTask
    unit_dim: int = 1
    splits: tuple[str, ...] = ("train", "validation", "test", "ood-lower")

    def __post_init__(self) -> None:
        if self.goals not in ("finite", "uniform"):
            raise ValueError(f"no goals {self.goals!r}.{nearest(self.goals, ('finite', 'uniform'))}")

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        """Goals anywhere on the upper half circle."""
        return _at(np.pi * unit[:, 0])

    def frozen_list(self, split: str) -> FrozenTasks:
        """All goals of a split other than ``train``."""
        return _frozen(split)

    def members(self, split: str) -> TaskBatch | None:
        """Every goal of a split, but of ``train`` with ``goals="uniform"``."""
        self.check_split(split)
        return None if split == "train" and self.goals == "uniform" else goals_of(split)

    def reference(self, tasks: TaskBatch) -> Reference:
        """Sparse return of an episode: of uniformly random actions, and of `oracle_returns`."""
        return Reference(random=random_returns(tasks), oracle=oracle_returns(tasks))

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """``x`` a place in the square [-1, 1]², ``y`` the dense reward there, minus the distance to the goal."""
        x = rng.uniform(-1, 1, (len(tasks), n, 2))
        return Labelled(x, -distance(x, tasks.matrix()[:, None]), tasks.ids)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """The goal's place."""
        return tasks.matrix().astype(np.float32)


def distance(places: Floats, goals: Floats) -> Floats:
    """Euclidean distance along the last axis, of size 2."""
    offset = places - goals
    return np.sqrt(offset[..., 0] ** 2 + offset[..., 1] ** 2)


def sparse_reward(away: Floats) -> Floats:
    """1 - distance within the goal's radius, else 0."""
    return np.where(away <= GOAL_RADIUS, 1.0 - away, 0.0)


@lru_cache(maxsize=8)
def goals_of(split: str) -> TaskBatch:
    """Every goal of a split of `PointRobotDistribution`, in a fixed order."""
    grid = np.linspace(0, np.pi, N_GOALS)
    if split == "validation":
        middles = (grid[1:] + grid[:-1]) / 2
        return _at(np.random.default_rng(VALIDATION_SEED).choice(middles, N_VALIDATION, replace=False))
    if split == "ood-lower":
        return _at(np.pi * (1 + (np.arange(N_LOWER) + 0.5) / N_LOWER))
    # The order is fixed by the paper's code, which seeds and uses NumPy's legacy generator.
    np.random.RandomState(GOAL_SEED).shuffle(grid)
    return _at(grid[:N_TRAIN] if split == "train" else grid[N_TRAIN:])


def _at(angles: Floats) -> TaskBatch:
    return TaskBatch(PointRobotTask, {"goal_x": np.cos(angles), "goal_y": np.sin(angles)})


@lru_cache(maxsize=8)
def _frozen(split: str) -> FrozenTasks:
    tasks = goals_of(split)
    return FrozenTasks(split, tasks, PointRobotDistribution().reference(tasks), tasks.sha256)


def oracle_returns(tasks: TaskBatch) -> Floats:
    """(n,) the highest sparse return of an episode, of a policy that knows the goal: it walks straight there and stays.

    No walk does better: it is nearest to the goal along both axes after every single step.
    """
    goals = tasks.matrix()
    places, total = np.zeros_like(goals), np.zeros(len(goals))
    for _ in range(EPISODE_STEPS):
        places = places + np.clip(goals - places, -STEP, STEP)
        total += sparse_reward(distance(places, goals))
    return total


def random_returns(tasks: TaskBatch) -> Floats:
    """(n,) expected sparse return of an episode of uniformly random actions.

    Each axis is a sum of independent uniform numbers, whose density (Irwin 1927; Hall 1927, Biometrika 19) is a
    B-spline. The reward is integrated against it over the disc of the goal by Gauss-Legendre quadrature: to eight
    decimals for the family's goals, to 1 % for goals beside the start, where the density of one step has an edge.
    """
    radius, weight = np.polynomial.legendre.leggauss(RINGS)
    radius, weight = GOAL_RADIUS * (radius + 1) / 2, GOAL_RADIUS * weight / 2
    angle = np.linspace(0, 2 * np.pi, SPOKES, endpoint=False)
    offsets = radius[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)  # (rings, spokes, 2)
    mass = (weight * radius * (1 - radius))[:, None] * np.full(SPOKES, 2 * np.pi / SPOKES)
    places = tasks.matrix()[:, None, None] + offsets
    density = sum(_density(places[..., 0], t) * _density(places[..., 1], t) for t in range(1, EPISODE_STEPS + 1))
    return np.sum(density * mass, axis=(1, 2))


def _density(x: Floats, t: int) -> Floats:
    """Of one coordinate after ``t`` random steps, each from U[-0.1, 0.1]."""
    table = _irwin_hall()[t - 1]
    return np.interp((x / STEP + t) / 2, np.arange(len(table)) / KNOTS, table, 0.0, 0.0) / (2 * STEP)


@lru_cache(maxsize=1)
def _irwin_hall() -> list[Floats]:
    """Densities of the sum of 1, 2, … 20 numbers from U[0, 1], by the recurrence of B-splines (de Boor 1972)."""
    x = np.arange(EPISODE_STEPS * KNOTS + 1) / KNOTS
    tables = [np.where(x < 1, 1.0, 0.0)]
    for t in range(2, EPISODE_STEPS + 1):
        before = tables[-1]
        shifted = np.concatenate([np.zeros(KNOTS), before[:-KNOTS]])  # of x - 1
        tables.append((x * before + (t - x) * shifted) / (t - 1))
    return tables


class SparsePointRobotVectorEnv(BatchedEnv):
    """``num_envs`` points, each with a hidden goal; see `SparsePointRobotEnv`."""

    trial_episodes: ClassVar[int] = 20
    episode_length = EPISODE_STEPS
    reward_range = (0.0, 1.0)
    best_fixed: ClassVar[str | None] = "best fixed walk"
    baselines_at: ClassVar[str] = "metaenv.classic.point_robot.baselines:baselines"

    def __init__(
        self,
        num_envs: int = 1,
        goals: Literal["finite", "uniform"] = "finite",
        **options: Unpack[EnvOptions],
    ) -> None:
        reach = STEP * EPISODE_STEPS
        super().__init__(
            num_envs,
            PointRobotDistribution(goals),
            ObservationLayout([Block("place", "x and y of the robot", -reach, reach, 2)]),
            gym.spaces.Box(-1, 1, (2,), np.float32),
            **options,
        )
        self._places = np.zeros((num_envs, 2))
        self._dense = np.zeros(num_envs)  # minus the distance to the goal, after the last move
        self._score = np.zeros(num_envs)
        self._steps = np.zeros(num_envs, np.int64)
        # Kept for pictures only: places and rewards of the episode, and of the task's earlier episodes.
        self._path = np.zeros((num_envs, EPISODE_STEPS + 1, 3))
        self._walks: list[list[Floats]] = [[] for _ in range(num_envs)]

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        super().set_tasks(rows, tasks)
        if self.render_mode:
            self._steps[rows] = 0
            for row in np.arange(self.num_envs)[rows]:
                self._walks[row] = []

    def begin(self, rows: Rows) -> None:
        if self.render_mode:
            for row in np.arange(self.num_envs)[rows]:
                if self._steps[row]:
                    self._walks[row].append(self._path[row, : self._steps[row] + 1].copy())
        self._places[rows] = 0
        self._steps[rows] = 0
        self._score[rows] = 0
        # The dense reward stays to be reported, as a trial begins the next episode within the same step.

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        places = self._places[rows] + STEP * action
        away = distance(places, self.tasks.matrix()[rows])
        reward = sparse_reward(away)
        self._places[rows], self._dense[rows] = places, -away
        self._score[rows] += reward
        self._steps[rows] += 1
        if self.render_mode:
            moved = np.concatenate([places, reward[:, None]], axis=1)
            self._path[np.arange(self.num_envs)[rows], self._steps[rows]] = moved
        return reward, np.zeros(len(reward), bool), self._steps[rows] >= EPISODE_STEPS

    def observe(self, rows: Rows) -> Observations:
        return self._places[rows].astype(np.float32)

    def report(self, rows: Rows) -> Info:
        # Not a copy: a trial asks for reports at the end of episodes only, and hands this on at every step.
        return {"score": self._score[rows].copy(), "dense_reward": self._dense[rows].copy()}

    def text(self, row: int) -> str:
        from metaenv.classic.render import point_text

        return point_text(*self._drawn(row))

    def frame(self, row: int) -> NDArray[np.uint8]:
        from metaenv.classic.render import point_frame

        return point_frame(*self._drawn(row), GOAL_RADIUS)

    def _drawn(self, row: int) -> tuple[Floats, list[Floats], int, Floats | None]:
        """The path of the episode, those before it, the steps of an episode, and the goal if it is to be told."""
        goal = self.tasks.matrix()[row] if self.draw_hidden else None
        return self._path[row, : self._steps[row] + 1], self._walks[row], EPISODE_STEPS, goal


class SparsePointRobotEnv(MetaEnv):
    """Walk on a plane and find the goal: somewhere on the unit half circle, and paid for only within 0.2 of it.

    Observation: ``Box(-2, 2, (2,))``, the robot's place. It starts every episode at the origin.

    Action: ``Box(-1, 1, (2,))``; the robot moves by 0.1 times the action.

    Reward: sparse: 1 - distance within 0.2 of the goal, else 0, both after the move. ``info["dense_reward"]`` is
    minus the distance: PEARL trains its policy on it, while context and evaluation get the sparse reward. A policy
    that declares to train on the dense reward may read it; at evaluation nobody may.
    ``info["score"]`` is the sparse return of the episode so far.

    Episode end: truncated after 20 steps. A trial is 20 episodes, 400 steps, as PEARL evaluates.

    Task: ``goal_x``, ``goal_y``. Splits: "train" and "test" are PEARL's 80 and 20 goals, "validation" 20 goals
    between them, "ood-lower" 100 goals on the lower half circle.

    References: the oracle walks straight to the goal and stays, which is optimal: 13.36 an episode on average over
    PEARL's 100 goals (11.9 to 14.8 by goal). Random is the expectation of uniformly random actions, 0.0009 for these
    goals. Policies are in `metaenv.classic.point_robot.baselines`.

    Arguments: ``goals`` ("finite": train on the 80 goals; "uniform": on the whole half circle), ``split``.

    Version history: v0, first release.
    """

    batched: ClassVar[type[BatchedEnv]] = SparsePointRobotVectorEnv
