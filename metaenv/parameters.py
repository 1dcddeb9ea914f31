"""The numbers of a task, each written once: range, unit, limits, source and meaning.

    @dataclass(frozen=True)
    class DoseTask(ParameterTask):
        family: ClassVar[str] = "Dose"
        best_mg: Annotated[float, Parameter("The dose that works best.", 30, 90, "mg", limits=(0, 1000))]
        width_mg: Annotated[float, Parameter("How far from it a dose works.", 5, 20, "mg", scale="log")]

    table = ParameterTable(DoseTask)

From this come the drawing of tasks from the unit cube (`ParameterTable.draw`), its inverse (`ParameterTable.drawn`),
the task vector (`ParameterTable.scaled`), the validation of a task that somebody brings (`ParameterTask`) and the table
of the documentation (`ParameterTable.markdown`).
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.markdown import table
from metaenv.task_sets import ChangedDistribution, field_values, range_ends
from metaenv.tasks import Task, TaskBatch, TaskDistribution
from metaenv.typing import Floats

Scale = Literal["linear", "log", "normal", "constant"]
BITS = 24  # of the numbers of a drawn task, as in single precision, in which frozen lists are kept
SCALES: tuple[Scale, ...] = ("linear", "log", "normal")
"""The kinds of parameter that take a coordinate of the unit cube, in the order in which they take them."""
Ranges = Mapping[str, tuple[float, float]]
"""Ranges by the name of a parameter, such as ``"onset_K"`` or ``"energies_kJ_mol[1]"``."""


@dataclass(frozen=True)
class Parameter:
    """One number of a task, and how it is drawn in training.

    A field of several numbers has several parameters: ``Annotated[tuple[float, ...], Parameter(…), Parameter(…)]``.
    """

    meaning: str
    """What it is, as a sentence for the documentation."""
    low: float
    """Lower end of the range in training; of a normal distribution, where it is cut, -inf for nowhere."""
    high: float
    """Upper end, likewise."""
    unit: str = ""
    scale: Scale = "linear"
    """Uniform between the ends, or uniform in the logarithm, or normal with mean 0, or always ``low``."""
    spread: float = 0.0
    """Standard deviation of a normal distribution."""
    above: str = ""
    """Name of an earlier parameter that what is drawn is added to."""
    below: str = ""
    """Name of an earlier parameter that what is drawn is subtracted from."""
    times: str = ""
    """Name of an earlier parameter that what is drawn is multiplied by."""
    limits: tuple[float, float] = (-np.inf, np.inf)
    """What the equations can bear: a task beyond is refused."""
    source: str = "chosen"

    def from_unit(self, x: Floats, ends: tuple[float, float]) -> Floats:
        """The drawn quantity for coordinates ``x`` in [0, 1), or for standard normals."""
        low, high = ends
        if self.scale == "normal":
            return np.clip(self.spread * x, low, high)
        if self.scale == "log":
            return low * np.exp(np.log(high / low) * x)
        return low + (high - low) * x

    def related(self, drawn: Floats, values: Mapping[str, Floats]) -> Floats:
        """The parameter, from the drawn quantity and the values of earlier parameters."""
        value = values[self.above] + drawn if self.above else drawn
        if self.below:
            value = values[self.below] - value
        return values[self.times] * value if self.times else value

    def scaled(self, drawn: Floats, ends: tuple[float, float]) -> Floats:
        """The drawn quantity, from its range to [-1, 1]; an uncut normal from four standard deviations either way."""
        low, high = ends
        if self.scale == "normal":
            return drawn / (high if np.isfinite(high) else 4.0 * self.spread)
        if self.scale == "log":
            drawn, (low, high) = np.log(drawn), np.log(ends)
        return 2.0 * (drawn - low) / (high - low) - 1.0

    def range_text(self) -> str:
        """The range in training, in words."""
        if self.scale == "constant":
            return f"{self.low:g}"
        if self.scale == "normal":
            cut = f", cut at {self.high:g}" if np.isfinite(self.high) else ""
            return f"normal, {self.spread:g}{cut}"
        ends = f"{self.low:g} to {self.high:g}{', logarithmic' if self.scale == 'log' else ''}"
        relations = {"above": self.above, "below": self.below, "times": self.times}
        return ends + "".join(f" {relation} {name}" for relation, name in relations.items() if name)

    def limits_text(self) -> str:
        """The limits, in words; empty where there are none."""
        return f"{self.limits[0]:g} to {self.limits[1]:g}" if np.isfinite(self.limits).all() else ""


class ParameterTask(Task):
    """A task whose fields are annotated with a `Parameter` each; one outside the limits is refused."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, parameters in parameters_of(type(self)).items():
            value = getattr(self, name)
            if len(parameters) > 1 and (not isinstance(value, tuple) or len(value) != len(parameters)):
                raise TaskError(
                    f"{type(self).__name__}.{name} must have {len(parameters)} numbers, got {reprlib.repr(value)}"
                )
            for k, (number, parameter) in enumerate(zip(np.atleast_1d(value).tolist(), parameters, strict=True)):
                low, high = parameter.limits
                if not low <= number <= high:
                    unit = f" {parameter.unit}" if parameter.unit else ""
                    where = f" as number {k + 1} of {len(parameters)}" if len(parameters) > 1 else ""
                    raise TaskError(
                        f"{type(self).__name__}.{name} must lie in [{low:g}, {high:g}]{unit}, got {number!r}{where}"
                    )


