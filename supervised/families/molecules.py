"""Molecule objectives: what is a molecule worth for a hidden target profile, from a few that were scored?

The tasks are those of the environment (`MoleculeDistribution`). Molecules are divided by Murcko scaffold, too, so that
none is in two of the splits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from metaenv.molecules.chem.chemistry import load_chemistry
from metaenv.molecules.chem.properties import PROPERTIES
from metaenv.molecules.design.certificates import scores_of
from metaenv.molecules.design.tasks import VARIANTS, Features, MoleculeDistribution, Variant
from metaenv.molecules.reference_molecules import real_molecules, scaffold_tenths
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import Kind
from metaenv.supervised.families.family import Family, draw_plane
from metaenv.tasks import Labelled, TaskBatch, TaskSampler
from metaenv.typing import Index

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACTIVE = 0.5  # score from which a molecule counts as active (the notes of this family; chosen)
GOOD, GOOD_SHARE = 1 / 20, 1 / 3  # the best twentieth makes a third of the draws, as in MoleculeDistribution.labelled
TENTHS = {"train": (0, 6), "validation": (6, 7)}  # of all scaffolds; (7, 10) in all other splits


@dataclass(frozen=True)
class MoleculeScreen(MoleculeDistribution):
    """`MoleculeDistribution`, whose examples of a task are all different molecules, of some scaffolds only."""

    tenths: tuple[int, int] = (0, 10)
    """Which tenths of the scaffolds: from the first to before the second."""

    def _rows(self) -> Index:
        first, end = self.tenths
        share = scaffold_tenths(self.chemistry)
        return np.flatnonzero((first <= share) & (share < end))

    def labelled_limit(self, split: str) -> int:
        return len(self._rows())

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """``n`` different molecules and their scores: about one in three of the best 5 % for the task.

        Drawn without replacement by exponential keys (Efraimidis and Spirakis 2006, Inf. Process. Lett. 97, 181).
        """
        rows = self._rows()
        if n > len(rows):
            raise ValueError(
                f"expected at most {len(rows)} molecules of scaffolds {self.tenths}, got n={n}; take fewer"
            )
        real = real_molecules(self.chemistry).take(rows)
        table = scores_of(real, tasks)
        n_good = max(1, int(GOOD * len(rows)))
        weight = np.full(table.shape, (1 - GOOD_SHARE) / len(rows))
        # Sorted, not partitioned: which of equal ones numpy's partition takes differs from processor to processor.
        best = np.argsort(-table.round(9), axis=1, kind="stable")[:, :n_good]
        np.put_along_axis(weight, best, GOOD_SHARE / n_good + (1 - GOOD_SHARE) / len(rows), axis=1)
        key = rng.exponential(size=table.shape) / weight
        chosen = rng.permuted(np.argsort(key, axis=1)[:, :n], axis=1)
        described = real.bits() if self.features == "fingerprint" else self.chemistry.scaled(real.values)
        return Labelled(described[chosen], np.take_along_axis(table, chosen, axis=1), tasks.ids)


class MoleculeObjectives(Family):
    """Real molecules and their scores for hidden objectives: regression, or active or not.

    Args:
        variant: of the objectives, see `MoleculeDistribution`.
        features: ``"properties"``, seven numbers, or ``"fingerprint"``, 1,024 bits.
        chemistry: ``"zinc"``, ``"chembl"``, or the folder of one's own.
    """

    name: ClassVar[str] = "molecule-objectives"
    provenance: ClassVar[str] = (
        "Objectives and 6,000 real molecules of metaenv.molecules, which says where they come from; scores are "
        "computed. Active means a score above 0.5 (chosen)."
    )
    kinds = ("regression", "classification")
    threshold = ACTIVE
    shots = (16, 24)

    def __init__(
        self, variant: Variant = "windows-3", features: Features = "properties", chemistry: str = "zinc"
    ) -> None:
        if variant not in VARIANTS or features not in ("properties", "fingerprint"):
            raise ValueError(f"expected a variant among {', '.join(VARIANTS)}, and properties or fingerprint, "
                             f"got {variant!r} and {features!r}")  # fmt: skip
        self.variant: Variant = variant
        self.features: Features = features
        self.chemistry = load_chemistry(chemistry)
        self.splits = MoleculeDistribution(variant).splits

    def source(self, split: str, kind: Kind, seed: int) -> TaskSampler:
        screen = MoleculeScreen(self.variant, self.features, self.chemistry, TENTHS.get(split, (7, 10)))
        return TaskSampler(screen, split, seed)

    def draw(self, figure: Figure, batch: EpisodeBatch) -> None:
        """Molecules by their first two features, coloured by score."""
        names = [f"{name}, scaled" for name in PROPERTIES] if self.features == "properties" else ["bit 0", "bit 1"]
        draw_plane(figure, batch, names, "active" if batch.n_classes else "score")
