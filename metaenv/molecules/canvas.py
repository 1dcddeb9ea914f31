"""Pictures of molecules, shapes and words, as pixels. RDKit and Pillow are imported when something is drawn.

Coordinates are in pixels from the upper left corner; words stand on their baseline. The letters are those of Telex
(Huerta Tipográfica, SIL Open Font Licence), which RDKit brings along: Pillow's own have neither Å nor ².
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.files import replacing
from metaenv.molecules.chem.fragmentation import to_mol

if TYPE_CHECKING:
    from PIL.Image import Image

Side = Literal["left", "middle", "right"]
"""Which part of the words stands at the given place."""
Points = Iterable[tuple[float, float]]

# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
INK, GREY, PALE, PAPER = "#1B2530", "#6B7580", "#E9ECEF", "#FFFFFF"

BOND = 32  # pixels at most
SMOOTH = 4  # points of a shape's mask along each side of a pixel
REMEMBERED = 64  # pictures of molecules; at most 0.5 MB each


class Pixels:
    """A picture in the making."""

    def __init__(self, width: int, height: int) -> None:
        _require()
        from PIL import Image, ImageDraw

        self._image = Image.new("RGB", (width, height), PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def box(self, x: int, y: int, width: int, height: int, fill: str, outline: str = "") -> None:
        """Draw a rectangle; ``outline`` is the colour of its edge, "" for none."""
        corners = (x, y, x + width - 1, y + height - 1)
        self._draw.rectangle(corners, fill, outline or None, 2 if outline else 0)

    def shape(self, points: Points, fill: str) -> None:
        """Draw a polygon."""
        from PIL import Image, ImageDraw

        corners = np.array(list(points))
        low = np.floor(corners.min(axis=0)).astype(int)
        size = np.ceil(corners.max(axis=0)).astype(int) - low + 1
        mask = Image.new("L", (SMOOTH * int(size[0]), SMOOTH * int(size[1])))
        ImageDraw.Draw(mask).polygon([tuple(p) for p in SMOOTH * (corners - low)], 255)
        self._image.paste(fill, (int(low[0]), int(low[1])), mask.reduce(SMOOTH))

    def words(self, x: int, y: int, text: str, size: int = 13, colour: str = INK, side: Side = "left") -> None:
        """Write one line of text."""
        if not text:
            return
        mask, up = _letters(text, size)
        before = {"left": 0, "middle": mask.width // 2, "right": mask.width}[side]
        self._image.paste(colour, (x - before, y - up), mask)

    def molecule(self, x: int, y: int, width: int, height: int, smiles: str) -> None:
        """Draw a molecule; its open attachments (dummy atoms) are coloured."""
        self._image.paste(_picture(smiles, width, height), (x, y))

    def array(self) -> NDArray[np.uint8]:
        """(height, width, 3)."""
        return np.array(self._image)


@lru_cache(maxsize=REMEMBERED)
def _picture(smiles: str, width: int, height: int) -> Image:
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


@lru_cache(maxsize=1024)
def _letters(text: str, size: int) -> tuple[Image, int]:
    """Words as a mask, and its rows above the baseline; remembered, as most words are the same in the next frame."""
    from PIL import Image, ImageDraw

    letters = font(size)
    up, down = letters.getmetrics()
    mask = Image.new("L", (ceil(letters.getlength(text)) + 1, up + down))
    ImageDraw.Draw(mask).text((0, up), text, 255, letters, anchor="ls")
    return mask, up


@lru_cache(maxsize=16)
def font(size: int) -> Any:
    """Pillow's font of ``size`` pixels."""
    from PIL import ImageFont
    from rdkit import RDConfig

    path = Path(RDConfig.RDDataDir) / "Fonts" / "Telex-Regular.ttf"
    return ImageFont.truetype(path, size) if path.exists() else ImageFont.load_default(size)


def shortened(text: str, width: int, size: int = 13) -> str:
    """``text``, or as much of its beginning as fits in ``width`` pixels, and "…"."""
    letters = font(size)
    if letters.getlength(text) <= width:
        return text
    while text and letters.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def save_png(path: str | Path, picture: NDArray[np.uint8]) -> Path:
    """Write a picture (height, width, 3) under a temporary name and rename it."""
    _require()
    from PIL import Image

    with replacing(path := Path(path)) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
    return path


def _require() -> None:
    try:
        import PIL  # noqa: F401
        import rdkit  # noqa: F401
    except ImportError as error:
        raise ImportError("pictures of molecules need RDKit and Pillow: pip install rdkit") from error


def _fractions(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
