"""FurnaceControl: the furnace's rules, and that its chemistry is the simulator's."""

import gymnasium as gym
import numpy as np
import pytest

from metaenv import Trial
from metaenv.materials.furnace import (
    COOL,
    HEAT,
    HEAT_K,
    HOLD,
    LAYOUT,
    PHASES,
    REGRIND,
    REGRIND_H,
    START_UM,
    STOP,
    STOPPED,
)
from metaenv.materials.kinetics import simulate
from metaenv.materials.rates import VOLATILISATION
from metaenv.materials.recipes import one_step
from metaenv.materials.tasks import SolidStateDistribution

ID = "metaenv:metaenv/FurnaceControl-v0"
GROWN = 9  # the row of the state that holds how far grains have grown
TASKS = SolidStateDistribution().frozen("validation").tasks.take(np.arange(100))


def made(n=100, **settings):
    env = gym.make_vec(ID, num_envs=n, noise_factor=0.0, autoreset_mode="Disabled", **settings)
    env.reset(seed=0, options={"tasks": TASKS.take(np.arange(n))})
    return env


def push(env, *actions):
    for action in actions:
        result = env.step(np.full(env.num_envs, action))
    return result


def test_heat_hold_stop_gives_what_the_recipe_gives():
    """Thirteen steps of heat and ten of hold are a recipe of 1275 K for 10 h. Quenched, not cooled: so no exactness."""
    env = made()
    push(env, *[HEAT] * 13, *[HOLD] * 10, STOP)
    recipe = one_step(np.full(100, 300 + 13 * HEAT_K), 10.0, 5.0, 0.0, START_UM)
    truth = simulate(TASKS, recipe).phase_fractions
    env_truth = env.observe(slice(None))[:, PHASES] / np.exp(TASKS.phase_bias)
    env_truth = env_truth / env_truth.sum(axis=1, keepdims=True)
    assert np.median(np.abs(env_truth - truth).max(axis=1)) < 0.02
    assert np.quantile(np.abs(env_truth - truth).max(axis=1), 0.8) < 0.1


def test_nothing_reacts_in_the_cold():
    env = made()
    push(env, *[HEAT] * 3, *[COOL] * 2, *[HOLD] * 20)
    amounts = env._state.amounts
    np.testing.assert_allclose(amounts.precursor, 1.0, atol=1e-6)
    np.testing.assert_allclose(amounts.target, 0.0, atol=1e-6)


def test_mass_is_conserved_to_the_last_digits():
    env = made()
    rng = np.random.default_rng(0)
    for _ in range(40):
        env.step(np.where(rng.random(100) < 0.6, HEAT, rng.integers(3, size=100)))
    y, x = env._state.amounts, TASKS.intermediate_a
    a = y.oxide_a + x * y.intermediate + y.target + y.decomposed + y.volatilised
    b = y.precursor + y.oxide_b + y.intermediate + y.target + y.decomposed
    np.testing.assert_allclose(a, 1.0, atol=1e-12)
    np.testing.assert_allclose(b, 1.0, atol=1e-12)


def test_masks_follow_the_furnace():
    env = made(1)
    assert env.action_masks()[0].tolist() == [True, False, True, True, False]  # cold, never fired
    push(env, *[HEAT] * 4)
    assert env.action_masks()[0].tolist() == [True, True, True, False, True]  # 600 K: hot, may be stopped


def test_a_masked_action_means_hold():
    one, two = made(4), made(4)
    push(one, STOP, HEAT, HEAT, REGRIND)
    push(two, HOLD, HEAT, HEAT, HOLD)
    np.testing.assert_array_equal(one.observe(slice(None)), two.observe(slice(None)))


def test_regrinding_halves_the_particles_and_speeds_formation():
    env = made()
    push(env, *[HEAT] * 8, *[COOL] * 4)
    before = env._rates.offset.copy()
    push(env, REGRIND)
    assert (env._particle == START_UM / 2).all()
    gain = env._rates.offset[1] - before[1]
    np.testing.assert_allclose(gain, TASKS.contact_exponent * np.log(2))


