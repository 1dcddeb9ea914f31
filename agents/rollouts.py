"""Whole trials, collected from parallel environments and laid out for one recurrent call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class TrialBuffer:
    """Steps of n parallel environments, in the order they were played: one array (steps, n, ...) per field.

    Args:
        capacity: steps to make room for; the room doubles when it is full.
        n: number of environments.
        fields: for each field, the shape after (steps, n) and the dtype.
    """

    def __init__(self, capacity: int, n: int, fields: dict[str, tuple[tuple[int, ...], DTypeLike]]) -> None:
        self._arrays = {name: np.zeros((capacity, n, *shape), dtype) for name, (shape, dtype) in fields.items()}
        self._ends = np.zeros((capacity, n), np.bool_)
        self._size = 0

    def add(self, ends: NDArray[np.bool_], **step: NDArray[Any]) -> None:
        """Append one step of every environment; `ends` (n,) says whose trial it was the last of."""
        if self._size == len(self._ends):
            self._ends = np.concatenate([self._ends, np.zeros_like(self._ends)])
            self._arrays = {name: np.concatenate([a, np.zeros_like(a)]) for name, a in self._arrays.items()}
        self._ends[self._size] = ends
        for name, value in step.items():
            self._arrays[name][self._size] = value
        self._size += 1

    def replace(self, name: str, values: NDArray[Any]) -> None:
        """Let the last steps of a field hold `values` (steps, n, ...)."""
        self._arrays[name][self._size - len(values) : self._size] = values

    def clear(self) -> None:
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def finished(self) -> NDArray[np.int64]:
        """Trials that each environment has completed, (n,)."""
        return self._ends[: self._size].sum(0)

    def fixed_trials(self, trial_length: int) -> dict[str, NDArray[Any]]:
        """The fields as (trial_length, trials, ...), for trials that all have that length.

        Raises:
            ValueError: a trial ended at another step than its last.
        """
        ends = self._ends[: self._size].reshape(-1, trial_length, self._ends.shape[1])
        if ends[:, :-1].any() or not ends[:, -1].all():
            raise ValueError(
                f"Expected every trial to terminate after exactly {trial_length} steps (the env's `trial_length`), "
                "but one ended elsewhere. Set the env's `trial_length` to None if its trials vary in length."
            )
        return {name: _trials_along_axis_1(array[: self._size], trial_length) for name, array in self._arrays.items()}

    def padded_trials(self, trials_per_env: int) -> dict[str, NDArray[Any]]:
        """The first `trials_per_env` trials of every environment as (longest, trials, ...), zero where they are over.

        The extra field "valid" (longest, trials) is True where a step was played. Taking the same number of
        trials from each environment keeps short trials from being over-represented.
        """
        ends = self._ends[: self._size]
        step, n = np.arange(self._size)[:, None], ends.shape[1]
        trial = np.cumsum(ends, 0) - ends
        starts = np.where(np.vstack([np.ones((1, n), np.bool_), ends[:-1]]), step, 0)
        within = step - np.maximum.accumulate(starts, 0)
        kept = trial < trials_per_env
        index = (within[kept], (trial * n + np.arange(n))[kept])
        shape = (int(index[0].max()) + 1, trials_per_env * n)
        fields = {**{name: array[: self._size] for name, array in self._arrays.items()}, "valid": kept}
        padded: dict[str, NDArray[Any]] = {
            name: np.zeros((*shape, *array.shape[2:]), array.dtype) for name, array in fields.items()
        }
        for name, array in fields.items():
            padded[name][index] = array[kept]
        return padded


def _trials_along_axis_1(array: NDArray[Any], trial_length: int) -> NDArray[Any]:
    """(trials per env * T, n, ...) in the order played -> (T, trials per env * n, ...)."""
    blocks = array.reshape(-1, trial_length, *array.shape[1:])
    return blocks.swapaxes(0, 1).reshape(trial_length, -1, *array.shape[2:])
