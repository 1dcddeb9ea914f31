"""Small settings, environments and helpers for the tests of PEARL."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from stable_baselines3.common.logger import KVWriter

from metaenv.agents.context_encoder import Gaussian
from metaenv.agents.exploration import Exploration
from metaenv.agents.pearl import PEARL
from metaenv.agents.pearl_config import BeliefConfig, ContextConfig, MixtureConfig, PEARLConfig, PEARLNetwork
from metaenv.classic.bandit.env import BernoulliBanditVectorEnv
from metaenv.experiments.speed.pearl import drawn_batch
from metaenv.trial import VectorTrial, make_trials

SMALL = PEARLConfig(
    n_tasks=6,
    replay_capacity=60,
    gradient_steps=2,
    meta_batch=4,
    batch_size=8,
    context=ContextConfig(size=16),
    belief=BeliefConfig(latent_size=2, encoder_sizes=(16,)),
    network=PEARLNetwork((16,)),
)


MIXED = replace(
    SMALL,
    belief=replace(SMALL.belief, mixture=MixtureConfig(3, pool_size=8)),
    exploration=Exploration(prior_episodes=0),
)


SUMMED = replace(SMALL, belief=replace(SMALL.belief, pooling="sum"))


ENDS = ContextConfig(size=4, episode_ends=True)


def with_exploration(config: PEARLConfig, **changes: Any) -> PEARLConfig:
    """The settings with other ones of exploration."""
    return replace(config, exploration=replace(config.exploration, **changes))


def without_sampling(config: PEARLConfig) -> PEARLConfig:
    """The settings with z as the mean of the belief."""
    return replace(config, belief=replace(config.belief, sample=False))


def bandit(num_envs: int = 3, **settings: Any) -> VectorTrial:
    return make_trials("BernoulliBandit", num_envs, **{"episodes": 10, "n_arms": 3, **settings})


def point(num_envs: int = 3) -> VectorTrial:
    return make_trials("SparsePointRobot", num_envs, episodes=2, goals="uniform")


def grid(num_envs: int = 3) -> VectorTrial:
    return make_trials("GridNavi", num_envs, episodes=2)


def materials(num_envs: int = 3) -> VectorTrial:
    return make_trials("MaterialsSynthesis", num_envs, episodes=4, variant="recipe")


class HalfForbidden(BernoulliBanditVectorEnv):
    """Four arms of which only two are allowed: the first two where the first arm is good, else the others."""

    forbidden = 0

    def mask(self, rows: Any) -> NDArray[np.int8]:
        first = self.tasks.probabilities[rows][:, :1] > 0.5
        return np.where(first, [[1, 1, 0, 0]], [[0, 0, 1, 1]]).astype(np.int8)

    def transition(self, rows: Any, action: NDArray[Any]) -> Any:
        self.forbidden += int((np.take_along_axis(self.mask(rows), action[:, None], 1) == 0).sum())
        return super().transition(rows, action)


def masked(num_envs: int = 3) -> VectorTrial:
    return VectorTrial(HalfForbidden(num_envs, 4), episodes=10)


TRIALS: list[Callable[..., VectorTrial]] = [bandit, point, grid, materials]


RESUMED: list[Callable[..., VectorTrial]] = [bandit, point, masked]


STEPS = {bandit: 10, point: 40, grid: 30, materials: 4, masked: 10}  # of a trial


def weights(agent: PEARL) -> torch.Tensor:
    networks = agent._networks.values()
    return torch.cat([p.detach().flatten() for network in networks for p in network.parameters()])


def sharpened(agent: PEARL) -> PEARL:
    """Let every step of a context count much, so that a step that is seen differently shows."""
    with torch.no_grad():
        agent.belief.encoder.network[-1].bias[agent.config.belief.latent_size :] += 3
        agent.belief.encoder.network[-1].weight *= 5
    return agent


class Losses(KVWriter):
    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        self.seen.append(dict(key_values))


def played(agent: PEARL, env: VectorTrial, seed: int = 0) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    """One trial: its observations (t + 1, n, o) from the reset to the last one, and the states after each choice."""
    env.use_autoreset_mode("SameStep")
    observations, state, over = [env.reset(seed=seed)[0]], None, np.array([False])
    states: list[NDArray[np.float32]] = []
    while not over.any():
        actions, state = agent.predict(observations[-1], state)
        states.append(state)
        seen, _, over, _, info = env.step(actions)
        observations.append(info["final_obs"] if over.any() else seen)
    return np.stack(observations), states


def recorded(env: VectorTrial) -> list[NDArray[np.float32]]:
    """Filled with every observation of the trial that is about to be played, to the last one."""
    seen: list[NDArray[np.float32]] = []
    reset, step = env.reset, env.step

    def recording_reset(**arguments: Any) -> Any:
        result = reset(**arguments)
        seen[:] = [result[0]]
        return result

    def recording_step(actions: NDArray[Any]) -> Any:
        result = step(actions)
        seen.append(result[4]["final_obs"] if result[2].any() else result[0])
        return result

    env.reset, env.step = recording_reset, recording_step  # type: ignore[method-assign]
    return seen


def captured(agent: PEARL, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """The losses of one gradient step that changes nothing, with their graphs."""
    losses: dict[str, torch.Tensor] = {}
    decoder_loss, critic_loss, kl = agent._decoder_loss, agent._critic_loss, Gaussian.kl_to_prior

    def keep(name: str, value: Any) -> Any:
        losses[name] = value[0] if isinstance(value, tuple) else value
        return value

    monkeypatch.setattr(agent, "_apply", keep)
    monkeypatch.setattr(agent, "_decoder_loss", lambda *a: keep("decoder", decoder_loss(*a)))
    monkeypatch.setattr(agent, "_critic_loss", lambda *a: keep("critic alone", critic_loss(*a)))
    monkeypatch.setattr(Gaussian, "kl_to_prior", lambda self: keep("kl", kl(self).mean()))
    agent._gradient_step(*drawn_batch(agent, 0))
    return losses


def gradients(loss: torch.Tensor, module: torch.nn.Module) -> list[torch.Tensor | None]:
    parameters = [p for p in module.parameters() if p.requires_grad]
    return list(torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True))
