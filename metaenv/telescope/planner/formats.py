"""Files of targets as columns of text: delimited tables, star lists, and what Astropy reads.

Text is read here, so that names stay as they are written. ECSV, FITS, VOTable and CDS tables are read by Astropy, an
optional dependency.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metaenv.delimited import decoded, rows_of
from metaenv.errors import TaskError, nearest

MISSING = ("", "--", "nan", "~", "null", "none", "n/a", "na", "<na>", "n.a.", "nat")
"""Cells that hold nothing, in small letters."""
_MARKS = "\t;|,"
_UNIT = re.compile(r"^(.*?)\s*[(\[]\s*([^()\[\]]*?)\s*[)\]]\s*$")


@dataclass
class Column:
    """A column of a table."""

    name: str
    cells: list[str]
    """Empty where there is nothing."""
    unit: str = ""
    ucd: str = ""
    """What it means, in the vocabulary of the Virtual Observatory."""
    ident: str = ""
    """Its ID in a VOTable."""
    frame: str = ""
    """The coordinates that a heading or a VOTable names, such as ``ICRS,J2000/2000``."""


@dataclass
class Sheet:
    """A table."""

    columns: list[Column]
    notes: list[str] = field(default_factory=list)
    system: str = ""
    """RADESYS of a FITS header, and the like."""
    equinox: str = ""
    faults: dict[int, str] = field(default_factory=dict)
    """Why rows cannot be used."""
    delimiter: str = ""
    title: str = ""
    """Which table of its file it is."""

    def __len__(self) -> int:
        return len(self.columns[0].cells) if self.columns else 0


def empty(cell: str) -> bool:
    """Whether a cell holds nothing."""
    return cell.strip().lower() in MISSING


def read_sheets(source: Any, file_format: str | None = None) -> list[Sheet]:
    """The tables of a file, or of a table of Astropy or pandas or a SkyCoord; several of FITS or VOTable.

    Raises:
        TaskError: what cannot be read.
        ImportError: Astropy is needed and not installed.
    """
    if not isinstance(source, str | Path):
        return [_of_object(source)]
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    start = path.read_bytes()[:2000]
    if not start.strip():
        raise TaskError(f"{path.name} has no targets: the file is empty")
    chosen = file_format or _format(path, start)
    if chosen == "text":
        return [_of_text(path)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of units and of VOTable's finer points; units are checked where they matter
        try:
            return {"fits": _of_fits, "votable": _of_votable}.get(chosen, _of_astropy)(path, chosen)
        except ImportError as error:
            raise ImportError(
                f"{path.name} is {chosen}, which Astropy reads: pip install 'metaenv-science[astronomy]'"
            ) from error
        except TaskError:
            raise
        except Exception as error:  # each of Astropy's readers has exceptions of its own
            said = " ".join(str(error).split())[:200]
            raise TaskError(
                f"{path.name} cannot be read as {chosen} ({said}); give file_format, or save it as CSV with a heading"
            ) from error


def _format(path: Path, start: bytes) -> str:
    if start.startswith(b"SIMPLE  =") or path.name.lower().endswith((".fits", ".fit", ".fts", ".fits.gz", ".fz")):
        return "fits"
    if b"<VOTABLE" in start or path.suffix.lower() in (".vot", ".votable", ".xml"):
        return "votable"
    if start.startswith(b"# %ECSV") or path.suffix.lower() == ".ecsv":
        return "ascii.ecsv"
    return "ascii.cds" if b"Byte-by-byte Description" in start else "text"


# TEXT


def _of_text(path: Path) -> Sheet:
    notes: list[str] = []
    text = decoded(path.read_bytes(), path.name, notes)
    for start, kind in (("{", "JSON"), ("[", "JSON"), ("<", "HTML or XML")):
        if text.lstrip().startswith(start):
            raise TaskError(f"{path.name} is no table but {kind}: save the targets as CSV with a heading")
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and re.match(r"sep=.$", lines[0].strip()):
        lines.pop(0)
    sheet = _operators(lines) or _star_list(lines) or _table(lines, path.name)
    sheet.notes[:0] = notes
    return sheet


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(("#", "//")) and not re.match(
        r"\s*#[^|]{0,6}\|", line
    )  # SIMBAD numbers its rows under "#"


def _table(lines: Sequence[str], file: str) -> Sheet:
    """A heading, and rows of cells parted by a mark or by blanks."""
    body = [line for line in lines if not _is_comment(line) and not re.match(r"\s*[=]{4,}\s*$", line)]
    if not body:
        raise TaskError(f"{file} has no targets: it holds only comments")
    mark, first = _delimiter(body)
    sheet = Sheet([], delimiter=mark)
    if first:
        more = f" and {first - 1} more lines" if first > 1 else ""
        sheet.notes.append(f"skipped above the heading: {body[0].strip()[:60]!r}{more}")
    if mark == " ":
        rows = _parted_by_blanks(body, file)
    else:
        found = rows_of([f"{line}\n" for line in body[first:]], mark, file, first=0, quotes=mark != "|")
        rows = [[" ".join(cell.split()) for cell in row] for _, row in found]
        if mark == "|" and all(not row[0] for row in rows):
            rows = [row[1:] for row in rows]
    heading, rows = rows[0], rows[1:]
    comments = [line.lstrip("# \t") for line in lines[: lines.index(body[first])] if _is_comment(line)]
    if comments and sum(map(_is_number, heading)) > 1:  # the heading is the last comment, as Astropy writes it
        last = _words(comments[-1]) if mark == " " else [c.strip() for c in comments[-1].split(mark)]
        if len(last) == len(heading):
            heading, rows = last, [heading, *rows]
    while heading and not heading[-1] and all(len(row) < len(heading) or not row[len(heading) - 1] for row in rows):
        heading = heading[:-1]
    units = [""] * len(heading)
    rules = [i for i, row in enumerate(rows) if _is_rule(row)]
    if len(rules) > 1:
        raise TaskError(f"{file} holds several tables, one below the other: keep the one with the targets")
    if rules == [1]:  # VizieR: a row of units, then a row of dashes
        units = [*rows[0], *units][: len(heading)]
    rows = rows[rules[0] + 1 :] if rules and rules[0] < 2 else rows
    if again := sum(row == heading for row in rows):
        rows = [row for row in rows if row != heading]
        sheet.notes.append(f"the heading comes again between the rows, which was skipped: {again} times")
    short = 0
    for i, row in enumerate(rows):
        if any(row[len(heading) :]):
            hint = "; a decimal comma, or a comma in a name, needs quotes" if mark == "," else ""
            raise TaskError(f"{file}, row {i + 1}: {len(row)} cells under a heading of {len(heading)}{hint}")
        short += len(row) < len(heading)
        rows[i] = [*row, *[""] * (len(heading) - len(row))][: len(heading)]
    if short:
        sheet.notes.append(f"what is missing at the end of short rows is taken as empty: {short} of {len(rows)} rows")
    for j, (name, unit) in enumerate(zip(heading, units, strict=True)):
        sheet.columns.append(_headed(name.lstrip("# "), [row[j] for row in rows], unit))
    return sheet


def _delimiter(body: Sequence[str]) -> tuple[str, int]:
    """The mark that parts the cells, a blank for none, and the line with the heading."""
    some = body[:200]
    lines = {mark: [i for i, line in enumerate(some) if mark in line] for mark in _MARKS}
    mark = max(_MARKS, key=lambda mark: len(lines[mark]))  # the first of equals
    if not lines[mark] or 2 * len(lines[mark]) < len(some) - lines[mark][0]:
        return " ", 0
    usual = float(np.median([some[i].count(mark) for i in lines[mark]]))
    return mark, next(i for i in lines[mark] if some[i].count(mark) >= usual / 2)


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[-+]?\d[\d.:eE+-]*", cell) is not None


def _is_rule(row: Sequence[str]) -> bool:
    return any(row) and all(re.fullmatch(r"[-+ ]*", cell) for cell in row) and any("--" in cell for cell in row)


def _headed(name: str, cells: list[str], unit: str = "") -> Column:
    """A column whose heading may hold a unit, ``RA (deg)``, or a system, ``coord1 (ICRS,J2000/2000)``."""
    found = _UNIT.match(name)
    if not found or not found[1]:
        return Column(name, cells, unit)
    if not re.search(r"ICRS|FK[45]|\b[JB]?\d{4}(\.\d)?\b|gal", found[2], flags=re.IGNORECASE):
        return Column(name, cells, unit or found[2])
    inside = re.search(r"\b(deg|degrees|h|hr|hours?|hms|dms|rad)\b", found[2])
    return Column(name, cells, unit or (inside[1] if inside else ""), frame=found[2])


def _parted_by_blanks(body: Sequence[str], file: str) -> list[list[str]]:
    """Cells parted by one blank or more, or by two or more; sexagesimal angles may hold blanks."""
    by_one = [_words(line) for line in body]
    n, ways = len(by_one[0]), {len(row) for row in by_one[1:]}
    if ways <= {n}:
        return by_one
    by_two = [re.split(r"\s{2,}|\t", line.strip()) for line in body]
    if {len(row) for row in by_two} == {len(by_two[0])} and len(by_two[0]) > 1:
        return by_two
    at = [i for i, word in enumerate(by_one[0]) if re.match(r"_?(ra|de(c|j|$))", word.lower())]
    if ways == {n + 4} and len(at) == 2 and at[1] == at[0] + 1:  # hours, minutes and seconds are parted by blanks
        i = at[0]
        return [
            by_one[0],
            *([*r[:i], " ".join(r[i : i + 3]), " ".join(r[i + 3 : i + 6]), *r[i + 6 :]] for r in by_one[1:]),
        ]
    row = next(i for i, words in enumerate(by_one[1:], 1) if len(words) != n)
    raise TaskError(
        f"{file}, row {row}: {len(by_one[row])} words under a heading of {n}; part the columns by commas or tabs"
    )


def _words(line: str) -> list[str]:
    return ["".join(found) for found in re.findall(r'"([^"]*)"|(\S+)', line)]


# LISTS OF OBSERVATORIES

_HOURS = r"(?:[01]?\d|2[0-3])[ :h]\s*[0-5]?\d[ :m]\s*[0-5]?\d(?:\.\d*)?s?"
_DEGREES = r"[-+−–]?\s?\d{1,2}[ :d°]\s*[0-5]?\d[ :m'′]\s*[0-5]?\d(?:\.\d*)?[\"s″]?"
_PLACE = rf"\s*(?P<ra>{_HOURS})\s+(?P<dec>{_DEGREES})(?:\s+(?P<equinox>[BJ]?\d{{4}}(?:\.\d*)?|APP))?(?P<rest>\s.*)?$"
_STAR, _AFTER_NAME = re.compile(rf"(?P<name>.*?\S)\s{_PLACE}"), re.compile(_PLACE)


def _star_list(lines: Sequence[str]) -> Sheet | None:
    """A list of the Keck Observatory, or of its kind: name, place, equinox and ``keyword=value``; no heading."""
    body = [line.replace("\t", " ").rstrip() for line in lines if not line.lstrip().startswith("#")]
    if not body or any(mark in body[0] for mark in ";|,") or not _star(body[0]):
        return None
    sheet = Sheet([], delimiter=" ")
    keys: dict[str, list[str]] = {k: [] for k in ("name", "ra", "dec", "equinox", "vmag", "pmra", "pmdec")}
    ignored: set[str] = set()
    for i, line in enumerate(body):
        found = _star(line.split(" #")[0])
        told = dict(re.findall(r"([A-Za-z][\w-]*)=([-+]?\d+\.?\d*|\S+)", found["rest"] or "")) if found else {}
        told = {k.lower(): v for k, v in told.items()}
        if found is None:
            sheet.faults[i] = f"{line.strip()[:60]!r} is no name, right ascension, declination and equinox"
        elif told.keys() & {"dra", "ddec"}:
            sheet.faults[i] = "dra and ddec say that it moves across the sky, and only fixed targets are planned"
        if found and not told and (found["rest"] or "").strip():
            ignored.add("remarks")
        place = found or {"name": line[:16].strip()}
        for key, cells in keys.items():
            cells.append((told if key in ("vmag", "pmra", "pmdec") else place).get(key) or "")
        ignored |= told.keys() - keys.keys() - {"dra", "ddec"}
    units = {"ra": "hourangle", "dec": "deg", "pmra": "s/yr", "pmdec": "arcsec/yr"}
    used = {k: v for k, v in keys.items() if k in ("name", "ra", "dec") or any(v)}
    sheet.columns = [Column(k, cells, units.get(k, "")) for k, cells in used.items()]
    sheet.notes.append("there is no heading; the file is read as a star list such as the Keck Observatory's")
    if ignored:
        sheet.notes.append(f"not used: {', '.join(sorted(ignored))}")
    return sheet


def _star(line: str) -> dict[str, str] | None:
    """The parts of a line; the name has columns 1 to 16 or ends before the place."""
    if line[:16].strip() and (found := _AFTER_NAME.match(line[16:])):
        return {"name": line[:16].strip(), **found.groupdict()}
    found = _STAR.match(line)
    return found.groupdict() if found else None


def _operators(lines: Sequence[str]) -> Sheet | None:
    """Targets of the Subaru Telescope's operation files: ``M31=OBJECT="M31" RA=004244.30 DEC=+411609.0 EQUINOX=…``."""
    rows = [line for line in lines if re.search(r"\bRA=\S+\s+DEC=\S+", line) and not line.lstrip().startswith("#")]
    if not rows:
        return None

    def told(key: str, line: str) -> str:
        found = re.search(rf'\b{key}=(?:"([^"]*)"|(\S+))', line)
        return (found[1] or found[2] or "") if found else ""

    names = [told("OBJECT", line) or line.split("=")[0].strip() for line in rows]
    columns = [Column(k, [told(k, line) for line in rows]) for k in ("RA", "DEC", "EQUINOX")]
    notes = ["read as an operation file of the Subaru Telescope: only its lines of targets count"]
    return Sheet([Column("name", names), *(c for c in columns if any(c.cells))], notes, delimiter=" ")


