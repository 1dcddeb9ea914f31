"""Light of variable objects: surveys' visits, distributions of parameters, colours and distances.

Flux has the zero point 27.5 mag (AB), as in PLAsTiCC (Kessler et al. 2019, PASP 131, 094501).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from metaenv.typing import Floats

BANDS = "ugrizy"
WAVELENGTH_NM = np.array([372.0, 481.0, 622.0, 756.0, 868.0, 975.0])  # effective, LSST
ZERO_POINT = 27.5
N_UNIT = 8  # uniform numbers that an object is made of
LIGHT_KM_S, HUBBLE, MATTER = 299_792.458, 70.0, 0.3  # flat cosmology: H0 in km/s/Mpc (chosen), Omega_m (chosen)
SECOND_RADIATION_NM_K = 1.438777e7  # h c / k
REFERENCE_NM = 481.0  # rest-frame wavelength at which luminosities are given


@dataclass(frozen=True)
class Visits:
    """When and how ``n`` objects are looked at."""

    t: Floats  # (n, visits) days since the survey began, sorted
    band: NDArray[np.intp]  # (n, visits) place in `BANDS`
    days: float  # length of the survey
    limit: float  # magnitude of a detection at 5 standard deviations, in r


@dataclass(frozen=True)
class Light:
    """What arrives of ``n`` objects."""

    flux: Floats  # (n, visits) less the mean of the object or the galaxy behind it
    constant: Floats  # (n, visits) what was subtracted: it adds photon noise
    redshift: Floats  # (n,) 0 within the Milky Way


# DRAWS


def normal(u: Floats, mean: float, std: float) -> Floats:
    """A normal quantile, cut at 2.5 standard deviations so that no object is absurd."""
    return mean + std * np.clip(ndtri(np.clip(u, 1e-9, 1 - 1e-9)), -2.5, 2.5)


def uniform(u: Floats, low: float, high: float) -> Floats:
    """A uniform quantile."""
    return low + (high - low) * u


def brightness(u: Floats, visits: Visits) -> Floats:
    """Peak magnitude: 0.7 to 5 mag above the limit, dN/dm ~ 10^(0.3 m) (chosen; 0.6 in Euclidean space)."""
    slope = 0.3 * np.log(10)
    return visits.limit - 0.7 + np.log(u + (1 - u) * np.exp(-slope * 4.3)) / slope


def flux_of(magnitude: Floats) -> Floats:
    """Flux of AB magnitudes."""
    return 10 ** (-0.4 * (magnitude - ZERO_POINT))


def blackbody(wavelength_nm: Floats, temperature_K: Floats | float) -> Floats:
    """Planck's f_nu, relative to that at 481 nm."""
    x, x0 = (SECOND_RADIATION_NM_K / (w * temperature_K) for w in (wavelength_nm, REFERENCE_NM))
    return (REFERENCE_NM / wavelength_nm) ** 3 * np.expm1(x0) / np.expm1(np.minimum(x, 60.0))


def _distance_table() -> tuple[Floats, Floats]:
    z = np.geomspace(1e-4, 6.0, 600)
    fine = np.concatenate([[0.0], z])
    rate = 1 / np.sqrt(MATTER * (1 + fine) ** 3 + 1 - MATTER)
    way = np.cumsum(np.diff(fine) * (rate[1:] + rate[:-1]) / 2)
    return z, 5 * np.log10((1 + z) * way * LIGHT_KM_S / HUBBLE) + 25


_Z, _MODULUS = _distance_table()


def redshift_of(modulus: Floats) -> Floats:
    """Redshift at a distance modulus, in [1e-4, 6]."""
    return np.interp(modulus, _MODULUS, _Z)


def peak_day(u: Floats, visits: Visits, early: float = 0.1) -> Floats:
    """(n, 1) when it is brightest: within the survey and a little before."""
    return (visits.days * uniform(u, -early, 1.0))[:, None]
