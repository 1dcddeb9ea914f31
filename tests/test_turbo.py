"""Bayesian optimisation in a trust region."""

import gymnasium as gym
import numpy as np
import pytest
from toy_dose import TwoDrugsVectorEnv

from metaenv.baselines.turbo import FIRST_LENGTH, LEAST_LENGTH, TrustRegionBO
from metaenv.policies import RandomPolicy, play_trials
from metaenv.trial import VectorTrial

pytest.importorskip("botorch", reason="needs the baselines extra")


class Square:
    """Stands for trials of two campaigns with three coordinates."""

    num_envs = 2
    single_action_space = gym.spaces.Box(-1, 1, (3,))


def started():
    policy = TrustRegionBO()
    policy.start(Square(), np.random.default_rng(0))  # type: ignore[arg-type]
    return policy


def read(policy, *readings):
    for reading in readings:
        policy.observe(np.zeros((2, 3)), np.array([reading, reading + 100.0]))


def test_the_region_doubles_after_three_improvements_and_halves_after_four_failures():
    policy = started()
    read(policy, 1, 5, 2, 3)  # the initial design, and the first choice, which fails
    assert policy._length.tolist() == [FIRST_LENGTH] * 2
    read(policy, 6, 7, 8)
    assert policy._length[0] == 2 * FIRST_LENGTH and policy._length[1] == 2 * FIRST_LENGTH
    read(policy, 9, 10, 11)
    assert policy._length[0] == 2 * FIRST_LENGTH, "it does not grow beyond its largest"
    read(policy, 0, 0, 0, 0)
    assert policy._length[0] == FIRST_LENGTH
    read(policy, 0, 0, 0, 12, 0, 0, 0)
    assert policy._length[0] == FIRST_LENGTH, "an improvement begins the count of failures anew"
    read(policy, 0)
    assert policy._length[0] == FIRST_LENGTH / 2


def test_an_improvement_is_relative():
    policy = started()
    read(policy, 1, 5, 2, 5.004, 5.004, 5.004, 5.004)  # by less than a thousandth
    assert policy._length[0] == FIRST_LENGTH / 2


def test_a_region_that_is_too_small_starts_anew():
    policy = started()
    read(policy, 1, 5, 2, *[0] * 4 * 6)
    assert policy._length[0] == FIRST_LENGTH / 2**6 > LEAST_LENGTH
    read(policy, *[0] * 4)
    assert policy._length[0] == FIRST_LENGTH


def test_candidates_lie_in_the_region_and_differ_from_the_best():
    policy = started()
    for point, reading in (((-0.5, 0, 0.5), 1), ((0.9, 0.9, 0.9), 3), ((0, 0, 0), 2)):
        policy.observe(np.tile(point, (2, 1)), np.full(2, reading, float))
    scales = np.array([[1.0, 1.0, 1.0], [4.0, 1.0, 0.25]])
    found = policy._in_the_box(scales)
    centre, half = (0.9 + 1) / 2, FIRST_LENGTH / 2
    assert (np.abs(found[0] - centre) <= half + 1e-12).all() and (found <= 1).all()
    assert (np.abs(found[1, :, 2] - centre) <= half / 4 + 1e-12).all(), "it is shorter where the model varies faster"
    assert np.abs(found[1, :, 0] - centre).max() > half
    assert (found != centre).any(axis=2).all()


def test_it_finds_doses():
    env = VectorTrial(TwoDrugsVectorEnv(4, split="test"), episodes=7)
    tasks = env.distribution.frozen("test").tasks.take(np.arange(4))
    found, random = (play_trials(policy, env, tasks).best_so_far() for policy in (TrustRegionBO(), RandomPolicy()))
    assert found[:, -1].mean() > max(0.9, random[:, -1].mean()) and found[:, -1].mean() > found[:, 2].mean()
