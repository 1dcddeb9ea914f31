"""Structs of arrays with one row a night, which an environment resets a few rows at a time."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, Self

from metaenv.typing import Rows


class Table:
    """Base of dataclasses whose fields are arrays, tuples of arrays, or tables of these, rows first."""

    def _fields(self) -> list[Any]:
        assert is_dataclass(self)
        return [getattr(self, f.name) for f in fields(self)]

    def take(self, rows: Rows) -> Self:
        """The nights of ``rows``: views for a slice, else copies."""
        return type(self)(*(_taken(value, rows) for value in self._fields()))

    def assign(self, rows: Rows, other: Self) -> None:
        """Let ``rows`` hold the nights of ``other``, in place: the tables are large."""
        for mine, theirs in zip(self._fields(), other._fields(), strict=True):
            pairs = zip(mine, theirs, strict=True) if isinstance(mine, tuple) else [(mine, theirs)]
            for a, b in pairs:
                a[rows] = b


def _taken(value: Any, rows: Rows) -> Any:
    if isinstance(value, Table):
        return value.take(rows)
    return type(value)(*(a[rows] for a in value)) if isinstance(value, tuple) else value[rows]
