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
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import squeeze_output, task_loss
from metaenv.supervised.learner import Adapted, Learner, LearnerConfig

Weights = dict[str, Tensor]
Engine = Literal["auto", "vmap", "chunked", "loop", "compiled"]
CHUNK = 8  # tasks at once of the engine "chunked": bounds the memory of convolutions (chosen)


@dataclass(frozen=True)
class MAMLConfig(LearnerConfig):
    """Settings of `MAML`. Defaults suit scaled data (chosen); those of the paper's sinusoid are `sinusoid.PAPER`."""

    inner_lr: float = 0.1
    """Step size of the inner loop. 0.01 for the sinusoid, 0.4 for 5-way and 0.1 for 20-way Omniglot in the paper."""
    inner_steps: int = 3
    """Gradient steps of the inner loop in training. 1 for the sinusoid and 5-way, 5 for 20-way Omniglot there."""
    test_steps: int | None = None
    """Gradient steps in `adapt`; None for as many as in training."""
    first_order: bool = False
    """Take the inner gradients for constants."""
    anil: bool = False
    """Adapt the last layer only."""
    learn_rates: bool = False
    """Learn an inner step size for every weight, starting from ``inner_lr``."""
    engine: Engine = "auto"
    """How tasks are batched: all at once ("vmap"), 8 at a time ("chunked"), one by one ("loop"), or all at once and
    compiled ("compiled": half a minute to start, then a multiple as fast on small networks; needs a C++ compiler).
    "auto" times the first three at the first update and keeps the fastest. They agree up to rounding, so a run that
    is to be repeated to the last bit should name one."""


