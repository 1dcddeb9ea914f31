"""The night of an observing run: TargetSelection with a user's limits, instrument and requests, for one telescope."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError
from metaenv.parameters import ParameterTask
from metaenv.tasks import TaskBatch
from metaenv.telescope.planner.catalogue import UNKNOWN_CLASS, TargetList
from metaenv.telescope.planner.constraints import Constraints, Requests, slots_left
from metaenv.telescope.planner.custom_targets import (
    ASSUMPTIONS,
    SHORTEST_EXPOSURE_S,
    SHORTEST_NIGHT_H,
    SHOWN_MAGNITUDES,
    SLOTS,
    Where,
    own_task,
    read_assumptions,
    variant_setup,
)
from metaenv.telescope.planner.instruments import Instrument
from metaenv.telescope.planner.own_nights import Day, evening
from metaenv.telescope.planner.yields import Yields, promising, slots_for
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.ephemeris import night_limits
from metaenv.telescope.sim.exposure import quality
from metaenv.telescope.sim.julian_dates import iso
from metaenv.telescope.sim.reward import Cell
from metaenv.telescope.sim.sites import Site, coordinates_rad, find_site
from metaenv.telescope.sim.targets import FEATURE_CUT, N_CLASSES, N_FEATURES, Targets
from metaenv.telescope.sim.visibility import Night, prepare, slots
from metaenv.telescope.sim.weather import Weather, clear_weather
from metaenv.telescope.tasks import MJD, NIGHT_SETUPS, NightSetup, TargetSelectionTask, Variant
from metaenv.typing import Floats, Index, Rows
from metaenv.vector import EnvOptions

LONG_LIST = 1000  # targets; of longer lists those are left out that no best plan could take (chosen)


@dataclass(frozen=True)
class RunTask(TargetSelectionTask):
    """A task whose night may begin in any twilight; the environment checks its length."""

    def __post_init__(self) -> None:
        ParameterTask.__post_init__(self)


class RunVectorEnv(TargetSelectionVectorEnv):
    """One telescope in the nights of a run, under a clear sky.

    Every player sees what the list wants: targets without a class of their own show their worth as one, in steps of
    two, and the first feature is the logarithm of the worth, standardised. The mean of the rewards' values is 1.

    Raises:
        TaskError: no night, slots that are too short, unknown assumptions, or no target that may be observed.
    """

    prefetches = False

    def __init__(
        self,
        targets: TargetList,
        site: Where,
        date: Day,
        *,
        slots: int | None = None,
        variant: Variant | None = None,
        nights: int = 1,
        assumptions: Mapping[str, float] | None = None,
        constraints: Constraints | None = None,
        instrument: Instrument,
        requests: Requests,
        **options: Unpack[EnvOptions],
    ) -> None:
        self.site, self.limits, self.nights = find_site(site), constraints or Constraints(), nights
        day = evening(date)
        self.date = iso(day)[:10]
        """The day whose evening begins the night that is planned."""
        targets = targets.at(day + 1.0)
        self.instrument, self.listed = instrument, targets
        self.task = _task(self.site, day, nights, assumptions or {}, instrument)
        self._check_nights(nights)
        count = self._slots(slots, variant, requests)
        survey = self._yields(self._geometry(count, nights - 1), targets, requests)
        self.left_out: dict[str, str] = {}
        """Why targets were left out before the night began, by their names; it goes on after "because they"."""
        kept = self._choose(survey, None if variant is None else NIGHT_SETUPS[variant].targets)
        self.target_list = targets.take(kept)
        magnitude = (float(targets.magnitude.mean()), float(targets.magnitude.std()))
        setup = NightSetup(count, len(kept), nights, (1,), False, magnitude, 1.0)
        setup = setup if variant is None else NIGHT_SETUPS[variant]
        self._more = setup.targets - len(kept)
        self._requests = requests.take(np.concatenate([kept, kept[:1].repeat(self._more)]))
        self.value = self._filled(self.target_list.value, 0.0)
        """(N,) as in the list."""
        self.priority = self._filled(self.target_list.priority, np.inf)
        """(N,) the lowest first; infinite where the list is filled up."""
        self._magnitude = self._filled(self.target_list.magnitude, float(self.target_list.magnitude.mean()))
        self._shown = self._as_shown()
        super().__init__(1, variant or "short", setup=setup, **options)
        self.names = self.target_list.names
        self.yields = survey
        """Of tonight, once a night has begun."""

    def yields_of(self, row: int) -> Yields:
        """The tables of tonight."""
        return self.yields

    # THE LIST

    def _choose(self, survey: Yields, limit: int | None) -> Index:
        """Keep the targets that may be observed, in the order in which they culminate."""
        targets, table = self.listed, survey.table()
        reasons = survey.reasons(np.degrees(targets.dec), self.site)
        good = survey.begin.any(axis=0)
        if not good.any():
            listed = "; ".join(f"{targets.names[k]}: they {why}" for k, why in list(reasons.items())[:5])
            raise TaskError(f"none of the {len(targets)} targets can be observed; {listed}")
        self.left_out = {targets.names[k]: why for k, why in reasons.items()}
        less = np.zeros(len(targets), bool)
        if limit is not None and good.sum() > limit:
            promise = np.where(good, table.max(axis=0), -1.0)
            less[np.argsort(-promise, kind="stable")[limit:]] = True
            why = f"are the least promising, and the agent can choose among {limit}"
        elif limit is None and good.sum() > LONG_LIST:
            less, why = ~promising(table, survey.units), "are worth less than others in every slot"
        else:
            why = ""
        self.left_out |= {targets.names[k]: why for k in np.flatnonzero(less & good)}
        kept = np.flatnonzero(good & ~less)
        highest = survey.night.sin_alt[0].argmax(axis=0)
        return kept[np.argsort(highest[kept], kind="stable")]

    def _filled(self, given: Any, value: float) -> Any:
        """``given`` (..., n), filled up to the number of targets that a variant has."""
        return np.concatenate([given, np.full((*given.shape[:-1], self._more), value)], axis=-1).astype(given.dtype)

    def _as_shown(self) -> Targets:
        """The list as players see it, filled up with the pole that never rises."""
        listed = self.target_list
        below = -math.copysign(np.pi / 2, self.site.latitude_deg)
        worth = np.log2(listed.value)
        label = listed.label
        if (label == UNKNOWN_CLASS).all():
            label = np.minimum(np.rint(worth.max() - worth), N_CLASSES - 1).astype(np.int8)
        features = np.zeros((N_FEATURES, len(listed)))
        features[0] = np.clip((worth - worth.mean()) / max(float(worth.std()), 1e-9), -FEATURE_CUT, FEATURE_CUT)
        columns = (
            self._filled(listed.ra, 0.0), self._filled(listed.dec, below),
            np.clip(self._magnitude, *SHOWN_MAGNITUDES), self._filled(label, UNKNOWN_CLASS),
            np.maximum(self._filled(label, UNKNOWN_CLASS), 0), self._filled(features, 0.0),
        )  # fmt: skip
        return Targets(*(c[None] for c in columns))

    # THE NIGHT

    def _check_nights(self, nights: int) -> None:
        for number in range(nights):
            dusk, dawn = self._limits(number)
            if (hours := float(dawn[0] - dusk[0]) * 24) < SHORTEST_NIGHT_H:
                raise TaskError(
                    f"the night of {iso(self.task.evening_mjd + MJD + number)[:10]} at {self.site.name} has "
                    f"{hours:.1f} h in which the sun is {-self.limits.sun_deg:g} deg below the horizon; expected at "
                    f"least {SHORTEST_NIGHT_H:g} h: choose another date or site, or Constraints(twilight='nautical')"
                )

    def _limits(self, number: int) -> tuple[Floats, Floats]:
        latitude, longitude = coordinates_rad([self.site])
        return night_limits(np.array([self.task.evening_mjd + MJD + number]), latitude, longitude, self.limits.sun_deg)

    def _slots(self, asked: int | None, variant: Variant | None, requests: Requests) -> int:
        dusk, dawn = self._limits(0)
        seconds = float(dawn[0] - dusk[0]) * 86_400
        if variant is not None:
            setup = variant_setup(variant, asked)
            if setup.lengths != (1,) and (np.isfinite(requests.exposure_s).any() or (requests.repeats > 1).any()):
                raise TaskError(f"an agent of variant {variant!r} chooses exposure times itself: ask for none")
            return setup.slots
        if asked is None:
            allowance = self.task.settle_s + 40.0 / self.task.slew_deg_s
            return slots_for(requests, self.instrument, seconds, allowance, SLOTS)
        if isinstance(asked, bool) or not isinstance(asked, int | np.integer) or asked < 1:
            raise TaskError(f"expected at least one slot, a whole number, got {asked!r}")
        least = self.instrument.readout_s + self.task.settle_s + SHORTEST_EXPOSURE_S
        if seconds / asked < least:
            raise TaskError(
                f"{asked} slots of a night of {seconds / 3600:.1f} h last {seconds / asked:.0f} s each, and readout "
                f"and settling alone take {least - SHORTEST_EXPOSURE_S:.0f} s: ask for at "
                f"most {int(seconds / least)} slots"
            )
        return int(asked)

    def _geometry(self, count: int, number: int) -> Night:
        latitude, longitude = coordinates_rad([self.site])
        start, hours = slots(*self._limits(number), count)
        return prepare(self.listed.ra[None], self.listed.dec[None], latitude, longitude, start, hours)

    def _yields(self, night: Night, targets: TargetList, asked: Requests) -> Yields:
        return Yields(night, targets.magnitude, targets.value, self.task, self.instrument, self.limits, asked)

    def draw_tasks(self, rows: Rows) -> TaskBatch:
        return TaskBatch.from_tasks([self.task])

    def _dusk_and_dawn(self, rows: Rows, tasks: TaskBatch) -> tuple[Floats, Floats]:
        return self._limits(int(self.state.night_number[0]))

    def _fresh_targets(self, rows: Rows, tasks: TaskBatch, start: Floats, hours: Floats) -> Targets:
        return self._shown.take(np.zeros(1, np.intp))

    def _values(self, tasks: TaskBatch, targets: Targets) -> Floats:
        return (self.value / self.target_list.value.mean())[None]

    def _draw_weather(self, rows: Rows, tasks: TaskBatch, hours: Floats) -> tuple[Weather, Floats]:
        return clear_weather(tasks.seeing_arcsec, self.setup.slots), tasks.extinction_mag.copy()

    def _slots_left(self, night: Night) -> NDArray[np.int16]:
        days = self.nights - 1 - int(self.state.night_number[0])
        self.yields = Yields(
            night, self._magnitude, self.value, self.task, self.instrument, self.limits, self._requests.earlier(days)
        )
        return slots_left(self.yields.begin, self.yields.units)[None]

    def _units(self, kind: Any, target: Any) -> Any:
        units = super()._units(kind, target)
        return self.yields.units[target] if self.setup.lengths == (1,) and kind == 0 else units

    def _expose(self, cell: Cell, units: Any, allowed: Any) -> tuple[Any, Any, Any]:
        index, slot, target = cell
        snr = self.yields.snr((slot, target), 60.0 * float(self.state.slew[index, target]), units)
        exposed = np.bool_(allowed) & (snr > 0)
        return (
            snr,
            exposed,
            self.state.value[index, target] * quality(snr, self.task.snr_needed) * exposed / self.setup.unit,
        )


def _task(site: Site, day: float, nights: int, assumptions: Mapping[str, float], instrument: Instrument) -> RunTask:
    """The task of a site, of the last of ``nights`` (JD at 0 h of its day), of an instrument and of the sky."""
    own = {k: getattr(instrument, k) for k in ("zero_point_mag", "slew_deg_s", "settle_s")}
    return own_task(RunTask, site, day - (nights - 1), {**ASSUMPTIONS, **own, **read_assumptions(assumptions)})
