"""The weather of a night: seeing, clouds and a drifting bank of cloud, whatever the observer does.

Seeing: a log-normal autoregressive process within a night and another one between nights. Clouds: a chain of three
states in continuous time, reversible, with a season. The numbers were fitted to public records and say which.
All functions take standard normal or uniform numbers, rows first, so that one row depends on its own stream alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.telescope.sim.julian_dates import DAYS_PER_YEAR, J2000
from metaenv.telescope.sim.tables import Table
from metaenv.typing import Floats

# Fitted to 5-minute seeing of Las Campanas, La Palma, San Pedro Mártir and CTIO, which are kept with the
# survey simulators of the Rubin Observatory.
NIGHT_SD = 0.25  # sd of ln seeing between nights
NIGHT_CORRELATION = 0.4  # of ln seeing from one night to the next (CTIO 2003)
WITHIN_SD = 0.28  # sd of ln seeing within a night
SEEING_HOURS = 1.5  # h in which its correlation falls to 1/e

CLEAR, PART, CLOSED = 0, 1, 2  # cloud cover of at most 1/8, less than 1/2, and 1/2 or more: then the dome is shut
STATIONARY = np.array([0.68003, 0.09934, 0.22063])  # share of time in each state at Tololo
# Moves per hour between two states, either way. They are the chain that ten years of Tololo cloud reports (4 a night)
# give over 2 h, [[.937 .046 .016], [.303 .412 .286], [.055 .123 .822]], made reversible: no entry moves by > 0.007.
FLOWS = np.array([[0.0, 0.024361, 0.002035], [0.024361, 0.0, 0.024268], [0.002035, 0.024268, 0.0]])
OVERNIGHT_HOURS = 8.0  # h of the chain that come closest to Tololo's last-of-night to first-of-next-night table

# Share of reports of the closed state at Tololo, January to December, ten years.
CLOSED_BY_MONTH = np.array([0.05, 0.07, 0.13, 0.23, 0.42, 0.45, 0.34, 0.33, 0.34, 0.16, 0.14, 0.07])
CLOSED_RANGE = (0.03, 0.60)  # chosen, so that every season has both kinds of night

PART_MAG = 0.4  # median extinction in V mag of the state PART (chosen)
PART_SD = 0.5  # sd of its logarithm (chosen)
PART_HOURS = 0.5  # h in which its correlation falls to 1/e (chosen)

BANK_BEGINS, BANK_FULL = 0.2, 0.7  # cos(altitude) towards a bank at which it begins and is at its thickest (chosen)


@dataclass(frozen=True)
class Weather(Table):
    """``n`` nights of ``T`` slots.

    Attributes:
        seeing: (n, T) FWHM in arcsec at the zenith and 500 nm, atmosphere only.
        cloud: (n, T) int8, `CLEAR`, `PART` or `CLOSED`.
        cloud_mag: (n, T) grey extinction in mag over the whole sky; infinite where closed.
        bank_mag: (n,) extinction in mag of the bank where it is thickest.
        bank_azimuth: (n, T) rad, north over east, where the bank stands.
    """

    seeing: Floats
    cloud: NDArray[np.int8]
    cloud_mag: Floats
    bank_mag: Floats
    bank_azimuth: Floats


def clear_weather(seeing: Floats, slots: int) -> Weather:
    """Cloudless nights of constant seeing (n,) in arcsec: the nominal conditions a planner assumes."""
    shape = (len(seeing), slots)
    steady = np.repeat(seeing[:, None], slots, axis=1)
    # Every array is its own: they may be assigned to.
    return Weather(steady, np.zeros(shape, np.int8), np.zeros(shape), np.zeros(len(seeing)), np.zeros(shape))


def autoregressive(normal: Floats, hours: Floats, correlation_hours: float) -> Floats:
    """A stationary AR(1) of variance 1, (n, T), from (n, T) normal numbers; steps of ``hours`` (n,)."""
    steps = np.arange(normal.shape[1]) * (hours / correlation_hours)[:, None]
    fresh = np.sqrt(1 - np.exp(-2 * hours / correlation_hours))
    weighted = normal * fresh[:, None]
    weighted[:, 0] = normal[:, 0]
    # The newest terms are the largest of the sum, so that nothing cancels.
    return np.exp(-steps) * np.cumsum(np.exp(steps) * weighted, axis=1)


def next_night(previous: Floats, normal: Floats) -> Floats:
    """The level of ln seeing of the next night, (n,), in units of `NIGHT_SD`; a first night's is standard normal."""
    return NIGHT_CORRELATION * previous + np.sqrt(1 - NIGHT_CORRELATION**2) * normal


def seeing_path(median: Floats, night_level: Floats, normal: Floats, hours: Floats) -> Floats:
    """Seeing in arcsec (n, T): ln s = ln median + 0.25 night_level + 0.28 AR(1).

    Args:
        median: (n,) arcsec, of the site.
        night_level: (n,) from `next_night`; standard normal.
        normal: (n, T).
        hours: (n,) length of a slot.
    """
    within = autoregressive(normal, hours, SEEING_HOURS)
    return median[:, None] * np.exp(NIGHT_SD * night_level[:, None] + WITHIN_SD * within)


# CLOUDS


