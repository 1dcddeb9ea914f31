"""What astropy says: the outside reference of the geometry, and angles between directions.

Astropy is optional and needs no network here.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from metaenv.telescope.sim.ephemeris import Vector


@contextmanager
def offline_astropy() -> Iterator[Any]:
    """Astropy's coordinates without downloads; skips the test where astropy is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("astropy", reason="astropy, the reference for positions, is not installed")
        from astropy import coordinates
        from astropy.utils import iers

        with (
            iers.conf.set_temp("auto_download", False),
            iers.conf.set_temp("auto_max_age", None),
            iers.conf.set_temp("iers_degraded_accuracy", "warn"),
        ):
            yield coordinates


@contextmanager
def resting_pole() -> Iterator[None]:
    """The Earth's axis stays where it is in the Earth: no polar motion, and UT1 is UTC where it is not given."""
    from astropy import units as u
    from astropy.utils import iers

    always = {"MJD": [0.0, 1e5] * u.d, "UT1_UTC": [0.0, 0.0] * u.s}
    none = {name: [0.0, 0.0] * u.arcsec for name in ("PM_x", "PM_y")}
    with iers.earth_orientation_table.set(iers.IERS(always | none)):
        yield


def frame(c: Any, jd: float, latitude: float, longitude: float, ut1_minus_utc_s: float | None = None) -> Any:
    """The horizon system of a place (rad) at a JD of UTC; with a given UT1, or with astropy's own table."""
    from astropy import units as u
    from astropy.time import Time

    time = Time(jd, format="jd", scale="utc")
    if ut1_minus_utc_s is not None:
        time.delta_ut1_utc = ut1_minus_utc_s
    place = c.EarthLocation.from_geodetic(longitude * u.rad, latitude * u.rad, 2000 * u.m)
    return c.AltAz(obstime=time, location=place)


def horizon_vector(altaz: Any) -> tuple[Any, Any, Any]:
    """East, north, up."""
    alt, az = altaz.alt.rad, altaz.az.rad
    return np.cos(alt) * np.sin(az), np.cos(alt) * np.cos(az), np.sin(alt)


def separation(a: Vector, b: Vector) -> Any:
    """The angle between two unit vectors, 0 to pi, exact also for tiny ones (Kahan's formula)."""
    less = np.sqrt((a.x - b.x) ** 2 + (a.y - b.y) ** 2 + (a.z - b.z) ** 2)
    more = np.sqrt((a.x + b.x) ** 2 + (a.y + b.y) ** 2 + (a.z + b.z) ** 2)
    return 2 * np.arctan2(less, more)
