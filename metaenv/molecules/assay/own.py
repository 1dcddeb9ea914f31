"""Hidden objectives with assays of one's own: any number of them, with names of their own, from a CSV file."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from metaenv.errors import TaskError, nearest
from metaenv.molecules.assay import library
from metaenv.molecules.assay.holdout import test_assays, training_rows
from metaenv.molecules.assay.library import Assay, Assays, Target
from metaenv.molecules.assay.measurements import Measurements, read_measurements
from metaenv.molecules.assay.tasks import AssayDistribution, AssayTask, beats_random, check_activity, portfolio_of
from metaenv.molecules.reference_molecules import Portfolio
from metaenv.tasks import Task, TaskBatch
from metaenv.typing import Bools

LEAST = 10  # molecules of an assay, and of its training rows that a model is fitted on (chosen)
WEAK = 0.3  # correlation of predicted and measured activity below which a model is called weak (chosen)


def assay_objectives(source: str | os.PathLike[str] | Measurements | None = None) -> AssayDistribution:
    """The distribution of variant ``assay``: of MoleculeACE's targets, or of measurements (a CSV file) of one's own."""
    if isinstance(source, Measurements):
        return OwnAssayDistribution(measured=source)
    path = None if source is None else Path(source).expanduser()
    if path is None or not path.is_file() or path.suffix == ".whl" or zipfile.is_zipfile(path):
        return AssayDistribution(None if path is None else str(path))
    return OwnAssayDistribution(measured=measurements_at(path))


def measurements_at(path: str | os.PathLike[str]) -> Measurements:
    """`read_measurements` with its defaults; a file that has not changed is read once a process."""
    found = Path(path).expanduser()
    if not found.is_file():
        return read_measurements(found)  # which says what is wrong
    stat = found.stat()
    return _read(str(found), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _read(path: str, changed: int, size: int) -> Measurements:
    return read_measurements(path)


@dataclass(frozen=True)
class OwnAssayTask(AssayTask):
    """A hidden assay of one's own and ranges of two properties, with a molecule of score 1."""

    family: ClassVar[str] = "OwnAssayObjective"

    measured: float
    """The first 48 bits of the measurements' SHA-256, so that a task is not played with others."""

    def check_target(self) -> None:
        if self.target < 0 or self.target % 1:
            raise TaskError(f"OwnAssayTask.target must be the place of an assay, 0 or more, got {self.target}")

    @classmethod
    def from_ranges(
        cls,
        target: str,
        ranges: Mapping[str, tuple[float, float]],
        certificate: str | None = None,
        source: str | os.PathLike[str] | Measurements | None = None,
    ) -> Self:
        """A task with one of the assays of a file; arguments and errors as `AssayTask.from_ranges`."""
        distribution = assay_objectives(source)
        if not isinstance(distribution, OwnAssayDistribution):
            raise ValueError("expected a CSV file or measurements as source; for MoleculeACE take AssayTask")
        names = distribution.fitting.names
        if target not in names:
            raise ValueError(f"there is no assay {target!r}.{nearest(target, names)}")
        return cls._checked(distribution.assays, names.index(target), ranges, certificate, distribution.number)

    @property
    def target_name(self) -> str:
        """The assay's place; `OwnAssayDistribution.fitting` has the names."""
        return f"assay {int(self.target)}"


