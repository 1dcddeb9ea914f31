"""What `metaenv.telescope.build_data` wrote: frozen evaluation lists and their references."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.tasks import FrozenTasks, Reference, Task, TaskBatch

DATA = Path(__file__).parent / "data"


def load_frozen(task_type: type[Task], split: str, variant: str) -> FrozenTasks:
    """The frozen list of ``split`` with the references of ``variant``, checked against its SHA-256.

    Raises:
        TaskError: no list of that name, or a file whose numbers are not those that were frozen.
    """
    tasks, stored, sha256 = _checked(task_type, split)
    reference = Reference(*(stored[f"{kind}_{variant}"].astype(np.float64) for kind in ("random", "oracle")))
    return FrozenTasks(split, tasks, reference, sha256)


def manifest() -> dict[str, Any]:
    """Seeds, sizes, versions and hashes of all that is frozen."""
    return json.loads((DATA / "frozen.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=8)
def _checked(task_type: type[Task], split: str) -> tuple[TaskBatch, dict[str, NDArray[Any]], str]:
    lists = manifest()["splits"]
    if split not in lists:
        raise TaskError(f"there is no frozen list {split!r}.{nearest(split, lists)}")
    with np.load(DATA / f"{split}.npz", allow_pickle=False) as file:
        stored = dict(file)
    tasks = TaskBatch(task_type, {f.name: stored[f.name].astype(np.float64) for f in fields(task_type)})
    if tasks.sha256 != lists[split]["sha256"]:
        raise TaskError(f"{split}.npz is not the list that was frozen: its SHA-256 differs; install metaenv again")
    return tasks, stored, lists[split]["sha256"]
