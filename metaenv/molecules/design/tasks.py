"""Hidden drug-design objectives, each certified by a molecule that meets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.molecules.chem.assembly import replay
from metaenv.molecules.chem.fragments import MAX_ACTIONS, load_vocabulary
from metaenv.molecules.chem.functional_groups import GROUPS
from metaenv.molecules.chem.properties import Scores, additive
from metaenv.molecules.chem.scoring import (
    COLUMNS,
    MAX_SA,
    WINDOWED,
    feasible,
    group_factor,
    likeness,
    score_table,
)
from metaenv.molecules.design import objective_splits as criteria
from metaenv.molecules.stored import Molecules, anchors, fingerprints, frozen_sha256, pool
from metaenv.tasks import FiniteTaskDistribution, FrozenTasks, Labelled, Reference, Task, TaskBatch
from metaenv.typing import Floats

Variant = Literal["windows-3", "windows-4", "windows-5", "groups", "lead-hop", "assay"]
VARIANTS: dict[Variant, int] = {"windows-3": 5, "windows-4": 5, "windows-5": 10, "groups": 10, "lead-hop": 10}
"""The variants of this module and how many molecules a trial has in each; ``assay`` is in `assay_tasks`."""
Features = Literal["properties", "fingerprint"]
NOTHING = -1.0
"""What a field holds that names no group, and what follows the end of a build sequence."""
MET = 1.0 - 1e-9
"""A certificate's product of desirabilities is at least this; windows are closed, so it is 1 but for rounding."""


class Certified:
    """What tasks with windows and a certificate have in common."""

    wanted: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    certificate: tuple[float, ...]

    def windows(self) -> dict[str, tuple[float, float]]:
        """The windows by name of the property."""
        return {n: (self.low[j], self.high[j]) for j, n in enumerate(WINDOWED) if self.wanted[j]}

    def certificate_smiles(self) -> str:
        """The certificate as a SMILES; needs RDKit."""
        from metaenv.molecules.chem.smiles import to_smiles

        return to_smiles(_sequence(self.certificate)[None])[0]

    def _check_certificate(self) -> None:
        self._check_windows(_replayed(self.certificate, f"{type(self).__name__}.certificate"))

    def _check_windows(self, values: Floats) -> None:
        """Refuse a certificate whose properties (7,) lie outside the windows."""
        kind = type(self).__name__
        for j, name in enumerate(WINDOWED):
            slack = 1e-6 * max(1.0, abs(values[j]))  # numbers may have been through single precision or text
            if self.wanted[j] and not self.low[j] - slack <= values[j] <= self.high[j] + slack:
                raise TaskError(
                    f"the certificate has {name} = {values[j]:.4g}, outside the task's window from {self.low[j]:.4g} "
                    f"to {self.high[j]:.4g}; give one that meets all windows ({kind}.from_windows finds one)"
                )

    def _check_lengths(self, **lengths: int) -> None:
        for name, length in lengths.items():
            given = getattr(self, name)
            if not isinstance(given, tuple) or len(given) != length:
                raise TaskError(f"{type(self).__name__}.{name} must have {length} numbers, got {given!r}")


