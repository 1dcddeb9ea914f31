from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from astropy_places import separation

from metaenv.errors import TaskError
from metaenv.telescope.sim.ephemeris import (
    ARCSEC,
    Vector,
    airmass,
    apparent,
    dot,
    horizontal,
    moon,
    moon_phase_angle,
    moon_topocentric,
    night_limits,
    sidereal_time,
    sun,
    unit_vector,
)
from metaenv.telescope.sim.exposure import electrons_per_second
from metaenv.telescope.sim.julian_dates import julian_date
from metaenv.telescope.sim.moonlight import moonlight_source, nanolamberts, scattering, sky_brightness
from metaenv.telescope.sim.sites import SITES, coordinates_rad
from metaenv.telescope.sim.visibility import Conditions, Night, cell_snr, conditions, expected_snr, prepare, slots
from metaenv.telescope.sim.weather import CLOSED, Weather, clear_weather

N, T, K = 5, 24, 30
NAMES = ["tololo", "la palma", "mauna kea", "sutherland", "hanle"]
DATES = ["2026-04-01", "2027-11-20", "1956-07-02", "2087-01-30", "2029-09-09"]


def a_night(rows: Any = slice(None), out: Night | None = None) -> Night:
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 2 * np.pi, (N, K))[rows], np.arcsin(rng.uniform(-1, 1, (N, K)))[rows]
    latitude, longitude = (c[rows] for c in coordinates_rad([SITES[name] for name in NAMES]))
    evening = np.array([julian_date(d) for d in DATES])[rows]
    start, hours = slots(*night_limits(evening, latitude, longitude), T)
    return prepare(ra, dec, latitude, longitude, start, hours, out)


def some_weather(rows: Any = slice(None)) -> Weather:
    rng = np.random.default_rng(1)
    cloud = rng.integers(0, 2, (N, T)).astype(np.int8)
    cloud[:, 3] = CLOSED
    mag = np.where(cloud == CLOSED, np.inf, 0.3 * cloud)
    weather = rng.uniform(0.6, 1.4, (N, T)), cloud, mag, rng.uniform(0, 3, N), rng.uniform(0, 6, (N, T))
    return Weather(*(part[rows] for part in weather))


EXTINCTION, DARK = np.linspace(0.1, 0.3, N), np.linspace(21.0, 22.0, N)


def the_air(night: Night, rows: Any = slice(None), out: Conditions | None = None) -> Conditions:
    return conditions(night, EXTINCTION[rows], DARK[rows], some_weather(rows), out)


