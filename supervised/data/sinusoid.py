"""The sinusoid family of Finn, Abbeel and Levine 2017, section 5.1, https://arxiv.org/abs/1703.03400.

The yardstick of few-shot regression: amplitude and phase of a sine are the task. Not an environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from metaenv.tasks import FrozenTasks, Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.typing import Floats

AMPLITUDE = (0.1, 5.0)
PHASE = (0.0, np.pi)
X = (-5.0, 5.0)
FROZEN_SIZE, FROZEN_SEED = 2_000, 20_170_309  # chosen
HELD_OUT = {"validation": 1, "test": 2}
PAPER: dict[str, Any] = {
    "inner_lr": 0.01,
    "inner_steps": 1,
    "learning_rate": 1e-3,
    "tasks_per_batch": 25,
    "sizes": (40, 40),
    "scale": "none",
}
"""Settings of MAML there (section 5.1 and the authors' code), for ``make_learner("maml", problem, **PAPER)``; it trains
70,000 updates with K = 10. Trained with the K that it is tested on, 5, it does better after several steps than that."""


@dataclass(frozen=True)
class SinusoidTask(Task):
    """y = amplitude * sin(x - phase)."""

    family: ClassVar[str] = "Sinusoid"

    amplitude: float
    """0.1-5."""
    phase: float
    """0-pi."""


@dataclass(frozen=True)
class SinusoidDistribution(TaskDistribution):
    """Sines of amplitude U[0.1, 5] and phase U[0, pi], seen at x U[-5, 5] without noise.

    ``validation`` and ``test`` are frozen lists of 2,000 draws of the same.
    """

    task_type: ClassVar[type[Task]] = SinusoidTask
    unit_dim: int = 2
    splits: tuple[str, ...] = ("train", "validation", "test")

    def from_unit(self, unit: Floats, split: str) -> TaskBatch:
        """Tasks for points of the unit cube; in frozen splits the first coordinate picks one of the list."""
        if split != "train":
            tasks = self.frozen(split).tasks
            return tasks.take((unit[:, 0] * len(tasks)).astype(np.intp))
        return _from_unit(unit)

    def frozen(self, split: str) -> FrozenTasks:
        """The frozen list of ``validation`` or ``test``."""
        self.check_split(split)
        if split == "train":
            raise ValueError("the training split is endless; the frozen ones are validation and test")
        tasks = _held_out(split)
        return FrozenTasks(split, tasks, self.reference(tasks), tasks.sha256)

    def reference(self, tasks: TaskBatch) -> Reference:
        """Minus the mean squared error: of always 0 for random, of the sine itself for the oracle."""
        x = np.linspace(*X, 1_000)
        sines = sine(tasks, np.broadcast_to(x, (len(tasks), len(x))))
        return Reference(-np.mean(sines**2, axis=1), np.zeros(len(tasks)))

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """``x`` (tasks, n, 1) uniform in [-5, 5], ``y`` (tasks, n)."""
        x = rng.uniform(*X, size=(len(tasks), n))
        return Labelled(x[:, :, None], sine(tasks, x), tasks.ids)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, 2) amplitude and phase, scaled to [-1, 1]."""
        low, high = np.array([AMPLITUDE, PHASE]).T
        return (2 * (np.stack([tasks.amplitude, tasks.phase], axis=1) - low) / (high - low) - 1).astype(np.float32)


def sine(tasks: TaskBatch, x: Floats) -> Floats:
    """The values of each task's sine at x (tasks, n)."""
    return tasks.amplitude[:, None] * np.sin(x - tasks.phase[:, None])


def _from_unit(unit: Floats) -> TaskBatch:
    (low, high), (early, late) = AMPLITUDE, PHASE
    columns = {"amplitude": low + (high - low) * unit[:, 0], "phase": early + (late - early) * unit[:, 1]}
    return TaskBatch(SinusoidTask, columns)


@lru_cache(maxsize=2)
def _held_out(split: str) -> TaskBatch:
    rng = np.random.default_rng([FROZEN_SEED, HELD_OUT[split]])
    return _from_unit(rng.random((FROZEN_SIZE, 2)))
