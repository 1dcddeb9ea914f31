"""TargetSelection on a user's own targets: one site, one date, one list."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from metaenv.env import MetaEnv
from metaenv.errors import TaskError, nearest
from metaenv.tasks import TaskBatch
from metaenv.telescope.planner.catalogue import UNKNOWN_CLASS, TargetList
from metaenv.telescope.planner.constraints import Constraints, Requests, reasons_against, slots_left
from metaenv.telescope.planner.instruments import find_instrument
from metaenv.telescope.planner.own_nights import Day, OwnNights, evenings
from metaenv.telescope.planner.yields import Yields
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.ephemeris import night_limits
from metaenv.telescope.sim.exposure import OVERHEAD_S, SETTLE_S, SLEW_DEG_PER_S, SNR_NEEDED, ZERO_POINT_MAG, quality
from metaenv.telescope.sim.julian_dates import iso
from metaenv.telescope.sim.nominal import (
    NOMINAL_DARK_MAG,
    NOMINAL_EXTINCTION,
    NOMINAL_SEEING,
    nominal_conditions,
    nominal_snr,
)
from metaenv.telescope.sim.sites import Site, coordinates_rad, find_site
from metaenv.telescope.sim.targets import N_CLASSES, N_FEATURES, Targets
from metaenv.telescope.sim.visibility import Night, prepare, slots
from metaenv.telescope.sim.weather import Weather, clear_weather
from metaenv.telescope.tasks import MJD, NIGHT_SETUPS, NightSetup, TargetSelectionTask, Variant, dark_hours
from metaenv.typing import Bools, Floats, Rows
from metaenv.vector import BatchedEnv, EnvOptions

if TYPE_CHECKING:
    from metaenv.telescope.render import Scene

Own = TypeVar("Own", bound=TargetSelectionTask)
Where = Any  # a name, a Site, (latitude, longitude[, elevation]) or Astropy's EarthLocation
Sky = Literal["nominal", "drawn"]

SLOTS = 24  # of a night, as in TargetSelection's variant short
SHORTEST_NIGHT_H = 1.0  # the tasks' own limit
SHORTEST_EXPOSURE_S = 10.0  # that a slot must leave room for, besides readout and settling (chosen)
SHOWN_MAGNITUDES = (4.5, 35.5)  # V that an observation can hold; brighter targets are as good as these

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
        date: Day,
        num_envs: int = 1,
        *,
        slots: int | None = None,
        variant: Variant | None = None,
        nights: int = 1,
        sky: Sky = "nominal",
        assumptions: Mapping[str, float] | None = None,
        constraints: Constraints | None = None,
        **options: Unpack[EnvOptions],
    ) -> None:
        self.limits = _limits(constraints)
        if sky not in ("nominal", "drawn"):
            raise TaskError(f"no sky {sky!r}.{nearest(sky, ('nominal', 'drawn'))}")
        if not isinstance(targets, TargetList):
            raise TaskError(f"expected a TargetList, such as read_targets gives, got {type(targets).__name__}")
        self.sites = find_sites(site)
        self.site = self.sites[0]
        days = evenings(date)
        self.date = iso(days[-1])[:10]
        """The last day whose evening begins a night."""
        tasks, self.notes = custom_tasks(self.sites, days, nights, assumptions or {})
        targets = targets.at(float(np.mean(days)) + 1.0)
        setup = _setup(targets, slots, variant, nights)
        geometry = [_night(targets, task, nights, setup) for task in tasks]
        for night, task in zip(geometry, tasks, strict=True):
            _long_enough(night, task, setup)
        asked, unmet = _asked(targets)
        free = [reasons_against(night, self.limits, asked, 1)[0] for night in geometry]
        kept, notes = _observable(targets, geometry, free, setup, self.sites, self.limits, variant is not None)
        self.notes = (*notes, *unmet, *self.notes)
        if variant is None:
            setup = NightSetup(setup.slots, len(kept), nights, (1,), False, setup.magnitude, 1.0)
        self.target_list, self.sky = kept, sky
        self._padding = setup.targets - len(kept)
        self._limited = constraints is not None or kept.requests is not None
        asked, _ = _asked(kept)
        self._asked = asked.take(np.concatenate([np.arange(len(kept)), np.zeros(self._padding, int)]))
        again = partial(
            type(self), targets, site, date, slots=slots, variant=variant, nights=nights, sky=sky,
            assumptions=assumptions, constraints=constraints,
        )  # fmt: skip
        options.setdefault("distribution", OwnNights(TaskBatch.from_tasks(tasks), variant or "short", again))
        super().__init__(num_envs, variant or "short", setup=setup, **options)
        self.names = kept.names
        self._list = _padded(kept, self._padding)
        worth = kept.value / kept.value.mean()
        self._worth = np.concatenate([worth, np.zeros(setup.targets - len(kept))])
        self.priority = np.concatenate([kept.priority, np.full(setup.targets - len(kept), np.inf)])
        """(N,) the lowest first; infinite where the list is filled up."""

    def yields_of(self, row: int) -> Yields:
        """What a planner expects of a telescope's present night: a clear sky."""
        state, instrument = self.state, replace(find_instrument(None), full_well_e=math.inf)
        night, magnitude = state.night.take(np.array([row])), state.targets.magnitude[row]
        return Yields(night, magnitude, self._worth, self.tasks.task(row), instrument, self.limits, self._asked)

    def _slots_left(self, night: Night) -> NDArray[np.int16]:
        """Where limits of the run, and those of the list's own requests that the simulator knows, allow it."""
        if not self._limited:
            return super()._slots_left(night)
        nights = (night.take(np.array([row])) for row in range(len(night.hours)))
        return np.stack([slots_left(reasons_against(one, self.limits, self._asked, 1)[0]) for one in nights])

    def _fresh_targets(self, rows: Rows, tasks: TaskBatch, start: Floats, hours: Floats) -> Targets:
        targets = self._list.take(np.zeros(len(tasks), np.intp))
        if self._padding:  # with the pole that never rises
            targets.dec[:, -self._padding :] = -np.copysign(np.pi / 2, tasks.latitude_deg)[:, None]
        return targets

    def _values(self, tasks: TaskBatch, targets: Targets) -> Floats:
        return np.repeat(self._worth[None], len(tasks), axis=0)

    def _draw_weather(self, rows: Rows, tasks: TaskBatch, hours: Floats) -> tuple[Weather, Floats]:
        if self.sky == "drawn":
            return super()._draw_weather(rows, tasks, hours)
        return clear_weather(tasks.seeing_arcsec, self.setup.slots), tasks.extinction_mag.copy()

    def _scene(self, row: int) -> Scene:
        return replace(super()._scene(row), title=_site_of(self.tasks.task(row), self.sites).name)


