"""Environments declare their baselines; nothing central knows an environment by name."""

import gymnasium as gym
import numpy as np
import pytest

from metaenv import ENVIRONMENTS, VectorTrial, full_id, make_trials
from metaenv.baselines import RANDOM, baselines_of
from metaenv.classic.bandit.env import BernoulliBanditVectorEnv
from metaenv.evaluation import evaluate
from metaenv.policies import RandomPolicy


class Always:
    """Play the same arm."""

    def __init__(self, arm: int) -> None:
        self.arm = arm

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        self.n = env.num_envs

    def act(self, observation):
        return np.full(self.n, self.arm)

    def observe(self, action, reward) -> None:
        pass


class DeclaringBandit(BernoulliBanditVectorEnv):
    best_fixed = "first arm"

    def baselines(self):
        return {"first arm": Always(0)}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_declares_baselines_and_the_best_fixed_rule_is_one_of_them(name):
    if name.startswith("MoleculeDesign"):
        pytest.importorskip("rdkit", reason="molecules are scored by RDKit")
    policies, best = baselines_of(make_trials(name))
    assert next(iter(policies)) == RANDOM and len(policies) > 1
    # No rule that does not adapt is better than random play where arms or states are exchangeable.
    assert (best is None) == (name in ("BernoulliBandit-v0", "TabularMDP-v0"))
    assert best is None or best in policies


def test_wrappers_hand_on_what_the_environment_declares():
    policies, best = baselines_of(VectorTrial(DeclaringBandit(2)))
    assert list(policies) == [RANDOM, "first arm"] and best == "first arm"
    observing = make_trials("MaterialsSynthesis", observe_task=True)
    assert observing.best_fixed == "best fixed recipe" and observing.env.trial_episodes == 12


def test_a_best_fixed_rule_that_is_no_baseline_is_refused():
    class Mistaken(DeclaringBandit):
        best_fixed = "last arm"

    with pytest.raises(ValueError, match="'last arm'"):
        baselines_of(Mistaken(1))


def test_without_a_best_fixed_rule_there_is_no_adaptation_score():
    policies, best = baselines_of(gym.make_vec(full_id("BernoulliBandit"), num_envs=1))
    found = evaluate({RANDOM: policies[RANDOM]}, "BernoulliBandit", n_tasks=10, best_fixed=best)
    assert found.row(RANDOM).adaptation is None
    found = evaluate({RANDOM: RandomPolicy(), "first": Always(0)}, "BernoulliBandit", n_tasks=10, best_fixed="first")
    assert found.row(RANDOM).adaptation is not None
