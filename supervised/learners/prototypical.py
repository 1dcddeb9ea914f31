"""Jake Snell, Kevin Swersky, Richard Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017.

https://arxiv.org/abs/1703.05175

A class is the mean of its support samples in a learned space (equation 1), and a query belongs to the class whose mean
is near: softmax over minus the squared Euclidean distances (equation 2).

There is no prototype of a number, so for regression the embedding is kept and the head becomes the linear model that a
squared Euclidean distance implies (section 2.4): ridge regression on the embedded support set, in closed form and
trained through, as in Bertinetto et al. 2019, "Meta-learning with differentiable closed-form solvers", R2-D2,
https://arxiv.org/abs/1805.08136. For anomalies the score is the distance to the one prototype of the normal samples,
with a scale and an offset that are learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metaenv.limits import NotNegative
from metaenv.supervised.data.problem import one_hot
from metaenv.supervised.learner import Learner, LearnerConfig
from metaenv.supervised.predictor import Adapted


@dataclass(frozen=True)
class PrototypicalConfig(LearnerConfig):
    """Settings of `Prototypical`."""

    ridge: NotNegative = 1.0
    """First strength of the ridge penalty in regression; it is learned (chosen)."""


class Prototypical(Learner):
    """Prototypical Networks; see the module's docstring.

    It can be trained on more classes an episode than it is used on: 60 against 5 in the paper's Omniglot.
    """

    config_class = PrototypicalConfig
    variable_n_way = True
    config: PrototypicalConfig
    network: _Space

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        return _Space(backbone, features, self.config.ridge)

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        space, z = self.network, self._embed(support_x)
        if self.problem.kind == "regression":
            weights, offset = ridge_head(z, support_y, space.log_ridge.exp())
            return lambda x: (self._embed(x) @ weights)[..., 0] + offset
        ways = int(support_y.max()) + 1  # one for anomalies
        centres = prototypes(z, support_y, ways)
        if self.problem.kind == "classification":
            return lambda x: -squared_distances(self._embed(x), centres)
        return lambda x: space.log_scale.exp() * squared_distances(self._embed(x), centres)[..., 0] - space.offset


class _Space(nn.Module):
    def __init__(self, backbone: nn.Module, features: int, ridge: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.log_ridge = nn.Parameter(torch.tensor(ridge).log())
        self.log_scale = nn.Parameter(torch.tensor(1.0 / features).log())
        self.offset = nn.Parameter(torch.tensor(1.0))


def prototypes(z: Tensor, y: Tensor, ways: int) -> Tensor:
    """Mean of each class, (tasks, ways, features), of embeddings (tasks, support, features) with labels y."""
    member = one_hot(y, ways).transpose(1, 2).to(z.dtype)  # (tasks, ways, support)
    return member @ z / member.sum(-1, keepdim=True)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances (tasks, n, m) between a (tasks, n, features) and b (tasks, m, features)."""
    products = a @ b.transpose(1, 2)
    return a.square().sum(-1)[:, :, None] - 2 * products + b.square().sum(-1)[:, None, :]


def ridge_head(z: Tensor, y: Tensor, penalty: Tensor | float) -> tuple[Tensor, Tensor]:
    """Weights (tasks, d, 1) and offset (tasks, 1) of the ridge regression of y (tasks, n) on z (tasks, n, d).

    The offset is not penalised. Solved in the n dimensions of the support set (Woodbury), which are few.
    """
    z_mean, y_mean = z.mean(1, keepdim=True), y.mean(1, keepdim=True)
    centred = z - z_mean
    gram = centred @ centred.transpose(1, 2) + penalty * torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    weights = centred.transpose(1, 2) @ torch.linalg.solve(gram, (y - y_mean)[..., None])
    return weights, y_mean - (z_mean @ weights)[..., 0]
