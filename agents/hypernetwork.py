"""Hypernetwork heads: the memory of the trial makes the weights that lead from the observation to actions and value.

Beck, Jackson, Vuorio and Whiteson 2023, "Hypernetworks in Meta-Reinforcement Learning",
https://arxiv.org/abs/2210.11348, and Beck, Vuorio, Xiong and Whiteson 2023, "Recurrent Hypernetworks are Surprisingly
Strong in Meta-RL", https://arxiv.org/abs/2309.14970. A plain head sees memory and observation side by side; here each
hidden task can have a policy of its own, as a function of the observation.

The weights begin as the first of these papers proposes (Bias-HyperInit): those of the hypernetwork are zero and its
biases are the initial weights of a plain head, so that at first the head is the same for every memory. Unlike in
the papers, the embedding of the observation is learned with the memory and is the same for all tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu


class HyperLinear(nn.Linear):
    """A linear map of x (..., in_features), whose weights and biases are affine in a memory m (..., memory_size).

    The parent's weight and bias are the weights for m = 0.

    Args:
        memory_size: length of m, with which the features begin.
        feature_size: length of the features, which are [m, x].
        outputs: length of the output.
    """

    def __init__(self, memory_size: int, feature_size: int, outputs: int) -> None:
        super().__init__(feature_size - memory_size, outputs)
        self.memory_size = memory_size
        self.from_memory = nn.Parameter(torch.zeros(outputs * memory_size, self.in_features))
        """Row o * memory_size + k: how unit k of the memory changes the weights of output o."""
        self.bias_from_memory = nn.Parameter(torch.zeros(outputs, memory_size))

    def forward(self, input: Tensor) -> Tensor:
        """(..., outputs) for features (..., feature_size)."""
        memory, x = input.tensor_split([self.memory_size], -1)
        # The weights themselves, outputs x in_features numbers for each row, are never made: the same sum over memory
        # and input is taken in the other order.
        per_unit = linear(x, self.from_memory).unflatten(-1, (self.out_features, self.memory_size))
        by_memory = ((per_unit + self.bias_from_memory) @ memory.unsqueeze(-1)).squeeze(-1)
        return super().forward(x) + by_memory


class HyperLayer(nn.Module):
    """A hidden layer of such weights: from [m, x] (..., feature_size) to [m, SiLU(output)] (..., widened)."""

    def __init__(self, memory_size: int, feature_size: int, widened: int) -> None:
        super().__init__()
        self.linear = HyperLinear(memory_size, feature_size, widened - memory_size)

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features[..., : self.linear.memory_size], silu(self.linear(features))], -1)


def head_linear(memory_size: int, feature_size: int, outputs: int) -> nn.Linear:
    """The last layer of a head on features (..., feature_size): a plain one where `memory_size` is 0."""
    return HyperLinear(memory_size, feature_size, outputs) if memory_size else nn.Linear(feature_size, outputs)


def head_layers(memory_size: int, sizes: Sequence[int]) -> nn.Sequential:
    """The hidden layers of a head, of these widths, each with the memory where `memory_size` is not 0."""
    if memory_size:
        return nn.Sequential(*(HyperLayer(memory_size, a, b) for a, b in pairwise(sizes)))
    return nn.Sequential(*(layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.SiLU())))
