"""Labelled data sets, as the raw material of episodes: checked once, split by class or by group."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from metaenv.supervised.data.doors import Missing, TargetKind, of_csv, of_frame, of_torch
from metaenv.typing import Bools, Index


class Dataset:
    """Samples with labels (or targets), groups and ids. A value: treat the arrays as read-only.

    Args:
        x: (n, *x_shape), finite numbers. uint8 is kept as it is, and divided by 255 whenever it is handed out.
        y: (n,) class labels of any type (numbers, strings), or float targets for regression.
        groups: (n,) what a sample comes from, of any type: patient, assay, alphabet, chemical system. In regression a
            group is a task; in classification groups serve to split by. None puts all samples in one group.
        ids: (n,) names of the samples, unique; None numbers them.
        notes: what was assumed or left out when the samples were read, in sentences.
        features: names of the columns of x, where they have some.

    Raises:
        ValueError: lengths differ, samples of different shape, NaN, or names that repeat.
    """

    def __init__(
        self,
        x: ArrayLike | Tensor,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        notes: Sequence[str] = (),
        features: Sequence[str] = (),
    ) -> None:
        self.notes, self.features = tuple(notes), tuple(features)
        self.x = _samples(x)
        n = len(self.x)
        self.y = _column("y", y, n)
        self.groups = _column("groups", np.zeros(n, np.int64) if groups is None else groups, n)
        self.ids = _column("ids", np.arange(n) if ids is None else ids, n)
        if self.y.dtype.kind == "f" and not np.isfinite(self.y).all():
            row = int(np.flatnonzero(~np.isfinite(self.y))[0])
            raise ValueError(f"expected finite y, got {self.y[row]} for sample {self.ids[row]}; leave it out")
        if self.y.dtype.kind == "f" and (np.abs(self.y) > np.finfo(np.float32).max).any():
            row = int(np.argmax(np.abs(self.y)))
            raise ValueError(
                f"expected y within 3e38, the range of float32, got {self.y[row]} for sample {self.ids[row]}; use "
                "another unit"
            )
        if len(np.unique(self.ids)) != n:
            raise ValueError("expected unique ids, got some twice; leave ids out to number the samples")

    # DOORS

    @classmethod
    def from_csv(
        cls,
        path: str | os.PathLike[str],
        target: str,
        features: Sequence[str] | None = None,
        group: str | None = None,
        ids: str | None = None,
        *,
        kind: TargetKind | None = None,
        missing: Missing = "refuse",
        categories: bool = False,
        least: int = 1,
    ) -> Self:
        """The rows of a CSV file with a header, in any usual encoding, delimiter and decimal mark.

        Args:
            target: column of y. Words are class names, and stay them. Whole numbers 0, 1 … or 1, 2 … without a gap, at
                most ten of them, and -1 and 1 are classes unless ``kind`` is "regression"; all others are amounts
                unless it is "classification".
            features: columns of x, in this order. None takes all other columns of numbers, without those that number
                the rows. true, false, yes and no are 1 and 0; words and dates are no features.
            categories: let words be features, too: a column of 0 and 1 for each word that the whole table has in the
                column, of which no splitting of the rows can then take one away.
            group: column of what a sample comes from; in regression, its values are the tasks.
            ids: column of names that tell samples apart.
            missing: a cell without a value (empty, NaN, NA, null; among numbers also ? and -) in one of these columns
                is refused, or its row is left out ("drop").
            least: classes, in regression groups, with fewer samples are left out.

        `notes` say what was assumed and left out.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it cannot be read, or a cell has no such meaning; the message names file, row and column.
        """
        how: dict[str, Any] = {"kind": kind, "missing": missing, "categories": categories}
        parts = of_csv(path, target=target, features=features, group=group, ids=ids, **how)
        return cls(**parts)._with_least(least)

    @classmethod
    def from_dataframe(
        cls,
        frame: Any,
        target: str,
        features: Sequence[str] | None = None,
        group: str | None = None,
        ids: str | None = None,
        *,
        kind: TargetKind | None = None,
        missing: Missing = "refuse",
        categories: bool = False,
        least: int = 1,
    ) -> Self:
        """The rows of a data frame of pandas or polars, or of a dict of columns; see `from_csv`.

        Columns of categories are words, and booleans as a target the words True and False. Rows count from 0.
        """
        how: dict[str, Any] = {"kind": kind, "missing": missing, "categories": categories}
        parts = of_frame(frame, target=target, features=features, group=group, ids=ids, **how)
        return cls(**parts)._with_least(least)

    @classmethod
    def from_torch(
        cls, dataset: Any, groups: ArrayLike | None = None, ids: ArrayLike | None = None, *, least: int = 1
    ) -> Self:
        """All samples (x, y) of a map-style PyTorch data set, read once and kept in memory.

        Pictures of Pillow become uint8 (channels, height, width). Whole numbers and names as y are classes, called by
        ``dataset.classes`` if there is such a list; floats are amounts.

        Raises:
            ValueError: an iterable data set (list it first), samples that are no pairs or differ in shape or type, or
                y of more than one number; the message names the sample.
        """
        return cls(**of_torch(dataset, groups, ids))._with_least(least)

    def _with_least(self, least: int) -> Self:
        if least < 1:
            raise ValueError(f"expected least >= 1, got {least}")
        return self.without_small(self.groups if self.y.dtype.kind == "f" else self.y, least)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.x.shape[1:])

    def take(self, rows: Index | Bools) -> Self:
        """The samples of these rows, or where this mask is True, with their ids."""
        index = np.arange(len(self))[rows]
        x = self.x[torch.from_numpy(index)]
        return type(self)(x, self.y[index], self.groups[index], self.ids[index], self.notes, self.features)

    def gather(self, rows: Tensor) -> Tensor:
        """float32 samples (*rows.shape, *x_shape) of the rows ``rows``, an int64 tensor."""
        picked = self.x.index_select(0, rows.reshape(-1)).reshape(*rows.shape, *self.x_shape)
        return picked.float().mul_(1 / 255) if picked.dtype == torch.uint8 else picked

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of everything in the data set."""
        digest = hashlib.sha256(repr((self.x.dtype, tuple(self.x.shape))).encode())
        digest.update(self.x.contiguous().numpy().tobytes())
        for column in (self.y, self.groups, self.ids):
            digest.update(repr(column.tolist()).encode())
        return digest.hexdigest()

    # SPLITS

    def split_by_class(self, shares: Mapping[str, float], rng: np.random.Generator) -> dict[str, Dataset]:
        """Data sets of disjoint classes: ``{"train": 0.6, "validation": 0.2, "test": 0.2}``."""
        return self.split_by(self.y, shares, rng)

    def split_by_group(self, shares: Mapping[str, float], rng: np.random.Generator) -> dict[str, Dataset]:
        """Data sets of disjoint groups, so that no patient or assay is in two of them."""
        return self.split_by(self.groups, shares, rng)

    def split_by(
        self, column: NDArray[Any], shares: Mapping[str, float], rng: np.random.Generator
    ) -> dict[str, Dataset]:
        """Data sets of disjoint values of a column (n,), such as `y`, `groups` or, for single samples, `ids`."""
        values, code = np.unique(column, return_inverse=True)
        if min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError(f"expected positive shares that sum to 1, got {dict(shares)}")
        ends = np.round(np.cumsum([0.0, *shares.values()]) * len(values)).astype(int)
        if (np.diff(ends) <= 0).any():
            raise ValueError(f"{len(values)} classes or groups are too few for a split of {dict(shares)}")
        part = np.searchsorted(ends[1:], rng.permutation(len(values)), side="right")[code]
        return {name: self.take(part == i) for i, name in enumerate(shares)}

    def without_small(self, column: NDArray[Any], least: int) -> Self:
        """Without the classes (``column=data.y``) or groups (``data.groups``) of fewer than ``least`` samples.

        Raises:
            ValueError: all are smaller.
        """
        values, code, size = np.unique(column, return_inverse=True, return_counts=True)
        small = values[size < least].tolist()
        if len(small) == len(values):
            raise ValueError(f"expected a class or group of at least {least} samples, the largest has {size.max()}")
        kept = self.take(size[code] >= least)
        if small:
            shown = ", ".join(map(str, small[:8])) + (f" and {len(small) - 8} more" if len(small) > 8 else "")
            kept.notes += (f"left out for fewer than {least} samples: {shown}",)
        return kept


