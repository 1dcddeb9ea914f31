"""PPO in one file, as CleanRL writes it, on the native vector environment with its masks.

The environment resets in the next step, as Gymnasium's own do: the step after an episode's end ignores its action, so
it is left out of the losses.

pip install torch
python examples/clients/cleanrl_style.py [ENV] [steps]
"""

import gymnasium as gym
import numpy as np
import torch
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from ledger import VectorLedger, compare, run
from torch import nn
from torch.distributions import Categorical

from metaenv import make_trials

N, T, EPOCHS, MINIBATCHES, GAMMA, LAMBDA, CLIP = 16, 64, 4, 4, 0.99, 0.95, 0.2


def main(name: str = "BernoulliBandit", steps: int = 10_240) -> None:
    torch.manual_seed(0)
    trials = VectorLedger(make_trials(name, num_envs=N))
    assert isinstance(trials.single_action_space, gym.spaces.Discrete), "this file is for discrete actions"
    env = RecordEpisodeStatistics(trials, buffer_length=100)
    inputs, actions = gym.spaces.flatdim(trials.single_observation_space), int(trials.single_action_space.n)
    actor = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, actions))
    critic = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 1))
    parameters = [*actor.parameters(), *critic.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=2.5e-3, eps=1e-5)

    def policy(seen: torch.Tensor, mask: torch.Tensor) -> Categorical:
        return Categorical(logits=actor(seen).masked_fill(~mask, -1e9))

    seen, info = env.reset(seed=0)
    over = np.zeros(N, bool)  # whose next step only begins a new trial
    for _ in range(steps // (N * T)):
        rows = []
        for _ in range(T):
            x, mask = torch.as_tensor(seen), torch.as_tensor(info["action_mask"] > 0)
            with torch.no_grad():
                chosen = policy(x, mask)
                action, value = chosen.sample(), critic(x)[:, 0]
            counts = torch.as_tensor(~over)
            seen, reward, terminated, truncated, info = env.step(action.numpy())
            rows.append((x, mask, action, chosen.log_prob(action), value, torch.as_tensor(reward).float(), counts))
            over = terminated | truncated
            rows[-1] = (*rows[-1], torch.as_tensor(over))
        x, mask, action, log_prob, value, reward, counts, ended = (
            torch.stack(column) for column in zip(*rows, strict=True)
        )
        with torch.no_grad():
            following = torch.cat([value[1:], critic(torch.as_tensor(seen)).T])
            error = reward + GAMMA * following * ~ended - value
            advantage, running = torch.zeros_like(error), torch.zeros(N)
            for t in reversed(range(T)):
                running = error[t] + GAMMA * LAMBDA * ~ended[t] * running
                advantage[t] = running
        flat = [
            part.flatten(0, 1)[counts.flatten()] for part in (x, mask, action, log_prob, advantage, advantage + value)
        ]
        for _ in range(EPOCHS):
            for index in torch.randperm(len(flat[0])).tensor_split(MINIBATCHES):
                x_, mask_, action_, old, gain, target = (part[index] for part in flat)
                now = policy(x_, mask_)
                ratio = (now.log_prob(action_) - old).exp()
                gain = (gain - gain.mean()) / (gain.std() + 1e-8)
                surrogate = torch.minimum(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain).mean()
                loss = -surrogate + 0.5 * (critic(x_)[:, 0] - target).square().mean() - 0.01 * now.entropy().mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 0.5)
                optimizer.step()
    compare("CleanRL-style PPO", list(env.return_queue))


if __name__ == "__main__":
    run(main)
