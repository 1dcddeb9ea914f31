"""Hidden objectives of lead optimisation, each certified by a molecule of the scaffold's library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import combinations
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.molecules.chem.chemistry import OWN, PACKAGED, Chemistry
from metaenv.molecules.chem.properties import PROPERTIES
from metaenv.molecules.chem.scoring import score_table
from metaenv.molecules.lead.library import N_GROUPS, SITES, Libraries, libraries
from metaenv.molecules.objectives import (
    PropertyRanges,
    Range,
    TabulatedDistribution,
    bins_of,
    chemistry_of,
    columns_of,
    counts_inside,
    in_split,
    inside,
    pack,
    range_columns,
    task_type_of,
    tenth_of,
    unpack,
)
from metaenv.tasks import Labelled, Reference, Task, TaskBatch
from metaenv.typing import Floats, Index

N_RANGES = 3
"""How many properties an objective asks for (chosen: the best fixed molecule of a scaffold then reaches 0.2 of the
optimum)."""
COUNTED = np.array([name in ("hbd", "rotatable", "aromatic_rings") for name in PROPERTIES])
"""(7,) properties that are counts: their ranges are single values."""
QUANTILES = np.linspace(0.01, 0.99, 11)
"""Ranges of the other properties lie between neighbouring quantiles of the scaffold's library: tenths, without the
outermost 1 % (chosen)."""
RARE = 0.03  # share of a library below which no objective asks for a count (chosen)
DECIMALS = (1, 2, 1, 0, 0, 0, 2)
"""Of the ends of ranges, which are rounded down: shares of carbons are simple fractions, and one that lies on an end
must not fall out of its range (chosen; far below `scoring.SOFTNESS`)."""
RADIX = np.full(len(PROPERTIES), len(QUANTILES))  # bins of a property, and none
SPLITS = ("train", "validation", "test", "ood-scaffold")
FROZEN_SIZES = {"validation": 200, "test": 500, "ood-scaffold": 256}
FROZEN_SEED = 20_250_703  # chosen; any fixed number does
CHUNK = 32  # tasks scored at once, to bound memory


@dataclass(frozen=True)
class LeadTask(PropertyRanges, Task):
    """A scaffold, hidden ranges of properties of its molecules, and a molecule that lies in all of them."""

    family: ClassVar[str] = "LeadObjective"

    scaffold: int
    """Its place in `Libraries.smiles`."""
    wanted: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    certificate: tuple[float, ...]
    """(3,) R-groups of a molecule of score 1, by their places in `Libraries.group`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        most = len(libraries(self.chemistry).smiles) - 1
        if not isinstance(self.scaffold, int) or self.scaffold not in range(most + 1):
            raise TaskError(f"LeadTask.scaffold must be 0 to {most}, got {self.scaffold}")
        if not any(self.wanted):
            raise TaskError("the objective asks for nothing: expected a range of at least one property")
        self.check(certificate=SITES)

    @classmethod
    def from_ranges(cls, scaffold: str, ranges: Mapping[str, Range]) -> Self:
        """A task of one's own; its certificate is the first molecule of the library that lies in all ranges.

        Args:
            scaffold: one of `Libraries.smiles`.
            ranges: lowest and highest value that is asked for of some of `properties.PROPERTIES`; None for an open end.

        Raises:
            TaskError: an unknown name, an empty range, or ranges in which the library has no molecule.
        """
        known, columns = libraries(cls.chemistry), range_columns(ranges)
        if scaffold not in known.smiles:
            raise TaskError(f"there is no scaffold {scaffold!r}.{nearest(str(scaffold), known.smiles)}")
        s = known.smiles.index(scaffold)
        found = known.choice[known.start[s] + first_inside(known.values[known.of(s)], columns)]
        wanted, low, high, certificate = (tuple(a.tolist()) for a in (*columns, found.astype(float)))
        return cls(s, wanted, low, high, certificate)

    def certificate_smiles(self) -> str:
        """The certificate as a canonical SMILES, by RDKit."""
        scaffold, choice = np.array([self.scaffold]), np.array([self.certificate]).astype(np.intp)
        return libraries(self.chemistry).canonical(scaffold, choice)[0]

    def certificate_properties(self) -> Floats:
        """(7,) properties of the certificate. Raises TaskError if it is not in the library."""
        known = libraries(self.chemistry)
        if not all(r in range(N_GROUPS) for r in self.certificate):
            raise TaskError(f"LeadTask.certificate must hold R-groups from 0 to {N_GROUPS - 1}, got {self.certificate}")
        number = known.number[self.scaffold][tuple(int(r) for r in self.certificate)]
        if number < 0:
            raise TaskError(f"there is no molecule {self.certificate} in the library of {known.smiles[self.scaffold]}")
        return known.values[number]


