"""Bayesian inference over simulated systems: what somebody does with the same experiments who knows the family.

It knows the simulator and how training systems are drawn, and nothing of the frozen lists. Each campaign has a set of
systems, drawn from training, as particles (Chopin 2002, "A sequential particle filter method for static models",
Biometrika 89(3), 539). An experiment weighs them by how well they would have shown what was seen; when few are left
that count, they are drawn anew by weight and moved by Metropolis steps in the unit cube that systems are drawn from.
Some particles, all of which count alike by then, propose recipes and judge them, and the one of the highest expected
utility is made, so that nothing is tried for the sake of learning alone; the likelihood is softened. A strong
reference, and no upper bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.env import SIZE_SCALE
from metaenv.materials.kinetics import simulate
from metaenv.materials.measurement import shares_without_noise
from metaenv.materials.system.distribution import SystemDistribution
from metaenv.materials.system.layout import GOAL, LAYOUT, MEASURED, SHOWN, SHOWN_BY
from metaenv.materials.system.options import COMPOUNDS, PLACES
from metaenv.materials.system.recipes import N_QUANTITIES, from_action, to_action
from metaenv.materials.system.tasks import affinity, materials
from metaenv.materials.tasks import SCREENED, informed_recipes
from metaenv.materials.utility import utility
from metaenv.parameters import reflected
from metaenv.tasks import TaskBatch
from metaenv.trial import VectorTrial
from metaenv.typing import Floats
from metaenv.vector import Observations

PARTICLES, JUDGING, PROPOSING, REFINED = 160, 32, 12, 32  # chosen
SUBSTEPS = 16  # of simulated experiments (chosen; the error is small beside the spreads)
PHASE_SPREAD, SIZE_SPREAD = 0.10, 0.30  # softened standard deviations (chosen)
LOSS_SPREAD, READING_SPREAD = 0.03, 0.15  # the same, of what counts where an instrument is missing (chosen)
EFFECTIVE = 0.5  # effective particles, of all, that a part of an experiment's likelihood may leave (chosen)
MOVES = 3  # Metropolis steps after each part (chosen)
MOST_MOVED, STEP = 0.3, 0.5  # share of the coordinates that a step changes, at most, and by how much (chosen)


@dataclass(frozen=True)
class Seen:
    """An experiment of one campaign."""

    compound: int
    action: Floats
    """(22,)"""
    goal_um: float
    phases: Floats
    """(5,), NaN where they were not measured."""
    log_grain: float
    """NaN where no grains were measured."""
    mass_loss: float
    """NaN where it was not measured."""
    reading: float


class ParticleBayes:
    """Expected utility under particles.

    It weighs them by phases and grain size. Where the laboratory lacks XRD or SEM, the reading takes its place, and
    where it lacks XRD, the mass loss counts too.
    """

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Begin each campaign with particles of its own."""
        self._rng, self._family = rng, SystemDistribution()
        self._campaigns = [_Campaign(self._family, rng) for _ in range(env.num_envs)]
        self._last: NDArray[Any] | None = None

    def act(self, observation: Observations) -> NDArray[Any]:
        """Learn from the report in the observation and choose the next recipe of each campaign."""
        seen = observation.astype(np.float64)
        if self._last is not None:
            for campaign, report, action in zip(self._campaigns, seen[:, LAYOUT.width :], self._last, strict=True):
                campaign.learn(_read(report, action))
        compound, goal_um = np.argmax(seen[:, :COMPOUNDS], axis=1), np.exp(SIZE_SCALE * seen[:, GOAL])
        self._last = np.stack(
            [each.choose(int(e), g) for each, e, g in zip(self._campaigns, compound, goal_um, strict=True)]
        )
        return self._last

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """The next observation carries both."""


def _read(report: Floats, action: Floats) -> Seen:
    phases, grain, loss = (
        np.where(report[column], report[SHOWN_BY[name]], np.nan) for name, column in MEASURED.items()
    )
    return Seen(
        int(np.argmax(report[:COMPOUNDS])),
        action,
        float(np.exp(SIZE_SCALE * report[GOAL])),
        phases,
        float(SIZE_SCALE * grain[0]),
        float(loss[0]),
        float(report[SHOWN][-1]),
    )


