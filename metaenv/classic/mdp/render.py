"""A tabular MDP as a picture, in numpy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metaenv.typing import Floats

CELL, GAP, MARK = 16, 2, 3  # pixels
PAPER, LOW, MIDDLE, HIGH, HERE, PLAYED = np.array(
    [(255, 255, 255), (190, 80, 60), (240, 240, 236), (44, 123, 79), (20, 20, 20), (40, 90, 200)], float
)
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
    step = CELL + GAP
    frame = np.broadcast_to(PAPER, (GAP + s * step, GAP + (1 + a + s) * step + GAP, 3)).copy()
    colours = np.concatenate([_reward_colours(mean_rewards), _greys(transitions.mean(axis=1))], axis=1)
    for i in range(s):
        top = GAP + i * step
        if i == state:
            frame[top : top + CELL, GAP : GAP + CELL] = HERE
        for j, colour in enumerate(colours[i]):
            left = GAP + (1 + j) * step + (GAP if j >= a else 0)
            if (i, j) == last:
                frame[top : top + CELL, left : left + CELL] = PLAYED
                frame[top + MARK : top + CELL - MARK, left + MARK : left + CELL - MARK] = colour
            else:
                frame[top : top + CELL, left : left + CELL] = colour
    return np.rint(frame).astype(np.uint8)


def _reward_colours(mean_rewards: Floats) -> Floats:
    """(S, A, 3)"""
    shade = np.clip((mean_rewards - SHOWN[0]) / SHOWN[1], -1, 1)[..., None]
    return MIDDLE + np.where(shade > 0, shade * (HIGH - MIDDLE), -shade * (LOW - MIDDLE))


def _greys(chance: Floats) -> Floats:
    """(S, S, 3)"""
    return PAPER + np.sqrt(chance)[..., None] * (HERE - PAPER)
