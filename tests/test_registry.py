"""Every registered environment keeps the contract. A new one buys these tests by being registered."""

import re
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import metaenv
from metaenv.testing import check_meta_env, check_vector_env

IDS = [metaenv.full_id(name) for name in metaenv.ENVIRONMENTS]
STEPS = 50


@pytest.mark.parametrize("env_id", IDS)
def test_gymnasium_checker_finds_nothing(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # gymnasium says so of every environment that is not made by id under the same name.
        warnings.filterwarnings("ignore", message=".*not able to test alternative render modes.*")
        check_env(gym.make(env_id, render_mode="ansi").unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_sb3_checker_finds_nothing(env_id):
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason="needs the agents extra")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker.check_env(gym.make(env_id))


@pytest.mark.parametrize("env_id", IDS)
def test_contract_of_the_scalar_environment(env_id):
    check_meta_env(gym.make(env_id), STEPS)


@pytest.mark.parametrize("env_id", IDS)
def test_contract_of_the_vector_environment(env_id):
    # Every step of MaterialsSynthesis is an experiment, which ends an episode of the default variant.
    steps = 15 if "MaterialsSynthesis" in env_id else STEPS
    check_vector_env(lambda **kwargs: gym.make_vec(env_id, **kwargs), steps=steps)


@pytest.mark.parametrize("env_id", IDS)
def test_scalar_is_a_batch_of_one(env_id):
    scalar = gym.make(env_id)
    batch = gym.make_vec(env_id, num_envs=1, autoreset_mode="SameStep")
    first, _ = scalar.reset(seed=4)
    np.testing.assert_array_equal(batch.reset(seed=4)[0][0], first)
    scalar.action_space.seed(0)
    for _ in range(STEPS):
        action = scalar.action_space.sample()
        one = scalar.step(action)
        many = batch.step(np.array([action]))
        done = one[2] or one[3]
        np.testing.assert_array_equal(many[4]["final_obs"][0] if done else many[0][0], one[0])
        assert many[1][0] == one[1]
        if done:
            np.testing.assert_array_equal(scalar.reset()[0], many[0][0])


def legal_actions(env):
    """The legal Discrete actions, or the dimensions of a Box."""
    if isinstance(env.action_space, gym.spaces.Discrete):
        return np.flatnonzero(env.get_wrapper_attr("action_masks")()).tolist()
    return list(range(env.action_space.shape[0]))


def actions_in(text):
    """The numbers that begin an entry of the lists of actions, which stand at the end."""
    lists = text[re.search(r"^actions", text, re.MULTILINE).start() :]
    entries = [entry.strip() for entry in re.split("[;\n]", re.sub(r"^actions[^:]*:", "", lists, flags=re.MULTILINE))]
    return [int(number) for entry in entries if entry for number in entry.split()[0].split("/") if number.isdigit()]


def played(env, steps, rng):
    """Renderings after a reset and after steps of random play that is allowed, with resets where it is over."""
    env.reset(seed=0)
    env.action_space.seed(0)
    yield env.render(), legal_actions(env), True
    for _ in range(steps):
        discrete = isinstance(env.action_space, gym.spaces.Discrete)
        action = rng.choice(legal_actions(env)) if discrete else env.action_space.sample()
        _, _, terminated, truncated, _ = env.step(action)
        yield env.render(), legal_actions(env), False
        if terminated or truncated:
            env.reset()
            yield env.render(), legal_actions(env), True


@pytest.mark.parametrize("wrapper", [lambda env: env, metaenv.Trial], ids=["episode", "trial"])
@pytest.mark.parametrize("env_id", IDS)
def test_pictures_have_one_size_and_show_every_step_without_matplotlib(env_id, wrapper, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"] + ["matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    env = wrapper(gym.make(env_id, render_mode="rgb_array"))
    before = None
    for frame, _, began in played(env, 25, np.random.default_rng(0)):
        assert frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3
        assert before is None or before.shape == frame.shape
        assert np.ptp(frame) > 150, "the picture is blank"
        assert began or not np.array_equal(before, frame), "nothing changed in the picture after an action"
        before = frame
    env.close()
    env.close()


@pytest.mark.parametrize("env_id", IDS)
def test_text_names_the_actions_that_are_legal_now(env_id):
    before = None
    for text, legal, began in played(metaenv.Trial(gym.make(env_id, render_mode="ansi")), 25, np.random.default_rng(1)):
        assert actions_in(text) == legal
        assert text.startswith("trial: ") and "episodes finished" in text.split("\n")[0]
        assert began or text != before
        before = text


@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
@pytest.mark.parametrize("name", ["BernoulliBandit", "TabularMDP", "SparsePointRobot", "GridNavi", "MoleculeDesign"])
def test_renderings_hide_the_task_unless_asked(name, mode):
    drawn = {}
    for hidden in (False, True):
        env = gym.make(metaenv.full_id(name), render_mode=mode, draw_hidden=hidden)
        for seed in (0, 1):
            task = env.unwrapped.distribution.sample(1, "test", np.random.default_rng(seed)).task(0)
            env.reset(seed=0, options={"task": task})
            drawn[hidden, seed] = env.render()
    assert np.array_equal(drawn[False, 0], drawn[False, 1])
    assert not np.array_equal(drawn[True, 0], drawn[True, 1])


@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
@pytest.mark.parametrize("env_id", IDS)
def test_nothing_is_drawn_before_the_first_reset(env_id, mode):
    for env in (gym.make(env_id, render_mode=mode), gym.make_vec(env_id, num_envs=2, render_mode=mode)):
        with pytest.raises(gym.error.ResetNeeded):
            env.render()


@pytest.mark.parametrize("env_id", IDS)
def test_prefixed_id_works_in_a_fresh_process(env_id):
    code = f"import gymnasium as gym; print(gym.make({env_id!r}).reset(seed=0)[1]['task_id'])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(out.stdout) == gym.make(env_id).reset(seed=0)[1]["task_id"]


def test_import_is_light_and_fast():
    code = (
        "import sys, time; t = time.perf_counter(); import gymnasium, numpy; base = time.perf_counter() - t; "
        "t = time.perf_counter(); import metaenv; own = time.perf_counter() - t; "
        "print([m for m in ('torch', 'rdkit', 'matplotlib', 'scipy', 'stable_baselines3') if m in sys.modules], own)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy, own = out.rsplit(" ", 1)
    assert heavy == "[]"
    assert float(own) < 0.4


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"Did you mean 'BernoulliBandit'.*Known: "):
        metaenv.full_id("BernouliBandit")


def test_short_names_find_the_newest_version():
    assert metaenv.full_id("BernoulliBandit") == "metaenv:metaenv/BernoulliBandit-v0"
    assert metaenv.full_id("metaenv/BernoulliBandit-v0") == "metaenv:metaenv/BernoulliBandit-v0"


def test_another_version_is_refused_with_the_one_there_is():
    with pytest.raises(ValueError, match=r"'metaenv/GridNavi-v7': its version is v0 now.*Write 'GridNavi'"):
        metaenv.full_id("metaenv/GridNavi-v7")


def test_ids_of_others_are_left_alone():
    gym.register("elsewhere/Slots-v1", entry_point="metaenv.classic.bandit.env:BernoulliBanditEnv")
    assert metaenv.full_id("elsewhere/Slots-v1") == "elsewhere/Slots-v1"
    assert metaenv.full_id("lab:lab/Dose-v0") == "lab:lab/Dose-v0"
    with pytest.raises(ValueError, match="no environment 'elsewhere/Other-v1'"):
        metaenv.full_id("elsewhere/Other-v1")
