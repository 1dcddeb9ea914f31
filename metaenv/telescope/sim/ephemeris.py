"""Where targets, sun and moon stand: apparent places, sidereal time, the horizon system, airmass, twilight.

Directions are unit vectors given by their three components, arrays that broadcast, because a night of a thousand
telescopes then needs sums of products only. The vernal equinox is x and the north pole z; in the horizon system the
components are east, north, up. Angles are in radians. There is no refraction: it moves a star at airmass 2 by 0.03 deg.

Sources: P. K. Seidelmann (ed.) 1992, "Explanatory Supplement to the Astronomical Almanac"; J. Meeus 1998,
"Astronomical Algorithms", 2nd ed.; IERS Conventions (2010), chapter 5; N. Capitaine, P. T. Wallace and J. Chapront
2003, A&A 412, 567; A. T. Young 1994, Applied Optics 33, 1108.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from metaenv.telescope.sim.julian_dates import J2000, TT_MINUS_UTC_S, centuries, ut1_minus_utc_s
from metaenv.typing import Floats

ARCSEC = np.pi / 648_000  # rad
DEGREE = np.pi / 180  # rad
ABERRATION = 20.49552 * ARCSEC  # constant of annual aberration (Meeus 23; IAU 1976)
DIURNAL_ABERRATION = 0.3192 * ARCSEC  # 465.1 m/s at the equator over c (Explanatory Supplement, ch. 3)
EARTH_RADIUS_KM = 6378.14  # equatorial (Meeus 11)
SIDEREAL_PER_SOLAR = 1.00273781191135448  # turns of the Earth in a day of UT1 (IERS Conventions 5.15)


class Vector(NamedTuple):
    """A direction's three components, float64 or float32 arrays that broadcast: x, y, z, or east, north, up."""

    x: Any
    y: Any
    z: Any


def unit_vector(longitude: Any, latitude: Any) -> Vector:
    """From right ascension and declination, or from any other longitude and latitude."""
    cos = np.cos(latitude)
    return Vector(cos * np.cos(longitude), cos * np.sin(longitude), np.sin(latitude))


def dot(a: Vector, b: Vector) -> Any:
    """The cosine of the angle between two unit vectors."""
    return a.x * b.x + a.y * b.y + a.z * b.z


def _about_x(v: Vector, angle: Floats) -> Vector:
    """``v`` in axes turned by ``angle`` about x."""
    c, s = np.cos(angle), np.sin(angle)
    return Vector(v.x, c * v.y + s * v.z, c * v.z - s * v.y)


def _about_y(v: Vector, angle: Floats) -> Vector:
    c, s = np.cos(angle), np.sin(angle)
    return Vector(c * v.x - s * v.z, v.y, s * v.x + c * v.z)


def _about_z(v: Vector, angle: Floats) -> Vector:
    c, s = np.cos(angle), np.sin(angle)
    return Vector(c * v.x + s * v.y, c * v.y - s * v.x, v.z)


# THE EARTH'S AXIS AND ROTATION


def mean_obliquity(jd: Floats) -> Floats:
    """Of the ecliptic (Capitaine et al. 2003, eq. 39, to first order; good to 0.002 arcsec in 1950-2100)."""
    return (84381.406 - 46.836769 * centuries(jd)) * ARCSEC


# Multiples of the arguments l, l', F, D, Omega; then the sine term of the longitude and the cosine term of the
# obliquity in arcsec: the 13 largest of IAU 2000B (McCarthy and Luzum 2003; IERS Conventions 2010, table 5.3).
_NUTATION = np.array([
    [0, 0, 0, 0, 1, -17.20642, 9.20523],
    [0, 0, 2, -2, 2, -1.31709, 0.57303],
    [0, 0, 2, 0, 2, -0.22764, 0.09785],
    [0, 0, 0, 0, 2, 0.20746, -0.08975],
    [0, 1, 0, 0, 0, 0.14759, 0.00739],
    [0, 1, 2, -2, 2, -0.05168, 0.02244],
    [1, 0, 0, 0, 0, 0.07112, -0.00068],
    [0, 0, 2, 0, 1, -0.03873, 0.02007],
    [1, 0, 2, 0, 2, -0.03015, 0.01290],
    [0, -1, 2, -2, 2, 0.02158, -0.00959],
    [0, 0, 2, -2, 1, 0.01282, -0.00690],
    [-1, 0, 2, 0, 2, 0.01235, -0.00533],
    [-1, 0, 0, 2, 0, 0.01570, -0.00013],
])  # fmt: skip


