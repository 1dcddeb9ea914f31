"""Equinoxes, the galactic system and proper motions, against astropy 8.0.2 (`icrs`, `apply_space_motion`)."""

import numpy as np
import pytest

from metaenv.errors import TaskError
from metaenv.telescope.planner.catalogue import TargetList
from metaenv.telescope.planner.frames import ICRS, Frame, moved, read_frame, to_icrs
from metaenv.telescope.planner.reading import read_targets
from metaenv.telescope.sim.julian_dates import J2000

ARCSEC = 1 / 3600
JD_2027_2 = J2000 + 27.2 * 365.25
BARNARD = (269.44850252543836, 4.739420051112412, -801.551, 10362.394)  # Gaia DR3, J2016.0
BARNARD_2027_2 = (269.4460001386618, 4.771658602291528)


@pytest.mark.parametrize(
    "frame, place, icrs",
    [
        (Frame("FK4", 1950), (10, 20), (10.6589673, 20.2738672)),
        (Frame("FK4", 1950), (266.4, -28.9), (267.1942637, -28.9155646)),
        (Frame("FK4", 1900), (200, -70), (201.8348799, -70.5202482)),
        (Frame("FK5", 1975), (10, 20), (10.3292306, 20.1370009)),
        (Frame("FK5", 2026.5), (300, 85), (301.1017232, 84.9250004)),
        (Frame("galactic"), (121.17, -21.57), (10.6791955, 41.2719102)),
        (Frame("galactic"), (0, 0), (266.4049883, -28.9361778)),
        (Frame("galactic"), (55, 90), (192.85948, 27.12825)),  # the pole: ESA 1997, Hipparcos catalogue, eq. 1.5.9
        (ICRS, (10, 20), (10, 20)),
    ],
)
def test_places_of_other_systems(frame, place, icrs):
    ra, dec = np.degrees(to_icrs(*np.radians([[place[0]], [place[1]]]), frame))
    off = np.array([(ra[0] - icrs[0]) * np.cos(np.radians(icrs[1])), dec[0] - icrs[1]])
    assert np.hypot(*off) < 0.04 * ARCSEC  # FK5 is not quite ICRS: 0.023 arcsec, and the pole is rounded


@pytest.mark.parametrize(
    "said, frame",
    [
        (("FK4", ""), Frame("FK4", 1950)),
        (("", "B1950"), Frame("FK4", 1950)),
        (("", "1950.0"), Frame("FK4", 1950)),  # without a letter: Besselian before 1984, as in FITS
        (("", "J1950"), Frame("FK5", 1950)),
        (("", "2000.0"), ICRS),
        (("ICRS,J2000/2000", ""), ICRS),
        (("eq_FK5", "J2000"), ICRS),
        (("eq_FK4", "B1950"), Frame("FK4", 1950)),
        (("FK5", "1975"), Frame("FK5", 1975)),
        (("galactic", ""), Frame("galactic")),
    ],
)
def test_systems_as_catalogues_write_them(said, frame):
    assert read_frame(*said) == frame


@pytest.mark.parametrize(
    "said", [("", "APP"), ("ecl_FK5", "J2000"), ("", "soon"), ("", "20000"), ("", "3000"), ("FK4-NO-E", "")]
)
def test_other_systems_are_refused(said):
    with pytest.raises(TaskError, match=r"are not read|is no equinox|is not from 1800"):
        read_frame(*said)


def test_barnards_star_moves():
    ra, dec, pm_ra, pm_dec = BARNARD
    mas = np.radians(ARCSEC / 1000)
    there = np.degrees(moved(*np.radians([[ra], [dec]]), np.array([pm_ra * mas]), np.array([pm_dec * mas]), 11.2))
    np.testing.assert_allclose(there[:, 0], BARNARD_2027_2, rtol=0, atol=1e-7)
    listed = TargetList.of(
        ["Barnard", "still"], [ra, 10], [dec, 20], 9.5, pm_ra_mas=[pm_ra, 0], pm_dec_mas=[pm_dec, 0], epoch=2016.0
    )
    now = listed.at(JD_2027_2)
    np.testing.assert_allclose(np.degrees([now.ra[0], now.dec[0]]), BARNARD_2027_2, rtol=0, atol=1e-7)
    np.testing.assert_allclose(np.degrees([now.ra[1], now.dec[1]]), [10, 20], atol=1e-12)
    assert "up to 116.4 arcsec" in now.notes[-1] and now.motion[:, 2] == pytest.approx(2027.2)
    assert now.take(np.array([1])).motion.tolist() == [[0, 0, now.motion[1, 2]]]
    assert TargetList.of(["a"], [1], [2]).at(JD_2027_2).notes == ()


