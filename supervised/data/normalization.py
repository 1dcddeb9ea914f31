"""Centring and scaling of episodes, with one set of numbers for all tasks of a family."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import Problem

ROUNDING = 4 * torch.finfo(torch.float32).eps
"""Standard deviation of a constant in single precision, at most, as a share of it (chosen; one rounding is half an
epsilon)."""


class Scaling(nn.Module):
    """x to mean 0 and standard deviation 1 by feature (vectors) or by channel (sequences, images), y likewise.

    The numbers belong to the family, not to a task: how large a target is, is what a learner has to learn from. What is
    constant in training may be another in tests: it is divided by its own size, if that is more than 1. Nothing is
    scaled until `fit`, and labels never are.
    """

    x_mean: Tensor
    x_std: Tensor
    y_mean: Tensor
    y_std: Tensor
    _fitted: Tensor

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.kind = problem.kind
        shape = (problem.x_shape[0], *[1] * (len(problem.x_shape) - 1))
        self.register_buffer("x_mean", torch.zeros(shape))
        self.register_buffer("x_std", torch.ones(shape))
        self.register_buffer("y_mean", torch.tensor(0.0))
        self.register_buffer("y_std", torch.tensor(1.0))
        self.register_buffer("_fitted", torch.tensor(False))

    @property
    def fitted(self) -> bool:
        """Whether `fit` has been called."""
        return bool(self._fitted)

    def fit(self, batch: EpisodeBatch) -> None:
        """Take the numbers from these episodes."""
        x, y = batch.samples()
        x, y = x.flatten(0, 1).double(), y.double()
        others = [d for d in range(x.ndim) if d != 1]
        self.x_mean.copy_(x.mean(others).reshape(self.x_mean.shape))
        self.x_std.copy_(_usable(x.std(others, correction=0), x.mean(others)).reshape(self.x_std.shape))
        if self.kind == "regression":
            self.y_mean.copy_(y.mean())
            self.y_std.copy_(_usable(y.std(correction=0), y.mean()))
        self._fitted.fill_(True)

    def x(self, x: Tensor) -> Tensor:
        """Scaled samples; of images the channels of a pixel then lie side by side, as fast convolutions have them."""
        scaled = (x - self.x_mean) / self.x_std
        return scaled.movedim(-3, -1).contiguous().movedim(-1, -3) if self.x_mean.ndim == 3 else scaled

    def y(self, y: Tensor) -> Tensor:
        """Scaled targets; labels as they are."""
        return (y - self.y_mean) / self.y_std if self.kind == "regression" else y

    def batch(self, batch: EpisodeBatch) -> EpisodeBatch:
        """Scaled episodes."""
        sx, qx = self.x(batch.support_x), self.x(batch.query_x)
        return replace(
            batch, support_x=sx, support_y=self.y(batch.support_y), query_x=qx, query_y=self.y(batch.query_y)
        )

    def unscaled(self, output: Tensor, std: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Predictions and their standard deviations in the unit of y."""
        if self.kind != "regression":
            return output, std
        return output * self.y_std + self.y_mean, None if std is None else std * self.y_std


def _usable(std: Tensor, mean: Tensor) -> Tensor:
    """Standard deviations; of a constant, which may have been rounded, its own size if that is more than 1, else 1."""
    return torch.where(std > torch.clamp(ROUNDING * mean.abs(), min=1e-8), std, mean.abs().clamp(min=1.0))
