"""Policies that know the task, wholly or in part, and the references that the task oracle plays.

They are not baselines, because they read what a policy must not know. They show where the gap between the fixed rules
and the oracle comes from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.policies import Policy, RandomPolicy, play_trials
from metaenv.tasks import Reference, TaskBatch
from metaenv.telescope.baselines import (
    DISCOUNT,
    GreedyPolicy,
    ParsedObservation,
    first_of_plan,
    novelty,
    prior_quality,
)
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.exposure import OVERHEAD_S, exposure_seconds, quality
from metaenv.telescope.sim.nominal import nominal_conditions, nominal_snr
from metaenv.telescope.sim.reward import revisit_worth
from metaenv.telescope.sim.targets import expected_values
from metaenv.telescope.sim.visibility import conditions, expected_snr
from metaenv.telescope.sim.weather import Weather, bank_path, clear_weather
from metaenv.telescope.tasks import NIGHT_SETUPS, NightSetup, Variant
from metaenv.trial import VectorTrial
from metaenv.typing import Floats

ORACLE = "task oracle"
REFERENCE_CHUNK = 256  # trials played at once
EARLIEST = 0.8
"""Share of the best time between visits before which a policy that knows it does not come back (chosen)."""


class InformedPolicy(GreedyPolicy):
    """A policy that knows the task, wholly or in part.

    Args:
        knows_values: class values, feature weights, purity and cadence; otherwise all values are alike.
        knows_conditions: what decides on quality: the SNR needed, extinction, median seeing, dark sky, zero point and
            cloud bank; otherwise the nominal sky and instrument, and the prior of the SNR needed.
        clairvoyant: also each target's true class and all the weather to come.
        plans: give each slot the target that it has in the best assignment of targets to the slots that are left, made
            anew in every slot, instead of the one with the highest index. For variants in which each target is visited
            once, for one slot; there the task oracle plans.
    """

    def __init__(
        self, knows_values: bool = True, knows_conditions: bool = True, clairvoyant: bool = False, plans: bool = False
    ) -> None:
        self.knows_values, self.knows_conditions, self.clairvoyant = knows_values, knows_conditions, clairvoyant
        self.plans = plans

    def begin(self) -> None:
        """Compute the tables with the first observation."""
        if self.plans:
            self.setup.check_single_visits("a plan by assignment")
        self._night = np.full(self.env.num_envs, -1)

    def look(self, seen: ParsedObservation) -> None:
        """Compute the tables of the night at its beginning."""
        env = self.env
        if (self._night != env.nights_begun).any():
            self._night = env.nights_begun.copy()
            self._snr = self._table()
            tasks = env.tasks
            self._value = env.state.value if self.clairvoyant else expected_values(tasks, env.state.targets)

    def index(self, seen: ParsedObservation, units: int) -> Floats:
        """Value times quality, each known or expected."""
        rows, slot = np.arange(self.env.num_envs), self.env.state.slot
        last = self.setup.slots - 1
        squared = sum(
            (np.square(self._snr[rows, np.minimum(slot + i, last)]).astype(np.float64) * (
                seen.light(1) if i == 0 else 1.0) for i in range(units)), start=np.zeros(1),
        )  # fmt: skip
        snr = np.sqrt(squared)
        if self.knows_conditions:
            good = quality(snr, self.env.tasks.snr_needed[:, None])
        else:
            good = prior_quality(snr)
        return good * novelty(self, seen) * (self._value if self.knows_values else 1.0)

    def choose(self, seen: ParsedObservation) -> NDArray[Any]:
        """(n,) actions, by plan or by `index`."""
        if not self.plans:
            return super().choose(seen)
        left = self.setup.slots - self.env.state.slot
        rows, count = np.arange(len(left)), max(int(left.max()), 1)
        slot = np.minimum(self.env.state.slot[:, None] + np.arange(count), self.setup.slots - 1)
        snr = self._snr[rows[:, None], slot]
        needed = self.env.tasks.snr_needed[:, None, None]
        good = quality(snr, needed) if self.knows_conditions else prior_quality(snr.astype(np.float64))
        worth = good.astype(np.float64)
        worth *= (self.env.state.slots_left[rows[:, None], slot] > 0) & ~seen.visited[:, None]
        if self.knows_values:
            worth *= self._value[:, None]
        now = np.where(seen.open, self.index(seen, 1), 0.0)
        discount = 1.0 if self.clairvoyant else DISCOUNT
        chosen = first_of_plan(worth, now, np.maximum(left, 1), discount)
        return np.where(chosen < 0, self.setup.targets, chosen)

    def worth_again(self, seen: ParsedObservation) -> Floats:
        """Known with the programme. A visit before its time counts as 0, because it would spoil the later one."""
        if not self.knows_values:
            return super().worth_again(seen)
        assert seen.gap_hours is not None
        tasks = self.env.tasks
        gap = np.maximum(seen.gap_hours, 0.05)
        worth = revisit_worth(gap, tasks.cadence_hours[:, None], tasks.cadence_weight[:, None])
        return np.where(gap < EARLIEST * tasks.cadence_hours[:, None], 0.0, worth)

    def _table(self) -> NDArray[np.float32]:
        """(n, T, N) SNR of one slot as the policy expects it."""
        env, tasks = self.env, self.env.tasks
        night, magnitude = env.state.night, env.state.targets.magnitude
        seconds = exposure_seconds(night.hours, 0.0, OVERHEAD_S)
        if self.clairvoyant:
            return expected_snr(night, env.state.air, magnitude, tasks.zero_point_mag, seconds)
        if not self.knows_conditions:
            return nominal_snr(night, nominal_conditions(night), magnitude)
        clear = clear_weather(tasks.seeing_arcsec, self.setup.slots)
        bank = bank_path(tasks.bank_azimuth_rad, tasks.bank_drift_rad_h, night.hours, self.setup.slots)
        weather = Weather(clear.seeing, clear.cloud, clear.cloud_mag, tasks.bank_mag, bank)
        air = conditions(night, tasks.extinction_mag, tasks.dark_sky_mag, weather)
        return expected_snr(night, air, magnitude, tasks.zero_point_mag, seconds)


def play_references(tasks: TaskBatch, variant: Variant, seed: int = 0) -> Reference:
    """Mean score of a trial's nights, at random and by the task oracle, on the nights that ``seed`` gives."""
    oracle = informed_policies(NIGHT_SETUPS[variant])[ORACLE]
    return _played(oracle, lambda n: TargetSelectionVectorEnv(n, variant), tasks, seed)


