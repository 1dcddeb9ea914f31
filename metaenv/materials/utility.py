"""What a synthesis is worth: pure target of the wanted grain size, less what its recipe costs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.laboratory import DEFAULT, Laboratory
from metaenv.materials.recipes import Recipe
from metaenv.materials.schedule import heating_hours
from metaenv.typing import Floats


def utility(
    target_fraction: Floats, grain_um: Floats, goal_um: Floats, recipe: Recipe, laboratory: Laboratory = DEFAULT
) -> Floats:
    """(n,) worth of an experiment; at most 1, negative where nothing came of the effort.

    J = w (a + (1 - a) exp[-(ln G/G*)^2 / (2 s^2)]) - costs, in the default laboratory with a = 0.3 and s = 0.6

    Args:
        target_fraction: (n,) w, share of the target, true or measured.
        grain_um: (n,) G, mean grain size.
        goal_um: (n,) G*, the wanted grain size.
        recipe: what was done.
        laboratory: whose costs.
    """
    return target_fraction * grain_fit(np.log(grain_um / goal_um), laboratory) - costs(recipe, laboratory)


def grain_fit(log_ratio: NDArray[Any], laboratory: Laboratory = DEFAULT) -> NDArray[Any]:
    """What the target is worth with grains of the wanted size times exp(``log_ratio``): 1 at 0, `any_grain` far off."""
    c = laboratory.costs
    miss = log_ratio / c.grain_tolerance
    return c.any_grain + (1.0 - c.any_grain) * np.exp(-0.5 * miss * miss)


def least_utility(hours: float, laboratory: Laboratory = DEFAULT) -> float:
    """No recipe that heats and holds for at most so many hours has a lower utility: each cost is the highest."""
    c, b = laboratory.costs, laboratory.bounds
    return -float(
        c.time / np.log1p(c.long_h) * np.log1p(hours)
        + c.long * (hours / c.long_h) ** 2
        + (
            c.short
            + c.heat * (b.temperature_K[1] / c.hot_K) ** 4
            + c.ramp * (b.ramp_K_per_min[1] / c.fast_K_per_min) ** 2
        )
        + c.milling * (c.milled_um / b.particle_um[0]) ** 2
        + c.patchy * (b.particle_um[1] / c.coarse_um) ** 2
        + c.precursor.max()
        + c.second_step
    )


def costs(recipe: Recipe, laboratory: Laboratory = DEFAULT) -> Floats:
    """(n,) what the recipe costs, in units of perfect target."""
    c = laboratory.costs
    hours, hottest = heating_hours(recipe), np.maximum(recipe.temperature_K, recipe.second_temperature_K)
    hold_h = np.maximum(recipe.hold_h + recipe.second_hold_h, c.short_h)
    return (
        c.time / np.log1p(c.long_h) * np.log1p(hours)
        + c.long * _square(hours / c.long_h)
        + c.short * _square(c.short_h / hold_h)
        + c.heat * _square(_square(hottest / c.hot_K))
        + c.ramp * _square(recipe.ramp_K_per_min / c.fast_K_per_min)
        + c.milling * _square(c.milled_um / recipe.particle_um)
        + c.patchy * _square(recipe.particle_um / c.coarse_um)
        + c.precursor[recipe.precursor]
        + np.where(recipe.second_hold_h > 0, c.second_step, 0.0)
    )


def _square(x: Floats) -> Floats:
    return x * x
