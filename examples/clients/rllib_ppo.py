"""PPO of RLlib (its new API stack), with masks, on single trials or on native vector ones.

RLlib pins an older Gymnasium, so install it in a virtual environment of its own.

pip install torch "ray[rllib]"
python examples/clients/rllib_ppo.py [ENV] [sync | vector_entry_point] [steps]
"""

# pyright: reportMissingImports=false
from typing import Any

import gymnasium as gym
import ray
from ledger import Ledger, VectorLedger, compare, run
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.examples.rl_modules.classes.action_masking_rlm import ActionMaskingTorchRLModule
from ray.tune.registry import register_env

from metaenv import ObserveMask, Trial, VectorObserveMask, full_id, make_trials


def main(name: str = "BernoulliBandit", mode: str = "sync", steps: int = 6_144) -> None:
    discrete = isinstance(gym.make(full_id(name)).action_space, gym.spaces.Discrete)

    def single(settings: dict[str, Any]) -> gym.Env[Any, Any]:
        trial = Ledger(Trial(gym.make(full_id(name))))
        return ObserveMask(trial) if discrete else trial

    def native(settings: dict[str, Any]) -> gym.vector.VectorEnv[Any, Any, Any]:
        trials = VectorLedger(make_trials(name, settings["num_envs"]))
        return VectorObserveMask(trials) if discrete else trials

    register_env("trials", single if mode == "sync" else native)
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    config = (
        PPOConfig()
        .environment("trials")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=8, gym_env_vectorize_mode=mode)
        .training(train_batch_size_per_learner=2048, minibatch_size=256, num_epochs=4)
        .reporting(metrics_num_episodes_for_smoothing=steps)  # that is, over all
        .debugging(seed=0)
    )
    if discrete:
        config = config.rl_module(rl_module_spec=RLModuleSpec(module_class=ActionMaskingTorchRLModule))
    algorithm = config.build_algo()
    reported: list[float] = []
    for _ in range(steps // 2048):
        told = algorithm.train()["env_runners"]
        if "episode_return_mean" in told:  # not before the first trial has ended
            reported += [told["episode_return_mean"]] * int(told["num_episodes"])
    compare(f"RLlib, {mode}", reported)
    ray.shutdown()


if __name__ == "__main__":
    run(main)
