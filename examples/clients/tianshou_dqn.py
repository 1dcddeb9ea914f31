"""DQN of tianshou on trials of an environment with Discrete actions, with masks.

tianshou steps single environments; it finds a mask in an observation whose parts are called "obs" and "mask".

pip install tianshou
python examples/clients/tianshou_dqn.py [ENV] [steps]
"""

# pyright: reportMissingImports=false
from typing import Any

import gymnasium as gym
import torch
from ledger import Ledger, compare, run
from tianshou.algorithm.modelfree.dqn import DQN, DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.utils.net.common import Net
from tianshou.utils.torch_utils import policy_within_training_step

from metaenv import ObserveMask, Trial, full_id


def main(name: str = "BernoulliBandit", steps: int = 4_096) -> None:
    torch.manual_seed(0)

    def make() -> Any:
        return ObserveMask(Ledger(Trial(gym.make(full_id(name)))), "obs", "mask")

    env = DummyVectorEnv([make] * 4)
    env.seed(0)
    inputs, space = make().observation_space["obs"].shape, make().action_space
    network = Net(state_shape=inputs, action_shape=int(space.n), hidden_sizes=[64, 64])
    policy = DiscreteQLearningPolicy(model=network, action_space=space, eps_training=0.1)
    algorithm = DQN(policy=policy, optim=AdamOptimizerFactory(lr=1e-3), target_update_freq=200)
    collector = Collector(algorithm, env, VectorReplayBuffer(steps, len(env)), exploration_noise=True)
    collector.reset()
    reported: list[float] = []
    for _ in range(steps // 64):
        with policy_within_training_step(policy):
            reported += collector.collect(n_step=64).returns.tolist()
            for _ in range(4):
                algorithm.update(collector.buffer, sample_size=64)
    compare("tianshou", reported)


if __name__ == "__main__":
    run(main)
