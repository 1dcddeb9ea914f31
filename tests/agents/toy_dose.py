"""A third party's family with nothing but what is required: find a hidden dose of two drugs, in milligrams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from metaenv import BatchedEnv, Reference, Task, TaskBatch, TaskDistribution
from metaenv.env import MetaEnv
from metaenv.typing import Bools, Floats, Rows
from metaenv.vector import Observations

LOW, HIGH = np.array([0.0, -5.0], np.float32), np.array([100.0, -1.0], np.float32)


@dataclass(frozen=True)
class Patient(Task):
    family: ClassVar[str] = "TwoDrugs"
    best: tuple[float, ...]
    """(2,) the doses that work best, as shares of the range of each."""


@dataclass(frozen=True)
class Patients(TaskDistribution):
    task_type: ClassVar[type[Task]] = Patient
    frozen_draws: ClassVar[Mapping[str, tuple[int, int]]] = {"test": (50, 1), "ood-frail": (20, 2)}
    unit_dim: int = 2
    splits: tuple[str, ...] = ("train", "test", "ood-frail")

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        return TaskBatch(Patient, {"best": 0.2 * unit if split == "ood-frail" else 0.2 + 0.8 * unit})

    def reference(self, tasks: TaskBatch) -> Reference:
        return Reference(np.zeros(len(tasks)), np.ones(len(tasks)))


class TwoDrugsVectorEnv(BatchedEnv):
    trial_objective: ClassVar[str] = "best"
    episode_length: ClassVar[int] = 1

    def __init__(self, num_envs: int = 1, **settings: Any) -> None:
        space = gym.spaces.Box(0, 1, (1,), np.float32)
        super().__init__(num_envs, Patients(), space, gym.spaces.Box(LOW, HIGH, dtype=np.float32), **settings)
        self._tried = np.zeros((num_envs, 1), np.float32)

    def begin(self, rows: Rows) -> None:
        self._tried[rows] = 0

    def transition(self, rows: Rows, action: Floats) -> tuple[Floats, Bools, Bools]:
        self._tried[rows] = 1
        share = (action - LOW) / (HIGH - LOW)
        effect = 1 - np.square(share - self.tasks.take(rows).best).sum(axis=1)
        return effect, np.ones(len(action), bool), np.zeros(len(action), bool)

    def observe(self, rows: Rows) -> Observations:
        return self._tried[rows].copy()


class TwoDrugsEnv(MetaEnv):
    batched: ClassVar[type[BatchedEnv]] = TwoDrugsVectorEnv
