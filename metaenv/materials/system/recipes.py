"""Actions of a system's experiments: four numbers for the furnace and the powders, and a choice in each group."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.recipes import Recipe
from metaenv.materials.recipes import from_action as of_one
from metaenv.materials.recipes import to_action as to_one
from metaenv.materials.system.options import N_OPTIONS, OPTIONS, PLACES
from metaenv.typing import Floats

QUANTITIES = ("temperature", "hold", "excess A", "particle size")
N_QUANTITIES = len(QUANTITIES)
ACTIONS = (*QUANTITIES, *(f"{group}: {name}" for group, names in OPTIONS.items() for name in names))
"""What the coordinates of an action are."""
CHOICES = tuple(slice(N_QUANTITIES + place.start, N_QUANTITIES + place.stop) for place in PLACES)
"""The coordinates of which the largest chooses, for each group."""
COLUMNS = np.array([0, 1, 3, 4])  # of the default variant's action; its ramp stays in the middle, 4.5 K/min


def from_action(action: NDArray[Any]) -> tuple[Recipe, NDArray[np.intp]]:
    """Recipes of ``n`` actions (n, 22) in [-1, 1], and the option (n, groups) that each chooses in every group.

    Raises:
        ValueError: an action of another width, or with a number outside [-1, 1].
    """
    action = np.asarray(action, np.float64)
    if action.ndim != 2 or action.shape[1] != len(ACTIONS):
        raise ValueError(f"the variant 'system' takes actions (n, {len(ACTIONS)}), got shape {action.shape}")
    five = np.zeros((len(action), 5))
    five[:, COLUMNS] = action[:, :N_QUANTITIES]
    return of_one(five), np.stack([np.argmax(action[:, group], axis=1) for group in CHOICES], axis=1)


def to_action(recipe: Recipe, choice: NDArray[np.intp]) -> Floats:
    """Actions (n, 22) that make these recipes from these options: the inverse of `from_action`.

    Raises:
        ValueError: a recipe out of bounds, or with a second step, gas or precursor that an action cannot say.
    """
    action = np.concatenate([to_one(recipe)[:, COLUMNS], -np.ones((len(recipe), N_OPTIONS))], axis=1)
    return with_choice(action, choice)


def with_choice(action: Floats, choice: NDArray[np.intp]) -> Floats:
    """The actions (n, 22) with these options (n, groups) chosen instead."""
    action = action.copy()
    for g, group in enumerate(CHOICES):
        action[:, group] = -1.0
        action[np.arange(len(action)), group.start + choice[:, g]] = 1.0
    return action
