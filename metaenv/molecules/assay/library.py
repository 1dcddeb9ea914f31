"""Measured activities on 30 drug targets, and a model of each that is fitted on the user's machine.

The measurements are those of MoleculeACE 3.0.0 (van Tilborg, Alenicheva and Grisoni, J. Chem. Inf. Model. 62, 5938,
2022): 48,700 molecules, curated from ChEMBL (CC BY-SA 3.0). Neither they nor anything made from them is part of this
package. `load` reads them from an installed MoleculeACE, or from its wheel or folder; what takes long to compute is
kept in the user's cache folder.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import os
import warnings
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import nearest
from metaenv.files import replacing
from metaenv.molecules.chem.assembly import ALL
from metaenv.molecules.chem.fragments import DATA
from metaenv.molecules.chem.properties import FINGERPRINT_BITS, FINGERPRINT_RADIUS, by_smiles
from metaenv.molecules.reference_molecules import random_molecules, real_molecules
from metaenv.typing import Bools, Floats, Index, Rows

SOURCE_VARIABLE = "METAENV_MOLECULEACE"
"""Environment variable: path of MoleculeACE's wheel, or of a folder with its files."""
SHA256 = "6d7b9712ccb2b81ad7cba40564682d5c4d466eacc041ccbd466d21eaa77ec273"
"""Of the files of MoleculeACE 3.0.0, as `_sha256` computes it."""
ALPHA = 10.0  # of ridge regression (chosen: 3, 10, 30, 100 give mean test correlations of 0.77, 0.78, 0.78, 0.76)
CACHE_VERSION = 2  # of what is kept in the cache folder
HELP = (
    "Variant 'assay' needs the measurements of MoleculeACE 3.0.0, which are not part of this package (ChEMBL, CC BY-SA "
    "3.0). Install them with `pip install --no-deps MoleculeACE==3.0.0` (its dependencies are not needed), or "
    "download its wheel and set the environment variable METAENV_MOLECULEACE to the wheel's path, or to a folder with "
    "its CSV files."
)


class Target(NamedTuple):
    """A protein on which activity was measured."""

    name: str
    """ChEMBL's number of the protein, and what was measured: Ki (binding) or EC50 (effect)."""
    protein: str
    family: str
    """Class of protein, as MoleculeACE gives it."""


with open(DATA / "assay_targets.csv", encoding="utf-8", newline="") as _file:
    TARGETS = tuple(Target(**row) for row in csv.DictReader(_file))
"""The targets, in the order of MoleculeACE's file names; a task names one by its place here."""
HELD_OUT_FAMILIES = ("nuclear receptor", "protease")
"""Targets of these families are never trained on (chosen: two whole families, 8 targets, unlike the other 22)."""
HELD_OUT = np.array([target.family in HELD_OUT_FAMILIES for target in TARGETS])


@dataclass(frozen=True, eq=False)
class Assay:
    """The measurements on one target."""

    target: Target
    smiles: tuple[str, ...]
    activity: Floats
    """(m,) -log10 of Ki or EC50 in nM: more is better, one unit is a factor of ten."""
    train: Bools
    """(m,) MoleculeACE's split: stratified by cluster and by activity cliffs."""
    fingerprints: NDArray[np.uint8]
    """(m, 128) packed Morgan fingerprints: `properties.fingerprint`."""

    def __len__(self) -> int:
        return len(self.smiles)

    def bits(self, rows: Rows = ALL) -> Floats:
        """(rows, 1024) fingerprints as zeros and ones."""
        return np.unpackbits(self.fingerprints[rows], axis=1).astype(np.float64)

    @cached_property
    def values(self) -> Floats:
        """(m, 7) `properties.PROPERTIES`, by RDKit; a millisecond a molecule."""
        return np.stack([by_smiles(text) for text in self.smiles])

    @cached_property
    def standardised(self) -> Floats:
        """(m,) activity with mean 0 and standard deviation 1 over all molecules measured on this target."""
        return (self.activity - self.activity.mean()) / self.activity.std()

    @cached_property
    def active(self) -> Floats:
        """(m,) 1 where the activity is above this target's median, else 0."""
        return (self.activity > np.median(self.activity)).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Assays:
    """All assays, and a linear model of activity on each target: the 30 of `TARGETS`, or any number of one's own."""

    assays: tuple[Assay, ...]
    sha256: str
    """Of the files they come from."""
    weights: Floats
    """(targets, 1024) of ridge regression on fingerprint bits, fitted on the molecules of ``train``."""
    intercept: Floats
    """(targets,)"""
    test_correlation: Floats
    """(targets,) Pearson's, of predicted and measured activity of the molecules that are not in ``train``."""
    real_activity: Floats
    """(6000, targets) predicted for the real molecules of `real_molecules`."""
    random_activity: Floats
    """(8192, targets) predicted for the random molecules of `random_molecules`."""

    @cached_property
    def zero(self) -> Floats:
        """(targets,) mean prediction for random molecules, where the activity factor begins to rise from 0."""
        return self.random_activity.mean(axis=0)

    def predict(self, fingerprints: NDArray[np.uint8], target: Index) -> Floats:
        """(n,) -log10 nM predicted for packed fingerprints (n, 128), each on its own target (n,)."""
        # Summed a row at a time, so that a molecule's prediction is the same bits in every batch.
        return (np.unpackbits(fingerprints, axis=1) * self.weights[target]).sum(axis=1) + self.intercept[target]

    def factor(self, predicted: Floats, full: Floats, target: Index) -> Floats:
        """The activity factor of the score: 0 at the mean of random molecules, 1 at ``full``, and linear between.

        ``predicted`` (…, n) and ``full`` (n,), that of the task's certificate, are activities / -log10 nM.
        """
        return np.clip((predicted - self.zero[target]) / (full - self.zero[target]), 0.0, 1.0)


