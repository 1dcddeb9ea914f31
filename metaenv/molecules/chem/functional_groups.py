"""Functional groups that a task may require or forbid, as SMARTS.

Written for this project; each is part of 3 to 31 % of the real molecules that can be built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metaenv.molecules.chem.fragmentation import pattern

if TYPE_CHECKING:
    from rdkit.Chem import Mol

GROUPS: dict[str, str] = {
    "tertiary amide": "[NX3;H0]([#6])([#6])[CX3](=O)[#6]",
    "urea": "[NX3][CX3](=O)[NX3]",
    "sulfonamide": "[#16X4](=O)(=O)[NX3]",
    "aryl ether": "c[OX2;H0][#6]",
    "methoxy on an aromatic ring": "c[OX2][CH3]",
    "aliphatic ether": "[CX4][OX2;H0][CX4]",
    "ester": "[CX3](=O)[OX2;H0][#6]",
    "aniline": "c[NX3;!$(NC=O);!$(NS(=O)=O)]",
    "aliphatic amine": "[NX3;!$(N~[!#6;!#1]);!$(N-[#6]=,:[!#6]);!$(N-c)]([CX4])",
    "hydroxyl": "[OX2;H1][#6]",
    "nitrile": "C#N",
    "fluorine": "F",
    "trifluoromethyl": "C(F)(F)F",
    "chlorine": "Cl",
    "bromine": "Br",
    "thioether": "[#6][SX2;!a][#6]",
    "pyridine ring": "n1ccccc1",
    "thiophene ring": "s1cccc1",
    "furan ring": "o1cccc1",
    "pyrazole ring": "n1nccc1",
    "piperidine ring": "[NX3]1[CX4][CX4][CX4][CX4][CX4]1",
    "piperazine ring": "[NX3]1[CX4][CX4][NX3][CX4][CX4]1",
    "morpholine ring": "[NX3]1[CX4][CX4][OX2][CX4][CX4]1",
    "pyrrolidine ring": "[NX3]1[CX4][CX4][CX4][CX4]1",
    "cyclopropane": "C1CC1",
    "methyl on an aromatic ring": "c[CH3]",
    "amide of a ring nitrogen": "[NX3;R][CX3;!R]=O",
    "oxadiazole or triazole ring": (
        "[$([nR1]1[nR1][cR1][oR1,nR1][cR1]1),$([nR1]1[cR1][nR1][nR1][cR1]1),$([nR1]1[oR1][cR1][nR1][cR1]1)]"
    ),
}
"""28 groups; a task names one by its place in this list, so the order must not change."""


def group_bits(mol: Mol) -> int:
    """Bit i is set where group i is part of the molecule."""
    return sum(1 << i for i, smarts in enumerate(GROUPS.values()) if mol.HasSubstructMatch(pattern(smarts)))
