"""Walks as pictures and lines of text, in numpy alone. The hidden goal is drawn, as pictures are for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from metaenv.typing import Floats

SIZE = 240  # pixels along each side of a picture of the plane
VIEW = 1.5  # the plane is shown from -1.5 to 1.5 on both axes
PAPER, GOAL_AREA, GOAL, ORIGIN = (255, 255, 255), (214, 236, 222), (44, 123, 79), (190, 190, 190)
PATH, ROBOT = (120, 150, 190), (200, 80, 40)
CELL, GAP = 40, 2  # pixels

Colour = tuple[int, int, int]


def point_text(path: Floats, goal: Floats, score: float) -> str:
    """Such as ``step  3 at (+0.30, +0.10), 0.82 from the goal, return 0.00``."""
    x, y = path[-1]
    away = float(np.hypot(x - goal[0], y - goal[1]))
    return f"step {len(path) - 1:2d} at ({x:+.2f}, {y:+.2f}), {away:.2f} from the goal, return {score:.2f}"


def point_frame(path: Floats, goal: Floats, radius: float) -> NDArray[np.uint8]:
    """The goal with the radius in which it pays, the origin, and the path of the present episode.

    Returns:
        (240, 240, 3) uint8.
    """
    frame = np.full((SIZE, SIZE, 3), PAPER, np.uint8)
    _disc(frame, goal, radius, GOAL_AREA)
    _disc(frame, goal, 0.03, GOAL)
    _disc(frame, np.zeros(2), 0.02, ORIGIN)
    for start, end in pairwise(path):
        for place in np.linspace(start, end, 8):
            _disc(frame, place, 0.012, PATH)
    _disc(frame, path[-1], 0.035, ROBOT)
    return frame


def _disc(frame: NDArray[np.uint8], centre: Floats, radius: float, colour: Colour) -> None:
    axis = (np.arange(SIZE) + 0.5) / SIZE * 2 * VIEW - VIEW
    inside = (axis - centre[0]) ** 2 + (-axis[:, None] - centre[1]) ** 2 <= radius**2  # y grows upwards
    frame[inside] = colour


def grid_text(path: Sequence[tuple[int, int]], goal: tuple[int, int], size: int, score: float) -> str:
    """The grid in lines, north at the top: ``G`` the goal, ``@`` the walker (``*`` on the goal), ``o`` its path."""
    here = path[-1]
    marks = {cell: "o" for cell in path} | {goal: "G"}
    marks[here] = "*" if here == goal else "@"
    lines = [" ".join(marks.get((x, y), ".") for x in range(size)) for y in reversed(range(size))]
    return "\n".join([f"step {len(path) - 1:2d}, return {score:.1f}", *lines])


def grid_frame(path: Sequence[tuple[int, int]], goal: tuple[int, int], size: int, steps: int) -> NDArray[np.uint8]:
    """The goal, the cells visited, the walker, and below them the share of the ``steps`` already made.

    Returns:
        (40 * size + 6, 40 * size, 3) uint8.
    """
    side = CELL * size
    frame = np.full((side + 3 * GAP, side, 3), PAPER, np.uint8)
    for x in range(size):
        for y in range(size):
            _cell(frame, (x, y), size, GAP, (236, 236, 236))
    for cell in path:
        _cell(frame, cell, size, GAP, PATH)
    _cell(frame, goal, size, 5 * GAP, GOAL)
    _cell(frame, path[-1], size, 7 * GAP, ROBOT)
    frame[side + GAP :, : side * (len(path) - 1) // steps] = ROBOT
    return frame


def _cell(frame: NDArray[np.uint8], cell: tuple[int, int], size: int, margin: int, colour: Colour) -> None:
    left, top = cell[0] * CELL, (size - 1 - cell[1]) * CELL
    frame[top + margin : top + CELL - margin, left + margin : left + CELL - margin] = colour
