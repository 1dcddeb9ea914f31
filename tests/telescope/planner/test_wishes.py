"""Columns of a list that state requests: exposures, times and limits."""

import numpy as np
import pytest

from metaenv.errors import TaskError
from metaenv.telescope.planner.plan import plan_night
from metaenv.telescope.planner.reading import read_targets

NIGHT = 2461478.5  # JD of 2027-03-14, 0 h UTC, by the almanac
READ = {  # heading, cell, what is asked for, and how much
    "Exptime": ("600", "exposure_s", 600),
    "exptime_min": ("10", "exposure_s", 600),
    "Exposure time [min]": ("2.5", "exposure_s", 150),
    "exposure_s": ("90", "exposure_s", 90),
    "EXPTIME (h)": ("0.5", "exposure_s", 1800),
    "texp": ("5 min", "exposure_s", 300),
    "Itime": ("300s", "exposure_s", 300),
    "DIT(ms)": ("250", "exposure_s", 0.25),
    "NEXP": ("3", "repeats", 3),
    "Number of exposures": ("4", "repeats", 4),
    "ndit": ("5.0", "repeats", 5),
    "not before": ("2027-03-14T22:30", "begin", NIGHT + 22.5 / 24),
    "Window start (UTC)": ("2027-03-14 22:30:00Z", "begin", NIGHT + 22.5 / 24),
    "start_time": ("2027-03-15T00:30+02:00", "begin", NIGHT + 22.5 / 24),
    "earliest_mjd": ("61478.9375", "begin", NIGHT + 22.5 / 24),
    "not_after": ("2461479.4375", "end", NIGHT + 22.5 / 24),
    "deadline": ("2027/03/15 UTC", "end", NIGHT + 1),
    "fixed time": ("2027-03-15T02:00", "at", NIGHT + 26 / 24),
    "max_airmass": ("1.5", "max_airmass", 1.5),
    "Min Altitude (deg)": ("30", "max_airmass", 1.9926),  # Kasten and Young (1989), with 1.7 arcmin of refraction
    "minalt_deg": ("90", "max_airmass", 1.0),
    "min_moon_sep": ("40", "min_moon_deg", 40),
}
REFUSED = {  # heading, cells, what the message says
    "exptime": ("long", "row 1 ('a'): column 'exptime': expected a number, got 'long'"),
    "Exptime": ("0", "row 1 ('a'): column 'Exptime': expected from 0.001 to 86400, got '0'"),
    "exptime (pixel)": ("3", "column 'exptime (pixel)' is in 'pixel': expected h, hour"),
    "texp": ("5 apples", "column 'texp': expected a number, got '5 apples'"),
    "exposure time": ('"1,200"', "column 'exposure time': expected a number whose comma cannot part thousands, got"),
    "nexp": ("2.5", "column 'nexp': expected a whole number from 1 to 10000, got '2.5'"),
    "repeats": ("-1", "column 'repeats': expected a whole number"),
    "start_time": ("22:30", "column 'start_time': expected a time such as 2027-03-14T02:30 (UTC)"),
    "not before (local)": ("2027-03-14T22:30", "is in 'local': expected d, day, days, iso"),
    "deadline": ("1890-01-01", "column 'deadline': expected a time"),
    "windowend": ("20270314", "column 'windowend': expected a date from 1950 to 2099, got '20270314'"),
    "max airmass": ("0.7", "column 'max airmass': expected from 1 to inf, got '0.7'"),
    "min_alt": ("-5", "column 'min_alt': expected from 0 to 90, got '-5'"),
    "min_alt (arcmin)": ("50", "is in 'arcmin': expected d, deg"),
    "minmoon": ("200", "column 'minmoon': expected from 0 to 180"),
    "start,end": ("2027-03-15,2027-03-14", "row 1 ('a'): its time window ends before it begins"),
}


def listed(tmp_path, heading, *cells, **options):
    rows = [
        f"{name},{ra},{dec},18,{cell}\n"
        for name, ra, dec, cell in zip("ab", (202.5, 250.4), (47.2, 36.5), cells, strict=True)
    ]
    (tmp_path / "list.csv").write_text(f"name,ra,dec,vmag,{heading}\n" + "".join(rows))
    return read_targets(tmp_path / "list.csv", **options)


@pytest.mark.parametrize("heading", READ)
def test_requests_of_columns(tmp_path, heading):
    cell, key, value = READ[heading]
    found = listed(tmp_path, heading, cell, "")
    assert found.requests.asks() == [key] and getattr(found.requests, key)[0] == pytest.approx(value, abs=1e-3)
    assert any(n.startswith("taken as requests: ") and repr(heading.split(" (")[0])[1:-1] in n for n in found.notes)
    assert listed(tmp_path, heading, cell, "").take(np.array([1])).requests.asks() == []
    role = "min_altitude" if "lt" in heading[:8] and key == "max_airmass" else key
    without = listed(tmp_path, heading, cell, "", columns={role: None})
    assert without.requests is None and any("not used" in n for n in without.notes)


@pytest.mark.parametrize("heading", REFUSED)
def test_requests_that_cannot_be_read(tmp_path, heading):
    cell, message = REFUSED[heading]
    with pytest.raises(TaskError) as error:
        listed(tmp_path, heading, cell, cell)
    assert message in str(error.value) and str(error.value).startswith("list.csv") and "\n" not in str(error.value)


@pytest.mark.parametrize("heading", ["Exposures", "start", "end", "Stop", "airmass", "time", "moon"])
def test_headings_that_may_mean_other_things(tmp_path, heading):
    found = listed(tmp_path, heading, "2", "3")
    assert found.requests is None and f"columns not used: {heading}" in found.notes


def test_a_plan_follows_the_list_and_the_hand(tmp_path):
    found = listed(tmp_path, "exptime (min),nexp,start,end", "10,2,2027-03-14T23:00,2027-03-15T01:00", "5,,,")
    plan = plan_night(found, "la palma", "2027-03-14")
    a, b = sorted(plan, key=lambda e: e.target)
    assert (a.exposure_s, a.repeats, b.exposure_s, b.repeats) == (600, 2, 300, 1)
    assert "2027-03-14T23:00" <= a.utc and a.end <= "2027-03-15T01:00:01"
    assert not any("replaces what" in n for n in plan.notes)
    plan = plan_night(found, "la palma", "2027-03-14", requests={"exposure_s": {"b": 60}, "begin": None, "end": None})
    a, b = sorted(plan, key=lambda e: e.target)
    assert (a.exposure_s, b.exposure_s) == (600, 60) and a.utc > "2027-03-15T01:00"  # M51 stands higher later
    assert "requests=… replaces what the list asks for: exposure_s, begin, end" in plan.notes
