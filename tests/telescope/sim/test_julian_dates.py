import datetime as dt

import numpy as np
import pytest

from metaenv.errors import TaskError
from metaenv.telescope.sim.julian_dates import FIRST, LAST, checked, iso, julian_date, ut1_minus_utc_s


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        # Meeus, "Astronomical Algorithms", chapter 7, table of examples.
        ("2000-01-01T12:00", 2451545.0),
        ("1999-01-01", 2451179.5),
        ("1987-01-27", 2446822.5),
        ("1987-06-19T12:00", 2446966.0),
        ("1988-06-19T12:00", 2447332.0),
    ],
)
def test_julian_dates_of_meeus(when: str, expected: float) -> None:
    assert julian_date(when) == expected


def test_offsets_datetimes_and_arrays_agree() -> None:
    expected = julian_date("2027-03-14T00:30:00")
    assert julian_date("2027-03-14T02:30:00+02:00") == expected
    zone = dt.timezone(dt.timedelta(hours=-4))
    assert julian_date(dt.datetime(2027, 3, 13, 20, 30, tzinfo=zone)) == expected
    assert julian_date(np.array(["2027-03-14T00:30:00"], "datetime64[s]")).tolist() == [expected]


@pytest.mark.parametrize("when", ["1950-01-01T00:00:00", "1999-12-31T23:59:59", "2099-12-31T12:34:56"])
def test_iso_undoes_julian_date(when: str) -> None:
    assert iso(julian_date(when)) == when


def test_bad_times_say_what_to_give() -> None:
    with pytest.raises(TaskError, match="ISO 8601"):
        julian_date("14.3.2027")
    with pytest.raises(TaskError, match="1950 to 2099"):
        julian_date("1949-12-31T23:00")
    with pytest.raises(TaskError, match="1950 to 2099"):
        checked(np.array([FIRST, LAST]))
    with pytest.raises(TaskError, match="1950 to 2099"):
        checked(np.array([np.nan]))


@pytest.mark.parametrize(
    ("day", "dut1"),
    [
        # DUT1 as announced by the IERS in Bulletin D, valid from the day on, to 0.1 s.
        ("2017-01-02", 0.6),  # right after the latest leap second
        ("2016-12-30", -0.4),  # right before it
        ("2008-12-30", -0.6),
        ("2009-01-03", 0.4),
    ],
)
def test_ut1_follows_the_iers_bulletins(day: str, dut1: float) -> None:
    assert ut1_minus_utc_s(np.array(julian_date(day))) == pytest.approx(dut1, abs=0.1)


def test_ut1_is_taken_as_utc_where_nobody_knows() -> None:
    assert ut1_minus_utc_s(np.array([julian_date("1960-01-01"), julian_date("2080-01-01")])).tolist() == [0, 0]
