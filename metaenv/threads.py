"""How many threads torch runs, and first weights, which depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads_of(threads: int) -> Iterator[None]:
    """Let torch use this many threads inside the block, and as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def weights_drawn_from(seed: int) -> Iterator[None]:
    """Draw first weights from a seed inside the block, to the same numbers on every machine; elsewhere nothing changes.

    They are drawn on the CPU and by one thread, because the numbers depend on both.
    """
    with torch.random.fork_rng(devices=[]), torch_threads_of(1):
        torch.manual_seed(seed)
        yield
