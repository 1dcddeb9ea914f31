"""Any table of one's own by group: what does a recipe give on a new substrate, from a few that were measured on it?

The data are a CSV file with a sample in each row. A column names the group (a pair of substrates, a cation, a patient),
which is the task: no episode mixes two, and no group is in two of the splits. Another column is what to predict, and
all others are features.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import nearest
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.doors import Missing
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import Kind
from metaenv.supervised.families.division import Shares, split_real
from metaenv.supervised.families.family import Family, draw_heatmap, fitting_shots, followed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEED = 12  # of the division (chosen)


class GroupedTable(Family):
    """Regression of numbers, and classification of words, codes such as 0, 1, 2, or numbers above a threshold.

        mine = make_family("table", data="couplings.csv", target="yield", group="substrates")
        print(*mine.notes, sep="\\n")                      # what was assumed and left out
        train, test = mine.episodes("train", 10, 20), mine.episodes("test", 10, 20, seed=1)

    Features of numbers are as in the file. One of words becomes a column of 0 and 1 for each word that the whole table
    has, test groups included: these are choices that were known before anything was measured. Learners and baselines
    standardise all columns, and in regression y, by the statistics of training groups; errors are in the unit of y.

    Args:
        data: path of the CSV file; see `Dataset.from_csv` for what it may look like.
        target: the column to predict.
        group: the column whose values are the tasks.
        features: columns of features; by default all others that hold numbers or words.
        ids: column of names that tell rows apart.
        missing: "refuse" empty cells, or "drop" their rows.
        threshold: of numbers, in classification: class 1 lies above it; a number, or the "median" of each group.
        positive: of words, the one that is class 1; all others are then class 0. By default each word is a class.
        least: groups with fewer samples, in classification of any class, are left out.
        **shares: `split_real`'s shares, folds and fold, or hold_out. With a dozen groups a single division is a
            lottery: take the mean over all folds.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is not named or missing, a cell cannot be read, or there are too few groups.
    """

    name: ClassVar[str] = "table"
    provenance: ClassVar[str] = "Your own file, named by option data. Shares of the splits and seed are chosen."
    shots = (10, 20)
    classes_by = "group"

    def __init__(
        self,
        data: str | os.PathLike[str] | None = None,
        target: str | None = None,
        group: str | None = None,
        features: Sequence[str] | None = None,
        ids: str | None = None,
        missing: Missing = "refuse",
        threshold: float | Literal["median"] = "median",
        positive: str | None = None,
        least: int = 1,
        **shares: Unpack[Shares],
    ) -> None:
        if data is None or target is None or group is None:
            lacking = [name for name, v in {"data": data, "target": target, "group": group}.items() if v is None]
            raise ValueError(
                f"the family 'table' needs a CSV file, the column to predict and the column of groups; {lacking[0]} is "
                "not given: make_family('table', data='my.csv', target='yield', group='substrate'), or --options "
                "data my.csv target yield group substrate"
            )
        whole = Dataset.from_csv(data, target, features, group, ids, missing=missing, categories=True)
        self.quantity, self.columns, self.notes = target, whole.features, whole.notes
        of_kind: dict[Kind, NDArray[Any]] = {}
        if whole.y.dtype.kind in "fiu" and positive is None:
            of_kind["regression"] = whole.y.astype(np.float64)
        of_kind["classification"] = _labels(whole, threshold, positive)
        self.kinds = tuple(of_kind) if whole.y.dtype.kind == "f" else tuple(reversed(of_kind))
        self._parts: dict[Kind, dict[str, Dataset]] = {}
        self._shots: dict[Kind, tuple[int, int]] = {}
        for kind in self.kinds:
            data_of_kind = Dataset(whole.x, of_kind[kind], whole.groups, whole.ids, features=whole.features)
            try:
                kept, smallest = self._large_enough(data_of_kind, kind, least)
                self._parts[kind] = split_real(kept, SEED, "group", **shares)
            except ValueError as error:
                if kind == self.kinds[0]:
                    raise
                self.kinds = self.kinds[:1]
                self.notes += (f"{kind} is not possible: {error}",)
                continue
            self._shots[kind] = fitting_shots(self.shots, smallest)
        self.splits = tuple(self._parts[self.kinds[0]])

    def source(self, split: str, kind: Kind, seed: int) -> Dataset:
        return self._parts[kind][split]

    def shots_of(self, kind: Kind) -> tuple[int, int]:
        return self._shots[kind]

    def _large_enough(self, data: Dataset, kind: Kind, least: int) -> tuple[Dataset, int]:
        """The groups of at least ``least`` samples, in classification of each class, and the smallest number left."""
        groups, code = np.unique(data.groups, return_inverse=True)
        _, of_class = np.unique(data.y if kind == "classification" else np.zeros(len(data)), return_inverse=True)
        count = np.zeros((len(groups), of_class.max() + 1), np.intp)
        np.add.at(count, (code, of_class), 1)
        sizes, least = count.min(axis=1), max(1, least)
        kept, of = sizes >= least, " of each class" if kind == "classification" else ""
        if kept.sum() < 2:
            raise ValueError(
                f"expected at least two groups, to train on and to test on, of {least} samples{of}, got {kept.sum()} "
                f"({len(groups)} in all); choose another column as group, or lower least"
            )
        if not kept.all():
            small = ", ".join(map(str, groups[~kept][:8])) + (" …" if (~kept).sum() > 8 else "")
            self.notes += (f"{kind}: groups with fewer than {least} samples{of} are left out: {small}",)
        return data.take(kept[code]), int(sizes[kept].min())

    def draw(self, figure: Figure, batch: EpisodeBatch) -> None:
        """Features by class; in regression y over the feature that it follows most closely, coloured by a second."""
        if batch.n_classes:
            draw_heatmap(figure, batch)
            return
        first, second = followed(batch)
        names = [name if len(name) < 40 else f"{name[:39]}…" for name in self.columns]
        axes: Any = figure.subplots(1, 2, sharex=True, sharey=True)
        sides = ((batch.support_x, batch.support_y, "support"), (batch.query_x, batch.query_y, "query"))
        colours = batch.query_x[0, :, second]
        low, high = float(colours.min()), float(colours.max())
        for ax, (x, y, title) in zip(axes, sides, strict=True):
            ax.scatter(x[0, :, first], y[0], c=x[0, :, second], vmin=low, vmax=high, cmap="viridis", edgecolors="black")
            ax.set_title(title)
            ax.set_xlabel(names[first])
        axes[0].set_ylabel(self.quantity)
        figure.colorbar(axes[1].collections[0], ax=axes, label=names[second])


def _labels(whole: Dataset, threshold: float | Literal["median"], positive: str | None) -> NDArray[Any]:
    """(n,) classes: words or codes as they are, or 1 for the positive word or a number above the threshold, else 0."""
    if positive is not None:
        words = whole.y.astype(str)
        if positive not in words:
            raise ValueError(f"the target has no word {positive!r}.{nearest(positive, np.unique(words).tolist())}")
        return (words == positive).astype(np.int64)
    if whole.y.dtype.kind != "f":
        return whole.y
    if threshold != "median":
        return (whole.y > float(threshold)).astype(np.int64)
    groups, code = np.unique(whole.groups, return_inverse=True)
    return (whole.y > np.array([np.median(whole.y[code == g]) for g in range(len(groups))])[code]).astype(np.int64)
