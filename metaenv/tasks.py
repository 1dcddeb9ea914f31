"""The nouns of the suite: Task, TaskBatch, TaskDistribution, TaskSampler, Reference.

A *task* is one hidden member of a family of problems: one material, one drug target, one sky. A *task
distribution* says which members there are and how likely each is; it is a value and holds no mutable
state. A *task sampler* is the one source of tasks, for agents and for supervised learners alike.
"""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from metaenv.arrays import Floats, Index, Rows
from metaenv.errors import TaskError, nearest
from metaenv.streams import BLOCK, Streams

Draw = Callable[[Index], Floats]
MAX_REJECTIONS = 1000  # chosen: a distribution that accepts under 1 % of its draws is a mistake


@dataclass(frozen=True)
class Task:
    """One hidden member of a family: physical numbers with units, nothing else.

    Subclasses are frozen dataclasses whose fields are ``float``, ``int`` or tuples of ``float``; a field's unit
    is in its name or its docstring. Two tasks with the same content have the same `id`.
    """

    family: ClassVar[str]

    def __post_init__(self) -> None:
        for name, value in self.to_dict().items():
            if name != "family" and not np.all(np.isfinite(value)):
                raise TaskError(f"{type(self).__name__}.{name} must be finite, got {value!r}")

    @property
    def id(self) -> str:
        """16 hexadecimal digits: a hash of the family and of every number of the task."""
        return str(TaskBatch.from_tasks([self]).ids[0])

    def to_dict(self) -> dict[str, Any]:
        """The task as plain Python numbers and lists, with its family's name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        return {"family": self.family, **plain}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The task that `to_dict` described.

        Raises:
            TaskError: another family's task, a missing, unknown or non-numeric field.
        """
        given = dict(values)
        family = given.pop("family", None)
        if family != cls.family:
            raise TaskError(f"expected a task of family {cls.family!r}, got family {family!r}")
        expected = {f.name for f in fields(cls)}
        if missing := sorted(expected - given.keys()):
            raise TaskError(f"{cls.__name__} lacks {', '.join(missing)}; write tasks with task.to_json()")
        for name in given.keys() - expected:
            raise TaskError(f"{cls.__name__} has no field {name!r}.{nearest(name, expected)}")
        for name, value in given.items():
            if not all(isinstance(x, int | float) for x in _flat(value)):
                raise TaskError(f"{cls.__name__}.{name} must be a number or a list of numbers, got {value!r}")
        return cls(**{k: tuple(v) if isinstance(v, list | tuple) else v for k, v in given.items()})

    def to_json(self) -> str:
        """One line of JSON; `from_json` gives back an equal task, to the last bit."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The task that `to_json` wrote. Raises TaskError as `from_dict`, also for text that is not JSON."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise TaskError(f"expected a task as JSON, got {text[:60]!r} ({error})") from error
        if not isinstance(values, dict):
            raise TaskError(f"expected a JSON object with a task's fields, got {type(values).__name__}")
        return cls.from_dict(values)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        yield from value
    else:
        yield value


class TaskBatch:
    """Many tasks of one family as one struct of arrays, leading axis ``n``: what batched dynamics read.

    ``batch.field`` is the array of that field, of shape ``(n,)`` or ``(n, k)``. Treat the arrays as read-only.
    """

    def __init__(self, task_type: type[Task], columns: Mapping[str, NDArray[Any]]) -> None:
        expected = [f.name for f in fields(task_type)]
        if list(columns) != expected:
            raise TaskError(f"columns of a {task_type.__name__} batch must be {expected}, got {list(columns)}")
        self.task_type = task_type
        self.columns = dict(columns)
        self._n = len(next(iter(self.columns.values())))

    @classmethod
    def from_tasks(cls, tasks: Sequence[Task]) -> Self:
        """Stack tasks of one family. Raises TaskError for an empty or mixed list."""
        if not tasks:
            raise TaskError("expected at least one task, got an empty list")
        task_type = type(tasks[0])
        for task in tasks:
            if type(task) is not task_type:
                raise TaskError(f"expected tasks of one family, got {task_type.__name__} and {type(task).__name__}")
        names = [f.name for f in fields(task_type)]
        return cls(task_type, {name: np.array([getattr(t, name) for t in tasks]) for name in names})

    def __len__(self) -> int:
        return self._n

    def __getattr__(self, name: str) -> NDArray[Any]:
        columns = self.__dict__.get("columns", {})
        if name in columns:
            return columns[name]
        raise AttributeError(f"a batch of tasks has no field {name!r}; it has {', '.join(columns)}")

    def take(self, rows: Rows) -> TaskBatch:
        """The tasks of ``rows``; the batch itself for ``slice(None)``."""
        if isinstance(rows, slice) and rows == slice(None):
            return self
        return TaskBatch(self.task_type, {k: v[rows] for k, v in self.columns.items()})

    def replaced(self, rows: Rows, other: TaskBatch) -> TaskBatch:
        """A copy in which ``rows`` hold the tasks of ``other``."""
        if isinstance(rows, slice) and rows == slice(None):
            return other
        columns = {k: v.copy() for k, v in self.columns.items()}
        for name, column in columns.items():
            column[rows] = other.columns[name]
        return TaskBatch(self.task_type, columns)

    def repeated(self, times: int) -> TaskBatch:
        """Each task ``times`` times in a row: task 0, task 0, …, task 1, …"""
        return TaskBatch(self.task_type, {k: np.repeat(v, times, axis=0) for k, v in self.columns.items()})

    def task(self, index: int) -> Task:
        """Row ``index`` as a Task."""
        values = {k: v[index].tolist() for k, v in self.columns.items()}
        return self.task_type(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    def tasks(self) -> list[Task]:
        """Every row as a Task."""
        return [self.task(i) for i in range(len(self))]

    def matrix(self) -> Floats:
        """All numbers of all tasks, shape (n, number of numbers a task has)."""
        # + 0.0 turns -0.0 into 0.0, which is the same task.
        parts = [np.asarray(v, np.float64).reshape(len(self), -1) + 0.0 for v in self.columns.values()]
        return np.concatenate(parts, axis=1)

    @property
    def ids(self) -> NDArray[np.str_]:
        """(n,) content hashes, 16 hexadecimal digits each.

        Not SHA: a vectorised 64-bit mixing hash, because a vector env names a thousand tasks in a step. Two of a
        million different tasks collide with probability 3e-8. Frozen lists are hashed with SHA-256.
        """
        salt = f"{self.task_type.family}:{','.join(self.columns)}".encode()
        start = np.frombuffer(hashlib.sha256(salt).digest()[:8], np.uint64)[0]
        state = np.full(len(self), start, np.uint64)
        for bits in np.ascontiguousarray(self.matrix().T).view(np.uint64):
            state = _splitmix64(state ^ bits)
        return np.frombuffer(state.astype(">u8").tobytes().hex().encode(), "S16").astype("U16")

    @property
    def sha256(self) -> str:
        """SHA-256 of the numbers, for frozen lists."""
        digest = hashlib.sha256(f"{self.task_type.family}:{','.join(self.columns)}".encode())
        digest.update(self.matrix().astype("<f8").tobytes())
        return digest.hexdigest()


def _splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of splitmix64 (Steele, Lea and Flood 2014, OOPSLA, fig. 19), modulo 2**64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@dataclass(frozen=True)
class Reference:
    """Scores of random play and of an oracle that knows the task, one of each a task, shape (n,)."""

    random: Floats
    oracle: Floats

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


@dataclass(frozen=True)
class Labelled:
    """The supervised view of tasks: ``x`` (tasks, n, features) and ``y`` (tasks, n), task axis first."""

    x: Floats
    y: Floats
    task_ids: NDArray[np.str_]


class TaskDistribution(ABC):
    """p(task): a map from the unit cube to tasks, with named splits.

    A concrete distribution says how a point of ``[0, 1)^unit_dim`` becomes a task of a split. That makes one task
    a fixed number of uniform draws, so a thousand streams can be advanced and then transformed in one batch.
    """

    task_type: ClassVar[type[Task]]
    unit_dim: int
    splits: tuple[str, ...]

    @abstractmethod
    def from_unit(self, unit: Floats, split: str) -> TaskBatch:
        """Tasks of ``split`` for points ``unit`` (n, unit_dim) in [0, 1); row by row."""

    @abstractmethod
    def frozen(self, split: str) -> FrozenTasks:
        """The frozen evaluation list of ``split``, with references."""

    @abstractmethod
    def reference(self, tasks: TaskBatch) -> Reference:
        """Random and oracle score of each task, computed; frozen lists carry theirs."""

    @abstractmethod
    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """``n`` labelled examples of each task, for supervised learners."""

    @abstractmethod
    def context(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """The true task as a vector in [-1, 1], shape (n, c): what `RevealTask` shows to an oracle."""

    def accept(self, tasks: TaskBatch) -> NDArray[np.bool_]:
        """(n,) which draws are members of the family; the others are drawn again."""
        return np.ones(len(tasks), bool)

    def check_split(self, split: str) -> None:
        """Raise TaskError, with the nearest known name, unless ``split`` is one of `splits`."""
        if split not in self.splits:
            raise TaskError(f"{type(self).__name__} has no split {split!r}.{nearest(split, self.splits)}")

    def sample(self, n: int, split: str, rng: np.random.Generator | Draw) -> TaskBatch:
        """``n`` tasks of a split.

        Args:
            n: how many, at least 1.
            split: one of `splits`.
            rng: a generator, or a function from row indices (m,) to uniform numbers (m, unit_dim).
        """
        self.check_split(split)
        if n < 1:
            raise TaskError(f"expected to sample at least one task, got n={n}")
        draw = self._draw_from(rng) if isinstance(rng, np.random.Generator) else rng
        tasks = self.from_unit(draw(np.arange(n)), split)
        pending = np.flatnonzero(~self.accept(tasks))
        for _ in range(MAX_REJECTIONS):
            if not len(pending):
                return tasks
            again = self.from_unit(draw(pending), split)
            good = self.accept(again)
            tasks = tasks.replaced(pending[good], again.take(np.flatnonzero(good)))
            pending = pending[~good]
        raise TaskError(f"{type(self).__name__} rejected {MAX_REJECTIONS} draws in a row; widen its ranges")

    def _draw_from(self, rng: np.random.Generator) -> Draw:
        return lambda rows: rng.random((len(rows), self.unit_dim))


class TaskSampler:
    """A distribution, a split and a seed: an endless, reproducible stream of task batches.

    Args:
        distribution: where tasks come from.
        split: one of the distribution's splits.
        seed: of the stream; or a list of SeedSequence, for a stream of its own for each sub-environment.
    """

    def __init__(
        self,
        distribution: TaskDistribution,
        split: str = "train",
        seed: int | np.random.SeedSequence | Sequence[np.random.SeedSequence] | None = None,
    ) -> None:
        distribution.check_split(split)
        self.distribution = distribution
        self.split = split
        seeds = seed if isinstance(seed, Sequence) else [seed]
        sequences = [s if isinstance(s, np.random.SeedSequence) else np.random.SeedSequence(s) for s in seeds]
        self._rng = np.random.default_rng(sequences[0])
        self._streams = Streams(sequences, "uniform", block=max(BLOCK, distribution.unit_dim))

    def draw(self, n: int) -> TaskBatch:
        """The next ``n`` tasks of the stream."""
        return self.distribution.sample(n, self.split, self._rng)

    def draw_each(self, rows: Rows) -> TaskBatch:
        """The next task of each of the streams ``rows``; a stream's tasks do not depend on the others."""
        index = np.arange(len(self._streams))[rows]
        unit_dim = self.distribution.unit_dim
        return self.distribution.sample(
            len(index), self.split, lambda pending: self._streams.draw(index[pending], unit_dim)
        )

    def reseed(self, row: int, seed: np.random.SeedSequence) -> None:
        """Start one of the streams anew."""
        self._streams.reseed(row, seed)


def scaled(unit: Floats, low: float, high: float) -> Floats:
    """[0, 1) onto [low, high), evenly."""
    return low + (high - low) * unit


def log_scaled(unit: Floats, low: float, high: float) -> Floats:
    """[0, 1) onto [low, high), evenly in the logarithm."""
    return low * np.exp(unit * math.log(high / low))
