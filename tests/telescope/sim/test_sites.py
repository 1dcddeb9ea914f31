import numpy as np
import pytest

from metaenv.errors import TaskError
from metaenv.telescope.sim.sites import SITES, Site, coordinates_rad, find_site


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