# ASTROPY'S


def _of_astropy(path: Path, chosen: str) -> list[Sheet]:
    from astropy.table import Table

    return [_of_object(Table.read(path, format=chosen))]


def _of_fits(path: Path, chosen: str) -> list[Sheet]:
    from astropy.io import fits
    from astropy.table import Table

    sheets = []
    with fits.open(path) as opened:
        units: Any = opened
        primary = units[0].header
        for number, unit in enumerate(units):
            if not isinstance(unit, fits.BinTableHDU | fits.TableHDU):
                continue
            sheet = _of_object(Table.read(unit))
            header = unit.header
            told = [header.get(k) or primary.get(k) or "" for k in ("RADESYS", "RADECSYS", "EQUINOX")]
            sheet.system, sheet.equinox = str(told[0] or told[1]), str(told[2])
            sheet.title = f"extension {number} ({unit.name or 'without a name'})"
            sheets.append(sheet)
    if not sheets:
        raise TaskError(f"{path.name} holds no table, only images: save the targets as a table")
    return sheets


def _of_votable(path: Path, chosen: str) -> list[Sheet]:
    from astropy.io.votable import parse

    document = parse(str(path), verify="ignore")
    systems: dict[str, Any] = {s.ID: s for s in document.iter_coosys()}
    sheets = []
    for number, table in enumerate(document.iter_tables()):
        columns = []
        for one, key in zip(table.fields, table.array.dtype.names or (), strict=True):
            if (cells := _cells(table.array[key])) is None:
                continue
            coosys = systems.get(one.ref or "") or (next(iter(systems.values())) if len(systems) == 1 else None)
            frame = "" if coosys is None else f"{coosys.system or ''} {coosys.equinox or ''}".strip()
            columns.append(
                Column(one.name or one.ID, cells, str(one.unit or ""), str(one.ucd or ""), str(one.ID or ""), frame)
            )
        sheets.append(Sheet(columns, title=f"table {number + 1} ({table.name or table.ID or 'without a name'})"))
    return sheets


