"""Hidden objectives with a real drug target: predicted activity on it, within ranges of two properties."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.molecules.assay.library import HELD_OUT, SHA256, TARGETS, Assays, load, locate, target_number
from metaenv.molecules.chem.fragments import MAX_ACTIONS
from metaenv.molecules.chem.properties import Score, Scores
from metaenv.molecules.chem.scoring import packed, score_table
from metaenv.molecules.design.certificates import parsed_certificate
from metaenv.molecules.design.objective_splits import range_pairs, ranges_of
from metaenv.molecules.design.tasks import Features, ObjectiveDistribution
from metaenv.molecules.objectives import (
    PropertyRanges,
    TabulatedDistribution,
    in_split,
    inside,
    range_columns,
    tenth_of,
)
from metaenv.molecules.reference_molecules import Molecules, Portfolio, fingerprints, random_molecules, real_molecules
from metaenv.tasks import Labelled, Task, TaskBatch
from metaenv.typing import Bools, Floats, Index

Labels = Literal["activity", "active"]
LABELS = ("activity", "active")
FEATURES = ("properties", "fingerprint")
LEAST_MOLECULES = 50
"""Feasible real molecules that lie in both ranges, at least (chosen: the best of them is then predicted above the mean
of random molecules on all 30 targets, by half a standard deviation of theirs or more)."""
FROZEN_SIZES = {"validation": 200, "test": 500, "ood-target": 256}
FROZEN_SEED = 20_250_704  # chosen; any fixed number does
TARGET_STRIDE = 32  # of codes of objectives: ranges, then the target
N_PROBES = 64
PORTFOLIO_TASKS = 1_000  # of training, that the portfolio is chosen on (chosen)


@dataclass(frozen=True)
class AssayTask(PropertyRanges, Task):
    """A hidden target and ranges of two properties, with a molecule of score 1."""

    family: ClassVar[str] = "AssayObjective"

    target: float
    """Which protein: its place in `library.TARGETS`."""
    wanted: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    certificate: tuple[float, ...]
    """(9,) build sequence of the molecule whose predicted activity counts as 1, -1 after the last action."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(certificate=MAX_ACTIONS)
        self.check_target()

    def check_target(self) -> None:
        """Raise TaskError unless there may be such a target."""
        if self.target not in range(len(TARGETS)):
            raise TaskError(f"AssayTask.target must be a place in TARGETS from 0 to {len(TARGETS) - 1}")

    @classmethod
    def from_ranges(
        cls,
        target: str,
        ranges: Mapping[str, tuple[float, float]],
        certificate: str | None = None,
        source: str | os.PathLike[str] | None = None,
    ) -> Self:
        """A task of one's own.

        Args:
            target: name of one of `library.TARGETS`.
            ranges: lowest and highest value that is asked for of some of `properties.PROPERTIES`.
            certificate: SMILES of a molecule in these ranges; by default the real one that is predicted most active.
            source: of the measurements, as in `library.load`.

        Raises:
            ValueError: an unknown target.
            TaskError: an unknown property, an empty range, or no molecule lies in all ranges and beats random ones.
            MoleculeError: the certificate does not parse or cannot be built from the vocabulary.
        """
        number, known = target_number(target), load(source)
        return cls._checked(known, number, ranges, certificate)

    @classmethod
    def _checked(
        cls,
        known: Assays,
        number: int,
        ranges: Mapping[str, tuple[float, float]],
        certificate: str | None,
        *more: float,
    ) -> Self:
        """The task, whose certificate is found and beats random molecules; ``more`` are fields of a subclass."""
        columns = range_columns(ranges)
        found = parsed_certificate(certificate) if certificate else _most_active(known, number, *columns)
        wanted, low, high = (tuple(column.tolist()) for column in columns)
        task = cls(number, wanted, low, high, found, *more)
        check_activity(TaskBatch.from_tasks([task]), known)
        return task

    @property
    def target_name(self) -> str:
        """The target's name in `library.TARGETS`."""
        return TARGETS[int(self.target)].name


