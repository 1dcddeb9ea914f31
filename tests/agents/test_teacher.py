"""RL² taught by a baseline in training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.vector import VectorEnv
from stable_baselines3.common.callbacks import BaseCallback
from toy_trials import Bandit, StopAt

from metaenv.agents.config import Teacher
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.classic.mdp.baselines import Greedy
from metaenv.policies import AgentPolicy, play_trials
from metaenv.trial import VectorTrial, make_trials

TAUGHT = RL2Config(teacher=Teacher("Gittins index"), network=Network((32,), 32), learning_rate=5e-3)


def bandits(n: int, split: str = "train", pulls: int = 10) -> VectorTrial:
    return make_trials("BernoulliBandit", n, episodes=pulls, n_arms=3, split=split)


def agreement(agent: RL2) -> float:
    """Share of pulls in which the agent does what the Gittins index would do in its place."""
    from metaenv.baselines import baselines_of

    env = bandits(512)
    teacher = baselines_of(env)[0]["Gittins index"]
    observation, _ = env.reset(seed=5)
    teacher.start(env, np.random.default_rng(0))
    state, same = None, []
    for _ in range(10):
        action, state = agent.predict(observation, state, deterministic=True)
        same.append((teacher.act(observation) == action).mean())
        observation, *_ = env.step(action)
        teacher.observe(action, env.trial_state.last_reward.copy())
    return float(np.mean(same[1:]))  # the first pull is a tie


def test_an_agent_does_as_its_teacher() -> None:
    taught = RL2(bandits(128), TAUGHT, seed=0).learn(36_000)
    env = bandits(500, "test")
    tasks = env.distribution.frozen("test").tasks.take(np.arange(4000))
    record = play_trials(AgentPolicy(taught), env, tasks)
    # The Bayes-optimal value of 10 pulls of 3 arms is 6.4096 (dynamic programming); random play earns 5.
    assert record.readings.sum(1).mean() > 6.2
    assert agreement(taught) > 0.75


def test_imitation_ends_with_its_fraction_of_the_training() -> None:
    class Metrics(BaseCallback):
        seen: list[bool] = []  # noqa: RUF012

        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            self.seen.append(self.model._imitation_coef > 0)  # type: ignore[attr-defined]

    metrics = Metrics()
    agent = RL2(bandits(64), TAUGHT, seed=0).learn(64 * 10 * 8, metrics)
    assert metrics.seen == [True] * 4 + [False] * 4
    assert agent._imitation_coef == 0


def test_taught_training_resumes_exactly(tmp_path: Path) -> None:
    unbroken = RL2(bandits(32), TAUGHT, seed=3).learn(32 * 10 * 6)
    RL2(bandits(32), TAUGHT, seed=3).learn(32 * 10 * 6, StopAt(32 * 10 * 3)).save(tmp_path / "agent")
    resumed = RL2.load(tmp_path / "agent", env=bandits(32))
    resumed.learn(resumed.remaining_timesteps, reset_num_timesteps=False)
    for a, b in zip(resumed.policy.parameters(), unbroken.policy.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_teacher_of_mdps_watches_what_the_agent_plays() -> None:
    env = make_trials("TabularMDP", 4, episodes=2)
    teacher = Greedy()
    observation, _ = env.reset(seed=0)
    teacher.start(env, np.random.default_rng(0))
    counts = np.zeros((4, 10, 5))
    rng = np.random.default_rng(1)
    for _ in range(19):
        teacher.act(observation)
        played = rng.integers(5, size=4)
        counts[np.arange(4), observation[:, :10].argmax(1), played] += 1
        observation, *_ = env.step(played)
        teacher.observe(played, env.trial_state.last_reward.copy())
    np.testing.assert_array_equal(teacher.visits, counts)


@pytest.mark.parametrize(
    ("make", "config", "message"),
    [
        (lambda: bandits(4), RL2Config(teacher=Teacher("Gittin index")), "Gittins index"),
        (lambda: Bandit(4), RL2Config(teacher=Teacher("Gittins index")), "Expected a VectorTrial"),
        (lambda: make_trials("MaterialsSynthesis", 4), RL2Config(teacher=Teacher("random")), "discrete actions"),
        (lambda: bandits(4), RL2Config(teacher=Teacher("Gittins index"), trials_per_env=2), "trials_per_env=1"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused(make: Callable[[], VectorEnv], config: RL2Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RL2(make(), config, seed=0).learn(40)
