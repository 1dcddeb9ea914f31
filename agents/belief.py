"""What PEARL believes of the hidden task, as evidence comes in: a distribution over the latent vector z.

The strategies are `GaussianBelief`, the paper's product of Gaussians; `PooledBelief`, one Gaussian that a network makes
of summed evidence; and `MixtureBelief`, with which acting believes a mixture of Gaussians that predicts what the
product would say in hindsight.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from metaenv.agents.context import Context
from metaenv.agents.context_encoder import ContextEncoder, Gaussian, Mixture, MixtureEncoder, PooledEncoder
from metaenv.agents.pearl_config import BeliefConfig, MixtureConfig

BEGINNINGS, HINTED, MOST_HINTS = 8, 0.25, 4
"""Beginnings of each context that one update of a mixture learns from, which cost little more than one; the share of
them that are joined by steps of hindsight; and by how many at most. All chosen."""


class TaskBelief(nn.Module):
    """A belief about the latent task z, and its encoder.

    Acting keeps the *evidence* of each trial, (n, evidence_size), which is zero before the first step.

    Args:
        settings: sizes, and whether z is drawn from the belief or its mean.
        encoder: the context encoder that critics learn through.
        evidence_size: numbers that hold all that steps have told of the task.
    """

    def __init__(self, settings: BeliefConfig, encoder: ContextEncoder | PooledEncoder, evidence_size: int) -> None:
        super().__init__()
        self.settings, self.encoder, self.evidence_size = settings, encoder, evidence_size

    @property
    def _device(self) -> torch.device:
        return next(self.encoder.parameters()).device

    def infer(self, context: Context) -> Gaussian:
        """The belief (b, L) that critics, actor and encoder learn with: here the product of the context's factors."""
        prior = Gaussian.prior(len(context.counts), self.settings.latent_size, context.steps.device)
        return prior.updated(self.encoder(context.steps), context.counts)

    def latent(self, belief: Gaussian | Mixture, generator: torch.Generator) -> Tensor:
        """z (..., L) for a belief: a sample, or its mean."""
        return belief.sample(generator) if self.settings.sample else belief.mean

    @abstractmethod
    def prior(self, n: int) -> Gaussian | Mixture:
        """The belief of acting (n, L) before any step."""

    @abstractmethod
    def after(self, context: Context) -> Gaussian | Mixture:
        """The belief of acting (b, L) after a context."""

    @abstractmethod
    def updated(self, evidence: Tensor, step: Tensor, counts: Tensor) -> tuple[Tensor, Gaussian | Mixture]:
        """Evidence (n, evidence_size) and belief (n, L) after a further step (n, step_size), where it counts (n,)."""


class GaussianBelief(TaskBelief):
    """A product of Gaussians, one factor per step. The evidence is precision (beyond the prior's) and weighted mean."""

    def __init__(self, step_size: int, settings: BeliefConfig) -> None:
        encoder = ContextEncoder(step_size, settings.encoder_sizes, settings.latent_size)
        super().__init__(settings, encoder, 2 * settings.latent_size)

    def prior(self, n: int) -> Gaussian:
        """See `TaskBelief`."""
        return Gaussian.prior(n, self.settings.latent_size, self._device)

    def after(self, context: Context) -> Gaussian:
        """See `TaskBelief`."""
        return self.infer(context)

    def updated(self, evidence: Tensor, step: Tensor, counts: Tensor) -> tuple[Tensor, Gaussian]:
        """See `TaskBelief`."""
        precision, weighted = evidence.chunk(2, -1)
        factor = self.encoder(step.unsqueeze(-2))
        belief = Gaussian(precision + 1, weighted).updated(factor, counts.unsqueeze(-1))
        return torch.cat([belief.precision - 1, belief.weighted_mean], -1), belief


