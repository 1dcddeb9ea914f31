"""Chelsea Finn, Pieter Abbeel, Sergey Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks".

ICML 2017, https://arxiv.org/abs/1703.03400

Learns the first weights of a network, such that a few gradient steps on a support set (equation 1, the inner loop) give
a network that is good at the queries (Algorithm 2, the meta-update, which differentiates through those steps).

Options: ``first_order`` leaves the second derivatives out (section 5.2, "first order approx."). ``anil`` adapts the
last layer alone: Raghu, Raghu, Bengio, Vinyals 2020, "Rapid Learning or Feature Reuse?", https://arxiv.org/abs/1909.09157.
``learn_rates`` gives every weight an inner learning rate that is learned: Li, Zhou, Chen and Li 2017, "Meta-SGD",
https://arxiv.org/abs/1707.09835. For anomalies, the support set is of one class, the queries of two: Frikha, Krompaß,
Köpken and Tresp 2021, "Few-Shot One-Class Classification via Meta-Learning", https://arxiv.org/abs/2007.04146.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from metaenv.limits import Count, CountOrZero, NotNegative
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import squeeze_output, task_loss
from metaenv.supervised.learner import Learner, LearnerConfig
from metaenv.supervised.predictor import Adapted

Weights = dict[str, Tensor]
Engine = Literal["vmap", "loop", "compiled", "timed"]
TIMED: tuple[Engine, ...] = ("vmap", "loop")
TIMINGS = 3  # of each; the first warms up, and the least counts (chosen)
Found = tuple[list[Tensor], Tensor, Tensor]
"""Clipped gradients of weights and rates, the loss, and the norm of the gradients before."""


@dataclass(frozen=True)
class MAMLConfig(LearnerConfig):
    """Settings of `MAML`. Defaults suit scaled data (chosen); those of the paper's sinusoid are `sinusoid.PAPER`."""

    inner_lr: NotNegative = 0.1
    """Step size of the inner loop. 0.01 for the sinusoid, 0.4 for 5-way and 0.1 for 20-way Omniglot in the paper."""
    inner_steps: Count = 3
    """Gradient steps of the inner loop in training. 1 for the sinusoid and 5-way, 5 for 20-way Omniglot there."""
    test_steps: CountOrZero | None = None
    """Gradient steps in `adapt`; None for as many as in training."""
    first_order: bool = False
    """Take the inner gradients for constants."""
    anil: bool = False
    """Adapt the last layer only."""
    learn_rates: bool = False
    """Learn an inner step size for every weight, starting from ``inner_lr``."""
    engine: Engine = "vmap"
    """How the tasks of a batch are computed: all at once ("vmap"), one by one ("loop": faster, and with less memory,
    for convolutions), or all at once and compiled ("compiled": half a minute to start, then several times as fast on
    small networks; needs a C++ compiler). The results agree up to rounding. "timed" becomes the faster one of the first
    two on this machine, at the first update; a checkpoint holds which."""


