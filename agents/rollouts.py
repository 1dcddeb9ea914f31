"""Whole trials, collected from parallel environments and laid out for one recurrent call."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor


class TrialBuffer:
    """Steps of n parallel environments, in the order they were played: one array (steps, n, ...) per field.

    A field with a dtype of torch is a tensor on the device of the networks, for what networks read or write while a
    trial is played. The others are numpy's, beside the environments. So no step is copied from one to the other only to
    be kept.

    Args:
        capacity: steps to make room for; the room doubles when it is full.
        n: number of environments.
        fields: for each field, the shape after (steps, n) and the dtype, of numpy or of torch.
        device: of the tensors.
    """

    def __init__(
        self,
        capacity: int,
        n: int,
        fields: dict[str, tuple[tuple[int, ...], DTypeLike | torch.dtype]],
        device: torch.device | None = None,
    ) -> None:
        self._arrays: dict[str, Any] = {}
        for name, (shape, dtype) in fields.items():
            size = (capacity, n, *shape)
            on_device = isinstance(dtype, torch.dtype)
            self._arrays[name] = torch.zeros(size, dtype=dtype, device=device) if on_device else np.zeros(size, dtype)
        self._ends = np.zeros((capacity, n), np.bool_)
        self._size = 0

    def add(self, ends: NDArray[np.bool_], **step: NDArray[Any] | Tensor) -> None:
        """Append one step of every environment; `ends` (n,) says whose trial it was the last of."""
        if self._size == len(self._ends):
            self._ends = np.concatenate([self._ends, np.zeros_like(self._ends)])
            for name, array in self._arrays.items():
                twice = torch.cat if isinstance(array, Tensor) else np.concatenate
                self._arrays[name] = twice([array, _zeros(array, array.shape)])
        self._ends[self._size] = ends
        for name, value in step.items():
            self._arrays[name][self._size] = value
        self._size += 1

    def replace(self, name: str, values: NDArray[Any]) -> None:
        """Let the last steps of a field of numpy's hold `values` (steps, n, ...)."""
        self._arrays[name][self._size - len(values) : self._size] = values

    def clear(self) -> None:
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def finished(self) -> NDArray[np.int64]:
        """Trials that each environment has completed, (n,)."""
        return self._ends[: self._size].sum(0)

    def fixed_trials(self, trial_length: int) -> dict[str, Any]:
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

    def padded_trials(self, trials_per_env: int) -> dict[str, Any]:
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
        padded = {name: _zeros(array, (*shape, *array.shape[2:])) for name, array in fields.items()}
        for name, array in fields.items():
            padded[name][index] = array[kept.nonzero()]
        return padded


def _zeros(like: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of that dtype, on that device."""
    return like.new_zeros(shape) if isinstance(like, Tensor) else np.zeros(shape, like.dtype)


def _trials_along_axis_1(array: Any, trial_length: int) -> Any:
    """(trials per env * T, n, ...) in the order played -> (T, trials per env * n, ...)."""
    blocks = array.reshape(-1, trial_length, *array.shape[1:])
    return blocks.swapaxes(0, 1).reshape(trial_length, -1, *array.shape[2:])
