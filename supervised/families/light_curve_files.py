"""Light curves from files in the format of PLAsTiCC (Kessler et al. 2019, PASP 131, 094501), as published.

There are two tables: one row a visit (object_id, mjd, passband, flux, flux_err) and one row an object (object_id,
target, hostgal_photoz). Files are read in pieces, so that 60 MB of visits need little memory.
"""

from __future__ import annotations

import csv
import gzip
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from metaenv.delimited import DELIMITERS, encoding_of
from metaenv.supervised.families.light_curve_light import BANDS
from metaenv.supervised.families.light_curve_survey import N_VISITS, Photometry
from metaenv.typing import Floats

PIECE = 50_000  # rows read at once
VISIT = ("object_id", "mjd", "passband", "flux", "flux_err")
TARGETS = ("target", "true_target")  # the challenge's training table, and the table published after it
REDSHIFT = "hostgal_photoz"  # -9 where there is none


class Columns:
    """Visits in the order of the file, piece by piece, in little memory; those without an object are left out."""

    types = (np.int32, np.float64, np.int8, np.float64, np.float64)

    def __init__(self) -> None:
        self._pieces: dict[str, list[NDArray[Any]]] = {name: [] for name in ("number", *VISIT[1:])}

    def add(self, number: NDArray[Any], *values: NDArray[Any]) -> None:
        """The visits of a piece: the number of their object, -1 for none, and the other columns of `VISIT`."""
        for name, dtype, column in zip(self._pieces, self.types, (number, *values), strict=True):
            self._pieces[name].append(column[number >= 0].astype(dtype))

    def taken(self, name: str) -> NDArray[Any]:
        """A whole column, which is then forgotten here."""
        return np.concatenate(self._pieces.pop(name))


@dataclass(frozen=True)
class MeasuredCurves:
    """Objects of files, in the order in which their first visit stands there."""

    photometry: Photometry
    classes: NDArray[np.str_]
    """(n,) targets."""
    ids: NDArray[np.str_]
    """(n,) object_id, without blanks and ``.0``."""
    notes: tuple[str, ...]
    """What was left out or assumed, a sentence each."""


def read_plasticc(curves: str | os.PathLike[str], objects: str | os.PathLike[str]) -> MeasuredCurves:
    """Light curves in the format of PLAsTiCC, and their classes.

    An object_id may be padded with blanks or end in ``.0``; a passband is 0 to 5 or one of u, g, r, i, z, y. A redshift
    that is missing (empty, NaN, negative such as -9, or no such column) counts as 0, as within the Milky Way. Of an
    object with more than 128 visits 128 are kept that lie evenly in its sequence, whatever they measured.

    Args:
        curves: CSV with object_id, mjd, passband, flux, flux_err, and any other columns; may be gzipped (``.gz``).
        objects: CSV with object_id, target (or true_target), and hostgal_photoz if known; likewise.

    Raises:
        ValueError: a column is missing, a number cannot be read or is impossible, or no object is in both files; the
            message names file, row and object.
    """
    about = _read_objects(objects)
    try:
        names, strangers, columns = _quickly(curves, about)
    except (ValueError, EOFError, OSError):  # something that takes a second look, or is to be refused with its row
        names, strangers, columns = _carefully(curves, about)
    if not names:
        raise ValueError(f"{curves} has no light curve of an object in {objects}; their object_id must agree")
    redshift = np.array([about[name][1] for name in names])
    photometry, long = _padded(columns, len(names), np.nan_to_num(redshift))
    notes = _notes(len(about) - len(names), strangers, int(np.isnan(redshift).sum()), long)
    return MeasuredCurves(photometry, np.array([about[name][0] for name in names]), np.array(names), notes)


