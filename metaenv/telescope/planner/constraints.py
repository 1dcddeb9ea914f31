"""What an observing run allows, and what it asks of each target."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metaenv.errors import TaskError, nearest
from metaenv.telescope.sim.ephemeris import illuminated_fraction
from metaenv.telescope.sim.julian_dates import FIRST, LAST, julian_date
from metaenv.telescope.sim.visibility import LOWEST_DEG, Night
from metaenv.typing import Bools, Floats, Index

Twilight = Literal["civil", "nautical", "astronomical"]
SUN_DEG: dict[str, float] = {"civil": -6.0, "nautical": -12.0, "astronomical": -18.0}
"""Altitude of the sun at which a night of this kind begins and ends."""
MOON_DEG = 20.0  # nearest to a moon that is up, unless a run says otherwise (chosen; surveys take 15 to 30)


def is_number(given: Any) -> bool:
    """Whether it is one real number; a truth value is none."""
    return isinstance(given, numbers.Real) and not isinstance(given, bool | np.bool_)


@dataclass(frozen=True)
class Constraints:
    """Limits that hold for every target of a run.

    Raises:
        TaskError: limits that contradict each other or are out of range.
    """

    min_altitude_deg: float = LOWEST_DEG
    max_altitude_deg: float = 90.0
    """Such as the zenith hole of an altazimuth mount."""
    max_airmass: float = math.inf
    min_moon_deg: float = MOON_DEG
    """Separation from the moon while it is up."""
    max_moon_fraction: float = 1.0
    """Illuminated part of the moon's disc above which nothing is observed while it is up."""
    twilight: Twilight = "astronomical"
    """Which twilight ends before the night begins."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("min_altitude_deg", 0, 90), ("max_altitude_deg", 0, 90), ("max_airmass", 1, math.inf),
            ("min_moon_deg", 0, 180), ("max_moon_fraction", 0, 1),
        ):  # fmt: skip
            value = getattr(self, name)
            if not is_number(value) or not low <= value <= high:  # NaN fails
                raise TaskError(f"expected {name} from {low} to {high}, a number, got {value!r}")
        if self.min_altitude_deg >= self.max_altitude_deg:
            raise TaskError(
                f"expected min_altitude_deg below max_altitude_deg, got {self.min_altitude_deg} and "
                f"{self.max_altitude_deg}"
            )
        if not isinstance(self.twilight, str) or self.twilight not in SUN_DEG:
            raise TaskError(f"no twilight {self.twilight!r}.{nearest(str(self.twilight), SUN_DEG)}")

    @property
    def sun_deg(self) -> float:
        """Altitude of the sun at both ends of the night."""
        return SUN_DEG[self.twilight]


RANGES = {"exposure_s": (1e-3, 86_400.0), "repeats": (1.0, 10_000.0), "max_airmass": (1.0, math.inf),
          "min_moon_deg": (0.0, 180.0)}  # fmt: skip
_EMPTY = {"exposure_s": math.nan, "repeats": 1.0, "begin": -math.inf, "end": math.inf, "at": math.nan,
          "max_airmass": math.inf, "min_moon_deg": 0.0}  # fmt: skip


@dataclass(frozen=True)
class Requests:
    """What a run asks of each of ``N`` targets; every array is (N,)."""

    exposure_s: Floats
    """Of one exposure; NaN to fill the slot."""
    repeats: Floats
    """Exposures, one after the other."""
    begin: Floats
    """JD of UTC before which nothing may be done; -inf for none."""
    end: Floats
    """JD of UTC by which all must be done; inf for none."""
    at: Floats
    """JD of UTC at which the exposure must begin, to within its slot; NaN for any."""
    max_airmass: Floats
    min_moon_deg: Floats

    @classmethod
    def of(cls, names: Sequence[str], asked: dict[str, Any], listed: Requests | None = None) -> Requests:
        """From numbers, times (ISO 8601, UTC), a sequence of one of them a target, or a mapping from names to them.

        They replace those that are ``listed`` already; a mapping replaces those of the targets that it names.

        Raises:
            TaskError: an unknown key or name, a number out of range, or a window that ends before it begins.
        """
        for key in asked:
            if key not in _EMPTY:
                raise TaskError(f"targets cannot ask for {key!r}.{nearest(key, _EMPTY)}")
        made = listed or cls(**{key: np.full(len(names), empty) for key, empty in _EMPTY.items()})
        made = replace(made, **{key: _column(names, key, given, getattr(made, key)) for key, given in asked.items()})
        for key, (low, high) in RANGES.items():
            column = getattr(made, key)
            wrong = ~((low <= column) & (column <= high)) & ~(np.isnan(column) & (key == "exposure_s"))
            if key == "repeats":
                wrong |= column % 1 != 0
            if wrong.any():
                i = int(np.flatnonzero(wrong)[0])
                whole = ", whole numbers" if key == "repeats" else ""
                raise TaskError(
                    f"target {names[i]!r}: expected {key} from {low:g} to {high:g}{whole}, got {column[i]:g}"
                )
        if (wrong := made.begin >= made.end).any():
            raise TaskError(f"target {names[int(np.argmax(wrong))]!r}: its time window ends before it begins")
        return made

    def take(self, index: Index) -> Requests:
        """Those of some of the targets."""
        return Requests(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def earlier(self, days: int) -> Requests:
        """The same requests for a night ``days`` before."""
        return replace(self, begin=self.begin - days, end=self.end - days, at=self.at - days)

    def asks(self) -> list[str]:
        """What any target asks for."""
        same = [np.array_equal(getattr(self, k), np.full_like(self.end, x), equal_nan=True) for k, x in _EMPTY.items()]
        return [key for key, none in zip(_EMPTY, same, strict=True) if not none]

    @property
    def windows_h(self) -> Floats:
        """(N,) length of the time windows in hours."""
        return (self.end - self.begin) * 24


def _column(names: Sequence[str], key: str, given: Any, listed: Floats) -> Floats:
    """(N,) numbers; in what is given None asks for nothing."""
    if isinstance(given, Mapping):
        known = set(names)
        for name in given:
            if name not in known:
                raise TaskError(f"{key} is asked for {name!r}, which is no target.{nearest(str(name), names)}")
        pairs = zip(names, listed, strict=True)
        return np.array([_number(name, key, given[name]) if name in given else old for name, old in pairs])
    if isinstance(given, list | tuple | np.ndarray) and np.shape(given) != ():
        cells = list(given)
        if len(cells) != len(names):
            raise TaskError(f"expected {len(names)} numbers of {key}, one a target, got {len(cells)}")
    else:
        cells = [given] * len(names)
    return np.array([_number(name, key, one) for name, one in zip(names, cells, strict=True)])


def _number(name: str, key: str, given: Any) -> float:
    if given is None:
        return _EMPTY[key]
    is_time = key in ("begin", "end", "at")
    try:
        if is_time and not is_number(given):
            return float(julian_date(getattr(given, "isot", given)))
        value = float(given)
    except (TaskError, TypeError, ValueError, AttributeError) as error:
        raise TaskError(f"target {name!r}: {key} {given!r} cannot be read ({error})") from None
    if not is_number(given) or math.isnan(value):
        raise TaskError(f"target {name!r}: expected a number for {key}, got {given!r}; None asks for nothing")
    if is_time and not FIRST <= value <= LAST:
        raise TaskError(f"target {name!r}: expected {key} as text such as '2027-03-14T02:30' or as a JD, got {given!r}")
    return value


# WHERE AND WHEN


def slots_left(begin: Bools, units: ArrayLike = 1) -> NDArray[np.int16]:
    """(T, N) slots, this one included, for which an exposure may ever begin again; at least those of a visit."""
    left = begin.astype(np.int16)
    for t in range(len(left) - 2, -1, -1):
        left[t] += begin[t] * left[t + 1]
    return np.where(begin, np.maximum(left, units), 0).astype(np.int16)


def reasons_against(
    night: Night, limits: Constraints, asked: Requests, units: ArrayLike
) -> tuple[Bools, list[tuple[str, Bools]]]:
    """What must not be observed, in one night.

    Args:
        night: its geometry, one row.
        limits: of the run.
        asked: of the targets.
        units: (N,) slots that each takes.

    Returns:
        (T, N) where an exposure may begin, and by their reasons the (T, N) slots that are forbidden.
    """
    sin_alt, mass = night.sin_alt[0], night.airmass[0]
    up = night.moon.z[0] > 0  # (T,)
    separation = np.degrees(np.arccos(np.clip(night.cos_moon[0], -1, 1)))
    nearest_moon = np.maximum(limits.min_moon_deg, asked.min_moon_deg)
    bright = illuminated_fraction(night.phase_angle[0]) > limits.max_moon_fraction
    start = night.start[0][:, None]
    stop = start + night.hours[0] / 24
    second = 1 / 86_400
    forbidden = [
        (f"below {limits.min_altitude_deg:g} deg", sin_alt <= np.sin(np.radians(limits.min_altitude_deg))),
        (
            f"above {limits.max_altitude_deg:g} deg",
            (sin_alt > np.sin(np.radians(limits.max_altitude_deg))) & (limits.max_altitude_deg < 90),
        ),
        ("at too high an airmass", mass > np.minimum(limits.max_airmass, asked.max_airmass)),
        ("too near to the moon", up[:, None] & (separation < nearest_moon)),
        ("in the light of too bright a moon", np.broadcast_to((up & bright)[:, None], sin_alt.shape)),
        ("outside of their time window", (start < asked.begin - second) | (stop > asked.end + second)),
    ]
    allowed = ~np.any([f for _, f in forbidden], axis=0)
    begin = allowed.copy()
    units = np.asarray(units)
    count = len(sin_alt)
    for more in range(1, int(min(units.max(initial=1), count))):
        later = np.zeros_like(allowed)
        later[: count - more] = allowed[more:]
        begin &= later | (units <= more)
    begin &= units <= count
    timed = ~np.isnan(asked.at)
    begin &= ~timed | ((start <= asked.at + second) & (asked.at + second < stop))
    return begin, forbidden
