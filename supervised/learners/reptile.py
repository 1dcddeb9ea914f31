"""Alex Nichol, Joshua Achiam, John Schulman, "On First-Order Meta-Learning Algorithms", 2018.

https://arxiv.org/abs/1803.02999

Learns the first weights of a network by training on a task for several steps and moving the weights some of the way to
where that led (Algorithm 1, and 2 for a batch of tasks); no gradient goes through the inner loop, and training
episodes need no split: support and queries alike are samples to train on, in minibatches.

With ``normalize="support"`` the features before the last layer are standardised, when training by those of the
minibatch, and when adapting by those of the support set (`metaenv.supervised.learners.support_statistics`), which shows
no query to another. It is not in the paper, whose networks have batch normalisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metaenv.limits import Count, CountOrZero, NotNegative
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import squeeze_output, task_loss
from metaenv.supervised.learner import Learner, LearnerConfig
from metaenv.supervised.learners.per_task import Weights, gradients, outputs
from metaenv.supervised.learners.support_statistics import Normalize, StandardisedNetwork
from metaenv.supervised.predictor import Adapted

ADAM_DECAY, ADAM_EPSILON = 0.999, 1e-8  # of the squared gradient (Kingma and Ba 2015, the usual)


@dataclass(frozen=True)
class ReptileConfig(LearnerConfig):
    """Settings of `Reptile`. Defaults follow the paper's 5-way Omniglot where it says (Table 5)."""

    learning_rate: NotNegative = 1.0
    """Meta step size: the share of the way to the adapted weights. 1 in the paper, falling to 0."""
    lr_decay: Literal["none", "linear"] = "linear"
    """As in the paper."""
    tasks_per_batch: Count = 5
    """Tasks whose moves are averaged. `max_grad_norm` clips the averaged move."""
    inner_lr: NotNegative = 1e-3
    """Step size of the inner loop."""
    inner_optimizer: Literal["adam", "sgd"] = "adam"
    """Adam without momentum, as in the paper, or plain gradient descent. Adam starts anew on each task."""
    inner_steps: Count = 5
    """Inner steps in training."""
    inner_batch: Count = 10
    """Samples in a minibatch of the inner loop; at most all there are."""
    test_steps: CountOrZero = 50
    """Inner steps in `adapt`, on minibatches of the support set."""
    normalize: Normalize = "none"
    """"support" standardises features; characters are hardly learned without (docs/results.md)."""


class Reptile(Learner):
    """Reptile; see the module's docstring. An anomaly learner cannot be had from it: support sets have one label."""

    config_class = ReptileConfig
    kinds = ("classification", "regression")
    alternative = "its inner loop sees one label only and learns to give that; choose maml, prototypical or matching"
    config: ReptileConfig
    network: StandardisedNetwork

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        self.test_steps = self.config.test_steps
        return StandardisedNetwork(backbone, nn.Linear(features, self.problem.n_outputs), self.config.normalize)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        # Moving a share of the way is a step of gradient descent, with the difference as gradient.
        return torch.optim.SGD(self.network.parameters(), lr=self.config.learning_rate)

    def _update(self, batch: EpisodeBatch) -> dict[str, float]:
        x, y = batch.samples()
        weights, loss = self._train_tasks(x, y, self.config.inner_steps, self.generator)
        for name, w in self.network.named_parameters():
            w.grad = (w - weights[name].mean(0)).detach()
        return self._clipped_step(loss)

    def _train_tasks(self, x: Tensor, y: Tensor, steps: int, generator: torch.Generator) -> tuple[Weights, float]:
        """Weights of each task (tasks, …) after so many steps on minibatches of its samples, and the mean loss."""
        n = len(x)
        weights = {k: w.detach().expand(n, *w.shape) for k, w in self.network.named_parameters()}
        squares = {k: torch.zeros_like(w) for k, w in weights.items()}
        losses: list[float] = []
        batches = minibatches(x.shape[1], min(self.config.inner_batch, x.shape[1]), steps, generator)
        for step, rows in enumerate(batches):
            gradient, loss = gradients(self._loss, weights, x[:, rows], y[:, rows])
            weights = self._step(weights, squares, gradient, step)
            losses.append(float(loss.mean()))
        return weights, sum(losses) / max(1, len(losses))

    def _step(self, weights: Weights, squares: Weights, gradient: Weights, step: int) -> Weights:
        lr = self.config.inner_lr
        if self.config.inner_optimizer == "sgd":
            return {k: w - lr * gradient[k] for k, w in weights.items()}
        for k, g in gradient.items():
            squares[k].mul_(ADAM_DECAY).addcmul_(g, g, value=1 - ADAM_DECAY)
        unbiased = 1 - ADAM_DECAY ** (step + 1)
        return {k: w - lr * gradient[k] / ((squares[k] / unbiased).sqrt() + ADAM_EPSILON) for k, w in weights.items()}

    def _output(self, weights: Weights, x: Tensor, support_x: Tensor | None = None) -> Tensor:
        return squeeze_output(self.problem.kind, functional_call(self.network, weights, (x, support_x)))

    def _loss(self, weights: Weights, x: Tensor, y: Tensor) -> Tensor:
        return task_loss(self.problem.kind, self._output(weights, x), y)

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        # A generator of its own: the same support set always gives the same predictor.
        generator = torch.Generator().manual_seed(self.seed)
        weights, _ = self._train_tasks(support_x, support_y, self.test_steps, generator)
        beside = self.network.support(support_x)
        return lambda x: outputs(self._output, weights, x, *beside)


def minibatches(n: int, size: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """``steps`` index tensors (size,): walks through shuffles of 0 … n-1, as in the paper's code."""
    rows = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        while len(rows) < size:
            rows = torch.cat([rows, torch.randperm(n, generator=generator)])
        yield rows[:size]
        rows = rows[size:]
