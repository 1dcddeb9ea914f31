"""Light curves of variable stars and active galaxies.

Each function maps uniform numbers (objects, 8) to light; the first two of them make the classes. Ranges without a
source are chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metaenv.supervised.families.light_curve_light import (
    REFERENCE_NM,
    WAVELENGTH_NM,
    Light,
    Visits,
    blackbody,
    brightness,
    flux_of,
    normal,
    peak_day,
    uniform,
)
from metaenv.typing import Floats


def _star(dm: Floats, m_r: Floats, temperature_K: Floats, visits: Visits) -> Light:
    """A star whose magnitude differs by dm (n, visits) from its mean m_r (n,)."""
    colour = blackbody(WAVELENGTH_NM, temperature_K[:, None])
    mean = flux_of(m_r)[:, None] * colour / colour[:, 2:3]
    constant = np.take_along_axis(mean, visits.band, axis=1)
    return Light(constant * (10 ** (-0.4 * dm) - 1), constant, np.zeros(len(m_r)))


@dataclass(frozen=True)
class Pulsation:
    """A Fourier series of order 3 in the phase; medians and 10-90 % ranges as fitted to OGLE-III."""

    log_period: tuple[float, float]
    """log10 of days: mean, standard deviation."""
    log_amplitude: tuple[float, float]
    """log10 of magnitudes in I, peak to peak."""
    ratios: tuple[float, float]
    """R21, R31."""
    phases: tuple[float, float]
    """phi21, phi31 in cosines."""
    temperature_K: float
    by_band: tuple[float, ...] = (1.5, 1.75, 1.3, 1.0, 0.93, 0.9)
    """Amplitude in each band relative to I."""

    def __call__(self, u: Floats, visits: Visits, _rng: np.random.Generator) -> Light:
        period, amplitude = (10 ** normal(u[:, i], *p) for i, p in enumerate((self.log_period, self.log_amplitude)))
        r21, r31 = (r * np.exp(normal(u[:, 2 + i], 0, 0.25)) for i, r in enumerate(self.ratios))
        phi21, phi31 = (p + normal(u[:, 4 + i], 0, 0.35) for i, p in enumerate(self.phases))

        def shape(phase: Floats) -> Floats:
            wave = np.cos(phase)
            second = r21[:, None] * np.cos(2 * phase + phi21[:, None])
            return wave + second + r31[:, None] * np.cos(3 * phase + phi31[:, None])

        swing = np.ptp(shape(np.linspace(0, 2 * np.pi, 24)[None]), axis=1)
        phase = 2 * np.pi * (visits.t / period[:, None] % 1 + u[:, 7:8])
        dm = shape(phase) * (amplitude / swing)[:, None] * np.array(self.by_band)[visits.band]
        m_r = uniform(u[:, 6], visits.limit - 8.0, visits.limit - 2.0)
        return _star(dm, m_r, np.full(len(u), self.temperature_K), visits)


MIRA_BANDS = (2.6, 2.25, 1.9, 1.55, 1.2, 0.85)


def eclipsing(u: Floats, visits: Visits, _rng: np.random.Generator) -> Light:
    """Two trapezoidal eclipses, and tides as cos 2 phi; width ~ P^(-1/2) from 0.03 to 0.45 of the period."""
    period, depth = 10 ** normal(u[:, 0], 0.1, 0.55), uniform(u[:, 1], 0.1, 1.3)
    width = np.clip(0.22 * period**-0.5, 0.03, 0.45)[:, None] / 2
    phase = (visits.t / period[:, None] + u[:, 2:3]) % 1
    second = depth * uniform(u[:, 3], 0.1, 1.0)
    dm = np.zeros_like(phase)
    for centre, deep in ((0.0, depth), (0.5, second)):
        away = np.abs((phase - centre + 0.5) % 1 - 0.5)
        dm += deep[:, None] * np.clip((width - away) / (0.6 * width), 0, 1)
    dm += (0.3 * width) * np.cos(4 * np.pi * phase)
    dm -= dm.mean(axis=1, keepdims=True)
    return _star(dm, uniform(u[:, 4], visits.limit - 7.0, visits.limit - 2.0), uniform(u[:, 5], 4500, 9000), visits)


def microlensing(u: Floats, visits: Visits, _rng: np.random.Generator) -> Light:
    """Paczynski 1986: A = (x^2 + 2) / (x sqrt(x^2 + 4)), x^2 = u0^2 + (t/tE)^2, blended with light not lensed."""
    einstein_d, nearest_x = 22 * np.exp(normal(u[:, 0], 0, 0.8)), uniform(u[:, 1], 0.01, 1.0)
    x2 = nearest_x[:, None] ** 2 + ((visits.t - peak_day(u[:, 2], visits)) / einstein_d[:, None]) ** 2
    gain = uniform(u[:, 3], 0.3, 1.0)[:, None] * ((x2 + 2) / np.sqrt(x2 * (x2 + 4)) - 1)
    m_r = uniform(u[:, 4], visits.limit - 6.0, visits.limit - 1.0)
    return _star(-2.5 * np.log10(1 + gain), m_r, uniform(u[:, 5], 3800, 7500), visits)


def flares(u: Floats, visits: Visits, rng: np.random.Generator) -> Light:
    """Flares of M dwarfs: the template of Davenport et al. 2014 (ApJ 797, 122, eq. 4), a 9,500 K blackbody.

    Visits are much further apart than a flare lasts, so that the time since the last one is exponential at each.
    """
    rate, strength = 10 ** uniform(u[:, 0], 0.0, 1.3), 10 ** uniform(u[:, 1], 0.0, 1.8)  # a day; in u, of the star
    half_d = 10 ** normal(u[:, 2], -2.1, 0.35)
    pairs = rng.exponential(size=(len(u), visits.t.shape[1] // 2)) / rate[:, None]
    x = np.repeat(pairs, 2, axis=1) + np.tile([0.0, 0.015], pairs.shape[1])
    x = x / half_d[:, None]
    profile = 0.6890 * np.exp(-1.600 * x) + 0.3030 * np.exp(-0.2783 * x)
    star = _star(
        np.zeros_like(visits.t),
        uniform(u[:, 3], visits.limit - 6.5, visits.limit - 2.5),
        np.full(len(u), 3100.0),
        visits,
    )
    colour = blackbody(WAVELENGTH_NM, 9500.0)[visits.band]
    in_u = star.constant / blackbody(WAVELENGTH_NM[visits.band], 3100.0) * blackbody(WAVELENGTH_NM, 3100.0)[0]
    size = strength[:, None] * np.repeat(rng.pareto(1.5, pairs.shape) + 0.2, 2, axis=1)  # a power law of energies
    return Light(in_u * np.minimum(size, 300.0) * profile * colour / colour.max(), star.constant, np.zeros(len(u)))


def dwarf_nova(u: Floats, visits: Visits, _rng: np.random.Generator) -> Light:
    """Outbursts of 2 to 6 mag that come back every 10 to 200 days: a fast rise, a plateau, a decline."""
    recurrence, rise_mag = 10 ** uniform(u[:, 0], 1.0, 2.3), uniform(u[:, 1], 2.0, 6.0)
    age = (visits.t + recurrence[:, None] * u[:, 2:3]) % recurrence[:, None]
    long = np.minimum(uniform(u[:, 3], 4.0, 14.0), 0.6 * recurrence)[:, None]
    up = np.clip(age / 1.0, 0, 1) * np.clip((1.6 * long - age) / (0.6 * long), 0, 1)
    m_r = np.maximum(brightness(u[:, 4], visits), visits.limit - 4.0) + rise_mag
    return _star(-rise_mag[:, None] * up, m_r, uniform(u[:, 5], 9000, 14000), visits)


def fu_orionis(u: Floats, visits: Visits, _rng: np.random.Generator) -> Light:
    """A young star that brightens by 2.5 to 5 mag once, over weeks to a year, and hardly fades."""
    rise_d, rise_mag = 10 ** uniform(u[:, 0], 1.0, 2.2), uniform(u[:, 1], 2.5, 5.0)
    since = (visits.t - peak_day(u[:, 2], visits)) / rise_d[:, None]
    dm = -rise_mag[:, None] / (1 + np.exp(-np.clip(since, -50, 50))) + 0.0003 * np.maximum(since * rise_d[:, None], 0)
    return _star(dm, brightness(u[:, 4], visits) + rise_mag, uniform(u[:, 5], 3800, 6500), visits)


# DISCS AND JETS


def _walk(log_tau: Floats, log_sf: Floats, tilt: float, u: Floats, visits: Visits, rng: np.random.Generator) -> Light:
    """A damped random walk in magnitude (Kelly et al. 2009), larger in the blue: ~ wavelength^-tilt."""
    tau, sf = 10**log_tau, 10**log_sf
    keep = np.exp(-np.diff(visits.t, axis=1) / tau[:, None])
    kick = np.sqrt(1 - keep**2)
    white = rng.standard_normal(visits.t.shape)
    state = white[:, 0]
    walk = np.empty_like(white)
    walk[:, 0] = state
    for j in range(keep.shape[1]):
        state = keep[:, j] * state + kick[:, j] * white[:, j + 1]
        walk[:, j + 1] = state
    dm = walk * (sf / np.sqrt(2))[:, None] * (WAVELENGTH_NM / REFERENCE_NM)[visits.band] ** -tilt
    light = _star(dm, uniform(u[:, 3], visits.limit - 6.0, visits.limit - 2.0), uniform(u[:, 4], 9_000, 15_000), visits)
    return Light(light.flux, light.constant, 0.1 + 2.4 * u[:, 5] ** 1.5)


def active_nucleus(u: Floats, visits: Visits, rng: np.random.Generator) -> Light:
    """log tau 2.4 +- 0.35 (days), log SF -0.75 +- 0.2 (mag), ~ wavelength^-0.48 (MacLeod et al. 2010)."""
    return _walk(normal(u[:, 0], 2.4, 0.35), normal(u[:, 1], -0.75, 0.2), 0.48, u, visits, rng)


def blazar(u: Floats, visits: Visits, rng: np.random.Generator) -> Light:
    """As an active nucleus, but within days, stronger and alike in all bands."""
    return _walk(normal(u[:, 0], 0.8, 0.4), normal(u[:, 1], -0.35, 0.2), 0.05, u, visits, rng)
