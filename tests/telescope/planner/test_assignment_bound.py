"""The assignment bound: right on small nights by trying everything, and above every policy."""

from itertools import permutations

import numpy as np
import pytest

from metaenv.policies import play_trials
from metaenv.telescope.planner.assignment_bound import best_assignments, rewards_without_slews
from metaenv.telescope.planner.schedulers import PriorityPolicy
from metaenv.telescope.references import InformedPolicy
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.tasks import TargetSelectionDistribution
from metaenv.trial import VectorTrial


class Bounds:
    """Waits, and notes the bound of every night: nights do not depend on what is played."""

    def __init__(self):
        self.found = []

    def start(self, env, rng):
        self.env = env.innermost
        self.found.append(np.zeros((env.num_envs, env.episodes)))

    def act(self, observation):
        if not self.env.state.slot.any():
            night = int(self.env.state.night_number[0])
            self.found[-1][:, night] = best_assignments(rewards_without_slews(self.env))[1]
        return np.full(self.env.num_envs, self.env.setup.targets)

    def observe(self, action, reward):
        pass


def bounds_of(tasks):
    """(n, nights) bounds of the nights that policies play."""
    policy = Bounds()
    play_trials(policy, VectorTrial(TargetSelectionVectorEnv(8, "short")), tasks, 0)
    return np.concatenate(policy.found)[: len(tasks)]


def test_best_of_all_permutations():
    rewards = np.random.default_rng(0).random((5, 3, 5)) * (np.random.default_rng(1).random((5, 3, 5)) > 0.4)
    schedule, total = best_assignments(rewards)
    for table, slots, best in zip(rewards, schedule, total, strict=True):
        tried = max(sum(table[t, k] for t, k in enumerate(order)) for order in permutations(range(5), 3))
        assert best == pytest.approx(tried)
        assert sum(table[t, k] for t, k in enumerate(slots) if k >= 0) == pytest.approx(tried)


def test_no_policy_earns_more():
    tasks = TargetSelectionDistribution("short").frozen("validation").tasks.take(np.arange(12))
    bounds = bounds_of(tasks)
    assert bounds.shape == (12, 5)
    scores = {}
    for name, policy in {
        "greedy": InformedPolicy(clairvoyant=True),
        "queue": PriorityPolicy(),
    }.items():
        scores[name] = play_trials(policy, VectorTrial(TargetSelectionVectorEnv(8, "short")), tasks, 0).scores
        assert (scores[name] <= bounds + 1e-5).all()
    assert (bounds > 0).mean() > 0.8  # some nights are shut
    assert scores["greedy"].mean() > 0.75 * bounds.mean()


def test_a_reward_without_a_slew():
    """The first slot's rewards, played with a telescope that needs no time to move."""
    env = TargetSelectionVectorEnv(2, "short")
    env.reset(seed=5)
    rewards = rewards_without_slews(env)
    env.state.slew[:] = 0
    target = np.argmax(rewards[:, 0], axis=1)
    _, paid, *_ = env.step(target)
    np.testing.assert_allclose(paid, rewards[[0, 1], 0, target], rtol=1e-5)


def test_other_presets_are_refused():
    env = TargetSelectionVectorEnv(1, "depth")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="variant 'depth' has others"):
        rewards_without_slews(env)
