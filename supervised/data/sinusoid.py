"""The sinusoid family of Finn, Abbeel and Levine 2017, section 5.1, https://arxiv.org/abs/1703.03400.

The yardstick of few-shot regression: amplitude and phase of a sine are the task. Not an environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np

from metaenv.parameters import Parameter, ParameterTable
from metaenv.tasks import FrozenTasks, Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.typing import Floats

X = (-5.0, 5.0)
FROZEN_SIZE, FROZEN_SEED = 2_000, 20_170_309  # chosen
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

    amplitude: Annotated[float, Parameter("The amplitude of the sine.", 0.1, 5.0, source="the paper")]
    phase: Annotated[float, Parameter("The phase of the sine.", 0.0, np.pi, "rad", source="the paper")]


TABLE = ParameterTable(SinusoidTask)


@dataclass(frozen=True)
class SinusoidDistribution(TaskDistribution):
    """Sines of amplitude U[0.1, 5] and phase U[0, pi], seen at x U[-5, 5] without noise.

    ``validation`` and ``test`` are frozen lists of 2,000 draws of the same.
    """

    task_type: ClassVar[type[Task]] = SinusoidTask
    unit_dim: int = TABLE.unit_dim
    splits: tuple[str, ...] = ("train", "validation", "test")

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        return TaskBatch(SinusoidTask, TABLE.draw(unit))

    def frozen_list(self, split: str) -> FrozenTasks:
        return _held_out(split)

    def reference(self, tasks: TaskBatch) -> Reference:
        """Minus the mean squared error: of always 0 for random, of the sine itself for the oracle."""
        x = np.linspace(*X, 1_000)
        sines = sine(tasks, np.broadcast_to(x, (len(tasks), len(x))))
        return Reference(-np.mean(sines**2, axis=1), np.zeros(len(tasks)))

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """``x`` (tasks, n, 1) uniform in [-5, 5], ``y`` (tasks, n)."""
        x = rng.uniform(*X, size=(len(tasks), n))
        return Labelled(x[:, :, None], sine(tasks, x), tasks.ids)


def sine(tasks: TaskBatch, x: Floats) -> Floats:
    """The values of each task's sine at x (tasks, n)."""
    return tasks.amplitude[:, None] * np.sin(x - tasks.phase[:, None])


@lru_cache(maxsize=2)
def _held_out(split: str) -> FrozenTasks:
    distribution, seed = SinusoidDistribution(), (FROZEN_SEED, {"validation": 1, "test": 2}[split])
    tasks = distribution.draw(np.random.default_rng(seed).random((FROZEN_SIZE, TABLE.unit_dim)), split)
    return FrozenTasks(split, tasks, distribution.reference(tasks), tasks.sha256)
