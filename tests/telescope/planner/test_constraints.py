"""What an observing run allows and asks for: limits that hold, and numbers that cannot be meant."""

import numpy as np
import pytest

from metaenv.errors import TaskError
from metaenv.telescope.planner.catalogue import TargetList
from metaenv.telescope.planner.constraints import Constraints, Requests
from metaenv.telescope.planner.instruments import find_instrument
from metaenv.telescope.planner.plan import plan_night

SITE, DATE = "la palma", "2027-03-14"
PAIR = TargetList.of(["M51", "M101"], [202.5, 210.8], [47.2, 54.3], 18.5)
MINE = {"zero_point_mag": 22.4, "read_noise_e": 5, "pixel_arcsec": 0.6, "aperture_m": 0.6, "readout_s": 10}
LATE, EARLY = "2027-03-15T03:00", "2027-03-15T01:00"


@pytest.mark.parametrize(
    "limits, message",
    [
        ({"max_airmass": 0.5}, "max_airmass from 1 to inf, a number, got 0.5"),
        ({"max_airmass": np.nan}, "max_airmass from 1 to inf, a number, got nan"),
        ({"max_airmass": "1.8"}, "max_airmass from 1 to inf, a number, got '1.8'"),
        ({"max_airmass": None}, "max_airmass from 1 to inf, a number, got None"),
        ({"min_altitude_deg": -5}, "min_altitude_deg from 0 to 90, a number, got -5"),
        ({"min_altitude_deg": True}, "min_altitude_deg from 0 to 90, a number, got True"),
        ({"min_altitude_deg": np.array([30, 40])}, r"min_altitude_deg from 0 to 90, a number, got array"),
        ({"min_altitude_deg": 60, "max_altitude_deg": 40}, "min_altitude_deg below max_altitude_deg, got 60 and 40"),
        ({"min_altitude_deg": 40, "max_altitude_deg": 40}, "min_altitude_deg below max_altitude_deg, got 40 and 40"),
        ({"max_moon_fraction": 40}, "max_moon_fraction from 0 to 1, a number, got 40"),
        ({"min_moon_deg": 200}, "min_moon_deg from 0 to 180, a number, got 200"),
        ({"twilight": "nautic"}, "no twilight 'nautic'. Did you mean 'nautical'"),
        ({"twilight": -12}, "no twilight -12. Known: astronomical, civil, nautical"),
        ({"twilight": ["civil"]}, r"no twilight \['civil'\]"),
    ],
)
def test_bad_constraints(limits, message):
    with pytest.raises(TaskError, match=message):
        Constraints(**limits)


@pytest.mark.parametrize(
    "asked, message",
    [
        ({"exptime": 300}, "targets cannot ask for 'exptime'"),
        ({"exposure_s": {"M 51": 300}}, "asked for 'M 51', which is no target. Did you mean 'M51'"),
        ({"exposure_s": -3}, "'M51': expected exposure_s from 0.001 to 86400, got -3"),
        ({"exposure_s": 0}, "expected exposure_s from 0.001 to 86400, got 0"),
        ({"exposure_s": {"M101": np.nan}}, "'M101': expected a number for exposure_s, got nan; None asks for nothing"),
        ({"exposure_s": True}, "expected a number for exposure_s, got True"),
        ({"exposure_s": "5 min"}, "exposure_s '5 min' cannot be read"),
        ({"exposure_s": [300, 300, 300]}, "expected 2 numbers of exposure_s, one a target, got 3"),
        ({"exposure_s": {"M51": [1, 2]}}, r"exposure_s \[1, 2\] cannot be read"),
        ({"repeats": 1.5}, "repeats from 1 to 10000, whole numbers, got 1.5"),
        ({"repeats": 0}, "repeats from 1 to 10000, whole numbers, got 0"),
        ({"begin": LATE, "end": EARLY}, "'M51': its time window ends before it begins"),
        ({"begin": "tonight"}, "begin 'tonight' cannot be read"),
        ({"begin": "02:00"}, "begin '02:00' cannot be read"),
        ({"begin": 22.5}, "expected begin as text such as '2027-03-14T02:30' or as a JD, got 22.5"),
        ({"at": 61479.0}, "expected at as text .* or as a JD, got 61479.0"),
        ({"end": np.nan}, "expected a number for end, got nan"),
        ({"max_airmass": 0.9}, "'M51': expected max_airmass from 1 to inf, got 0.9"),
        ({"min_moon_deg": -1}, "'M51': expected min_moon_deg from 0 to 180, got -1"),
    ],
)
def test_bad_requests(asked, message):
    with pytest.raises(TaskError, match=message):
        Requests.of(PAIR.names, asked)


