"""A user's own targets: from a file (CSV, ECSV, FITS, VOTable) or from arrays.

Files are read by Astropy, an optional dependency. Nothing is guessed silently: what was assumed, dropped or chosen is
in the list's ``notes``, and a row that cannot be read is refused by its number, the first below the heading being 1.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metaenv.errors import TaskError, nearest
from metaenv.telescope.planner.angles import Problems, column_angles
from metaenv.telescope.sim.targets import CLASSES
from metaenv.typing import Floats, Index

MAGNITUDES = (-2.0, 35.0)  # V, what can be a target (chosen)
ASSUMED_MAGNITUDE = 19.5  # V of a list without magnitudes: the median of TargetSelection's targets
HALVINGS = 10.0  # steps of priority after which the worth falls no further (chosen)

GUESSES: dict[str, tuple[str, ...]] = {
    "name": ("name", "target", "target_name", "object", "object_name", "objname", "obj", "main_id", "designation",
             "event", "source", "id", "source_id", "iauname"),
    "ra": ("ra", "raj2000", "_raj2000", "ra_j2000", "ra_icrs", "ra_deg", "radeg", "ra_hours", "rah", "ra_hms",
           "right_ascension", "rightascension", "alpha", "meanra"),
    "dec": ("dec", "dej2000", "_dej2000", "decj2000", "dec_j2000", "de_icrs", "dec_icrs", "dec_deg", "decdeg",
            "dec_dms", "declination", "de", "decl", "delta", "meandec"),
    "magnitude": ("vmag", "mag", "magnitude", "mag_v", "v_mag", "vmagnitude", "phot_g_mean_mag", "gmag", "rmag",
                  "maxappmag", "peakmag", "discoverymag"),
    "priority": ("priority", "prio", "rank"),
    "value": ("value", "worth", "weight"),
    "class": ("class", "type", "claimedtype", "otype", "object_type", "classification", "label"),
}  # fmt: skip
"""Names of columns that are recognised, in any case; the first that a file has counts."""

_CLASS_WORDS: tuple[tuple[str, str], ...] = (
    (r"slsn", "SLSN"), (r"\b(sn ?)?ia\b", "SN Ia"), (r"\b(sn ?)?ib(c|n|/c)?\b|\b(sn ?)?ic(n|-bl)?\b", "SN Ibc"),
    (r"\b(sn ?)?ii", "SN II"), (r"\btde\b", "TDE"), (r"\b(agn|qso|quasar|blazar|seyfert)", "AGN"),
    (r"\b(cv|dwarf nova)\b", "CV"), (r"\bflare|\bm[- ]dwarf", "flare star"),
)  # fmt: skip
UNKNOWN_CLASS = -1


@dataclass(frozen=True)
class TargetList:
    """Targets of the user's own, ``N`` of them.

    Raises:
        TaskError: an empty list, lengths that differ, a name given twice, or a number out of range; it says where.
    """

    names: tuple[str, ...]
    ra: Floats
    """(N,) rad, J2000 (ICRS), 0 to 2 pi."""
    dec: Floats
    """(N,) rad, -pi/2 to pi/2."""
    magnitude: Floats
    """(N,) V, -2 to 35."""
    priority: Floats
    """(N,) the lowest number comes first, as in astroplan."""
    value: Floats
    """(N,) worth of a perfect exposure, above 0; as read, not scaled."""
    label: NDArray[np.int8]
    """(N,) index of `metaenv.telescope.sim.targets.CLASSES`, or -1 where the class is none of them."""
    notes: tuple[str, ...] = field(default=())
    """What was assumed, chosen or dropped on reading, for people."""

    def __post_init__(self) -> None:
        n = len(self.names)
        if not n:
            raise TaskError("expected at least one target, got an empty list")
        for name in ("ra", "dec", "magnitude", "priority", "value", "label"):
            if getattr(self, name).shape != (n,):
                raise TaskError(f"expected {n} numbers of {name}, one a target, got shape {getattr(self, name).shape}")
        for name, low, high, unit in (
            ("ra", 0.0, 2 * np.pi, " rad; is it in degrees or hours?"),
            ("dec", -np.pi / 2, np.pi / 2, " rad; is it in degrees?"),
            ("magnitude", *MAGNITUDES, " V mag"),
            ("priority", -1e9, 1e9, ""),
            ("value", 1e-12, 1e12, ""),
        ):
            _check_range(name, self.names, getattr(self, name), low, high, unit)
        if repeated := sorted({self.names[i] for i in _again(self.names)}):
            raise TaskError(f"targets must have different names, these come more than once: {_some(repeated)}")

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: Index) -> TargetList:
        """Some of the targets, in the order of ``index``."""
        arrays = {k: getattr(self, k)[index] for k in ("ra", "dec", "magnitude", "priority", "value", "label")}
        return TargetList(tuple(self.names[i] for i in index), **arrays, notes=self.notes)

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        ra_deg: ArrayLike,
        dec_deg: ArrayLike,
        magnitude: ArrayLike = ASSUMED_MAGNITUDE,
        priority: ArrayLike | None = None,
        value: ArrayLike | None = None,
        classes: Sequence[str] | None = None,
    ) -> TargetList:
        """From names and arrays (N,) in degrees; one number serves for all.

        Without values, those of `values_from_priorities`; without priorities, the most valuable target comes first.
        """
        n = len(names)
        ra, dec, mag = (_all(x, n) for x in (ra_deg, dec_deg, magnitude))
        for axis, given, low, high in (("ra", ra, 0.0, 360.0), ("dec", dec, -90.0, 90.0)):
            if given.shape == (n,):  # other shapes are refused by the list itself
                _check_range(axis, names, given, low, high, " deg")
        order, worth = _order_and_worth(
            None if priority is None else _all(priority, n), None if value is None else _all(value, n), n
        )
        label = np.array([classify(c) for c in classes] if classes else [UNKNOWN_CLASS] * n, np.int8)
        return cls(tuple(map(str, names)), np.radians(ra) % (2 * np.pi), np.radians(dec), mag, order, worth, label)


def values_from_priorities(priority: Floats) -> Floats:
    """(N,) worth 1 for the first priority and half as much with every unit of priority, at least 2^-10 (chosen)."""
    if not len(priority):
        return np.zeros(0)
    return 2.0 ** -np.minimum(priority - priority.min(), HALVINGS)


def classify(text: str) -> int:
    """The index in `CLASSES` of a class as catalogues write it (``"SN Ia-91T"``, ``"IIn"``, ``"QSO"``), or -1."""
    lowered = str(text).split(",")[0].strip().lower()
    for index, name in enumerate(CLASSES):
        if lowered == name.lower():
            return index
    return next((CLASSES.index(name) for words, name in _CLASS_WORDS if re.search(words, lowered)), UNKNOWN_CLASS)


def read_targets(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    *,
    ra_unit: str | None = None,
    dec_unit: str | None = None,
    default_magnitude: float | None = None,
    several: Literal["refuse", "first"] = "refuse",
    invalid: Literal["refuse", "drop"] = "refuse",
    file_format: str | None = None,
) -> TargetList:
    """Targets of a file: CSV, ECSV, FITS, VOTable, or another table that Astropy can read.

    Coordinates are J2000 (ICRS). A unit in the file is honoured. Without one, numbers are degrees, except in columns
    called ``ra_hours`` or ``rah``; sexagesimal text (``13:03:33.1``, ``13 03 33``, ``13h03m33s``) is in hours for the
    right ascension and in degrees for the declination, unless it says ``d``. One column must be written in one way.

    Args:
        path: of the file; by its suffix .csv, .ecsv, .fits, .fit, .fits.gz, .vot, .votable, .xml, .tsv, .txt or .dat.
        columns: which column holds ``"name"``, ``"ra"``, ``"dec"``, ``"magnitude"``, ``"priority"``, ``"value"`` or
            ``"class"``; those not given are looked for by the names in `GUESSES`. Needed are ``ra`` and ``dec``.
        ra_unit: ``"deg"``, ``"hourangle"`` or another angle of Astropy's, for a column without a unit.
        dec_unit: likewise.
        default_magnitude: V of targets whose magnitude is not given. A file without any takes 19.5 and says so.
        several: what to do with a cell that holds several coordinates, parted by ``,``, ``;`` or ``|``: refuse it, or
            take the first and say so.
        invalid: what to do with rows that cannot be used: refuse the file, or drop them and say so.
        file_format: Astropy's name of the format, where the suffix does not tell.

    Raises:
        ImportError: Astropy is not installed.
        TaskError: a file that cannot be read, a column that is missing (the nearest is named), or a bad row.
    """
    for name, given, options in (("several", several, ("refuse", "first")), ("invalid", invalid, ("refuse", "drop"))):
        if given not in options:
            raise TaskError(f"no choice {given!r} of {name}.{nearest(given, options)}")
    table = _table(Path(path), file_format)
    found = _columns(list(table.colnames), dict(columns or {}))
    if not len(table):
        raise TaskError(f"{Path(path).name} has no targets: there is no row below its heading")
    problems = Problems(len(table), several == "first")
    names = _names(table, found.get("name"), problems)
    ra = column_angles(table, found["ra"], "ra", ra_unit, problems)
    dec = column_angles(table, found["dec"], "dec", dec_unit, problems)
    problems.tell_several(dec)
    magnitude = _magnitudes(table, found.get("magnitude"), default_magnitude, problems)
    priority, value = (_numbers(table, found.get(k), k, problems) for k in ("priority", "value"))
    if value is not None:
        problems.add(np.flatnonzero(~(value > 0)), lambda i: f"value must be above 0, got {value[i]}")
    problems.add(_again(names), lambda i: f"the name {names[i]!r} stands in an earlier row too")
    keep = problems.kept(names, Path(path).name, invalid == "drop")
    label = _labels(table, found.get("class"), keep, problems)
    kept = [None if c is None else c[keep] for c in (priority, value)]
    order, worth = _order_and_worth(kept[0], kept[1], len(keep))
    return TargetList(
        tuple(names[i] for i in keep), ra[keep], dec[keep], magnitude[keep], order, worth, label, tuple(problems.notes)
    )


# FILES

_FORMATS = {
    ".ecsv": "ascii.ecsv", ".fits": "fits", ".fit": "fits", ".gz": "fits", ".vot": "votable", ".votable": "votable",
    ".xml": "votable",
}  # fmt: skip


def _table(path: Path, file_format: str | None) -> Any:
    """The file as an Astropy table."""
    try:
        from astropy.table import Table
    except ImportError as error:
        raise ImportError("target lists are read by Astropy: pip install 'metaenv-science[astronomy]'") from error
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    chosen = file_format or _FORMATS.get(path.suffix.lower()) or "ascii"
    more: dict[str, Any] = {}
    if chosen == "ascii":
        chosen, more = _text_format(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of units and of VOTable's finer points; units are checked where they matter
        try:
            return Table.read(path, format=chosen, **more)
        except Exception as error:  # each of Astropy's readers has exceptions of its own
            said = " ".join(str(error).split())[:200]
            raise TaskError(
                f"{path.name} cannot be read as {chosen} ({said}); give file_format, or save it as CSV with a heading"
            ) from error


def _text_format(path: Path) -> tuple[str, dict[str, Any]]:
    """Astropy's format of a text file, and its settings: by its first line, whatever its suffix."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise TaskError(f"{path.name} is not text in UTF-8; save it so, or give file_format") from error
    if not lines:
        raise TaskError(f"{path.name} has no targets: the file is empty")
    if lines[0].startswith("# %ECSV"):
        return "ascii.ecsv", {}
    heading = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    mark = max(",;\t|", key=heading.count)
    if not heading.count(mark):
        return "ascii", {"encoding": "utf-8-sig"}
    return "ascii.csv", {"delimiter": mark, "encoding": "utf-8-sig", "fast_reader": False, "comment": r"\s*#"}


