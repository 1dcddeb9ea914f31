"""Hashes of tables of numbers, a column a task: ids of tasks, and checksums of frozen lists.

Rows beyond the first ``required`` belong to an optional field, which ends with zeros where a task has fewer numbers:
zeros there count for nothing, so a task that lacks the field has the hash that it had before there was one.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from metaenv.typing import Floats


def id_numbers(salt: bytes, table: Floats, required: int) -> NDArray[np.int64]:
    """(n,) a hash of each column of a table (numbers, n).

    Not SHA: a vectorised 64-bit mixing hash, because a vector env names a thousand tasks in a step. Two of a million
    different tasks collide with probability 3e-8.
    """
    state = np.full(table.shape[1], np.frombuffer(hashlib.sha256(salt).digest()[:8], np.uint64)[0], np.uint64)
    for place, bits in enumerate(np.ascontiguousarray(table).view(np.uint64)):
        mixed = _splitmix64(state ^ bits)
        state = mixed if place < required else np.where(bits, mixed, state)
    return state.view(np.int64)


def sha256(salt: bytes, table: Floats, required: int) -> str:
    """SHA-256 of all columns, 64 hexadecimal digits."""
    digest = hashlib.sha256(salt)
    digest.update(np.ascontiguousarray(table[:required].T).astype("<f8").tobytes())
    for row, numbers in enumerate(table[required:].T):
        if numbers.any():
            digest.update(row.to_bytes(8, "little") + np.trim_zeros(numbers, "b").astype("<f8").tobytes())
    return digest.hexdigest()


def task_id(number: int) -> str:
    """The id of a task, 16 hexadecimal digits, from the number that ``info["task_id"]`` holds."""
    return f"{int(number) % 2**64:016x}"


def lengthened(table: Floats, other: Floats) -> Floats:
    """A table with as many rows as another one has, if that has more: zeros, as where the optional field is empty."""
    return table if len(table) >= len(other) else np.pad(table, ((0, len(other) - len(table)), (0, 0)))


def _splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of splitmix64 (Steele, Lea and Flood 2014, OOPSLA, fig. 19), modulo 2**64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
