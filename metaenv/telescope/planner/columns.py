"""Which column of a table holds what: by the user's word, by the heading, or by its UCD."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from metaenv.errors import TaskError, nearest
from metaenv.telescope.planner.angles import heading_key
from metaenv.telescope.planner.formats import Column, Sheet
from metaenv.telescope.planner.wishes import PLAIN, WISHES, wish_key

GUESSES: dict[str, tuple[str, ...]] = {
    "name": ("name", "target", "targetname", "targname", "object", "objectname", "objname", "obj", "mainid", "starname",
             "star", "sourcename", "designation", "identifier", "typedident", "event", "source", "iauname", "obcode",
             "fieldname", "proper", "propername", "id", "sourceid", "targetid", "objectid", "objid", "oid", "auid",
             "hip", "simbadid"),
    "ra": ("ra", "raj2000", "raicrs", "radeg", "radegrees", "ra2000", "rahours", "rahr", "rah", "rahms", "raj",
           "rightascension", "rightasc", "alpha", "alphaj2000", "meanra", "ramean", "targetra", "objra", "coordra",
           "radecra", "skycoordra", "rab1950", "ra1950", "alphab1950", "rastring", "rasexa"),
    "dec": ("dec", "dej2000", "decj2000", "deicrs", "decicrs", "decdeg", "dedeg", "decdegrees", "dec2000", "decdms",
            "dej", "decj", "declination", "de", "decl", "delta", "deltaj2000", "meandec", "decmean", "targetdec",
            "objdec", "coorddec", "skycoorddec", "deb1950", "decb1950", "dec1950", "deltab1950", "decstring",
            "decsexa"),
    "position": ("coordinates", "coordinate", "coords", "coord", "coord1", "radec", "position", "skycoord",
                 "radecj2000"),
    "l": ("glon", "l", "gallon", "galacticlongitude", "lii"),
    "b": ("glat", "b", "gallat", "galacticlatitude", "bii"),
    "magnitude": ("vmag", "v", "magv", "mag", "magnitude", "vmagnitude", "vtmag", "vt", "vmagapass", "fluxv",
                  "photgmeanmag", "gmag", "rmag", "maxappmag", "peakmag", "discoverymag", "discoverymagflux", "magmax",
                  "maxmag", "psfmag", "gmeanpsfmag", "rmeanpsfmag"),
    "priority": ("priority", "prio", "rank"),
    "value": ("value", "worth", "weight"),
    "class": ("class", "type", "claimedtype", "otype", "objtype", "objecttype", "classification", "label", "typ"),
    "pm_ra": ("pmra", "pmracosdec", "pmracosd", "muracosdec", "mura", "propermotionra"),
    "pm_dec": ("pmdec", "pmde", "mudec", "mude", "propermotiondec"),
    "epoch": ("refepoch", "pmepoch", "coordepoch", "epoch"),
    "equinox": ("equinox", "coordequinox"),
    "frame": ("frame", "radesys", "radecsys", "coosys", "coordsys", "coordinatesystem", "system"),
    **WISHES,
}  # fmt: skip
"""Headings that are recognised, in small letters and without signs; the first that a file has counts."""
V_COLUMNS = ("vmag", "magv", "vmagnitude", "v", "vmagapass", "fluxv")
B1950_COLUMNS = ("rab1950", "ra1950", "alphab1950", "deb1950", "decb1950", "dec1950", "deltab1950")
_UCDS: dict[str, str] = {
    "name": r"^(meta\.id;meta\.main|meta\.main;meta\.id|meta\.id\.?|id_main)$",
    "ra": r"^pos\.eq\.ra(;|$)|^pos_eq_ra",
    "dec": r"^pos\.eq\.dec(;|$)|^pos_eq_dec",
    "l": r"^pos\.galactic\.lon(;|$)|^pos_gal_lon",
    "b": r"^pos\.galactic\.lat(;|$)|^pos_gal_lat",
    "magnitude": r"^phot\.mag;em\.opt\.v|^phot_jhn_v|^phot_mag_v",
    "class": r"^src\.class",
    "pm_ra": r"^pos\.pm;pos\.eq\.ra|^pos_eq_pmra",
    "pm_dec": r"^pos\.pm;pos\.eq\.dec|^pos_eq_pmdec",
}
_PARTS = {"ra": ("rah", "ram", "ras"), "dec": ("ded", "dem", "des")}


def find_columns(sheet: Sheet, told: Mapping[str, str | None]) -> dict[str, Column]:
    """The column of each role.

    Raises:
        TaskError: a role or a column that does not exist, or no place on the sky; the nearest is named.
    """
    found = _told(sheet, told)
    _join_parts(sheet)
    by_key: dict[str, Column] = {}
    by_wish: dict[str, Column] = {}
    for column in sheet.columns:
        for text in (column.name, column.ident):
            by_key.setdefault(heading_key(text), column)
            by_wish.setdefault(wish_key(text), column)
    for role, guesses in GUESSES.items():
        known = by_wish if role in WISHES else by_key
        if role not in told and (hit := next((known[g] for g in guesses if g in known), None)):
            found[role] = hit
    for one, other in (("begin", "end"), ("end", "begin")):
        if one in found and other not in found and one not in told and wish_key(found[one].name) in PLAIN[one]:
            del found[one]
    for role, column in found.items():
        twins = [c for c in sheet.columns if c.name == column.name and c.cells != column.cells]
        if column.name and twins:
            raise TaskError(f"the heading has {column.name!r} twice, so that the {role} is unclear: rename one of them")
    for role, pattern in _UCDS.items():
        ranked = sorted(sheet.columns, key=lambda c: "meta.main" not in c.ucd.lower())
        if (
            role not in found
            and role not in told
            and (hit := next((c for c in ranked if re.search(pattern, c.ucd.lower())), None))
        ):
            found[role] = hit
    return found


def places(found: Mapping[str, Column], sheet: Sheet) -> str:
    """How places on the sky are given: ``"equatorial"``, ``"position"`` or ``"galactic"``.

    Raises:
        TaskError: not at all.
    """
    if {"ra", "dec"} <= found.keys():
        return "equatorial"
    if "position" in found:
        return "position"
    if {"l", "b"} <= found.keys():
        return "galactic"
    missing = "dec" if "ra" in found else "ra"
    names = [c.name for c in sheet.columns]
    if any(re.match(r"[+-]?\d", name) for name in names):
        raise TaskError(
            f"no column looks like {missing!r}: the first line ({', '.join(names)[:80]}) seems to be a target; put a "
            "heading such as name,ra,dec,vmag above it"
        )
    raise TaskError(f"no column looks like {missing!r}: give columns={{{missing!r}: '…'}}.{nearest(missing, names)}")


def has_places(sheet: Sheet) -> bool:
    """Whether a table's headings name places on the sky."""
    try:
        return bool(places(find_columns(sheet, {}), sheet))
    except TaskError:
        return False


