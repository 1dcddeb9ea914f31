"""Lists of targets as observatories, archives and spreadsheets write them: each is read right, or refused in a line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaenv.errors import TaskError
from metaenv.telescope.planner.angles import Problems, column_angles
from metaenv.telescope.planner.formats import Column
from metaenv.telescope.planner.reading import read_targets

# Vega and Rigel: J2000 places of the SIMBAD database, to a tenth of a second.
VEGA, RIGEL, BOTH = (279.23458, 38.78361), (78.63458, -8.20167), [(279.23458, 38.78361), (78.63458, -8.20167)]
B1950 = (10.6589673, 20.2738672)  # of 10, 20 deg in FK4 B1950, by astropy 8.0.2

# In the format of www2.keck.hawaii.edu/observing/starlist.html; in some lists there is no blank before a keyword.
KECK = """# Standard stars
alf Lyr         18 36 56.3  +38 47 01    2000.0 vmag=0.03 rotdest=90 # A0
bet Ori         05 14 32.3  -08 12 06    2000.0
fast one        00 40 00.0  +20 00 00    1950   vmag=12.5pmra=0.1 pmdec=-0.5
M 31 core       00 40 00     20 00 00    1950.0
comet  6:00UT   01 05 39.61 +04 00 28.8  APP    dra=-0.96 ddec=-4.2
"""
SUBARU = """:HEADER
:PARAMETER
VEGA=OBJECT="Vega" RA=183656.30 DEC=+384701.0 EQUINOX=2000.0
RIGEL=OBJECT="Rigel" RA=051432.30 DEC=-081206.0 EQUINOX=2000.0
:COMMAND
"""
VIZIER = (
    "#\n#   VizieR Astronomical Server\n#Column\t_RAJ2000\t(F9.5)\tRight ascension\n_RAJ2000\t_DEJ2000\tHIP\tVmag\n"
    "deg\tdeg\t\tmag\n---------\t---------\t------\t-----\n279.23458\t+38.78361\t 91262\t0.03\n"
    "078.63458\t-08.20167\t 24436\t0.18\n"
)
VIZIER_TEXT = 'RAJ2000\tDEJ2000\tName\n"h:m:s"\t"d:m:s"\t\n--\t--\t--\n18 36 56.3\t+38 47 01\tVega\n'
TNS = (
    '"ID","Name","RA","DEC","Obj. Type","Redshift","Discovery Mag/Flux","Discovery Filter"\n'
    '"1","SN 2024abc","18:36:56.300","+38:47:01.00","SN Ia","0.05","18.5","orange"\n'
)
SIMBAD = """C.D.S.  -  SIMBAD4 rel 1.7  -  2020.11.09CET06:33:58

coord 84.696693-2.59459 (ICRS, J2000, 2000.0), radius: 2 arcmin
---------------------------------------------------------------

Number of objects : 2

