"""Pictures and text of a molecule that is being built, the ranges it is to lie in, and the molecules made before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metaenv.canvas import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PAPER,
    VERMILION,
    Pixels,
    letters_mask,
    save_png,
    shortened,
)
from metaenv.molecules.chem.assembly import OPEN, Assembly
from metaenv.molecules.chem.fragmentation import to_mol
from metaenv.molecules.chem.properties import PROPERTIES
from metaenv.molecules.chem.smiles import write
from metaenv.molecules.objectives import LARGEST
from metaenv.typing import Floats

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Bar", "Made", "bars", "depiction", "frame", "gallery", "open_smiles", "save_png", "text"]

AXES_OF = {
    "mw": ("molecular weight", "Da", (0, 550)),
    "logp": ("logP", "", (-3, 7)),
    "tpsa": ("polar surface", "A^2", (0, 160)),
    "hbd": ("H-bond donors", "", (0, 6)),
    "hba": ("H-bond acceptors", "", (0, 12)),
    "rotatable": ("rotatable bonds", "", (0, 10)),
    "rings": ("rings", "", (0, 8)),
    "aromatic_rings": ("aromatic rings", "", (0, 5)),
    "fsp3": ("sp3 share", "", (0, 1)),
    "heavy_atoms": ("heavy atoms", "", (0, 40)),
    "sa": ("SA score", "", (1, 6)),
}
"""Name and unit of each of `DESCRIPTORS`, and the ends of its axis: few in a hundred random molecules lie beyond."""

WIDTH, HEIGHT = 920, 540  # pixels of a frame
MARGIN, HEAD, STRIP = 18, 40, 146
LEFT = 480  # where the ranges begin
BOTTOM, AXIS = HEIGHT - STRIP, (LEFT + 44, WIDTH - MARGIN - 44)  # where the finished molecules begin; ends of axes
TILE = 200  # pixels across a molecule of the gallery
COLUMNS = 5  # of the gallery, at most
LINE = 18  # between lines of the gallery
BAND, HIDDEN = "#8FD0BA", "#D5D9DD"
BOND, SPACE, EDGE = 32, 2000, 12  # pixels: of a bond at most, of the plane that RDKit draws on, around a molecule
SVG_LINE = re.compile(r" d='([^']+)' style='fill:none;[^#]*(#\w+)")
SVG_LETTER = re.compile(r"<text x='([\d.]+)' y='([\d.]+)'[^>]*?font-size:(\d+)px[^>]*?fill:(#\w+)' >([^< ]+)<")
SVG_DISC = re.compile(r"<ellipse cx='([\d.]+)' cy='([\d.]+)' rx='([\d.]+)'[^>]*?class='atom-(\d+)'")
REMEMBERED = 64  # pictures of molecules; at most 0.5 MB each


@dataclass(frozen=True)
class Bar:
    """The range that an objective asks for of one property, and the molecule's value."""

    name: str
    low: float
    """Lower end, which belongs to the range."""
    high: float
    """Upper end, which belongs to the range."""
    value: float | None
    """Of the present molecule; None before there is one."""
    scale: tuple[float, float]
    """Both ends of the axis."""
    hidden: bool
    """Whether the range is kept from the reader."""
    unit: str = ""

    def __post_init__(self) -> None:
        if not (self.scale[0] < self.scale[1] and self.low <= self.high):
            raise ValueError(f"{self.name}: expected rising ends, got range {self.low, self.high}, axis {self.scale}")

    @property
    def met(self) -> bool | None:
        """Whether the value lies in the range; None if there is no value or the range is hidden."""
        return None if self.hidden or self.value is None else self.low <= self.value <= self.high

    @property
    def colour(self) -> str:
        """Grey where nothing is known, else green for met and vermilion for missed."""
        return {None: GREY, True: GREEN, False: VERMILION}[self.met]

    def number(self, value: float) -> str:
        """As many decimals as the axis can tell apart; none for whole numbers."""
        span = self.scale[1] - self.scale[0]
        decimals = 0 if float(value).is_integer() else 2 if span < 20 else 1 if span < 200 else 0
        return f"{value:.{decimals}f}"

    def value_text(self) -> str:
        """The value with its unit."""
        return "-" if self.value is None else f"{self.number(self.value)} {self.unit}".rstrip()

    def range_text(self) -> str:
        """Such as ``283 to 320``, or ``2``; ``?`` if hidden."""
        low, high = self.number(self.low), self.number(self.high)
        return "?" if self.hidden else low if self.low == self.high else f"{low} to {high}"