def _told(sheet: Sheet, told: Mapping[str, str | None]) -> dict[str, Column]:
    by_name = {c.name: c for c in reversed(sheet.columns)}
    by_name = {c.ident: c for c in sheet.columns if c.ident and c.ident not in by_name} | by_name
    for role, name in told.items():
        if role not in GUESSES:
            raise TaskError(f"columns cannot name {role!r}.{nearest(role, GUESSES)}")
        if name is not None and name not in by_name:
            raise TaskError(f"there is no column {name!r} for {role!r}.{nearest(name, by_name)}")
    return {role: by_name[name] for role, name in told.items() if name is not None}


def _join_parts(sheet: Sheet) -> None:
    """RAh, RAm, RAs and DE-, DEd, DEm, DEs of tables of the CDS become one column each."""
    raw = {c.name.strip().lower(): c for c in sheet.columns}
    for axis, parts in _PARTS.items():
        some = [raw.get(part) for part in parts]
        if axis == "dec" and some[0] is None:
            some = [raw.get(part) for part in ("decd", "decm", "decs")]
        if some[0] is None or some[1] is None:
            continue
        sign = raw.get("de-") or raw.get("dec-")
        given: Sequence[Column] = [c for c in some if c is not None]
        cells = [":".join(p for p in row if p) for row in zip(*(c.cells for c in given), strict=True)]
        if axis == "dec" and sign is not None:
            cells = [f"{s}{cell}" if cell else "" for s, cell in zip(sign.cells, cells, strict=True)]
        used = {id(c) for c in (*given, *([sign] if axis == "dec" and sign else []))}
        sheet.columns = [c for c in sheet.columns if id(c) not in used]
        sheet.columns.append(Column(axis, cells, "hourangle" if axis == "ra" else "deg"))