def _columns(present: list[str], told: dict[str, str]) -> dict[str, str]:
    """The column of each role: as the user says, else by the names that are known."""
    for role, name in told.items():
        if role not in GUESSES:
            raise TaskError(f"columns cannot name {role!r}.{nearest(role, GUESSES)}")
        if name not in present:
            raise TaskError(f"there is no column {name!r} for {role!r}.{nearest(name, present)}")
    lowered = {name.strip().lower(): name for name in reversed(present)}
    for role, guesses in GUESSES.items():
        if role not in told and (hit := next((g for g in guesses if g in lowered), None)):
            told[role] = lowered[hit]
    for role in ("ra", "dec"):
        if role not in told:
            hint = nearest(role, present)
            raise TaskError(f"no column looks like {role!r}: give columns={{{role!r}: '…'}}.{hint}")
    return told


# COLUMNS


def _names(table: Any, column: str | None, problems: Problems) -> list[str]:
    if column is None:
        problems.notes.append("no column of names: targets are called by their rows")
        return [f"row {i + 1}" for i in range(len(table))]
    cells = table[column].tolist()
    names = [c.decode() if isinstance(c, bytes) else str(c) for c in cells]
    names = [" ".join(name.split()) if cell is not None else "" for name, cell in zip(names, cells, strict=True)]
    problems.add(np.flatnonzero([not name for name in names]), lambda i: "there is no name")
    return [name or f"row {i + 1}" for i, name in enumerate(names)]


