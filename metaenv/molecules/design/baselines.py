"""Baselines for molecule design, which an agent has to beat at an equal number of scored molecules.

All of them observe what the agent observes: their own molecules and the rewards. They choose whole molecules, so each
one defines which molecule comes next (`SequencePolicy.choose`) and what is learned from its score
(`SequencePolicy.learn`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.assembly import replay
from metaenv.molecules.chem.chemistry import OWN, Chemistry
from metaenv.molecules.design.graph_ga import Genome, Trees, genome
from metaenv.molecules.design.tasks import Variant, objectives_of
from metaenv.molecules.objectives import in_split
from metaenv.molecules.reference_molecules import real_molecules, scaffold_tenths
from metaenv.policies import Policy
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index
from metaenv.vector import Observations

Sequences = NDArray[np.int16]
"""(n, L) build sequences, -1 after the last action."""
LITTER, LITTERS = 4, 4  # children born at once, and how often, until one is legal and new (chosen)


class SequencePolicy(ABC):
    """Plays whole build sequences. Molecules have different lengths, so every row has a position of its own.

    A subclass chooses the sequences in `choose`, and learns from their scores in `learn`. Where a trial is over, the
    next trial of the row begins by itself. Observations are not read.
    """

    chemistry: Chemistry = OWN
    """The environment's."""

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        n = env.num_envs
        self.episodes = env.episodes
        self.made: Index = np.zeros(n, np.intp)
        """(n,) molecules finished in each row's trial."""
        self._plan: Sequences = np.full((n, self.chemistry.vocabulary.max_actions), -1, np.int16)
        self._at: Index = np.zeros(n, np.intp)
        self.prepare(n, rng)
        self.restart(np.arange(n))

    def restart(self, rows: Index) -> None:
        """New trials begin in ``rows``; what was learned there is forgotten."""
        self.made[rows] = self._at[rows] = 0
        self.forget(rows)

    def act(self, observation: Observations) -> NDArray[Any]:
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
        most = self._plan.shape[1]
        ends = np.take_along_axis(self._plan, np.minimum(self._at, most - 1)[:, None], axis=1)[:, 0] < 0
        finished = np.flatnonzero(ends | (self._at == most))
        if len(finished) == 0:
            return
        self.learn(finished, self._plan[finished], reward[finished])
        self.made[finished] += 1
        self._at[finished] = 0
        over = finished[self.made[finished] == self.episodes]
        if len(over):
            self.restart(over)

    @abstractmethod
    def choose(self, rows: Index) -> Sequences:
        """The next molecule of each of ``rows``; legal build sequences."""

    def learn(self, rows: Index, sequences: Sequences, scores: Floats) -> None:
        """Learn from the rewards of the molecules of ``rows``: the best molecule is remembered."""
        better = scores > self.best_score[rows]
        self.best[rows[better]], self.best_score[rows[better]] = sequences[better], scores[better]

    def forget(self, rows: Index) -> None:
        """Empty the memory of ``rows``: a new trial begins there."""
        self.best_score[rows] = -np.inf

    def prepare(self, n: int, rng: np.random.Generator) -> None:
        """Make room for ``n`` rows."""
        self.rng = rng
        self.best: Sequences = np.full((n, self.chemistry.vocabulary.max_actions), -1, np.int16)
        """(n, L) the molecule of each row's trial that had the highest reward."""
        self.best_score: Floats = np.full(n, -np.inf)


class FixedMolecules(SequencePolicy):
    """Makes the same molecules in the same order for every task, and starts again when they run out.

    Args:
        sequences: (k, L) build sequences.
        chemistry: of the sequences.

    Raises:
        ValueError: one is not the build sequence of a finished molecule.
    """

    def __init__(self, sequences: Sequences, chemistry: Chemistry = OWN) -> None:
        replay(sequences, chemistry.vocabulary)
        self.chemistry = chemistry
        self.sequences = np.array(sequences, np.int16)

    def choose(self, rows: Index) -> Sequences:
        return self.sequences[self.made[rows] % len(self.sequences)]


class ScreenAndKeep(FixedMolecules):
    """Makes the molecules of a fixed set until one has a reward of ``good_enough``, and from then on that one again.

    This is the simplest policy that adapts: it chooses among the set, and knows nothing of chemistry.

    Args:
        sequences: (k, L) build sequences.
        good_enough: score worth keeping (0.2 is best of 0.05 to 0.9 on the validation tasks of every variant).
        chemistry: of the sequences.
    """

    def __init__(self, sequences: Sequences, good_enough: float = 0.2, chemistry: Chemistry = OWN) -> None:
        super().__init__(sequences, chemistry)
        self.good_enough = good_enough

    def choose(self, rows: Index) -> Sequences:
        keep = self.best_score[rows] >= self.good_enough
        return np.where(keep[:, None], self.best[rows], super().choose(rows))


