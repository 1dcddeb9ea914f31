"""What the columns of an observation are: names, places, meanings and ranges, written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.errors import nearest
from metaenv.markdown import table
from metaenv.typing import Index


@dataclass(frozen=True)
class Block:
    """Neighbouring columns of an observation that belong together.

    Attributes:
        name: of the block, unique in its layout.
        meaning: what the numbers say, a phrase.
        low: the least value, in each column or in all.
        high: the greatest value, likewise.
        width: how many columns there are.
        unit: of the numbers, if they have one.
    """

    name: str
    meaning: str
    low: float | NDArray[Any] = 0.0
    high: float | NDArray[Any] = 1.0
    width: int = 1
    unit: str = ""


class ObservationLayout:
    """The columns of an observation as named blocks, in order. It is a value: nothing in it changes.

    Args:
        blocks: from the first column to the last.

    Raises:
        ValueError: two blocks have the same name.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = tuple(blocks)
        if twice := [b.name for b in blocks if self.names.count(b.name) > 1]:
            raise ValueError(f"Expected blocks of different names, got {twice[0]!r} twice. Give one another name.")

    @classmethod
    def of(cls, space: gym.spaces.Box) -> ObservationLayout:
        """The layout of an observation of which no more than its space is known: one block."""
        return cls([Block("observation", "of the episode", space.low, space.high, int(space.shape[0]))])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The blocks' names, in order."""
        return tuple(block.name for block in self.blocks)

    @cached_property
    def width(self) -> int:
        """How many columns an observation has."""
        return sum(block.width for block in self.blocks)

    @cached_property
    def _slices(self) -> dict[str, slice]:
        stops = np.cumsum([block.width for block in self.blocks]).tolist()
        return {b.name: slice(stop - b.width, stop) for b, stop in zip(self.blocks, stops, strict=True)}

    def slice(self, name: str) -> slice:
        """The columns of a block.

        Raises:
            KeyError: there is no block of this name; the nearest one is suggested.
        """
        if name not in self._slices:
            raise KeyError(f"the observation has no block {name!r}.{nearest(name, self.names)}")
        return self._slices[name]

    def column(self, name: str) -> int:
        """The first column of a block, which is the only one of most."""
        return self.slice(name).start

    def columns(self, *names: str) -> Index:
        """The columns of some blocks, in the order of their names."""
        return np.concatenate([np.arange(self.width)[self.slice(name)] for name in names])

    def box(self) -> gym.spaces.Box:
        """The space of such observations, float32."""
        low, high = (
            np.concatenate([np.broadcast_to(getattr(b, end), b.width) for b in self.blocks]) for end in ("low", "high")
        )
        return gym.spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)

    def joined(self, other: ObservationLayout) -> ObservationLayout:
        """This observation's columns, then the other's."""
        return ObservationLayout((*self.blocks, *other.blocks))

    def table(self) -> str:
        """A Markdown table: a row for each block, with its columns, its meaning and its range."""
        rows = [(self._place(b), b.name, b.meaning, _range(b)) for b in self.blocks]
        return "\n".join(table(("columns", "name", "meaning", "range"), rows, text=range(4), aligned=True))

    def _place(self, block: Block) -> str:
        first, last = self.slice(block.name).start, self.slice(block.name).stop - 1
        return f"{first}" if first == last else f"{first}-{last}"


def _range(block: Block) -> str:
    return f"[{np.min(block.low):g}, {np.max(block.high):g}] {block.unit}".rstrip()
