"""All objectives of MoleculeDesign that real molecules certify, and how they are divided into splits.

Every property has a few *bins* (`Chemistry.bins`): fifths of the distribution of real molecules, or single values of
counts. An
objective is a choice of bins; it exists if some real molecule lies in all of them.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.chemistry import OWN, Chemistry
from metaenv.molecules.chem.properties import PROPERTIES
from metaenv.molecules.objectives import SPLIT_TENTHS, bins_of, columns_of, in_split, pack, tenth_of, unpack
from metaenv.molecules.reference_molecules import Molecules, real_molecules, scaffold_tenths
from metaenv.typing import Bools, Floats, Index

HELD_OUT_PAIR = (PROPERTIES.index("hbd"), PROPERTIES.index("fsp3"))
"""Objectives that ask for both are kept for ``ood-combination`` (chosen)."""
N_RANGES = {"windows-3": 3, "windows-4": 4, "windows-5": 5, "groups": 3, "scaffold-hop": 2}
"""How many properties the objectives of a variant ask for."""
GROUP_STRIDE = 64  # of codes: ranges, then the required group, then the forbidden one


def objectives(variant: str, split: str, chemistry: Chemistry = OWN) -> dict[str, Floats]:
    """The fields of `MoleculeTask` for all objectives of a variant and split, in the order of their codes."""
    codes, owners = _certified(variant, split, np.flatnonzero(in_split(scaffold_tenths(chemistry), split)), chemistry)
    if split in SPLIT_TENTHS:
        kept = in_split(tenth_of(codes), split)
        codes, owners = codes[kept], owners[kept]
    return _columns(codes, owners, variant, chemistry)


def range_pairs(least: int, chemistry: Chemistry = OWN) -> tuple[NDArray[np.int64], Bools]:
    """All pairs of ranges in which at least ``least`` feasible real molecules lie.

    Returns:
        (p,) codes, for `ranges_of`, and (p, 6000) which real molecules lie in both and keep the constraints.
    """
    real = real_molecules(chemistry)
    bins = bins_of(real.values, chemistry.edges)
    codes: list[int] = []
    members: list[Bools] = []
    for chosen in combinations(range(len(PROPERTIES)), 2):
        good = (bins[:, chosen] > 0).all(axis=1) & real.feasible
        code = pack(np.where(np.isin(np.arange(len(PROPERTIES)), chosen), bins, 0), chemistry.radix)
        for known in np.unique(code[good]):
            within = good & (code == known)
            if within.sum() >= least:
                codes.append(int(known))
                members.append(within)
    return np.array(codes), np.array(members)


def ranges_of(codes: NDArray[np.int64], chemistry: Chemistry = OWN) -> dict[str, Floats]:
    """``wanted``, ``low`` and ``high``, each (n, 7), of codes of ranges."""
    return columns_of(unpack(codes, chemistry.radix), chemistry.edges)


# PRIVATE


def _certified(variant: str, split: str, rows: Index, chemistry: Chemistry) -> tuple[NDArray[np.int64], Index]:
    """Codes of all objectives that the feasible ones of the real molecules ``rows`` meet, and which molecule, one after
    the other."""
    real = real_molecules(chemistry)
    rows = rows[real.feasible[rows]]
    bins = bins_of(real.values[rows], chemistry.edges)
    found: list[tuple[NDArray[np.int64], Index]] = []
    for chosen in map(list, combinations(range(len(PROPERTIES)), N_RANGES[variant])):
        if (set(HELD_OUT_PAIR) <= set(chosen)) != (split == "ood-combination"):
            continue
        good = (bins[:, chosen] > 0).all(axis=1) & real.feasible[rows]
        asked = np.zeros((int(good.sum()), len(PROPERTIES)), np.intp)
        asked[:, chosen] = bins[good][:, chosen]
        known, owners = pack(asked, chemistry.radix), rows[good]
        if variant == "scaffold-hop":
            found.append((known * len(real) + owners, owners))
        elif variant == "groups":
            held_out = chemistry.held_out_groups
            required = [g for g in range(len(chemistry.groups)) if (g in held_out) == (split == "ood-group")]
            found += [_with_groups(known, owners, real, group) for group in required]
        else:
            found.append((known, owners))
    codes, owners = (np.concatenate(part) for part in zip(*found, strict=True))
    return codes, owners


def _with_groups(
    codes: NDArray[np.int64], owners: Index, real: Molecules, required: int
) -> tuple[NDArray[np.int64], Index]:
    """Each objective forbids one group, which follows from its ranges and the required group."""
    forbidden = (tenth_of(codes * GROUP_STRIDE + required) + 3 * codes) % len(real.chemistry.groups)
    forbidden = np.where(forbidden == required, (forbidden + 1) % len(real.chemistry.groups), forbidden)
    bits = real.groups[owners].astype(np.int64)
    fits = ((bits >> required) & 1).astype(bool) & ~((bits >> forbidden) & 1).astype(bool)
    return (codes[fits] * GROUP_STRIDE + required) * GROUP_STRIDE + forbidden[fits], owners[fits]


def _columns(codes: NDArray[np.int64], owners: Index, variant: str, chemistry: Chemistry) -> dict[str, Floats]:
    """The fields of the tasks, each objective once, certified by the first molecule that meets it."""
    known, first = np.unique(codes, return_index=True)
    certificate = real_molecules(chemistry).actions[owners[first]].astype(np.float64)
    required = forbidden = np.full(len(known), -1)
    lead = np.full(certificate.shape, -1.0)
    if variant == "groups":
        known, forbidden = np.divmod(known, GROUP_STRIDE)
        known, required = np.divmod(known, GROUP_STRIDE)
    elif variant == "scaffold-hop":
        known, lead = known // len(real_molecules(chemistry)), certificate
    return {
        **ranges_of(known, chemistry),
        "required": required.astype(np.float64),
        "forbidden": forbidden.astype(np.float64),
        "lead": lead,
        "certificate": certificate,
    }
