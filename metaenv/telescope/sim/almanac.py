"""What an observer's almanac tells at dusk: how each target will stand over the rest of the night."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metaenv.telescope.sim.visibility import Singles


def almanac(log_snr: Singles, slots_left: NDArray[np.int16]) -> Singles:
    """(n, 3, T, N) of the slots to come, for each slot and target the rows of `metaenv.telescope.sim.layout.ALMANAC`.

    Where a target may no longer be observed, all are 0.

    Args:
        log_snr: (n, T, N) ln(1 + nominal signal-to-noise), which follows from airmass and moonlight.
        slots_left: (n, T, N) which are 0 where an exposure must not begin.
    """
    count = log_snr.shape[1]
    found = np.zeros((len(log_snr), 3, *log_snr.shape[1:]), np.float32)
    may = slots_left > 0
    good = np.where(may, log_snr, np.float32(0))
    best = np.zeros_like(good[:, 0])
    when, left = np.zeros(best.shape, np.int16), np.zeros(best.shape, np.int16)
    for slot in range(count - 2, -1, -1):  # from dawn to dusk
        later = good[:, slot + 1]
        when[later >= best] = slot + 1  # the earliest of equals
        np.maximum(best, later, out=best)
        left += may[:, slot + 1]
        found[:, 0, slot] = best
        found[:, 1, slot] = (when - np.int16(slot)) * (best > 0) / np.float32(count)
        found[:, 2, slot] = left / np.float32(count)
    return found
