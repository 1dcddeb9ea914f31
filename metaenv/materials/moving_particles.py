"""Particle Bayes without its two handicaps: the particles move, and recipes are continuous.

`metaenv.materials.particle_bayes` keeps two thousand training materials, few of which are left after some experiments,
and chooses among 1,024 recipes. Here the particles are materials of the training distribution as points of its unit
cube, which are resampled and moved by Metropolis steps after every experiment (a resample-move filter: Gilks and
Berzuini 2001, J. R. Stat. Soc. B 63, 127), and recipes are found by search on the simulator. It knows the simulator and
how training materials are drawn, which is a privilege, and no frozen list.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.env import SIZE_SCALE
from metaenv.materials.kinetics import simulate
from metaenv.materials.measurement import shares_without_noise
from metaenv.materials.oracle import even_cover, tabulated
from metaenv.materials.particle_bayes import characterisation
from metaenv.materials.recipes import ACTION_DIM, from_action
from metaenv.materials.tasks import PARAMETERS, draw, solvable
from metaenv.materials.utility import utility
from metaenv.parameters import reflected
from metaenv.tasks import TaskBatch
from metaenv.trial import VectorTrial
from metaenv.typing import Floats
from metaenv.vector import Observations

# All chosen; the spreads are wider after one experiment, from which the particles must still find their way.
FIRST_PARTICLES, PARTICLES = 2000, 128
SWEEPS = 4  # Metropolis steps of each particle after an experiment
STEPS = (0.02, 0.06, 0.15)  # their sizes, in the unit cube
MOVED = 0.3  # share of the coordinates that a step changes
FIRST_SPREADS, SPREADS = (0.06, 0.25), (0.035, 0.15)  # of phase shares, and of ln(grain size)
SUBSTEPS = 24  # of the simulator
COVER, LOOKED_AT, REFINED_ON = 1024, 16, 64  # recipes; particles that they are tried on, first and then
TOPS, PROPOSALS, WIDTHS = 7, 13, (0.15, 0.06)  # best recipes, proposals around each, and how wide they are
CURIOSITY = 1e-3  # weight of the mean utility beside the expected improvement, which is 0 for many


class MovingParticles:
    """Expected improvement under particles that follow what has been seen; for the recipes of one step.

    It needs a laboratory with all instruments, and about a second for each experiment.
    """

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Draw training materials, and begin campaigns in which nothing is known."""
        self._rng, self._n = rng, env.num_envs
        unit = rng.random((3 * FIRST_PARTICLES, PARAMETERS.unit_dim))
        self._first = unit[solvable(draw(unit, "train"))][:FIRST_PARTICLES]
        self._particles: list[Floats] = [self._first] * self._n
        self._cover = even_cover(COVER, ACTION_DIM["recipe"], rng)
        self._actions: Floats = np.empty((self._n, 0, ACTION_DIM["recipe"]))
        self._seen: Floats = np.empty((self._n, 0, 6))
        self._best = np.full(self._n, -np.inf)
        self._incumbent = np.zeros((self._n, ACTION_DIM["recipe"]))

    def act(self, observation: Observations) -> NDArray[Any]:
        """The next recipe of each campaign."""
        log_goal = SIZE_SCALE * observation[:, 0].astype(np.float64)
        if self._actions.shape[1]:
            self._seen = np.concatenate([self._seen, characterisation(observation)[:, None]], axis=1)
        chosen = np.array([self._choose(i, float(log_goal[i])) for i in range(self._n)])
        self._actions = np.concatenate([self._actions, chosen[:, None]], axis=1)
        return chosen

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Remember the best reading, and its recipe."""
        better = np.asarray(reward) > self._best
        self._best = np.where(better, reward, self._best)
        self._incumbent = np.where(better[:, None], action, self._incumbent)

    # WHAT MATERIAL IT IS

    def _choose(self, i: int, log_goal: float) -> Floats:
        if self._actions.shape[1]:
            self._particles[i] = self._follow(i)
        return self._search(i, log_goal)

    def _follow(self, i: int) -> Floats:
        """(PARTICLES, 42) the particles of campaign ``i``, resampled and moved by all that was seen."""
        spreads = FIRST_SPREADS if self._actions.shape[1] == 1 else SPREADS
        unit, rng = self._particles[i], self._rng
        log = self._log_likelihood(i, unit, spreads)
        weight = np.exp(log - log.max())
        chosen = rng.choice(len(unit), PARTICLES, p=weight / weight.sum())
        unit, log = unit[chosen], log[chosen]
        for _ in range(SWEEPS):
            width = rng.choice(STEPS, size=(PARTICLES, 1))
            step = width * rng.standard_normal(unit.shape) * (rng.random(unit.shape) < MOVED)
            tried = reflected(unit + step)
            tried_log = self._log_likelihood(i, tried, spreads)
            accepted = np.log(rng.random(PARTICLES)) < tried_log - log
            unit, log = np.where(accepted[:, None], tried, unit), np.where(accepted, tried_log, log)
        return unit

    def _log_likelihood(self, i: int, unit: Floats, spreads: tuple[float, float]) -> Floats:
        """(p,) of everything seen in campaign ``i``.

        Whether a material that a particle has moved to could be made well is not asked: that would double the time.
        """
        k = self._actions.shape[1]
        many = draw(unit, "train").repeated(k)
        outcome = simulate(many, from_action(np.tile(self._actions[i], (len(unit), 1))), SUBSTEPS)
        shares = shares_without_noise(many, outcome).reshape(len(unit), k, -1)
        log_grain = np.log(outcome.grain_um).reshape(len(unit), k)
        misfit = np.square((shares - self._seen[i, :, :5]) / spreads[0]).sum(axis=(1, 2))
        misfit += np.square((log_grain - self._seen[i, :, 5]) / spreads[1]).sum(axis=1)
        return -0.5 * misfit

    # WHAT TO MAKE OF IT

    def _search(self, i: int, log_goal: float) -> Floats:
        """The recipe with the highest expected improvement: of a cover, then of proposals around the best."""
        tasks = draw(self._particles[i], "train")
        first = self._expected(i, tasks.take(np.arange(LOOKED_AT)), self._cover, log_goal)
        tops = self._cover[np.argsort(-first)[:TOPS]]
        if np.isfinite(self._best[i]):
            tops[-1] = self._incumbent[i]
        for width in WIDTHS:
            step = width * self._rng.standard_normal((TOPS * PROPOSALS, tops.shape[1]))
            tried = np.concatenate([tops, np.clip(np.repeat(tops, PROPOSALS, axis=0) + step, -1, 1)])
            worth = self._expected(i, tasks.take(np.arange(REFINED_ON)), tried, log_goal)
            tops = tried[np.argsort(-worth)[:TOPS]]
        return tops[0]

    def _expected(self, i: int, tasks: TaskBatch, actions: Floats, log_goal: float) -> Floats:
        """(m,) expected improvement of each action on the best reading, with a little of its mean utility."""

        def worth(rows: NDArray[np.intp], tried: Floats) -> Floats:
            recipe = from_action(tried)
            outcome = simulate(tasks.take(rows), recipe, SUBSTEPS)
            goal = np.full(len(rows), np.exp(log_goal))
            return utility(outcome.target_fraction, outcome.grain_um, goal, recipe)

        table = tabulated(len(tasks), actions, worth)
        return np.maximum(table - max(self._best[i], 0.0), 0.0).mean(axis=0) + CURIOSITY * table.mean(axis=0)
