"""A Gaussian process for each task, fitted to its support set alone.

Carl Edward Rasmussen, Christopher Williams, "Gaussian Processes for Machine Learning", MIT Press 2006,
https://gaussianprocess.org/gpml: prediction by equations 2.25 and 2.26, marginal likelihood by equation 5.8.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metaenv.supervised.baselines.simple import UntrainedBaseline
from metaenv.supervised.learners.prototypical import squared_distances
from metaenv.supervised.predictor import Adapted, Prediction

LENGTH_SCALES = tuple(0.1 * 10 ** (i / 6) for i in range(13))
"""To choose from, times the square root of the number of features: 0.1 to 10 (chosen)."""
NOISES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""To choose from: variance of the noise over that of the signal (chosen)."""


class TaskGP(UntrainedBaseline):
    """Squared-exponential kernel and constant mean; length scale and noise of greatest marginal likelihood on a grid.

    The signal's variance follows in closed form. A grid, because with five samples the likelihood has several
    maxima, and to be batched over tasks. Predictions have a standard deviation.
    """

    kinds = ("regression",)
    alternative = "choose linear, knn or random-forest for classification, isolation-forest for anomalies"

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        x, mean = support_x.flatten(2).double(), support_y.double().mean(1, keepdim=True)  # samples may be much alike
        distances, y = squared_distances(x, x), support_y - mean
        scale, noise = self._fit(distances, y, x.shape[2])
        factor, alpha, signal = _solved(distances, y, scale, noise)

        def predict(query: Tensor) -> Prediction:
            cross = _kernel(squared_distances(query.flatten(2).double(), x), scale)  # (tasks, queries, support)
            explained = torch.linalg.solve_triangular(factor, cross.transpose(1, 2), upper=False).square().sum(1)
            variance = signal[:, None] * ((1 - explained).clamp_min(0) + noise[:, None])
            return Prediction(((cross @ alpha)[..., 0] + mean).float(), variance.sqrt().float())

        return predict

    def _fit(self, distances: Tensor, y: Tensor, features: int) -> tuple[Tensor, Tensor]:
        """Length scale and noise (tasks,) of greatest marginal likelihood, at the best variance of the signal."""
        grid = [(s * math.sqrt(features), v) for s in LENGTH_SCALES for v in NOISES]
        candidates, likelihood = torch.tensor(grid, dtype=distances.dtype), list[Tensor]()
        for scale, noise in candidates:
            factor, _, signal = _solved(distances, y, scale.expand(len(y)), noise.expand(len(y)))
            likelihood.append(-0.5 * y.shape[1] * signal.log() - factor.diagonal(dim1=1, dim2=2).log().sum(1))
        best = candidates[torch.stack(likelihood).argmax(0)]
        return best[:, 0], best[:, 1]


def _kernel(distances: Tensor, scale: Tensor) -> Tensor:
    return (-0.5 * distances.clamp_min(0) / scale.square()[:, None, None]).exp()


def _solved(distances: Tensor, y: Tensor, scale: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cholesky factor of the covariance K, K^-1 y (tasks, n, 1) and the likeliest variance of the signal (tasks,)."""
    factor = torch.linalg.cholesky(_kernel(distances, scale) + noise[:, None, None] * torch.eye(y.shape[1]))
    alpha = torch.cholesky_solve(y[..., None], factor)
    return factor, alpha, (alpha[..., 0] * y).mean(1).clamp_min(1e-10)
