"""The sky and the instrument that a planner assumes, whatever the task."""

from __future__ import annotations

import numpy as np

from metaenv.telescope.sim.exposure import OVERHEAD_S, ZERO_POINT_MAG, exposure_seconds
from metaenv.telescope.sim.visibility import Conditions, Night, Singles, conditions, expected_snr
from metaenv.telescope.sim.weather import clear_weather
from metaenv.typing import Floats

NOMINAL_EXTINCTION, NOMINAL_DARK_MAG, NOMINAL_SEEING = 0.15, 21.5, 0.9
"""mag per airmass, V mag/arcsec^2 and arcsec (chosen: about the middle of the tasks)."""


def nominal_conditions(night: Night, out: Conditions | None = None) -> Conditions:
    """A clear sky of nominal extinction, darkness and seeing; ``out`` may be written over."""
    n, t = night.lst.shape
    k, dark, seeing = (np.full(n, x) for x in (NOMINAL_EXTINCTION, NOMINAL_DARK_MAG, NOMINAL_SEEING))
    return conditions(night, k, dark, clear_weather(seeing, t), out=out)


def nominal_snr(night: Night, air: Conditions, magnitude: Floats, out: Singles | None = None) -> Singles:
    """(n, T, N) signal-to-noise of one slot without a slew, of targets of V ``magnitude`` (n, N)."""
    seconds = exposure_seconds(night.hours, 0.0, OVERHEAD_S)
    return expected_snr(night, air, magnitude, np.full(len(night.hours), ZERO_POINT_MAG), seconds, out=out)
