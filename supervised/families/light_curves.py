"""Light curves: which kind of star or explosion is this, and is it something new?

Classes are regions of parameter space: each of twenty-one families of objects (`light_curve_models`) is cut into 4 x 4
regions of two of its parameters, so that there are hundreds of classes. Whole families are held out.

Rare transients (``kind="anomaly"``): the support set is a mixture of six of the eight families that surveys find all
the time, and queries also hold a rare kind of transient: in training one of three, in tests one of three others.
"""

from __future__ import annotations

import csv
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from metaenv.plots import COLOURS
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import Kind
from metaenv.supervised.families.family import ClassFamily, draw_heatmap, split_real
from metaenv.supervised.families.light_curve_light import BANDS
from metaenv.supervised.families.light_curve_models import FAMILIES
from metaenv.supervised.families.light_curve_survey import N_VISITS, Photometry, Variant, represent
from metaenv.supervised.families.rare_transients import PER_CLASS, SEED, SPLITS, RareTransients, objects
from metaenv.tasks import TaskSampler
from metaenv.typing import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class LightCurves(ClassFamily):
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
    splits = SPLITS
    threshold = 0.5  # an anomaly has y = 1

    def __init__(
        self,
        variant: Variant = "features",
        per_class: int = PER_CLASS,
        data: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
    ) -> None:
        if variant not in ("features", "sequence"):
            raise ValueError(f"expected 'features' or 'sequence' as the variant of light curves, got {variant!r}")
        self.variant: Variant = variant
        real: dict[str, Dataset] | None = None
        if data is not None:
            photometry, classes = read_plasticc(*data)
            parts = split_real(Dataset(represent(photometry, variant), classes), "class", SEED)
            real = {split: Dataset(part.x, part.y) for split, part in parts.items()}
            self.kinds = ("classification",)
        super().__init__(per_class, real)

    def generated(self, split: str) -> Dataset:
        return _dataset(split, self.variant, self.per_class)

    def source(self, split: str, kind: Kind, seed: int) -> Dataset | TaskSampler:
        if kind == "anomaly":
            return TaskSampler(RareTransients(self.variant, self.per_class, split), split, seed)
        return super().source(split, kind, seed)

    def draw(self, figure: Figure, batch: EpisodeBatch) -> None:
        """Support objects of an episode, by class: flux over time in each band."""
        if batch.problem.kind == "anomaly" or self._real is not None:
            draw_heatmap(figure, batch)
        else:
            family = str(batch.task_ids[0, 0]).rsplit(" ", 1)[0]
            split = next(known.split for known in FAMILIES if known.name == family)
            _draw_curves(figure, batch, objects(split, split, self.per_class)[0])


@lru_cache(maxsize=8)
def _dataset(split: str, variant: Variant, per_class: int) -> Dataset:
    photometry, classes, names = objects(split, split, per_class)
    return Dataset(represent(photometry, variant), classes, names)


# FILES


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


# PICTURES


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
    bands = axes[0, 0].get_legend_handles_labels()
    figure.legend(*bands, loc="outside lower right", ncols=6, fontsize=8, handletextpad=0)
