"""Simulated properties of real kinds of compositions: what `MaterialProperties` learns from where there is no table.

Two distributions of tasks. `CompoundLaws`: a task is a hidden property, that is a sparse law in a few descriptors, and
its samples are charge-balanced compounds. `AlloyLaws`: a task is a chemical system of three metals with interactions
that are hidden, and its samples are alloys of them; the law of mixing is one for all.

Descriptors are those that textbook rules speak of: Vegard 1921 (Z. Phys. 5, 17: lattice parameters mix linearly), the
size and electronegativity rules of Hume-Rothery 1934, Pauling's ionic character, the cohesion that melting points
tell, and the Slater-Pauling curve over valence electrons. Weights, numbers of terms and noise are chosen; no law is
that of a named property.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import gcd
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from metaenv.supervised.data.episodes import distinct
from metaenv.supervised.families.elements import PLACE, SYMBOLS
from metaenv.supervised.families.formulas import FEATURES, describe_parts, formula_features
from metaenv.tasks import FrozenTasks, Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.typing import Floats, Index

SPLITS = ("train", "validation", "test", "ood-element")
ENDS = {"train": (0.0, 0.6), "validation": (0.6, 0.75), "test": (0.75, 1.0)}  # of the chemical systems (chosen)
SEED = 16_028  # of compounds and frozen lists (chosen)
HELD_OUT = ("Rb", "Y", "Nb", "In", "Se", "Ru")
"""Elements of ``ood-element``, in no compound or alloy of the other splits (chosen, from all over the table)."""

CATIONS: dict[str, tuple[int, ...]] = {
    "Li": (1,), "Na": (1,), "K": (1,), "Rb": (1,), "Cs": (1,), "Ag": (1,), "Cu": (1, 2), "Be": (2,), "Mg": (2,),
    "Ca": (2,), "Sr": (2,), "Ba": (2,), "Zn": (2,), "Cd": (2,), "Ni": (2,), "Co": (2, 3), "Fe": (2, 3), "Mn": (2, 4),
    "Pb": (2, 4), "Sn": (2, 4), "Pd": (2, 4), "B": (3,), "Al": (3,), "Ga": (3,), "In": (3,), "Sc": (3,), "Y": (3,),
    "La": (3,), "Ce": (3, 4), "Nd": (3,), "Gd": (3,), "Cr": (3,), "V": (3, 5), "Bi": (3,), "Sb": (3, 5), "Rh": (3,),
    "Ru": (3, 4), "Ir": (3, 4), "Ti": (4,), "Zr": (4,), "Hf": (4,), "Si": (4,), "Ge": (4,), "Pt": (4,), "Nb": (5,),
    "Ta": (5,), "P": (5,), "Mo": (4, 6), "W": (4, 6), "Re": (4, 7),
}  # fmt: skip
"""Charges of cations: the common oxidation states of pymatgen-core 2026.10, and Cu(I) and V(III) beside."""
ANIONS = {"O": -2, "S": -2, "Se": -2, "Te": -2, "F": -1, "Cl": -1, "Br": -1, "I": -1, "N": -3}
ANION_SHARES = (0.36, 0.14, 0.1, 0.08, 0.1, 0.08, 0.05, 0.04, 0.05)  # oxides are studied most (chosen)
BINARY = 0.15  # of all draws; the others have two cations (chosen)
MOST_ATOMS = 24  # of a formula unit (chosen)
COMPOUNDS = 9_000  # drawn; fewer are different (chosen)

METALS = (
    "Mg", "Al", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Y", "Zr", "Nb", "Mo", "Ru", "Pd", "Ag", "In",
    "Sn", "La", "Hf", "Ta", "W", "Pt", "Au",
)  # fmt: skip
"""Of alloys (chosen)."""

DESCRIPTORS = (
    "mean weight", "mean melting point", "mean covalent radius", "spread covalent radius", "mean electronegativity",
    "spread electronegativity", "mean valence", "mean volume", "mean unfilled", "entropy",
)  # fmt: skip
"""Features that laws are made of."""
COLUMNS = [FEATURES.index(name) for name in DESCRIPTORS]
PEAKED = DESCRIPTORS.index("mean valence")
RISING = np.array([0.7, 0.9, 0.3, 0.7, 0.5, 0.9, 0.5, 0.3, 0.5, 0.6])
"""Probability that a property rises with a descriptor (chosen: stiffness with cohesion, gaps with ionic character)."""
OFTEN = np.array([1.0, 3.0, 2.0, 2.0, 1.0, 3.0, 2.0, 1.0, 1.0, 1.0])
"""How readily a descriptor is in a law, relative to the others (chosen)."""
TERMS = 3  # descriptors of a law (chosen)
WEIGHT = (0.5, 1.5)  # of a term, before the law is scaled (chosen)
PEAK, BEND = (-1.0, 1.0), 0.6  # where the curve over valence electrons peaks, and its weight (chosen)
NOISE = (0.1, 0.4)  # standard deviation of a measurement, of which the law itself has 1 over all compounds (chosen)

MIXING = np.array([0.3, 0.9, -0.5, 0.5, 0.0, 0.4, 0.5, 0.0, 0.0, 0.3])
"""Weights of the descriptors in the law of all alloys (chosen)."""
INTERACTION = 3.0  # standard deviation of those between two metals (chosen); x (1 - x) is at most 1/4


# COMPOSITIONS


@dataclass(frozen=True)
class Compounds:
    """Those of a split."""

    formulas: tuple[str, ...]
    features: Floats
    """(n, 93)."""
    descriptors: Floats
    """(n, 10), mean 0 and standard deviation 1 over training compounds."""

    def __len__(self) -> int:
        return len(self.formulas)


@lru_cache(maxsize=1)
def compound_formulas() -> tuple[tuple[str, ...], NDArray[np.str_]]:
    """Different charge-balanced compounds by their reduced formulas, and their chemical systems.

    One cation or two with an anion that attracts electrons more than both (Pauling's criterion, of which these lists
    take care): one to three of each cation, and as many anions as make the charge zero.
    """
    rng = np.random.default_rng(SEED)
    symbols, anions = list(CATIONS), list(ANIONS)
    first, shift = rng.integers(len(symbols), size=COMPOUNDS), rng.integers(1, len(symbols), size=COMPOUNDS)
    kinds = rng.choice(len(anions), size=COMPOUNDS, p=ANION_SHARES)
    binary = rng.random(COMPOUNDS) < BINARY
    state, counts = rng.random((COMPOUNDS, 2)), rng.integers(1, 4, (COMPOUNDS, 2))
    found: dict[str, str] = {}
    for i in range(COMPOUNDS):
        cations = [symbols[first[i]], symbols[(first[i] + shift[i]) % len(symbols)]][: 1 if binary[i] else 2]
        charges = [CATIONS[c][int(u * len(CATIONS[c]))] for c, u in zip(cations, state[i], strict=False)]
        formula = _neutral(sorted(zip(cations, charges, counts[i].tolist(), strict=False)), anions[kinds[i]])
        if formula is not None:
            found[formula] = "-".join(sorted([*cations, anions[kinds[i]]]))
    return tuple(found), np.array(list(found.values()))


def _neutral(cations: list[tuple[str, int, int]], anion: str) -> str | None:
    """The reduced formula of cations (symbol, charge, number) with an anion; None if it is too large."""
    positive = sum(charge * n for _, charge, n in cations)
    numbers = [-ANIONS[anion] * n for _, _, n in cations] + [positive]
    smallest = [n // gcd(*numbers) for n in numbers]
    if sum(smallest) > MOST_ATOMS:
        return None
    names = [*(symbol for symbol, _, _ in cations), anion]
    return "".join(f"{name}{n if n > 1 else ''}" for name, n in zip(names, smallest, strict=True))


@lru_cache(maxsize=8)
def compounds(split: str) -> Compounds:
    """The compounds of a split; no chemical system is in two of them."""
    formulas, systems = compound_formulas()
    chosen = [formulas[i] for i in _of_split(systems, split)]
    features = formula_features(chosen)
    raw = features[:, COLUMNS]
    base = raw if split == "train" else compounds("train").features[:, COLUMNS]
    return Compounds(tuple(chosen), features, (raw - base.mean(axis=0)) / base.std(axis=0))


def _of_split(systems: NDArray[np.str_], split: str) -> Index:
    """Rows whose chemical system is in the split."""
    unique, code = np.unique(systems, return_inverse=True)
    held = np.array([any(symbol in HELD_OUT for symbol in name.split("-")) for name in unique])
    if split == "ood-element":
        return np.flatnonzero(held[code])
    rank = np.full(len(unique), 2.0)  # beyond all ends
    usual = np.flatnonzero(~held)
    rank[usual] = np.random.default_rng(SEED + 1).permutation(len(usual)) / len(usual)
    first, end = ENDS[split]
    return np.flatnonzero((first <= rank[code]) & (rank[code] < end))


# HIDDEN PROPERTIES OF COMPOUNDS


@dataclass(frozen=True)
class LawTask(Task):
    """A hidden property of compounds."""

    family: ClassVar[str] = "CompoundLaws"

    weight: tuple[float, ...]
    """(10,) of each scaled descriptor; all but three are 0. With ``bend`` their squares sum to 1."""
    peak: float
    """Scaled mean number of valence electrons at which the curve has its top."""
    bend: float
    """Weight of that curve: 0 in half of the tasks."""
    noise: float
    """Standard deviation of a measurement."""


@dataclass(frozen=True)
class CompoundLaws(TaskDistribution):
    """Hidden properties, sparse in the descriptors; samples are compounds of one split.

    No three descriptors are those of laws in two splits, and no compound is in two. ``ood-element`` has the laws of
    ``test``, on compounds with elements that no other split shows.
    """

    task_type: ClassVar[type[Task]] = LawTask
    compounds_of: str = "train"
    """The split whose compounds are measured."""
    unit_dim: int = 4 + 2 * len(DESCRIPTORS)
    splits: tuple[str, ...] = SPLITS

    def from_unit(self, unit: Floats, split: str) -> TaskBatch:
        """Which descriptors; then peak, bend and noise; then sizes and signs of the weights."""
        chosen, often = law_terms(split)
        place = np.searchsorted(np.cumsum(often)[:-1], unit[:, 0], side="right")
        active = np.zeros((len(unit), len(DESCRIPTORS)))
        np.put_along_axis(active, chosen[place], 1.0, axis=1)
        peak, bent, noise = unit[:, 1:4].T
        size, rising = np.split(unit[:, 4:], 2, axis=1)
        sign = np.where(rising < RISING, 1.0, -1.0)
        weight = active * sign * (WEIGHT[0] + (WEIGHT[1] - WEIGHT[0]) * size)
        bend = np.where(bent < 0.5, 0.0, BEND)
        scale = np.sqrt((weight**2).sum(axis=1) + bend**2)
        drawn = {
            "weight": weight / scale[:, None],
            "peak": PEAK[0] + (PEAK[1] - PEAK[0]) * peak,
            "bend": bend / scale,
            "noise": NOISE[0] + (NOISE[1] - NOISE[0]) * noise,
        }
        return TaskBatch(LawTask, drawn)

    def frozen(self, split: str) -> FrozenTasks:
        """256 properties."""
        return _frozen(self, split)

    def reference(self, tasks: TaskBatch) -> Reference:
        """R² of the mean, 0, and of the law itself."""
        return Reference(np.zeros(len(tasks)), 1 / (1 + tasks.noise**2))

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """``n`` different compounds of each task: ``x`` (tasks, n, 93) features, ``y`` the property as measured."""
        pool = compounds(self.compounds_of)
        if n > len(pool):
            raise ValueError(
                f"expected at most {len(pool)} compounds of split {self.compounds_of}, got {n}; take fewer"
            )
        rows = distinct(np.full(len(tasks), len(pool)), n, rng)
        y = law(tasks, pool.descriptors[rows]) + tasks.noise[:, None] * rng.standard_normal(rows.shape)
        return Labelled(pool.features[rows], y, tasks.ids)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, 13) the task's numbers."""
        rows = np.column_stack([tasks.weight, tasks.peak, tasks.bend, tasks.noise])
        return np.clip(rows, -1.0, 1.0).astype(np.float32)


