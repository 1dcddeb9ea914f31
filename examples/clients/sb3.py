"""PPO, MaskablePPO or RecurrentPPO of Stable-Baselines3 and sb3-contrib, on trials of any environment.

python examples/clients/sb3.py [ENV] [steps] [ppo | maskable | recurrent]
"""

import sys

from ledger import VectorLedger, compare
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from metaenv import make_trials
from metaenv.sb3 import SB3VecEnv

name, steps, kind = (*sys.argv[1:], *("BernoulliBandit", "20000", "ppo")[len(sys.argv) - 1 :])
trials = VectorLedger(make_trials(name, num_envs=16))
env = VecMonitor(SB3VecEnv(trials))
how = {"n_steps": 64, "batch_size": 256, "device": "cpu", "seed": 0}
model = {
    "ppo": lambda: PPO("MlpPolicy", env, **how),
    "maskable": lambda: MaskablePPO("MlpPolicy", env, **how),
    "recurrent": lambda: RecurrentPPO("MlpLstmPolicy", env, **how),
}[kind]()
model.learn(int(steps))
compare(type(model).__name__, [episode["r"] for episode in model.ep_info_buffer or []], trials.returns)
