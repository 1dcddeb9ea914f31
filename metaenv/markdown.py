"""Tables in Markdown, and numbers with their intervals as text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from metaenv.stats import Interval


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], text: Collection[int] = (0,), aligned: bool = False
) -> list[str]:
    """The lines of a table.

    Args:
        head: names of the columns.
        rows: the cells of each row, as many as there are columns.
        text: numbers of the columns that hold text and are aligned to the left; the others are aligned to the right.
        aligned: fill the cells with spaces, so that columns stand below each other in a terminal.

    Raises:
        ValueError: a row has more or fewer cells than there are columns.
    """
    rule = ["---" if column in text else "---:" for column in range(len(head))]
    lines = [list(head), rule, *map(list, rows)]
    for line in lines:
        if len(line) != len(head):
            raise ValueError(f"Expected {len(head)} cells in each row of the table, got {len(line)}: {line}.")
    widths = [max(map(len, column)) if aligned else 0 for column in zip(*lines, strict=True)]
    return [f"| {' | '.join(cell.ljust(w) for cell, w in zip(line, widths, strict=True))} |" for line in lines]


def interval_cell(interval: Interval, digits: int = 3, sign: bool = False) -> str:
    """An estimate and the ends of its interval, such as "0.512 [0.498, 0.526]"."""
    estimate, low, high = (f"{x:{'+' if sign else ''}.{digits}f}" for x in interval)
    return f"{estimate} [{low}, {high}]"
