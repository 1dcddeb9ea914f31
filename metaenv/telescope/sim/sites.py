"""Real observatories, and a user's own: by name or by coordinates.

Coordinates are those of the site registry of the Astropy Project (astropy-data, `coordinates/sites.json`, BSD-3),
which names its own sources: the observatories' pages and the IRAF observatory database. Latitudes are geodetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metaenv.errors import TaskError, nearest
from metaenv.typing import Floats


@dataclass(frozen=True)
class Site:
    """Where a telescope stands.

    Attributes:
        name: for people.
        latitude_deg: geodetic, north positive, -90 to 90.
        longitude_deg: east positive, -180 to 180; what is given from 180 to 360 is folded.
        elevation_m: above the ellipsoid, -500 to 9000; told to the user only, no equation here reads it.

    Raises:
        TaskError: coordinates outside these ranges.
    """

    name: str
    latitude_deg: float
    longitude_deg: float
    elevation_m: float = 0.0

    def __post_init__(self) -> None:
        _check("latitude_deg", self.latitude_deg, -90, 90)
        _check("longitude_deg", self.longitude_deg, -180, 360)
        _check("elevation_m", self.elevation_m, -500, 9000)
        if self.longitude_deg > 180:
            object.__setattr__(self, "longitude_deg", self.longitude_deg - 360)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise TaskError(f"expected {name} from {low} to {high} (degrees, metres; not radians or hours), got {value!r}")


# fmt: off
SITES: dict[str, Site] = {
    "tololo": Site("Cerro Tololo", -30.16528, -70.81500, 2215),
    "pachon": Site("Cerro Pachón (Rubin Observatory)", -30.24464, -70.74942, 2663),
    "las campanas": Site("Las Campanas Observatory", -29.00333, -70.70167, 2282),
    "la silla": Site("La Silla Observatory", -29.25667, -70.73000, 2347),
    "paranal": Site("Paranal Observatory", -24.62744, -70.40499, 2669),
    "la palma": Site("Roque de los Muchachos, La Palma", 28.75833, -17.88000, 2327),
    "teide": Site("Observatorio del Teide, Tenerife", 28.30000, -16.50972, 2390),
    "calar alto": Site("Calar Alto Observatory", 37.22361, -2.54611, 2168),
    "javalambre": Site("Observatorio Astrofísico de Javalambre", 40.04200, -1.01610, 1956),
    "haute-provence": Site("Observatoire de Haute-Provence", 43.93083, 5.71333, 650),
    "wendelstein": Site("Wendelstein Observatory", 47.70360, 12.01210, 1838),
    "asiago": Site("Cima Ekar, Asiago", 45.84859, 11.58113, 1413),
    "tug": Site("TÜBİTAK National Observatory", 36.82417, 30.33556, 2500),
    "wise": Site("Wise Observatory", 30.59740, 34.76220, 875),
    "sutherland": Site("South African Astronomical Observatory, Sutherland (SALT)", -32.37580, 20.81080, 1798),
    "hanle": Site("Indian Astronomical Observatory, Hanle", 32.77940, 78.96420, 4500),
    "doi inthanon": Site("Thai National Observatory", 18.59060, 98.48670, 2457),
    "xinglong": Site("Xinglong Station", 40.39333, 117.57500, 950),
    "okayama": Site("Okayama Astrophysical Observatory", 34.57710, 133.59400, 370),
    "siding spring": Site("Siding Spring Observatory", -31.27336, 149.06119, 1149),
    "mauna kea": Site("Mauna Kea Observatories (CFHT)", 19.82667, -155.47167, 4215),
    "palomar": Site("Palomar Observatory", 33.35600, -116.86300, 1706),
    "san pedro martir": Site("Observatorio Astronómico Nacional, San Pedro Mártir", 31.02917, -115.48694, 2830),
    "kitt peak": Site("Kitt Peak National Observatory", 31.96333, -111.60000, 2120),
    "apache point": Site("Apache Point Observatory", 32.78000, -105.82000, 2798),
    "mcdonald": Site("McDonald Observatory", 30.67167, -104.02167, 2075),
    "megantic": Site("Observatoire du Mont-Mégantic", 45.45570, -71.15250, 1108),
}
# fmt: on


def find_site(where: str | Site | tuple[float, float] | tuple[float, float, float]) -> Site:
    """A site by its name in `SITES` (any case), by (latitude, longitude[, elevation]) in degrees and metres, or itself.

    Raises:
        TaskError: an unknown name, with the nearest known one, or coordinates out of range.
    """
    if isinstance(where, Site):
        return where
    if isinstance(where, str):
        key = " ".join(where.lower().replace("_", " ").split())
        if key not in SITES:
            raise TaskError(f"no site {where!r}; give (latitude, longitude) in degrees or a name.{nearest(key, SITES)}")
        return SITES[key]
    if len(where) not in (2, 3):
        raise TaskError(f"expected (latitude_deg, longitude_deg[, elevation_m]), got {where!r}")
    return Site(f"{where[0]:+.3f}, {where[1]:+.3f}", *(float(x) for x in where))


def coordinates_rad(sites: Sequence[Site]) -> tuple[Floats, Floats]:
    """Latitudes and longitudes of ``n`` sites, each (n,) in radians, as `metaenv.telescope.sim.ephemeris` takes
    them."""
    degrees = np.array([[s.latitude_deg, s.longitude_deg] for s in sites], float).reshape(-1, 2)
    return np.radians(degrees[:, 0]), np.radians(degrees[:, 1])
