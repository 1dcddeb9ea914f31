"""The nouns of the suite: Task, TaskBatch, TaskDistribution, TaskSampler, Reference.

A *task* is one hidden member of a family of problems: one material, one drug target, one sky. A *task
distribution* says which members there are and how likely each is; it is a value and holds no mutable
state. A *task sampler* is the one source of tasks, for agents and for supervised learners alike.
"""

from __future__ import annotations

import json
import math
import reprlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache, reduce
from pkgutil import resolve_name
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metaenv import ids
from metaenv.errors import TaskError, nearest
from metaenv.typing import Floats, Index, Rows

MAX_REJECTIONS = 1000  # chosen: a distribution that accepts under 1 % of its draws is a mistake


@dataclass(frozen=True)
class Task:
    """One hidden member of a family: physical numbers with units, nothing else.

    Subclasses are frozen dataclasses whose fields are ``float``, ``int`` or tuples of ``float``; a field's unit
    is in its name or its docstring. Two tasks with the same content have the same `id`.
    """

    family: ClassVar[str]
    optional: ClassVar[str] = ""
    """Name of the last field, if most tasks lack it: a tuple of any length, without zeros and empty by default. A task
    without it has the id, and the JSON, that it would have if there were no such field."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value, name, single = getattr(self, f.name), f"{type(self).__name__}.{f.name}", _is_number(str(f.type))
            plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
            numbers = [plain] if single else plain
            if isinstance(numbers, list | tuple):
                numbers = tuple(x.item() if isinstance(x, np.generic) else x for x in numbers)
            if not isinstance(numbers, tuple) or not all(_is_representable(x) for x in numbers):
                expected = "one number" if single else "a tuple of numbers"
                raise TaskError(f"{name} must be {expected}, got {reprlib.repr(value)}")
            if not all(math.isfinite(x) for x in numbers):
                raise TaskError(f"{name} must be finite, got {reprlib.repr(value)}")
            object.__setattr__(self, f.name, plain if single else numbers)

    @property
    def id(self) -> str:
        """16 hexadecimal digits: a hash of the family and of every number of the task."""
        return str(TaskBatch.from_tasks([self]).ids[0])

    def to_dict(self) -> dict[str, Any]:
        """The task as plain Python numbers and lists, with its family's name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v != () or k != self.optional}
        return {"family": self.family, **plain}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The task that `to_dict` described.

        Raises:
            TaskError: another family's task, a missing or unknown field, or one that holds something else than numbers.
        """
        given = dict(values)
        family = given.pop("family", None)
        if family != cls.family:
            raise TaskError(f"expected a task of family {cls.family!r}, got family {family!r}")
        expected = {f.name for f in fields(cls)}
        if missing := sorted(expected - given.keys() - {cls.optional}):
            raise TaskError(f"{cls.__name__} lacks {', '.join(missing)}; write tasks with task.to_json()")
        for name in given.keys() - expected:
            raise TaskError(f"{cls.__name__} has no field {name!r}.{nearest(name, expected)}")
        return cls(**given)

    def to_json(self) -> str:
        """One line of JSON; `from_json` gives back an equal task, to the last bit."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The task that `to_json` wrote. Raises TaskError as `from_dict`, also for text that is not JSON."""
        try:
            values = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise TaskError(f"expected a task as JSON, got {str(text)[:60]!r} ({error})") from error
        if not isinstance(values, dict):
            raise TaskError(f"expected a JSON object with a task's fields, got {type(values).__name__}")
        return cls.from_dict(values)


def _is_number(annotation: str) -> bool:
    """Whether a field holds one number and not a tuple, by its annotation as text, ``Annotated`` or not."""
    plain = annotation.removeprefix("Annotated[").removeprefix("<class '")
    return plain.startswith(("float", "int"))


def _is_representable(x: Any) -> bool:
    """Whether it is a number that double precision can hold; infinities and NaN are refused elsewhere."""
    return isinstance(x, float) or (isinstance(x, int) and not isinstance(x, bool) and abs(x) <= sys.float_info.max)


