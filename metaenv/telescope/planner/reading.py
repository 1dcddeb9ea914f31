"""Reads a user's own targets from a file, or from a table of Astropy or pandas.

Nothing is guessed silently: what was assumed, converted, dropped or not used is in the list's ``notes``, and a row that
cannot be read is refused by its number, the first below the heading being 1.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.telescope.planner.angles import Problems, column_angles, heading_key, split_position, with_points
from metaenv.telescope.planner.catalogue import (
    ASSUMED_MAGNITUDE,
    MAGNITUDES,
    UNKNOWN_CLASS,
    TargetList,
    again,
    classify,
    order_and_worth,
)
from metaenv.telescope.planner.columns import B1950_COLUMNS, V_COLUMNS, find_columns, has_places, places
from metaenv.telescope.planner.formats import Column, Sheet, chosen_sheet, empty, read_sheets
from metaenv.telescope.planner.frames import ICRS, YEARS, Frame, direction, motion_to_icrs, read_frame, to_icrs
from metaenv.telescope.planner.wishes import read_wishes
from metaenv.telescope.sim.ephemeris import ARCSEC
from metaenv.telescope.sim.julian_dates import J2000
from metaenv.telescope.sim.targets import CLASSES
from metaenv.typing import Floats, Index

Source = str | Path | Any
NEAR_ARCSEC = 2.0  # between two targets that may be one (chosen)
_MAS = {"mas/yr": 1.0, "arcsec/yr": 1e3, "deg/yr": 3.6e6, "rad/yr": 1e-3 / ARCSEC, "s/yr": 15e3, "uas/yr": 1e-3}
"""Milliarcseconds a year of a unit of proper motion; a second of time still lacks cos(dec)."""


def read_targets(
    source: Source,
    columns: Mapping[str, str | None] | None = None,
    *,
    ra_unit: str | None = None,
    dec_unit: str | None = None,
    frame: str | None = None,
    default_magnitude: float | None = None,
    several: Literal["refuse", "first"] = "refuse",
    invalid: Literal["refuse", "drop"] = "refuse",
    table: int | str | None = None,
    file_format: str | None = None,
) -> TargetList:
    """Targets of a file or of a table in memory.

    Files are CSV, TSV and other delimited text (VizieR, SIMBAD and TNS exports among it), star lists of the Keck and
    Subaru observatories, and, by Astropy, ECSV, FITS, VOTable and tables of the CDS. Positions become ICRS: those of
    another equinox or system, which a header, a heading or a column names, are converted. Without a unit numbers are
    degrees, except in columns such as ``ra_hours``; sexagesimal text is in hours for the right ascension and in degrees
    for the declination, unless it says ``d``. One column must be written in one way. Proper motions are kept in
    ``motion`` of the list and applied to the date of a plan.

    Args:
        source: a path; or Astropy's Table or SkyCoord, a DataFrame, or a dictionary of columns.
        columns: which column holds what, by the keys of `metaenv.telescope.planner.columns.GUESSES`; others are looked
            for by the headings there, and by their UCD; None leaves one out. Needed are ``ra`` and ``dec``,
            ``position`` or ``l`` and ``b``. Columns of exposure times, repeats, time windows and limits become
            ``requests`` of the list.
        ra_unit: ``"deg"``, ``"hourangle"``, ``"rad"``, …, for a column without a unit.
        dec_unit: likewise.
        frame: ``"B1950"``, ``"FK4"``, ``"J2015.5"``, ``"galactic"``, …, where the file does not say; ICRS by default.
        default_magnitude: V of targets whose magnitude is not given. A file without any takes 19.5 and says so.
        several: what to do with a cell that holds several coordinates, parted by ``,``, ``;`` or ``|``: refuse it, or
            take the first and say so. They must lie within a degree.
        invalid: what to do with rows that cannot be used: refuse the file, or drop them and say so.
        table: number or name of the extension or table of a file with several; else the first with positions.
        file_format: Astropy's name of the format, where the file does not tell.

    Raises:
        ImportError: Astropy is needed and not installed.
        TaskError: a file that cannot be read, a column that is missing (the nearest is named), or a bad row.
    """
    for name, given, options in (("several", several, ("refuse", "first")), ("invalid", invalid, ("refuse", "drop"))):
        if given not in options:
            raise TaskError(f"no choice {given!r} of {name}.{nearest(given, options)}")
    file = Path(source).name if isinstance(source, str | Path) else f"the {type(source).__name__}"
    with _named(file):
        sheet = chosen_sheet(read_sheets(source, file_format), has_places, table, file)
        found = find_columns(sheet, columns or {})
        way = places(found, sheet)
        if not len(sheet):
            raise TaskError(f"{file} has no targets: there is no row below its heading")
        problems = Problems(len(sheet), several == "first")
        problems.notes += sheet.notes
        problems.add(sheet.faults, sheet.faults.__getitem__)
        names = _names(sheet, found.get("name"), problems)
        place = _place_columns(found, way, problems)
        given = _frames(sheet, found, place, way, frame, problems)
        first, second = ("l", "b") if way == "galactic" else ("ra", "dec")
        ra = column_angles(place[0], first, ra_unit, problems)
        dec = column_angles(place[1], second, dec_unit, problems)
        problems.tell_several(dec)
        motion = _motion(sheet, found, dec, given, problems)
        _convert(ra, dec, motion, given, problems)
        magnitude = _magnitudes(sheet, found.get("magnitude"), default_magnitude, problems)
        priority, value = (_numbers(found.get(k), k, problems) for k in ("priority", "value"))
        if value is not None:
            problems.add(np.flatnonzero(~(value > 0)), lambda i: f"value must be above 0, got {value[i]}")
        wishes = read_wishes(found, len(sheet), problems)
        problems.add(again(names), lambda i: f"the name {names[i]!r} stands in an earlier row too")
        keep = problems.kept(names, file, invalid == "drop")
        label = _labels(found.get("class"), keep, problems)
        kept = [None if c is None else c[keep] for c in (priority, value)]
        order, worth = order_and_worth(kept[0], kept[1], len(keep))
        _tell(sheet, found, way, problems)
        return TargetList(
            tuple(names[i] for i in keep), ra[keep], dec[keep], magnitude[keep], order, worth, label,
            motion=None if motion is None else motion[keep], notes=(*problems.notes, *_close(names, ra, dec, keep)),
            requests=wishes and wishes.take(keep),
        )  # fmt: skip


@contextmanager
def _named(file: str) -> Iterator[None]:
    """Name the file in a TaskError that does not."""
    try:
        yield
    except TaskError as error:
        raise error if file in str(error) else TaskError(f"{file}: {error}") from error


# POSITIONS


def _place_columns(found: Mapping[str, Column], way: str, problems: Problems) -> tuple[Column, Column]:
    if way == "position":
        return split_position(found["position"], problems)
    return (found["l"], found["b"]) if way == "galactic" else (found["ra"], found["dec"])


def _frames(
    sheet: Sheet, found: dict[str, Column], place: tuple[Column, Column], way: str, told: str | None, problems: Problems
) -> list[Frame]:
    """The frame of each row: by the user, the headings, columns of equinoxes or frames, or the file's header."""
    n = len(sheet)
    asked = None if told is None else read_frame(told)
    if way == "galactic":
        return [Frame("galactic")] * n
    headings = [c.frame for c in (place[0], found.get("position")) if c is not None and c.frame]
    if heading_key(place[0].name) in B1950_COLUMNS or heading_key(place[1].name) in B1950_COLUMNS:
        headings.append("B1950")
    by_file = None
    if headings or sheet.system or sheet.equinox:
        by_file = read_frame(headings[0]) if headings else read_frame(sheet.system, sheet.equinox)
    if asked and by_file and asked != by_file:
        raise TaskError(f"positions are {by_file} by the file but were told to be {asked}")
    epoch, moves = found.get("epoch"), "pm_ra" in found or "pm_dec" in found
    if epoch is not None and heading_key(epoch.name) == "epoch" and not moves and "equinox" not in found:
        found["equinox"] = found.pop("epoch")
        problems.notes.append(f"column {epoch.name!r} is taken as the equinox, because there are no proper motions")
    cells = [found[k].cells if k in found else [""] * n for k in ("frame", "equinox")]
    usual, frames = asked or by_file or ICRS, []
    for i, (system, equinox) in enumerate(zip(*cells, strict=True)):
        system, equinox = ("" if empty(x) else x for x in (system, equinox))
        try:
            frames.append(read_frame(system, equinox) if system or equinox else usual)
        except TaskError as error:
            problems.add([i], lambda _, e=error: str(e))
            frames.append(ICRS)
        if asked and (system or equinox) and frames[-1] != asked:
            raise TaskError(f"row {i + 1} is {frames[-1]} by the file but was told to be {asked}")
    return frames


