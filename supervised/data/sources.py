"""The sources of episodes: the tasks of a `TaskSampler`, or the rows of a `Dataset`."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.problem import Kind, Problem
from metaenv.tasks import TaskBatch, TaskSampler
from metaenv.typing import Bools, Floats, Index

MAX_REDRAWS = 100  # chosen: when fewer than one task in a hundred has enough of both classes, the threshold is wrong


@dataclass(frozen=True)
class EpisodeBatch:
    """A batch of tasks, task axis first. The order of samples within a task is random.

    In classification, the classes of each task are numbered anew at random.
    """

    problem: Problem
    support_x: Tensor
    """(tasks, support, *x_shape) float32."""
    support_y: Tensor
    """(tasks, support): float32 in regression, int64 labels otherwise."""
    query_x: Tensor
    """(tasks, queries, *x_shape) float32."""
    query_y: Tensor
    """(tasks, queries), as `support_y`."""
    task_ids: NDArray[Any]
    """(tasks,) which task: the content hash of a sampler's task, a group, the normal class; in classification
    (tasks, n_classes), the class behind each label."""
    support_ids: NDArray[np.int64]
    """(tasks, support) row of each sample in the data set (``data.ids[rows]`` names it), or its number among the
    examples drawn of the task."""
    query_ids: NDArray[np.int64]
    """(tasks, queries), as `support_ids`."""
    interchangeable: bool = False
    """Whether any set of classes is a task, so that the classes of several tasks may be dealt anew."""

    def __len__(self) -> int:
        return len(self.support_y)

    @property
    def n_classes(self) -> int | None:
        """Classes of an episode, None unless they are classified."""
        return self.problem.n_classes

    def samples(self) -> tuple[Tensor, Tensor]:
        """x (tasks, support + queries, *x_shape) and y (tasks, support + queries) of the support and query sets."""
        return torch.cat([self.support_x, self.query_x], 1), torch.cat([self.support_y, self.query_y], 1)

    def to(self, device: torch.device) -> EpisodeBatch:
        """The same with its tensors on a device."""
        names = ("support_x", "support_y", "query_x", "query_y")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def take(self, tasks: slice) -> EpisodeBatch:
        """Some of the tasks."""
        whole = ("problem", "interchangeable")
        parts = {f.name: getattr(self, f.name)[tasks] for f in fields(self) if f.name not in whole}
        return replace(self, **parts)


class EpisodeShape(NamedTuple):
    """Numbers of samples: in classification of each class."""

    support: int
    query: int  # in anomaly detection, of normal samples
    anomalies: int


class Source(ABC):
    """Draws the plan of episodes, and fills in their samples."""

    problem: Problem

    @abstractmethod
    def plan(self, n: int, rng: np.random.Generator) -> EpisodeBatch:
        """n episodes, in which x may still be missing."""

    @abstractmethod
    def fill(self, plan: EpisodeBatch) -> EpisodeBatch:
        """A plan with its x."""

    def sha256(self) -> str:
        """SHA-256 of the data that plans refer to."""
        return ""


class TaskSource(Source):
    """Examples drawn of a sampler's tasks."""

    def __init__(
        self,
        sampler: TaskSampler,
        shape: EpisodeShape,
        kind: Kind | None,
        threshold: float | Literal["median"] | None,
        pool: int,
    ) -> None:
        kind = kind or ("regression" if threshold is None else "classification")
        if (kind == "regression") != (threshold is None):
            raise ValueError(
                f"expected a threshold for classification and anomalies only, got {threshold!r} for {kind}"
            )
        if isinstance(threshold, str) and threshold != "median":
            raise ValueError(f"expected a number or 'median' as threshold, got {threshold!r}")
        self.sampler, self.threshold, self.pool = sampler, threshold, pool
        self.support, self.query = (shape.support, 0), (shape.query, shape.anomalies)  # below the threshold, above it
        if kind == "classification":
            self.support, self.query = (shape.support, shape.support), (shape.query, shape.query)
        self.examples = self._enough(sampler)
        probe = sampler.distribution.sample(1, sampler.split, np.random.default_rng(0))
        x_shape = sampler.distribution.labelled(probe, 1, np.random.default_rng(0)).x.shape[2:]
        self.problem = Problem(kind, tuple(x_shape), 2 if kind == "classification" else 1)

    def _enough(self, sampler: TaskSampler) -> int:
        """How many examples of a task are drawn. Raises ValueError if an episode takes more than there are."""
        need = self.support[0] + self.query[0] if self.threshold is None else sum(self.support + self.query)
        limit = sampler.distribution.labelled_limit(sampler.split)
        if limit is not None and need > limit:
            raise ValueError(
                f"an episode takes {need} examples, {sum(self.support)} of them to learn from, and the smallest task "
                f"of split {sampler.split!r} has {limit}; lower n_shot or n_query"
            )
        wanted = need if self.threshold is None else self.pool * need
        return wanted if limit is None else min(wanted, limit)

    def fill(self, plan: EpisodeBatch) -> EpisodeBatch:
        return plan

    def plan(self, n: int, rng: np.random.Generator) -> EpisodeBatch:
        tasks = self.sampler.draw(n)
        if self.threshold is None:
            seen = self.sampler.distribution.labelled(tasks, self.examples, rng)
            ids = np.broadcast_to(np.arange(seen.y.shape[1]), seen.y.shape)
            return self._batch(seen.x, seen.y.astype(np.float32), ids, tasks)
        x, above, tasks = self._balanced(tasks, rng)
        # Examples come in random order, so that the first of each class will do.
        (low, high), (low_query, high_query) = self.support, self.query
        below_first, above_first = (np.argsort(key, axis=1, kind="stable") for key in (above, ~above))
        support = np.concatenate([below_first[:, :low], above_first[:, :high]], axis=1)
        query = np.concatenate(
            [below_first[:, low : low + low_query], above_first[:, high : high + high_query]], axis=1
        )
        chosen = np.concatenate([rng.permuted(support, axis=1), rng.permuted(query, axis=1)], axis=1)
        picked_x = np.take_along_axis(x, chosen.reshape(*chosen.shape, *[1] * (x.ndim - 2)), axis=1)
        return self._batch(picked_x, np.take_along_axis(above, chosen, axis=1).astype(np.int64), chosen, tasks)

    def _batch(self, x: Floats, y: NDArray[Any], ids: NDArray[np.int64], tasks: TaskBatch) -> EpisodeBatch:
        n_shot = sum(self.support)
        sx, qx = torch.from_numpy(x.astype(np.float32)).tensor_split([n_shot], dim=1)
        sy, qy = torch.from_numpy(y).tensor_split([n_shot], dim=1)
        task_ids = tasks.ids
        if self.problem.kind == "classification":
            task_ids = np.stack([np.char.add(task_ids, " below"), np.char.add(task_ids, " above")], axis=1)
        return EpisodeBatch(self.problem, sx, sy, qx, qy, task_ids, ids[:, :n_shot], ids[:, n_shot:])

    def _balanced(self, tasks: TaskBatch, rng: np.random.Generator) -> tuple[Floats, Bools, TaskBatch]:
        """Examples (n, pool, features), which are above the threshold, and the tasks that have enough on both sides."""
        low, high = self.support[0] + self.query[0], self.support[1] + self.query[1]
        x, above = self._examples(tasks, rng)
        rows = np.arange(len(tasks))
        for _ in range(MAX_REDRAWS):
            n_above = above.sum(axis=1)
            rows = np.flatnonzero((n_above < high) | (above.shape[1] - n_above < low))
            if not len(rows):
                return x, above, tasks
            tasks = tasks.replaced(rows, self.sampler.draw(len(rows)))
            x[rows], above[rows] = self._examples(tasks.take(rows), rng)
        raise ValueError(
            f"task {tasks.ids[rows[0]]} has too few examples below or above the threshold {self.threshold}, and "
            f"{MAX_REDRAWS} draws gave no better; change the threshold, or enlarge the pool"
        )

    def _examples(self, tasks: TaskBatch, rng: np.random.Generator) -> tuple[Floats, Bools]:
        seen = self.sampler.distribution.labelled(tasks, self.examples, rng)
        cut = np.median(seen.y, axis=1, keepdims=True) if self.threshold == "median" else float(self.threshold or 0.0)
        return seen.x, seen.y > cut


