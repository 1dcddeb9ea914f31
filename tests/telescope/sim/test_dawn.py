"""Values that are known at dawn: nothing is told during the night, and all of it once the night is over."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from metaenv.policies import play_trials
from metaenv.telescope.baselines import BayesLinear
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.exposure import quality
from metaenv.telescope.sim.layout import LOG, WORTH
from metaenv.telescope.sim.targets import CLASSES, FEATURES
from metaenv.telescope.tasks import NIGHT_SETUPS, TargetSelectionDistribution
from metaenv.testing import check_meta_env, check_vector_env
from metaenv.trial import Trial, VectorTrial

NIGHTS = NIGHT_SETUPS["faint"]
SLOTS = NIGHTS.slots


def dawn(n=2, **options):
    return TargetSelectionVectorEnv(n, **options)


def at_once(n):
    """The same nights, with values that are known at once."""
    return TargetSelectionVectorEnv(n, "short", NIGHTS)


def choose(env, rng):
    """Random allowed actions; waiting is one of them."""
    mask = env.action_masks()
    return np.argmax(np.where(mask, rng.random(mask.shape), -1), axis=1)


def log_of(env, observation):
    return observation[:, env.layout.log].reshape(len(observation), len(LOG), SLOTS)


def test_conformance_of_the_vector_environment():
    check_vector_env(lambda **kw: dawn(kw.pop("num_envs"), **kw), num_envs=2, steps=30)


def test_conformance_of_the_environment():
    check_meta_env(gym.make("metaenv:metaenv/TargetSelection-v1"), steps=30)


def test_the_night_tells_nothing_of_values_and_needs():
    """Two programmes, the same sky: all that is seen and paid is the same until dawn, and then it is not."""
    task = TargetSelectionDistribution().frozen("test").tasks.task(0)
    other = replace(
        task, class_value=task.class_value[::-1], feature_weight=(1.0, -1.0, 0.5), snr_needed=3 * task.snr_needed
    )
    env, rng = dawn(autoreset_mode="Disabled"), np.random.default_rng(0)
    observation, info = env.reset(seed=[7, 7], options={"tasks": [task, other]})
    for slot in range(SLOTS):
        np.testing.assert_array_equal(observation[0], observation[1])
        np.testing.assert_array_equal(info["action_mask"][0], info["action_mask"][1])
        assert (info["score"] == 0).all() and not log_of(env, observation).any()
        action = choose(env, rng)[[0, 0]]
        observation, reward, done, _, info = env.step(action)
        assert done.all() == (slot == SLOTS - 1) and (reward == info["score"]).all()
    assert reward.min() > 0 and reward[0] != reward[1]
    differs = (observation[0] != observation[1]).reshape(-1)
    worth = np.concatenate([np.arange(env.layout.width)[env.layout.slice(f"{name} (log)")] for name in WORTH])
    assert set(np.flatnonzero(differs)) <= set(worth) and differs.sum() > SLOTS


def test_the_log_by_hand():
    env, rng = dawn(1, autoreset_mode="Disabled"), np.random.default_rng(1)
    env.reset(seed=5)
    task, state, rows = env.tasks.task(0), env.state, []
    names = env.layout.globals_
    for slot in range(SLOTS):
        action = int(choose(env, rng)[0]) if slot != 3 else env.setup.targets  # waits now and then
        observation, reward, _, _, _ = env.step(np.array([action]))
        seen = dict(zip(names, env.layout.split(observation)[1][0], strict=True))
        assert not set(WORTH) & set(seen)
        row = dict.fromkeys(LOG, 0.0)
        if seen["exposed"]:
            targets, snr = state.targets, np.expm1(seen["ln(1 + SNR)"])
            features = targets.features[0, :, action]
            value = task.class_value[targets.true_class[0, action]] * np.exp(
                sum(w * f - w * w / 2 for w, f in zip(task.feature_weight, features, strict=True))
            )
            paid = value * quality(snr, task.snr_needed) / 11.5
            row |= {CLASSES[targets.label[0, action]]: 1.0, **dict(zip(FEATURES, features, strict=True))}
            row |= {"exposed": 1.0, "reward": paid, "log10(reward)": np.log10(max(paid, 1e-4)) + 2}
            row |= {k: seen[k] for k in ("ln(1 + SNR)", "loss of light")}
        rows.append(list(row.values()))
    told = log_of(env, observation)[0].T
    np.testing.assert_allclose(told, rows, rtol=2e-4, atol=2e-5)
    assert 2 < told[:, 0].sum() < SLOTS
    np.testing.assert_allclose(reward[0], told[:, LOG.index("reward")].sum(), rtol=1e-5)


def test_the_same_nights_as_with_values_at_once():
    env, plain, rng = dawn(3), at_once(3), np.random.default_rng(2)
    later, early = env.reset(seed=9)[0], plain.reset(seed=9)[0]
    both = [name for name in plain.layout.names if name not in WORTH and not name.endswith("(last slot)")]
    each = []
    for _ in range(SLOTS):
        for name in both:
            np.testing.assert_array_equal(later[:, env.layout.slice(name)], early[:, plain.layout.slice(name)])
        action = choose(env, rng)
        later, reward, *_ = env.step(action)
        early, paid, *_ = plain.step(action)
        each.append(paid)
    np.testing.assert_allclose(reward, np.sum(each, axis=0))
    earned = env.earned()
    assert earned is not None and plain.earned() is None
    np.testing.assert_allclose(earned, np.transpose(each), rtol=1e-6)


def test_a_trial_reports_the_log_once_and_the_next_night_begins_blank():
    trials, rng = VectorTrial(dawn(), episodes=3, autoreset_mode="SameStep"), np.random.default_rng(3)
    env, layout = trials.innermost, trials.layout
    fed, told = np.zeros(2), 0
    observation, info = trials.reset(seed=1)
    for step in range(1, 3 * SLOTS + 1):
        observation, reward, _, _, info = trials.step(choose(trials, rng))
        over, last = step % SLOTS == 0, step == 3 * SLOTS
        seen = info["final_obs"] if last else observation
        report = seen[:, layout.slice("last report")].reshape(2, len(LOG), SLOTS)
        assert report.any() == over and (info["episode_end"].all() == over or last)
        fed += seen[:, layout.column("previous reward")]
        if not over:
            continue
        told += 1
        np.testing.assert_allclose(report[:, LOG.index("reward")].sum(axis=1), reward, rtol=1e-5)
        inner = seen[:, : env.layout.width]
        assert log_of(env, inner).any() == last
        if not last:
            blank = env.layout.split(inner)[1][:, env.layout.globals_.index("action was legal") :]
            assert not blank.any()
    assert told == 3 and (fed > 0).all()
    assert layout.box().shape == trials.single_observation_space.shape == observation[0].shape


def test_scalar_and_vector_trials_agree():
    scalar, rng = Trial(gym.make("metaenv:metaenv/TargetSelection-v1"), 2), np.random.default_rng(4)
    vector = VectorTrial(dawn(3), episodes=2, autoreset_mode="SameStep")
    one, many = scalar.reset(seed=12)[0], vector.reset(seed=10)[0]
    for _ in range(2 * SLOTS):
        np.testing.assert_array_equal(many[2], one)
        action = choose(vector, rng)
        many, rewards, _, _, info = vector.step(action)
        one, reward, done, _, _ = scalar.step(int(action[2]))
        assert rewards[2] == reward
    np.testing.assert_array_equal(info["final_obs"][2], one)
    assert done


def test_bayes_learns_from_the_log():
    """On the first night it earns less than where it is told at once, and on the second about as much."""
    tasks = TargetSelectionDistribution().frozen("validation").tasks.take(np.arange(48))
    late, early = (
        play_trials(BayesLinear(1.0), VectorTrial(env, episodes=2), tasks, 0).scores.mean(axis=0)
        for env in (TargetSelectionVectorEnv(48, "short", values=known) for known in ("dawn", "at once"))
    )
    assert late[0] < 0.85 * early[0] and late[1] > 0.93 * early[1]


def test_text_and_pictures_tell_at_dawn():
    trials = VectorTrial(dawn(1, render_mode="ansi"), episodes=2, autoreset_mode="Disabled")
    trials.reset(seed=3)
    rng, texts = np.random.default_rng(0), []
    for _ in range(SLOTS + 1):
        trials.step(choose(trials, rng))
        texts.append(trials.render()[0].partition("actions, a target")[0])
    paid = [f"{x.reward:.3f}" for x in trials.innermost._log[0] if x.night == 0 and x.target >= 0 and x.reward > 0.01]
    assert len(paid) > 2 and not any(p in text for p in paid for text in texts[: SLOTS - 1])
    assert "known at dawn" in texts[SLOTS - 2] and all(p in texts[SLOTS - 1] for p in paid)
    assert "night 1 slot" in texts[SLOTS - 1] and "night 1 slot" not in texts[SLOTS]


def test_refusals():
    for variant in ("depth", "cadence", "full"):
        with pytest.raises(ValueError, match=f"for the variants 'short', 'faint', not for '{variant}'"):
            TargetSelectionVectorEnv(1, variant, values="dawn")
    for setup in (replace(NIGHTS, revisits=True), replace(NIGHTS, lengths=(1, 2))):
        with pytest.raises(ValueError, match="is for nights in which each target is visited once"):
            TargetSelectionVectorEnv(1, setup=setup)
    with pytest.raises(ValueError, match=r"values='at once' is for the variants .*, not for 'faint'"):
        TargetSelectionVectorEnv(1, values="at once")
    with pytest.raises(ValueError, match=r"known 'dwan'.*'dawn'"):
        TargetSelectionVectorEnv(1, values="dwan")  # type: ignore[arg-type]