def nutation(jd: Floats) -> tuple[Floats, Floats]:
    """In longitude and in obliquity; within 0.06 arcsec of IAU 2000B in 1950-2100."""
    angles = _nutation_angles(jd)
    return _nutation_in_longitude(angles), _series(_NUTATION[:, 6], np.cos(angles)) * ARCSEC


def _nutation_in_longitude(angles: Floats) -> Floats:
    return _series(_NUTATION[:, 5], np.sin(angles)) * ARCSEC


def _nutation_angles(jd: Floats) -> Floats:
    """(terms, ...) rad."""
    t = centuries(np.asarray(jd, float))
    arguments = np.stack([
        134.96340251 + 477198.8675605 * t,
        357.52910918 + 35999.0502911 * t,
        93.27209062 + 483202.0174577 * t,
        297.85019547 + 445267.1114469 * t,
        125.04455501 - 1934.1362619 * t,
    ])  # fmt: skip
    return _combined(_NUTATION[:, :5], arguments)


def _combined(multiples: Floats, arguments_deg: Floats) -> Floats:
    """(terms, ...) angles in rad from (terms, k) multiples of (k, ...) arguments."""
    shape = (len(multiples),) + (1,) * (arguments_deg.ndim - 1)
    total = np.zeros(shape)
    for multiple, argument in zip(multiples.T, arguments_deg % 360.0, strict=True):
        total = total + multiple.reshape(shape) * argument
    return total * DEGREE


def _series(coefficients: Floats, values: Floats) -> Floats:
    """The sum over terms (the first axis)."""
    shape = (len(coefficients),) + (1,) * (values.ndim - 1)
    # A running sum adds in order, however many rows there are; numpy's sum does not.
    return np.cumsum(coefficients.reshape(shape) * values, axis=0)[-1]


def sidereal_time(jd: Floats, longitude: Floats) -> Floats:
    """Local apparent sidereal time at UTC ``jd``, 0 to 2 pi; ``longitude`` east positive.

    Earth rotation angle of UT1 plus the accumulated precession (IERS Conventions 2010, eq. 5.15 and 5.32, to second
    order) and the equation of the equinoxes.
    """
    equinoxes = _nutation_in_longitude(_nutation_angles(jd)) * np.cos(mean_obliquity(jd))
    return (_mean_sidereal_time(jd, longitude, ut1_minus_utc_s(jd)) + equinoxes) % (2 * np.pi)


def _mean_sidereal_time(jd: Floats, longitude: Floats, ut1_minus_utc_s: Floats | float) -> Floats:
    days = jd - J2000 + ut1_minus_utc_s / 86_400
    # Whole days drop out of the fast term before it is multiplied up: no digits are lost.
    turns = 0.7790572732640 + (SIDEREAL_PER_SOLAR - 1) * days + days % 1.0
    t = centuries(jd) + TT_MINUS_UTC_S / 86_400 / 36525
    precession = (0.014506 + 4612.156534 * t + 1.3915817 * t**2) * ARCSEC
    return 2 * np.pi * (turns % 1.0) + precession + longitude


