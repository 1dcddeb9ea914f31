"""Property profiles: an endless family of hidden objectives, each certified by a molecule that meets it.

A profile asks for ranges of two to four descriptors. Their middles and widths, and how steeply the score falls off
outside, are real numbers. Some profiles also require or forbid a functional group, or ask for similarity to a hidden
lead: a hop, whose certificate has another Murcko scaffold than the lead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError
from metaenv.molecules.chem.assembly import replay
from metaenv.molecules.chem.chemistry import PACKAGED, Chemistry
from metaenv.molecules.chem.descriptors import DESCRIPTOR_SOFTNESS, DESCRIPTORS
from metaenv.molecules.chem.fragmentation import pattern, to_mol
from metaenv.molecules.chem.properties import Score, Scores, fingerprint
from metaenv.molecules.chem.scoring import GROUP_PENALTY, similarity_factor
from metaenv.molecules.design.tasks import NOTHING, ComputedObjectives, MoleculeTask, stored_portfolio
from metaenv.molecules.design.terms import term_factor, terms_of
from metaenv.molecules.objectives import in_split, task_type_of
from metaenv.molecules.reference_descriptors import descriptors_of, hops, real_descriptors, scale
from metaenv.molecules.reference_molecules import Molecules, Portfolio, fingerprints, real_molecules, scaffold_tenths
from metaenv.tasks import FrozenTasks, Reference, TaskBatch
from metaenv.typing import Bools, Floats, Index

N = len(DESCRIPTORS)
SIMILARITY = N
"""The place of similarity to the lead among the fields' numbers."""
SIZES = (3, 4)
"""How many descriptors a profile asks for, equally likely; one less where there is a lead, and of two that must not
come together one is left out (chosen)."""
HALF_WIDTH = (0.2, 0.5)
"""Ends of half the width of a range, in standard deviations of the descriptor (chosen)."""
FLANK = (0.6, 1.2)
"""Ends of the standard deviation of its flanks, likewise, uniform in the logarithm (chosen)."""
SHARE = 0.15
"""Of profiles that require a group, of those that forbid one, and of those that have a lead (chosen)."""
NEAR = (0.85, 1.0)
"""Ends of the similarity that is asked for, as a share of the certificate's own (chosen)."""
EVENNESS, MOST_UNUSUAL = 0.125, 0.98
"""A molecule certifies exp(0.125 z²) times as many profiles, z² being its squared distance from the mean in standard
deviations, summed over descriptors, up to the quantile of 0.98 (chosen): so the profiles are spread more evenly over
what molecules can be than molecules are."""
HELD_OUT_PAIRS = (("hbd", "fsp3"), ("tpsa", "aromatic_rings"))
"""Descriptors that only ``ood-pair`` asks for at once (chosen)."""
SAME = ("mw", "heavy_atoms")
"""Never asked for at once: they say nearly the same."""
HELD_OUT_REGIONS = {"logp": (4.2, np.inf), "tpsa": (-np.inf, 40.0)}
"""Values of descriptors that only profiles of ``ood-range`` are certified with and ask for (chosen: an eighth and a
sixth of the molecules of "chembl")."""
FROZEN = {"validation": 200, "test": 500, "ood-pair": 256, "ood-range": 256, "ood-group": 256, "ood-lead": 256}
"""Tasks of each frozen list."""
FROZEN_SEED = 20_261_129  # chosen; any fixed number does
REMEMBERED = 100_000  # answers of RDKit
DUPLICATE_PENALTY = 0.5  # unless another one is asked for (chosen)
DECIMALS = 6  # of a task's numbers, so that they are the same on every machine


