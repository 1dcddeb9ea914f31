"""Fragmentation of real molecules: reading, standardising and cutting them; classes of attachments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rdkit.Chem import Mol


class MoleculeError(ValueError):
    """A molecule that cannot be read, or cannot be built from the vocabulary; the message says why."""


def to_mol(notation: str) -> Mol:
    """RDKit's molecule of a SMILES or of fragment notation.

    Raises:
        MoleculeError: RDKit cannot read it.
    """
    from rdkit import Chem, rdBase

    if not isinstance(notation, str):
        raise MoleculeError(f"expected a SMILES as text, got {notation!r}")
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(notation)
        if mol is None or mol.GetNumAtoms() == 0:
            unchecked = Chem.MolFromSmiles(notation, sanitize=False)
            faults = [] if unchecked is None else [fault.Message() for fault in Chem.DetectChemistryProblems(unchecked)]
            why = f" ({faults[0]})" if faults else ""
            raise MoleculeError(f"expected a SMILES of a valid molecule, got {notation!r}; RDKit cannot read it{why}")
    return mol


def assembled_mol(notation: str) -> Mol:
    """The same molecule as `to_mol` of what `smiles.write` has written, in less than half the time.

    Fragments are aromatic or not whatever they are joined to, and the notation says so by its letters: what RDKit
    spends most time on, finding Kekulé structures and aromatic rings, has been done when the fragments were mined.

    Raises:
        MoleculeError: RDKit cannot read it.
    """
    from rdkit import Chem

    mol = Chem.MolFromSmiles(notation, sanitize=False)
    if mol is None or Chem.SanitizeMol(mol, _assembled_steps(), catchErrors=True):
        return to_mol(notation)  # which says what is wrong
    return mol


@lru_cache(maxsize=1)
def _assembled_steps() -> int:
    """The steps of RDKit's sanitisation that molecules made of fragments need."""
    from rdkit.Chem import SanitizeFlags as Step

    return (
        Step.SANITIZE_PROPERTIES
        | Step.SANITIZE_SYMMRINGS
        | Step.SANITIZE_SETCONJUGATION
        | Step.SANITIZE_SETHYBRIDIZATION
    )


@lru_cache(maxsize=1024)
def pattern(smarts: str) -> Any:
    """RDKit's query of a SMARTS."""
    from rdkit import Chem

    return Chem.MolFromSmarts(smarts)


def standardise(smiles: str) -> Mol:
    """The molecule as the vocabulary knows molecules: what `neutral` gives, without ions and with a ring.

    Charges of opposite sign on neighbours, as a nitro group and an N-oxide have them, are no ions.

    Raises:
        MoleculeError: as `neutral`; charges that cannot be removed, or no ring.
    """
    mol = neutral(smiles)
    if charged := [named_atom(atom) for atom in mol.GetAtoms() if _is_ion(atom)]:
        raise MoleculeError(
            f"{smiles!r} has charges that no proton balances, on {', '.join(charged)}; the vocabulary is neutral"
        )
    if not mol.GetRingInfo().NumRings():
        raise MoleculeError(f"{smiles!r} has no ring; a build sequence starts with one")
    return mol


def _is_ion(atom: Any) -> bool:
    charge = atom.GetFormalCharge()
    return charge != 0 and not any(other.GetFormalCharge() == -charge for other in atom.GetNeighbors())