def apparent(ra: Any, dec: Any, jd: Floats) -> Vector:
    """J2000 (ICRS) positions of stars as seen from the Earth's centre at ``jd``: true equator and equinox of date.

    Precession (IAU 2006: Capitaine et al. 2003, eq. 40), annual aberration (Meeus eq. 23.2 with the eccentricity of the
    Earth's orbit) and nutation. Proper motion, parallax, and the sun's bending of light are left out; a user's
    catalogue should be of the epoch. It changes by less than 0.5 arcsec in a night: once a night is enough.
    What is given as float32 comes back as float32, good to 0.2 arcsec.
    """
    axes = _axes_of_date(np.asarray(jd, float))
    velocity = _earth_velocity(jd, axes)
    if np.asarray(ra).dtype == np.float32:
        velocity, *axes = (Vector(*(c.astype(np.float32) for c in v)) for v in (velocity, *axes))
    x, y, z = (p + v for p, v in zip(unit_vector(ra, dec), velocity, strict=True))
    shorter = 1 / np.sqrt(x * x + y * y + z * z)
    seen = Vector(x * shorter, y * shorter, z * shorter)
    return Vector(*(dot(axis, seen) for axis in axes))


def _axes_of_date(jd: Floats) -> tuple[Vector, Vector, Vector]:
    """The true equator and equinox of date: its axes x, y and z in J2000."""
    t = centuries(jd)[..., None]
    zeta = (2.650545 + t * (2306.083227 + t * (0.2988499 + t * 0.01801828))) * ARCSEC
    z = (-2.650545 + t * (2306.077181 + t * (1.0927348 + t * 0.01826837))) * ARCSEC
    theta = t * (2004.191903 + t * (-0.4294934 - t * 0.04182264)) * ARCSEC
    obliquity, nutations = mean_obliquity(jd)[..., None], nutation(jd)
    in_longitude, in_obliquity = (a[..., None] for a in nutations)
    basis = Vector(*np.eye(3))  # rotated, its component i is row i of the matrix
    mean = _about_z(_about_y(_about_z(basis, -zeta), theta), -z)
    true = _about_x(_about_z(_about_x(mean, obliquity), -in_longitude), -(obliquity + in_obliquity))
    x, y, z = (Vector(*(row[..., j] for j in range(3))) for row in true)
    return x, y, z


def _earth_velocity(jd: Floats, axes: tuple[Vector, Vector, Vector]) -> Vector:
    """Of the Earth over c, in J2000."""
    t = centuries(jd)
    longitude = sun_longitude(jd)
    eccentricity = 0.016708634 - 0.000042037 * t
    perihelion = (102.93735 + 1.71946 * t) * DEGREE
    x = ABERRATION * (np.sin(longitude) - eccentricity * np.sin(perihelion))
    y = -ABERRATION * (np.cos(longitude) - eccentricity * np.cos(perihelion))
    # Nutation, 1e-4 rad, is left in: it turns 20 arcsec by 0.002 arcsec.
    of_date = _about_x(Vector(x, y, np.zeros_like(x)), -mean_obliquity(jd))
    return Vector(*(of_date.x * a + of_date.y * b + of_date.z * c for a, b, c in zip(*axes, strict=True)))


# THE HORIZON


def horizontal(v: Vector, lst: Floats, latitude: Floats) -> Vector:
    """East, north, up of a direction of date, at local sidereal time ``lst``; with diurnal aberration.

    A rotation (Explanatory Supplement, ch. 3). A place seen from the Earth's centre is right for stars; for the
    moon see `moon_topocentric`.
    """
    east, north, up = horizon_axes(lst, latitude)
    e = dot(east, v) + DIURNAL_ABERRATION * np.cos(latitude)
    return Vector(e, dot(north, v), dot(up, v))


def horizon_axes(lst: Floats, latitude: Floats) -> tuple[Vector, Vector, Vector]:
    """The directions east, north and up, in the equatorial system of date."""
    cos_t, sin_t, cos_p, sin_p = np.cos(lst), np.sin(lst), np.cos(latitude), np.sin(latitude)
    none = np.zeros_like(cos_t)
    east = Vector(-sin_t, cos_t, none)
    north = Vector(-sin_p * cos_t, -sin_p * sin_t, cos_p + none)
    return east, north, Vector(cos_p * cos_t, cos_p * sin_t, sin_p + none)


