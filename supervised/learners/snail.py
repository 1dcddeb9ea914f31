"""Nikhil Mishra, Mostafa Rohaninejad, Xi Chen, Pieter Abbeel, "A Simple Neural Attentive Meta-Learner".

ICLR 2018, https://arxiv.org/abs/1707.03141

A task is a sequence: the samples of the support set with their labels, then a query without a label. Temporal
convolutions combine neighbouring samples, causal attention retrieves any sample that was read before, and the two
alternate (section 3 and its figures). There is no separate rule of adaptation: the network adapts by reading.

In the paper a sequence has one query, its last element. Here all queries of a task are evaluated together, each as the
last element of a sequence of its own: it sees the support set and itself, as in the paper, and no other query.

The convolutions of a TC block have dilations of 1, 2, 4, … here; if they began with 2, they would skip every odd step.
A flag marks the query, because zeros would be a valid label in regression. Anomalies are learned like classes, from
episodes with anomalous queries.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from metaenv.limits import Count
from metaenv.supervised.data.problem import squeeze_output, task_loss
from metaenv.supervised.data.sources import EpisodeBatch
from metaenv.supervised.learner import Learner, LearnerConfig
from metaenv.supervised.learners.regrouping import regrouped
from metaenv.supervised.learners.sequence import label_input, reading_order
from metaenv.supervised.learners.support_statistics import Normalize, normaliser
from metaenv.supervised.predictor import Adapted

PAPER: dict[str, Any] = {"embedding": 64, "filters": 128, "keys": (64, 256, 512), "values": (32, 128, 256)}
"""The sizes usually quoted for the paper's Omniglot and miniImageNet (not checked against its appendix), for
``make_learner("snail", problem, **PAPER)``."""


@dataclass(frozen=True)
class SNAILConfig(LearnerConfig):
    """Settings of `SNAIL`. The sizes are chosen for one core; those of the paper are in `PAPER`."""

    embedding: Count = 64
    """Features of a sample in the sequence."""
    filters: Count = 32
    """Channels that each convolution adds."""
    keys: tuple[Count, ...] = (32, 64, 64)
    """Width of the keys of each attention block; a block of temporal convolutions lies between two of them."""
    values: tuple[Count, ...] = (32, 64, 64)
    """Width of the values of each attention block, which it appends."""
    normalize: Normalize = "none"
    """"support" standardises the features of all samples of a task by the mean and standard deviation of its support
    set; pictures are not learned without (see `metaenv.supervised.learners.support_statistics`)."""
    span: Count = 32
    """Steps that a block of temporal convolutions reaches back ("T"). Attention reaches all steps, so that longer
    support sets are read as a whole."""
    regroupings: Count = 1
    """How often the classes of a meta-update are grouped into tasks: 1 leaves the tasks as they were drawn, 8 makes 8
    times as many from the same embedded samples (see `metaenv.supervised.learners.regrouping`). For classification of a
    data set's classes, above all of pictures."""


class SNAIL(Learner):
    """Simple neural attentive learner; see the module's docstring.

    The support set is read in an order that the seed draws. The order matters a little, through the convolutions.
    """

    config_class = SNAILConfig
    config: SNAILConfig
    network: _Reader

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        settings, labels = self.config, self.problem.n_outputs
        if len(settings.keys) != len(settings.values) or not settings.keys:
            raise ValueError(
                f"expected as many keys as values, at least one, got keys={settings.keys}, values={settings.values}"
            )
        if settings.regroupings > 1 and self.problem.kind != "classification":
            raise ValueError(f"expected regroupings=1 for {self.problem.kind}, got {settings.regroupings}")
        if settings.regroupings > 1 and settings.transductive:
            raise ValueError(
                "expected regroupings=1 with transductive=True: features then depend on the task that a sample is in"
            )
        return _Reader(nn.Sequential(backbone, nn.Linear(features, settings.embedding)), labels, settings)

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        ask = self._read(self._embed(support_x), support_y)
        return lambda x: ask(self._embed(x))

    def _meta_loss(self, batch: EpisodeBatch) -> Tensor:
        if self.config.regroupings == 1:
            return super()._meta_loss(batch)
        found = regrouped(batch, self.config.regroupings, self.generator)
        features = self._embed(batch.samples()[0]).flatten(0, 1)
        ask = self._read(features[found.support], found.support_y)
        return task_loss(self.problem.kind, ask(features[found.query]), found.query_y)

    def _read(self, features: Tensor, support_y: Tensor) -> Callable[[Tensor], Tensor]:
        """Read support sets (tasks, support, d); the function that is returned answers queries (tasks, queries, d)."""
        reader = self.network
        order = reading_order(support_y.shape[1], self.seed)
        labels, support = label_input(self.problem, support_y[:, order]), features[:, order]
        normal = normaliser(self.config.normalize, support)
        past = reader.read(torch.cat([normal(support), labels, torch.zeros_like(labels[..., :1])], -1))

        def ask(queries: Tensor) -> Tensor:
            z = normal(queries)
            no_label, flag = z.new_zeros(*z.shape[:2], self.problem.n_outputs), z.new_ones(*z.shape[:2], 1)
            return squeeze_output(self.problem.kind, reader.ask(torch.cat([z, no_label, flag], -1), past))

        return ask