@dataclass(frozen=True)
class AssayDistribution(ObjectiveDistribution, TabulatedDistribution):
    """Real targets with ranges of two properties each, every combination as likely as the others.

    The score is the product of both properties' desirabilities and of the activity factor: predicted activity on the
    target, 0 at the mean of random molecules and 1 at the best real molecule that lies in both ranges, which is the
    task's certificate. Ranges are those of the other variants, in all pairs that hold 50 feasible real molecules; these
    pairs do not depend on the assays. ``train``, ``validation`` (200 tasks, frozen) and ``test`` (500)
    share no objective; they have 22 targets. ``ood-target`` (256) has the 8 others: all nuclear receptors and
    proteases.

    Certificates depend on the model of activity, and so a little on RDKit's version: the objectives of a frozen list
    are checked against their hash, and a warning tells if a certificate is another than when the list was frozen.
    """

    source: str | None = None
    """Of the measurements, as in `library.load`."""
    features: Features = "fingerprint"
    """What `labelled` describes molecules by: 1,024 fingerprint bits, or seven scaled properties (a millisecond a
    molecule, the first time)."""
    labels: Labels = "activity"
    """What `labelled` tells: measured activity, standardised for each target; or ``active``, 1 above its median."""
    task_type: ClassVar[type[Task]] = AssayTask
    frozen_file: ClassVar[str] = "assay_frozen.json"
    frozen_sizes: ClassVar[Mapping[str, int]] = FROZEN_SIZES
    splits: ClassVar[tuple[str, ...]] = ("train", "validation", "test", "ood-target")  # type: ignore[misc]

    def __post_init__(self) -> None:
        self.check_options()
        locate(self.source)

    def check_options(self) -> None:
        """Raise ValueError for unknown features or labels."""
        for name, options in (("features", FEATURES), ("labels", LABELS)):
            if getattr(self, name) not in options:
                raise ValueError(f"no {name} {getattr(self, name)!r}.{nearest(getattr(self, name), options)}")

    @property
    def assays(self) -> Assays:
        """The measurements and the model of each target; loaded once a process."""
        return load(self.source)

    @property
    def held_out(self) -> Bools:
        """(targets,) which ones only ``ood-target`` has."""
        return HELD_OUT

    def enumerate_tasks(self, split: str) -> TaskBatch:
        tasks = TaskBatch(AssayTask, self.objectives(split))
        check_activity(tasks, self.assays)
        return tasks

    def objectives(self, split: str) -> dict[str, Floats]:
        """The fields of `AssayTask` for every task of a split."""
        known, held_out = self.assays, self.held_out
        codes, members = range_pairs(LEAST_MOLECULES)
        pair, target = np.divmod(np.arange(len(codes) * len(held_out)), len(held_out))
        tenth = tenth_of(codes[pair] * max(TARGET_STRIDE, len(held_out)) + target)
        kept = held_out[target] if split == "ood-target" else ~held_out[target] & in_split(tenth, split)
        pair, target = pair[kept], target[kept]
        owner = _best(known, members)[pair, target]
        certificate = real_molecules().actions[owner].astype(np.float64)
        return {"target": target.astype(np.float64), **ranges_of(codes[pair]), "certificate": certificate}

    def frozen_seed(self, split: str) -> list[int]:
        return [FROZEN_SEED, list(FROZEN_SIZES).index(split)]

    def hashes(self, tasks: TaskBatch) -> dict[str, str]:
        """SHA-256 of targets and ranges, without the certificates, which depend on a model; and of everything."""
        numbers = np.column_stack([tasks.target, tasks.wanted, tasks.low, tasks.high])
        objectives = hashlib.sha256(np.ascontiguousarray(numbers).astype("<f8").tobytes()).hexdigest()
        return {"objectives_sha256": objectives, **super().hashes(tasks)}

    def check_list(self, split: str, tasks: TaskBatch) -> None:
        """Raise TaskError if the objectives are not those that were frozen; warn if only certificates differ."""
        known, found = self.manifest()[split], self.hashes(tasks)
        if found["objectives_sha256"] != known["objectives_sha256"]:
            raise TaskError(
                f"the list {split!r} of variant 'assay' is not the one that was frozen; install metaenv again"
            )
        if self.assays.sha256 == SHA256 and found["sha256"] != known["sha256"]:
            warnings.warn(
                f"some certificates of the list {split!r} are not those it was frozen with (by "
                f"{self.chemistry.json(self.frozen_file)['made_with']}): scores may differ a little from published "
                "ones. Install those versions to compare exactly.",
                stacklevel=4,
            )

    def check(self, tasks: TaskBatch) -> None:
        check_activity(tasks, self.assays)

    def looks_at(self, tasks: TaskBatch) -> tuple[bool, bool, bool]:
        return False, True, True

    def hidden_factor(self, tasks: TaskBatch, found: Sequence[Score], scores: Scores) -> Floats:
        """(n,) the factor for predicted activity."""
        target = tasks.target.astype(np.intp)
        predicted = self.assays.predict(packed(found), target)
        return self.assays.factor(predicted, _full(tasks, self.assays), target)

    def score_random(self, tasks: TaskBatch) -> Floats:
        return _scores(random_molecules(), self.assays.random_activity, tasks, self.assays)

    def score_real(self, tasks: TaskBatch) -> Floats:
        """(tasks, 6000) true scores of `real_molecules`."""
        return _scores(real_molecules(), self.assays.real_activity, tasks, self.assays)

    def portfolio(self) -> Portfolio:
        return portfolio_of(AssayDistribution(str(locate(self.source))))

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """Molecules that were measured on the task's target, drawn without replacement, and what was measured.

        No model is involved, and neither are the ranges: tasks of the same target have the same molecules, so that
        ``validation`` and ``test`` show the very molecules of ``train``, and `metaenv.supervised` refuses them. To
        hold targets out, learn from ``train`` and test on ``ood-target``; to hold molecules out as well, use the
        few-shot family ``assays``.

        Returns:
            ``x`` (tasks, n, 1024 or 7) as `features` says, ``y`` (tasks, n) as `labels` says.

        Raises:
            TaskError: fewer than ``n`` molecules were measured on a target; the smallest has 615.
        """
        chosen = [self.assays.assays[target] for target in tasks.target.astype(np.intp)]
        if short := [assay for assay in chosen if len(assay) < n]:
            raise TaskError(f"expected at most {len(short[0])} molecules, as {short[0].target.name} has, got n={n}")
        rows = [rng.permutation(len(assay))[:n] for assay in chosen]
        pairs = list(zip(chosen, rows, strict=True))
        if self.features == "fingerprint":
            x = [assay.bits(r) for assay, r in pairs]
        else:
            x = [self.chemistry.scaled(assay.values[r]) for assay, r in pairs]
        y = [(assay.standardised if self.labels == "activity" else assay.active)[r] for assay, r in pairs]
        return Labelled(np.array(x), np.array(y), tasks.ids)

    def labelled_limit(self, split: str) -> int:
        if split in ("validation", "test"):
            raise TaskError(
                f"split {split!r} of variant 'assay' has the targets and molecules of 'train': few-shot learners would "
                "be tested on molecules that they were trained on (and have an AUROC of 0.99). Take split "
                "'ood-target', or the few-shot family 'assays', whose splits share neither assays nor molecules"
            )
        there = {"ood-target": self.held_out, "train": ~self.held_out}.get(split, np.ones(len(self.held_out), bool))
        return min(len(self.assays.assays[i]) for i in np.flatnonzero(there))

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, 95) which of 31 bins the ranges cover, and the activity predicted for 64 real molecules.

        Activity is centred and divided by three standard deviations of real molecules; it tells about a target that
        was never trained on, as a target's number would not.
        """
        known = self.assays.real_activity
        probes = known[:: len(known) // N_PROBES][:N_PROBES]
        activity = np.clip((probes - known.mean(axis=0)) / (3 * known.std(axis=0)), -1, 1)
        covered = self.chemistry.covered_bins(tasks.low, tasks.high, tasks.wanted)
        return np.concatenate([covered, activity.T[tasks.target.astype(np.intp)]], axis=1).astype(np.float32)


def beats_random(tasks: TaskBatch, assays: Assays) -> Bools:
    """(n,) whose certificate is predicted more active than random molecules are on average."""
    return _full(tasks, assays) > assays.zero[tasks.target.astype(np.intp)]


def check_activity(tasks: TaskBatch, assays: Assays) -> None:
    """Raise TaskError for a task whose certificate is predicted no more active than random molecules are."""
    for i in np.flatnonzero(~beats_random(tasks, assays))[:1]:
        raise TaskError(
            f"the certificate of task {tasks.ids[i]} is predicted no more active on "
            f"{assays.assays[int(tasks.target[i])].target.name} than random molecules are on average; take other ranges"
        )


@lru_cache(maxsize=2)
def portfolio_of(distribution: AssayDistribution) -> Portfolio:
    """Ten real molecules that serve the training tasks best."""
    tasks = distribution.all_tasks("train")
    rows = np.random.default_rng(FROZEN_SEED).permutation(len(tasks))[:PORTFOLIO_TASKS]
    scores = distribution.score_real(tasks.take(np.sort(rows))).astype(np.float32)
    return Portfolio.best_of(real_molecules(), scores)


# PRIVATE


def _best(assays: Assays, members: Bools) -> Index:
    """(pairs, 30) the real molecule predicted most active among ``members`` (pairs, 6000)."""
    activity = assays.real_activity.round(6)  # so that rounding errors do not decide between equals
    rows = [np.flatnonzero(who) for who in members]
    return np.array([which[activity[which].argmax(axis=0)] for which in rows])


def _scores(molecules: Molecules, activity: Floats, tasks: TaskBatch, assays: Assays) -> Floats:
    """(tasks, molecules) true scores; ``activity`` (molecules, 30) is predicted."""
    target = tasks.target.astype(np.intp)
    factor = assays.factor(activity[:, target], _full(tasks, assays), target).T
    return score_table(molecules.values, tasks) * molecules.feasible * factor


def _full(tasks: TaskBatch, assays: Assays) -> Floats:
    """(n,) activity predicted for the certificates."""
    rows, real = tasks.certificate.astype(np.int16), real_molecules()
    place = np.array([_places().get(row.tobytes(), -1) for row in rows])
    found = real.fingerprints()[place]
    for i in np.flatnonzero(place < 0):
        found[i] = _fingerprint(rows[i].tobytes())
    return assays.predict(found, tasks.target.astype(np.intp))


@lru_cache(maxsize=1)
def _places() -> dict[bytes, int]:
    """The place of each real molecule by its build sequence: most certificates are real molecules."""
    return {row.tobytes(): i for i, row in enumerate(real_molecules().actions)}


@lru_cache(maxsize=8_192)
def _fingerprint(sequence: bytes) -> NDArray[np.uint8]:
    return fingerprints(np.frombuffer(sequence, np.int16)[None])[0]


def _most_active(assays: Assays, target: int, wanted: Floats, low: Floats, high: Floats) -> tuple[float, ...]:
    real = real_molecules()
    rows = np.flatnonzero(inside(real.values, wanted, low, high).all(axis=1) & real.feasible)
    if not len(rows):
        raise TaskError(
            f"none of {len(real):,} known molecules lies in these ranges; widen them, or give the SMILES of one that "
            "does as `certificate`"
        )
    best = rows[assays.real_activity[rows, target].round(6).argmax()]
    return tuple(real.actions[best].astype(float).tolist())
