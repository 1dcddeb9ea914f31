"""A family of tasks of your own, in one file: find the hidden dose. It passes the conformance tests.

python examples/own_environment.py, or metaenv train rl2 own_environment:example/Dose-v0 in this folder
"""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from metaenv import BatchedEnv, MetaEnv, Reference, Task, TaskBatch, TaskDistribution
from metaenv.testing import check_meta_env, check_vector_env
from metaenv.typing import Bools, Floats, Rows


@dataclass(frozen=True)
class Patient(Task):
    family = "Dose"
    best_mg: float  # the dose that works best for this patient, 10-90 mg
    width_mg: float  # how far from it a dose still works, 5-20 mg


@dataclass(frozen=True)
class Patients(TaskDistribution):  # frail ones, who need little, are kept for testing beyond what was trained on
    task_type = Patient
    frozen_draws = {"test": (100, 4), "ood-frail": (100, 9)}  # noqa: RUF012 (size and seed of each)
    unit_dim: int = 2
    splits: tuple[str, ...] = ("train", "test", "ood-frail")

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        low, high = (10, 30) if split == "ood-frail" else (30, 90)
        return TaskBatch(Patient, {"best_mg": low + (high - low) * unit[:, 0], "width_mg": 5 + 15 * unit[:, 1]})

    def reference(self, tasks: TaskBatch) -> Reference:
        doses_mg = np.tile(np.linspace(0, 100, 201), len(tasks))
        return Reference(effect(tasks.repeated(201), doses_mg).reshape(-1, 201).mean(axis=1), np.ones(len(tasks)))


def effect(tasks: TaskBatch, dose_mg: Floats) -> Floats:
    """(n,) 1 at the best dose, falling off as a Gaussian."""
    return np.exp(-0.5 * np.square((dose_mg - tasks.best_mg) / tasks.width_mg))


class DoseVectorEnv(BatchedEnv):
    """Give a dose (Box(-1, 1) for 0-100 mg), see a noisy effect; a trial is five doses to one patient."""

    trial_episodes, trial_objective, episode_length = 5, "best", 1

    def __init__(self, num_envs: int = 1, **settings: Any) -> None:
        super().__init__(num_envs, Patients(), gym.spaces.Box(-2, 2, (1,)), gym.spaces.Box(-1, 1, (1,)), **settings)
        self._seen = np.zeros((num_envs, 1), np.float32)

    def begin(self, rows: Rows) -> None:
        self._seen[rows] = 0

    def transition(self, rows: Rows, action: Floats) -> tuple[Floats, Bools, Bools]:
        reading = effect(self.tasks.take(rows), 50 * (action[:, 0] + 1)) + 0.05 * self.noise.draw(rows, 1)[:, 0]
        self._seen[rows, 0] = np.clip(reading, -2, 2)
        return reading, np.ones(len(reading), bool), np.zeros(len(reading), bool)

    def observe(self, rows: Rows) -> Any:
        return self._seen[rows].copy()


class DoseEnv(MetaEnv):
    batched = DoseVectorEnv  # the scalar environment is the batch of one


gym.register("example/Dose-v0", entry_point=DoseEnv, vector_entry_point=DoseVectorEnv)

if __name__ == "__main__":
    check_meta_env(gym.make("example/Dose-v0"))
    check_vector_env(DoseVectorEnv)
    print("example/Dose-v0 keeps the contract: seeds, tasks, splits, autoreset modes, trials, refusals.")