class GraphGA(SequencePolicy):
    """A genetic algorithm on trees of fragments, after GB-GA (Jensen, Chem. Sci. 10, 3567, 2019).

    As there, parents are drawn with a probability proportional to their score, a child comes from the crossover of two
    at cut bonds and may mutate, and the best molecules known survive. Different are the graph (fragments, not atoms:
    every child is valid and within the budget, but no ring is cut), the generations (one child each, because every
    score counts as an experiment), and the start: not a random sample but the best fixed set, one after the other,
    and real molecules after it. In a trial of five or ten molecules the search hardly begins; with a hundred scored
    molecules it finds scores above 0.9.

    Args:
        variant: whose best fixed set it begins with.
        founders: molecules scored before the first child (chosen, for short trials).
        population: scored molecules that are kept (Jensen's 20).
        mutation_rate: share of children that mutate.
        assay_data: measurements of variant ``assay``, as the environment takes them.
        chemistry: the environment's.
    """

    def __init__(
        self,
        variant: Variant = "windows-3",
        founders: int = 3,
        population: int = 20,
        mutation_rate: float = 0.5,
        assay_data: Any = None,
        chemistry: Chemistry = OWN,
    ) -> None:
        if founders < 1 or population < 1:
            raise ValueError(f"expected founders and population of at least 1, got {founders} and {population}")
        if not 0 <= mutation_rate <= 1:
            raise ValueError(f"expected mutation_rate from 0 to 1, got {mutation_rate}")
        self.variant: Variant = variant
        self.assay_data, self.chemistry = assay_data, chemistry
        self.founders, self.population, self.mutation_rate = founders, population, mutation_rate

    def prepare(self, n: int, rng: np.random.Generator) -> None:
        super().prepare(n, rng)
        portfolio = objectives_of(self.variant, self.assay_data, self.chemistry).portfolio()
        self._fixed = [genome(s) for s in portfolio.sequences]
        self._real = real_molecules(self.chemistry).actions[in_split(scaffold_tenths(self.chemistry), "train")]
        self._trees = Trees(self.chemistry.vocabulary)
        self._genomes: list[list[Genome]] = [[] for _ in range(n)]
        self._fitness: list[list[float]] = [[] for _ in range(n)]
        self._tried: list[set[tuple[int, ...]]] = [set() for _ in range(n)]

    def forget(self, rows: Index) -> None:
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
        return self._trees.padded([chosen[row] for row in rows.tolist()])

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

    # PRIVATE

    def _stranger(self) -> Genome:
        return genome(self._real[self.rng.integers(len(self._real))])

    def _children(self, rows: list[int]) -> dict[int, Genome]:
        """One new legal child of each row's population; a real molecule where none was born."""
        found: dict[int, Genome] = {}
        for _ in range(LITTERS):
            born = [(row, self._child(row)) for row in rows if row not in found for _ in range(LITTER)]
            for (row, child), viable in zip(born, self._trees.legal([child for _, child in born]), strict=True):
                if viable and row not in found and tuple(child) not in self._tried[row]:
                    found[row] = child
        return {row: found.get(row) or self._stranger() for row in rows}

    def _child(self, row: int) -> Genome:
        child = self._trees.crossover(self._parent(row), self._parent(row), self.rng)
        return self._trees.mutation(child, self.rng) if self.rng.random() < self.mutation_rate else child

    def _parent(self, row: int) -> Genome:
        """Roulette wheel: with a probability proportional to the score, all alike where all are 0."""
        fitness = np.array(self._fitness[row])
        chance = fitness / fitness.sum() if fitness.any() else np.full(len(fitness), 1 / len(fitness))
        return self._genomes[row][int(self.rng.choice(len(fitness), p=chance))]


def baselines(variant: Variant = "windows-3", assay_data: Any = None, chemistry: Chemistry = OWN) -> dict[str, Policy]:
    """The baselines of a variant, by name; ``assay_data`` and ``chemistry`` as the environment has them.

    The best fixed molecule has the highest mean score over training tasks, and is made again and again. The best fixed
    set are ten real molecules, each of which adds most to the mean, over training tasks, of the best score so far. The
    score of its k-th molecule falls with k: as a set it shows its worth in the best score so far only.
    """
    sequences = objectives_of(variant, assay_data, chemistry).portfolio().sequences
    return {
        "best fixed molecule": FixedMolecules(sequences[:1], chemistry),
        "best fixed set": FixedMolecules(sequences, chemistry),
        "screen and keep": ScreenAndKeep(sequences, chemistry=chemistry),
        "graph GA": GraphGA(variant, assay_data=assay_data, chemistry=chemistry),
    }