@lru_cache(maxsize=64)
def parameters_of(task_type: type[Task]) -> dict[str, tuple[Parameter, ...]]:
    """The parameters of each field of a task, in the order of the fields."""
    hints = get_type_hints(task_type, include_extras=True)
    found = {
        name: tuple(part for part in get_args(hint)[1:] if isinstance(part, Parameter))
        for name, hint in hints.items()
        if get_origin(hint) is Annotated
    }
    return {name: parameters for name, parameters in found.items() if parameters}


class ParameterTable:
    """All parameters of a kind of task, and what follows from them.

    Args:
        task_type: a dataclass whose every field is annotated with parameters.
    """

    def __init__(self, task_type: type[Task]) -> None:
        self.task_type = task_type
        self.fields = parameters_of(task_type)
        self.parameters: dict[str, Parameter] = {}
        for name, parameters in self.fields.items():
            for i, parameter in enumerate(parameters):
                self.parameters[name if len(parameters) == 1 else f"{name}[{i}]"] = parameter

    @cached_property
    def coordinates(self) -> list[str]:
        """The parameters that take a coordinate of the unit cube each, in order: linear, logarithmic, normal ones."""
        return [name for scale in SCALES for name, p in self.parameters.items() if p.scale == scale]

    @cached_property
    def n_normals(self) -> int:
        """How many of the last coordinates become standard normals."""
        return sum(p.scale == "normal" for p in self.parameters.values())

    @property
    def unit_dim(self) -> int:
        """How many numbers in [0, 1) make a task."""
        return len(self.coordinates) + self.n_normals % 2  # Box and Muller's method makes normals in pairs

    def draw(self, unit: Floats, ranges: Ranges | None = None) -> dict[str, Floats]:
        """The fields of tasks for points (n, `unit_dim`) of the unit cube, as arrays (n,) or (n, k).

        Args:
            unit: the points.
            ranges: ends to draw from instead of those of training.
        """
        ends = self._ends(ranges)
        n_plain = len(self.coordinates) - self.n_normals
        columns = [*np.ascontiguousarray(unit.T)[:n_plain], *standard_normals(unit[:, n_plain:]).T]
        drawn = {
            name: self.parameters[name].from_unit(x, ends[name])
            for name, x in zip(self.coordinates, columns, strict=False)
        }
        values: dict[str, Floats] = {}
        for name, parameter in self.parameters.items():
            value = drawn[name] if name in drawn else np.full(len(unit), ends[name][0])
            values[name] = parameter.related(value, values)
        return self.rounded(self._fields(values))

    def redrawn(self, tasks: TaskBatch, drawn: Mapping[str, Floats]) -> TaskBatch:
        """The same tasks but for what ``drawn`` gives, (n,) by the name of the parameter, and what depends on it."""
        before, changed = self.drawn(tasks), set(drawn)
        values: dict[str, Floats] = {}
        for name, parameter in self.parameters.items():
            if changed & {name, parameter.above, parameter.below, parameter.times}:
                changed.add(name)
                value = drawn[name] if name in drawn else before[name]
                values[name] = parameter.related(value, values)
            else:
                values[name] = field_values(tasks, name)
        fields, anew = self._fields(values), {name.partition("[")[0] for name in changed}
        return TaskBatch(self.task_type, {**fields, **self.rounded({name: fields[name] for name in anew})})

    def rounded(self, fields: Mapping[str, Floats]) -> dict[str, Floats]:
        """Fields of tasks with numbers of `BITS` bits; what was within its limits stays there.

        Processors differ in the last bits of exp, log and cosine. A task that is drawn by them would have another id on
        another machine; rounded it is the same.
        """
        found, known = dict(fields), parameters_of(self.task_type)
        for name in known.keys() & fields.keys():
            values, parameters = fields[name], known[name]
            limits = np.array([p.limits for p in parameters]).T
            low, high = limits if len(parameters) > 1 else limits[:, 0]
            mantissa, exponent = np.frexp(values)
            rounded = np.ldexp(np.rint(np.ldexp(mantissa, BITS)), exponent - BITS)
            inside = (low <= values) & (values <= high)
            found[name] = np.where(inside, np.clip(rounded, low, high), rounded)
        return found

    def bearable(self, tasks: TaskBatch) -> NDArray[np.bool_]:
        """(n,) whether all numbers lie within their limits."""
        inside = np.ones(len(tasks), bool)
        for name, parameter in self.parameters.items():
            value = field_values(tasks, name)
            inside &= (parameter.limits[0] <= value) & (value <= parameter.limits[1])
        return inside

    def _fields(self, values: Mapping[str, Floats]) -> dict[str, Floats]:
        """Arrays (n,) or (n, k) by field, from (n,) by parameter."""
        return {
            field: values[field]
            if len(parameters) == 1
            else np.stack([values[f"{field}[{i}]"] for i in range(len(parameters))], axis=1)
            for field, parameters in self.fields.items()
        }

    def drawn(self, tasks: TaskBatch) -> dict[str, Floats]:
        """What was drawn to make ``tasks``, by the name of the parameter: the inverse of `draw`."""
        values = {name: field_values(tasks, name) for name in self.parameters}
        found: dict[str, Floats] = {}
        for name in self.coordinates:
            parameter, value = self.parameters[name], values[name]
            if parameter.above:
                value = value - values[parameter.above]
            if parameter.below:
                value = values[parameter.below] - value
            if parameter.times:
                value = value / values[parameter.times]
            found[name] = value
        return found

    def scaled(self, tasks: TaskBatch, ranges: Ranges | None = None) -> dict[str, Floats]:
        """What was drawn, each scaled from its range to [-1, 1]; beyond its range it lies beyond.

        Args:
            tasks: n of them.
            ranges: ends that become -1 and 1, instead of those of training.
        """
        ends, drawn = self._ends(ranges), self.drawn(tasks)
        return {name: self.parameters[name].scaled(value, ends[name]) for name, value in drawn.items()}

    def _ends(self, ranges: Ranges | None) -> dict[str, tuple[float, float]]:
        given = dict(ranges or {})
        if unknown := sorted(given.keys() - self.parameters.keys()):
            known = ", ".join(self.parameters)
            raise TaskError(f"{self.task_type.__name__} has no parameter {unknown[0]!r}; it has {known}")
        return {name: given.get(name, (p.low, p.high)) for name, p in self.parameters.items()}

    def markdown(self) -> str:
        """The table of the documentation."""
        head = ("parameter", "unit", "in training", "limits", "meaning", "source")
        rows = [
            (f"`{name}`", p.unit, p.range_text(), p.limits_text(), p.meaning, p.source)
            for name, p in self.parameters.items()
        ]
        return "\n".join(table(head, rows, text=range(len(head))))


