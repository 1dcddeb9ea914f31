"""Actions: which are allowed, and a clear refusal of those that are not actions at all.

A *masked* action is legal to send and has the harmless meaning its environment documents; a *malformed* one (wrong
shape, not finite, outside the space) is refused with a ValueError before anything changes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-6  # how far rounding may carry an action outside its box; such an action is clipped
LINE = 116  # letters of a line of text


def check_actions(actions: Any, space: gym.spaces.Space[Any], n: int) -> NDArray[Any]:
    """``n`` actions of ``space`` as one array, (n,) for Discrete and (n, d) for Box.

    Raises:
        ValueError: what was expected, what came, and for which sub-environment.
    """
    if isinstance(space, gym.spaces.Discrete):
        return _check_discrete(np.asarray(actions), space, n)
    assert isinstance(space, gym.spaces.Box), space
    return _check_box(np.asarray(actions), space, n)


def check_action(action: Any, space: gym.spaces.Space[Any]) -> NDArray[Any]:
    """One action of ``space`` as an array of one, (1,) or (1, d); raises as `check_actions`."""
    discrete = isinstance(space, gym.spaces.Discrete)
    # A plain number is what a scalar environment's policy mostly sends.
    if discrete and type(action) in (int, np.int64) and space.start <= action < space.start + space.n:
        return np.array([action], np.int64)
    return check_actions(np.asarray(action)[None], space, 1)


def _check_discrete(actions: NDArray[Any], space: gym.spaces.Discrete, n: int) -> NDArray[np.int64]:
    if actions.shape != (n,) or not np.issubdtype(actions.dtype, np.integer):
        raise ValueError(f"expected {n} integer actions, got {actions.dtype} of shape {actions.shape}")
    wrong = (actions < space.start) | (actions >= space.start + space.n)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        last = space.start + space.n - 1
        raise ValueError(f"expected actions from {space.start} to {last}, got {actions[row]} in row {row}")
    return actions.astype(np.int64)


def _check_box(actions: NDArray[Any], space: gym.spaces.Box, n: int) -> NDArray[np.float64]:
    if actions.shape != (n, *space.shape) or actions.dtype.kind not in "biuf":
        raise ValueError(f"expected numbers of shape {(n, *space.shape)}, got {actions.dtype} of shape {actions.shape}")
    actions = actions.astype(np.float64, copy=False)
    # NaN fails both comparisons, so this refuses it too.
    good = (actions >= space.low - TOLERANCE) & (actions <= space.high + TOLERANCE)
    if not good.all():
        row = int(np.flatnonzero(~good.reshape(n, -1).all(axis=1))[0])
        raise ValueError(
            f"expected finite actions from {space.low.min():g} to {space.high.max():g}, got "
            f"{np.array2string(actions[row], precision=4)} in row {row}; clip or squash the policy's output"
        )
    return np.clip(actions, space.low, space.high)


def listed(head: str, entries: Iterable[object]) -> str:
    """``head: entry; entry; …`` in lines of text that break between entries only."""
    text = f"{head}: " + "; ".join(str(entry).replace(" ", "\N{NO-BREAK SPACE}") for entry in entries)
    lines = textwrap.wrap(text, LINE, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")
