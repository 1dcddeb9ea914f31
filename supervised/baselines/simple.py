"""Baselines: methods that use the support set only, and one network for all tasks that does not use it.

They work on samples flattened to vectors and scaled as for the learners (see `Scaling`), and are batched over tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metaenv.limits import Count, NotNegative
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import one_hot, squeeze_output, task_loss
from metaenv.supervised.learner import Learner, LearnerConfig
from metaenv.supervised.learners.prototypical import prototypes, squared_distances
from metaenv.supervised.predictor import Adapted

NEWTON_STEPS = 200  # of the logistic regression (chosen: logits are then right to 0.01)
PENALTIES = tuple(10.0**e for e in range(-3, 5))  # that ridge regression chooses from (chosen)


class UntrainedBaseline(Learner):
    """A method that is not meta-trained; `meta_fit` only takes the scaling from the episodes."""

    variable_n_way = True
    trained = False
    cpu_only = True

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        return nn.Identity()


class NearestCentroid(UntrainedBaseline):
    """The class whose mean is nearest; for regression the mean y, for anomalies the distance to the mean."""

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        if self.problem.kind == "regression":
            return lambda x: support_y.mean(1, keepdim=True).expand(x.shape[:2])
        centres = prototypes(support_x.flatten(2), support_y, int(support_y.max()) + 1)
        if self.problem.kind == "anomaly":
            return lambda x: squared_distances(x.flatten(2), centres)[..., 0]
        return lambda x: -squared_distances(x.flatten(2), centres)


@dataclass(frozen=True)
class NeighboursConfig(LearnerConfig):
    """Settings of `NearestNeighbours`."""

    k: Count = 3
    """Neighbours that vote, at most all there are (chosen)."""


class NearestNeighbours(UntrainedBaseline):
    """Votes, or the mean y, of the k nearest; for anomalies the distance to the k-th. Ties go to the nearer."""

    config_class = NeighboursConfig
    config: NeighboursConfig

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        keys, k = support_x.flatten(2), min(self.config.k, support_y.shape[1])
        ways = int(support_y.max()) + 1 if self.problem.kind == "classification" else 1

        def predict(x: Tensor) -> Tensor:
            near = squared_distances(x.flatten(2), keys).topk(k, dim=-1, largest=False)
            if self.problem.kind == "anomaly":
                return near.values[..., -1].clamp_min(0).sqrt()
            labels = support_y[:, None, :].expand(*x.shape[:2], -1).gather(-1, near.indices)  # (tasks, queries, k)
            if self.problem.kind == "regression":
                return labels.mean(-1)
            weights = 1 + 1e-3 * torch.arange(k, 0, -1) / k  # less than a vote in all, so they only break ties
            votes = (one_hot(labels, ways) * weights[:, None]).sum(-2)
            return ((votes + 0.1) / (votes + 0.1).sum(-1, keepdim=True)).log()

        return predict


@dataclass(frozen=True)
class LinearConfig(LearnerConfig):
    """Settings of `LinearModel`."""

    penalty: NotNegative = 1.0
    """Of the logistic regression: one half of it times the squared weights is added to the sum of the losses."""


class LinearModel(UntrainedBaseline):
    """Logistic regression on the support set; for regression ridge, its penalty chosen by leaving one out."""

    config_class = LinearConfig
    kinds = ("classification", "regression")
    alternative = "one class cannot be separated from none; choose nearest-centroid, knn or isolation-forest"
    config: LinearConfig

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        if self.problem.kind == "regression":
            weights = best_ridge(support_x.flatten(2), support_y)
            return lambda x: (x.flatten(2) @ weights[:, :-1] + weights[:, -1:])[..., 0]
        target = one_hot(support_y, int(support_y.max()) + 1)
        weights = logistic_regression(with_constant(support_x), target, self.config.penalty)
        return lambda x: with_constant(x) @ weights


def with_constant(x: Tensor) -> Tensor:
    """Samples (tasks, n, *x_shape) as rows of numbers, with a 1 behind the others: (tasks, n, d + 1)."""
    flat = x.flatten(2)
    return torch.cat([flat, torch.ones_like(flat[..., :1])], -1)


def logistic_regression(x: Tensor, target: Tensor, penalty: float) -> Tensor:
    """Weights (tasks, d, classes) that minimise the sum of cross-entropies + penalty / 2 * squared weights.

    For x (tasks, n, d) and probabilities ``target`` (tasks, n, classes). Weights lie in the span of the n samples, so n
    coefficients a class are sought, by Newton steps with the bound of Böhning 1992 (Ann. Inst. Statist. Math. 44,
    197-200) on the Hessian: one factorisation serves all steps; they are accelerated after Nesterov 1983.
    """
    kernel = x @ x.transpose(1, 2) / penalty
    factor = torch.linalg.cholesky(0.5 * kernel + torch.eye(x.shape[1], dtype=x.dtype, device=x.device))
    coefficients = ahead = torch.zeros_like(target)
    for step in range(NEWTON_STEPS):
        residual = (kernel @ ahead).softmax(-1) - target + ahead
        new = ahead - torch.cholesky_solve(residual, factor)
        ahead = new + step / (step + 3) * (new - coefficients)
        coefficients = new
    return x.transpose(1, 2) @ coefficients / penalty


def best_ridge(x: Tensor, y: Tensor) -> Tensor:
    """Ridge weights and, last, the offset: (tasks, d + 1, 1), with the penalty of least leave-one-out error.

    For x (tasks, n, d) and y (tasks, n), which are centred first. The error of leaving out sample i has the closed form
    (G y)_i / G_ii, with G the inverse of the penalised kernel (Rasmussen and Williams 2006, equation 5.12); the means
    are not left out.
    """
    x_mean, y_mean = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    centred, target = x - x_mean, (y - y_mean)[..., None]
    kernel = centred @ centred.transpose(1, 2)
    errors, solutions = [], []
    for penalty in PENALTIES:
        inverse = torch.linalg.inv(kernel + penalty * torch.eye(x.shape[1], dtype=x.dtype, device=x.device))
        alpha = inverse @ target
        errors.append((alpha[..., 0] / inverse.diagonal(dim1=1, dim2=2)).square().mean(1))
        solutions.append(alpha)
    best = torch.stack(errors).argmin(0)
    alpha = torch.stack(solutions)[best, torch.arange(len(x))]
    weights = centred.transpose(1, 2) @ alpha
    return torch.cat([weights, y_mean[..., None] - x_mean @ weights], 1)


class NoAdaptation(Learner):
    """One network that is trained on all tasks at once and does not adapt to the support set.

    In N-way classification, where labels are numbered anew in each task, it must stay at chance.
    """

    cpu_only = True

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        return nn.Sequential(backbone, nn.Linear(features, self.problem.n_outputs))

    def _output(self, x: Tensor) -> Tensor:
        return squeeze_output(self.problem.kind, self.network(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def _meta_loss(self, batch: EpisodeBatch) -> Tensor:
        x, y = batch.samples()
        return task_loss(self.problem.kind, self._output(x), y)

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        return self._output
