"""Texts of experiments with the compounds of a system."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metaenv.actions import listed
from metaenv.materials.laboratory import DEFAULT
from metaenv.materials.recipes import Recipe
from metaenv.materials.render import Result, quantity_text, recipe_text
from metaenv.materials.system.layout import MEASURED, SHOWN
from metaenv.materials.system.options import OPTIONS
from metaenv.materials.system.recipes import QUANTITIES
from metaenv.typing import Floats


def result(
    compound: int, recipe: Recipe, choice: NDArray[np.intp], k: int, seen: NDArray[np.float32], score: float
) -> Result:
    """What was done in experiment ``k`` of a batch, and what came of it."""
    chosen = (f"{group} {list(names)[i]}" for (group, names), i in zip(OPTIONS.items(), choice[k], strict=True))
    done = f"compound {compound + 1}, {recipe_text(recipe, k)}, {', '.join(chosen)}"
    instruments = tuple(name for name, column in MEASURED.items() if seen[column])
    return Result(done, seen[SHOWN].copy(), score, instruments)


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
