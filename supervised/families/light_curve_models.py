"""The twenty-one families of variable and transient objects, and the light of each.

A family's model maps uniform numbers (objects, 8) to light; the first two of them make the classes (see
`light_curves`). Transients are blackbodies whose luminosity has a simple form; there are no spectral templates, so that
all this is good for training and comparing learners, not for cosmology. Ranges without a source are chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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

# VARIABLE STARS


def _star(dm: Floats, m_r: Floats, temperature_K: Floats, visits: Visits) -> Light:
    """A star whose magnitude differs by dm (n, visits) from its mean m_r (n,)."""
    colour = blackbody(WAVELENGTH_NM, temperature_K[:, None])
    mean = flux_of(m_r)[:, None] * colour / colour[:, 2:3]
    constant = np.take_along_axis(mean, visits.band, axis=1)
    return Light(constant * (10 ** (-0.4 * dm) - 1), constant, np.zeros(len(m_r)))


@dataclass(frozen=True)
class Pulsation:
    """A Fourier series of order 3 in the phase; medians and 10-90 % ranges as fitted to OGLE-III."""

    log_period: tuple[float, float]  # log10 of days: mean, standard deviation
    log_amplitude: tuple[float, float]  # log10 of magnitudes in I, peak to peak: mean, standard deviation
    ratios: tuple[float, float]  # R21, R31
    phases: tuple[float, float]  # phi21, phi31 in cosines
    temperature_K: float
    by_band: tuple[float, ...] = (1.5, 1.75, 1.3, 1.0, 0.93, 0.9)  # amplitude in each band relative to I

    def parameters(self, u: Floats) -> Floats:
        """(n, 6) of uniform numbers (n, 8): period in days, amplitude in I in mag, R21, R31, phi21, phi31."""
        period, amplitude = (10 ** normal(u[:, i], *p) for i, p in enumerate((self.log_period, self.log_amplitude)))
        ratios = (r * np.exp(normal(u[:, 2 + i], 0, 0.25)) for i, r in enumerate(self.ratios))
        phases = (p + normal(u[:, 4 + i], 0, 0.35) for i, p in enumerate(self.phases))
        return np.stack([period, amplitude, *ratios, *phases], axis=1)

    def __call__(self, u: Floats, visits: Visits, _rng: np.random.Generator) -> Light:
        period, amplitude, r21, r31, phi21, phi31 = self.parameters(u).T

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
    x = (np.repeat(pairs, 2, axis=1) + np.tile([0.0, 0.015], pairs.shape[1])) / half_d[:, None]
    profile = 0.6890 * np.exp(-1.600 * x) + 0.3030 * np.exp(-0.2783 * x)
    m_r = uniform(u[:, 3], visits.limit - 6.5, visits.limit - 2.5)
    star = _star(np.zeros_like(visits.t), m_r, np.full(len(u), 3100.0), visits)
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
    walk = white.copy()
    for j in range(keep.shape[1]):
        walk[:, j + 1] = keep[:, j] * walk[:, j] + kick[:, j] * white[:, j + 1]
    dm = walk * (sf / np.sqrt(2))[:, None] * (WAVELENGTH_NM / REFERENCE_NM)[visits.band] ** -tilt
    light = _star(dm, uniform(u[:, 3], visits.limit - 6.0, visits.limit - 2.0), uniform(u[:, 4], 9_000, 15_000), visits)
    return Light(light.flux, light.constant, 0.1 + 2.4 * u[:, 5] ** 1.5)


def active_nucleus(u: Floats, visits: Visits, rng: np.random.Generator) -> Light:
    """log tau 2.4 +- 0.35 (days), log SF -0.75 +- 0.2 (mag), ~ wavelength^-0.48 (MacLeod et al. 2010)."""
    return _walk(normal(u[:, 0], 2.4, 0.35), normal(u[:, 1], -0.75, 0.2), 0.48, u, visits, rng)


def blazar(u: Floats, visits: Visits, rng: np.random.Generator) -> Light:
    """As an active nucleus, but within days, stronger and alike in all bands."""
    return _walk(normal(u[:, 0], 0.8, 0.4), normal(u[:, 1], -0.35, 0.2), 0.05, u, visits, rng)


# TRANSIENTS


def _transient(
    luminosity: Floats, temperature_K: Floats, absolute: Floats, m: Floats, visits: Visits, blanket: float = 1.0
) -> Light:
    """A blackbody of changing temperature at the distance where its peak has magnitude m (n,).

    Its luminosity (n, visits) at rest-frame 481 nm is 1 at the peak, where its absolute magnitude is ``absolute`` (n,).
    Metal lines leave a share ``blanket`` of the light below 400 nm.
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
    temperature = 4_500 + 5_000 / (1 + np.exp(np.clip((t - 5) / 8, -50, 50)))
    return _transient(bazin(t, rise, fall), temperature, absolute, m, visits, 0.35)


