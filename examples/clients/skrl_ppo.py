"""PPO of skrl on native trials, with masks: they are part of the observation, and the policy reads them there.

pip install skrl
python examples/clients/skrl_ppo.py [ENV] [steps]
"""

# pyright: reportMissingImports=false
import tempfile
from typing import Any

import gymnasium as gym
import torch
from ledger import PAID, VectorLedger, compare, run
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import CategoricalMixin, DeterministicMixin, GaussianMixin, Model
from skrl.trainers.torch import SequentialTrainer
from skrl.utils import set_seed
from skrl.utils.spaces.torch import unflatten_tensorized_space
from torch import nn

from metaenv import VectorObserveMask, make_trials


class Network(Model):
    def __init__(self, env: Any, outputs: int) -> None:
        Model.__init__(self, observation_space=env.observation_space, action_space=env.action_space, device=env.device)
        self.layers = nn.Sequential(nn.Linear(self.num_observations, 64), nn.Tanh(), nn.Linear(64, outputs))


class DiscretePolicy(CategoricalMixin, Network):
    def __init__(self, env: Any) -> None:
        Network.__init__(self, env, int(env.action_space.n))
        CategoricalMixin.__init__(self)

    def compute(self, inputs: dict[str, Any], role: str = "") -> tuple[torch.Tensor, dict[str, Any]]:
        mask = unflatten_tensorized_space(self.observation_space, inputs["observations"])["action_mask"]
        return self.layers(inputs["observations"]).masked_fill(mask == 0, -1e9), {}


class ContinuousPolicy(GaussianMixin, Network):
    def __init__(self, env: Any) -> None:
        Network.__init__(self, env, gym.spaces.flatdim(env.action_space))
        GaussianMixin.__init__(self, clip_actions=True)
        self.log_std = nn.Parameter(torch.zeros(self.num_actions))

    def compute(self, inputs: dict[str, Any], role: str = "") -> tuple[torch.Tensor, dict[str, Any]]:
        return self.layers(inputs["observations"]), {"log_std": self.log_std}


class Value(DeterministicMixin, Network):
    def __init__(self, env: Any) -> None:
        Network.__init__(self, env, 1)
        DeterministicMixin.__init__(self)

    def compute(self, inputs: dict[str, Any], role: str = "") -> tuple[torch.Tensor, dict[str, Any]]:
        return self.layers(inputs["observations"]), {}


def main(name: str = "BernoulliBandit", steps: int = 10_240) -> None:
    set_seed(0)
    trials = VectorLedger(make_trials(name, num_envs=16))
    discrete = isinstance(trials.single_action_space, gym.spaces.Discrete)
    env: Any = wrap_env(VectorObserveMask(trials) if discrete else trials, wrapper="gymnasium", verbose=False)
    models = {"policy": DiscretePolicy(env) if discrete else ContinuousPolicy(env), "value": Value(env)}
    settings = PPO_CFG(rollouts=64, learning_epochs=4, mini_batches=4)
    settings.experiment.directory = tempfile.mkdtemp()
    settings.experiment.write_interval = (
        steps  # so that the statistics of the whole training are still there at its end
    )
    agent = PPO(
        models=models,
        memory=RandomMemory(memory_size=64, num_envs=env.num_envs, device=env.device),
        cfg=settings,
        observation_space=env.observation_space,
        action_space=env.action_space,
        device=env.device,
    )
    limits = {"timesteps": steps // 16, "headless": True, "disable_progressbar": True}
    trainer = SequentialTrainer(env=env, agents=agent, cfg=limits)
    trainer.train()
    mean = agent.tracking_data["Reward / Total reward (mean)"][-1]  # of the last hundred trials
    compare("skrl", [mean] * min(100, len(PAID)))


if __name__ == "__main__":
    run(main)
