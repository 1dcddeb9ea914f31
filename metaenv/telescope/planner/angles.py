"""Angles as catalogues write them, and as operators read them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np

from metaenv.errors import TaskError, nearest
from metaenv.telescope.planner.formats import Column, empty
from metaenv.typing import Floats, Index

Axis = Literal["ra", "dec", "l", "b"]
LONG = {"ra": "right ascension", "dec": "declination", "l": "galactic longitude", "b": "galactic latitude"}
LIMITS = {"ra": (0.0, 360.0), "dec": (-90.0, 90.0), "l": (-180.0, 360.0), "b": (-90.0, 90.0)}  # deg
UNITS: dict[str, float] = {"deg": 1.0, "hourangle": 15.0, "rad": 180 / np.pi, "arcmin": 1 / 60, "arcsec": 1 / 3600,
                           "mas": 1 / 3.6e6}  # fmt: skip
"""Degrees of a unit of angles."""
_SPELLINGS: dict[str, str] = {
    name: unit
    for unit, names in {
        "deg": "degree,degrees,degs,d,°,decimal degrees,d:m:s,dms,d m s,dd:mm:ss,dd mm ss",
        "hourangle": "h,hr,hrs,hour,hours,hour angle,decimal hours,h:m:s,hms,h m s,hh:mm:ss,hh mm ss",
        "rad": "radian,radians",
        "arcmin": "arcminute,arcminutes",
        "arcsec": "arcsecond,arcseconds,as",
    }.items()
    for name in names.split(",")
}
_HOUR_COLUMNS = ("rahours", "rah", "rahr")
MOST_APART = 1.0  # deg between several positions of one target, beyond which they are no such thing (chosen)
_ALL_HOURS, _WIDE = 24.0, 12.0  # right ascensions that fill the range of hours look like hours
_PARTS = re.compile(r"\s*[,;|]\s*")
_PLAIN = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$|[+-]?\.\d+$")
_PACKED = re.compile(r"([+-]?)(\d\d)(\d\d)(\d\d(?:\.\d*)?)$")
_DECIMAL_COMMA = re.compile(r"([+-]?\d*|[+-]?\d[^,;|]*[:\shd°m'′]\s*\d{1,2}),(\d+)([s\"″']*)$")
_SEXAGESIMAL = re.compile(
    r"([+-]?)\s*(\d{1,3})\s*(?:([hd:]|\s)\s*(\d{1,2}(?:\.\d*)?)\s*(?:([m':]|\s)\s*(\d{1,2}(?:\.\d*)?)\s*(?:s|\"|'')?|[m'])?)$"
)
_WITH_UNIT = re.compile(r"([+-]?\s*\d+(?:\.\d*)?)\s*([hd])$")
_TYPOGRAPHIC = str.maketrans({
    **dict.fromkeys("−–—‒‐‑﹣－", "-"), **dict.fromkeys("′’‘´`ʹ", "'"), **dict.fromkeys("″”“ʺ", '"'),
    **dict.fromkeys("°º˚", "d"), **dict.fromkeys("ʰ", "h"), **dict.fromkeys("ᵐ", "m"), **dict.fromkeys("ˢ", "s"),
    **dict.fromkeys("ᵈ", "d"),
})  # fmt: skip
_TYPED = re.compile(r"[-+\d:. hdms]*$")  # most angles are written so
_HMS, _DMS, _BARE = "hours, minutes, seconds", "degrees, minutes, seconds", "sexagesimal numbers"
_ALIKE: dict[tuple[str, str | None], set[str]] = {  # ways of writing that one column may mix
    ("ra", None): {_HMS, _BARE}, ("ra", "hourangle"): {_HMS, _BARE},
    ("dec", None): {_DMS, _BARE}, ("dec", "deg"): {_DMS, _BARE},
}  # fmt: skip
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

        self.commas: list[str] = []
        """Columns whose decimal commas were read as decimal points."""

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
        self.add(
            [i for i, distance in apart.items() if distance > 3600 * MOST_APART],
            lambda i: f"holds positions {apart[i] / 3600:.1f} deg apart: these are not several positions of one target",
        )
        apart = {i: distance for i, distance in apart.items() if distance <= 3600 * MOST_APART}
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


def column_angles(column: Column, axis: Axis, told: str | None, problems: Problems) -> Floats:
    """(n,) rad of a column; NaN where ``problems`` were noted."""
    unit = _unit(column, axis, told)
    degrees, style = _degrees_of(column, axis, unit, problems)
    low, high = LIMITS[axis]
    missing, wrong = np.isnan(degrees), (degrees < low) | (degrees > high) | np.isinf(degrees)
    problems.add(np.flatnonzero(missing), lambda i: f"there is no {LONG[axis]}")
    problems.add(np.flatnonzero(wrong), lambda i: f"{LONG[axis]} must lie in [{low:g}, {high:g}] deg, got "
                 f"{degrees[i]:g} deg{_is_it(axis, unit)}")  # fmt: skip
    good = degrees[~missing & ~wrong]
    if axis == "ra" and unit is None and style == "plain numbers" and len(good) and good.max() < _ALL_HOURS:
        if len(good) > 4 and np.ptp(good) > _WIDE:
            raise TaskError(
                f"all numbers of column {column.name!r} are below 24, from {good.min():g} to {good.max():g}: say "
                "whether they are hours, ra_unit='hourangle', or degrees, ra_unit='deg'"
            )
        problems.notes.append(
            f"right ascensions of column {column.name!r} have no unit and are taken as degrees, though all are below "
            "24; if they are hours, say ra_unit='hourangle'"
        )
    radians = np.radians(np.where(wrong, np.nan, degrees))
    return radians % (2 * np.pi) if axis in ("ra", "l") else radians


def _is_it(axis: Axis, unit: str | None) -> str:
    return "; are these degrees, not hours?" if axis == "ra" and unit == "hourangle" else ""


def _unit(column: Column, axis: Axis, told: str | None) -> str | None:
    """The unit of a column: the file's, or the user's, or by the column's name; None if nothing says."""
    found = _angle(column.unit, column.name) if column.unit.strip("'\" ") else None
    if told is None:
        return "hourangle" if found is None and axis == "ra" and heading_key(column.name) in _HOUR_COLUMNS else found
    given = _angle(told, column.name)
    if found is not None and found != given:
        raise TaskError(f"column {column.name!r} is in {found} by the file but was told to be in {given}")
    return given


