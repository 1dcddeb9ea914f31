"""The Bayes adapter: it knows the training objectives, and infers from the scores which one it faces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.chemistry import OWN, Chemistry
from metaenv.molecules.chem.properties import properties_of
from metaenv.molecules.chem.scoring import score_table
from metaenv.molecules.design.certificates import scores_of
from metaenv.molecules.design.objective_splits import objectives
from metaenv.molecules.design.tasks import MoleculeTask, Variant
from metaenv.molecules.objectives import in_split, task_type_of
from metaenv.molecules.reference_molecules import real_molecules, scaffold_tenths
from metaenv.policies import NO_ADVICE
from metaenv.tasks import TaskBatch
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index
from metaenv.vector import Observations

N_HYPOTHESES, N_CANDIDATES = 4_000, 1_200  # chosen; windows-3 has 1,789 training objectives
SEED = 20_250_703  # of what is left out; chosen
TOLERANCE = 0.03
"""Standard deviation of a score about the prediction of a hypothesis (chosen): a hypothesis is only near the truth."""


@dataclass(frozen=True)
class Hypotheses:
    """The objectives that are possible, and the molecules that are considered."""

    tasks: TaskBatch
    """H objectives, equally likely."""
    actions: NDArray[np.int16]
    """(M, L) build sequences of the candidates."""
    scores: NDArray[np.float32]
    """(H, M) score of each candidate for each objective."""


@lru_cache(maxsize=4)
def hypotheses(variant: Variant, chemistry: Chemistry = OWN) -> Hypotheses:
    """The training objectives of a variant (a sample of the large variants), and real molecules with scaffolds of
    training. An objective of a test list is none of them: it is likened to those that differ from it in one window."""
    rng = np.random.default_rng(SEED)
    tasks = TaskBatch(task_type_of(MoleculeTask, chemistry), objectives(variant, "train", chemistry))
    tasks = tasks.take(np.sort(rng.permutation(len(tasks))[:N_HYPOTHESES]))
    known = np.flatnonzero(in_split(scaffold_tenths(chemistry), "train"))
    candidates = real_molecules(chemistry).take(np.sort(rng.permutation(known)[:N_CANDIDATES]))
    return Hypotheses(tasks, candidates.actions, scores_of(candidates, tasks).astype(np.float32))


class BayesAdapter:
    """Makes the molecule with the highest expected score, again and again.

    The posterior over the training objectives of the variant is exact up to `TOLERANCE`; no frozen list is in it. The
    choice among 1,200 real molecules is greedy, so its score is a lower bound on that of the best policy. It never
    observes the task. It can also advise a policy that builds the molecules: it names the next action of the best
    candidate that begins as the molecule does, or -1 if there is none.

    Args:
        variant, chemistry: the environment's.
    """

    tolerance = TOLERANCE

    def __init__(self, variant: Variant = "windows-3", chemistry: Chemistry = OWN) -> None:
        self.variant: Variant = variant
        self.chemistry = chemistry

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        self._design: Any = env.innermost
        self._known = self.prior()
        n, (h, m) = env.num_envs, self._known.scores.shape
        self._error = float(np.hypot(self.tolerance, self._design.noise_std))
        self._log_posterior = np.zeros((n, h), np.float32)
        self._expected = np.zeros((n, m), np.float32)
        self._fits = np.ones((n, m), bool)  # which candidates begin as the present molecule does
        self._goal = np.zeros(n, np.intp)
        self._played = np.full((n, self._known.actions.shape[1]), -1, np.int16)
        self._length = np.zeros(n, np.intp)
        self._choose(np.arange(n))

    def prior(self) -> Hypotheses:
        """What it takes for possible."""
        return hypotheses(self.variant, self.chemistry)

    def restart(self, rows: Index) -> None:
        """Begin new trials in ``rows`` with the prior."""
        self._log_posterior[rows] = 0
        self._choose(rows)

    def act(self, observation: Observations) -> NDArray[Any]:
        """(n,) the next action of each row's best candidate, -1 where none begins like its molecule."""
        astray = np.flatnonzero(~self._fits[np.arange(len(self._goal)), self._goal])
        if len(astray):
            self._goal[astray] = np.where(self._fits[astray], self._expected[astray], -1.0).argmax(axis=1)
        action = self._known.actions[self._goal, self._length]
        return np.where(self._fits.any(axis=1), action, NO_ADVICE).astype(np.int64)

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Learn from the molecules that have just been finished; the others grow."""
        rows = np.arange(len(action))
        self._played[rows, self._length] = action
        self._fits &= self._known.actions[:, self._length].T == np.asarray(action)[:, None]
        self._length += 1
        finished = np.flatnonzero(self._design.assembly.length == 0)
        if len(finished):
            self._learn(finished, reward[finished])
            self._choose(finished)

    # PRIVATE

    def _learn(self, rows: Index, scores: Floats) -> None:
        """Bayes' rule for the molecules just finished in ``rows``."""
        if self.variant.startswith("windows"):
            values = properties_of(self._played[rows], self.chemistry.vocabulary)
            predicted = score_table(values, self._known.tasks).T.astype(np.float32)
            known = np.ones(len(rows), bool)
        else:
            predicted = self._known.scores[:, self._goal[rows]].T
            known = self._fits[rows, self._goal[rows]]
        error = (predicted - scores[:, None].astype(np.float32)) / np.float32(self._error)
        # A score of exactly 0 is a molecule that breaks the constraints: it says nothing about the objective.
        self._log_posterior[rows] -= 0.5 * np.square(error) * (known & (scores != 0))[:, None]

    def _choose(self, rows: Index) -> None:
        """Begin a molecule in ``rows``: the candidate with the highest posterior mean."""
        weight = self._log_posterior[rows]
        weight = np.exp(weight - weight.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        self._expected[rows] = weight @ self._known.scores
        self._goal[rows] = self._expected[rows].argmax(axis=1)
        self._fits[rows] = True
        self._played[rows], self._length[rows] = -1, 0
