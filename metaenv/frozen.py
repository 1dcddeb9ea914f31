"""Frozen lists on disk: the tasks of a split and what is stored with them, checked against the hash of its numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.tasks import FrozenTasks, Reference, Task, TaskBatch


@dataclass(frozen=True)
class FrozenStore:
    """The frozen lists of a family: a file ``SPLIT.npz`` each, and a manifest with their sizes and SHA-256 hashes.

    Attributes:
        folder: where the files are.
        task_type: whose fields the files hold, as arrays of single precision.
        manifest_name: file of the manifest, JSON.
    """

    folder: Path
    task_type: type[Task]
    manifest_name: str = "frozen.json"

    def manifest(self) -> dict[str, Any]:
        """Seeds, sizes, versions and hashes of all that is frozen."""
        return json.loads((self.folder / self.manifest_name).read_text(encoding="utf-8"))

    def write_manifest(self, version: int, seed: int, splits: Mapping[str, Any], **made_with: Any) -> None:
        """Write what `manifest` reads; ``made_with`` are versions and settings that the lists depend on."""
        told = {"version": version, "seed": seed, "made_with": {**made_with, "numpy": np.__version__}, "splits": splits}
        (self.folder / self.manifest_name).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")

    def arrays(self, split: str) -> Mapping[str, NDArray[Any]]:
        """All that is stored for a split, by name. Raises as `tasks`."""
        return _read(self, split)[1]

    def tasks(self, split: str) -> TaskBatch:
        """The tasks of a split.

        Raises:
            TaskError: there is no list of that name, or the numbers of the file are not those that were frozen.
        """
        return _read(self, split)[0]

    def frozen(self, split: str, variant: str) -> FrozenTasks:
        """The list of a split with the references of a variant, stored as ``random_VARIANT`` and ``oracle_VARIANT``."""
        tasks, stored = _read(self, split)
        reference = Reference(*(stored[f"{kind}_{variant}"].astype(np.float64) for kind in ("random", "oracle")))
        return FrozenTasks(split, tasks, reference, tasks.sha256)


@lru_cache(maxsize=16)
def _read(store: FrozenStore, split: str) -> tuple[TaskBatch, dict[str, NDArray[Any]]]:
    lists = store.manifest()["splits"]
    if split not in lists:
        raise TaskError(f"there is no frozen list {split!r}.{nearest(split, lists)}")
    with np.load(store.folder / f"{split}.npz", allow_pickle=False) as file:
        stored = dict(file)
    columns = {f.name: stored[f.name].astype(np.float64) for f in fields(store.task_type) if f.name in stored}
    tasks = TaskBatch(store.task_type, columns)
    if tasks.sha256 != lists[split]["sha256"]:
        raise TaskError(f"{split}.npz is not the list that was frozen: its SHA-256 differs; install metaenv again")
    return tasks, stored
