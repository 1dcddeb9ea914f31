"""Random numbers for a batch of sub-environments, each with a stream of its own.

Every sub-environment owns a `numpy.random.Generator`, so that a batch of n and n batches of one play the same
trajectories bit for bit. Drawing from a thousand generators one by one would be slow; each stream is therefore
read in blocks.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, Literal, Protocol

import numpy as np

from metaenv.errors import TaskError
from metaenv.tasks import MAX_REJECTIONS, TaskBatch, TaskDistribution
from metaenv.typing import Bools, Floats, Index, Rows

BLOCK = 128  # numbers drawn from a generator at once; chosen: beyond this the cost of a call no longer shows

NO_NP_RANDOM = (
    "this vector environment has no np_random: its sub-environments draw from streams of their own, which "
    "reset(seed=…) seeds; to save and restore them, pickle or deepcopy the environment"
)


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


class TaskStreams:
    """The task samplers of a vector environment: a stream of its own for each sub-environment.

    What a stream gives depends on its seed alone. Tasks are prefetched, for all streams at once and in growing blocks,
    because a handful of them costs about as much as a thousand.

    Args:
        distribution: where tasks come from.
        split: one of the distribution's splits.
        seeds: one for each stream.
    """

    PREFETCHED, PREFETCHED_IN_ALL = 8, 256  # the most tasks kept: of each of many streams, of all of a few (chosen)

    def __init__(self, distribution: TaskDistribution, split: str, seeds: list[np.random.SeedSequence]) -> None:
        distribution.check_split(split)
        self.distribution = distribution
        self.split = split
        self._streams = Streams(seeds, "uniform", block=max(BLOCK, distribution.unit_dim))
        self._restart()

    def _restart(self) -> None:
        n = len(self._streams)
        self._prefetch = 1
        self._ready: TaskBatch | None = None  # task j of stream i is row i * self._depth + j
        self._depth = 0
        self._next = np.zeros(n, np.intp)

    def reseed(self, row: int, seed: np.random.SeedSequence) -> None:
        """Start one of the streams anew; what was prefetched for it is dropped."""
        self._streams.reseed(row, seed)
        self._next[row] = self._depth
        self._prefetch = 1  # a stream that is often reseeded needs few tasks each time

    def draw(self, rows: Rows) -> TaskBatch:
        """The next task of each of the streams ``rows``."""
        index = np.arange(len(self._streams))[rows]
        if self._ready is None or (self._next[index] >= self._depth).any():
            self._refill()
        assert self._ready is not None
        picked = index * self._depth + self._next[index]
        self._next[index] += 1
        return self._ready.take(picked)

    def prefetched(self, row: int) -> TaskBatch:
        """The prefetched tasks of one stream, in the order in which they will be drawn; there may be none."""
        assert self._ready is not None, "the first draw prefetches"
        return self._ready.take(np.arange(row * self._depth + self._next[row], (row + 1) * self._depth))

    def _refill(self) -> None:
        """Prefetch tasks of every stream, up to a number that grows from one time to the next."""
        n = len(self._streams)
        left = self._depth - self._next
        depth = max(self._prefetch, int(left.max()))
        fresh = self._accepted(depth - left)
        if self._ready is None:
            self._ready = fresh
        else:
            old = np.arange(depth) < left[:, None]  # (n, depth) what moves over from the present store
            source = np.arange(n)[:, None] * self._depth + self._next[:, None] + np.arange(depth)
            source[~old] = len(self._ready) + np.arange(len(fresh))
            self._ready = self._ready.joined(fresh).take(source.ravel())
        self._ready.id_numbers  # noqa: B018 (computed once for all)
        self._depth, self._next = depth, np.zeros(n, np.intp)
        self._prefetch = min(2 * self._prefetch, max(self.PREFETCHED, self.PREFETCHED_IN_ALL // n))

    def _accepted(self, need: Index) -> TaskBatch:
        """The next ``need[i]`` accepted tasks of each stream i, those of stream 0 first.

        A stream's tasks are the accepted ones among its draws, in order, however many are drawn at once.
        """
        owners: list[Index] = []
        parts: list[TaskBatch] = []
        for _ in range(MAX_REJECTIONS):
            if not need.any():
                order = np.argsort(np.concatenate(owners), kind="stable")
                return reduce(TaskBatch.joined, parts).take(order)
            owner = np.repeat(np.arange(len(need)), need)
            drawn = self.distribution.from_unit(self._draw(owner), self.split)
            good = np.flatnonzero(self.distribution.accept(drawn))
            owners.append(owner[good])
            parts.append(drawn.take(good))
            need = need - np.bincount(owner[good], minlength=len(need))
        raise TaskError(
            f"{type(self.distribution).__name__} rejected {MAX_REJECTIONS} draws in a row; widen its ranges, "
            "or what it accepts, such as bounds or costs"
        )

    def _draw(self, owner: Index) -> Floats:
        """Points of the unit cube from the streams ``owner``, which is sorted and may repeat."""
        unit = np.empty((len(owner), self.distribution.unit_dim))
        turn = np.arange(len(owner)) - np.searchsorted(owner, owner)  # how many of the same owner come before
        for t in range(int(turn.max()) + 1):
            now = np.flatnonzero(turn == t)
            unit[now] = self._streams.draw(owner[now], self.distribution.unit_dim)
        return unit


def child(sequence: np.random.SeedSequence, index: int) -> np.random.SeedSequence:
    """What ``sequence.spawn`` gives as its child ``index``, without spawning the ones before."""
    return np.random.SeedSequence(sequence.entropy, spawn_key=(*sequence.spawn_key, index))


def row_seeds(seed: Any, n: int) -> list[int | None] | None:
    """The seeds of ``n`` sub-environments, from one for the first or a list of them.

    Raises:
        ValueError: what is no seed, or a list of another length.
    """
    if seed is None:
        return None
    if _is_seed(seed):
        return [int(seed) + i for i in range(n)]
    if np.ndim(seed) != 1 or not all(each is None or _is_seed(each) for each in seed):
        raise ValueError(f"expected a seed, a whole number of at least 0, or a list of them, got {seed!r}")
    if len(seed) != n:
        raise ValueError(f"expected one seed or {n} seeds, got {len(seed)}")
    return [None if each is None else int(each) for each in seed]


def _is_seed(value: Any) -> bool:
    return isinstance(value, int | np.integer) and bool(value >= 0)


def mask_option(value: Any, n: int, name: str) -> Bools:
    """(n,) an option of ``reset`` that says which sub-environments: True, False or a mask. Raises TaskError."""
    mask = np.asarray(value)
    if mask.dtype != bool or mask.shape not in ((), (n,)):
        raise TaskError(f"{name!r} must be True, False or a bool array of shape ({n},), got {value!r}")
    return np.broadcast_to(mask, (n,))
