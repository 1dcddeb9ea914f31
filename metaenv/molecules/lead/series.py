"""A chemical series of one's own: a scaffold with marked sites, and the R-groups that each site may have.

All molecules of the series are made and described by RDKit, once; then it is a library like those of the package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.fragmentation import MoleculeError, named_atom, to_mol
from metaenv.molecules.chem.properties import COLUMNS, by_rdkit
from metaenv.molecules.lead.library import Libraries
from metaenv.typing import Index

if TYPE_CHECKING:
    from rdkit.Chem import Mol

RGroups = Sequence[str] | Mapping[int, Sequence[str]]
"""SMILES with one open attachment each, for every site, or by the number of the site."""
MOST_SITES = 6
MOST_MOLECULES = 50_000  # of a series: half a millisecond each (chosen)
HYDROGEN = ("H", "[H]", "[*][H]", "[H][*]", "*[H]", "[H]*")


@dataclass(frozen=True, eq=False)
class Series(Libraries):
    """One scaffold with R-groups of one's own; `lead_series` makes it. Molecules are numbered in mixed radix."""

    texts: tuple[str, ...]
    """(m,) canonical SMILES."""
    group_texts: tuple[tuple[str, ...], ...]
    """The R-groups of each site, canonical, in the order in which they were given."""
    notes: tuple[str, ...]
    """What was assumed of the SMILES that were given."""

    @property
    def key(self) -> int:
        """A number that tells this series from others: tasks name it."""
        text = "|".join((self.smiles[0], *(";".join(groups) for groups in self.group_texts)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")

    def numbers(self, scaffold: Index, choice: Index) -> NDArray[np.int32]:
        """(n,) which molecules R-groups ``choice`` (n, sites) make; -1 where there is no such R-group."""
        sizes = np.array([len(groups) for groups in self.group_texts])
        number = np.zeros(len(choice), np.int64)
        for size, picked in zip(sizes, choice.T, strict=True):
            number = number * size + picked
        inside = ((choice >= 0) & (choice < sizes)).all(axis=1)
        return np.where(inside, number, -1).astype(np.int32)

    def canonical(self, scaffold: Index, choice: NDArray[np.integer]) -> list[str]:
        """(n,) canonical SMILES of molecules."""
        return [self.texts[i] for i in self.numbers(scaffold, np.asarray(choice, np.intp))]

    drawn = canonical

    def group_names(self, site: int) -> tuple[str, ...]:
        """The R-groups of a site."""
        return self.group_texts[site]


def lead_series(scaffold: str, r_groups: RGroups) -> Series:
    """A series of one's own: ``lead_series("c1ccc([*:1])cc1[*:2]", ["H", "*C", "*OC", "*C(F)(F)F"])``.

    Args:
        scaffold: SMILES with a dummy atom at each site: ``[*:1]`` and ``[*:2]``, ``[1*]`` and ``[2*]``, or plain ``*``,
            which are numbered as they stand in the SMILES.
        r_groups: SMILES with one dummy atom each, and ``"H"`` for hydrogen; a list for all sites, or one for each site
            by its number.

    Raises:
        MoleculeError: a SMILES that cannot be used; the message names the atom or the R-group.
    """
    if isinstance(r_groups, Mapping):
        lists = tuple((site, _texts(groups, f"of site {site}")) for site, groups in r_groups.items())
    else:
        lists = ((0, _texts(r_groups, "for all sites")),)
    if not isinstance(scaffold, str):
        raise MoleculeError(f"expected the scaffold as a SMILES, got {scaffold!r}")
    return _series(scaffold, lists)


def _texts(groups: Any, where: str) -> tuple[str, ...]:
    if isinstance(groups, str) or not isinstance(groups, Sequence) or not groups:
        raise MoleculeError(f"expected a list of SMILES as the R-groups {where}, got {groups!r}")
    return tuple(groups)


@lru_cache(maxsize=8)
def _series(scaffold: str, lists: tuple[tuple[Any, tuple[str, ...]], ...]) -> Series:
    from rdkit import rdBase

    notes: list[str] = []
    with rdBase.BlockLogs():
        core = _read(scaffold, "the scaffold", notes)
        sites = _number_sites(core, scaffold, notes)
        sizes = [len(texts) for _, texts in lists] * (sites if lists[0][0] == 0 else 1)
        if (count := int(np.prod(np.array(sizes, float)))) > MOST_MOLECULES:
            product_ = " x ".join(map(str, sizes))
            raise MoleculeError(
                f"expected at most {MOST_MOLECULES:,} molecules in a series, got {product_} = {count:,}"
            )
        groups = [_groups_of(site, dict(lists), sites, notes) for site in range(1, sites + 1)]
        mols = _made(core, groups)
    return _library(core, groups, mols, tuple(dict.fromkeys(notes)))


def _library(core: Mol, groups: list[dict[str, Mol]], mols: list[Mol], notes: tuple[str, ...]) -> Series:
    from rdkit import Chem

    sizes = [len(known) for known in groups]
    sites, most = len(sizes), max(sizes)
    arrays: dict[str, Any] = {
        "scaffold": np.zeros(1, np.intp),
        "group": np.arange(most),
        "start": np.array([0, len(mols)]),
        "choice": np.array(list(product(*map(range, sizes))), np.int16),
        "values": np.array([by_rdkit(mol)[COLUMNS] for mol in mols]),
        "number": np.zeros((1, *[1] * sites), np.int32),  # `Series.numbers` needs none
        "fits": (np.arange(most) < np.array(sizes)[:, None]).astype(np.int8)[None, :, None],
        "atoms": np.zeros((1, sites, most), np.intp),  # there is no limit of atoms
        "room": np.zeros(1, np.intp),
    }
    for array in arrays.values():
        array.flags.writeable = False
    texts = tuple(Chem.MolToSmiles(mol) for mol in mols)
    return Series((Chem.MolToSmiles(core),), **arrays, texts=texts, group_texts=tuple(map(tuple, groups)), notes=notes)


def _made(core: Mol, groups: list[dict[str, Mol]]) -> list[Mol]:
    """All molecules, the R-group of the last site changing fastest."""
    from rdkit import Chem

    grown = [core]
    for known in groups:
        grown = [Chem.molzip(mol, group) for mol in grown for group in known.values()]
    try:
        made = [Chem.RemoveHs(mol) for mol in grown]
    except Chem.MolSanitizeException as error:
        raise MoleculeError(f"some R-groups make no valid molecule on {Chem.MolToSmiles(core)}: {error}") from None
    for mol in made:  # a centre may have lost its fourth neighbour
        Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
    return made


def _read(smiles: str, what: str, notes: list[str]) -> Mol:
    """A molecule with dummy atoms of single bonds; its other atoms have no maps."""
    from rdkit import Chem

    try:
        mol = to_mol(smiles)
    except MoleculeError as error:
        raise MoleculeError(f"{what}: {error}; mark open attachments by dummy atoms, such as [*:1]") from None
    if len(parts := Chem.GetMolFrags(mol, asMols=True)) > 1:
        named = " and ".join(Chem.MolToSmiles(part) for part in parts)
        raise MoleculeError(f"{what} {smiles!r} has several components, {named}; leave out salts and solvents")
    for atom in mol.GetAtoms():
        if not atom.GetAtomicNum():
            bonds = [bond.GetBondType() for bond in atom.GetBonds()]
            if bonds != [Chem.BondType.SINGLE]:
                raise MoleculeError(f"{what} {smiles!r}: expected {named_atom(atom)} to have one single bond")
        elif atom.GetAtomMapNum():
            atom.SetAtomMapNum(0)
            notes.append(f"{what} {smiles!r}: atom maps of real atoms were left out.")
        if atom.GetAtomicNum() and atom.GetIsotope():
            notes.append(f"{what} {smiles!r}: isotopes are kept and count in the molecular weight.")
        if atom.GetFormalCharge():
            notes.append(f"{what} {smiles!r}: charges are kept; no proton is moved.")
        if atom.GetNumRadicalElectrons():
            raise MoleculeError(f"{what} {smiles!r}: {named_atom(atom)} is a radical; mark attachments by dummy atoms")
    if any(a.GetChiralTag() for a in mol.GetAtoms()) or any(int(b.GetStereo()) > 1 for b in mol.GetBonds()):
        notes.append(f"{what} {smiles!r}: stereochemistry is kept; none of the properties depends on it.")
    return mol


def _dummies(mol: Mol) -> list[Any]:
    return [atom for atom in mol.GetAtoms() if not atom.GetAtomicNum()]


def _number_sites(core: Mol, smiles: str, notes: list[str]) -> int:
    """Give the dummy atoms of a scaffold the maps 1, 2, …; how many there are."""
    dummies = _dummies(core)
    if not 1 <= len(dummies) <= MOST_SITES:
        raise MoleculeError(
            f"expected 1 to {MOST_SITES} sites in the scaffold {smiles!r}, marked as [*:1], [*:2] …; got {len(dummies)}"
        )
    labels = [atom.GetAtomMapNum() or atom.GetIsotope() for atom in dummies]
    if not any(labels) and len(dummies) > 1:
        notes.append(f"the scaffold {smiles!r}: its sites are numbered as they stand in the SMILES.")
    labels = labels if any(labels) else list(range(1, len(dummies) + 1))
    if sorted(labels) != list(range(1, len(dummies) + 1)):
        named = ", ".join(named_atom(atom) for atom in dummies)
        raise MoleculeError(f"expected sites numbered 1 to {len(dummies)} in the scaffold {smiles!r}, got {named}")
    for atom, label in zip(dummies, labels, strict=True):
        atom.SetIsotope(0)
        atom.SetAtomMapNum(label)
    return len(dummies)


def _groups_of(site: int, lists: Mapping[Any, tuple[str, ...]], sites: int, notes: list[str]) -> dict[str, Mol]:
    """The R-groups of a site by their canonical SMILES, their dummy atom labelled with the site."""
    from rdkit import Chem

    shared = set(lists) == {0}
    if not shared and set(lists) != set(range(1, sites + 1)):
        raise MoleculeError(f"expected R-groups for the sites 1 to {sites}, got them for {sorted(map(str, lists))}")
    found: dict[str, Mol] = {}
    for place, text in enumerate(lists[0 if shared else site], start=1):
        what = f"R-group {place} of site {site}"
        mol = _read("[*][H]" if text in HYDROGEN else text, what, notes)
        dummies = _dummies(mol)
        if len(dummies) != 1 or mol.GetNumAtoms() < 2:
            raise MoleculeError(f"{what}: expected one dummy atom and an R-group on it in {text!r}, such as *OC")
        label = dummies[0].GetAtomMapNum() or dummies[0].GetIsotope()
        if not shared and label not in (0, site):
            raise MoleculeError(f"{what}: {named_atom(dummies[0])} in {text!r} names another site")
        dummies[0].SetIsotope(0)
        dummies[0].SetAtomMapNum(0)
        name = Chem.MolToSmiles(mol)
        if name in found:
            raise MoleculeError(f"{what}: {text!r} is there twice, as R-group {list(found).index(name) + 1}, too")
        dummies[0].SetAtomMapNum(site)
        found[name] = mol
    return found
