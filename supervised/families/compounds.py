"""Simulated properties of charge-balanced compounds: a task is a hidden property that depends on a few descriptors.

The descriptors are those of textbook rules: Vegard 1921 (Z. Phys. 5, 17: lattice parameters mix linearly), the
size and electronegativity rules of Hume-Rothery 1934, Pauling's ionic character, cohesion as seen in melting points,
and the Slater-Pauling curve over valence electrons. Weights, numbers of terms and noise are chosen; no relation is that
of a named property.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import gcd
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from metaenv.supervised.data.sources import distinct
from metaenv.supervised.families.family import ENDS
from metaenv.supervised.families.formulas import FEATURES, formula_features
from metaenv.tasks import Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.typing import Floats, Index

SPLITS = ("train", "validation", "test", "ood-element")
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

DESCRIPTORS = (
    "mean weight", "mean melting point", "mean covalent radius", "spread covalent radius", "mean electronegativity",
    "spread electronegativity", "mean valence", "mean volume", "mean unfilled", "entropy",
)  # fmt: skip
"""Features that hidden properties depend on."""
COLUMNS = [FEATURES.index(name) for name in DESCRIPTORS]
PEAKED = DESCRIPTORS.index("mean valence")
RISING = np.array([0.7, 0.9, 0.3, 0.7, 0.5, 0.9, 0.5, 0.3, 0.5, 0.6])
"""Probability that a property rises with a descriptor (chosen: stiffness with cohesion, gaps with ionic character)."""
OFTEN = np.array([1.0, 3.0, 2.0, 2.0, 1.0, 3.0, 2.0, 1.0, 1.0, 1.0])
"""Relative probability that a property depends on a descriptor (chosen)."""
TERMS = 3  # descriptors that a property depends on (chosen)
WEIGHT = (0.5, 1.5)  # of a term, before the relation is scaled (chosen)
PEAK, BEND = (-1.0, 1.0), 0.6  # where the curve over valence electrons peaks, and its weight (chosen)
NOISE = (0.1, 0.4)  # standard deviation of a measurement, in units of that of the property over all compounds (chosen)


# COMPOSITIONS


@dataclass(frozen=True)
class Compounds:
    """Those of a split."""

    formulas: list[str]
    features: Floats  # (n, 93)
    descriptors: Floats  # (n, 10), mean 0 and standard deviation 1 over training compounds


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
    chosen = [formulas[i] for i in rows_of_split(systems, split)]
    features = formula_features(chosen)
    raw = features[:, COLUMNS]
    base = raw if split == "train" else compounds("train").features[:, COLUMNS]
    return Compounds(chosen, features, (raw - base.mean(axis=0)) / base.std(axis=0))


def rows_of_split(systems: NDArray[np.str_], split: str) -> Index:
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
class PropertyTask(Task):
    """A hidden property of compounds."""

    family: ClassVar[str] = "CompoundLaws"  # a part of the task's id

    weight: tuple[float, ...]  # (10,) of each scaled descriptor, 0 for all but three; their squares and bend's sum to 1
    peak: float  # scaled mean number of valence electrons at which the curve has its top
    bend: float  # weight of that curve: 0 in half of the tasks
    noise: float  # standard deviation of a measurement


@dataclass(frozen=True)
class CompoundProperties(TaskDistribution):
    """Hidden properties, sparse in the descriptors; samples are compounds of one split.

    No combination of descriptors and no compound is in two splits. ``ood-element`` has the properties of ``test``, on
    compounds with elements that no other split shows.
    """

    task_type: ClassVar[type[Task]] = PropertyTask
    compounds_of: str = "train"
    """The split whose compounds are measured."""
    unit_dim: int = 4 + 2 * len(DESCRIPTORS)
    splits: tuple[str, ...] = SPLITS

    def from_unit(self, unit: Floats, split: str) -> TaskBatch:
        """Which descriptors; then peak, bend and noise; then sizes and signs of the weights."""
        chosen, often = relation_terms(split)
        place = np.searchsorted(np.cumsum(often)[:-1], unit[:, 0], side="right")
        active = np.zeros((len(unit), len(DESCRIPTORS)))
        np.put_along_axis(active, chosen[place], 1.0, axis=1)
        peak, bent, noise = unit[:, 1:4].T
        size, rising = np.split(unit[:, 4:], 2, axis=1)
        sign = np.where(rising < RISING, 1.0, -1.0)
        weight = active * sign * (WEIGHT[0] + (WEIGHT[1] - WEIGHT[0]) * size)
        bend = np.where(bent < 0.5, 0.0, BEND)
        scale = np.sqrt((weight**2).sum(axis=1) + bend**2)
        peak, noise = PEAK[0] + (PEAK[1] - PEAK[0]) * peak, NOISE[0] + (NOISE[1] - NOISE[0]) * noise
        drawn = {"weight": weight / scale[:, None], "peak": peak, "bend": bend / scale, "noise": noise}
        return TaskBatch(PropertyTask, drawn)

    def reference(self, tasks: TaskBatch) -> Reference:
        """R² of the mean, 0, and of the property without noise."""
        return Reference(np.zeros(len(tasks)), 1 / (1 + tasks.noise**2))

    def labelled_limit(self, split: str) -> int:
        return len(compounds(self.compounds_of).formulas)

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """``n`` different compounds of each task: ``x`` (tasks, n, 93) features, ``y`` the property as measured."""
        pool = compounds(self.compounds_of)
        size = len(pool.formulas)
        if n > size:
            raise ValueError(f"expected at most {size} compounds of split {self.compounds_of}, got {n}; take fewer")
        rows = distinct(np.full(len(tasks), size), n, rng)
        y = property_of(tasks, pool.descriptors[rows]) + tasks.noise[:, None] * rng.standard_normal(rows.shape)
        return Labelled(pool.features[rows], y, tasks.ids)


@lru_cache(maxsize=8)
def relation_terms(split: str) -> tuple[Index, Floats]:
    """(combinations, 3) descriptors of the properties of a split, and the probability of each combination."""
    every = np.array(list(combinations(range(len(DESCRIPTORS)), TERMS)))
    place = np.random.default_rng(SEED + 2).permutation(len(every)) / len(every)
    first, end = ENDS.get(split, ENDS["test"])
    chosen = every[(first <= place) & (place < end)]
    often = OFTEN[chosen].prod(axis=1)
    return chosen, often / often.sum()


def property_of(tasks: TaskBatch, descriptors: Floats) -> Floats:
    """(tasks, n) properties without noise, of scaled descriptors (tasks, n, 10).

    w.z less bend times ((z_v - peak)^2 - 1 - peak^2) / sqrt 2, in which z_v is the number of valence electrons: the
    mean of that over standard normals is 0.
    """
    curve = ((descriptors[:, :, PEAKED] - tasks.peak[:, None]) ** 2 - 1 - tasks.peak[:, None] ** 2) / np.sqrt(2)
    return (descriptors @ tasks.weight[:, :, None])[..., 0] - tasks.bend[:, None] * curve
