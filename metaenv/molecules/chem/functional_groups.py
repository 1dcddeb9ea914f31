"""Functional groups that a task may require or forbid, as SMARTS, in ``data/functional_groups.csv``.

Written for this project; each is part of 3 to 31 % of the real molecules that can be built.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from metaenv.molecules.chem.fragmentation import pattern
from metaenv.molecules.chem.fragments import DATA

if TYPE_CHECKING:
    from rdkit.Chem import Mol

with open(DATA / "functional_groups.csv", encoding="utf-8", newline="") as _file:
    GROUPS: dict[str, str] = {row["name"]: row["smarts"] for row in csv.DictReader(_file)}
"""28 groups; a task names one by its place in this list, so the order must not change."""


def group_bits(mol: Mol) -> int:
    """Bit i is set where group i is part of the molecule."""
    return sum(1 << i for i, smarts in enumerate(GROUPS.values()) if mol.HasSubstructMatch(pattern(smarts)))