class WidenedTasks(ChangedDistribution):
    """A distribution whose training draws some parameters from other ranges; see `TaskDistribution.widened`.

    Args:
        inner: the distribution, whose tasks' fields are annotated with parameters.
        ranges: the ends by the name of a parameter, or ``"field[2]"`` for one of several.
    """

    def __init__(self, inner: TaskDistribution, ranges: Ranges) -> None:
        super().__init__(inner)
        kind = inner.task_type.__name__
        self._table = ParameterTable(inner.task_type)
        if not self._table.parameters or inner.members(inner.splits[0]) is not None:
            raise TaskError(
                f"the distribution of {kind} cannot be widened: its training tasks are a list, or are not made of "
                "numbers with ranges and limits (metaenv.parameters.Parameter); give tasks of your own by tasks=[…]"
            )
        self.ranges: dict[str, tuple[float, float]] = {}
        for name, given in ranges.items():
            if name not in self._table.parameters:
                raise TaskError(f"{kind} has no parameter {name!r}.{nearest(name, self._table.parameters)}")
            p = self._table.parameters[name]
            low, high = range_ends(given)
            least, most = (-np.inf, np.inf) if p.above or p.below or p.times else p.limits
            if not (np.isfinite([low, high]).all() and low <= high and (low > 0 or p.scale != "log")):
                positive = "positive, as its scale is logarithmic, and " if p.scale == "log" else ""
                raise TaskError(f"expected the ends of {name!r} to be {positive}finite, low to high, got {given!r}")
            if low < least or high > most:
                raise TaskError(f"expected {name!r} to lie in [{least:g}, {most:g}] {p.unit}, got {low} to {high}")
            self.ranges[name] = low, high
        self.unit_dim = inner.unit_dim + len(ranges)

    def __repr__(self) -> str:
        return f"{self.inner!r}.widened(**{self.ranges})"

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        """Tasks of the inner distribution, in which the parameters of `ranges` are drawn anew."""
        tasks = self.inner.draw(unit[:, : self.inner.unit_dim], split)
        drawn: dict[str, Floats] = {}
        for x, (name, ends) in zip(unit[:, self.inner.unit_dim :].T, self.ranges.items(), strict=True):
            parameter = self._table.parameters[name]
            drawn[name] = (parameter if parameter.scale == "log" else Parameter("", *ends)).from_unit(x, ends)
        return self._table.redrawn(tasks, drawn)

    def accept(self, tasks: TaskBatch) -> NDArray[np.bool_]:
        """Those that the equations can bear and the inner distribution accepts."""
        return self.accept_among(self._table.bearable(tasks), tasks)


def reflected(points: Floats) -> Floats:
    """Points that have left the unit cube, mirrored back at its faces; they stay below 1, as its points do."""
    inside = np.abs(points) % 2.0
    return np.clip(np.where(inside > 1.0, 2.0 - inside, inside), 0.0, 1.0 - 1e-12)


def standard_normals(unit: Floats) -> Floats:
    """Standard normals for points of the unit cube, an even number of columns (Box and Muller 1958)."""
    columns = np.ascontiguousarray(unit.T)
    radius = np.sqrt(-2.0 * np.log1p(-columns[0::2]))
    angle = 2.0 * np.pi * columns[1::2]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)]).T.copy()
