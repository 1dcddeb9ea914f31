"""Crossover and mutation for a genetic algorithm on molecules as trees of fragments.

A build sequence lists the fragments of a molecule depth first, so what hangs on one attachment is one stretch of it (a
closed attachment is a stretch of one CLOSE). Cutting the bond above a fragment is cutting out its stretch, as in
genetic programming (Koza, Genetic Programming, MIT Press 1992, chapter 6).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.assembly import Assembly
from metaenv.molecules.chem.fragments import CLOSE, MAX_ACTIONS, load_vocabulary
from metaenv.typing import Bools

Genome = list[int]
"""The actions of one molecule, without padding."""


def crossover(mother: Genome, father: Genome, rng: np.random.Generator) -> Genome:
    """The mother with one of its branches replaced by one of the father's that may be joined there.

    Where no branch fits, the child is a copy of the mother.
    """
    at = int(rng.integers(1, len(mother)))
    port = ports(mother)[at]
    fitting = [j for j in range(1, len(father)) if father[j] in _joinable()[port]]
    if not fitting:
        return list(mother)
    taken = fitting[int(rng.integers(len(fitting)))]
    return mother[:at] + father[taken : end(father, taken)] + mother[end(mother, at) :]


def mutation(parent: Genome, rng: np.random.Generator) -> Genome:
    """The parent after one of three mutations, equally likely: `exchange`, `insertion`, `deletion`."""
    return (exchange, insertion, deletion)[int(rng.integers(3))](parent, rng)


def exchange(parent: Genome, rng: np.random.Generator) -> Genome:
    """Another fragment (or CLOSE) in one place; what hung on the old one hangs on the new one as far as it has room."""
    at = int(rng.integers(len(parent)))
    options = _joinable()[ports(parent)[at]]
    action = options[int(rng.integers(len(options)))]
    branches = [parent[i : end(parent, i)] for i in children(parent, at)]
    room = opened(action, at == 0)
    kept = [branches[i] if i < len(branches) else [CLOSE] for i in range(room)]
    return [*parent[:at], action, *chain(*kept), *parent[end(parent, at) :]]


def insertion(parent: Genome, rng: np.random.Generator) -> Genome:
    """A fragment between two that were joined, or on an attachment that was closed."""
    at = int(rng.integers(1, len(parent)))
    options = _joinable()[ports(parent)[at]]
    action = options[int(rng.integers(len(options)))]
    after = end(parent, at)
    branches: list[Genome] = [[CLOSE]] * opened(action, False)
    if branches:
        branches[int(rng.integers(len(branches)))] = parent[at:after]
    return [*parent[:at], action, *chain(*branches), *parent[after:]]


def deletion(parent: Genome, rng: np.random.Generator) -> Genome:
    """One fragment less: its place is taken by one of the branches that hung on it, or closed."""
    at = int(rng.integers(1, len(parent)))
    branches = [parent[i : end(parent, i)] for i in children(parent, at)] or [[CLOSE]]
    return parent[:at] + branches[int(rng.integers(len(branches)))] + parent[end(parent, at) :]


def ports(genome: Genome) -> list[int]:
    """The open attachment that each action acts on, named by the action that joins it; 0 for the first."""
    found, stack = [0], _ports_of()[genome[0]][::-1]
    for action in genome[1:]:
        found.append(stack.pop())
        if action != CLOSE:
            stack += _ports_below()[action][::-1]
    return found


def end(genome: Genome, at: int) -> int:
    """Where the branch that begins at ``at`` ends, exclusive."""
    owed = 1
    while owed:
        owed += opened(genome[at], at == 0) - 1
        at += 1
    return at


def children(genome: Genome, at: int) -> list[int]:
    """Where the branches on the fragment at ``at`` begin."""
    found, i = [], at + 1
    for _ in range(opened(genome[at], at == 0)):
        found.append(i)
        i = end(genome, i)
    return found


def opened(action: int, first: bool) -> int:
    """How many attachments an action opens."""
    return len((_ports_of() if first else _ports_below())[action])


def legal(genomes: list[Genome]) -> Bools:
    """(n,) which genomes are build sequences of finished molecules, within the budgets."""
    fits = np.array([1 <= len(g) <= MAX_ACTIONS for g in genomes], bool)
    rows = np.flatnonzero(fits)
    if len(rows):
        wanted = padded([genomes[i] for i in rows])
        built = Assembly(len(rows))
        for step in range(MAX_ACTIONS):
            playing = np.flatnonzero((wanted[:, step] >= 0) & ~built.done)
            built.place(playing, wanted[playing, step])
        fits[rows] = built.done & (built.actions == wanted).all(axis=1)
    return fits


def padded(genomes: list[Genome]) -> NDArray[np.int16]:
    """(n, 9) build sequences, -1 after the last action."""
    out = np.full((len(genomes), MAX_ACTIONS), -1, np.int16)
    for row, genome in zip(out, genomes, strict=True):
        row[: len(genome)] = genome
    return out


def genome(sequence: NDArray[np.integer]) -> Genome:
    """A build sequence without its padding."""
    return [a for a in sequence.tolist() if a >= 0]


# PRIVATE


@lru_cache(maxsize=1)
def _joinable() -> list[tuple[int, ...]]:
    """(A,) the actions that may be put on each open attachment."""
    return [tuple(np.flatnonzero(row).tolist()) for row in load_vocabulary().allowed]


@lru_cache(maxsize=1)
def _ports_of() -> list[list[int]]:
    """(A,) the attachments of each action's fragment, in the order in which they are dealt with."""
    v = load_vocabulary()
    found = [[int(v.action[f, j]) for j in range(v.attachments[f])] for f in v.action_fragment[1:]]
    return [[], *found]


@lru_cache(maxsize=1)
def _ports_below() -> list[list[int]]:
    """(A,) the same without the one that the action joins by."""
    joins = load_vocabulary().action_attachment
    return [[p for j, p in enumerate(of) if j != joins[a]] for a, of in enumerate(_ports_of())]
