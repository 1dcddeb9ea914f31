"""Names for the kinds of array that the suite passes around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Index = NDArray[np.intp]
Rows = slice | Index
"""Which sub-environments: ``slice(None)`` for all of them, else an index array."""
