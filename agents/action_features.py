"""A head for many discrete actions of which an environment tells features.

The logit of an action is the sum of two scalar products: that of an output of its own with the policy's features, as in
every policy, and that of a query, made of the policy's features, with a key, made of the action's features. What is
learned of one action by its key holds at once for all that are like it. Dulac-Arnold et al. 2015, "Deep Reinforcement
Learning in Large Discrete Action Spaces", https://arxiv.org/abs/1512.07679, and Jain, Szot and Lim 2020,
"Generalization to New Actions in Reinforcement Learning", https://arxiv.org/abs/2011.01928, let policies act on
features of actions; the outputs of their own tell apart here what has the same features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from stable_baselines3.common.torch_layers import create_mlp
from torch import Tensor, nn

from metaenv.agents.hypernetwork import head_layers, head_linear

KEY_SIZE = 64
"""Length of keys and queries (chosen)."""


class ActionFeatureHead(nn.Module):
    """Logits (..., k) of k actions from the policy's features (..., f).

    Args:
        memory_size: where it is not 0, the features begin with a memory that makes the weights (`HyperLinear`).
        sizes: f, and the widths of the hidden layers.
        shape: k and the length d of an action's features. Until `set_action_features` these are zeros.
    """

    features: Tensor

    def __init__(self, memory_size: int, sizes: Sequence[int], shape: tuple[int, int]) -> None:
        super().__init__()
        self.layers = head_layers(memory_size, sizes)
        self.key = nn.Sequential(nn.Linear(shape[1], KEY_SIZE), nn.SiLU(), nn.Linear(KEY_SIZE, KEY_SIZE))
        self.query = head_linear(memory_size, sizes[-1], KEY_SIZE)
        self.own = head_linear(memory_size, sizes[-1], shape[0])
        self.register_buffer("features", torch.zeros(shape))

    @property
    def last_layers(self) -> tuple[nn.Linear, ...]:
        """The layers that make the logits."""
        return (self.own, self.query)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.layers(x)
        return self.own(hidden) + self.query(hidden) @ self.key(self.features).T


class ActionFeatureNetwork(nn.Module):
    """A plain network with such a head: a number (n, k) for each of k actions, from the input (n, i).

    Args:
        input_size: i.
        sizes: widths of the hidden layers.
        shape: k and the length d of an action's features; see `ActionFeatureHead`.
    """

    def __init__(self, input_size: int, sizes: Sequence[int], shape: tuple[int, int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*create_mlp(input_size, -1, list(sizes)))
        self.head = ActionFeatureHead(0, sizes[-1:], shape)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x))


def set_action_features(network: nn.Module, features: ArrayLike) -> None:
    """Let all heads of a network take the features (k, d) of the actions."""
    for head in network.modules():
        if isinstance(head, ActionFeatureHead):
            head.features.copy_(torch.tensor(np.asarray(features, np.float32)))
