"""How a command that works for long is stopped: what was learned is kept, and a message says how to go on."""

from __future__ import annotations

import sys
from collections.abc import Callable

from metaenv.interrupts import exit_status, stops_raised
from metaenv.runs.allocator import keep_freed_memory


def or_stopped(work: Callable[[], int], how: str) -> int:
    """Do the work of a command; Ctrl-C and SIGTERM end it with a message on how to go on."""
    keep_freed_memory()
    try:
        with stops_raised():
            return work()
    except KeyboardInterrupt as stop:
        print(f"\nInterrupted. What was learned is kept; {how}", file=sys.stderr)
        return exit_status(stop)