class TaskBatch:
    """Many tasks of one family as one struct of arrays, leading axis ``n``: what batched dynamics read.

    ``batch.field`` is the array of that field, float64, of shape ``(n,)`` or ``(n, k)``. Treat the arrays as
    read-only: they are views of one table, so that picking and replacing tasks is one operation and not one a field.
    """

    def __init__(self, task_type: type[Task], columns: Mapping[str, ArrayLike]) -> None:
        expected = _field_names(task_type)
        if tuple(columns) not in (expected, (*expected, task_type.optional)):
            raise TaskError(f"columns of a {task_type.__name__} batch must be {expected}, got {tuple(columns)}")
        arrays = [np.asarray(v, np.float64) for v in columns.values()]
        self.task_type = task_type
        self._widths = tuple(None if a.ndim == 1 else a.shape[1] for a in arrays[: len(expected)])
        # + 0.0 turns -0.0 into 0.0, which is the same task.
        self._table = np.concatenate([a.T.reshape(-1, len(a)) for a in arrays]) + 0.0  # (numbers, n)
        if not np.isfinite(self._table).all():
            wrong = next(name for name, a in zip(columns, arrays, strict=True) if not np.isfinite(a).all())
            raise TaskError(f"expected finite numbers in the column {wrong!r} of {task_type.__name__}")
        self._id_numbers: NDArray[np.int64] | None = None

    @classmethod
    def from_tasks(cls, tasks: Sequence[Task]) -> TaskBatch:
        """Stack tasks of one family. Raises TaskError for an empty or mixed list."""
        if not tasks:
            raise TaskError("expected at least one task, got an empty list")
        task_type = type(tasks[0])
        for task in tasks:
            if type(task) is not task_type:
                raise TaskError(f"expected tasks of one family, got {task_type.__name__} and {type(task).__name__}")
        columns: dict[str, list[Any]] = {name: [getattr(t, name) for t in tasks] for name in _field_names(task_type)}
        for name, values in columns.items():
            if len({np.shape(value) for value in values}) > 1:
                raise TaskError(f"expected {task_type.__name__}.{name} to be of one length in all tasks of a batch")
        if task_type.optional:
            more = [getattr(task, task_type.optional) for task in tasks]
            if longest := max(map(len, more)):
                columns[task_type.optional] = [numbers + (0.0,) * (longest - len(numbers)) for numbers in more]
        return cls(task_type, columns)

    def _with(self, table: Floats, id_numbers: NDArray[np.int64] | None) -> TaskBatch:
        """Another batch of the same kind of tasks."""
        batch = object.__new__(TaskBatch)
        batch.task_type, batch._widths, batch._table = self.task_type, self._widths, table
        batch._id_numbers = id_numbers
        return batch

    def __len__(self) -> int:
        return self._table.shape[1]

    def __getattr__(self, name: str) -> Floats:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self.columns:
            if name == self.task_type.optional:
                return np.zeros((len(self), 0))
            raise AttributeError(f"a batch of tasks has no field {name!r}; it has {', '.join(self.columns)}")
        return self.columns[name]

    @cached_property
    def columns(self) -> dict[str, Floats]:
        """Every field's array by name, in the order of the task's fields."""
        found, start = {}, 0
        for name, width in zip(_field_names(self.task_type), self._widths, strict=True):
            if width is None:
                found[name] = self._table[start]
            else:
                found[name] = self._table[start : start + width].T
            start += width or 1
        if start < len(self._table):
            found[self.task_type.optional] = self._table[start:].T
        return found

    @property
    def widths(self) -> tuple[int | None, ...]:
        """How many numbers each field has, the optional one left out: None for one that is no tuple."""
        return self._widths

    def take(self, rows: Rows) -> TaskBatch:
        """The tasks of ``rows``; the batch itself for ``slice(None)``."""
        if isinstance(rows, slice) and rows == slice(None):
            return self
        table = np.ascontiguousarray(self._table[:, rows])
        return self._with(table, None if self._id_numbers is None else self._id_numbers[rows])

    def replaced(self, rows: Rows, other: TaskBatch) -> TaskBatch:
        """A copy in which ``rows`` hold the tasks of ``other``."""
        if isinstance(rows, slice) and rows == slice(None):
            return other
        table, numbers = ids.lengthened(self._table, other._table).copy(), self.id_numbers.copy()
        table[:, rows], numbers[rows] = ids.lengthened(other._table, table), other.id_numbers
        return self._with(table, numbers)

    def repeated(self, times: int) -> TaskBatch:
        """Each task ``times`` times in a row: task 0, task 0, …, task 1, …"""
        return self._with(np.repeat(self._table, times, axis=1), None)

    def joined(self, other: TaskBatch) -> TaskBatch:
        """This batch's tasks, then the other's."""
        parts = [ids.lengthened(self._table, other._table), ids.lengthened(other._table, self._table)]
        return self._with(np.concatenate(parts, axis=1), None)

    def task(self, index: int) -> Task:
        """Row ``index`` as a Task."""
        values: dict[str, Any] = {}
        for f in fields(self.task_type):
            optional = f.name == self.task_type.optional
            value = self.columns[f.name][index] if f.name in self.columns else np.zeros(0)
            value = (np.trim_zeros(value, "b") if optional else value).tolist()
            values[f.name] = tuple(value) if isinstance(value, list) else int(value) if f.type == "int" else value
        return self.task_type(**values)

    def tasks(self) -> list[Task]:
        """Every row as a Task."""
        return [self.task(i) for i in range(len(self))]

    def matrix(self) -> Floats:
        """All numbers of all tasks, shape (n, number of numbers a task has)."""
        return self._table.T

    def with_matrix(self, matrix: Floats) -> TaskBatch:
        """Other tasks of this kind, from numbers laid out as `matrix` gives them."""
        if matrix.ndim != 2 or matrix.shape[1] != len(self._table):
            raise TaskError(f"expected numbers of shape (n, {len(self._table)}), got {matrix.shape}")
        return self._with(np.ascontiguousarray(matrix.T, np.float64), None)

    @property
    def id_numbers(self) -> NDArray[np.int64]:
        """(n,) content hashes, as ``info["task_id"]`` has them."""
        if self._id_numbers is None:
            self._id_numbers = ids.id_numbers(self._salt(), self._table, self._n_required)
        return _constant(self._id_numbers)  # each time: a copy of the batch may be written to

    @property
    def ids(self) -> NDArray[np.str_]:
        """(n,) the same as text, 16 hexadecimal digits each, as `Task.id` has them."""
        digits = self.id_numbers.astype(">i8").tobytes().hex().encode()
        return _constant(np.frombuffer(digits, "S16").astype("U16"))

    @property
    def sha256(self) -> str:
        """SHA-256 of the numbers, for frozen lists."""
        return ids.sha256(self._salt(), self._table, self._n_required)

    @property
    def _n_required(self) -> int:
        """How many numbers a task has without those of the optional field."""
        return sum(width or 1 for width in self._widths)

    def _salt(self) -> bytes:
        return f"{self.task_type.family}:{','.join(_field_names(self.task_type))}".encode()