# |    identifier    |typ|  coord1 (ICRS,J2000/2000)   |Mag V |#bib
--|------------------|---|-----------------------------|------|----
1 |* alf Lyr         |** |18 36 56.300 +38 47 01.00    | 0.03 |1153
2 |* bet Ori         |s*b|05 14 32.300 -08 12 06.00    |  ~   | 720
================================================================================
"""
CDS = "Name,RAh,RAm,RAs,DE-,DEd,DEm,DEs,Vmag\nVega,18,36,56.3,+,38,47,01,0\nx,05,14,32.3,-,00,12,06,0.1\n"
MARKDOWN = "| name | ra | dec |\n|---|---|---|\n| Vega | 279.23458 | 38.78361 |\n"


def csv(*rows, heading="name,ra,dec,vmag"):
    return "\n".join([heading, *rows]) + "\n"


READ = {
    "spaces": (csv("Vega,18 36 56.3,+38 47 01,0"), {}, [VEGA], ""),
    "colons": (csv("Vega,18:36:56.3,+38:47:01,0"), {}, [VEGA], ""),
    "hms and dms": (csv("Vega,18h36m56.3s,+38d47m01s,0"), {}, [VEGA], ""),
    "signs": (csv("Vega,18ʰ36ᵐ56.3ˢ,+38° 47′ 01″,0"), {}, [VEGA], ""),
    "typewriter": (csv("Vega,18h 36m 56.3s,\"+38° 47' 01\"\"\",0"), {}, [VEGA], ""),
    "fraction behind the sign": (csv("Vega,18h36m56s.3,+38º47’01”,0"), {}, [VEGA], ""),
    "words": (csv("Vega,18 hours 36 min 56.3 sec,38 deg 47 arcmin 1 arcsec,0"), {}, [VEGA], ""),
    "decimal minutes": (csv("Vega,18:36.93833,38:47.01667,0"), {}, [VEGA], ""),
    "wide digits": (csv("Vega,１８:３６:５６.３,＋３８:４７:０１,0"), {}, [VEGA], ""),
    "typographic minus": (csv("Rigel,05:14:32.3,−08:12:06,0"), {}, [RIGEL], ""),
    "dash": (csv("Rigel,05:14:32.3,–08:12:06,0"), {}, [RIGEL], ""),
    "two ways, one meaning": (csv("a,18:36:56.3,+38:47:01,0", "b,05h14m32.3s,-08d12m06s,0"), {}, BOTH, ""),
    "minus zero": (csv("a,05:14:32.3,-00 30 00,0"), {}, [(78.63458, -0.5)], ""),
    "decimal hours by name": (csv("Vega,18.6156387,38.78361,0", heading="name,RA_hours,dec,vmag"), {}, [VEGA], ""),
    "decimal hours by unit": (csv("Vega,18.6156387,38.78361,0", heading="name,RA (hours),Dec (deg),V"), {}, [VEGA], ""),
    "decimal hours, told": (csv("Vega,18.6156387,38.78361,0"), {"ra_unit": "h"}, [VEGA], ""),
    "hours that look so": (csv("Vega,18.6156387h,38.78361d,0"), {}, [VEGA], ""),
    "small degrees": (csv("a,6.75,-16.7,0"), {}, [(6.75, -16.7)], "taken as degrees, though all are below 24"),
    "decimal commas": (csv("a;279,23458;38,78361;0,03", heading="name;ra;dec;vmag"), {"several": "first"}, [VEGA],
                       "decimal commas are read as decimal points: ra, dec, vmag"),
    "commas in seconds": (csv("a;18:36:56,3;38:47:01,0;0", heading="name;ra;dec;vmag"), {}, [VEGA], "decimal commas"),
    "quoted commas": (csv('a,"279,23458","38,78361",0'), {}, [VEGA], "decimal commas"),
    "Gemini": ("// targets\nName,RAJ2000,DECJ2000,V\nVega,18:36:56.3,38:47:01,0\n", {}, [VEGA], ""),
    "Excel": ("sep=;\r\nname;ra;dec\r\nVega;279.23458;38.78361\r\n", {}, [VEGA], ""),
    "a title above": ("My targets for March\n" + csv("Vega,279.23458,38.78361,0"), {}, [VEGA], "skipped above"),
    "trailing commas": ("name,ra,dec,,\nVega,279.23458,38.78361,,\n", {}, [VEGA], ""),
    "heading in a comment": ("# name ra dec vmag\nVega 279.23458 38.78361 0.03\n", {}, [VEGA], ""),
    "heading again": (csv("Vega,279.23458,38.78361,0", "name,ra,dec,vmag", "Rigel,78.63458,-8.20167,0"), {}, BOTH,
                      "the heading comes again"),
    "blanks between parts": ("Name RA Dec V\nVega 18 36 56.3 +38 47 01 0\nRigel 05 14 32.3 -08 12 06 0\n", {}, BOTH,
                             ""),
    "columns by two blanks": ("Name     RA          Dec\nal Lyr   18 36 56.3  38 47 01\n", {}, [VEGA], ""),
    "Markdown": (MARKDOWN, {}, [VEGA], ""),
    "both in one cell": (csv("Vega;18 36 56.3 +38 47 01", heading="name;coordinates"), {}, [VEGA], ""),
    "IAU name": (csv("a;J183656.30+384701.0", "b;J051432.30-081206.0", heading="name;coords"), {}, BOTH, ""),
    "digits without separators": (csv("Vega,183656.3,+384701", heading="Name,RA,Dec"), {}, [VEGA], ""),
    "CDS parts": (CDS, {}, [VEGA, (78.63458, -0.20167)], ""),
    "VizieR": (VIZIER, {}, BOTH, ""),
    "VizieR, hours": ("RA\tDEC\tVmag\nh\tdeg\tmag\n--\t--\t--\n18.6156387\t38.78361\t0\n", {}, [VEGA], ""),
    "a comma in a name": ("Name RA Dec\nVega,A 279.23458 38.78361\nx 1 2\ny 3 4\n", {}, [VEGA, (1, 2), (3, 4)], ""),
    "VizieR, sexagesimal": (VIZIER_TEXT, {}, [VEGA], ""),
    "TNS": (TNS, {}, [VEGA], "'Discovery Mag/Flux' are taken as V"),
    "SIMBAD": (SIMBAD, {"default_magnitude": 1}, BOTH, "skipped above the heading: 'C.D.S."),
    "SkyPortal, PS1": (csv("279.23458,38.78361", heading="raMean,decMean"), {}, [VEGA], ""),
    "DESI": (csv("1,279.23458,38.78361", heading="TARGETID,TARGET_RA,TARGET_DEC"), {}, [VEGA], ""),
    "SExtractor": (csv("279.23458,38.78361", heading="ALPHA_J2000,DELTA_J2000"), {}, [VEGA], ""),
    "LSST": (csv("279.23458,38.78361", heading="coord_ra,coord_dec"), {}, [VEGA], ""),
    "Greek": (csv("Vega,279.23458,38.78361", heading="Star Name,α (deg),δ (deg)"), {}, [VEGA], ""),
    "AAVSO": (csv("SS Cyg,18:36:56.3,+38:47:01,7.7", heading="Star Name,RA (J2000.0),Declination (J2000.0),Max Mag"),
              {}, [VEGA], "'Max Mag'"),
    "Keck": (KECK, {"invalid": "drop", "default_magnitude": 12}, [*BOTH, B1950, B1950], "converted from FK4 B1950"),
    "Subaru": (SUBARU, {}, BOTH, "operation file of the Subaru Telescope"),
    "names with digits": ("M 31 18 36 56.3 38 47 01 2000\nNGC 253 05:14:32.3 -08:12:06 J2000.0\n", {}, BOTH,
                          "star list"),
    "equinox of a column": (csv("a,00:40:00,+20:00:00,B1950", heading="Name,RA,Dec,Equinox"), {}, [B1950],
                            "converted from FK4 B1950 to ICRS: 1 of 1 positions"),
    "SPOT": (csv("a,004000.0,+200000,1950.0", heading="Name,RA,Dec,Equinox"), {}, [B1950], "FK4 B1950"),
    "equinox of the heading": (csv("a,00:40:00,+20:00:00", heading="Name,RAB1950,DEB1950"), {}, [B1950], "FK4 B1950"),
    "equinox in brackets": (csv("a,00:40:00,+20:00:00", heading="Name,RA (B1950),Dec (B1950)"), {}, [B1950], "B1950"),
    "equinox called epoch": (csv("a,00:40:00,+20:00:00,B1950", heading="Name,RA,Dec,Epoch"), {}, [B1950],
                             "'Epoch' is taken as the equinox"),
    "frame of a column": (csv("a,00:40:00,+20:00:00,FK4", heading="Name,RA,Dec,Frame"), {}, [B1950], "FK4 B1950"),
    "frame, told": (csv("a,00:40:00,+20:00:00,1"), {"frame": "B1950"}, [B1950], "FK4 B1950"),
    "galactic": (csv("a,121.17,-21.57", heading="name,l,b"), {}, [(10.6791955, 41.2719102)], "from galactic to ICRS"),
    "galactic, negative": (csv("a,-10,3", heading="name,GLON,GLAT"), {}, [(256.8515083, -35.5562200)],
                           "galactic"),
    "pole and turn": (csv("a,0,-90,1", "b,360,90,1"), {}, [(0, -90), (0, 90)], ""),
    "near others": (csv("M 31,10.6847,41.269,3", "M31,10.6847,41.269,3"), {}, [(10.6847, 41.269)] * 2,
                    "which may be one: 'M 31' and 'M31'"),
    "requests": (csv("a,100,2,3,60", heading="name,ra,dec,vmag,texp"), {}, [(100, 2)], "exposure_s from 'texp'"),
    "not used": (csv("a,100,2,3,60", heading="name,ra,dec,vmag,rot"), {}, [(100, 2)], "columns not used: rot"),
    "short rows": (csv("a,100,2", "b,100,3,4"), {"default_magnitude": 5}, [(100, 2), (100, 3)], "short rows"),
}  # fmt: skip


def written(tmp_path, text, name="list.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("kind", READ)
def test_read_right(tmp_path, kind):
    text, options, places, note = READ[kind]
    found = read_targets(written(tmp_path, text), **options)
    np.testing.assert_allclose(np.degrees([found.ra, found.dec]).T, places, atol=2e-5)
    assert any(note in n for n in found.notes) or not note, found.notes


BAD = {
    "bare decimal commas": (csv("M51,202,4696,47,1952", heading="name,ra,dec"), {},
                            "row 1: 5 cells under a heading of 3; a decimal comma"),
    "points and commas": (csv("a;202,4;47,1;1", "b;202.4;47.1;1", heading="name;ra;dec;vmag"), {},
                          r"comma in row 1 \('202,4'\) and a decimal point in row 2"),
    "several far apart": (csv('a,"202.4,47.1",1,1'), {"several": "first"}, "holds positions 15.* deg apart"),
    "hours or degrees": (csv(*(f"s{i},{ra},{i},5" for i, ra in enumerate([0.1, 6.7, 5.2, 14.3, 19.8]))), {},
                         "all numbers of column 'ra' are below 24.*ra_unit='hourangle'"),
    "unit that is none": (csv("a,1,2", heading="name,ra (furlong),dec"), {}, "expected an angle.*got 'furlong'"),
    "declination in hours": (csv("a,18:00:00,3h00m00s,1"), {}, "declination '3h00m00s' cannot be read"),
    "61 minutes": (csv("a,18:61:00,1,1"), {}, "'18:61:00' cannot be read"),
    "two signs": (csv("a,18:00:00,--1 2 3,1"), {}, "cannot be read as an angle"),
    "apparent places": (csv("a,10,20,APP", heading="name,ra,dec,equinox"), {}, r"row 1 \('a'\): positions in 'APP'"),
    "ecliptic": (csv("a,10,20,ecliptic", heading="name,ra,dec,frame"), {}, "positions in 'ECLIPTIC' are not read"),
    "equinox that is none": (csv("a,10,20,soon", heading="name,ra,dec,equinox"), {}, "'SOON' is no equinox"),
    "frame against the file": (csv("a,10,20,J2000", heading="name,ra,dec,equinox"), {"frame": "B1950"},
                               "row 1 is ICRS by the file but was told to be FK4 B1950"),
    "frame that is none": (csv("a,10,20,1"), {"frame": "altaz"}, "positions in 'ALTAZ' are not read"),
    "moving targets": (KECK, {"default_magnitude": 9}, "row 5 .*dra and ddec say that it moves"),
    "a line of a star list": (KECK[: KECK.index("fast")] + "and some words\n", {"default_magnitude": 9},
                              "'and some words' is no name, right ascension"),
    "no heading": (csv("M33,23.46,30.66", heading="M31,10.68,41.27"), {}, "the first line .* seems to be a target"),
    "no declination": (csv("a,1", heading="name,ra"), {}, "no column looks like 'dec'"),
    "heading twice": (csv("a,100,2,200", heading="name,ra,dec,ra"), {}, "the heading has 'ra' twice"),
    "several tables": (VIZIER + VIZIER[VIZIER.index("_RAJ2000\t_DE"):], {}, "holds several tables"),
    "words": ("name ra dec\nM 31 core 10 20\n", {}, "row 1: 5 words under a heading of 3"),
    "limit as magnitude": (csv("a,100,2,<18"), {}, "row 1 .*magnitude must be a number, got '<18'"),
    "fluxes": (csv("a,100,2,3.2", heading="name,ra,dec,V (Jy)"), {}, "'V .Jy.' is in 'Jy', not in magnitudes"),
    "missing magnitude": (csv("a,100,2,"), {}, "there is no magnitude; default_magnitude"),
    "infinite": (csv("a,inf,2,1"), {}, "right ascension"),
    "JSON": ('[{"name": "a", "ra": 1, "dec": 2}]', {}, "is no table but JSON"),
    "a web page": ("<!DOCTYPE html><html><body>404</body></html>", {}, "is no table but HTML"),
    "an open quotation mark": (csv("a,100,2,3", '"b,100,2,3'), {}, "list.csv, row 2: .*; close quotation marks"),
    "a huge cell": (csv("a,100,2,3", "x" * 200_000 + ",100,2,3"), {}, "row 2: field larger than"),
    "a damaged archive": (b"\x1f\x8b\x08", {}, "list.csv: the gzip archive is cut short"),
    "comments alone": ("# nothing\n", {}, "holds only comments"),
    "a spreadsheet": (b"PK\x03\x04\x00\x00binary", {}, "list.csv: this is an Excel workbook or a zip archive; save"),
    "no position": (csv("a;here and there", heading="name;coordinates"), {}, "'here and there' is no right ascension"),
    "no such table": (csv("a,100,2,3"), {"table": "TARGETS"}, "has no table 'TARGETS'"),
    "a role that is none": (csv("a,100,2,3"), {"columns": {"mag": "vmag"}}, "columns cannot name 'mag'.*Did you mean"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_refused_in_a_line(tmp_path, kind):
    text, options, message = BAD[kind]
    with pytest.raises(TaskError, match=message) as caught:
        read_targets(written(tmp_path, text), **options)
    assert "\n" not in str(caught.value)


def test_names_stay_as_they_are_written(tmp_path):
    text = csv("0012,100,20,15", "12,110,21,15", "2024.10,120,21,15", "1E05,130,21,14", "NaN-1,140,2,3")
    assert read_targets(written(tmp_path, text)).names == ("0012", "12", "2024.10", "1E05", "NaN-1")


@pytest.mark.parametrize("encoding, note", [("utf-16", ""), ("utf-8-sig", ""), ("cp1252", "read as Windows-1252")])
def test_encodings(tmp_path, encoding, note):
    found = read_targets(written(tmp_path, csv("Étoile,100,20,15").encode(encoding)))
    assert found.names == ("Étoile",) and (any(note in n for n in found.notes) if note else found.notes == ())


def test_values_of_star_lists(tmp_path):
    found = read_targets(written(tmp_path, KECK, "list.txt"), invalid="drop", default_magnitude=12)
    assert found.names == ("alf Lyr", "bet Ori", "fast one", "M 31 core")
    assert found.magnitude.tolist() == [0.03, 12, 12.5, 12]
    # 0.1 s of time a year at 20 deg, on axes that turn by 0.25 deg from 1950 to 2000.
    east, north = 1500 * np.cos(np.radians(20)), -500
    assert found.motion[2].tolist() == pytest.approx([east, north, 1950], rel=0.02)
    assert np.hypot(*found.motion[2, :2]) == pytest.approx(np.hypot(east, north), rel=2e-4)
    assert any("row 5 ('comet 6:00UT'): dra and ddec" in note for note in found.notes)
    assert "not used: rotdest" in found.notes


def test_dictionaries_are_tables():
    found = read_targets({"name": ["a", "b"], "ra": [100, 200.0], "dec": [1, 2.0], "priority": [1, 2]})
    assert found.names == ("a", "b") and found.value.tolist() == [1, 0.5]


@given(
    hours=st.integers(0, 86_399_99),
    degrees=st.integers(-324_000_0, 324_000_0),
    hour_signs=st.sampled_from(["hms", ":::", "   ", "ʰᵐˢ", "HMS"]),
    degree_signs=st.sampled_from(["dms", ":::", "   ", "°′″", "°'\"", "º’”", "DMS"]),
    minus=st.sampled_from("-−–‐"),
    blank=st.sampled_from(["", " ", "\u00a0", "\u2009"]),
    comma=st.booleans(),
)
def test_any_separators(hours, degrees, hour_signs, degree_signs, minus, blank, comma):
    """An angle, written in any of these ways, is read back."""

    def spelled(ticks, per_second, digits, signs):
        seconds, rest = divmod(ticks, per_second)
        last = f"{seconds % 60:02d}{',' if comma else '.'}{rest:0{digits}d}"
        parts = [str(seconds // 3600), f"{seconds // 60 % 60:02d}", last]
        ends = [signs[0], signs[1], "" if signs[2] in ": " else signs[2]]
        return blank.join(p + e for p, e in zip(parts, ends, strict=True))

    ra = Column("ra", [spelled(hours, 100, 2, hour_signs)])
    dec = Column("dec", [(minus if degrees < 0 else "") + spelled(abs(degrees), 10, 1, degree_signs)])
    problems = Problems(1, False)
    found = np.degrees([column_angles(ra, "ra", None, problems)[0], column_angles(dec, "dec", None, problems)[0]])
    assert problems.reasons == [""]
    np.testing.assert_allclose(found, [hours / 100 / 240, degrees / 36_000], atol=1e-9)


@pytest.mark.parametrize("text", ["12:60:00", "12:05:60", "12 75 00", "12:05:61.5", "12h60m00s"])
def test_sixty_minutes_or_seconds_are_no_angle(text):
    kept = np.degrees(column_angles(Column("ra", ["12:59:59.9"]), "ra", None, Problems(1, False)))
    assert kept == pytest.approx(15 * (12 + 59 / 60 + 59.9 / 3600))
    problems = Problems(1, False)
    assert np.isnan(column_angles(Column("ra", [text]), "ra", None, problems)).all()
    assert text in problems.reasons[0]


RA = ["ra", "RA", "R.A.", "RAJ2000", "_RAJ2000", "ra_deg", "RA (deg)", "Right Ascension", "Alpha", "ra [deg]"]
DEC = ["dec", "DEC", "Decl.", "DEJ2000", "_DEJ2000", "dec_deg", "Dec (deg)", "Declination", "DE_ICRS"]


@given(
    ra=st.sampled_from(RA),
    dec=st.sampled_from(DEC),
    name=st.sampled_from(["name", "Target", "Object Name", "OBJECT", "MAIN_ID", "id", "Star Name"]),
    mark=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    order=st.permutations(range(4)),
    before=st.sampled_from(["", "\ufeff", "# a comment\n", "\n\n"]),
    quoted=st.booleans(),
)
def test_any_heading(tmp_path_factory, ra, dec, name, mark, end, order, before, quoted):
    rows = [[name, ra, dec, "Vmag"], ["007", "279.23458", "+38.78361", "0.03"], ["x y", "078.63458", "-8.20167", ".13"]]
    cell = '"{}"'.format if quoted and mark != "|" else "{}".format
    text = before + end.join(mark.join(cell(row[i]) for i in order) for row in rows) + end
    found = read_targets(written(tmp_path_factory.getbasetemp(), text, "variant.csv"))
    assert found.names == ("007", "x y") and found.magnitude.tolist() == [0.03, 0.13] and found.notes == ()
    np.testing.assert_allclose(np.degrees([found.ra, found.dec]).T, BOTH, atol=1e-9)


WORDS = [
    *(
        "name",
        "ra",
        "dec",
        "vmag",
        "RA (deg)",
        "l",
        "b",
        "coords",
        "Equinox",
        "pmra",
        "epoch",
        "RAh",
        "RAm",
        "value",
        "#",
    ),
    *("10", "20.5", "-3", "", "nan", "~", "18:36:56.3", "+38 47 01", "-00:30", "1,5", "B1950", "M 31", '"', "|", "---"),
    *("12 34 56.7 -12 34 56 2000 vmag=3", "RA=004244.3 DEC=+411609", "1e400", "-inf", "°", "(furlong)", "é", "\u2028"),
]


@given(
    rows=st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6), max_size=6),
    mark=st.sampled_from([",", ";", "\t", "|", " ", "  "]),
    encoding=st.sampled_from(["utf-8", "utf-16", "latin-1"]),
    invalid=st.sampled_from(["refuse", "drop"]),
    several=st.sampled_from(["refuse", "first"]),
)
def test_whatever_comes(tmp_path_factory, rows, mark, encoding, invalid, several):
    """A list, or a line that names the file."""
    text = "\n".join(map(mark.join, [["name", "ra", "dec", "mag"], *rows] if len(rows) % 2 else rows))
    path = written(tmp_path_factory.getbasetemp(), text.encode(encoding, "replace"), "whatever.csv")
    try:
        assert len(read_targets(path, invalid=invalid, several=several, default_magnitude=9)) > 0
    except TaskError as error:
        assert "\n" not in str(error) and "whatever.csv" in str(error)
