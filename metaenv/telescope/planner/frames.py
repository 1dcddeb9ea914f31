"""Positions of older equinoxes and of the galactic system as ICRS, and the motion of stars.

FK4 by C. A. Murray 1989, A&A 218, 325 (eq. 28 and 29), its E-terms of aberration and Newcomb's precession by P. K.
Seidelmann (ed.) 1992, "Explanatory Supplement to the Astronomical Almanac", ch. 3; other equinoxes of FK5 by N.
Capitaine, P. T. Wallace and J. Chapront 2003, A&A 412, 567 (eq. 40); the galactic pole as in Astropy. FK5 of J2000 is
within 0.04 arcsec of ICRS and is taken for it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np

from metaenv.errors import TaskError
from metaenv.telescope.sim.ephemeris import ARCSEC, DEGREE
from metaenv.typing import Floats

System = Literal["ICRS", "FK5", "FK4", "galactic"]
LAST_BESSELIAN = 1984.0  # an equinox before it is Besselian where nothing says so, as in FITS (paper II)
YEARS = (1800.0, 2100.0)  # of equinoxes and epochs that are believed


class Frame(NamedTuple):
    """A system of celestial coordinates."""

    system: System
    equinox: float = 2000.0
    """Julian year, or Besselian year of FK4."""

    def __str__(self) -> str:
        return {"FK4": f"FK4 B{self.equinox:g}", "FK5": f"FK5 J{self.equinox:g}"}.get(self.system, self.system)


_YEAR = re.compile(r"([BJ]?)\s*(?<!\d)(\d{4}(?:\.\d*)?)(?!\d)")
ICRS = Frame("ICRS")


@cache
def read_frame(system: str = "", equinox: str = "") -> Frame:
    """From what catalogues write: ``"FK4"``, ``"ICRS,J2000/2000"``, ``"galactic"``; ``"B1950"``, ``"2000.0"``.

    Raises:
        TaskError: another system, such as ecliptic or apparent places, or what is no year.
    """
    said = f"{system} {equinox}".upper()
    if "GAL" in said:
        return Frame("galactic")
    if re.search(r"ECL|APP|ALTAZ|SUPER|NO-E", said):
        raise TaskError(f"positions in {said.strip()!r} are not read: give ICRS, FK5, FK4 or galactic ones")
    found = _YEAR.search(equinox.upper()) or _YEAR.search(said)
    if re.search(r"\bICR[SF]", said) and (found is None or float(found[2]) == 2000):
        return ICRS
    family = re.search(r"FK[45]", said)
    if found is None and family is None:
        raise TaskError(f"{said.strip()!r} is no equinox or system of coordinates: write J2000, B1950, ICRS, FK5, …")
    old = family is not None and family[0] == "FK4"
    year = float(found[2]) if found else 1950.0 if old else 2000.0
    if not YEARS[0] <= year <= YEARS[1]:
        raise TaskError(f"the equinox {year:g} is not from {YEARS[0]:g} to {YEARS[1]:g}")
    if old or (family is None and (found is None or found[1] == "B" or (not found[1] and year < LAST_BESSELIAN))):
        return Frame("FK4", year)
    return ICRS if year == 2000 else Frame("FK5", year)


def to_icrs(longitude: Floats, latitude: Floats, frame: Frame) -> tuple[Floats, Floats]:
    """Right ascension and declination in rad, both (n,), of directions in ``frame``."""
    if frame.system == "ICRS":
        return longitude, latitude
    v = direction(longitude, latitude)
    if frame.system == "galactic":
        return angles(v @ _GALACTIC_TO_ICRS.T)
    if frame.system == "FK5":
        return angles(v @ _since_2000(frame.equinox))
    aberration = _e_terms(frame.equinox)
    v = v - aberration + (v @ aberration)[:, None] * v
    rotating = _FK4_TO_FK5 + _FK4_TURNS * (frame.equinox - 1950.0) / 100.0
    return angles(v @ (rotating @ _newcomb(frame.equinox, 1950.0)).T)


def moved(ra: Floats, dec: Floats, pm_ra: Floats, pm_dec: Floats, years: Floats | float) -> tuple[Floats, Floats]:
    """Where stars stand ``years`` later, all (n,) in rad and rad a year; ``pm_ra`` is along the parallel, cos(dec)
    included. The motion is straight in space; neither parallax nor radial velocity is known."""
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=1)
    motion = (pm_ra * years)[:, None] * east + (pm_dec * years)[:, None] * north
    return angles(direction(ra, dec) + motion)


def motion_to_icrs(
    longitude: Floats, latitude: Floats, pm_longitude: Floats, pm_latitude: Floats, frame: Frame
) -> tuple[Floats, Floats]:
    """Proper motions along ICRS's axes, rad a year, of stars whose place and motion is told in ``frame``."""
    ra, dec = to_icrs(longitude, latitude, frame)
    later = to_icrs(*moved(longitude, latitude, pm_longitude, pm_latitude, 1.0), frame)
    turned = (later[0] - ra + np.pi) % (2 * np.pi) - np.pi
    return turned * np.cos(dec), later[1] - dec


