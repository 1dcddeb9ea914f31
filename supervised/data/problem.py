"""What kind of few-shot problem a learner solves, and the loss that goes with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

Kind = Literal["classification", "regression", "anomaly"]


@dataclass(frozen=True)
class Problem:
    """What all tasks of a family share: all that a learner must know to build its network.

    ===============  =======================  ===========================================  ==================
    kind             y                        output of a predictor                        loss
    ===============  =======================  ===========================================  ==================
    classification   int64, 0 … n_outputs-1   logits (tasks, queries, n_outputs)           cross-entropy
    regression       float32                  means (tasks, queries)                       squared error
    anomaly          int64, 1 is anomalous    logit of being anomalous (tasks, queries)    cross-entropy
    ===============  =======================  ===========================================  ==================

    In anomaly detection the support set is all normal (y = 0), and only queries hold anomalies.
    """

    kind: Kind
    x_shape: tuple[int, ...]
    """Of one sample: (features,), (channels, length) or (channels, height, width)."""
    n_outputs: int = 1
    """Number of classes in an episode; 1 for regression and for anomaly detection."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"expected a kind of problem among {get_args(Kind)}, got {self.kind!r}")
        if not self.x_shape or min(self.x_shape) < 1:
            raise ValueError(f"expected the shape of one sample, such as (7,) or (1, 28, 28), got {self.x_shape}")
        if (self.kind == "classification") != (self.n_outputs >= 2) or self.n_outputs < 1:
            raise ValueError(
                f"expected at least 2 classes for classification and 1 output otherwise, got {self.n_outputs} for "
                f"{self.kind}; to tell one class from all else, use kind='anomaly'"
            )

    @property
    def n_classes(self) -> int | None:
        """Classes of an episode, None unless they are classified."""
        return self.n_outputs if self.kind == "classification" else None


def task_loss(kind: Kind, output: Tensor, y: Tensor) -> Tensor:
    """Mean loss (...) over the samples of each task; fit for `torch.func.vmap`.

    For y (..., samples), and an output (..., samples, classes) of logits in classification, (..., samples) otherwise.
    """
    if kind == "classification":
        return -output.log_softmax(-1).gather(-1, y[..., None])[..., 0].mean(-1)
    if kind == "regression":
        return (output - y).square().mean(-1)
    return binary_cross_entropy_with_logits(output, y.to(output.dtype), reduction="none").mean(-1)


def normal_loss(mean: Tensor, std: Tensor, y: Tensor) -> Tensor:
    """Minus the log density of each y under a normal distribution; all have one shape."""
    return 0.5 * ((y - mean) / std).square() + std.log() + 0.5 * math.log(2 * math.pi)


def squeeze_output(kind: Kind, output: Tensor) -> Tensor:
    """A network's (..., n_outputs) as `Problem` says: without the last axis unless it counts classes."""
    return output if kind == "classification" else output[..., 0]


def one_hot(y: Tensor, n_classes: int) -> Tensor:
    """Labels (...) as float32 (..., n_classes)."""
    return (y[..., None] == torch.arange(n_classes, device=y.device)).float()
