"""What `metaenv.materials.build_data` wrote: frozen evaluation lists, their references, and recipe portfolios."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from metaenv.errors import TaskError, nearest
from metaenv.materials.recipes import Variant
from metaenv.tasks import FrozenTasks, Reference, Task, TaskBatch
from metaenv.typing import Floats

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Portfolio:
    """Recipes that are good on average over training tasks: strong baselines that never adapt."""

    recipes: Floats
    """(10, d) actions, best first: each adds most to the best utility of those before. Row 0 is the best fixed
    recipe."""
    train_score: Floats
    """(10,) mean over training tasks of the best true utility of the first 1, 2, … recipes."""


def load_frozen(task_type: type[Task], split: str, variant: Variant) -> FrozenTasks:
    """The frozen list of ``split`` with the references of ``variant``, checked against its SHA-256.

    Raises:
        TaskError: no list of that name, or a file whose numbers are not those that were frozen.
    """
    stored, sha256 = _checked(task_type, split)
    reference = Reference(random=stored[f"random_{variant}"], oracle=stored[f"oracle_{variant}"])
    return FrozenTasks(split, stored["tasks"], reference, sha256)


def load_oracle_actions(task_type: type[Task], split: str, variant: Variant) -> Floats:
    """(n, d) the oracle's recipes for the frozen list of ``split``, as actions."""
    return _checked(task_type, split)[0][f"action_{variant}"].astype(np.float64)


@lru_cache(maxsize=2)
def load_portfolio(variant: Variant) -> Portfolio:
    """The ten recipes of ``variant`` that serve training tasks best."""
    stored = json.loads((DATA / "portfolio.json").read_text())[variant]
    return Portfolio(np.array(stored["recipes"]), np.array(stored["train_score"]))


def manifest() -> dict[str, Any]:
    """Seeds, sizes, versions and hashes of all that is frozen."""
    return json.loads((DATA / "frozen.json").read_text())


@lru_cache(maxsize=8)
def _checked(task_type: type[Task], split: str) -> tuple[dict[str, Any], str]:
    lists = manifest()["splits"]
    if split not in lists:
        raise TaskError(f"there is no frozen list {split!r}.{nearest(split, lists)}")
    with np.load(DATA / f"{split}.npz", allow_pickle=False) as file:
        stored: dict[str, Any] = dict(file)
    columns = {f.name: stored[f.name].astype(np.float64) for f in fields(task_type)}
    stored["tasks"] = TaskBatch(task_type, columns)
    if stored["tasks"].sha256 != lists[split]["sha256"]:
        raise TaskError(f"{split}.npz is not the list that was frozen: its SHA-256 differs; install metaenv again")
    return stored, lists[split]["sha256"]
