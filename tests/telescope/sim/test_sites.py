import numpy as np
import pytest

from metaenv.errors import TaskError
from metaenv.telescope.sim.sites import ALIASES, SITES, Site, coordinates_rad, find_site, plain_name


def test_sites_are_distinct_observatories() -> None:
    assert len(SITES) >= 20
    places = {(round(s.latitude_deg, 3), round(s.longitude_deg, 3)) for s in SITES.values()}
    assert len(places) == len(SITES)


@pytest.mark.parametrize(
    ("name", "latitude", "longitude"),
    [
        # As the observatories publish them, to an arc minute.
        ("paranal", -(24 + 37.5 / 60), -(70 + 24.2 / 60)),
        ("mauna kea", 19 + 49.6 / 60, -(155 + 28.3 / 60)),
        ("siding spring", -(31 + 16.4 / 60), 149 + 3.7 / 60),
        ("sutherland", -(32 + 22.7 / 60), 20 + 48.7 / 60),
    ],
)
def test_places_against_the_almanac(name: str, latitude: float, longitude: float) -> None:
    site = find_site(name)
    assert site.latitude_deg == pytest.approx(latitude, abs=0.02)
    assert site.longitude_deg == pytest.approx(longitude, abs=0.02)


def test_names_are_forgiving() -> None:
    assert find_site("Kitt_Peak") is find_site(" kitt  PEAK ") is SITES["kitt peak"]


def test_coordinates_serve_as_a_site() -> None:
    site = find_site((-33.5, 289.3, 1200))
    assert site.longitude_deg == pytest.approx(-70.7)
    assert site.elevation_m == 1200
    assert find_site(site) is site
    latitude, longitude = coordinates_rad([site, SITES["wise"]])
    assert np.degrees(latitude).tolist() == pytest.approx([-33.5, 30.5974])
    assert np.degrees(longitude).tolist() == pytest.approx([-70.7, 34.7622])


def test_errors_help() -> None:
    with pytest.raises(TaskError, match="Did you mean 'palomar'"):
        find_site("paloma")
    with pytest.raises(TaskError, match="latitude_deg from -90 to 90"):
        find_site((95.0, 10.0))
    with pytest.raises(TaskError, match="longitude_deg"):
        Site("nowhere", 0.0, float("nan"))
    with pytest.raises(TaskError, match="latitude_deg, longitude_deg"):
        find_site((1.0,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "latitude", "longitude"),
    [
        # To a few arc minutes, from the observatories' own pages.
        ("VLT, eso paranal, Paranal Observatory, Cerro Paranal", -24.63, -70.40),
        ("Keck, W. M. Keck Observatory, keck-ii, WMKO", 19.83, -155.47),
        ("Rubin, LSST, Vera C. Rubin Observatory, Cerro Pachón, SOAR", -30.24, -70.74),
        ("CTIO, Cerro Tololo Inter-American Observatory, Blanco Telescope", -30.17, -70.81),
        ("KPNO, Kitt Peak National Observatory, Mayall, WIYN 3.5 m, MDM", 31.96, -111.60),
        ("Gemini-North, gemini_north, Gemini North Telescope", 19.82, -155.47),
        ("Gemini South, gems", -30.24, -70.74),
        ("La Silla, La Silla Observatory (ESO), NTT", -29.26, -70.73),
        ("Siding Spring, SSO, AAT, Anglo-Australian Observatory", -31.27, 149.06),
        ("SAAO, SALT, Sutherland", -32.38, 20.81),
        ("CAHA, Calar Alto", 37.22, -2.55),
        ("APO, Apache Point Observatory, SDSS", 32.78, -105.82),
        ("Mt. Palomar, Hale Telescope, ZTF, P48", 33.36, -116.86),
        ("Las Campanas Observatory, LCO, Magellan", -29.01, -70.69),
        ("WHT, GTC, NOT, Roque de los Muchachos, ORM, lapalma", 28.76, -17.88),
        ("Maunakea, CFHT, IRTF, UKIRT", 19.82, -155.47),
        ("Subaru Telescope", 19.83, -155.48),
        ("LBT, Mount Graham", 32.70, -109.89),
        ("MMT, Whipple Observatory", 31.69, -110.89),
        ("Pan-STARRS, Haleakalā", 20.71, -156.26),
        ("Lick Observatory, Mt. Hamilton", 37.34, -121.64),
        ("ELT, Cerro Armazones", -24.59, -70.19),
        ("McDonald Observatory, HET", 30.67, -104.02),
        ("OHP, Observatoire de Haute Provence", 43.93, 5.71),
        ("TUG, TÜBİTAK", 36.82, 30.34),
    ],
)
def test_names_that_observers_use(names: str, latitude: float, longitude: float) -> None:
    for name in names.split(", "):
        site = find_site(name)
        assert abs(site.latitude_deg - latitude) < 0.03 and abs(site.longitude_deg - longitude) < 0.03, name


def test_every_site_is_found_by_the_name_that_is_printed() -> None:
    assert all(find_site(site.name) is site and find_site(key) is site for key, site in SITES.items())


def test_no_name_stands_for_two_sites() -> None:
    given = [plain_name(name) for key, names in ALIASES.items() for name in (key, *names.split(","))]
    assert len(given) == len(set(given)) and ALIASES.keys() <= SITES.keys()
    assert all(plain_name(name.strip()) == name.strip() for names in ALIASES.values() for name in names.split(","))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("kek", "no site 'kek'.*Did you mean 'keck'"),
        ("Mars", "no site 'Mars'.*Known: anderson mesa"),
        (5, "expected .*or a name, got 5"),
        (("a", "b"), "or a name, got"),
        (None, "or a name, got None"),
    ],
)
def test_what_is_no_place(where: object, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        find_site(where)