@pytest.fixture
def fired():
    """Four furnaces that have been hot, in which grains have grown, and that are cold enough to regrind."""
    env = made(4)
    push(env, *[HEAT] * 14, *[COOL] * 8)
    assert env.action_masks()[:, REGRIND].all() and (env._state.values[GROWN] > 0).all()
    return env


def test_regrinding_takes_an_hour(fired):
    before = fired._hours.copy()
    push(fired, REGRIND)
    np.testing.assert_allclose(fired._hours - before, REGRIND_H)


def test_regrinding_speeds_evaporation_as_the_surface_grows(fired):
    before = fired._rates.offset[VOLATILISATION].copy()
    push(fired, REGRIND)
    np.testing.assert_allclose(fired._rates.offset[VOLATILISATION] - before, np.log(2))


def test_regrinding_breaks_the_grains(fired):
    push(fired, REGRIND)
    assert (fired._state.values[GROWN] < 1e-6).all()


def test_the_run_ends_by_itself():
    env = made(2, max_steps=5)
    *_, terminated, truncated, _ = push(env, *[HOLD] * 5)
    assert terminated.all() and not truncated.any()
    assert (env.observe(slice(None))[:, STOPPED] == 1).all()


def test_signals_are_cheap_until_the_end():
    env = made()
    observation, *_ = push(env, *[HEAT] * 12)
    named = {name: observation[:, LAYOUT.column(name)] for name in LAYOUT.names}
    assert (observation[:, STOPPED:] == 0).all()
    np.testing.assert_allclose(named["temperature"], 12 * HEAT_K / 1500, atol=1e-6)
    assert named["mass loss"].max() > 0.05


@pytest.mark.parametrize("settings", [{"noise_factor": -1.0}, {"max_steps": 1}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValueError, match=r"from 0 to 10|at least two"):
        gym.make_vec(ID, num_envs=1, **settings)


def test_the_fixed_programmes_are_those_that_were_chosen_on_training_materials():
    from metaenv.materials.furnace_baselines import PROGRAMMES, chosen_programmes

    assert chosen_programmes() == PROGRAMMES


def test_fixed_programmes_are_worth_something_and_a_list_more():
    from metaenv.evaluation import evaluate
    from metaenv.materials.furnace_baselines import baselines
    from metaenv.policies import RandomPolicy

    evaluation = evaluate({"random": RandomPolicy(), **baselines()}, "FurnaceControl", "validation", 100, shots=(1, 5))
    at_one, at_five = ({r.name: r.fraction[k].estimate for r in evaluation.rows} for k in (0, 1))
    assert at_one["random"] < 0.1 < 0.2 < at_one["best fixed programme"]
    assert at_five["greedy portfolio"] > at_five["best fixed programme"] + 0.15


def test_the_text_keeps_the_course_of_the_run_and_the_results_of_earlier_ones():
    env = Trial(gym.make(ID, render_mode="ansi"), episodes=3)
    env.reset(seed=0)
    for action in [HEAT] * 13 + [HOLD] * 3 + [STOP] + [HEAT, HEAT]:
        _, _, _, _, info = env.step(action)
        if info["episode_end"]:
            reading = info["episode_return"]
    text = env.render()
    assert f"run 1: up to 1275 K, 6.2 h, powders of {START_UM:.2f} um: " in text and f"reading {reading:.3f}" in text
    assert "step 2 of 48: 450 K after 0.50 h" in text and "0.25 375 " in text and "0.50 450 " in text
    assert "true utility" not in text
    env.reset()
    assert "nothing made yet" in env.render()


@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_the_true_utility_is_drawn_if_asked_for(mode):
    env = gym.make("metaenv:metaenv/MaterialsSynthesis-v1", variant="recipe", render_mode=mode, draw_hidden=True)
    other = gym.make("metaenv:metaenv/MaterialsSynthesis-v1", variant="recipe", render_mode=mode)
    for one in (env, other):
        one.reset(seed=0)
        _, _, _, _, info = one.step(np.zeros(5, np.float32))
    assert not np.array_equal(env.render(), other.render())
    if mode == "ansi":
        assert f"true utility {info['score']:.3f}" in env.render() and "true utility" not in other.render()