def _numbers(table: Any, column: str | None, what: str, problems: Problems, fill: float | None = None) -> Floats | None:
    """(n,) the numbers of a column; empty cells are ``fill``, or problems."""
    if column is None:
        return None
    found = np.full(len(table), np.nan)
    for i, cell in enumerate(table[column].tolist()):
        text = "" if cell is None else cell.decode() if isinstance(cell, bytes) else str(cell).strip()
        if text in ("", "--", "nan") and fill is not None:
            found[i] = fill
            continue
        try:
            found[i] = float(text)
        except ValueError:
            problems.add([i], lambda _, t=text: f"{what} must be a number, got {t!r}" if t else f"there is no {what}")
    problems.add(np.flatnonzero(~np.isfinite(found)), lambda i: f"{what} must be a finite number, got {found[i]}")
    return found


def _magnitudes(table: Any, column: str | None, default: float | None, problems: Problems) -> Floats:
    if column is None:
        value = ASSUMED_MAGNITUDE if default is None else float(default)
        problems.notes.append(f"no column of magnitudes: V = {value:g} is assumed of every target")
        return np.full(len(table), value)
    found = _numbers(table, column, "magnitude", problems, default)
    assert found is not None
    if column.lower() not in ("vmag", "mag_v", "v_mag", "vmagnitude"):
        problems.notes.append(f"magnitudes of the column {column!r} are taken as V")
    low, high = MAGNITUDES
    wrong = np.flatnonzero(np.isfinite(found) & ~((low <= found) & (found <= high)))
    problems.add(wrong, lambda i: f"magnitude must lie in [{low:g}, {high:g}], got {found[i]:g}")
    return found