def heading_key(name: str) -> str:
    """A heading as headings are compared: small letters and digits only."""
    plain = re.sub(r"[(\[].*", "", name) or name  # without the unit
    return re.sub(r"[^a-z0-9]+", "", plain.lower().replace("α", "alpha").replace("δ", "dec"))


def _angle(text: str, column: str) -> str:
    written = text.strip("'\" ").lower()
    unit = _SPELLINGS.get(written, written)
    if unit not in UNITS:
        raise TaskError(f"column {column!r}: expected an angle such as 'deg' or 'hourangle', got {text!r}."
                        f"{nearest(written, UNITS)}")  # fmt: skip
    return unit


def with_points(column: Column, problems: Problems) -> list[str]:
    """The cells with decimal points instead of decimal commas.

    Raises:
        TaskError: points and commas are mixed.
    """
    cells = [cell.strip() for cell in column.cells]
    found = [i for i, cell in enumerate(cells) if _DECIMAL_COMMA.match(cell)]
    if not found:
        return cells
    points = next((i for i, cell in enumerate(cells) if "." in cell), None)
    if points is not None:
        raise TaskError(
            f"column {column.name!r} has a comma in row {found[0] + 1} ({cells[found[0]]!r}) and a decimal point in "
            f"row {points + 1} ({cells[points]!r}): write all numbers with decimal points"
        )
    problems.commas.append(column.name)
    return [_DECIMAL_COMMA.sub(r"\1.\2\3", cell) for cell in cells]


def _degrees_of(column: Column, axis: Axis, unit: str | None, problems: Problems) -> tuple[Floats, str]:
    """(n,) degrees, and how they are written: each column must be written in one way."""
    degrees, style, first, name = np.full(len(column.cells), np.nan), "", 0, column.name
    texts = with_points(Column(name, [typed(cell) for cell in column.cells]), problems)
    for i, (cell, text) in enumerate(zip(column.cells, texts, strict=True)):
        if empty(text):
            continue
        parts = [p for p in _PARTS.split(text) if p]
        if len(parts) != 1 and not (parts and problems.take_first):
            problems.add([i], lambda _, t=cell: f"column {name!r} holds several coordinates, {t!r}; several='first' "
                         "takes the first of them")  # fmt: skip
            continue
        now = _style(parts[0])
        if style and now and now != style and {style, now} != _ALIKE.get((axis, unit)):
            raise TaskError(
                f"column {name!r} is written in two ways: row {first + 1} in {style}, row {i + 1} in {now} ({cell!r})"
            )
        if now and not style:
            style, first = now, i
        angles = [_degrees(p, axis, unit) for p in parts]
        if np.isnan(angles[0]):
            problems.add([i], lambda _, t=cell: f"{LONG[axis]} {t!r} cannot be read as an angle")
            continue
        degrees[i] = angles[0]
        if len(parts) > 1:
            apart = (np.array(angles) - angles[0] + 180) % 360 - 180
            problems.several.setdefault(i, {})[axis] = float(np.nanmax(np.abs(apart)))
    return degrees, style


