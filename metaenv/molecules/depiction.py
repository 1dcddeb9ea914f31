"""RDKit's drawing of a molecule, as a picture to paste on a `metaenv.canvas.Pixels`."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING

from metaenv.canvas import BLUE, ORANGE
from metaenv.molecules.chem.fragmentation import to_mol

if TYPE_CHECKING:
    from PIL.Image import Image

BOND = 32  # pixels at most
REMEMBERED = 64  # pictures of molecules; at most 0.5 MB each


@lru_cache(maxsize=REMEMBERED)
def depiction(smiles: str, width: int, height: int) -> Image:
    """RDKit's drawing of a molecule.

    Dummy atoms are open attachments: discs, orange where the isotope is 1 (the next one), else blue.

    Raises:
        MoleculeError: RDKit cannot read the SMILES.
    """
    from PIL import Image
    from rdkit.Chem.Draw import rdMolDraw2D

    mol, drawer = to_mol(smiles), rdMolDraw2D.MolDraw2DCairo(width, height)
    options = drawer.drawOptions()
    options.fixedBondLength = BOND
    options.padding = 0.06
    options.bondLineWidth = 2 if drawer.Width() > 200 else 1
    options.minFontSize = 8
    options.atomHighlightsAreCircles = True
    options.highlightRadius = 0.34  # of a bond
    options.fillHighlights = True
    discs = {a.GetIdx(): _fractions(ORANGE if a.GetIsotope() else BLUE) for a in mol.GetAtoms() if not a.GetAtomicNum()}
    for atom in discs:
        mol.GetAtomWithIdx(atom).SetProp("_displayLabel", " ")
    rdMolDraw2D.PrepareAndDrawMolecule(
        drawer, mol, highlightAtoms=list(discs), highlightAtomColors=discs, highlightBonds=[]
    )
    drawer.FinishDrawing()
    return Image.open(io.BytesIO(drawer.GetDrawingText())).convert("RGB")


def _fractions(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
