"""What an observer can work out, from what an observation shows, of the slots that are still to come.

Between two slots the sky turns about the pole, whose altitude is the latitude. From it and the sidereal time follow the
places of all targets later in the night, and from these airmass, moonlight and the nominal signal-to-noise ratio.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metaenv.telescope.sim.ephemeris import SIDEREAL_PER_SOLAR, Vector, dot, horizon_axes
from metaenv.telescope.sim.nominal import nominal_conditions, nominal_snr
from metaenv.telescope.sim.visibility import Night, Singles, direction_tables
from metaenv.typing import Bools, Floats, Index


class Latitude:
    """The latitudes of ``n`` telescopes, from the motions of their targets.

    A motion is perpendicular to the pole, (0, cos latitude, sin latitude) in east, north and up. The latitude is that
    for which the sum of the squares of the motions' components along it is least.
    """

    def __init__(self, n: int) -> None:
        self._moments = np.zeros((n, 3))  # sums of dn^2, dn du and du^2
        self._before = np.zeros((n, 3, 1))
        self._slot = np.full(n, -2)

    def watch(self, directions: Floats, slot: Index) -> None:
        """See the targets' directions (n, 3, N) in the slots (n,); those of neighbouring slots are compared."""
        after = slot == self._slot + 1
        if after.any():
            moved = (directions - self._before)[after, 1:]
            self._moments[after] += np.stack([(moved[:, i] * moved[:, j]).sum(axis=1) for i, j in _PAIRS], axis=1)
        self._before, self._slot = directions, slot

    def forget(self, rows: Index) -> None:
        """Nothing is known in ``rows``, where the next observation may be of another site."""
        self._moments[rows], self._slot[rows] = 0, -2

    @property
    def known(self) -> Bools:
        """(n,) whether any motion was seen."""
        return self._moments[:, 0] + self._moments[:, 2] > 0

    def estimate(self) -> Floats:
        """(n,) rad."""
        a, b, c = self._moments.T
        return 0.5 * np.arctan2(-2 * b, c - a)


_PAIRS = (0, 0), (0, 1), (1, 1)


def later_snr(
    directions: Floats,
    moon: Floats,
    moon_share: Floats,
    sidereal: Floats,
    latitude: Floats,
    hours: Floats,
    magnitude: Floats,
    count: int,
) -> tuple[Singles, NDArray[np.bool_]]:
    """The nominal signal-to-noise of the present slot and of the next ones, and whether targets stand high enough.

    The moon is taken to keep its place among the stars.

    Args:
        directions: (n, 3, N) east, north and up of the targets now.
        moon: (n, 3) of the moon.
        moon_share: (n,) illuminated fraction.
        sidereal: (n,) local sidereal time, rad.
        latitude: (n,) rad.
        hours: (n,) length of a slot.
        magnitude: (n, N) V.
        count: slots, the present one included.

    Returns:
        Two tables (n, count, N).
    """
    now = horizon_axes(sidereal[:, None], latitude[:, None])
    fixed, moon_fixed = _on_the_equator(now, directions), _on_the_equator(now, moon[:, :, None])
    turn = hours * (2 * np.pi * SIDEREAL_PER_SOLAR / 24)
    lst = sidereal[:, None] + turn[:, None] * np.arange(count)
    axes = horizon_axes(lst, latitude[:, None])
    moon_then = Vector(*(c + np.zeros_like(lst) for c in moon_fixed))
    towards = Vector(*(dot(axis, moon_then) for axis in axes))
    single = Vector(*(c.astype(np.float32) for c in fixed))
    phase = np.arccos(np.clip(2 * moon_share - 1, -1, 1))
    night = Night(lst, hours, lst, towards, phase, single, fixed, *direction_tables((*axes, moon_then), single))
    return nominal_snr(night, nominal_conditions(night), magnitude), night.observable()


def _on_the_equator(axes: tuple[Vector, Vector, Vector], directions: Floats) -> Vector:
    """Equatorial components, each (n, N), of directions (n, 3, N) that are given along ``axes``, each (n, 1)."""
    return Vector(*(sum(axis[i] * directions[:, j] for j, axis in enumerate(axes)) for i in range(3)))
