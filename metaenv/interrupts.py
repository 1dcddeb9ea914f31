"""Ctrl-C and SIGTERM (`kill`, `timeout`, a batch system's notice): the same request to save and to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """What SIGTERM raises inside of `stops_raised` and `stops_noted`."""

    status = 143
    """Exit status by the convention of shells, 128 + 15; that of Ctrl-C is 130."""


def exit_status(stop: KeyboardInterrupt) -> int:
    """The exit status that tells how a command was stopped."""
    return stop.status if isinstance(stop, Terminated) else 130


@contextmanager
def stops_raised() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` inside the block, as Ctrl-C raises KeyboardInterrupt."""
    with _handling(_raise, (signal.SIGTERM,)):
        yield


@contextmanager
def stops_noted() -> Iterator[Callable[[], bool]]:
    """Note a first Ctrl-C or SIGTERM; the block asks whether there was one, and it is raised at the end of the block.

    A second one is raised at once. For work that can only end between two steps.
    """
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if seen:
            _raise(number, frame)
        seen.append(number)

    with _handling(note, STOPS):
        yield lambda: bool(seen)
        if seen:
            _raise(seen[0], None)


@contextmanager
def stops_deferred() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the end of the block, for what must be done whole."""
    waiting: list[int] = []
    try:
        with _handling(lambda number, _: waiting.append(number), STOPS):
            yield
    finally:
        for number in waiting[:1]:
            signal.raise_signal(number)


def _raise(number: int, frame: FrameType | None) -> None:
    del frame
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], Any], numbers: tuple[signal.Signals, ...]) -> Iterator[None]:
    """Handle signals inside the block; nothing outside of the main thread, where Python allows no handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    # A process that ignores Ctrl-C, as a worker does, goes on ignoring it.
    handled = [number for number in numbers if before[number] is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number] if before[number] is not None else signal.SIG_DFL)
