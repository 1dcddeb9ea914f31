"""Gaussian-process Bayesian optimisation serves every bounded Box action, and refuses the others before playing."""

import gymnasium as gym
import numpy as np
import pytest
from toy_dose import HIGH, LOW, TwoDrugsEnv, TwoDrugsVectorEnv

from metaenv.baselines.gp_bo import GaussianProcessBO
from metaenv.evaluation import evaluate
from metaenv.policies import RandomPolicy, play_trials
from metaenv.trial import VectorTrial

gym.register("toy/TwoDrugs-v0", entry_point=TwoDrugsEnv, vector_entry_point=TwoDrugsVectorEnv)


class Watched(RandomPolicy):
    """Random play that tells whether it was asked to play."""

    started = False

    def start(self, env, rng) -> None:
        self.started = True
        super().start(env, rng)


def test_it_finds_doses_in_the_users_own_units():
    pytest.importorskip("botorch", reason="needs the baselines extra")
    env = VectorTrial(TwoDrugsVectorEnv(8, split="test"), episodes=12)
    tasks = env.distribution.frozen("test").tasks.take(np.arange(8))
    found = play_trials(GaussianProcessBO(), env, tasks)
    random = play_trials(RandomPolicy(), env, tasks)
    assert (found.actions >= LOW).all() and (found.actions <= HIGH).all()
    assert found.actions[..., 0].max() > 50 and found.actions[..., 1].min() < -2  # not in [-1, 1]
    assert found.best_so_far()[:, -1].mean() > 0.98 > random.best_so_far()[:, -1].mean()


def test_actions_keep_the_shape_of_the_space():
    pytest.importorskip("botorch", reason="needs the baselines extra")

    class Reshaped:
        num_envs = 3
        single_action_space = gym.spaces.Box(np.full((2, 2), -3, np.float32), np.full((2, 2), 5, np.float32))

    policy = GaussianProcessBO()
    policy.start(Reshaped(), np.random.default_rng(0))
    for _ in range(4):  # the fourth comes from the model
        action = policy.act(np.zeros((3, 1), np.float32))
        assert action.shape == (3, 2, 2) and (np.abs(action - 1) <= 4).all()
        policy.observe(action, -np.square(action).sum(axis=(1, 2)))


def test_other_actions_are_refused_before_anything_is_played():
    watched = Watched()
    with pytest.raises(ValueError, match=r"^Expected a bounded Box action for GP-BO.*Discrete\(5\)\.$"):
        evaluate({"random": watched, "GP-BO": [GaussianProcessBO()]}, "BernoulliBandit", n_tasks=2)
    assert not watched.started
    unbounded = VectorTrial(TwoDrugsVectorEnv(1))
    unbounded.single_action_space = gym.spaces.Box(0, np.inf, (1,))
    with pytest.raises(ValueError, match="bounded Box"):
        GaussianProcessBO().start(unbounded, np.random.default_rng(0))
