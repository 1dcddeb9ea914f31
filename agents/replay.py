"""What was played on each training task, kept for off-policy learning: one array over all tasks for every field."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metaenv.typing import Index

Steps = dict[str, NDArray[Any]]
"""Steps as they were played, by field, one array each."""
Rows = dict[str, Tensor]
"""Steps from the replay, by field, on its device."""
_COUNTS = ("written", "trials", "_starts", "_lengths")
_READ = ("assisted", "context_rewards", "ended")


class TaskReplay:
    """The last `capacity` steps of every task, one tensor (n_tasks, capacity, ...) per field, beside the networks.

    Each task also remembers where its latest trials lie: the context that an encoder learns from must be near
    on-policy, while the critic may learn from all that was ever played. What is drawn is decided on the CPU, by numbers
    that are the same on every device; only places of steps are copied to the device, and steps once, after a trial.

    Args:
        n_tasks: number of training tasks.
        capacity: steps kept of each.
        context_trials: how many of its latest trials a task remembers for contexts.
        fields: for each field, the shape after (n_tasks, capacity) and the dtype.
        device: of the tensors.
    """

    def __init__(
        self,
        n_tasks: int,
        capacity: int,
        fields: dict[str, tuple[tuple[int, ...], torch.dtype]],
        context_trials: int = 1,
        device: torch.device | None = None,
    ) -> None:
        self.capacity = capacity
        room = (n_tasks, capacity)
        self._tensors = {k: torch.zeros((*room, *shape), dtype=d, device=device) for k, (shape, d) in fields.items()}
        # Some fields are read on the CPU, too, where it is decided what to draw.
        self._read = {name: np.zeros(room, np.float32) for name in _READ if name in fields}
        self.written = np.zeros(n_tasks, np.int64)
        """(n_tasks,) steps ever written of each task."""
        self.trials = np.zeros(n_tasks, np.int64)
        """(n_tasks,) trials ever added."""
        self._starts = np.zeros((n_tasks, context_trials), np.int64)
        self._lengths = np.zeros((n_tasks, context_trials), np.int64)

    def clear(self, tasks: Index) -> None:
        """Forget all about these tasks."""
        self.written[tasks] = 0
        self._lengths[tasks] = 0

    def add(self, tasks: Index, steps: dict[str, NDArray[Any]], played: NDArray[np.bool_]) -> None:
        """Append one trial of each of `tasks`.

        Args:
            tasks: (m,) different tasks.
            steps: for each field, (T, m, ...).
            played: (T, m), which steps belong to the trial; a trial's steps come first.

        Raises:
            ValueError: a trial is longer than the capacity.
        """
        length = played.sum(0)
        if length.max() > self.capacity:
            raise ValueError(f"Expected trials of at most {self.capacity} steps (the capacity), got {length.max()}.")
        step, column = np.nonzero(played)
        row, slot = tasks[column], (self.written[tasks][column] + step) % self.capacity
        where = torch.from_numpy(row).to(self.device), torch.from_numpy(slot).to(self.device)
        for name, values in steps.items():
            kept = values[step, column]
            into = self._tensors[name]
            into[where] = torch.from_numpy(kept).to(into)
            if name in self._read:
                self._read[name][row, slot] = kept
        place = self.trials[tasks] % self._starts.shape[1]
        self._starts[tasks, place], self._lengths[tasks, place] = self.written[tasks], length
        self.written[tasks] += length
        self.trials[tasks] += 1

    def sample(self, tasks: Index, size: int, rng: np.random.Generator) -> Rows:
        """`size` steps of each of `tasks` (b,), drawn with replacement: arrays (b, size, ...).

        Where there is a field "assisted", steps in which it is true are left out, unless a task has no others.
        """
        kept = np.minimum(self.written[tasks], self.capacity)
        drawn = rng.random((len(tasks), size))
        if "assisted" not in self._read:
            return self._rows(tasks, (drawn * kept[:, None]).astype(np.int64))
        used = int(kept.max())
        here = np.arange(used) < kept[:, None]
        own = here & (self._read["assisted"][tasks, :used] == 0)
        counted = np.where(own.any(1, keepdims=True), own, here).cumsum(1)
        place = (drawn * counted[:, -1:]).astype(np.int64)
        return self._rows(tasks, (counted[:, None, :] <= place[:, :, None]).sum(-1))

    def paid(self, tasks: Index, size: int, rng: np.random.Generator) -> Rows:
        """As `sample`, but only of steps whose reward, as a context shows it, is not 0, where a task has such steps."""
        slot = np.empty((len(tasks), size), np.int64)
        for row, task in enumerate(tasks):
            kept = min(int(self.written[task]), self.capacity)
            found = np.flatnonzero(self._read["context_rewards"][task, :kept])
            pool = found if len(found) else np.arange(kept)
            slot[row] = pool[(rng.random(size) * len(pool)).astype(np.int64)]
        return self._rows(tasks, slot)

    def contexts(
        self, tasks: Index, size: int, min_fraction: float, rng: np.random.Generator
    ) -> tuple[Rows, NDArray[np.bool_]]:
        """Contexts of different lengths: beginnings of one of each task's latest trials, as a policy meets them.

        The length of a beginning is uniform from the fraction `min_fraction` of the trial to all of it. One longer than
        `size` is thinned to that many random steps of it.

        Returns:
            Arrays (b, w, ...) with w <= `size`, and which entries count, (b, w).
        """
        starts, lengths = self._starts[tasks], self._lengths[tasks]
        # Trials that are whole: neither forgotten, nor overwritten in part by later ones.
        whole = (lengths > 0) & (self.written[tasks][:, None] - starts <= self.capacity)
        chosen = np.where(whole, rng.random(whole.shape), -1.0).argmax(1)[:, None]
        start, latest = (np.take_along_axis(a, chosen, 1)[:, 0] for a in (starts, lengths * whole))
        least = np.ceil(min_fraction * latest).astype(np.int64)
        length = least + (rng.random(len(tasks)) * (latest - least + 1)).astype(np.int64)
        width = max(1, min(size, int(length.max())))
        kept = np.arange(width) < np.minimum(length, width)[:, None]
        step = np.broadcast_to(np.arange(width), kept.shape)
        if int(length.max()) > size:
            drawn = (rng.random(kept.shape) * length[:, None]).astype(np.int64)
            step = np.where((length > size)[:, None], drawn, step)
        slot = start[:, None] + np.where(kept, step, 0)
        return self._rows(tasks, slot % self.capacity), kept

    def ends(self, tasks: Index, size: int, rng: np.random.Generator) -> tuple[Rows, NDArray[np.bool_]]:
        """Contexts of last steps of episodes, drawn without replacement from all that is kept of a task.

        How many is uniform from none to `size`, as far as there are so many.

        Returns:
            Arrays (b, size, ...), and which entries count, (b, size).
        """
        used = min(int(self.written[tasks].max()), self.capacity)
        kept = np.arange(used) < np.minimum(self.written[tasks], self.capacity)[:, None]
        last = kept & (self._read["ended"][tasks, :used] > 0)
        width = min(size, used)
        slot = np.argsort(np.where(last, rng.random(last.shape, np.float32), 2), axis=1)[:, :width]
        most = np.minimum(last.sum(1), width)
        length = (rng.random(len(tasks)) * (most + 1)).astype(np.int64)
        return self._rows(tasks, slot), np.arange(width) < length[:, None]

    @property
    def device(self) -> torch.device:
        """Where the steps are."""
        return next(iter(self._tensors.values())).device

    def _rows(self, tasks: Index, slot: NDArray[np.int64]) -> Rows:
        """The steps (b, w) in these places (b, w) of the tasks (b,)."""
        place = torch.from_numpy(tasks[:, None] * self.capacity + slot).to(self.device)
        return {name: tensor.flatten(0, 1)[place] for name, tensor in self._tensors.items()}

    def state(self) -> Rows:
        """All that is kept, without the room that was never written to."""
        used = min(int(self.written.max(initial=0)), self.capacity)
        counts = {name: torch.from_numpy(getattr(self, name).copy()) for name in _COUNTS}
        return {**{name: tensor[:, :used] for name, tensor in self._tensors.items()}, **counts}

    def set_state(self, state: Rows) -> None:
        """Put back what `state` returned."""
        for name in _COUNTS:
            getattr(self, name)[:] = state[name].numpy()
        for name, tensor in self._tensors.items():
            tensor[:, : state[name].shape[1]] = state[name]
        for name, array in self._read.items():
            array[:, : state[name].shape[1]] = state[name].cpu().numpy()