@dataclass(frozen=True)
class ProfileTask(MoleculeTask):
    """One hidden property profile, with a molecule that meets it.

    ``wanted``, ``low`` and ``high`` have twelve numbers, in the order of `DESCRIPTORS`, and then of similarity to the
    lead, whose ``low`` is the similarity from which a molecule counts as the lead's equal.
    """

    family: ClassVar[str] = "MoleculeProfile"
    properties: ClassVar[tuple[str, ...]] = (*DESCRIPTORS, "similarity")
    softness: ClassVar[Floats] = DESCRIPTOR_SOFTNESS

    def __post_init__(self) -> None:
        super().__post_init__()
        asked, least = self.wanted[SIMILARITY], self.low[SIMILARITY]
        has_lead = self.lead[0] != NOTHING
        if asked != float(has_lead) or (has_lead and not 0 < least <= 1):
            raise TaskError(
                "expected ProfileTask.wanted to end with 1 and low with a similarity above 0 and up to 1 where there "
                f"is a lead, and wanted with 0 where there is none, got {asked!r} and {least!r}"
            )

    @classmethod
    def values_of(cls, actions: NDArray[np.integer]) -> Floats:
        return descriptors_of(actions, cls.chemistry)

    @classmethod
    def asked_similarity(cls, tasks: TaskBatch) -> Floats:
        return np.where(tasks.wanted[:, SIMILARITY] > 0, tasks.low[:, SIMILARITY], 1.0)


CHEMBL_PROFILE = task_type_of(ProfileTask, PACKAGED["chembl"])
"""The type of the tasks of that chemistry, so that `metaenv.registry.task_from_json` knows it."""


