"""Light curves: which kind of star or explosion is this, and is it something new?

Classes are regions of parameter space: each of twenty-one families of objects (`light_curve_models`) is cut into 4 x 4
regions of two of its parameters, so that there are hundreds of classes. Whole families are held out.

Rare transients (``kind="anomaly"``): the support set is a mixture of six of the eight families that surveys find all
the time, and queries also hold a rare kind of transient: in training one of three, in tests one of three others.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.plots import COLOURS
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import EpisodeBatch, distinct
from metaenv.supervised.data.problem import Kind
from metaenv.supervised.families.family import Family
from metaenv.supervised.families.light_curve_models import BANDS, FAMILIES
from metaenv.supervised.families.light_curve_survey import (
    N_VISITS,
    SHALLOW,
    WIDE,
    Photometry,
    Variant,
    features,
    found_objects,
    sequences,
)
from metaenv.tasks import FrozenTasks, Labelled, Reference, Task, TaskBatch, TaskDistribution, TaskSampler
from metaenv.typing import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 4  # regions of a family along each of two parameters (chosen)
SEED = 2_018_0812  # of the stored objects; PLAsTiCC was written up on arXiv in October 2018 (chosen)
COMMON = 6  # families in a mixture of normal objects, of the eight usual ones (chosen)
PER_CLASS = 40
SPLITS = ("train", "validation", "test", "ood-survey")


def families_of(split: str) -> list[int]:
    """Numbers of the families of a split in `FAMILIES`."""
    held = "test" if split == "ood-survey" else split
    return [i for i, family in enumerate(FAMILIES) if family.split == held]


@lru_cache(maxsize=16)
def objects(split: str, which: str, per_class: int) -> tuple[Photometry, NDArray[np.str_], NDArray[np.str_]]:
    """Light curves of all regions of some families, their classes and their families.

    Args:
        split: tells the survey, and which objects: those of two splits are different ones.
        which: the split whose families are simulated.
        per_class: objects of each region.
    """
    survey = SHALLOW if split == "ood-survey" else WIDE
    parts, classes, names = [], [], []
    cell = np.repeat(np.arange(SIDE * SIDE), per_class)
    for i in families_of(which):
        rng = np.random.default_rng([SEED, SPLITS.index(split), i])
        parts.append(found_objects(i, cell, SIDE, survey, rng))
        classes.append(
            np.char.add(f"{FAMILIES[i].name} ", np.char.add((cell // SIDE).astype(str), (cell % SIDE).astype(str)))
        )
        names.append(np.full(len(cell), FAMILIES[i].name))
    fields = Photometry.__dataclass_fields__
    joined = Photometry(*(np.concatenate([getattr(p, f) for p in parts]) for f in fields))
    return joined, np.concatenate(classes), np.concatenate(names)


class LightCurves(Family):
    """Light curves of variable stars, supernovae and other transients in six bands.

    Args:
        variant: ``"features"``, 46 statistics, or ``"sequence"``, 11 channels over 128 visits.
        per_class: objects simulated of each of the classes.
        data: files of real objects instead, see `read_plasticc`: then classes are split at random, 60/20/20 %, and
            there is no ood split.
    """

    name: ClassVar[str] = "light-curves"
    provenance: ClassVar[str] = (
        "Simulated. Pulsating stars: Fourier parameters fitted to OGLE-III (Soszynski et al.); flares: Davenport et "
        "al. 2014; quasars: MacLeod et al. 2010; supernovae and other transients: published ranges with blackbody "
        "colours, no spectral templates; noise: medians of PLAsTiCC's wide survey; cadence and the rest are chosen."
    )
    kinds = ("classification", "anomaly")
    splits = SPLITS

    def __init__(
        self,
        variant: Variant = "features",
        per_class: int = PER_CLASS,
        data: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
    ) -> None:
        if variant not in ("features", "sequence"):
            raise ValueError(f"expected 'features' or 'sequence' as the variant of light curves, got {variant!r}")
        self.variant: Variant = variant
        self.per_class = per_class
        self._real = None if data is None else _split_real(*data)
        if data is not None:
            self.kinds, self.splits = ("classification",), ("train", "validation", "test")

    def source(self, split: str, kind: Kind, seed: int) -> Dataset | TaskSampler:
        """The split's data set; for rare transients mixtures of them."""
        if kind == "anomaly":
            return TaskSampler(RareTransients(self.variant, self.per_class, split), split, seed)
        if self._real is not None:
            photometry, classes = self._real[split]
            return Dataset(represent(photometry, self.variant), classes)
        return _dataset(split, self.variant, self.per_class)

    def threshold(self, kind: Kind) -> float | None:
        """An anomaly has y = 1."""
        return 0.5 if kind == "anomaly" else None

    def draw(self, figure: Figure, batch: EpisodeBatch) -> None:
        """Support objects of an episode, by class: flux over time in each band."""
        if batch.problem.kind == "anomaly" or self._real is not None:
            _draw_features(figure, batch)
        else:
            split = _split_of(batch)
            _draw_curves(figure, batch, objects(split, split, self.per_class)[0])


