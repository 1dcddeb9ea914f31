"""A Gaussian process whose mean and covariance are learned from the training tasks.

Carl Edward Rasmussen, Christopher Williams, "Gaussian Processes for Machine Learning", MIT Press 2006,
https://gaussianprocess.org/gpml, section 5.4.3 (several tasks share the parameters of a process). The mean is linear in
the features. The covariance is a sum of a constant (tasks differ in their level), a linear kernel (in their slopes) and
a squared-exponential kernel (in all else), the last two with a scale for each feature. Training raises the marginal
likelihood of each task's samples, support set and queries together; adapting is conditioning on the support set.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.learner import Learner
from metaenv.supervised.learners.prototypical import squared_distances
from metaenv.supervised.predictor import Adapted, Prediction

JITTER = 1e-6  # least variance of the noise, in units of the scaled y squared (chosen)


class MetaGP(Learner):
    """A Gaussian process with a learned mean and covariance; see the module's docstring.

    Predictions have a standard deviation.
    """

    cpu_only = True
    kinds = ("regression",)
    alternative = "a class is no number; choose linear-projection, lda or deep-kernel"
    network: _Process

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        return _Process(math.prod(self.problem.x_shape))

    def _meta_loss(self, batch: EpisodeBatch) -> Tensor:
        """Minus the log marginal likelihood of all samples of a task, per sample."""
        x, y = batch.samples()
        return -self.network.log_likelihood(x.flatten(2).double(), y.double()) / y.shape[1]

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        process, x = self.network, support_x.flatten(2).double()
        factor = process.factor(x)
        residual = (support_y.double() - process.mean(x))[..., None]
        white_y = torch.linalg.solve_triangular(factor, residual, upper=False)

        def predict(query: Tensor) -> Prediction:
            q = query.flatten(2).double()
            white = torch.linalg.solve_triangular(factor, process.covariance(x, q), upper=False)
            mean = process.mean(q) + (white.transpose(1, 2) @ white_y)[..., 0]
            variance = (process.variance(q) - white.square().sum(1)).clamp_min(0) + process.noise
            return Prediction(mean.float(), variance.sqrt().float())

        return predict


class _Process(nn.Module):
    """The mean and covariance, in float64: covariances are ill-conditioned."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        start = -0.5 * math.log(inputs)  # so that distances and products of scaled samples are about 1
        self.mean_weights = nn.Parameter(torch.zeros(inputs + 1, dtype=torch.float64))
        self.log_scales = nn.Parameter(torch.full((2, inputs), start, dtype=torch.float64))
        self.log_signals = nn.Parameter(torch.full((2,), -0.5, dtype=torch.float64))  # constant and squared-exponential
        self.log_noise = nn.Parameter(torch.tensor(-1.0, dtype=torch.float64))

    @property
    def noise(self) -> Tensor:
        """Variance of the noise."""
        return (2 * self.log_noise).exp() + JITTER

    def mean(self, x: Tensor) -> Tensor:
        """(tasks, n) of samples (tasks, n, d)."""
        return x @ self.mean_weights[:-1] + self.mean_weights[-1]

    def covariance(self, a: Tensor, b: Tensor) -> Tensor:
        """(tasks, n, m) between samples (tasks, n, d) and (tasks, m, d), without noise."""
        linear, near = self.log_scales.exp()
        constant, signal = (2 * self.log_signals).exp()
        shape = (-0.5 * squared_distances(a * near, b * near).clamp_min(0)).exp()
        return constant + (a * linear) @ (b * linear).transpose(1, 2) + signal * shape

    def variance(self, x: Tensor) -> Tensor:
        """(tasks, n) of each sample, without noise."""
        constant, signal = (2 * self.log_signals).exp()
        return constant + signal + (x * self.log_scales[0].exp()).square().sum(-1)

    def factor(self, x: Tensor) -> Tensor:
        """(tasks, n, n) Cholesky factor of the covariance of measurements at x."""
        return torch.linalg.cholesky(
            self.covariance(x, x) + self.noise * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        )

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        """(tasks,) log marginal likelihood (equation 5.8 of the book)."""
        factor = self.factor(x)
        white = torch.linalg.solve_triangular(factor, (y - self.mean(x))[..., None], upper=False)[..., 0]
        log_volume = factor.diagonal(dim1=1, dim2=2).log().sum(1)
        return -0.5 * white.square().sum(1) - log_volume - 0.5 * y.shape[1] * math.log(2 * math.pi)
