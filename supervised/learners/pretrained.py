"""Yonglong Tian, Yue Wang, Dilip Krishnan, Joshua B. Tenenbaum, Phillip Isola, "A Good Embedding Is All You Need?".

"Rethinking Few-Shot Image Classification: A Good Embedding Is All You Need?", ECCV 2020,
https://arxiv.org/abs/2003.11539

No meta-learning: an embedding is trained to classify all training classes at once, by one linear layer (section 3.2).
Then it is frozen, and a task is learned by logistic regression on the support set's embeddings, which are scaled to one
length. Self-distillation, the paper's second stage, is left out.

Training classes are told by the names that episodes give them, and get an output in the order in which they come.
Where tasks share no class, as those of a sampler that are cut at a threshold, the labels themselves are what is
classified. In regression one network learns the targets of all tasks; a task is then ridge regression on its last
features, towards the weights of its last layer.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from metaenv.limits import Count, NotNegative, Positive
from metaenv.supervised.baselines.mean_ridge import towards
from metaenv.supervised.baselines.simple import logistic_regression
from metaenv.supervised.data.episodes import EpisodeBatch, Episodes
from metaenv.supervised.data.problem import one_hot, task_loss
from metaenv.supervised.learner import Learner, LearnerConfig
from metaenv.supervised.predictor import Adapted

PROBED = 64  # tasks that are looked at to see whether tasks share classes (chosen)


@dataclass(frozen=True)
class PretrainedConfig(LearnerConfig):
    """Settings of `Pretrained`."""

    penalty: NotNegative = 1.0
    """Of the logistic or ridge regression on the support set: it times the squared weights, in the logistic one half of
    it, is added to the sum of the losses. 1 in the paper's code."""
    length: Positive = 4.0
    """Of the embeddings that the logistic regression sees: 1 in the paper, where a penalty of 1 is stronger than five
    samples of a class can outweigh (chosen)."""
    max_classes: Count = 5_000
    """Outputs of the classifier; as many are trained as there are classes."""


class Pretrained(Learner):
    """A pretrained embedding and a linear model on it; see the module's docstring.

    Raises:
        ValueError: in training, if there are more classes than ``max_classes``.
    """

    config_class = PretrainedConfig
    kinds = ("classification", "regression")
    alternative = "one class cannot be separated from none; choose prototypical, matching or neural-process"
    variable_n_way = True
    config: PretrainedConfig
    network: _Classifier

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        return _Classifier(backbone, features, 1 if self.problem.kind == "regression" else self.config.max_classes)

    def meta_fit(self, episodes: Episodes, iterations: int | None = None, **how: Any) -> Self:
        """As `Learner.meta_fit`; the first time, some tasks are looked at to see whether they share classes."""
        if self.problem.kind == "classification" and self.iteration == 0 and episodes.problem == self.problem:
            place = episodes.state()
            names = episodes.draw(PROBED).task_ids
            episodes.set_state(place)
            self.network.shared.fill_(len(np.unique(names)) < names.size)
        return super().meta_fit(episodes, iterations, **how)

    def _meta_loss(self, batch: EpisodeBatch) -> Tensor:
        x, y = batch.samples()
        output = self.network.head(self._embed(x))
        if self.problem.kind == "regression":
            return task_loss("regression", output[..., 0], y)
        known = self.problem.n_outputs
        if self.network.shared:
            places = self.network.places(batch.task_ids)  # (tasks, ways)
            known, y = int(self.network.count), places.gather(1, y)
        losses = cross_entropy(output[..., :known].flatten(0, 1), y.flatten(), reduction="none")
        return losses.unflatten(0, y.shape).mean(1)

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        if self.problem.kind == "regression":
            head = self.network.head
            shared = torch.cat([head.weight[0], head.bias]).double()
            weights = towards(shared, self._with_one(support_x), support_y, self.config.penalty, self.config.penalty)
            return lambda x: (self._with_one(x) @ weights)[..., 0].float()
        target = one_hot(support_y, int(support_y.max()) + 1)
        weights = logistic_regression(self._unit(support_x), target, self.config.penalty)
        return lambda x: self._unit(x) @ weights

    def _unit(self, x: Tensor) -> Tensor:
        """Embeddings of one length, and the constant."""
        z = self.config.length * normalize(self._embed(x), dim=-1)
        return torch.cat([z, torch.ones_like(z[..., :1])], -1)

    def _with_one(self, x: Tensor) -> Tensor:
        z = self._embed(x).double()
        return torch.cat([z, torch.ones_like(z[..., :1])], -1)


class _Classifier(nn.Module):
    """The backbone, the linear layer on it, and which class has which output."""

    classes: Tensor
    count: Tensor
    shared: Tensor

    def __init__(self, backbone: nn.Module, features: int, outputs: int) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(features, outputs)
        self.register_buffer("classes", torch.zeros(outputs, dtype=torch.int64))  # 64 bits of the name's SHA-256
        self.register_buffer("count", torch.tensor(0))
        self.register_buffer("shared", torch.tensor(False))

    def places(self, names: Any) -> Tensor:
        """The outputs of classes of these names; new ones get the next. Raises ValueError if there are no more."""
        codes = np.array([_code(str(name)) for name in np.ravel(names)])
        known = {code: place for place, code in enumerate(self.classes[: int(self.count)].tolist())}
        for code in codes.tolist():
            if code not in known:
                if len(known) == len(self.classes):
                    raise ValueError(f"expected at most max_classes={len(known)} training classes, got more; raise it")
                self.classes[len(known)] = code
                known[code] = len(known)
        self.count.fill_(len(known))
        places = torch.tensor([known[code] for code in codes.tolist()], device=self.classes.device)
        return places.reshape(np.shape(names))


def _code(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little", signed=True)
