"""How the process handles freed memory, which decides a third of the learning speed of small networks."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt(3), from its malloc.h."""


def keep_freed_memory() -> None:
    """Raise the sizes from which glibc hands freed memory back to the system; nothing on other systems."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter in _M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD:
            mallopt(parameter, 1 << 30)
