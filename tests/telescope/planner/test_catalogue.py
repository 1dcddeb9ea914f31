"""A user's own targets: what files may look like, and what is refused."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from metaenv.errors import TaskError
from metaenv.telescope.planner.angles import sexagesimal
from metaenv.telescope.planner.catalogue import TargetList, classify, values_from_priorities
from metaenv.telescope.planner.reading import read_targets
from metaenv.telescope.sim.targets import CLASSES

TRANSIENTS = Path(os.environ.get("METAENV_TRANSIENTS", "transients_sample.csv"))

# Vega and Rigel: J2000 places of the SIMBAD database.
VEGA, RIGEL = (279.23473479, 38.78368896), (78.63446707, -8.20163837)


@pytest.fixture(autouse=True)
def needs_astropy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("astropy.table", reason="target lists are read by astropy, which is not installed")


def written(tmp_path, text, name="list.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def places(targets):
    return np.degrees(np.stack([targets.ra, targets.dec], axis=1))


def test_csv_in_degrees(tmp_path):
    path = written(
        tmp_path, f"Name,RA,Dec,Vmag,Priority\nVega,{VEGA[0]},{VEGA[1]},0.03,1\nRigel,{RIGEL[0]},{RIGEL[1]},0.13,3\n"
    )
    found = read_targets(path)
    assert found.names == ("Vega", "Rigel") and found.notes == ()
    np.testing.assert_allclose(places(found), [VEGA, RIGEL], atol=1e-9)
    np.testing.assert_allclose(found.magnitude, [0.03, 0.13])
    np.testing.assert_allclose(found.value, [1.0, 0.25])  # two steps of priority, half each


@pytest.mark.parametrize(
    "vega",
    ["18:36:56.33635,+38:47:01.2802", "18 36 56.33635,+38 47 01.2802", "18h36m56.33635s,38d47m01.2802s",
     "279d14m05.04525s,38d47m01.2802s"],
)  # fmt: skip
def test_sexagesimal(tmp_path, vega):
    path = written(tmp_path, f"object,raj2000,dej2000,mag\nVega,{vega},0.03\n")
    np.testing.assert_allclose(places(read_targets(path)), [VEGA], atol=1e-7)


def test_negative_declination_between_0_and_1(tmp_path):
    path = written(tmp_path, "name,ra,dec,vmag\na,00:00:00,-00:30:00,15\n")
    np.testing.assert_allclose(places(read_targets(path)), [[0.0, -0.5]], atol=1e-12)


@pytest.mark.parametrize(
    "suffix, fmt", [("ecsv", "ascii.ecsv"), ("fits", "fits"), ("vot", "votable"), ("csv", "ascii.ecsv")]
)
@pytest.mark.parametrize("unit", ["deg", "hourangle", "rad"])
def test_units_of_files_are_honoured(tmp_path, suffix, fmt, unit):
    from astropy import units as u
    from astropy.table import Table

    ra = (np.array([VEGA[0], RIGEL[0]]) * u.deg).to(unit)
    if unit == "hourangle" and suffix in ("fits", "vot"):  # neither format has it; they write hours
        ra = ra.value * u.hour
    dec = (np.array([VEGA[1], RIGEL[1]]) * u.deg).to("rad")
    table = Table({"MAIN_ID": ["Vega", "Rigel"], "RAJ2000": ra, "DEJ2000": dec, "Vmag": [0.03, 0.13]})
    path = tmp_path / f"list.{suffix}"
    table.write(path, format=fmt)
    found = read_targets(path)
    assert found.names == ("Vega", "Rigel")
    np.testing.assert_allclose(places(found), [VEGA, RIGEL], atol=1e-9)


def test_hours_by_name_by_argument_and_by_unit(tmp_path):
    hours = VEGA[0] / 15
    for heading, told in (("RA_hours", None), ("ra", "hourangle")):
        path = written(tmp_path, f"name,{heading},dec,vmag\nVega,{hours!r},{VEGA[1]},0\n")
        np.testing.assert_allclose(places(read_targets(path, ra_unit=told)), [VEGA], atol=1e-9)


def test_units_that_contradict_or_are_none(tmp_path):
    path = written(tmp_path, "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: ra, unit: deg, datatype: float64}\n"
                   "# - {name: dec, unit: s, datatype: float64}\nra dec\n1.0 2.0\n", "list.ecsv")  # fmt: skip
    with pytest.raises(TaskError, match="'dec': expected an angle such as 'deg'"):
        read_targets(path)
    with pytest.raises(TaskError, match="is in deg by the file but was told to be in hourangle"):
        read_targets(path, ra_unit="hourangle")
    with pytest.raises(TaskError, match="'ra': expected an angle"):
        read_targets(written(tmp_path, "ra,dec\n1,2\n"), ra_unit="hours of ra")


def test_told_columns_and_other_separators(tmp_path):
    path = written(tmp_path, "\ufeffwho;east;north;v_mag;kind\nVega;279.23;38.78;0.03;QSO\nx;1;2;15;SN Ia-91T\n")
    found = read_targets(path, {"name": "who", "ra": "east", "dec": "north", "class": "kind"})
    assert found.names == ("Vega", "x") and found.label.tolist() == [5, 0]
    assert classify("SLSN-I") == 3 and classify("IIn") == 1 and classify("Ic-BL") == 2 and classify("Candidate") == -1


@pytest.mark.parametrize(
    "text, name",
    [
        *(
            ("SN Ia", "SN Ia"),
            ("Ia Pec", "SN Ia"),
            ("SN Iax[02cx-like]", "SN Ia"),
            ("Ia-91T", "SN Ia"),
            ("Ib", "SN Ibc"),
        ),
        *(("Ib/c", "SN Ibc"), ("SN Ic-BL", "SN Ibc"), ("SN Ibn", "SN Ibc"), ("II", "SN II"), ("SN IIP", "SN II")),
        *(("SN II-P", "SN II"), ("IIb", "SN II"), ("Ia,Ia", "SN Ia"), ("SLSN-I", "SLSN"), ("TDE-H-He", "TDE")),
        *(("BL Lac", "AGN"), ("Sy1", "AGN"), ("QSO", "AGN"), ("CV*", "CV"), ("Cataclysmic variable", "CV")),
        *(("Mdwarf", "flare star"), ("M dwarf", "flare star"), ("Galaxy IIZw", ""), ("IIZw 40", ""), ("RRLyr", "")),
        *(("Candidate", ""), ("Minor Planet", ""), ("", "")),
    ],
)
def test_classes_as_catalogues_write_them(text, name):
    assert classify(text) == (CLASSES.index(name) if name else -1)


def test_what_was_assumed_is_told(tmp_path):
    found = read_targets(written(tmp_path, "ra,dec\n1,2\n3,4\n"))
    assert found.names == ("row 1", "row 2") and (found.magnitude == 19.5).all()
    assert "no column of names" in found.notes[0] and "V = 19.5 is assumed" in found.notes[-1]
    assert (read_targets(written(tmp_path, "ra,dec\n1,2\n"), default_magnitude=17).magnitude == 17).all()
    given = read_targets(written(tmp_path, "ra,dec,rmag\n1,2,\n1,3,18\n"), default_magnitude=17)
    assert given.magnitude.tolist() == [17, 18] and "'rmag' are taken as V" in given.notes[-1]


GOOD = "name,ra,dec,vmag\na,10,20,15\n"


@pytest.mark.parametrize(
    "text, message",
    [
        ("name,ra,dec,vmag\n", "has no targets: there is no row"),
        ("", "the file is empty"),
        (GOOD + "a,11,21,15\n", r"row 2 \('a'\): the name 'a' stands in an earlier row too"),
        (GOOD + "b,361,21,15\n", r"row 2 \('b'\): right ascension must lie in \[0, 360\] deg, got 361"),
        (GOOD + "b,-1,21,15\n", "right ascension must lie in"),
        (GOOD + "b,1,-91,15\nc,1,92,15\n", r"declination must lie in \[-90, 90\] deg, got -91.*and 1 more such row"),
        (GOOD + "b,nan,21,15\n", "row 2 .*there is no right ascension"),
        (GOOD + "b,,21,15\n", "row 2 .*there is no right ascension"),
        (GOOD + "b,1,21,\n", "row 2 .*there is no magnitude"),
        (GOOD + "b,1,21,faint\n", "row 2 .*magnitude must be a number, got 'faint'"),
        (GOOD + "b,1,21,99\n", r"magnitude must lie in \[-2, 35\], got 99"),
        (GOOD + "b,10:00:00,21,15\n", "'ra' is written in two ways: row 1 in plain numbers, row 2 in sexagesimal"),
        ("name,ra,dec\na,10h00m00s,1\nb,150d00m00s,1\n", "two ways: row 1 in hours, .*row 2 in degrees"),
        (GOOD + "b,north,21,15\n", "right ascension 'north' cannot be read as an angle"),
        (GOOD + "b,25:00:00,1,15\n", "two ways"),
        ("name,ra,dec\na,25:00:00,1\n", "right ascension"),
        ("name,ra,dec\na,10:61:00,1\n", "'10:61:00' cannot be read as an angle"),
        ('name,ra,dec\na,"10:00:00,10:00:01",1\n', "holds several coordinates.*several='first'"),
        ("name,ra,dec,value\na,1,2,0\n", "value must be above 0, got 0"),
        ("name,ra,dec,priority\na,1,2,high\n", "priority must be a number, got 'high'"),
        ("name,rax,dec\na,1,2\n", "no column looks like 'ra'.*Did you mean 'rax'"),
    ],
)  # fmt: skip
def test_refused(tmp_path, text, message):
    with pytest.raises(TaskError, match=f"(?s){message}"):
        read_targets(written(tmp_path, text))


def test_refused_calls(tmp_path):
    path = written(tmp_path, GOOD)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_targets(tmp_path / "none.csv")
    with pytest.raises(TaskError, match=r"there is no column 'raa' for 'ra'.*Did you mean 'ra'"):
        read_targets(path, {"ra": "raa"})
    with pytest.raises(TaskError, match=r"columns cannot name 'magnitud'.*'magnitude'"):
        read_targets(path, {"magnitud": "vmag"})
    with pytest.raises(TaskError, match=r"no choice 'fist' of several.*'first'"):
        read_targets(path, several="fist")
    path = tmp_path / "list.fits"
    path.write_bytes(b"no FITS at all")
    with pytest.raises(TaskError, match="cannot be read as fits"):
        read_targets(path)
    path = tmp_path / "list.txt"
    path.write_bytes(b"ra,dec\n\x00\x01\xff,2\n")
    with pytest.raises(TaskError, match=r"list.txt, row 2: contains a NUL character"):
        read_targets(path)


def test_bad_rows_are_dropped_on_request(tmp_path):
    text = GOOD + "a,1,2,15\n,3,4,15\nc,400,1,15\nd,5,6,\ne,7,8,16\n"
    found = read_targets(written(tmp_path, text), invalid="drop")
    assert found.names == ("a", "e")
    assert found.notes[-1].startswith("4 rows dropped: row 2 ('a'): the name 'a' stands in an earlier row too; row 3")
    with pytest.raises(TaskError, match="no usable target; row 1: declination"):
        read_targets(written(tmp_path, "ra,dec\n1,99\n"), invalid="drop")


def test_first_of_several_positions(tmp_path):
    text = 'name,ra,dec,vmag\na,"01:00:00,01:00:01",+60:00:00,15\nb,02:00:00,"-01:00:00;-01:00:03",15\n'
    found = read_targets(written(tmp_path, text), several="first")
    np.testing.assert_allclose(places(found), [[15, 60], [30, -1]], atol=1e-9)
    # 1 s of right ascension is 15 arcsec at the equator, half of that at 60 deg.
    assert "2 rows hold several positions" in found.notes[0] and "up to 7.5 arcsec from it (row 1)" in found.notes[0]


@pytest.mark.skipif(
    not TRANSIENTS.exists(), reason="set METAENV_TRANSIENTS to a CSV of real transients, not part of the project"
)
def test_real_messy_list():
    with pytest.raises(TaskError, match=r"row 2 .*several coordinates.*and 144 more such rows"):
        read_targets(TRANSIENTS)
    found = read_targets(TRANSIENTS, several="first")
    assert len(found) == 400 and found.names[1] == "AT2019jhw"
    # 02:04:54.527 -02:46:33.76, the first of two positions, by hand.
    np.testing.assert_allclose(places(found)[1], [15 * (2 + 4 / 60 + 54.527 / 3600), -(2 + 46 / 60 + 33.76 / 3600)])
    assert "145 rows hold several positions" in found.notes[0]
    assert found.label[3] == -1 and found.label[4] == 1  # a candidate, an SN II


def test_lists_from_arrays():
    found = TargetList.of(["a", "b"], [1, 2], [3, 4], value=[2.0, 5.0])
    assert found.priority.argmin() == 1  # the most valuable first
    for arguments, message in (
        ((["a", "a"], [1, 2], [3, 4]), "different names.*'a'"),
        (([], [], []), "at least one target"),
        ((["a"], [361], [0]), "expected ra from 0 to 360 deg, got 361.0 for 'a'"),
        ((["a"], [1], [np.nan]), "expected dec from -90 to 90 deg, got nan"),
        ((["a"], [1, 2], [0]), "expected 1 numbers of ra"),
        ((["a"], [1], [0], np.nan), "expected magnitude from -2 to 35 V mag, got nan for 'a'"),
    ):
        with pytest.raises(TaskError, match=message):
            TargetList.of(*arguments)
    np.testing.assert_allclose(values_from_priorities(np.array([3.0, 1.0, 50.0])), [0.25, 1.0, 2.0**-10])


def test_sexagesimal_for_readers():
    assert sexagesimal(np.radians(VEGA[0]), "ra") == "18:36:56.34"
    assert sexagesimal(np.radians(RIGEL[1]), "dec") == "-08:12:05.9"
    assert sexagesimal(2 * np.pi - 1e-12, "ra") == "00:00:00.00" and sexagesimal(-1e-9, "dec") == "+00:00:00.0"
