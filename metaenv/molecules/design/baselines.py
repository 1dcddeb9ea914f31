"""Baselines for molecule design, at equal numbers of scored molecules: what an agent has to beat.

All see what the agent sees: their own molecules and what those were paid. They choose whole molecules, so each says
only which (`SequencePolicy.choose`) and what it makes of the score (`SequencePolicy.learn`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.assembly import replay
from metaenv.molecules.chem.fragments import MAX_ACTIONS
from metaenv.molecules.chem.properties import Scores, properties_of
from metaenv.molecules.chem.scoring import HIDDEN, factors, hidden_factor
from metaenv.molecules.design.graph_ga import Genome, crossover, genome, legal, mutation, padded
from metaenv.molecules.design.tasks import Variant, objectives_of
from metaenv.molecules.property_ranges import in_split
from metaenv.molecules.reference_molecules import real_molecules, scaffold_tenths
from metaenv.policies import Policy
from metaenv.tasks import TaskBatch
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index
from metaenv.vector import Observations

Sequences = NDArray[np.int16]
"""(n, 9) build sequences, -1 after the last action."""
LITTER, LITTERS = 4, 4  # children born at once, and how often, until one is legal and new (chosen)


class SequencePolicy(ABC):
    """Plays whole build sequences; molecules have different lengths, so every row is at a place of its own.

    A subclass says in `choose` which, and in `learn` what it makes of their scores. Where a trial is over, the row's
    next one begins by itself. Observations are not read.
    """

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """New trials in every row."""
        n = env.num_envs
        self.episodes = env.episodes
        self.made: Index = np.zeros(n, np.intp)
        """(n,) molecules finished in each row's trial."""
        self._plan: Sequences = np.full((n, MAX_ACTIONS), -1, np.int16)
        self._at: Index = np.zeros(n, np.intp)
        self.prepare(n, rng)
        self._new_trials(np.arange(n))

    def restart(self, rows: Index) -> None:
        """New trials have begun in ``rows``; what was learned there is forgotten."""
        self._new_trials(np.asarray(rows, np.intp))

    def act(self, observation: Observations) -> NDArray[Any]:
        """The next action of each row's molecule."""
        fresh = np.flatnonzero(self._at == 0)
        if len(fresh):
            self._plan[fresh] = self.choose(fresh)
        return self._plan[np.arange(len(self._at)), self._at].astype(np.int64)

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """A molecule is finished when its sequence is; after the trial's last one a new trial begins by itself.

        Raises:
            ValueError: an action that `act` has not chosen.
        """
        if (np.asarray(action) != self._plan[np.arange(len(self._at)), self._at]).any():
            raise ValueError(
                f"expected the actions that act() chose, got {action}; this policy gives no advice to others"
            )
        self._at += 1
        ends = np.take_along_axis(self._plan, np.minimum(self._at, MAX_ACTIONS - 1)[:, None], axis=1)[:, 0] < 0
        finished = np.flatnonzero(ends | (self._at == MAX_ACTIONS))
        if len(finished) == 0:
            return
        self.learn(finished, self._plan[finished], reward[finished])
        self.made[finished] += 1
        self._at[finished] = 0
        over = finished[self.made[finished] == self.episodes]
        if len(over):
            self._new_trials(over)

    @abstractmethod
    def choose(self, rows: Index) -> Sequences:
        """The next molecule of each of ``rows``; legal build sequences."""

    def learn(self, rows: Index, sequences: Sequences, scores: Floats) -> None:
        """What the molecules of ``rows`` were paid: the best is remembered."""
        better = scores > self.best_score[rows]
        self.best[rows[better]], self.best_score[rows[better]] = sequences[better], scores[better]

    def forget(self, rows: Index) -> None:
        """Empty the memory of ``rows``: a new trial begins there."""
        self.best_score[rows] = -np.inf

    def prepare(self, n: int, rng: np.random.Generator) -> None:
        """Make room for ``n`` rows."""
        self.rng = rng
        self.best: Sequences = np.full((n, MAX_ACTIONS), -1, np.int16)
        """(n, 9) the molecule of each row's trial that was paid most."""
        self.best_score: Floats = np.full(n, -np.inf)

    def _new_trials(self, rows: Index) -> None:
        self.made[rows] = self._at[rows] = 0
        self.forget(rows)


