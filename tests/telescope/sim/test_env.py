"""The rules of a night: what an exposure earns, what is allowed, and what is shown."""

import numpy as np
import pytest

from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.exposure import (
    electrons_per_second,
    exposure_seconds,
    quality,
    signal_to_noise,
    sky_electrons_per_second,
)
from metaenv.telescope.sim.layout import LIMIT
from metaenv.telescope.sim.reward import exposure_snr, revisit_worth
from metaenv.telescope.sim.visibility import cell_snr
from metaenv.telescope.tasks import NIGHT_SETUPS
from metaenv.testing import check_vector_env

PRESETS = list(NIGHT_SETUPS)


def play(env, steps, seed=0):
    """Random allowed actions; gives observation, action, reward, done and info of each step."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        mask = env.action_masks()
        action = np.argmax(np.where(mask, rng.random(mask.shape), -1), axis=1)
        observation, reward, done, _, info = env.step(action)
        yield observation, action, reward, done, info


@pytest.mark.parametrize("variant", PRESETS)
def test_observations_stay_inside_and_nights_end(variant):
    env = TargetSelectionVectorEnv(2, variant)
    observation, _ = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    assert observation.shape == (2, env.layout.width)
    ended = 0
    for observation, _, reward, done, _ in play(env, 90):
        assert env.observation_space.contains(observation) and np.abs(observation).max() < LIMIT
        assert (reward >= 0).all()
        ended += done.sum()
    assert ended >= 2


def test_contract_of_the_depth_variant():
    check_vector_env(lambda **kw: TargetSelectionVectorEnv(variant="depth", **kw), num_envs=2, steps=100)


def test_reward_by_hand():
    """An exposure recomputed from the tables with the CCD equation."""
    env = TargetSelectionVectorEnv(1, "short")
    env.reset(seed=5)
    checked = 0
    for _ in range(24):
        before = {
            "slot": int(env.state.slot[0]),
            "slew": env.state.slew[0].copy(),
            "pointing": env.state.pointing[0].copy(),
        }
        action = int(np.flatnonzero(env.action_masks()[0])[0])
        night, t, k, task = env.state.night, before["slot"], action, env.tasks.task(0)
        reward = None
        if k < 64:
            # Slew: angle over speed, plus settling; the angle from the unit vectors.
            direction = np.array([c[0, k] for c in night.targets], float)
            angle = np.degrees(np.arccos(np.clip(direction @ before["pointing"], -1, 1)))
            slew = angle / task.slew_deg_s + task.settle_s
            assert before["slew"][k] * 60 == pytest.approx(slew, rel=1e-3, abs=0.05)
            seconds = night.hours[0] * 3600 - slew - 8.0
            rate = electrons_per_second(env.state.targets.magnitude[0, k], task.zero_point_mag)
            sky = sky_electrons_per_second(env.state.air.sky[0, t, k], task.zero_point_mag)
            area = env.state.air.zenith_area[0, t] * night.seeing_area_factor[0, t, k]
            snr = signal_to_noise(rate, env.state.air.transmission[0, t, k], sky, area, seconds)
            worth = task.class_value[env.state.targets.true_class[0, k]] * np.exp(
                sum(
                    w * f - w * w / 2
                    for w, f in zip(task.feature_weight, env.state.targets.features[0, :, k], strict=True)
                )
            )
            reward = worth * quality(snr, task.snr_needed) / env.setup.unit
        _, paid, done, _, _ = env.step(np.array([action]))
        if reward is not None:
            assert paid[0] == pytest.approx(reward, rel=1e-3, abs=1e-9)
            checked += 1
        if done[0]:
            break
    assert checked > 10


def test_score_is_the_sum_of_the_night():
    env = TargetSelectionVectorEnv(2, "short", autoreset_mode="Disabled")
    env.reset(seed=2)
    total = np.zeros(2)
    for _, _, reward, _, info in play(env, 24):
        total += reward
        np.testing.assert_allclose(info["score"], total)


def test_visited_targets_are_closed_and_masked_actions_wait():
    env = TargetSelectionVectorEnv(1, "short")
    env.reset(seed=3)
    target = int(np.flatnonzero(env.action_masks()[0])[0])
    env.state.weather.cloud_mag[:] = 0.0
    observation, first, *_ = env.step(np.array([target]))
    if first[0] > 0:
        assert not env.action_masks()[0, target]
    slot = int(env.state.slot[0])
    observation, reward, *_ = env.step(np.array([target]))
    assert reward[0] == 0 and env.state.slot[0] == slot + 1
    told = dict(zip(env.layout.globals_, env.layout.split(observation)[1][0], strict=True))
    assert told["action was legal"] == (first[0] == 0) and told["exposed"] == 0


def test_mask_is_the_sky_above_27_degrees():
    env = TargetSelectionVectorEnv(4, "short")
    env.reset(seed=4)
    sine = env.state.night.sin_alt[:, 0]
    np.testing.assert_array_equal(env.action_masks()[:, :64], sine > np.sin(np.radians(27.0)))
    assert env.action_masks()[:, 64].all()


def test_shut_dome_earns_nothing_and_keeps_the_target():
    env = TargetSelectionVectorEnv(1, "short")
    env.reset(seed=6)
    env.state.air.transmission[:] = 0.0
    target = int(np.flatnonzero(env.action_masks()[0])[0])
    _, reward, *_ = env.step(np.array([target]))
    assert reward[0] == 0 and env.state.visits[0, target] == 0


def test_targets_are_new_every_night_but_in_cadence():
    for variant, same in (("short", False), ("cadence", True)):
        env = TargetSelectionVectorEnv(2, variant)
        env.reset(seed=7)
        first = env.state.targets.ra.copy()
        date = env.state.night.start[:, 0].copy()
        env.reset(options={"keep_task": True})
        assert np.array_equal(env.state.targets.ra, first) is same
        np.testing.assert_allclose(env.state.night.start[:, 0] - date, 1.0, atol=0.01)  # the next evening


def test_last_exposure_is_remembered_across_nights():
    env = TargetSelectionVectorEnv(1, "short", autoreset_mode="Disabled")
    env.reset(seed=8)
    *_, (observation, *_) = play(env, 24)
    before = env.layout.split(observation)[1][0, 9:]
    after, _ = env.reset(options={"keep_task": True})
    np.testing.assert_array_equal(env.layout.split(after)[1][0, 9:], before)
    fresh, _ = env.reset()
    assert (env.layout.split(fresh)[1][0, 9:] == 0).all()


def test_long_exposures_add_the_squares():
    env = TargetSelectionVectorEnv(1, "depth")
    env.reset(seed=9)
    index, slot = np.array([0]), np.array([0])
    target = np.array([int(np.flatnonzero(env.state.slots_left[0, 0] >= 4)[0])])
    env.state.slew[:] = 0
    parts = [
        exposure_snr(env.state, env.tasks, env.setup, (index, slot + i, target), np.array([1]))[0] for i in range(4)
    ]
    whole = exposure_snr(env.state, env.tasks, env.setup, (index, slot, target), np.array([4]))[0]
    assert whole == pytest.approx(np.sqrt(np.sum(np.square(parts))), rel=1e-6)


def test_a_long_exposure_slews_once():
    env = TargetSelectionVectorEnv(1, "depth")
    env.reset(seed=3)
    k = int(np.flatnonzero((env.state.open[0] > 0) & (env.state.slots_left[0, 0] >= 4))[0])
    slew = float(env.state.slew[0, k]) * 60.0
    assert slew > 5.0
    rate = electrons_per_second(env.state.targets.magnitude[0, k], env.tasks.zero_point_mag)
    squares = 0.0
    for slot in range(4):
        seconds = exposure_seconds(env.state.night.hours, slew if slot == 0 else 0.0)
        cell = (np.array([0]), np.array([slot]), np.array([k]))
        squares += cell_snr(env.state.night, env.state.air, cell, rate, env.tasks.zero_point_mag, seconds)[0] ** 2
    assert exposure_snr(env.state, env.tasks, env.setup, (0, 0, k), 4) == pytest.approx(np.sqrt(squares), rel=1e-4)


def test_the_visits_of_a_target_are_counted():
    env = TargetSelectionVectorEnv(2, "cadence")
    env.reset(seed=1)
    k = int(np.flatnonzero((env.state.open > 0).all(axis=0))[0])
    exposed = np.zeros(2)
    for _ in range(3):
        assert (env.state.open[:, k] > 0).all()
        observation, *_ = env.step(np.full(2, k))
        targets, told = env.layout.split(observation)
        exposed += told[:, env.layout.globals_.index("exposed")]
        np.testing.assert_array_equal(targets[:, env.layout.row("visits"), k], exposed)
    assert exposed.max() > 1


def test_depth_exposures_end_with_the_night_and_the_target():
    env = TargetSelectionVectorEnv(2, "depth")
    env.reset(seed=10)
    for _ in range(200):
        mask = env.action_masks().reshape(2, -1)
        for j, length in enumerate((1, 2, 4)):
            part = mask[:, j * 64 : (j + 1) * 64]
            assert not part[(env.setup.slots - env.state.slot) < length].any()
        before = env.state.slot.copy()
        action = np.array([np.flatnonzero(row)[-2:][0] for row in mask])  # the longest that is allowed, or to wait
        env.step(action)
        assert (env.state.slot[env.state.slot > before] <= env.setup.slots).all()


def test_revisits_pay_at_the_cadence():
    assert revisit_worth(3.0, 3.0, 0.7) == pytest.approx(0.7)
    assert revisit_worth(3.0 * np.exp(0.6), 3.0, 0.7) == pytest.approx(0.7 * np.exp(-0.5))  # one sd off
    assert revisit_worth(3.0 * np.exp(-0.6), 3.0, 0.7) == pytest.approx(0.7 * np.exp(-0.5))


def test_policies_meet_the_same_nights():
    """Targets and weather do not depend on what was played."""
    lists = []
    for seed in (0, 1):
        env = TargetSelectionVectorEnv(2, "short")
        env.reset(seed=11)
        for _ in play(env, 24 * 2, seed):
            pass
        lists.append((env.state.targets.ra.copy(), env.state.weather.seeing.copy(), env.state.air.transmission.copy()))
    for a, b in zip(*lists, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weather_carries_over():
    env = TargetSelectionVectorEnv(64, "short")
    env.reset(seed=12)
    same = []
    for _ in range(6):
        last = env.state.weather.cloud[:, -1].copy()
        env.reset(options={"keep_task": True})
        same.append((env.state.weather.cloud[:, 0] == last).mean())
    # Tololo: from the last report of a night to the first of the next the state stays in 0.7 of cases.
    assert 0.55 < np.mean(same) < 0.95