def test_polaris_moves():
    polaris = TargetList.of(["Polaris"], [37.95], [89.26], 2.0, pm_ra_mas=44.48, pm_dec_mas=-11.85)
    now = polaris.at(JD_2027_2)
    expected = [37.9760184606875, 89.25991039036678]
    np.testing.assert_allclose(np.degrees([now.ra[0], now.dec[0]]), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    "heading, row",
    [
        ("pmra,pmdec,ref_epoch", "-801.551,10362.394,2016.0"),  # Gaia
        ("pmRA (mas/yr),pmDE (arcsec/yr),epoch", "-801.551,10.362394,J2016.0"),
        ("pm_ra_cosdec,pm_dec,epoch", "-801.551,10362.394,2457388.5"),  # a Julian date, 0.5 d before 2016.0 of Gaia
        ("pmra,pmdec,epoch", "-801.551,10362.394,57388"),
        ("pmra,pmdec,epoch", "-801.551,10362.394,2016-01-01"),
        ("pmra (s/yr),pmdec (arcsec/yr),epoch", f"{-0.801551 / 15 / np.cos(np.radians(BARNARD[1]))},10.362394,2016"),
    ],
)
def test_motions_and_epochs_of_files(tmp_path, heading, row):
    path = tmp_path / "list.csv"
    path.write_text(f"name,ra,dec,vmag,{heading}\nBarnard,{BARNARD[0]},{BARNARD[1]},9.5,{row}\nx,1,2,3,,,\n")
    found = read_targets(path)
    now = found.at(JD_2027_2)
    np.testing.assert_allclose(np.degrees([now.ra[0], now.dec[0]]), BARNARD_2027_2, rtol=0, atol=5e-6)
    assert found.motion[1, :2].tolist() == [0, 0]


def test_dates_are_epochs_from_midnight(tmp_path):
    path = tmp_path / "list.csv"
    rows = "".join(
        f"{i},1,2,3,4,5,{epoch}\n" for i, epoch in enumerate(["2016-01-01", "2457388.5", "57388", "J2016.0"])
    )
    path.write_text(f"name,ra,dec,vmag,pmra,pmdec,epoch\n{rows}")
    julian_year = 2000 + (2457388.5 - 2451545.0) / 365.25  # days from noon of 1 January 2000
    np.testing.assert_allclose(read_targets(path).motion[:, 2], [*[julian_year] * 3, 2016.0], rtol=0, atol=1e-9)


def test_motions_of_old_systems_are_turned(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("name,ra,dec,equinox,pmra,pmdec\na,00:40:00,20:00:00,B1950,1000,2000\n")
    found = read_targets(path, default_magnitude=10)
    np.testing.assert_allclose(found.motion, [[1001.943, 1999.300, 1950.0]], rtol=2e-4)
    assert any("taken as those of 1950" in note for note in found.notes)
    assert any("converted from FK4 B1950 to ICRS: 1 of 1" in note for note in found.notes)


@pytest.mark.parametrize(
    "heading, row, message",
    [
        ("pmra (furlong),pmdec,epoch", "1,2,2000", "expected a proper motion in mas/yr.*got 'furlong'"),
        ("pmra,pmdec,epoch", "fast,2,2000", "proper motion must be a number, got 'fast'"),
        ("pmra,pmdec,epoch", "1,2,long ago", "epoch 'long ago' is no year"),
        ("pmra,pmdec,epoch", "1,2,3", "epoch '3' is no year"),
        ("pmra,pmdec,epoch", "1,2,2016-13-01", "epoch '2016-13-01' is no year"),
    ],
)
def test_motions_that_are_refused(tmp_path, heading, row, message):
    path = tmp_path / "list.csv"
    path.write_text(f"name,ra,dec,vmag,{heading}\na,100,2,9.5,{row}\n")
    with pytest.raises(TaskError, match=message):
        read_targets(path)