@dataclass(frozen=True)
class ProfileDistribution(ComputedObjectives):
    """Property profiles, drawn without end for training.

    A draw picks a real molecule as the certificate, and then descriptors, ranges about its values, groups that it has
    or lacks, and a lead that it is like. No Murcko scaffold of a certificate, and none of a lead, is in two of
    ``train`` (endless), ``validation`` (200 tasks, frozen) and ``test`` (500): these are drawn alike, so that ``test``
    is in distribution, with molecules that training does not have. The other lists (256 each) have molecules of
    ``test`` and hold out what none of the former asks for: ``ood-pair`` donors with Fsp3, or polar surface with
    aromatic rings; ``ood-range`` a logP above 4.2 or a polar surface below 40 Å²; ``ood-group`` one of five groups that
    is required; ``ood-lead`` similarity to a lead that has one of these groups.
    """

    chemistry: Chemistry = PACKAGED["chembl"]
    unit_dim: ClassVar[int] = 2 + 4 * N + 6  # type: ignore[misc]
    splits: ClassVar[tuple[str, ...]] = ("train", *FROZEN)  # type: ignore[misc]
    variant: ClassVar[str] = "profile"

    @property
    def task_type(self) -> type[ProfileTask]:  # type: ignore[override]
        """`ProfileTask`, of its chemistry."""
        return task_type_of(ProfileTask, self.chemistry)

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        first, second, *rest = np.split(unit, [1, 2, *(2 + N * np.arange(1, 5))], axis=1)
        keys, half, place, flank, others = rest
        region = (second[:, 0] * len(HELD_OUT_REGIONS)).astype(np.intp)
        owner = _owners(self.chemistry, split, first[:, 0], region)
        lead, similar = _leads(self.chemistry, split, owner, others[:, 4:6])
        asked = _asked(real_descriptors(self.chemistry)[owner], keys, second[:, 0], region, lead >= 0, split)
        half = DESCRIPTOR_SOFTNESS * _between(HALF_WIDTH, half)
        middle = real_descriptors(self.chemistry)[owner] + half * (2 * place - 1)
        wanted = np.where(asked, (FLANK[0] * (FLANK[1] / FLANK[0]) ** flank) ** -2.0, 0)
        low, high = np.where(asked, middle - half, 0), np.where(asked, middle + half, 0)
        with_lead = (lead >= 0).astype(np.float64)
        sequences = real_molecules(self.chemistry).actions
        required, forbidden = _groups(self.chemistry, split, owner, others[:, :4])
        columns = {
            "wanted": np.column_stack([wanted, with_lead]),
            "low": np.column_stack([low, np.where(lead >= 0, similar, 0)]),
            "high": np.column_stack([high, with_lead]),
            "required": required,
            "forbidden": forbidden,
            "lead": np.where(lead[:, None] >= 0, sequences[lead], NOTHING),
            "certificate": sequences[owner],
        }
        return TaskBatch(self.task_type, {name: np.round(values, DECIMALS) for name, values in columns.items()})

    def frozen_list(self, split: str) -> FrozenTasks:
        """The list of a split, drawn anew in every process, which must have the hash it had when it was frozen."""
        return _frozen(self, split)

    def draw_list(self, split: str) -> TaskBatch:
        """The list of a frozen split, drawn anew."""
        rng = np.random.default_rng([FROZEN_SEED, list(FROZEN).index(split)])
        return self.draw(rng.random((FROZEN[split], self.unit_dim)), split)

    def sizes(self) -> dict[str, Any]:
        """Sizes, hashes and references of the frozen lists, as they are now."""
        found: dict[str, Any] = {}
        for split in FROZEN:
            try:
                tasks = self.draw_list(split)
            except TaskError:  # too few molecules
                found[split] = {"n": 0}
                continue
            random = self.reference(tasks).random.round(DECIMALS).tolist()
            found[split] = {"n": len(tasks), "sha256": tasks.sha256, "random": random}
        return found

    def portfolio(self) -> Portfolio:
        return stored_portfolio(self.variant, self.chemistry)

    def looks_at(self, tasks: TaskBatch) -> tuple[bool, bool, bool]:
        """Groups and fingerprints are looked for where a profile asks for them, as most do not."""
        return False, False, any(super().looks_at(tasks))

    def hidden_factor(self, tasks: TaskBatch, found: Sequence[Score], scores: Scores) -> Floats:
        factor = np.ones(len(tasks))
        patterns = list(self.chemistry.groups.values())
        for column, there in ((tasks.required, True), (tasks.forbidden, False)):
            for i in np.flatnonzero(column >= 0).tolist():
                if _has(found[i].notation, patterns[int(column[i])]) != there:
                    factor[i] *= GROUP_PENALTY
        led = np.flatnonzero(tasks.lead[:, 0] >= 0)
        if len(led):
            bits = np.stack([_bits(found[i].notation) for i in led.tolist()])
            leads = np.stack([_lead_bits(row.tobytes(), self.chemistry) for row in tasks.lead[led].astype(np.int16)])
            factor[led] *= similarity_factor(bits, leads, self.task_type.asked_similarity(tasks)[led])
        for i in np.flatnonzero(tasks.terms.any(axis=1)).tolist():
            factor[i] *= term_factor(found[i].smiles, terms_of(tasks.terms[i]))
        return factor

    def described(self, molecules: Molecules) -> Floats:
        return self.scaled(descriptors_of(molecules.actions, self.chemistry))

    def scaled(self, values: Floats) -> Floats:
        """(…, 11) descriptors, centred on real molecules and divided by twice their standard deviation."""
        centre, spread = scale(self.chemistry)
        return (values - centre) / spread

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, c) which descriptors have a range, its middle and its flanks; the groups (one-hot); which fragments the
        lead has, and the similarity that is asked for."""
        known, wanted = self.chemistry, tasks.wanted[:, :N]
        asked = wanted > 0
        ends = np.clip(tasks.low[:, :N], -1e3, 1e3), np.clip(tasks.high[:, :N], -1e3, 1e3)  # open ones are far away
        middle = np.where(asked, np.clip(self.scaled((ends[0] + ends[1]) / 2), -4, 4) / 4, 0)
        steep = np.where(asked, np.clip(np.log(np.maximum(wanted, 1e-3)), -2, 2) / 2, 0)
        groups = [group[:, None] == np.arange(len(known.groups)) for group in (tasks.required, tasks.forbidden)]
        has = np.zeros((len(tasks), known.vocabulary.n_fragments), bool)
        led = np.flatnonzero(tasks.lead[:, 0] >= 0)
        if len(led):
            fragment = replay(tasks.lead[led].astype(np.int16), known.vocabulary).fragment
            at = np.nonzero(fragment >= 0)
            has[led[at[0]], fragment[at]] = True
        parts = [asked, middle, steep, *groups, has, tasks.low[:, SIMILARITY:]]
        return np.concatenate(parts, axis=1).astype(np.float32)


# HOW A PROFILE IS DRAWN


def _between(ends: tuple[float, float], unit: Floats) -> Floats:
    return ends[0] + (ends[1] - ends[0]) * unit


@lru_cache(maxsize=64)
def _pool(chemistry: Chemistry, split: str, region: int) -> tuple[Index, Floats]:
    """The molecules that certify the profiles of a split, and the cumulative share of profiles of each."""
    real, values = real_molecules(chemistry), real_descriptors(chemistry)
    good = real.feasible & in_split(scaffold_tenths(chemistry), split)
    if split == "ood-range":
        good &= _in_region(values)[:, region]
    if split == "ood-group":
        good &= (real.groups & _held_out(chemistry)) > 0
    if split == "ood-lead":
        good &= _allowed_leads(chemistry, split).any(axis=1)
    rows = np.flatnonzero(good)
    if not len(rows):
        raise TaskError(f"the split {split!r} has no task in {chemistry}: no molecule certifies one; mine from more")
    z = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)
    weight = np.exp(EVENNESS * np.square(z).sum(axis=1))
    weight = np.minimum(weight, np.quantile(weight, MOST_UNUSUAL))[rows]
    return rows, np.cumsum(weight / weight.sum())


def _owners(chemistry: Chemistry, split: str, unit: Floats, region: Index) -> Index:
    """(n,) the certificates, as places among the real molecules."""
    owner = np.zeros(len(unit), np.intp)
    for r in range(len(HELD_OUT_REGIONS)) if split == "ood-range" else [0]:
        rows, share = _pool(chemistry, split, r)
        there = region == r if split == "ood-range" else slice(None)
        owner[there] = rows[np.minimum(np.searchsorted(share, unit[there], side="right"), len(rows) - 1)]
    return owner


def _in_region(values: Floats) -> Bools:
    """(n, 2) which descriptors (n, 11) lie in each of `HELD_OUT_REGIONS`."""
    columns = [values[:, DESCRIPTORS.index(name)] for name in HELD_OUT_REGIONS]
    ends = HELD_OUT_REGIONS.values()
    return np.stack([(low < c) & (c < high) for c, (low, high) in zip(columns, ends, strict=True)], axis=1)


def _asked(values: Floats, keys: Floats, size: Floats, region: Index, with_lead: Bools, split: str) -> Bools:
    """(n, 11) which descriptors the profiles ask for, of certificates with ``values`` (n, 11).

    Those with the smallest ``keys`` are taken; what a split must have is set to -1, and what it must not have to 2.
    """
    keys, rows = keys.copy(), np.arange(len(keys))
    pairs = np.array([[DESCRIPTORS.index(name) for name in pair] for pair in HELD_OUT_PAIRS])
    regions = np.array([DESCRIPTORS.index(name) for name in HELD_OUT_REGIONS])
    held_out = _in_region(values)
    of_region = np.array([[r in pair for r in regions] for pair in pairs])
    which = (size * len(pairs)).astype(np.intp)  # of the pairs, in `ood-pair`; not one with a value that is held out
    which = np.where((of_region[which] & held_out).any(axis=1), 0, which)
    keys[:, regions] = np.where(held_out, 2.0, keys[:, regions])
    if split == "ood-range":
        keys[rows, regions[region]] = -1
    if split == "ood-pair":
        for end in (0, 1):
            keys[rows, pairs[which, end]] = -1
    # The digits of the coordinate that are left say how many are asked for.
    k = SIZES[0] + ((size * 997) % 1 * (SIZES[1] - SIZES[0] + 1)).astype(np.intp) - with_lead
    k = np.maximum(k, 2) if split == "ood-pair" else k
    rank = keys.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    asked = (rank < k[:, None]) & (keys < 1.5)
    same = [DESCRIPTORS.index(name) for name in SAME]
    for p, (a, b) in enumerate([*pairs.tolist(), same]):
        keep = (split == "ood-pair") & (which == p)
        asked[:, b] &= ~asked[:, a] | keep
    return asked


def _held_out(chemistry: Chemistry) -> int:
    """The bits of the groups that only out-of-distribution lists name."""
    return sum(1 << i for i in chemistry.held_out_groups)


def _nth(allowed: Bools, unit: Floats) -> Index:
    """(n,) the place of one of the allowed ones (n, k), each as likely; -1 where there is none."""
    count = allowed.sum(axis=1)
    order = np.cumsum(allowed, axis=1) - 1
    chosen = ((order == (unit * count).astype(np.intp)[:, None]) & allowed).argmax(axis=1)
    return np.where(count > 0, chosen, -1)


def _groups(chemistry: Chemistry, split: str, owner: Index, unit: Floats) -> tuple[Floats, Floats]:
    """(n,) the group that is required, and (n,) the one that is forbidden; -1 for none."""
    places = np.arange(len(chemistry.groups))
    has = (real_molecules(chemistry).groups[owner][:, None] >> places & 1).astype(bool)
    held_out = np.isin(places, chemistry.held_out_groups)
    only = split == "ood-group"
    required = _nth(has & (held_out if only else ~held_out), unit[:, 0])
    required = np.where(only | (unit[:, 1] < SHARE), required, -1)
    forbidden = np.where(unit[:, 3] < SHARE, _nth(~has & ~held_out, unit[:, 2]), -1)
    return required.astype(np.float64), forbidden.astype(np.float64)


@lru_cache(maxsize=8)
def _allowed_leads(chemistry: Chemistry, split: str) -> Bools:
    """(m, 3) which partners of a real molecule are leads in a split."""
    partner = hops(chemistry).partner
    named = (real_molecules(chemistry).groups[partner] & _held_out(chemistry)) > 0
    return (partner >= 0) & (named == (split == "ood-lead"))


def _leads(chemistry: Chemistry, split: str, owner: Index, unit: Floats) -> tuple[Index, Floats]:
    """(n,) the leads as places among the real molecules, -1 for none, and (n,) the similarity that is asked for."""
    only, known = split == "ood-lead", hops(chemistry)
    slot = _nth(_allowed_leads(chemistry, split)[owner], unit[:, 0] if only else unit[:, 0] / SHARE % 1)
    slot = np.where(only | (unit[:, 0] < SHARE), slot, -1)
    lead = np.where(slot >= 0, known.partner[owner, slot], -1)
    return lead, known.similarity[owner, slot] * _between(NEAR, unit[:, 1])


@lru_cache(maxsize=REMEMBERED)
def _has(notation: str, smarts: str) -> bool:
    return bool(_mol(notation).HasSubstructMatch(pattern(smarts)))


@lru_cache(maxsize=REMEMBERED)
def _bits(notation: str) -> NDArray[np.uint8]:
    return fingerprint(_mol(notation))


@lru_cache(maxsize=REMEMBERED)
def _lead_bits(sequence: bytes, chemistry: Chemistry) -> NDArray[np.uint8]:
    return fingerprints(np.frombuffer(sequence, np.int16)[None], chemistry)[0]


@lru_cache(maxsize=4096)
def _mol(notation: str) -> Any:
    return to_mol(notation)


@lru_cache(maxsize=32)
def _frozen(distribution: ProfileDistribution, split: str) -> FrozenTasks:
    chemistry, tasks = distribution.chemistry, distribution.draw_list(split)
    kept = chemistry.json("frozen.json")["frozen"].get(distribution.variant, {}).get(split, {})
    if kept.get("sha256") != tasks.sha256:
        again = "install metaenv again" if chemistry in PACKAGED.values() else "mine the chemistry again"
        raise TaskError(f"the list {split!r} of {chemistry} is not the one that was frozen; {again}")
    return FrozenTasks(split, tasks, Reference(np.array(kept["random"]), np.ones(len(tasks))), tasks.sha256)