def load(source: str | os.PathLike[str] | None = None) -> Assays:
    """The assays and their models; half a minute the first time on a machine, then from the cache folder.

    Args:
        source: MoleculeACE's wheel, or a folder with its files; by default what the environment variable
            ``METAENV_MOLECULEACE`` names, or the installed package.

    Raises:
        ImportError: MoleculeACE is not installed, and no path is given.
        FileNotFoundError: nothing is at the path, or a target's file is missing.
        ValueError: a file is not a table of MoleculeACE.
    """
    return _load(locate(source))


def locate(source: str | os.PathLike[str] | None = None) -> Path:
    """Where the measurements are; nothing is read. Arguments and errors as `load`."""
    given = source or os.environ.get(SOURCE_VARIABLE)
    if given:
        path = Path(given).expanduser()
        if not path.exists():
            raise FileNotFoundError(f"there is nothing at {str(path)!r}. {HELP}")
        return path
    return _installed()


def target_number(name: str) -> int:
    """The place in `TARGETS` of a target's name. Raises ValueError, with the nearest, for an unknown one."""
    known = [target.name for target in TARGETS]
    if name not in known:
        raise ValueError(f"there is no target {name!r}.{nearest(name, known)}")
    return known.index(name)


def fit_ridge(bits: Floats, activity: Floats, alpha: float = ALPHA) -> tuple[Floats, float]:
    """Weights (d,) and intercept that minimise squared errors plus alpha times the squared weights.

    The intercept is not penalised (Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd ed.,
    eq. 3.44 on centred inputs).
    """
    centre, mean = bits.mean(axis=0), activity.mean()
    x = bits - centre
    if len(x) < x.shape[1]:  # the dual form is smaller, and gives the same weights
        weights = x.T @ np.linalg.solve(x @ x.T + alpha * np.eye(len(x)), activity - mean)
    else:
        weights = np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T @ (activity - mean))
    return weights, float(mean - centre @ weights)


