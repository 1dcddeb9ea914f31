"""The best recipe and options for each compound of known systems, by search on the simulator itself.

The options that suit a compound best are mostly the best ones, so that the search begins with the two best of each
group and even covers of the recipes, and goes on with chains of shrinking proposals, some of which try other options.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from metaenv.materials.oracle import Search as OfOne
from metaenv.materials.oracle import best_of, climbed, even_cover, proposed_steps, tabulated, true_utility
from metaenv.materials.system.options import PLACES, SIZES
from metaenv.materials.system.recipes import N_QUANTITIES, from_action, with_choice
from metaenv.materials.system.tasks import affinity, materials
from metaenv.tasks import TaskBatch
from metaenv.typing import Floats, Index

TWO_BEST = np.array(list(product((0, 1), repeat=len(SIZES))))
"""Ranks of options in their groups."""


@dataclass(frozen=True)
class Search(OfOne):
    """How hard to look; chosen, for two searches to agree within 0.005 on average."""

    cover: int = 32
    """Recipes tried with each of the 16 combinations of the two best options of a group."""
    proposals: int = 14
    rounds: int = 18
    other_option: float = 0.15
    """Share of proposals in which one group has another option."""


def utility_table(tasks: TaskBatch, compound: Index, actions: Floats) -> Floats:
    """(n, m) true utility of ``actions`` (n, m, 22), or of the same ones (m, 22), for a compound of each system."""

    def worth(rows: Index, tried: Floats) -> Floats:
        recipe, choice = from_action(tried)
        return true_utility(materials(tasks.take(rows), compound[rows], choice), recipe)

    return tabulated(len(tasks), actions, worth)


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
    n, suits = len(tasks), affinity(tasks)[np.arange(len(tasks)), compound]
    best_first = [np.argsort(-suits[:, place], axis=1, kind="stable") for place in PLACES]
    choices = np.stack([order[:, TWO_BEST[:, g]] for g, order in enumerate(best_first)], axis=2)  # (n, 16, groups)
    choices = np.repeat(choices, search.cover, axis=1)
    tried = np.zeros((n, choices.shape[1], N_QUANTITIES + sum(SIZES)))
    tried[:, :, :N_QUANTITIES] = even_cover(choices.shape[1], N_QUANTITIES, rng)[rng.permutation(choices.shape[1])]
    tried = with_choice(tried.reshape(n * tried.shape[1], -1), choices.reshape(-1, len(SIZES))).reshape(tried.shape)

    def propose(at: Floats, width: float) -> Floats:
        some = np.repeat(at[:, :, None], search.proposals, axis=2)
        return _changed(some.reshape(-1, at.shape[2]), width, search, rng).reshape(some.shape)

    at, value = best_of(tried, utility_table(tasks, compound, tried), search.chains)
    return climbed(at, value, search, propose, lambda actions: utility_table(tasks, compound, actions))


def _changed(actions: Floats, width: float, search: Search, rng: np.random.Generator) -> Floats:
    """Actions (m, 22) with other recipes nearby, and in some of them another option in one group."""
    step = proposed_steps((len(actions), N_QUANTITIES), width, rng)
    actions[:, :N_QUANTITIES] = np.clip(actions[:, :N_QUANTITIES] + step, -1.0, 1.0)
    changed = np.flatnonzero(rng.random(len(actions)) < search.other_option)
    choice = from_action(actions[changed])[1]
    group = rng.integers(0, len(SIZES), len(changed))
    choice[np.arange(len(changed)), group] = (rng.random(len(changed)) * np.array(SIZES)[group]).astype(np.intp)
    actions[changed] = with_choice(actions[changed], choice)
    return actions