def _convert(ra: Floats, dec: Floats, motion: Floats | None, frames: list[Frame], problems: Problems) -> None:
    """Positions and motions of other frames become those of ICRS, in place."""
    for frame in dict.fromkeys(frames):
        rows = np.flatnonzero([f == frame for f in frames] & np.isfinite(ra) & np.isfinite(dec))
        if frame == ICRS or not len(rows):
            continue
        if motion is not None:
            pm = motion[rows, :2].T * ARCSEC / 1000
            turned = motion_to_icrs(ra[rows], dec[rows], pm[0], pm[1], frame)
            motion[rows, :2] = np.stack(turned, axis=1) * 1000 / ARCSEC
        ra[rows], dec[rows] = to_icrs(ra[rows], dec[rows], frame)
        problems.notes.append(f"converted from {frame} to ICRS: {len(rows)} of {len(ra)} positions")


def _motion(
    sheet: Sheet, found: Mapping[str, Column], dec: Floats, frames: list[Frame], problems: Problems
) -> Floats | None:
    """(n, 3) proper motions in mas a year and Julian years of the positions; None without such columns."""
    given = [found.get(k) for k in ("pm_ra", "pm_dec")]
    if not any(given):
        return None
    motion = np.zeros((len(sheet), 3))
    for k, column in enumerate(given):
        numbers = _numbers(column, "proper motion", problems, 0.0)
        if column is None or numbers is None:
            continue
        unit = re.sub(r"\s+", "", column.unit.lower()).replace("year", "yr").replace("/a", "/yr")
        unit = re.sub(r"[.*]?yr(\*\*|\^)?\(?-1\)?$|/y$", "/yr", unit).replace("milliarcsec", "mas")
        if unit and unit not in _MAS:
            raise TaskError(
                f"column {column.name!r}: expected a proper motion in {', '.join(_MAS)}, got {column.unit!r}"
            )
        motion[:, k] = numbers * _MAS[unit or "mas/yr"] * (np.cos(dec) if unit == "s/yr" else 1.0)
    if bare := [c.name for c in given if c is not None and not c.unit.strip()]:
        problems.notes.append(f"proper motions have no unit and are taken as mas/yr: {', '.join(bare)}")
    motion = np.where(np.isfinite(motion), motion, 0.0)
    motion[:, 2] = [f.equinox if f.system in ("FK4", "FK5") else 2000.0 for f in frames]
    if (column := found.get("epoch")) is None:
        years = ", ".join(f"{y:g}" for y in sorted(set(motion[:, 2])))
        problems.notes.append(
            f"there is no column of epochs: positions with proper motions are taken as those of {years}"
        )
        return motion
    for i, cell in enumerate(with_points(column, problems)):
        if not empty(cell):
            motion[i, 2] = year = _year(cell)
            if not YEARS[0] <= year <= YEARS[1]:
                problems.add([i], lambda _, t=cell: f"epoch {t!r} is no year such as 2016.0, and no Julian date")
                motion[i, 2] = 2000.0
    return motion


