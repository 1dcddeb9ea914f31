"""Tables of measured properties: reading them from CSV files, and dividing them into splits."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.delimited import Cell, are_codes, is_numbering, numbers_of, read_sheet
from metaenv.supervised.families.division import SHARES
from metaenv.supervised.families.elements import SYMBOLS
from metaenv.supervised.families.formulas import divided_by_stops, fractions, parse_formula
from metaenv.typing import Floats

By = Literal["property", "system"]
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
SEED = 22  # of the division of real tables (chosen)
NO_PROPERTY = re.compile(r"(?:.*[ _-])?(?:id|index|nr|no|doi|reference|ref)\.?|unnamed: \d+", re.IGNORECASE)
"""Names of columns that tell rows apart."""
HELD_OUT_SHARE = 0.15  # of the rows, at most, that contain an element which is held out (chosen)
DIGITS = 6  # of an atomic fraction, beyond which two compositions are the same (chosen)


@dataclass(frozen=True)
class Table:
    """Compositions and what was measured of them: a row for each composition and property."""

    share: Floats  # (n, 97) atomic fractions
    y: NDArray[np.str_]  # (n,) class, or the number as text
    names: NDArray[np.str_]  # (n,) property
    numbers: Floats | None  # (n,) mean of what was measured; None for words
    classes: bool  # whether the values are classes: words, or codes such as 0, 1, 2
    notes: tuple[str, ...] = ()  # what was assumed of the files and left out of them

    def __len__(self) -> int:
        return len(self.y)

    @property
    def systems(self) -> NDArray[np.str_]:
        """(n,) chemical systems: symbols of the elements, sorted."""
        return np.array(["-".join(sorted(SYMBOLS[i] for i in np.flatnonzero(row))) for row in self.share])

    def take(self, rows: NDArray[np.bool_]) -> Table:
        """Some of the rows."""
        numbers = None if self.numbers is None else self.numbers[rows]
        return Table(self.share[rows], self.y[rows], self.names[rows], numbers, self.classes, self.notes)


def read_properties(paths: Paths, formula: str = "formula", target: str | Sequence[str] | None = None) -> Table:
    """Tables of formulas and properties; see `MaterialProperties`.

    Rows of the same property and composition become one: the mean of numbers, the most frequent class.
    """
    files = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    wanted = [target] if isinstance(target, str) else target
    notes: list[str] = []
    columns = [c for file in files for c in _columns(Path(file), formula, wanted, len(files) > 1, notes)]
    if wanted is None and len({c.numbers is None for c in columns}) > 1:
        notes += [f"{c.name}: words among columns of numbers are left out" for c in columns if c.numbers is None]
        columns = [c for c in columns if c.numbers is not None]
    if not columns:
        raise ValueError(f"expected formulas with a property in {', '.join(map(str, files))}, found no row of them")
    numbers = [c.numbers for c in columns if c.numbers is not None]
    if 0 < len(numbers) < len(columns):
        words = ", ".join(c.name for c in columns if c.numbers is None)
        raise ValueError(f"expected properties that are all numbers or all classes, got words as {words}; choose fewer")
    share = fractions([amounts for c in columns for amounts in c.amounts])
    names = np.array([c.name for c in columns for _ in c.amounts])
    y = np.array([cell.text for c in columns for cell in c.cells])
    return _merged(share, y, names, np.concatenate(numbers) if numbers else None, notes)


@dataclass(frozen=True)
class _Column:
    name: str
    amounts: list[dict[str, float]]
    cells: list[Cell]
    numbers: list[float] | None


def _columns(path: Path, formula: str, wanted: Sequence[str] | None, several: bool, notes: list[str]) -> list[_Column]:
    """The properties of a file, with the cells of each that are not empty."""
    sheet = read_sheet(path)
    notes += sheet.notes
    if missing := [c for c in (formula, *(wanted or ())) if c not in sheet.head]:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(sheet.head)}; name columns by formula and "
            "target"
        )
    amounts: list[dict[str, float]] = []
    for cell in sheet.column(formula):
        try:
            amounts.append(parse_formula(cell.text))
        except ValueError as error:
            raise ValueError(f"{cell.where}: {error}; leave the row out") from error
    if stops := [cell.text for cell in sheet.column(formula) if divided_by_stops(cell.text)]:
        notes.append(f"{path}: full stops divide the parts of {len(stops)} formulas such as {stops[0]}")
    found: list[_Column] = []
    for column in wanted or [c for c in sheet.head if c != formula]:
        cells = sheet.column(column)
        texts = [cell.text for cell in cells]
        if wanted is None and (NO_PROPERTY.fullmatch(column) or is_numbering(texts)):
            notes.append(f"{path}: the column {column} tells rows apart and is left out; choose it by target")
            continue
        filled = [i for i, text in enumerate(texts) if text]
        if len(filled) < len(cells):
            notes.append(f"{path}: {len(cells) - len(filled)} empty cells of {column} are left out")
        try:
            numbers, assumed = numbers_of([cells[i] for i in filled], column)
        except ValueError as error:
            raise error if wanted else ValueError(f"{error}; or choose other columns by target") from error
        notes += [f"{path}, {note}" for note in assumed]
        if filled:
            name = f"{path.stem} {column}" if several else column
            found.append(_Column(name, [amounts[i] for i in filled], [cells[i] for i in filled], numbers))
    return found


def _merged(
    share: Floats, y: NDArray[np.str_], names: NDArray[np.str_], numbers: Floats | None, notes: list[str]
) -> Table:
    """Rows of the same property and composition as one."""
    same: dict[tuple[bytes, str], list[int]] = {}
    for i, row in enumerate(np.round(share, DIGITS) + 0.0):
        same.setdefault((row.tobytes(), str(names[i])), []).append(i)
    first, repeated = [rows[0] for rows in same.values()], len(y) - len(same)
    classes = numbers is None or are_codes(numbers)
    mean = None if numbers is None else np.array([numbers[rows].mean() for rows in same.values()])
    if numbers is not None and (not classes or len(np.unique(y)) > len(np.unique(numbers))):
        y = np.array([f"{value:g}" for value in numbers])
    if classes:
        often = [np.unique(y[rows], return_counts=True) for rows in same.values()]
        level = sum((counts == counts.max()).sum() > 1 for _, counts in often)
        kept = np.array([values[np.argmax(counts)] for values, counts in often])
        if numbers is not None:
            notes.append(f"the values {', '.join(np.unique(y))} are taken for classes; kind='regression' for numbers")
        if level:
            notes.append(f"{level} compositions have several classes equally often: the first by name is taken")
    else:
        assert mean is not None
        kept = np.array([f"{value:g}" for value in mean])
    if repeated:
        what = "the most frequent class is taken" if numbers is None else "their mean is taken"
        both = " (of classes, the most frequent)" if classes and numbers is not None else ""
        notes.append(f"{repeated} rows repeat a composition that stands in the tables already: {what}{both}")
    return Table(share[first], kept, names[first], mean, classes, tuple(notes))


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