def _quickly(path: str | os.PathLike[str], about: dict[str, tuple[str, float]]) -> tuple[list[str], int, Columns]:
    """What `_carefully` gives, in a third of the time, of files that hold nothing but numbers.

    Raises:
        ValueError: there is anything else in the file, or a number that is to be refused.
    """
    if not all(re.fullmatch(r"0|[1-9]\d{0,14}", name) for name in about):
        raise ValueError("expected whole numbers as object_id")
    place, strangers, columns = dict[float, int](), set[float](), Columns()
    with _opened(path) as file:
        mark = _delimiter(line := file.readline())
        heading = [name.strip().lower() for name in line.split(mark)]
        wanted = [heading.index(name) for name in VISIT if heading.count(name) == 1]
        if len(wanted) < len(VISIT):
            raise ValueError("expected each name once in the heading")
        while lines := [line for line in islice(file, PIECE) if line != "\n"]:
            if {line.count(mark) for line in lines} != {len(heading) - 1}:
                raise ValueError("expected as many cells in each row as in the heading")
            ids, t, band, flux, error = np.loadtxt(lines, delimiter=mark, usecols=wanted, ndmin=2, comments=None).T
            whole = np.isin(band, range(len(BANDS))) & (error > 0) & np.isfinite(t + flux + error)
            if not (whole & (np.abs(ids) < 1e15) & (ids % 1 == 0)).all():
                raise ValueError("expected numbers that are possible")
            different, number = np.unique(ids, return_inverse=True)
            for one in ids[np.flatnonzero(np.diff(ids, prepend=np.nan))].tolist():
                if one not in place and one not in strangers:
                    if f"{one:.0f}" in about:
                        place[one] = len(place)
                    else:
                        strangers.add(one)
            columns.add(np.array([place.get(one, -1) for one in different.tolist()])[number], t, band, flux, error)
    return [f"{one:.0f}" for one in place], len(strangers), columns


def _carefully(path: str | os.PathLike[str], about: dict[str, tuple[str, float]]) -> tuple[list[str], int, Columns]:
    """The names of the objects, how many more there are without a class, and the visits; errors as `read_plasticc`."""
    place: dict[str, int] = {}  # of each object, as curves come
    known: dict[str, int] = {}  # the same by what stands in the file; -1 for an object that has no class
    bands: dict[str, int] = {}
    columns = Columns()
    for row, (texts, mjd, band, flux, error) in _pieces(path, lambda _: VISIT):
        for text in dict.fromkeys(texts):
            if text not in known:
                name = _identity(text)
                known[text] = place.setdefault(name, len(place)) if name in about else -1
        for text in dict.fromkeys(band):
            if text not in bands:
                bands[text] = _passband(path, row, texts, band, text)
        t, light = _numbers(path, row, texts, mjd, "mjd"), _numbers(path, row, texts, flux, "flux")
        sigma = _numbers(path, row, texts, error, "flux_err", positive=True)
        number = np.array([known[text] for text in texts])
        columns.add(number, t, np.array([bands[text] for text in band]), light, sigma)
    return list(place), len({_identity(text) for text, number in known.items() if number < 0}), columns


def _notes(without_curve: int, without_class: int, without_redshift: int, long: int) -> tuple[str, ...]:
    told = (
        (without_curve, "objects of the table of objects have no light curve and are left out."),
        (without_class, "objects with light curves are not in the table of objects and are left out."),
        (without_redshift, "objects have no redshift, which counts as 0, as within the Milky Way."),
        (long, f"objects have more than {N_VISITS} visits; {N_VISITS} are kept that lie evenly in their sequence."),
    )
    return tuple(f"{count:,} {text}" for count, text in told if count)


# TABLES


def _pieces(
    path: str | os.PathLike[str], choose: Callable[[list[str]], Sequence[str]]
) -> Iterator[tuple[int, list[list[str]]]]:
    """The number of the first row of each piece (the heading is row 1), and its cells by the columns chosen."""
    with _opened(path) as file:
        try:
            mark = _delimiter(file.readline())
            file.seek(0)
            reader = csv.reader(file, skipinitialspace=True, delimiter=mark)
            heading = [name.strip().lower() for name in next(reader, [])]
            columns = choose(heading)
            if missing := [c for c in columns if c not in heading]:
                found = ", ".join(heading)[:200] or "an empty file"
                raise ValueError(
                    f"expected columns {', '.join(columns)} in {path}; {', '.join(missing)} missing in {found}"
                )
            if repeated := [c for c in columns if heading.count(c) > 1]:
                raise ValueError(f"{path} has two columns {repeated[0]!r}; rename or remove one")
            places, row = [heading.index(c) for c in columns], 2
            while rows := list(islice(reader, PIECE)):
                for first, part in _without_empty(rows):
                    for at, cells in enumerate(part, row + first):
                        if len(cells) != len(heading):
                            expected = f"expected {len(heading)} cells as in the heading, got {len(cells)}"
                            raise ValueError(f"{expected} in row {at} of {path}; mend the row or leave it out")
                    yield row + first, [[cells[place] for cells in part] for place in places]
                row += len(rows)
        except (UnicodeDecodeError, csv.Error, EOFError, OSError) as error:
            raise ValueError(f"expected {path} to be a table in UTF-8: {error}; save it as 'CSV UTF-8'") from error


def _without_empty(rows: list[list[str]]) -> Iterator[tuple[int, list[list[str]]]]:
    """Runs of rows between empty ones, and where each run begins."""
    empty = [-1, *(i for i, cells in enumerate(rows) if not any(cells)), len(rows)]
    for before, after in pairwise(empty):
        if after > before + 1:
            yield before + 1, rows[before + 1 : after]