def direction(longitude: Floats, latitude: Floats) -> Floats:
    """(n, 3) unit vectors."""
    cos = np.cos(latitude)
    return np.stack([cos * np.cos(longitude), cos * np.sin(longitude), np.sin(latitude)], axis=1)


def angles(v: Floats) -> tuple[Floats, Floats]:
    """Longitudes from 0 to 2 pi and latitudes of directions (n, 3) of any length."""
    return np.arctan2(v[:, 1], v[:, 0]) % (2 * np.pi), np.arctan2(v[:, 2], np.hypot(v[:, 0], v[:, 1]))


def _turn(angle: float, axis: Literal["y", "z"]) -> Floats:
    """The matrix of axes that are turned by ``angle``."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]] if axis == "y" else [[c, s, 0], [-s, c, 0], [0, 0, 1]])


def _precession(zeta: float, z: float, theta: float) -> Floats:
    return _turn(-z * ARCSEC, "z") @ _turn(theta * ARCSEC, "y") @ _turn(-zeta * ARCSEC, "z")


def _since_2000(year: float) -> Floats:
    """From J2000 to the mean equator and equinox of a Julian year."""
    t = (year - 2000.0) / 100.0
    zeta = np.polyval([-0.0000003173, -0.000005971, 0.01801828, 0.2988499, 2306.083227, 2.650545], t)
    z = np.polyval([-0.0000002904, -0.000028596, 0.01826837, 1.0927348, 2306.077181, -2.650545], t)
    theta = np.polyval([-0.0000001274, -0.000007089, -0.04182264, -0.4294934, 2004.191903, 0.0], t)
    return _precession(float(zeta), float(z), float(theta))


def _newcomb(year: float, to: float) -> Floats:
    """Between the mean equators and equinoxes of two Besselian years."""
    t, dt = (year - 1850.0) / 1000.0, (to - year) / 1000.0
    first = 23035.545 + 139.720 * t + 0.060 * t**2
    zeta = first * dt + (30.240 - 0.27 * t) * dt**2 + 17.995 * dt**3
    z = first * dt + (109.480 + 0.39 * t) * dt**2 + 18.325 * dt**3
    theta = (20051.12 - 85.29 * t - 0.37 * t**2) * dt + (-42.65 - 0.37 * t) * dt**2 - 41.8 * dt**3
    return _precession(zeta, z, theta)


def _e_terms(year: float) -> Any:
    """The part of aberration that FK4's places contain: a direction's shift, in rad."""
    t = (year - 1950.0) / 100.0
    eccentricity = 0.01673011 - 0.00004193 * t - 0.000000126 * t**2
    perigee = (1015489.951 + 6190.67 * t + 1.65 * t**2 + 0.012 * t**3) * ARCSEC
    obliquity = (84404.836 - 46.8495 * t - 0.00319 * t**2 + 0.00181 * t**3) * ARCSEC
    along = np.array([np.sin(perigee), -np.cos(perigee) * np.cos(obliquity), -np.cos(perigee) * np.sin(obliquity)])
    return 0.0056932 * DEGREE * eccentricity * along


_FK4_TO_FK5 = np.array([
    [0.9999256794956877, -0.0111814832204662, -0.0048590038153592],
    [0.0111814832391717, 0.9999374848933135, -0.0000271625947142],
    [0.0048590037723143, -0.0000271702937440, 0.9999881946023742],
])  # fmt: skip
_FK4_TURNS = 1e-6 * np.array([  # a century: FK4 turns
    [-0.0026455262, -1.1539918689, 2.1111346190],
    [1.1540628161, -0.0129042997, 0.0236021478],
    [-2.1112979048, -0.0056024448, 0.0102587734],
])  # fmt: skip
_GALACTIC_TO_ICRS = (
    _turn(np.pi - 122.9319185680026 * DEGREE, "z")
    @ _turn(np.pi / 2 - 27.12825118085622 * DEGREE, "y")
    @ _turn(192.8594812065348 * DEGREE, "z")
).T
