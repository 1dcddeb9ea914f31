"""Light curves of real objects, from files in the format of PLAsTiCC."""

from __future__ import annotations

import csv
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.supervised.families.light_curve_survey import N_VISITS, Photometry
from metaenv.typing import Floats


def read_plasticc(
    curves: str | os.PathLike[str], objects_file: str | os.PathLike[str]
) -> tuple[Photometry, NDArray[np.str_]]:
    """Light curves in the format of PLAsTiCC, and their classes.

    Args:
        curves: CSV with object_id, mjd, passband (0-5), flux, flux_err, and any other columns.
        objects_file: CSV with object_id, target, and hostgal_photoz if known.

    Returns:
        Up to the 128 visits of each object that are most significant, sorted by time, and (n,) targets.

    Raises:
        ValueError: a column is missing, or numbers cannot be read.
    """
    meta = {row["object_id"]: row for row in _rows(objects_file, ("object_id", "target"))}
    points: dict[str, list[tuple[float, float, float, float]]] = {}
    for row in _rows(curves, ("object_id", "mjd", "passband", "flux", "flux_err")):
        if row["object_id"] in meta:
            try:
                mjd, band, flux, error = (float(row[k]) for k in ("mjd", "passband", "flux", "flux_err"))
            except (TypeError, ValueError) as problem:
                raise ValueError(
                    f"expected numbers in {curves}, got {row} ({problem}); leave such rows out"
                ) from problem
            points.setdefault(row["object_id"], []).append((mjd, band, flux, error))
    if not points:
        raise ValueError(f"{curves} has no light curve of an object in {objects_file}; their object_id must agree")
    names = list(points)
    redshift = np.array([float(meta[k].get("hostgal_photoz") or 0) for k in names])
    return _padded([np.array(points[k]) for k in names], redshift), np.array([meta[k]["target"] for k in names])


def _rows(path: str | os.PathLike[str], columns: tuple[str, ...]) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if missing := [c for c in columns if c not in (reader.fieldnames or ())]:
            raise ValueError(f"expected columns {', '.join(columns)} in {path}; {', '.join(missing)} missing")
        return list(reader)


def _padded(curves: list[NDArray[Any]], redshift: Floats) -> Photometry:
    n = len(curves)
    t, flux, error = np.zeros((n, N_VISITS)), np.zeros((n, N_VISITS)), np.ones((n, N_VISITS))
    band, seen = np.zeros((n, N_VISITS), np.intp), np.zeros((n, N_VISITS), bool)
    for i, curve in enumerate(curves):
        if not np.isfinite(curve).all() or (curve[:, 3] <= 0).any() or not np.isin(curve[:, 1], range(6)).all():
            raise ValueError(f"object {i}: expected finite numbers, passbands 0-5 and positive errors")
        best = np.argsort(-np.abs(curve[:, 2] / curve[:, 3]), kind="stable")[:N_VISITS]
        kept = curve[best][np.argsort(curve[best, 0], kind="stable")]
        k = len(kept)
        t[i, :k], band[i, :k], flux[i, :k], error[i, :k] = kept.T
        t[i, :k] -= kept[0, 0]
        t[i, k:] = t[i, k - 1]
        seen[i, :k] = True
    return Photometry(t, band, flux, error, redshift, seen)
