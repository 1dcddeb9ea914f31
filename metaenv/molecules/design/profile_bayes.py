"""Bayes over the generative prior of property profiles: particles are tasks of the training stream."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from metaenv.molecules.chem.chemistry import PACKAGED, Chemistry
from metaenv.molecules.design.bayes import BayesAdapter, Hypotheses
from metaenv.molecules.design.certificates import scores_of
from metaenv.molecules.design.profiles import ProfileDistribution
from metaenv.molecules.objectives import in_split
from metaenv.molecules.reference_molecules import real_molecules, scaffold_tenths
from metaenv.tasks import TaskSampler
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index

N_PARTICLES, N_CANDIDATES = 10_000, 1_500  # chosen
SEED = 20_261_130  # of the training stream; chosen
LEAST_WEIGHT = 1e-3
BARRED = -0.5
"""What a molecule that must not be made now is worth: less than any other, and more than one that cannot be."""


@lru_cache(maxsize=4)
def particles(chemistry: Chemistry = PACKAGED["chembl"], n: int = N_PARTICLES) -> Hypotheses:
    """Tasks drawn from the split ``train``, as an agent meets them, and real molecules with scaffolds of training."""
    tasks = TaskSampler(ProfileDistribution(chemistry), "train", SEED).draw(n)
    train = np.flatnonzero(in_split(scaffold_tenths(chemistry), "train"))
    rows = np.sort(np.random.default_rng(SEED).permutation(train)[:N_CANDIDATES])
    candidates = real_molecules(chemistry).take(rows)
    pieces = np.array_split(np.arange(n), max(n // 1000, 1))
    scores = [scores_of(candidates, tasks.take(piece)).astype(np.float32) for piece in pieces]
    return Hypotheses(tasks, candidates.actions, np.concatenate(scores))


class ProfileBayes(BayesAdapter):
    """Makes the candidate with the highest expected score that it has not yet made, and advises as `BayesAdapter`.

    The prior are tasks drawn from the split ``train``. Every score reweighs them. It knows how tasks are drawn, which
    is a privilege, and reads no frozen list.

    Args:
        chemistry: the environment's.
        n_particles: how many tasks.
        remembers: False for the control that knows the last molecule and its score only. So that it makes no molecule
            twice, its k-th one is among every tenth of the candidates.
    """

    tolerance = 0.05
    """Standard deviation of a score about a particle's prediction (chosen on validation tasks among 0.05, 0.1, 0.15):
    a particle is only near the truth."""

    def __init__(
        self,
        chemistry: Chemistry = PACKAGED["chembl"],
        n_particles: int = N_PARTICLES,
        remembers: bool = True,
    ) -> None:
        super().__init__("profile", chemistry)
        self.n_particles, self.remembers = n_particles, remembers

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        n, self._episodes = env.num_envs, env.episodes
        self._made = np.zeros((n, len(self.prior().actions)), bool)
        self._count = np.zeros(n, np.intp)
        self._at_first = self.prior().scores.mean(axis=0)
        super().start(env, rng)

    def restart(self, rows: Index) -> None:
        self._made[rows], self._count[rows] = False, 0
        super().restart(rows)

    def prior(self) -> Hypotheses:
        return particles(self.chemistry, self.n_particles)

    def _learn(self, rows: Index, scores: Floats) -> None:
        if not self.remembers:
            self._log_posterior[rows] = 0
        super()._learn(rows, scores)
        self._made[rows, self._goal[rows]] |= self._fits[rows, self._goal[rows]]
        self._count[rows] += 1

    def _choose(self, rows: Index) -> None:
        """Begin a molecule in ``rows``; particles of less than a thousandth of the greatest weight are left out."""
        weight = self._log_posterior[rows]
        weight = np.exp(weight - weight.max(axis=1, keepdims=True))
        kept = weight > LEAST_WEIGHT
        for row, w, of in zip(rows.tolist(), weight, kept, strict=True):
            self._expected[row] = self._at_first if (w == 1).all() else w[of] @ self._known.scores[of] / w[of].sum()
        place = np.arange(self._expected.shape[1]) % self._episodes
        barred = self._made[rows] if self.remembers else place != self._count[rows, None] % self._episodes
        self._expected[rows] = np.where(barred, BARRED, self._expected[rows])
        self._goal[rows] = self._expected[rows].argmax(axis=1)
        self._fits[rows] = True
        self._played[rows], self._length[rows] = -1, 0