class MAML(Learner):
    """Model-agnostic meta-learning; see the module's docstring.

    Attributes:
        test_steps: gradient steps that `adapt` takes; may be set at any time.
        engine: the one in use, see `MAMLConfig.engine`.
    """

    config_class = MAMLConfig
    config: MAMLConfig

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        self.engine: Engine = self.config.engine
        self.test_steps = self.config.inner_steps if self.config.test_steps is None else self.config.test_steps
        self._compiled: Callable[..., tuple[list[Tensor], Tensor, Tensor]] | None = None
        body = nn.Sequential(backbone, nn.Linear(features, self.problem.n_outputs))
        return _WithRates(body, self.config.inner_lr if self.config.learn_rates else None, self.config.anil)

    @property
    def _net(self) -> _WithRates:
        assert isinstance(self.network, _WithRates)
        return self.network

    # THE INNER LOOP, FOR ONE TASK

    def _output(self, weights: Weights, x: Tensor) -> Tensor:
        return squeeze_output(self.problem.kind, functional_call(self._net.body, weights, (x,)))

    def _loss(self, fast: Weights, slow: Weights, x: Tensor, y: Tensor) -> Tensor:
        return task_loss(self.problem.kind, self._output({**slow, **fast}, x), y)

    def _inner(self, weights: Weights, rates: Weights, x: Tensor, y: Tensor, steps: int, constant: bool) -> Weights:
        """Weights after ``steps`` gradient steps on one support set; those that adapt only."""
        fast = {name: weights[name] for name in self._net.adapting}
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
        return self._losses("vmap" if self.engine == "auto" else self.engine, batch)

    def _losses(self, engine: Engine, batch: EpisodeBatch) -> Tensor:
        weights, rates = self._net.weights(), self._net.rates()
        data = (batch.support_x, batch.support_y, batch.query_x, batch.query_y)
        if engine == "loop":
            return torch.stack([self._task_loss(weights, rates, *task) for task in zip(*data, strict=True)])
        chunk = CHUNK if engine == "chunked" else None
        return vmap(self._task_loss, in_dims=(None, None, 0, 0, 0, 0), chunk_size=chunk)(weights, rates, *data)

    def _update(self, batch: EpisodeBatch) -> dict[str, float]:
        if self.engine == "auto":
            self.engine = self._fastest(batch)
        return self._compiled_update(batch) if self.engine == "compiled" else super()._update(batch)

    def _compiled_update(self, batch: EpisodeBatch) -> dict[str, float]:
        """As `Learner._update`, with loss and clipped gradients from one compiled function."""
        if self._compiled is None:
            self._compiled = torch.compile(self._clipped_gradients)
        weights, rates = self._net.weights(), self._net.rates()
        data = (batch.support_x, batch.support_y, batch.query_x, batch.query_y)
        with torch.no_grad():  # gradients are taken inside
            gradients, loss, norm = self._compiled(weights, rates, *data)
        if not math.isfinite(norm.item()):
            return {"loss": math.nan}
        for parameter, gradient in zip([*weights.values(), *rates.values()], gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        return {"loss": loss.item()}

    def _clipped_gradients(
        self, weights: Weights, rates: Weights, *data: Tensor
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        found, loss = torch.func.grad_and_value(self._mean_loss, argnums=(0, 1))(weights, rates, *data)
        gradients = [*found[0].values(), *found[1].values()]
        norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
        share = (self.config.max_grad_norm / (norm + 1e-6)).clamp(max=1.0)
        return [g * share for g in gradients], loss, norm

    def _mean_loss(self, weights: Weights, rates: Weights, *data: Tensor) -> Tensor:
        return vmap(self._task_loss, in_dims=(None, None, 0, 0, 0, 0))(weights, rates, *data).mean()

    def _fastest(self, batch: EpisodeBatch) -> Engine:
        engines: tuple[Engine, ...] = ("vmap", "chunked", "loop")
        return min(engines, key=lambda engine: self._seconds(engine, batch))

    def _seconds(self, engine: Engine, batch: EpisodeBatch) -> float:
        """Least time of two updates that are not made, after one to warm up."""
        # On one thread, the processor's time is the same and does not count what other programs do meanwhile.
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        times: list[float] = []
        for _ in range(3):
            start = clock()
            torch.autograd.grad(self._losses(engine, batch).mean(), list(self.network.parameters()), allow_unused=True)
            times.append(clock() - start)
        return min(times[1:])

    # ADAPTING

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        weights, rates = self._net.weights(), self._net.rates()

        def inner(x: Tensor, y: Tensor) -> Weights:
            return self._inner(weights, rates, x, y, self.test_steps, constant=True)

        slow = {name: w for name, w in weights.items() if name not in self._net.adapting}
        if self.engine == "loop":
            each = [inner(x, y) for x, y in zip(support_x, support_y, strict=True)]
            return lambda x: torch.stack([self._output({**slow, **w}, q) for w, q in zip(each, x, strict=True)])
        chunk = CHUNK if self.engine == "chunked" else None
        fast = vmap(inner, chunk_size=chunk)(support_x, support_y)
        return lambda x: vmap(lambda w, q: self._output({**slow, **w}, q), chunk_size=chunk)(fast, x)

    def _more_state(self) -> dict[str, Any]:
        return {"engine": self.engine, "test_steps": self.test_steps}

    def _set_more_state(self, state: dict[str, Any]) -> None:
        self.engine, self.test_steps = state["engine"], state["test_steps"]


class _WithRates(nn.Module):
    """A network (backbone, then head) and, where they are learned, the inner step sizes of its weights."""

    def __init__(self, body: nn.Sequential, first_rate: float | None, head_only: bool) -> None:
        super().__init__()
        self.body = body
        self.adapting = [name for name, w in body.named_parameters() if w.requires_grad]
        if head_only:
            self.adapting = [name for name in self.adapting if name.startswith("1.")]
        learned = [] if first_rate is None else self.adapting
        shapes = {name: w.shape for name, w in body.named_parameters()}
        self._rates = nn.ParameterList([nn.Parameter(torch.full(shapes[name], first_rate or 0.0)) for name in learned])

    def weights(self) -> Weights:
        return dict(self.body.named_parameters())

    def rates(self) -> Weights:
        return dict(zip(self.adapting, self._rates, strict=False))
