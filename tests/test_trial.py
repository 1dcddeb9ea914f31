"""Trials by hand: what arrives at a boundary, and what a trial pays."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from metaenv import RevealTask, Trial, VectorRevealTask, VectorTrial, make_trials
from metaenv.classic.tasks import BanditTask

ID = "metaenv:metaenv/BernoulliBandit-v0"
SURE = BanditTask((1.0, 0.0, 0.5, 0.5, 0.5))  # arm 0 always pays, arm 1 never


def test_observation_by_hand():
    trial = Trial(gym.make(ID), episodes=4)
    first, _ = trial.reset(options={"task": SURE})
    # observation, five arms, reward, boundary flag, progress
    assert first.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 0]
    after, reward, done, _, info = trial.step(0)
    assert after.tolist() == [0, 1, 0, 0, 0, 0, 1, 1, 0.25]
    assert (reward, done, info["episode_return"], info["score"]) == (1.0, False, 1.0, 1.0)
    after, reward, done, _, _ = trial.step(1)
    assert after.tolist() == [0, 0, 1, 0, 0, 0, 0, 1, 0.5]
    assert (reward, done) == (0.0, False)
    trial.step(0)
    _, _, done, truncated, _ = trial.step(0)
    assert done and not truncated


def test_the_best_objective_pays_improvements():
    trial = VectorTrial(gym.make_vec(ID, num_envs=1), episodes=4, objective="best")
    trial.reset(options={"task": SURE})
    paid = [trial.step(np.array([arm]))[1][0] for arm in (1, 0, 0, 1)]
    assert paid == [0.0, 1.0, 0.0, 0.0]


def test_first_episode_counts_whole_even_if_negative():
    from metaenv.trial import TrialMemory

    box = gym.spaces.Box(-1, 1, (1,))
    memory = TrialMemory(1, box, box, 3, "best", False, 1.0)
    memory.begin(slice(None))
    paid = []
    for reward in (-0.5, -0.2, -0.9):
        result, over = memory.record(
            slice(None), np.zeros((1, 1)), np.array([reward]), np.array([True]), np.zeros((1, 1), np.float32)
        )
        memory.end_episodes(slice(None))
        paid.append(result[0])
    np.testing.assert_allclose(paid, [-0.5, 0.3, 0.0])
    assert over[0]


def test_scalar_and_vector_trials_agree():
    scalar = Trial(gym.make(ID), episodes=5)
    vector = VectorTrial(gym.make_vec(ID, num_envs=3), episodes=5)
    one, _ = scalar.reset(seed=12)
    many, _ = vector.reset(seed=10)
    rng = np.random.default_rng(0)
    for _ in range(25):
        np.testing.assert_array_equal(many[2], one)
        actions = rng.integers(5, size=3)
        many, rewards, ended, _, _ = vector.step(actions)
        one, reward, done, _, _ = scalar.step(int(actions[2]))
        assert (rewards[2], ended[2]) == (reward, done)
        if done:
            one, _ = scalar.reset()


def test_trial_keeps_its_task_and_then_changes_it():
    trial = make_trials("BernoulliBandit", 2, episodes=3)
    _, info = trial.reset(seed=0)
    first = info["task_id"].copy()
    for step in range(3):
        *_, info = trial.step(np.array([0, 0]))
        assert (info["task_id"] == first).all() == (step < 2)
    assert (info["final_info"]["task_id"] == first).all()
    assert info["final_info"]["episode_end"].all() and not info["episode_end"].any()


def test_autoreset_of_the_trial_is_its_own():
    trial = VectorTrial(gym.make_vec(ID, num_envs=1), episodes=2, autoreset_mode=AutoresetMode.NEXT_STEP)
    trial.reset(seed=0)
    arm = np.array([0])
    trial.step(arm)
    last, _, terminated, _, _ = trial.step(arm)
    assert terminated[0] and last[0, -1] == 1.0
    fresh, reward, terminated, _, _ = trial.step(arm)
    assert not terminated[0] and reward[0] == 0 and not fresh.any()


def test_reveal_task_shows_the_context():
    env = RevealTask(gym.make(ID))
    observation, _ = env.reset(options={"task": SURE})
    assert observation.tolist() == [0, 1, -1, 0, 0, 0]
    vector = VectorRevealTask(gym.make_vec(ID, num_envs=2))
    assert vector.reset(options={"task": SURE})[0].tolist() == [[0, 1, -1, 0, 0, 0]] * 2
    assert make_trials("BernoulliBandit", 2, reveal_task=True).single_observation_space.shape == (14,)


def test_context_blind_trials_show_progress_only():
    trial = make_trials("BernoulliBandit", 1, episodes=4, context_blind=True)
    trial.reset(options={"task": SURE})
    observation, reward, *_ = trial.step(np.array([0]))
    assert reward[0] == 1
    assert observation[0].tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 0.25]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"episodes": 0}, "at least one episode"), ({"objective": "bset"}, "Did you mean 'best'")],
)
def test_bad_trials_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        VectorTrial(gym.make_vec(ID, num_envs=1), **arguments)


def test_a_foreign_vector_env_is_refused():
    with pytest.raises((TypeError, AttributeError)):
        VectorTrial(gym.make_vec("CartPole-v1", num_envs=2))