@dataclass(frozen=True)
class Made:
    """A finished molecule of the trial."""

    smiles: str
    score: float
    note: str = ""
    """What a text says of it besides."""


def bars(
    values: Floats | None,
    low: Sequence[float],
    high: Sequence[float],
    wanted: Sequence[float],
    hidden: bool = False,
    names: Sequence[str] = PROPERTIES,
) -> list[Bar]:
    """The ranges of an objective, or all properties without a word on which of them it asks for.

    ``values`` are the properties ``names`` of the molecule, None before there is one; ``low``, ``high`` and ``wanted``
    are the task's, in the same order. If ``hidden``, the ranges are kept from the reader.
    """
    shown: list[Bar] = []
    for j, (name, unit, scale) in enumerate(AXES_OF[name] for name in names):
        if hidden or wanted[j]:
            least = float(low[j]) if low[j] > -LARGEST else scale[0]  # an open end is that of the axis
            most = float(high[j]) if high[j] < LARGEST else scale[1]
            ends = (0.0, 0.0) if hidden else (least, most)
            shown.append(Bar(name, *ends, None if values is None else float(values[j]), scale, hidden, unit))
    return shown


def open_smiles(built: Assembly, row: int) -> str:
    """Fragment notation of a molecule being built; "" for an empty one.

    Open attachments are dummy atoms: ``[1*]`` is the one to be dealt with next, ``*`` are the others.
    """
    fragment, partner = built.fragment[row].tolist(), built.partner[row].tolist()
    parts = write(fragment, partner, built.vocabulary, open_as="*").split("*")
    counts = [there.count(OPEN) for there in partner]
    if not any(counts):
        return parts[0]
    # The stack is worked off from the latest fragment, lowest attachment first; the notation is in order of placing.
    last = max(place for place, count in enumerate(counts) if count)
    next_one = sum(counts[:last])
    return "*".join(parts[: next_one + 1]) + "[1*]" + "*".join(parts[next_one + 1 :])


def frame(molecule: str | None, bars: Sequence[Bar], history: Sequence[Made], title: str) -> NDArray[np.uint8]:
    """The molecule being built, the ranges, and the finished molecules of the trial with their scores.

    Args:
        molecule: SMILES or fragment notation, open attachments as `open_smiles` writes them; None or "" for none yet.
        bars: the ranges, eleven at most.
        history: finished molecules, oldest first; as many of the latest as there is room for are drawn.
        title: one line.

    Returns:
        (540, 920, 3) uint8.

    Raises:
        ImportError: no RDKit.
        MoleculeError: a SMILES that RDKit cannot read.
    """
    canvas = Pixels(WIDTH, HEIGHT, _background(tuple(replace(bar, value=None) for bar in bars)))
    canvas.words(MARGIN, 27, shortened(title, WIDTH - 2 * MARGIN, 17), 17)
    _draw_molecule(canvas, molecule)
    for i, bar in enumerate(bars):
        _draw_value(canvas, _bar_top(i, len(bars)), bar)
    _draw_history(canvas, history)
    return canvas.array()