@lru_cache(maxsize=8)
def law_terms(split: str) -> tuple[Index, Floats]:
    """(combinations, 3) descriptors of the laws of a split, and how often each combination is drawn."""
    every = np.array(list(combinations(range(len(DESCRIPTORS)), TERMS)))
    place = np.random.default_rng(SEED + 2).permutation(len(every)) / len(every)
    first, end = ENDS["test" if split == "ood-element" else split]
    chosen = every[(first <= place) & (place < end)]
    often = OFTEN[chosen].prod(axis=1)
    return chosen, often / often.sum()


def law(tasks: TaskBatch, descriptors: Floats) -> Floats:
    """(tasks, n) properties without noise, of scaled descriptors (tasks, n, 10).

    w.z less bend times ((z_v - peak)^2 - 1 - peak^2) / sqrt 2, in which z_v is the number of valence electrons: the
    mean of that over standard normals is 0.
    """
    curve = ((descriptors[:, :, PEAKED] - tasks.peak[:, None]) ** 2 - 1 - tasks.peak[:, None] ** 2) / np.sqrt(2)
    return (descriptors @ tasks.weight[:, :, None])[..., 0] - tasks.bend[:, None] * curve


# HIDDEN INTERACTIONS IN ALLOYS


@dataclass(frozen=True)
class AlloyTask(Task):
    """Three metals and how they interact."""

    family: ClassVar[str] = "AlloyLaws"

    metals: tuple[float, ...]
    """(3,) atomic numbers, rising."""
    interaction: tuple[float, ...]
    """(3,) of the first two, the outer two and the last two metals, in the unit of y."""
    noise: float
    """Standard deviation of a measurement."""


