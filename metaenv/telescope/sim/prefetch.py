"""Prefetching of the next nights of a single telescope: sixteen together cost about as much as two one by one.

The nights of a single environment are a batch of one, and arrays of one number cost nearly what arrays of a hundred do.
While new tasks follow one another, `NightPrefetcher` therefore begins a batch of nights with the tasks and the random
numbers that come next, and at every reset the telescope takes over the state of the next row of that batch. Nothing
that an agent sees differs.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from metaenv.rng import Stream
from metaenv.tasks import TaskBatch
from metaenv.typing import Floats, Rows

if TYPE_CHECKING:
    from metaenv.telescope.sim.env import TargetSelectionVectorEnv

MAX_NIGHTS = 16  # more are not cheaper, as their tables leave the cache (measured)


class PeekableStream:
    """A stream of one sub-environment whose next numbers can be seen before they are read.

    Args:
        stream: of one row.
        sizes: of the draws that an episode makes, in order.
    """

    def __init__(self, stream: Stream, sizes: list[int]) -> None:
        self._stream = stream
        self._sizes = sizes
        self._drawn: deque[Floats] = deque()  # (1, k) each: the draws that come next
        self.block = stream.block

    def draw(self, rows: Rows, k: int) -> Floats:
        """The next ``k`` numbers, (1, k)."""
        if not self._drawn:
            return self._stream.draw(rows, k)
        piece = self._drawn.popleft()
        assert piece.shape[1] == k, "an episode draws as many numbers as every other"
        return piece

    def peek(self, episodes: int) -> Floats:
        """What the next ``episodes`` will draw, (episodes, numbers); none of it counts as read."""
        each = len(self._sizes)
        while len(self._drawn) < episodes * each:
            self._drawn.append(self._stream.draw(slice(None), self._sizes[len(self._drawn) % each]))
        drawn = list(self._drawn)[: episodes * each]
        return np.stack([np.concatenate(drawn[i : i + each], axis=1)[0] for i in range(0, len(drawn), each)])

    def skip(self) -> None:
        """Read the numbers of one episode, without handing them out."""
        for _ in self._sizes:
            self._drawn.popleft()

    def reseed(self, row: int, seed: np.random.SeedSequence) -> None:
        """Start anew."""
        self._drawn.clear()
        self._stream.reseed(row, seed)


class _Replay:
    """What `PeekableStream.peek` gave, read as a stream by a batch of telescopes."""

    def __init__(self, numbers: Floats) -> None:
        self._numbers, self._next, self.block = numbers, 0, numbers.shape[1]

    def draw(self, rows: Rows, k: int) -> Floats:
        self._next += k
        return self._numbers[:, self._next - k : self._next]


class NightPrefetcher:
    """The first nights of the next tasks, for an environment of one telescope whose streams are `PeekableStream`."""

    def __init__(self, env: TargetSelectionVectorEnv) -> None:
        self._env = env
        self._batch: TargetSelectionVectorEnv | None = None
        self._rows = 0  # nights that were prefetched
        self._next = 0  # which of them comes next
        self._streak = 0  # new tasks in a row, before this one
        self._drawn: TaskBatch | None = None  # the task whose night is row `_next`
        self._moved = False

    def task_drawn(self, task: TaskBatch) -> None:
        """Called for each drawn task; prefetches nights after a run of new tasks."""
        if self._next >= self._rows:
            self._prefetch(task)
        self._streak += 1
        self._drawn = task if self._next < self._rows else None

    def _prefetch(self, task: TaskBatch) -> None:
        """Begin nights of this task and of those that come next, no more than there were new tasks in a row."""
        env = self._env
        following = env._task_streams.prefetched(0)
        count = min(MAX_NIGHTS, 1 + len(following), self._streak)
        if count < 2:
            return
        if self._batch is None or self._rows != count:
            self._batch = type(env)(count, env.variant, env.setup, env.values, env.almanac, split=env.split)
        batch, self._rows, self._next = self._batch, count, 0
        batch.noise, batch.dynamics = _Replay(env.noise.peek(count)), _Replay(env.dynamics.peek(count))  # type: ignore[assignment]
        batch.set_tasks(slice(None), task.joined(following.take(np.arange(count - 1))))
        batch.begin(slice(None))

    def task_set(self, task: TaskBatch) -> bool:
        """Let the telescope take over the night that was prefetched for this very task; False if there is none."""
        if self._drawn is not task or self._batch is None:
            return False
        self._env.state = self._batch.state.take(slice(self._next, self._next + 1))
        self._next += 1
        self._drawn, self._moved = None, True
        return True

    def night_begins(self) -> bool:
        """Called for each night that begins: whether it is the one that the telescope has just taken over."""
        if self._moved:
            self._moved = False
            self._env.noise.skip()  # type: ignore[attr-defined]
            self._env.dynamics.skip()  # type: ignore[attr-defined]
            return True
        if self._env.state.night_number[0] >= 0 or self._next < self._rows:
            self.forget()
        return False

    def forget(self) -> None:
        """Called when what was prefetched is not what comes next."""
        self._next, self._streak, self._drawn, self._moved = self._rows, 0, None, False
