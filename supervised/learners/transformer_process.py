"""Tung Nguyen, Aditya Grover, "Transformer Neural Processes: Uncertainty-Aware Meta Learning via Sequence Modeling".

ICML 2022, https://arxiv.org/abs/2207.04179; the diagonal variant, TNP-D.

A task is a set of tokens: the samples of the support set with their labels, and queries without. In each layer of a
transformer the support set attends to itself, and each query to the support set (the mask of section 3.3): a query sees
neither the others nor, here, itself but for the residual connection, as in Feng, Hajimirsadeghi, Bengio and Ahmed 2023,
"Latent Bottlenecked Attentive Neural Processes", https://arxiv.org/abs/2211.08458. There are no positions, so the order
of the support set does not matter. The output is a mean and a standard deviation in regression, and logits otherwise.

Classes are numbered anew in each task, and labels come as one-hot vectors. Anomalies are learned from episodes with
anomalous queries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from metaenv.limits import Count, NotNegative
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.learner import Learner, LearnerConfig
from metaenv.supervised.learners.neural_process import as_normal, negative_log_density
from metaenv.supervised.learners.prototypical import prototypes
from metaenv.supervised.learners.sequence import label_input
from metaenv.supervised.predictor import Adapted, Prediction


@dataclass(frozen=True)
class TransformerProcessConfig(LearnerConfig):
    """Settings of `TransformerProcess`. The sizes are those of the paper's one-dimensional regression."""

    width: Count = 64
    """Numbers in a token."""
    layers: Count = 6
    """Layers of attention."""
    heads: Count = 4
    """Heads of the attention."""
    feedforward: Count = 128
    """Units of the network after each attention."""
    beta: NotNegative = 0.5
    """As `metaenv.supervised.learners.neural_process.NeuralProcessConfig.beta`; 0 in the paper."""


class TransformerProcess(Learner):
    """Transformer neural process; see the module's docstring. Predictions of regression have a standard deviation."""

    config_class = TransformerProcessConfig
    config: TransformerProcessConfig
    network: _Transformer

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        if self.config.width % self.config.heads:
            raise ValueError(f"expected a width that is a multiple of the heads, got {self.config}")
        outputs = {"regression": 2, "anomaly": 1, "classification": self.config.width}[self.problem.kind]
        return _Transformer(backbone, features, self.problem.n_outputs, outputs, self.config)

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        network, labels = self.network, label_input(self.problem, support_y)
        *past, last = network.read(torch.cat([self._embed(support_x), labels, torch.zeros_like(labels[..., :1])], -1))
        classify = self.problem.kind == "classification"
        classes = prototypes(network.head(last), support_y, self.problem.n_outputs) if classify else None

        def ask(x: Tensor) -> Tensor | Prediction:
            z = self._embed(x)
            no_label, flag = z.new_zeros(*z.shape[:2], labels.shape[-1]), z.new_ones(*z.shape[:2], 1)
            found = network.ask(torch.cat([z, no_label, flag], -1), past)
            if classes is not None:
                return found @ classes.transpose(1, 2) / math.sqrt(classes.shape[-1])
            return as_normal(found) if self.problem.kind == "regression" else found[..., 0]

        return ask

    def _meta_loss(self, batch: EpisodeBatch) -> Tensor:
        """Minus the log density of the queries in regression, the cross-entropy otherwise."""
        if self.problem.kind != "regression":
            return super()._meta_loss(batch)
        found = self._adapt(batch.support_x, batch.support_y)(batch.query_x)
        return negative_log_density(found, batch.query_y, self.config.beta)


class _Transformer(nn.Module):
    """The backbone, the tokens' embedding, the layers and the output."""

    def __init__(
        self, backbone: nn.Module, features: int, labels: int, outputs: int, config: TransformerProcessConfig
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.token = nn.Sequential(nn.Linear(features + labels + 1, config.width), nn.ReLU())
        self.token.append(nn.Linear(config.width, config.width))
        sizes = (config.width, config.heads, config.feedforward)
        self.layers = nn.ModuleList(AttentionLayer(*sizes) for _ in range(config.layers))
        self.head = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, config.feedforward), nn.ReLU())
        self.head.append(nn.Linear(config.feedforward, outputs))

    def read(self, support: Tensor) -> list[Tensor]:
        """The input of each layer for a support set (tasks, support, d), and the output of the last."""
        tokens, seen = self.token(support), list[Tensor]()
        for layer in self.layers:
            seen.append(tokens)
            tokens = layer(tokens, tokens)
        return [*seen, tokens]

    def ask(self, queries: Tensor, past: list[Tensor]) -> Tensor:
        """Outputs (tasks, queries, outputs) for queries (tasks, queries, d)."""
        tokens = self.token(queries)
        for layer, seen in zip(self.layers, past, strict=True):
            tokens = layer(tokens, seen)
        return self.head(tokens)


class AttentionLayer(nn.Module):
    """Attention of tokens to others, then a network for each token; both are added, with normalisation before them.

    ``width`` is the number of features of a token, ``heads`` that of the attention's heads, ``feedforward`` that of the
    hidden units.
    """

    def __init__(self, width: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value, self.out = (
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
            nn.Linear(width, width),
        )
        self.network = nn.Sequential(nn.Linear(width, feedforward), nn.ReLU(), nn.Linear(feedforward, width))

    def forward(self, tokens: Tensor, others: Tensor) -> Tensor:
        """Tokens (tasks, n, width) after attending to others (tasks, m, width)."""
        query = self._split(self.query(self.before(tokens)))
        key, value = map(self._split, self.key_value(self.before(others)).chunk(2, -1))
        read = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        tokens = tokens + self.out(read)
        return tokens + self.network(self.after(tokens))

    def _split(self, x: Tensor) -> Tensor:
        """(tasks, heads, n, width / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
