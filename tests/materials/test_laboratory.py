"""A laboratory of one's own: its bounds, costs, goals and instruments reach everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import metaenv.materials.particle_bayes as particle_bayes
from metaenv.evaluation import evaluate
from metaenv.materials.baselines import load_portfolio
from metaenv.materials.env import LAYOUT, LAYOUT_OF_SOME, SingleMaterialVectorEnv, longest_h
from metaenv.materials.kinetics import simulate
from metaenv.materials.laboratory import DEFAULT, Bounds, Instruments, Laboratory, Quantity, laboratory_of
from metaenv.materials.oracle import oracle, true_utility, utility_table
from metaenv.materials.recipes import Recipe, from_action, one_step, to_action
from metaenv.materials.render import recipe_text
from metaenv.materials.tasks import SolidStateDistribution, random_score
from metaenv.materials.utility import costs, least_utility

ID = "metaenv:metaenv/MaterialsSynthesis-v1"
OWN = Laboratory(
    bounds={"temperature": "700 K .. 1400 K", "particle size": "500 nm .. 5 um", "hold": "30 min .. 2 d"},
    costs={"time": 0.02, "heat": 0.0},
    goal="1 um .. 4 um",
    instruments={"SEM": None, "XRD": 0.03},
)
TASKS = SolidStateDistribution(laboratory=OWN).sample(12, "train", np.random.default_rng(0))


def test_units_are_read_and_equal_laboratories_are_equal():
    same = Laboratory(
        bounds=Bounds(temperature_K=(700, 1400), particle_um=(0.5, 5), hold_h=(0.5, 48)),
        costs={"time": 0.02, "heat": 0.0},
        goal=(1, 4),
        instruments=Instruments(XRD=0.03, SEM=None),
    )
    assert same == OWN and hash(same) == hash(OWN) and Laboratory() == DEFAULT != OWN
    celsius = Laboratory(
        bounds={"temperature": "430 .. 1130 C", "ramp": "60 K/h to 5 °C/min", "excess A": "-5 % .. 20 %"}
    )
    assert celsius.bounds.temperature_K == pytest.approx((703.15, 1403.15))
    assert celsius.bounds.ramp_K_per_min == (1, 5) and celsius.bounds.excess_a == (-0.05, 0.2)
    recipe = one_step("950 C", "90 min", "300 K/h", "10 %", "1500 nm")
    told = (recipe.temperature_K, recipe.hold_h, recipe.ramp_K_per_min, recipe.excess_a, recipe.particle_um)
    assert [float(x[0]) for x in told] == pytest.approx([1223.15, 1.5, 5, 0.1, 1.5])


@pytest.mark.parametrize(
    ("value", "asked"), [(426.84, False), (426.86, True), (626.8, True), (626.86, False), (700.0, False)]
)
def test_celsius_is_asked_about_where_it_would_be_within_the_bounds(value, asked):
    temperature = Quantity("temperature", "K", {}, (550, 2500))
    assert bool(temperature.celsius(value, (700, 900))) == asked
    assert temperature._replace(unit="h").celsius(value, (700, 900)) == ""


def test_celsius_is_asked_about_at_the_ends_of_the_bounds():
    temperature, kelvin = Quantity("temperature", "K", {}, (550, 2500)), 26.85 + 273.15
    assert temperature.celsius(26.85, (100, kelvin)) and temperature.celsius(26.85, (kelvin, 900))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bounds": {"temperatur": (700, 1400)}}, "no bounds 'temperatur'. Did you mean 'temperature'?"),
        (
            {"bounds": {"temperature": "1400 K .. 700 K"}},
            "temperature: expected a range within 550 .. 2500 K, the lower",
        ),
        ({"bounds": {"temperature": (430, 1100)}}, "is it in degrees Celsius. 430 °C is 703.15 K"),
        ({"bounds": {"temperature": "700 F .. 1400 F"}}, "temperature: expected a number with a unit .K, C, °C, degC"),
        ({"bounds": {"temperature": "700 K"}}, "temperature: expected a range such as '550 .. 2500 K', got '700 K'"),
        ({"bounds": {"temperature": (True, 1400)}}, "temperature: expected a number in K, or text, got True"),
        ({"bounds": {"hold": (0, 10)}}, "hold: expected a range within 0.01 .. 2000 h"),
        ({"bounds": {"ramp": (float("nan"), 10)}}, "ramp: expected a range"),
        ({"bounds": {"particle size": "0.1 h .. 2 h"}}, "particle size: expected a number with a unit .um"),
        ({"bounds": (700, 1400)}, "expected bounds as Bounds or a dictionary"),
        ({"costs": {"tim": 1}}, "no costs 'tim'. Did you mean 'time'?"),
        ({"costs": {"time": -1}}, "costs: expected time as a number of at least 0, got -1"),
        ({"costs": {"time": "1"}}, "expected time as a number of at least 0, got '1'"),
        ({"costs": {"hot_K": 0}}, "expected hot_K above 0"),
        ({"costs": {"any_grain": 2}}, "any_grain from 0 to 1"),
        ({"goal": "1 nm .. 4 um"}, "goal: expected a range within 0.01 .. 100 um"),
        ({"goal": 2}, "goal: expected a range such as"),
        ({"instruments": {"xrd": None}}, "no instruments 'xrd'. Did you mean 'XRD'?"),
        ({"instruments": {"XRD": 2}}, "noise of XRD from 0 to 1, or None"),
        ({"instruments": {"detection_limit": None}}, "noise of detection_limit from 0 to 1, got None"),
        ({"instruments": {"detection_limit": 0}}, "detection_limit above 0, got 0"),
    ],
)
def test_a_laboratory_of_nonsense_is_refused(arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message) as caught:
        Laboratory(**arguments)
    assert "\n" not in str(caught.value)


def two_steps(hold_h: float) -> Recipe:
    full = from_action(np.zeros((1, 11)), "full")
    return Recipe(
        *(np.full(1, hold_h) if n == "second_hold_h" else getattr(full, n) for n in full.__dataclass_fields__)
    )


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (lambda: one_step(2000.0, 1.0), "temperature 2000 K is above the bound of 1800 K; this laboratory makes 700"),
        (lambda: one_step(650.0, 1.0), "650 K is below the bound of 700 K; .*Celsius. 650 °C is 923.15 K"),
        (lambda: one_step([900.0, 90.0], 1.0), r"temperature 90 K \(recipe 1\) is below the bound of 700 K; [^;]*$"),
        (lambda: one_step(1200.0, 500.0), "hold 500 h is above the bound of 100 h"),
        (lambda: one_step(1200.0, 1.0, 50.0), "ramp 50 K/min is above the bound of 20 K/min"),
        (lambda: one_step(1200.0, 1.0, 5.0, 10.0), "excess A 10 is above the bound of 0.3"),
        (lambda: one_step(1200.0, 1.0, 5.0, 0.0, 0.01), "particle size 0.01 um is below the bound of 0.1 um"),
        (lambda: one_step(1200.0, -1.0), "hold of recipe 0: expected a finite number of at least 0 h, got -1"),
        (lambda: one_step(float("nan"), 1.0), "temperature of recipe 0: expected a finite .* K, got nan"),
        (lambda: one_step(1200.0, [1.0, np.inf]), "hold of recipe 1: expected a finite number"),
        (lambda: one_step(1200.0, 1.0, 0.0), "ramp.* expected a finite number above 0 K/min, got 0"),
        (lambda: one_step(1200.0, 1.0, 5.0, 0.0, -1.0), "particle_um of recipe 0: expected a finite number above 0 um"),
        (lambda: one_step("950 F", 1.0), "temperature: expected a number with a unit"),
        (lambda: two_steps(5.0), "recipe 0 has a second step, which the variant 'recipe' cannot make"),
        (lambda: two_steps(-5.0), "recipe 0 has a second step"),
        (lambda: two_steps(0.0), "recipe 0 has another pressure of CO2"),
    ],
)
def test_a_recipe_that_cannot_be_made_is_refused_with_field_bound_and_unit(recipe: Any, message: str):
    with pytest.raises(ValueError, match=message):
        to_action(recipe())


def test_the_full_variant_and_the_simulator_check_the_second_step_too():
    with pytest.raises(ValueError, match="second hold 500 h is above the bound of 100 h"):
        to_action(two_steps(500.0), "full")
    for recipe, message in (
        (two_steps(-5.0), "second_hold of recipe 0"),
        (two_steps(np.nan), "second_hold of recipe 0"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate(TASKS.take(np.arange(1)), recipe)
    assert to_action(two_steps(5.0), "full").shape == (1, 11)


def test_actions_cover_the_bounds_and_come_back():
    ends = from_action(np.array([[-1.0] * 5, [1.0] * 5]), laboratory=OWN)
    assert ends.temperature_K.tolist() == [700, 1400] and ends.particle_um == pytest.approx([0.5, 5])
    assert ends.hold_h == pytest.approx([0.5, 48]) and ends.ramp_K_per_min == pytest.approx([1, 20])
    for variant, dim in (("recipe", 5), ("full", 11)):
        recipe = from_action(np.random.default_rng(1).uniform(-1, 1, (50, dim)), variant, OWN)
        again = from_action(to_action(recipe, variant, OWN), variant, OWN)
        for name in recipe.__dataclass_fields__:
            np.testing.assert_allclose(getattr(again, name), getattr(recipe, name), rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="1500 K is above the bound of 1400 K; this laboratory makes 700"):
        to_action(one_step(1500.0, 1.0), laboratory=OWN)


def test_costs_by_hand():
    # 300 to 1200 K at 5 K/min takes 3 h; with 5 h of hold the furnace works 8 h. Heat costs nothing here.
    by_hand = (
        0.02 / np.log(101) * np.log(9) + 0.10 * 0.08**2 + 0.08 * (0.33 / 5) ** 2 + 0.05 / 16 + 0.02 * 0.09 + 0.15 / 25
    )
    assert costs(one_step(1200.0, 5.0), OWN)[0] == pytest.approx(by_hand)
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 11)).reshape(11, -1).T
    assert costs(from_action(corners, "full", OWN), OWN).max() <= -least_utility(longest_h(OWN), OWN)


def test_tasks_and_references_are_those_of_the_laboratory():
    goals = TASKS.goal_um
    assert goals.min() >= 1 and goals.max() <= 4
    d = SolidStateDistribution(laboratory=OWN)
    reference = d.reference(TASKS)
    value, action = oracle(TASKS, 7, laboratory=OWN)
    assert (np.abs(action) <= 1).all() and abs(value - reference.oracle).mean() < 0.01
    assert value == pytest.approx(true_utility(TASKS, from_action(action, laboratory=OWN), laboratory=OWN))
    assert from_action(action, laboratory=OWN).temperature_K.max() <= 1400
    assert (value > 0.5).all()  # each was found to be solvable within the bounds
    # Materials that react above 1400 K are no members where the furnace ends at 1200 K.
    hot, cold = SolidStateDistribution().frozen("ood-hot").tasks, Laboratory(bounds={"temperature": (700, 1200)})
    assert (
        SolidStateDistribution(laboratory=cold).accept(hot).mean() < 0.02 and SolidStateDistribution().accept(hot).all()
    )
    assert np.abs(d.task_vector(TASKS)).max() <= 1
    labelled = d.labelled(TASKS, 5, np.random.default_rng(0))
    recipe = from_action(labelled.x[0, :, :5], laboratory=OWN)
    own = true_utility(TASKS.take(np.array([0])).repeated(5), recipe, laboratory=OWN)
    assert labelled.y[0] == pytest.approx(own) and labelled.x[0, 0, 5] == pytest.approx(np.log2(goals[0]) - 1)


def test_what_is_not_measured_is_said_beside_it():
    env = gym.make_vec(ID, num_envs=4, variant="recipe", laboratory=OWN)
    assert env.single_observation_space.shape == (LAYOUT_OF_SOME.width,) == (13,)
    first, _ = env.reset(seed=0)
    action = np.zeros((4, 5), np.float32)
    seen, reward, *_, info = env.step(action)
    flags = LAYOUT_OF_SOME.columns("has XRD", "has SEM", "has balance")
    assert (seen[:, flags] == [1, 0, 1]).all() and (first[:, flags] == [1, 0, 1]).all()
    assert (seen[:, LAYOUT.column("grain size")] == 0).all() and (seen[:, LAYOUT.column("mass loss")] > 0).any()
    assert seen[:, 2:7].sum(axis=1) == pytest.approx(np.ones(4), abs=1e-6)
    assert env.unwrapped.reward_range[0] <= reward.min()
    recipe = from_action(action, laboratory=OWN)
    tasks = env.unwrapped.tasks  # type: ignore[attr-defined]
    np.testing.assert_allclose(info["score"], true_utility(tasks, recipe, laboratory=OWN))
    blind = gym.make(
        ID,
        variant="recipe",
        laboratory={"instruments": {"XRD": None, "SEM": None, "balance": None}},
        render_mode="ansi",
    )
    blind.reset(seed=0)
    seen = blind.step(action[0])[0]
    assert (seen[2:9] == 0).all() and (seen[10:] == 0).all() and seen[9] != 0
    assert ", grains" not in str(blind.render()) and "mass loss" not in str(blind.render())
    assert gym.make(ID, variant="recipe", laboratory=Laboratory(costs={"time": 0.0})).observation_space.shape == (10,)


def test_the_picture_shows_what_was_measured_and_the_text_the_bounds():
    env = gym.make(ID, variant="recipe", laboratory=OWN, render_mode="ansi")
    env.reset(seed=0)
    env.step(np.zeros(5, np.float32))
    text = str(env.render())
    assert "0 temperature from 700 to 1400 K" in text and "mass loss" in text and "grains 1.00" not in text


def test_small_numbers_of_a_recipe_are_not_rounded_away():
    tiny = one_step("900 K", "45 s", "3 K/h", "10 %", "4 nm")
    assert recipe_text(tiny) == "900 K for 0.013 h (0.05 K/min), oxide A +10 %, powders of 0.004 um"
    usual = one_step(1210, 5.23, 6.4, 0.08, 0.7)
    assert recipe_text(usual) == "1210 K for 5.2 h (6 K/min), oxide A +8 %, powders of 0.70 um"


def test_noise_of_an_instrument_is_what_was_said():
    spread = {}
    for noise in (0.0, 0.03):
        env = SingleMaterialVectorEnv(256, laboratory={"instruments": {"XRD": noise}}, tasks=[TASKS.task(0)])
        env.reset(seed=0)
        seen = env.step(np.zeros((256, 5), np.float32))[0]
        spread[noise] = seen[:, 2:7].max(axis=1).std()
    assert spread[0.0] == 0 and 0.005 < spread[0.03] < 0.05


def test_the_default_laboratory_said_aloud_changes_nothing():
    plain, said = (
        gym.make_vec(ID, num_envs=8, variant="recipe", **options) for options in ({}, {"laboratory": Laboratory()})
    )
    for env in (plain, said):
        env.reset(seed=3)
    action = np.random.default_rng(0).uniform(-1, 1, (8, 5)).astype(np.float32)
    one, two = plain.step(action), said.step(action)
    assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])
    frozen = SolidStateDistribution(laboratory=Laboratory()).frozen("test")
    assert frozen.sha256 == SolidStateDistribution().frozen("test").sha256


def test_baselines_play_in_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("metaenv.materials.baselines.OWN_TASKS", 20)
    monkeypatch.setattr("metaenv.materials.baselines.OWN_RECIPES", 40)
    monkeypatch.setattr(particle_bayes, "PARTICLES", 80)
    monkeypatch.setattr(particle_bayes, "RECIPES", 64)
    load_portfolio.cache_clear()
    particle_bayes.table.cache_clear()
    policies = {**SingleMaterialVectorEnv(laboratory=OWN).baselines()}
    policies["particle Bayes"] = particle_bayes.ParticleBayes(laboratory=OWN)
    evaluation = evaluate(policies, ID, tasks=TASKS, laboratory=OWN, variant="recipe")
    score = {row.name: row.fraction[-1].estimate for row in evaluation.rows}
    recipes = load_portfolio("recipe", OWN).recipes
    worth = utility_table(TASKS, recipes, "recipe", OWN)
    assert recipes.shape == (10, 5) and worth[:, 0].mean() > random_score(TASKS, "recipe", OWN).mean() + 0.15
    assert score["greedy portfolio"] > score["best fixed recipe"] and score["particle Bayes"] > 0.3
    # What was evaluated is kept as plain values, which make the same laboratory again.
    kept = json.loads(evaluation.save(tmp_path / "evaluation.json").read_text())["settings"]["laboratory"]
    assert laboratory_of(kept) == OWN
    with pytest.raises(ValueError, match="with XRD or SEM"):
        particle_bayes.ParticleBayes(laboratory=Laboratory(instruments={"XRD": None, "SEM": None}))
    load_portfolio.cache_clear()
    particle_bayes.table.cache_clear()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"laboratory": {"bound": {}}}, "bounds, costs, goal, instruments; got bound"),
        ({"laboratory": ["mine"]}, "a dictionary or file of bounds, costs, goal, instruments; got .'mine'."),
        ({"laboratory": OWN, "distribution": SolidStateDistribution()}, "the environment's own laboratory"),
        ({"noise_factor": "1"}, "expected noise_factor to be a number from 0 to 10, got '1'"),
        ({"goal_um": 2}, "no option 'goal_um'.*Known: .*laboratory, .*variant"),
    ],
)
def test_the_environment_refuses_in_a_line(options: dict[str, Any], message: str):
    with pytest.raises((ValueError, TypeError), match=message):
        SingleMaterialVectorEnv(2, **options)