def _of_object(table: Any) -> Sheet:
    """A table of Astropy or pandas, a SkyCoord, or a dictionary of columns."""
    if hasattr(table, "transform_to"):
        table = {"sky": table}
    keys: Iterable[Any] = getattr(table, "colnames", None) or list(getattr(table, "columns", table))
    sheet, lost = Sheet([]), []
    for key in keys:
        column = table[key]
        if hasattr(column, "transform_to"):
            sheet.columns += _of_sky(column)
        elif (cells := _cells(column)) is None:
            lost.append(str(key))
        else:
            meta = getattr(getattr(column, "info", None), "meta", None) or {}
            made = _headed(str(key), cells, str(getattr(column, "unit", None) or ""))
            made.ucd = str(meta.get("ucd", ""))
            sheet.columns.append(made)
    if lost:
        sheet.notes.append(f"columns of several numbers a row are not read: {', '.join(lost)}")
    meta = {str(k).upper(): v for k, v in (getattr(table, "meta", None) or {}).items()}
    sheet.system = str(meta.get("RADESYS") or meta.get("RADECSYS") or meta.get("FRAME") or "")
    sheet.equinox = str(meta.get("EQUINOX") or "")
    return sheet


def _of_sky(sky: Any) -> list[Column]:
    """Columns of a SkyCoord of any frame, in ICRS."""
    sky = sky.reshape(-1)
    time = getattr(sky, "obstime", None)
    moves = bool(sky.data.differentials)
    icrs = sky.icrs
    columns = [Column("ra", _floats(icrs.ra.deg), "deg"), Column("dec", _floats(icrs.dec.deg), "deg")]
    if moves:
        pm = icrs.pm_ra_cosdec.to_value("mas/yr"), icrs.pm_dec.to_value("mas/yr")
        columns += [Column(name, _floats(x), "mas/yr") for name, x in zip(("pmra", "pmdec"), pm, strict=True)]
        if time is not None:
            columns.append(Column("epoch", _floats(np.broadcast_to(time.jyear, len(sky)))))
    return columns


