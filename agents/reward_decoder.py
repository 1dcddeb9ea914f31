"""PEARL's reward decoder: which rewards a latent task would pay. It shows what z stands for; by default nothing else
learns from it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from stable_baselines3.common.torch_layers import create_mlp
from torch import Tensor, nn

from metaenv.agents.context import action_vector
from metaenv.agents.dims import EnvDims
from metaenv.agents.entities import EntityLayout


class RewardDecoder(nn.Module):
    """From observation, action and latent task to the expected reward.

    Args:
        dims: sizes of the environment.
        layout: of the entities in the observation, of which the decoder sees the chosen one; None for a flat one.
        latent_size: L.
        sizes: widths of the hidden layers.
        scale: factor on rewards r before it predicts sign(r) * ln(1 + |r|) of them; None predicts r itself.
    """

    def __init__(
        self,
        dims: EnvDims,
        layout: EntityLayout | None,
        latent_size: int,
        sizes: Sequence[int],
        scale: float | None = None,
    ) -> None:
        super().__init__()
        self.n_actions, self.layout, self.scale = dims.n_actions, layout, scale
        choice_size = dims.action_vector_size if layout is None else layout.choice_size - layout.end
        self.network = nn.Sequential(*create_mlp(dims.episode_size + choice_size + latent_size, 1, list(sizes)))

    def forward(self, observations: Tensor, actions: Tensor, latent: Tensor) -> Tensor:
        """(n,) what is expected of the `target` of actions (n,) or (n, d_a) after observations (n, d), were the task
        `latent` (n, L)."""
        played = action_vector(actions, self.n_actions)
        if self.layout is not None:
            played = self.layout.choice(self.layout.entities(observations), played)
            observations = observations[..., self.layout.end :]
        return self.network(torch.cat([observations, played, latent], -1)).squeeze(-1)

    def target(self, rewards: Tensor) -> Tensor:
        """What is to be predicted of rewards (...)."""
        if self.scale is None:
            return rewards
        scaled = self.scale * rewards
        return scaled.sign() * scaled.abs().log1p()

    def rewards(self, predicted: Tensor) -> Tensor:
        """The rewards (...) that predictions stand for: the inverse of `target`."""
        return predicted if self.scale is None else predicted.sign() * predicted.abs().expm1() / self.scale