def airmass(sin_altitude: Any) -> Any:
    """Relative airmass for the true altitude (Young 1994); 1 at the zenith, 31.7 on the horizon and below.

    A quotient of polynomials: as good as Kasten and Young (1989) and without a transcendental function.
    """
    c = np.maximum(sin_altitude, 0)
    above = (1.002432 * c + 0.148386) * c + 0.0096467
    return above / (((c + 0.149864) * c + 0.0102963) * c + 0.000303978)


# SUN AND MOON


def sun_longitude(jd: Floats) -> Floats:
    """True geometric longitude of the sun, mean equinox of date (Meeus ch. 25, low accuracy: 0.01 deg)."""
    t = centuries(jd) + TT_MINUS_UTC_S / 86_400 / 36525
    anomaly = (357.52911 + t * (35999.05029 - 0.0001537 * t)) * DEGREE
    centre = (
        (1.914602 - 0.004817 * t) * np.sin(anomaly)
        + (0.019993 - 0.000101 * t) * np.sin(2 * anomaly)
        + 0.000289 * np.sin(3 * anomaly)
    )
    return (280.46646 + t * (36000.76983 + 0.0003032 * t) + centre) * DEGREE


def sun(jd: Floats) -> Vector:
    """Direction of the sun, equator of date, aberration included; within 0.02 deg."""
    longitude = sun_longitude(jd) - ABERRATION
    flat = Vector(np.cos(longitude), np.sin(longitude), np.zeros_like(longitude))
    return _about_x(flat, -mean_obliquity(jd))


# Multiples of D, M, M', F and the amplitude: longitude in deg (sine), distance in km (cosine), latitude in deg (sine);
# the largest terms of the ELP-2000/82 series (Meeus, tables 47.A and 47.B).
_MOON_LONGITUDE = np.array([
    [0, 0, 1, 0, 6.288774], [2, 0, -1, 0, 1.274027], [2, 0, 0, 0, 0.658314], [0, 0, 2, 0, 0.213618],
    [0, 1, 0, 0, -0.185116], [0, 0, 0, 2, -0.114332], [2, 0, -2, 0, 0.058793], [2, -1, -1, 0, 0.057066],
    [2, 0, 1, 0, 0.053322], [2, -1, 0, 0, 0.045758], [0, 1, -1, 0, -0.040923], [1, 0, 0, 0, -0.034720],
    [0, 1, 1, 0, -0.030383],
])  # fmt: skip
_MOON_LATITUDE = np.array([
    [0, 0, 0, 1, 5.128122], [0, 0, 1, 1, 0.280602], [0, 0, 1, -1, 0.277693], [2, 0, 0, -1, 0.173237],
    [2, 0, -1, 1, 0.055413], [2, 0, -1, -1, 0.046271], [2, 0, 0, 1, 0.032573],
])  # fmt: skip
_MOON_DISTANCE = np.array([
    [0, 0, 1, 0, -20905.355], [2, 0, -1, 0, -3699.111], [2, 0, 0, 0, -2955.968], [0, 0, 2, 0, -569.925],
])  # fmt: skip
_MOON_TERMS = np.concatenate([_MOON_LONGITUDE, _MOON_LATITUDE, _MOON_DISTANCE])
_MOON_MEAN_KM = 385000.56  # mean distance


