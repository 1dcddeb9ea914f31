"""Pictures of shapes and words, as pixels. Pillow, and RDKit for its letters, are imported when something is drawn.

Coordinates are in pixels from the upper left corner; words stand on their baseline. The letters are those of Telex
(Huerta Tipográfica, SIL Open Font Licence), which RDKit brings along: Pillow's own have neither Å nor ².
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

Side = Literal["left", "middle", "right"]
"""Which part of the words stands at the given place."""
Points = Iterable[tuple[float, float]]

# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
INK, GREY, PALE, PAPER = "#1B2530", "#6B7580", "#E9ECEF", "#FFFFFF"

SMOOTH = 4  # points of a shape's mask along each side of a pixel


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

    def picture(self, x: int, y: int, image: Image) -> None:
        """Paste another picture with its upper left corner at the given place."""
        self._image.paste(image, (x, y))

    def array(self) -> NDArray[np.uint8]:
        """(height, width, 3)."""
        return np.array(self._image)


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
        raise ImportError("pictures need RDKit and Pillow: pip install rdkit") from error
