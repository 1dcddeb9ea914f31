"""Portfolios: a few candidates that together serve many tasks, without adapting to any."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def greedy(table: NDArray[np.floating], size: int) -> tuple[list[int], list[float]]:
    """Columns of ``table`` (tasks, candidates), each raising most the mean over tasks of the best so far; that mean."""
    best, chosen, scores = np.full(len(table), -np.inf, table.dtype), [], []
    for _ in range(size):
        mean = np.maximum(best[:, None], table).mean(axis=0, dtype=np.float64)
        chosen.append(int(np.argmax(mean)))
        scores.append(float(mean.max()))
        best = np.maximum(best, table[:, chosen[-1]])
    return chosen, scores