def closed_fraction(jd: Floats, latitude: Floats, log_odds: Floats | float = 0.0) -> Floats:
    """The season's share of closed time, (n,): Tololo's year, half a year later in the north (chosen).

    Args:
        jd: (n,) JD of UTC.
        latitude: (n,) rad.
        log_odds: added to the log odds, to make a site or a year drier (< 0) or wetter (> 0).
    """
    month = ((jd - J2000) / DAYS_PER_YEAR * 12 + np.where(np.asarray(latitude) > 0, 6.0, 0.0)) % 12
    share = np.interp(month, np.arange(-0.5, 13), np.r_[CLOSED_BY_MONTH[-1], CLOSED_BY_MONTH, CLOSED_BY_MONTH[0]])
    odds = share / (1 - share) * np.exp(log_odds)
    return np.clip(odds / (1 + odds), *CLOSED_RANGE)


def cloud_stationary(closed: Floats) -> Floats:
    """(n, 3) share of time in each state when ``closed`` (n,) is that of `CLOSED`."""
    open_share = STATIONARY[:2] / (STATIONARY[0] + STATIONARY[1])
    closed = np.asarray(closed, float)
    return np.concatenate([(1 - closed)[:, None] * open_share, closed[:, None]], axis=1)


def cloud_transition(closed: Floats, hours: Floats) -> Floats:
    """(n, 3, 3) probabilities from state to state over ``hours`` (n,), rows summing to 1.

    The flows of Tololo, changed with the shares of time of the two states as sqrt(w_i w_j): the chain stays
    reversible, and its stationary shares are exactly those of `cloud_stationary`.
    """
    shares = cloud_stationary(closed)
    tilt = np.sqrt(shares / STATIONARY)
    rates = FLOWS * tilt[:, :, None] * tilt[:, None, :] / shares[:, :, None]
    rates[:, [0, 1, 2], [0, 1, 2]] = -(rates[:, :, 0] + rates[:, :, 1] + rates[:, :, 2])
    return _expm(rates * np.asarray(hours)[..., None, None])


def _expm(a: Floats) -> Floats:
    """exp of (n, 3, 3) generators, by a Taylor series of order 8 and 8 squarings (exact to 1e-12 for norms to 8)."""
    # With the rows last: numpy's loops then run over them, and not over three numbers.
    a, eye = np.ascontiguousarray(a.transpose(1, 2, 0)) / 256, np.eye(3)[:, :, None]
    total = eye + a / 8
    for k in range(7, 0, -1):
        total = eye + _product(a, total) / k
    for _ in range(8):
        total = _product(total, total)
    return np.ascontiguousarray(total.transpose(2, 0, 1))


def _product(a: Floats, b: Floats) -> Floats:
    # Sums of three in one order, unlike matmul's, whatever the machine and the number of rows.
    first, second, third = (a[:, j, None] * b[None, j] for j in range(3))
    return first + second + third


def draw_state(probabilities: Floats, uniform: Floats) -> NDArray[np.int8]:
    """(n,) states from (n, 3) probabilities and (n,) uniform numbers."""
    first = probabilities[:, 0]
    return (uniform >= first).astype(np.int8) + (uniform >= first + probabilities[:, 1])


def cloud_path(first: NDArray[np.int8], transition: Floats, uniform: Floats) -> NDArray[np.int8]:
    """The states of a night (n, T), beginning with ``first`` (n,).

    Args:
        first: from `draw_state` of `cloud_stationary` on the first night, then of
            ``cloud_transition(closed, OVERNIGHT_HOURS)[row, last state]``.
        transition: (n, 3, 3) over one slot.
        uniform: (n, T); the first column is not used.
    """
    limits = np.cumsum(transition, axis=2)[:, None]
    u = uniform[:, :, None]
    following = (u >= limits[..., 0]).astype(np.int8) + (u >= limits[..., 1])  # (n, T, 3) by the state before
    path, rows = np.empty(uniform.shape, np.int8), np.arange(len(uniform))
    path[:, 0] = first
    for t in range(1, uniform.shape[1]):
        path[:, t] = following[rows, t, path[:, t - 1]]
    return path


def cloud_extinction(cloud: NDArray[np.int8], normal: Floats, hours: Floats) -> Floats:
    """Grey extinction in mag (n, T): 0 when clear, log-normal about 0.4 in part, infinite when closed."""
    thin = PART_MAG * np.exp(PART_SD * autoregressive(normal, hours, PART_HOURS))
    return np.where(cloud == PART, thin, np.where(cloud == CLOSED, np.inf, 0.0))


def bank_path(azimuth: Floats, drift: Floats, hours: Floats, slots: int) -> Floats:
    """Where the bank stands, (n, T) rad: from ``azimuth`` (n,) at ``drift`` (n,) rad/h, slots of ``hours`` (n,)."""
    return azimuth[:, None] + (drift * hours)[:, None] * np.arange(slots)


def bank_extinction(east: Any, north: Any, bank_mag: Any, bank_azimuth: Any) -> Any:
    """Extinction in mag of the bank at horizon components ``east``, ``north``; broadcasts, float32 for float32.

    An invented shape: nothing at the zenith and behind it, rising smoothly towards the horizon at ``bank_azimuth``.
    """
    towards = east * np.sin(bank_azimuth) + north * np.cos(bank_azimuth)
    depth = np.clip((towards - BANK_BEGINS) * (1 / (BANK_FULL - BANK_BEGINS)), 0, 1)
    return bank_mag * (depth * depth * (3 - 2 * depth))
