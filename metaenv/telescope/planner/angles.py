"""Angles as catalogues write them, and as operators read them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, cast

import numpy as np

from metaenv.errors import TaskError
from metaenv.typing import Floats, Index

Axis = Literal["ra", "dec"]
LONG = {"ra": "right ascension", "dec": "declination"}
LIMITS = {"ra": (0.0, 360.0), "dec": (-90.0, 90.0)}  # deg
_HOUR_COLUMNS = ("ra_hours", "rah", "ra_h")
_PARTS = re.compile(r"\s*[,;|]\s*")
_PLAIN = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$|[+-]?\.\d+$")
_MAX_LISTED = 8  # rows that a note lists


class Problems:
    """The faults of the rows of a file, and the notes on how they were handled.

    Args:
        rows: how many there are.
        take_first: whether the first of several coordinates may be taken.
    """

    def __init__(self, rows: int, take_first: bool) -> None:
        self.take_first = take_first
        self.reasons: list[str] = [""] * rows
        self.notes: list[str] = []
        self.several: dict[int, dict[Axis, float]] = {}
        """How far from the first, in deg along each axis, the others lie in rows that hold several coordinates."""

    def add(self, rows: Iterable[Any], reason: Callable[[int], str]) -> None:
        """Note a fault of each of ``rows``; the first reason of a row counts."""
        for i in rows:
            self.reasons[int(i)] = self.reasons[int(i)] or reason(int(i))

    def tell_several(self, dec: Floats) -> None:
        """One note on all rows that hold several coordinates; ``dec`` (n,) rad are the declinations taken."""
        apart = {
            i: 3600 * float(np.hypot(by.get("ra", 0.0) * np.cos(dec[i]), by.get("dec", 0.0)))
            for i, by in self.several.items()
            if not self.reasons[i]
        }
        if apart:
            worst = max(apart, key=apart.__getitem__)
            self.notes.append(
                f"{len(apart)} rows hold several positions: the first was taken; the others lie up to "
                f"{apart[worst]:.1f} arcsec from it (row {worst + 1})"
            )

    def kept(self, names: Sequence[str], file: str, drop: bool) -> Index:
        """The rows that can be used; raises TaskError if there are others and ``drop`` is not wished, or none."""
        bad = [i for i, reason in enumerate(self.reasons) if reason]
        if bad and not drop:
            more = f", and {len(bad) - 1} more such rows" if len(bad) > 1 else ""
            raise TaskError(
                f"{file}, row {bad[0] + 1} ({names[bad[0]]!r}): {self.reasons[bad[0]]}{more}. Mend the file, or leave "
                "such rows out with invalid='drop'"
            )
        if bad:
            listed = "; ".join(f"row {i + 1} ({names[i]!r}): {self.reasons[i]}" for i in bad[:_MAX_LISTED])
            self.notes.append(f"{len(bad)} rows dropped: {listed}" + ("; …" if len(bad) > _MAX_LISTED else ""))
        keep = np.flatnonzero([not reason for reason in self.reasons])
        if not len(keep):
            raise TaskError(f"{file} has no usable target; row 1: {self.reasons[0]}")
        return keep


def column_angles(table: Any, column: str, axis: Axis, told: str | None, problems: Problems) -> Floats:
    """(n,) rad of a column of an Astropy table; NaN where ``problems`` were noted."""
    cells, unit = table[column], _unit(table[column], column, axis, told)
    if cells.dtype.kind in "fiu":
        factor = 1.0 if unit is None else unit.to("deg")
        degrees = np.ma.filled(np.ma.asarray(cells, dtype=float), np.nan) * factor
    else:
        degrees = _from_text(cells, column, axis, unit, problems)
    low, high = LIMITS[axis]
    missing, wrong = np.isnan(degrees), (degrees < low) | (degrees > high) | np.isinf(degrees)
    problems.add(np.flatnonzero(missing), lambda i: f"there is no {LONG[axis]}")
    problems.add(np.flatnonzero(wrong), lambda i: f"{LONG[axis]} must lie in [{low:g}, {high:g}] deg, got "
                 f"{degrees[i]:g} deg{_is_it(axis, unit)}")  # fmt: skip
    radians = np.radians(np.where(wrong, np.nan, degrees))
    return radians % (2 * np.pi) if axis == "ra" else radians


def _is_it(axis: Axis, unit: Any) -> str:
    return "; are these degrees, not hours?" if axis == "ra" and unit is not None and unit.to("deg") == 15 else ""


def _unit(cells: Any, column: str, axis: Axis, told: str | None) -> Any:
    """Astropy's unit of a column: the file's, or the user's, or by the column's name; None if nothing says."""
    from astropy import units as u

    written = str(cells.unit or "").strip('" ')
    if written.lower() in ("h:m:s", "hms", "d:m:s", "dms"):
        written = "hourangle" if written.lower().startswith("h") else "deg"
    elif written in ("h", "hr", "hour"):  # a time by the letter, which of a right ascension means the angle
        written = "hourangle"
    found = _angle(written, column) if written else None
    if told is None:
        return u.hourangle if found is None and axis == "ra" and column.lower() in _HOUR_COLUMNS else found
    given = _angle(told, column)
    if found is not None and found != given:
        raise TaskError(f"column {column!r} is in {found} by the file but was told to be in {given}")
    return given


def _angle(text: str, column: str) -> Any:
    from astropy import units as u

    try:
        unit = u.Unit(text)
        unit.to(u.deg)
    except (ValueError, TypeError, u.UnitConversionError):
        raise TaskError(f"column {column!r}: expected an angle such as 'deg' or 'hourangle', got {text!r}") from None
    return unit


def _from_text(cells: Any, column: str, axis: Axis, unit: Any, problems: Problems) -> Floats:
    """(n,) degrees of cells of text; each column must be written in one way."""
    degrees, style, first = np.full(len(cells), np.nan), "", 0
    for i, cell in enumerate(cells.tolist()):
        text = "" if cell is None else (cell.decode() if isinstance(cell, bytes) else str(cell)).strip()
        if text in ("", "--") or text.lower() == "nan":
            continue
        parts = [p for p in _PARTS.split(text) if p]
        if len(parts) != 1 and not (parts and problems.take_first):
            problems.add([i], lambda _, t=text: f"column {column!r} holds several coordinates, {t!r}; several='first' "
                         "takes the first of them")  # fmt: skip
            continue
        now = _style(parts[0])
        if style and now and now != style:
            raise TaskError(
                f"column {column!r} is written in two ways: row {first + 1} in {style}, row {i + 1} in {now} ({text!r})"
            )
        if now and not style:
            style, first = now, i
        angles = [_degrees(p, axis, unit) for p in parts]
        if np.isnan(angles[0]):
            problems.add([i], lambda _, t=text: f"{LONG[axis]} {t!r} cannot be read as an angle")
            continue
        degrees[i] = angles[0]
        if len(parts) > 1:
            apart = (np.array(angles) - angles[0] + 180) % 360 - 180
            problems.several.setdefault(i, {})[axis] = float(np.nanmax(np.abs(apart)))
    return degrees


def _style(text: str) -> str:
    """How an angle is written."""
    if _PLAIN.match(text):
        return "plain numbers"
    if not re.match(r"[+-]?\d", text):
        return ""
    if "h" in text.lower():
        return "hours, minutes, seconds"
    if "d" in text.lower() or "°" in text:
        return "degrees, minutes, seconds"
    return "sexagesimal numbers" if re.match(r"[+-]?\d+[:\s]", text) else ""


def _degrees(text: str, axis: Axis, unit: Any) -> float:
    """One angle in degrees, NaN for text that is not an angle."""
    from astropy import coordinates, units

    angle, u = cast(Any, coordinates).Angle, cast(Any, units)

    if _PLAIN.match(text):
        return float(text) * (1.0 if unit is None else unit.to(u.deg))
    usual = u.hourangle if axis == "ra" else u.deg
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as 60 seconds
        try:
            return float(angle(text, unit=unit or usual).deg)
        except (ValueError, TypeError, Warning):
            return np.nan


# FOR READERS


def sexagesimal(radians: float, axis: Axis) -> str:
    """``13:03:33.09`` hours of a right ascension, ``-05:03:30.5`` degrees of a declination."""
    scale, digits = (240.0, 2) if axis == "ra" else (3600.0, 1)
    ticks = round(np.degrees(abs(radians)) * scale * 10**digits)
    if axis == "ra":
        ticks %= 86_400 * 10**digits
    seconds, fraction = divmod(ticks, 10**digits)
    sign = "" if axis == "ra" else "-" if radians < 0 and ticks else "+"
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:0{digits}d}"