def neutral(smiles: str) -> Mol:
    """One molecule without stereochemistry, isotopes and atom maps, and without the charges that protons balance.

    Raises:
        MoleculeError: unreadable, more than one component, or an open attachment.
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem.MolStandardize import rdMolStandardize

    mol = to_mol(smiles)
    parts = Chem.GetMolFrags(mol, asMols=True)
    if len(parts) > 1:
        largest = Chem.MolToSmiles(max(parts, key=lambda part: part.GetNumHeavyAtoms()))
        raise MoleculeError(
            f"expected one molecule, got several components in {smiles!r}; give the largest one, {largest!r}"
        )
    if stars := [named_atom(atom) for atom in mol.GetAtoms() if not atom.GetAtomicNum()]:
        raise MoleculeError(f"expected a whole molecule, got an open attachment in {smiles!r}: {', '.join(stars)}")
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
        atom.SetAtomMapNum(0)
    Chem.RemoveStereochemistry(mol)
    with rdBase.BlockLogs():
        if any(atom.GetFormalCharge() for atom in mol.GetAtoms()):
            mol = rdMolStandardize.Uncharger().uncharge(mol)
        return Chem.RemoveHs(mol)


def named_atom(atom: Any) -> str:
    """An atom for messages, such as ``[NH+] (atom 4)``, counted from 0 as they stand in the SMILES, as RDKit does."""
    return f"{atom.GetSmarts()} (atom {atom.GetIdx()})"


def lost_features(smiles: str) -> list[str]:
    """What `neutral` takes from a readable molecule, for messages: none, or ``["stereochemistry", …]``."""
    from rdkit import Chem

    mol = to_mol(smiles)
    atoms = list(mol.GetAtoms())
    found = {
        "stereochemistry": any(a.GetChiralTag() for a in atoms) or any(b.GetStereo() for b in mol.GetBonds()),
        "isotopes": any(a.GetIsotope() for a in atoms),
        "atom maps": any(a.GetAtomMapNum() for a in atoms),
        "charges": Chem.GetFormalCharge(mol) != Chem.GetFormalCharge(neutral(smiles)),
    }
    return [name for name, there in found.items() if there]


@dataclass(frozen=True)
class Piece:
    """A fragment as found in a molecule."""

    smiles: str
    """Canonical, with plain ``*``."""
    bonds: tuple[int, ...]
    """The cut bond at each ``*``, in the order of ``smiles``."""
    ring: bool


def cut(mol: Mol, cuts: str = "rings") -> list[Piece]:
    """The fragments of a standardised molecule.

    ``"rings"`` cuts every acyclic single bond at a ring atom; ``"brics"`` also those that retrosynthesis would break
    (BRICS: Degen et al., ChemMedChem 3, 1503, 2008). A bond between charged atoms is never cut.
    """
    from rdkit import Chem

    bonds = [
        bond.GetIdx()
        for bond in mol.GetBonds()
        if bond.GetBondType() == Chem.BondType.SINGLE
        and not bond.IsInRing()
        and (bond.GetBeginAtom().IsInRing() or bond.GetEndAtom().IsInRing())
    ]
    if cuts == "brics":
        from rdkit.Chem import BRICS

        found = [mol.GetBondBetweenAtoms(i, j) for (i, j), _ in BRICS.FindBRICSBonds(mol)]
        bonds = sorted({*bonds, *(b.GetIdx() for b in found if b.GetBondType() == Chem.BondType.SINGLE)})
    ends = ((mol.GetBondWithIdx(b).GetBeginAtom(), mol.GetBondWithIdx(b).GetEndAtom()) for b in bonds)
    bonds = [b for b, (a, c) in zip(bonds, ends, strict=True) if not (a.GetFormalCharge() and c.GetFormalCharge())]
    if not bonds:
        return [Piece(Chem.MolToSmiles(mol), (), True)]
    parts = Chem.FragmentOnBonds(mol, bonds, dummyLabels=[(b + 1, b + 1) for b in bonds])
    return [_piece(part) for part in Chem.GetMolFrags(parts, asMols=True, sanitizeFrags=False)]


def _piece(part: Mol) -> Piece:
    bonds = {a.GetIdx(): a.GetIsotope() - 1 for a in part.GetAtoms() if not a.GetAtomicNum()}
    for index in bonds:
        part.GetAtomWithIdx(index).SetIsotope(0)
    smiles, order = ordered_smiles(part, bonds)
    return Piece(smiles, order, "1" in smiles)


def ordered_smiles(mol: Mol, labels: dict[int, int]) -> tuple[str, tuple[int, ...]]:
    """Canonical SMILES, and the labels of atoms (by their index) in the order in which it writes these."""
    from rdkit import Chem

    smiles = Chem.MolToSmiles(mol)
    order = mol.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]
    return smiles, tuple(labels[i] for i in order if i in labels)


def attachment_class(mol: Mol, attachment: int) -> str:
    """The class of an attachment (an index of a ``*`` atom): what kind of atom a bond there starts from.

    The element, lower case if aromatic; ``r`` in an aliphatic ring; ``=`` or ``#`` for a multiple bond, ``=O`` for one
    to a heteroatom; then ``~`` and the heteroatoms among its other neighbours, or ``~=`` for a heteroatom beside
    a doubly bonded one's neighbour (amide nitrogen, ester oxygen).
    """
    atom = mol.GetAtomWithIdx(attachment).GetNeighbors()[0]
    name = atom.GetSymbol().lower() if atom.GetIsAromatic() else atom.GetSymbol()
    name += "r" if atom.IsInRing() and not atom.GetIsAromatic() else ""
    beside: set[str] = set()
    for bond in atom.GetBonds():
        other = bond.GetOtherAtom(atom)
        hetero = other.GetAtomicNum() not in (0, 1, 6)
        order = int(bond.GetBondTypeAsDouble()) if not bond.GetIsAromatic() else 1
        if order > 1:
            name += "#" if order == 3 else "=" + (other.GetSymbol() if hetero else "")
        elif hetero:
            beside.add(other.GetSymbol())
        elif atom.GetSymbol() != "C":
            others = [b for b in other.GetBonds() if b.GetOtherAtomIdx(other.GetIdx()) != atom.GetIdx()]
            if any(b.GetBondTypeAsDouble() == 2 and b.GetOtherAtom(other).GetAtomicNum() in (7, 8, 16) for b in others):
                beside.add("=")
    return name + ("~" + "".join(sorted(beside)) if beside else "")


@lru_cache(maxsize=1024)
def symmetries(smiles: str) -> tuple[tuple[int, ...], ...]:
    """All permutations of a fragment's attachments that leave it the same; the identity first."""
    orders = list(permutations(range(smiles.count("*"))))
    return tuple(order for order in orders if _relabelled(smiles, order) == _relabelled(smiles, orders[0]))


def _relabelled(smiles: str, order: tuple[int, ...]) -> str:
    """Canonical SMILES after attachment ``j`` became attachment ``order[j]``."""
    from rdkit import Chem

    mol = to_mol(smiles)
    for atom in mol.GetAtoms():
        if not atom.GetAtomicNum():
            atom.SetIsotope(order[atom.GetIsotope() - 1] + 1)
    return Chem.MolToSmiles(mol)
