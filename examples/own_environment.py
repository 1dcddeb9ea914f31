"""A family of tasks of your own, in one file: find the hidden dose. It passes the conformance tests.

python examples/own_environment.py
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from metaenv import BatchedEnv, FrozenTasks, Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.env import MetaEnv
from metaenv.testing import check_meta_env, check_vector_env
from metaenv.typing import Floats, Rows


@dataclass(frozen=True)
class DoseTask(Task):
    """One patient."""

    family: ClassVar[str] = "Dose"
    best_mg: float
    """The dose that works best, 10-90 mg."""
    width_mg: float
    """How far from it a dose still works, 5-20 mg."""


@dataclass(frozen=True)
class DoseDistribution(TaskDistribution):
    """Patients; frail ones, who need little, are kept for testing beyond what was trained on."""

    task_type: ClassVar[type[Task]] = DoseTask
    unit_dim: int = 2
    splits: tuple[str, ...] = ("train", "test", "ood-frail")

    def from_unit(self, unit: Floats, split: str) -> TaskBatch:
        low, high = (10, 30) if split == "ood-frail" else (30, 90)
        if split != "train":
            tasks = self.frozen(split).tasks
            return tasks.take((unit[:, 0] * len(tasks)).astype(np.intp))
        return self._tasks(unit, low, high)

    def _tasks(self, unit: Floats, low: float, high: float) -> TaskBatch:
        columns = {"best_mg": low + (high - low) * unit[:, 0], "width_mg": 5 + 15 * unit[:, 1]}
        return TaskBatch(DoseTask, columns)

    def frozen(self, split: str) -> FrozenTasks:
        low, high = (10, 30) if split == "ood-frail" else (30, 90)
        tasks = self._tasks(np.random.default_rng(len(split)).random((100, 2)), low, high)
        return FrozenTasks(split, tasks, self.reference(tasks), tasks.sha256)

    def reference(self, tasks: TaskBatch) -> Reference:
        doses = np.linspace(0, 100, 201)
        return Reference(random=effect(tasks.repeated(201), np.tile(doses, len(tasks))).reshape(-1, 201).mean(axis=1),
                         oracle=np.ones(len(tasks)))  # fmt: skip

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        doses = rng.uniform(0, 100, (len(tasks), n))
        y = effect(tasks.repeated(n), doses.ravel()).reshape(len(tasks), n)
        return Labelled(doses[..., None], y, tasks.ids)

    def context(self, tasks: TaskBatch) -> np.ndarray[Any, np.dtype[np.float32]]:
        return np.stack([tasks.best_mg / 50 - 1, tasks.width_mg / 12.5 - 1], axis=1).astype(np.float32)


def effect(tasks: TaskBatch, dose_mg: Floats) -> Floats:
    """(n,) 1 at the best dose, falling off as a Gaussian."""
    return np.exp(-0.5 * np.square((dose_mg - tasks.best_mg) / tasks.width_mg))


class DoseVectorEnv(BatchedEnv):
    """Give a dose (Box(-1, 1) for 0-100 mg), see a noisy effect; a trial is five doses to one patient."""

    trial_episodes: ClassVar[int] = 5
    trial_objective: ClassVar[str] = "best"
    episode_length: ClassVar[int] = 1

    def __init__(self, num_envs: int = 1, **settings: Any) -> None:
        space = gym.spaces.Box(-2, 2, (1,), np.float32)
        super().__init__(num_envs, DoseDistribution(), space, gym.spaces.Box(-1, 1, (1,), np.float32), **settings)
        self._seen = np.zeros((num_envs, 1), np.float32)

    def begin(self, rows: Rows) -> None:
        self._seen[rows] = 0

    def transition(self, rows: Rows, action: Floats) -> tuple[Floats, Any, Any]:
        reading = effect(self.tasks.take(rows), 50 * (action[:, 0] + 1)) + 0.05 * self.noise.draw(rows, 1)[:, 0]
        self._seen[rows, 0] = np.clip(reading, -2, 2)
        return reading, np.ones(len(reading), bool), np.zeros(len(reading), bool)

    def observe(self, rows: Rows) -> np.ndarray[Any, np.dtype[np.float32]]:
        return self._seen[rows].copy()


class DoseEnv(MetaEnv):
    """The scalar environment is the batch of one."""

    batched: ClassVar[type[BatchedEnv]] = DoseVectorEnv


gym.register("example/Dose-v0", entry_point=DoseEnv, vector_entry_point=DoseVectorEnv)

if __name__ == "__main__":
    check_meta_env(gym.make("example/Dose-v0"))
    check_vector_env(DoseVectorEnv)
    print("example/Dose-v0 keeps the contract: seeds, tasks, splits, autoreset modes, trials, refusals.")
