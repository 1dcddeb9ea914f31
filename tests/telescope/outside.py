"""What a visit yields, computed outside of the package: places by Astropy, and formulas from the literature."""

from dataclasses import dataclass
from typing import Any

import numpy as np

ZERO_POINT, READ_NOISE, PIXEL, READOUT_S = 20.75, 4.0, 0.4, 8.0  # the default instrument, as its documentation has it
EXTINCTION, DARK_MAG, SEEING, SNR_NEEDED = 0.15, 21.5, 0.9, 15.0  # the sky that plans assume
SLEW_DEG_S, SETTLE_S, LOWEST_DEG = 2.5, 1.0, 27.0


@dataclass
class Visits:
    """Arrays, one number a visit; angles in degrees."""

    alt: Any
    az: Any
    airmass: Any
    snr: Any


def visits(c: Any, site: tuple[float, float], ra: Any, dec: Any, magnitude: Any, jd: Any, seconds: Any) -> Visits:
    """Of exposures of ``seconds`` with their middle at ``jd``; ``c`` is `astropy.coordinates`, angles in degrees."""
    from astropy import units as u
    from astropy.time import Time

    when = Time(jd, format="jd")
    place = c.EarthLocation.from_geodetic(site[1] * u.deg, site[0] * u.deg, 0 * u.m)
    horizon = c.AltAz(obstime=when, location=place)
    star = c.SkyCoord(ra * u.deg, dec * u.deg).transform_to(horizon)
    moon = c.get_body("moon", when, place).transform_to(horizon)
    alt, rho = star.alt.deg, star.separation(moon).deg
    # Kasten and Young 1989, Applied Optics 28, 4735
    airmass = 1 / (np.sin(np.radians(alt)) + 0.50572 * (alt + 6.07995) ** -1.6364)
    sky = dark_and_moon(alt, moon.alt.deg, rho, phase_deg(c, when))
    electrons = 10 ** (-0.4 * (magnitude + EXTINCTION * airmass - ZERO_POINT)) * seconds
    sky_mag = (20.7233 - np.log(sky / 34.08)) / 0.92104
    sky_electrons = 10 ** (-0.4 * (sky_mag - ZERO_POINT)) * seconds
    # The Rubin Observatory's effective width at 550 nm, and the noise area of a Gaussian
    fwhm = 1.16 * np.sqrt(0.25**2 + 0.08**2 + 0.30**2 + 1.04 * (SEEING * 1.1**-0.3) ** 2) * airmass**0.6
    area = np.pi / (2 * np.log(2)) * fwhm**2
    noise = np.sqrt(electrons + area * (sky_electrons + (READ_NOISE / PIXEL) ** 2))
    return Visits(alt, star.az.deg, airmass, electrons / noise)


def phase_deg(c: Any, when: Any) -> Any:
    """The angle sun-moon-Earth, as astroplan has it."""
    sun, moon = c.get_sun(when), c.get_body("moon", when)
    elongation = sun.separation(moon)
    far, near = sun.distance.km, moon.distance.km
    return np.degrees(np.arctan2(far * np.sin(elongation), near - far * np.cos(elongation))).value


def dark_and_moon(alt: Any, moon_alt: Any, rho: Any, phase: Any) -> Any:
    """Nanolamberts by Krisciunas and Schaefer 1991, PASP 103, 1033, equations 1, 2, 3, 15, 20 and 21; degrees."""

    def path(altitude: Any) -> Any:
        return (1 - 0.96 * np.sin(np.radians(90 - altitude)) ** 2) ** -0.5

    x, x_moon = path(alt), path(np.maximum(moon_alt, 0))
    zenith = 34.08 * np.exp(20.7233 - 0.92104 * DARK_MAG)
    airglow = zenith * 10 ** (-0.4 * EXTINCTION * (x - 1)) * x
    source = 10 ** (-0.4 * (3.84 + 0.026 * np.abs(phase) + 4e-9 * phase**4))
    scatter = 10**5.36 * (1.06 + np.cos(np.radians(rho)) ** 2) + 10 ** (6.15 - rho / 40)
    moonlight = scatter * source * 10 ** (-0.4 * EXTINCTION * x_moon) * (1 - 10 ** (-0.4 * EXTINCTION * x))
    return airglow + np.where(moon_alt > 0, moonlight, 0.0)


def worth_of(
    c: Any, site: tuple[float, float], targets: Any, index: Any, slot: Any, start: Any, slot_s: float
) -> tuple[float, float, int]:
    """Value times quality of a night, its mean airmass and its visits above the lowest altitude.

    Visits are in the order of time: of target ``index`` in ``slot``, both (n,), of slots that begin at ``start``, JD.
    Slews go from one target to the next, the first from the zenith, and take their time from the exposure.
    """
    from astropy import units as u
    from astropy.time import Time

    ra, dec = np.degrees(targets.ra[index]), np.degrees(targets.dec[index])
    place = c.EarthLocation.from_geodetic(site[1] * u.deg, site[0] * u.deg, 0 * u.m)
    zenith = c.SkyCoord(
        c.AltAz(az=0 * u.deg, alt=90 * u.deg, obstime=Time(start[0], format="jd"), location=place)
    ).transform_to("icrs")
    path = c.SkyCoord(np.append(zenith.ra.deg, ra) * u.deg, np.append(zenith.dec.deg, dec) * u.deg)
    seconds = slot_s - READOUT_S - SETTLE_S - path[:-1].separation(path[1:]).deg / SLEW_DEG_S
    seen = visits(c, site, ra, dec, targets.magnitude[index], start[slot] + slot_s / 2 / 86_400, seconds)
    high = seen.alt > LOWEST_DEG
    quality = 1 / (1 + (SNR_NEEDED / seen.snr[high]) ** 4)
    value = 2.0 ** (targets.priority.min() - targets.priority[index][high])
    return float((value * quality).sum()), float(seen.airmass[high].mean()), int(high.sum())
