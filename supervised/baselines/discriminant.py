"""Discriminant analysis of the support set alone: the classical methods for few samples of many features.

`LinearDiscriminant` gives all classes one covariance, shrunk after Olivier Ledoit, Michael Wolf, "A well-conditioned
estimator for large-dimensional covariance matrices", Journal of Multivariate Analysis 88, 2004,
https://doi.org/10.1016/S0047-259X(03)00096-4. `NaiveBayes` gives each class a variance by feature. Both are in Trevor
Hastie, Robert Tibshirani, Jerome Friedman, "The Elements of Statistical Learning", 2009, sections 4.3 and 6.6.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metaenv.limits import Positive
from metaenv.supervised.baselines.simple import UntrainedBaseline
from metaenv.supervised.data.problem import one_hot
from metaenv.supervised.learner import LearnerConfig
from metaenv.supervised.learners.prototypical import prototypes
from metaenv.supervised.predictor import Adapted

SMALL = 1e-12  # a variance below is none (chosen)


class LinearDiscriminant(UntrainedBaseline):
    """Linear discriminant analysis with the covariance within classes, pooled and shrunk after Ledoit and Wolf.

    With one sample of each class there is no variance within classes, and the class whose sample is nearest wins.
    """

    kinds = ("classification",)
    alternative = "one class has no other to be told from, and a number is none; choose knn, linear or gp"

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        x, ways = support_x.flatten(2).double(), int(support_y.max()) + 1
        means = prototypes(x, support_y, ways)
        residuals = x - means.gather(1, support_y[..., None].expand(x.shape))
        level, slope = shrunk_covariance(residuals)
        solved = solve_covariance(residuals, level, slope, means.transpose(1, 2))  # (tasks, features, ways)
        offset = class_log_shares(support_y, ways) - 0.5 * (means.transpose(1, 2) * solved).sum(1)
        return lambda query: (query.flatten(2).double() @ solved + offset[:, None]).float()


def class_log_shares(y: Tensor, ways: int) -> Tensor:
    """(tasks, ways) logarithm of the share of each class among labels y (tasks, samples)."""
    return one_hot(y, ways).mean(1).double().log()


def shrunk_covariance(residuals: Tensor) -> tuple[Tensor, Tensor]:
    """What the covariance ``level I + slope R'R`` of centred samples R (tasks, n, d) is made of, each (tasks,).

    Equations 14 to 16 of Ledoit and Wolf 2004, written with the n by n matrix RR', which has the same sum of squares
    as R'R. Samples that are all alike get the unit matrix.
    """
    n, d = residuals.shape[1:]
    gram = residuals @ residuals.transpose(1, 2)
    trace = gram.diagonal(dim1=1, dim2=2).sum(1) / n
    mean_variance = trace / d
    squares = gram.square().sum((1, 2)) / n**2
    fourth = gram.diagonal(dim1=1, dim2=2).square().sum(1) / n
    dispersion = squares - d * mean_variance**2
    share = ((fourth - squares) / n / dispersion.clamp_min(SMALL)).clamp(0, 1)
    share = torch.where(dispersion > SMALL, share, torch.ones_like(share))
    level = torch.where(mean_variance > SMALL, share * mean_variance, torch.ones_like(share))
    return level, (1 - share) / n


def solve_covariance(residuals: Tensor, level: Tensor, slope: Tensor, right: Tensor) -> Tensor:
    """(level I + slope R'R)^-1 right, for right (tasks, d, m), in the n dimensions of R (Woodbury)."""
    level, slope = level[:, None, None], slope[:, None, None]
    gram = residuals @ residuals.transpose(1, 2)
    inner = level * torch.eye(gram.shape[1], dtype=gram.dtype) + slope * gram
    return (right - slope * residuals.transpose(1, 2) @ torch.linalg.solve(inner, residuals @ right)) / level


@dataclass(frozen=True)
class NaiveBayesConfig(LearnerConfig):
    """Settings of `NaiveBayes`."""

    smoothing: Positive = 0.03
    """This share of the largest variance of a feature is added to all variances. Chosen on validation episodes of six
    families; scikit-learn's 1e-9 is for many samples, and five alike would then be certain."""


class NaiveBayes(UntrainedBaseline):
    """Gaussian naive Bayes: each class has a mean and a variance by feature, and features are independent."""

    config_class = NaiveBayesConfig
    kinds = ("classification",)
    alternative = "one class has no other to be told from, and a number is none; choose knn, linear or gp"
    config: NaiveBayesConfig

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        x, ways = support_x.flatten(2).double(), int(support_y.max()) + 1
        means = prototypes(x, support_y, ways)
        squares = prototypes(x.square(), support_y, ways)
        floor = self.config.smoothing * x.var(1, correction=0).amax(-1)
        variance = (squares - means.square()).clamp_min(0) + floor.clamp_min(SMALL)[:, None, None]
        log_share = class_log_shares(support_y, ways)
        # The factor (2 pi)^(-d/2) of the densities is the same for all classes.
        constant = log_share - 0.5 * (means.square() / variance + variance.log()).sum(-1)

        def predict(query: Tensor) -> Tensor:
            q = query.flatten(2).double()
            precision = (1 / variance).transpose(1, 2)
            quadratic = q @ (means / variance).transpose(1, 2) - 0.5 * q.square() @ precision
            return (quadratic + constant[:, None]).float()

        return predict
