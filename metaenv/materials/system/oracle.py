"""The best recipe and options for each compound of known systems, by search on the simulator itself.

The options that suit a compound best are mostly the best ones, so that the search begins with the two best of each
group and even covers of the recipes, and goes on with chains of shrinking proposals, some of which try other options.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.oracle import ROWS, even_cover, true_utility
from metaenv.materials.system.options import PLACES, SIZES
from metaenv.materials.system.recipes import N_QUANTITIES, from_action, with_choice
from metaenv.materials.system.tasks import affinity, materials
from metaenv.tasks import TaskBatch
from metaenv.typing import Floats, Index

TWO_BEST = np.array(list(product((0, 1), repeat=len(SIZES))))
"""Ranks of options in their groups."""


@dataclass(frozen=True)
class Search:
    """How hard to look; chosen, for two searches to agree within 0.005 on average."""

    cover: int = 32
    """Recipes tried with each of the 16 combinations of the two best options of a group."""
    chains: int = 8
    proposals: int = 14
    """A round and chain."""
    rounds: int = 18
    widest: float = 0.4
    narrowest: float = 0.01
    """Standard deviations of the first and last proposals, in units of actions in [-1, 1]."""
    other_option: float = 0.15
    """Share of proposals in which one group has another option."""


def utility_table(tasks: TaskBatch, compound: Index, actions: Floats) -> Floats:
    """(n, m) true utility of ``actions`` (n, m, 22), or of the same ones (m, 22), for a compound of each system."""
    shared, m = actions.ndim == 2, actions.shape[-2]
    table = np.empty((len(tasks), m))
    block = max(1, ROWS // m)
    for start in range(0, len(tasks), block):
        rows = np.arange(start, min(start + block, len(tasks)))
        tried = np.tile(actions, (len(rows), 1)) if shared else actions[rows].reshape(len(rows) * m, -1)
        recipe, choice = from_action(tried)
        made = materials(tasks.take(np.repeat(rows, m)), np.repeat(compound[rows], m), choice)
        table[rows] = true_utility(made, recipe).reshape(-1, m)
    return table


def oracle(
    tasks: TaskBatch, compound: Index, seed: int | np.random.Generator, search: Search | None = None
) -> tuple[Floats, Floats]:
    """The best that somebody makes of a compound of each system who knows the system.

    Args:
        tasks: n systems.
        compound: (n,) which compound of each.
        seed: of the search.
        search: how hard to look.

    Returns:
        Best true utility (n,) and the action that has it (n, 22).
    """
    rng, search = np.random.default_rng(seed), search or Search()
    n, rows = len(tasks), np.arange(len(tasks))
    suits = affinity(tasks)[rows, compound]
    best_first = [np.argsort(-suits[:, place], axis=1, kind="stable") for place in PLACES]
    choices = np.stack([order[:, TWO_BEST[:, g]] for g, order in enumerate(best_first)], axis=2)  # (n, 16, groups)
    choices = np.repeat(choices, search.cover, axis=1)
    tried = np.zeros((n, choices.shape[1], N_QUANTITIES + sum(SIZES)))
    tried[:, :, :N_QUANTITIES] = even_cover(choices.shape[1], N_QUANTITIES, rng)[rng.permutation(choices.shape[1])]
    tried = with_choice(tried.reshape(n * tried.shape[1], -1), choices.reshape(-1, len(SIZES))).reshape(tried.shape)
    value = utility_table(tasks, compound, tried)
    first = np.argsort(-value, axis=1, kind="stable")[:, : search.chains]
    at, value = tried[rows[:, None], first], np.take_along_axis(value, first, axis=1)
    for width in np.geomspace(search.widest, search.narrowest, search.rounds):
        at, value = _improve(tasks, compound, at, value, width, search, rng)
    best = np.argmax(value, axis=1)
    return value[rows, best], at[rows, best]


def _improve(
    tasks: TaskBatch,
    compound: Index,
    at: Floats,
    value: Floats,
    width: float,
    search: Search,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Each chain moves to the best of its proposals if that is better than where it is."""
    n, chains, d = at.shape
    tried = np.repeat(at[:, :, None], search.proposals, axis=2).reshape(-1, d)
    step = width * rng.standard_normal((len(tried), N_QUANTITIES))
    # Some proposals change few numbers, which is what narrow ridges need.
    step *= rng.random(step.shape) < 0.6
    tried[:, :N_QUANTITIES] = np.clip(tried[:, :N_QUANTITIES] + step, -1.0, 1.0)
    changed = np.flatnonzero(rng.random(len(tried)) < search.other_option)
    choice = from_action(tried[changed])[1]
    group = rng.integers(0, len(SIZES), len(changed))
    choice[np.arange(len(changed)), group] = (rng.random(len(changed)) * np.array(SIZES)[group]).astype(np.intp)
    tried[changed] = with_choice(tried[changed], choice)
    tried = tried.reshape(n, chains, search.proposals, d)
    table = utility_table(tasks, compound, tried.reshape(n, -1, d)).reshape(n, chains, search.proposals)
    pick = np.argmax(table, axis=2)[..., None]
    new_value = np.take_along_axis(table, pick, axis=2)[..., 0]
    new_at = np.take_along_axis(tried, pick[..., None], axis=2)[:, :, 0]
    better: NDArray[np.bool_] = new_value > value
    return np.where(better[..., None], new_at, at), np.where(better, new_value, value)
