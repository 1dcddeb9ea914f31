"""Tables of whole nights: where every target stands in every slot, and how much of its light arrives.

`prepare` computes the geometry of ``n`` nights of ``T`` slots and ``N`` targets, `conditions` the effect of an
atmosphere, so that one geometry serves the true sky and the one that a planner assumes. A step of an environment then
reads a cell. Tables (n, T, N) are float32: directions in them are good to 0.5 arcsec, and twice as many numbers fit
into the cache. They are filled a few rows at a time, in the cache too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError
from metaenv.telescope.sim.ephemeris import (
    DEGREE,
    Vector,
    airmass,
    apparent,
    horizon_axes,
    horizontal,
    moon,
    moon_phase_angle,
    moon_topocentric,
    sidereal_time,
    sun,
)
from metaenv.telescope.sim.exposure import (
    electrons_per_second,
    signal_to_noise,
    sky_electrons_per_second,
    zenith_noise_area,
)
from metaenv.telescope.sim.julian_dates import checked, iso
from metaenv.telescope.sim.moonlight import DEX_PER_MAG, moonlight_source, nanolamberts, scattering, sky_brightness
from metaenv.telescope.sim.tables import Table
from metaenv.telescope.sim.weather import Weather, bank_extinction
from metaenv.typing import Bools, Floats, Index

Singles = NDArray[np.float32]

BLOCK_CELLS = 16_384  # cells computed together, so that temporaries stay in the cache (measured)
LOWEST_DEG = 27.0  # altitude below which a telescope may not point: airmass 2.2 (chosen, as many surveys do)
SEEING_EXPONENT = 0.6  # FWHM grows with airmass to this power (Kolmogorov turbulence; Roddier 1981, Prog. Opt. 19, 281)


@dataclass(frozen=True)
class Night(Table):
    """The geometry of ``n`` nights, ``T`` slots and ``N`` targets; places are those of the middle of a slot."""

    start: Floats
    """(n, T) JD of UTC at which a slot begins."""
    hours: Floats
    """(n,) length of a slot."""
    lst: Floats
    """(n, T) local apparent sidereal time, rad."""
    moon: Vector
    """East, north, up of the moon, each (n, T)."""
    phase_angle: Floats
    """(n,) sun-moon-Earth in the middle of the night, rad; 0 at full moon."""
    targets: Vector
    """Directions of the targets on the equator of date, each (n, N) float32: for slews, which the sky's turning does
    not change."""
    zenith: Vector
    """The zenith in the first slot, equator of date, each (n,): where a parked telescope points."""
    directions: Singles
    """(n, 4, T, N): east, north and up of a target, and the cosine of its separation from the moon."""
    airmass: Singles
    """(n, T, N)"""
    seeing_area_factor: Singles
    """(n, T, N) noise area of a point source over that at the zenith, airmass^1.2."""
    scatter: Singles
    """(n, T, N) moonlight scattered towards the target, f(rho) of Krisciunas and Schaefer."""

    @property
    def east(self) -> Singles:
        """(n, T, N) view."""
        return self.directions[:, 0]

    @property
    def north(self) -> Singles:
        """(n, T, N) view."""
        return self.directions[:, 1]

    @property
    def sin_alt(self) -> Singles:
        """(n, T, N) view: the sine of the altitude."""
        return self.directions[:, 2]

    @property
    def cos_moon(self) -> Singles:
        """(n, T, N) view: the cosine of the separation from the moon."""
        return self.directions[:, 3]

    def observable(self, lowest_deg: float = LOWEST_DEG) -> Bools:
        """(n, T, N) whether a target stands higher than ``lowest_deg``."""
        return self.sin_alt > np.float32(np.sin(lowest_deg * DEGREE))

    def slots_left(self, lowest_deg: float = LOWEST_DEG) -> NDArray[np.int16]:
        """(n, T, N) slots, this one included, until a target that stands above ``lowest_deg`` sinks below it.

        0 where it stands below; the night's end ends the count.
        """
        is_up = self.observable(lowest_deg)
        left = is_up.astype(np.int16)
        for t in range(left.shape[1] - 2, -1, -1):
            left[:, t] += is_up[:, t] * left[:, t + 1]
        return left


@dataclass(frozen=True)
class Conditions(Table):
    """A `Night` under an atmosphere."""

    transmission: Singles
    """(n, T, N) share of a target's light that arrives, 0 to 1; 0 below the horizon and when closed."""
    sky: Singles
    """(n, T, N) brightness of the sky behind it, nanolamberts."""
    zenith_area: Floats
    """(n, T) effective noise area of a point source at the zenith, arcsec^2; see `Night.seeing_area_factor`."""


