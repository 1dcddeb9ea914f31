"""Targets in FITS, VOTable, ECSV and CDS tables and in Astropy's objects, which need Astropy."""

import sys
import warnings

import numpy as np
import pytest

from metaenv.errors import TaskError
from metaenv.telescope.planner.own_nights import evening
from metaenv.telescope.planner.reading import read_targets
from metaenv.telescope.sim.sites import find_site

B1950 = (10.6589673, 20.2738672)  # of 10, 20 deg in FK4 B1950, by astropy 8.0.2
VOTABLE = """<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE>
<COOSYS ID="s" system="{system}"/><TABLE name="t">
<FIELD name="{ra}" ID="col1" datatype="double" unit="deg" ucd="pos.eq.ra;meta.main" ref="s"/>
<FIELD name="{dec}" ID="col2" datatype="double" unit="deg" ucd="pos.eq.dec;meta.main" ref="s"/>
<FIELD name="e" ID="col5" datatype="double" unit="deg" ucd="stat.error;pos.eq.ra"/>
<FIELD name="nm" ID="col3" datatype="char" arraysize="*" ucd="meta.id;meta.main"/>
<FIELD name="V" ID="col4" datatype="float" unit="mag" ucd="phot.mag;em.opt.V"/>
<DATA><TABLEDATA><TR><TD>10</TD><TD>20</TD><TD>1</TD><TD>007</TD><TD>12.5</TD></TR></TABLEDATA></DATA>
</TABLE></RESOURCE></VOTABLE>"""
CDS = """Title: A list
Authors: Nobody
================================================================================
Byte-by-byte Description of file: t.dat
--------------------------------------------------------------------------------
   Bytes Format Units   Label     Explanations
--------------------------------------------------------------------------------
   1-  5 A5     ---     Name      name
   7-  8 I2     h       RAh       hour
  10- 11 I2     min     RAm       minute
  13- 16 F4.1   s       RAs       second
      18 A1     ---     DE-       sign
  19- 20 I2     deg     DEd       degree
  22- 23 I2     arcmin  DEm       minute
  25- 26 I2     arcsec  DEs       second
  28- 31 F4.1   mag     Vmag      magnitude
--------------------------------------------------------------------------------
Vega  18 36 56.3 +38 47 01  0.0
x     05 14 32.3 -00 12 06  0.1
"""


@pytest.fixture
def astropy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pytest.importorskip("astropy", reason="astropy is not installed")


def places(found):
    return np.degrees([found.ra, found.dec]).T


@pytest.mark.parametrize("name, fmt", [("list.fits", "fits"), ("list.ecsv", "ascii.ecsv"), ("list.csv", "ascii.ecsv")])
def test_the_equinox_of_a_header(tmp_path, astropy, name, fmt):
    from astropy.table import Table

    table = Table({"name": ["a"], "ra": [10.0], "dec": [20.0], "vmag": [15.0]})
    table.meta.update(RADESYS="FK4", EQUINOX=1950.0)
    table.write(tmp_path / name, format=fmt)
    found = read_targets(tmp_path / name)
    np.testing.assert_allclose(places(found), [B1950], atol=1e-5)
    assert found.notes[-1] == "converted from FK4 B1950 to ICRS: 1 of 1 positions"
    with pytest.raises(TaskError, match="positions are FK4 B1950 by the file but were told to be ICRS"):
        read_targets(tmp_path / name, frame="ICRS")


@pytest.mark.parametrize(
    "ra, dec, system, columns, expected",
    [
        ("ra", "dec", "ICRS", {}, (10, 20)),
        ("ra", "dec", 'eq_FK4" equinox="B1950', {}, B1950),
        ("x", "y", "ICRS", {}, (10, 20)),  # by UCD
        ("x", "y", "ICRS", {"name": "col3", "ra": "x", "dec": "col2"}, (10, 20)),  # by ID or name
    ],
)
@pytest.mark.parametrize("file", ["list.vot", "list.dat"])
def test_columns_of_votables(tmp_path, astropy, file, ra, dec, system, columns, expected):
    path = tmp_path / file
    path.write_text(VOTABLE.format(ra=ra, dec=dec, system=system))
    found = read_targets(path, columns)
    np.testing.assert_allclose(places(found), [expected], atol=1e-5)
    assert found.names == ("007",) and found.magnitude.tolist() == [12.5]