def gallery(made: Sequence[Made], bars_of: Sequence[Sequence[Bar]] | None, title: str) -> NDArray[np.uint8]:
    """Finished molecules side by side, with scores and the ranges that each lies in.

    Args:
        made: the molecules, in the order in which they were made; the best is framed.
        bars_of: the ranges of each, with the molecule's own values; None shows none.
        title: one line.

    Returns:
        (height, width, 3) uint8; the size depends on the numbers of molecules and ranges.

    Raises:
        ValueError: no molecules, or not as many ``bars_of`` as molecules.
    """
    if not made:
        raise ValueError("expected molecules, got 0 molecules")
    if bars_of is not None and len(bars_of) != len(made):
        raise ValueError(f"expected ranges for each of {len(made)} molecules, got them for {len(bars_of)}")
    lists = bars_of or [()] * len(made)
    most = max(map(len, lists))
    across, tall = TILE + MARGIN, TILE + LINE * most + 8 * bool(most)
    columns = min(COLUMNS, len(made))
    n_rows = -(-len(made) // columns)
    canvas = Pixels(max(columns * across + MARGIN, 2 * across), HEAD + n_rows * (tall + MARGIN))
    canvas.words(MARGIN, 27, shortened(title, max(columns, 2) * across - MARGIN, 17), 17)
    best = _best(made)
    for i, (one, bars) in enumerate(zip(made, lists, strict=True)):
        x, y = MARGIN + i % columns * across, HEAD + i // columns * (tall + MARGIN)
        canvas.box(x, y, TILE, tall, PAPER, GREEN if i == best else PALE)
        canvas.picture(x + 3, y + 3, TILE - 6, TILE - 26, depiction(one.smiles, TILE - 6, TILE - 26))
        _draw_score(canvas, x + 10, y + TILE - 16, TILE - 20, i + 1, one.score)
        for k, bar in enumerate(bars):
            _draw_line(canvas, x + 10, y + TILE + 15 + LINE * k, TILE - 20, bar)
    return canvas.array()


def values_text(values: Floats, names: Sequence[str] = PROPERTIES) -> str:
    """The properties ``names`` of a molecule, with their units."""
    axes = [AXES_OF[name] for name in names]
    shown = (
        Bar(name, 0.0, 0.0, float(value), scale, True) for value, (name, _, scale) in zip(values, axes, strict=True)
    )
    return ", ".join(bar.value_text() for bar in shown)


def text(
    molecule: str | None,
    bars: Sequence[Bar],
    history: Sequence[Made],
    head: str = "",
    actions: str = "",
    properties: Sequence[str] = PROPERTIES,
) -> str:
    """The molecule, a line for each range, the molecules of the trial so far, and what may be done now."""
    lines = [head, molecule or "no molecule yet: choose a ring"]
    wide = max((len(bar.name) for bar in bars), default=0)
    value_wide = max((len(bar.value_text()) for bar in bars), default=0)
    for bar in bars:
        verdict = {None: "", True: ", met", False: ", missed"}[bar.met]
        lines.append(f"  {bar.name:{wide}}  {bar.value_text():>{value_wide}}  range {bar.range_text()}{verdict}")
    if history:
        names = ", ".join(f"{name} in {unit}" if unit else name for name, unit, _ in (AXES_OF[p] for p in properties))
        lines.append(f"made {len(history)}, best no. {_best(history) + 1} (number: score; {names}; molecule)")
        lines += [f"  {k}: {made.score:.2f}; {made.note}{made.smiles}" for k, made in enumerate(history, 1)]
    else:
        lines.append("nothing made yet")
    return "\n".join(line for line in [*lines, actions] if line)


@lru_cache(maxsize=REMEMBERED)
def depiction(smiles: str, width: int, height: int) -> Image:
    """A drawing of a molecule by RDKit, at most so large.

    Dummy atoms are open attachments: discs, orange where the isotope is 1 (the next one), else blue.

    Raises:
        MoleculeError: RDKit cannot read the SMILES.
    """
    from PIL import ImageDraw

    places, lines, discs, letters = _drawing(smiles)
    low, high = places.min(axis=0) - EDGE, places.max(axis=0) + EDGE
    scale = min(1.0, width / (high[0] - low[0]), height / (high[1] - low[1]))
    # Twice as large at first, so that edges become smooth.
    across, down = (ceil(scale * float(length)) for length in high - low)
    large, used = _scratch(2 * width, 2 * height), (0, 0, 2 * min(across, width), 2 * min(down, height))
    draw = ImageDraw.Draw(large)
    draw.rectangle(used, PAPER)
    at, i = (2 * scale * (places - low)).ravel().tolist(), 0
    for corners, colour in lines:
        draw.line(at[i : i + 2 * corners], colour, 4 if scale > 0.6 else 3)
        i += 2 * corners
    for colour, radius in discs:
        x, y, r = *at[i : i + 2], 2 * scale * radius
        draw.ellipse((x - r, y - r, x + r, y + r), colour)
        i += 2
    for letter, size, colour in letters:
        mask, up = letters_mask(letter, 2 * max(round(scale * size), 8))
        draw.bitmap((round(at[i]) - mask.width // 2, round(at[i + 1] + 0.36 * up) - up), mask, colour)
        i += 2
    return large.reduce(2, used)


@lru_cache(maxsize=4)
def _scratch(width: int, height: int) -> Image:
    """Memory to draw on, which is faster to use again than to ask for."""
    from PIL import Image

    return Image.new("RGBX", (width, height))


@lru_cache(maxsize=REMEMBERED)
def _drawing(smiles: str) -> tuple[Floats, list[Any], list[Any], list[Any]]:
    """Places (n, 2) of the lines' corners, of discs and of letters; and of what kind they are.

    These are numbers of corners and colours, colours and radii, and letters, sizes and colours. They are read from
    RDKit's SVG, because it takes ten times as long to write and read a PNG.
    """
    from rdkit.Chem.Draw import rdMolDraw2D

    mol, drawer = to_mol(smiles), rdMolDraw2D.MolDraw2DSVG(SPACE, SPACE, -1, -1, True)
    options = drawer.drawOptions()
    options.fixedBondLength = BOND
    options.bondLineWidth = 2
    options.atomHighlightsAreCircles = True
    options.highlightRadius = 0.34  # of a bond
    marked = {
        atom.GetIdx(): ORANGE if atom.GetIsotope() else BLUE for atom in mol.GetAtoms() if not atom.GetAtomicNum()
    }
    for number in marked:
        mol.GetAtomWithIdx(number).SetProp("_displayLabel", " ")
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, mol, highlightAtoms=list(marked), highlightBonds=[])
    drawer.FinishDrawing()
    svg = drawer.GetDrawingText()
    paths, found, letters = SVG_LINE.findall(svg), SVG_DISC.findall(svg), SVG_LETTER.findall(svg)
    corners = " ".join(path for path, _ in paths).translate(str.maketrans("ML,", "   ")).split()
    middles = [(float(x), float(y)) for x, y, *_ in found]
    middles += [(float(x) + 0.36 * int(size), float(y) - 0.36 * int(size)) for x, y, size, *_ in letters]
    return (
        np.concatenate([np.array(corners, float).reshape(-1, 2), np.array(middles, float).reshape(-1, 2)]),
        [(path.count(","), colour) for path, colour in paths],
        [(marked[int(number)], float(radius)) for _, _, radius, number in found],
        [(letter, int(size), colour) for _, _, size, colour, letter in letters],
    )


# PRIVATE


@lru_cache(maxsize=8)
def _background(bars: tuple[Bar, ...]) -> Pixels:
    """What frames with these ranges have in common."""
    canvas = Pixels(WIDTH, HEIGHT)
    canvas.box(0, HEAD, WIDTH, 1, PALE)
    canvas.box(LEFT - MARGIN, HEAD, 1, BOTTOM - HEAD, PALE)
    canvas.box(0, BOTTOM, WIDTH, 1, PALE)
    canvas.words(MARGIN, BOTTOM + 20, "finished molecules of this trial, with their scores", 13, GREY)
    for i, bar in enumerate(bars):
        _draw_range(canvas, _bar_top(i, len(bars)), bar)
    return canvas


def _draw_molecule(canvas: Pixels, molecule: str | None) -> None:

    if not molecule:
        canvas.words((LEFT - MARGIN) // 2, (HEAD + BOTTOM) // 2, "choose a ring", 20, GREY, "middle")
        return
    size = LEFT - 2 * MARGIN, BOTTOM - HEAD - 34
    canvas.picture(MARGIN // 2, HEAD + 4, *size, depiction(molecule, *size))
    n_open = molecule.count("*")
    if not n_open:
        canvas.words(MARGIN, BOTTOM - 12, "complete", 13, GREY)
    if n_open:
        _draw_key(canvas, MARGIN, BOTTOM - 12, ORANGE, "next to be joined or closed")
    if n_open > 1:
        _draw_key(canvas, MARGIN + 210, BOTTOM - 12, BLUE, f"{n_open - 1} more open")


def _draw_key(canvas: Pixels, x: int, y: int, colour: str, words: str) -> None:
    canvas.disc(x + 6, y - 4, 6, colour)
    canvas.words(x + 18, y, words, 13, GREY)


def _bar_top(i: int, count: int) -> int:
    return HEAD + 10 + i * max(min(58, (BOTTOM - HEAD - 12) // count), 31)


def _axis(bar: Bar, value: float) -> int:
    """Where a value stands on the axis of a property."""
    least, most = bar.scale
    return round(AXIS[0] + (min(max(value, least), most) - least) / (most - least) * (AXIS[1] - AXIS[0]))


def _draw_range(canvas: Pixels, y: int, bar: Bar) -> None:
    """Draw the name and the range in words, and below them the axis with the range."""
    (start, end), (left, right) = AXIS, (_axis(bar, bar.low), _axis(bar, bar.high))
    canvas.words(LEFT, y + 12, shortened(bar.name, 150, 14), 14, GREY if bar.hidden else INK)
    canvas.words(WIDTH - MARGIN, y + 12, f"range {bar.range_text()}", 12, GREY, "right")
    canvas.words(start - 7, y + 30, bar.number(bar.scale[0]), 11, GREY, "right")
    canvas.words(end + 7, y + 30, bar.number(bar.scale[1]), 11, GREY)
    canvas.box(start, y + 22, end - start, 8, HIDDEN if bar.hidden else PALE)
    if not bar.hidden:
        left = max(min(left, (left + right) // 2 - 2), start)
        canvas.box(left, y + 22, min(max(right - left, 5), end - left), 8, BAND)


def _draw_value(canvas: Pixels, y: int, bar: Bar) -> None:
    """Draw the value in words, and a marker on the axis."""
    canvas.words(LEFT + 245, y + 12, bar.value_text(), 14, bar.colour, "right")
    if bar.value is None:
        return
    at, level, beyond = _axis(bar, bar.value), y + 26, int(bar.value > bar.scale[1]) - int(bar.value < bar.scale[0])
    needle = [(-6, -9), (6, -9), (1.5, 0), (1.5, 7), (-1.5, 7), (-1.5, 0)]
    arrow = [(-11 * beyond, -8), (0, 0), (-11 * beyond, 8)]  # at an end of the axis, for a value beyond it
    canvas.shape([(at + dx, level + dy) for dx, dy in (arrow if beyond else needle)], bar.colour)


def _draw_history(canvas: Pixels, history: Sequence[Made]) -> None:
    """The latest molecules, as many as there is room for; the best so far is framed."""
    top = BOTTOM
    if not history:
        canvas.words(WIDTH // 2, top + 80, "none yet", 15, GREY, "middle")
        return
    best = _best(history)
    summary = f"best {history[best].score:.2f}, no. {best + 1} of {len(history)}"
    canvas.words(WIDTH - MARGIN, top + 20, summary, 13, GREY, "right")
    n = min(len(history), 10)
    pitch = 126 if n <= 7 else 88
    for k in range(n):
        i = len(history) - n + k
        tile = _tile(history[i], i + 1, i == best, pitch - 6)
        canvas.picture(MARGIN + k * pitch, top + 30, tile.width, tile.height, tile)


@lru_cache(maxsize=REMEMBERED)
def _tile(made: Made, number: int, best: bool, width: int) -> Image:
    """A finished molecule with its score."""
    canvas = Pixels(width, 106)
    canvas.box(0, 0, width, 106, PAPER, GREEN if best else PALE)
    canvas.picture(2, 2, width - 4, 76, depiction(made.smiles, width - 4, 76))
    _draw_score(canvas, 6, 92, width - 12, number, made.score)
    return canvas.image()


def _draw_score(canvas: Pixels, x: int, y: int, width: int, number: int, score: float) -> None:
    """A molecule's number, its score, and below them the score as a line between 0 and 1."""
    canvas.words(x, y, str(number), 12, GREY)
    canvas.words(x + width, y, f"{score:.2f}", 14, INK, "right")
    canvas.box(x, y + 5, width, 4, PALE)
    if length := round(width * min(max(score, 0.0), 1.0)):
        canvas.box(x, y + 5, length, 4, GREEN)


def _draw_line(canvas: Pixels, x: int, y: int, width: int, bar: Bar) -> None:
    """A range of a gallery molecule: a full square if met, an empty one if missed, a grey one if hidden."""
    if bar.met is False:
        canvas.box(x, y - 9, 10, 10, PAPER, VERMILION)
    else:
        canvas.box(x, y - 9, 10, 10, GREEN if bar.met else HIDDEN)
    canvas.words(x + 16, y, shortened(bar.name, width - 68, 12), 12, INK)
    canvas.words(x + width, y, bar.value_text(), 12, bar.colour, "right")


def _best(made: Sequence[Made]) -> int:
    return max(range(len(made)), key=lambda i: made[i].score)
