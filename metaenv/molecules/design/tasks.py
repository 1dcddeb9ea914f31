"""Hidden drug-design objectives, each certified by a molecule that meets it."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.molecules.chem.assembly import replay
from metaenv.molecules.chem.chemistry import OWN, PACKAGED, Chemistry
from metaenv.molecules.chem.properties import Score, Scores
from metaenv.molecules.chem.scoring import SIMILAR, group_factor, packed, similarity_factor
from metaenv.molecules.chem.smiles import parse
from metaenv.molecules.design import objective_splits
from metaenv.molecules.design.certificates import check_certificates, found_certificate, scores_of, sequence_numbers
from metaenv.molecules.design.terms import (
    QUANTITIES,
    Term,
    lead_smiles,
    packed_terms,
    patterns_of,
    range_weights,
    term_factor,
    terms_of,
    unpacked_terms,
)
from metaenv.molecules.objectives import (
    PropertyRanges,
    Range,
    TabulatedDistribution,
    range_columns,
    read_ranges,
    replayed,
    task_type_of,
)
from metaenv.molecules.reference_molecules import Molecules, Portfolio, random_molecules, real_molecules
from metaenv.tasks import Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.typing import Floats

Variant = Literal["profile", "windows-3", "windows-4", "windows-5", "groups", "scaffold-hop", "assay"]
VARIANTS: tuple[Variant, ...] = ("windows-3", "windows-4", "windows-5", "groups", "scaffold-hop")
"""Those whose objectives are a closed table of ranges (windows), computed from the molecule alone."""
EPISODES: dict[Variant, int] = {
    **dict.fromkeys(VARIANTS[:2], 5),
    **dict.fromkeys((*VARIANTS[2:], "assay", "profile"), 10),
}
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
    optional: ClassVar[str] = "terms"

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
    terms: tuple[float, ...] = ()
    """What else is asked for, as `terms.packed_terms` makes it into numbers; tasks of the splits have none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        most, groups = self.chemistry.vocabulary.max_actions, self.chemistry.groups
        self.check(lead=most, certificate=most)
        for name in ("required", "forbidden"):
            if getattr(self, name) not in range(-1, len(groups)):
                raise TaskError(f"MoleculeTask.{name} must be -1 or a group from 0 to {len(groups) - 1}")
        if self.lead != (NOTHING,) * most:
            replayed(self.lead, "MoleculeTask.lead", self.chemistry)
        asked = (*self.wanted, self.required + 1, self.forbidden + 1, self.lead[0] + 1, len(self.further_terms()))
        if not any(asked):
            raise TaskError("the objective asks for nothing: expected a range, a group, a lead or a SMARTS")

    @classmethod
    def from_ranges(
        cls,
        ranges: Mapping[str, Range] = {},
        required: str | Sequence[str] = (),
        forbidden: str | Sequence[str] = (),
        certificate: str | None = None,
        *,
        weights: Mapping[str, float] = {},
        softness: Mapping[str, float] = {},
        lead: str | None = None,
        similarity: float = SIMILAR,
    ) -> Self:
        """A task of one's own: ``from_ranges({"mw": (None, 350), "qed": (0.6, None)}, required="C(F)F")``.

        The score of a molecule is the product of a factor for each demand. Whatever the variant of the environment is,
        all of them count.

        Args:
            ranges: lowest and highest value that is asked for of `properties.PROPERTIES` and of `terms.QUANTITIES`;
                None for an open end.
            required, forbidden: functional groups that must or must not be there, each the name of one of
                `Chemistry.groups` or a SMARTS; each fault multiplies the score by `scoring.GROUP_PENALTY`.
            certificate: SMILES of a molecule that meets it all; by default one of the real molecules, or the lead.
            weights: of ranges (1): exponents of their desirabilities, so that 2 counts twice.
            softness: standard deviation of the flanks of ranges, in the unit of the property; by default
                `scoring.SOFTNESS` and `terms.QUANTITIES`.
            lead: SMILES of a molecule that the molecule must resemble, whether or not the vocabulary can build it.
            similarity: Tanimoto similarity of radius-2 Morgan fingerprints from which a molecule counts as the lead's
                equal.

        Raises:
            TaskError: an unknown name, an empty range, nothing that is asked for, a certificate that does not score 1,
                or none is known.
            MoleculeError: a SMILES does not parse, or the certificate cannot be built from the vocabulary.
        """
        chemistry, own = cls.chemistry, dict(zip(cls.properties, cls.softness.tolist(), strict=False))
        further = {name: soft for name, soft in QUANTITIES.items() if name not in own}
        asked = read_ranges(ranges, (*own, *further))
        exponents = range_weights(asked, weights, softness, own | further)
        inner = {name: ends for name, ends in asked.items() if name in own}
        columns = range_columns(inner, exponents, cls.properties)
        terms = [
            Term("range", n, *asked[n], soft / math.sqrt(exponents[n])) for n, soft in further.items() if n in asked
        ]
        groups: dict[str, float] = {}
        for kind, given in (("required", required), ("forbidden", forbidden)):
            groups[kind], patterns = patterns_of(given, kind, chemistry.groups)
            terms += [Term(kind, smarts) for smarts in patterns]  # type: ignore[arg-type]
        if lead is not None:
            terms.append(Term("similar", lead_smiles(lead), float(similarity)))
        vocabulary = chemistry.vocabulary
        first = real_molecules(chemistry).actions[0] if certificate is None else parse(certificate, vocabulary)
        wanted, low, high = (tuple(column.tolist()) for column in columns)
        fields: dict[str, Any] = {"wanted": wanted, "low": low, "high": high, **groups}
        fields |= {"lead": (NOTHING,) * vocabulary.max_actions, "certificate": sequence_numbers(first)}
        if terms:
            fields["terms"] = packed_terms(terms)
        batch = TaskBatch(cls, {name: [value] for name, value in fields.items()})
        if certificate is not None:
            check_certificates(batch)
        else:
            fields["certificate"] = found_certificate(batch, [] if lead is None else [lead])
        return cls(**fields)

    @classmethod
    def asked_similarity(cls, tasks: TaskBatch) -> Floats:
        """(n,) from which similarity on a molecule counts as the lead's equal."""
        return np.full(len(tasks), SIMILAR)

    def further_terms(self) -> tuple[Term, ...]:
        """What the task asks for besides ranges of properties, the groups of the list and the lead."""
        return unpacked_terms(self.terms)

    def to_dict(self) -> dict[str, Any]:
        values = super().to_dict()
        return {**values, "terms": [list(astuple(term)) for term in self.further_terms()]} if self.terms else values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        terms = values.get("terms", ())
        if isinstance(terms, list | tuple) and terms and all(isinstance(each, list | tuple) for each in terms):
            try:
                values = {**values, "terms": packed_terms([Term(*each) for each in terms])}
            except TypeError as error:
                raise TaskError(f"MoleculeTask.terms holds no terms: {error}") from None
        return super().from_dict(values)


