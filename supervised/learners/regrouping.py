"""More tasks from the same samples: the classes of a batch of tasks are dealt into tasks anew.

With pictures, most of the time of a meta-update goes into the embedding of single samples, and each is used in one
task only. What a learner does with the features of a task costs little. So the features are computed once, and tasks
are made of them several times: any set of classes is a task, and any sample of a class may be in its support set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metaenv.supervised.data.sources import EpisodeBatch


@dataclass(frozen=True)
class Regrouped:
    """Tasks whose samples are numbers of rows of the batch's samples, (tasks, support + queries) laid out flat."""

    support: Tensor
    """(tasks, support) rows."""
    support_y: Tensor
    """(tasks, support) labels."""
    query: Tensor
    """(tasks, queries) rows."""
    query_y: Tensor
    """(tasks, queries) labels."""


def regrouped(batch: EpisodeBatch, times: int, generator: torch.Generator) -> Regrouped:
    """The tasks of a batch, and ``times - 1`` times as many that are dealt from their classes.

    A dealt task that has a class twice is left out, so that of a data set with few classes few tasks are added.

    Raises:
        ValueError: the batch is no classification in which any set of classes is a task.
    """
    if not batch.interchangeable:
        raise ValueError(
            "expected episodes of a data set's classes, which can be dealt into other tasks, got episodes whose labels "
            "have a meaning of their own, or no classes; set regroupings=1"
        )
    y = torch.cat([batch.support_y, batch.query_y], 1).cpu()
    (tasks, size), ways = y.shape, batch.problem.n_outputs
    per_class, shots = size // ways, batch.support_y.shape[1] // ways
    rows = y.argsort(dim=1, stable=True) + size * torch.arange(tasks)[:, None]
    rows = rows.reshape(tasks * ways, per_class)  # of each class of each task, its support set first
    classes = torch.from_numpy(np.unique(batch.task_ids, return_inverse=True)[1].ravel())  # of each such row
    dealt = [rows.reshape(tasks, ways, per_class)]
    for _ in range(times - 1):
        seat = torch.randperm(tasks * ways, generator=generator)
        mixed = torch.rand(tasks * ways, per_class, generator=generator).argsort(1)
        chosen = rows[seat].gather(1, mixed).reshape(tasks, ways, per_class)
        of_task = classes[seat].reshape(tasks, ways).sort(1).values
        dealt.append(chosen[(of_task[:, 1:] != of_task[:, :-1]).all(1)])
    samples = torch.cat(dealt)
    support, support_y = _shuffled(samples[:, :, :shots], generator)
    query, query_y = _shuffled(samples[:, :, shots:], generator)
    device = batch.support_y.device
    return Regrouped(support.to(device), support_y.to(device), query.to(device), query_y.to(device))


def _shuffled(rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows (tasks, ways, k) as (tasks, ways * k) in random order, and the label of each."""
    n, ways, k = rows.shape
    place = torch.rand(n, ways * k, generator=generator).argsort(1)
    return rows.reshape(n, -1).gather(1, place), place // k