class MAML(Learner):
    """Model-agnostic meta-learning; see the module's docstring."""

    config_class = MAMLConfig
    config: MAMLConfig
    network: _WithRates

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        if self.config.engine not in get_args(Engine):
            raise ValueError(f"expected an engine among {', '.join(get_args(Engine))}, got {self.config.engine!r}")
        self.test_steps = self.config.inner_steps if self.config.test_steps is None else self.config.test_steps
        self._compiled: Callable[..., Found] | None = None
        body = nn.Sequential(backbone, nn.Linear(features, self.problem.n_outputs))
        return _WithRates(body, self.config.inner_lr if self.config.learn_rates else None, self.config.anil)

    # THE INNER LOOP, FOR ONE TASK

    def _output(self, weights: Weights, x: Tensor) -> Tensor:
        return squeeze_output(self.problem.kind, functional_call(self.network.body, weights, (x,)))

    def _loss(self, fast: Weights, slow: Weights, x: Tensor, y: Tensor) -> Tensor:
        return task_loss(self.problem.kind, self._output({**slow, **fast}, x), y)

    def _inner(self, weights: Weights, rates: Weights, x: Tensor, y: Tensor, steps: int, constant: bool) -> Weights:
        """Weights after ``steps`` gradient steps on one support set; those that adapt only."""
        fast = {name: weights[name] for name in self.network.adapting}
        slow = {name: w for name, w in weights.items() if name not in fast}
        for _ in range(steps):
            gradient = grad(self._loss)(fast, slow, x, y)
            if constant:
                gradient = {name: g.detach() for name, g in gradient.items()}
            fast = {name: w - rates.get(name, self.config.inner_lr) * gradient[name] for name, w in fast.items()}
        return fast

    def _task_loss(self, weights: Weights, rates: Weights, sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor) -> Tensor:
        """Query loss of one task after its inner loop."""
        fast = self._inner(weights, rates, sx, sy, self.config.inner_steps, self.config.first_order)
        return self._loss(fast, {k: w for k, w in weights.items() if k not in fast}, qx, qy)

    # THE META-UPDATE, FOR A BATCH OF TASKS

    def _meta_loss(self, batch: EpisodeBatch) -> Tensor:
        weights, rates = self.network.weights(), self.network.rates()
        data = (batch.support_x, batch.support_y, batch.query_x, batch.query_y)
        if self.config.engine == "loop":
            return torch.stack([self._task_loss(weights, rates, *task) for task in zip(*data, strict=True)])
        return self._all_at_once(weights, rates, *data)

    def _all_at_once(self, weights: Weights, rates: Weights, *data: Tensor) -> Tensor:
        return vmap(self._task_loss, in_dims=(None, None, 0, 0, 0, 0))(weights, rates, *data)

    def _fastest(self, batch: EpisodeBatch) -> Engine:
        """Whichever of `TIMED` takes the least time for the gradients of a batch."""
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        seconds: dict[Engine, float] = {}
        for engine in TIMED:
            self.config = replace(self.config, engine=engine)
            for _ in range(TIMINGS):
                start = time.perf_counter()
                torch.autograd.grad(self._meta_loss(batch).mean(), parameters)[0].sum().item()  # waits for a GPU
                seconds[engine] = min(seconds.get(engine, math.inf), time.perf_counter() - start)
        return min(seconds, key=seconds.__getitem__)

    def _update(self, batch: EpisodeBatch) -> dict[str, float]:
        """As `Learner._update`; if compiled, with loss and clipped gradients from one compiled function."""
        if self.config.engine == "timed":
            self.config = replace(self.config, engine=self._fastest(batch))
        if self.config.engine != "compiled":
            return super()._update(batch)
        if self._compiled is None:
            self._compiled = torch.compile(self._clipped_gradients)
        weights, rates = self.network.weights(), self.network.rates()
        data = (batch.support_x, batch.support_y, batch.query_x, batch.query_y)
        with torch.no_grad():  # gradients are taken inside
            gradients, loss, norm = self._compiled(weights, rates, *data)
        if not math.isfinite(norm.item()):
            return {"loss": math.nan}
        for parameter, gradient in zip([*weights.values(), *rates.values()], gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        return {"loss": loss.item()}

    def _clipped_gradients(self, weights: Weights, rates: Weights, *data: Tensor) -> Found:
        def mean_loss(weights: Weights, rates: Weights) -> Tensor:
            return self._all_at_once(weights, rates, *data).mean()

        (of_weights, of_rates), loss = torch.func.grad_and_value(mean_loss, argnums=(0, 1))(weights, rates)
        gradients = [*of_weights.values(), *of_rates.values()]
        norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
        share = (self.config.max_grad_norm / (norm + 1e-6)).clamp(max=1.0)
        return [g * share for g in gradients], loss, norm

    # ADAPTING

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        weights, rates = self.network.weights(), self.network.rates()

        def inner(x: Tensor, y: Tensor) -> Weights:
            return self._inner(weights, rates, x, y, self.test_steps, constant=True)

        slow = {name: w for name, w in weights.items() if name not in self.network.adapting}
        if self.config.engine == "loop":
            each = [inner(x, y) for x, y in zip(support_x, support_y, strict=True)]
            return lambda x: torch.stack([self._output({**slow, **w}, q) for w, q in zip(each, x, strict=True)])
        fast = vmap(inner)(support_x, support_y)
        return lambda x: vmap(lambda w, q: self._output({**slow, **w}, q))(fast, x)


class _WithRates(nn.Module):
    """A network (backbone, then head) and, where they are learned, the inner step sizes of its weights."""

    def __init__(self, body: nn.Sequential, first_rate: float | None, head_only: bool) -> None:
        super().__init__()
        self.body = body
        starting = {name: w for name, w in body.named_parameters() if w.requires_grad}
        self.adapting = [name for name in starting if not head_only or name.startswith("1.")]
        learned = [] if first_rate is None else self.adapting
        self._rates = nn.ParameterList([torch.full_like(starting[name], first_rate or 0.0) for name in learned])

    def weights(self) -> Weights:
        return dict(self.body.named_parameters())

    def rates(self) -> Weights:
        return dict(zip(self.adapting, self._rates, strict=False))