class CustomTargetsEnv(MetaEnv):
    """TargetSelection on a user's own targets; a reward is the worth of a target times the quality of its exposure.

    Worth follows from the list's values, scaled to a mean of 1; without a variant the reward is not scaled further.
    Observations and actions are laid out as in `TargetSelectionEnv`; features are 0, and an unknown class is all zeros.
    Every night has the same targets; a trial's nights follow each other and end on ``date``. Of several sites or dates
    each pair is a task, and ``reset`` draws one.

    Targets that may not be observed at any time of these nights are left out, with a note in ``notes`` of the
    batched environment; with a variant, whose number of targets is fixed, so are the least promising ones of a longer
    list, and a shorter one is filled up with places that never rise. They stand in the order in which they culminate
    in the first night. Proper motions are applied to the middle of the dates. The instrument is the default one. What
    the list's own columns ask for holds, except for exposure times and repeats: an exposure fills its slot.

    Arguments: ``targets``, ``site`` (a name, latitude and longitude in degrees, or an EarthLocation, see
    `metaenv.telescope.sim.sites.find_site`; or a list of them), ``date`` (the day whose evening begins the night, as
    text in ISO 8601, a date, datetime64 or Astropy's Time; a list of days, or ``"2027-03-01/2027-03-31"``), ``slots``
    (equal parts of the night, 24 by default), ``variant`` (instead: that of an agent, which fixes numbers of slots and
    of targets), ``nights`` of a trial, ``sky`` (``"nominal"``: clear and as planners assume; ``"drawn"``: seeing and
    clouds as in TargetSelection), ``assumptions`` (what is known of sky and instrument: keys of `ASSUMPTIONS`),
    ``constraints`` (limits of altitude, airmass and moon, as `metaenv.telescope.planner.plan.plan_night` takes them,
    which the mask of actions follows; by default only the lowest altitude, 27 deg, is limited).

    Raises:
        TaskError: an unknown site (the nearest name is given), a date outside 1950-2098, a date without a night, slots
            too short to expose in, no target that may be observed, an unknown key of ``assumptions``, or
            ``constraints`` with another twilight than the astronomical one.
    """

    batched: ClassVar[type[BatchedEnv]] = CustomTargetsVectorEnv


