"""The yield of an exposure: time left by the slew, photons from target and sky, signal-to-noise ratio, quality.

The default instrument is a low-resolution spectrograph on a 2.5 m telescope, of the kind that classifies transients
(SED Machine: Blagorodnova et al. 2018, PASP 130, 035003). Arguments broadcast; float32 stays float32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from metaenv.telescope.sim.moonlight import DEX_PER_MAG
from metaenv.typing import Floats

# V magnitude that gives one electron a second in a resolution element of 50 Angstrom: 1000 photons /s/cm^2/Angstrom at
# V = 0 (Bessell 1979, PASP 91, 589) x 4.0e4 cm^2 x 50 Angstrom x a throughput of 0.10 (chosen) = 2.0e8 = 10^(0.4 zp).
ZERO_POINT_MAG = 20.75
SNR_NEEDED = 15.0  # for quality 1/2 (chosen): a classifying spectrum of V = 20.7 in 900 s, dark, seeing 0.9 arcsec
READ_NOISE_E = 4.0  # electrons rms a pixel (chosen, usual for CCDs)
PIXEL_ARCSEC = 0.4  # side of a pixel on the sky (chosen)
WAVELENGTH_NM = 550.0  # V

# FWHM of the optics: telescope 0.25, camera 0.08 and residual 0.30 arcsec in quadrature, and the two factors of the
# effective width: the seeing model of the Rubin Observatory (rubin_scheduler, SeeingModel; document LSE-40).
SYSTEM_FWHM_ARCSEC = math.sqrt(0.25**2 + 0.08**2 + 0.30**2)
EFFECTIVE_FACTOR, ATMOSPHERE_FACTOR = 1.16, 1.04
AREA_PER_FWHM2 = 2.266  # arcsec^2 of effective noise area of a Gaussian, pi / (2 ln 2) (King 1983, PASP 95, 163)

SLEW_DEG_PER_S, SETTLE_S, OVERHEAD_S = 2.5, 1.0, 8.0  # ZTF's hour-angle axis, settling, readout (Bellm et al. 2019)


def exposure_seconds(slot_hours: Any, slew_s: Any, overhead_s: Any = OVERHEAD_S) -> Any:
    """Seconds of a slot that readout and slew leave for light, at least 0."""
    return np.maximum(slot_hours * 3600.0 - slew_s - overhead_s, 0.0)


def zenith_noise_area(seeing: Floats, wavelength_nm: float = WAVELENGTH_NM) -> Floats:
    """Effective noise area in arcsec^2 at the zenith, for atmospheric FWHM ``seeing`` in arcsec at 500 nm.

    2.266 FWHM_eff^2 with FWHM_eff = 1.16 sqrt(FWHM_sys^2 + 1.04 FWHM_atm^2) and FWHM_atm ~ lambda^-0.3 (Rubin; the
    exponent is a round number for Kolmogorov's -1/5 with an outer scale). At airmass X multiply by X^1.2.
    """
    atmosphere = seeing * (wavelength_nm / 500.0) ** -0.3
    squared = SYSTEM_FWHM_ARCSEC**2 + ATMOSPHERE_FACTOR * atmosphere * atmosphere
    return AREA_PER_FWHM2 * EFFECTIVE_FACTOR**2 * squared


def electrons_per_second(magnitude: Any, zero_point: Any = ZERO_POINT_MAG) -> Any:
    """From a target of V ``magnitude`` above the atmosphere, or from a square arcsecond of sky as observed."""
    return np.exp(-DEX_PER_MAG * (magnitude - zero_point))


def sky_electrons_per_second(brightness: Any, zero_point: Any = ZERO_POINT_MAG) -> Any:
    """From a square arcsecond of sky of ``brightness`` nanolamberts (Krisciunas and Schaefer eq. 1)."""
    return brightness * (np.exp(DEX_PER_MAG * zero_point) * (math.exp(-20.7233) / 34.08))


def signal_to_noise(
    target_rate: Any,
    transmission: Any,
    sky_rate: Any,
    area: Any,
    seconds: Any,
    read_noise: float = READ_NOISE_E,
    pixel_arcsec: float = PIXEL_ARCSEC,
) -> Any:
    """Of a point source (the CCD equation: Merline and Howell 1995, Exp. Astron. 6, 163, without dark current).

    Args:
        target_rate: electrons/s above the atmosphere.
        transmission: of atmosphere and clouds, 0 to 1.
        sky_rate: electrons/s/arcsec^2.
        area: noise area in arcsec^2.
        seconds: of exposure; 0 gives 0.
        read_noise: electrons a pixel.
        pixel_arcsec: side of a pixel.
    """
    signal = target_rate * transmission * seconds
    variance = signal + (sky_rate * seconds + (read_noise / pixel_arcsec) ** 2) * area
    return signal / np.sqrt(variance)


def quality(snr: Any, needed: Any = SNR_NEEDED) -> Any:
    """How usable an exposure is: 1 / (1 + (needed / snr)^4), 0 to 1, steep, 1/2 at ``needed`` (chosen)."""
    ratio = snr / needed
    fourth = ratio * ratio * ratio * ratio
    return fourth / (1 + fourth)
