"""A second kinetic model, for a list of tasks whose furnace obeys other laws than those of all training tasks.

The reactions, their onsets and energies are the same, but T and I form by diffusion through a layer of product instead
of nucleation and growth, and grains approach the size at which particles of a second phase pin them, instead of growing
as a power of time. A task has it where it names that size, `limiting_grain_um`.

References:
    W. Jander, Z. anorg. allg. Chem. 163, 1 (1927): [1 - (1 - X)^(1/3)]^2 = k t for a sphere.
    C. S. Smith (after C. Zener), Trans. AIME 175, 15 (1948): particles limit the size of grains. That the limit is
    approached as exp(-t) is chosen.
"""

from __future__ import annotations

import numpy as np

from metaenv.typing import Floats

LIMITS_UM = (1e-2, 1e3)
"""What a limiting grain size may be, um."""
AT_UNIT_EXTENT = 1.0 - np.exp(-1.0 / 3.0)  # 1 - (1 - X)^(1/3) where X = 1 - 1/e, as Avrami's equation has it there
NEARLY_ALL = 1e-100  # 1 - X beyond which nothing is left, since a logarithm is taken


def jander(theta: Floats) -> Floats:
    """-ln(1 - X) for the extended time ``theta``, which is 1 where 63 % have formed, as with Avrami's equation."""
    return -3.0 * np.log(np.maximum(1.0 - AT_UNIT_EXTENT * np.sqrt(theta), NEARLY_ALL))


def pinned_grains_um(start_um: Floats, growth: Floats, hourly_um: Floats, exponent: Floats, limit_um: Floats) -> Floats:
    """(n,) grain sizes that approach a limit, and from nothing reach ``hourly_um`` where the power law would.

    Args:
        start_um: (n,) at the start.
        growth: (n,) the integral of K dt of the power law G^m = K t, um^m.
        hourly_um: (n,) what an hour at the anchor grows.
        exponent: (n,) m.
        limit_um: (n,)
    """
    reached = np.minimum(hourly_um / limit_um, 0.999)
    hours = growth / np.exp(exponent * np.log(hourly_um))
    left = np.exp(np.log1p(-reached) * hours)
    return np.maximum(limit_um - (limit_um - start_um) * left, start_um)
