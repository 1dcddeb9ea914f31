"""Prediction of the hidden task's vector, as an auxiliary loss in training and as an input of the policy.

Humplik, Galashov, Hasenclever, Ortega, Teh and Heess 2019, "Meta reinforcement learning as task inference",
https://arxiv.org/abs/1905.06424. The true vector is a privilege of training. `metaenv.agents.variational_belief` infers
a belief without it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits


class TaskHead(nn.Linear):
    """A linear map from features to the task vector, or to its logits where it consists of indicators.

    Args:
        feature_size: length of the features.
        task_dim: length of the task vector.
        loss: "mse" for any vector, "bce" for indicators in [0, 1].
    """

    def __init__(self, feature_size: int, task_dim: int, loss: Literal["mse", "bce"]) -> None:
        super().__init__(feature_size, task_dim)
        self.binary = loss == "bce"

    @torch.no_grad()
    def predict(self, features: Tensor) -> Tensor:
        """The predicted task vectors (..., task_dim), or probabilities of indicators, without gradient."""
        output = self(features)
        return output.sigmoid() if self.binary else output

    def error(self, features: Tensor, vectors: Tensor) -> Tensor:
        """Loss (...) of predicting `vectors` (..., task_dim): squared error, or cross entropy in nats, per
        coordinate."""
        output = self(features)
        if self.binary:
            return binary_cross_entropy_with_logits(output, vectors, reduction="none").mean(-1)
        return (output - vectors).square().mean(-1)

    def mean_error(self, features: Tensor, vectors: Tensor) -> Tensor:
        """The mean of `error` over all rows."""
        output = self(features)
        return binary_cross_entropy_with_logits(output, vectors) if self.binary else (output - vectors).square().mean()

    def check(self, vectors: NDArray[np.float32]) -> None:
        """Raise ValueError where indicators are predicted and a vector (..., task_dim) lies outside [0, 1]."""
        if self.binary and not ((vectors >= 0) & (vectors <= 1)).all():
            raise ValueError(
                f'Expected task vectors in [0, 1], because the prediction\'s loss is "bce"; got {vectors.min():g} to '
                f'{vectors.max():g} from task_vector(). Use "mse", or an env whose task vector consists of indicators.'
            )
