"""Stable-Baselines3 learns on native vector environments through the adapter."""

import numpy as np
import pytest

sb3 = pytest.importorskip("stable_baselines3", reason="needs the agents extra")

from gymnasium.vector import AutoresetMode  # noqa: E402
from stable_baselines3.common.vec_env import VecMonitor  # noqa: E402

from metaenv import make_trials  # noqa: E402
from metaenv.classic.bandit.tasks import BanditTask  # noqa: E402
from metaenv.sb3 import SB3VecEnv  # noqa: E402

SURE = BanditTask((0.0, 1.0, 0.0, 0.0, 0.0))


def test_terminal_observation_and_monitor():
    env = VecMonitor(SB3VecEnv(make_trials("BernoulliBandit", 2, episodes=3)))
    env.seed(0)
    env.reset()
    for _ in range(3):
        _, rewards, dones, infos = env.step(np.array([1, 2]))
    assert dones.all()
    assert infos[0]["terminal_observation"][-1] == 1.0
    assert infos[0]["TimeLimit.truncated"] is False
    assert infos[0]["episode"]["l"] == 3
    assert rewards.dtype == np.float32


def test_masks_reach_sb3_contrib():
    env = SB3VecEnv(make_trials("BernoulliBandit", 3))
    env.reset()
    masks = np.stack(env.env_method("action_masks"))
    assert masks.shape == (3, 5) and masks.all()


def test_seeding_repeats():
    traces = []
    for _ in range(2):
        env = SB3VecEnv(make_trials("BernoulliBandit", 4))
        env.seed(7)
        env.reset()
        traces.append([env.step(np.full(4, 2))[1].tolist() for _ in range(10)])
    assert traces[0] == traces[1]


def test_other_autoreset_modes_are_refused():
    with pytest.raises(ValueError, match="SAME_STEP"):
        SB3VecEnv(make_trials("BernoulliBandit", 2, autoreset_mode=AutoresetMode.NEXT_STEP))


def test_ppo_learns_through_the_adapter():
    """On one fixed bandit PPO must find the paying arm: 3 per trial of 3, where random play earns 0.6."""

    class Fixed(SB3VecEnv):
        def reset(self):
            super().reset()
            return self.env.reset(options={"task": SURE})[0]

    trials = make_trials("BernoulliBandit", 16, episodes=3, split="train")
    trials.env.draw_tasks = lambda rows: trials.env._checked(SURE).repeated(len(np.arange(16)[rows]))
    model = sb3.PPO("MlpPolicy", Fixed(trials), n_steps=16, batch_size=64, learning_rate=3e-3, seed=0, device="cpu")
    model.learn(4_000)
    observation, _ = trials.reset(options={"task": SURE})
    total = 0.0
    for _ in range(3):
        action, _ = model.predict(observation, deterministic=True)
        observation, reward, *_ = trials.step(action)
        total += reward.mean()
    assert total == 3.0
