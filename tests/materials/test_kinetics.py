"""The simulator against exact solutions, an independent integrator, and the laws it claims."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad, solve_ivp

from metaenv.materials.convergence import accuracy
from metaenv.materials.kinetics import Outcome, State, advance, begin, grain_um, simulate, trajectory
from metaenv.materials.recipes import ACTION_DIM, Recipe, from_action, one_step
from metaenv.materials.schedule import COOLING_K_PER_MIN, ROOM_K, heating_hours, heating_schedule
from metaenv.materials.tasks import PARAMETERS, SolidStateTask, draw
from metaenv.tasks import TaskBatch

R = 8.314462618e-3  # kJ/mol/K, CODATA 2018
NEVER = {"onset": 2500.0, "energy": 1000.0}  # exp(-50) at 1200 K

# Every process but A + B -> T is off, and that one has the driving-force factor 1 - exp(-90).
ONLY_TARGET = SolidStateTask(
    onset_target_K=1200.0,
    energy_target_kJ_mol=300.0,
    avrami_target=1.0,
    onset_intermediate_K=NEVER["onset"],
    energy_intermediate_kJ_mol=NEVER["energy"],
    avrami_intermediate=1.0,
    intermediate_a=0.5,
    onset_transform_K=NEVER["onset"],
    energy_transform_kJ_mol=NEVER["energy"],
    onset_decomposition_K=NEVER["onset"],
    energy_decomposition_kJ_mol=NEVER["energy"],
    decomposition_K=2500.0,
    decomposition_enthalpy_kJ_mol=300.0,
    precursor_onset_K=(600.0, 600.0, 600.0),
    precursor_energy_kJ_mol=(200.0, 200.0, 200.0),
    precursor_contact=(1.0, 1.0, 1.0),
    carbonate_K=700.0,
    carbonate_enthalpy_kJ_mol=200.0,
    onset_loss_K=NEVER["onset"],
    energy_loss_kJ_mol=NEVER["energy"],
    growth_exponent=3.0,
    energy_growth_kJ_mol=350.0,
    growth_um=2.0,
    contact_exponent=1.0,
    formation_enthalpy_kJ_mol=-400.0,
    formation_entropy_J_mol_K=0.0,
    transform_enthalpy_kJ_mol=-30.0,
    transform_entropy_J_mol_K=0.0,
    nucleation_J_m2=0.0,
    phase_bias=(0.0, 0.0, 0.0, 0.0, 0.0),
    furnace_offset_K=0.0,
    goal_um=2.0,
)
AT_ONCE = one_step(1200.0, 1.0, 5.0, 0.0, 1.0)


def batch(task: SolidStateTask, **changes: float | tuple[float, ...]) -> TaskBatch:
    return TaskBatch.from_tasks([replace(task, **changes)])  # type: ignore[arg-type]


def isothermal(tasks: TaskBatch, kelvin: float, hours: list[float], excess: float = 0.0) -> State:
    """A mixture of oxides A and B, already free of its gas, kept at one temperature for the given substeps."""
    state, c = begin(tasks, one_step(1200.0, 1.0, 5.0, excess, 1.0))
    values = state.values.copy()
    values[0], values[2] = 0.0, 1.0
    state, at = State(values), np.array([kelvin])
    for dt in hours:
        state = advance(state, c, at, at, np.array([dt]))
    return state


def random_experiments(n: int, variant: str = "recipe", seed: int = 0) -> tuple[TaskBatch, Recipe]:
    rng = np.random.default_rng(seed)
    tasks = draw(rng.random((n, PARAMETERS.unit_dim)), "train")
    return tasks, from_action(rng.uniform(-1, 1, (n, ACTION_DIM[variant])), variant)  # type: ignore[index, arg-type]


def atoms(outcome: Outcome) -> tuple[np.ndarray, np.ndarray]:
    y, x = outcome.amounts, outcome.intermediate_a
    a = y.oxide_a + x * y.intermediate + y.target + y.decomposed + y.volatilised
    b = y.precursor + y.oxide_b + y.intermediate + y.target + y.decomposed
    return a, b


# EXACT SOLUTIONS


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 3.5])
def test_isothermal_conversion_is_that_of_johnson_mehl_avrami_kolmogorov(n):
    # At its onset temperature k = 1/h, so X(t) = 1 - exp(-t^n).
    for steps in ([0.7], [0.1, 0.2, 0.4], [0.001] * 700):
        state = isothermal(batch(ONLY_TARGET, avrami_target=n), 1200.0, steps)
        assert state.amounts.target[0] == pytest.approx(1 - np.exp(-(0.7**n)), abs=1e-9)


def test_arrhenius_slope_of_the_conversions_is_the_activation_energy():
    kelvin = np.array([1100.0, 1150.0, 1250.0])
    x = np.array([isothermal(batch(ONLY_TARGET), t, [0.05] * 4).amounts.target[0] for t in kelvin])
    log_k = np.log(-np.log1p(-x) / 0.2)
    slope = np.polyfit(1 / kelvin, log_k, 1)[0]
    assert -slope * R == pytest.approx(300.0, abs=1e-5)


def test_a_ramp_integrates_the_rate_over_time():
    state, c = begin(batch(ONLY_TARGET), AT_ONCE)
    edges = np.linspace(1000.0, 1250.0, 401)
    for low, high in pairwise(edges):
        state = advance(state, c, np.array([low]), np.array([high]), np.array([2.5 / 400]))
    expected = quad(lambda t: np.exp(-300 / R * (1 / (1000 + 100 * t) - 1 / 1200)), 0, 2.5)[0]
    assert state.values[7, 0] == pytest.approx(expected, rel=1e-5)


def test_parallel_reactions_share_b_as_their_rates():
    # k_T = 1/h and k_I = exp[-(200/R)(1/1200 - 1/1150)], first order in B, with A in excess.
    tasks = batch(ONLY_TARGET, onset_intermediate_K=1150.0, energy_intermediate_kJ_mol=200.0)
    y = isothermal(tasks, 1200.0, [0.01] * 50, excess=0.3).amounts
    k_i = np.exp(-200 / R * (1 / 1200 - 1 / 1150))
    assert y.target[0] + y.intermediate[0] == pytest.approx(1 - np.exp(-0.5 * (1 + k_i)), abs=1e-9)
    assert y.intermediate[0] / y.target[0] == pytest.approx(k_i, rel=1e-9)


def test_grains_grow_with_their_exponent():
    # G^3 - G0^3 = (2 um)^3 t at 150 K above the onset; G0 is half of the 1 um particles.
    for hours in (0.5, 1.0, 8.0):
        state = isothermal(batch(ONLY_TARGET), 1350.0, [hours / 4] * 4)
        _, c = begin(batch(ONLY_TARGET), AT_ONCE)
        assert grain_um(c, state.values[9])[0] == pytest.approx((0.5**3 + 8.0 * hours) ** (1 / 3), rel=1e-12)


def test_a_loses_a_tenth_an_hour_at_its_onset_and_inversely_to_the_particle_size():
    tasks = batch(ONLY_TARGET, onset_loss_K=1100.0, energy_loss_kJ_mol=200.0, onset_target_K=2500.0)
    state, c = begin(tasks, one_step(1200.0, 1.0, 5.0, 0.0, 1.0))
    at = np.array([1100.0])
    assert advance(state, c, at, at, np.array([2.0])).amounts.volatilised[0] == pytest.approx(0.19, abs=1e-3)
    state, c = begin(tasks, one_step(1200.0, 1.0, 5.0, 0.0, 0.5))
    assert advance(state, c, at, at, np.array([1.0])).amounts.volatilised[0] == pytest.approx(0.19, abs=1e-3)


def test_the_barrier_to_nucleation_is_that_of_a_sphere():
    # gamma 0.2 J/m2, v 6e-29 m3, Delta G -60 kJ/mol, 1200 K: W = 16 pi gamma^3 v^2 / (3 Delta G^2) = 2.95 k_B T.
    force = 60e3 / 6.02214076e23
    barrier = 16 * np.pi / 3 * 0.2**3 * 6e-29**2 / force**2 / (1.380649e-23 * 1200)
    assert barrier == pytest.approx(2.933, abs=0.01)
    easy = isothermal(batch(ONLY_TARGET, formation_enthalpy_kJ_mol=-60.0), 1200.0, [0.1])
    hard = isothermal(batch(ONLY_TARGET, formation_enthalpy_kJ_mol=-60.0, nucleation_J_m2=0.2), 1200.0, [0.1])
    assert hard.values[7, 0] / easy.values[7, 0] == pytest.approx(np.exp(-barrier), rel=1e-6)


# AN INDEPENDENT INTEGRATOR


def rates_of_change(task: SolidStateTask, kelvin: float, y: np.ndarray, pco2: float, particle: float) -> np.ndarray:
    """The ordinary differential equations of the model for Avrami exponents of 1, written from the equations."""
    p, a, b, i, t, _d, _v = y

    def k(energy: float, onset: float) -> float:
        return float(np.exp(-energy / R * (1 / kelvin - 1 / onset)))

    def driven(enthalpy: float, entropy: float) -> float:
        return max(0.0, 1 - float(np.exp((enthalpy - kelvin * entropy / 1e3) / (R * kelvin))))

    g_t, g_it = (
        (task.formation_enthalpy_kJ_mol, task.formation_entropy_J_mol_K),
        (
            task.transform_enthalpy_kJ_mol,
            task.transform_entropy_J_mol_K,
        ),
    )
    equilibrium = np.exp(-task.carbonate_enthalpy_kJ_mol / R * (1 / kelvin - 1 / task.carbonate_K))
    contact = particle**-task.contact_exponent
    gas = max(0.0, 1 - pco2 / equilibrium) * k(task.precursor_energy_kJ_mol[0], task.precursor_onset_K[0]) * p
    to_t = contact * driven(*g_t) * k(task.energy_target_kJ_mol, task.onset_target_K) * min(a, b)
    driving_i = driven(g_t[0] - g_it[0], g_t[1] - g_it[1])
    k_i = k(task.energy_intermediate_kJ_mol, task.onset_intermediate_K)
    to_i = contact * driving_i * k_i * min(a / task.intermediate_a, b)
    rest = 1 - task.intermediate_a
    moved = driven(*g_it) * k(task.energy_transform_kJ_mol, task.onset_transform_K) * min(i, a / rest)
    stable = np.exp(task.decomposition_enthalpy_kJ_mol / R * (1 / kelvin - 1 / task.decomposition_K))
    spoilt = max(0.0, 1 - stable) * k(task.energy_decomposition_kJ_mol, task.onset_decomposition_K) * t
    k_v = -np.log(0.9) / particle * k(task.energy_loss_kJ_mol, task.onset_loss_K)
    lost, depleted = k_v * a, k_v * (1 - driven(*g_t)) * t
    return np.array(
        [
            -gas,
            -to_t - task.intermediate_a * to_i - rest * moved - lost,
            gas - to_t - to_i + depleted,
            to_i - moved,
            to_t + moved - spoilt - depleted,
            spoilt,
            lost + depleted,
        ]
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_walk_agrees_with_a_general_integrator(seed):
    tasks, recipe = random_experiments(40, seed=seed)
    ones = {"avrami_target": np.ones(40), "avrami_intermediate": np.ones(40), "furnace_offset_K": np.zeros(40)}
    tasks = TaskBatch(SolidStateTask, {**tasks.columns, **ones})
    # The most eventful of forty: all seven amounts large.
    row = np.array([int(np.argmax(np.min(np.array(simulate(tasks, recipe).amounts)[[3, 4, 6]], axis=0)))])
    task, one = tasks.task(int(row[0])), recipe.take(row)
    peak, heat = float(one.temperature_K[0]), float(one.ramp_K_per_min[0]) * 60
    arrive = (peak - 300) / heat
    leave = arrive + float(one.hold_h[0])

    def furnace(t: float) -> float:
        return 300 + heat * t if t < arrive else peak if t < leave else peak - 600 * (t - leave)

    particle = float(one.particle_um[0])

    def slope(t: float, y: np.ndarray) -> np.ndarray:
        return rates_of_change(task, furnace(t), y, 400e-6, particle)  # type: ignore[arg-type]

    y = np.array([1, 1 + float(one.excess_a[0]), 0, 0, 0, 0, 0])
    for start, end in ((1e-3, arrive), (arrive, leave), (leave, leave + (peak - 300) / 600 - 1e-3)):
        y = solve_ivp(slope, (start, end), y, "LSODA", rtol=1e-7, atol=1e-9).y[:, -1]
    ours = np.array(simulate(tasks.take(row), one, 2000).amounts)[:, 0]
    np.testing.assert_allclose(ours, y, atol=2e-3)


@pytest.mark.parametrize("informed", [False, True])
def test_the_default_substeps_are_enough(informed):
    assert accuracy(400, informed=informed).p99 < 0.02


def test_the_full_variant_is_as_exact():
    assert accuracy(300, variant="full").p99 < 0.02


# LAWS


@settings(max_examples=40, deadline=None)
@given(arrays(float, (6, PARAMETERS.unit_dim), elements=st.floats(0, 1, exclude_max=True)), st.data())
def test_matter_is_conserved_and_amounts_stay_in_range(unit, data):
    variant = data.draw(st.sampled_from(["recipe", "full"]))
    split = data.draw(st.sampled_from(["train", "ood-hot", "ood-cold", "ood-mechanism"]))
    action = data.draw(arrays(float, (6, ACTION_DIM[variant]), elements=st.floats(-1, 1)))
    recipe = from_action(action, variant)
    outcome = simulate(draw(unit, split), recipe)
    a, b = atoms(outcome)
    np.testing.assert_allclose(a, 1 + recipe.excess_a, rtol=0, atol=1e-12)
    np.testing.assert_allclose(b, 1, rtol=0, atol=1e-12)
    for amount in outcome.amounts:
        assert (amount > -1e-12).all() and (amount < 1.3 + 1e-12).all()
    assert (outcome.phase_fractions > -1e-12).all() and (outcome.phase_fractions < 1 + 1e-12).all()
    np.testing.assert_allclose(outcome.phase_fractions.sum(axis=1), 1, atol=1e-12)
    assert (outcome.grain_um >= 0.5 * recipe.particle_um * (1 - 1e-12)).all() and (outcome.grain_um <= 100).all()
    assert ((outcome.mass_loss > -1e-12) & (outcome.mass_loss < 1)).all()


def test_without_heat_there_is_no_product():
    tasks = batch(ONLY_TARGET, onset_target_K=1800.0, precursor_onset_K=(1700.0, 1700.0, 1700.0))
    y = simulate(tasks, one_step(700.0, 1.0)).amounts
    assert y.target[0] < 1e-9 and y.precursor[0] > 0.999


def test_all_that_only_reacts_becomes_target():
    outcome = simulate(batch(ONLY_TARGET), one_step(1500.0, 10.0))
    assert outcome.target_fraction[0] == pytest.approx(1, abs=1e-9)
    # 44 g of CO2 out of 100 + 100 + 44 g.
    assert outcome.mass_loss[0] == pytest.approx(44 / 244, abs=1e-9)


def test_loss_rises_with_time_and_excess_makes_up_for_it():
    lossy = batch(ONLY_TARGET, onset_loss_K=1400.0, energy_loss_kJ_mol=250.0, onset_target_K=1300.0).repeated(4)
    hours = np.array([1.0, 3.0, 10.0, 30.0])
    lost = simulate(lossy, one_step(1350.0, hours)).amounts.volatilised
    assert (np.diff(lost) > 0).all() and lost[0] > 0.01
    enough = simulate(lossy, one_step(1350.0, 10.0, 5.0, np.array([-0.1, 0.0, 0.1, 0.2]))).amounts.target
    assert (np.diff(enough[:3]) > 0.01).all()


def test_carbon_dioxide_holds_back_the_carbonate_only():
    tasks = batch(ONLY_TARGET, precursor_onset_K=(900.0, 900.0, 900.0), carbonate_K=1000.0).repeated(3)
    recipe = one_step(np.full(3, 950.0), 2.0)
    gas = replace(recipe, log10_pco2_bar=np.array([-5.0, 0.0, 0.0]), precursor=np.array([0, 0, 1]))
    left = simulate(tasks, gas).amounts.precursor
    # Under 1 bar the carbonate is stable below 1000 K, here at 950 K.
    assert left[0] < 0.2 and left[1] == 1.0 and left[2] == pytest.approx(left[0], rel=1e-2)


# ONE RULE FOR ALL BATCHES


@pytest.mark.parametrize("variant", ["recipe", "full"])
def test_an_experiment_does_not_depend_on_its_batch_in_any_bit(variant):
    tasks, recipe = random_experiments(1500, variant)
    tasks = tasks.replaced(
        np.arange(0, 1500, 2), draw(np.random.default_rng(1).random((750, PARAMETERS.unit_dim)), "ood-mechanism")
    )
    together = np.array([*(whole := simulate(tasks, recipe)).amounts, whole.grain_um, whole.mass_loss])
    for row in (0, 1, 127, 128, 1023, 1024, 1499):
        alone = simulate(tasks.take(np.array([row])), recipe.take(np.array([row])))
        mine = np.array([*alone.amounts, alone.grain_um, alone.mass_loss])[:, 0]
        assert mine.tobytes() == together[:, row].copy().tobytes()
    some = np.array([5, 700, 3])
    part = np.array([*simulate(tasks.take(some), recipe.take(some)).amounts])
    assert part.tobytes() == together[:7, some].copy().tobytes()


def test_a_trajectory_ends_where_the_simulation_does():
    tasks, recipe = random_experiments(3, "full")
    for row in range(3):
        index = np.array([row])
        path = trajectory(tasks.take(index), recipe.take(index), substeps=48)
        end = simulate(tasks.take(index), recipe.take(index), substeps=48)
        assert np.array(path.amounts)[:, -1] == pytest.approx(np.array(end.amounts)[:, 0], abs=1e-12)
        assert path.grain_um[-1] == pytest.approx(end.grain_um[0], rel=1e-9)
        assert path.temperature_K[0] == 300 and path.temperature_K[-1] == pytest.approx(300)
        offset = tasks.furnace_offset_K[row]
        hottest = max(recipe.temperature_K[row], recipe.second_temperature_K[row]) + offset
        assert path.temperature_K.max() == pytest.approx(hottest)
        cooling = (recipe.second_temperature_K[row] + offset - 300) / 600
        assert path.hours[-1] == pytest.approx(heating_hours(recipe)[row] + cooling, rel=1e-9)


def test_substeps_one_by_one_lead_where_the_whole_experiment_does():
    tasks, recipe = random_experiments(50)
    state, c = begin(tasks, recipe)
    top = recipe.temperature_K + tasks.furnace_offset_K
    arrive = (recipe.temperature_K - 300) / (60 * recipe.ramp_K_per_min)
    for k in range(400):
        low, high = 300 + (top - 300) * k / 400, 300 + (top - 300) * (k + 1) / 400
        state = advance(state, c, low, high, arrive / 400)
    for k in range(400):
        state = advance(state, c, top, top, recipe.hold_h * ((k + 1) ** 2 - k**2) / 400**2)
    for k in range(100):
        low, high = top - (top - 300) * k / 100, top - (top - 300) * (k + 1) / 100
        state = advance(state, c, low, high, (top - 300) / 600 / 100)
    whole = simulate(tasks, recipe, 1000)
    np.testing.assert_allclose(np.array(state.amounts), np.array(whole.amounts), atol=5e-3)
    np.testing.assert_allclose(grain_um(c, state.values[9]), whole.grain_um, rtol=2e-3)


def test_a_mismatch_of_tasks_and_recipes_is_refused():
    tasks, recipe = random_experiments(3)
    with pytest.raises(ValueError, match="one recipe a task"):
        simulate(tasks, recipe.take(np.arange(2)))


def test_a_furnace_that_does_not_heat_is_refused():
    tasks, _ = random_experiments(1)
    with pytest.raises(ValueError, match="above 500"):
        simulate(tasks, one_step(400.0, 1.0))


def test_a_sample_that_was_hardly_heated_cools_to_the_room_and_no_further():
    recipe = one_step(np.array([510.0, 1500.0]), 1.0, 5.0, 0.0, 1.0)
    schedule = heating_schedule(recipe, np.zeros(2), np.array([505.0, 1200.0]), 16, False)
    edges, hours = schedule.edges_K(), schedule.hours
    np.testing.assert_allclose(edges[[0, -1]], ROOM_K)
    assert edges.min() >= ROOM_K and (hours > 0).all()
    hottest = int(np.argmax(edges[:, 0]))
    cooling = [hours[edges[:-1, row] > edges[1:, row], row].sum() for row in (0, 1)]
    np.testing.assert_allclose(cooling, (recipe.temperature_K - ROOM_K) / (60 * COOLING_K_PER_MIN), rtol=1e-9)
    assert (np.diff(edges[hottest:, 0]) <= 1e-9).all()