class FixedMolecules(SequencePolicy):
    """The same molecules in the same order for every task; from the start again when they run out.

    Args:
        sequences: (k, 9) build sequences.

    Raises:
        ValueError: one is not the build sequence of a finished molecule.
    """

    def __init__(self, sequences: Sequences) -> None:
        replay(sequences)
        self.sequences = np.array(sequences, np.int16)

    def choose(self, rows: Index) -> Sequences:
        """The molecule after the last."""
        return self.sequences[self.made[rows] % len(self.sequences)]


def best_fixed_molecule(variant: Variant = "windows-3") -> FixedMolecules:
    """The real molecule with the highest mean score over training tasks, again and again."""
    return FixedMolecules(objectives_of(variant).portfolio().sequences[:1])


def best_fixed_set(variant: Variant = "windows-3") -> FixedMolecules:
    """Ten real molecules, each raising most the mean, over training tasks, of the best so far.

    A screening set that never adapts. Its k-th episode shows the score of its k-th molecule, which falls with k: as a
    set it shows its worth in the best so far only.
    """
    return FixedMolecules(objectives_of(variant).portfolio().sequences)


class ScreenAndKeep(FixedMolecules):
    """Makes the molecules of a fixed set until one is paid ``good_enough``, and from then on that one again.

    The simplest policy that adapts: it chooses among the set, and knows nothing of chemistry.

    Args:
        sequences: (k, 9) build sequences.
        good_enough: score worth keeping (0.2 is best of 0.05 to 0.9 on the validation tasks of every variant).
    """

    def __init__(self, sequences: Sequences, good_enough: float = 0.2) -> None:
        super().__init__(sequences)
        self.good_enough = good_enough

    def choose(self, rows: Index) -> Sequences:
        """The one to keep, or the next of the set."""
        keep = self.best_score[rows] >= self.good_enough
        return np.where(keep[:, None], self.best[rows], super().choose(rows))


def screen_and_keep(variant: Variant = "windows-3") -> ScreenAndKeep:
    """The best fixed set, screened until one of its molecules is good enough."""
    return ScreenAndKeep(objectives_of(variant).portfolio().sequences)


