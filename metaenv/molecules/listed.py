"""Distributions over finite lists of tasks."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from metaenv.errors import TaskError
from metaenv.tasks import FrozenTasks, TaskBatch, TaskDistribution
from metaenv.typing import Floats


class FiniteTaskDistribution(TaskDistribution):
    """Every split is a list of tasks, each as likely as the others; all but ``train`` are frozen.

    A subclass says in `_training` and `_frozen` which tasks these are.
    """

    unit_dim: int = 1

    def from_unit(self, unit: Floats, split: str) -> TaskBatch:
        """Tasks for points (n, 1): one of the split's."""
        tasks = self.members(split)
        return tasks.take((unit[:, 0] * len(tasks)).astype(np.intp))

    def members(self, split: str) -> TaskBatch:
        """All tasks of a split, each once."""
        self.check_split(split)
        return self._training() if split == "train" else self._listed(split)

    def frozen(self, split: str) -> FrozenTasks:
        """The frozen list of a split, checked against its hash; ``train`` has none, `members` gives all of it."""
        self.check_split(split)
        if split == "train":
            raise TaskError("split 'train' has no frozen list; members('train') gives all its tasks")
        return self._frozen(split)

    @abstractmethod
    def _training(self) -> TaskBatch:
        """All tasks of ``train``."""

    @abstractmethod
    def _frozen(self, split: str) -> FrozenTasks:
        """The frozen list of another split, with references."""

    def _listed(self, split: str) -> TaskBatch:
        """The tasks of that list; a subclass whose references are costly gives them without."""
        return self._frozen(split).tasks
