"""Texts and pictures of experiments with the compounds of a system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metaenv.actions import listed
from metaenv.canvas import GREY, INK, Chart, Pixels
from metaenv.materials.laboratory import DEFAULT
from metaenv.materials.recipes import Recipe
from metaenv.materials.render import HEIGHT, Result, draw_phases, quantity_text, recipe_text
from metaenv.materials.system.layout import MEASURED, SHOWN
from metaenv.materials.system.options import OPTIONS
from metaenv.materials.system.recipes import QUANTITIES
from metaenv.typing import Floats

WIDTH, SHOWN_AT_ONCE = 1120, 12  # pixels; experiments: those of a campaign
COMPOUND_COLOURS = ("#0072B2", "#D55E00", "#CC79A7")
COLUMNS = (("", 578), ("K", 640), ("h", 690), *zip(OPTIONS, (704, 788, 896, 976), strict=True), ("reading", 1100))
"""Of the table of experiments, and where each begins, in pixels; numbers end there."""


@dataclass(frozen=True)
class SystemResult(Result):
    """What came of an experiment with a compound of a system."""

    compound: int = 0
    cells: tuple[str, ...] = ()
    """The temperature in K, the hold in h, and the options that were chosen."""


def result(
    compound: int, recipe: Recipe, choice: NDArray[np.intp], k: int, seen: NDArray[np.float32], score: float
) -> SystemResult:
    """What was done in experiment ``k`` of a batch, and what came of it."""
    names = [list(group)[i] for group, i in zip(OPTIONS.values(), choice[k], strict=True)]
    chosen = ", ".join(f"{group} {name}" for group, name in zip(OPTIONS, names, strict=True))
    done = f"compound {compound + 1}, {recipe_text(recipe, k)}, {chosen}"
    instruments = tuple(name for name, column in MEASURED.items() if seen[column])
    cells = (f"{recipe.temperature_K[k]:.0f}", f"{recipe.hold_h[k]:.1f}", *names)
    return SystemResult(done, seen[SHOWN].copy(), score, instruments, compound=compound, cells=cells)


def system_frame(compound: int, goal_um: Floats, results: Sequence[SystemResult], hidden: bool) -> NDArray[np.uint8]:
    """The readings of the latest experiments, compound by compound, their phases, and what they were made of.

    Returns:
        (500, 1120, 3) uint8.
    """
    canvas = Pixels(WIDTH, HEIGHT)
    canvas.words(18, 28, f"now: compound {compound + 1}, the target phase in grains of {goal_um[compound]:.2f} um", 16)
    first = max(len(results) - SHOWN_AT_ONCE, 0)
    numbers = range(first + 1, first + SHOWN_AT_ONCE + 1)
    ends = (first + 0.4, first + SHOWN_AT_ONCE + 0.6)
    reading = Chart(canvas, (56, 88, 460, 140), ends, (-0.4, 1.0))
    reading.axes("", "reading: a noisy measure of utility", numbers)
    latest = list(enumerate(results[first:], first + 1))
    for e, colour in enumerate(COMPOUND_COLOURS):
        of_compound = [(k, max(float(each.seen[7]), -0.4)) for k, each in latest if each.compound == e]
        canvas.trail([reading.at(*point) for point in of_compound], colour)
        for point in of_compound:
            reading.disc(point, 4, colour)
    for k, each in latest:
        if hidden:
            canvas.ring(*reading.at(k, max(each.score, -0.4)), 6, INK)
    draw_phases(canvas, (56, 278, 460, 110), ends, "experiment with this system", results, first, numbers)
    keys = [(colour, f"compound {e + 1}") for e, colour in enumerate(COMPOUND_COLOURS)]
    canvas.legend(56, 482, [*keys, *([(INK, "true utility")] if hidden else [])])
    _draw_table(canvas, latest)
    return canvas.array()


def _draw_table(canvas: Pixels, latest: Sequence[tuple[int, SystemResult]]) -> None:
    """What each of the latest experiments was made of, a line each in the colour of its compound."""
    if not latest:
        canvas.words(578, 80, "nothing made yet", 15, GREY)
        return
    for row, (k, each) in enumerate([(0, None), *latest]):
        y = 80 + 24 * row
        cells = [title for title, _ in COLUMNS] if each is None else [str(k), *each.cells, f"{each.seen[7]:.2f}"]
        for (title, x), words in zip(COLUMNS, cells, strict=True):
            colour = GREY if each is None else COMPOUND_COLOURS[each.compound]
            canvas.words(x, y, words, 13, colour, "left" if title in OPTIONS or not title else "right")


def system_text(compound: int, goal_um: Floats, results: Sequence[Result], hidden: bool) -> str:
    """What is made now, the experiments with the system so far, and what the numbers of an action mean."""
    lines = [f"now: compound {compound + 1}, the target phase in grains of {goal_um[compound]:.2f} um"]
    lines += [f"  experiment {k}: {each.text(hidden)}" for k, each in enumerate(results, 1)]
    meanings = [f"{name} {quantity_text(name, DEFAULT)}" for name in QUANTITIES]
    meanings += [
        f"{group} {name}, if it is the largest of its group" for group, names in OPTIONS.items() for name in names
    ]
    named = (f"{i} {meaning}" for i, meaning in enumerate(meanings))
    return "\n".join([*lines, listed("actions, numbers from -1 to 1", named)])
