"""Bayes over the generative prior of property profiles: particles are tasks of the training stream."""

from __future__ import annotations

import numpy as np

from metaenv.molecules.chem.chemistry import PACKAGED, Chemistry
from metaenv.molecules.design.baselines import SequencePolicy, Sequences
from metaenv.molecules.design.certificates import scores_of
from metaenv.molecules.design.profiles import ProfileDistribution
from metaenv.molecules.objectives import in_split
from metaenv.molecules.reference_molecules import real_molecules, scaffold_tenths
from metaenv.tasks import TaskBatch, TaskSampler
from metaenv.typing import Floats, Index

N_PARTICLES, N_CANDIDATES = 10_000, 1_500  # chosen
SEED = 20_261_130  # of the training stream; chosen
TOLERANCE = 0.05
"""Standard deviation of a score about a particle's prediction (chosen): a particle is only near the truth."""


class ProfileBayes(SequencePolicy):
    """Makes the molecule with the highest expected score that it has not yet made.

    The prior are tasks drawn from the split ``train``, as an agent meets them; candidates are real molecules whose
    scaffolds belong to training. Every score seen reweighs the particles. It knows how tasks are drawn, which is a
    privilege, and reads no frozen list.

    Args:
        chemistry: the environment's.
        particles: how many.
    """

    def __init__(self, chemistry: Chemistry = PACKAGED["chembl"], particles: int = N_PARTICLES) -> None:
        self.chemistry, self.n_particles = chemistry, particles
        self._known: tuple[TaskBatch, Sequences, Floats] | None = None

    @property
    def particles(self) -> TaskBatch:
        """The tasks that it takes for possible, equally likely at first."""
        return self._prior()[0]

    def prepare(self, n: int, rng: np.random.Generator) -> None:
        super().prepare(n, rng)
        tasks, self._actions, self._scores = self._prior()
        self._log_weight = np.zeros((n, len(tasks)), np.float32)
        self._chosen: Index = np.zeros(n, np.intp)
        self._made = np.zeros((n, len(self._actions)), bool)

    def forget(self, rows: Index) -> None:
        super().forget(rows)
        self._log_weight[rows], self._made[rows] = 0, False

    def choose(self, rows: Index) -> Sequences:
        weight = self._log_weight[rows]
        weight = np.exp(weight - weight.max(axis=1, keepdims=True))
        expected = (weight / weight.sum(axis=1, keepdims=True)) @ self._scores
        self._chosen[rows] = np.where(self._made[rows], -1.0, expected).argmax(axis=1)
        self._made[rows, self._chosen[rows]] = True
        return self._actions[self._chosen[rows]]

    def learn(self, rows: Index, sequences: Sequences, scores: Floats) -> None:
        super().learn(rows, sequences, scores)
        error = self._scores[:, self._chosen[rows]].T - scores[:, None].astype(np.float32)
        self._log_weight[rows] -= 0.5 * np.square(error / np.float32(TOLERANCE))

    def _prior(self) -> tuple[TaskBatch, Sequences, Floats]:
        if self._known is None:
            tasks = TaskSampler(ProfileDistribution(self.chemistry), "train", SEED).draw(self.n_particles)
            train = np.flatnonzero(in_split(scaffold_tenths(self.chemistry), "train"))
            rows = np.sort(np.random.default_rng(SEED).permutation(train)[:N_CANDIDATES])
            candidates = real_molecules(self.chemistry).take(rows)
            pieces = np.array_split(np.arange(len(tasks)), max(len(tasks) // 1000, 1))
            scores = [scores_of(candidates, tasks.take(piece)).astype(np.float32) for piece in pieces]
            self._known = tasks, candidates.actions, np.concatenate(scores)
        return self._known
