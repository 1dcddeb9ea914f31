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
    may = slots_left > 0
    good = np.where(may, log_snr, np.float32(0))
    best = np.maximum.accumulate(good[:, ::-1], axis=1)[:, ::-1]  # from the present slot on
    slot = np.arange(count, dtype=np.int16)[:, None]
    when = np.minimum.accumulate(np.where(good == best, slot, np.int16(count))[:, ::-1], axis=1)[:, ::-1]
    left = np.cumsum(may[:, ::-1], axis=1, dtype=np.int16)[:, ::-1]
    found = np.zeros((len(log_snr), 3, *log_snr.shape[1:]), np.float32)
    found[:, 0, :-1] = best[:, 1:]
    found[:, 1, :-1] = (when[:, 1:] - slot[:-1]) * (best[:, 1:] > 0) / np.float32(count)
    found[:, 2, :-1] = left[:, 1:] / np.float32(count)
    return found
