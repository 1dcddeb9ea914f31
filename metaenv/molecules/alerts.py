"""Structural alerts: which molecules have one, and which fragments make none when joined."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from metaenv.arrays import Bools
from metaenv.molecules.assembly import CLOSED
from metaenv.molecules.cuts import to_mol
from metaenv.molecules.fragments import MAX_ATTACHMENTS, Vocabulary
from metaenv.molecules.notation import write

if TYPE_CHECKING:
    from rdkit.Chem import Mol


def has_alert(mol: Mol) -> bool:
    """Whether a molecule has one of BRENK's 105 alerts (ChemMedChem 3, 435, 2008)."""
    return _alerts().HasMatch(mol)


@lru_cache(maxsize=1)
def _alerts() -> Any:
    from rdkit.Chem import FilterCatalog

    params = FilterCatalog.FilterCatalogParams()
    params.AddCatalog(params.FilterCatalogs.BRENK)
    return FilterCatalog.FilterCatalog(params)


def joined_without_alert(vocabulary: Vocabulary, open_port: int, action: int) -> bool:
    """Whether two fragments, joined and otherwise closed, are a molecule without an alert."""
    v = vocabulary
    fragments = [int(v.action_fragment[open_port]), int(v.action_fragment[action])]
    here, there = int(v.action_attachment[open_port]), MAX_ATTACHMENTS + int(v.action_attachment[action])
    bonds = {here: there, there: here}
    partner = [[bonds.get(MAX_ATTACHMENTS * p + j, CLOSED) for j in range(3)] for p in range(2)]
    return not has_alert(to_mol(write(fragments, partner, v)))


def without_alerts(vocabulary: Vocabulary) -> Bools:
    """(A, A) `joined_without_alert` of every pair that the vocabulary allows; row and column 0 as they are."""
    allowed = vocabulary.allowed.copy()
    for p, q in np.argwhere(allowed[1:, 1:]) + 1:
        if p <= q:
            allowed[p, q] = allowed[q, p] = joined_without_alert(vocabulary, int(p), int(q))
    return allowed
