"""Solid-state reaction kinetics, batched over experiments.

Per formula unit of the target AB, made from an oxide A, which is volatile, and a precursor P of an oxide B::

    P -> B + gas                 Arrhenius, held back by the gas pressure
    A + B -> T                   Avrami; the target
    x A + B -> I                 Avrami; a competing intermediate, poor in A
    I + (1-x) A -> T             Arrhenius
    T -> D                       Arrhenius, above a decomposition temperature
    A -> V,  T -> V + B          evaporation of A
    grains grow                  G^m - G0^m = integral of K dt

Every rate depends on temperature, gas and material, never on the composition. All transcendental functions are
therefore evaluated over (substeps, n) at once, and only additions, products and minima are left for the walk over the
substeps. That walk (`react`) serves arrays and, for a batch of one, Python floats: IEEE 754 gives both the same bits.

Rates and their references are in `metaenv.materials.rates`, heating schedules in `metaenv.materials.schedule`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from metaenv.materials.other_physics import pinned_grains_um
from metaenv.materials.rates import (
    GROWTH,
    Fractions,
    RateParameters,
    Stoichiometry,
    conversion,
    extents,
    rate_parameters,
    reaction_K,
)
from metaenv.materials.recipes import Recipe, check_physical
from metaenv.materials.schedule import (
    CROSSING,
    DEFAULT_SUBSTEPS,
    STAYING,
    Layout,
    heating_hours,
    heating_schedule,
    total_substeps,
)
from metaenv.tasks import TaskBatch
from metaenv.typing import Floats, Rows

MASS_A, MASS_B = 100.0, 100.0  # g/mol of the oxides A and B (chosen)
LARGEST_GRAIN_UM = 100.0  # grains stop at the size of the pellet's agglomerates (chosen)
TABLE_ROWS = 128  # experiments whose rates are computed together, so that they stay in the cache (measured)
WALK_ROWS = 1024  # experiments whose compositions are walked through together, so that calls pay (measured)

PHASES = ("precursor", "free oxides", "intermediate", "target", "decomposed")


class Composition(NamedTuple):
    """Amounts in mol per mol of target; Python floats or arrays (n,)."""

    precursor: Any
    oxide_a: Any
    oxide_b: Any
    intermediate: Any
    target: Any
    decomposed: Any
    volatilised: Any


def react(y: Composition, f: Fractions, s: Stoichiometry, minimum: Callable[[Any, Any], Any]) -> Composition:
    """One substep; conserves A and B. ``minimum`` is `min` for floats and `numpy.minimum` for arrays.

    The order is symmetric in the evaporation of A, and what each reaction makes is seen by the next one for half of
    the substep, so that the error is of second order in the substep.
    """
    p, a, b, i, t, d, v = y
    early = f.evaporating * a
    a = a - early
    new_b = f.calcining * p
    seen_b = b + f.late_b * new_b
    direct = f.to_target * minimum(a, seen_b)
    new_i = f.to_intermediate * minimum(a * s.per_x, seen_b)
    a = a - direct - s.x * new_i
    moved = f.transforming * minimum(i + f.late_intermediate * new_i, a * s.per_rest)
    a = a - s.rest * moved
    new_t = direct + moved
    seen_t = t + f.late_target * new_t
    depleted, decomposed = f.depleting * seen_t, f.decomposing * seen_t
    late = f.evaporating * a
    return Composition(
        p - new_b,
        a - late,
        b + new_b - direct - new_i + depleted,
        i + new_i - moved,
        t + new_t - depleted - decomposed,
        d + decomposed,
        v + early + late + depleted,
    )


# WHOLE EXPERIMENTS


@dataclass(frozen=True)
class Outcome:
    """What ``n`` experiments gave."""

    amounts: Composition
    """Seven arrays (n,), mol per mol of target."""
    grain_um: Floats
    """(n,) mean grain size."""
    mass_loss: Floats
    """(n,) mass lost over mass weighed in."""
    hours: Floats
    """(n,) hours of heating and holding."""
    intermediate_a: Floats
    """(n,) A in a formula unit of the intermediate."""

    @property
    def phase_fractions(self) -> Floats:
        """(n, 5) share of the metal atoms of the sample that sit in each of `PHASES`."""
        return phase_fractions(self.amounts, self.intermediate_a)

    @property
    def target_fraction(self) -> Floats:
        """(n,) share of the metal atoms of the sample that sit in the target."""
        return self.phase_fractions[:, 3]


def phase_fractions(y: Composition, intermediate_a: Floats) -> Floats:
    """Share of the metal atoms of the sample that sit in each of `PHASES`, (n, 5); volatilised A has left it."""
    metals = np.stack(
        [
            y.precursor,
            y.oxide_a + y.oxide_b,
            (1.0 + intermediate_a) * y.intermediate,
            2.0 * y.target,
            2.0 * y.decomposed,
        ],
        axis=-1,
    )
    return metals / (metals[:, 0] + metals[:, 1] + metals[:, 2] + metals[:, 3] + metals[:, 4])[:, None]


def simulate(tasks: TaskBatch, recipe: Recipe, substeps: int = DEFAULT_SUBSTEPS) -> Outcome:
    """Make every recipe from its task's material: ``n`` tasks, ``n`` recipes, ``n`` outcomes.

    Args:
        tasks: SolidState tasks; their furnace offset applies.
        recipe: as many recipes.
        substeps: of a one-step schedule; `metaenv.materials.convergence` says what they buy.

    Raises:
        ValueError: numbers of tasks and recipes that differ, fewer than 6 substeps, a set point of 500 K or less, or a
            number of a recipe that means nothing.
    """
    check_physical(recipe)
    c = rate_parameters(tasks, recipe)
    n = len(c)
    final, growth = np.empty((7, n)), np.empty(n)
    for start in range(0, n, WALK_ROWS):
        rows = slice(start, start + WALK_ROWS)
        table, growth[rows] = _tabulate(c.take(rows), recipe.take(rows), tasks.furnace_offset_K[rows], substeps)
        final[:, rows] = _walk(recipe.excess_a[rows], table, c.take(rows).stoichiometry())
    amounts = Composition(*final)
    return Outcome(
        amounts,
        grain_um(c, growth),
        mass_loss(c, amounts, recipe.excess_a),
        heating_hours(recipe),
        c.intermediate_a,
    )


def _tabulate(c: RateParameters, recipe: Recipe, offset_K: Floats, substeps: int) -> tuple[Floats, Floats]:
    """The `Fractions` (10, substeps, n) of whole schedules, and the grain growth (n,)."""
    focus_K = reaction_K(c, recipe.ramp_K_per_min)
    second = bool((recipe.second_hold_h > 0).any())
    table = np.empty((len(Fractions._fields), total_substeps(substeps, second), len(c)))
    growth = np.empty(len(c))
    height = TABLE_ROWS * max(1, DEFAULT_SUBSTEPS // substeps)
    for start in range(0, len(c), height):
        rows = slice(start, start + height)
        schedule = heating_schedule(recipe.take(rows), offset_K[rows], focus_K[rows], substeps, second)
        part = c.take(rows)
        extent = extents(part, schedule.knots_K, schedule.hours, schedule.layout)
        conversion(part, extent, np.zeros((2, len(part))), out=table[:, :, rows])
        growth[rows] = np.cumsum(extent[GROWTH], axis=0)[-1]
    return table, growth


def _weighed_in(excess_a: Any) -> Composition:
    none = excess_a * 0.0
    return Composition(none + 1.0, excess_a + 1.0, none, none, none, none, none)


def _walk(excess_a: Floats, table: Floats, s: Stoichiometry) -> Composition:
    """The composition at the end of a table (10, substeps, n); with Python floats, which are quicker, for n = 1."""
    y, minimum, steps = _weighed_in(excess_a), np.minimum, zip(*table, strict=True)
    if len(excess_a) == 1:
        y, minimum, steps = _weighed_in(excess_a.item()), min, zip(*table[:, :, 0].tolist(), strict=True)
        s = Stoichiometry(*(x.item() for x in s))
    for fractions in steps:
        y = react(y, Fractions(*fractions), s, minimum)
    return Composition(*(np.atleast_1d(x) for x in y))


def grain_um(c: RateParameters, growth: Floats) -> Floats:
    """(n,) grain size for ``growth``, the integral of K dt in um^m: (G0^m + growth)^(1/m), at most 100 um.

    In the second kinetic model it is `metaenv.materials.other_physics.pinned_grains_um`.
    """
    m = c.growth_exponent
    start = np.exp(m * np.log(c.start_um))
    grown = np.exp(np.log(start + growth) / m)
    if c.other_physics:
        limit = np.where(c.limiting_um > 0, c.limiting_um, LARGEST_GRAIN_UM)
        grown = np.where(c.limiting_um > 0, pinned_grains_um(c.start_um, growth, c.hourly_um, m, limit), grown)
    return np.minimum(grown, LARGEST_GRAIN_UM)


def mass_loss(c: RateParameters, y: Composition, excess_a: Floats) -> Floats:
    """(n,) gas of the precursor and evaporated A, over the mass weighed in."""
    weighed = MASS_A * (1.0 + excess_a) + MASS_B + c.gas_g_mol
    return (c.gas_g_mol * (1.0 - y.precursor) + MASS_A * y.volatilised) / weighed


@dataclass(frozen=True)
class Trajectory:
    """One experiment over time; S + 1 instants, the first before anything happened."""

    hours: Floats
    """(S + 1,) since the start, cooling included."""
    temperature_K: Floats
    """(S + 1,) of the sample."""
    amounts: Composition
    """Seven arrays (S + 1,), mol per mol of target."""
    grain_um: Floats
    """(S + 1,)"""
    phase_fractions: Floats
    """(S + 1, 5) shares of `PHASES`."""


def trajectory(task: TaskBatch, recipe: Recipe, substeps: int = 240) -> Trajectory:
    """What happens in the furnace: one task, one recipe, every substep.

    Raises:
        ValueError: more than one task or recipe.
    """
    if len(task) != 1 or len(recipe) != 1:
        raise ValueError(f"a trajectory is of one experiment, got {len(task)} tasks and {len(recipe)} recipes")
    c = rate_parameters(task, recipe)
    second = bool(recipe.second_hold_h[0] > 0)
    focus_K = reaction_K(c, recipe.ramp_K_per_min)
    schedule = heating_schedule(recipe, task.furnace_offset_K, focus_K, substeps, second)
    extent = extents(c, schedule.knots_K, schedule.hours, schedule.layout)
    table = np.empty((len(Fractions._fields), schedule.layout.substeps, 1))
    conversion(c, extent, np.zeros((2, 1)), out=table)
    path = [_weighed_in(recipe.excess_a)]
    for fractions in zip(*table, strict=True):
        path.append(react(path[-1], Fractions(*fractions), c.stoichiometry(), np.minimum))
    amounts = Composition(*(np.concatenate(x) for x in zip(*path, strict=True)))
    growth = _from_zero(extent[GROWTH, :, 0])
    many = c.take(np.zeros(len(growth), np.intp))
    return Trajectory(
        _from_zero(schedule.hours[:, 0]),
        schedule.edges_K()[:, 0],
        amounts,
        grain_um(many, growth),
        phase_fractions(amounts, many.intermediate_a),
    )


def _from_zero(increments: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(increments)])


# ONE SUBSTEP AT A TIME, FOR FURNACE CONTROL


@dataclass(frozen=True)
class State:
    """``n`` samples in their furnaces, as one array (10, n)."""

    values: Floats
    """Rows: the seven amounts, theta of T, theta of I, and the integral of K dt in um^m."""

    @property
    def amounts(self) -> Composition:
        """Seven arrays (n,), mol per mol of target."""
        return Composition(*self.values[:7])

    def replaced(self, rows: Rows, other: State) -> State:
        """A copy in which ``rows`` hold the samples of ``other``."""
        values = self.values.copy()
        values[:, rows] = other.values
        return State(values)


def begin(tasks: TaskBatch, recipe: Recipe) -> tuple[State, RateParameters]:
    """Cold samples of ``recipe``, of which only powders and gas are read, and the rate parameters for `advance`."""
    values = np.zeros((10, len(tasks)))
    values[:7] = _weighed_in(recipe.excess_a)
    return State(values), rate_parameters(tasks, recipe)


def advance(state: State, c: RateParameters, from_K: Floats, to_K: Floats, hours: Floats) -> State:
    """One substep: the samples go from ``from_K`` to ``to_K`` in ``hours``, each (n,).

    These are sample temperatures: the furnace offset has been added. The first substeps of `simulate`, one by one,
    are these.
    """
    return _substep(state, c, np.stack([from_K, to_K]), hours, CROSSING)


def dwell(state: State, c: RateParameters, kelvin: Floats, hours: Floats) -> State:
    """One substep of ``hours`` at the sample temperature ``kelvin``, each (n,): `advance` for who stays, and faster."""
    return _substep(state, c, kelvin[None], hours, STAYING)


def _substep(state: State, c: RateParameters, knots_K: Floats, hours: Floats, layout: Layout) -> State:
    extent = extents(c, knots_K, hours[None], layout)
    table, values = np.empty((len(Fractions._fields), 1, len(c))), np.empty_like(state.values)
    values[7:9] = conversion(c, extent, state.values[7:9], out=table)
    values[:7] = react(state.amounts, Fractions(*table[:, 0]), c.stoichiometry(), np.minimum)
    values[9] = state.values[9] + extent[GROWTH, 0]
    return State(values)