def _constant(array: NDArray[Any]) -> NDArray[Any]:
    """The array, which is handed out and therefore must not be written to."""
    array.flags.writeable = False
    return array


@lru_cache(maxsize=64)
def _field_names(task_type: type[Task]) -> tuple[str, ...]:
    """Without the optional one."""
    return tuple(f.name for f in fields(task_type) if f.name != task_type.optional)


@dataclass(frozen=True)
class Reference:
    """Scores of random play and of an oracle that knows the task, one of each a task, shape (n,)."""

    random: Floats
    oracle: Floats

    def take(self, rows: Index) -> Reference:
        """Those of some of the tasks."""
        return Reference(self.random[rows], self.oracle[rows])

    def normalised(self, score: Floats) -> float:
        """(score - random) / (oracle - random) as a ratio of means; ``score`` has shape (..., n)."""
        gap = float(np.mean(self.oracle - self.random))
        if not gap > 0:
            raise ValueError(f"the oracle must beat random play on average, their mean gap is {gap}")
        return float(np.mean(score - self.random)) / gap


@dataclass(frozen=True)
class FrozenTasks:
    """An evaluation list that never changes: its tasks, their references and the SHA-256 of its numbers."""

    split: str
    tasks: TaskBatch
    reference: Reference
    sha256: str

    def __len__(self) -> int:
        return len(self.tasks)

    def take(self, rows: Index) -> FrozenTasks:
        """Some of the tasks, under a hash of their own."""
        tasks = self.tasks.take(rows)
        return FrozenTasks(self.split, tasks, self.reference.take(rows), tasks.sha256)


