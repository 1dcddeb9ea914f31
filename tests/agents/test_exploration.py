"""When PEARL draws z, and from what, and its random trials at the start."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from stable_baselines3.common.logger import Logger
from toy_pearl import SMALL, Losses, bandit, materials, played, point, with_exploration

from metaenv.agents.pearl import PEARL
from metaenv.trial import VectorTrial


def test_z_is_kept_for_an_episode_and_drawn_anew_at_the_next() -> None:
    env = point()
    d, latent = 2, SMALL.belief.latent_size
    for every, changes in ((None, {20}), (8, {8, 16, 20, 28, 36})):
        agent = PEARL(env, with_exploration(SMALL, resample_every=every), seed=0)
        z = np.stack([state[0, d + 2 * latent : d + 3 * latent] for state in played(agent, env)[1]])
        assert set(np.flatnonzero((np.diff(z, axis=0) != 0).any(1)) + 1) == changes


def test_z_comes_from_the_prior_in_the_first_episodes() -> None:
    for prior_episodes in (1, 2):
        agent = PEARL(materials(), with_exploration(SMALL, prior_episodes=prior_episodes), seed=0)
        with torch.no_grad():  # each step of a context says the same, with precision 10,000
            agent.belief.encoder.network[-1].weight.zero_()
            agent.belief.encoder.network[-1].bias[:2], agent.belief.encoder.network[-1].bias[2:] = 3.0, 1e4
        assert agent.dims.episode_size == 10
        spread = [state[:, 14:16].std() for state in played(agent, materials(200))[1]]
        assert 0.8 < spread[0] < 1.2 and max(spread[1:]) < 0.05, "predict trusts its belief from the second episode on"
        spread = [float(state[:, 14:16].std()) for state in training_states(agent, materials(200))]
        assert [s > 0.8 for s in spread] == [t < prior_episodes for t in range(len(spread))]
        assert [s < 0.05 for s in spread] == [t >= prior_episodes for t in range(len(spread))]


@pytest.mark.parametrize(("prior_episodes", "trusts"), [(0, True), (1, False)])
def test_whether_z_that_is_drawn_anew_is_believed_in_the_first_episode(prior_episodes: int, trusts: bool) -> None:
    agent = PEARL(point(), with_exploration(SMALL, prior_episodes=prior_episodes, resample_every=5), seed=0)
    with torch.no_grad():  # each step of a context says the same, with precision 10,000
        agent.belief.encoder.network[-1].weight.zero_()
        agent.belief.encoder.network[-1].bias[:2], agent.belief.encoder.network[-1].bias[2:] = 3.0, 1e4
    spread = [state[:, 6:8].std() for state in played(agent, point(200))[1]]
    assert min(spread[:5]) > 0.8 and max(spread[20:]) < 0.05
    assert max(spread[5:20]) < 0.05 if trusts else min(spread[5:20]) > 0.8


def training_states(agent: PEARL, env: VectorTrial) -> list[torch.Tensor]:
    """The states of a training trial, step by step."""
    observation, _ = env.reset(seed=0)
    state, states = torch.zeros(env.num_envs, agent._state_size), []
    for _ in range(4):
        seen = torch.from_numpy(observation)
        actions, state = agent._act(seen, state, None, agent._generator, deterministic=False, training=True)
        states.append(state)
        observation, *_ = env.step(actions.numpy())
    return states


def test_every_task_is_played_at_random_first_and_then_learned_from() -> None:
    log = Losses()
    agent = PEARL(bandit(2), with_exploration(SMALL, random_trials=2), seed=0)
    agent.set_logger(Logger(None, [log]))
    agent.learn(20 * 8)
    # Two trials of each of 6 tasks, 2 at a time: 6 iterations without an update.
    assert ["train/critic_loss" in line for line in log.seen] == [False] * 6 + [True] * 2
    assert agent._training_tasks.replay.trials.min() >= 2 and agent._training_tasks.replay.trials.sum() == 16
    last = log.seen[-1]
    assert last["train/updates"] == 4
    names = ("actor_loss", "kl", "reward_error", "entropy", "ent_coef", "belief_std", "learning_rate")
    assert all(math.isfinite(last[f"train/{name}"]) for name in names)
    assert {"rollout/return", "rollout/first_episode", "rollout/last_episode"} <= set(last)
    assert last["rollout/return"] <= 10


def test_held_random_actions() -> None:
    agent = PEARL(point(), with_exploration(replace(SMALL, n_tasks=3), random_action_repeat=5), seed=0).learn(1)
    actions = agent._training_tasks.replay._tensors["actions"][:, :40].numpy()
    blocks = actions.reshape(3, 8, 5, 2)
    assert (blocks == blocks[:, :, :1]).all() and len(np.unique(blocks[:, :, 0].reshape(-1, 2), axis=0)) == 24
