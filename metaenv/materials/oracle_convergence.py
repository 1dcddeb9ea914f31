"""How much ten times the search, from another seed, finds above the stored oracles: ``metaenv bench oracles``.

The other oracles are no searches: enumerated, by dynamic programming, in closed form, certified by a molecule of score
1, or, in target selection, a policy that plans.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeVar

import numpy as np

from metaenv.markdown import table
from metaenv.materials.oracle import SEARCHES, Search, oracle
from metaenv.materials.system.distribution import SystemDistribution
from metaenv.materials.system.options import COMPOUNDS
from metaenv.materials.system.oracle import Search as SystemSearch
from metaenv.materials.system.oracle import oracle as oracle_of_system
from metaenv.materials.tasks import SolidStateDistribution
from metaenv.tasks import TaskBatch
from metaenv.typing import Floats

SEED = 77  # of the harder searches; any that the stored ones do not have
BAR = 0.01
"""What a harder search may find more, on average over a list."""
TASKS = 32  # of each list (chosen)
AT_ONCE = 8  # tasks, for the sake of memory

AnySearch = TypeVar("AnySearch", bound=Search)
Searched = Literal["system", "recipe", "full"]
SEARCHED: tuple[Searched, ...] = ("system", "recipe", "full")
"""Variants of MaterialsSynthesis; the oracle of FurnaceControl is that of "recipe"."""


def harder(search: AnySearch) -> AnySearch:
    """A search of at least ten times as many experiments: a denser cover, and more, wider and longer chains."""
    return replace(
        search,
        cover=10 * search.cover,
        chains=2 * search.chains,
        proposals=2 * search.proposals,
        rounds=3 * search.rounds,
    )


def gains(variant: Searched, split: str, tasks: int = TASKS) -> Floats:
    """(tasks,) what a harder search finds more than the stored oracle, of tasks spread evenly over a frozen list.

    It is negative where the stored one is better.
    """
    frozen = _distribution(variant).frozen(split)
    rows = np.unique(np.linspace(0, len(frozen) - 1, tasks).astype(int))
    rng, search = np.random.default_rng(SEED), _harder_search(variant)
    found = [search(frozen.tasks.take(rows[i : i + AT_ONCE]), rng) for i in range(0, len(rows), AT_ONCE)]
    return np.concatenate(found) - frozen.reference.oracle[rows]


def _distribution(variant: Searched) -> SystemDistribution | SolidStateDistribution:
    return SystemDistribution() if variant == "system" else SolidStateDistribution(variant)


def _harder_search(variant: Searched) -> Callable[[TaskBatch, np.random.Generator], Floats]:
    """What finds the best utilities (n,) of tasks."""

    def of_system(tasks: TaskBatch, rng: np.random.Generator) -> Floats:
        compounds = [np.full(len(tasks), e) for e in range(COMPOUNDS)]
        return np.mean([oracle_of_system(tasks, e, rng, harder(SystemSearch()))[0] for e in compounds], axis=0)

    def of_one(tasks: TaskBatch, rng: np.random.Generator) -> Floats:
        assert variant != "system"
        return oracle(tasks, rng, variant, harder(SEARCHES[variant]))[0]

    return of_system if variant == "system" else of_one


def main(tasks: int = TASKS) -> None:
    """Print what harder searches find on every frozen list; a quarter of an hour on one core."""
    rows: list[list[str]] = []
    for variant in SEARCHED:
        for split in _distribution(variant).splits[1:]:  # the first is train, which has no list
            more = gains(variant, split, tasks)
            rows.append([variant, split, str(len(more)), f"{more.mean():+.4f}", f"{more.max():+.4f}"])
            print(f"{variant}, {split}: {more.mean():+.4f}", flush=True)
    head = ["variant", "list", "tasks", "found more, mean", "found more, most"]
    print("\n".join(["", *table(head, rows, (0, 1)), "", f"Searches of ten times the size; the mean may be {BAR}."]))
