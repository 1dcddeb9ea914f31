"""Tasks that are given from outside: one, a list, a number of them, or another distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.tasks import FrozenTasks, Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.typing import Floats

GivenTasks = Sequence[Task | Mapping[str, Any]] | TaskBatch
SEED = 0  # that a number of tasks is drawn with: every copy of an environment then has the same ones (chosen)


class ChangedDistribution(TaskDistribution):
    """A distribution that is another one in all that it does not change."""

    def __init__(self, inner: TaskDistribution) -> None:
        self.inner, self.unit_dim, self.splits = inner, inner.unit_dim, inner.splits
        self.task_type, self.closed = inner.task_type, inner.closed  # type: ignore[misc]  (those of the inner one)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "inner":  # not there yet while it is unpickled
            raise AttributeError(name)
        return getattr(self.inner, name)

    def members(self, split: str) -> TaskBatch | None:
        """See `TaskDistribution`."""
        return self.inner.members(split)

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        """See `TaskDistribution`."""
        return self.inner.draw(unit, split)

    def frozen(self, split: str) -> FrozenTasks:
        """See `TaskDistribution`."""
        return self.inner.frozen(split)

    def reference(self, tasks: TaskBatch) -> Reference:
        """See `TaskDistribution`."""
        return self.inner.reference(tasks)

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """See `TaskDistribution`."""
        return self.inner.labelled(tasks, n, rng)

    def labelled_limit(self, split: str) -> int | None:
        """See `TaskDistribution`."""
        return self.inner.labelled_limit(split)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """See `TaskDistribution`."""
        return self.inner.task_vector(tasks)

    def accept(self, tasks: TaskBatch) -> NDArray[np.bool_]:
        """See `TaskDistribution`."""
        return self.inner.accept(tasks)

    def accept_among(self, allowed: NDArray[np.bool_], tasks: TaskBatch) -> NDArray[np.bool_]:
        """Those of the allowed ones that the inner distribution accepts; it may be slow and is asked for no others."""
        accepted = allowed.copy()
        if allowed.any():
            accepted[allowed] = self.inner.accept(tasks.take(np.flatnonzero(allowed)))
        return accepted


class FixedTasks(ChangedDistribution):
    """A distribution in which one split is a list of given tasks, each as likely as the others.

    Args:
        inner: the distribution; its other splits stay as they are.
        split: which split is the list; a new name adds a split.
        tasks: the list.
    """

    def __init__(self, inner: TaskDistribution, split: str, tasks: TaskBatch) -> None:
        super().__init__(inner)
        self.split, self.listed = split, tasks
        if split not in self.splits:
            self.splits = (*self.splits, split)

    def members(self, split: str) -> TaskBatch | None:
        """The list, or what the inner distribution says."""
        return self.listed if split == self.split else super().members(split)

    def frozen(self, split: str) -> FrozenTasks:
        """The list with its references, which are computed here, or a frozen list of the inner distribution."""
        return self._frozen if split == self.split else super().frozen(split)

    def __repr__(self) -> str:
        return f"{self.inner!r}.with_split({self.split!r}, {len(self.listed)} tasks, {self.listed.sha256[:12]})"

    @cached_property
    def _frozen(self) -> FrozenTasks:
        return FrozenTasks(self.split, self.listed, self.reference(self.listed), self.listed.sha256)

    def accept(self, tasks: TaskBatch) -> NDArray[np.bool_]:
        """Whatever is in the list, and what the inner distribution accepts."""
        accepted = np.isin(tasks.id_numbers, self.listed.id_numbers)
        if not accepted.all():
            accepted[~accepted] = super().accept(tasks.take(np.flatnonzero(~accepted)))
        return accepted


class NarrowedTasks(ChangedDistribution):
    """A distribution of which only the tasks within some ranges are left, in every split.

    Tasks are drawn as before, and those outside are drawn again. Frozen lists keep the tasks inside, with their
    references.

    Args:
        inner: the distribution.
        ranges: lowest and highest value by the name of a task's field, or ``"field[2]"`` for one of several numbers.

    Raises:
        TaskError: a range without such a field, or an empty one.
    """

    def __init__(self, inner: TaskDistribution, ranges: Mapping[str, tuple[float, float]]) -> None:
        super().__init__(inner)
        some = inner.sample(1, inner.splits[0], np.random.default_rng(0))
        self.ranges: dict[str, tuple[float, float]] = {}
        for name, given in ranges.items():
            field_values(some, name)
            low, high = range_ends(given)
            if not low <= high:
                raise TaskError(f"expected a range from low to high for {name!r}, got {given!r}")
            self.ranges[name] = low, high
        self._members: dict[str, TaskBatch | None] = {}

    def __repr__(self) -> str:
        return f"{self.inner!r}.narrowed(**{self.ranges})"

    def _inside(self, tasks: TaskBatch) -> NDArray[np.bool_]:
        inside = np.ones(len(tasks), bool)
        for name, (low, high) in self.ranges.items():
            values = field_values(tasks, name).reshape(len(tasks), -1)
            inside &= ((values >= low) & (values <= high)).all(axis=1)
        return inside

    def members(self, split: str) -> TaskBatch | None:
        """Those members that are inside."""
        if split not in self._members:  # every draw asks
            found = super().members(split)
            self._members[split] = None if found is None else found.take(self._some(split, self._inside(found)))
        return self._members[split]

    def frozen(self, split: str) -> FrozenTasks:
        """The part of the frozen list that is inside."""
        whole = super().frozen(split)
        return whole.take(self._some(split, self._inside(whole.tasks)))

    def accept(self, tasks: TaskBatch) -> NDArray[np.bool_]:
        """Those inside that the inner distribution accepts."""
        return self.accept_among(self._inside(tasks), tasks)

    def _some(self, split: str, inside: NDArray[np.bool_]) -> NDArray[np.intp]:
        if not inside.any():
            raise TaskError(f"split {split!r} has no task within {self.ranges}; widen the ranges")
        return np.flatnonzero(inside)


def range_ends(given: Any) -> tuple[float, float]:
    """The ends of a range, or NaN for what is no pair of numbers."""
    try:
        low, high = (float(end) for end in given)
    except (TypeError, ValueError, OverflowError):
        return np.nan, np.nan
    return low, high


def field_values(tasks: TaskBatch, name: str) -> Floats:
    """(n,) or (n, k) the values of a field, or (n,) one of its numbers: ``"field"`` or ``"field[2]"``.

    Raises:
        TaskError: tasks have no such field or number.
    """
    field, bracket, rest = name.partition("[")
    if field not in tasks.columns:
        raise TaskError(f"{tasks.task_type.__name__} has no field {field!r}.{nearest(field, tasks.columns)}")
    values = tasks.columns[field]
    if not bracket:
        return values
    index = rest.removesuffix("]")
    if values.ndim == 1 or not index.isdecimal() or int(index) >= values.shape[1]:
        there = "one number, which needs no brackets" if values.ndim == 1 else f"{values.shape[1]} numbers"
        raise TaskError(f"{tasks.task_type.__name__}.{field} has {there}; got {name!r}")
    return values[:, int(index)]


def task_batch(given: Any, distribution: TaskDistribution) -> TaskBatch:
    """A batch of a distribution's tasks from a `TaskBatch`, or a list of `Task` or of dictionaries (`Task.to_dict`).

    Raises:
        TaskError: something else, tasks of another family, or none.
    """
    wanted = distribution.task_type
    if isinstance(given, TaskBatch):
        if given.task_type is not wanted:
            raise TaskError(f"expected tasks of type {wanted.__name__}, got {given.task_type.__name__}")
        return given
    tasks = [given] if isinstance(given, Task | Mapping) else given
    if isinstance(tasks, Sequence) and not isinstance(tasks, str):
        tasks = [wanted.from_dict(task) if isinstance(task, Mapping) else task for task in tasks]
        if all(isinstance(task, wanted) for task in tasks):
            return TaskBatch.from_tasks(tasks)
    kinds = ", ".join(sorted({type(task).__name__ for task in tasks} if isinstance(tasks, list) else {repr(given)}))
    raise TaskError(
        f"expected a {wanted.__name__}, got {kinds}; make one with {wanted.__name__}.from_dict(...) or "
        "distribution.sample(...).task(0)"
    )


def completed(
    given: Sequence[Task | Mapping[str, Any] | None], drawn: TaskBatch, distribution: TaskDistribution
) -> TaskBatch:
    """The given tasks in their order, with those of ``drawn`` where there is None."""
    missing = np.array([task is None for task in given])
    if missing.all():
        return drawn
    known = task_batch([task for task in given if task is not None], distribution)
    order = np.empty(len(given), np.intp)
    order[missing] = len(known) + np.arange(missing.sum())
    order[~missing] = np.arange(len(known))
    return known.joined(drawn).take(order)


def chosen_distribution(
    family: TaskDistribution,
    split: str,
    distribution: TaskDistribution | None,
    tasks: GivenTasks | int | None,
    task: Task | Mapping[str, Any] | None,
) -> TaskDistribution:
    """Where the tasks of an environment come from; see `metaenv.vector.BatchedEnv` for the arguments.

    Raises:
        TaskError: tasks of another family, or more than one of the last two arguments.
        ValueError: fewer than one task.
    """
    chosen = family if distribution is None else distribution
    if not isinstance(chosen, TaskDistribution) or chosen.task_type is not family.task_type:
        kind = getattr(getattr(chosen, "task_type", None), "__name__", type(chosen).__name__)
        raise TaskError(f"expected a distribution of {family.task_type.__name__}, got one of {kind}")
    chosen.check_split(split)
    if tasks is not None and task is not None:
        raise TaskError("give either 'task' or 'tasks', not both")
    if task is not None:
        tasks = [task]
    if tasks is None:
        return chosen
    if isinstance(tasks, int | np.integer) and not isinstance(tasks, bool):
        if tasks < 1:
            raise ValueError(f"expected at least one task, got tasks={tasks}")
        return FixedTasks(chosen, split, chosen.sample(int(tasks), split, np.random.default_rng(SEED)))
    return FixedTasks(chosen, split, task_batch(tasks, chosen))
