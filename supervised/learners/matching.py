"""Oriol Vinyals, Charles Blundell, Timothy Lillicrap, Koray Kavukcuoglu, Daan Wierstra, "Matching Networks".

"Matching Networks for One Shot Learning", NeurIPS 2016, https://arxiv.org/abs/1606.04080

A query's label is a mean of the support labels, weighted by attention: softmax over cosine similarities in a learned
space (equations 1 and 2). ``full_context`` embeds each support sample in view of the others, by a bidirectional LSTM,
and each query in view of the support set, by an LSTM that attends to it (section 2.1.2 and appendix A). The
order in which the support set comes then matters a little.

With numbers for labels the same mean is a regression (Nadaraya-Watson with a learned kernel). For anomalies the score
is minus the logarithm of the kernel density at the query, with an offset that is learned. The attention has a
temperature, which the paper does not: without it, twenty cosines in [-1, 1] can hardly prefer one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from metaenv.limits import CountOrZero, Positive
from metaenv.supervised.data.problem import one_hot
from metaenv.supervised.learner import Learner, LearnerConfig
from metaenv.supervised.predictor import Adapted

SMALLEST_SHARE = 1e-6  # of attention, before its logarithm (chosen)


@dataclass(frozen=True)
class MatchingConfig(LearnerConfig):
    """Settings of `Matching`."""

    full_context: bool = False
    """Full context embeddings."""
    reads: CountOrZero = 5
    """Times the query's LSTM reads the support set, with full context ("K" in equation 3; chosen)."""
    sharpness: Positive = 10.0
    """First inverse temperature of the attention; it is learned (chosen)."""


class Matching(Learner):
    """Matching Networks; see the module's docstring."""

    config_class = MatchingConfig
    variable_n_way = True
    config: MatchingConfig
    network: _Space

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        return _Space(backbone, features, self.config)

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        space, context, support = self.network, self.network.context, self._embed(support_x)
        if context is not None:
            support = context.of_support(support)
        keys = normalize(support, dim=-1)

        def similarity(x: Tensor) -> Tensor:  # (tasks, queries, support)
            z = self._embed(x)
            queries = normalize(z if context is None else context.of_queries(z, support), dim=-1)
            return space.log_sharpness.exp() * queries @ keys.transpose(1, 2)

        if self.problem.kind == "regression":
            return lambda x: (similarity(x).softmax(-1) @ support_y[..., None])[..., 0]
        if self.problem.kind == "anomaly":
            log_n = torch.tensor(support_y.shape[1], device=keys.device).log()
            return lambda x: space.offset - similarity(x).logsumexp(-1) + log_n
        values = one_hot(support_y, int(support_y.max()) + 1)
        return lambda x: (similarity(x).softmax(-1) @ values).clamp_min(SMALLEST_SHARE).log()


class _Space(nn.Module):
    def __init__(self, backbone: nn.Module, features: int, config: MatchingConfig) -> None:
        super().__init__()
        self.backbone = nn.Sequential(backbone, nn.Linear(features, features))  # cosines need both signs
        self.context = FullContext(features, config.reads) if config.full_context else None
        self.log_sharpness = nn.Parameter(torch.tensor(config.sharpness).log())
        self.offset = nn.Parameter(torch.tensor(config.sharpness / 2))


class FullContext(nn.Module):
    """Embeddings in view of the support set: section 2.1.2 and appendix A of the paper."""

    def __init__(self, features: int, reads: int) -> None:
        super().__init__()
        self.reads = reads
        self.support_lstm = nn.LSTM(features, features, batch_first=True, bidirectional=True)
        self.query_lstm = nn.LSTMCell(2 * features, features)

    def of_support(self, z: Tensor) -> Tensor:
        """g: (tasks, support, features) to the same, both directions of the LSTM and a skip connection added."""
        forward, backward = self.support_lstm(z)[0].chunk(2, dim=-1)
        return forward + backward + z

    def of_queries(self, z: Tensor, support: Tensor) -> Tensor:
        """f: queries (tasks, queries, features) after some reads (equations 3 to 6), each query on its own."""
        flat = z.flatten(0, 1)
        hidden, cell = flat, torch.zeros_like(flat)
        for _ in range(self.reads):
            attention = (hidden.unflatten(0, z.shape[:2]) @ support.transpose(1, 2)).softmax(-1)
            read = (attention @ support).flatten(0, 1)
            # What the LSTM takes in beside the query is [h, r]: r enters as input, which is the same sum.
            out, cell = self.query_lstm(torch.cat([flat, read], -1), (hidden, cell))
            hidden = out + flat
        return hidden.unflatten(0, z.shape[:2])
