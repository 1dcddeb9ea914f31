"""Resets, options and refusals of the batched base."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from metaenv import make_trials
from metaenv.classic.bandit.tasks import BanditDistribution, BanditTask
from metaenv.errors import TaskError
from metaenv.ids import task_id

ID = "metaenv:metaenv/BernoulliBandit-v0"


@pytest.fixture
def env():
    return gym.make_vec(ID, num_envs=3)


def test_tasks_in_every_form(env):
    tasks = [BanditTask((p, 0.1, 0.1, 0.1, 0.1)) for p in (0.2, 0.4, 0.6)]
    for given in (tasks, BanditDistribution().sample(3, "test", np.random.default_rng(0))):
        _, info = env.reset(options={"tasks": given})
        wanted = [t.id for t in tasks] if given is tasks else list(given.ids)
        assert [task_id(number) for number in info["task_id"]] == wanted == list(env.tasks.ids)
    _, info = env.reset(options={"tasks": tasks[:1], "reset_mask": np.array([False, True, False])})
    assert task_id(info["task_id"][1]) == tasks[0].id


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tsk": 1}, "Did you mean 'task'"),
        ({"tasks": [BanditTask((0.5,) * 5)] * 2}, "expected 3 tasks"),
        ({"task": "a"}, "expected a BanditTask"),
        ({"task": BanditTask((0.5,) * 5), "keep_task": True}, "not both"),
        ({"reset_mask": [1, 0, 1]}, "bool array"),
        ({"keep_task": True}, "no task to keep"),
    ],
)
def test_bad_options_are_refused_and_change_nothing(env, options, message):
    with pytest.raises(TaskError, match=message):
        env.reset(seed=1, options=options)
    first = gym.make_vec(ID, num_envs=3).reset(seed=5)[1]["task_id"]
    assert (env.reset(seed=5)[1]["task_id"] == first).all()


def test_a_refused_action_changes_nothing(env):
    env.reset(seed=2)
    twin = gym.make_vec(ID, num_envs=3)
    twin.reset(seed=2)
    with pytest.raises(ValueError, match="from 0 to 4, got 5 in row 1"):
        env.step(np.array([0, 5, 0]))
    np.testing.assert_array_equal(env.step(np.array([0, 1, 2]))[1], twin.step(np.array([0, 1, 2]))[1])


def test_step_before_reset(env):
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(np.array([0, 0, 0]))


def test_bad_construction():
    with pytest.raises(TaskError, match="Did you mean 'test'"):
        gym.make_vec(ID, num_envs=2, split="tset")
    with pytest.raises(ValueError, match="at least two arms"):
        gym.make_vec(ID, num_envs=2, n_arms=1)


def test_seed_i_of_a_batch_is_seed_plus_i(env):
    ids = env.reset(seed=40)[1]["task_id"]
    assert list(ids) == list(env.reset(seed=[40, 41, 42])[1]["task_id"])
    with pytest.raises(ValueError, match="3 seeds"):
        env.reset(seed=[1, 2])


def test_a_seed_gives_the_same_tasks_however_many_were_drawn_before(env):
    first = env.reset(seed=5)[1]["task_id"].copy()
    for _ in range(5):
        env.reset()
    np.testing.assert_array_equal(env.reset(seed=5)[1]["task_id"], first)


def test_an_action_that_rounding_carried_out_of_the_box_is_clipped_into_it():
    env = make_trials("MaterialsSynthesis", 1, variant="recipe")
    env.reset(seed=0)
    observation, *_ = env.step(np.full((1, 5), 1 + 5e-7))
    assert env.observation_space.contains(observation), "the previous action is shown outside of its range"
    assert observation.max() <= 1
