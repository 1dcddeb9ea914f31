"""PPO of TorchRL on native trials, with masks.

TorchRL refuses environments that reset in the next step; it takes them where the mode SameStep is named.

pip install torchrl
python examples/clients/torchrl_ppo.py [ENV] [steps]
"""

# pyright: reportMissingImports=false
import gymnasium as gym
import torch
from ledger import VectorLedger, compare, run
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import DTypeCastTransform, GymWrapper, RewardSum
from torchrl.modules import MaskedCategorical, ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from metaenv import make_trials


def main(name: str = "BernoulliBandit", steps: int = 10_240) -> None:
    torch.manual_seed(0)
    trials = VectorLedger(make_trials(name, num_envs=16, autoreset_mode="SameStep"))
    env = GymWrapper(trials, categorical_action_encoding=True).append_transform(RewardSum())
    space = trials.single_action_space
    if isinstance(space, gym.spaces.Discrete):
        env = env.append_transform(DTypeCastTransform(torch.int8, torch.bool, in_keys=["action_mask"]))
        head, keys = nn.Linear(64, int(space.n)), ["logits"]
        policy = {"in_keys": {"logits": "logits", "mask": "action_mask"}, "distribution_class": MaskedCategorical}
    else:
        head, keys = (
            nn.Sequential(nn.Linear(64, 2 * gym.spaces.flatdim(space)), NormalParamExtractor()),
            ["loc", "scale"],
        )
        policy = {"in_keys": keys, "distribution_class": TanhNormal}
    inputs = gym.spaces.flatdim(trials.single_observation_space)
    network = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), head)
    actor = ProbabilisticActor(TensorDictModule(network, ["observation"], keys), return_log_prob=True, **policy)
    critic = ValueOperator(nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 1)))
    loss, advantage = ClipPPOLoss(actor, critic), GAE(gamma=0.99, lmbda=0.95, value_network=critic)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
    reported: list[float] = []
    for batch in Collector(env, actor, frames_per_batch=1024, total_frames=steps, auto_register_policy_transforms=True):
        reported += batch["next", "episode_reward"][batch["next", "done"]].tolist()
        advantage(batch)
        rows = batch.reshape(-1)
        for _ in range(4):
            for index in torch.randperm(len(rows)).split(256):
                found = loss(rows[index])
                optimizer.zero_grad()
                (found["loss_objective"] + found["loss_critic"] + found["loss_entropy"]).backward()
                optimizer.step()
    compare("TorchRL", reported)


if __name__ == "__main__":
    run(main)