class GraphGA(SequencePolicy):
    """A genetic algorithm on trees of fragments, after GB-GA (Jensen, Chem. Sci. 10, 3567, 2019).

    As there, parents are drawn with a probability proportional to their score, a child comes from the crossover of two
    at cut bonds and may mutate, and the best molecules known survive. Different are the graph (fragments, not atoms:
    every child is valid and within the budget, but no ring is cut), the generations (one child each, because every
    score counts as an experiment), and the start: not a random sample but the best fixed set, one after the other,
    and real molecules after it. In a trial of five or ten molecules it hardly begins to search; `optimise` shows how
    many it needs.

    Args:
        variant: whose best fixed set it begins with.
        founders: molecules scored before the first child (chosen, for short trials).
        population: scored molecules that are kept (Jensen's 20).
        mutation_rate: share of children that mutate.
    """

    def __init__(
        self, variant: Variant = "windows-3", founders: int = 3, population: int = 20, mutation_rate: float = 0.5
    ) -> None:
        if founders < 1 or population < 1:
            raise ValueError(f"expected founders and population of at least 1, got {founders} and {population}")
        if not 0 <= mutation_rate <= 1:
            raise ValueError(f"expected mutation_rate from 0 to 1, got {mutation_rate}")
        self.variant: Variant = variant
        self.founders, self.population, self.mutation_rate = founders, population, mutation_rate

    def prepare(self, n: int, rng: np.random.Generator) -> None:
        """Empty populations."""
        super().prepare(n, rng)
        self._fixed = [genome(s) for s in objectives_of(self.variant).portfolio().sequences]
        self._real = real_molecules().actions[in_split(scaffold_tenths(), "train")]
        self._genomes: list[list[Genome]] = [[] for _ in range(n)]
        self._fitness: list[list[float]] = [[] for _ in range(n)]
        self._tried: list[set[tuple[int, ...]]] = [set() for _ in range(n)]

    def forget(self, rows: Index) -> None:
        """Empty populations in ``rows``."""
        super().forget(rows)
        for row in rows:
            self._genomes[row], self._fitness[row], self._tried[row] = [], [], set()

    def choose(self, rows: Index) -> Sequences:
        """Founders first, then children that have not been made before."""
        chosen: dict[int, Genome] = {}
        for row in rows.tolist():
            tried = len(self._tried[row])
            if tried < self.founders:
                chosen[row] = self._fixed[tried] if tried < len(self._fixed) else self._stranger()
        chosen |= self._children([row for row in rows.tolist() if row not in chosen])
        return padded([chosen[row] for row in rows.tolist()])

    def learn(self, rows: Index, sequences: Sequences, scores: Floats) -> None:
        """The best survive, of equals the younger."""
        super().learn(rows, sequences, scores)
        for row, sequence, score in zip(rows.tolist(), sequences, scores.tolist(), strict=True):
            made = genome(sequence)
            self._tried[row].add(tuple(made))
            genomes, fitness = self._genomes[row], self._fitness[row]
            genomes.append(made)
            fitness.append(max(score, 0.0))
            if len(genomes) > self.population:
                worst = int(np.argmin(fitness))
                del genomes[worst], fitness[worst]

    def optimise(self, tasks: TaskBatch, n_scored: int, rng: np.random.Generator) -> Floats:
        """How well it does with as many scored molecules as one likes; needs RDKit.

        Args:
            tasks: objectives, each optimised on its own.
            n_scored: molecules scored for each.
            rng: of all random choices.

        Returns:
            (tasks, n_scored) the best true score among the first 1, 2, … molecules.
        """
        rows, scores = np.arange(len(tasks)), Scores()
        self.prepare(len(tasks), rng)
        curve = np.zeros((len(tasks), n_scored))
        for k in range(n_scored):
            made = self.choose(rows)
            curve[:, k] = true_scores(made, tasks, scores)
            self.learn(rows, made, curve[:, k])
        return np.maximum.accumulate(curve, axis=1)

    # PRIVATE

    def _stranger(self) -> Genome:
        return genome(self._real[self.rng.integers(len(self._real))])

    def _children(self, rows: list[int]) -> dict[int, Genome]:
        """One new legal child of each row's population; a real molecule where none was born."""
        found: dict[int, Genome] = {}
        for _ in range(LITTERS):
            born = [(row, self._child(row)) for row in rows if row not in found for _ in range(LITTER)]
            for (row, child), viable in zip(born, legal([child for _, child in born]), strict=True):
                if viable and row not in found and tuple(child) not in self._tried[row]:
                    found[row] = child
        return {row: found.get(row) or self._stranger() for row in rows}

    def _child(self, row: int) -> Genome:
        child = crossover(self._parent(row), self._parent(row), self.rng)
        return mutation(child, self.rng) if self.rng.random() < self.mutation_rate else child

    def _parent(self, row: int) -> Genome:
        """Roulette wheel: with a probability proportional to the score, all alike where all are 0."""
        fitness = np.array(self._fitness[row])
        chance = fitness / fitness.sum() if fitness.any() else np.full(len(fitness), 1 / len(fitness))
        return self._genomes[row][int(self.rng.choice(len(fitness), p=chance))]


def true_scores(sequences: Sequences, tasks: TaskBatch, scores: Scores) -> Floats:
    """(n,) the score of molecule i for task i, without noise; for optimisation without an environment.

    Args:
        sequences: (n, 9) build sequences.
        tasks: n objectives.
        scores: RDKit's scores; remembers the molecules.
    """
    found = scores(sequences)
    product = factors(properties_of(sequences), tasks, found)
    product[:, HIDDEN] = hidden_factor(tasks, found, scores)
    return product.prod(axis=1)


def baselines(variant: Variant = "windows-3") -> dict[str, Policy]:
    """The baselines of a variant, by name."""
    return {
        "best fixed molecule": best_fixed_molecule(variant),
        "best fixed set": best_fixed_set(variant),
        "screen and keep": screen_and_keep(variant),
        "graph GA": GraphGA(variant),
    }
