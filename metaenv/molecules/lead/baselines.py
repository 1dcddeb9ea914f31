"""Baselines for LeadOptimization: the best fixed molecule, hill climbing, and Bayes' rule on known objectives.

All of them know the libraries and their properties, as a chemist does, and the training objectives; none observes the
task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.chemistry import OWN, Chemistry
from metaenv.molecules.chem.scoring import score_table
from metaenv.molecules.lead.library import N_GROUPS, SITES, libraries
from metaenv.molecules.lead.tasks import objectives
from metaenv.policies import Policy
from metaenv.trial import VectorTrial
from metaenv.typing import Bools, Floats, Index
from metaenv.vector import Observations

PERFECT = 1 - 1e-6  # scores come in single precision
FIXED_TASKS = 512  # training objectives that a fixed molecule is chosen by (chosen)
DRAWS = 32  # objectives drawn from a belief for one decision (chosen)
CANDIDATES = 4096  # molecules compared in one decision (chosen)
TOLERANCE = 0.05
"""Standard deviation of a score about the prediction of a known objective: the hidden one is like the known ones, not
among them (chosen on validation tasks among 0.03, 0.05, 0.1 and 0.2)."""


class LeadPolicy(ABC):
    """Reads observations, and changes one R-group at a time towards the molecule that a subclass aims at."""

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        inner: Any = env.innermost
        self._env, self._rng, self._layout, self._steps = env, rng, inner.layout, int(inner.episode_length)
        self._forget(np.ones(env.num_envs, bool))

    def act(self, observation: Observations) -> NDArray[Any]:
        scaffold, choice, score, left = self._layout.read(observation)
        steps_left = np.round(left * self._steps).astype(np.intp)
        mask = self._env.action_masks().reshape(-1, SITES, N_GROUPS)
        return step_towards(choice, self._aim(scaffold, choice, score, steps_left, mask), mask)

    def observe(self, action: NDArray[Any], reward: Floats) -> None:  # noqa: B027 (nothing to do)
        """The next observation shows the molecule and its score."""

    def _forget(self, rows: Bools) -> None:  # noqa: B027 (optional)
        """A new trial begins in ``rows``."""

    @abstractmethod
    def _aim(self, scaffold: Index, choice: Index, score: Floats, steps_left: Index, mask: Bools) -> Index:
        """(n, 3) R-groups of the molecule to go to, from the present ones, ``choice`` (n, 3), and their score (n,).

        ``steps_left`` (n,) are those of the episode, this one included; ``mask`` (n, 3, R) holds the legal changes.
        """


def step_towards(choice: Index, aim: Index, mask: Bools) -> Index:
    """(n,) actions that bring a site of ``choice`` (n, 3) to what it is in ``aim`` (n, 3); stay where they are equal.

    One such change is always legal, because of all of them the one that adds the fewest heavy atoms is.
    """
    rows, sites = np.arange(len(choice))[:, None], np.arange(SITES)
    useful = (choice != aim) & mask[rows, sites, aim]
    site = useful.argmax(axis=1)
    return site * N_GROUPS + aim[rows[:, 0], site]


class FixedMolecule(LeadPolicy):
    """Goes to the molecule that is best on average over the training objectives of its scaffold."""

    def __init__(self, chemistry: Chemistry = OWN) -> None:
        self.chemistry = chemistry

    def _aim(self, scaffold: Index, choice: Index, score: Floats, steps_left: Index, mask: Bools) -> Index:
        return np.array([best_fixed(int(s), self.chemistry) for s in scaffold])


class HillClimbing(LeadPolicy):
    """Tries a random change, and takes it back if the score falls; tries nothing in the last step of an episode.

    Args:
        remembers: begin each episode by going back to the best molecule of the trial, rather than where it starts.
    """

    def __init__(self, remembers: bool) -> None:
        self.remembers = remembers

    def _forget(self, rows: Bools) -> None:
        self._best = np.zeros((len(rows), SITES), np.intp)
        self._best_score = np.full(len(rows), -1.0)

    def _aim(self, scaffold: Index, choice: Index, score: Floats, steps_left: Index, mask: Bools) -> Index:
        if not self.remembers:
            self._best_score[steps_left == self._steps] = -1.0
        better = score >= self._best_score
        self._best[better], self._best_score[better] = choice[better], score[better]
        tries = (choice == self._best).all(axis=1) & (steps_left > 1) & (score < PERFECT)
        rows, changed, other = np.arange(len(choice)), choice.copy(), mask.copy()
        other[rows[:, None], np.arange(SITES), choice] = False
        drawn = np.where(other, self._rng.random(other.shape), -1.0).reshape(len(choice), -1).argmax(axis=1)
        changed[rows, drawn // N_GROUPS] = drawn % N_GROUPS
        return np.where(tries[:, None], changed, self._best)


class BayesianChemist(LeadPolicy):
    """Weighs each training objective by how well it explains all scores so far, and aims at the molecule within reach
    that has the highest mean score under these weights."""

    def __init__(self, chemistry: Chemistry = OWN) -> None:
        self.chemistry = chemistry

    def _forget(self, rows: Bools) -> None:
        self._log_weight: list[Floats | None] = [None] * len(rows)

    def _aim(self, scaffold: Index, choice: Index, score: Floats, steps_left: Index, mask: Bools) -> Index:
        rows = zip(range(len(choice)), scaffold.tolist(), choice, score.tolist(), steps_left.tolist(), strict=True)
        return np.array([self._best_by_belief(*row) for row in rows], np.intp)

    def _best_by_belief(self, row: int, scaffold: int, choice: Index, score: float, reach: int) -> Index:
        known, prior = libraries(self.chemistry), objectives(scaffold, "train", self.chemistry)
        here = known.numbers(np.array([scaffold]), choice[None])
        expected = score_table(known.values[here], prior)[:, 0]
        before = self._log_weight[row]
        weight = (0.0 if before is None else before) - 0.5 * np.square((score - expected) / TOLERANCE)
        self._log_weight[row] = weight
        if score >= PERFECT:
            return choice
        # Objectives by their weights (systematic resampling: Kitagawa, J. Comput. Graph. Stat. 5, 1996).
        total = np.cumsum(np.exp(weight - weight.max()))
        points = (np.arange(DRAWS) + self._rng.random()) / DRAWS * total[-1]
        drawn, times = np.unique(np.minimum(np.searchsorted(total, points), len(total) - 1), return_counts=True)
        within = np.flatnonzero((known.choice[known.of(scaffold)] != choice).sum(axis=1) <= reach)
        if len(within) > CANDIDATES:
            within = within[self._rng.integers(len(within), size=CANDIDATES)]
        members = within + known.start[scaffold]
        mean = times @ score_table(known.values[members], prior.take(drawn))
        return known.choice[members[mean.argmax()]].astype(np.intp)


@lru_cache(maxsize=32)
def best_fixed(scaffold: int, chemistry: Chemistry = OWN) -> tuple[int, ...]:
    """R-groups of the molecule with the highest mean score over training objectives on a scaffold, held out or not."""
    known, tasks = libraries(chemistry), objectives(scaffold, "train", chemistry)
    some = tasks.take(np.linspace(0, len(tasks) - 1, FIXED_TASKS).astype(np.intp))
    parts = np.split(np.arange(FIXED_TASKS), FIXED_TASKS // 32)
    mean = sum(score_table(known.values[known.of(scaffold)], some.take(part)).sum(axis=0) for part in parts)
    return tuple(known.choice[known.start[scaffold] + int(np.argmax(mean))].tolist())


def baselines(chemistry: Chemistry = OWN) -> dict[str, Policy]:
    """The best fixed molecule, hill climbing without and with memory of the trial, and Bayes' rule, by name."""
    return {
        "best fixed molecule": FixedMolecule(chemistry),
        "hill climbing": HillClimbing(remembers=False),
        "hill climbing, remembering": HillClimbing(remembers=True),
        "Bayesian chemist": BayesianChemist(chemistry),
    }