@dataclass(frozen=True)
class OwnAssayDistribution(AssayDistribution):
    """Assays of one's own with ranges of two properties each; the rest is as in `AssayDistribution`.

    ``ood-target`` has the assays that `holdout.divide` keeps for the test: those marked so in the file, else a fifth.
    ``train``, ``validation`` and ``test`` have the others, and share no objective. With a single assay there is no
    ``ood-target``. Each assay's model of activity is ridge regression on fingerprints, fitted on the rows that
    `holdout.training_rows` names; `assays.test_correlation` tells how well it predicts the others.
    """

    measured: Measurements = field(kw_only=True)
    task_type: ClassVar[type[Task]] = OwnAssayTask

    def __post_init__(self) -> None:
        self.check_options()
        self.fitting  # noqa: B018  refuses what no model can be fitted on

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        common = ("train", "validation", "test")
        return (*common, "ood-target") if self.held_out.any() else common

    @property
    def fitting(self) -> Measurements:
        """The measurements without the assays that are too small or do not vary; a task's target is a place here."""
        return _fitting(self.measured)

    @property
    def number(self) -> float:
        """Of the measurements, as tasks have it."""
        return float(int(self.fitting.sha256[:12], 16))

    @property
    def assays(self) -> Assays:
        return _fitted(self.fitting)

    @property
    def held_out(self) -> Bools:
        return test_assays(self.fitting)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed, left out, or is doubtful."""
        known = self.assays
        held = [name for name, out in zip(self.fitting.names, self.held_out, strict=True) if out]
        weak = [
            f"{assay.target.name} ({r:.2f})"
            for assay, r in zip(known.assays, known.test_correlation, strict=True)
            if not r >= WEAK
        ]
        more = [f"assays of ood-target: {', '.join(held)}" if held else "a single assay: nothing is held out by assay"]
        if weak:
            more.append(
                "predicted and measured activity of molecules that the model was not fitted on correlate weakly, so "
                f"that scores say little about these assays: {', '.join(weak)}"
            )
        return (*self.fitting.notes, *more)

    def enumerate_tasks(self, split: str) -> TaskBatch:
        columns = self.objectives(split)
        columns["measured"] = np.full(len(columns["target"]), self.number)
        tasks = TaskBatch(OwnAssayTask, columns)
        good = beats_random(tasks, self.assays)
        if not good.any():
            raise TaskError(
                f"no objective of split {split!r} has a molecule that is predicted more active than random ones are: "
                f"{self.measured.path} has too few measurements, or too few assays"
            )
        return tasks.take(np.flatnonzero(good))

    def check_list(self, split: str, tasks: TaskBatch) -> None:
        """Nothing is frozen beforehand: a list follows from the measurements."""

    def manifest(self) -> dict[str, Any]:
        return self.sizes()

    def check(self, tasks: TaskBatch) -> None:
        if (tasks.measured != self.number).any() or (tasks.target >= len(self.fitting.names)).any():
            raise TaskError(
                f"a task belongs to other measurements than those of {self.measured.path}; make it anew with "
                "OwnAssayTask.from_ranges(…, source=…)"
            )
        check_activity(tasks, self.assays)

    def portfolio(self) -> Portfolio:
        return portfolio_of(self)


@lru_cache(maxsize=8)
def _fitting(measured: Measurements) -> Measurements:
    rows = training_rows(measured)
    used = np.bincount(measured.assay[rows], minlength=len(measured.names))
    kept = measured.without(used < LEAST, f"a model needs {LEAST} molecules to be fitted on")
    rows = training_rows(kept)
    spread = np.array([kept.value[rows & (kept.assay == a)].std() for a in range(len(kept.names))])
    return kept.without(spread == 0, "all values that a model is fitted on are the same")


@lru_cache(maxsize=4)
def _fitted(measured: Measurements) -> Assays:
    rows = [np.flatnonzero(measured.assay == a) for a in range(len(measured.names))]
    train = training_rows(measured)
    tables = [(tuple(measured.smiles[i] for i in r), measured.value[r], train[r]) for r in rows]
    stored = library.kept_or_fitted(measured.sha256, tables)
    parts = np.split(stored.pop("fingerprints"), np.cumsum([len(r) for r in rows])[:-1])
    assays = (
        Assay(Target(name, name, ""), *table, fingerprints)
        for name, table, fingerprints in zip(measured.names, tables, parts, strict=True)
    )
    return Assays(tuple(assays), measured.sha256, **stored)