def moon(jd: Floats) -> Vector:
    """The moon seen from the Earth's centre, in Earth radii (56 to 64), equator of date; within 0.1 deg."""
    jd = np.asarray(jd, float)
    t = centuries(jd) + TT_MINUS_UTC_S / 86_400 / 36525
    arguments = np.stack([
        297.8501921 + 445267.1114034 * t - 0.0018819 * t**2,
        357.5291092 + 35999.0502909 * t - 0.0001536 * t**2,
        134.9633964 + 477198.8675055 * t + 0.0087414 * t**2,
        93.2720950 + 483202.0175233 * t - 0.0036539 * t**2,
    ])  # fmt: skip
    mean = 218.3164477 + 481267.88123421 * t - 0.0015786 * t**2

    angles = _combined(_MOON_TERMS[:, :4], arguments)
    sines, end = np.sin(angles[:-4]), len(_MOON_LONGITUDE)
    longitude = (mean + _series(_MOON_LONGITUDE[:, 4], sines[:end])) * DEGREE
    latitude = _series(_MOON_LATITUDE[:, 4], sines[end:]) * DEGREE
    distance = _series(_MOON_DISTANCE[:, 4], np.cos(angles[-4:]))
    radii = (_MOON_MEAN_KM + distance) / EARTH_RADIUS_KM
    direction = _about_x(unit_vector(longitude, latitude), -mean_obliquity(jd))
    return Vector(*(radii * c for c in direction))


def moon_topocentric(geocentric: Vector, lst: Floats, latitude: Floats) -> Vector:
    """Direction of the moon from a place on a spherical Earth, equator of date (parallax up to 1 deg)."""
    _, _, up = horizon_axes(lst, latitude)
    x, y, z = (m - u for m, u in zip(geocentric, up, strict=True))
    length = np.sqrt(x * x + y * y + z * z)
    return Vector(x / length, y / length, z / length)


def moon_phase_angle(sun_direction: Vector, moon_direction: Vector) -> Floats:
    """The angle sun-moon-Earth: 0 at full moon, pi at new moon.

    The sun is taken to be infinitely far, which errs by at most 0.15 deg (Meeus eq. 48.3).
    """
    length = np.sqrt(dot(moon_direction, moon_direction))
    return np.pi - np.arccos(np.clip(dot(sun_direction, moon_direction) / length, -1, 1))


def illuminated_fraction(phase_angle: Floats) -> Floats:
    """Of the moon's disc, 0 to 1 (Meeus eq. 48.1)."""
    return (1 + np.cos(phase_angle)) / 2


# THE NIGHT


def night_limits(
    evening: Floats, latitude: Floats, longitude: Floats, sun_altitude_deg: Floats | float = -18.0
) -> tuple[Floats, Floats]:
    """When the sun sinks below an altitude and when it comes up again: JD of UTC, each (n,), within 10 s.

    Args:
        evening: (n,) JD at 0 h of the calendar day (of local solar time) on which the night begins.
        latitude: (n,) rad.
        longitude: (n,) rad, east positive.
        sun_altitude_deg: the limit; -18 deg is the end of astronomical twilight.

    Returns:
        Dusk and dawn. Without a night (a polar summer) both are the sun's lower transit, to 10 s; in a polar night
        they are the upper transits before and after it.
    """
    west = np.array([[1.0], [-1.0]])  # dusk finds the sun in the west, dawn in the east
    midnight = np.asarray(evening, float) + 1 - np.asarray(longitude, float) / (2 * np.pi)
    jd = midnight - west * 0.25
    cos_p, sin_p = np.maximum(np.cos(latitude), 1e-9), np.sin(latitude)
    sin_limit = np.sin(np.asarray(sun_altitude_deg, float) * DEGREE)
    for _ in range(3):
        direction = sun(jd)
        cos_h = (sin_limit - sin_p * direction.z) / (cos_p * np.sqrt(1 - direction.z**2))
        wanted = west * np.arccos(np.clip(cos_h, -1, 1))
        hour_angle = _mean_sidereal_time(jd, longitude, 0.0) - np.arctan2(direction.y, direction.x)
        jd = jd - ((hour_angle - wanted + np.pi) % (2 * np.pi) - np.pi) / (2 * np.pi)
    return jd[0], np.maximum(jd[0], jd[1])
