"""Long work on many pieces: how far it is, and several processes for it."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TextIO

EVERY = 5.0  # seconds between two lines, where the output is no terminal (chosen)


class Work:
    """Does work piece by piece in several processes, and says how far it is.

    Args:
        steps: how many pieces of work there are in all, for the count that is shown.
        workers: processes.
        out: where to say so.
    """

    def __init__(self, steps: int, workers: int = 1, out: TextIO | None = None) -> None:
        if workers < 1:
            raise ValueError(f"expected workers of at least 1, got {workers}")
        self.steps, self.workers, self.out = steps, workers, out or sys.stderr
        self.step = 0

    def map(
        self, name: str, function: Callable[..., Any], pieces: Sequence[Any], *shared: Any, total: int | None = None
    ) -> Iterator[Any]:
        """``function(*shared, piece)`` for every piece, in order; ``shared`` goes to each process once."""
        return self.over(name, self._results(function, pieces, shared), total or len(pieces), len(pieces))

    def over(self, name: str, results: Iterable[Any], total: int, pieces: int | None = None) -> Iterator[Any]:
        """The results, counted as they come; ``total`` is what is counted, in so many equal pieces."""
        self.step += 1
        began = said = time.monotonic()
        terminal, pieces = self.out.isatty(), pieces or total
        for done, result in enumerate(results, start=1):
            yield result
            now = time.monotonic()
            if done < pieces and now - said >= (0.2 if terminal else EVERY):
                said, left = now, (now - began) / done * (pieces - done)
                text = f"{done / pieces:4.0%} of {total:,}, {left:.0f} s left"
                self.say(f"[{self.step}/{self.steps}] {name}: {text}", "\r" if terminal else "\n")
        self.say(f"[{self.step}/{self.steps}] {name}: {total:,} in {time.monotonic() - began:.0f} s")

    def say(self, text: str, end: str = "\n") -> None:
        """Print one line."""
        print(f"{text:<78}" if self.out.isatty() else text, end=end, file=self.out, flush=True)

    def _results(self, function: Callable[..., Any], pieces: Sequence[Any], shared: tuple[Any, ...]) -> Iterator[Any]:
        if self.workers == 1 or len(pieces) < 2:
            yield from map(partial(function, *shared), pieces)
            return
        context = multiprocessing.get_context("spawn")
        with context.Pool(min(self.workers, len(pieces)), _begin, (function, shared)) as pool:
            yield from pool.imap(_do, pieces)


_job: list[Any] = []
"""In a worker: what it does."""


def _begin(function: Callable[..., Any], shared: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    _job[:] = [partial(function, *shared)]


def _do(piece: Any) -> Any:
    return _job[0](piece)
