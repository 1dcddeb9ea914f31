"""A plain Gymnasium environment with a hidden task becomes trials; one that does not keep its task is refused."""

import gymnasium as gym
import numpy as np
import pytest
from toy_gym import ForgetfulPole, HiddenPole, NoisyReach, Reach, SettablePole

from metaenv import Trial, VectorTrial, make_trials
from metaenv.policies import RandomPolicy, play_trials

POLE = "toy/HiddenPole-v0"


class Balance:
    """Push to the side on which the pole leans."""

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        pass

    def restart(self, rows) -> None:
        pass

    def act(self, observation):
        return (observation[:, 2] > 0).astype(int)

    def observe(self, action, reward) -> None:
        pass


def masses(trials: VectorTrial) -> list[float]:
    return [env.unwrapped.masspole for env in trials.env._envs]


def play(trials: VectorTrial, steps: int = 60, seed: int = 5):
    """Observations, rewards and masses of every step, with random actions that are the same for every row."""
    rng, rows = np.random.default_rng(0), []
    observation, _ = trials.reset(seed=seed)
    for _ in range(steps):
        held = masses(trials)
        observation, reward, over, _, _ = trials.step(np.full(trials.num_envs, rng.integers(2)))
        rows.append((observation, reward, over, held))
    return [np.array(column) for column in zip(*rows, strict=True)]


def test_the_task_is_kept_within_a_trial_and_drawn_for_the_next():
    trials = VectorTrial.from_gym(POLE, 3, episodes=3, autoreset_mode="SameStep")
    assert trials.single_observation_space.shape == (4 + 2 + 3,) and trials.layout.column("progress") == 8
    observations, _, over, held = play(trials, 200)
    assert (observations[:, :, trials.layout.column("boundary flag")] == 1).sum() > 6
    trial_of = np.cumsum(over, axis=0) - over
    for row in range(3):
        by_trial = [set(held[trial_of[:, row] == k, row]) for k in range(trial_of[:, row].max() + 1)]
        assert len(by_trial) > 1 and all(len(one) == 1 for one in by_trial)
        assert len(set.union(*by_trial)) == len(by_trial)


def test_rows_are_independent_and_repeat_by_seed():
    together = play(VectorTrial.from_gym(POLE, 3, episodes=2))
    again = play(VectorTrial.from_gym(POLE, 3, episodes=2))
    alone = play(VectorTrial.from_gym(POLE, 1, episodes=2), seed=6)
    for a, b, c in zip(together, again, alone, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a[:, 1:2], c)


def test_a_policy_plays_the_tasks_that_it_is_given():
    trials = VectorTrial.from_gym(POLE, 2, episodes=2)
    tasks = trials.distribution.sample(4, "train", np.random.default_rng(0))
    first, second = (play_trials(RandomPolicy(), trials, tasks, seed=1) for _ in range(2))
    assert first.scores.shape == (4, 2) and (first.scores > 5).all()
    np.testing.assert_array_equal(first.observations, second.observations)
    with pytest.raises(NotImplementedError, match="no reference scores"):
        trials.distribution.reference(tasks)


def test_tasks_may_be_set_from_outside():
    def sample(rng: np.random.Generator) -> float:
        return float(rng.uniform(0.05, 5))

    trials = VectorTrial.from_gym(SettablePole, 2, episodes=2, sample_task=sample)
    held = play(trials, 150)[3]
    assert len({tuple(row) for row in held}) > 1 and (held[0] != held[0][::-1]).all()
    by_function = VectorTrial.from_gym(
        SettablePole, 2, episodes=2, sample_task=sample, set_task=lambda env, mass: env.set_task(mass)
    )
    np.testing.assert_array_equal(play(by_function, 150)[3], held)


def test_a_seed_may_decide_the_task_and_spaces_are_made_to_fit():
    trials = VectorTrial.from_gym(Reach, 2, episodes=3, task_from_seed=True, autoreset_mode="SameStep")
    assert trials.env.single_observation_space.shape == (1 + 5,), "flattened: a number, and five of a one-hot"
    assert trials.single_action_space == gym.spaces.Box(-1, 1, (1,), np.float32)
    trials.reset(seed=0)
    goals = [env.unwrapped.goal for env in trials.env._envs]
    for _ in range(11):
        trials.step(np.zeros((2, 1), np.float32))
        assert [env.unwrapped.goal for env in trials.env._envs] == goals
    assert trials.env._seen[0, 0] == 3 * 5, "after three steps of 5 cm, the middle of -5 to 15"
    trials.step(np.zeros((2, 1), np.float32))
    assert [env.unwrapped.goal for env in trials.env._envs] != goals


