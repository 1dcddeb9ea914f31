"""Light curves: which kind of star or explosion is this, and is it something new?

Classes are regions of parameter space: each of twenty-one families of objects (`light_curve_models`) is cut into 4 x 4
regions of two of its parameters, so that there are hundreds of classes. Whole families are held out.

Rare transients (``kind="anomaly"``): the support set is a mixture of six of the eight families that surveys find all
the time, and queries also hold a rare kind of transient: in training one of three, in tests one of three others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from metaenv.plots import COLOURS
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import Kind
from metaenv.supervised.families.division import split_real
from metaenv.supervised.families.family import ClassFamily, TrainOn, check_train_on, draw_heatmap
from metaenv.supervised.families.light_curve_files import read_plasticc
from metaenv.supervised.families.light_curve_light import BANDS
from metaenv.supervised.families.light_curve_models import FAMILIES
from metaenv.supervised.families.light_curve_survey import Photometry, Variant, represent
from metaenv.supervised.families.rare_transients import PER_CLASS, SEED, SPLITS, RareTransients, objects
from metaenv.tasks import TaskSampler

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class LightCurves(ClassFamily):
    """Light curves of variable stars, supernovae and other transients in six bands.

    Args:
        variant: ``"features"``, 46 statistics, or ``"sequence"``, 11 channels over 128 visits.
        per_class: objects simulated of each of the classes.
        data: two files of measured objects instead, visits and objects, see `light_curve_files.read_plasticc`. Then
            there is no ood split, and no anomalies.
        shares: with ``data``: the share of the classes in each split, by default train 0.6, validation 0.2, test 0.2.
        train_on: with ``data``: ``"files"``, or ``"generator"`` to train and validate on simulated classes as without
            files, and to test on all classes of the files.
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
        data: Sequence[str | os.PathLike[str]] | None = None,
        shares: Mapping[str, float] | None = None,
        train_on: TrainOn = "files",
    ) -> None:
        if variant not in ("features", "sequence"):
            raise ValueError(f"expected 'features' or 'sequence' as the variant of light curves, got {variant!r}")
        check_train_on(train_on)
        if data is None and (shares is not None or train_on != "files"):
            raise ValueError("shares and train_on are for files, which are missing: give data=(visits, objects)")
        self.variant: Variant = variant
        real: dict[str, Dataset] | None = None
        if data is not None:
            if isinstance(data, str | os.PathLike) or len(data) != 2:
                raise ValueError(f"expected two files as data, of visits and of objects, got {data!r}")
            measured = read_plasticc(*data)
            self.notes = measured.notes
            whole = Dataset(represent(measured.photometry, variant), measured.classes, ids=measured.ids)
            if train_on == "files":
                real = split_real(whole, SEED, shares=shares)
            elif shares is not None:
                raise ValueError("with train_on='generator' all classes of the files are for tests; leave shares out")
            else:
                real = {split: _dataset(split, variant, per_class) for split in ("train", "validation")}
                real["test"] = whole
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