@dataclass(frozen=True)
class AlloyLaws(TaskDistribution):
    """Ternary alloys: a known law of mixing, and the excess of a regular solution with hidden parameters.

    y = mixing law + sum of Omega_ij x_i x_j (Hardy 1953, Acta Metallurgica 1, 202, for the form). No chemical system is
    in two splits; those of ``ood-element`` have a metal that the others lack.
    """

    task_type: ClassVar[type[Task]] = AlloyTask
    unit_dim: int = 8
    splits: tuple[str, ...] = SPLITS

    def from_unit(self, unit: Floats, split: str) -> TaskBatch:
        """Which system of the split; three interactions by Box and Muller 1958; noise."""
        systems = alloy_systems(split)
        metals = systems[(unit[:, 0] * len(systems)).astype(np.intp)]
        radius, angle = np.sqrt(-2 * np.log1p(-unit[:, 1:3])), 2 * np.pi * unit[:, 3:5]
        normal = np.concatenate([radius * np.cos(angle), radius[:, :1] * np.sin(angle[:, :1])], axis=1)
        noise = NOISE[0] + (NOISE[1] - NOISE[0]) * unit[:, 7]
        return TaskBatch(AlloyTask, {"metals": metals, "interaction": INTERACTION * normal, "noise": noise})

    def frozen(self, split: str) -> FrozenTasks:
        """256 systems."""
        return _frozen(self, split)

    def reference(self, tasks: TaskBatch) -> Reference:
        """R² of the mean, 0; an oracle's, 1 (it depends on the system how much of the variance is noise)."""
        return Reference(np.zeros(len(tasks)), np.ones(len(tasks)))

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """``n`` alloys of each system, evenly over the triangle of atomic fractions: ``x`` (tasks, n, 93)."""
        m = len(tasks)
        x = rng.dirichlet(np.ones(3), (m, n))
        which = np.repeat(tasks.metals.astype(np.intp) - 1, n, axis=0)
        features = describe_parts(which, x.reshape(m * n, 3)).reshape(m, n, -1)
        mean, deviation = _alloy_scale()
        excess = np.stack([x[..., 0] * x[..., 1], x[..., 0] * x[..., 2], x[..., 1] * x[..., 2]], axis=2)
        y = ((features[:, :, COLUMNS] - mean) / deviation) @ MIXING + (excess @ tasks.interaction[:, :, None])[..., 0]
        return Labelled(features, y + tasks.noise[:, None] * rng.standard_normal(y.shape), tasks.ids)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, 7) the task's numbers, scaled and cut at 1."""
        rows = np.column_stack([tasks.metals / len(SYMBOLS), tasks.interaction / (3 * INTERACTION), tasks.noise])
        return np.clip(rows, -1.0, 1.0).astype(np.float32)


@lru_cache(maxsize=8)
def alloy_systems(split: str) -> Index:
    """(systems, 3) atomic numbers of the split's systems of three metals."""
    triples = np.array(list(combinations(sorted(PLACE[m] + 1 for m in METALS), 3)))
    names = np.array(["-".join(sorted(SYMBOLS[z - 1] for z in row)) for row in triples])
    return triples[_of_split(names, split)]


@lru_cache(maxsize=1)
def _alloy_scale() -> tuple[Floats, Floats]:
    """Mean and standard deviation of the descriptors over alloys of training systems."""
    systems, rng = alloy_systems("train"), np.random.default_rng(SEED)
    found = describe_parts(systems - 1, rng.dirichlet(np.ones(3), len(systems)))[:, COLUMNS]
    return found.mean(axis=0), found.std(axis=0)


def _frozen(distribution: TaskDistribution, split: str) -> FrozenTasks:
    distribution.check_split(split)
    tasks = distribution.sample(256, split, np.random.default_rng([SEED, SPLITS.index(split)]))
    return FrozenTasks(split, tasks, distribution.reference(tasks), tasks.sha256)
