"""The particle-Bayes reference: what inference over simulated materials can do with the same experiments.

It knows the simulator and the distribution of materials, as a meta-trained agent does after enough of them. Two
thousand training materials are particles; each experiment reweights them by how well they would have shown what was
seen; the next recipe has the highest expected improvement under the weights. Recipes come from a fixed list, and a
finite set of particles needs a softened likelihood, so it is a strong reference and not an upper bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.env import LAYOUT, LAYOUT_OF_SOME, PHASES_SEEN, SIZE_SCALE
from metaenv.materials.kinetics import simulate
from metaenv.materials.laboratory import DEFAULT, Laboratory
from metaenv.materials.measurement import shares_without_noise
from metaenv.materials.oracle import even_cover
from metaenv.materials.recipes import ACTION_DIM, Variant, from_action
from metaenv.materials.tasks import SolidStateDistribution
from metaenv.materials.utility import costs, grain_fit
from metaenv.trial import VectorTrial
from metaenv.typing import Floats
from metaenv.vector import Observations

PARTICLES, RECIPES = 2000, 1024
HEAVIEST = 64  # particles that the expected improvement is taken over
PHASE_SPREAD, SIZE_SPREAD = 0.08, 0.30  # softened standard deviations; chosen on the validation split
SEED = 20_161  # chosen
ALL = slice(None)


@dataclass(frozen=True)
class Table:
    """What every recipe (M) gives with every particle (P).

    Attributes:
        variant: of the actions.
        actions: (M, d).
        costs: (M,).
        shown: (P, M, 5) phase shares through the particle's own instrument, without noise.
        target: (P, M) true share of the target.
        log_grain: (P, M) logarithm of the grain size in um.
    """

    variant: Variant
    actions: Floats
    costs: Floats
    shown: NDArray[np.float32]
    target: NDArray[np.float32]
    log_grain: NDArray[np.float32]

    def utilities(
        self, log_goal: float, laboratory: Laboratory = DEFAULT, particles: slice | NDArray[np.intp] = ALL
    ) -> Floats:
        """(p, M) true utility of every recipe for these particles, if they were asked for grains of exp(log_goal) um.

        It is `metaenv.materials.utility.utility` of outcomes that are known already.
        """
        fit = grain_fit(self.log_grain[particles] - log_goal, laboratory)
        return self.target[particles] * fit - self.costs


@lru_cache(maxsize=2)
def table(variant: Variant = "recipe", laboratory: Laboratory = DEFAULT) -> Table:
    """The table of `PARTICLES` training materials and `RECIPES` recipes; about 15 seconds for each variant."""
    return tabulate(PARTICLES, RECIPES, variant, laboratory)


def tabulate(particles: int, n_recipes: int, variant: Variant = "recipe", laboratory: Laboratory = DEFAULT) -> Table:
    """Simulate a table of so many training materials, drawn as any other, and recipes."""
    rng = np.random.default_rng(SEED)
    tasks = SolidStateDistribution(variant, laboratory).sample(particles, "train", rng)
    actions = even_cover(n_recipes, ACTION_DIM[variant], rng)
    recipes = from_action(actions, variant, laboratory)
    shown = np.empty((particles, n_recipes, 5), np.float32)
    target = np.empty((particles, n_recipes), np.float32)
    log_grain = np.empty_like(target)
    for p in range(particles):
        one = tasks.take(np.array([p])).repeated(n_recipes)
        outcome = simulate(one, recipes)
        shown[p] = shares_without_noise(one, outcome)
        target[p], log_grain[p] = outcome.target_fraction, np.log(outcome.grain_um)
    return Table(variant, actions, costs(recipes, laboratory), shown, target, log_grain)


def characterisation(observation: Observations) -> Floats:
    """(n, 6) what a trial's observation reports of the experiment before: shares of five phases, ln(grain size / um).

    It is for laboratories with all instruments.
    """
    report = observation[:, LAYOUT.width : 2 * LAYOUT.width].astype(np.float64)
    return np.column_stack([report[:, PHASES_SEEN], SIZE_SCALE * report[:, LAYOUT.column("grain size")]])


class ParticleBayes:
    """Expected improvement under reweighted training materials; for the feedback ``"phases"``.

    It learns from what the laboratory's instruments show, and needs XRD or SEM.
    """

    def __init__(self, variant: Variant = "recipe", laboratory: Laboratory = DEFAULT) -> None:
        self._variant: Variant = variant
        self._laboratory, self._missing = laboratory, laboratory.instruments.missing
        if {"XRD", "SEM"} <= set(self._missing):
            raise ValueError("expected a laboratory with XRD or SEM, got one with neither: there is nothing to weigh")
        self._width = LAYOUT_OF_SOME.width if self._missing else LAYOUT.width

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Begin with all particles alike."""
        self._table = table(self._variant, self._laboratory)
        self._n = env.num_envs
        self._log_weight = np.zeros((self._n, PARTICLES))
        self._best = np.full(self._n, -np.inf)
        self._last: NDArray[np.intp] | None = None

    def act(self, observation: Observations) -> NDArray[Any]:
        """Learn from the report in the observation and choose the next recipe of each campaign."""
        if self._last is not None:
            self._learn(observation[:, self._width : 2 * self._width])
        log_goal = SIZE_SCALE * observation[:, 0].astype(np.float64)
        self._last = np.array([self._choose(i, log_goal[i]) for i in range(self._n)])
        return self._table.actions[self._last]

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Remember the best reading."""
        self._best = np.maximum(self._best, reward)

    def _learn(self, report: Observations) -> None:
        assert self._last is not None
        shown, grain = self._table.shown[:, self._last], self._table.log_grain[:, self._last]  # (P, n, 5), (P, n)
        seen_grain = SIZE_SCALE * report[:, LAYOUT.column("grain size")]
        misfit = np.zeros(grain.shape)
        if "XRD" not in self._missing:
            misfit = np.square((shown - report[:, PHASES_SEEN]) / PHASE_SPREAD).sum(axis=2)
        if "SEM" not in self._missing:
            misfit += np.square((grain - seen_grain) / SIZE_SPREAD)
        self._log_weight -= 0.5 * misfit.T

    def _choose(self, i: int, log_goal: float) -> int:
        heaviest = np.argpartition(-self._log_weight[i], HEAVIEST)[:HEAVIEST] if self._last is not None else ALL
        weight = np.exp(self._log_weight[i, heaviest] - self._log_weight[i].max())
        utility = self._table.utilities(log_goal, self._laboratory, heaviest)
        gain = np.maximum(utility - max(self._best[i], 0.0), 0.0)
        return int(np.argmax(weight @ gain))
