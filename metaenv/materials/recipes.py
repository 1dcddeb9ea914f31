"""Recipes of a solid-state synthesis in physical units, and their map to and from actions in [-1, 1].

Bounds follow recipes that people have published (30,031 text-mined solid-state syntheses, the 2020 release of the data
of Kononova et al. 2019, Scientific Data 6, 203): heating temperature P5-P95 873-1823 K, time at that temperature P1-P99
0.34-120 h, two heating steps in 32 % of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.typing import Floats, Rows

Variant = Literal["default", "full"]
"""``"default"``: one heating step of the carbonate in air. ``"full"``: all of a `Recipe`."""

TEMPERATURE_K = (700.0, 1800.0)  # furnace set point; text-mined P5-P95, rounded
HOLD_H = (0.33, 100.0)  # at the set point, logarithmic; text-mined P1-P99, rounded
RAMP_K_PER_MIN = (1.0, 20.0)  # logarithmic; what a box furnace does (chosen)
EXCESS_A = (-0.10, 0.30)  # of the volatile oxide A over stoichiometry (chosen)
PARTICLE_UM = (0.1, 5.0)  # particle size after milling, logarithmic; planetary to hand milling (chosen)
LOG10_PCO2_BAR = (-5.0, 0.0)  # from scrubbed gas to pure CO2 at ambient pressure
AIR_LOG10_PCO2_BAR = float(np.log10(400e-6))  # 400 ppm of CO2
PRECURSORS = ("carbonate", "nitrate", "oxide")

DEFAULT_ACTIONS = ("temperature", "hold", "ramp", "excess A", "particle size")
FULL_ACTIONS = (*DEFAULT_ACTIONS, "second temperature", "second hold", "log pCO2", *PRECURSORS)
ACTION_NAMES: dict[Variant, tuple[str, ...]] = {"default": DEFAULT_ACTIONS, "full": FULL_ACTIONS}
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
    """Recipes with one heating step of the carbonate in air; numbers or arrays (n,), broadcast together."""
    given = (temperature_K, hold_h, ramp_K_per_min, excess_a, particle_um)
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, np.float64)) for x in given))
    return _in_air(*(np.ascontiguousarray(x) for x in columns))


def from_action(action: NDArray[Any], variant: Variant = "default") -> Recipe:
    """Recipes for actions in [-1, 1]; numbers outside are clipped.

    Args:
        action: (n, 5) in the default variant, (n, 11) in the full variant; `ACTION_NAMES` says which is which. In the
            full variant a negative "second hold" means no second step, and the largest of the last three coordinates
            chooses the precursor.
        variant: which.

    Raises:
        ValueError: an action of another width.
    """
    action = np.asarray(action, np.float64)
    if action.ndim != 2 or action.shape[1] != ACTION_DIM[variant]:
        raise ValueError(f"the {variant!r} variant takes actions (n, {ACTION_DIM[variant]}), got shape {action.shape}")
    unit = np.ascontiguousarray(0.5 * (1.0 + np.clip(action, -1.0, 1.0)).T)
    first = (
        _linear(unit[0], TEMPERATURE_K),
        _log(unit[1], HOLD_H),
        _log(unit[2], RAMP_K_PER_MIN),
        _linear(unit[3], EXCESS_A),
        _log(unit[4], PARTICLE_UM),
    )
    if variant == "default":
        return _in_air(*first)
    two = unit[6] >= 0.5
    return Recipe(
        *first,
        second_temperature_K=np.where(two, _linear(unit[5], TEMPERATURE_K), first[0]),
        second_hold_h=np.where(two, _log(np.maximum(2.0 * unit[6] - 1.0, 0.0), HOLD_H), 0.0),
        log10_pco2_bar=_linear(unit[7], LOG10_PCO2_BAR),
        precursor=np.argmax(unit[8:], axis=0),
    )


def to_action(recipe: Recipe, variant: Variant = "default") -> Floats:
    """Actions (n, 5) or (n, 11) that make these recipes: the inverse of `from_action`, clipped to [-1, 1].

    The default variant cannot say a second step, a gas or a precursor and leaves them out.
    """
    unit = [
        _linear_unit(recipe.temperature_K, TEMPERATURE_K),
        _log_unit(recipe.hold_h, HOLD_H),
        _log_unit(recipe.ramp_K_per_min, RAMP_K_PER_MIN),
        _linear_unit(recipe.excess_a, EXCESS_A),
        _log_unit(recipe.particle_um, PARTICLE_UM),
    ]
    if variant == "full":
        two = recipe.second_hold_h > 0
        second = 0.5 + 0.5 * _log_unit(np.where(two, recipe.second_hold_h, HOLD_H[0]), HOLD_H)
        unit += [
            _linear_unit(recipe.second_temperature_K, TEMPERATURE_K),
            np.where(two, second, 0.25),
            _linear_unit(recipe.log10_pco2_bar, LOG10_PCO2_BAR),
            *np.eye(len(PRECURSORS))[recipe.precursor].T,
        ]
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


def _linear(unit: Floats, bounds: tuple[float, float]) -> Floats:
    return bounds[0] + (bounds[1] - bounds[0]) * unit


def _log(unit: Floats, bounds: tuple[float, float]) -> Floats:
    return bounds[0] * np.exp(np.log(bounds[1] / bounds[0]) * unit)


def _linear_unit(value: Floats, bounds: tuple[float, float]) -> Floats:
    return (value - bounds[0]) / (bounds[1] - bounds[0])


def _log_unit(value: Floats, bounds: tuple[float, float]) -> Floats:
    return np.log(value / bounds[0]) / np.log(bounds[1] / bounds[0])
