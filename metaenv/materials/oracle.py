"""The best recipe of a known material, by search on the simulator itself.

An even cover of the action space, then a few chains of shrinking Gaussian proposals from its best points. The
utility has kinks and several hills but few dimensions and no noise, so that plain search is enough: two independent
searches agree (see tests/materials/test_oracle.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.kinetics import simulate
from metaenv.materials.laboratory import DEFAULT, Laboratory
from metaenv.materials.recipes import ACTION_DIM, Recipe, Variant, from_action, to_action
from metaenv.materials.schedule import DEFAULT_SUBSTEPS
from metaenv.materials.utility import utility
from metaenv.tasks import TaskBatch
from metaenv.typing import Floats, Index

ROWS = 16_384  # experiments simulated at once, for the sake of memory


@dataclass(frozen=True)
class Search:
    """How hard to look; all chosen, for two searches to agree within 0.005 on average."""

    cover: int = 768
    """Points of the even cover."""
    chains: int = 8
    proposals: int = 12
    """A round and chain."""
    rounds: int = 16
    widest: float = 0.4
    narrowest: float = 0.01
    """Standard deviations of the first and last proposals, in units of actions in [-1, 1]."""


SEARCHES: dict[Variant, Search] = {"recipe": Search(), "full": Search(2048, 8, 20, 36)}


def true_utility(
    tasks: TaskBatch, recipe: Recipe, substeps: int = DEFAULT_SUBSTEPS, laboratory: Laboratory = DEFAULT
) -> Floats:
    """(n,) worth of each recipe made from its task's material, without noise."""
    outcome = simulate(tasks, recipe, substeps)
    return utility(outcome.target_fraction, outcome.grain_um, tasks.goal_um, recipe, laboratory)


def utility_table(tasks: TaskBatch, actions: Floats, variant: Variant, laboratory: Laboratory = DEFAULT) -> Floats:
    """(n, m) true utility of ``actions`` (n, m, d), or of the same ones (m, d) for every task."""

    def worth(rows: Index, tried: Floats) -> Floats:
        recipe = from_action(tried, variant, laboratory)
        return true_utility(tasks.take(rows), recipe, laboratory=laboratory)

    return tabulated(len(tasks), actions, worth)


def tabulated(n: int, actions: Floats, worth: Callable[[Index, Floats], Floats]) -> Floats:
    """(n, m) what ``worth`` says of ``actions`` (n, m, d), or of the same ones (m, d), in each of ``n`` rows.

    It is called with rows (k,) and an action for each (k, d), in blocks for the sake of memory.
    """
    shared, m = actions.ndim == 2, actions.shape[-2]
    table = np.empty((n, m))
    block = max(1, ROWS // m)
    for start in range(0, n, block):
        rows = np.arange(start, min(start + block, n))
        tried = np.tile(actions, (len(rows), 1)) if shared else actions[rows].reshape(len(rows) * m, -1)
        table[rows] = worth(np.repeat(rows, m), tried).reshape(-1, m)
    return table


def even_cover(n: int, dim: int, rng: np.random.Generator) -> Floats:
    """(n, dim) actions spread evenly over [-1, 1]: a Kronecker sequence with a random shift.

    Step: powers of the root of x^(dim+1) = x + 1 (M. Roberts 2018, "The unreasonable effectiveness of quasirandom
    sequences").
    """
    root = 2.0
    for _ in range(60):
        root = (1.0 + root) ** (1.0 / (dim + 1))
    step = root ** -np.arange(1.0, dim + 1)
    return 2.0 * ((rng.random(dim) + np.arange(n)[:, None] * step) % 1.0) - 1.0


def oracle(
    tasks: TaskBatch,
    seed: int | np.random.Generator,
    variant: Variant = "recipe",
    search: Search | None = None,
    laboratory: Laboratory = DEFAULT,
) -> tuple[Floats, Floats]:
    """The best recipe found for each task by a policy who knows it.

    Args:
        tasks: n tasks.
        seed: of the search.
        variant: which actions.
        search: how hard to look; by default what `SEARCHES` says for the variant.
        laboratory: whose recipes, and at whose costs.

    Returns:
        Best true utility (n,) and the action that has it (n, d).
    """
    rng = np.random.default_rng(seed)
    search = search or SEARCHES[variant]

    def propose(at: Floats, width: float) -> Floats:
        step = proposed_steps((*at.shape[:2], search.proposals, at.shape[2]), width, rng)
        return np.clip(at[:, :, None] + step, -1.0, 1.0)

    at, value = _first_chains(tasks, variant, search, rng, laboratory)
    return climbed(at, value, search, propose, lambda tried: utility_table(tasks, tried, variant, laboratory))


def _first_chains(
    tasks: TaskBatch, variant: Variant, search: Search, rng: np.random.Generator, laboratory: Laboratory
) -> tuple[Floats, Floats]:
    """The best points of an even cover; in the full variant also the best one of the variant "recipe"."""
    cover = even_cover(search.cover, ACTION_DIM[variant], rng)
    values = utility_table(tasks, cover, variant, laboratory)
    at, value = best_of(np.broadcast_to(cover, (len(tasks), *cover.shape)), values, search.chains)
    if variant == "recipe":
        return at, value
    best, simple = oracle(tasks, rng, "recipe", laboratory=laboratory)
    in_air = from_action(simple, laboratory=laboratory)
    as_full = to_action(in_air, variant, laboratory)
    return np.concatenate([at, as_full[:, None]], axis=1), np.concatenate([value, best[:, None]], axis=1)


# CHAINS OF PROPOSALS


def best_of(actions: Floats, values: Floats, count: int) -> tuple[Floats, Floats]:
    """The best ``count`` of actions (n, m, d) by their values (n, m), and these; the best first."""
    first = np.argsort(-values, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(actions, first[..., None], axis=1), np.take_along_axis(values, first, axis=1)


def proposed_steps(shape: tuple[int, ...], width: float, rng: np.random.Generator) -> Floats:
    """Gaussian steps; some change few coordinates, which is what narrow ridges need."""
    step = width * rng.standard_normal(shape)
    return step * (rng.random(shape) < 0.6)


def climbed(
    at: Floats,
    value: Floats,
    search: Search,
    propose: Callable[[Floats, float], Floats],
    worth: Callable[[Floats], Floats],
) -> tuple[Floats, Floats]:
    """Let chains climb, each to the best of its proposals if that is better than where it is.

    Args:
        at: (n, chains, d) where they begin.
        value: (n, chains) what they have there.
        search: how many rounds, and how wide proposals are.
        propose: proposals (n, chains, p, d) around where the chains are, by their width.
        worth: values (n, m) of actions (n, m, d).

    Returns:
        The best value (n,) and the action that has it (n, d).
    """
    n, chains, d = at.shape
    for width in np.geomspace(search.widest, search.narrowest, search.rounds):
        tried = propose(at, width)
        table = worth(tried.reshape(n, -1, d)).reshape(n, chains, -1)
        pick = np.argmax(table, axis=2)[..., None]
        new_value = np.take_along_axis(table, pick, axis=2)[..., 0]
        new_at = np.take_along_axis(tried, pick[..., None], axis=2)[:, :, 0]
        better: NDArray[np.bool_] = new_value > value
        at, value = np.where(better[..., None], new_at, at), np.where(better, new_value, value)
    rows, best = np.arange(n), np.argmax(value, axis=1)
    return value[rows, best], at[rows, best]
