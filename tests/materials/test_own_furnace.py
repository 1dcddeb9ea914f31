"""FurnaceControl in a laboratory of one's own."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from metaenv import Trial
from metaenv.evaluation import evaluate
from metaenv.materials import furnace_baselines
from metaenv.materials.furnace import (
    COOL,
    GRAIN,
    HEAT,
    HOLD,
    LAYOUT,
    PHASES,
    READING,
    REGRIND,
    STOP,
    FurnaceControlVectorEnv,
)
from metaenv.materials.furnace_baselines import FixedProgrammes, baselines, chosen_programmes, programme
from metaenv.materials.kinetics import simulate
from metaenv.materials.laboratory import Laboratory
from metaenv.materials.recipes import one_step
from metaenv.materials.tasks import SolidStateDistribution
from metaenv.materials.utility import utility
from metaenv.policies import RandomPolicy

ID = "metaenv:metaenv/FurnaceControl-v0"
OWN = Laboratory(
    bounds={"temperature": "800 K .. 1310 K", "ramp": "30 K/h .. 2.5 K/min", "particle size": "0.3 um .. 1 um"},
    costs={"time": 0.02, "heat": 0.3},
    goal="1 um .. 3 um",
    instruments={"balance": None, "SEM": 0.0},
)
DISTRIBUTION = SolidStateDistribution(laboratory=OWN)
TASKS = DISTRIBUTION.sample(40, "train", np.random.default_rng(0))


def made(laboratory: Laboratory | None = OWN, **settings: Any) -> Any:
    env = gym.make_vec(ID, num_envs=40, noise_factor=0.0, autoreset_mode="Disabled", laboratory=laboratory, **settings)
    env.reset(seed=0, options={"tasks": TASKS})
    return env


def push(env: Any, *actions: int) -> Any:
    for action in actions:
        result = env.step(np.full(40, action))
    return result


def test_the_bounds_reach_the_furnace():
    env = made()
    push(env, *[HEAT] * 3)
    assert env._hours == pytest.approx(3 * 75 / 2.5 / 60)  # 2.5 K/min, as the ramp may not be 5
    assert (env._kelvin == 525).all() and not env.action_masks()[:, STOP].any()
    push(env, COOL)
    assert env._hours == pytest.approx((225 + 150) / 2.5 / 60)
    push(env, *[HEAT] * 4)
    assert (env._kelvin == 675).all() and not env.action_masks()[:, STOP].any()
    push(env, HEAT)
    assert (env._kelvin == 750).all() and env.action_masks()[:, STOP].all(), "it was hot: 100 K below 800 K"
    observation, *_ = push(env, *[HEAT] * 9)
    assert (env._kelvin == 1310).all() and not env.action_masks()[:, HEAT].any()
    assert (observation[:, LAYOUT.column("temperature")] == 1).all()
    push(env, *[COOL] * 7)
    assert (env._particle == 1.0).all(), "of 2 um by default, which the mill here does not make"
    for size in (0.5, 0.3):
        push(env, REGRIND)
        assert (env._particle == size).all()
    assert not env.action_masks()[:, REGRIND].any()


def test_heat_hold_stop_is_worth_what_the_recipe_is_worth_there():
    env = made()
    *_, info = push(env, *[HEAT] * 14, *[HOLD] * 10, STOP)
    recipe = one_step(np.full(40, 1310.0), 10.0, 2.5, 0.0, 1.0)
    outcome = simulate(TASKS, recipe)
    worth = utility(outcome.target_fraction, outcome.grain_um, TASKS.goal_um, recipe, OWN)
    elsewhere = utility(outcome.target_fraction, outcome.grain_um, TASKS.goal_um, recipe)
    assert np.median(np.abs(info["score"] - worth)) < 0.005 < 0.02 < np.median(np.abs(elsewhere - worth))
    assert env.reward_range[0] <= info["score"].min()
    some = TASKS.take(np.arange(10))
    assert (DISTRIBUTION.reference(some).oracle > info["score"][:10]).all()


def test_a_slow_furnace_counts_its_hours():
    slow = Laboratory(bounds={"ramp": (0.01, 0.02)})
    env = made(slow)
    observation, *_ = push(env, *[HEAT] * 8)
    hours = 600 / 0.02 / 60
    longest_step = 150 / 0.02 / 60
    assert env._hours == pytest.approx(hours)
    scaled = np.log1p(hours) / np.log1p(100 * longest_step)
    assert observation[:, LAYOUT.column("hours")] == pytest.approx(scaled)
    assert f"to {100 * longest_step:g} h" in env.layout.table()
    assert env.reward_range[0] < -0.1 * (47 * 75 / 0.02 / 60 / 100) ** 2


def test_what_is_not_measured_stays_zero_and_is_said():
    env = made()
    observation, *_ = push(env, *[HEAT] * 14, HOLD)
    assert (observation[:, 4:6] == 0).all()
    observation, reward, *_ = push(env, STOP)
    assert env.single_observation_space.shape == (18,)
    assert [*env.layout.names[-3:]] == ["has XRD", "has SEM", "has balance"]
    assert (observation[:, -3:] == [1, 1, 0]).all() and (env.reset(seed=0)[0][:, -3:] == [1, 1, 0]).all()
    assert (observation[:, 4:6] == 0).all() and (observation[:, PHASES].sum(axis=1) > 0.99).all()
    assert observation[:, READING] == pytest.approx(reward, abs=1e-6)
    blind = made(Laboratory(instruments={"XRD": "none", "SEM": "none"}))
    observation, reward, *_ = push(blind, *[HEAT] * 14, HOLD, STOP)
    assert (observation[:, PHASES] == 0).all() and (observation[:, GRAIN] == 0).all()
    assert (observation[:, 4] != 0).any() and (reward != 0).all()


def test_the_noise_of_the_balance_is_what_was_said():
    spread = {}
    for noise in (0.0, 0.03):
        env = FurnaceControlVectorEnv(200, laboratory={"instruments": {"balance": noise}}, tasks=[TASKS.task(0)])
        env.reset(seed=0)
        spread[noise] = env.step(np.full(200, HEAT))[0][:, LAYOUT.column("mass loss")].std()
    assert spread[0.0] == 0 and spread[0.03] == pytest.approx(0.03, rel=0.2)


def test_the_default_laboratory_said_aloud_changes_nothing():
    plain, said = (gym.make_vec(ID, num_envs=8, **options) for options in ({}, {"laboratory": Laboratory()}))
    for env in (plain, said):
        env.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(40):
        action = rng.choice(5, 8, p=[0.6, 0.1, 0.2, 0.05, 0.05])
        one, two = plain.step(action), said.step(action)
        assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"laboratory": {"bounds": {"hold": (1, 10)}}},
            "bounds: FurnaceControl has no use for hold, since it holds by",
        ),
        ({"laboratory": {"bounds": {"excess A": "0 .. 5 %"}}}, "no use for excess A, since its powders are stoichiome"),
        ({"laboratory": {"bounds": {"log pCO2": (-3, 0)}}}, "no use for log pCO2, since it works in air; leave log"),
        ({"laboratory": {"costs": {"oxide": 0.1}}}, "costs: FurnaceControl has no use for oxide, since it starts from"),
        ({"laboratory": {"costs": {"second_step": 0.1}}}, "no use for second_step, since a run is one step; leave"),
        ({"laboratory": OWN, "distribution": SolidStateDistribution()}, "the environment's own laboratory"),
        ({"laboratory": "no.toml"}, "no.toml: no such file"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message) as caught:
        FurnaceControlVectorEnv(2, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("temperature", "hold", "expected"),
    [
        ("1275 K", "10 h", (13, 10)),
        ("1001.85 °C", 600 / 60, (13, 10)),
        (1310, "120 min", (14, 2)),  # the last step of heat ends at the bound
        (900.0, 0, (8, 0)),
        ("1400 K", 1, "temperature 1400 K is above the bound of 1310 K; this laboratory makes 800 .. 1310 K"),
        (750, 1, "temperature 750 K is below the bound of 800 K"),
        (1000, 1, r"temperature 1000 K lies between two steps of heat, 975 and 1050 K"),
        ("1300 K", 1, r"lies between two steps of heat, 1275 and 1310 K"),
        ("1275 K", "90 min", r"hold 1.5 h: expected whole hours from 0 to 34"),
        ("1275 K", 35, r"hold 35 h: expected whole hours from 0 to 34"),
        ("1275 K", -1, r"hold -1 h: expected whole hours"),
        ("1275 K", float("nan"), "hold"),
        (float("nan"), 1, "temperature nan K is not a number"),
        ("1275 F", 1, "temperature: expected a number with a unit"),
    ],
)
def test_a_programme_in_units(temperature: float | str, hold: float | str, expected: Any):
    if isinstance(expected, tuple):
        assert programme(temperature, hold, OWN) == expected
    else:
        with pytest.raises(ValueError, match=expected):
            programme(temperature, hold, OWN)


def test_the_programme_in_units_is_what_is_played():
    env = FurnaceControlVectorEnv(2, laboratory=OWN, render_mode="ansi")
    assert FixedProgrammes([programme("1310 K", "3 h", OWN)])._programmes == [(14, 3)]
    env.reset(seed=0)
    for action in [HEAT] * 14 + [HOLD] * 3 + [STOP]:
        env.step(np.full(2, action))
    assert "up to 1310 K, 9.7 h, powders of 1.00 um" in env.text(0)


def test_baselines_are_chosen_for_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(furnace_baselines, "TASKS", 16)
    monkeypatch.setattr(furnace_baselines, "HOLDS", (1, 10))
    chosen_programmes.cache_clear()
    assert set(FurnaceControlVectorEnv(laboratory=OWN).baselines()) == set(baselines())
    policies = {"random": RandomPolicy(), **baselines(OWN)}
    assert policies["greedy portfolio"]._programmes() == chosen_programmes(OWN)  # type: ignore[attr-defined]
    score = {
        r.name: r.fraction
        for r in evaluate(policies, ID, tasks=TASKS.take(np.arange(6)), laboratory=OWN, shots=(1, 5)).rows
    }
    assert score["random"][0].estimate < 0.1 < score["best fixed programme"][0].estimate
    assert score["greedy portfolio"][1].estimate > score["best fixed programme"][1].estimate + 0.1
    assert all(8 <= heat <= 14 and hold in (1, 10) for heat, hold in chosen_programmes(OWN))
    # 2500 K is 30 steps of heat away, so that not every hold fits into an episode.
    monkeypatch.setattr(furnace_baselines, "TASKS", 5)
    hot = Laboratory(bounds={"temperature": (1500, 2500)}, costs={"heat": 0.0})
    assert all(12 <= heat <= 30 and heat + hold < 48 for heat, hold in chosen_programmes(hot))
    chosen_programmes.cache_clear()


def test_texts_and_pictures_are_in_its_units():
    pictures = []
    for mode in ("ansi", "rgb_array"):
        env = Trial(gym.make(ID, laboratory=OWN, render_mode=mode), episodes=3)
        env.reset(seed=0)
        for action in [HEAT] * 14 + [STOP] + [HEAT]:
            env.step(action)
        pictures.append(env.render())
    text, picture = pictures
    assert "0 heat: 75 K more, at 2.5 K/min, to at most 1310 K" in text and "cool: 150 K less, at 2.5 K/min" in text
    assert "course of the run (h, K): 0.00 300; 0.50 375" in text and "mass loss" not in text
    assert "to at least 0.3 um" in text and picture.shape == (500, 920, 3)
