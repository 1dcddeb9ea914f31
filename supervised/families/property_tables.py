"""Tables of measured properties: reading them from CSV files, and dividing them into splits."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metaenv.supervised.families.elements import SYMBOLS
from metaenv.supervised.families.family import SHARES
from metaenv.supervised.families.formulas import fractions, parse_formula
from metaenv.typing import Floats

By = Literal["property", "system"]
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
SEED = 22  # of the division of real tables (chosen)
MOST_CLASSES = 10  # whole numbers with at most so many values are classes (chosen)
HELD_OUT_SHARE = 0.15  # of the rows, at most, that contain an element which is held out (chosen)
DIGITS = 6  # of an atomic fraction, beyond which two compositions are the same (chosen)


@dataclass(frozen=True)
class Table:
    """Compositions and what was measured of them: a row for each composition and property."""

    share: Floats  # (n, 97) atomic fractions
    y: NDArray[np.str_]  # (n,) as written
    names: NDArray[np.str_]  # (n,) property
    numbers: Floats | None  # (n,) the same as numbers; None if they are words

    def __len__(self) -> int:
        return len(self.y)

    @property
    def systems(self) -> NDArray[np.str_]:
        """(n,) chemical systems: symbols of the elements, sorted."""
        return np.array(["-".join(sorted(SYMBOLS[i] for i in np.flatnonzero(row))) for row in self.share])

    def take(self, rows: NDArray[np.bool_]) -> Table:
        """Some of the rows."""
        numbers = None if self.numbers is None else self.numbers[rows]
        return Table(self.share[rows], self.y[rows], self.names[rows], numbers)


def read_properties(paths: Paths, formula: str = "formula", target: str | Sequence[str] | None = None) -> Table:
    """Tables of formulas and properties; see `MaterialProperties`.

    Rows of the same property and composition become one: the mean of numbers, the most frequent class.
    """
    files = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    wanted = [target] if isinstance(target, str) else target
    cells = [cell for file in files for cell in _cells(Path(file), formula, wanted, len(files) > 1)]
    if not cells:
        raise ValueError(f"expected formulas with a property in {', '.join(map(str, files))}, found no row of them")
    share = fractions([c.amounts for c in cells])
    y, names = np.array([c.value for c in cells]), np.array([c.name for c in cells])
    return _merged(Table(share, y, names, _as_numbers(cells)))


class _Cell(NamedTuple):
    amounts: dict[str, float]
    value: str
    name: str
    where: str


def _cells(path: Path, formula: str, wanted: Sequence[str] | None, several: bool) -> list[_Cell]:
    if not path.exists():
        raise FileNotFoundError(f"no table at {path}: expected a .csv file with a column {formula!r} of formulas")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        head = list(reader.fieldnames or ())
        columns = [c for c in head if c and c != formula] if wanted is None else list(wanted)
        if missing := [c for c in (formula, *columns) if c not in head]:
            raise ValueError(f"{path} has no column {', '.join(missing)}; it has {', '.join(head) or 'no header'}")
        found: list[_Cell] = []
        for number, row in enumerate(reader, start=2):
            where = f"{path}, row {number}"
            try:
                amounts = parse_formula(row[formula] or "")
            except ValueError as error:
                raise ValueError(f"{where}: {error}; leave the row out") from error
            for column in columns:
                value = (row[column] or "").strip()
                if value:
                    found.append(_Cell(amounts, value, f"{path.stem} {column}" if several else column, where))
    return found


def _as_numbers(cells: list[_Cell]) -> Floats | None:
    """Values as numbers, None if most are none: then they are classes. One that is none among numbers is refused."""
    numbers = np.full(len(cells), np.nan)
    bad: list[_Cell] = []
    for i, cell in enumerate(cells):
        try:
            numbers[i] = float(cell.value)
        except ValueError:
            bad.append(cell)
    if 2 * len(bad) > len(cells):
        return None
    if bad or not np.isfinite(numbers).all():
        cell = bad[0] if bad else cells[int(np.argmin(np.isfinite(numbers)))]
        raise ValueError(f"{cell.where}: expected a finite number as {cell.name}, got {cell.value!r}; leave it out")
    return numbers


def are_classes(numbers: Floats | None) -> bool:
    """Whether values are classes: words, or whole numbers of few different values."""
    return numbers is None or (len(np.unique(numbers)) <= MOST_CLASSES and bool((numbers % 1 == 0).all()))


def _merged(table: Table) -> Table:
    """Rows of the same property and composition as one."""
    same: dict[tuple[bytes, str], list[int]] = {}
    for i, row in enumerate(np.round(table.share, DIGITS) + 0.0):
        same.setdefault((row.tobytes(), str(table.names[i])), []).append(i)
    first = [rows[0] for rows in same.values()]
    numbers = table.numbers
    if numbers is None or are_classes(numbers):
        often = [np.unique(table.y[rows], return_counts=True) for rows in same.values()]
        y = np.array([values[np.argmax(counts)] for values, counts in often])
        kept = None if numbers is None else y.astype(np.float64)
    else:
        kept = np.array([numbers[rows].mean() for rows in same.values()])
        y = np.array([f"{v:g}" for v in kept])
    return Table(table.share[first], y, table.names[first], kept)


# SPLITS


def divided(table: Table, by: By, least: int) -> dict[str, Table]:
    """Train, validation and test, and ``ood-element`` where there is enough; see `MaterialProperties`."""
    properties = np.unique(table.names)
    if by == "system" and len(properties) > 1:
        raise ValueError(
            f"expected one property for tasks that are chemical systems, got {', '.join(properties)}; choose by target"
        )
    if by == "property" and len(properties) > 2:
        return _by_size(table, table.names, least)
    if by == "system":
        names, code, size = np.unique(table.systems, return_inverse=True, return_counts=True)
        if (size >= least).sum() < len(SHARES):
            raise ValueError(
                f"expected at least {len(SHARES)} chemical systems with {least} compositions each, got "
                f"{(size >= least).sum()} of {len(names)}, the largest {size.max()}; lower least, or say by='property'"
            )
        table = table.take(size[code] >= least)
    held = held_out_elements(table.share)
    outside = (table.share[:, held] > 0).sum(axis=1) > 0
    enough = np.count_nonzero(outside) >= least
    inside = table.take(~outside) if enough else table
    parts = _by_size(inside, inside.systems, least)
    return {**parts, "ood-element": table.take(outside)} if enough else parts


def held_out_elements(share: Floats) -> list[int]:
    """Rows of the table of elements to hold out: drawn, while they are in few enough of the compositions."""
    held: list[int] = []
    for i in np.random.default_rng(SEED).permutation(len(SYMBOLS)):
        if (share[:, i] > 0).any() and (share[:, [*held, int(i)]] > 0).any(axis=1).mean() <= HELD_OUT_SHARE:
            held.append(int(i))
    return held


def _by_size(table: Table, column: NDArray[np.str_], least: int) -> dict[str, Table]:
    """Groups go, the largest first, to the split that lacks most of its share of rows; each gets at least ``least``."""
    names, code, size = np.unique(column, return_inverse=True, return_counts=True)
    if len(names) < len(SHARES):
        raise ValueError(
            f"expected at least {len(SHARES)} chemical systems or properties to divide, got {', '.join(names)}; "
            "no test is possible on what training has seen"
        )
    lacks = np.array(list(SHARES.values())) * len(table)
    place = np.zeros(len(names), np.intp)
    shuffled = np.random.default_rng(SEED).permutation(len(names))
    for group in shuffled[np.argsort(-size[shuffled], kind="stable")]:
        place[group] = int(np.argmax(lacks))
        lacks[place[group]] -= size[group]
    parts = {split: table.take(place[code] == i) for i, split in enumerate(SHARES)}
    for split, part in parts.items():
        if len(part) < least:
            raise ValueError(
                f"expected at least {least} compositions in each split, got {len(part)} for {split}: chemical systems "
                "or properties are too few, or too uneven; lower least"
            )
    return parts
