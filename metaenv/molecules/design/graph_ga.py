"""Crossover and mutation for a genetic algorithm on molecules as trees of fragments.

A build sequence lists the fragments of a molecule depth first, so what hangs on one attachment is one stretch of it (a
closed attachment is a stretch of one CLOSE). Cutting the bond above a fragment is cutting out its stretch, as in
genetic programming (Koza, Genetic Programming, MIT Press 1992, chapter 6).
"""

from __future__ import annotations

from itertools import chain

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.assembly import Assembly
from metaenv.molecules.chem.fragments import CLOSE, Vocabulary
from metaenv.typing import Bools

Genome = list[int]
"""The actions of one molecule, without padding."""


def genome(sequence: NDArray[np.integer]) -> Genome:
    """A build sequence without its padding."""
    return [a for a in sequence.tolist() if a >= 0]


class Trees:
    """What is done to genomes of a vocabulary.

    Args:
        vocabulary: fragments and actions.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        v = self._vocabulary = vocabulary
        self._joinable = [tuple(np.flatnonzero(row).tolist()) for row in v.allowed]
        """(A,) the actions that may be put on each open attachment."""
        found = [[int(v.action[f, j]) for j in range(v.attachments[f])] for f in v.action_fragment[1:]]
        self._ports_of = [[], *found]
        """(A,) the attachments of each action's fragment, in the order in which they are dealt with."""
        joins = v.action_attachment
        self._ports_below = [[p for j, p in enumerate(of) if j != joins[a]] for a, of in enumerate(self._ports_of)]
        """(A,) the same without the one that the action joins by."""

    def crossover(self, mother: Genome, father: Genome, rng: np.random.Generator) -> Genome:
        """The mother with one of its branches replaced by one of the father's that may be joined there.

        Where no branch fits, the child is a copy of the mother.
        """
        at = int(rng.integers(1, len(mother)))
        port = self.ports(mother)[at]
        fitting = [j for j in range(1, len(father)) if father[j] in self._joinable[port]]
        if not fitting:
            return list(mother)
        taken = fitting[int(rng.integers(len(fitting)))]
        return mother[:at] + father[taken : self.end(father, taken)] + mother[self.end(mother, at) :]

    def mutation(self, parent: Genome, rng: np.random.Generator) -> Genome:
        """The parent after one of three mutations, equally likely: `exchange`, `insertion`, `deletion`."""
        return (self.exchange, self.insertion, self.deletion)[int(rng.integers(3))](parent, rng)

    def exchange(self, parent: Genome, rng: np.random.Generator) -> Genome:
        """Another fragment (or CLOSE) in one place; what hung on the old one hangs on the new one, if there is room."""
        at = int(rng.integers(len(parent)))
        options = self._joinable[self.ports(parent)[at]]
        action = options[int(rng.integers(len(options)))]
        branches = [parent[i : self.end(parent, i)] for i in self.children(parent, at)]
        room = self.opened(action, at == 0)
        kept = [branches[i] if i < len(branches) else [CLOSE] for i in range(room)]
        return [*parent[:at], action, *chain(*kept), *parent[self.end(parent, at) :]]

    def insertion(self, parent: Genome, rng: np.random.Generator) -> Genome:
        """A fragment between two that were joined, or on an attachment that was closed."""
        at = int(rng.integers(1, len(parent)))
        options = self._joinable[self.ports(parent)[at]]
        action = options[int(rng.integers(len(options)))]
        after = self.end(parent, at)
        branches: list[Genome] = [[CLOSE]] * self.opened(action, False)
        if branches:
            branches[int(rng.integers(len(branches)))] = parent[at:after]
        return [*parent[:at], action, *chain(*branches), *parent[after:]]

    def deletion(self, parent: Genome, rng: np.random.Generator) -> Genome:
        """One fragment less: its place is taken by one of the branches that hung on it, or closed."""
        at = int(rng.integers(1, len(parent)))
        branches = [parent[i : self.end(parent, i)] for i in self.children(parent, at)] or [[CLOSE]]
        return parent[:at] + branches[int(rng.integers(len(branches)))] + parent[self.end(parent, at) :]

    def ports(self, genome: Genome) -> list[int]:
        """The open attachment that each action acts on, named by the action that joins it; 0 for the first."""
        found, stack = [0], self._ports_of[genome[0]][::-1]
        for action in genome[1:]:
            found.append(stack.pop())
            if action != CLOSE:
                stack += self._ports_below[action][::-1]
        return found

    def end(self, genome: Genome, at: int) -> int:
        """Where the branch that begins at ``at`` ends, exclusive."""
        owed = 1
        while owed:
            owed += self.opened(genome[at], at == 0) - 1
            at += 1
        return at

    def children(self, genome: Genome, at: int) -> list[int]:
        """Where the branches on the fragment at ``at`` begin."""
        found, i = [], at + 1
        for _ in range(self.opened(genome[at], at == 0)):
            found.append(i)
            i = self.end(genome, i)
        return found

    def opened(self, action: int, first: bool) -> int:
        """How many attachments an action opens."""
        return len((self._ports_of if first else self._ports_below)[action])

    def legal(self, genomes: list[Genome]) -> Bools:
        """(n,) which genomes are build sequences of finished molecules, within the budgets."""
        fits = np.array([1 <= len(g) <= self._vocabulary.max_actions for g in genomes], bool)
        rows = np.flatnonzero(fits)
        if len(rows):
            wanted = self.padded([genomes[i] for i in rows])
            built = Assembly(len(rows), self._vocabulary)
            for step in range(self._vocabulary.max_actions):
                playing = np.flatnonzero((wanted[:, step] >= 0) & ~built.done)
                built.place(playing, wanted[playing, step])
            fits[rows] = built.done & (built.actions == wanted).all(axis=1)
        return fits

    def padded(self, genomes: list[Genome]) -> NDArray[np.int16]:
        """(n, L) build sequences, -1 after the last action."""
        out = np.full((len(genomes), self._vocabulary.max_actions), -1, np.int16)
        for row, genome in zip(out, genomes, strict=True):
            row[: len(genome)] = genome
        return out
