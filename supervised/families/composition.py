"""Material properties from compositions: what is a compound worth, from a few that were measured?

Without a file, properties are simulated (`compounds`, `alloys`). With one, any table of formulas and measured numbers
or classes will do; its tasks are chemical systems, or properties. A composition is described by 93 numbers
(`formulas`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import Kind
from metaenv.supervised.families.alloys import AlloyProperties
from metaenv.supervised.families.compounds import SPLITS, CompoundProperties
from metaenv.supervised.families.elements import PROPERTIES
from metaenv.supervised.families.family import Family, draw_plane, followed
from metaenv.supervised.families.formulas import FEATURES, describe
from metaenv.supervised.families.property_tables import By, Paths, Table, divided, read_properties
from metaenv.tasks import TaskSampler

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class MaterialProperties(Family):
    """Compositions and their properties: regression, or classes.

    ============  ==========================================  ==================================================
    by            without a file                              with one
    ============  ==========================================  ==================================================
    "property"    a hidden property of charge-balanced        a property; with three or more, they are new in tests,
                  compounds; both its terms and chemical      else chemical systems are
                  systems are new in tests
    "system"      a system of three metals with hidden        a chemical system, of which there are at least
                  interactions                                ``least`` compositions; these are new in tests
    ============  ==========================================  ==================================================

    ``ood-element`` has elements that the other splits never show. Where systems are divided and enough of a table
    would be left, real ones have it, too.

    Classes are those of the table, words or codes such as 0, 1, 2, told apart over all chemical systems of a split.
    Other numbers make two classes: above or below the median, of a simulated task's samples or of the table's training
    split. What is measured several times counts once, with its mean or most frequent class. `notes` say what was
    assumed of a file and left out of it.

    Args:
        path: CSV files with a header. None simulates.
        by: what a task is.
        formula: name of the column of formulas; see `formulas.parse_formula`.
        target: names of the columns of properties; by default all of numbers (else of words) but those that tell
            rows apart, such as "id". Empty cells are left out.
        least: with a file, compositions that a chemical system must have to be a task, and a split to be one.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing, a formula or number cannot be read, or too little is left.
    """

    name: ClassVar[str] = "material-properties"
    provenance: ClassVar[str] = (
        "Simulated properties of charge-balanced compounds and ternary alloys, in textbook descriptors; weights and "
        "noise are chosen. Elements: Magpie's tables (Ward et al. 2016) by matminer, BSD licence. Real tables by "
        "path carry the licence of their study."
    )
    kinds = ("regression", "classification")
    threshold = "median"  # of simulated numbers
    splits = SPLITS
    shots = (10, 20)
    pool = 2  # half of all samples are above the median

    def __init__(
        self,
        path: Paths | None = None,
        by: By = "property",
        formula: str = "formula",
        target: str | Sequence[str] | None = None,
        least: int = 30,
    ) -> None:
        if by not in ("property", "system"):
            raise ValueError(f"expected by='property' or by='system', got {by!r}")
        self.by: By = by
        self._parts: dict[str, Table] | None = None
        self.notes: tuple[str, ...] = ()
        """What was assumed of the files, and left out of them."""
        if path is not None:
            table = read_properties(path, formula, target)
            self._parts = divided(table, by, least)
            self.splits = tuple(self._parts)
            self._classes, self.notes = table.classes, table.notes
            if self._classes:
                self.kinds = ("classification",) if table.numbers is None else ("classification", "regression")
            self.ways = min(Family.ways, max(2, len(np.unique(table.y)))) if self._classes else 2

    def source(self, split: str, kind: Kind, seed: int) -> Dataset | TaskSampler:
        if self._parts is None:
            simulated = CompoundProperties(split) if self.by == "property" else AlloyProperties()
            return TaskSampler(simulated, split, seed)
        part, numbers, median = self._parts[split], self._parts[split].numbers, self._parts["train"].numbers
        x, groups = describe(part.share), part.systems if self.by == "system" else part.names
        if numbers is None or median is None or (self._classes and kind == "classification"):
            return Dataset(x, part.y, part.systems)
        if kind == "regression":
            return Dataset(x, numbers, groups)
        return Dataset(x, np.where(numbers > np.median(median), "above the median", "below"), part.systems)

    def draw(self, figure: Figure, batch: EpisodeBatch) -> None:
        """Samples over the two means or spreads that y follows most closely and that are unlike each other."""
        first, second = followed(batch, 2 * len(PROPERTIES))
        what = "class" if batch.n_classes else "property"
        draw_plane(figure, batch, (FEATURES[first], FEATURES[second]), what, (first, second))
