import numpy as np
import pytest
from astropy_places import frame, horizon_vector, offline_astropy, resting_pole, separation

from metaenv.telescope.sim.ephemeris import (
    ARCSEC,
    DEGREE,
    EARTH_RADIUS_KM,
    Vector,
    airmass,
    apparent,
    dot,
    horizontal,
    illuminated_fraction,
    moon,
    moon_phase_angle,
    moon_topocentric,
    night_limits,
    nutation,
    sidereal_time,
    sun,
    unit_vector,
)
from metaenv.telescope.sim.julian_dates import julian_date, ut1_minus_utc_s

HOUR = 15 * DEGREE
TWILIGHT_DEG = {"civil": -6.0, "nautical": -12.0, "astronomical": -18.0}  # altitude of the sun


def right_ascension_declination(v: Vector) -> tuple[float, float]:
    length = np.sqrt(v.x**2 + v.y**2 + v.z**2)
    return float(np.degrees(np.arctan2(v.y, v.x)) % 360), float(np.degrees(np.arcsin(v.z / length)))


# WORKED EXAMPLES OF MEEUS, "ASTRONOMICAL ALGORITHMS", 2nd ed.


def test_apparent_sidereal_time_example_12a() -> None:
    jd = np.array(julian_date("1987-04-10"))
    ut1_midnight = jd - ut1_minus_utc_s(jd) / 86_400
    seconds = sidereal_time(ut1_midnight, np.array(0.0)) / HOUR * 3600
    assert seconds == pytest.approx(13 * 3600 + 10 * 60 + 46.1351, abs=0.01)


def test_altitude_and_azimuth_example_13b() -> None:
    venus = unit_vector((23 + 9 / 60 + 16.641 / 3600) * HOUR, -(6 + 43 / 60 + 11.61 / 3600) * DEGREE)
    jd = np.array(julian_date("1987-04-10T19:21"))
    latitude, longitude = np.radians(38 + 55 / 60 + 17 / 3600), -np.radians(77 + 3 / 60 + 56 / 3600)
    lst = sidereal_time(jd - ut1_minus_utc_s(jd) / 86_400, longitude)
    east, north, up = horizontal(venus, lst, latitude)
    azimuth = np.arctan2(east, north) % (2 * np.pi)
    assert np.degrees(np.arcsin(up)) == pytest.approx(15.1249, abs=2e-4)
    assert np.degrees(azimuth) == pytest.approx(68.0337 + 180, abs=2e-4)  # Meeus counts from the south


def test_nutation_example_22a() -> None:
    in_longitude, in_obliquity = nutation(np.array(julian_date("1987-04-10")))
    assert in_longitude / ARCSEC == pytest.approx(-3.788, abs=0.06)
    assert in_obliquity / ARCSEC == pytest.approx(9.443, abs=0.03)


def test_apparent_place_of_theta_persei_example_23a() -> None:
    # J2000, with the proper motion up to the date.
    v = apparent(np.radians(41.054063), np.radians(49.227750), np.array(2462088.69))
    ra, dec = right_ascension_declination(v)
    assert ra == pytest.approx((2 + 46 / 60 + 14.390 / 3600) * 15, abs=0.3 / 3600)
    assert dec == pytest.approx(49 + 21 / 60 + 7.45 / 3600, abs=0.2 / 3600)


def test_sun_example_25a() -> None:
    ra, dec = right_ascension_declination(sun(np.array(2448908.5)))
    assert ra == pytest.approx(198.38083, abs=0.02)
    assert dec == pytest.approx(-7.78507, abs=0.02)


def test_moon_example_47a_and_its_phase_48a() -> None:
    jd = np.array(2448724.5)
    position = moon(jd)
    ra, dec = right_ascension_declination(position)
    assert ra == pytest.approx(134.688470, abs=0.1)
    assert dec == pytest.approx(13.768368, abs=0.1)
    assert np.sqrt(dot(position, position)) * EARTH_RADIUS_KM == pytest.approx(368409.7, abs=1000)
    phase = moon_phase_angle(sun(jd), position)
    assert np.degrees(phase) == pytest.approx(69.0756, abs=0.3)
    assert illuminated_fraction(phase) == pytest.approx(0.6786, abs=0.003)


# ASTROPY


@pytest.mark.parametrize(
    ("first", "last", "own_ut1"),
    [("1973-07-01", "2026-12-01", False), ("1960-01-01", "1973-07-01", True), ("2028-01-01", "2099-12-31", True)],
)
def test_stars_within_two_arcsec_of_astropy(first: str, last: str, own_ut1: bool) -> None:
    """Where UT1 is known astropy uses its own table of it, elsewhere it is told which UT1 to assume."""
    rng = np.random.default_rng(1)
    with offline_astropy() as c:
        worst = 0.0
        for jd in rng.uniform(julian_date(first), julian_date(last), 12):
            latitude, longitude = rng.uniform(-1.1, 1.1), rng.uniform(-np.pi, np.pi)
            ra, dec = rng.uniform(0, 2 * np.pi, 40), np.arcsin(rng.uniform(-1, 1, 40))
            given = float(ut1_minus_utc_s(jd)) if own_ut1 else None
            reference = c.SkyCoord(ra, dec, unit="rad").transform_to(frame(c, jd, latitude, longitude, given))
            seen = horizontal(apparent(ra, dec, jd), sidereal_time(jd, longitude), latitude)
            worst = max(worst, separation(seen, Vector(*horizon_vector(reference))).max() / ARCSEC)
    assert worst <= 2.0
    assert worst > 0.01  # astropy knows polar motion, we do not: equality would mean that nothing was compared


