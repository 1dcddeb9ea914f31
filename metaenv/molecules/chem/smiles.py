"""SMILES: from a build sequence to a SMILES, and from a molecule to a build sequence.

A molecule is written as its fragments, separated by dots and joined by ring-bond numbers from %10 on, each used twice:
``c1cc-%10ccc1.N-%10``. That is ordinary SMILES (OpenSMILES specification, section 3.4), so one call of RDKit's parser
makes the molecule. The idea of writing fragments in this way is that of SAFE (Noutahi et al., Digital Discovery 3, 796,
2024).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.assembly import ALL, OPEN, Assembly, replay
from metaenv.molecules.chem.fragmentation import (
    MoleculeError,
    Piece,
    cut,
    lost_features,
    ordered_smiles,
    standardise,
    symmetries,
    to_mol,
)
from metaenv.molecules.chem.fragments import CLOSE, MAX_ATTACHMENTS, Vocabulary, load_vocabulary
from metaenv.typing import Rows

if TYPE_CHECKING:
    from rdkit.Chem import Mol

FIRST_BOND = 10  # two-digit ring-bond numbers; the fragments' own rings use one digit
ATOM = re.compile(r"\[[^\]]*\]|Br|Cl|[A-Za-z*]")
RING_BOND = re.compile(r"[-=#:]?(?:%\d\d|\d)")


# BUILD SEQUENCE -> SMILES


def write(
    fragment: Sequence[int], partner: Sequence[Sequence[int]], vocabulary: Vocabulary | None = None, open_as: str = ""
) -> str:
    """Fragment notation of one molecule, open attachments closed.

    Args:
        fragment: (p,) fragment at each place, -1 for none.
        partner: (p, 3) as `Assembly.partner` has it.
        vocabulary: by default that of the package.
        open_as: an atom, such as ``*``, to put on open attachments instead of closing them.
    """
    vocabulary = vocabulary or load_vocabulary()
    numbers: dict[tuple[int, int], int] = {}
    parts: list[str] = []
    for place, f in enumerate(fragment):
        if f < 0:
            continue
        bonds = ["", "", ""]
        ends: list[str] = []
        for j in range(vocabulary.attachments[f]):
            here, there = MAX_ATTACHMENTS * place + j, partner[place][j]
            end = open_as if there == OPEN and open_as else "C" * int(vocabulary.methyl[f, j])
            if there >= 0 or end:
                key = (min(here, there), max(here, there)) if there >= 0 else (here, here)
                bonds[j] = f"-%{numbers.setdefault(key, FIRST_BOND + len(numbers))}"
            if there < 0 and end:
                ends.append(end + bonds[j])
        parts.append(vocabulary.template[f].format(*bonds))
        parts.extend(ends)
    return ".".join(parts)


def notations(built: Assembly, rows: Rows = ALL) -> list[str]:
    """(rows,) fragment notation of molecules, open attachments closed."""
    pairs = zip(built.fragment[rows].tolist(), built.partner[rows].tolist(), strict=True)
    return [write(fragment, partner, built.vocabulary) for fragment, partner in pairs]


def fragment_smiles(actions: NDArray[np.integer], vocabulary: Vocabulary | None = None) -> list[str]:
    """(n,) fragment notation of build sequences (n, up to L). Raises ValueError as `assembly.replay`."""
    return notations(replay(actions, vocabulary))


def to_smiles(actions: NDArray[np.integer], vocabulary: Vocabulary | None = None) -> list[str]:
    """(n,) RDKit's canonical SMILES of build sequences (n, up to L)."""
    from rdkit import Chem

    return [Chem.MolToSmiles(to_mol(text)) for text in fragment_smiles(actions, vocabulary)]


def template(smiles: str) -> str:
    """A fragment's SMILES, which must not begin with an attachment, with ``[1*]``, … replaced by ``{0}``, … behind the
    atoms they are on."""
    pieces: list[str] = []  # text, cut so that the end of each atom (with its ring bonds) is the end of a piece
    branch: list[int] = []  # piece of the atom that each open parenthesis hangs on
    last, at = -1, 0
    while at < len(smiles):
        atom = ATOM.match(smiles, at)
        if atom and "*" in atom.group():
            pieces[last] += "{" + str(int(atom.group()[1:-2]) - 1) + "}"
            at = atom.end()
            continue
        end = atom.end() if atom else at + 1
        if atom:
            while ring := RING_BOND.match(smiles, end):
                end = ring.end()
            last = len(pieces)
        elif smiles[at] == "(":
            branch.append(last)
        elif smiles[at] == ")":
            last = branch.pop()
        pieces.append(smiles[at:end])
        at = end
    return "".join(pieces).replace("()", "")


# MOLECULE -> BUILD SEQUENCE


@dataclass(frozen=True)
class Reading:
    """How a piece of a molecule is a fragment of the vocabulary."""

    fragment: int
    attachments: tuple[int, ...]
    """The fragment's attachment at each ``*`` of the piece; the fragment's others are closed."""