def test_extensions_of_fits(tmp_path, astropy):
    from astropy.io import fits
    from astropy.table import Table

    good = Table({"TARGET_RA": [100.0, 20.0], "TARGET_DEC": [1.0, 2.0], "OBJID": [5, 6], "MAG": np.float32([15.5, 16])})
    other = fits.BinTableHDU(Table({"ra": [103.0], "dec": [4.0]}), name="OTHER")
    path = tmp_path / "list.fits"
    junk = fits.BinTableHDU(Table({"x": [1]}), name="JUNK")
    fits.HDUList([fits.PrimaryHDU(), junk, fits.BinTableHDU(good, name="TARGETS"), other]).writeto(path)
    found = read_targets(path)
    assert found.names == ("5", "6") and found.magnitude.tolist() == [15.5, 16]
    assert "read from extension 2 (TARGETS), not from extension 1 (JUNK), extension 3 (OTHER)" in found.notes[0]
    for which in ("OTHER", 3):
        np.testing.assert_allclose(places(read_targets(path, table=which)), [[103, 4]])
    with pytest.raises(TaskError, match=r"has no table 'NONE'.*extension 2 \(TARGETS\)"):
        read_targets(path, table="NONE")
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "image.fits")
    with pytest.raises(TaskError, match="holds no table, only images"):
        read_targets(tmp_path / "image.fits")


def test_tables_of_the_cds(tmp_path, astropy):
    path = tmp_path / "table.txt"
    path.write_text(CDS)
    np.testing.assert_allclose(places(read_targets(path)), [(279.23458, 38.78361), (78.63458, -0.20167)], atol=1e-5)


def test_objects_in_memory(tmp_path, astropy):
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from astropy.table import QTable, Table
    from astropy.time import Time

    sky = SkyCoord([10, 20] * u.deg, [20, 30] * u.deg, frame="fk4")
    table = QTable({"id": ["x", "y"], "sky": sky, "vmag": [12, 13] * u.mag})
    table.write(tmp_path / "sky.ecsv")
    for source in (table, tmp_path / "sky.ecsv", sky):
        np.testing.assert_allclose(places(read_targets(source))[0], B1950, atol=1e-6)
    moving = SkyCoord(
        10 * u.deg, 1 * u.deg, pm_ra_cosdec=3 * u.mas / u.yr, pm_dec=4 * u.mas / u.yr, obstime=Time("J2016")
    )
    np.testing.assert_allclose(read_targets(moving).motion, [[3, 4, 2016]])
    masked = Table({"name": ["a", "b"], "ra": np.ma.array([100, 200.0], mask=[False, True]), "dec": [1, 2.0]})
    with pytest.raises(TaskError, match=r"the Table, row 2 \('b'\): there is no right ascension"):
        read_targets(masked)
    several = Table(
        {"name": ["a"], "ra": [6] * u.hourangle, "dec": [0.1] * u.rad, "flux": [[1, 2]], "t": Time(["J2000"])}
    )
    found = read_targets(several)
    np.testing.assert_allclose(places(found), [[90, np.degrees(0.1)]])
    assert found.notes[0] == "columns of several numbers a row are not read: flux" and "not used: t" in found.notes[-1]


def test_places_and_days_of_astropy(astropy):
    from astropy import units as u
    from astropy.coordinates import EarthLocation
    from astropy.time import Time

    site = find_site(EarthLocation.from_geodetic(-70.4 * u.deg, -24.6 * u.deg, 2.6 * u.km))
    assert (site.latitude_deg, site.longitude_deg, site.elevation_m) == pytest.approx((-24.6, -70.4, 2600))
    assert find_site((-24.6 * u.deg, -70.4 * u.deg, 2.6 * u.km)).elevation_m == 2600
    assert evening(Time("2027-03-14")) == Time("2027-03-14").jd == evening("2027-03-14")
    with pytest.raises(TaskError, match="the day whose evening begins the night, such as '2027-03-14', got the time"):
        evening(Time("2027-03-14T03:00"))
    with pytest.raises(TaskError, match="expected one place, got an EarthLocation of 2"):
        find_site(EarthLocation.from_geodetic([1, 2] * u.deg, [1, 2] * u.deg))


def test_text_needs_no_astropy_and_fits_says_that_it_does(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "astropy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "astropy", None)
    (tmp_path / "list.csv").write_text("name,ra,dec,equinox\na,00:40:00,20:00:00,B1950\n")
    np.testing.assert_allclose(places(read_targets(tmp_path / "list.csv")), [B1950], atol=1e-5)
    (tmp_path / "list.fits").write_text("SIMPLE  =                    T")
    with pytest.raises(ImportError, match=r"list.fits is fits, which Astropy reads: pip install .*\[astronomy\]"):
        read_targets(tmp_path / "list.fits")