def test_stars_within_a_tenth_of_an_arcsec_of_an_astropy_without_polar_motion() -> None:
    """Far from the sun, which bends light by 0.015 arcsec at 30 deg; nothing else that we leave out is as large."""
    rng = np.random.default_rng(4)
    with offline_astropy() as c, resting_pole():
        for jd in rng.uniform(julian_date("1951-01-01"), julian_date("2099-12-31"), 40):
            latitude, longitude = rng.uniform(-1.1, 1.1), rng.uniform(-np.pi, np.pi)
            ra, dec = rng.uniform(0, 2 * np.pi, 40), np.arcsin(rng.uniform(-1, 1, 40))
            place = frame(c, jd, latitude, longitude, float(ut1_minus_utc_s(jd)))
            reference = c.SkyCoord(ra, dec, unit="rad").transform_to(place)
            star = apparent(ra, dec, jd)
            seen = horizontal(star, sidereal_time(jd, longitude), latitude)
            length = np.sqrt(dot(seen, seen))  # one but for the aberration that was added
            error = separation(Vector(*(x / length for x in seen)), Vector(*horizon_vector(reference))) / ARCSEC
            assert error[separation(star, sun(jd)) > 30 * DEGREE].max() < 0.1


def test_sun_and_moon_against_astropy() -> None:
    rng = np.random.default_rng(2)
    with offline_astropy() as c:
        for jd in rng.uniform(julian_date("1950-01-02"), julian_date("2099-12-31"), 25):
            latitude, longitude = rng.uniform(-1.1, 1.1), rng.uniform(-np.pi, np.pi)
            system, lst = frame(c, jd, latitude, longitude, float(ut1_minus_utc_s(jd))), sidereal_time(jd, longitude)
            for name, direction, bar_deg in (
                ("sun", sun(jd), 0.03),
                ("moon", moon_topocentric(moon(jd), lst, latitude), 0.15),  # the bar of the project is 0.4
            ):
                reference = c.get_body(name, system.obstime, system.location).transform_to(system)
                seen = horizontal(direction, lst, latitude)
                assert np.degrees(separation(seen, Vector(*horizon_vector(reference)))) < bar_deg


def test_separation_is_exact_for_small_angles() -> None:
    a, b = unit_vector(1.0, 0.5), unit_vector(1.0, 0.5 + 1e-9)
    assert separation(a, b) == pytest.approx(1e-9, rel=1e-6)
    assert separation(a, Vector(-a.x, -a.y, -a.z)) == pytest.approx(np.pi)


# AIRMASS


def test_airmass_against_kasten_and_young() -> None:
    """Kasten and Young 1989, Applied Optics 28, 4735: another fit, for the apparent altitude."""
    degrees = np.linspace(20, 90, 71)
    other = 1 / (np.sin(np.radians(degrees)) + 0.50572 * (degrees + 6.07995) ** -1.6364)
    assert airmass(np.sin(np.radians(degrees))) == pytest.approx(other, rel=4e-3)
    assert airmass(np.array(0.0)) == pytest.approx(31.7, abs=0.1)  # Young's own value at the horizon
    assert airmass(np.array(-0.3)) == airmass(np.array(0.0))


# THE NIGHT


def test_equinox_on_the_equator_by_hand() -> None:
    """The sun moves along the celestial equator: dark while its hour angle is 18 deg or more beyond +-90 deg."""
    evening, none = np.array([julian_date("2026-03-20")]), np.zeros(1)
    for name, hours in (("astronomical", 9.6), ("nautical", 10.4), ("civil", 11.2)):
        dusk, dawn = night_limits(evening, none, none, TWILIGHT_DEG[name])
        assert (dawn - dusk) * 24 == pytest.approx(hours, abs=0.01)
        middle = (dusk + dawn) / 2
        assert middle == pytest.approx(evening + 1 + 7.4 / 1440, abs=0.5 / 1440)  # equation of time -7.4 min


def test_the_sun_stands_at_the_limit_at_dusk_and_dawn() -> None:
    rng = np.random.default_rng(3)
    latitude, longitude = rng.uniform(-0.75, 0.75, 50), rng.uniform(-np.pi, np.pi, 50)
    evening = np.floor(rng.uniform(2433300, 2488000, 50)) + 0.5
    for jd in night_limits(evening, latitude, longitude):
        up = horizontal(sun(jd), sidereal_time(jd, longitude), latitude).z
        assert np.degrees(np.arcsin(up)) == pytest.approx(-18.0, abs=0.02)


def test_polar_summer_has_no_night_and_polar_winter_a_whole_day() -> None:
    latitude, longitude = np.radians([78.0, 78.0, 90.0]), np.radians([16.0, 16.0, 0.0])
    evening = np.array([julian_date(d) for d in ("2026-06-21", "2026-12-21", "2026-06-21")])
    dusk, dawn = night_limits(evening, latitude, longitude, -6.0)
    assert (dawn - dusk) * 24 == pytest.approx([0.0, 24.0, 0.0], abs=0.02)
