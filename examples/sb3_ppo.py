"""Stable-Baselines3's own PPO on trials of a bandit: it sees one step back, and so learns to stay after a win.

python examples/sb3_ppo.py [steps]
"""

import sys

from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from metaenv import make_trials
from metaenv.sb3 import SB3VecEnv

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
env = VecMonitor(SB3VecEnv(make_trials("BernoulliBandit", num_envs=64, episodes=10)))
model = PPO("MlpPolicy", env, n_steps=40, batch_size=640, device="cpu", seed=0)
model.learn(steps)
returns = [episode["r"] for episode in model.ep_info_buffer or []]
print(f"mean reward of the last trials: {sum(returns) / len(returns):.2f} of 10 (random play earns 5.0)")
