"""Pictures of shapes, words and charts, as pixels. Pillow is imported when something is drawn; its own font is used.

Coordinates are in pixels from the upper left corner; words stand on their baseline.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import ceil, floor, hypot, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

Side = Literal["left", "middle", "right"]
"""Which part of the words stands at the given place."""
Colour = str | tuple[int, ...]
Point = tuple[float, float]

# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, VERMILION, SKY_BLUE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9"
INK, GREY, PALE, PAPER = "#1B2530", "#6B7580", "#E9ECEF", "#FFFFFF"

SMOOTH = 4  # points of a shape's mask along each side of a pixel
SUPERSCRIPTS = {"¹": "1", "²": "2", "³": "3"}
"""Signs that Pillow's font lacks, and the digit that is drawn small and raised for each."""


class Pixels:
    """A picture in the making; `array` finishes it.

    Args:
        width: of the picture.
        height: of the picture.
        background: a picture of this size to draw on, which stays as it is; white by default.
    """

    _done: ClassVar[dict[tuple[int, int], tuple[NDArray[np.uint8], Image]]] = {}
    """The memory of finished pictures by their size, to be used again: new memory takes longer than most drawings."""

    def __init__(self, width: int, height: int, background: Pixels | None = None) -> None:
        try:
            from PIL import Image, ImageDraw
        except ImportError as error:
            raise ImportError("pictures need Pillow: pip install pillow") from error
        self.width, self.height = width, height
        if (width, height) in self._done:
            self._memory, self._image = self._done.pop((width, height))
        else:
            self._memory = np.empty((height, width, 4), np.uint8)
            self._image = Image.frombuffer("RGBX", (width, height), self._memory, "raw", "RGBX", 0, 1)
            self._image.readonly = 0  # so that drawing writes to the array
        self._memory[...] = 255 if background is None else background._memory
        self._draw = ImageDraw.Draw(self._image)

    def box(self, x: float, y: float, width: float, height: float, fill: Colour, outline: str = "") -> None:
        """Draw a rectangle; ``outline`` is the colour of its edge, "" for none."""
        corners = (round(x), round(y), round(x + width) - 1, round(y + height) - 1)
        if corners[2] >= corners[0] and corners[3] >= corners[1]:
            self._draw.rectangle(corners, fill, outline or None, 2 if outline else 0)

    def shape(self, points: Iterable[Point], fill: Colour) -> None:
        """Draw a polygon with smooth edges."""
        given = list(points)
        left, top = floor(min(x for x, _ in given)), floor(min(y for _, y in given))
        self._draw.bitmap((left, top), _polygon(tuple((x - left, y - top) for x, y in given)), fill)

    def line(self, points: Sequence[Point], colour: Colour, width: float = 2.0) -> None:
        """Draw a line through points with smooth edges."""
        for (x, y), (u, v) in pairwise(points):
            # Each part is a small mask of its own, because one of the whole line would be slow.
            if length := hypot(u - x, v - y):
                dx, dy = 0.5 * width * (u - x) / length, 0.5 * width * (v - y) / length
                self.shape([(x - dy, y + dx), (x + dy, y - dx), (u + dy, v - dx), (u - dy, v + dx)], colour)

    def trail(self, points: Sequence[Point], colour: Colour, width: int = 1) -> None:
        """Draw a line through points with jagged edges, which is faster."""
        if len(points) > 1:
            self._draw.line(points, colour, width)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Draw a disc."""
        self.stamp(x, y, colour, disc_mask(round(2 * radius)))

    def ring(self, x: float, y: float, radius: float, colour: Colour, width: int = 1) -> None:
        """Draw a circle."""
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), None, colour, width)

    def stamp(self, x: float, y: float, colour: Colour, mask: Image) -> None:
        """Colour what a mask shows, with its middle at the given place."""
        self._draw.bitmap((round(x) - mask.width // 2, round(y) - mask.height // 2), mask, colour)

    def words(self, x: float, y: float, text: str, size: int = 13, colour: Colour = INK, side: Side = "left") -> None:
        """Write one line of text."""
        if not text:
            return
        mask, up = letters_mask(text, size)
        before = {"left": 0, "middle": mask.width // 2, "right": mask.width}[side]
        self._draw.bitmap((round(x) - before, round(y) - up), mask, colour)

    def legend(self, x: float, y: float, entries: Iterable[tuple[Colour, str]], step: int = 0) -> None:
        """Name colours, ``step`` pixels below each other, or side by side; ``y`` is the baseline of the first name."""
        for colour, text in entries:
            self.box(x, y - 10, 12, 12, colour)
            self.words(x + 18, y, text, 13)
            y += step
            x += 0 if step else 36 + font(13).getlength(text)

    def picture(self, x: int, y: int, width: int, height: int, image: Image) -> None:
        """Paste another picture into the middle of a rectangle."""
        self._image.paste(image, (x + (width - image.width) // 2, y + (height - image.height) // 2))

    def image(self) -> Image:
        """The picture, to be pasted into another one."""
        return self._image

    def array(self) -> NDArray[np.uint8]:
        """(height, width, 3)."""
        picture = np.empty((self.height, self.width, 3), np.uint8)
        for band in range(3):  # five times as fast as one copy
            picture[..., band] = self._memory[..., band]
        self._done[self.width, self.height] = self._memory, self._image
        return picture


class Chart:
    """A pair of axes on a canvas; what is drawn on it is given in the units of the axes.

    Args:
        canvas: where it is drawn.
        place: left, top, width and height of the area between the axes, in pixels.
        x: both ends of the horizontal axis.
        y: both ends of the vertical axis.
    """

    def __init__(self, canvas: Pixels, place: tuple[int, int, int, int], x: Point, y: Point) -> None:
        self.canvas, self.place, self.x, self.y = canvas, place, x, y

    def at(self, x: float, y: float) -> Point:
        """Where a point lies, in pixels."""
        left, top, width, height = self.place
        across, up = (x - self.x[0]) / (self.x[1] - self.x[0]), (y - self.y[0]) / (self.y[1] - self.y[0])
        return left + across * width, top + (1 - up) * height

    def axes(self, x_name: str, y_name: str, x_ticks: Sequence[float] | None = None) -> None:
        """Draw the axes with their names and ticks, by default at round numbers, and lines across the chart."""
        left, top, width, height = self.place
        canvas = self.canvas
        for value in ticks(*self.y):
            y = self.at(self.x[0], value)[1]
            canvas.box(left, y, width, 1, PALE)
            canvas.words(left - 7, y + 5, f"{value:g}", 12, GREY, "right")
        for value in ticks(*self.x) if x_ticks is None else x_ticks:
            x = self.at(value, self.y[0])[0]
            canvas.box(x, top + height, 1, 5, GREY)
            canvas.words(x, top + height + 18, f"{value:g}", 12, GREY, "middle")
        canvas.box(left, top + height, width, 1, GREY)
        canvas.box(left, top, 1, height, GREY)
        canvas.words(left, top - 9, y_name, 13)
        canvas.words(left + width, top + height + 35, x_name, 13, INK, "right")

    def line(self, points: Iterable[Point], colour: Colour, width: float = 2.0) -> None:
        """Draw a line through points."""
        self.canvas.line([self.at(*point) for point in points], colour, width)

    def disc(self, place: Iterable[float], radius: float, colour: Colour) -> None:
        """Draw a disc around a point, with a radius in pixels."""
        self.canvas.disc(*self.at(*place), radius, colour)

    def bar(self, x: float, width: float, low: float, high: float, colour: Colour) -> None:
        """Draw an upright bar around ``x``, from ``low`` to ``high``."""
        (left, top), (right, bottom) = self.at(x - width / 2, max(low, high)), self.at(x + width / 2, min(low, high))
        self.canvas.box(left, top, right - left, bottom - top, colour)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most so many round numbers from ``low`` to ``high``, evenly spaced."""
    raw = (high - low) / (most - 1)
    power = 10.0 ** floor(log10(raw))
    step = next(power * s for s in (1, 2, 5, 10) if power * s >= raw * (1 - 1e-9))
    return [round(k * step, 10) for k in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


@lru_cache(maxsize=512)
def _polygon(points: tuple[Point, ...]) -> Image:
    from PIL import Image, ImageDraw

    size = ceil(max(x for x, _ in points)) + 1, ceil(max(y for _, y in points)) + 1
    mask = Image.new("L", (SMOOTH * size[0], SMOOTH * size[1]))
    ImageDraw.Draw(mask).polygon([(SMOOTH * x, SMOOTH * y) for x, y in points], 255)
    return mask.reduce(SMOOTH)


@lru_cache(maxsize=64)
def disc_mask(diameter: int) -> Image:
    """A disc of so many pixels across."""
    from PIL import Image, ImageDraw

    big = Image.new("L", (4 * diameter + 4, 4 * diameter + 4))
    ImageDraw.Draw(big).ellipse((2, 2, 4 * diameter + 1, 4 * diameter + 1), 255)
    return big.reduce(4)


@lru_cache(maxsize=1024)
def letters_mask(text: str, size: int) -> tuple[Image, int]:
    """A line of text as a mask, and its rows above the baseline."""
    from PIL import Image

    # Letter by letter, because it takes long to draw one, and other frames have the same ones.
    letters = [_letter(letter, size) for letter in text]
    up, down = font(size).getmetrics()
    mask = Image.new("L", (ceil(sum(advance for _, advance in letters)) + 1, up + down))
    x = 0.0
    for letter, advance in letters:
        mask.paste(255, (round(x), 0), letter)
        x += advance
    return mask, up


@lru_cache(maxsize=2048)
def _letter(letter: str, size: int) -> tuple[Image, float]:
    """A letter as a mask, and how far the next one is from it."""
    from PIL import Image, ImageDraw

    up, down = font(size).getmetrics()
    drawn, base = font(size), up
    if letter in SUPERSCRIPTS:  # the font has none
        drawn, base, letter = font(round(0.65 * size)), up - round(0.35 * size), SUPERSCRIPTS[letter]
    mask = Image.new("L", (ceil(drawn.getbbox(letter)[2]) + 1, up + down))
    ImageDraw.Draw(mask).text((0, base), letter, 255, drawn, anchor="ls")
    return mask, drawn.getlength(letter)


@lru_cache(maxsize=32)
def font(size: int) -> Any:
    """Pillow's font of ``size`` pixels: the letters of English, digits and °, ±, ·, … and `SUPERSCRIPTS`."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


@lru_cache(maxsize=256)
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
    from PIL import Image

    with replacing(path := Path(path)) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
    return path
