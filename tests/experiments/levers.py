"""Two environments of which the memory ladder is known: levers of which one of each pair pays 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from metaenv import BatchedEnv, MetaEnv, Reference, Task, TaskBatch, TaskDistribution
from metaenv.policies import Policy
from metaenv.typing import Bools, Floats, Rows

UPDATES = {"n_epochs": 2, "n_minibatches": 2}
SETTINGS = {
    "num_envs": 64,
    "agent": {"network": {"hidden_size": 16, "embedding_sizes": [16]}, "learning_rate": 0.01, **UPDATES},
}


@dataclass(frozen=True)
class Levers(Task):
    family = "Levers"
    first: float
    second: float


@dataclass(frozen=True)
class LeversDistribution(TaskDistribution):
    """Which lever of each pair pays, 0 or 1; all four cases are equally frequent in the test."""

    task_type = Levers
    frozen_draws: ClassVar[Mapping[str, tuple[int, int]]] = {"test": (40, 1)}
    unit_dim: int = 2
    splits: tuple[str, ...] = ("train", "test")

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        bits = np.floor(2 * unit).T
        if split == "test":
            bits = np.array([np.arange(len(unit)) % 2, np.arange(len(unit)) // 2 % 2], float)
        return TaskBatch(Levers, dict(zip(("first", "second"), bits, strict=True)))

    def reference(self, tasks: TaskBatch) -> Reference:
        return Reference(np.full(len(tasks), 0.5), np.ones(len(tasks)))

    def task_vector(self, tasks: TaskBatch) -> Any:
        return (2 * tasks.matrix() - 1).astype(np.float32)


class LeversVectorEnv(BatchedEnv):
    """Both pairs are asked for in turn, so that the last pull says nothing of the next one.

    The first pair pays 1 and the second 0.6. Who remembers one action only does best to carry what it knows of the
    first pair to the third pull (1 + 0.3), not what it knows of the second one to the fourth (0.5 + 0.6).
    """

    trial_episodes, episode_length, reward_range = 4, 1, (0.0, 1.0)
    best_fixed = "always the left"
    training_settings: ClassVar[Mapping[str, Any]] = {"rl2": SETTINGS}
    family: ClassVar[TaskDistribution] = LeversDistribution()
    pairs: ClassVar[int] = 2

    def __init__(self, num_envs: int = 1, **settings: Any) -> None:
        super().__init__(num_envs, self.family, gym.spaces.Box(-1, 1, (1,)), gym.spaces.Discrete(2), **settings)
        self._episode, self._right = np.zeros(num_envs, np.int64), np.zeros(num_envs)

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        super().set_tasks(rows, tasks)
        self._episode[rows] = -1

    def begin(self, rows: Rows) -> None:
        self._episode[rows] += 1

    def transition(self, rows: Rows, action: Any) -> tuple[Floats, Bools, Bools]:
        tasks = self.tasks.take(np.arange(self.num_envs)[rows])
        second = self._episode[rows] % self.pairs > 0
        right = np.where(second, tasks.second, tasks.first)
        self._right[rows] = action == right
        paid = np.where(second, 0.6, 1.0) * self._right[rows]
        return paid, np.ones(len(action), bool), np.zeros(len(action), bool)

    def observe(self, rows: Rows) -> Any:
        return (self._episode[rows] % 2).astype(np.float32)[:, None]

    def report(self, rows: Rows) -> dict[str, Any]:
        return {"score": self._right[rows].copy()}

    def baselines(self) -> Mapping[str, Policy]:
        return {"always the left": Pulls([0, 0, 0, 0]), "remembers": Remembers(), "always the right": Pulls([1] * 4)}


class ShownVectorEnv(LeversVectorEnv):
    """One pair only, and the lever that pays is lit."""

    best_fixed, pairs = None, 1

    def observe(self, rows: Rows) -> Any:
        return (2 * self.tasks.take(np.arange(self.num_envs)[rows]).first - 1).astype(np.float32)[:, None]

    def baselines(self) -> Mapping[str, Policy]:
        return {}


@dataclass(frozen=True)
class Unknown(LeversDistribution):
    """Nobody has said what random play and an oracle earn, nor how a task is a vector."""

    task_vector = TaskDistribution.task_vector

    def reference(self, tasks: TaskBatch) -> Reference:
        raise NotImplementedError("unknown")


class UnknownVectorEnv(LeversVectorEnv):
    family = Unknown()


class Pulls:
    def __init__(self, actions: list[int]) -> None:
        self.actions = actions

    def start(self, env: Any, rng: Any) -> None:
        self.n, self.k = env.num_envs, 0

    def act(self, observation: Any) -> Any:
        return np.full(self.n, self.actions[self.k])

    def observe(self, action: Any, reward: Any) -> None:
        self.k += 1


class Remembers(Pulls):
    def __init__(self) -> None:
        super().__init__([0, 0, 0, 0])

    def start(self, env: Any, rng: Any) -> None:
        super().start(env, rng)
        self.known: list[Any] = []

    def act(self, observation: Any) -> Any:
        return np.zeros(self.n, int) if self.k < 2 else self.known[self.k - 2]

    def observe(self, action: Any, reward: Any) -> None:
        super().observe(action, reward)
        self.known.append(np.where(reward > 0, action, 1 - action))


class LeversEnv(MetaEnv):
    batched = LeversVectorEnv


class ShownEnv(MetaEnv):
    batched = ShownVectorEnv


class UnknownEnv(MetaEnv):
    batched = UnknownVectorEnv


for name, scalar in (("Levers", LeversEnv), ("Shown", ShownEnv), ("Unknown", UnknownEnv)):
    gym.register(f"test/{name}-v0", entry_point=scalar, vector_entry_point=scalar.batched)