def _floats(numbers: Any) -> list[str]:
    return ["" if np.isnan(x) else repr(float(x)) for x in numbers]


def _cells(column: Any) -> list[str] | None:
    """Text of a column; None if a row has several numbers."""
    values = getattr(column, "isot", column)  # of an astropy Time
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else np.asarray(
        getattr(values, "mask", False)
    )  # fmt: skip
    plain = getattr(getattr(values, "value", values), "unmasked", getattr(values, "value", values))
    plain = np.ma.getdata(plain) if isinstance(plain, np.ma.MaskedArray) else plain
    array = np.asarray(plain)
    if array.ndim != 1:
        return None
    hidden = np.broadcast_to(mask, array.shape)
    text: Callable[[Any], str] = lambda x: (  # noqa: E731
        x.decode("utf-8", "replace") if isinstance(x, bytes) else "" if x is None or x != x else str(x)
    )
    return ["" if gone else text(x).strip() for x, gone in zip(array.tolist(), hidden, strict=True)]


def chosen_sheet(sheets: Sequence[Sheet], fits: Callable[[Sheet], bool], which: int | str | None, file: str) -> Sheet:
    """The table that is asked for by number or name, or the first in which places are found, with a note on others."""
    if len(sheets) == 1 and which is None:
        return sheets[0]
    titles = [sheet.title or "the only table" for sheet in sheets]
    if which is not None:
        hits = [i for i, t in enumerate(titles) if f" {which} (" in t or f"({which})".lower() in t.lower()]
        if not hits:
            raise TaskError(f"{file} has no table {which!r}.{nearest(str(which), titles)}")
        return sheets[hits[0]]
    good = [i for i, sheet in enumerate(sheets) if fits(sheet) and len(sheet)]
    if not good:
        raise TaskError(
            f"{file}: none of its {len(sheets)} tables has a right ascension and a declination; give columns, and "
            f"table for one of: {', '.join(titles)}"
        )
    others = [t for i, t in enumerate(titles) if i != good[0]]
    chosen = sheets[good[0]]
    chosen.notes.append(f"read from {titles[good[0]]}, not from {', '.join(others)}; table=… chooses another")
    return chosen
