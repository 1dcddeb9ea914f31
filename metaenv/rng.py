"""Random numbers for a batch of sub-environments, each with a stream of its own.

Every sub-environment owns a `numpy.random.Generator`, so that a batch of n and n batches of one play the same
trajectories bit for bit. Drawing from a thousand generators one by one would be slow; each stream is therefore
read in blocks.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from metaenv.typing import Floats, Index, Rows

BLOCK = 128  # numbers drawn from a generator at once; chosen: beyond this the cost of a call no longer shows


class Stream(Protocol):
    """What a sub-environment's random numbers are drawn from: `Streams`, or what stands in for it."""

    block: int

    def draw(self, rows: Rows, k: int) -> Floats:
        """The next ``k`` numbers of each stream in ``rows``, shape (len(rows), k); ``k`` at most ``block``."""
        ...

    def reseed(self, row: int, seed: np.random.SeedSequence) -> None:
        """Start the stream of one sub-environment anew."""
        ...


class Streams:
    """n independent streams of one kind of random number.

    Args:
        seeds: one SeedSequence for each sub-environment.
        kind: ``"normal"`` (standard) or ``"uniform"`` on [0, 1).
        block: how many numbers to read at once: the most that one draw may ask for.
    """

    def __init__(
        self, seeds: list[np.random.SeedSequence], kind: Literal["normal", "uniform"], block: int = BLOCK
    ) -> None:
        self.kind = kind
        self.block = block
        n = len(seeds)
        self._seeds = list(seeds)
        self._generators: list[np.random.Generator | None] = [None] * n
        self._block = np.empty((n, block))
        self._next = np.full(n, block)
        self._row_index = np.arange(n)

    def reseed(self, row: int, seed: np.random.SeedSequence) -> None:
        """Start the stream of one sub-environment anew."""
        self._seeds[row] = seed
        self._generators[row] = None
        self._next[row] = self.block

    def __len__(self) -> int:
        return len(self._seeds)

    def draw(self, rows: Rows, k: int) -> Floats:
        """The next ``k`` numbers of each stream in ``rows``, shape (len(rows), k); ``k`` at most ``block``."""
        position = self._next[rows]
        if (used_up := position + k > self.block).any():
            self._refill(self._row_index[rows][used_up])
            position = self._next[rows]
        start = position.copy()  # for a slice it is a view of what changes now
        self._next[rows] = start + k
        if len(start) == len(self._next) and (start == start[0]).all():
            return self._block[:, start[0] : start[0] + k].copy()
        return self._block[self._row_index[rows][:, None], start[:, None] + np.arange(k)]

    def _refill(self, index: Index) -> None:
        for row in index:
            generator = self._generators[row]
            if generator is None:
                generator = np.random.default_rng(self._seeds[row])
                self._generators[row] = generator
            # What is left of the old block is dropped, so a stream's numbers depend on its own calls alone.
            if self.kind == "normal":
                generator.standard_normal(out=self._block[row])
            else:
                generator.random(out=self._block[row])
        self._next[index] = 0
