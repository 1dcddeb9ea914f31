"""What the hidden objectives of all environments of this package have in common.

They ask for ranges of properties, they are enumerated and numbered by the bins of these ranges, and each split is a
table of them, of which a sample is frozen for evaluation.
"""

from __future__ import annotations

import copyreg
import numbers
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.molecules.chem.chemistry import OWN, Chemistry
from metaenv.molecules.chem.properties import PROPERTIES, properties_of
from metaenv.molecules.chem.scoring import SOFTNESS
from metaenv.molecules.chem.smiles import to_smiles
from metaenv.tasks import FrozenTasks, TaskBatch, TaskDistribution
from metaenv.typing import Bools, Floats, Index

SPLIT_TENTHS = {"train": (0, 7), "validation": (7, 8), "test": (8, 10)}
"""From which tenth of the objectives (and of the scaffolds), and up to which, a split has them; splits out of
distribution have those of ``test``."""
T = TypeVar("T", bound="PropertyRanges")
LARGEST = 1e4  # of a property, in its unit (chosen: molecules of the vocabulary reach a twentieth)
HEAVIEST = 1e8  # of the weights of ranges (chosen)


class PropertyRanges:
    """A task that asks for ranges of some of the seven `PROPERTIES`, with a molecule that meets it.

    In the order of `PROPERTIES`, numbers are: mw / Da, logp, tpsa / Å², hbd, rotatable, aromatic_rings, fsp3.
    """

    wanted: tuple[float, ...]
    """(7,) the weight of the range of each property, an exponent of its desirability: usually 1; 0 for no range."""
    low: tuple[float, ...]
    """(7,) lower ends of the ranges, in the property's unit; -10,000 for an open end, 0 where there is no range."""
    high: tuple[float, ...]
    """(7,) upper ends; 10,000 for an open end."""
    certificate: tuple[float, ...]
    properties: ClassVar[tuple[str, ...]] = PROPERTIES
    """Names of what ``wanted``, ``low`` and ``high`` are of."""
    softness: ClassVar[Floats] = SOFTNESS
    """Standard deviations of the flanks of their ranges, where the weight is 1."""
    chemistry: ClassVar[Chemistry] = OWN
    """What its molecules are made of; `task_type_of` makes the type of tasks of another one."""

    def property_ranges(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value that is asked for, by name of the property; infinite at an open end."""
        low = [end if end > -LARGEST else -np.inf for end in self.low]
        high = [end if end < LARGEST else np.inf for end in self.high]
        return {n: (low[j], high[j]) for j, n in enumerate(self.properties) if self.wanted[j]}

    @classmethod
    def values_of(cls, actions: NDArray[np.integer]) -> Floats:
        """(n, p) what ranges are asked of, of build sequences (n, L); all of them are computed."""
        return properties_of(actions, cls.chemistry.vocabulary)

    def certificate_smiles(self) -> str:
        """The certificate as a canonical SMILES; needs RDKit."""
        return to_smiles(np.array([self.certificate], np.int16), self.chemistry.vocabulary)[0]

    def certificate_properties(self) -> Floats:
        """(p,) properties of the certificate. Raises TaskError for a build sequence that is none."""
        replayed(self.certificate, f"{type(self).__name__}.certificate", self.chemistry)
        return self.values_of(np.array([self.certificate], np.int16))[0]

    def check(self, **lengths: int) -> None:
        """Refuse a task with a field of the wrong length, an absurd number, or a certificate outside the ranges.

        ``lengths`` says how many numbers fields have, besides ``wanted``, ``low`` and ``high``; a TaskError names the
        field or the property.
        """
        self.check_numbers(**lengths)
        self.check_inside(self.certificate_properties())

    def check_numbers(self, **lengths: int) -> None:
        """`check` without the certificate."""
        kind = type(self).__name__
        p = len(self.properties)
        for name, length in {"wanted": p, "low": p, "high": p, **lengths}.items():
            given = getattr(self, name)
            if not isinstance(given, tuple) or len(given) != length:
                raise TaskError(f"{kind}.{name} must have {length} numbers, got {given!r}")
        if not all(0 <= weight <= HEAVIEST for weight in self.wanted):
            raise TaskError(
                f"{kind}.wanted must be 1 where a property has a range, or a weight up to {HEAVIEST:g}, else 0, got "
                f"{self.wanted!r}"
            )
        for name in ("low", "high"):
            if max(map(abs, getattr(self, name))) > LARGEST:
                raise TaskError(f"{kind}.{name} must lie in [-{LARGEST:g}, {LARGEST:g}], got {getattr(self, name)!r}")

    def check_inside(self, certificate: Floats) -> None:
        """Refuse the task, with a TaskError, unless the properties (p,) of its certificate lie in its ranges."""
        kind = type(self).__name__
        for j, value in enumerate(certificate):
            slack = 1e-6 * max(1.0, abs(value))  # numbers may have been through single precision or text
            if self.wanted[j] and not self.low[j] - slack <= value <= self.high[j] + slack:
                raise TaskError(
                    f"the certificate has {self.properties[j]} = {value:.4g}, outside the task's range from "
                    f"{self.low[j]:.4g} to {self.high[j]:.4g}; give a molecule that lies in all ranges "
                    f"({kind}.from_ranges finds one)"
                )


class _TaskTypes(type):
    """Types of tasks that `task_type_of` has made; they are pickled by how they are made."""


@lru_cache(maxsize=64)
def task_type_of(base: type[T], chemistry: Chemistry) -> type[T]:
    """The type of a chemistry's tasks: ``base`` for "zinc", else one of the same name and a family of its own, so that
    tasks of different chemistries have different ids."""
    if chemistry == OWN:
        return base
    known: Any = base
    family = known.family + chemistry.suffix
    made: Any = _TaskTypes(
        base.__name__, (base,), {"chemistry": chemistry, "family": family, "__module__": base.__module__}
    )
    return made


def chemistry_of(tasks: TaskBatch) -> Chemistry:
    """What the molecules of tasks are made of."""
    return cast(type[PropertyRanges], tasks.task_type).chemistry


copyreg.pickle(_TaskTypes, lambda kind: (task_type_of, (kind.__base__, kind.chemistry)))  # type: ignore[attr-defined]


def replayed(sequence: tuple[float, ...], name: str, chemistry: Chemistry = OWN) -> Floats:
    """(7,) properties of the build sequence in the field ``name``. Raises TaskError if it is none."""
    try:
        return properties_of(np.array([sequence], np.int16), chemistry.vocabulary)[0]
    except (ValueError, IndexError, OverflowError) as error:
        raise TaskError(f"{name} is not a build sequence: {error}") from None


Range = tuple[float | None, float | None]
"""Lowest and highest value that is asked for, ends included; None where the range is open."""


def range_columns(
    ranges: Mapping[str, Range], weights: Mapping[str, float] = {}, properties: Sequence[str] = PROPERTIES
) -> tuple[Floats, Floats, Floats]:
    """``wanted``, ``low`` and ``high``, each (7,), of ranges, and of their weights where these are not 1, by property.

    Other ``properties`` may be named, and there are then as many numbers.

    Raises:
        TaskError: an unknown name, what is no range, or an empty one.
    """
    wanted, low, high = np.zeros((3, len(properties)))
    for name, ends in read_ranges(ranges, properties).items():
        j = list(properties).index(name)
        wanted[j], (low[j], high[j]) = weights.get(name, 1.0), ends
    return wanted, low, high


def read_ranges(ranges: Mapping[str, Range], known: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Ranges by name, with numbers for open ends; ``known`` are the names there are. Errors as `range_columns`."""
    if not isinstance(ranges, Mapping):
        raise TaskError(f"expected ranges by property, such as {{'mw': (None, 350)}}, got {ranges!r}")
    found: dict[str, tuple[float, float]] = {}
    for name, given in ranges.items():
        if name not in known:
            raise TaskError(f"there is no property {name!r}.{nearest(name, known)}")
        pair = given if isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 2 else ()
        ends = [open_ if end is None else end for end, open_ in zip(pair, (-np.inf, np.inf), strict=False)]
        if not ends or not all(isinstance(end, numbers.Real) and not isinstance(end, bool) for end in ends):
            raise TaskError(
                f"the range of {name!r} must be two numbers, lowest and highest, or None at an open end, such as "
                f"(None, 350); got {given!r}"
            )
        if not ends[0] <= ends[1]:
            raise TaskError(f"the range of {name!r} is empty: {ends[0]} to {ends[1]}")
        if ends == [-np.inf, np.inf]:
            raise TaskError(f"the range of {name!r} is open at both ends, so it asks for nothing; leave it out")
        found[name] = float(max(ends[0], -LARGEST)), float(min(ends[1], LARGEST))
    return found


def inside(values: Floats, wanted: Floats, low: Floats, high: Floats) -> Bools:
    """(m, 7) which properties (m, 7) lie in the ranges (7,), or need not."""
    return ((low <= values) & (values <= high)) | (wanted == 0)


def counts_inside(within: Bools, wanted: Floats, properties: Sequence[str] = PROPERTIES) -> str:
    """How many molecules lie in each range, for messages; ``within`` as `inside` gives it."""
    return ", ".join(f"{name}: {within[:, j].sum()}" for j, name in enumerate(properties) if wanted[j])


# OBJECTIVES BY NUMBER


def pack(bins: Index, radix: Index) -> NDArray[np.int64]:
    """(n,) one code for the bins (n, 7) of the properties, of which there are ``radix`` (7,), 0 (none) included."""
    return bins.astype(np.int64) @ _strides(radix)


def unpack(codes: NDArray[np.int64], radix: Index) -> Index:
    """(n, 7) the bins that `pack` made into codes (n,)."""
    return codes[:, None] // _strides(radix) % radix


def _strides(radix: Index) -> NDArray[np.int64]:
    return np.append(np.cumprod(radix[:0:-1], dtype=np.int64)[::-1], 1)


def columns_of(bins: Index, edges: Floats) -> dict[str, Floats]:
    """``wanted``, ``low`` and ``high``, each (n, 7), of objectives.

    ``bins`` (n, 7) are those that are asked for, 0 for none; ``edges`` (7, b, 2) are their ends, zeros for bin 0.
    """
    low, high = np.moveaxis(edges[np.arange(len(PROPERTIES)), bins], 2, 0)
    return {"wanted": (bins > 0).astype(np.float64), "low": low, "high": high}


def bins_of(values: Floats, edges: Floats) -> Index:
    """(m, 7) the bin of each property (m, 7), 0 for none; a value on an edge belongs to the lower bin."""
    bins = np.zeros(values.shape, np.intp)
    for b in reversed(range(1, edges.shape[1])):
        bins[(edges[:, b, 0] <= values) & (values <= edges[:, b, 1])] = b
    return bins


def tenth_of(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) 0 to 9: the tenth of all objectives that a code belongs to (Fibonacci hashing, Knuth vol. 3, section
    6.4)."""
    mixed = (codes.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(32)) % np.uint64(10)).astype(np.int64)


def in_split(tenth: NDArray[np.integer], split: str) -> Bools:
    """(n,) which objectives (or scaffolds) belong to a split, by the tenth that each is in."""
    first, last = SPLIT_TENTHS.get(split, SPLIT_TENTHS["test"])
    return (first <= tenth) & (tenth < last)


# TABLES OF TASKS


class TabulatedDistribution(TaskDistribution):
    """Every split is a table of tasks, each as likely as the others; but for ``train``, a sample of it is frozen.

    The sample is drawn anew in every process, and must have the hash that it had when it was frozen.
    """

    unit_dim: int = 1
    chemistry: Chemistry = OWN
    frozen_file: ClassVar[str]
    """In the chemistry's folder: the hashes, written by `metaenv.molecules.build.build_data`."""
    frozen_sizes: ClassVar[Mapping[str, int]]
    """How many tasks the evaluation list of a split has at most."""

    @abstractmethod
    def enumerate_tasks(self, split: str) -> TaskBatch:
        """Every task of a split, computed anew."""

    @abstractmethod
    def frozen_seed(self, split: str) -> list[int]:
        """The seed that the evaluation list of a split is drawn with."""

    def all_tasks(self, split: str) -> TaskBatch:
        """Every task of a split, those too that its evaluation list leaves out."""
        return _all(self, split)

    def members(self, split: str) -> TaskBatch:
        """All tasks of ``train``; of another split its evaluation list, checked against its hash.

        Raises:
            TaskError: the chemistry has too few molecules for the split to have a task.
        """
        self.check_split(split)
        found = self.all_tasks("train") if split == "train" else _listed(self, split)
        if not len(found):
            raise TaskError(
                f"the split {split!r} has no task in {self.chemistry}: no molecule of it meets such an objective; "
                "mine from more molecules, or take another variant or split"
            )
        return found

    def frozen_list(self, split: str) -> FrozenTasks:
        return _frozen(self, split)

    def draw_list(self, split: str) -> TaskBatch:
        """The evaluation list of a split, drawn anew: some of its tasks, or all if they are few."""
        tasks = self.all_tasks(split)
        order = np.random.default_rng(self.frozen_seed(split)).permutation(len(tasks))
        return _with_ids(tasks.take(np.sort(order[: self.frozen_sizes[split]])))

    def manifest(self) -> dict[str, Any]:
        """Sizes and hashes of the evaluation lists, as they were frozen, by split."""
        return self.chemistry.json(self.frozen_file)["frozen"]

    def hashes(self, tasks: TaskBatch) -> dict[str, str]:
        """What must be the same for an evaluation list as when it was frozen."""
        return {"sha256": tasks.sha256}

    def sizes(self) -> dict[str, Any]:
        """What `manifest` would be, were the lists frozen now."""
        found: dict[str, Any] = {"train": {"tasks": len(self.all_tasks("train"))}}
        for split in self.splits[1:]:
            drawn = self.draw_list(split)
            found[split] = {"tasks": len(self.all_tasks(split)), "n": len(drawn), **self.hashes(drawn)}
        return found

    def check_list(self, split: str, tasks: TaskBatch) -> None:
        """Raise TaskError unless an evaluation list is the one that was frozen."""
        if not self.hashes(tasks).items() <= self.manifest()[split].items():
            again = "mine the chemistry again" if self.chemistry.sha256 else "install metaenv again"
            raise TaskError(f"the list {split!r} of {self} is not the one that was frozen; {again}")


@lru_cache(maxsize=32)
def _all(distribution: TabulatedDistribution, split: str) -> TaskBatch:
    return _with_ids(distribution.enumerate_tasks(split))


@lru_cache(maxsize=32)
def _listed(distribution: TabulatedDistribution, split: str) -> TaskBatch:
    tasks = distribution.draw_list(split)
    distribution.check_list(split, tasks)
    return tasks


@lru_cache(maxsize=32)
def _frozen(distribution: TabulatedDistribution, split: str) -> FrozenTasks:
    tasks = _listed(distribution, split)
    return FrozenTasks(split, tasks, distribution.reference(tasks), tasks.sha256)


def _with_ids(tasks: TaskBatch) -> TaskBatch:
    """The same tasks, whose ids are computed once for all."""
    tasks.ids  # noqa: B018
    return tasks
