"""TabularMDP: the family, the environment's rules, and the exact values behind its references."""

import itertools

import gymnasium as gym
import numpy as np
import pytest
from scipy import stats

from metaenv.classic.mdp.exact import optimal_q, optimal_value, uniform_value
from metaenv.classic.mdp.tasks import MDPDistribution, MDPTask
from metaenv.errors import TaskError
from metaenv.tasks import TaskBatch
from metaenv.trial import VectorTrial

ID = "metaenv:metaenv/TabularMDP-v0"
FAMILY = MDPDistribution()


def random_models(n, s, a, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(1, 1, (n, s, a)), rng.dirichlet(np.ones(s), (n, s, a))


def enumerated_value(rewards, transitions, choose, horizon, state=0, t=0):
    """Value of a policy in one MDP by following every path: ``choose(t, state)`` gives probabilities of actions."""
    if t == horizon:
        return 0.0
    value = 0.0
    for action, chance in enumerate(choose(t, state)):
        after = [enumerated_value(rewards, transitions, choose, horizon, s, t + 1) for s in range(len(rewards))]
        value += chance * (rewards[state, action] + transitions[state, action] @ np.array(after))
    return value


# THE EXACT VALUES


def test_optimal_value_is_the_best_of_all_policies():
    rewards, transitions = random_models(4, s=2, a=2)
    found = optimal_value(rewards, transitions, horizon=3)
    for i in range(4):
        values = []
        for plan in itertools.product(range(2), repeat=6):  # an action for each of 3 steps and 2 states
            table = np.eye(2)[np.reshape(plan, (3, 2))]
            values.append(enumerated_value(rewards[i], transitions[i], lambda t, s, p=table: p[t, s], 3))
        assert found[i] == pytest.approx(max(values), abs=1e-12)


def test_values_worked_out_by_hand():
    """State 0: wait (0) or dare (-1, reaches state 1 by a half). State 1: stay (4) or return (0)."""
    rewards = np.array([[[0.0, -1.0], [4.0, 0.0]]])
    transitions = np.array([[[[1, 0], [0.5, 0.5]], [[0, 1], [1, 0]]]], float)
    q = optimal_q(rewards, transitions, 3)
    np.testing.assert_allclose(q[2, 0], [[0, -1], [4, 0]])
    np.testing.assert_allclose(q[1, 0], [[0, 1], [8, 0]])
    np.testing.assert_allclose(q[0, 0], [[1, 3.5], [12, 1]])
    assert optimal_value(rewards, transitions, 3) == [3.5]
    # Random play: state 1 is worth 2 with one step left; state 0 is worth -0.5, then -0.5 + (3 * -0.5 + 2) / 4.
    np.testing.assert_allclose(uniform_value(rewards, transitions, 2), [-0.5 + (3 * -0.5 + 2) / 4])


def test_uniform_value_is_that_of_its_paths():
    rewards, transitions = random_models(3, s=3, a=2)
    found = uniform_value(rewards, transitions, 3)
    for i in range(3):
        by_paths = enumerated_value(rewards[i], transitions[i], lambda t, s: (0.5, 0.5), 3)
        assert found[i] == pytest.approx(by_paths, abs=1e-12)


def test_models_that_do_not_fit_are_refused():
    rewards, transitions = random_models(2, 3, 2)
    with pytest.raises(ValueError, match="expected rewards"):
        optimal_q(rewards[:, :2], transitions, 3)
    with pytest.raises(ValueError, match="horizon >= 1"):
        optimal_q(rewards, transitions, 0)


# THE FAMILY


def test_draws_follow_the_papers_distributions():
    """Mean rewards from N(1, 1); a flat Dirichlet over S has marginals Beta(1, S - 1), correlated by -1 / (S - 1)."""
    tasks = FAMILY.sample(400, "train", np.random.default_rng(0))
    rewards, transitions = FAMILY.tables(tasks)
    assert stats.kstest(rewards.ravel(), "norm", args=(1, 1)).pvalue > 1e-3
    assert stats.kstest(transitions[..., 3].ravel(), "beta", args=(1, 9)).pvalue > 1e-3
    np.testing.assert_allclose(transitions.sum(axis=3), 1, atol=1e-12)
    pair = np.corrcoef(transitions[..., 0].ravel(), transitions[..., 7].ravel())[0, 1]
    assert pair == pytest.approx(-1 / 9, abs=0.03)
    halves = np.corrcoef(rewards.reshape(400, 50)[:, :25].ravel(), rewards.reshape(400, 50)[:, 25:].ravel())[0, 1]
    assert abs(halves) < 0.04  # the two normals of one Box-Muller pair


def test_references_are_the_known_values():
    """21.825 +- 0.031 for the optimum, an independent computation; random play earns 1 a step in expectation."""
    frozen = FAMILY.frozen("test")
    noise = 1.96 * frozen.reference.oracle.std() / np.sqrt(len(frozen))
    assert abs(frozen.reference.oracle.mean() - 21.825) < 1.5 * np.hypot(noise, 0.031)
    noise = 1.96 * frozen.reference.random.std() / np.sqrt(len(frozen))
    assert abs(frozen.reference.random.mean() - 10) < 1.5 * noise


def test_frozen_lists_are_those_of_the_first_release():
    assert FAMILY.frozen("validation").sha256[:16] == "acaa2076d959e727"
    assert FAMILY.frozen("test").sha256[:16] == "b29d0577b294fb3e"


def test_frozen_tasks_survive_json():
    tasks = FAMILY.frozen("test").tasks
    for task in tasks.take(np.arange(0, 10_000, 997)).tasks():
        assert MDPTask.from_json(task.to_json()) == task


@pytest.mark.parametrize(
    ("rewards", "transitions", "message"),
    [
        ((1.0, 2.0), (0.5, 0.5, 1.0), "S . A . S"),
        ((1.0, 2.0, 3.0), (1.0,) * 6, "S . A . S"),
        ((), (), "S . A . S"),
        ((1.0, 2.0), (1.0, 0.9), "sum to 1"),
        ((1.0, 1.0), (-0.5, 1.5, 0.5, 0.5), "at least 0"),
        ((1.0, np.nan), (1.0, 1.0), "finite"),
    ],
)
def test_impossible_tasks_are_refused(rewards, transitions, message):
    with pytest.raises(TaskError, match=message):
        MDPTask(rewards, transitions)


def test_labelled_view_is_the_reward_of_a_pair():
    tasks = FAMILY.sample(3, "train", np.random.default_rng(2))
    seen = FAMILY.labelled(tasks, 40_000, np.random.default_rng(3))
    assert seen.x.shape == (3, 40_000, 50) and (seen.x.sum(axis=2) == 1).all()
    means = np.einsum("tnf,tn->tf", seen.x, seen.y) / seen.x.sum(axis=1)
    np.testing.assert_allclose(means, tasks.mean_rewards, atol=0.2)  # five standard errors of 800 rewards each


def test_context_tells_tasks_apart():
    tasks = FAMILY.sample(50, "train", np.random.default_rng(4))
    context = FAMILY.task_vector(tasks).astype(float)
    np.testing.assert_allclose(1 + 2 * np.arctanh(context[:, :50]), tasks.mean_rewards, atol=1e-4)
    np.testing.assert_allclose((1 + 2 * np.arctanh(context[:, 50:])) / 10, tasks.transitions, atol=1e-4)


# THE ENVIRONMENT


def copies(n, **settings):
    """One task played n times, and the environment."""
    env = gym.make_vec(ID, num_envs=n, autoreset_mode="Disabled", **settings)
    task = FAMILY.sample(1, "train", np.random.default_rng(6)).task(0)
    observation, _ = env.reset(seed=0, options={"task": task})
    return env, observation, *(table[0] for table in FAMILY.tables(TaskBatch.from_tasks([task])))


def test_rewards_and_moves_are_the_tasks():
    n = 5_000
    env, observation, rewards, transitions = copies(n)
    assert (observation == np.eye(10)[0]).all()
    state = np.zeros(n, int)
    for action in (3, 1):
        before = state
        observation, reward, *_ = env.step(np.full(n, action))
        state = observation.argmax(axis=1)
        assert stats.kstest(reward - rewards[before, action], "norm").pvalue > 1e-3
        for origin in np.unique(before):
            seen = np.bincount(state[before == origin], minlength=10)
            assert stats.chisquare(seen, transitions[origin, action] * seen.sum()).pvalue > 1e-4


def test_score_is_the_return_without_noise():
    env, observation, rewards, _ = copies(8)
    expected = np.zeros(8)
    rng = np.random.default_rng(7)
    for step in range(10):
        action = rng.integers(5, size=8)
        expected += rewards[observation.argmax(axis=1), action]
        observation, _, terminated, truncated, info = env.step(action)
        np.testing.assert_allclose(info["score"], expected)
        assert not terminated.any() and truncated.all() == truncated.any() == (step == 9)


def test_the_optimal_plan_earns_the_oracles_score():
    tasks = FAMILY.frozen("validation").tasks
    trials = VectorTrial(gym.make_vec(ID, num_envs=1000, split="validation"), episodes=5)
    observation, _ = trials.reset(seed=1, options={"tasks": tasks})
    plan = optimal_q(*FAMILY.tables(tasks), 10).argmax(axis=3)
    total = np.zeros(1000)
    for t in range(50):
        action = plan[t % 10, np.arange(1000), observation[:, :10].argmax(axis=1)]
        observation, reward, done, _, _ = trials.step(action)
        total += reward
    assert done.all()
    gain = total - 5 * FAMILY.frozen("validation").reference.oracle
    assert abs(gain.mean()) < 3 * gain.std() / np.sqrt(1000)


def test_other_sizes():
    env = gym.make(ID, n_states=3, n_actions=2, horizon=4)
    observation, _ = env.reset(seed=0)
    assert observation.shape == (3,)
    for step in range(4):
        *_, truncated, _ = env.step(1)
        assert truncated == (step == 3)


@pytest.mark.parametrize("wrap", [lambda env: env, VectorTrial])
def test_tasks_of_another_size_are_refused(wrap):
    env = wrap(gym.make_vec(ID, num_envs=1))
    other = MDPDistribution(n_states=3).sample(1, "train", np.random.default_rng(0))
    with pytest.raises(TaskError, match="mean_rewards must have 50 numbers in this environment, got 15"):
        env.reset(seed=0, options={"tasks": other})


@pytest.mark.parametrize("settings", [{"n_states": 0}, {"n_actions": 1}, {"horizon": 0}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValueError, match=r"expected n_states|expected n_actions|expected horizon"):
        gym.make_vec(ID, num_envs=1, **settings)
