"""Simulated properties of ternary alloys: a task is a chemical system of three metals whose interactions are hidden.

The rule of mixing is the same for all systems.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import ClassVar

import numpy as np

from metaenv.supervised.families.compounds import COLUMNS, NOISE, SEED, SPLITS, rows_of_split
from metaenv.supervised.families.elements import PLACE, SYMBOLS
from metaenv.supervised.families.formulas import describe_parts
from metaenv.tasks import Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.typing import Floats, Index

METALS = (
    "Mg", "Al", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Y", "Zr", "Nb", "Mo", "Ru", "Pd", "Ag", "In",
    "Sn", "La", "Hf", "Ta", "W", "Pt", "Au",
)  # fmt: skip
"""Of alloys (chosen)."""
MIXING = np.array([0.3, 0.9, -0.5, 0.5, 0.0, 0.4, 0.5, 0.0, 0.0, 0.3])
"""Weights of the descriptors in the rule of mixing of all alloys (chosen)."""
INTERACTION = 3.0  # standard deviation of those between two metals (chosen); x (1 - x) is at most 1/4


@dataclass(frozen=True)
class AlloyTask(Task):
    """Three metals and how they interact."""

    family: ClassVar[str] = "AlloyLaws"  # a part of the task's id

    metals: tuple[float, ...]  # (3,) atomic numbers, rising
    interaction: tuple[float, ...]  # (3,) of the first two, the outer two and the last two metals, in the unit of y
    noise: float  # standard deviation of a measurement


@dataclass(frozen=True)
class AlloyProperties(TaskDistribution):
    """Ternary alloys: a known rule of mixing, and the excess of a regular solution with hidden parameters.

    y = rule of mixing + sum of Omega_ij x_i x_j (Hardy 1953, Acta Metallurgica 1, 202, for the form). No chemical
    system is in two splits; those of ``ood-element`` have a metal that the others lack.
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


@lru_cache(maxsize=8)
def alloy_systems(split: str) -> Index:
    """(systems, 3) atomic numbers of the split's systems of three metals."""
    triples = np.array(list(combinations(sorted(PLACE[m] + 1 for m in METALS), 3)))
    names = np.array(["-".join(sorted(SYMBOLS[z - 1] for z in row)) for row in triples])
    return triples[rows_of_split(names, split)]


@lru_cache(maxsize=1)
def _alloy_scale() -> tuple[Floats, Floats]:
    """Mean and standard deviation of the descriptors over alloys of training systems."""
    systems, rng = alloy_systems("train"), np.random.default_rng(SEED)
    found = describe_parts(systems - 1, rng.dirichlet(np.ones(3), len(systems)))[:, COLUMNS]
    return found.mean(axis=0), found.std(axis=0)
