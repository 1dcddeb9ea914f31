"""Marta Garnelo, Dan Rosenbaum, Christopher J. Maddison, et al., "Conditional Neural Processes".

ICML 2018, https://arxiv.org/abs/1807.01613

Each sample of the support set is encoded with its label, the codes are averaged, and a decoder predicts a query from
the average (equations 1 to 3): a set goes in, so that its order does not matter, and adapting is one pass. In
regression the decoder gives a mean and a standard deviation, and training maximises the log density of the queries.

In classification the codes are averaged by class (section 4.3), and one decoder gives the logit of each class from the
average of the class and that of all samples, so that the number of classes may change. Training minimises the
cross-entropy. For anomalies there is one class, and its decoder's output is the score.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from metaenv.limits import Count, NotNegative
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import normal_loss
from metaenv.supervised.learner import Learner, LearnerConfig
from metaenv.supervised.learners.backbones import MLP
from metaenv.supervised.learners.prototypical import prototypes
from metaenv.supervised.predictor import Adapted, Prediction

LEAST_STD = 0.01  # in units of the scaled y: the log density has no bound without (chosen)


@dataclass(frozen=True)
class NeuralProcessConfig(LearnerConfig):
    """Settings of `NeuralProcess`."""

    width: Count = 128
    """Units of the encoder and decoder, and numbers in a code (128 in the paper's one-dimensional regression)."""
    beta: NotNegative = 0.5
    """Exponent of the predicted variance that weighs each query's log density in regression; see
    `negative_log_density`. 0 in the paper."""


class NeuralProcess(Learner):
    """Conditional neural process; see the module's docstring. Predictions of regression have a standard deviation."""

    config_class = NeuralProcessConfig
    variable_n_way = True
    config: NeuralProcessConfig
    network: _Coder

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        return _Coder(backbone, features, self.problem.kind == "regression", self.config.width)

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        coder, z = self.network, self._embed(support_x)
        if self.problem.kind == "regression":
            codes = coder.encode(torch.cat([z, support_y[..., None]], -1)).mean(1, keepdim=True)

            def predict(x: Tensor) -> Prediction:
                q = self._embed(x)
                return as_normal(coder.decode(torch.cat([q, codes.expand(-1, q.shape[1], -1)], -1)))

            return predict
        codes = coder.encode(z)
        of_class = prototypes(codes, support_y, int(support_y.max()) + 1)  # (tasks, ways, width)
        known = torch.cat([of_class, codes.mean(1, keepdim=True).expand_as(of_class)], -1)

        def score(x: Tensor) -> Tensor:
            q = self._embed(x)
            shape = (q.shape[0], q.shape[1], known.shape[1])
            pairs = [q[:, :, None].expand(*shape, -1), known[:, None].expand(*shape, -1)]
            logits = coder.decode(torch.cat(pairs, -1))[..., 0]
            return logits[..., 0] if self.problem.kind == "anomaly" else logits

        return score

    def _meta_loss(self, batch: EpisodeBatch) -> Tensor:
        """Minus the log density of the queries in regression, the cross-entropy otherwise."""
        if self.problem.kind != "regression":
            return super()._meta_loss(batch)
        found = self._adapt(batch.support_x, batch.support_y)(batch.query_x)
        return negative_log_density(found, batch.query_y, self.config.beta)


def as_normal(numbers: Tensor) -> Prediction:
    """A normal distribution from two outputs of a network, (tasks, queries, 2)."""
    return Prediction(numbers[..., 0], LEAST_STD + softplus(numbers[..., 1]))


def negative_log_density(found: Tensor | Prediction, y: Tensor, beta: float = 0.0) -> Tensor:
    """(tasks,) mean over the queries of minus the log density of y under normal predictions.

    Each query counts by its predicted variance to the power ``beta``, taken as a constant: Maximilian Seitzer, Arash
    Tavakoli, Dimitrije Antic, Georg Martius, "On the Pitfalls of Heteroscedastic Uncertainty Estimation with
    Probabilistic Neural Networks", ICLR 2022, https://arxiv.org/abs/2203.09168. With 0 a query that is called uncertain
    is hardly learned any more, and means stay coarse; with 1 the mean has the gradient of the squared error.
    """
    assert isinstance(found, Prediction) and found.std is not None
    return (found.std.detach() ** (2 * beta) * normal_loss(found.output, found.std, y)).mean(1)


class _Coder(nn.Module):
    """The backbone, the encoder of a sample and the decoder of a query."""

    def __init__(self, backbone: nn.Module, features: int, regression: bool, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.encode = nn.Sequential(MLP(features + regression, (width, width)), nn.Linear(width, width))
        known = width if regression else 2 * width
        self.decode = nn.Sequential(MLP(features + known, (width, width)), nn.Linear(width, 1 + regression))
