"""Light curves from files in the format of PLAsTiCC (Kessler et al. 2019), read in blocks to save memory."""

from __future__ import annotations

import csv
import os
import re
from itertools import islice
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from metaenv.supervised.families.light_curve_light import BANDS
from metaenv.supervised.families.light_curve_survey import N_VISITS, Photometry
from metaenv.typing import Floats

BLOCK = 100_000
"""Rows that are parsed at a time."""
BAND_NAMES = {**{str(i): i for i in range(len(BANDS))}, **{b.lower(): i for i, b in enumerate(BANDS)}}


class ObservedCurves(NamedTuple):
    """Light curves of objects, what they are, and what was assumed in reading them."""

    photometry: Photometry
    classes: NDArray[np.str_]
    ids: NDArray[np.str_]
    notes: tuple[str, ...]


def read_plasticc(curves: str | os.PathLike[str], objects_file: str | os.PathLike[str]) -> ObservedCurves:
    """Light curves in the format of PLAsTiCC, and their classes.

    Args:
        curves: CSV with object_id, mjd, passband (0-5 or a letter of ugrizy), flux, flux_err, and any other columns.
        objects_file: CSV with object_id, target, and hostgal_photoz if known; a negative redshift means unknown.

    Returns:
        Visits sorted by time; of an object with more than 128, as many, evenly chosen in time order whatever their
        flux. Rows of objects that are not in ``objects_file`` are left out. The notes say how many.

    Raises:
        ValueError: a column is missing, an object is listed twice, or numbers cannot be read.
    """
    targets, redshift, notes = _objects(objects_file)
    number = {name: i for i, name in enumerate(targets)}
    parts: list[tuple[NDArray[np.int32], Floats]] = []
    strangers = 0
    for names, values in _blocks(curves):
        distinct, code = np.unique(names, return_inverse=True)
        owner = np.array([number.get(_name(str(name)), -1) for name in distinct])[code]
        bad = ~np.isfinite(values).all(axis=1) | (values[:, 3] <= 0)
        if (bad & (owner >= 0)).any():
            row = int(np.flatnonzero(bad & (owner >= 0))[0])
            raise ValueError(
                f"{curves}: object {_name(str(names[row]))}: expected finite numbers, passbands 0-5 or ugrizy and "
                f"positive flux_err, got mjd, passband, flux, flux_err = {values[row].tolist()}; leave such rows out"
            )
        strangers += int((owner < 0).sum())
        parts.append((owner[owner >= 0].astype(np.int32), values[owner >= 0]))
    owner = np.concatenate([part for part, _ in parts]) if parts else np.zeros(0, np.int32)
    if not len(owner):
        raise ValueError(f"{curves} has no light curve of an object in {objects_file}; their object_id must agree")
    values = np.concatenate([part for _, part in parts])
    order = np.lexsort((values[:, 0], owner))
    kept, first = np.unique(owner[order], return_index=True)
    photometry, thinned = _padded(np.split(values[order], first[1:]), redshift[kept])
    names = np.array(list(targets))
    if strangers:
        notes.append(f"{strangers} rows of {curves} were left out: their objects are not in {objects_file}.")
    if len(kept) < len(names):
        notes.append(f"{len(names) - len(kept)} objects of {objects_file} have no light curve and were left out.")
    if thinned:
        notes.append(f"{thinned} objects have more than {N_VISITS} visits; as many were chosen evenly in time order.")
    return ObservedCurves(photometry, np.array(list(targets.values()))[kept], names[kept], tuple(notes))


def _objects(path: str | os.PathLike[str]) -> tuple[dict[str, str], Floats, list[str]]:
    targets: dict[str, str] = {}
    redshift: list[float] = []
    with open(path, newline="", encoding="utf-8-sig") as file:
        head = _head(file, path, ("object_id", "target"))
        for row in csv.reader(file):
            cells = dict(zip(head, (cell.strip() for cell in row), strict=False))
            if not any(cells.values()):
                continue
            name, target = _name(cells["object_id"]), cells.get("target", "")
            if not name or not target or name in targets:
                wrong = "stands twice" if name in targets else "has no object_id or no target"
                raise ValueError(f"{path}: object {name!r} {wrong}; keep one complete row for each object")
            targets[name] = _name(target)
            try:
                redshift.append(float(cells.get("hostgal_photoz") or "nan"))
            except ValueError as error:
                raise ValueError(
                    f"{path}: object {name}: hostgal_photoz is no number ({error}); leave it empty"
                ) from error
    known = np.array(redshift)
    unknown = ~(np.isfinite(known) & (known >= 0))
    notes = [f"{unknown.sum()} objects have no redshift (empty or negative); 0 was taken."] if unknown.any() else []
    return targets, np.where(unknown, 0.0, known), notes


def _blocks(path: str | os.PathLike[str]) -> Any:
    """Blocks of names (rows,) and of mjd, passband, flux, flux_err (rows, 4); NaN for an unknown passband."""
    columns = ("object_id", "mjd", "passband", "flux", "flux_err")
    with open(path, newline="", encoding="utf-8-sig") as file:
        head = _head(file, path, columns)
        dtype = [(c, "U32" if c == "object_id" else "U8" if c == "passband" else "f8") for c in columns]
        done = 1
        while lines := list(islice(file, BLOCK)):
            try:
                rows = np.loadtxt(
                    lines, dtype, delimiter=",", quotechar='"', comments=None, ndmin=1,
                    usecols=[head.index(c) for c in columns],
                )  # fmt: skip
            except ValueError as error:
                found = re.search(r"at row (\d+)", str(error))
                line = "" if found is None else f", line {done + int(found[1]) + 1}"
                raise ValueError(f"{path}{line}: expected numbers ({error}); mend or leave out that row") from error
            done += len(lines)
            bands, code = np.unique(rows["passband"], return_inverse=True)
            band = np.array([BAND_NAMES.get(_name(str(b)).lower(), np.nan) for b in bands])[code]
            yield rows["object_id"], np.stack([rows["mjd"], band, rows["flux"], rows["flux_err"]], axis=1)


def _head(file: TextIO, path: str | os.PathLike[str], columns: tuple[str, ...]) -> list[str]:
    head = [cell.strip() for cell in next(csv.reader([file.readline()]), [])]
    if missing := [c for c in columns if c not in head]:
        raise ValueError(f"expected columns {', '.join(columns)} in {path}; {', '.join(missing)} missing")
    return head


def _name(text: str) -> str:
    """An id without white space, and without the ".0" that spreadsheets add to whole numbers."""
    return re.sub(r"^(\d+)\.0+$", r"\1", text.strip())


def _padded(curves: list[Floats], redshift: Floats) -> tuple[Photometry, int]:
    n, thinned = len(curves), 0
    t, flux, error = np.zeros((n, N_VISITS)), np.zeros((n, N_VISITS)), np.ones((n, N_VISITS))
    band, seen = np.zeros((n, N_VISITS), np.intp), np.zeros((n, N_VISITS), bool)
    for i, curve in enumerate(curves):
        if len(curve) > N_VISITS:
            thinned += 1
            curve = curve[np.linspace(0, len(curve) - 1, N_VISITS).round().astype(int)]
        k = len(curve)
        t[i, :k], band[i, :k], flux[i, :k], error[i, :k] = curve.T
        t[i, :k] -= curve[0, 0]
        t[i, k:] = t[i, k - 1]
        seen[i, :k] = True
    return Photometry(t, band, flux, error, redshift, seen), thinned
