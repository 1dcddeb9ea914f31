"""How real data are divided into train, validation and test: by shares, by folds or by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import nearest
from metaenv.supervised.data.datasets import Dataset

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
"""Of the classes or groups of real data (chosen)."""


class Shares(TypedDict, total=False):
    """Which classes, groups or samples of real data are in which split; see `split_real`."""

    shares: Mapping[str, float] | None
    folds: int | None
    fold: int
    hold_out: Sequence[str]


class Division(Shares, total=False):
    """How real data are divided into splits; see `split_real`."""

    split_by: str
    least: int


def split_real(
    data: Dataset,
    seed: int,
    split_by: str = "class",
    least: int = 1,
    shares: Mapping[str, float] | None = None,
    folds: int | None = None,
    fold: int = 0,
    hold_out: Sequence[str] = (),
) -> dict[str, Dataset]:
    """Real data, divided into train, validation and test so that no class, group or sample is in two of them.

    Args:
        data: what is divided.
        seed: of the division.
        split_by: "class", so that classes are new in tests; "group", so that patients, slides or tasks are, and classes
            need not be; or "sample", for data without groups: samples are new, and classes are not.
        least: classes of fewer samples are left out.
        shares: of the classes, groups or samples in each split, by default `SHARES`; without validation, it may be
            ``{"train": 0.7, "test": 0.3}``.
        folds: for cross-validation, of which one division is a fold: so many parts of equal number, of which part
            ``fold`` is for tests, the next one (after the last the first) for validation, and all others for training.
            Over all folds each class, group or sample is in the test split once.
        fold: which part, from 0.
        hold_out: names of classes or groups for tests; the others are divided by the shares of train and validation.

    Raises:
        ValueError: there are too few classes or groups, no such name, or the settings do not fit.
    """
    if split_by not in ("class", "group", "sample"):
        raise ValueError(f"expected split_by='class', 'group' or 'sample', got {split_by!r}")
    if (shares is not None or hold_out) and folds is not None:
        raise ValueError("folds are of equal size; leave shares and hold_out away, or leave folds away")
    shares = SHARES if shares is None else shares
    if not {"train", "test"} <= set(shares) <= set(SHARES):
        raise ValueError(f"expected the shares of train, test and perhaps validation, got {dict(shares)}")
    data = data.without_small(data.y, least) if least > 1 else data
    column = {"class": data.y, "group": data.groups, "sample": data.ids}[split_by]
    rng = np.random.default_rng(seed)
    if folds is not None:
        return _fold(data, column, folds, fold, rng)
    if not hold_out:
        return data.split_by(column, shares, rng)
    names = column.astype(str)
    for name in map(str, hold_out):
        if name not in names:
            raise ValueError(f"there is nothing called {name!r} to hold out.{nearest(name, np.unique(names).tolist())}")
    test = np.isin(names, list(map(str, hold_out)))
    if test.all():
        raise ValueError("expected something to train on, but hold_out names all that there is; name fewer")
    rest = {name: share for name, share in shares.items() if name != "test"}
    rest = {name: share / sum(rest.values()) for name, share in rest.items()}
    return {**data.take(~test).split_by(column[~test], rest, rng), "test": data.take(test)}


def _fold(data: Dataset, column: NDArray[Any], folds: int, fold: int, rng: np.random.Generator) -> dict[str, Dataset]:
    values, code = np.unique(column, return_inverse=True)
    if not 3 <= folds <= len(values) or not 0 <= fold < folds:
        raise ValueError(
            f"expected from 3 folds to as many as there are classes, groups or samples ({len(values)}), and fold from "
            f"0 to folds - 1, got folds={folds}, fold={fold}"
        )
    part = (np.arange(len(values)) * folds // len(values))[rng.permutation(len(values))][code]
    test, validation = part == fold, part == (fold + 1) % folds
    return {
        "train": data.take(~(test | validation)), "validation": data.take(validation), "test": data.take(test)
    }  # fmt: skip
