"""Hidden drug-design objectives, each certified by a molecule that meets it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.molecules.chem.assembly import replay
from metaenv.molecules.chem.chemistry import OWN, Chemistry
from metaenv.molecules.chem.properties import Score, Scores
from metaenv.molecules.chem.scoring import MAX_SA, feasible, group_factor, packed, score_table, similarity_factor
from metaenv.molecules.chem.smiles import parse
from metaenv.molecules.design import objective_splits
from metaenv.molecules.objectives import (
    PropertyRanges,
    TabulatedDistribution,
    counts_inside,
    inside,
    range_columns,
    replayed,
    task_type_of,
)
from metaenv.molecules.reference_molecules import Molecules, Portfolio, fingerprints, random_molecules, real_molecules
from metaenv.tasks import Labelled, Reference, Task, TaskBatch
from metaenv.typing import Floats

Variant = Literal["windows-3", "windows-4", "windows-5", "groups", "scaffold-hop", "assay"]
VARIANTS: tuple[Variant, ...] = ("windows-3", "windows-4", "windows-5", "groups", "scaffold-hop")
"""Those whose objectives are computed from the molecule alone."""
EPISODES: dict[Variant, int] = {**dict.fromkeys(VARIANTS[:2], 5), **dict.fromkeys((*VARIANTS[2:], "assay"), 10)}
"""The number of molecules in a trial of each variant."""
Features = Literal["properties", "fingerprint"]
FROZEN_SIZES = {"validation": 200, "test": 500, "ood-combination": 256, "ood-group": 256}
FROZEN_SEED = 20_250_701  # chosen; any fixed number does
NOTHING = -1.0
"""In a field of a task: no group, or no further action of a build sequence."""


@dataclass(frozen=True)
class MoleculeTask(PropertyRanges, Task):
    """One hidden objective, with a molecule that meets it."""

    family: ClassVar[str] = "MoleculeObjective"

    wanted: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    required: float
    """A group that must be part of the molecule, by its place in `Chemistry.groups`; -1 for none."""
    forbidden: float
    """A group that must not be part of it; -1 for none."""
    lead: tuple[float, ...]
    """(L,) build sequence of a hidden lead that the molecule must resemble; all -1 for none."""
    certificate: tuple[float, ...]
    """(L,) build sequence of a molecule of score 1, -1 after the last action."""

    def __post_init__(self) -> None:
        super().__post_init__()
        most, groups = self.chemistry.vocabulary.max_actions, self.chemistry.groups
        self.check(lead=most, certificate=most)
        for name in ("required", "forbidden"):
            if getattr(self, name) not in range(-1, len(groups)):
                raise TaskError(f"MoleculeTask.{name} must be -1 or a group from 0 to {len(groups) - 1}")
        if self.lead != (NOTHING,) * most:
            replayed(self.lead, "MoleculeTask.lead", self.chemistry)

    @classmethod
    def from_ranges(
        cls,
        ranges: Mapping[str, tuple[float, float]],
        required: str | None = None,
        forbidden: str | None = None,
        certificate: str | None = None,
    ) -> Self:
        """A task of one's own.

        Args:
            ranges: lowest and highest value that is asked for of some of `properties.PROPERTIES`.
            required, forbidden: names of `Chemistry.groups`.
            certificate: SMILES of a molecule that meets it all; by default, one of the real molecules.

        Raises:
            TaskError: an unknown name, an empty range, a certificate that fails, or none is known.
            MoleculeError: the certificate does not parse or cannot be built from the vocabulary.
        """
        columns = range_columns(ranges)
        chemistry = cls.chemistry
        groups = (_group(required, chemistry), _group(forbidden, chemistry))
        if certificate:
            found = parsed_certificate(certificate, *groups, chemistry=chemistry)
        else:
            found = _find(*columns, *groups, chemistry)
        wanted, low, high = (tuple(column.tolist()) for column in columns)
        return cls(wanted, low, high, *groups, (NOTHING,) * chemistry.vocabulary.max_actions, found)


class ObjectiveDistribution(TabulatedDistribution):
    """What MoleculeDesign asks of the distribution of its objectives."""

    @abstractmethod
    def hidden_factor(self, tasks: TaskBatch, found: Sequence[Score], scores: Scores) -> Floats:
        """(n,) the factor of the score of molecule i for task i besides properties and constraints.

        ``found`` are RDKit's scores of the molecules, as far as the objectives need them; ``scores`` scores other
        molecules that the objectives name.
        """

    @abstractmethod
    def score_random(self, tasks: TaskBatch) -> Floats:
        """(tasks, 8192) true scores of `random_molecules`."""

    @abstractmethod
    def portfolio(self) -> Portfolio:
        """Ten real molecules that serve the training tasks best; each raises most the mean of the best score so far."""

    def check(self, tasks: TaskBatch) -> None:
        """Refuse, with a TaskError, tasks that cannot be played."""

    def reference(self, tasks: TaskBatch) -> Reference:
        """Random: the mean score of a fixed pool of randomly built molecules. Oracle: 1, by the certificate."""
        return Reference(random=self.score_random(tasks).mean(axis=1), oracle=np.ones(len(tasks)))


def objectives_of(variant: Variant, source: str | None = None, chemistry: Chemistry = OWN) -> ObjectiveDistribution:
    """The distribution of a variant of the environment; ``source`` is that of the measurements of variant ``assay``.

    Raises:
        ValueError: there is no such variant, or not with this chemistry.
        ImportError: the measurements of variant ``assay`` are not there.
    """
    if variant != "assay":
        return MoleculeDistribution(variant, chemistry=chemistry)
    if chemistry != OWN:
        raise ValueError("variant 'assay' has the package's own chemistry: leave out chemistry or take another variant")
    return import_module("metaenv.molecules.assay.tasks").AssayDistribution(source)  # which imports this module


@dataclass(frozen=True)
class MoleculeDistribution(ObjectiveDistribution):
    """Objectives that some real molecule meets, each as likely as the others.

    A task of variant ``windows-k`` asks for ranges of k properties, each one fifth of the real distribution of the
    property (one value of a count); ``groups`` asks for three, and has a required and a forbidden functional group;
    ``scaffold-hop`` asks for two, and for similarity to a hidden lead. All such tasks that one of 6,000 real molecules
    meets are in a table. They are divided so that no objective and no Murcko scaffold of a certificate is in two of
    ``train``, ``validation`` (at most 200 tasks, frozen) and ``test`` (at most 500). ``ood-combination`` (at most 256):
    tasks that ask for donors and Fsp3 at once, which training never does. ``ood-group`` (variant ``groups``): the
    required group is one of five that no training task names.
    """

    variant: Variant = "windows-3"
    features: Features = "properties"
    """What `labelled` describes molecules by: seven scaled properties, or 1,024 fingerprint bits (needs RDKit)."""
    chemistry: Chemistry = OWN
    """What molecules and objectives are made of."""
    frozen_file: ClassVar[str] = "frozen.json"
    frozen_sizes: ClassVar[Mapping[str, int]] = FROZEN_SIZES

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ValueError(f"there is no variant {self.variant!r}.{nearest(self.variant, EPISODES)}")

    @property
    def task_type(self) -> type[MoleculeTask]:  # type: ignore[override]
        """`MoleculeTask`, of its chemistry."""
        return task_type_of(MoleculeTask, self.chemistry)

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the splits of this variant."""
        common = ("train", "validation", "test", "ood-combination")
        return (*common, "ood-group") if self.variant == "groups" else common

    def enumerate_tasks(self, split: str) -> TaskBatch:
        return TaskBatch(self.task_type, objective_splits.objectives(self.variant, split, self.chemistry))

    def frozen_seed(self, split: str) -> list[int]:
        return [FROZEN_SEED, VARIANTS.index(self.variant), list(FROZEN_SIZES).index(split)]

    def manifest(self) -> dict[str, Any]:
        return super().manifest()[self.variant]

    def hidden_factor(self, tasks: TaskBatch, found: Sequence[Score], scores: Scores) -> Floats:
        """(n,) the factor for groups, or for similarity to the lead, whose fingerprint ``scores`` makes."""
        factor = np.ones(len(tasks))
        if (tasks.required >= 0).any() or (tasks.forbidden >= 0).any():
            groups = np.array([score.groups for score in found], np.int64)
            factor *= group_factor(groups, tasks.required, tasks.forbidden)
        led = np.flatnonzero(tasks.lead[:, 0] >= 0)
        if len(led):
            leads = scores(tasks.lead[led].astype(np.int16))
            factor[led] *= similarity_factor(packed([found[i] for i in led.tolist()]), packed(leads))
        return factor

    def score_random(self, tasks: TaskBatch) -> Floats:
        return scores_of(random_molecules(self.chemistry), tasks)

    def portfolio(self) -> Portfolio:
        return _portfolio(self.variant, self.chemistry)

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """Molecules and scores: one in three from the best 5 % of real molecules for the task, the rest at random.

        ``x`` (tasks, n, 7 or 1024) as `features` says; ``y`` the score.
        """
        real = real_molecules(self.chemistry)
        table = scores_of(real, tasks)
        chosen = rng.integers(len(real), size=(len(tasks), n))
        ranked = np.argsort(-table, axis=1, kind="stable")[:, : len(real) // 20]
        good = np.take_along_axis(ranked, rng.integers(ranked.shape[1], size=(len(tasks), n)), axis=1)
        chosen = np.where(rng.random((len(tasks), n)) < 1 / 3, good, chosen)
        described = real.bits() if self.features == "fingerprint" else self.chemistry.scaled(real.values)
        return Labelled(described[chosen], np.take_along_axis(table, chosen, axis=1), tasks.ids)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, c) zeros and ones: which bins the ranges cover; in variant ``groups`` also the two groups (one-hot); in
        ``scaffold-hop`` which fragments the lead has."""
        known = self.chemistry
        parts = [known.covered_bins(tasks.low, tasks.high, tasks.wanted)]
        if self.variant == "groups":
            parts += [group[:, None] == np.arange(len(known.groups)) for group in (tasks.required, tasks.forbidden)]
        if self.variant == "scaffold-hop":
            fragment = replay(tasks.lead.astype(np.int16), known.vocabulary).fragment
            parts.append((fragment[:, :, None] == np.arange(known.vocabulary.n_fragments)).any(axis=1))
        return np.concatenate(parts, axis=1).astype(np.float32)


def scores_of(molecules: Molecules, tasks: TaskBatch) -> Floats:
    """(tasks, molecules) true scores, constraints included; a hidden lead needs RDKit."""
    table = score_table(molecules.values, tasks) * molecules.feasible
    if (tasks.required >= 0).any() or (tasks.forbidden >= 0).any():
        table *= group_factor(molecules.groups, tasks.required[:, None], tasks.forbidden[:, None])
    with_lead = np.flatnonzero(tasks.lead[:, 0] >= 0)
    if len(with_lead):
        known, which = np.unique(tasks.lead[with_lead], axis=0, return_inverse=True)
        for i, lead in enumerate(fingerprints(known.astype(np.int16), molecules.chemistry)):
            rows = with_lead[which.ravel() == i]
            table[rows] *= similarity_factor(molecules.fingerprints(), lead)
    return table


@lru_cache(maxsize=8)
def _portfolio(variant: Variant, chemistry: Chemistry) -> Portfolio:
    entry = chemistry.json("portfolio.json")[variant]
    found = Portfolio(np.array(entry["sequences"], np.int16), np.array(entry["train_score"]))
    found.sequences.flags.writeable = False
    return found


def parsed_certificate(
    smiles: str, required: float = NOTHING, forbidden: float = NOTHING, chemistry: Chemistry = OWN
) -> tuple[float, ...]:
    """The build sequence of a certificate; its ranges are checked with the task."""
    vocabulary = chemistry.vocabulary
    actions = parse(smiles, vocabulary)
    score = Scores(with_fingerprint=False, vocabulary=vocabulary, groups=chemistry.groups)(actions[None])[0]
    if not feasible(score):
        alert = " and a structural alert" if score.alert else ""
        raise TaskError(
            f"the certificate {smiles!r} has synthetic accessibility {score.sa:.1f}{alert}; expected at most {MAX_SA} "
            "and no alert, as every task demands"
        )
    if group_factor(np.array([score.groups]), np.array([required]), np.array([forbidden]))[0] < 1:
        raise TaskError(f"the certificate {smiles!r} lacks the required group or has the forbidden one")
    return tuple(float(a) for a in actions)


def _group(name: str | None, chemistry: Chemistry) -> float:
    groups = chemistry.groups
    if name is not None and name not in groups:
        raise TaskError(f"there is no group {name!r}.{nearest(name, groups)}")
    return NOTHING if name is None else float(list(groups).index(name))


def _find(
    wanted: Floats, low: Floats, high: Floats, required: float, forbidden: float, chemistry: Chemistry
) -> tuple[float, ...]:
    """The first feasible real molecule that meets it all."""
    real = real_molecules(chemistry)
    within = inside(real.values, wanted, low, high)
    fits = group_factor(real.groups, np.array(required), np.array(forbidden)) == 1
    fits &= real.feasible & within.all(axis=1)
    if not fits.any():
        raise TaskError(
            f"none of {len(real):,} known molecules meets this objective (each range on its own: "
            f"{counts_inside(within, wanted)}; all ranges together: {within.all(axis=1).sum()}); widen one, or give "
            "the SMILES of a molecule that meets it as `certificate`"
        )
    return tuple(real.actions[np.argmax(fits)].astype(float).tolist())