def split_position(column: Column, problems: Problems) -> tuple[Column, Column]:
    """Right ascensions and declinations of a column that holds both in one cell."""
    halves: list[tuple[str, str]] = []
    for i, cell in enumerate(column.cells):
        text = re.sub(r"^\s*J(?=\d)", "", typed(cell))
        words = [w for w in re.split(r"[\s,;]+", text) if w]
        if found := re.match(r"(\d.*?[\dhdms\"'])\s*[,;]?\s*([+-]\s*\d[^+-]*)$", text):
            halves.append((found[1], found[2]))
        elif words and len(words) in (2, 4, 6):
            n = len(words) // 2
            halves.append((" ".join(words[:n]), " ".join(words[n:])))
        else:
            halves.append(("", ""))
            if not empty(cell):
                problems.add([i], lambda _, t=cell: f"{t!r} is no right ascension and declination")
    ra, dec = zip(*halves, strict=True) if halves else ((), ())
    return Column(column.name, list(ra), column.unit), Column(column.name, list(dec))


def typed(text: str) -> str:
    """An angle with the signs of a keyboard: of minus, degrees, minutes and seconds, and plain digits and blanks."""
    if _TYPED.match(text) and "s." not in text:
        return text.strip()
    text = (
        unicodedata.normalize("NFKC", text.translate(_TYPOGRAPHIC)).translate(_TYPOGRAPHIC).strip().strip('"').strip()
    )
    text = re.sub(r"(?<=\d)\s*(hours?|hrs?|uur)\b", "h", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<=\d)\s*(degrees?|degs?)\b", "d", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<=\d)\s*(arcmin(utes?)?|min(utes?)?)\b", "m", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<=\d)\s*(arcsec(onds?)?|sec(onds?)?)\b", "s", text, flags=re.IGNORECASE)
    return re.sub(r"(\d)(s|\"|'')\.(\d+)$", r"\1.\3\2", re.sub(r"([HDMS])", lambda m: m[1].lower(), text))


def _style(text: str) -> str:
    """How an angle is written."""
    if _PACKED.match(text):
        return "digits without separators"
    if _PLAIN.match(text):
        return "plain numbers"
    if not re.match(r"[+-]?\s*\d", text):
        return ""
    if "h" in text:
        return _HMS
    return _DMS if "d" in text else _BARE


def _degrees(text: str, axis: Axis, unit: str | None) -> float:
    """One angle in degrees, NaN for text that is not an angle."""
    usual = UNITS[unit] if unit in ("hourangle", "deg") else 15.0 if axis == "ra" else 1.0
    if found := _PACKED.match(text):
        sign, hours, minutes, seconds, way = *found.groups(), ""
    elif _PLAIN.match(text):
        number = float(text) * (1.0 if unit is None else UNITS[unit])
        return number if np.isfinite(number) else np.nan
    elif found := _WITH_UNIT.match(text):
        return float(found[1].replace(" ", "")) * (15.0 if found[2] == "h" else 1.0)
    elif found := _SEXAGESIMAL.match(text):
        sign, hours, way, minutes, between, seconds = found.groups()
        if seconds is not None and ("." in minutes or (way == ":") != (between == ":")):
            return np.nan
    else:
        return np.nan
    if way == "h" and axis != "ra":
        return np.nan
    factor = 15.0 if way == "h" else 1.0 if way == "d" else usual
    minutes, seconds = float(minutes), float(seconds or 0)
    if minutes >= 60 or seconds >= 60:
        return np.nan
    return (-1 if sign == "-" else 1) * factor * (float(hours) + minutes / 60 + seconds / 3600)


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