@dataclass(frozen=True)
class MoleculeTask(Certified, Task):
    """One hidden objective, with a molecule that fulfils it.

    Numbers for the seven properties are in the order of `objectives.WINDOWED`: mw / Da, logp, tpsa / Å², hbd,
    rotatable, aromatic_rings, fsp3.
    """

    family: ClassVar[str] = "MoleculeObjective"

    wanted: tuple[float, ...]
    """(7,) 1 where the property has a window, else 0."""
    low: tuple[float, ...]
    """(7,) lower ends of the windows, in the property's unit; 0 where there is none."""
    high: tuple[float, ...]
    """(7,) upper ends."""
    required: float
    """A group that must be there, by its place in `groups.GROUPS`; -1 for none."""
    forbidden: float
    """A group that must not be there; -1 for none."""
    lead: tuple[float, ...]
    """(9,) build sequence of a hidden lead that the molecule must resemble; all -1 for none."""
    certificate: tuple[float, ...]
    """(9,) build sequence of a molecule of score 1, -1 after the last action."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_lengths(wanted=7, low=7, high=7, lead=MAX_ACTIONS, certificate=MAX_ACTIONS)
        for name in ("required", "forbidden"):
            if getattr(self, name) not in range(-1, len(GROUPS)):
                raise TaskError(f"MoleculeTask.{name} must be -1 or a group from 0 to {len(GROUPS) - 1}")
        if self.lead[0] >= 0:
            _replayed(self.lead, "MoleculeTask.lead")
        self._check_certificate()

    @classmethod
    def from_windows(
        cls,
        windows: Mapping[str, tuple[float, float]],
        required: str | None = None,
        forbidden: str | None = None,
        certificate: str | None = None,
    ) -> Self:
        """A task of one's own.

        Args:
            windows: lowest and highest value wanted of some of `objectives.WINDOWED`.
            required, forbidden: names of `groups.GROUPS`.
            certificate: SMILES of a molecule that meets it all; by default one of 6,000 real molecules is looked for.

        Raises:
            TaskError: an unknown name, an empty window, a certificate that fails, or none is known.
            MoleculeError: the certificate does not parse or cannot be built from the vocabulary.
        """
        wanted, low, high = window_columns(windows)
        groups = (_group(required), _group(forbidden))
        found = parsed_certificate(certificate, *groups) if certificate else _find(low, high, wanted, *groups)
        nothing = (NOTHING,) * MAX_ACTIONS
        return cls(tuple(wanted.tolist()), tuple(low.tolist()), tuple(high.tolist()), *groups, nothing, found)


@dataclass(frozen=True)
class MoleculeDistribution(FiniteTaskDistribution):
    """Objectives that some real molecule meets, each as likely as the others.

    A task of variant ``windows-k`` is k windows, each one fifth of the real distribution of a property (one value for
    counts); ``groups`` adds a required and a forbidden functional group; ``lead-hop`` has two windows and a hidden lead
    to resemble. All such tasks that one of 6,000 real molecules meets are in a table, and are divided so that no
    objective and no Murcko scaffold of a certificate is in two of ``train``, ``validation`` (at most 200 tasks, frozen)
    and ``test`` (at most 500). ``ood-combination`` (at most 256): tasks that ask for donors and Fsp3 at once, which
    training never does. ``ood-group`` (variant ``groups``): the required group is one of five that no training task
    names.
    """

    variant: Variant = "windows-3"
    features: Features = "properties"
    """What `labelled` describes molecules by: seven scaled properties, or 1,024 fingerprint bits (needs RDKit)."""
    task_type: ClassVar[type[Task]] = MoleculeTask

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ValueError(
                f"no variant {self.variant!r} here.{nearest(self.variant, VARIANTS)} For 'assay' see AssayDistribution."
            )

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the splits of this variant."""
        common = ("train", "validation", "test", "ood-combination")
        return (*common, "ood-group") if self.variant == "groups" else common

    def training_tasks(self) -> TaskBatch:
        return all_tasks(self.variant, "train")

    def frozen_list(self, split: str) -> FrozenTasks:
        return _frozen(self.variant, split)

    def reference(self, tasks: TaskBatch) -> Reference:
        """Random: the mean score of a fixed pool of randomly built molecules. Oracle: 1, by the certificate."""
        return Reference(random=scores_of(pool(), tasks).mean(axis=1), oracle=np.ones(len(tasks)))

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """Molecules and scores: one in three from the best 5 % of real molecules for the task, the rest at random.

        ``x`` (tasks, n, 7 or 1024) as `features` says; ``y`` the score.
        """
        real = anchors()
        table = scores_of(real, tasks)
        chosen = rng.integers(len(real), size=(len(tasks), n))
        ranked = np.argsort(-table, axis=1, kind="stable")[:, : len(real) // 20]
        good = np.take_along_axis(ranked, rng.integers(ranked.shape[1], size=(len(tasks), n)), axis=1)
        chosen = np.where(rng.random((len(tasks), n)) < 1 / 3, good, chosen)
        described = real.bits() if self.features == "fingerprint" else scaled(real.values)
        return Labelled(described[chosen], np.take_along_axis(table, chosen, axis=1), tasks.ids)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, c) zeros and ones: which bins the windows cover; in variant ``groups`` also the two groups (one-hot); in
        ``lead-hop`` which fragments the lead has."""
        parts = [criteria.covered_bins(tasks.low, tasks.high, tasks.wanted)]
        if self.variant == "groups":
            parts += [_one_hot(tasks.required, len(GROUPS)), _one_hot(tasks.forbidden, len(GROUPS))]
        if self.variant == "lead-hop":
            fragment = replay(tasks.lead.astype(np.int16)).fragment
            parts.append((fragment[:, :, None] == np.arange(load_vocabulary().n_fragments)).any(axis=1))
        return np.concatenate(parts, axis=1).astype(np.float32)


def scores_of(molecules: Molecules, tasks: TaskBatch) -> Floats:
    """(tasks, molecules) true scores, constraints included; a hidden lead needs RDKit."""
    table = score_table(molecules.values, tasks) * molecules.feasible
    if (tasks.required >= 0).any() or (tasks.forbidden >= 0).any():
        table *= group_factor(molecules.groups, tasks.required[:, None], tasks.forbidden[:, None])
    with_lead = np.flatnonzero(tasks.lead[:, 0] >= 0)
    if len(with_lead):
        known, which = np.unique(tasks.lead[with_lead], axis=0, return_inverse=True)
        for i, lead in enumerate(fingerprints(known.astype(np.int16))):
            rows = with_lead[which.ravel() == i]
            table[rows] *= likeness(molecules.fingerprints(), lead)
    return table


def window_columns(windows: Mapping[str, tuple[float, float]]) -> tuple[Floats, Floats, Floats]:
    """``wanted``, ``low`` and ``high``, each (7,), of windows by name of the property.

    Raises:
        TaskError: an unknown name or an empty window.
    """
    low, high, wanted = np.zeros(7), np.zeros(7), np.zeros(7)
    for name, (least, most) in windows.items():
        if name not in WINDOWED:
            raise TaskError(f"there is no window on {name!r}.{nearest(name, WINDOWED)}")
        if not least <= most:
            raise TaskError(f"the window of {name!r} is empty: {least} to {most}")
        j = WINDOWED.index(name)
        low[j], high[j], wanted[j] = least, most, 1
    return wanted, low, high


def scaled(values: Floats) -> Floats:
    """(…, 7) properties, centred on real molecules and divided by twice their standard deviation."""
    return (values - criteria.CENTRE) / criteria.SPREAD


FROZEN_SIZES = {"validation": 200, "test": 500, "ood-combination": 256, "ood-group": 256}
FROZEN_SEED = 20_250_701  # chosen; any fixed number does


@lru_cache(maxsize=16)
def all_tasks(variant: Variant, split: str) -> TaskBatch:
    """Every objective of a split, those too that its frozen list leaves out."""
    tasks = TaskBatch(MoleculeTask, criteria.objectives(variant, split))
    tasks.ids  # noqa: B018 (computed once for all)
    return tasks


def frozen_tasks(variant: Variant, split: str) -> TaskBatch:
    """The evaluation list of a split: some of its objectives, or all if they are few."""
    tasks = all_tasks(variant, split)
    rng = np.random.default_rng([FROZEN_SEED, list(VARIANTS).index(variant), list(FROZEN_SIZES).index(split)])
    return tasks.take(np.sort(rng.permutation(len(tasks))[: FROZEN_SIZES[split]]))


@lru_cache(maxsize=32)
def _frozen(variant: Variant, split: str) -> FrozenTasks:
    tasks = frozen_tasks(variant, split)
    if tasks.sha256 != frozen_sha256(variant, split):
        raise TaskError(
            f"the list {split!r} of variant {variant!r} is not the one that was frozen; install metaenv again"
        )
    return FrozenTasks(split, tasks, MoleculeDistribution(variant).reference(tasks), tasks.sha256)


def _one_hot(number: Floats, size: int) -> NDArray[np.bool_]:
    return number[:, None] == np.arange(size)


def _sequence(numbers: tuple[float, ...]) -> NDArray[np.int16]:
    return np.array(numbers, np.int16)


def _replayed(sequence: tuple[float, ...], name: str) -> Floats:
    """(7,) properties of a build sequence, refused if it is none."""
    try:
        return additive(replay(_sequence(sequence)[None]))[0, COLUMNS]
    except (ValueError, IndexError) as error:
        raise TaskError(f"{name} is not a build sequence: {error}") from None


def parsed_certificate(smiles: str, required: float = NOTHING, forbidden: float = NOTHING) -> tuple[float, ...]:
    """The build sequence of a certificate; its windows are checked with the task."""
    from metaenv.molecules.chem.smiles import parse

    actions = parse(smiles)
    score = Scores(with_fingerprint=False)(actions[None])[0]
    if not feasible(score):
        alert = " and a structural alert" if score.alert else ""
        raise TaskError(
            f"the certificate {smiles!r} has synthetic accessibility {score.sa:.1f}{alert}; expected at most {MAX_SA} "
            "and no alert, as every task asks for"
        )
    if group_factor(np.array([score.groups]), np.array([required]), np.array([forbidden]))[0] < 1:
        raise TaskError(f"the certificate {smiles!r} lacks the required group or has the forbidden one")
    return tuple(float(a) for a in actions)


def _group(name: str | None) -> float:
    if name is None:
        return NOTHING
    if name not in GROUPS:
        raise TaskError(f"there is no group {name!r}.{nearest(name, GROUPS)}")
    return float(list(GROUPS).index(name))


def _find(low: Floats, high: Floats, wanted: Floats, required: float, forbidden: float) -> tuple[float, ...]:
    """The first real molecule that meets it all."""
    real = anchors()
    inside = ((low <= real.values) & (real.values <= high)) | (wanted == 0)
    fits = inside.all(axis=1) & (group_factor(real.groups, np.array(required), np.array(forbidden)) == 1)
    if not fits.any():
        counts = ", ".join(f"{n}: {inside[:, j].sum()}" for j, n in enumerate(WINDOWED) if wanted[j])
        raise TaskError(
            f"none of {len(real):,} known molecules meets this objective (windows taken singly: {counts}; all windows "
            f"together: {inside.all(axis=1).sum()}); widen it, or give the SMILES of one that does as `certificate`"
        )
    return tuple(real.actions[np.argmax(fits)].astype(float).tolist())