class _Campaign:
    def __init__(self, family: SystemDistribution, rng: np.random.Generator) -> None:
        self._family, self._rng, self._seen = family, rng, list[Seen]()
        parts: list[Floats] = []
        while sum(map(len, parts)) < PARTICLES:
            unit = rng.random((PARTICLES, family.unit_dim))
            parts.append(unit[family.accept(family.draw(unit, "train"))])
        self._unit = np.concatenate(parts)[:PARTICLES]
        self._tasks = family.draw(self._unit, "train")
        self._fit = np.zeros(PARTICLES)  # log-likelihoods of all that was seen

    def learn(self, seen: Seen) -> None:
        """Weigh the particles by an experiment, part by part of its likelihood, and move them after each part."""
        before, left = self._fit, 1.0
        self._seen.append(seen)
        new = _log_likelihood(self._tasks, seen)
        while left > 0:
            part = _largest_part(new, left)
            kept = self._rng.choice(PARTICLES, PARTICLES, p=_weights(part * new))
            left -= part
            self._unit, self._tasks, before, new = self._unit[kept], self._tasks.take(kept), before[kept], new[kept]
            for _ in range(MOVES):
                before, new = self._move(before, new, 1.0 - left)
        self._fit = before + new

    def _move(self, before: Floats, new: Floats, share: float) -> tuple[Floats, Floats]:
        """One Metropolis step; ``share`` of the likelihood of the last experiment counts."""
        shape, rng = self._unit.shape, self._rng
        step = STEP * rng.random((PARTICLES, 1)) ** 2 * rng.standard_normal(shape)
        moved = reflected(self._unit + step * (rng.random(shape) < MOST_MOVED * rng.random((PARTICLES, 1))))
        tasks, last = self._family.draw(moved, "train"), self._seen[-1]
        new_then = _log_likelihood(tasks, last)
        before_then = np.sum([_log_likelihood(tasks, seen) for seen in self._seen[:-1]] + [0.0 * new], axis=0)
        gain = before_then + share * new_then - before - share * new
        taken = np.flatnonzero(np.log(rng.random(PARTICLES)) < gain)
        self._unit[taken] = moved[taken]
        self._tasks = self._tasks.replaced(taken, tasks.take(taken))
        before[taken], new[taken] = before_then[taken], new_then[taken]
        return before, new

    def choose(self, compound: int, goal_um: float) -> Floats:
        """The action (22,) of the highest expected utility among those that some particles propose."""
        tasks = self._tasks.take(self._rng.choice(PARTICLES, JUDGING, replace=False))
        proposing = tasks.take(np.arange(PROPOSING))
        suits = affinity(proposing)[:, compound]
        best = np.stack([np.argmax(suits[:, place], axis=1) for place in PLACES], axis=1)
        made = _with_goal(materials(proposing, np.full(PROPOSING, compound), best), goal_um)
        actions = to_action(informed_recipes(made), np.repeat(best, len(SCREENED), axis=0))
        at = actions[np.argmax(_expected(tasks, compound, goal_um, actions))]
        nearby = np.repeat(at[None], REFINED, axis=0)
        step = 0.12 * self._rng.standard_normal((REFINED, N_QUANTITIES))
        nearby[1:, :N_QUANTITIES] = np.clip(nearby[1:, :N_QUANTITIES] + step[1:], -1.0, 1.0)
        return nearby[np.argmax(_expected(tasks, compound, goal_um, nearby))]


def _weights(log_weight: Floats) -> Floats:
    weight = np.exp(log_weight - log_weight.max())
    return weight / weight.sum()


def _largest_part(log_likelihood: Floats, left: float) -> float:
    """The largest part of what is left of a likelihood that leaves enough effective particles, by bisection."""

    def enough(part: float) -> bool:
        return 1.0 / np.square(_weights(part * log_likelihood)).sum() >= EFFECTIVE * PARTICLES

    if enough(left):
        return left
    low, high = 0.0, left
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if enough(middle) else (low, middle)
    return max(low, 0.01 * left)


def _log_likelihood(tasks: TaskBatch, seen: Seen) -> Floats:
    """(n,) of what an experiment showed, if these were the systems."""
    n = len(tasks)
    recipe, choice = from_action(np.repeat(seen.action[None], n, axis=0))
    made = materials(tasks, np.full(n, seen.compound), choice)
    outcome = simulate(made, recipe, SUBSTEPS)
    shares = shares_without_noise(made, outcome)
    no_phases, no_grains = np.isnan(seen.phases).any(), np.isnan(seen.log_grain)
    misfit = np.zeros(n)
    if not no_phases:
        misfit += np.square((shares - seen.phases) / PHASE_SPREAD).sum(axis=1)
    elif not np.isnan(seen.mass_loss):
        misfit += np.square((outcome.mass_loss - seen.mass_loss) / LOSS_SPREAD)
    if not no_grains:
        misfit += np.square((np.log(outcome.grain_um) - seen.log_grain) / SIZE_SPREAD)
    if no_phases or (no_grains and seen.phases[3] > 0):  # without a target there are no grains
        worth = utility(shares[:, 3], outcome.grain_um, np.full(n, seen.goal_um), recipe)
        misfit += np.square((np.clip(worth, -1, 1) - seen.reading) / READING_SPREAD)
    return -0.5 * misfit


def _expected(tasks: TaskBatch, compound: int, goal_um: float, actions: Floats) -> Floats:
    """(m,) mean utility of actions (m, 22) over systems."""
    n, m = len(tasks), len(actions)
    recipe, choice = from_action(np.tile(actions, (n, 1)))
    made = materials(tasks.take(np.repeat(np.arange(n), m)), np.full(n * m, compound), choice)
    outcome = simulate(made, recipe, SUBSTEPS)
    worth = utility(outcome.target_fraction, outcome.grain_um, np.full(n * m, goal_um), recipe)
    return worth.reshape(n, m).mean(axis=0)


def _with_goal(made: TaskBatch, goal_um: float) -> TaskBatch:
    return TaskBatch(made.task_type, {**made.columns, "goal_um": np.full(len(made), goal_um)})