def slots(dusk: Floats, dawn: Floats, count: int) -> tuple[Floats, Floats]:
    """Cut ``n`` nights into ``count`` equal slots: beginnings (n, count) as JD, and lengths (n,) in hours.

    Args:
        dusk: (n,) JD of UTC; see `metaenv.telescope.sim.ephemeris.night_limits`.
        dawn: (n,).
        count: slots a night.

    Raises:
        TaskError: a night without dark time, of which the row is named, or a count below 1.
    """
    if count < 1:
        raise TaskError(f"expected at least one slot a night, got {count}")
    length = (dawn - dusk) * 24
    if (none := length < 0.02).any():
        row = int(np.flatnonzero(none)[0])
        raise TaskError(
            f"night {row} (near {iso(dusk[row])} UTC) has no dark time: the sun stays too high. Choose another date or "
            "site, or allow a brighter twilight"
        )
    hours = length / count
    return dusk[:, None] + hours[:, None] / 24 * np.arange(count), hours


def prepare(
    ra: Floats,
    dec: Floats,
    latitude: Floats,
    longitude: Floats,
    start: Floats,
    hours: Floats,
    out: Night | None = None,
) -> Night:
    """The geometry of ``n`` nights.

    Args:
        ra: (n, N) rad, J2000.
        dec: (n, N) rad, J2000.
        latitude: (n,) rad.
        longitude: (n,) rad, east positive.
        start: (n, T) JD of UTC, from `slots`.
        hours: (n,) length of a slot.
        out: a night of these sizes whose tables may be written over; fresh memory costs as much as the numbers in it.

    Raises:
        TaskError: a date outside 1950-2100, no targets, or positions that are not finite radians.
    """
    checked(start[:, [0, -1]])
    if ra.shape != dec.shape or ra.ndim != 2 or not ra.size:
        raise TaskError(f"expected ra and dec of shape (nights, targets), at least one, got {ra.shape} and {dec.shape}")
    if not (np.all(np.abs(dec) <= np.pi / 2 + 1e-12) and np.all(np.abs(ra) <= 2 * np.pi + 1e-12)):
        raise TaskError("expected ra within 2 pi and dec within pi/2 rad; are they in degrees or hours, or missing?")
    jd = start + hours[:, None] / 48
    lst, latitude = sidereal_time_of_night(jd, longitude), latitude[:, None]
    moon_now, phase = _moon(jd)
    moon_seen = moon_topocentric(moon_now, lst, latitude)
    middle = (0.5 * (jd[:, 0] + jd[:, -1]))[:, None]
    targets = apparent(ra.astype(np.float32), dec.astype(np.float32), middle)
    axes = horizon_axes(lst, latitude)
    return Night(
        start, hours, lst,
        horizontal(moon_seen, lst, latitude), phase, targets,
        Vector(*(c[:, 0].copy() for c in axes[2])),
        *direction_tables((*axes, moon_seen), targets, out),
    )  # fmt: skip


def sidereal_time_of_night(jd: Floats, longitude: Floats) -> Floats:
    """Local sidereal time (n, T) from that of the first slot: within a night the sky turns evenly, to 1e-7 rad."""
    first = sidereal_time(jd[:, 0], longitude)
    return first[:, None] + (jd - jd[:, :1]) * (2 * np.pi * 1.00273790935)  # sidereal days a day


def _moon(jd: Floats) -> tuple[Vector, Floats]:
    """Geocentric places of the moon (n, T), by parabolas through three instants of the night (good to 0.01 deg), and
    its phase angle (n,)."""
    first, length = jd[:, 0], np.maximum(jd[:, -1] - jd[:, 0], 1e-3)
    knots = first + np.array([[0.0], [0.5], [1.0]]) * length
    x = (jd - first[:, None]) / length[:, None]
    weights = ((1 - 2 * x) * (1 - x), 4 * x * (1 - x), x * (2 * x - 1))
    moons = moon(knots)
    phase = moon_phase_angle(sun(knots[1]), Vector(*(c[1] for c in moons)))
    return Vector(*(sum(w * k[:, None] for w, k in zip(weights, c, strict=True)) for c in moons)), phase


def direction_tables(towards: tuple[Vector, ...], targets: Vector, out: Night | None = None) -> list[Singles]:
    """`Night.directions`, airmass, seeing_area_factor and scatter.

    They follow from the directions east, north, up and to the moon, each (n, T), and to the targets, (n, N).
    """
    n, slots_, count = *towards[0].x.shape, targets.x.shape[1]
    # (n, 4 T, 3) and (n, 3, N): all cosines of a night are one small product of matrices.
    left = np.stack([np.concatenate(c, axis=1) for c in zip(*towards, strict=True)], axis=2).astype(np.float32)
    right = np.stack(targets, axis=1)
    if out is None:
        directions = np.empty((n, 4, slots_, count), np.float32)
        rest = [np.empty((n, slots_, count), np.float32) for _ in range(3)]
    else:
        directions, rest = out.directions, [out.airmass, out.seeing_area_factor, out.scatter]
    for rows in _blocks(n, slots_ * count):
        np.matmul(left[rows], right[rows], out=directions[rows].reshape(-1, 4 * slots_, count))
        mass = airmass(directions[rows, 2])
        for table, part in zip(rest, (mass, _seeing_area_factor(mass), scattering(directions[rows, 3])), strict=True):
            table[rows] = part
    return [directions, *rest]