def parse(smiles: str, vocabulary: Vocabulary | None = None, warn: bool = True) -> NDArray[np.int16]:
    """A build sequence of a molecule.

    Args:
        smiles: a SMILES; charges, stereochemistry, isotopes and atom maps are removed first (`standardise`).
        vocabulary: by default that of the package.
        warn: whether a UserWarning says what was removed.

    Returns:
        (L,) actions (9 with the package's vocabulary), -1 after the last. `to_smiles` gives the canonical SMILES of the
        standardised molecule.

    Raises:
        MoleculeError: the SMILES does not parse, or the molecule cannot be built; the message says why.
    """
    vocabulary = vocabulary or load_vocabulary()
    mol = standardise(smiles)
    if warn and (lost := lost_features(smiles)):
        warnings.warn(f"{smiles!r} is read without its {', '.join(lost)}, which the vocabulary lacks", stacklevel=2)
    return joined(smiles, mol, cut(mol, vocabulary.cuts), vocabulary)


def joined(smiles: str, mol: Mol, pieces: list[Piece], vocabulary: Vocabulary) -> NDArray[np.int16]:
    """The build sequence of the pieces of a standardised molecule; errors as `parse`."""
    known = readings(vocabulary)
    missing = sorted({p.smiles for p in pieces if p.smiles not in known})
    if missing:
        raise MoleculeError(f"{smiles!r} needs fragments that are not in the vocabulary: {', '.join(missing)}")
    actions = _sequence(pieces, [known[p.smiles] for p in pieces], vocabulary)
    most, heaviest = vocabulary.max_actions, vocabulary.max_heavy_atoms
    if len(actions) > most:
        raise MoleculeError(f"{smiles!r} takes {len(actions)} actions, expected at most {most}")
    if mol.GetNumHeavyAtoms() > heaviest:
        raise MoleculeError(f"{smiles!r} has {mol.GetNumHeavyAtoms()} heavy atoms, expected at most {heaviest}")
    padded = np.full(most, -1, np.int16)
    padded[: len(actions)] = actions
    try:
        replay(padded, vocabulary)
    except ValueError as error:
        raise MoleculeError(f"{smiles!r} has a bond that the vocabulary does not allow: {error}") from None
    return padded


def _sequence(pieces: list[Piece], read: list[Reading], vocabulary: Vocabulary) -> list[int]:
    """Depth first from the commonest ring, in the order in which `Assembly` asks."""
    ends: dict[int, list[tuple[int, int]]] = {}  # cut bond -> its two (piece, attachment)
    for i, (piece, reading) in enumerate(zip(pieces, read, strict=True)):
        for bond, j in zip(piece.bonds, reading.attachments, strict=True):
            ends.setdefault(bond, []).append((i, j))
    across = {a: b for pair in ends.values() for a, b in (pair, pair[::-1])}
    root = min((r.fragment, i) for i, (p, r) in enumerate(zip(pieces, read, strict=True)) if p.ring)[1]
    actions = [int(vocabulary.action[read[root].fragment, 0])]
    todo = [(root, j, 0) for j in reversed(range(vocabulary.attachments[read[root].fragment]))]
    while todo:
        i, j, turn = todo.pop()
        joined = across.get((i, symmetries(vocabulary.smiles[read[i].fragment])[turn][j]))
        if joined is None:
            actions.append(CLOSE)
            continue
        i, entry = joined
        f = read[i].fragment
        action = int(vocabulary.action[f, entry])
        stands_for = int(vocabulary.action_attachment[action])
        turn = next(t for t, s in enumerate(symmetries(vocabulary.smiles[f])) if s[stands_for] == entry)
        todo.extend((i, j, turn) for j in reversed(range(vocabulary.attachments[f])) if j != stands_for)
        actions.append(action)
    return actions


@lru_cache(maxsize=4)
def readings(vocabulary: Vocabulary) -> dict[str, Reading]:
    """Every piece that is a fragment of the vocabulary with none, some or all attachments closed."""
    found: dict[str, Reading] = {}
    for closed in range(MAX_ATTACHMENTS + 1):
        for f, text in enumerate(vocabulary.smiles):
            for which in combinations(range(text.count("*")), closed):
                piece, order = _closed(text, which, tuple(vocabulary.methyl[f].tolist()))
                found.setdefault(piece, Reading(f, order))
    return found


def _closed(smiles: str, which: tuple[int, ...], methyl: tuple[bool, ...]) -> tuple[str, tuple[int, ...]]:
    """Canonical SMILES of a fragment with the attachments ``which`` closed, and the others in its order."""
    from rdkit import Chem

    mol = Chem.RWMol(to_mol(smiles))
    for atom in mol.GetAtoms():
        if not atom.GetAtomicNum() and atom.GetIsotope() - 1 in which:
            atom.SetAtomicNum(6 if methyl[atom.GetIsotope() - 1] else 1)
            atom.SetIsotope(0)
            atom.SetNoImplicit(False)
    label = {a.GetIdx(): a.GetIsotope() - 1 for a in mol.GetAtoms() if not a.GetAtomicNum()}
    for index in label:
        mol.GetAtomWithIdx(index).SetIsotope(0)
    Chem.SanitizeMol(mol)
    closed = Chem.RemoveHs(mol)
    # The labels moved when hydrogens went; the order of * atoms among themselves did not.
    kept = [a.GetIdx() for a in closed.GetAtoms() if not a.GetAtomicNum()]
    label = dict(zip(kept, (label[i] for i in sorted(label)), strict=True))
    return ordered_smiles(closed, label)