def _year(cell: str) -> float:
    """A Julian year of ``2016.0``, ``J2015.5``, a Julian or modified Julian date, or ``2016-01-01``; NaN of others."""
    if found := re.match(r"(\d{4})-(\d\d)-(\d\d)", cell):
        try:
            days = (dt.date(*map(int, found.groups())) - dt.date(2000, 1, 1)).days
        except ValueError:
            return np.nan
        return 2000.0 + (days - 0.5) / 365.25
    if not (found := re.fullmatch(r"[JB]?\s*(\d+(\.\d*)?)", cell.strip())):
        return np.nan
    number = float(found[1])
    if number > 2_300_000:
        return 2000.0 + (number - J2000) / 365.25
    return 2000.0 + (number + 2_400_000.5 - J2000) / 365.25 if number > 20_000 else number


# OTHER COLUMNS


def _names(sheet: Sheet, column: Column | None, problems: Problems) -> list[str]:
    if column is None:
        problems.notes.append("no column of names: targets are called by their rows")
        return [f"row {i + 1}" for i in range(len(sheet))]
    names = [" ".join(cell.split()) for cell in column.cells]
    problems.add(np.flatnonzero([not name for name in names]), lambda i: "there is no name")
    return [name or f"row {i + 1}" for i, name in enumerate(names)]