def play_own_references(tasks: TaskBatch, make: Callable[[int], TargetSelectionVectorEnv], seed: int = 0) -> Reference:
    """The same on a user's own targets; the oracle knows their values and the weather, and looks one exposure ahead.

    ``make(n)`` has n telescopes.
    """
    return _played(InformedPolicy(clairvoyant=True), make, tasks, seed)


def _played(oracle: Policy, make: Callable[[int], TargetSelectionVectorEnv], tasks: TaskBatch, seed: int) -> Reference:
    trials = VectorTrial(make(min(REFERENCE_CHUNK, len(tasks))))
    return Reference(*(play_trials(p, trials, tasks, seed).scores.mean(axis=1) for p in (RandomPolicy(), oracle)))


def informed_policies(setup: NightSetup) -> dict[str, Policy]:
    """Policies that know more than an agent may, by name; the task oracle is the reference that scores 1.

    The task oracle and the clairvoyant plan where each target is visited once, for one slot, and look one exposure
    ahead elsewhere.
    """
    plans = setup.single_visits
    return {
        "conditions known": InformedPolicy(knows_values=False),
        "values known": InformedPolicy(knows_conditions=False),
        ORACLE: InformedPolicy(plans=plans),
        "clairvoyant": InformedPolicy(clairvoyant=True, plans=plans),
    }
