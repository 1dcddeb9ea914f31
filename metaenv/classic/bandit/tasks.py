"""The bandit family: k arms, each paying 1 with its own hidden probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError
from metaenv.tasks import Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.typing import Floats

FROZEN_DRAWS = {"validation": (1_000, 1_611_027), "test": (10_000, 1_611_028)}  # sizes, and seeds (any would do)


@dataclass(frozen=True)
class BanditTask(Task):
    """One bandit."""

    family: ClassVar[str] = "BernoulliBandit"
    probabilities: tuple[float, ...]
    """Chance of a reward of 1, for each arm; between 0 and 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.probabilities or not all(0 <= p <= 1 for p in self.probabilities):
            raise TaskError(f"expected at least one probability, each in [0, 1], got {self.probabilities}")


@dataclass(frozen=True)
class BanditDistribution(TaskDistribution):
    """Arms' probabilities drawn independently from U[0, 1] (Duan et al. 2016, arXiv 1611.02779, section 3.1)."""

    n_arms: int = 5
    task_type: ClassVar[type[Task]] = BanditTask
    frozen_draws: ClassVar[Mapping[str, tuple[int, int]]] = FROZEN_DRAWS
    splits: tuple[str, ...] = ("train", "validation", "test")

    @property
    def unit_dim(self) -> int:  # type: ignore[override]
        """One uniform number for each arm."""
        return self.n_arms

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        """A point of the unit cube is a bandit's probabilities."""
        return TaskBatch(BanditTask, {"probabilities": np.ascontiguousarray(unit)})

    def reference(self, tasks: TaskBatch) -> Reference:
        """Expected reward of one pull: of a random arm, and of the best arm."""
        return Reference(random=tasks.probabilities.mean(axis=1), oracle=tasks.probabilities.max(axis=1))

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """Random pulls: ``x`` the arm (one-hot), ``y`` the reward."""
        arms = rng.integers(self.n_arms, size=(len(tasks), n))
        chance = np.take_along_axis(tasks.probabilities, arms, axis=1)
        rewards = (rng.random(arms.shape) < chance).astype(np.float64)
        return Labelled(np.eye(self.n_arms)[arms], rewards, tasks.ids)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """The probabilities, from [0, 1] to [-1, 1]."""
        return (2 * tasks.probabilities - 1).astype(np.float32)
