"""What an agent believes of the hidden task: a Gaussian over a latent vector, inferred from a set of steps.

Rakelly et al. 2019, "Efficient Off-Policy Meta-Reinforcement Learning via Probabilistic Context Variables", section 4,
https://arxiv.org/abs/1903.08254. Every step of the context contributes one Gaussian factor, so the belief does not
depend on their order, takes any number of them, and can be kept up to date in a few numbers. Unlike the paper's, the
product here includes the prior N(0, I): it is what nothing has been seen of, and each factor can only sharpen it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from stable_baselines3.common.torch_layers import create_mlp
from torch import Tensor, nn

MAX_PRECISION = 1e7
"""Largest precision of one factor, so that a variance of 1e-7 is the smallest (as in the paper's own code)."""
INITIAL_PRECISION = -3.0
"""Bias of a factor's precision before softplus: a factor begins with a precision of 0.05, against the prior's 1, so
that a context of 20 steps is worth as much as the prior (chosen)."""


@dataclass(frozen=True)
class Belief:
    """A Gaussian over the latent task with independent coordinates.

    Attributes:
        precision: (..., L) one over the variance.
        weighted_mean: (..., L) precision times mean. Both add up when evidence is combined.
    """

    precision: Tensor
    weighted_mean: Tensor

    @classmethod
    def prior(cls, n: int, latent_size: int) -> Belief:
        """N(0, I), n times."""
        return cls(torch.ones(n, latent_size), torch.zeros(n, latent_size))

    @property
    def mean(self) -> Tensor:
        """(..., L)."""
        return self.weighted_mean / self.precision

    @property
    def std(self) -> Tensor:
        """(..., L)."""
        return self.precision.rsqrt()

    def sample(self, generator: torch.Generator) -> Tensor:
        """One latent task of each row, (..., L), differentiable in the belief."""
        return self.mean + self.std * torch.empty_like(self.precision).normal_(generator=generator)

    def kl_to_prior(self) -> Tensor:
        """Kullback-Leibler divergence to N(0, I) in nats, summed over the coordinates, (...)."""
        variance = 1 / self.precision
        return 0.5 * (variance + self.mean.square() - 1 + self.precision.log()).sum(-1)

    def updated(self, factors: Belief, mask: Tensor) -> Belief:
        """Combined with the masked factors (..., w, L) of w steps; `mask` (..., w) says which count."""
        weight = mask.unsqueeze(-1).to(self.precision.dtype)
        precision = self.precision + (factors.precision * weight).sum(-2)
        return Belief(precision, self.weighted_mean + (factors.weighted_mean * weight).sum(-2))


class ContextEncoder(nn.Module):
    """One Gaussian factor for each step of a context.

    Args:
        input_size: length of a step: what was seen, done and paid, what was seen next, and the boundary flag.
        sizes: widths of the hidden layers.
        latent_size: L.
    """

    def __init__(self, input_size: int, sizes: Sequence[int], latent_size: int) -> None:
        super().__init__()
        self.network = nn.Sequential(*create_mlp(input_size, 2 * latent_size, list(sizes)))
        last = self.network[-1]
        assert isinstance(last, nn.Linear)
        nn.init.constant_(last.bias[latent_size:], INITIAL_PRECISION)

    def forward(self, steps: Tensor) -> Belief:
        """Factors (..., L) of steps (..., input_size)."""
        mean, raw = self.network(steps).chunk(2, -1)
        precision = nn.functional.softplus(raw).clamp(max=MAX_PRECISION)
        return Belief(precision, precision * mean)