CHEMBL_TASK = task_type_of(MoleculeTask, PACKAGED["chembl"])
"""The type of the tasks of that chemistry, so that `metaenv.registry.task_from_json` knows it."""


class ObjectiveDistribution(TaskDistribution):
    """What MoleculeDesign asks of the distribution of its objectives."""

    @property
    def softness(self) -> Floats:
        """(p,) standard deviations of the flanks of the ranges of `PropertyRanges.properties`."""
        return cast(type[PropertyRanges], self.task_type).softness

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

    @abstractmethod
    def check(self, tasks: TaskBatch) -> None:
        """Refuse, with a TaskError, tasks that cannot be played."""

    @abstractmethod
    def looks_at(self, tasks: TaskBatch) -> tuple[bool, bool, bool]:
        """Whether scores of any of these tasks depend on the list of groups, on fingerprints, on anything hidden."""

    def reference(self, tasks: TaskBatch) -> Reference:
        """Random: the mean score of a fixed pool of randomly built molecules. Oracle: 1, by the certificate."""
        return Reference(random=self.score_random(tasks).mean(axis=1), oracle=np.ones(len(tasks)))


class ComputedObjectives(ObjectiveDistribution):
    """Objectives whose scores are computed from the molecule alone, of ranges, groups, a lead and terms."""

    chemistry: Chemistry
    """What molecules and objectives are made of."""
    task_type: type[MoleculeTask]  # type: ignore[misc]

    @abstractmethod
    def described(self, molecules: Molecules) -> Floats:
        """(m, …) what few-shot learners are shown of molecules."""

    def hidden_factor(self, tasks: TaskBatch, found: Sequence[Score], scores: Scores) -> Floats:
        """(n,) the factor for groups, or for similarity to the lead, whose fingerprint ``scores`` makes."""
        factor = np.ones(len(tasks))
        if (tasks.required >= 0).any() or (tasks.forbidden >= 0).any():
            groups = np.array([score.groups for score in found], np.int64)
            factor *= group_factor(groups, tasks.required, tasks.forbidden)
        led = np.flatnonzero(tasks.lead[:, 0] >= 0)
        if len(led):
            leads = scores(tasks.lead[led].astype(np.int16))
            asked = self.task_type.asked_similarity(tasks)[led]
            factor[led] *= similarity_factor(packed([found[i] for i in led.tolist()]), packed(leads), asked)
        for i in np.flatnonzero(tasks.terms.any(axis=1)).tolist():
            factor[i] *= term_factor(found[i].smiles, terms_of(tasks.terms[i]))
        return factor

    def check(self, tasks: TaskBatch) -> None:
        check_certificates(tasks)

    def looks_at(self, tasks: TaskBatch) -> tuple[bool, bool, bool]:
        groups = bool((tasks.required >= 0).any() or (tasks.forbidden >= 0).any())
        led = bool((tasks.lead[:, 0] >= 0).any())
        return groups, led, groups or led or bool(tasks.terms.any())

    def score_random(self, tasks: TaskBatch) -> Floats:
        return scores_of(random_molecules(self.chemistry), tasks)

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """Molecules and scores: one in three from the best 5 % of real molecules for the task, the rest at random.

        ``x`` (tasks, n, …) as `described` gives it; ``y`` the score.
        """
        real = real_molecules(self.chemistry)
        table = scores_of(real, tasks)
        chosen = rng.integers(len(real), size=(len(tasks), n))
        ranked = np.argsort(-table.round(9), axis=1, kind="stable")[:, : len(real) // 20]
        good = np.take_along_axis(ranked, rng.integers(ranked.shape[1], size=(len(tasks), n)), axis=1)
        chosen = np.where(rng.random((len(tasks), n)) < 1 / 3, good, chosen)
        described = self.described(real)
        return Labelled(described[chosen], np.take_along_axis(table, chosen, axis=1), tasks.ids)


def objectives_of(variant: Variant, source: Any = None, chemistry: Chemistry = OWN) -> ObjectiveDistribution:
    """The distribution of a variant of the environment; ``source`` is that of the measurements of variant ``assay``.

    Raises:
        ValueError: there is no such variant, or not with this chemistry, or a source for one that needs none.
        ImportError: the measurements of variant ``assay`` are not there.
    """
    if variant == "assay":
        if chemistry != OWN:
            raise ValueError(
                f"variant 'assay' has the chemistry 'zinc', got {str(chemistry)!r}: leave out chemistry or take "
                "another variant"
            )
        return import_module("metaenv.molecules.assay.own").assay_objectives(source)  # which imports this module
    if source is not None:
        raise ValueError(f"measurements are for variant 'assay'; variant {variant!r} takes no assay_data")
    if variant == "profile":
        return import_module("metaenv.molecules.design.profiles").ProfileDistribution(chemistry)  # likewise
    return MoleculeDistribution(variant, chemistry=chemistry)


@dataclass(frozen=True)
class MoleculeDistribution(ComputedObjectives, TabulatedDistribution):
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

    def portfolio(self) -> Portfolio:
        return stored_portfolio(self.variant, self.chemistry)

    def described(self, molecules: Molecules) -> Floats:
        return molecules.bits() if self.features == "fingerprint" else self.chemistry.scaled(molecules.values)

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


@lru_cache(maxsize=8)
def stored_portfolio(variant: str, chemistry: Chemistry) -> Portfolio:
    """The portfolio of a variant, as the chemistry's folder has it."""
    entry = chemistry.json("portfolio.json")[variant]
    found = Portfolio(np.array(entry["sequences"], np.int16), np.array(entry["train_score"]))
    found.sequences.flags.writeable = False
    return found
