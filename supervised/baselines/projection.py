"""One linear projection that is learned from the training classes: the classical way to transfer between classes.

Probabilistic linear discriminant analysis: Sergey Ioffe, "Probabilistic Linear Discriminant Analysis", ECCV 2006,
https://doi.org/10.1007/11744085_41. Samples of a class are normal about its centre with one covariance W for all
classes, and centres are normal with a covariance B. W and B are sums over the training episodes; a projection makes W
the unit matrix and B diagonal. In it a class of which some samples are known has a normal posterior, and a query goes
to the class under which it is likeliest.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from metaenv.limits import Count, Share
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import one_hot
from metaenv.supervised.learner import Learner, LearnerConfig
from metaenv.supervised.learners.prototypical import prototypes
from metaenv.supervised.predictor import Adapted


class SummedBaseline(Learner):
    """A baseline that is learned in closed form, from sums over the training episodes.

    No loss is descended, so that the log of a training has a loss of 0. What has been solved is kept until there are
    more sums.
    """

    cpu_only = True

    @abstractmethod
    def _collect(self, batch: EpisodeBatch) -> None:
        """Add scaled episodes to the sums, which are buffers of the network."""

    @abstractmethod
    def _solve(self) -> Any:
        """What adapting needs, from the sums."""

    def _update(self, batch: EpisodeBatch) -> dict[str, float]:
        self._collect(batch)
        return {"loss": 0.0}

    def _solution(self) -> Any:
        kept: tuple[int, Any] | None = getattr(self, "_kept", None)
        if kept is None or kept[0] != self.iteration:
            kept = self._kept = (self.iteration, self._solve())
        return kept[1]


@dataclass(frozen=True)
class ProjectionConfig(LearnerConfig):
    """Settings of `LinearProjection`."""

    components: Count = 256
    """Samples of more features are first reduced to so many principal components of the first training episodes."""
    shrinkage: Share = 0.1
    """Share of the unit matrix in the covariance within classes, relative to the mean variance (chosen)."""


class LinearProjection(SummedBaseline):
    """Probabilistic linear discriminant analysis, learned from the training classes; see the module's docstring.

    An anomaly is scored by the likelihood of a new class over that of the normal one.
    """

    config_class = ProjectionConfig
    kinds = ("classification", "anomaly")
    alternative = "a number has no class; choose ridge-to-mean or meta-gp"
    variable_n_way = True
    config: ProjectionConfig
    network: _Sums

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        inputs = math.prod(self.problem.x_shape)
        return _Sums(inputs, min(inputs, self.config.components))

    def _collect(self, batch: EpisodeBatch) -> None:
        x, y = batch.samples()
        x, sums = x.flatten(2).double(), self.network
        if not sums.begun:
            sums.begin(x.flatten(0, 1))
        z = (x - sums.centre) @ sums.basis
        if self.problem.kind == "anomaly":  # the normal class of each task is a class; what the others are is not told
            normal = (y == 0)[..., None].double()
            means = (z * normal).sum(1, keepdim=True) / normal.sum(1, keepdim=True)
            residuals, counts = (z - means) * normal, normal.sum((1, 2))[:, None]
            spread = (means - means.mean(0)).flatten(0, 1)
            between_freedom = len(means) - 1
        else:
            ways = self.problem.n_outputs
            means, counts = prototypes(z, y, ways), one_hot(y, ways).sum(1)
            residuals = z - means.gather(1, y[..., None].expand(z.shape))
            spread = (means - means.mean(1, keepdim=True)).flatten(0, 1)
            between_freedom = len(means) * (ways - 1)
        flat = residuals.flatten(0, 1)
        sums.within += flat.T @ flat
        sums.between += spread.T @ spread
        sums.counts += torch.tensor(
            [float(counts.sum()) - counts.numel(), between_freedom, float((1 / counts).sum()), counts.numel()]
        )

    def _solve(self) -> _Projection:
        """The projection, and the variance of the centres along each of its axes, that within classes being 1."""
        sums = self.network
        if not sums.begun:
            raise ValueError("expected a trained linear-projection; call meta_fit with at least one iteration")
        of_within, of_between, inverse_sizes, classes = sums.counts.tolist()
        within = sums.within / max(of_within, 1.0)
        mean_variance = within.diagonal().mean().clamp_min(1e-12)
        eye = torch.eye(len(within), dtype=within.dtype)
        within = (1 - self.config.shrinkage) * within + self.config.shrinkage * mean_variance * eye
        # Means of few samples are spread by the variance within classes, too.
        between = sums.between / max(of_between, 1.0) - within * (inverse_sizes / classes)
        values, vectors = torch.linalg.eigh(within)
        whiten = vectors / values.sqrt()
        variance, axes = torch.linalg.eigh(whiten.T @ between @ whiten)
        kept = variance > 0
        return _Projection(sums.centre, sums.basis @ whiten @ axes[:, kept], variance[kept])

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        found: _Projection = self._solution()
        z, ways = found.of(support_x), int(support_y.max()) + 1
        counts = one_hot(support_y, ways).sum(1).double()[..., None]  # (tasks, ways, 1)
        means = prototypes(z, support_y, ways)
        middle = means.mean(1, keepdim=True) if self.problem.kind == "classification" else found.middle
        belief = found.variance / (found.variance + 1 / counts)  # share of what was seen in the posterior mean
        centres = middle + belief * (means - middle)
        spread = 1 + belief / counts  # of a query about the posterior mean

        def log_likelihood(q: Tensor, centre: Tensor, variance: Tensor) -> Tensor:
            """(tasks, queries, classes), up to a constant that all share."""
            precision = 1 / variance.expand(centre.shape)
            cross = q @ (centre * precision).transpose(1, 2) - 0.5 * q.square() @ precision.transpose(1, 2)
            return cross - 0.5 * (centre.square() * precision - precision.log()).sum(-1)[:, None]

        def predict(query: Tensor) -> Tensor:
            q = found.of(query)
            known = log_likelihood(q, centres, spread)
            if self.problem.kind == "classification":
                return known.float()
            prior = (found.middle.expand(len(q), 1, -1), (1 + found.variance)[None, None])
            return (log_likelihood(q, *prior) - known)[..., 0].float()

        return predict


class _Projection(NamedTuple):
    """What has been solved."""

    centre: Tensor  # (features,)
    axes: Tensor  # (features, kept)
    variance: Tensor  # (kept,)

    def of(self, x: Tensor) -> Tensor:
        """(tasks, samples, kept) of samples (tasks, samples, *x_shape)."""
        return (x.flatten(2).double() - self.centre) @ self.axes

    @property
    def middle(self) -> Tensor:
        """(1, 1, kept): where the mean of the training samples lies."""
        return torch.zeros(1, 1, len(self.variance), dtype=torch.float64)


class _Sums(nn.Module):
    """Sums over training episodes, as buffers, so that checkpoints keep them."""

    centre: Tensor
    basis: Tensor
    within: Tensor
    between: Tensor
    counts: Tensor

    def __init__(self, inputs: int, components: int) -> None:
        super().__init__()
        basis = torch.eye(inputs, dtype=torch.float64) if inputs == components else torch.zeros(inputs, components)
        self.register_buffer("centre", torch.zeros(inputs, dtype=torch.float64))
        self.register_buffer("basis", basis.double())
        self.register_buffer("within", torch.zeros(components, components, dtype=torch.float64))
        self.register_buffer("between", torch.zeros(components, components, dtype=torch.float64))
        # Degrees of freedom within and between classes, the sum of 1 / samples of a class, and the number of classes.
        self.register_buffer("counts", torch.zeros(4, dtype=torch.float64))

    @property
    def begun(self) -> bool:
        """Whether any episode has been added."""
        return bool(self.counts[3] > 0)

    def begin(self, x: Tensor) -> None:
        """Take the centre, and the principal components if there are fewer than features, from x (n, features)."""
        self.centre.copy_(x.mean(0))
        if self.basis.shape[1] < self.basis.shape[0]:
            components = torch.linalg.svd(x - self.centre, full_matrices=False).Vh[: self.basis.shape[1]]
            self.basis[:, : len(components)].copy_(components.T)
