"""The simulated objects of each split, and mixtures of them with a rare kind of transient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from metaenv.supervised.data.sources import distinct
from metaenv.supervised.families.light_curve_models import FAMILIES
from metaenv.supervised.families.light_curve_survey import SHALLOW, WIDE, Photometry, Variant, found_objects, represent
from metaenv.tasks import Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.typing import Floats

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
    """Light curves of all regions of the families of the split ``which``, their classes and their families.

    The first split tells the survey, and which objects: those of two splits are different ones.
    """
    survey = SHALLOW if split == "ood-survey" else WIDE
    parts, classes, names = [], [], []
    cell = np.repeat(np.arange(SIDE * SIDE), per_class)
    for i in families_of(which):
        rng = np.random.default_rng([SEED, SPLITS.index(split), i])
        parts.append(found_objects(i, cell, SIDE, survey, rng))
        region = np.char.add((cell // SIDE).astype(str), (cell % SIDE).astype(str))
        classes.append(np.char.add(f"{FAMILIES[i].name} ", region))
        names.append(np.full(len(cell), FAMILIES[i].name))
    return Photometry.joined(parts), np.concatenate(classes), np.concatenate(names)


# MIXTURES


@dataclass(frozen=True)
class MixtureTask(Task):
    """What a survey's stream of objects is made of."""

    family: ClassVar[str] = "RareTransients"

    common: tuple[float, ...]  # (6,) families of normal objects, as places in `FAMILIES`; each is as frequent
    rare: float  # the family of the anomalies


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
