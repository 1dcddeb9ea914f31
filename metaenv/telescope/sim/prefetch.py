"""The next nights of a single telescope, made ready together: sixteen cost about as much as two made one by one.

A single environment's nights are a batch of one, and arrays of one number cost nearly what arrays of a hundred do.
While new tasks follow one another, `NightsAhead` therefore begins a batch of nights with the tasks and the random
numbers that come next, and the telescope moves to the next row of it at every reset. Nothing that is seen differs.
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

MOST = 16  # nights: more are not cheaper, as their tables leave the cache (measured)

TABLES = ("night", "weather", "targets", "air", "nominal")
ARRAYS = (
    "slot", "night_number", "log_snr", "left", "value", "_state", "_timeline", "_shut_and_seeing", "_rate", "_speed",
    "_settle", "_globals", "_facts", "_last_visit", "_pointing", "_score", "_night_level", "_last_cloud", "_chain",
    "_overnight", "_stationary", "_first_night",
)  # fmt: skip
"""All that a reset writes, a row for each telescope."""


class StreamAhead:
    """A stream of one sub-environment that can be looked into before it is read.

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

    def look(self, episodes: int) -> Floats:
        """What the next ``episodes`` will draw, (episodes, numbers); none of it counts as read."""
        each = len(self._sizes)
        while len(self._drawn) < episodes * each:
            self._drawn.append(self._stream.draw(slice(None), self._sizes[len(self._drawn) % each]))
        pieces = list(self._drawn)[: episodes * each]
        return np.stack([np.concatenate(pieces[i : i + each], axis=1)[0] for i in range(0, len(pieces), each)])

    def skip(self) -> None:
        """Read one episode's numbers, without handing them out."""
        for _ in self._sizes:
            self._drawn.popleft()

    def reseed(self, row: int, seed: np.random.SeedSequence) -> None:
        """Start anew."""
        self._drawn.clear()
        self._stream.reseed(row, seed)


class _Given:
    """What `StreamAhead.look` gave, read as a stream by a batch of telescopes."""

    def __init__(self, numbers: Floats) -> None:
        self._numbers, self._next, self.block = numbers, 0, numbers.shape[1]

    def draw(self, rows: Rows, k: int) -> Floats:
        self._next += k
        return self._numbers[:, self._next - k : self._next]


class NightsAhead:
    """The next first nights of new tasks, for an environment of one telescope whose streams are `StreamAhead`."""

    def __init__(self, env: TargetSelectionVectorEnv) -> None:
        self._env = env
        self._batch: TargetSelectionVectorEnv | None = None
        self._rows = 0  # nights made ready
        self._next = 0  # which of them comes next
        self._streak = 0  # new tasks in a row, before this one
        self._drawn: TaskBatch | None = None  # the task for which night `_next` is ready
        self._moved = False

    def expect(self, task: TaskBatch) -> None:
        """Told of each task that was drawn: have a night of it ready, if many new tasks came in a row."""
        if self._next >= self._rows:
            self._prepare(task)
        self._streak += 1
        self._drawn = task if self._next < self._rows else None

    def _prepare(self, task: TaskBatch) -> None:
        """Nights of this task and of those that come next, no more than there were new tasks in a row."""
        env = self._env
        coming = env._task_streams.coming(0)
        count = min(MOST, 1 + len(coming), self._streak)
        if count < 2:
            return
        if self._batch is None or self._rows != count:
            self._batch = type(env)(count, env.variant, split=env.split, plan=env.plan)
        batch, self._rows, self._next = self._batch, count, 0
        batch.noise, batch.dynamics = _Given(env.noise.look(count)), _Given(env.dynamics.look(count))  # type: ignore[assignment]
        batch.set_tasks(slice(None), task.joined(coming.take(np.arange(count - 1))))
        batch.begin(slice(None))

    def move(self, task: TaskBatch) -> bool:
        """Let the telescope be the one whose night of this very task is ready; False if there is none."""
        if self._drawn is not task:
            return False
        row, self._drawn, self._moved = slice(self._next, self._next + 1), None, True
        self._next += 1
        for name in TABLES:
            setattr(self._env, name, getattr(self._batch, name).take(row))
        for name in ARRAYS:
            setattr(self._env, name, getattr(self._batch, name)[row])
        return True

    def begins(self) -> bool:
        """Told of each night that begins: whether it is one that the telescope has just moved to."""
        if self._moved:
            self._moved = False
            self._env.noise.skip()  # type: ignore[attr-defined]
            self._env.dynamics.skip()  # type: ignore[attr-defined]
            return True
        if self._env.night_number[0] >= 0 or self._next < self._rows:
            self.forget()
        return False

    def forget(self) -> None:
        """What was made ready is not what comes next."""
        self._next, self._streak, self._drawn, self._moved = self._rows, 0, None, False


__all__ = ["NightsAhead", "StreamAhead"]