def represent(photometry: Photometry, variant: Variant) -> NDArray[np.float32]:
    """What a learner sees of light curves."""
    return features(photometry) if variant == "features" else sequences(photometry)


@lru_cache(maxsize=8)
def _dataset(split: str, variant: Variant, per_class: int) -> Dataset:
    photometry, classes, names = objects(split, split, per_class)
    return Dataset(represent(photometry, variant), classes, names)


# RARE TRANSIENTS


@dataclass(frozen=True)
class MixtureTask(Task):
    """What a survey's stream of objects is made of."""

    family: ClassVar[str] = "RareTransients"

    common: tuple[float, ...]
    """(6,) families of normal objects, as places in `FAMILIES`; each is as frequent."""
    rare: float
    """The family of the anomalies."""


@dataclass(frozen=True)
class RareTransients(TaskDistribution):
    """Mixtures of common families with a rare one; ``labelled`` has y = 1 for the rare, a quarter of all."""

    task_type: ClassVar[type[Task]] = MixtureTask
    variant: Variant = "features"
    per_class: int = PER_CLASS
    objects_of: str = "train"
    """The split whose objects are shown: no object is in two of them."""
    unit_dim: int = 1 + len(FAMILIES)
    splits: tuple[str, ...] = SPLITS

    def from_unit(self, unit: Floats, split: str) -> TaskBatch:
        """The first number says which family is rare, the others which six of the usual ones are common."""
        able = np.array([i for i in families_of(split) if FAMILIES[i].transient])
        usual = np.array([i for i, family in enumerate(FAMILIES) if family.usual])
        common = np.sort(usual[unit[:, 1 : 1 + len(usual)].argsort(axis=1)[:, :COMMON]], axis=1)
        rare = able[(unit[:, 0] * len(able)).astype(np.intp)]
        return TaskBatch(MixtureTask, {"common": common, "rare": rare})

    def frozen(self, split: str) -> FrozenTasks:
        """256 mixtures of a split."""
        tasks = self.sample(256, split, np.random.default_rng([SEED, SPLITS.index(split)]))
        return FrozenTasks(split, tasks, self.reference(tasks), tasks.sha256)

    def reference(self, tasks: TaskBatch) -> Reference:
        """AUROC of guessing, 0.5, and of knowing, 1."""
        return Reference(np.full(len(tasks), 0.5), np.ones(len(tasks)))

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """``n`` different objects of each task."""
        stock, start, size = _stock(self.variant, self.per_class, self.objects_of)
        if n > size or (start[tasks.rare.astype(np.intp)] < 0).any():
            raise ValueError(
                f"expected at most {size} objects of families that the split {self.objects_of} has, got {n} of "
                f"{[FAMILIES[int(i)].name for i in np.unique(tasks.rare)]}; raise per_class, or set objects_of"
            )
        anomalous = rng.permuted(np.broadcast_to(np.arange(n) % 4 == 0, (len(tasks), n)), axis=1)
        common = np.take_along_axis(tasks.common, rng.integers(COMMON, size=(len(tasks), n)), axis=1)
        family = np.where(anomalous, tasks.rare[:, None], common).astype(np.intp)
        rows = start[family] + distinct(np.full(len(tasks), size), n, rng)  # another object each time
        return Labelled(stock[rows].astype(np.float64), anomalous.astype(np.float64), tasks.ids)

    def context(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, 2 * families) -1 or 1: which families are common, which is rare."""
        place = np.arange(len(FAMILIES))
        common = (tasks.common[:, :, None] == place).any(axis=1)
        return np.concatenate([common, tasks.rare[:, None] == place], axis=1) * np.float32(2) - np.float32(1)


@lru_cache(maxsize=4)
def _stock(variant: Variant, per_class: int, split: str) -> tuple[NDArray[np.float32], NDArray[np.intp], int]:
    """All objects that mixtures are made of, where each family starts (-1: not there), and objects of a family."""
    start, parts, at = np.full(len(FAMILIES), -1), [], 0
    size = SIDE * SIDE * per_class
    for held in dict.fromkeys(["train", "test" if split == "ood-survey" else split]):
        parts.append(represent(objects(split, held, per_class)[0], variant))
        for i in families_of(held):
            start[i] = at
            at += size
    return np.concatenate(parts), start, size


# REAL OBJECTS


def read_plasticc(
    curves: str | os.PathLike[str], objects_file: str | os.PathLike[str]
) -> tuple[Photometry, NDArray[np.str_]]:
    """Light curves in the format of PLAsTiCC, and their classes.

    Args:
        curves: CSV with object_id, mjd, passband (0-5), flux, flux_err, and any other columns.
        objects_file: CSV with object_id, target, and hostgal_photoz if known.

    Returns:
        Up to the 128 visits of each object that are most significant, sorted by time, and (n,) targets.

    Raises:
        ValueError: a column is missing, or numbers cannot be read.
    """
    meta = {row["object_id"]: row for row in _rows(objects_file, ("object_id", "target"))}
    points: dict[str, list[tuple[float, float, float, float]]] = {}
    for row in _rows(curves, ("object_id", "mjd", "passband", "flux", "flux_err")):
        if row["object_id"] in meta:
            try:
                mjd, band, flux, error = (float(row[k]) for k in ("mjd", "passband", "flux", "flux_err"))
            except (TypeError, ValueError) as problem:
                raise ValueError(
                    f"expected numbers in {curves}, got {row} ({problem}); leave such rows out"
                ) from problem
            points.setdefault(row["object_id"], []).append((mjd, band, flux, error))
    if not points:
        raise ValueError(f"{curves} has no light curve of an object in {objects_file}; their object_id must agree")
    names = list(points)
    redshift = np.array([float(meta[k].get("hostgal_photoz") or 0) for k in names])
    return _padded([np.array(points[k]) for k in names], redshift), np.array([meta[k]["target"] for k in names])


def _rows(path: str | os.PathLike[str], columns: tuple[str, ...]) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if missing := [c for c in columns if c not in (reader.fieldnames or ())]:
            raise ValueError(f"expected columns {', '.join(columns)} in {path}; {', '.join(missing)} missing")
        return list(reader)


def _padded(curves: list[NDArray[Any]], redshift: Floats) -> Photometry:
    n = len(curves)
    t, flux, error = np.zeros((n, N_VISITS)), np.zeros((n, N_VISITS)), np.ones((n, N_VISITS))
    band, seen = np.zeros((n, N_VISITS), np.intp), np.zeros((n, N_VISITS), bool)
    for i, curve in enumerate(curves):
        if not np.isfinite(curve).all() or (curve[:, 3] <= 0).any() or not np.isin(curve[:, 1], range(6)).all():
            raise ValueError(f"object {i}: expected finite numbers, passbands 0-5 and positive errors")
        best = np.argsort(-np.abs(curve[:, 2] / curve[:, 3]), kind="stable")[:N_VISITS]
        kept = curve[best][np.argsort(curve[best, 0], kind="stable")]
        k = len(kept)
        t[i, :k], band[i, :k], flux[i, :k], error[i, :k] = kept.T
        t[i, :k] -= kept[0, 0]
        t[i, k:] = t[i, k - 1]
        seen[i, :k] = True
    return Photometry(t, band, flux, error, redshift, seen)


def _split_real(
    curves: str | os.PathLike[str], objects_file: str | os.PathLike[str]
) -> dict[str, tuple[Photometry, NDArray[np.str_]]]:
    photometry, classes = read_plasticc(curves, objects_file)
    rows = Dataset(np.arange(len(classes), dtype=np.float64)[:, None], classes)
    parts = rows.split_by_class({"train": 0.6, "validation": 0.2, "test": 0.2}, np.random.default_rng(SEED))
    return {name: (photometry.take(part.ids), part.y) for name, part in parts.items()}


# PICTURES


def _split_of(batch: EpisodeBatch) -> Literal["train", "validation", "test"]:
    name = str(batch.task_ids[0, 0]).rsplit(" ", 1)[0]
    return next(family.split for family in FAMILIES if family.name == name)  # type: ignore[return-value]


def _draw_curves(figure: Figure, batch: EpisodeBatch, photometry: Photometry) -> None:
    ways, shown = batch.task_ids.shape[1], 3
    axes: Any = figure.subplots(shown, ways, squeeze=False)
    labels = batch.support_y[0].numpy()
    for way in range(ways):
        for row, k in enumerate(batch.support_ids[0][labels == way][:shown]):
            ax = axes[row, way]
            for b in range(len(BANDS)):
                here = photometry.band[k] == b
                ax.errorbar(
                    photometry.t[k, here], photometry.flux[k, here], photometry.error[k, here],
                    fmt=".", ms=3, lw=0.6, color=COLOURS[b], label=BANDS[b],
                )  # fmt: skip
            ax.tick_params(labelsize=6)
        axes[0, way].set_title(str(batch.task_ids[0, way]), fontsize=8)
    axes[-1, 0].set_xlabel("days", fontsize=8)
    axes[-1, 0].set_ylabel("flux, zero point 27.5", fontsize=8)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower right", ncols=6, fontsize=8, handletextpad=0
    )


def _draw_features(figure: Figure, batch: EpisodeBatch) -> None:
    """Every support and query object as a row of features."""
    x = np.concatenate([batch.support_x[0].flatten(1), batch.query_x[0].flatten(1)]).astype(float)
    ax: Any = figure.add_subplot()
    spread = x.std(axis=0)
    shown = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1)
    n_shot = batch.support_y.shape[1]
    queries = np.argsort(batch.query_y[0].numpy(), kind="stable") + n_shot
    order = np.concatenate([np.argsort(batch.support_y[0].numpy(), kind="stable"), queries])
    ax.imshow(shown[order], aspect="auto", cmap="coolwarm", vmin=-3, vmax=3, interpolation="nearest")
    ax.axhline(n_shot - 0.5, color="black")
    ax.axhline(len(x) - 0.5 - int((batch.query_y[0] == 1).sum()), color="black", ls=":")
    ax.set_xlabel("feature")
    ax.set_ylabel("object; support above the line, anomalies below the dots")
