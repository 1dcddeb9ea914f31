"""Assays of one's own: which molecules are active, or how active are they, from a few that were measured?

The data are a CSV file with a molecule (SMILES), an assay and a value or a label in each row. A task is an assay, and
no episode mixes two. Neither an assay nor a molecule is in two of the splits. A molecule is described by its Morgan
fingerprint, or by seven properties.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from metaenv.errors import nearest
from metaenv.molecules.assay.holdout import Apart, divide
from metaenv.molecules.assay.measurements import SPLITS, Measurements, read_measurements
from metaenv.molecules.chem.chemistry import OWN
from metaenv.molecules.chem.fragmentation import to_mol
from metaenv.molecules.chem.properties import PROPERTIES, by_smiles, fingerprint
from metaenv.molecules.design.tasks import Features
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import Kind
from metaenv.supervised.families.family import Family, draw_heatmap, draw_plane, fitting_shots
from metaenv.typing import Bools

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Assays(Family):
    """Classification (active or not, assay by assay) and regression; labels are classified only.

        mine = make_family("assays", data="my.csv")
        print(mine.report())                              # what was read, and how it was divided
        train, test = mine.episodes("train", 8, 16), mine.episodes("test", 8, 16, seed=1)

    Active means labelled so; of numbers, above ``threshold``, by default above the median of the assay. In regression
    y is the value as it was read.

    Args:
        data: path of the CSV file, or what `read_measurements` made of one.
        features: ``"fingerprint"``, 1,024 bits, or ``"properties"``, seven numbers.
        threshold: see above.
        least: assays with fewer molecules in their split are left out; in classification, of either class. Where the
            smallest that is left has too few for episodes of 8 + 16, the default is as much as it has.
        apart: what is in one split only, beside assays: a ``"molecule"``, or a ``"scaffold"`` with all its molecules.
        **columns: how to read the file, as `read_measurements` takes it: ``smiles="Structure"``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no data, or they cannot be read or divided; the message says what to do.
    """

    name: ClassVar[str] = "assays"
    provenance: ClassVar[str] = (
        "Your own file, named by option data. Shares of the splits and the median as threshold are chosen."
    )
    shots = (8, 16)
    classes_by = "group"

    def __init__(
        self,
        data: str | os.PathLike[str] | Measurements | None = None,
        features: Features = "fingerprint",
        threshold: float | None = None,
        least: int = 10,
        apart: Apart = "molecule",
        **columns: Any,
    ) -> None:
        if data is None:
            raise ValueError(
                "the family 'assays' needs a CSV file with columns smiles, assay and value: make_family('assays', "
                "data='my.csv'), or --options data my.csv"
            )
        if features not in ("fingerprint", "properties"):
            raise ValueError(f"no features {features!r}.{nearest(features, ('fingerprint', 'properties'))}")
        if isinstance(data, Measurements) and columns:
            raise ValueError(f"the data are read already; give {', '.join(columns)} to read_measurements instead")
        measured = data if isinstance(data, Measurements) else read_measurements(data, **columns)
        if measured.labels and threshold is not None:
            raise ValueError(f"{measured.path} has labels, so that there is nothing to compare with a threshold")
        self.measured, self.features, self.threshold_of_activity, self.least = measured, features, threshold, least
        self.division = divide(measured, apart)
        self.kinds = ("classification",) if measured.labels else ("classification", "regression")
        self.splits = tuple(split for split in SPLITS if (self.division.split == split).any())
        if not {"train", "test"} <= set(self.splits):
            raise ValueError(
                f"expected assays of train and of test, got {len(measured.names)} assays in {measured.path}, of split "
                f"{' and '.join(self.splits)}: bring two assays at least, or mark some as test in a column 'split'"
            )
        self._made: dict[tuple[str, Kind], Dataset] = {}
        self._notes: list[str] = []
        self._rows = {(split, kind): self._large_enough(split, kind) for kind in self.kinds for split in self.splits}
        self._x = self._described()

    @property
    def notes(self) -> tuple[str, ...]:  # type: ignore[override]
        """What was assumed, merged or left out so far."""
        return (*self.measured.notes, *self.division.notes, *self._notes)

    def report(self) -> str:
        """What was read and how it was divided, as text."""
        split, measured = self.division.split, self.measured
        rows = [
            f"- {name} ({there}): {(kept := (measured.assay == a) & (split != '')).sum():,} molecules"
            + (f", {measured.active(self.threshold_of_activity)[kept].mean():.0%} active" if kept.any() else "")
            for a, (name, there) in enumerate(zip(measured.names, self.division.assays.tolist(), strict=True))
        ]
        return "\n".join(
            [measured.report(), "The splits of few-shot episodes:", *rows, *self.division.notes, *self._notes]
        )

    def source(self, split: str, kind: Kind, seed: int) -> Dataset:
        if (split, kind) not in self._made:
            self._made[split, kind] = self._dataset(split, kind)
        return self._made[split, kind]

    def _large_enough(self, split: str, kind: Kind) -> Bools:
        """(n,) rows of the assays of a split that have at least `least` molecules; `shots` adapt to the smallest."""
        measured, rows = self.measured, self.division.split == split
        sizes = np.bincount(measured.assay[rows], minlength=len(measured.names))
        if kind == "classification":
            active = rows & measured.active(self.threshold_of_activity)
            ones = np.bincount(measured.assay[active], minlength=len(measured.names))
            sizes = np.minimum(ones, sizes - ones)
        here = np.unique(measured.assay[rows])
        kept = here[sizes[here] >= max(1, self.least)]
        if len(kept) < len(here):
            of = " of either class" if kind == "classification" else ""
            small = ", ".join(measured.names[a] for a in here if a not in kept)
            self._notes.append(
                f"{split}, {kind}: assays with fewer than {self.least} molecules{of} are left out: {small}"
            )
        self.shots = fitting_shots(self.shots, int(sizes[kept].min(initial=sum(self.shots))))
        return rows & np.isin(measured.assay, kept)

    def _dataset(self, split: str, kind: Kind) -> Dataset:
        measured, rows = self.measured, self._rows[split, kind]
        if not rows.any():
            raise ValueError(
                f"no assay of {measured.path} is large enough for split {split!r} and {kind}; lower least (now "
                f"{self.least}), or bring more measurements. {'; '.join(self._notes)}"
            )
        names = np.array(measured.names)[measured.assay[rows]]
        active = measured.active(self.threshold_of_activity)[rows]
        y = active.astype(np.int64) if kind == "classification" else measured.value[rows]
        ids = [f"{name}: {measured.smiles[i]}" for name, i in zip(names, np.flatnonzero(rows), strict=True)]
        return Dataset(self._x[rows], y, names, ids)

    def _described(self) -> np.ndarray[Any, Any]:
        known: dict[str, np.ndarray[Any, Any]] = {}
        for text in self.measured.flat:
            if text not in known:
                known[text] = (
                    np.unpackbits(fingerprint(to_mol(text)))
                    if self.features == "fingerprint"
                    else OWN.scaled(by_smiles(text))
                )
        return np.stack([known[text] for text in self.measured.flat]).astype(np.float32)

    def draw(self, figure: Figure, batch: EpisodeBatch) -> None:
        """Molecules by their features: the bits that differ most between the classes, or two columns."""
        if batch.n_classes and self.features == "fingerprint":
            draw_heatmap(figure, batch)
            return
        spread = batch.support_x[0].std(0)
        first, second = (0, 1) if self.features == "properties" else spread.argsort(descending=True)[:2].tolist()
        names = PROPERTIES if self.features == "properties" else [f"bit {first}", f"bit {second}"]
        draw_plane(figure, batch, [str(n) for n in names], "active" if batch.n_classes else "value", (first, second))