def _numbers(column: Column | None, what: str, problems: Problems, fill: float | None = None) -> Floats | None:
    """(n,) the numbers of a column; empty cells are ``fill``, or problems."""
    if column is None:
        return None
    cells, found = with_points(column, problems), np.full(len(column.cells), np.nan)
    remedy = "; default_magnitude=… gives it one" if what == "magnitude" else ""
    for i, cell in enumerate(cells):
        if empty(cell):
            if fill is not None:
                found[i] = fill
                continue
            problems.add([i], lambda _: f"there is no {what}{remedy}")
        try:
            found[i] = float(cell.replace("−", "-"))
        except ValueError:
            problems.add([i], lambda _, t=cell: f"{what} must be a number, got {t!r}")
    problems.add(np.flatnonzero(~np.isfinite(found)), lambda i: f"{what} must be a finite number, got {found[i]}")
    return found


def _magnitudes(sheet: Sheet, column: Column | None, default: float | None, problems: Problems) -> Floats:
    found = _numbers(column, "magnitude", problems, default)
    if column is None or found is None:
        value = ASSUMED_MAGNITUDE if default is None else float(default)
        problems.notes.append(f"no column of magnitudes: V = {value:g} is assumed of every target")
        return np.full(len(sheet), value)
    if column.unit and not re.search(r"mag|vega|^ab$", column.unit.lower()):
        raise TaskError(
            f"column {column.name!r} is in {column.unit!r}, not in magnitudes: convert it, or name another column by "
            "columns={'magnitude': '…'}"
        )
    if heading_key(column.name) not in V_COLUMNS and "em.opt.v" not in column.ucd.lower():
        problems.notes.append(f"magnitudes of the column {column.name!r} are taken as V")
    low, high = MAGNITUDES
    wrong = np.flatnonzero(np.isfinite(found) & ~((low <= found) & (found <= high)))
    problems.add(wrong, lambda i: f"magnitude must lie in [{low:g}, {high:g}], got {found[i]:g}")
    return found


def _labels(column: Column | None, keep: Index, problems: Problems) -> NDArray[np.int8]:
    if column is None:
        return np.full(len(keep), UNKNOWN_CLASS, np.int8)
    label = np.array([classify(column.cells[i]) for i in keep], np.int8)
    if unknown := int((label == UNKNOWN_CLASS).sum()):
        problems.notes.append(f"{unknown} targets have a class that is not one of: {', '.join(CLASSES)}")
    return label


# NOTES


def _tell(sheet: Sheet, found: Mapping[str, Column], way: str, problems: Problems) -> None:
    """Notes on decimal commas, and on columns that are not used."""
    if commas := list(dict.fromkeys(problems.commas)):
        problems.notes.append(f"decimal commas are read as decimal points: {', '.join(commas)}")
    idle = {"equatorial": ("l", "b", "position"), "position": ("l", "b", "ra", "dec"), "galactic": ("ra", "dec")}[way]
    used = {id(c) for role, c in found.items() if role not in idle and (role != "epoch" or "pm_ra" in found)}
    if left := [c.name for c in sheet.columns if c.name and id(c) not in used and any(c.cells)]:
        more = f" and {len(left) - 12} more" if len(left) > 12 else ""
        problems.notes.append(f"columns not used: {', '.join(left[:12])}{more}")


def _close(names: list[str], ra: Floats, dec: Floats, keep: Index) -> list[str]:
    """A note on pairs of targets that may be one."""
    order = keep[np.argsort(dec[keep], kind="stable")]
    v, pairs = direction(ra[order], dec[order]), []
    limit: Callable[[Floats], Any] = lambda gap: np.flatnonzero((gap**2).sum(axis=1) < (NEAR_ARCSEC * ARCSEC) ** 2)  # noqa: E731
    for step in range(1, min(8, len(order))):
        pairs += [(order[i], order[i + step]) for i in limit(v[step:] - v[:-step])]
    if not pairs:
        return []
    i, j = sorted(pairs[0])
    return [
        f"targets within {NEAR_ARCSEC:g} arcsec of each other, which may be one: {names[i]!r} and {names[j]!r}"
        + (f", and {len(pairs) - 1} more pairs" if len(pairs) > 1 else "")
    ]
