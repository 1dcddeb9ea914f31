"""Splits of one's own measurements that share neither an assay nor a molecule."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import nearest
from metaenv.molecules.assay.measurements import SPLITS, Measurements
from metaenv.typing import Bools

Apart = Literal["molecule", "scaffold"]
APART = ("molecule", "scaffold")
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
"""Of the assays, and of the molecules that were measured in assays of several splits (chosen)."""


@dataclass(frozen=True)
class Division:
    """The split of each row."""

    split: NDArray[np.str_]
    """(n,) train, validation or test; "" for a row that is left out, because its molecule is in another split."""
    assays: NDArray[np.str_]
    """(assays,) the split of each assay."""
    notes: tuple[str, ...]


def divide(measured: Measurements, apart: Apart = "molecule") -> Division:
    """Divide assays, and then molecules, so that none of either is in two splits.

    A column of splits that is the same in all rows of each assay says which assay belongs where. Otherwise the hash of
    its name decides: of n assays a fifth, but at least one, are for the test, and of three or more as many for
    validation. Where the column varies within an assay, it divides the molecules: a split then has the rows of its
    assays that are marked for it (for validation, if no row is, those marked train).

    A molecule (or, with ``apart="scaffold"``, a Murcko scaffold) that was measured in assays of several splits stays in
    one of them, drawn by `SHARES`; its other rows are left out.
    """
    if apart not in APART:
        raise ValueError(f"no apart {apart!r}.{nearest(apart, APART)}")
    notes: list[str] = []
    told = _told_by_assay(measured)
    if told is not None:
        assays = told
    else:
        assays = _by_name(measured.names)
        notes.append(
            "assays are divided by their names: "
            + ", ".join(f"{(assays == split).sum()} {split}" for split in SPLITS if (assays == split).any())
        )
    split = assays[measured.assay].astype("<U10")
    if told is None and (measured.split != "").any():
        marked = measured.split.astype("<U10")
        if not (marked == "validation").any():
            marked[(marked == "train") & (split == "validation")] = "validation"
        split[split != marked] = ""
        notes.append(
            f"the column of splits divides molecules: {(split == '').sum():,} of {len(split):,} rows are left out, as "
            "their assay is in another split"
        )
    keys = np.array(measured.flat) if apart == "molecule" else measured.scaffolds
    shared = leaked(split, keys)
    if shared:
        gone = _settle(split, keys)
        notes.append(
            f"{apart}s that were measured in assays of several splits stay in one of them: {shared:,}, so that "
            f"{gone:,} rows are left out"
        )
    if apart == "molecule" and (left := leaked(split, measured.scaffolds)):
        notes.append(f"scaffolds in several splits: {left:,}; say apart='scaffold' to hold them out as well")
    return Division(split, assays, tuple(notes))


def leaked(split: NDArray[np.str_], keys: NDArray[np.str_]) -> int:
    """How many molecules, or scaffolds, are in two or more splits; rows of split "" do not count."""
    pairs = {(key, name) for key, name in zip(keys.tolist(), split.tolist(), strict=True) if name}
    return sum(n > 1 for n in Counter(key for key, _ in pairs).values())


def test_assays(measured: Measurements) -> Bools:
    """(assays,) which of them the division holds out for the test; none if there is one assay only."""
    told = _told_by_assay(measured)
    return (_by_name(measured.names) if told is None else told) == "test"


def training_rows(measured: Measurements) -> Bools:
    """(n,) what a model of activity is fitted on: rows marked train if that varies within assays, else four fifths of
    the molecules, by their hash."""
    if (measured.split != "").any() and _told_by_assay(measured) is None:
        return measured.split == "train"
    return np.array([_hashed("model:" + text) < 0.8 for text in measured.flat])


def _told_by_assay(measured: Measurements) -> NDArray[np.str_] | None:
    """(assays,) the split of each assay as the file says; None if it does not, or says it of molecules."""
    told: list[str] = []
    for a in range(len(measured.names)):
        found = np.unique(measured.split[measured.assay == a])
        if len(found) > 1 or found[0] == "":
            return None
        told.append(str(found[0]))
    return np.array(told) if len(set(told)) > 1 else None


def _by_name(names: tuple[str, ...]) -> NDArray[np.str_]:
    n = len(names)
    tests = 0 if n < 2 else max(1, round(n * SHARES["test"]))
    validations = 0 if n < 3 else max(1, round(n * SHARES["validation"]))
    split = np.full(n, "train", "<U10")
    order = sorted(range(n), key=lambda i: _hashed(names[i]))
    split[order[:tests]] = "test"
    split[order[tests : tests + validations]] = "validation"
    return split


def _settle(split: NDArray[np.str_], keys: NDArray[np.str_]) -> int:
    """Let every key stay in one split; returns how many rows are left out."""
    places: dict[str, set[str]] = {}
    for key, name in zip(keys.tolist(), split.tolist(), strict=True):
        if name:
            places.setdefault(key, set()).add(name)
    home = {key: _drawn(key, there) for key, there in places.items() if len(there) > 1}
    out = np.array([bool(name) and home.get(key, name) != name for key, name in zip(keys, split, strict=True)])
    split[out] = ""
    return int(out.sum())


def _drawn(key: str, there: set[str]) -> str:
    """One of the splits, by the hash of the key, in proportion to `SHARES`."""
    names = [name for name in SPLITS if name in there]
    ends = np.cumsum([SHARES[name] for name in names])
    return names[int(np.searchsorted(ends, _hashed(key) * ends[-1], side="right"))]


def _hashed(text: str) -> float:
    """A number in [0, 1) that only depends on the text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