@dataclass(frozen=True)
class Labelled:
    """The supervised view of tasks: ``x`` (tasks, n, features) and ``y`` (tasks, n), task axis first."""

    x: Floats
    y: Floats
    task_ids: NDArray[np.str_]


class TaskDistribution(ABC):
    """p(task): a map from the unit cube to tasks, with named splits.

    A concrete distribution is a value, a frozen dataclass. It says in `draw` how a point of ``[0, 1)^unit_dim`` becomes
    a task. That makes one task a fixed number of uniform draws, so a thousand streams can be advanced and then
    transformed in one batch. ``train`` is endless; each other split is a frozen list, which `frozen_draws` describes or
    `frozen_list` gives, and whose tasks are equally likely. A family that is finite in training too says so in
    `members`.
    """

    task_type: ClassVar[type[Task]]
    closed: ClassVar[bool] = False
    """Whether the family has a few members only, all known, which every split plays: nothing is then held out."""
    frozen_draws: ClassVar[Mapping[str, tuple[int, int]]] = {}
    """Of each frozen split that is drawn once and for all: how many tasks it has, and the seed they are drawn with."""
    unit_dim: int
    splits: tuple[str, ...]

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        """New tasks, as ``split`` has them, for points ``unit`` (n, unit_dim) in [0, 1); row by row."""
        raise NotImplementedError(
            f"{type(self).__name__} draws no tasks: it needs draw(unit, split), or members(split)"
        )

    @abstractmethod
    def reference(self, tasks: TaskBatch) -> Reference:
        """Random and oracle score of each task, computed; frozen lists carry theirs."""

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """``n`` labelled examples of each task, for supervised learners. Optional."""
        raise NotImplementedError(
            f"{type(self).__name__} has no labelled examples: few-shot learners need labelled(tasks, n, rng)."
        )

    def labelled_limit(self, split: str) -> int | None:
        """The most examples that `labelled` has of every task of a split; None for an endless supply.

        Raises:
            TaskError: the examples of this split are those of ``train``, so that nothing is held out.
        """
        return None

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """The true task as a vector in [-1, 1], shape (n, c): what `ObserveTask` shows to an oracle. Optional."""
        raise NotImplementedError(
            f"{type(self).__name__} has no task vector: ObserveTask, and agents that are told the task or learn to "
            "predict it, need task_vector(tasks)."
        )

    def frozen_list(self, split: str) -> FrozenTasks:
        """The list of a frozen split, with references: by default drawn as `frozen_draws` says."""
        return _drawn_list(self, split)

    def members(self, split: str) -> TaskBatch | None:
        """All tasks of a split that has finitely many, each once; None for an endless one."""
        self.check_split(split)
        return None if split == "train" else self.frozen(split).tasks

    def from_unit(self, unit: Floats, split: str) -> TaskBatch:
        """Tasks of a split for points (n, unit_dim) of the unit cube, row by row.

        They are drawn for an endless split. Of a finite one the first coordinate picks a member.
        """
        members = self.members(split)
        return self.draw(unit, split) if members is None else members.take((unit[:, 0] * len(members)).astype(np.intp))

    def frozen(self, split: str) -> FrozenTasks:
        """The frozen evaluation list of a split, with references.

        Raises:
            TaskError: an unknown split, or ``train``, which is endless unless the family is `closed`.
        """
        self.check_split(split)
        if split == "train" and not self.closed:
            names = ", ".join(s for s in self.splits if s != split)
            raise TaskError(f"split 'train' is endless or to be drawn from: it has no frozen list; {names} have")
        return self.frozen_list(split)

    def narrowed(self, **ranges: tuple[float, float]) -> TaskDistribution:
        """The same distribution, but only with tasks whose fields lie within these ranges, ends included.

        ``distribution.narrowed(goal_um=(5, 20))``, or ``narrowed(**{"probabilities[0]": (0.5, 1.0)})`` for one number
        of several. Frozen splits keep the tasks inside. Draws outside are drawn again, so that a narrow range takes
        longer.

        Raises:
            TaskError: tasks have no such field, or the range is empty.
        """
        return resolve_name("metaenv.task_sets:NarrowedTasks")(self, ranges)  # by name: it derives from this class

    def widened(self, **ranges: tuple[float, float]) -> TaskDistribution:
        """The same distribution, but training draws these parameters from other ranges, which may reach further.

        ``distribution.widened(onset_target_K=(800, 1550))``. A parameter is then drawn uniformly between the ends, or
        uniformly in its logarithm where its scale is logarithmic, whatever it was drawn from before; the others, and
        the frozen splits, stay as they are. Draws beyond what the equations can bear are drawn again.

        Raises:
            TaskError: tasks have no such `metaenv.parameters.Parameter`, training has finitely many tasks, or the range
                is empty or beyond the parameter's limits.
        """
        return resolve_name("metaenv.parameters:WidenedTasks")(self, ranges)  # by name, too

    def with_split(self, name: str, tasks: TaskBatch | Sequence[Task | Mapping[str, Any]]) -> TaskDistribution:
        """The same distribution with one more frozen split, or with another list for one that it has.

        ``make_trials(id, 8, distribution=distribution.with_split("mine", tasks), split="mine")``. The references of
        the tasks are computed when they are first asked for.

        Raises:
            TaskError: no tasks, or tasks of another family.
        """
        given = resolve_name("metaenv.task_sets:task_batch")(tasks, self)
        return resolve_name("metaenv.task_sets:FixedTasks")(self, name, given)

    def accept(self, tasks: TaskBatch) -> NDArray[np.bool_]:
        """(n,) which draws are members of the family; the others are drawn again."""
        return np.ones(len(tasks), bool)

    def check_split(self, split: str) -> None:
        """Raise TaskError, with the nearest known name, unless ``split`` is one of `splits`."""
        if split not in self.splits:
            raise TaskError(f"{type(self).__name__} has no split {split!r}.{nearest(split, self.splits)}")

    def sample(self, n: int, split: str, rng: np.random.Generator) -> TaskBatch:
        """``n`` tasks of a split, at least one, drawn with ``rng``."""
        self.check_split(split)
        if n < 1:
            raise TaskError(f"expected to sample at least one task, got n={n}")
        return self._accepted(n, rng, lambda unit: self.from_unit(unit, split))

    def _accepted(self, n: int, rng: np.random.Generator, make: Callable[[Floats], TaskBatch]) -> TaskBatch:
        """``n`` of the tasks that ``make`` gives for points of the unit cube and that are members of the family."""
        parts: list[TaskBatch] = []
        for _ in range(MAX_REJECTIONS):
            missing = n - sum(len(part) for part in parts)
            if not missing:
                return reduce(TaskBatch.joined, parts)
            drawn = make(rng.random((missing, self.unit_dim)))
            parts.append(drawn.take(np.flatnonzero(self.accept(drawn))))
        what = "its ranges, or what it accepts, such as bounds or costs"
        raise TaskError(f"{type(self).__name__} rejected {MAX_REJECTIONS} draws in a row; widen {what}")


