"""All objectives that real molecules certify, and how they are divided into splits.

Every property has a few *bins*: fifths of the distribution of 6,000 real molecules, single values for counts. An
objective is a choice of bins; it exists if some real molecule lies in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.fragments import MAX_ACTIONS
from metaenv.molecules.chem.functional_groups import GROUPS
from metaenv.molecules.chem.scoring import WINDOWED
from metaenv.molecules.stored import Molecules, anchors, scaffold_share
from metaenv.typing import Bools, Floats, Index

BINS: tuple[tuple[tuple[float, float], ...], ...] = (
    ((190, 283), (283, 320), (320, 347), (347, 374), (374, 453)),
    ((0.3, 2.04), (2.04, 2.73), (2.73, 3.29), (3.29, 3.92), (3.92, 5.13)),
    ((16, 42), (42, 55), (55, 66), (66, 78), (78, 110)),
    ((0, 0), (1, 1), (2, 2)),
    ((0, 2), (3, 3), (4, 4), (5, 5), (6, 8)),
    ((1, 1), (2, 2), (3, 3)),
    ((0, 0.18), (0.18, 0.31), (0.31, 0.41), (0.41, 0.55), (0.55, 0.94)),
)
"""Windows on each property of `WINDOWED`, in its unit. Outermost 1 %, 20, 40, 60, 80 % and outermost 1 % of the 6,000
real molecules, rounded; of counts the values that at least 5 % of them have."""
N_BINS = sum(len(b) for b in BINS)
CENTRE = np.array([328.0, 2.95, 60.5, 0.98, 4.4, 1.97, 0.37])
SPREAD = np.array([110.0, 2.3, 40.0, 1.5, 2.6, 1.7, 0.42])
"""(7,) mean and twice the standard deviation of the real molecules, rounded: how policies see properties."""
HELD_OUT_PAIR = (WINDOWED.index("hbd"), WINDOWED.index("fsp3"))
"""Objectives with windows on both are kept for ``ood-combination`` (chosen)."""
HELD_OUT_GROUPS = (1, 6, 13, 18, 24)
"""Groups that only tasks of ``ood-group`` require (chosen: urea, ester, thioether, furan and more); see `GROUPS`."""
SHARES = {"train": (0, 7), "validation": (7, 8), "test": (8, 10)}
"""Which tenths of the objectives, and of the scaffolds, belong to a split; out-of-distribution ones use test's."""
GROUP_STRIDE = 64  # codes: windows, then required, then forbidden


def objectives(variant: str, split: str) -> dict[str, Floats]:
    """The fields of `MoleculeTask` for all objectives of a variant and split, in the order of their codes."""
    share = SHARES.get(split, SHARES["test"])
    real = anchors()
    rows = np.flatnonzero((share[0] <= scaffold_share()) & (scaffold_share() < share[1]))
    codes, owners = _certified(variant, split, real, rows)
    if split in SHARES:
        tenth = share_of(codes)
        kept = (share[0] <= tenth) & (tenth < share[1])
        codes, owners = codes[kept], owners[kept]
    known, first = np.unique(codes, return_index=True)
    return _columns(known, real.actions[owners[first]].astype(np.float64), variant)


def family(variant: str) -> dict[str, Floats]:
    """The same for all objectives that any of the real molecules meets, whatever their split.

    Raises:
        ValueError: variant ``assay``, whose objectives are not made of windows alone.
    """
    if variant == "assay":
        raise ValueError(
            "expected a variant whose objectives are tabulated here, got 'assay'; see metaenv.molecules.assay.library"
        )
    real, rows = anchors(), np.arange(len(anchors()))
    parts = [_certified(variant, split, real, rows) for split in ("train", "ood-combination", "ood-group")]
    known, first = np.unique(np.concatenate([codes for codes, _ in parts]), return_index=True)
    owners = np.concatenate([owners for _, owners in parts])
    return _columns(known, real.actions[owners[first]].astype(np.float64), variant)


def window_pairs(least: int) -> tuple[NDArray[np.int64], Bools]:
    """All pairs of windows that at least ``least`` feasible real molecules meet.

    Returns:
        (p,) codes, for `windows`, and (p, 6000) which real molecules meet them and the constraints.
    """
    real = anchors()
    bins = bins_of(real.values)
    codes: list[int] = []
    members: list[Bools] = []
    for chosen in combinations(range(len(WINDOWED)), 2):
        good = (bins[:, chosen] >= 0).all(axis=1) & real.feasible
        digits = np.where(np.isin(np.arange(len(WINDOWED)), chosen) & good[:, None], bins + 1, 0)
        code = _pack(digits)
        for known in np.unique(code[good]):
            who = good & (code == known)
            if who.sum() >= least:
                codes.append(int(known))
                members.append(who)
    return np.array(codes), np.array(members)


def windows(codes: NDArray[np.int64]) -> dict[str, Floats]:
    """``wanted``, ``low`` and ``high``, each (n, 7), of codes of windows."""
    digits = _unpack(codes)
    edges = np.zeros((len(BINS), max(len(b) for b in BINS) + 1, 2))
    for j, bins in enumerate(BINS):
        edges[j, 1 : len(bins) + 1] = bins
    low, high = np.moveaxis(edges[np.arange(len(BINS)), digits], 2, 0)
    return {"wanted": (digits > 0).astype(np.float64), "low": low, "high": high}


