"""Encoders of contexts: from a set of steps to a Gaussian, or a mixture of Gaussians, over the latent task.

Rakelly et al. 2019, "Efficient Off-Policy Meta-Reinforcement Learning via Probabilistic Context Variables", section 4,
https://arxiv.org/abs/1903.08254. Every step of the context contributes one Gaussian factor, so the product does not
depend on their order, takes any number of them, and can be kept up to date in a few numbers. Unlike the paper's, the
product here includes the prior N(0, I): the prior is the belief before any step, and each factor can only sharpen it.

A product of Gaussians cannot say "anywhere but here". `MixtureEncoder` can: it makes a mixture of Gaussians (Bishop
1994, "Mixture Density Networks") from features pooled over the steps (Zaheer et al. 2017, "Deep Sets",
https://arxiv.org/abs/1703.06114; Qi et al. 2017, "PointNet", https://arxiv.org/abs/1612.00593), which are also kept up
to date step by step and independent of the steps' order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from stable_baselines3.common.torch_layers import create_mlp
from torch import Tensor, nn

from metaenv.agents import numerics

MAX_PRECISION = 1e7
"""Largest precision of one factor, so that a variance of 1e-7 is the smallest (as in the paper's own code)."""
INITIAL_PRECISION = -3.0
"""Bias of a factor's precision before softplus: a factor begins with a precision of 0.05, against the prior's 1, so
that a context of 20 steps is worth as much as the prior (chosen)."""

MIN_LOG_STD, MAX_LOG_STD = -4.0, 1.0
"""Bounds of the log standard deviation of a mixture's components (chosen): 1/50 to 3 times the prior's."""


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian over the latent task with independent coordinates.

    Attributes:
        precision: (..., L) one over the variance.
        weighted_mean: (..., L) precision times mean. Both add up when evidence is combined.
    """

    precision: Tensor
    weighted_mean: Tensor

    @classmethod
    def prior(cls, n: int, latent_size: int, device: torch.device | None = None) -> Gaussian:
        """N(0, I), n times."""
        return cls(torch.ones(n, latent_size, device=device), torch.zeros(n, latent_size, device=device))

    @property
    def mean(self) -> Tensor:
        """(..., L)."""
        return self.weighted_mean / self.precision

    @property
    def std(self) -> Tensor:
        """(..., L)."""
        return self.precision.rsqrt()

    def repeated(self, n: int) -> Gaussian:
        """The same n times, (..., n, L), without gradient."""
        parts = (x.detach().unsqueeze(-2) for x in (self.precision, self.weighted_mean))
        return Gaussian(*(x.expand(*x.shape[:-2], n, x.shape[-1]) for x in parts))

    def sample(self, generator: torch.Generator) -> Tensor:
        """One latent task of each row, (..., L), differentiable in the belief."""
        return self.mean + self.std * numerics.normal_like(self.precision, generator)

    def kl_to_prior(self) -> Tensor:
        """Kullback-Leibler divergence to N(0, I) in nats, summed over the coordinates, (...)."""
        variance = 1 / self.precision
        return 0.5 * (variance + self.mean.square() - 1 + self.precision.log()).sum(-1)

    def updated(self, factors: Gaussian, mask: Tensor) -> Gaussian:
        """Combined with the masked factors (..., w, L) of w steps; `mask` (..., w) says which count."""
        weight = mask.unsqueeze(-1).to(self.precision.dtype)
        precision = self.precision + (factors.precision * weight).sum(-2)
        return Gaussian(precision, self.weighted_mean + (factors.weighted_mean * weight).sum(-2))


class ContextEncoder(nn.Module):
    """One Gaussian factor for each step of a context.

    Args:
        input_size: length of a step: observation, next observation, action, reward and the boundary flag.
        sizes: widths of the hidden layers.
        latent_size: L.
    """

    def __init__(self, input_size: int, sizes: Sequence[int], latent_size: int) -> None:
        super().__init__()
        self.network = nn.Sequential(*create_mlp(input_size, 2 * latent_size, list(sizes)))
        last = self.network[-1]
        assert isinstance(last, nn.Linear)
        nn.init.constant_(last.bias[latent_size:], INITIAL_PRECISION)

    def forward(self, steps: Tensor) -> Gaussian:
        """Factors (..., L) of steps (..., input_size)."""
        mean, raw = self.network(steps).chunk(2, -1)
        precision = nn.functional.softplus(raw).clamp(max=MAX_PRECISION)
        return Gaussian(precision, precision * mean)


class PooledEncoder(nn.Module):
    """A Gaussian from features that are summed over the steps of a context (Zaheer et al. 2017).

    Args:
        input_size: as in `ContextEncoder`.
        sizes: widths of the hidden layers before the sum; the last is the number of features. The network after the
            sum has one hidden layer of that width.
        latent_size: L.
    """

    def __init__(self, input_size: int, sizes: Sequence[int], latent_size: int) -> None:
        super().__init__()
        *hidden, self.pool_size = sizes
        self.network = nn.Sequential(*create_mlp(input_size, self.pool_size, hidden), nn.ReLU())
        self.head = nn.Sequential(*create_mlp(self.pool_size, 2 * latent_size, [self.pool_size]))

    def evidence(self, steps: Tensor) -> Tensor:
        """Evidence (..., pool_size) of single steps (..., input_size), which adds up. Zeros are no evidence."""
        return self.network(steps)

    def forward(self, evidence: Tensor) -> Gaussian:
        """The belief (..., L), at least as precise as the prior, after evidence (..., pool_size)."""
        # The log keeps sums over hundreds of steps within the range of those over a few.
        mean, raw = self.head(evidence.log1p()).chunk(2, -1)
        precision = 1 + nn.functional.softplus(raw).clamp(max=MAX_PRECISION)
        return Gaussian(precision, precision * mean)


@dataclass(frozen=True)
class Mixture:
    """A mixture of K Gaussians over the latent task, each with independent coordinates.

    Attributes:
        log_weights: (..., K) logs of the components' probabilities.
        means: (..., K, L).
        stds: (..., K, L).
    """

    log_weights: Tensor
    means: Tensor
    stds: Tensor

    @property
    def mean(self) -> Tensor:
        """Of the whole mixture, (..., L)."""
        return (self.log_weights.exp().unsqueeze(-1) * self.means).sum(-2)

    @property
    def std(self) -> Tensor:
        """Of the whole mixture, (..., L)."""
        spread = self.stds.square() + (self.means - self.mean.unsqueeze(-2)).square()
        return (self.log_weights.exp().unsqueeze(-1) * spread).sum(-2).sqrt()

    def sample(self, generator: torch.Generator) -> Tensor:
        """One latent task of each row, (..., L), without gradient."""
        chosen = numerics.sample_categorical(self.log_weights, generator)[..., None, None]
        chosen = chosen.expand(*self.means.shape[:-2], 1, self.means.shape[-1])
        mean, std = (x.gather(-2, chosen).squeeze(-2) for x in (self.means, self.stds))
        return mean + std * numerics.normal_like(mean, generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density (...) of latent tasks (..., L)."""
        away = ((z.unsqueeze(-2) - self.means) / self.stds).square() + 2 * self.stds.log() + math.log(2 * math.pi)
        return (self.log_weights - 0.5 * away.sum(-1)).logsumexp(-1)


class MixtureEncoder(nn.Module):
    """A mixture over the latent task from features that are pooled over the steps of a context.

    Of half of the features the pool is the sum, which counts; of the others it is the maximum, in which one informative
    step is not drowned by hundreds of others.

    Args:
        input_size: as in `ContextEncoder`.
        sizes: widths of the hidden layers, before the pool and after it.
        latent_size: L.
        pool_size: features of a step.
        components: K.
    """

    def __init__(
        self, input_size: int, sizes: Sequence[int], latent_size: int, pool_size: int, components: int
    ) -> None:
        super().__init__()
        self.components, self.latent_size, self.summed = components, latent_size, pool_size // 2
        self.network = nn.Sequential(*create_mlp(input_size, pool_size, list(sizes)), nn.ReLU())
        self.head = nn.Sequential(*create_mlp(pool_size, components * (2 * latent_size + 1), list(sizes)))
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        # Components begin apart from each other, spread as the prior is.
        nn.init.normal_(last.bias[components : components * (latent_size + 1)])

    def evidence(self, steps: Tensor) -> Tensor:
        """Evidence (..., pool_size) of single steps (..., input_size). It is never negative; zeros are no evidence."""
        return self.network(steps)

    def merged(self, first: Tensor, second: Tensor) -> Tensor:
        """Evidence (..., pool_size) of two sets of steps together."""
        k = self.summed
        return torch.cat([first[..., :k] + second[..., :k], torch.maximum(first[..., k:], second[..., k:])], -1)

    def beginnings(self, evidence: Tensor, lengths: Tensor) -> Tensor:
        """Evidence (b, m, pool_size) of the first `lengths` (b, m) of steps whose evidence is (b, w, pool_size)."""
        k = self.summed
        sums, largest = evidence[..., :k].cumsum(1), evidence[..., k:].cummax(1).values
        grown = nn.functional.pad(torch.cat([sums, largest], -1), (0, 0, 1, 0))
        return grown.gather(1, lengths.unsqueeze(-1).expand(-1, -1, grown.shape[-1]))

    def forward(self, evidence: Tensor) -> Mixture:
        """The mixture (...) after evidence (..., pool_size), which is zero before the first step."""
        # The log keeps sums over hundreds of steps within the range of the other features.
        pooled = torch.cat([evidence[..., : self.summed].log1p(), evidence[..., self.summed :]], -1)
        k, size = self.components, self.latent_size
        logits, means, log_stds = self.head(pooled).split([k, k * size, k * size], -1)
        shape = (*evidence.shape[:-1], k, size)
        stds = log_stds.reshape(shape).clamp(MIN_LOG_STD, MAX_LOG_STD).exp()
        return Mixture(logits.log_softmax(-1), means.reshape(shape), stds)
