"""What pictures of molecules show: bars for the windows of an objective."""

from __future__ import annotations

from collections.abc import Sequence

from metaenv.molecules.chem.scoring import WINDOWED
from metaenv.molecules.render import Bar
from metaenv.typing import Floats

NAMES = ("molecular weight", "logP", "polar surface", "H-bond donors", "rotatable bonds", "aromatic rings", "sp3 share")
UNITS = ("Da", "", "Å²", "", "", "", "")
SCALES = ((0, 550), (-3, 7), (0, 160), (0, 6), (0, 10), (0, 5), (0, 1))
"""Ends of the axes: what random molecules reach, but for a few in a hundred."""


def bars(values: Floats | None, low: Sequence[float], high: Sequence[float], wanted: Sequence[float]) -> list[Bar]:
    """The windows that an objective has.

    Args:
        values: (7,) properties of the molecule, in the order of `objectives.WINDOWED`; None before there is one.
        low, high, wanted: (7,) of the task.
    """
    chosen = [j for j in range(len(WINDOWED)) if wanted[j]]
    return [_bar(j, values, float(low[j]), float(high[j]), False) for j in chosen]


def hidden_bars(values: Floats | None) -> list[Bar]:
    """All seven properties, without a word on which of them have windows."""
    return [_bar(j, values, 0.0, 0.0, True) for j in range(len(WINDOWED))]


def _bar(j: int, values: Floats | None, low: float, high: float, hidden: bool) -> Bar:
    value = None if values is None else float(values[j])
    return Bar(NAMES[j], low, high, value, SCALES[j], hidden, UNITS[j])
