"""How bright the sky is in V: airglow and moonlight.

K. Krisciunas and B. E. Schaefer 1991, "A model of the brightness of moonlight", PASP 103, 1033: equations by their
numbers there. The model is good to 8-23 %. Brightness is in nanolamberts, which add up; magnitudes per square
arcsecond do not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from metaenv.typing import Floats

# Constants are Python floats: NumPy's would turn float32 arrays into float64.
DEX_PER_MAG = 0.4 * math.log(10)  # 10^(-0.4 m) = exp(-DEX_PER_MAG m)
CLOSEST_DEG = 5.0  # separation below which the moon's halo is not modelled further (chosen; the data begin at 5 deg)
_COS_CLOSEST = math.cos(math.radians(CLOSEST_DEG))
_RAYLEIGH = 10**5.36  # nanolamberts per unit of I*
# Of the logarithm of eq. 21's second term.
_MIE_AT_0, _MIE_SLOPE = 6.15 * math.log(10), math.degrees(1) / 40 * math.log(10)


def nanolamberts(magnitude: Any) -> Any:
    """Surface brightness from V mag/arcsec^2 (eq. 1)."""
    return 34.08 * np.exp(20.7233 - 0.92104 * magnitude)


def glow_airmass(sin_altitude: Any) -> Any:
    """Path through a glowing layer (eq. 3): 1 at the zenith, 5 on the horizon and below."""
    sin_alt = np.maximum(sin_altitude, 0)
    return 1 / np.sqrt(0.04 + 0.96 * sin_alt * sin_alt)


def moon_illuminance(phase_angle: Floats) -> Floats:
    """I*, the moon outside the atmosphere in the units of eq. 20; ``phase_angle`` in rad, 0 at full moon."""
    a = np.abs(np.degrees(phase_angle))
    return np.exp(-DEX_PER_MAG * (3.84 + 0.026 * a + 4e-9 * a**4))


def scattering(cos_separation: Any) -> Any:
    """f(rho) of eq. 21, Rayleigh and Mie; float32 for float32.

    The separation from the moon is bounded below by `CLOSEST_DEG`.
    """
    c = np.minimum(np.maximum(cos_separation, -1.0), _COS_CLOSEST)
    mie = np.exp(_MIE_AT_0 - _MIE_SLOPE * np.arccos(c))
    return _RAYLEIGH * (1.06 + c * c) + mie


def moonlight_source(phase_angle: Floats, sin_moon_altitude: Floats, extinction: Floats) -> Floats:
    """I* 10^(-0.4 k X(Zm)), the moon as it shines into the atmosphere (part of eq. 15); 0 below the horizon."""
    dimmed = np.exp(-DEX_PER_MAG * extinction * glow_airmass(sin_moon_altitude))
    return np.where(sin_moon_altitude > 0, moon_illuminance(phase_angle) * dimmed, 0.0)


def sky_brightness(sin_altitude: Any, extinction: Any, dark_zenith: Any, source: Any, scatter: Any) -> Any:
    """Airglow (eq. 2) plus moonlight (eq. 15), in nanolamberts; all arguments broadcast.

    Args:
        sin_altitude: of the place looked at.
        extinction: k in V mag per airmass.
        dark_zenith: nanolamberts at the zenith without a moon.
        source: from `moonlight_source`.
        scatter: from `scattering`.
    """
    x = glow_airmass(sin_altitude)
    through = np.exp(-DEX_PER_MAG * extinction * x)
    airglow = dark_zenith * np.exp(DEX_PER_MAG * extinction) * (through * x)
    return airglow + source * scatter * (1 - through)
