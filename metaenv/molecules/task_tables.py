"""Distributions whose splits are tables of tasks, and evaluation lists drawn from these, with their hashes on file."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from metaenv.errors import TaskError
from metaenv.molecules.chem.fragments import DATA
from metaenv.tasks import FrozenTasks, TaskBatch, TaskDistribution


class TabulatedDistribution(TaskDistribution):
    """Every split is a table of tasks, each as likely as the others; but for ``train``, a sample of it is frozen.

    The sample is drawn anew in every process, and must have the hash that it had when it was frozen.
    """

    unit_dim: int = 1
    frozen_file: ClassVar[str]
    """In ``data/``: the hashes, written by `metaenv.molecules.build.build_data`."""
    frozen_sizes: ClassVar[Mapping[str, int]]
    """How many tasks the evaluation list of a split has at most."""

    @abstractmethod
    def all_tasks(self, split: str) -> TaskBatch:
        """Every task of a split, those too that its evaluation list leaves out."""

    @abstractmethod
    def frozen_seed(self, split: str) -> list[int]:
        """The seed that the evaluation list of a split is drawn with."""

    def manifest(self) -> dict[str, Any]:
        """Sizes and hashes of the evaluation lists, as they were frozen, by split."""
        return read_json(self.frozen_file)["frozen"]

    def draw_list(self, split: str) -> TaskBatch:
        """The evaluation list of a split, drawn anew: some of its tasks, or all if they are few."""
        tasks = self.all_tasks(split)
        order = np.random.default_rng(self.frozen_seed(split)).permutation(len(tasks))
        drawn = tasks.take(np.sort(order[: self.frozen_sizes[split]]))
        drawn.ids  # noqa: B018 (computed once for all)
        return drawn

    def hashes(self, tasks: TaskBatch) -> dict[str, str]:
        """What must be the same for an evaluation list as when it was frozen."""
        return {"sha256": tasks.sha256}

    def sizes(self) -> dict[str, Any]:
        """What `manifest` would be, were the lists frozen now."""
        found: dict[str, Any] = {"train": {"tasks": len(self.all_tasks("train"))}}
        for split in self.splits[1:]:
            drawn = self.draw_list(split)
            found[split] = {"tasks": len(self.all_tasks(split)), "n": len(drawn), **self.hashes(drawn)}
        return found

    def check_list(self, split: str, tasks: TaskBatch) -> None:
        """Raise TaskError unless an evaluation list is the one that was frozen."""
        if not self.hashes(tasks).items() <= self.manifest()[split].items():
            raise TaskError(f"the list {split!r} of {self} is not the one that was frozen; install metaenv again")

    def members(self, split: str) -> TaskBatch:
        """All tasks of ``train``; of another split its evaluation list, checked against its hash."""
        self.check_split(split)
        return self.all_tasks("train") if split == "train" else _listed(self, split)

    def frozen_list(self, split: str) -> FrozenTasks:
        """The evaluation list of a split, with references."""
        return _frozen(self, split)


@lru_cache(maxsize=32)
def _listed(distribution: TabulatedDistribution, split: str) -> TaskBatch:
    tasks = distribution.draw_list(split)
    distribution.check_list(split, tasks)
    return tasks


@lru_cache(maxsize=32)
def _frozen(distribution: TabulatedDistribution, split: str) -> FrozenTasks:
    tasks = _listed(distribution, split)
    return FrozenTasks(split, tasks, distribution.reference(tasks), tasks.sha256)


def read_json(name: str) -> dict[str, Any]:
    """A file in ``data/``."""
    return json.loads((DATA / name).read_text(encoding="utf-8"))
