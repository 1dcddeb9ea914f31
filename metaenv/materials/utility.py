"""What a synthesis is worth: pure target of the wanted grain size, less what its recipe costs."""

from __future__ import annotations

import numpy as np

from metaenv.materials.recipes import PARTICLE_UM, Recipe
from metaenv.materials.schedule import heating_hours
from metaenv.typing import Floats

ANY_GRAIN = 0.3  # worth of pure target of a wrong grain size (chosen)
GRAIN_TOLERANCE = 0.6  # standard deviation in ln(G/G*) (chosen)
TIME_COST = 0.08  # of 100 hours of furnace, logarithmic in the time (chosen)
LONG_COST, LONG_H = 0.10, 100.0  # of 100 hours, quadratic: the furnace is wanted by others (chosen)
SHORT_COST, SHORT_H = 0.08, 0.33  # of 20 minutes or less, inverse square: not evenly hot (chosen)
HEAT_COST, HOT_K = 0.06, 1800.0  # of 1800 K: radiation grows with T^4 (chosen)
RAMP_COST, FAST_K_PER_MIN = 0.05, 20.0  # of 20 K/min, quadratic: cracked tubes and boats (chosen)
MILLING_COST, MILLED_UM = 0.02, 0.3  # of 0.3 um, inverse square: wear of the mill in the sample (chosen)
PATCHY_COST, COARSE_UM = 0.15, 5.0  # of 5 um, quadratic: coarse powders mix badly (chosen)
PRECURSOR_COST = np.array([0.0, 0.01, 0.01])  # carbonate; nitrate: its fumes; oxide: dearer (chosen)
SECOND_STEP_COST = 0.01  # of opening the furnace again (chosen)


def utility(target_fraction: Floats, grain_um: Floats, goal_um: Floats, recipe: Recipe) -> Floats:
    """(n,) worth of an experiment; at most 1, negative where nothing came of the effort.

    J = w (0.3 + 0.7 exp[-(ln G/G*)^2 / (2 0.6^2)]) - costs

    Args:
        target_fraction: (n,) w, share of the target, true or measured.
        grain_um: (n,) G, mean grain size.
        goal_um: (n,) G*, the wanted grain size.
        recipe: what was done.
    """
    miss = np.log(grain_um / goal_um) / GRAIN_TOLERANCE
    fit = ANY_GRAIN + (1.0 - ANY_GRAIN) * np.exp(-0.5 * miss * miss)
    return target_fraction * fit - costs(recipe)


def least_utility(hours: float) -> float:
    """No recipe that heats and holds for at most so many hours has a lower utility: each cost is the highest."""
    return -float(
        TIME_COST / np.log1p(LONG_H) * np.log1p(hours)
        + LONG_COST * (hours / LONG_H) ** 2
        + (SHORT_COST + HEAT_COST + RAMP_COST)
        + MILLING_COST * (MILLED_UM / PARTICLE_UM[0]) ** 2
        + PATCHY_COST * (PARTICLE_UM[1] / COARSE_UM) ** 2
        + PRECURSOR_COST.max()
        + SECOND_STEP_COST
    )


def costs(recipe: Recipe) -> Floats:
    """(n,) what the recipe costs, in units of perfect target."""
    hours, hottest = heating_hours(recipe), np.maximum(recipe.temperature_K, recipe.second_temperature_K)
    hold_h = np.maximum(recipe.hold_h + recipe.second_hold_h, SHORT_H)
    return (
        TIME_COST / np.log1p(LONG_H) * np.log1p(hours)
        + LONG_COST * _square(hours / LONG_H)
        + SHORT_COST * _square(SHORT_H / hold_h)
        + HEAT_COST * _square(_square(hottest / HOT_K))
        + RAMP_COST * _square(recipe.ramp_K_per_min / FAST_K_PER_MIN)
        + MILLING_COST * _square(MILLED_UM / recipe.particle_um)
        + PATCHY_COST * _square(recipe.particle_um / COARSE_UM)
        + PRECURSOR_COST[recipe.precursor]
        + np.where(recipe.second_hold_h > 0, SECOND_STEP_COST, 0.0)
    )


def _square(x: Floats) -> Floats:
    return x * x
