"""Pictures and lines of text, in numpy alone. What is hidden from a policy is drawn, as pictures are for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from metaenv.typing import Floats

Colour = tuple[int, int, int]
PAPER: Colour = (255, 255, 255)
GREEN, RED, BLUE, BLACK = (44, 123, 79), (190, 80, 60), (40, 90, 200), (20, 20, 20)
GAP = 2  # pixels

# BANDITS

BANDIT_HEIGHT, ARM_WIDTH, ARM_GAP = 120, 24, 8  # pixels
BAR: Colour = (188, 200, 214)


def bandit_frame(probabilities: Floats, arm: int, paid: float) -> NDArray[np.uint8]:
    """Arms as bars as high as their hidden probability; the pulled one green if it paid, else red.

    Returns:
        (120, 8 + 32 * n_arms, 3) uint8.
    """
    width = ARM_GAP + (ARM_WIDTH + ARM_GAP) * len(probabilities)
    frame = np.full((BANDIT_HEIGHT, width, 3), PAPER, np.uint8)
    for i, p in enumerate(probabilities):
        left = ARM_GAP + i * (ARM_WIDTH + ARM_GAP)
        top = BANDIT_HEIGHT - 1 - round(float(p) * (BANDIT_HEIGHT - ARM_GAP))
        frame[top:, left : left + ARM_WIDTH] = BAR if i != arm else (GREEN if paid else RED)
    return frame


# TABULAR MDPs

MDP_CELL, MARK = 16, 3  # pixels
NEUTRAL = np.array((240.0, 240.0, 236.0))
SHOWN = (1.0, 2.0)  # centre and half-width of the colour scale: mean rewards are drawn from N(1, 1)


def mdp_frame(mean_rewards: Floats, transitions: Floats, state: int, last: tuple[int, int] | None) -> NDArray[np.uint8]:
    """One row a state: its mean rewards by action (red to green), then where its actions lead on average (grey).

    The present state is marked black at the left; the pair played last is framed blue.

    Args:
        mean_rewards: (S, A).
        transitions: (S, A, S).
        state: the present one.
        last: state and action of the last step, if there was one.

    Returns:
        (18 * S + 2, 18 * (A + S) + 22, 3) uint8.
    """
    s, a = mean_rewards.shape
    step = MDP_CELL + GAP
    frame = np.full((GAP + s * step, GAP + (1 + a + s) * step + GAP, 3), PAPER, float)
    colours = np.concatenate([_reward_colours(mean_rewards), _greys(transitions.mean(axis=1))], axis=1)
    for i in range(s):
        top = GAP + i * step
        if i == state:
            frame[top : top + MDP_CELL, GAP : GAP + MDP_CELL] = BLACK
        for j, colour in enumerate(colours[i]):
            left = GAP + (1 + j) * step + (GAP if j >= a else 0)
            if (i, j) == last:
                frame[top : top + MDP_CELL, left : left + MDP_CELL] = BLUE
                frame[top + MARK : top + MDP_CELL - MARK, left + MARK : left + MDP_CELL - MARK] = colour
            else:
                frame[top : top + MDP_CELL, left : left + MDP_CELL] = colour
    return np.rint(frame).astype(np.uint8)


def _reward_colours(mean_rewards: Floats) -> Floats:
    """(S, A, 3)"""
    shade = np.clip((mean_rewards - SHOWN[0]) / SHOWN[1], -1, 1)[..., None]
    return NEUTRAL + np.where(shade > 0, shade * (np.array(GREEN) - NEUTRAL), -shade * (np.array(RED) - NEUTRAL))


def _greys(chance: Floats) -> Floats:
    """(S, S, 3)"""
    return PAPER + np.sqrt(chance)[..., None] * (np.array(BLACK) - PAPER)


# WALKS

PLANE = 240  # pixels along each side of a picture of the plane
VIEW = 1.5  # the plane is shown from -1.5 to 1.5 on both axes
GOAL_AREA, ORIGIN, PATH, ROBOT = (214, 236, 222), (190, 190, 190), (120, 150, 190), (200, 80, 40)
GRID_CELL = 40  # pixels


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
    frame = np.full((PLANE, PLANE, 3), PAPER, np.uint8)
    _disc(frame, goal, radius, GOAL_AREA)
    _disc(frame, goal, 0.03, GREEN)
    _disc(frame, np.zeros(2), 0.02, ORIGIN)
    for start, end in pairwise(path):
        for place in np.linspace(start, end, 8):
            _disc(frame, place, 0.012, PATH)
    _disc(frame, path[-1], 0.035, ROBOT)
    return frame


def _disc(frame: NDArray[np.uint8], centre: Floats, radius: float, colour: Colour) -> None:
    axis = (np.arange(PLANE) + 0.5) / PLANE * 2 * VIEW - VIEW
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
    side = GRID_CELL * size
    frame = np.full((side + 3 * GAP, side, 3), PAPER, np.uint8)
    for x in range(size):
        for y in range(size):
            _cell(frame, (x, y), size, GAP, (236, 236, 236))
    for cell in path:
        _cell(frame, cell, size, GAP, PATH)
    _cell(frame, goal, size, 5 * GAP, GREEN)
    _cell(frame, path[-1], size, 7 * GAP, ROBOT)
    frame[side + GAP :, : side * (len(path) - 1) // steps] = ROBOT
    return frame


def _cell(frame: NDArray[np.uint8], cell: tuple[int, int], size: int, margin: int, colour: Colour) -> None:
    left, top = cell[0] * GRID_CELL, (size - 1 - cell[1]) * GRID_CELL
    frame[top + margin : top + GRID_CELL - margin, left + margin : left + GRID_CELL - margin] = colour