def _labels(table: Any, column: str | None, keep: Index, problems: Problems) -> NDArray[np.int8]:
    if column is None:
        return np.full(len(keep), UNKNOWN_CLASS, np.int8)
    cells = table[column].tolist()
    label = np.array([UNKNOWN_CLASS if cells[i] is None else classify(cells[i]) for i in keep], np.int8)
    if unknown := int((label == UNKNOWN_CLASS).sum()):
        problems.notes.append(f"{unknown} targets have a class that is not one of: {', '.join(CLASSES)}")
    return label


def _order_and_worth(priority: Floats | None, value: Floats | None, n: int) -> tuple[Floats, Floats]:
    """(n,) priorities, the lowest first, and values; either follows from the other where it is missing."""
    if value is None:
        priority = np.ones(n) if priority is None else priority
        return priority, values_from_priorities(priority)
    return -value if priority is None else priority, value


# SMALL THINGS


def _again(names: Sequence[str]) -> list[int]:
    """Rows whose name stands in an earlier row."""
    seen: set[str] = set()
    return [i for i, name in enumerate(names) if name in seen or seen.add(name)]  # type: ignore[func-returns-value]


def _some(items: Sequence[str], most: int = 5) -> str:
    return ", ".join(map(repr, items[:most])) + (f" and {len(items) - most} more" if len(items) > most else "")


def _all(numbers: ArrayLike, n: int) -> Floats:
    given = np.asarray(numbers, np.float64)
    return np.full(n, float(given)) if given.ndim == 0 else given


def _check_range(what: str, names: Sequence[str], given: Floats, low: float, high: float, unit: str) -> None:
    if (bad := ~((low <= given) & (given <= high))).any():  # NaN fails both
        i = int(np.flatnonzero(bad)[0])
        raise TaskError(f"expected {what} from {low:g} to {high:g}{unit}, got {given[i]} for {names[i]!r}")