CHEMBL_TASK = task_type_of(LeadTask, PACKAGED["chembl"])
"""The type of the tasks of that chemistry, so that `metaenv.registry.task_from_json` knows it."""


@dataclass(frozen=True)
class LeadDistribution(TabulatedDistribution):
    """Objectives that some molecule of the scaffold's library meets, each as likely as the others.

    An objective asks for ranges of three of seven properties, each a tenth of the distribution over that scaffold's
    library (one value of a count). Which tenths of which properties it asks for decides, whatever the scaffold, to
    which of ``train`` (7 in 10), ``validation`` (1; 200 tasks, frozen) and ``test`` (2; 500) it belongs.
    ``ood-scaffold`` (256) has the objectives of ``test`` on three scaffolds that no other split has:
    `Chemistry.held_out_scaffolds`.
    """

    splits: tuple[str, ...] = SPLITS
    frozen_file: ClassVar[str] = "lead_frozen.json"
    frozen_sizes: ClassVar[Mapping[str, int]] = FROZEN_SIZES
    chemistry: Chemistry = OWN

    @property
    def task_type(self) -> type[LeadTask]:  # type: ignore[override]
        """`LeadTask`, of its chemistry."""
        return task_type_of(LeadTask, self.chemistry)

    def enumerate_tasks(self, split: str) -> TaskBatch:
        known, held_out = libraries(self.chemistry), split == "ood-scaffold"
        held = self.chemistry.held_out_scaffolds
        scaffolds = [s for s, smiles in enumerate(known.smiles) if (smiles in held) == held_out]
        return reduce(TaskBatch.joined, [objectives(s, split, known) for s in scaffolds])

    def frozen_seed(self, split: str) -> list[int]:
        return [FROZEN_SEED, SPLITS.index(split)]

    def reference(self, tasks: TaskBatch) -> Reference:
        """Both exact, by a table of the whole library: mean score of a uniformly random molecule, and the highest."""
        random, oracle = np.empty(len(tasks)), np.empty(len(tasks))
        for rows, table in tables(tasks):
            random[rows], oracle[rows] = table.mean(axis=1), table.max(axis=1)
        return Reference(random, oracle)

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """Molecules of the library and their scores: one in three from the best 5 % for the task, the rest at random.

        ``x`` (tasks, n, 7) properties, centred and scaled as policies see them; ``y`` the score.
        """
        x, y = np.empty((len(tasks), n, len(PROPERTIES))), np.empty((len(tasks), n))
        pick, good = rng.random((len(tasks), n)), rng.random((len(tasks), n)) < 1 / 3
        for rows, table in tables(tasks):
            m = table.shape[1]
            top = max(m // 20, 1)
            best = np.argsort(-table.round(9), axis=1, kind="stable")[:, :top]  # the same on every processor
            among_best = np.take_along_axis(best, (pick[rows] * top).astype(np.intp), axis=1)
            chosen = np.where(good[rows], among_best, (pick[rows] * m).astype(np.intp))
            y[rows] = np.take_along_axis(table, chosen, axis=1)
            known = libraries(self.chemistry)
            x[rows] = self.chemistry.scaled(known.values[known.of(int(tasks.scaffold[rows[0]]))][chosen])
        return Labelled(x, y, tasks.ids)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, 21) which properties have ranges, then the lower and the upper ends, scaled; 0 where there is none."""
        return ranges_vector(tasks)


def ranges_vector(tasks: TaskBatch) -> NDArray[np.float32]:
    """(n, 21) which properties have ranges, then the lower and the upper ends, scaled; 0 where there is none."""
    asked, scaled = (tasks.wanted > 0).astype(np.float64), chemistry_of(tasks).scaled
    ends = [np.clip(scaled(edge) / 2, -1, 1) * asked for edge in (tasks.low, tasks.high)]
    return np.concatenate([asked, *ends], axis=1).astype(np.float32)


def first_inside(values: Floats, columns: tuple[Floats, Floats, Floats]) -> int:
    """The first molecule of a library, properties (m, 7), in the ranges of `range_columns`. TaskError for none."""
    if not columns[0].any():
        raise TaskError("the objective asks for nothing: expected a range of at least one property")
    within = inside(values, *columns)
    if not (fits := within.all(axis=1)).any():
        counts = counts_inside(within, columns[0])
        raise TaskError(f"no molecule of {len(within):,} lies in all ranges (in each: {counts}); widen one")
    return int(np.argmax(fits))


def tables(tasks: TaskBatch) -> Iterator[tuple[Index, Floats]]:
    """Scores of every molecule of the library for every task, a few tasks of one scaffold at a time.

    Yields which tasks (k,) these are, and their table (k, m) of scores of the scaffold's m molecules.
    """
    known = libraries(chemistry_of(tasks))
    for s in np.unique(tasks.scaffold).astype(np.intp):
        mine = np.flatnonzero(tasks.scaffold == s)
        for rows in np.split(mine, range(CHUNK, len(mine), CHUNK)):
            yield rows, score_table(known.values[known.of(s)], tasks.take(rows))


# WHICH TASKS THERE ARE


@lru_cache(maxsize=32)
def objectives(scaffold: int, split: str, known: Libraries | None = None) -> TaskBatch:
    """The objectives of a split on one scaffold, in the order of their codes, whether it is held out or not."""
    known = known or libraries()
    values = known.values[known.of(scaffold)]
    edges = range_ends(values)
    bins = bins_of(values, edges)
    for j in np.flatnonzero(COUNTED):
        share = np.bincount(bins[:, j], minlength=len(QUANTILES)) / len(bins)
        bins[(share < RARE)[bins[:, j]], j] = 0
    found: list[tuple[NDArray[np.int64], Index]] = []  # codes that are met, and the first molecule that meets each
    for chosen in map(list, combinations(range(len(PROPERTIES)), N_RANGES)):
        rows = np.flatnonzero((bins[:, chosen] > 0).all(axis=1))
        # NumPy sorts 16 bits by radix, several times as fast as the codes themselves.
        short = pack(bins[rows][:, chosen], RADIX[:N_RANGES]).astype(np.int16)
        owner = rows[np.unique(short, return_index=True)[1]]
        asked = np.zeros((len(owner), len(PROPERTIES)), np.intp)
        asked[:, chosen] = bins[owner][:, chosen]
        found.append((pack(asked, RADIX), owner))
    codes, owners = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.flatnonzero(in_split(tenth_of(codes), split))
    order = order[np.argsort(codes[order])]
    return TaskBatch(
        task_type_of(LeadTask, known.chemistry),
        {
            "scaffold": np.full(len(order), float(scaffold)),
            **columns_of(unpack(codes[order], RADIX), edges),
            "certificate": known.choice[known.start[scaffold] + owners[order]].astype(np.float64),
        },
    )


def range_ends(values: Floats) -> Floats:
    """(7, 11, 2) ends of the bins 1, 2, … of each property of a library (m, 7); bin 0 is none and has zeros.

    Count c is bin c + 1. Of equal bins only the first is used.
    """
    ends = np.zeros((len(PROPERTIES), len(QUANTILES), 2))
    for j in range(len(PROPERTIES)):
        if COUNTED[j]:
            ends[j, 1:] = np.arange(len(QUANTILES) - 1)[:, None]
        else:
            edges = np.floor(np.quantile(values[:, j], QUANTILES) * 10 ** DECIMALS[j]) / 10 ** DECIMALS[j]
            ends[j, 1:] = np.stack([edges[:-1], edges[1:]], axis=1)
    return ends