class PooledBelief(TaskBelief):
    """One Gaussian, made by a network of the sum of what single steps tell. The evidence is that sum.

    The mean of a product of Gaussians is an average of the steps' own means and the prior's, weighted by precisions,
    coordinate by coordinate. It cannot say what follows only from two steps together, such as which of two causes a
    failure had. A network after the sum can.
    """

    encoder: PooledEncoder

    def __init__(self, step_size: int, settings: BeliefConfig) -> None:
        encoder = PooledEncoder(step_size, settings.encoder_sizes, settings.latent_size)
        super().__init__(settings, encoder, encoder.pool_size)

    def infer(self, context: Context) -> Gaussian:
        """See `TaskBelief`."""
        return self.encoder((self.encoder.evidence(context.steps) * context.counts.unsqueeze(-1)).sum(-2))

    def prior(self, n: int) -> Gaussian:
        """See `TaskBelief`; what the network makes of no evidence, near N(0, I) by the KL divergence."""
        return self.encoder(torch.zeros(n, self.evidence_size, device=self._device))

    def after(self, context: Context) -> Gaussian:
        """See `TaskBelief`."""
        return self.infer(context)

    def updated(self, evidence: Tensor, step: Tensor, counts: Tensor) -> tuple[Tensor, Gaussian]:
        """See `TaskBelief`."""
        evidence = evidence + self.encoder.evidence(step) * counts.unsqueeze(-1)
        return evidence, self.encoder(evidence)


class MixtureBelief(TaskBelief):
    """A mixture of Gaussians for acting, and the product of Gaussians, in hindsight, for learning.

    The evidence is the pooled features of the steps.

    Args:
        step_size: length of a step.
        hindsight: the product of Gaussians, whose encoder is used.
        mixture: sizes of the mixture.
    """

    def __init__(self, step_size: int, hindsight: GaussianBelief, mixture: MixtureConfig) -> None:
        settings = hindsight.settings
        super().__init__(settings, hindsight.encoder, mixture.pool_size)
        self.hindsight_steps = mixture.hindsight_steps
        self.mixture = MixtureEncoder(
            step_size, settings.encoder_sizes, settings.latent_size, mixture.pool_size, mixture.n_mixture_components
        )

    def prior(self, n: int) -> Mixture:
        """See `TaskBelief`."""
        return self.mixture(torch.zeros(n, self.evidence_size, device=self._device))

    def after(self, context: Context) -> Mixture:
        """See `TaskBelief`."""
        steps, counts = context
        evidence = self.mixture.evidence(steps)
        whole = counts.new_full((len(steps), 1), steps.shape[1], dtype=torch.int64)
        return self.mixture(self.mixture.beginnings(evidence * counts.unsqueeze(-1), whole).squeeze(1))

    def updated(self, evidence: Tensor, step: Tensor, counts: Tensor) -> tuple[Tensor, Mixture]:
        """See `TaskBelief`."""
        evidence = self.mixture.merged(evidence, self.mixture.evidence(step) * counts.unsqueeze(-1))
        return evidence, self.mixture(evidence)

    def loss(
        self, context: Context, hindsight: Context, rng: np.random.Generator, generator: torch.Generator
    ) -> Tensor:
        """Minus the log-density of hindsight's z after beginnings of the contexts.

        The share of a context that is a beginning is the square of a uniform number, since beliefs change most early.
        Some beginnings are joined by a few of the steps that hindsight knows, so that what rewards tell is learned even
        while few are found.
        """
        mixture, (steps, counts) = self.mixture, context
        with torch.no_grad():
            target = self.infer(hindsight).repeated(BEGINNINGS)
        evidence = mixture.evidence(steps[counts])
        evidence = evidence.new_zeros(*counts.shape, evidence.shape[-1]).index_put((counts,), evidence)
        size = (len(counts), BEGINNINGS)
        share = torch.from_numpy(rng.random(size) ** 2).to(counts.device)
        seen = mixture.beginnings(evidence, (share * (counts.sum(1, keepdim=True) + 1)).long())
        hints = np.where(rng.random(size) < HINTED, rng.integers(1, MOST_HINTS + 1, size), 0)
        hints = torch.minimum(torch.from_numpy(hints).to(counts.device), hindsight.counts.sum(1, keepdim=True))
        seen = mixture.merged(seen, mixture.beginnings(mixture.evidence(hindsight.steps), hints))
        return -mixture(seen).log_prob(target.sample(generator)).mean()
