"""Queue schedulers with the rules of astroplan's (Morris et al. 2018, AJ 155, 128), on the slots of a night.

A block is one slot, and there are no transitions between slots: a slew takes its time from the exposure. Then
astroplan's `PriorityScheduler` gives each target, in the order of priority, the free slot that adds up the highest
score, and its `SequentialScheduler` gives each slot, in the order of time, the target with the highest product of
scores, whatever its priority. The score is that of astroplan's `AirmassConstraint` between airmass 1 and the lowest
altitude. Both know where targets will stand, which any almanac tells, and nothing of the hidden sky or programme.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from metaenv.telescope.assignment import NO_TARGET
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.ephemeris import DEGREE, SIDEREAL_PER_SOLAR, Vector, dot, horizon_axes
from metaenv.telescope.sim.visibility import LOWEST_DEG
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index
from metaenv.vector import Observations

LEAST_SCORE = 1e-5  # below which astroplan's PriorityScheduler takes a score for none
MOST_AIRMASS = 1.0 / np.sin(LOWEST_DEG * DEGREE)  # secant of the zenith distance, as astroplan has it


def priority_schedule(score: Floats, priority: Floats) -> Index:
    """(n, T) the target of each slot, or -1, by the rules of astroplan's PriorityScheduler.

    Args:
        score: (n, P, T, N) at ``P`` instants of every slot, 0 to 1, 0 where a target must not be observed.
        priority: (n, N), the lowest first; equal ones in the order of the list; infinite for targets to leave out.
    """
    total = score.sum(axis=1) * (score > LEAST_SCORE).all(axis=1)  # (n, T, N)
    n, count, _ = total.shape
    schedule, rows = np.full((n, count), NO_TARGET), np.arange(n)
    for k in np.argsort(priority, axis=1, kind="stable").T:
        free = total[rows, :, k] * (schedule == NO_TARGET) * np.isfinite(priority[rows, k])[:, None]
        slot = np.argmax(free, axis=1)
        placed = free[rows, slot] > 0
        schedule[rows[placed], slot[placed]] = k[placed]
    return schedule


def sequential_schedule(score: Floats) -> Index:
    """(n, T) the target of each slot, or -1, by the rules of astroplan's SequentialScheduler; ``score`` as above."""
    product = score.prod(axis=1)
    n, count, _ = product.shape
    schedule, rows = np.full((n, count), NO_TARGET), np.arange(n)
    for t in range(count):
        best = np.argmax(product[:, t], axis=1)
        found = product[rows, t, best] > 0
        schedule[found, t] = best[found]
        product[rows[found], :, best[found]] = 0.0
    return schedule


def airmass_score(sine: Floats, most: float = MOST_AIRMASS) -> Floats:
    """astroplan's score of an airmass constraint that is no mere limit: 1 at the zenith, 0 from ``most`` on.

    Args:
        sine: of the altitude, any shape.
        most: airmass, as the secant of the zenith distance.
    """
    airmass = 1.0 / np.maximum(sine, 1e-9)
    return np.where(airmass > most, 0.0, (most - airmass) / (most - 1.0))


def altitude_sines(env: TargetSelectionVectorEnv, instants: tuple[float, ...]) -> Floats:
    """(n, P, T, N) sines of the targets' altitudes at ``instants`` of every slot, as shares of its length."""
    night = env.state.night
    turn = night.hours[:, None, None] / 24 * (2 * np.pi * SIDEREAL_PER_SOLAR)
    shift = np.array(instants)[:, None] - 0.5  # tables are of the middle of a slot
    lst = night.lst[:, None, :] + shift * turn
    latitude = np.radians(env.tasks.latitude_deg)[:, None, None]
    up = horizon_axes(lst, latitude)[2]
    targets = Vector(*(c[:, None, None, :].astype(np.float64) for c in night.targets))
    return dot(Vector(*(c[..., None] for c in up)), targets)


class Queue(ABC):
    """Plays a schedule that is made when the night begins; slots under a shut dome are lost."""

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """New trials begin."""
        self.env = cast(TargetSelectionVectorEnv, env.innermost)
        if not self.env.setup.single_visits:
            raise ValueError(
                f"queues plan one visit of one slot each: variant {self.env.variant!r} has others; take 'short' or "
                "'full'"
            )
        self._night = np.full(self.env.num_envs, -1)
        self._schedule = np.full((self.env.num_envs, self.env.setup.slots), NO_TARGET)

    def act(self, observation: Observations) -> NDArray[Any]:
        """(n,) targets of the schedule, or to wait."""
        new = self._night != self.env.nights_begun
        if new.any():
            self._night = self.env.nights_begun.copy()
            self._schedule[new] = self.schedule()[new]
        target = self._schedule[np.arange(self.env.num_envs), self.env.state.slot]
        return np.where(target == NO_TARGET, self.env.setup.targets, target)

    @abstractmethod
    def schedule(self) -> Index:
        """(n, T) targets of the night's slots."""

    def observe(self, action: NDArray[Any], reward: Floats) -> None:  # noqa: B027 (optional)
        """Nothing is learned."""


class PriorityPolicy(Queue):
    """The best time for each target, in the order of priority: astroplan's `PriorityScheduler`.

    Priorities are those of a user's list; TargetSelection's own lists have none, and the brightest comes first.

    Args:
        instants: of a slot at which it is scored; astroplan's time resolution decides on them.
    """

    def __init__(self, instants: tuple[float, ...] = (0.0, 0.5)) -> None:
        self.instants = instants

    def schedule(self) -> Index:
        """See `priority_schedule`."""
        env = self.env
        own = getattr(env, "priority", None)
        priority = env.state.targets.magnitude if own is None else np.repeat(own[None], env.num_envs, axis=0)
        score = airmass_score(altitude_sines(env, self.instants)) * (env.state.slots_left > 0)[:, None]
        return priority_schedule(score, priority)


class SequentialPolicy(Queue):
    """The best target for each slot, one after the other: astroplan's `SequentialScheduler`."""

    def schedule(self) -> Index:
        """See `sequential_schedule`; scored at the beginning, middle and end of a block, as there."""
        score = airmass_score(altitude_sines(self.env, (0.0, 0.5, 1.0)))
        return sequential_schedule(score * (self.env.state.slots_left > 0)[:, None])
