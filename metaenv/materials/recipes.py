"""Recipes of a solid-state synthesis in physical units, and their map to and from actions in [-1, 1].

A `metaenv.materials.laboratory.Laboratory` says which recipes there are.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.laboratory import DEFAULT, QUANTITIES, Laboratory, Range
from metaenv.typing import Floats, Rows

Variant = Literal["recipe", "full"]
"""``"recipe"``: one heating step of the carbonate in air. ``"full"``: all of a `Recipe`."""

AIR_LOG10_PCO2_BAR = float(np.log10(400e-6))  # 400 ppm of CO2
PRECURSORS = ("carbonate", "nitrate", "oxide")

RECIPE_ACTIONS = ("temperature", "hold", "ramp", "excess A", "particle size")
FULL_ACTIONS = (*RECIPE_ACTIONS, "second temperature", "second hold", "log pCO2", *PRECURSORS)
ACTION_NAMES: dict[Variant, tuple[str, ...]] = {"recipe": RECIPE_ACTIONS, "full": FULL_ACTIONS}
ROUNDING = 1e-6  # beyond [-1, 1], of actions in single precision
ACTION_DIM: dict[Variant, int] = {variant: len(names) for variant, names in ACTION_NAMES.items()}


@dataclass(frozen=True)
class Recipe:
    """``n`` recipes as one struct of arrays of shape (n,)."""

    temperature_K: Floats
    """Set point of the first heating step, K."""
    hold_h: Floats
    """Time at the first set point, h."""
    ramp_K_per_min: Floats
    """Heating rate, and the rate between two steps, K/min."""
    excess_a: Floats
    """Weighed-in A over stoichiometry; 0.1 is 10 % too much."""
    particle_um: Floats
    """Particle size of the milled powders, um."""
    second_temperature_K: Floats
    """Set point of the second step, K; equal to the first where there is none."""
    second_hold_h: Floats
    """Time at the second set point, h; 0 where there is no second step."""
    log10_pco2_bar: Floats
    """Decimal logarithm of the partial pressure of CO2 in bar."""
    precursor: NDArray[np.intp]
    """Index in `PRECURSORS` of the source of B."""

    def __len__(self) -> int:
        return len(self.temperature_K)

    def take(self, rows: Rows) -> Recipe:
        """The recipes of ``rows``."""
        return Recipe(*(getattr(self, f.name)[rows] for f in fields(self)))

    def repeated(self, times: int) -> Recipe:
        """Each recipe ``times`` times in a row, as `TaskBatch.repeated`."""
        return Recipe(*(np.repeat(getattr(self, f.name), times) for f in fields(self)))


def one_step(
    temperature_K: Any, hold_h: Any, ramp_K_per_min: Any = 5.0, excess_a: Any = 0.0, particle_um: Any = 1.0
) -> Recipe:
    """Recipes with one heating step of the carbonate in air; broadcast together.

    Each argument is a number, an array (n,) or text with a unit: ``one_step("950 C", "6 h", "300 K/h", "10 %")``.

    Raises:
        ValueError: a number that no furnace or mill can be set to, or an unknown unit.
    """
    given = (temperature_K, hold_h, ramp_K_per_min, excess_a, particle_um)
    read = (q.read(x) if isinstance(x, str) else x for q, x in zip(QUANTITIES.values(), given, strict=False))
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, np.float64)) for x in read))
    recipe = _in_air(*(np.ascontiguousarray(x) for x in columns))
    check_physical(recipe)
    return recipe


LEAST = {
    "temperature_K": 0.0,
    "hold_h": 0.0,
    "ramp_K_per_min": 1e-6,
    "excess_a": -0.999,
    "particle_um": 1e-6,
    "second_temperature_K": 0.0,
    "second_hold_h": 0.0,
    "log10_pco2_bar": -300.0,
}
"""Below these numbers a recipe has no meaning, whatever the laboratory."""
MOST = 1e6


def check_physical(recipe: Recipe) -> None:
    """Raise ValueError unless the numbers of a recipe mean something: finite, no negative times or sizes."""
    for name, least in LEAST.items():
        values = getattr(recipe, name)
        if len(values) and not (values.min() >= least and values.max() <= MOST):
            row = int(np.argmin((values >= least) & (values <= MOST)))
            quantity = QUANTITIES[name.removeprefix("second_")]
            number = "number" if least < -1 else "number above 0" if 0 < least else f"number of at least {least:g}"
            raise ValueError(
                f"{name.removesuffix('_K').removesuffix('_h')} of recipe {row}: expected a finite {number}"
                f"{f' {quantity.unit}' if quantity.unit else ''}, got {values[row]:g}"
            )


def from_action(action: NDArray[Any], variant: Variant = "recipe", laboratory: Laboratory = DEFAULT) -> Recipe:
    """Recipes for actions in [-1, 1], which cover the bounds of the laboratory.

    Args:
        action: (n, 5) in the variant "recipe", (n, 11) in the full variant; `ACTION_NAMES` says which is which. In the
            full variant a negative "second hold" means no second step, and the largest of the last three coordinates
            chooses the precursor.
        variant: which.
        laboratory: whose bounds.

    Raises:
        ValueError: an action of another width, or with a number outside [-1, 1].
    """
    action = np.asarray(action, np.float64)
    if action.ndim != 2 or action.shape[1] != ACTION_DIM[variant]:
        raise ValueError(f"the {variant!r} variant takes actions (n, {ACTION_DIM[variant]}), got shape {action.shape}")
    if action.size and not (action.min() >= -1.0 - ROUNDING and action.max() <= 1.0 + ROUNDING):
        row, k = np.argwhere(~(np.abs(action) <= 1.0 + ROUNDING))[0]
        name = ACTION_NAMES[variant][k]
        raise ValueError(
            f"{name} of action {row}: expected a number from -1 to 1, got {action[row, k]:g}; for {name} in its own "
            "unit make a recipe, and use to_action"
        )
    unit = np.ascontiguousarray(0.5 * (1.0 + np.clip(action, -1.0, 1.0)).T)
    b = laboratory.bounds
    first = (
        _linear(unit[0], b.temperature_K),
        _log(unit[1], b.hold_h),
        _log(unit[2], b.ramp_K_per_min),
        _linear(unit[3], b.excess_a),
        _log(unit[4], b.particle_um),
    )
    if variant == "recipe":
        return _in_air(*first)
    two = unit[6] >= 0.5
    return Recipe(
        *first,
        second_temperature_K=np.where(two, _linear(unit[5], b.temperature_K), first[0]),
        second_hold_h=np.where(two, _log(np.maximum(2.0 * unit[6] - 1.0, 0.0), b.hold_h), 0.0),
        log10_pco2_bar=_linear(unit[7], b.log10_pco2_bar),
        precursor=np.argmax(unit[8:], axis=0),
    )


def to_action(recipe: Recipe, variant: Variant = "recipe", laboratory: Laboratory = DEFAULT) -> Floats:
    """Actions (n, 5) or (n, 11) that make these recipes: the inverse of `from_action`.

    Raises:
        ValueError: a recipe out of the laboratory's bounds, or with a second step, gas or precursor that the default
            variant cannot say. The message names the field, the bound and the unit.
    """
    b, inside = laboratory.bounds, laboratory.inside
    unit = [
        _linear_unit(inside("temperature_K", recipe.temperature_K), b.temperature_K),
        _log_unit(inside("hold_h", recipe.hold_h), b.hold_h),
        _log_unit(inside("ramp_K_per_min", recipe.ramp_K_per_min), b.ramp_K_per_min),
        _linear_unit(inside("excess_a", recipe.excess_a), b.excess_a),
        _log_unit(inside("particle_um", recipe.particle_um), b.particle_um),
    ]
    two = recipe.second_hold_h != 0
    if variant == "full":
        second_h = inside("second_hold_h", np.where(two, recipe.second_hold_h, b.hold_h[0]))
        second_K = np.where(two, recipe.second_temperature_K, recipe.temperature_K)
        unit += [
            _linear_unit(inside("second_temperature_K", second_K), b.temperature_K),
            np.where(two, 0.5 + 0.5 * _log_unit(second_h, b.hold_h), 0.25),
            _linear_unit(inside("log10_pco2_bar", recipe.log10_pco2_bar), b.log10_pco2_bar),
            *np.eye(len(PRECURSORS))[recipe.precursor].T,
        ]
    else:
        for what, more in (
            ("a second step", two),
            ("another pressure of CO2 than air's", recipe.log10_pco2_bar != AIR_LOG10_PCO2_BAR),
            ("another precursor than the carbonate", recipe.precursor != 0),
        ):
            if more.any():
                raise ValueError(
                    f"recipe {int(np.argmax(more))} has {what}, which the variant 'recipe' cannot make; use "
                    "variant='full', or leave it out"
                )
    return np.clip(2.0 * np.stack(unit, axis=1) - 1.0, -1.0, 1.0)


def _in_air(temperature_K: Floats, hold_h: Floats, ramp: Floats, excess_a: Floats, particle_um: Floats) -> Recipe:
    n = len(temperature_K)
    return Recipe(
        temperature_K,
        hold_h,
        ramp,
        excess_a,
        particle_um,
        second_temperature_K=temperature_K,
        second_hold_h=np.zeros(n),
        log10_pco2_bar=np.full(n, AIR_LOG10_PCO2_BAR),
        precursor=np.zeros(n, np.intp),
    )


def _linear(unit: Floats, bounds: Range) -> Floats:
    return bounds[0] + (bounds[1] - bounds[0]) * unit


def _log(unit: Floats, bounds: Range) -> Floats:
    return bounds[0] * np.exp(np.log(bounds[1] / bounds[0]) * unit)


def _linear_unit(value: Floats, bounds: Range) -> Floats:
    return (value - bounds[0]) / (bounds[1] - bounds[0])


def _log_unit(value: Floats, bounds: Range) -> Floats:
    return np.log(value / bounds[0]) / np.log(bounds[1] / bounds[0])