def _samples(x: ArrayLike | Tensor) -> Tensor:
    if isinstance(x, Tensor):
        x = x.detach().cpu().numpy()
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"expected samples of one shape, got several ({error}); resize or pad them") from error
    if array.dtype.kind not in "fiub" or array.ndim < 2 or array.size == 0:
        raise ValueError(
            f"expected x as an array (samples, features…) of numbers, got dtype {array.dtype}, shape {array.shape}; "
            "a single feature needs x[:, None], images of mixed size need resizing"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))[0])
        raise ValueError(f"expected finite x, got NaN or infinity in row {row}; fill it in or leave the sample out")
    with np.errstate(over="ignore"):
        kept = np.array(array, dtype=np.uint8 if array.dtype == np.uint8 else np.float32, order="C")
    if not np.isfinite(kept).all():
        row = int(np.flatnonzero(~np.isfinite(kept).reshape(len(kept), -1).all(axis=1))[0])
        raise ValueError(f"expected x within 3e38, the range of float32, got more in row {row}; use another unit")
    return torch.from_numpy(kept)


def _column(name: str, values: ArrayLike, n: int) -> NDArray[Any]:
    column = np.asarray(values)
    if column.shape != (n,) or column.dtype.kind not in "fiubUS":
        raise ValueError(
            f"expected {name} of shape ({n},), numbers or strings, one for each sample, "
            f"got shape {column.shape}, dtype {column.dtype}"
        )
    return column