def superluminous(u: Floats, visits: Visits, _rng: np.random.Generator) -> Light:
    """M -21.7 +- 0.6, rise 20 to 50, fall 30 to 80 days, 12,000 to 18,000 K at first (Nicholl et al. 2017)."""
    rise, fall = uniform(u[:, 0], 20, 50)[:, None] / 3, uniform(u[:, 1], 30, 80)[:, None]
    absolute, m = normal(u[:, 3], -21.7, 0.6), brightness(u[:, 4], visits)
    t = _rest_days(u[:, 2], m, absolute, visits)
    hot = uniform(u[:, 5], 12_000, 18_000)[:, None]
    temperature = 6_000 + (hot - 6_000) * np.exp(-np.maximum(t, 0) / 50)
    return _transient(bazin(t, rise, fall), temperature, absolute, m, visits, 0.6)


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


# THE FAMILIES

Model = Callable[[Floats, Visits, np.random.Generator], Light]


@dataclass(frozen=True)
class ObjectFamily:
    """A family: objects of one nature."""

    name: str
    model: Model
    parameters: tuple[str, str]  # what the first two uniform numbers stand for: regions of these are the classes
    split: str
    usual: bool = False  # whether surveys find it all the time, for the search of rare transients
    transient: bool = False  # whether it happens once or rarely, so that one would follow it up


_PULSE = ("period", "amplitude")
FAMILIES: tuple[ObjectFamily, ...] = (
    ObjectFamily("RR Lyrae ab", Pulsation((-0.245, 0.06), (-0.30, 0.16), (0.466, 0.32), (4.39, 2.68), 6600),
        _PULSE, "train", usual=True),
    ObjectFamily("Cepheid F", Pulsation((0.48, 0.27), (-0.33, 0.14), (0.444, 0.241), (4.53, 2.75), 5900),
        _PULSE, "train", usual=True),
    ObjectFamily("W Virginis", Pulsation((1.02, 0.15), (-0.40, 0.25), (0.134, 0.061), (0.40, 2.48), 5500),
        _PULSE, "train", usual=True),
    ObjectFamily("Mira", Pulsation((2.51, 0.15), (0.25, 0.18), (0.1, 0.05), (4.5, 2.5), 2900, MIRA_BANDS),
        _PULSE, "train"),
    ObjectFamily("eclipsing binary", eclipsing, ("period", "depth"), "train", usual=True),
    ObjectFamily("supernova Ia", supernova_ia, ("stretch", "dust"), "train", usual=True),
    ObjectFamily("supernova II", supernova_ii, ("plateau", "slope"), "train", usual=True),
    ObjectFamily("superluminous supernova", superluminous, ("rise", "fall"), "train", transient=True),
    ObjectFamily("active nucleus", active_nucleus, ("time scale", "amplitude"), "train", usual=True),
    ObjectFamily("M-dwarf flares", flares, ("rate", "strength"), "train", transient=True),
    ObjectFamily("dwarf nova", dwarf_nova, ("recurrence", "amplitude"), "train", transient=True),
    ObjectFamily("semi-regular", Pulsation((1.94, 0.2), (-0.90, 0.25), (0.1, 0.05), (4.5, 2.5), 3300, MIRA_BANDS),
        _PULSE, "train", usual=True),
    ObjectFamily("RR Lyrae c", Pulsation((-0.49, 0.06), (-0.585, 0.09), (0.135, 0.076), (4.94, 3.77), 7100),
        _PULSE, "validation"),
    ObjectFamily("supernova Ibc", supernova_ibc, ("rise", "fall"), "validation", transient=True),
    ObjectFamily("blazar", blazar, ("time scale", "amplitude"), "validation"),
    ObjectFamily("FU Orionis", fu_orionis, ("rise", "amplitude"), "validation", transient=True),
    ObjectFamily("Cepheid 1O", Pulsation((0.19, 0.22), (-0.627, 0.15), (0.166, 0.052), (4.38, 2.72), 6300),
        _PULSE, "test"),
    ObjectFamily("delta Scuti", Pulsation((-1.06, 0.15), (-0.69, 0.23), (0.25, 0.1), (4.0, 2.5), 7500),
        _PULSE, "test"),
    ObjectFamily("microlensing", microlensing, ("Einstein time", "impact"), "test", transient=True),
    ObjectFamily("tidal disruption", tidal_disruption, ("decay", "temperature"), "test", transient=True),
    ObjectFamily("kilonova", kilonova, ("decline", "temperature"), "test", transient=True),
)  # fmt: skip
"""Whole families are held out. Means and deviations of the pulsators: fitted to up to 300 stars a type of the OGLE-III
catalogue of variable stars (Soszynski et al. 2008-2013) from the 10, 50 and 90 % points of log period and log
amplitude and the medians of R21, R31 and phi; R and phi of Miras, semi-regular and delta Scuti stars are chosen."""