@lru_cache(maxsize=8)
def _drawn_list(distribution: TaskDistribution, split: str) -> FrozenTasks:
    if split not in distribution.frozen_draws:
        known = ", ".join(distribution.frozen_draws) or "none"
        raise TaskError(
            f"{type(distribution).__name__} does not define its frozen split {split!r}: add it to frozen_draws "
            f"(now: {known}), or override frozen_list(split)."
        )
    n, seed = distribution.frozen_draws[split]
    tasks = distribution._accepted(n, np.random.default_rng(seed), lambda unit: distribution.draw(unit, split))
    return FrozenTasks(split, tasks, distribution.reference(tasks), tasks.sha256)


class TaskSampler:
    """A distribution, a split and a seed: an endless, reproducible stream of task batches.

    Args:
        distribution: where tasks come from.
        split: one of the distribution's splits.
        seed: of the stream.
    """

    def __init__(
        self, distribution: TaskDistribution, split: str = "train", seed: int | np.random.SeedSequence | None = None
    ) -> None:
        distribution.check_split(split)
        self.distribution = distribution
        self.split = split
        self._rng = np.random.default_rng(seed)

    def draw(self, n: int) -> TaskBatch:
        """The next ``n`` tasks of the stream."""
        return self.distribution.sample(n, self.split, self._rng)