@pytest.mark.parametrize(
    ("env", "how", "message"),
    [
        (
            "CartPole-v1",
            {},
            r"CartPoleEnv never looks at that option.*sample_task and set_task.*task_from_seed",
        ),
        (Reach, {}, r"Reach never looks at that option"),
        (ForgetfulPole, {}, r"ForgetfulPole played the same with 8 of them.*draws another one in every reset"),
        ("CartPole-v1", {"sample_task": lambda rng: rng.random()}, r"CartPoleEnv to have a method set_task"),
        (
            HiddenPole,
            {"sample_task": lambda rng: rng.random(), "set_task": lambda env, task: setattr(env, "masspole", task)},
            r"HiddenPole played the same",
        ),
        (NoisyReach, {"task_from_seed": True}, r"NoisyReach played two episodes of the same seed differently"),
        (Reach, {"task_from_seed": True, "sample_task": lambda rng: 0}, r"Expected either sample_task"),
    ],
)
def test_what_keeps_no_task_is_refused(env, how, message):
    with pytest.raises(ValueError, match=message):
        VectorTrial.from_gym(env, 2, **how)


def test_a_plain_environment_is_not_taken_for_trials():
    with pytest.raises(ValueError, match=r"Expected CartPole-v1 to be built on .*BatchedEnv, got a .*from_gym"):
        make_trials("CartPole-v1")


def test_a_scalar_trial_of_what_keeps_no_task_ends_with_its_first_episode():
    trial = Trial(gym.make("CartPole-v1"), episodes=2)
    trial.reset(seed=0)
    with pytest.raises(ValueError, match="CartPoleEnv never looks at that option"):
        for _ in range(500):
            trial.step(0)
    kept = Trial(HiddenPole(), episodes=2)
    kept.reset(seed=0)
    mass, done = kept.unwrapped.masspole, False
    while not done:
        done = kept.step(0)[2]
    assert kept.unwrapped.masspole == mass


def test_the_probe_may_be_left_out():
    assert VectorTrial.from_gym("CartPole-v1", 1, probe=False).num_envs == 1


def test_agents_learn_on_them_and_refuse_what_is_no_trial():
    pytest.importorskip("torch", reason="agents need torch")
    from metaenv.agents import PEARL, RL2, Network, PEARLConfig, RL2Config, Teacher
    from metaenv.agents.pearl_config import PEARLNetwork

    small = RL2Config(network=Network((8,), 8))
    agent = RL2(VectorTrial.from_gym(POLE, 4, episodes=2), small, seed=0)
    before = [p.detach().clone() for p in agent.policy.parameters()]
    agent.learn(400)
    assert any((a != b).any() for a, b in zip(agent.policy.parameters(), before, strict=True))
    taught = RL2Config(network=Network((8,), 8), teacher=Teacher("push against the fall"))
    pole = VectorTrial.from_gym(POLE, 4, episodes=2, baselines={"push against the fall": Balance()})
    RL2(pole, taught, seed=0).learn(200)
    PEARL(pole, PEARLConfig(n_tasks=4, gradient_steps=2, network=PEARLNetwork((8,))), seed=0).learn(200)
    trials = VectorTrial.from_gym(Reach, 4, episodes=2, task_from_seed=True)
    PEARL(trials, PEARLConfig(n_tasks=4, gradient_steps=2, network=PEARLNetwork((8,))), seed=0).learn(200)
    mode = gym.vector.AutoresetMode.SAME_STEP
    plain = gym.vector.SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 2, autoreset_mode=mode)
    episodes = make_trials("BernoulliBandit", 2).env
    for env in (plain, episodes):
        with pytest.raises(ValueError, match=r"Expected an env whose episodes are trials, got .*from_gym"):
            RL2(env, small)
        with pytest.raises(ValueError, match="Expected a VectorTrial"):
            PEARL(env)


def test_vectors_of_scalar_trials_are_trials():
    pytest.importorskip("torch", reason="agents need torch")
    from metaenv.agents import RL2, Network, RL2Config

    def make() -> gym.Env:
        return Trial(gym.make("metaenv:metaenv/BernoulliBandit-v0"), episodes=3)

    mode = gym.vector.AutoresetMode.SAME_STEP
    agent = RL2(
        gym.vector.SyncVectorEnv([make, make], autoreset_mode=mode), RL2Config(network=Network(hidden_size=8)), seed=0
    )
    assert agent.dims.trial_length is None and agent.dims.n_actions == 5
