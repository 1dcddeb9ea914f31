"""Real observatories, and a user's own: by name or by coordinates.

Coordinates are those of the site registry of the Astropy Project (astropy-data, `coordinates/sites.json`, BSD-3),
which names its own sources: the observatories' pages and the IRAF observatory database. Latitudes are geodetic.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

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
    # Those that tasks are not drawn from stand behind: of two sites at one distance from a task the first counts.
    "keck": Site("W. M. Keck Observatory, Mauna Kea", 19.82833, -155.47833, 4160),
    "subaru": Site("Subaru Telescope, Mauna Kea", 19.82556, -155.47611, 4139),
    "gemini north": Site("Gemini North, Mauna Kea", 19.82380, -155.46905, 4213),
    "gemini south": Site("Gemini South, Cerro Pachón", -30.24074, -70.73668, 2750),
    "armazones": Site("Observatorio Cerro Armazones", -24.59867, -70.20128, 2817),
    "haleakala": Site("Haleakala Observatories (Inouye Solar Telescope)", 20.70670, -156.25640, 3067),
    "lick": Site("Lick Observatory, Mount Hamilton", 37.34333, -121.63667, 1290),
    "mount wilson": Site("Mount Wilson Observatory", 34.22258, -118.06168, 1742),
    "mount graham": Site("Mount Graham International Observatory (LBT)", 32.70160, -109.87190, 2902),
    "mount hopkins": Site("Whipple Observatory, Mount Hopkins (MMT)", 31.68833, -110.88500, 2608),
    "mount bigelow": Site("Catalina Station, Mount Bigelow", 32.41667, -110.73167, 2510),
    "happy jack": Site("Lowell Discovery Telescope, Happy Jack", 34.74430, -111.42252, 2337),
    "anderson mesa": Site("Lowell Observatory, Anderson Mesa", 35.09667, -111.53500, 2198),
    "dominion": Site("Dominion Astrophysical Observatory, Victoria", 48.52167, -123.41667, 229),
    "winer": Site("Winer Observatory", 31.66558, -110.60178, 1516),
    "mount john": Site("University of Canterbury Mount John Observatory", -43.98574, 170.46506, 1029),
    "mount stromlo": Site("Mount Stromlo Observatory", -35.32065, 149.02433, 767),
    "kavalur": Site("Vainu Bappu Observatory, Kavalur", 12.57666, 78.82660, 725),
    "merida": Site("National Observatory of Venezuela, Mérida", 8.79000, -70.86667, 3610),
    "sacramento peak": Site("Sacramento Peak Observatory", 32.78730, -105.82050, 2800),
    "mars hill": Site("Lowell Observatory, Mars Hill", 35.20287, -111.66478, 2195),
    "manastash ridge": Site("Manastash Ridge Observatory", 46.95280, -120.72780, 1198),
    "ckoirama": Site("Observatorio Ckoirama", -24.08933, -69.93062, 965),
    "greenwich": Site("Royal Observatory, Greenwich", 51.47781, -0.00147, 46),
}

ALIASES: dict[str, str] = {
    "tololo": "ctio, cerro tololo inter american, cerro tololo interamerican, blanco, decam",
    "pachon": "rubin, vera c rubin, lsst, simonyi, soar",
    "las campanas": "lco, magellan, magellan clay, magellan baade, swope, du pont",
    "la silla": "eso la silla, ntt, lasilla",
    "paranal": "vlt, eso paranal, eso vlt, vlti, very large, ut1, ut4, vista, vst, cerro paranal",
    "la palma": "orm, lapalma, roque, roque de los muchachos, gtc, gran telescopio canarias, wht, william herschel, "
                "int, isaac newton, not, nordic optical, tng, galileo, liverpool, mercator",
    "teide": "ot, izana, tenerife, del teide",
    "calar alto": "caha, centro astronomico hispano aleman almeria, de calar alto",
    "javalambre": "oaj, astrofisico de javalambre",
    "haute-provence": "ohp",
    "asiago": "ekar, cima ekar, mount ekar",
    "tug": "tubitak, bakirlitepe",
    "sutherland": "saao, salt, south african large, southern african large, south african astronomical",
    "hanle": "iao, indian astronomical",
    "doi inthanon": "tno, tnt, thai",
    "xinglong": "bao, lamost, beijing xinglong",
    "okayama": "oao",
    "siding spring": "sso, aao, aat, anglo australian, skymapper, uk schmidt",
    "mauna kea": "maunakea, mko, cfht, canada france hawaii, irtf, nasa infrared facility, ukirt, "
                 "united kingdom infrared, uh88, uh, hawaii",
    "palomar": "hale, p200, p48, p60, ztf, mount palomar, pal",
    "san pedro martir": "spm, oan spm, oan, colibri",
    "kitt peak": "kpno, mayall, desi, wiyn, mdm, michigan dartmouth mit, hiltner, bok",
    "apache point": "apo, sdss, arc, sloan, sloan foundation",
    "mcdonald": "het, hobby eberly, mcd, harlan j smith",
    "megantic": "omm, mount megantic",
    "keck": "w m keck, wmko, keck i, keck ii, keck 1, keck 2",
    "subaru": "naoj subaru, pfs, hsc",
    "gemini north": "gemini n, gemn, gn, frederick c gillett",
    "gemini south": "gemini s, gems, gs",
    "armazones": "oca, elt, eso elt, cerro armazones",
    "haleakala": "pan starrs, panstarrs, ps1, ps2, ftn, faulkes north, dkist, daniel k inouye solar",
    "lick": "shane, mount hamilton, kait, apf",
    "mount wilson": "mwo, chara, mount wilson hooker",
    "mount graham": "lbt, large binocular, vatt, mgio",
    "mount hopkins": "mmt, flwo, whipple, fred lawrence whipple, multiple mirror",
    "mount bigelow": "catalina, mtbigelow, kuiper",
    "happy jack": "ldt, dct, lowell discovery, discovery channel",
    "anderson mesa": "lowell, perkins, npoi",
    "dominion": "dao, dominion astrophysical, plaskett",
    "mount john": "mjo, mtjohn, moa, otehiwai, ucmjo",
    "mount stromlo": "mso, stromlo",
    "kavalur": "vbo, vainu bappu",
    "sacramento peak": "spo, sac peak, sunspot, dunn solar",
    "mars hill": "flagstaff, lowell mars hill",
    "manastash ridge": "mro",
    "merida": "nov, of venezuela, cida, llano del hato",
}
"""Other names of the sites, parted by commas, as `plain_name` writes them: telescopes stand for where they are. LCO is
Las Campanas, not a telescope of Las Cumbres Observatory."""
# fmt: on
_GENERIC = re.compile(
    r"\b(\d+( \d+)? ?(c?m|inch)|the|observator(y|ies|io|ium)|observatoire|telescopes?|national|international|station)\b"
)


def plain_name(name: str) -> str:
    """A name as names are compared: in small letters, without accents, signs and words such as "observatory"."""
    letters = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
    words = re.sub(r"\b(mt|mont)\b", "mount", " ".join(re.sub(r"[^a-z0-9]+", " ", letters).split()))
    return " ".join(_GENERIC.sub(" ", words).split()) or words


@cache
def _names() -> dict[str, str]:
    """The key of `SITES` by every name, in the form of `plain_name`."""
    known = {plain_name(alias): key for key, aliases in ALIASES.items() for alias in aliases.split(",")}
    known |= {plain_name(part): key for key, s in SITES.items() for part in (s.name, s.name.split("(")[0])}
    return known | {plain_name(key): key for key in SITES}


def find_site(where: Any) -> Site:
    """A site by name, by coordinates, or itself.

    Args:
        where: a name in `SITES` or `ALIASES`, in any spelling (``"VLT"``, ``"Cerro Pachón"``, ``"Mt. Wilson"``);
            (latitude, longitude[, elevation]) in degrees, north and east positive, and metres, or Astropy's angles;
            Astropy's EarthLocation, or what has one as ``location``, such as astroplan's Observer; a `Site`.

    Raises:
        TaskError: an unknown name, with the nearest known one, or coordinates out of range.
    """
    if isinstance(where, Site):
        return where
    if isinstance(where, str):
        known, name = _names(), plain_name(where)
        if name not in known:
            name = plain_name(re.sub(r"\(.*?\)", " ", where))
        if name not in known:
            hint = nearest(name, known).partition(" Known:")[0]
            raise TaskError(
                f"no site {where!r}; give (latitude, longitude) in degrees or a name.{hint} Known: "
                f"{', '.join(sorted(SITES))}, and other names of these."
            )
        return SITES[known[name]]
    if hasattr(where, "to_geodetic") or hasattr(where, "location"):  # of Astropy, of astroplan
        return _from_astropy(getattr(where, "location", where))
    try:
        numbers = [float(x.to_value(unit)) if hasattr(x, "to_value") else float(x)
                   for x, unit in zip(where, ("deg", "deg", "m")[: len(where)], strict=True)]  # fmt: skip
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in (2, 3):
        raise TaskError(f"expected (latitude_deg, longitude_deg[, elevation_m]) or a name, got {where!r}")
    return Site(f"{numbers[0]:+.3f}, {numbers[1]:+.3f}", *numbers)


def _from_astropy(location: Any) -> Site:
    if getattr(location, "size", 1) != 1:
        raise TaskError(f"expected one place, got an EarthLocation of {location.size}")
    geodetic = zip(location.to_geodetic("WGS84"), ("deg", "deg", "m"), strict=True)
    longitude, latitude, height = (float(np.ravel(x.to_value(unit))[0]) for x, unit in geodetic)
    name = getattr(getattr(location, "info", None), "name", None) or f"{latitude:+.3f}, {longitude:+.3f}"
    return Site(str(name), latitude, longitude, height)


def coordinates_rad(sites: Sequence[Site]) -> tuple[Floats, Floats]:
    """Latitudes and longitudes of ``n`` sites, each (n,) in radians, as `metaenv.telescope.sim.ephemeris` takes
    them."""
    degrees = np.array([[s.latitude_deg, s.longitude_deg] for s in sites], float).reshape(-1, 2)
    return np.radians(degrees[:, 0]), np.radians(degrees[:, 1])