def _opened(path: str | os.PathLike[str]) -> IO[str]:
    if str(path).endswith(".gz"):
        return gzip.open(path, "rt", newline="", encoding="utf-8-sig")
    with open(path, "rb") as file:
        encoding = encoding_of(file.read(4))
    return open(path, newline="", encoding=encoding)


def _delimiter(heading: str) -> str:
    return max(DELIMITERS, key=heading.count)  # the first of equals, a comma


def _of_objects(heading: list[str]) -> list[str]:
    """The columns of a table of objects that are read."""
    target = next((name for name in TARGETS if name in heading), TARGETS[0])
    return ["object_id", target, *([REDSHIFT] if REDSHIFT in heading else [])]


def _read_objects(path: str | os.PathLike[str]) -> dict[str, tuple[str, float]]:
    """Class and redshift (NaN if there is none) by object_id."""
    about: dict[str, tuple[str, float]] = {}
    for row, (ids, classes, *redshifts) in _pieces(path, _of_objects):
        for at, (text, one) in enumerate(zip(ids, classes, strict=True)):
            name, label = _identity(text), _identity(one)
            if name in about:
                _refuse(path, row + at, text, "expected one row an object, got a second one")
            if not label:
                _refuse(path, row + at, text, f"expected a {TARGETS[0]}, got an empty cell")
            about[name] = label, _redshift(path, row + at, text, redshifts[0][at]) if redshifts else np.nan
    return about


def _identity(text: str) -> str:
    """An object_id or a class without blanks, ``615`` for ``615.0``."""
    text = text.strip()
    return text.partition(".")[0] if re.fullmatch(r"-?\d+\.0*", text) else text


def _redshift(path: str | os.PathLike[str], row: int, name: str, text: str) -> float:
    try:
        z = float(text) if text.strip() else np.nan
    except ValueError:
        _refuse(path, row, name, f"expected a number as {REDSHIFT}, got {text.strip()!r}")
    return np.nan if not 0 <= z < np.inf else z


def _passband(path: str | os.PathLike[str], row: int, names: list[str], column: list[str], text: str) -> int:
    band = text.strip().lower().removeprefix("lsst")
    found = BANDS.find(band) if len(band) == 1 and band.isalpha() else -1
    if re.fullmatch(r"[0-5](\.0*)?", band):
        found = int(band[0])
    if found < 0:
        at, expected = column.index(text), "expected a passband from 0 to 5 or one of u, g, r, i, z, y"
        _refuse(path, row + at, names[at], f"{expected}, got {text.strip()!r}")
    return found


def _numbers(
    path: str | os.PathLike[str], row: int, names: list[str], column: list[str], what: str, positive: bool = False
) -> Floats:
    try:
        values = np.array(column).astype(float)
    except ValueError:
        values = np.array([_number(text) for text in column])
    good = np.isfinite(values) & (values > 0 if positive else True)
    if not good.all():
        at = int(np.flatnonzero(~good)[0])
        kind = "positive" if positive else "finite"
        _refuse(path, row + at, names[at], f"expected a {kind} number as {what}, got {column[at].strip()!r}")
    return values


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _refuse(path: str | os.PathLike[str], row: int, name: str, what: str) -> NoReturn:
    raise ValueError(f"{what} in row {row} of {path}, object {_identity(name)}; mend the row or leave it out")


# CURVES


def _padded(columns: Columns, n: int, redshift: Floats) -> tuple[Photometry, int]:
    """The visits of ``n`` objects as curves, and how many objects had too many visits."""
    number, mjd = columns.taken("number"), columns.taken("mjd")
    order = np.lexsort((mjd, number))  # by object, then by time
    count = np.bincount(number, minlength=n)
    kept = np.minimum(count, N_VISITS)[:, None]
    # Visit j of k stands at (j + 1/2) / k of the sequence: every one where there are no more than k.
    j = np.minimum(np.arange(N_VISITS), kept - 1)
    rows = order[(np.cumsum(count) - count)[:, None] + ((j + 0.5) * count[:, None] / kept).astype(np.intp)]
    seen = np.arange(N_VISITS) < kept
    band, flux, error = (
        np.where(seen, columns.taken(name)[rows], pad) for name, pad in zip(VISIT[2:], (0, 0.0, 1.0), strict=True)
    )
    t = mjd[rows] - mjd[rows[:, :1]]
    return Photometry(t, band.astype(np.intp), flux, error, redshift, seen), int((count > N_VISITS).sum())