@pytest.mark.parametrize(
    "given, message",
    [
        ({**MINE, "read_noise_e": -1}, "instrument 'own instrument': expected read_noise_e from 0 to 10000, got -1"),
        ({**MINE, "zero_point_mag": np.nan}, "zero_point_mag from 0 to 40, got nan"),
        ({**MINE, "zero_point_mag": None}, "zero_point_mag from 0 to 40, got None"),
        ({**MINE, "aperture_m": 600}, "aperture_m from 0.01 to 100, got 600"),
        ({**MINE, "pixel_arcsec": "0.6"}, "pixel_arcsec from 0.001 to 100, got '0.6'"),
        ({**MINE, "photometry_arcsec": "3"}, "photometry_arcsec above 0 or None, got '3'"),
        ({**MINE, "readnoise": 3}, "an instrument has no 'readnoise'.* Did you mean 'read_noise_e'"),
        ({**MINE, "name": 3}, "expected the name of an instrument, got 3"),
        ({"zero_point_mag": 22}, "lacks read_noise_e, pixel_arcsec, aperture_m, readout_s"),
        ("lco 1m", "no instrument 'lco 1m'.* Did you mean 'lco 1m sinistro'"),
        (3, "no instrument 3; give an Instrument or a name"),
    ],
)
def test_bad_instruments(given, message):
    with pytest.raises(TaskError, match=message):
        find_instrument(given)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"constraints": {"max_airmass": 1.5}}, r"expected Constraints\(…\), got {'max_airmass': 1.5}"),
        ({"constraints": Constraints(max_airmass=1.0)}, "M51: they are at too high an airmass all night"),
        ({"requests": "exposure_s"}, "expected a dict of requests, got 'exposure_s'"),
        ({"requests": {"at": "2027-03-20T01:00"}}, "M51: they cannot be observed at the time asked for"),
        ({"requests": {"begin": "2027-03-15T12:00"}}, "M51: they are outside of their time window all night"),
        ({"requests": {"exposure_s": 80_000}}, "may not be observed for the 1343 min that they need at a stretch"),
        (
            {"instrument": {**MINE, "readout_s": 9000}},
            "readout and settling alone take 9001 s: ask for at most 3 slots",
        ),
    ],
)
def test_runs_in_which_nothing_can_be_observed(change, message):
    with pytest.raises(TaskError, match=message):
        plan_night(PAIR, SITE, DATE, slots=8, **change)


def test_one_target_that_cannot_be_observed_is_left_out():
    plan = plan_night(PAIR, SITE, DATE, slots=8, requests={"at": {"M51": "2027-03-20T01:00"}})
    assert plan.left_out == {"M51": "cannot be observed at the time asked for"} and len(plan) == 1
    assert plan_night(PAIR, SITE, DATE, slots=8, requests={"at": {"M51": None}}).left_out == {}


def test_a_full_moon_is_kept_at_a_distance():
    near = TargetList.of(["x"], [187.5], [-7.2], 18.0)  # a degree from it (Astropy): it was planned for 69 minutes
    assert plan_night(near, SITE, "2027-03-22", constraints=Constraints(min_moon_deg=0.0)).exposures[0].moon_deg < 4
    with pytest.raises(TaskError, match="x: they are too near to the moon all night"):
        plan_night(near, SITE, "2027-03-22")
    with pytest.raises(TaskError, match="x: they are in the light of too bright a moon all night"):
        plan_night(near, SITE, "2027-03-22", constraints=Constraints(min_moon_deg=0.0, max_moon_fraction=0.5))


def test_limits_and_requests_hold():
    rng = np.random.default_rng(0)
    names = [f"T{i}" for i in range(30)]
    targets = TargetList.of(names, rng.uniform(90, 290, 30), rng.uniform(-15, 70, 30), 18.0, rng.integers(1, 4, 30))
    asked = {"exposure_s": 300, "repeats": {"T0": 3}, "begin": "2027-03-15T00:00", "end": "2027-03-15T03:00",
             "at": {"T19": "2027-03-15T01:30"}}  # fmt: skip
    limits = Constraints(max_airmass=1.5, max_altitude_deg=75)
    plan = plan_night(targets, SITE, DATE, requests=asked, constraints=limits)
    assert {"T0", "T19"} < {e.target for e in plan} and len(plan) > 5
    for e in plan:
        assert e.exposure_s == 300 and "2027-03-15T00:00" <= e.utc and e.end <= "2027-03-15T03:00:01"
        assert e.airmass <= 1.5 and e.alt_deg < 75.1 and e.repeats == (3 if e.target == "T0" else 1)
        if e.target == "T19":
            assert e.utc <= "2027-03-15T01:30:01" < e.end
    assert set(plan.left_out) | {e.target for e in plan} == set(names)