def cache_folder() -> Path:
    """Where models are kept: ``metaenv`` in ``XDG_CACHE_HOME``, by default in ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "metaenv"


# READING


@lru_cache(maxsize=1)
def _installed() -> Path:
    spec = importlib.util.find_spec("MoleculeACE")  # finds it without importing it
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"the package MoleculeACE is not installed. {HELP}", name="MoleculeACE")
    return Path(next(iter(spec.submodule_search_locations)))


@lru_cache(maxsize=2)
def _load(path: Path) -> Assays:
    files = _read(path)
    sha256 = _sha256(files)
    if sha256 != SHA256:
        warnings.warn(
            f"the files in {str(path)!r} are not those of MoleculeACE 3.0.0: scores compare with no others",
            stacklevel=3,
        )
    tables = [_table(name, text) for name, text in files.items()]
    stored = kept_or_fitted(sha256, tables)
    ends = np.cumsum([len(smiles) for smiles, _, _ in tables])[:-1]
    parts = np.split(stored.pop("fingerprints"), ends)
    assays = (
        Assay(target, *table, fingerprints) for target, table, fingerprints in zip(TARGETS, tables, parts, strict=True)
    )
    return Assays(tuple(assays), sha256, **stored)


def _read(path: Path) -> dict[str, bytes]:
    """The 30 files by name, in the order of `TARGETS`."""
    names = [f"{target.name}.csv" for target in TARGETS]
    if path.is_file():
        if not zipfile.is_zipfile(path):
            raise ValueError(f"expected a wheel or a folder, got {str(path)!r}. {HELP}")
        with zipfile.ZipFile(path) as wheel:
            found = {PurePath(entry).name: wheel.read(entry) for entry in wheel.namelist() if entry.endswith(".csv")}
    else:
        folders = [path, path / "Data" / "benchmark_data", path / "MoleculeACE" / "Data" / "benchmark_data"]
        folder = next((f for f in folders if any((f / name).exists() for name in names)), path)
        found = {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}
    if missing := [name for name in names if name not in found]:
        raise FileNotFoundError(f"{len(missing)} of 30 files are missing in {str(path)!r}: {missing[:3]}, … {HELP}")
    return {name: found[name] for name in names}


def _table(name: str, text: bytes) -> tuple[tuple[str, ...], Floats, Bools]:
    """SMILES, activity / -log10 nM, and which molecules are for training."""
    rows = list(csv.DictReader(io.StringIO(text.decode("utf-8"))))
    try:
        smiles = tuple(row["smiles"] for row in rows)
        activity = np.array([float(row["y"]) for row in rows])
        train = np.array([row["split"] == "train" for row in rows], bool)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"expected columns smiles, y (a number) and split in {name}; found wrong: {error}") from error
    if not train.any() or train.all() or not np.isfinite(activity).all():
        raise ValueError(f"expected finite activities, and molecules of splits 'train' and 'test', in {name}")
    return smiles, activity, train


def _sha256(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, text in files.items():
        digest.update(name.encode() + hashlib.sha256(text).digest())
    return digest.hexdigest()


# FITTING, AND WHAT IS KEPT


def _fitted(tables: list[tuple[tuple[str, ...], Floats, Bools]]) -> dict[str, NDArray[Any]]:
    """The arrays of `Assays`, and the fingerprints of all molecules, one assay after the other."""
    from metaenv.molecules.chem.fragmentation import to_mol
    from metaenv.molecules.chem.properties import fingerprint

    parts, weights, intercept, correlation = [], [], [], []
    for smiles, activity, train in tables:
        packed = np.stack([fingerprint(to_mol(text)) for text in smiles])
        bits = np.unpackbits(packed, axis=1).astype(np.float64)
        w, b = fit_ridge(bits[train], activity[train])
        parts.append(packed)
        weights.append(w)
        intercept.append(b)
        correlation.append(_correlation(bits[~train] @ w + b, activity[~train]))
    matrix, constant = np.array(weights), np.array(intercept)
    return {
        "fingerprints": np.concatenate(parts),
        "weights": matrix,
        "intercept": constant,
        "test_correlation": np.array(correlation),
        "real_activity": real_molecules().bits() @ matrix.T + constant,
        "random_activity": random_molecules().bits() @ matrix.T + constant,
    }


def _correlation(predicted: Floats, measured: Floats) -> float:
    """Pearson's; NaN where either does not vary."""
    if len(measured) < 2 or not predicted.std() or not measured.std():
        return float("nan")
    return float(np.corrcoef(predicted, measured)[0, 1])


def _cache_file(sha256: str) -> Path:
    """Named by everything that its content depends on."""
    import rdkit

    settings = (CACHE_VERSION, sha256, rdkit.__version__, ALPHA, FINGERPRINT_BITS, FINGERPRINT_RADIUS)
    digest = hashlib.sha256(repr(settings).encode())
    for name in ("anchors.npz", "facts.npz", "fragments.csv"):
        digest.update((DATA / name).read_bytes())
    return cache_folder() / f"assays-{digest.hexdigest()[:16]}.npz"


def kept_or_fitted(sha256: str, tables: list[tuple[tuple[str, ...], Floats, Bools]]) -> dict[str, NDArray[Any]]:
    """What `_fitted` gives, from the cache if it is there; where nothing can be written, it is computed every time."""
    path = _cache_file(sha256)
    with (
        suppress(OSError, ValueError, zipfile.BadZipFile),
        path.open("rb") as file,  # which NumPy would leave open if it is broken
        np.load(file, allow_pickle=False) as stored,
    ):
        return dict(stored)
    arrays = _fitted(tables)
    with suppress(OSError), replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return arrays