def same(a: Any, b: Any) -> bool:
    pairs = ((getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return all(np.array_equal(np.asarray(x), np.asarray(y)) for x, y in pairs)


# SLOTS


def test_slots_fill_the_night() -> None:
    dusk, dawn = np.array([2461000.5]), np.array([2461000.9])
    start, hours = slots(dusk, dawn, 12)
    assert hours == pytest.approx([0.8])
    assert start[0, -1] + 0.8 / 24 == pytest.approx(2461000.9, abs=1e-8)


def test_nights_that_cannot_be_cut() -> None:
    dusk, dawn = np.array([2461000.5, 2461000.5]), np.array([2461000.9, 2461000.5])
    with pytest.raises(TaskError, match=r"night 1 .* has no dark time"):
        slots(dusk, dawn, 12)
    with pytest.raises(TaskError, match="at least one slot"):
        slots(dusk, dawn, 0)


# GEOMETRY


def test_tables_hold_what_the_sky_module_says() -> None:
    night, rng = a_night(), np.random.default_rng(0)
    ra, dec = rng.uniform(0, 2 * np.pi, (N, K)), np.arcsin(rng.uniform(-1, 1, (N, K)))
    latitude, longitude = coordinates_rad([SITES[name] for name in NAMES])
    for row in range(N):
        for slot in (0, 7, T - 1):
            jd = night.start[row, slot] + night.hours[row] / 48
            lst = sidereal_time(jd, longitude[row])
            seen = horizontal(apparent(ra[row], dec[row], jd), lst, latitude[row])
            table = Vector(*night.directions[row, :3, slot].astype(float))
            assert separation(table, seen).max() < 1.0 * ARCSEC
            assert night.airmass[row, slot] == pytest.approx(airmass(seen.z), rel=1e-4)
            towards_moon = moon_topocentric(moon(jd), lst, latitude[row])
            assert np.degrees(separation(Vector(*(c[row, slot] for c in night.moon)),
                                         horizontal(towards_moon, lst, latitude[row]))) < 0.02  # fmt: skip
            cos_moon = dot(towards_moon, apparent(ra[row], dec[row], jd))
            assert night.cos_moon[row, slot] == pytest.approx(cos_moon, abs=4e-4)
        middle = 0.5 * (night.start[row, 0] + night.start[row, -1]) + night.hours[row] / 48
        assert night.phase_angle[row] == pytest.approx(moon_phase_angle(sun(middle), moon(middle)), abs=1e-6)


def test_a_parked_telescope_points_at_the_zenith() -> None:
    night = a_night()
    to_zenith = separation(Vector(*(c[:, None] for c in night.zenith)), night.targets)
    east, north, up = (night.directions[:, i, 0] for i in range(3))
    assert to_zenith == pytest.approx(np.arctan2(np.hypot(east, north), up), abs=2e-5)


def test_rows_do_not_see_each_other_bit_for_bit() -> None:
    night, air = a_night(), the_air(a_night())
    for row in range(N):
        rows = slice(row, row + 1)
        assert same(night.take(rows), a_night(rows))
        assert same(air.take(rows), the_air(a_night(rows), rows))


def test_tables_can_be_written_over_and_rows_replaced() -> None:
    night = a_night()
    air = the_air(night)
    used = prepare(np.zeros((N, K)), np.zeros((N, K)), np.zeros(N), np.zeros(N), night.start, night.hours)
    again = a_night(out=used)
    assert again.directions is used.directions
    assert same(again, night)
    assert same(the_air(night, out=the_air(used)), air)
    other = prepare(np.zeros((N, K)), np.zeros((N, K)), np.zeros(N), np.zeros(N), night.start, night.hours)
    other.assign(np.array([1, 3]), night.take(np.array([1, 3])))
    assert same(other.take(np.array([1, 3])), night.take(np.array([1, 3])))
    assert not same(other.take(np.array([0])), night.take(np.array([0])))


def test_targets_that_never_rise_or_never_set() -> None:
    """At -30 deg a star at +70 never rises; one at -80 stands between 20 and 40 deg, always above 19."""
    latitude, longitude = coordinates_rad([SITES["tololo"]])
    start, hours = slots(*night_limits(np.array([julian_date("2026-06-01")]), latitude, longitude), 10)
    night = prepare(np.zeros((1, 2)), np.radians([[70.0, -80.0]]), latitude, longitude, start, hours)
    assert not night.observable(0.0)[0, :, 0].any()
    assert night.slots_left(19.0)[0].tolist() == [[0, 10 - t] for t in range(10)]
    air = conditions(night, np.array([0.15]), np.array([21.5]), clear_weather(np.array([0.9]), 10))
    assert (air.transmission[0, :, 0] == 0).all()


def test_slots_left_by_counting() -> None:
    night = a_night()
    is_up, left = night.observable(), night.slots_left()
    for row, slot, target in ((0, 0, 3), (1, 5, 8), (2, 10, 20), (3, 20, 1), (4, 2, 17)):
        later = is_up[row, slot:, target]
        assert left[row, slot, target] == (later.size if later.all() else int(np.argmin(later)))
    assert (left > 0).any()


def test_bad_positions_and_dates() -> None:
    with pytest.raises(TaskError, match="degrees"):
        prepare(np.zeros((1, 1)), np.full((1, 1), 45.0), np.zeros(1), np.zeros(1), np.full((1, 2), 2.46e6), np.ones(1))
    with pytest.raises(TaskError, match="at least one"):
        prepare(np.zeros((1, 0)), np.zeros((1, 0)), np.zeros(1), np.zeros(1), np.full((1, 2), 2.46e6), np.ones(1))
    with pytest.raises(TaskError, match="missing"):
        prepare(
            np.full((1, 1), np.nan), np.zeros((1, 1)), np.zeros(1), np.zeros(1), np.full((1, 2), 2.46e6), np.ones(1)
        )
    with pytest.raises(TaskError, match="1950 to 2099"):
        prepare(np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(1), np.zeros(1), np.full((1, 2), 2.3e6), np.ones(1))


# CONDITIONS


def test_transmission_and_sky_by_hand() -> None:
    night, clear = a_night(), clear_weather(np.full(N, 0.9), T)
    air = conditions(night, EXTINCTION, DARK, clear)
    above = night.sin_alt > 0
    by_hand = 10 ** (-0.4 * EXTINCTION[:, None, None] * night.airmass.astype(float))
    assert air.transmission[above] == pytest.approx(by_hand[above], rel=1e-4)
    for row in range(N):
        source = moonlight_source(night.phase_angle[row], night.moon.z[row], EXTINCTION[row])
        sky = sky_brightness(
            night.sin_alt[row].astype(float), EXTINCTION[row], nanolamberts(DARK[row]), source[:, None],
            scattering(night.cos_moon[row].astype(float)),
        )  # fmt: skip
        assert air.sky[row] == pytest.approx(sky, rel=1e-4)


def test_the_tested_nights_have_moonlight() -> None:
    night = a_night()
    bright = night.moon.z[:, :, None] > 0.3
    air, dark = (the_air(n) for n in (night, a_night()))
    assert bright.any()
    assert (air.sky / nanolamberts(DARK)[:, None, None]).max() > 3
    assert same(air, dark)


def test_a_shut_dome_gives_nothing_and_no_nan() -> None:
    night = a_night()
    air = the_air(night)
    snr = expected_snr(night, air, np.full((N, K), 20.0), np.full(N, 20.75), np.full(N, 900.0))
    assert (snr[:, 3] == 0).all()
    assert np.isfinite(snr).all()
    assert snr.max() > 10


def test_a_cell_is_the_tables_cell() -> None:
    night = a_night()
    air, magnitude, zero_point = the_air(night), np.full((N, K), 20.5), np.linspace(20.4, 21.1, N)
    table = expected_snr(night, air, magnitude, zero_point, np.full(N, 700.0))
    rows, slot, target = np.arange(N), np.array([0, 5, 9, 14, 23]), np.array([3, 9, 12, 25, 29])
    rate = electrons_per_second(magnitude[rows, target], zero_point)
    one = cell_snr(night, air, (rows, slot, target), rate, zero_point, np.full(N, 700.0))
    assert one == pytest.approx(table[rows, slot, target], rel=1e-5)


def test_airmass_and_seeing_widen_the_image() -> None:
    """Area grows as FWHM^2, that is as airmass^1.2: 2.297 at airmass 2."""
    night = a_night()
    near_two = np.abs(night.airmass - 2) < 0.02
    assert near_two.any()
    assert night.seeing_area_factor[near_two] == pytest.approx(np.full(near_two.sum(), 2.297), rel=0.015)


def test_targets_seen_from_their_unit_vector() -> None:
    """A slew is measured on the sky of date: precession turns all targets alike."""
    night, rng = a_night(), np.random.default_rng(0)
    j2000 = unit_vector(rng.uniform(0, 2 * np.pi, (N, K)), np.arcsin(rng.uniform(-1, 1, (N, K))))
    before = separation(Vector(*(c[:, :1] for c in j2000)), j2000)
    assert separation(Vector(*(c[:, :1] for c in night.targets)), night.targets) == pytest.approx(before, abs=3e-4)


def test_weather_is_taken_and_assigned_like_the_tables() -> None:
    weather, other = some_weather(), clear_weather(np.full(N, 0.9), T)
    other.assign(np.array([2]), weather.take(np.array([2])))
    assert same(other.take(np.array([2])), weather.take(slice(2, 3)))
    assert not other.cloud_mag[3].any()