def bins_of(values: Floats) -> NDArray[np.int64]:
    """(m, 7) the bin of each property, -1 for none; a value on an edge belongs to the lower bin."""
    out = np.full(values.shape, -1, np.int64)
    for j, bins in enumerate(BINS):
        for b, (low, high) in reversed(list(enumerate(bins))):
            out[(low <= values[:, j]) & (values[:, j] <= high), j] = b
    return out


def covered_bins(low: Floats, high: Floats, wanted: Floats) -> Bools:
    """(n, 31) which bins' middles lie in the windows (n, 7)."""
    parts = []
    for j, bins in enumerate(BINS):
        middle = np.array(bins).mean(axis=1)
        inside = (low[:, j, None] <= middle) & (middle <= high[:, j, None])
        parts.append(inside & (wanted[:, j, None] > 0))
    return np.concatenate(parts, axis=1)


def share_of(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) 0 to 9: which tenth of all objectives a code belongs to (Fibonacci hashing, Knuth vol. 3, section 6.4)."""
    mixed = (codes.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(32)) % np.uint64(10)).astype(np.int64)


# PRIVATE


def _certified(variant: str, split: str, real: Molecules, rows: Index) -> tuple[NDArray[np.int64], Index]:
    """Codes of all objectives met by the real molecules ``rows``, and by which, one after the other."""
    bins = bins_of(real.values[rows])
    codes: list[NDArray[np.int64]] = []
    owners: list[Index] = []
    for chosen in _combinations(variant, split):
        good = (bins[:, chosen] >= 0).all(axis=1)
        digits = np.zeros((int(good.sum()), len(WINDOWED)), np.int64)
        digits[:, chosen] = bins[good][:, chosen] + 1
        for code, owner in _with_more(variant, split, _pack(digits), rows[good], real):
            codes.append(code)
            owners.append(owner)
    return np.concatenate(codes), np.concatenate(owners)


def _combinations(variant: str, split: str) -> Iterator[list[int]]:
    """The sets of properties that have windows."""
    size = {"windows-4": 4, "windows-5": 5, "lead-hop": 2}.get(variant, 3)
    for chosen in combinations(range(len(WINDOWED)), size):
        held_out = set(HELD_OUT_PAIR) <= set(chosen)
        if held_out == (split == "ood-combination"):
            yield list(chosen)


def _with_more(
    variant: str, split: str, codes: NDArray[np.int64], owners: Index, real: Molecules
) -> Iterator[tuple[NDArray[np.int64], Index]]:
    """The codes with what the variant asks for besides windows: groups, or a lead."""
    if variant == "lead-hop":
        yield codes * len(real) + owners, owners
    elif variant == "groups":
        for required in range(len(GROUPS)):
            if (required in HELD_OUT_GROUPS) == (split == "ood-group"):
                yield from _with_groups(codes, owners, real, required)
    else:
        yield codes, owners


def _with_groups(
    codes: NDArray[np.int64], owners: Index, real: Molecules, required: int
) -> Iterator[tuple[NDArray[np.int64], Index]]:
    """Each objective forbids one group, named by its windows and the required group."""
    forbidden = (share_of(codes * GROUP_STRIDE + required) + 3 * codes) % len(GROUPS)
    forbidden = np.where(forbidden == required, (forbidden + 1) % len(GROUPS), forbidden)
    bits = real.groups[owners].astype(np.int64)
    fits = ((bits >> required) & 1).astype(bool) & ~((bits >> forbidden) & 1).astype(bool)
    yield (codes[fits] * GROUP_STRIDE + required) * GROUP_STRIDE + forbidden[fits], owners[fits]


_RADIX = np.array([len(b) + 1 for b in BINS])


def _pack(digits: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) one number for the digits (n, 7)."""
    code = np.zeros(len(digits), np.int64)
    for j, radix in enumerate(_RADIX):
        code = code * radix + digits[:, j]
    return code


def _unpack(code: NDArray[np.int64]) -> NDArray[np.int64]:
    """The inverse of `_pack`."""
    digits = np.zeros((len(code), len(_RADIX)), np.int64)
    for j in reversed(range(len(_RADIX))):
        code, digits[:, j] = np.divmod(code, _RADIX[j])
    return digits


def _columns(codes: NDArray[np.int64], certificate: Floats, variant: str) -> dict[str, Floats]:
    required = forbidden = np.full(len(codes), -1.0)
    lead = np.full((len(codes), MAX_ACTIONS), -1.0)
    if variant == "groups":
        codes, forbidden = np.divmod(codes, GROUP_STRIDE)
        codes, required = np.divmod(codes, GROUP_STRIDE)
    elif variant == "lead-hop":
        codes, lead = codes // len(anchors()), certificate
    return {
        **windows(codes),
        "required": required.astype(np.float64),
        "forbidden": forbidden.astype(np.float64),
        "lead": lead,
        "certificate": certificate,
    }
