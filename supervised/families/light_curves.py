"""Light curves: which kind of star or explosion is this, and is it something new?

Classes are regions of parameter space: each of twenty-one families of objects (`light_curve_models`) is cut into 4 x 4
regions of two of its parameters, so that there are hundreds of classes. Whole families are held out.

Rare transients (``kind="anomaly"``): the support set is a mixture of six of the eight families that surveys find all
the time, and queries also hold a rare kind of transient: in training one of three, in tests one of three others.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from metaenv.plots import COLOURS
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import Kind
from metaenv.supervised.families.family import Family, split_real
from metaenv.supervised.families.light_curve_files import read_plasticc
from metaenv.supervised.families.light_curve_light import BANDS
from metaenv.supervised.families.light_curve_models import FAMILIES
from metaenv.supervised.families.light_curve_survey import Photometry, Variant
from metaenv.supervised.families.rare_transients import PER_CLASS, SEED, SPLITS, RareTransients, objects, represent
from metaenv.tasks import TaskSampler

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        self._real: dict[str, Dataset] | None = None
        if data is not None:
            photometry, classes = read_plasticc(*data)
            parts = split_real(Dataset(represent(photometry, variant), classes), "class", SEED)
            self._real = {split: Dataset(part.x, part.y) for split, part in parts.items()}
            self.kinds, self.splits = ("classification",), tuple(parts)

    def source(self, split: str, kind: Kind, seed: int) -> Dataset | TaskSampler:
        """The split's data set; for rare transients mixtures of them."""
        if kind == "anomaly":
            return TaskSampler(RareTransients(self.variant, self.per_class, split), split, seed)
        return _dataset(split, self.variant, self.per_class) if self._real is None else self._real[split]

    def threshold(self, kind: Kind) -> float | None:
        """An anomaly has y = 1."""
        return 0.5 if kind == "anomaly" else None

    def draw(self, figure: Figure, batch: EpisodeBatch) -> None:
        """Support objects of an episode, by class: flux over time in each band."""
        if batch.problem.kind == "anomaly" or self._real is not None:
            _draw_features(figure, batch)
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
