"""Properties of the elements from hydrogen to berkelium, as features of compositions: 22 for each of 97.

The set is that of Magpie: Logan Ward, Ankit Agrawal, Alok Choudhary, Christopher Wolverton, "A general-purpose machine
learning framework for predicting properties of inorganic materials", npj Computational Materials 2, 16028, 2016.
Sixteen numbers are read from ``elements.csv``, which says where they come from; six are counted from them.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from metaenv.typing import Floats

with Path(__file__).with_name("elements.csv").open(encoding="utf-8") as _file:
    _HEAD, *_ROWS = csv.reader(line for line in _file if not line.startswith("#"))

STORED: tuple[str, ...] = tuple(_HEAD[1:])
COUNTED = ("valence", "s unfilled", "p unfilled", "d unfilled", "f unfilled", "unfilled")
"""Valence electrons in all, and places free in those subshells that have at least one."""
PROPERTIES = (*STORED, *COUNTED)
CAPACITY = np.array([2, 6, 10, 14])  # electrons that an s, p, d or f subshell holds
SYMBOLS: tuple[str, ...] = tuple(row[0] for row in _ROWS)
"""(97,) symbols, in the order of the atomic numbers."""
PLACE: dict[str, int] = {symbol: i for i, symbol in enumerate(SYMBOLS)}
"""Row of an element in `TABLE`."""
ESTIMATED = {(row[0], name) for row in _ROWS for name, cell in zip(STORED, row[1:], strict=True) if cell[0] == "("}
"""Symbol and property of each number that is no measurement or calculation of its own."""


def _table() -> Floats:
    stored = np.array([[float(cell.strip("()")) for cell in row[1:]] for row in _ROWS])
    first = STORED.index("s valence")
    valence = stored[:, first : first + 4]
    unfilled = np.where(valence > 0, CAPACITY - valence, 0)
    found = np.column_stack([stored, valence.sum(axis=1), unfilled, unfilled.sum(axis=1)])
    found.flags.writeable = False
    return found


TABLE = _table()
"""(97, 22) properties, columns as in `PROPERTIES`. Read-only."""


def column(name: str) -> Floats:
    """(97,) one property of all elements."""
    return TABLE[:, PROPERTIES.index(name)]
