"""Light curves of transients: blackbodies whose luminosity has a simple form.

There are no spectral templates: this is good for training and comparing learners, not for cosmology. Each function maps
uniform numbers (objects, 8) to light; the first two of them make the classes. Ranges without a source are chosen.
"""

from __future__ import annotations

import numpy as np

from metaenv.supervised.families.light_curve_light import (
    REFERENCE_NM,
    SECOND_RADIATION_NM_K,
    WAVELENGTH_NM,
    Light,
    Visits,
    blackbody,
    brightness,
    flux_of,
    normal,
    peak_day,
    redshift_of,
    uniform,
)
from metaenv.typing import Floats


def _transient(
    luminosity: Floats, temperature_K: Floats, absolute: Floats, m: Floats, visits: Visits, blanket: float = 1.0
) -> Light:
    """A blackbody of changing temperature at the distance where its peak has magnitude m.

    Args:
        luminosity: (n, visits) at rest-frame 481 nm, 1 at the peak.
        temperature_K: (n, visits).
        absolute: (n,) magnitude at the peak.
        m: (n,) apparent.
        visits: when and how.
        blanket: what metal lines leave of the light below 400 nm.
    """
    z = redshift_of(m - absolute)
    rest = WAVELENGTH_NM[visits.band] / (1 + z[:, None])
    seen = blackbody(rest, temperature_K) * np.where(rest < 400, blanket, 1.0)
    return Light(flux_of(m)[:, None] * luminosity * seen, np.zeros_like(luminosity), z)


def _rest_days(u: Floats, m: Floats, absolute: Floats, visits: Visits) -> Floats:
    """(n, visits) days since the peak in the object's own time."""
    return (visits.t - peak_day(u, visits)) / (1 + redshift_of(m - absolute))[:, None]


def bazin(t: Floats, rise: Floats, fall: Floats) -> Floats:
    """Bazin et al. 2009 (A&A 499, 653, eq. 1): exp(-t/fall) / (1 + exp(-t/rise)), moved and scaled to peak 1 at 0."""
    ratio = np.maximum(fall / rise, 1.05)
    shift = rise * np.log(ratio - 1)
    top = np.exp(-shift / fall) / (1 + np.exp(-shift / rise))
    t = t + shift
    return np.exp(-np.maximum(t, -40 * rise) / fall) / (1 + np.exp(np.minimum(-t / rise, 60))) / top


def supernova_ia(u: Floats, visits: Visits, _rng: np.random.Generator) -> Light:
    """M_B -19.35, stretch 1 +- 0.1, dust E(B-V) of mean 0.08; a second maximum after 25 days above 700 nm."""
    stretch, dust = normal(u[:, 0], 1.0, 0.1), np.minimum(-0.08 * np.log1p(-u[:, 1] * 0.999), 0.5)
    absolute, m = normal(u[:, 3], -19.35, 0.15) - 2.0 * (stretch - 1) + 3.1 * dust, brightness(u[:, 4], visits)
    t = _rest_days(u[:, 2], m, absolute, visits) / stretch[:, None]
    rest = WAVELENGTH_NM[visits.band] / (1 + redshift_of(m - absolute))[:, None]
    light = bazin(t, np.array(4.0), np.array(17.0)) + 0.35 * np.exp(-(((t - 25) / 9) ** 2)) * (rest > 700)
    temperature = 5_500 + 7_000 / (1 + np.exp(np.clip((t - 8) / 7, -50, 50)))
    light = light * 10 ** (-0.4 * 3.1 * dust[:, None] * ((REFERENCE_NM / rest) ** 1.3 - 1))
    return _transient(light, temperature, absolute, m, visits, 0.35)


def supernova_ii(u: Floats, visits: Visits, _rng: np.random.Generator) -> Light:
    """A plateau of 100 +- 15 days that falls by 0.8 +- 0.6 mag in 100 days, a drop, a tail of 0.0098 mag/d (56Co)."""
    long, slope = normal(u[:, 0], 100, 15)[:, None], np.maximum(normal(u[:, 1], 0.8, 0.6), 0.0)[:, None]
    absolute, m = normal(u[:, 3], -16.9, 1.0), brightness(u[:, 4], visits)
    t = _rest_days(u[:, 2], m, absolute, visits)
    drop = 0.12 + 0.88 / (1 + np.exp(np.clip((t - long) / 5, -50, 50)))
    fade = slope * np.minimum(t, long) / 100 + 0.0098 * np.maximum(t - long, 0)
    light = np.where(t > 0, drop * 10 ** (-0.4 * np.where(t > 0, fade, 0)), np.exp(-((t / 4) ** 2)))
    return _transient(light, 5_800 + 8_000 * np.exp(-np.maximum(t, -5) / 22), absolute, m, visits, 0.5)