class RowSource(Source):
    """Rows of a data set, which are sorted by the column that makes the tasks."""

    def __init__(self, data: Dataset, column: NDArray[Any], problem: Problem, shape: EpisodeShape) -> None:
        self.data, self.problem, self.shape = data, problem, shape
        self.names, code, self.sizes = np.unique(column, return_inverse=True, return_counts=True)
        self.order = np.argsort(code, kind="stable")
        self.starts = np.cumsum(self.sizes) - self.sizes
        need = shape.support + shape.query
        if (self.sizes < need).any():
            worst = int(np.argmin(self.sizes))
            what, name = ("class", "y") if column is data.y else ("group", "groups")
            raise ValueError(
                f"{what} {self.names[worst].item()!r} has {self.sizes[worst]} samples, and an episode takes {need} "
                f"({shape.support} + {shape.query}); take fewer, or leave it out: data.without_small(data.{name}, "
                f"{need}), or option least {need} of a family of files"
            )

    def sha256(self) -> str:
        return self.data.sha256

    def fill(self, plan: EpisodeBatch) -> EpisodeBatch:
        support, query = (self.data.gather(torch.from_numpy(rows)) for rows in (plan.support_ids, plan.query_ids))
        return replace(plan, support_x=support, query_x=query)

    def _rows(self, codes: Index, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(*codes.shape, k) distinct rows, in random order, of each of these classes or groups."""
        return self.order[self.starts[codes][..., None] + distinct(self.sizes[codes], k, rng)]

    def _planned(
        self, support: NDArray[np.int64], query: NDArray[np.int64], y: tuple[NDArray[Any], NDArray[Any]], codes: Index
    ) -> EpisodeBatch:
        missing = torch.empty(len(support), 0)  # until `fill`
        sy, qy = (torch.from_numpy(np.ascontiguousarray(part)) for part in y)
        return EpisodeBatch(self.problem, missing, sy, missing, qy, self.names[codes], support, query)


class _ClassSource(RowSource):
    """N-way K-shot classification."""

    def plan(self, n: int, rng: np.random.Generator) -> EpisodeBatch:
        ways, shape = self.problem.n_outputs, self.shape
        codes = distinct(np.full(n, len(self.names)), ways, rng)
        rows = self._rows(codes, shape.support + shape.query, rng)  # (n, ways, support + query)
        support, sy = _shuffled(rows[:, :, : shape.support], rng)
        query, qy = _shuffled(rows[:, :, shape.support :], rng)
        return replace(self._planned(support, query, (sy, qy), codes), interchangeable=True)


class _GroupSource(RowSource):
    """Regression with a group as task."""

    def plan(self, n: int, rng: np.random.Generator) -> EpisodeBatch:
        codes = rng.integers(len(self.names), size=n)
        rows = self._rows(codes, self.shape.support + self.shape.query, rng)
        y = self.data.y[rows].astype(np.float32)
        k = self.shape.support
        return self._planned(rows[:, :k], rows[:, k:], (y[:, :k], y[:, k:]), codes)


class _ClassesOfGroupSource(RowSource):
    """Classification with a group as task: its classes are the labels, numbered in their order in every task."""

    def __init__(self, data: Dataset, labels: NDArray[Any], shape: EpisodeShape) -> None:
        self.classes, of_class = np.unique(labels, return_inverse=True)
        if len(self.classes) < 2:
            raise ValueError(f"expected at least two classes, got {self.classes.tolist()}; choose another threshold")
        self.names_of_classes = ("below", "above") if labels.dtype == bool else self.classes.tolist()
        self.groups, of_group = np.unique(data.groups, return_inverse=True)
        count = np.zeros((len(self.groups), len(self.classes)), np.intp)
        np.add.at(count, (of_group, of_class), 1)
        need = shape.support + shape.query
        if (count < need).any():
            group, which = np.argwhere(count < need)[0]
            raise ValueError(
                f"group {self.groups[group].item()!r} has {count[group, which]} samples of class "
                f"{self.classes[which].item()!r}, and an episode takes {need} of each class ({shape.support} + "
                f"{shape.query}); {(count < need).any(axis=1).sum()} of {len(count)} groups are too small: take fewer, "
                f"or leave them out, by option least {need} of a family of files"
            )
        problem = Problem("classification", data.x_shape, len(self.classes))
        super().__init__(data, of_group * len(self.classes) + of_class, problem, shape)

    def sha256(self) -> str:
        return hashlib.sha256(f"{self.data.sha256}{self.order.tolist()}{self.names.tolist()}".encode()).hexdigest()

    def plan(self, n: int, rng: np.random.Generator) -> EpisodeBatch:
        ways, k = self.problem.n_outputs, self.shape.support
        group = rng.integers(len(self.groups), size=n)
        rows = self._rows(group[:, None] * ways + np.arange(ways), k + self.shape.query, rng)
        support, sy = _shuffled(rows[:, :, :k], rng)
        query, qy = _shuffled(rows[:, :, k:], rng)
        plan = self._planned(support, query, (sy, qy), group)
        named = [[f"{name} {c}" for c in self.names_of_classes] for name in self.groups[group].tolist()]
        return replace(plan, task_ids=np.array(named))


class _AnomalySource(RowSource):
    """One class is the normal one; anomalies come from all others, as often as they are in the data."""

    def plan(self, n: int, rng: np.random.Generator) -> EpisodeBatch:
        shape = self.shape
        codes = rng.integers(len(self.names), size=n)
        rows = self._rows(codes, shape.support + shape.query, rng)
        other = distinct(len(self.data) - self.sizes[codes], shape.anomalies, rng)
        # Rows are sorted by class: those of the normal class are one block, which is stepped over.
        other += np.where(other >= self.starts[codes][:, None], self.sizes[codes][:, None], 0)
        query = np.concatenate([rows[:, shape.support :], self.order[other]], axis=1)
        y = np.concatenate([np.zeros((n, shape.query), np.int64), np.ones((n, shape.anomalies), np.int64)], axis=1)
        mixed = rng.permuted(np.broadcast_to(np.arange(query.shape[1]), query.shape), axis=1)
        query, y = np.take_along_axis(query, mixed, axis=1), np.take_along_axis(y, mixed, axis=1)
        return self._planned(rows[:, : shape.support], query, (np.zeros((n, shape.support), np.int64), y), codes)


def dataset_source(
    data: Dataset, shape: EpisodeShape, kind: Kind | None, n_way: int, threshold: float | str | None, by: str | None
) -> RowSource:
    """The source for a kind of problem; see `Episodes`."""
    kind = kind or ("regression" if data.y.dtype.kind == "f" else "classification")
    if kind not in get_args(Kind):
        raise ValueError(f"expected a kind of problem among {get_args(Kind)}, got {kind!r}")
    if by not in (None, "group") or (by == "group" and kind == "anomaly"):
        raise ValueError(f"expected by='group', for regression or classification, or None, got {by!r} for {kind}")
    if threshold is not None and (kind != "classification" or by is None or data.y.dtype.kind not in "fiu"):
        raise ValueError(
            "for a Dataset, a threshold needs numbers as y and kind='classification', by='group', which makes a task "
            "of each group; or pass the classes as y: data.y > threshold"
        )
    if by == "group" and kind == "classification":
        labels = data.y
        if threshold == "median":
            groups, of = np.unique(data.groups, return_inverse=True)
            labels = data.y > np.array([np.median(data.y[of == g]) for g in range(len(groups))])[of]
        elif threshold is not None:
            labels = data.y > float(threshold)
        elif data.y.dtype.kind == "f":
            raise ValueError("expected labels as y, at least two classes, got floats; give a threshold")
        return _ClassesOfGroupSource(data, labels, shape)
    if kind == "regression":
        if data.y.dtype.kind not in "fiu":
            raise ValueError(
                f"expected numbers as y for regression, got dtype {data.y.dtype}; classify, or convert them"
            )
        return _GroupSource(data, data.groups, Problem(kind, data.x_shape), shape)
    n_classes = len(np.unique(data.y))
    least = n_way if kind == "classification" and by is None else 2
    if n_classes < least:
        raise ValueError(
            f"expected at least {least} classes, got {n_classes}; lower n_way, add classes, or divide "
            "them otherwise (option shares of a family of files)"
        )
    if kind == "classification":
        return _ClassSource(data, data.y, Problem(kind, data.x_shape, n_way), shape)
    source = _AnomalySource(data, data.y, Problem(kind, data.x_shape), shape)
    if len(data) - source.sizes.max() < shape.anomalies:
        raise ValueError(
            f"class {source.names[source.sizes.argmax()].item()!r} leaves too few anomalies: {shape.anomalies} wanted"
        )
    return source


def _shuffled(rows: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows (n, ways, k) as (n, ways * k) in random order, and the label of each."""
    n, ways, k = rows.shape
    place = rng.random((n, ways * k)).argsort(axis=1)
    return np.take_along_axis(rows.reshape(n, -1), place, axis=1), place // k


def distinct(sizes: Index, k: int, rng: np.random.Generator) -> Index:
    """For each of ``sizes`` (...), ``k`` distinct integers in [0, size) in random order: (..., k).

    Robert Floyd's algorithm (Bentley and Floyd 1987, CACM 30(9), 754-757), for all rows at once: its cost does not
    grow with the sizes. It leaves the order not quite random, so that is shuffled.
    """
    uniform = rng.random((*sizes.shape, k))
    last = sizes[..., None] - k + np.arange(k)  # (..., k) the largest integer allowed at each turn
    picked = (uniform * (last + 1)).astype(np.intp)
    for j in range(1, k):
        taken = (picked[..., :j] == picked[..., j, None]).any(axis=-1)
        picked[..., j] = np.where(taken, last[..., j], picked[..., j])
    return np.take_along_axis(picked, rng.random(picked.shape).argsort(axis=-1), axis=-1)
