"""What a list of targets asks for in columns of its own: exposures, times and limits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from metaenv.errors import TaskError
from metaenv.telescope.planner.angles import Problems, heading_key, with_points
from metaenv.telescope.planner.constraints import RANGES, Requests
from metaenv.telescope.planner.formats import Column, empty
from metaenv.telescope.sim.ephemeris import airmass
from metaenv.telescope.sim.julian_dates import FIRST, LAST, julian_date
from metaenv.typing import Bools, Floats

WISHES: dict[str, tuple[str, ...]] = {
    "exposure_s": ("exposure", "exptime", "exposuretime", "exptimesec", "exposuresec", "texp", "exp", "itime",
                   "inttime", "integrationtime", "integration", "dit", "tint"),
    "repeats": ("repeats", "repeat", "nexp", "nexposures", "nexposure", "numexp", "numexposures", "numexposure",
                "numberofexposures", "noofexposures", "nrepeats", "ndit", "expcount"),
    "begin": ("begin", "start", "notbefore", "earliest", "windowstart", "starttime", "begintime", "timestart",
              "obsstart", "observeafter", "tstart"),
    "end": ("end", "stop", "notafter", "latest", "windowend", "endtime", "stoptime", "timeend", "obsend",
            "observebefore", "tend", "deadline"),
    "at": ("at", "fixedtime", "observeat", "attime"),
    "max_airmass": ("maxairmass", "airmassmax", "airmasslimit", "maxam", "maxsecz"),
    "min_altitude": ("minalt", "minaltitude", "altmin", "altitudemin", "minelevation", "minel", "minelev",
                     "elevationmin"),
    "min_moon_deg": ("minmoon", "minmoonsep", "minmoondist", "minmoondistance", "minmoonseparation", "moonsepmin",
                     "moondistmin", "minlunardistance", "mindistmoon"),
}  # fmt: skip
"""Headings of requests, in small letters and without signs and units."""
PLAIN = {"begin": ("begin", "start"), "end": ("end", "stop")}
"""Headings that say little where the other end of a time window has no column."""
_TIMED = ("begin", "end", "at")
_SECONDS = {**dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1.0), "ms": 1e-3, "ks": 1e3,
            **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
            **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0)}  # fmt: skip
_DEGREES = dict.fromkeys(("", "deg", "degree", "degrees", "°", "d"), 1.0)
_TIMES = dict.fromkeys(("", "utc", "ut", "jd", "mjd", "d", "day", "days", "iso", "isot"), 1.0)
_UNITS = {"exposure_s": _SECONDS, "begin": _TIMES, "end": _TIMES, "at": _TIMES, "min_altitude": _DEGREES,
          "min_moon_deg": _DEGREES}  # fmt: skip
_SUFFIX = re.compile(r"[ _.\-](s|secs?|seconds?|ms|mins?|minutes?|h|hrs?|hours?|deg|degrees|utc?|jd|mjd)$")


def wish_key(heading: str) -> str:
    """A heading without its unit, as headings are compared: ``"exptime_min"`` is ``"exptime"``."""
    return heading_key(_SUFFIX.sub("", heading.strip().lower()))


def read_wishes(found: Mapping[str, Column], rows: int, problems: Problems) -> Requests | None:
    """What the columns of requests ask for; None without such columns. What was read is said in the notes."""
    columns = {role: found[role] for role in WISHES if role in found}
    numbers = {role: _read(role, column, problems) for role, column in columns.items()}
    if not columns:
        return None
    made = Requests.of([""] * rows, {})
    for role, given in numbers.items():
        key, low, high = (role, *RANGES[role]) if role in RANGES else (role, FIRST, LAST)
        if role == "min_altitude":
            key, low, high = "max_airmass", 0.0, 90.0
        known = np.isfinite(given)
        bad = known & ~((low <= given) & (given <= high) & ((given % 1 == 0) | (role != "repeats")))
        limits = f"{'a whole number ' * (role == 'repeats')}from {low:g} to {high:g}"
        _refuse(columns[role], bad, "a date from 1950 to 2099" if role in _TIMED else limits, problems)
        usable = known & ~bad
        values = airmass(np.sin(np.radians(np.where(usable, given, 0.0)))) if role == "min_altitude" else given
        column = getattr(made, key)
        column[usable] = np.minimum(column, values)[usable] if key == "max_airmass" else values[usable]
    problems.add(np.flatnonzero(made.begin >= made.end), lambda i: "its time window ends before it begins")
    told = [f"{role} from {c.name!r}" + _assumed(role, c) for role, c in columns.items()]
    problems.notes.append(
        f"taken as requests: {', '.join(told)}; requests=… of a plan replaces them, columns={{{next(iter(columns))!r}: "
        "None} leaves a column out"
    )
    return made


def _assumed(role: str, column: Column) -> str:
    if role in _TIMED:
        return " (UTC)"
    return f" ({'s' if role == 'exposure_s' else 'deg'} assumed)" if role in _UNITS and not _unit(column) else ""


def _unit(column: Column) -> str:
    suffix = _SUFFIX.search(column.name.strip().lower())
    return column.unit.strip("'\" ").lower() or (suffix[1] if suffix else "")


def _read(role: str, column: Column, problems: Problems) -> Floats:
    """(n,) the numbers of a column, in seconds, degrees or JD; NaN where there is no request."""
    unit, units = _unit(column), _UNITS.get(role, {"": 1.0})
    if unit not in units:
        expected = ", ".join(sorted(u for u in units if u)) or "a number without a unit"
        raise TaskError(
            f"column {column.name!r} is in {unit!r}: expected {expected}; columns={{{role!r}: None}} leaves it out"
        )
    found = np.full(len(column.cells), np.nan)
    cells: Sequence[str] = column.cells if role in _TIMED else with_points(column, problems)
    for i, cell in enumerate(cells):
        if empty(cell):
            continue
        if role not in _TIMED and re.fullmatch(r"\d{1,3}(,\d{3})+", column.cells[i].strip()):
            _refuse(column, np.arange(len(cells)) == i, "a number whose comma cannot part thousands", problems)
        try:
            found[i] = _time(cell.strip(), unit) if role in _TIMED else _quantity(cell.strip(), unit, units)
        except (TaskError, ValueError):
            what = "a time such as 2027-03-14T02:30 (UTC), a JD or an MJD" if role in _TIMED else "a number"
            _refuse(column, np.arange(len(cells)) == i, what, problems)
    return found


def _quantity(cell: str, unit: str, units: Mapping[str, float]) -> float:
    """A number, with its own unit or the column's."""
    parts = re.fullmatch(r"([-+−]?[\d.]+(?:[eE][-+]?\d+)?)\s*([a-z°]*)\.?", cell, re.IGNORECASE)
    if not parts or (own := parts[2].lower() or unit) not in units:
        raise ValueError
    return float(parts[1].replace("−", "-")) * units[own]


def _time(cell: str, unit: str) -> float:
    """The JD of a time."""
    if re.fullmatch(r"\d+(\.\d*)?", cell):
        number = float(cell)
        return number + 2_400_000.5 if unit == "mjd" or number < 100_000 else number
    text = re.sub(r"\s*(UTC?|Z)$", "", cell, flags=re.IGNORECASE).replace("/", "-")
    return float(julian_date(text))


def _refuse(column: Column, bad: Bools, expected: str, problems: Problems) -> None:
    problems.add(np.flatnonzero(bad), lambda i: f"column {column.name!r}: expected {expected}, got {column.cells[i]!r}")
