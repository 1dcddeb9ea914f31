"""Frozen lists on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from metaenv.errors import TaskError
from metaenv.frozen import FrozenStore
from metaenv.tasks import Task, TaskBatch


@dataclass(frozen=True)
class DoseTask(Task):
    """One patient."""

    family: ClassVar[str] = "StoredDose"
    best_mg: float


@pytest.fixture
def store(tmp_path: Path) -> FrozenStore:
    tasks = TaskBatch(DoseTask, {"best_mg": [10.0, 20.5]})
    references = {"random_default": np.array([0.1, 0.2]), "oracle_default": np.array([1.0, 0.9])}
    np.savez(tmp_path / "test.npz", best_mg=np.array([10.0, 20.5], np.float32), **references, note=np.arange(3))
    store = FrozenStore(tmp_path, DoseTask)
    store.write_manifest(0, 7, {"test": {"n": 2, "sha256": tasks.sha256}}, substeps=60)
    return store


def test_a_list_is_read_with_its_references(store: FrozenStore) -> None:
    frozen = store.frozen("test", "default")
    assert frozen.split == "test" and frozen.tasks.best_mg.tolist() == [10.0, 20.5]
    assert frozen.reference.random.tolist() == [0.1, 0.2] and frozen.reference.oracle.tolist() == [1.0, 0.9]
    assert store.tasks("test").sha256 == frozen.sha256 and store.arrays("test")["note"].tolist() == [0, 1, 2]
    told = store.manifest()
    assert told["seed"] == 7 and told["made_with"]["substeps"] == 60 and "numpy" in told["made_with"]


def test_an_unknown_list_is_refused_with_the_nearest_name(store: FrozenStore) -> None:
    with pytest.raises(TaskError, match=r"no frozen list 'tset'\. Did you mean 'test'"):
        store.frozen("tset", "default")


def test_a_changed_number_is_noticed(store: FrozenStore) -> None:
    np.savez(store.folder / "test.npz", best_mg=np.array([10.0, 20.75], np.float32))
    with pytest.raises(TaskError, match="SHA-256"):
        store.tasks("test")
