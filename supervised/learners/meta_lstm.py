"""Sachin Ravi, Hugo Larochelle, "Optimization as a Model for Few-Shot Learning".

ICLR 2017, https://openreview.net/forum?id=rJY0-Kcll

Gradient descent looks like the cell of an LSTM (equation 2): c_t = f_t c_{t-1} + i_t c~_t, with the weights of a
network for c, minus their gradient for c~, 1 for f and the learning rate for i. Here f and i are learned: gates that
look at the gradient, the loss, the weight and their own last value (section 3.2), the same gates for every weight of
the network. Learned, too, are the first weights c_0 (Algorithm 1).

As there: gradients and losses are scaled by their logarithm (appendix A, after Andrychowicz et al. 2016), go through an
ordinary LSTM first, and are taken for constants when the meta-learner's own gradient is computed, which spares second
derivatives. Gates start at forgetting almost nothing and at a small learning rate. Unlike there: no batch statistics,
tasks come in batches, and steps use the whole support set, as in the paper's code.

With ``normalize="support"`` the features before the last layer are standardised by those of the support set
(`metaenv.supervised.learners.support_statistics`). It is not in the paper, whose network has batch normalisation.

For anomalies the support set is of one class and the queries of two, as with MAML.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metaenv.limits import Count, CountOrZero, Share
from metaenv.supervised.data.problem import squeeze_output, task_loss
from metaenv.supervised.learner import Learner, LearnerConfig
from metaenv.supervised.learners.per_task import Weights, gradients, outputs
from metaenv.supervised.learners.support_statistics import Normalize, StandardisedNetwork
from metaenv.supervised.predictor import Adapted

LOG_RANGE = 10.0  # "p" of appendix A: numbers below exp(-10) are told by size, larger ones by logarithm
FIRST_BIAS_OF_F = 5.0  # f = 0.993 at first (chosen: section 3.2 asks for "close to 1")
FIRST_WEIGHTS = 0.01  # of the gates, uniform to both sides (chosen: gates hardly depend on anything at first)
NUMBERS_AT_ONCE = 40_000  # weights, of all tasks, that the rule changes together: more leave the cache (measured)
FLAT = "flat"  # all weights of a task in one row, as the rule changes them


@dataclass(frozen=True)
class MetaLSTMConfig(LearnerConfig):
    """Settings of `MetaLSTM`.

    Its LSTM runs once for every weight of the network and every task: time and memory grow with their product.
    """

    tasks_per_batch: Count = 5
    """Episodes in a meta-update (1 in the paper)."""
    inner_steps: Count = 5
    """Steps on the support set ("T"): 12 for one and 5 for five samples of a class in the paper."""
    first_lr: Share = 0.1
    """What the input gate gives at first, the learning rate (chosen)."""
    hidden: CountOrZero = 20
    """Units of the LSTM that reads gradients and losses; 0 to let the gates look at them directly."""
    normalize: Normalize = "none"
    """"support" standardises features; characters are learned much more slowly without (docs/results.md)."""


class MetaLSTM(Learner):
    """A learned optimiser and the weights that it starts from; see the module's docstring."""

    config_class = MetaLSTMConfig
    config: MetaLSTMConfig
    network: _Optimised

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        settings = self.config
        if settings.first_lr in (0, 1):
            raise ValueError(f"expected first_lr strictly between 0 and 1, got {settings.first_lr}")
        body = StandardisedNetwork(backbone, nn.Linear(features, self.problem.n_outputs), settings.normalize)
        return _Optimised(body, UpdateRule(settings.hidden, settings.first_lr))

    def _output(self, weights: Weights, x: Tensor, support_x: Tensor | None = None) -> Tensor:
        """Outputs of a network with weights `FLAT` (n_weights,) for samples of one task; see `StandardisedNetwork`."""
        output = functional_call(self.network.body, self.network.as_dict(weights[FLAT]), (x, support_x))
        return squeeze_output(self.problem.kind, output)

    def _loss(self, weights: Weights, x: Tensor, y: Tensor) -> Tensor:
        return task_loss(self.problem.kind, self._output(weights, x), y)

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        at_once = max(1, NUMBERS_AT_ONCE // self.network.flat().numel())
        parts = zip(support_x.split(at_once), support_y.split(at_once), strict=True)
        weights = torch.cat([self._optimised(x, y) for x, y in parts])
        beside = self.network.body.support(support_x)
        return lambda x: outputs(self._output, {FLAT: weights}, x, *beside)

    def _optimised(self, x: Tensor, y: Tensor) -> Tensor:
        """Weights (tasks, n_weights) after the inner steps."""
        weights = self.network.flat().expand(len(y), -1)
        state = self.network.rule.start(weights)
        for _ in range(self.config.inner_steps):
            gradient, loss = gradients(self._loss, {FLAT: weights.detach()}, x, y)
            weights, state = self.network.rule(weights, gradient[FLAT], loss, state)
        return weights


State = tuple[Tensor, Tensor, Tensor, Tensor]
"""Last input and forget gates (tasks, weights), and state of the LSTM below them, twice (hidden, tasks * weights)."""


class UpdateRule(nn.Module):
    """One step of the meta-learner on each of the weights (section 3.2); see `MetaLSTMConfig` for its arguments."""

    def __init__(self, hidden: int, first_lr: float) -> None:
        super().__init__()
        self.hidden = hidden
        self.below = nn.LSTMCell(4, hidden) if hidden else None
        self.input_gate, self.forget_gate = nn.Linear((hidden or 4) + 2, 1), nn.Linear((hidden or 4) + 2, 1)
        first_bias_of_i = math.log(first_lr / (1 - first_lr))
        for gate, bias in ((self.input_gate, first_bias_of_i), (self.forget_gate, FIRST_BIAS_OF_F)):
            nn.init.uniform_(gate.weight, -FIRST_WEIGHTS, FIRST_WEIGHTS)
            nn.init.constant_(gate.bias, bias)

    def start(self, weights: Tensor) -> State:
        """The state before the first step, for weights (tasks, weights)."""
        none, below = torch.zeros_like(weights), weights.new_zeros(self.hidden, weights.numel())
        return none, none, below, below

    def forward(self, weights: Tensor, gradient: Tensor, loss: Tensor, state: State) -> tuple[Tensor, State]:
        """Weights and state after a step: equation 2 with c = weights and c~ = -gradient.

        Args:
            weights: (tasks, weights), as ``gradient``.
            loss: (tasks,).
            state: of the step before.
        """
        i, f, hidden, cell = state
        of_loss = (part[:, None].expand_as(gradient) for part in logarithm_and_sign(loss))
        seen = torch.stack([part.flatten() for part in (*logarithm_and_sign(gradient), *of_loss)])
        if self.below is not None:
            seen, cell = hidden, cell = self._read(self.below, seen, hidden, cell)
        i = self._gate(self.input_gate, seen, weights, i)
        f = self._gate(self.forget_gate, seen, weights, f)
        return f * weights - i * gradient, (i, f, hidden, cell)

    @staticmethod
    def _read(lstm: nn.LSTMCell, seen: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """What ``lstm`` gives, with samples in columns: each gate is then one piece of memory (4 times as fast)."""
        into = torch.addmm((lstm.bias_ih + lstm.bias_hh)[:, None], lstm.weight_ih, seen)
        i, f, new, o = torch.addmm(into, lstm.weight_hh, hidden).chunk(4)
        cell = f.sigmoid() * cell + i.sigmoid() * _tanh(new)
        return o.sigmoid() * _tanh(cell), cell

    @staticmethod
    def _gate(gate: nn.Linear, seen: Tensor, weights: Tensor, before: Tensor) -> Tensor:
        """A gate's value (tasks, weights) from what is seen (d, tasks * weights), the weights, and its last value."""
        of_seen, of_weight, of_before = gate.weight[0].split([len(seen), 1, 1])
        return ((of_seen @ seen).view_as(weights) + of_weight * weights + of_before * before + gate.bias).sigmoid()


def _tanh(x: Tensor) -> Tensor:
    """tanh to 1e-7, in a tenth of the time that torch's takes on a CPU (measured)."""
    return 2 * (2 * x).sigmoid() - 1


def logarithm_and_sign(x: Tensor) -> tuple[Tensor, Tensor]:
    """Logarithm / p and sign where |x| >= exp(-p), else -1 and exp(p) x (appendix A, p = 10)."""
    smallest = math.exp(-LOG_RANGE)
    size, sign = x.abs(), torch.where(x.abs() >= smallest, x.sign(), x / smallest)
    return torch.where(size >= smallest, size.clamp_min(smallest).log() / LOG_RANGE, -1.0), sign


class _Optimised(nn.Module):
    """A network (backbone, then head), whose weights are where each task starts, and the rule that changes them."""

    def __init__(self, body: StandardisedNetwork, rule: UpdateRule) -> None:
        super().__init__()
        self.body, self.rule = body, rule

    def _adapting(self) -> dict[str, nn.Parameter]:
        return {name: w for name, w in self.body.named_parameters() if w.requires_grad}

    def flat(self) -> Tensor:
        """The first weights as one vector (n_weights,)."""
        return torch.cat([w.flatten() for w in self._adapting().values()])

    def as_dict(self, flat: Tensor) -> dict[str, Tensor]:
        """A vector of weights by name; weights that are frozen stay the body's own."""
        adapting = self._adapting()
        parts = flat.split([w.numel() for w in adapting.values()])
        return {name: part.view(w.shape) for (name, w), part in zip(adapting.items(), parts, strict=True)}
