"""Blood cells: which kind is this, from a few pictures of each?

A class is a region of the space of size, share and lobes of the nucleus, granules and cytoplasm: 288 in all
(`blood_cell_images`). A group is a slide, with a stain of its own; neither classes nor slides are in two splits. In
``ood-stain`` the classes are those of ``test``, and slides are stained as none of the others.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np

from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.families.blood_cell_images import N_CLASSES, PIXELS, class_name, draw_cells, smears
from metaenv.supervised.families.division import Division, split_real
from metaenv.supervised.families.family import ENDS, ClassFamily, TrainOn, check_train_on
from metaenv.supervised.families.image_files import load_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEED = 28  # of the stored pictures (chosen)
SPLITS = ("train", "validation", "test", "ood-stain")
SLIDES = 20  # in each split (chosen)


class BloodCells(ClassFamily):
    """Pictures of blood cells, RGB, as (3, height, width).

    Args:
        per_class: pictures drawn of each class.
        data: real pictures instead: a ``.npz`` or a folder, see `load_images`. There is no ood split then.
        side: pixels that pictures of a folder are resized to.
        train_on: with ``data``: ``"files"``, or ``"generator"`` to train and validate on drawn pictures, and to test on
            the test split of the files.
        **division: how ``data`` are divided, see `split_real`: ``split_by="group"`` for files that name a group of each
            picture and have few classes; then patients or slides are new in tests, and classes are not.

    Raises:
        ValueError: pictures cannot be read or divided, or what is said of them is said without ``data``.
    """

    name: ClassVar[str] = "blood-cells"
    provenance: ClassVar[str] = (
        "Drawn by a generator; colours set by eye beside crops of BCCD (Shenggan, MIT licence), all else chosen. Real "
        "pictures by path carry the licence of who made them."
    )
    splits = SPLITS

    def __init__(
        self,
        per_class: int = 30,
        data: str | os.PathLike[str] | None = None,
        side: int = 28,
        train_on: TrainOn = "files",
        **division: Unpack[Division],
    ) -> None:
        check_train_on(train_on)
        if data is None and (division or train_on != "files"):
            raise ValueError(f"{', '.join(division) or 'train_on'} is for real pictures, which are missing: give data")
        real = None if data is None else split_real(load_images(data, side), SEED, **division)
        if real is not None and train_on == "generator":
            if real["test"].x_shape != (3, PIXELS, PIXELS):
                raise ValueError(
                    f"pictures are drawn in colours with {PIXELS} pixels a side, and the shape of those of {data} is "
                    f"{real['test'].x_shape}; resize them, or train on the files"
                )
            real |= {split: drawn(split, per_class) for split in ("train", "validation")}
        super().__init__(per_class, real)

    def generated(self, split: str) -> Dataset:
        return drawn(split, self.per_class)

    def draw(self, figure: Figure, batch: EpisodeBatch) -> None:
        """Support pictures on the left, some queries on the right, a class a row."""
        shown = 5  # of each class
        labels = np.unique(batch.query_y[0].numpy())
        axes: Any = figure.subplots(len(labels), 2 * shown, squeeze=False)
        for ax in axes.ravel():
            ax.set_axis_off()
        sides = ((batch.support_x, batch.support_y, 0, "support"), (batch.query_x, batch.query_y, shown, "query"))
        for x, y, first, title in sides:
            axes[0, first].set_title(title, fontsize=9, loc="left")
            for row, label in enumerate(labels):
                for k, picture in enumerate(x[0][y[0] == int(label)][:shown]):
                    colours = picture.permute(1, 2, 0).numpy()
                    axes[row, first + k].imshow(colours[..., 0] if colours.shape[2] == 1 else colours, cmap="gray")
        if batch.problem.kind == "classification":
            for row, label in enumerate(labels):
                text = str(batch.task_ids[0, int(label)]).replace(", ", "\n")
                left = axes[row, 0]
                left.text(-0.15, 0.5, text, transform=left.transAxes, ha="right", va="center", fontsize=6)


@lru_cache(maxsize=8)
def drawn(split: str, per_class: int) -> Dataset:
    """The pictures of a split: its classes on its slides."""
    start, end = (round(share * N_CLASSES) for share in ENDS.get(split, ENDS["test"]))
    chosen = np.random.default_rng(SEED).permutation(N_CLASSES)[start:end]
    rng = np.random.default_rng([SEED, SPLITS.index(split)])
    classes = np.repeat(chosen, per_class)
    slide = rng.integers(SLIDES, size=len(classes))
    pictures = draw_cells(classes, slide, smears(SLIDES, rng, split == "ood-stain"), rng)
    names = np.array([class_name(c) for c in range(N_CLASSES)])[classes]
    return Dataset(pictures.transpose(0, 3, 1, 2), names, np.char.add(f"{split} slide ", slide.astype(str)))
