"""What can happen to a sample in a substep: rates, driving forces and barriers, integrated over time.

Nothing here depends on the composition, so that all of it is computed for (substeps, n) at once.

References:
    W. A. Johnson and R. F. Mehl, Trans. AIME 135, 416 (1939); M. Avrami, J. Chem. Phys. 7, 1103 (1939).
    J. W. Cahn, Acta Metall. 4, 572 (1956): additivity, X = 1 - exp(-theta^n), d theta = k(T(t)) dt.
    J. E. Burke and D. Turnbull, Prog. Met. Phys. 3, 220 (1952): grain growth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from metaenv.materials.other_physics import jander
from metaenv.materials.recipes import Recipe
from metaenv.materials.schedule import STAYING, Layout
from metaenv.tasks import TaskBatch
from metaenv.typing import Floats, Rows

GAS_J_MOL_K = 8.31446261815324  # exact, SI 2019
BOLTZMANN_J_K = 1.380649e-23  # exact, SI 2019
FORMULA_VOLUME_M3 = 6.0e-29  # 36 cm3/mol, a perovskite such as BaTiO3 (64.4e-30 m3)
INTERMEDIATE_INTERFACE = 0.7  # interface energy of I over that of T (chosen)
GAS_G_MOL = np.array([44.0, 108.0, 0.0])  # CO2; 2 NO2 + O2/2; nothing: the three `PRECURSORS`
GROWTH_ABOVE_K = 150.0  # grain growth is anchored this far above the onset of the target
START_GRAIN = 0.5  # first grains over powder particles (chosen)
VOLATILISED_PER_H = -np.log(0.9)  # at its onset temperature A loses 10 % an hour, from 1 um powder
NEVER = 500.0  # a barrier over k_B T that stops everything: exp(-500); larger ones would overflow elsewhere
LONG_OVER = 1e60  # extended times beyond this are cut: their powers would overflow

PRECURSOR, TARGET, INTERMEDIATE, TRANSFORM, DECOMPOSITION, VOLATILISATION, GROWTH = range(7)
DRIVE_TARGET, DRIVE_INTERMEDIATE, DRIVE_TRANSFORM, DRIVE_DECOMPOSITION, DRIVE_GAS = range(7, 12)
VOLATILISATION_TARGET = 7  # in `extents`, where the driving-force factor of the target was


class Stoichiometry(NamedTuple):
    """What an intermediate A_x B needs; floats or arrays (n,)."""

    x: Any
    per_x: Any
    rest: Any
    per_rest: Any


class Fractions(NamedTuple):
    """What one substep converts, in [0, 1]; floats or arrays (n,).

    ``late_…`` weights what arose within the substep itself: 1/2 in a short one, since it was there half the time.
    """

    evaporating: Any
    """of free A, in each half of the substep"""
    calcining: Any
    late_b: Any
    to_target: Any
    to_intermediate: Any
    late_intermediate: Any
    transforming: Any
    late_target: Any
    decomposing: Any
    depleting: Any
    """of T, by evaporation of its A"""


@dataclass(frozen=True)
class RateParameters:
    """What the rates of ``n`` experiments depend on besides temperature.

    Rows 0-6 of ``offset - slope / T`` are the logarithms of the rates (1/h; um^m/h for growth), rows 7-11 are
    reaction free energies over RT, whose exponential is one minus the driving-force factor.
    """

    offset: Floats
    """(12, n)"""
    slope: Floats
    """(12, n) K"""
    barrier: Floats
    """(2, n) 16 pi gamma^3 v^2 / 3 of the nuclei of T and I, J^3; 0 where nucleation is easy."""
    avrami: Floats
    """(2, n) of T and I."""
    growth_exponent: Floats
    start_um: Floats
    """(n,) grain size at the start."""
    intermediate_a: Floats
    gas_g_mol: Floats
    hourly_um: Floats
    """(n,) grain size grown in an hour at the anchor."""
    limiting_um: Floats
    """(n,) size at which grains are pinned, in the second kinetic model (`metaenv.materials.other_physics`); else 0."""

    def __len__(self) -> int:
        return len(self.start_um)

    def take(self, rows: Rows) -> RateParameters:
        """The parameters of ``rows``; for all of them these themselves."""
        if isinstance(rows, slice) and rows == slice(None):
            return self
        return RateParameters(*(getattr(self, name)[..., rows] for name in self.__dataclass_fields__))

    @cached_property
    def other_physics(self) -> bool:
        """Whether any experiment obeys the second kinetic model."""
        return bool(self.limiting_um.any())

    @cached_property
    def nucleation_barred(self) -> bool:
        """Whether any experiment has a nucleation barrier."""
        return bool(self.barrier.any())

    def stoichiometry(self) -> Stoichiometry:
        """What the intermediate needs, (n,) each."""
        rest = 1.0 - self.intermediate_a
        return Stoichiometry(self.intermediate_a, 1.0 / self.intermediate_a, rest, 1.0 / rest)


def rate_parameters(tasks: TaskBatch, recipe: Recipe) -> RateParameters:
    """The rate parameters of ``tasks`` (n of them) under ``recipe`` (n of them).

    Rates are anchored: ``k(T) = k_ref exp[-(E/R)(1/T - 1/T_on)]``. With k_ref = 1/h, T_on is the temperature at which
    a process reaches unit extent in one hour (63 % converted). The exceptions: A loses 10 % in an hour at its
    onset from 1 um powder, and grains grow from nothing to ``growth_um`` in an hour at ``onset_target_K`` + 150 K.
    """
    if len(tasks) != len(recipe):
        raise ValueError(f"expected one recipe a task, got {len(tasks)} tasks and {len(recipe)} recipes")
    n = len(tasks)
    offset, slope = np.empty((12, n)), np.empty((12, n))
    _write_rates(offset, slope, tasks, recipe)
    _write_free_energies(offset, slope, tasks, recipe)
    interface = np.stack([tasks.nucleation_J_m2, INTERMEDIATE_INTERFACE * tasks.nucleation_J_m2])
    return RateParameters(
        offset,
        slope,
        barrier=16.0 * np.pi / 3.0 * interface * interface * interface * FORMULA_VOLUME_M3**2,
        avrami=np.stack([tasks.avrami_target, tasks.avrami_intermediate]),
        growth_exponent=tasks.growth_exponent,
        start_um=START_GRAIN * recipe.particle_um,
        intermediate_a=tasks.intermediate_a,
        gas_g_mol=GAS_G_MOL[recipe.precursor],
        hourly_um=tasks.growth_um,
        limiting_um=tasks.limiting_grain_um[:, 0] if tasks.limiting_grain_um.size else np.zeros(n),
    )


def _write_rates(offset: Floats, slope: Floats, tasks: TaskBatch, recipe: Recipe) -> None:
    chosen = (np.arange(len(tasks)), recipe.precursor)
    log_particle = np.log(recipe.particle_um)
    log_contact = np.log(tasks.precursor_contact[chosen]) - tasks.contact_exponent * log_particle
    log_growth = tasks.growth_exponent * np.log(tasks.growth_um)
    anchors = (
        (PRECURSOR, tasks.precursor_energy_kJ_mol[chosen], tasks.precursor_onset_K[chosen], 0.0),
        (TARGET, tasks.energy_target_kJ_mol, tasks.onset_target_K, log_contact),
        (INTERMEDIATE, tasks.energy_intermediate_kJ_mol, tasks.onset_intermediate_K, log_contact),
        (TRANSFORM, tasks.energy_transform_kJ_mol, tasks.onset_transform_K, 0.0),
        (DECOMPOSITION, tasks.energy_decomposition_kJ_mol, tasks.onset_decomposition_K, 0.0),
        (VOLATILISATION, tasks.energy_loss_kJ_mol, tasks.onset_loss_K, np.log(VOLATILISED_PER_H) - log_particle),
        (GROWTH, tasks.energy_growth_kJ_mol, tasks.onset_target_K + GROWTH_ABOVE_K, log_growth),
    )
    for row, energy, onset, log_reference in anchors:
        slope[row] = energy * (1e3 / GAS_J_MOL_K)
        offset[row] = log_reference + slope[row] / onset


def _write_free_energies(offset: Floats, slope: Floats, tasks: TaskBatch, recipe: Recipe) -> None:
    kJ, J = 1e3 / GAS_J_MOL_K, 1.0 / GAS_J_MOL_K
    slope[DRIVE_TARGET] = -kJ * tasks.formation_enthalpy_kJ_mol
    offset[DRIVE_TARGET] = -J * tasks.formation_entropy_J_mol_K
    slope[DRIVE_TRANSFORM] = -kJ * tasks.transform_enthalpy_kJ_mol
    offset[DRIVE_TRANSFORM] = -J * tasks.transform_entropy_J_mol_K
    # Hess: forming I and turning it into T costs what forming T does.
    slope[DRIVE_INTERMEDIATE] = slope[DRIVE_TARGET] - slope[DRIVE_TRANSFORM]
    offset[DRIVE_INTERMEDIATE] = offset[DRIVE_TARGET] - offset[DRIVE_TRANSFORM]
    slope[DRIVE_DECOMPOSITION] = -kJ * tasks.decomposition_enthalpy_kJ_mol
    offset[DRIVE_DECOMPOSITION] = slope[DRIVE_DECOMPOSITION] / tasks.decomposition_K
    carbonate = recipe.precursor == 0
    slope[DRIVE_GAS] = -kJ * tasks.carbonate_enthalpy_kJ_mol
    log_pressure = np.log(10.0) * recipe.log10_pco2_bar + slope[DRIVE_GAS] / tasks.carbonate_K
    # Only the carbonate is held back by CO2: for the others the factor is 1.
    offset[DRIVE_GAS] = np.where(carbonate, log_pressure, -np.inf)


def reaction_K(c: RateParameters, ramp_K_per_min: Floats) -> Floats:
    """(n,) where, on a ramp, A and B are used up: the precursor has to give its gas, and T or I to form.

    A process runs its course where k(T) R T^2 / (E ramp) = 1 (Kissinger 1957, Anal. Chem. 29, 1702): two fixed-point
    steps from 1000 K. The answer only places substeps.
    """
    slope, kelvin = c.slope[:TRANSFORM], np.full((TRANSFORM, len(c)), 1000.0)
    known = c.offset[:TRANSFORM] - np.log(60.0 * ramp_K_per_min * slope)
    for _ in range(2):
        kelvin = slope / np.maximum(known + 2.0 * np.log(kelvin), 1.0)
    gas_K = c.slope[DRIVE_GAS] / np.minimum(c.offset[DRIVE_GAS], -1.0)
    formed_K = np.minimum(kelvin[TARGET], kelvin[INTERMEDIATE])
    return np.maximum(np.maximum(kelvin[PRECURSOR], gas_K), formed_K)


def extents(c: RateParameters, knots_K: Floats, hours: Floats, layout: Layout) -> Floats:
    """Rates integrated over each substep, shape (8, substeps, n).

    Rows: calcination, theta of T, theta of I, transformation, decomposition, evaporation of A, evaporation from T,
    grain growth. On a ramp rates are integrated as exponentials of time, driving-force factors by the trapezoid.
    """
    exponent = c.offset[:, None] - c.slope[:, None] / knots_K
    log_rate = exponent[:DRIVE_TARGET]
    if c.nucleation_barred:
        log_rate[TARGET : INTERMEDIATE + 1] -= _barrier(c, exponent[DRIVE_TARGET:DRIVE_TRANSFORM], knots_K)
    value = np.exp(exponent)
    factor = value[DRIVE_TARGET:]
    np.subtract(1.0, factor, out=factor)
    np.maximum(factor, 0.0, out=factor)
    if layout is STAYING:
        return _driven(value, hours)
    mean = np.empty((12, layout.substeps, len(c)))
    if layout.crossings:
        ramp_rate = _log_mean(log_rate, value[:DRIVE_TARGET])
        ramp_factor = 0.5 * (factor[:, :-1] + factor[:, 1:])
        for knots, steps in layout.crossings:
            mean[:DRIVE_TARGET, steps] = ramp_rate[:, knots]
            mean[DRIVE_TARGET:, steps] = ramp_factor[:, knots]
    for knot, steps in layout.stays:
        mean[:, steps] = value[:, knot : knot + 1]
    return _driven(mean, hours)


def _barrier(c: RateParameters, driving: Floats, knots_K: Floats) -> Floats:
    """(2, knots, n) W / (k_B T) of classical nucleation, W = 16 pi gamma^3 v^2 / (3 Delta G^2) for a sphere.

    Volmer and Weber, Z. Phys. Chem. 119, 277 (1926). ``driving`` is Delta G / RT; a product without a driving force
    has a factor of 0 anyway.
    """
    thermal = BOLTZMANN_J_K * knots_K
    driving = np.minimum(driving, -1e-3)
    return np.minimum(c.barrier[:, None] / (thermal * thermal * thermal * driving * driving), NEVER)


def _log_mean(log_rate: Floats, rate: Floats) -> Floats:
    """Mean rate between knots, for a logarithm linear in time: (k2 - k1) / ln(k2 / k1)."""
    step = log_rate[:, 1:] - log_rate[:, :-1]
    step += 1e-100  # changes 0 only, and makes 0/0 the limit 1
    mean = np.expm1(step)
    mean /= step
    mean *= rate[:, :-1]
    return mean


def _driven(mean: Floats, hours: Floats) -> Floats:
    mean[:DRIVE_TARGET] *= hours
    mean[PRECURSOR] *= mean[DRIVE_GAS]
    # Hertz-Knudsen: T evaporates as much slower than A as the activity exp(Delta G / RT) of A in it is small.
    activity = 1.0 - mean[DRIVE_TARGET]
    mean[TARGET:VOLATILISATION] *= mean[DRIVE_TARGET:DRIVE_GAS]
    mean[VOLATILISATION_TARGET] = mean[VOLATILISATION] * activity
    return mean[: VOLATILISATION_TARGET + 1]


def conversion(c: RateParameters, extent: Floats, theta: Floats, out: Floats) -> Floats:
    """What the substeps convert.

    Args:
        c: the rate parameters of n experiments.
        extent: (8, substeps, n) from `extents`.
        theta: (2, n) extended times of T and I at the start.
        out: (10, substeps, n), where the `Fractions` are written.

    Returns:
        (2, n) extended times at the end.
    """
    times = np.empty((2, extent.shape[1] + 1, len(c)))
    times[:, 0] = theta
    times[:, 1:] = extent[TARGET:TRANSFORM]
    np.cumsum(times, axis=1, out=times)
    power = _powers(times, c.avrami)
    if c.other_physics:
        power = np.where(c.limiting_um > 0, jander(times), power)
    formed = power[:, 1:] - power[:, :-1]
    total = np.empty((5, *extent.shape[1:]))
    np.multiply(extent[VOLATILISATION], 0.5, out=total[0])
    total[1] = extent[PRECURSOR]
    np.add(formed[0], formed[1], out=total[2])
    total[3] = extent[TRANSFORM]
    np.add(extent[DECOMPOSITION], extent[VOLATILISATION_TARGET], out=total[4])
    done = -np.expm1(-total)
    late = 0.5 + 0.5 * total[2:] / (total[2:] + 6.0)
    share = done[2::2] / np.maximum(total[2::2], 1e-300)
    out[0:2] = done[0:2]
    out[2] = late[0]
    np.multiply(share[0], formed, out=out[3:5])
    out[5], out[6], out[7] = late[1], done[3], late[2]
    np.multiply(share[1], extent[DECOMPOSITION], out=out[8])
    np.multiply(share[1], extent[VOLATILISATION_TARGET], out=out[9])
    return times[:, -1]


def _powers(theta: Floats, exponent: Floats) -> Floats:
    """theta^n; by exp and log, whose last bits do not depend on the shape of the arrays as those of power do."""
    return np.exp(exponent[:, None] * np.log(np.minimum(np.maximum(theta, 1e-300), LONG_OVER)))
