"""Time: Julian dates of UTC, UT1, and ISO 8601, from 1950 to 2100.

A Julian date in double precision resolves 40 microseconds, which turns the sky by 0.0006 arcsec.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError
from metaenv.typing import Floats

J2000 = 2451545.0  # JD of 2000 January 1, 12 h
UNIX_EPOCH = 2440587.5  # JD of 1970 January 1, 0 h
FIRST, LAST = 2433282.5, 2488069.5  # JD of 1950 January 1 and 2100 January 1, 0 h
DAYS_PER_CENTURY, DAYS_PER_YEAR = 36525.0, 365.2422  # days in a Julian century, a tropical year
TT_MINUS_UTC_S = 69.184  # s since 2017; 29 s in 1950. The sun moves 0.04 arcsec a second, so one value serves

# TAI - UTC in s, from these JDs on (IERS Bulletin C). UTC had no whole leap seconds before 1972.
_LEAP_DATES = np.array([
    2441317.5, 2441499.5, 2441683.5, 2442048.5, 2442413.5, 2442778.5, 2443144.5, 2443509.5, 2443874.5, 2444239.5,
    2444786.5, 2445151.5, 2445516.5, 2446247.5, 2447161.5, 2447892.5, 2448257.5, 2448804.5, 2449169.5, 2449534.5,
    2450083.5, 2450630.5, 2451179.5, 2453736.5, 2454832.5, 2456109.5, 2457204.5, 2457754.5,
])  # fmt: skip
_FIRST_LEAP_S = 10.0  # TAI - UTC in s at the first of them

# UT2 - TAI in s at January 1 and July 1, 1972.0 to 2027.5 (IERS EOP 20 C04 to 1973.0, then IERS finals2000A of
# 2 November 2026, predictions after that date). UT2 is UT1 less its mean seasons, so that half-years suffice.
_HALF_YEARS_FROM = 1972.0
_UT2_MINUS_TAI_S = np.array([
    -10.051, -10.618, -11.194,
    -11.756, -12.307, -12.793, -13.298, -13.779, -14.279, -14.794, -15.342, -15.831, -16.356, -16.895, -17.410,
    -17.898, -18.361, -18.772, -19.203, -19.607, -19.989, -20.368, -20.778, -21.230, -21.610, -21.883, -22.163,
    -22.431, -22.692, -22.910, -23.143, -23.378, -23.641, -23.891, -24.121, -24.367, -24.676, -25.019, -25.386,
    -25.754, -26.130, -26.538, -26.943, -27.382, -27.806, -28.198, -28.606, -29.042, -29.450, -29.793, -30.116,
    -30.454, -30.787, -31.081, -31.288, -31.460, -31.650, -31.777, -31.912, -32.008, -32.121, -32.210, -32.294,
    -32.347, -32.395, -32.450, -32.509, -32.596, -32.666, -32.786, -32.967, -33.138, -33.278, -33.425, -33.598,
    -33.747, -33.891, -34.037, -34.145, -34.271, -34.424, -34.567, -34.728, -34.923, -35.102, -35.282, -35.465,
    -35.657, -35.923, -36.193, -36.414, -36.621, -36.789, -36.910, -37.041, -37.154, -37.182, -37.221, -37.180,
    -37.148, -37.115, -37.049, -37.025, -37.016, -36.996, -36.985, -36.959, -36.937, -36.931, -36.966, -37.128,
    -37.218,
])  # fmt: skip


def julian_date(when: str | dt.datetime | NDArray[np.datetime64]) -> Any:
    """The JD of UTC: a float, or an array for an array of datetime64.

    Args:
        when: ISO 8601 (``"2027-03-14T02:30"``; an offset such as ``+02:00`` is honoured, without one it is UTC), a
            datetime (aware, or naive in UTC), or an array of datetime64 in UTC.

    Raises:
        TaskError: what cannot be read as a time, or lies outside 1950-2100.
    """
    if isinstance(when, str):
        try:
            when = dt.datetime.fromisoformat(when)
        except ValueError:
            raise TaskError(f"expected a time such as '2027-03-14T02:30' (ISO 8601, UTC), got {when!r}") from None
    if isinstance(when, dt.datetime):
        if when.tzinfo is not None:
            when = when.astimezone(dt.UTC).replace(tzinfo=None)
        return float(checked(np.array(UNIX_EPOCH + (when - dt.datetime(1970, 1, 1)) / dt.timedelta(days=1))))
    microseconds = np.asarray(when, "datetime64[us]").astype(np.int64)
    return checked(UNIX_EPOCH + microseconds / 86_400e6)


def checked(jd: Floats) -> Floats:
    """``jd`` itself if all of it lies in 1950-2100; raises TaskError otherwise."""
    jd = np.asarray(jd, float)
    if not np.all((jd >= FIRST) & (jd < LAST)):
        bad = jd.ravel()[~((jd >= FIRST) & (jd < LAST)).ravel()][0]
        raise TaskError(f"expected a date from 1950 to 2099 (Julian date {FIRST} to {LAST}), got Julian date {bad}")
    return jd


def iso(jd: float) -> str:
    """A JD of UTC as ``YYYY-MM-DDTHH:MM:SS``, to the nearest second."""
    return str(np.datetime64(round((jd - UNIX_EPOCH) * 86_400), "s"))


def centuries(jd: Floats) -> Floats:
    """Julian centuries of UTC since J2000."""
    return (jd - J2000) / DAYS_PER_CENTURY


def ut1_minus_utc_s(jd: Floats) -> Floats:
    """UT1 - UTC in s.

    From 1972 to mid-2027 within 0.04 s of the IERS series. Outside it is taken as 0, which is within 0.2 s
    before 1972 (UTC then followed UT2), and within 0.9 s (13.5 arcsec of sidereal time) for as long as leap seconds
    are kept: nobody can predict the Earth's rotation better.
    """
    years = 2000.0 + (jd - (J2000 - 0.5)) / DAYS_PER_YEAR
    half_years = (years - _HALF_YEARS_FROM) * 2
    known = (half_years >= 0) & (half_years <= len(_UT2_MINUS_TAI_S) - 1)
    ut2_minus_tai = np.interp(half_years, np.arange(len(_UT2_MINUS_TAI_S)), _UT2_MINUS_TAI_S)
    tai_minus_utc = _FIRST_LEAP_S - 1 + np.searchsorted(_LEAP_DATES, jd, "right")
    return np.where(known, ut2_minus_tai + tai_minus_utc - _ut2_minus_ut1_s(years), 0.0)


def _ut2_minus_ut1_s(years: Floats) -> Floats:
    """The mean seasons of the Earth's rotation (IERS Bulletin A, the definition of UT2)."""
    t = 2 * np.pi * years
    return 0.022 * np.sin(t) - 0.012 * np.cos(t) - 0.006 * np.sin(2 * t) + 0.007 * np.cos(2 * t)
