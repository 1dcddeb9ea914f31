"""Heating schedules and the substeps they are integrated with.

A schedule heats from 300 K at a constant rate, holds, may go to a second temperature and hold again, and cools.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from metaenv.materials.recipes import Recipe
from metaenv.typing import Floats

ROOM_K = 300.0
COOLING_K_PER_MIN = 10.0  # a box furnace left to itself at 1000 K and above (chosen)
DEFAULT_SUBSTEPS = 48  # of a recipe with one heating step; see metaenv.materials.convergence
RAMP_SHARE, HOLD_SHARE = 0.50, 0.36  # of the substeps; the rest cools (chosen, as the next four)
COLD_K = 500.0  # hardly anything reacts below: one substep
FOCUS_WIDTH_K = 50.0  # around the temperature of reaction, where the ramp is cut most finely
COOLING_RANGE_K = 250.0  # below the last set point by this much, the rest of the cooling is one substep
ARRIVAL_K = 30.0  # first hold substeps take about as long as the last 30 K of the ramp


class Layout(NamedTuple):
    """Which substeps cross from one knot to the next, and which stay at a knot."""

    substeps: int
    crossings: tuple[tuple[slice, slice], ...]
    """(from which knots, in which substeps), for substeps that lead from a knot to the next one."""
    stays: tuple[tuple[int, slice], ...]
    """(at which knot, in which substeps)."""


CROSSING = Layout(1, ((slice(0, 1), slice(0, 1)),), ())
"""One substep from knot 0 to knot 1."""
STAYING = Layout(1, (), ((0, slice(0, 1)),))
"""One substep at knot 0."""


@dataclass(frozen=True)
class HeatingSchedule:
    """A heating schedule cut into substeps; within one, the temperature is constant or linear in time."""

    knots_K: Floats
    """(knots, n) sample temperature."""
    hours: Floats
    """(substeps, n) duration."""
    layout: Layout

    def edges_K(self) -> Floats:
        """(substeps + 1, n) sample temperature at the edges of the substeps."""
        after = np.empty((self.layout.substeps, self.knots_K.shape[1]))
        for knots, steps in self.layout.crossings:
            after[steps] = self.knots_K[1:][knots]
        for knot, steps in self.layout.stays:
            after[steps] = self.knots_K[knot]
        return np.concatenate([self.knots_K[:1], after])


def heating_schedule(recipe: Recipe, offset_K: Floats, focus_K: Floats, substeps: int, second: bool) -> HeatingSchedule:
    """The schedule of each recipe in a furnace that is ``offset_K`` (n,) hotter than its set point.

    The first ramp is cut above `COLD_K`, most finely at ``focus_K`` (n,), where the reactants react; holds evenly in
    the logarithm of the time since arrival, because what is still under way at arrival has a time scale of the ramp.
    Where ``second``, there are more substeps for a second step, of length zero in recipes without one.
    """
    shape = _shape(substeps, second)
    first_K = recipe.temperature_K + offset_K
    if not first_K.min() > COLD_K:
        raise ValueError(f"expected to heat samples above {COLD_K} K, got {first_K.min()} K: nothing would react")
    start_h = (COLD_K - ROOM_K) / (first_K - ROOM_K) * _ramp_h(recipe, ROOM_K, recipe.temperature_K)
    ramp_h = _ramp_h(recipe, ROOM_K, recipe.temperature_K) - start_h
    ramp_K = _focused(first_K, focus_K, shape.ramp)
    knots = [np.full((1, len(recipe)), ROOM_K), ramp_K]
    hours = [start_h[None], _even(ramp_h / (first_K - COLD_K), ramp_K), _hold(recipe.hold_h, recipe, shape.hold)]
    last_K = first_K
    if second:
        last_K = recipe.second_temperature_K + offset_K
        between_h = np.abs(_ramp_h(recipe, recipe.temperature_K, recipe.second_temperature_K))
        knots.append(first_K + shape.ramp[1:] * (last_K - first_K))
        hours += [_even(between_h, shape.ramp), _hold(recipe.second_hold_h, recipe, shape.hold)]
    cool_K = np.minimum(COOLING_RANGE_K, last_K - ROOM_K - 1.0)
    knots += [last_K - shape.cool[1:] * cool_K, np.full((1, len(recipe)), ROOM_K)]
    per_hour = 60.0 * COOLING_K_PER_MIN
    hours += [_even(cool_K / per_hour, shape.cool), (last_K - cool_K - ROOM_K)[None] / per_hour]
    return HeatingSchedule(np.concatenate(knots), np.concatenate(hours), shape.layout)


def total_substeps(substeps: int, second: bool) -> int:
    """How many substeps a schedule has, with its second step if there is one."""
    return _shape(substeps, second).layout.substeps


def heating_hours(recipe: Recipe) -> Floats:
    """(n,) hours during which the furnace heats or holds."""
    ramps = _ramp_h(recipe, ROOM_K, recipe.temperature_K)
    between = np.abs(_ramp_h(recipe, recipe.temperature_K, recipe.second_temperature_K))
    return ramps + between + recipe.hold_h + recipe.second_hold_h


class _Shape(NamedTuple):
    ramp: Floats
    """(ramp + 1, 1) from 0 to 1."""
    hold: Floats
    """(hold + 1, 1) from 0 to 1."""
    cool: Floats
    """(cool + 1, 1) from 0 to 1."""
    layout: Layout


@lru_cache(maxsize=64)
def _shape(substeps: int, second: bool) -> _Shape:
    if substeps < 6:
        raise ValueError(f"expected at least 6 substeps, got {substeps}")
    ramp, hold = max(2, round(RAMP_SHARE * substeps)), max(2, round(HOLD_SHARE * substeps))
    cool = max(1, substeps - ramp - hold - 2)
    heated = ramp + 1
    crossings = [(slice(0, heated), slice(0, heated))]
    stays = [(heated, slice(heated, heated + hold))]
    knot, step = heated, heated + hold
    if second:
        crossings.append((slice(knot, knot + ramp), slice(step, step + ramp)))
        knot, step = knot + ramp, step + ramp
        stays.append((knot, slice(step, step + hold)))
        step += hold
    crossings.append((slice(knot, knot + cool + 1), slice(step, step + cool + 1)))
    layout = Layout(step + cool + 1, tuple(crossings), tuple(stays))
    return _Shape(_grid(ramp), _grid(hold), _grid(cool), layout)


def _grid(k: int) -> Floats:
    return np.linspace(0.0, 1.0, k + 1)[:, None]


def _ramp_h(recipe: Recipe, from_K: Floats | float, to_K: Floats) -> Floats:
    return (to_K - from_K) / (60.0 * recipe.ramp_K_per_min)


def _focused(last_K: Floats, focus_K: Floats, edges: Floats) -> Floats:
    """(edges, n) temperatures from `COLD_K` to ``last_K``, spaced as sqrt(FOCUS_WIDTH_K^2 + (T - focus)^2)."""
    focus_K = np.minimum(np.maximum(focus_K, COLD_K), last_K)
    low, high = np.arcsinh((COLD_K - focus_K) / FOCUS_WIDTH_K), np.arcsinh((last_K - focus_K) / FOCUS_WIDTH_K)
    knots_K = focus_K + FOCUS_WIDTH_K * np.sinh(low + edges * (high - low))
    knots_K[0], knots_K[-1] = COLD_K, last_K
    return knots_K


def _even(hours: Floats, edges: Floats) -> Floats:
    return hours * (edges[1:] - edges[:-1])


def _hold(hold_h: Floats, recipe: Recipe, edges: Floats) -> Floats:
    arrival_h = ARRIVAL_K / (60.0 * recipe.ramp_K_per_min)
    after = arrival_h * np.expm1(edges * np.log1p(hold_h / arrival_h))
    return after[1:] - after[:-1]
