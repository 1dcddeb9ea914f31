"""TargetSelection on a user's own targets: one site, one date, one list."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from gymnasium.vector import AutoresetMode

from metaenv.env import MetaEnv
from metaenv.errors import TaskError, nearest
from metaenv.tasks import TaskBatch
from metaenv.telescope.planner.catalogue import UNKNOWN_CLASS, TargetList
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.ephemeris import night_limits
from metaenv.telescope.sim.exposure import OVERHEAD_S, SETTLE_S, SLEW_DEG_PER_S, SNR_NEEDED, ZERO_POINT_MAG, quality
from metaenv.telescope.sim.julian_dates import FIRST, LAST, iso, julian_date
from metaenv.telescope.sim.nominal import (
    NOMINAL_DARK_MAG,
    NOMINAL_EXTINCTION,
    NOMINAL_SEEING,
    nominal_conditions,
    nominal_snr,
)
from metaenv.telescope.sim.sites import Site, coordinates_rad, find_site
from metaenv.telescope.sim.targets import N_CLASSES, N_FEATURES, Targets
from metaenv.telescope.sim.visibility import LOWEST_DEG, Night, prepare, slots
from metaenv.telescope.sim.weather import Weather, clear_weather
from metaenv.telescope.tasks import MJD, NIGHT_SETUPS, NightSetup, TargetSelectionTask, Variant, dark_hours
from metaenv.typing import Floats, Rows
from metaenv.vector import AUTORESET, BatchedEnv

if TYPE_CHECKING:
    from metaenv.telescope.render import Scene

Where = str | Site | tuple[float, float] | tuple[float, float, float]
Sky = Literal["nominal", "drawn"]

SLOTS = 24  # of a night, as in TargetSelection's default variant
SHORTEST_NIGHT_H = 1.0  # the tasks' own limit
SHORTEST_EXPOSURE_S = 10.0  # that a slot must leave room for, besides readout and settling (chosen)
SHOWN_MAGNITUDES = (4.5, 35.5)  # V that an observation can hold; brighter targets are as good as these
LAST_DATE = LAST - 400.0  # JD; the tasks' own limit, which leaves room for a trial

ASSUMPTIONS: dict[str, float] = {
    "snr_needed": SNR_NEEDED,
    "zero_point_mag": ZERO_POINT_MAG,
    "extinction_mag": NOMINAL_EXTINCTION,
    "dark_sky_mag": NOMINAL_DARK_MAG,
    "seeing_arcsec": NOMINAL_SEEING,
    "slew_deg_s": SLEW_DEG_PER_S,
    "settle_s": SETTLE_S,
    "cloud_log_odds": 0.0,
    "bank_mag": 0.0,
    "bank_azimuth_rad": 0.0,
    "bank_drift_rad_h": 0.0,
}
"""What a user may state about sky and instrument, with the defaults; for units see `TargetSelectionTask`."""


class CustomTargetsVectorEnv(TargetSelectionVectorEnv):
    """``num_envs`` telescopes at one site, on one list of targets; see `CustomTargetsEnv`."""

    prefetches = False

    def __init__(
        self,
        targets: TargetList,
        site: Where,
        date: str | dt.date,
        num_envs: int = 1,
        *,
        slots: int | None = None,
        variant: Variant | None = None,
        nights: int = 1,
        sky: Sky = "nominal",
        assumptions: Mapping[str, float] | None = None,
        autoreset_mode: AutoresetMode | str = AUTORESET,
        render_mode: str | None = None,
    ) -> None:
        if sky not in ("nominal", "drawn"):
            raise TaskError(f"no sky {sky!r}.{nearest(sky, ('nominal', 'drawn'))}")
        self.site = find_site(site)
        self.custom_task = custom_task(self.site, date, nights, assumptions or {})
        setup = _setup(targets, slots, variant, nights)
        night = _night(targets, self.custom_task, nights, setup, self.site)
        _long_enough(night, self.custom_task, setup)
        kept, self.notes = _observable(targets, night, setup, self.site, variant is not None)
        if variant is None:
            setup = NightSetup(setup.slots, len(kept), nights, (1,), False, setup.magnitude, 1.0)
        self.target_list, self.sky = kept, sky
        super().__init__(
            num_envs, variant or "default", split="train", autoreset_mode=autoreset_mode, render_mode=render_mode,
            setup=setup,
        )  # fmt: skip
        self.names = kept.names
        self._list = _padded(kept, setup.targets, self.site.latitude_deg)
        worth = kept.value / kept.value.mean()
        self._worth = np.concatenate([worth, np.zeros(setup.targets - len(kept))])
        self.priority = np.concatenate([kept.priority, np.full(setup.targets - len(kept), np.inf)])
        """(N,) the lowest first; infinite where the list is filled up."""

    def draw_tasks(self, rows: Rows) -> TaskBatch:
        return TaskBatch.from_tasks([self.custom_task]).repeated(len(self._index[rows]))

    def _fresh_targets(self, rows: Rows, tasks: TaskBatch, start: Floats, hours: Floats) -> Targets:
        return self._list.take(np.zeros(len(tasks), np.intp))

    def _values(self, tasks: TaskBatch, targets: Targets) -> Floats:
        return np.repeat(self._worth[None], len(tasks), axis=0)

    def _draw_weather(self, rows: Rows, tasks: TaskBatch, hours: Floats) -> tuple[Weather, Floats]:
        if self.sky == "drawn":
            return super()._draw_weather(rows, tasks, hours)
        return clear_weather(tasks.seeing_arcsec, self.setup.slots), tasks.extinction_mag.copy()

    def _scene(self, row: int) -> Scene:
        return replace(super()._scene(row), title=self.site.name)


class CustomTargetsEnv(MetaEnv):
    """TargetSelection on a user's own targets; a reward is the worth of a target times the quality of its exposure.

    Worth follows from the list's values, scaled to a mean of 1; without a variant the reward is not scaled further.
    Observations and actions are laid out as in `TargetSelectionEnv`; features are 0, and an unknown class is all zeros.
    Every night has the same targets; a trial's nights follow each other and end on ``date``.

    Targets that do not stand above 27 deg at any time of the night are left out, with a note in ``notes`` of the
    batched environment; with a variant, whose number of targets is fixed, so are the least promising ones of a longer
    list, and a shorter one is filled up with places that never rise. They stand in the order in which they culminate.

    Arguments: ``targets``, ``site`` (a name, or latitude and longitude in degrees), ``date`` (the day whose evening
    begins the night, ISO 8601), ``slots`` (equal parts of the night, 24 by default), ``variant`` (instead: that of an
    agent, which fixes numbers of slots and of targets), ``nights`` of a trial, ``sky`` (``"nominal"``: clear and as
    planners assume; ``"drawn"``: seeing and clouds as in TargetSelection), ``assumptions`` (what is known of sky and
    instrument: keys of `ASSUMPTIONS`).

    Raises:
        TaskError: an unknown site (the nearest name is given), a date outside 1950-2098, a date without a night, slots
            too short to expose in, no target that rises, or an unknown key of ``assumptions``.
    """

    batched: ClassVar[type[BatchedEnv]] = CustomTargetsVectorEnv


def custom_task(site: Site, date: str | dt.date, nights: int, assumptions: Mapping[str, float]) -> TargetSelectionTask:
    """The task of a site, of the last date of ``nights``, and of what is known of sky and instrument."""
    if nights < 1:
        raise TaskError(f"expected at least one night, got {nights}")
    for name in assumptions:
        if name not in ASSUMPTIONS:
            raise TaskError(f"assumptions have no {name!r}.{nearest(name, ASSUMPTIONS)}")
    evening = _evening(date) - (nights - 1)
    for day in (evening, evening + nights - 1):
        if (hours := dark_hours(np.array([day - MJD]), *coordinates_rad([site]))[0]) < SHORTEST_NIGHT_H:
            raise TaskError(
                f"the night of {iso(day)[:10]} at {site.name} has {hours:.1f} h in which the sun is 18 deg below the "
                f"horizon; expected at least {SHORTEST_NIGHT_H:g} h: choose another date or site"
            )
    return TargetSelectionTask(
        latitude_deg=site.latitude_deg,
        longitude_deg=site.longitude_deg,
        evening_mjd=evening - MJD,
        class_value=(1.0,) * N_CLASSES,
        feature_weight=(0.0,) * N_FEATURES,
        purity=1.0,
        cadence_hours=24.0,
        cadence_weight=0.0,
        **{**ASSUMPTIONS, **{k: float(v) for k, v in assumptions.items()}},
    )


def _evening(date: str | dt.date) -> float:
    """JD at 0 h of a calendar day."""
    if isinstance(date, dt.datetime):
        raise TaskError(f"expected the day whose evening begins the night, such as '2027-03-14', got the time {date}")
    try:
        jd = julian_date(date.isoformat() if isinstance(date, dt.date) else date)
    except TaskError as error:
        raise TaskError(f"the date {date} cannot be planned: {error}") from error
    if jd % 1.0 != 0.5:
        raise TaskError(f"expected the day whose evening begins the night, such as '2027-03-14', got the time {date!r}")
    if not FIRST + 10 <= jd <= LAST_DATE:
        raise TaskError(f"expected a date from {iso(FIRST + 10)[:10]} to {iso(LAST_DATE)[:10]}, got {date}")
    return jd


def _setup(targets: TargetList, count: int | None, variant: Variant | None, nights: int) -> NightSetup:
    """The setup for all targets, before those that do not rise are left out."""
    if variant is None:
        if count is not None and count < 1:
            raise TaskError(f"expected at least one slot, got {count}")
        magnitude = (float(targets.magnitude.mean()), float(targets.magnitude.std()))
        return NightSetup(SLOTS if count is None else int(count), len(targets), nights, (1,), False, magnitude, 1.0)
    if variant not in NIGHT_SETUPS:
        raise TaskError(f"no variant {variant!r}.{nearest(variant, NIGHT_SETUPS)}")
    setup = NIGHT_SETUPS[variant]
    if setup.revisits:
        raise TaskError(f"variant {variant!r} plans visits over several nights; one night is planned by the others")
    if count not in (None, setup.slots):
        raise TaskError(f"variant {variant!r} has {setup.slots} slots, got slots={count}; leave one of them out")
    return setup


def _night(targets: TargetList, task: TargetSelectionTask, nights: int, setup: NightSetup, site: Site) -> Night:
    """The geometry of the last night."""
    latitude, longitude = coordinates_rad([site])
    dusk, dawn = night_limits(np.array([task.evening_mjd + MJD + nights - 1]), latitude, longitude)
    start, hours = slots(dusk, dawn, setup.slots)
    return prepare(targets.ra[None], targets.dec[None], latitude, longitude, start, hours)


def _long_enough(night: Night, task: TargetSelectionTask, setup: NightSetup) -> None:
    seconds = float(night.hours[0]) * 3600
    least = OVERHEAD_S + task.settle_s + SHORTEST_EXPOSURE_S
    if seconds < least:
        raise TaskError(
            f"{setup.slots} slots of a night of {seconds * setup.slots / 3600:.1f} h last {seconds:.0f} s each, and "
            f"readout and settling alone take {least - SHORTEST_EXPOSURE_S:.0f} s: ask for at most "
            f"{int(seconds * setup.slots / least)} slots"
        )


def _observable(
    targets: TargetList, night: Night, setup: NightSetup, site: Site, fixed: bool
) -> tuple[TargetList, tuple[str, ...]]:
    """The targets that can be observed, in the order in which they culminate, and notes on the others."""
    notes = list(targets.notes)
    visible = night.observable()[0]
    never = LOWEST_DEG > 90.0 - np.abs(site.latitude_deg - np.degrees(targets.dec))
    for which, what in (
        (~visible.any(axis=0) & never, f"never rise above {LOWEST_DEG:g} deg at {site.name}"),
        (~visible.any(axis=0) & ~never, f"do not stand above {LOWEST_DEG:g} deg in this night"),
    ):
        if which.any():
            listed = [targets.names[i] for i in np.flatnonzero(which)]
            shown = ", ".join(listed[:8]) + (f" and {len(listed) - 8} more" if len(listed) > 8 else "")
            notes.append(f"left out, because they {what}: {shown}")
    good = np.flatnonzero(visible.any(axis=0))
    if not len(good):
        raise TaskError(f"none of the {len(targets)} targets can be observed; {'; '.join(notes)}")
    if fixed and len(good) > setup.targets:
        snr = nominal_snr(night, nominal_conditions(night), targets.magnitude[None])[0]
        promise = targets.value * quality((snr * visible).max(axis=0).astype(np.float64))
        order = good[np.argsort(-promise[good], kind="stable")]
        left = sorted(targets.names[i] for i in order[setup.targets :])
        notes.append(f"left out, because the agent can choose among {setup.targets}: the {len(left)} least promising")
        good = order[: setup.targets]
    highest = night.sin_alt[0].argmax(axis=0)
    return targets.take(good[np.argsort(highest[good], kind="stable")]), tuple(notes)


def _padded(kept: TargetList, count: int, latitude_deg: float) -> Targets:
    """One row of ``count`` targets; the list is filled up with the pole that never rises."""
    more = count - len(kept)
    below = -math.copysign(np.pi / 2, latitude_deg)

    def filled(given: Any, value: float) -> Any:
        return np.concatenate([given, np.full(more, value)]).astype(given.dtype)[None]

    label = filled(kept.label, UNKNOWN_CLASS)
    magnitude = np.clip(filled(kept.magnitude, float(kept.magnitude.mean())), *SHOWN_MAGNITUDES)
    features = np.zeros((1, N_FEATURES, count))
    return Targets(
        filled(kept.ra, 0.0), filled(kept.dec, below), magnitude, label, np.maximum(label, 0), features
    )  # fmt: skip
