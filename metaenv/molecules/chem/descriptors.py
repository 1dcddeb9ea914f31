"""The descriptors that property profiles ask for, of molecules in the vocabulary.

Ten are sums of the property tables (`properties.ADDITIVE`), exact and without RDKit; synthetic accessibility is known
of whole molecules only, from RDKit. QED is none of them: it takes RDKit milliseconds a molecule, more than all else.
"""

from __future__ import annotations

import numpy as np

from metaenv.molecules.chem.properties import ADDITIVE
from metaenv.typing import Floats

DESCRIPTORS = (*ADDITIVE, "sa")
"""Names of the eleven; the units are those of `properties.ADDITIVE`, and synthetic accessibility has none."""
SA = DESCRIPTORS.index("sa")
DESCRIPTOR_SOFTNESS = np.array([57.0, 1.1, 21.0, 0.8, 1.3, 1.4, 0.84, 0.86, 0.2, 4.0, 0.55])
"""(11,) standard deviation of each over the reference molecules of "chembl", rounded: the scale of their flanks."""


def combined(additive: Floats, accessibility: Floats) -> Floats:
    """(n, 11) the `DESCRIPTORS`, of the additive ones (n, 10) and synthetic accessibility (n,)."""
    return np.concatenate([additive, accessibility[:, None]], axis=1)
