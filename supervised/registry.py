"""The few-shot learners, their baselines and references, by name. A module is imported when its name is looked up.

A new learner needs a file and a line in `LEARNERS`; `tests/supervised/test_learners.py` then tests it. One of your own
needs no line: name it "module:Class".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaenv.errors import nearest
from metaenv.imports import named

if TYPE_CHECKING:
    import torch
    from torch import nn

    from metaenv.supervised.data.problem import Problem
    from metaenv.supervised.learner import Learner

LEARNERS: dict[str, str] = {
    "deep-kernel": "metaenv.supervised.learners.deep_kernel:DeepKernel",
    "maml": "metaenv.supervised.learners.maml:MAML",
    "mann": "metaenv.supervised.learners.mann:MANN",
    "matching": "metaenv.supervised.learners.matching:Matching",
    "meta-lstm": "metaenv.supervised.learners.meta_lstm:MetaLSTM",
    "neural-process": "metaenv.supervised.learners.neural_process:NeuralProcess",
    "pretrained": "metaenv.supervised.learners.pretrained:Pretrained",
    "prototypical": "metaenv.supervised.learners.prototypical:Prototypical",
    "reptile": "metaenv.supervised.learners.reptile:Reptile",
    "snail": "metaenv.supervised.learners.snail:SNAIL",
    "transformer-process": "metaenv.supervised.learners.transformer_process:TransformerProcess",
}
"""Few-shot learners, as "module:Class"."""

BASELINES: dict[str, str] = {
    "gp": "metaenv.supervised.baselines.gp:TaskGP",
    "isolation-forest": "metaenv.supervised.baselines.forests:OutlierForest",
    "knn": "metaenv.supervised.baselines.simple:NearestNeighbours",
    "lda": "metaenv.supervised.baselines.discriminant:LinearDiscriminant",
    "linear": "metaenv.supervised.baselines.simple:LinearModel",
    "naive-bayes": "metaenv.supervised.baselines.discriminant:NaiveBayes",
    "nearest-centroid": "metaenv.supervised.baselines.simple:NearestCentroid",
    "random-forest": "metaenv.supervised.baselines.forests:RandomForest",
    "linear-projection": "metaenv.supervised.baselines.projection:LinearProjection",
    "meta-gp": "metaenv.supervised.baselines.meta_gp:MetaGP",
    "no-adaptation": "metaenv.supervised.baselines.simple:NoAdaptation",
    "ridge-to-mean": "metaenv.supervised.baselines.mean_ridge:RidgeToMean",
}
"""Baselines that every learner is compared with. The last four learn from the training tasks, as learners do; the
others from the support set alone."""

REFERENCES: dict[str, str] = {"prior-ridge": "metaenv.supervised.families.telescope_values:PriorRidge"}
"""References that know more than a learner may, such as the distribution of tasks. A family names those that are shown
beside its learners."""


def learner_class(name: str) -> type[Learner]:
    """The class of this name in `LEARNERS`, `BASELINES` or `REFERENCES`, or of "module:Class".

    Raises:
        ValueError: there is none, or it is no learner; the message says which there are.
    """
    from metaenv.supervised.learner import Learner

    found = named("learner", name, {**LEARNERS, **BASELINES, **REFERENCES})
    if not (isinstance(found, type) and issubclass(found, Learner)):
        raise ValueError(f"expected a subclass of metaenv.supervised.Learner, got {name!r}, which is {found!r}")
    return found


def is_learner(name: str) -> bool:
    """Whether it is a few-shot learner, of the list or of the user's own: no baseline and no reference."""
    return name not in BASELINES and name not in REFERENCES


def make_learner(
    name: str,
    problem: Problem,
    *,
    seed: int = 0,
    backbone: nn.Module | None = None,
    device: str | torch.device = "auto",
    **settings: Any,
) -> Learner:
    """A learner by name, with settings by name: ``make_learner("maml", episodes.problem, inner_lr=0.1)``.

    Raises:
        ValueError: no such learner or setting, or it does not do such problems.
    """
    cls = learner_class(name)
    from metaenv.supervised.learner import config_names

    known = config_names(cls.config_class)
    for key in settings:
        if key not in known:
            raise ValueError(f"{name} has no setting {key!r}.{nearest(key, known)}")
    return cls(problem, cls.config_class(**settings), backbone, seed, device)