def _seeing_area_factor(mass: Singles) -> Singles:
    return np.exp(2 * SEEING_EXPONENT * np.log(mass))


def _blocks(n: int, cells_a_row: int) -> list[slice]:
    height = max(1, BLOCK_CELLS // cells_a_row)
    return [slice(i, i + height) for i in range(0, n, height)]


def conditions(
    night: Night, extinction: Floats, dark_mag: Floats, weather: Weather, out: Conditions | None = None
) -> Conditions:
    """``n`` nights under an atmosphere.

    Args:
        night: the geometry.
        extinction: (n,) k in V mag per airmass.
        dark_mag: (n,) V mag/arcsec^2 of the moonless zenith.
        weather: true, or `metaenv.telescope.sim.weather.clear_weather` for what a planner assumes.
        out: conditions of these sizes whose tables may be written over.
    """
    if out is None:
        transmission, sky = (np.empty(night.sin_alt.shape, np.float32) for _ in range(2))
    else:
        transmission, sky = out.transmission, out.sky
    source = moonlight_source(night.phase_angle[:, None], night.moon.z, extinction[:, None])
    columns = [
        np.asarray(c, np.float32)[:, :, None]
        for c in (extinction[:, None], nanolamberts(dark_mag)[:, None], source,
                  weather.cloud_mag, weather.bank_mag[:, None], weather.bank_azimuth)
    ]  # fmt: skip
    bank = bool(weather.bank_mag.any())
    for rows in _blocks(len(extinction), night.sin_alt[0].size):
        k, dark, moonlight, cloud, bank_mag, bank_azimuth = (c[rows] for c in columns)
        sin_alt = night.sin_alt[rows]
        loss = k * night.airmass[rows] + cloud
        if bank:
            loss += bank_extinction(night.east[rows], night.north[rows], bank_mag, bank_azimuth)
        np.multiply(np.exp(-DEX_PER_MAG * loss), sin_alt > 0, out=transmission[rows])
        sky[rows] = sky_brightness(sin_alt, k, dark, moonlight, night.scatter[rows])
    return Conditions(transmission, sky, zenith_noise_area(weather.seeing))


def expected_snr(
    night: Night,
    air: Conditions,
    magnitude: Floats,
    zero_point: Floats,
    seconds: Floats,
    out: Singles | None = None,
) -> Singles:
    """Signal-to-noise (n, T, N) of exposures of ``seconds`` (n,) of targets of V ``magnitude`` (n, N).

    ``zero_point`` (n,) is the V magnitude of one electron a second; see `metaenv.telescope.sim.exposure`.
    ``out`` may be written over.
    """
    result = np.empty(air.sky.shape, np.float32) if out is None else out
    rate = electrons_per_second(magnitude, zero_point[:, None]).astype(np.float32)[:, None, :]
    sky_rate = sky_electrons_per_second(1.0, zero_point).astype(np.float32)[:, None, None]
    time, area = (c.astype(np.float32)[:, :, None] for c in (seconds[:, None], air.zenith_area))
    for rows in _blocks(len(result), result[0].size):
        behind = sky_rate[rows] * air.sky[rows]
        wide = area[rows] * night.seeing_area_factor[rows]
        result[rows] = signal_to_noise(rate[rows], air.transmission[rows], behind, wide, time[rows])
    return result


def cell_snr(
    night: Night,
    air: Conditions,
    cell: tuple[Index, Index, Index],
    rate: Floats,
    zero_point: Floats,
    seconds: Floats,
) -> Floats:
    """The signal-to-noise ratio (m,) of one exposure in each of ``m`` nights, from single cells of their tables.

    Args:
        night: the geometry.
        air: the true conditions.
        cell: three (m,) index arrays: night, slot, target.
        rate: (m,) electrons/s of the target above the atmosphere, `electrons_per_second`.
        zero_point: (m,) of the instrument, for the sky.
        seconds: (m,) of exposure.
    """
    sky_rate = sky_electrons_per_second(air.sky[cell], zero_point)
    area = air.zenith_area[cell[:2]] * night.seeing_area_factor[cell]
    return signal_to_noise(rate, air.transmission[cell], sky_rate, area, seconds)