class _Reader(nn.Module):
    """The embedding of samples, the blocks over a sequence of them, and the output layer."""

    def __init__(self, backbone: nn.Module, labels: int, settings: SNAILConfig) -> None:
        super().__init__()
        self.backbone = backbone
        size, blocks = settings.embedding + labels + 1, list[DenseBlock | AttentionBlock]()
        for i, (key, value) in enumerate(zip(settings.keys, settings.values, strict=True)):
            if i > 0:
                convolutions = temporal_convolutions(size, settings.filters, settings.span)
                blocks += convolutions
                size += settings.filters * len(convolutions)
            blocks.append(AttentionBlock(size, key, value))
            size += value
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(size, labels)

    def read(self, tokens: Tensor) -> list[Tensor]:
        """The input of each block for a support set (tasks, support, d): all that a query needs of it."""
        seen: list[Tensor] = []
        for block in self.blocks:
            seen.append(tokens)
            tokens = block(tokens)
        return seen

    def ask(self, tokens: Tensor, past: list[Tensor]) -> Tensor:
        """Outputs (tasks, queries, outputs) for queries (tasks, queries, d), each the step after the support set."""
        for block, seen in zip(self.blocks, past, strict=True):
            assert isinstance(block, DenseBlock | AttentionBlock)
            tokens = block.after(tokens, seen)
        return self.head(tokens)


class DenseBlock(nn.Module):
    """A causal convolution of two steps, ``dilation`` apart, with a gate (section 3.1).

    It appends features to each step (tasks, steps, d) of a sequence. `after` does the same to queries (tasks, queries,
    d), each of which is the next step after the past. ``size`` is the number of features of a step, ``dilation`` the
    number of steps between the two ("R"), ``filters`` the number of features that are appended ("D").
    """

    def __init__(self, size: int, dilation: int, filters: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.now, self.before = nn.Linear(size, 2 * filters), nn.Linear(size, 2 * filters, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        return self._append(h, pad(h, (0, 0, self.dilation, 0))[:, : h.shape[1]])

    def after(self, queries: Tensor, past: Tensor) -> Tensor:
        place = past.shape[1] - self.dilation
        before = past[:, place : place + 1] if place >= 0 else torch.zeros_like(past[:, :1])
        return self._append(queries, before)

    def _append(self, h: Tensor, before: Tensor) -> Tensor:
        signal, gate = (self.now(h) + self.before(before)).chunk(2, -1)
        return torch.cat([h, signal.tanh() * gate.sigmoid()], -1)


def temporal_convolutions(size: int, filters: int, span: int) -> list[DenseBlock]:
    """Dense blocks with dilations of 1, 2, 4, … that together reach ``span`` steps: the TC block (section 3.1)."""
    depth = max(1, math.ceil(math.log2(span)))
    return [DenseBlock(size + i * filters, 2**i, filters) for i in range(depth)]


class AttentionBlock(nn.Module):
    """Softmax attention to this step and all before it (section 3.1), with the two methods of `DenseBlock`.

    ``key`` is the width of keys and queries ("K"), ``value`` the number of features that are appended ("V").
    """

    def __init__(self, size: int, key: int, value: int) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(size, key), nn.Linear(size, key), nn.Linear(size, value)

    def forward(self, h: Tensor) -> Tensor:
        read = scaled_dot_product_attention(self.query(h), self.key(h), self.value(h), is_causal=True)
        return torch.cat([h, read], -1)

    def after(self, queries: Tensor, past: Tensor) -> Tensor:
        asked, root = self.query(queries), math.sqrt(self.key.out_features)
        of_past = asked @ self.key(past).transpose(1, 2) / root  # (tasks, queries, steps)
        of_self = (asked * self.key(queries)).sum(-1, keepdim=True) / root
        weight = torch.cat([of_past, of_self], -1).softmax(-1)
        read = weight[..., :-1] @ self.value(past) + weight[..., -1:] * self.value(queries)
        return torch.cat([queries, read], -1)
