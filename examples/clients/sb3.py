"""PPO, MaskablePPO or RecurrentPPO of Stable-Baselines3 and sb3-contrib, on trials of any environment.

pip install stable-baselines3 sb3-contrib
python examples/clients/sb3.py [ENV] [ppo | maskable | recurrent] [steps]
"""

from ledger import VectorLedger, compare, run
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from metaenv import make_trials
from metaenv.sb3 import SB3VecEnv

AGENTS = {
    "ppo": (PPO, "MlpPolicy"),
    "maskable": (MaskablePPO, "MlpPolicy"),
    "recurrent": (RecurrentPPO, "MlpLstmPolicy"),
}


def main(name: str = "BernoulliBandit", kind: str = "ppo", steps: int = 10_240) -> None:
    trials = VectorLedger(make_trials(name, num_envs=16))
    agent, policy = AGENTS[kind]
    model = agent(policy, VecMonitor(SB3VecEnv(trials)), n_steps=64, batch_size=256, n_epochs=4, device="cpu", seed=0)
    model.learn(steps)
    compare(agent.__name__, [episode["r"] for episode in model.ep_info_buffer or []])


if __name__ == "__main__":
    run(main)