def supernova_ibc(u: Floats, visits: Visits, _rng: np.random.Generator) -> Light:
    """M -17.5 +- 0.9, rise 14 +- 4, fall 15 to 35 days, 9,500 K to 4,500 K."""
    rise, fall = normal(u[:, 0], 14, 4)[:, None] / 3, uniform(u[:, 1], 15, 35)[:, None]
    absolute, m = normal(u[:, 3], -17.5, 0.9), brightness(u[:, 4], visits)
    t = _rest_days(u[:, 2], m, absolute, visits)
    return _transient(
        bazin(t, rise, fall), 4_500 + 5_000 / (1 + np.exp(np.clip((t - 5) / 8, -50, 50))), absolute, m, visits, 0.35
    )


def superluminous(u: Floats, visits: Visits, _rng: np.random.Generator) -> Light:
    """M -21.7 +- 0.6, rise 20 to 50, fall 30 to 80 days, 12,000 to 18,000 K at first (Nicholl et al. 2017)."""
    rise, fall = uniform(u[:, 0], 20, 50)[:, None] / 3, uniform(u[:, 1], 30, 80)[:, None]
    absolute, m = normal(u[:, 3], -21.7, 0.6), brightness(u[:, 4], visits)
    t = _rest_days(u[:, 2], m, absolute, visits)
    hot = uniform(u[:, 5], 12_000, 18_000)[:, None]
    return _transient(
        bazin(t, rise, fall), 6_000 + (hot - 6_000) * np.exp(-np.maximum(t, 0) / 50), absolute, m, visits, 0.6
    )


def tidal_disruption(u: Floats, visits: Visits, _rng: np.random.Generator) -> Light:
    """A rise of 10 to 35 days, then (1 + t/t_d)^(-5/3), t_d 20 to 60 days; 16,000 to 35,000 K (van Velzen 2021)."""
    decay, temperature = uniform(u[:, 0], 20, 60)[:, None], uniform(u[:, 1], 16_000, 35_000)[:, None]
    absolute, m = normal(u[:, 3], -19.3, 0.8), brightness(u[:, 4], visits)
    t, rise = _rest_days(u[:, 2], m, absolute, visits), uniform(u[:, 5], 10, 35)[:, None]
    light = np.where(t > 0, (1 + np.maximum(t, 0) / decay) ** (-5 / 3), np.exp(-((t / rise) ** 2)))
    return _transient(light, np.broadcast_to(temperature, t.shape), absolute, m, visits)


def kilonova(u: Floats, visits: Visits, rng: np.random.Generator) -> Light:
    """t^-1 to t^-1.5 after half a day, cooling as t^-0.6 to 2,000 K (Villar et al. 2017); M -14.5 to -16.5."""
    power, hot = uniform(u[:, 0], 1.0, 1.5)[:, None], uniform(u[:, 1], 5_000, 10_000)[:, None]
    absolute, m = uniform(u[:, 3], -16.5, -14.5), brightness(u[:, 4], visits)
    visit = rng.integers(visits.t.shape[1], size=(len(u), 1))  # only those near a visit can be found
    start = np.take_along_axis(visits.t, visit, axis=1) - 3 * u[:, 2:3]
    t = (visits.t - start) / (1 + redshift_of(m - absolute))[:, None]
    age = np.maximum(t, 0.05)
    temperature = np.maximum(hot * (age / 0.6) ** -0.6, 2_000)
    # The power law is of all its light, of which a cooling body shows ever less at 481 nm.
    x, x_peak = (SECOND_RADIATION_NM_K / (REFERENCE_NM * v) for v in (temperature, hot))
    share = (hot / temperature) ** 4 * np.expm1(x_peak) / np.expm1(x)
    light = np.where(t > 0, np.where(age < 0.6, age / 0.6, (age / 0.6) ** -power), 0.0)
    return _transient(light * share, temperature, absolute, m, visits)
