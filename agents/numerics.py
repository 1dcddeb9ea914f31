"""Small numerical pieces that the agents share: advantages, and log-probabilities of the two action distributions.

Arrays over time are time-major: axis 0 is the step within the trial, axis 1 the trial.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

MASKED_LOGIT = -1e9
"""Logit of a forbidden action. Finite, so that 0 * log(0) in an entropy stays 0 and gradients stay numbers (chosen)."""


def gae(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    terminated: NDArray[np.bool_],
    last_values: NDArray[np.float32],
    gamma: float,
    gae_lambda: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Generalised advantage estimates.

    Schulman et al. 2016, "High-Dimensional Continuous Control Using Generalized Advantage Estimation",
    equation 16, computed backwards in time.

    Args:
        rewards: (T, N).
        values: (T, N), the value of the state each reward was earned from.
        terminated: (T, N), whether nothing follows that step.
        last_values: (N,), the value of the state after the last step; used where that step did not terminate.
        gamma: discount, in [0, 1].
        gae_lambda: weight of longer returns, in [0, 1].

    Returns:
        Advantages (T, N) and returns (T, N) = advantages + values, the targets of the value function.
    """
    advantages = np.zeros_like(rewards)
    following_value, following_advantage = last_values, np.zeros_like(last_values)
    for t in range(len(rewards) - 1, -1, -1):
        goes_on = ~terminated[t]
        error = rewards[t] + gamma * goes_on * following_value - values[t]
        following_advantage = error + gamma * gae_lambda * goes_on * following_advantage
        advantages[t], following_value = following_advantage, values[t]
    return advantages, advantages + values


def compressed(rewards: NDArray[np.float32], size: float) -> NDArray[np.float32]:
    """sign(r) τ ln(1 + |r| / τ) of rewards r, with τ = ``size``: r where it is far smaller, else like its logarithm."""
    return np.sign(rewards) * np.log1p(np.abs(rewards) / np.float32(size)) * np.float32(size)


def explained_variance(predicted: NDArray[np.float32], target: NDArray[np.float32]) -> float:
    """1 - Var[target - predicted] / Var[target]: 1 is perfect, 0 is a constant's; nan for a constant target."""
    variance = float(np.var(target))
    return math.nan if variance == 0.0 else 1.0 - float(np.var(target - predicted)) / variance


def masked_log_softmax(logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """Log-probabilities of a categorical distribution over the allowed actions.

    Args:
        logits: (..., k).
        mask: (..., k) bool, True where the action is allowed; None allows all.

    Returns:
        (..., k); the probability of a forbidden action underflows to exactly 0.
    """
    if mask is not None:
        logits = logits.masked_fill(~mask, MASKED_LOGIT)
    return logits.log_softmax(-1)


def categorical_entropy(log_probs: Tensor) -> Tensor:
    """Entropy in nats, shape (...,), of log-probabilities (..., k)."""
    return -(log_probs.exp() * log_probs).sum(-1)


def sample_categorical(log_probs: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one index from each row, int64 of shape (...,), from log-probabilities (..., k).

    The Gumbel-max trick: the argmax of log p + Gumbel noise is distributed as p. Exponential draws give the noise,
    because -log E is Gumbel where E is exponential.
    """
    noise = torch.empty_like(log_probs, device="cpu").exponential_(generator=generator).to(log_probs.device)
    return (log_probs - noise.log()).argmax(-1)


def normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers of the shape, type and device of x, drawn on the CPU: the same on every device."""
    return torch.empty_like(x, device="cpu").normal_(generator=generator).to(x.device)


def gaussian_log_prob(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-density, shape (...,), of a diagonal Gaussian at x (..., d)."""
    standardised = (x - mean) * (-log_std).exp()
    return (-0.5 * standardised.square() - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)


def gaussian_entropy(log_std: Tensor) -> Tensor:
    """Differential entropy in nats, shape (...,), of a diagonal Gaussian with log_std (..., d)."""
    return (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Let gradients flow through a module without computing those of its weights."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
