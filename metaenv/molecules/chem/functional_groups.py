"""Functional groups that a task may require or forbid, as SMARTS, in ``data/functional_groups.csv``.

Written for this project; each is part of 3 to 31 % of the real molecules that can be built.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from metaenv.molecules.chem.fragmentation import pattern
from metaenv.molecules.chem.fragments import DATA

if TYPE_CHECKING:
    from rdkit.Chem import Mol


def read_groups(path: Path) -> dict[str, str]:
    """SMARTS by name, from a table with these two columns; a task names a group by its place in it."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["name"]: row["smarts"] for row in csv.DictReader(file)}


GROUPS = read_groups(DATA / "functional_groups.csv")
"""28 groups, whose order must not change."""


def group_bits(mol: Mol, groups: Mapping[str, str] = GROUPS) -> int:
    """Bit i is set where group i is part of the molecule."""
    return sum(1 << i for i, smarts in enumerate(groups.values()) if mol.HasSubstructMatch(pattern(smarts)))