def find_sites(where: Any) -> list[Site]:
    """One site or several, each once."""
    several = isinstance(where, list) and not (where and all(isinstance(x, numbers.Real) for x in where))
    if several and not where:
        raise TaskError("expected at least one site, got an empty list")
    return list(dict.fromkeys(find_site(one) for one in (where if several else [where])))


def custom_tasks(
    sites: Sequence[Site], days: Sequence[float], nights: int, assumptions: Mapping[str, float]
) -> tuple[list[TargetSelectionTask], tuple[str, ...]]:
    """The tasks of each site and day, and notes on nights that are too short; one alone must not be."""
    tasks, short = [], []
    for site in sites:
        for day in dict.fromkeys(days):
            try:
                tasks.append(custom_task(site, day, nights, assumptions))
            except _ShortNightError as error:
                if len(days) * len(sites) == 1:
                    raise
                short.append(error)
    if not tasks:
        raise short[0]
    return tasks, (f"nights left out, because they are too short: {len(short)}; {short[0]}",) if short else ()


class _ShortNightError(TaskError):
    """A night without enough darkness."""


def custom_task(site: Site, day: float, nights: int, assumptions: Mapping[str, float]) -> TargetSelectionTask:
    """The task of a site, of the last of ``nights`` (JD at 0 h of its day), and of what is known of sky and
    instrument."""
    if isinstance(nights, bool) or not isinstance(nights, numbers.Integral) or nights < 1:
        raise TaskError(f"expected at least one night, a whole number, got {nights!r}")
    values = read_assumptions(assumptions)
    evening = day - (nights - 1)
    for day in (evening, evening + nights - 1):
        if (hours := dark_hours(np.array([day - MJD]), *coordinates_rad([site]))[0]) < SHORTEST_NIGHT_H:
            raise _ShortNightError(
                f"the night of {iso(day)[:10]} at {site.name} has {hours:.1f} h in which the sun is 18 deg below the "
                f"horizon; expected at least {SHORTEST_NIGHT_H:g} h: choose another date or site"
            )
    return own_task(TargetSelectionTask, site, evening, {**ASSUMPTIONS, **values})


def read_assumptions(assumptions: Mapping[str, float]) -> dict[str, float]:
    """What a user states about sky and instrument. Raises TaskError for an unknown key or a value that is no number."""
    for name, value in assumptions.items():
        if name not in ASSUMPTIONS:
            raise TaskError(f"assumptions have no {name!r}.{nearest(name, ASSUMPTIONS)}")
        if isinstance(value, bool | str) or not isinstance(value, numbers.Real):
            raise TaskError(f"expected a number for {name!r} of the assumptions, got {value!r}")
    return {name: float(value) for name, value in assumptions.items()}


def own_task(kind: type[Own], site: Site, evening: float, values: Mapping[str, float]) -> Own:
    """The task of a site and of the nights from an evening on (JD at 0 h); ``values`` are those of `ASSUMPTIONS`."""
    return kind(
        latitude_deg=site.latitude_deg,
        longitude_deg=site.longitude_deg,
        evening_mjd=evening - MJD,
        class_value=(1.0,) * N_CLASSES,
        feature_weight=(0.0,) * N_FEATURES,
        purity=1.0,
        cadence_hours=24.0,
        cadence_weight=0.0,
        **values,
    )


def variant_setup(variant: Variant, count: int | None) -> NightSetup:
    """The setup of an agent's variant. Raises TaskError if it plans no single night, or has not ``count`` slots."""
    if variant not in NIGHT_SETUPS:
        raise TaskError(f"no variant {variant!r}.{nearest(variant, NIGHT_SETUPS)}")
    setup = NIGHT_SETUPS[variant]
    if setup.revisits:
        raise TaskError(f"variant {variant!r} plans visits over several nights; one night is planned by the others")
    if count not in (None, setup.slots):
        raise TaskError(f"variant {variant!r} has {setup.slots} slots, got slots={count}; leave one of them out")
    return setup


def _setup(targets: TargetList, count: int | None, variant: Variant | None, nights: int) -> NightSetup:
    """The setup for all targets, before those that do not rise are left out."""
    if variant is None:
        whole = isinstance(count, numbers.Integral) and not isinstance(count, bool)
        if count is not None and not (whole and count > 0):
            raise TaskError(f"expected at least one slot, got {count!r}; it must be a whole number")
        magnitude = (float(targets.magnitude.mean()), float(targets.magnitude.std()))
        return NightSetup(SLOTS if count is None else int(count), len(targets), nights, (1,), False, magnitude, 1.0)
    return variant_setup(variant, count)


def _night(targets: TargetList, task: TargetSelectionTask, nights: int, setup: NightSetup) -> Night:
    """The geometry of the last night."""
    latitude, longitude = np.radians([task.latitude_deg]), np.radians([task.longitude_deg])
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


