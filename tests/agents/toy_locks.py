"""Trials of different lengths, and a teacher for them: locks of which one key is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv import BatchedEnv, Reference, Task, TaskBatch, TaskDistribution
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Rows

KEYS = 4


@dataclass(frozen=True)
class Lock(Task):
    family: ClassVar[str] = "Lock"
    key: float


@dataclass(frozen=True)
class LockDistribution(TaskDistribution):
    task_type: ClassVar[type[Task]] = Lock
    unit_dim: int = 1
    splits: tuple[str, ...] = ("train",)
    scale: float = 1.0
    """Of the context, which is one-hot at 1."""

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        return TaskBatch(Lock, {"key": np.floor(KEYS * unit[:, 0])})

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        return (self.scale * np.eye(KEYS)[tasks.key.astype(int)]).astype(np.float32)

    def reference(self, tasks: TaskBatch) -> Reference:
        raise NotImplementedError


class Locks(BatchedEnv):
    """Try a key: 1 if it is the right one. Nothing is shown; the trial shows the last key and whether it was right.

    Episodes have 2 or 3 tries, so trials of 2 episodes have 4 to 6. Best possible: the right key is found at try t
    with probability 1/4 for t = 1..4, so at try t it is known or found with probability t/4.
    """

    trial_episodes: ClassVar[int] = 2

    def __init__(self, num_envs: int = 1, scale: float = 1.0, **settings: Any) -> None:
        space = gym.spaces.Box(0, 1, (1,), np.float32)
        super().__init__(num_envs, LockDistribution(scale=scale), space, gym.spaces.Discrete(KEYS), **settings)
        self._left = np.zeros(num_envs, np.int64)

    def begin(self, rows: Rows) -> None:
        self._left[rows] = 2 + (self.dynamics.draw(rows, 1)[:, 0] < 0.5)

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Any, Any]:
        self._left[rows] -= 1
        right = (action == self.tasks.take(rows).key).astype(float)
        return right, self._left[rows] == 0, np.zeros(len(action), bool)

    def observe(self, rows: Rows) -> NDArray[np.float32]:
        return np.zeros((len(self._left[rows]), 1), np.float32)


PREVIOUS_ACTION = slice(1, 1 + KEYS)
OBSERVATION_SIZE = 1 + KEYS + 3


def locks(n: int, scale: float = 1.0) -> VectorTrial:
    return VectorTrial(Locks(n, scale))


class Locksmith:
    """Takes the right key once it was found in the trial; has no advice before."""

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        self.key = np.full(env.num_envs, -1)

    def restart(self, rows: NDArray[np.int64]) -> None:
        self.key[rows] = -1

    def act(self, observation: NDArray[np.float32]) -> NDArray[np.int64]:
        return self.key.copy()

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        self.key = np.where(reward > 0, action, self.key)
