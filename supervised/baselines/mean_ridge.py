"""Ridge regression towards the mean weights of the training tasks, with a penalty that is chosen on training tasks.

Ridge regression is the posterior mean under a normal prior of the weights about zero (Hastie, Tibshirani and Friedman
2009, section 3.4.1); here the prior is about the weights that fit all training tasks together, and its width is learned
from them: empirical Bayes, as in Bradley Efron, Carl Morris, "Stein's Estimation Rule and Its Competitors", Journal of
the American Statistical Association 68, 1973, https://doi.org/10.1080/01621459.1973.10481350.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from metaenv.supervised.baselines.projection import SummedBaseline
from metaenv.supervised.baselines.simple import with_constant
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.predictor import Adapted

PENALTIES = tuple(10.0**e for e in range(-2, 5))
"""To choose from, of the weights' and of the offset's squared distance to the mean (chosen)."""
FIRST_UPDATES = 5  # whose episodes only serve the mean weights, so that there are some to be tried (chosen)
LEAST_PENALTY = 1e-6  # of the mean weights, relative to the mean squared feature (chosen, so that it can be inverted)


class RidgeToMean(SummedBaseline):
    """Ridge regression towards the training tasks' mean weights; see the module's docstring.

    Penalties of weights and offset are those of least query error over the training episodes, each of which is tried
    with the mean weights of the episodes before it.
    """

    kinds = ("regression",)
    alternative = "a class is no number; choose linear, lda or linear-projection"
    network: _Sums

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        return _Sums(math.prod(self.problem.x_shape) + 1, len(PENALTIES))

    def _collect(self, batch: EpisodeBatch) -> None:
        sums = self.network
        if int(sums.updates) >= FIRST_UPDATES:
            mean, (sx, qx) = (
                sums.mean_weights(),
                (with_constant(batch.support_x.double()), with_constant(batch.query_x.double())),
            )
            target = batch.query_y.double()
            for i, of_weights in enumerate(PENALTIES):
                for j, of_offset in enumerate(PENALTIES):
                    weights = towards(mean, sx, batch.support_y, of_weights, of_offset)
                    sums.errors[i, j] += ((qx @ weights)[..., 0] - target).square().mean()
        x, y = batch.samples()
        flat, target = with_constant(x.double()).flatten(0, 1), y.double().flatten()
        sums.squares += flat.T @ flat
        sums.products += flat.T @ target
        sums.updates += 1

    def _solve(self) -> tuple[Tensor, float, float]:
        sums = self.network
        if int(sums.updates) == 0:
            raise ValueError("expected a trained ridge-to-mean; call meta_fit with at least one iteration")
        best = int(sums.errors.argmin()) if int(sums.updates) > FIRST_UPDATES else sums.errors.numel() // 2
        return sums.mean_weights(), PENALTIES[best // len(PENALTIES)], PENALTIES[best % len(PENALTIES)]

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        mean, of_weights, of_offset = self._solution()
        weights = towards(mean, with_constant(support_x.double()), support_y, of_weights, of_offset)
        return lambda x: (with_constant(x.double()) @ weights)[..., 0].float()


def towards(mean: Tensor, x: Tensor, y: Tensor, of_weights: float, of_offset: float) -> Tensor:
    """Weights w (tasks, d, 1) of least sum |y - x w|^2 + penalty |w - mean|^2, the last weight being the offset.

    For x (tasks, n, d), y (tasks, n) and mean (d,); solved in the n dimensions of the support set.
    """
    width = torch.full_like(mean, 1 / of_weights)  # of the prior, in units of the noise
    width[-1] = 1 / of_offset
    gram = (x * width) @ x.transpose(1, 2) + torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    residual = y.double() - x @ mean
    return mean[:, None] + (x * width).transpose(1, 2) @ torch.linalg.solve(gram, residual[..., None])


class _Sums(nn.Module):
    """Sums over training episodes, as buffers, so that checkpoints keep them."""

    squares: Tensor
    products: Tensor
    errors: Tensor
    updates: Tensor

    def __init__(self, weights: int, penalties: int) -> None:
        super().__init__()
        self.register_buffer("squares", torch.zeros(weights, weights, dtype=torch.float64))
        self.register_buffer("products", torch.zeros(weights, dtype=torch.float64))
        self.register_buffer("errors", torch.zeros(penalties, penalties, dtype=torch.float64))
        self.register_buffer("updates", torch.tensor(0))

    def mean_weights(self) -> Tensor:
        """(weights,) that fit all training samples together."""
        level = LEAST_PENALTY * self.squares.diagonal().mean()
        eye = torch.eye(len(self.squares), dtype=self.squares.dtype)
        return torch.linalg.solve(self.squares + level * eye, self.products)