def _limits(constraints: Constraints | None) -> Constraints:
    """The limits of a run. Raises TaskError for what is none, and for a twilight that tasks do not have."""
    if constraints is None:
        return Constraints(min_moon_deg=0.0)
    if not isinstance(constraints, Constraints):
        raise TaskError(f"expected Constraints(…), got {constraints!r}")
    if constraints.twilight != "astronomical":
        raise TaskError(
            f"expected astronomical twilight, in which the nights of these tasks end, got {constraints.twilight!r}; "
            "plan_night takes the others"
        )
    return constraints


def _asked(targets: TargetList) -> tuple[Requests, list[str]]:
    """The requests of a list that the simulator knows, and a note on the others."""
    nothing = Requests.of(targets.names, {})
    if targets.requests is None:
        return nothing, []
    kept = replace(targets.requests, exposure_s=nothing.exposure_s, repeats=nothing.repeats)
    unmet = [key for key in targets.requests.asks() if key not in kept.asks()]
    note = f"requests that only plan_night meets, since an exposure fills a slot here: {', '.join(unmet)}"
    return kept, [note] if unmet else []


def _observable(
    targets: TargetList, geometry: Sequence[Night], free: Sequence[Bools], setup: NightSetup, sites: Sequence[Site],
    limits: Constraints, fixed: bool,
) -> tuple[TargetList, tuple[str, ...]]:  # fmt: skip
    """The targets that can be observed in any of the nights, in the order in which they culminate in the first, and
    notes on the others."""
    notes = list(targets.notes)
    lowest = limits.min_altitude_deg
    up = np.any([night.observable(lowest)[0].any(axis=0) for night in geometry], axis=0)
    seen = np.any([table.any(axis=0) for table in free], axis=0)
    latitude = np.array([site.latitude_deg for site in sites])[:, None]
    never = (lowest > 90.0 - np.abs(latitude - np.degrees(targets.dec))).all(axis=0)
    where, when = " or ".join(s.name for s in sites), "this night" if len(geometry) == 1 else "any of these nights"
    for which, what in (
        (~up & never, f"never rise above {lowest:g} deg at {where}"),
        (~up & ~never, f"do not stand above {lowest:g} deg in {when}"),
        (up & ~seen, f"may not be observed in {when} by the limits of the run or by their own"),
    ):
        if which.any():
            listed = [targets.names[i] for i in np.flatnonzero(which)]
            shown = ", ".join(listed[:8]) + (f" and {len(listed) - 8} more" if len(listed) > 8 else "")
            notes.append(f"left out, because they {what}: {shown}")
    good = np.flatnonzero(seen)
    if not len(good):
        raise TaskError(f"none of the {len(targets)} targets can be observed; {'; '.join(notes)}")
    if fixed and len(good) > setup.targets:
        best = np.zeros(len(targets))
        for night, table in zip(geometry, free, strict=True):
            snr = nominal_snr(night, nominal_conditions(night), targets.magnitude[None])[0]
            best = np.maximum(best, (snr * table).max(axis=0))
        promise = targets.value * quality(best)
        order = good[np.argsort(-promise[good], kind="stable")]
        left = sorted(targets.names[i] for i in order[setup.targets :])
        notes.append(f"left out, because the agent can choose among {setup.targets}: the {len(left)} least promising")
        good = order[: setup.targets]
    highest = geometry[0].sin_alt[0].argmax(axis=0)
    return targets.take(good[np.argsort(highest[good], kind="stable")]), tuple(notes)


def _padded(kept: TargetList, more: int) -> Targets:
    """One row of the targets, filled up with ``more`` places, at a pole."""

    def filled(given: Any, value: float) -> Any:
        return np.concatenate([given, np.full(more, value)]).astype(given.dtype)[None]

    label = filled(kept.label, UNKNOWN_CLASS)
    magnitude = np.clip(filled(kept.magnitude, float(kept.magnitude.mean())), *SHOWN_MAGNITUDES)
    features = np.zeros((1, N_FEATURES, len(kept) + more))
    return Targets(
        filled(kept.ra, 0.0), filled(kept.dec, np.pi / 2), magnitude, label, np.maximum(label, 0), features
    )  # fmt: skip


def _site_of(task: Any, sites: Sequence[Site]) -> Site:
    """The site of a task, which may come from outside."""
    place = task.latitude_deg, task.longitude_deg
    return next((s for s in sites if (s.latitude_deg, s.longitude_deg) == place), None) or find_site(place)
