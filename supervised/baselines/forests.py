"""Random forests for each task, fitted to its support set alone, through scikit-learn (`pip install scikit-learn`).

Leo Breiman, "Random Forests", Machine Learning 45, 2001, https://doi.org/10.1023/A:1010933404324: from about a hundred
samples it passes most few-shot learners on molecules. Fei Tony Liu, Kai Ming Ting, Zhi-Hua Zhou, "Isolation Forest",
ICDM 2008, https://doi.org/10.1109/ICDM.2008.17, for anomalies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from metaenv.limits import Count
from metaenv.supervised.baselines.simple import UntrainedBaseline
from metaenv.supervised.learner import LearnerConfig
from metaenv.supervised.predictor import Adapted

SMALLEST_SHARE = 1e-3  # of votes, before its logarithm (chosen)


@dataclass(frozen=True)
class ForestConfig(LearnerConfig):
    """Settings of both forests."""

    trees: Count = 100
    """Of a forest, scikit-learn's default."""


def _ensemble() -> Any:
    try:
        return import_module("sklearn.ensemble")
    except ImportError as error:
        raise ImportError("forests need scikit-learn: pip install scikit-learn, or leave them out") from error


class _Forest(UntrainedBaseline):
    config_class = ForestConfig
    config: ForestConfig

    def _per_task(self, fitted: list[Callable[[Any], Any]]) -> Callable[[Tensor], Tensor]:
        """A predictor that asks each task's forest in turn."""

        def predict(x: Tensor) -> Tensor:
            outputs = [ask(flat.numpy()) for ask, flat in zip(fitted, x.flatten(2), strict=True)]
            return torch.stack([torch.as_tensor(out, dtype=torch.float32) for out in outputs])

        return predict


class RandomForest(_Forest):
    """A random forest on the support set; a Python loop over tasks, about 0.1 s each."""

    kinds = ("classification", "regression")
    alternative = "choose isolation-forest"

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        ensemble = _ensemble()
        classify = self.problem.kind == "classification"
        kind = ensemble.RandomForestClassifier if classify else ensemble.RandomForestRegressor
        forests = [
            kind(self.config.trees, random_state=self.seed).fit(x.numpy(), y.numpy())
            for x, y in zip(support_x.flatten(2), support_y, strict=True)
        ]
        if not classify:
            return self._per_task([f.predict for f in forests])
        votes = self._per_task([f.predict_proba for f in forests])
        return lambda x: votes(x).clamp_min(SMALLEST_SHARE).log()


class OutlierForest(_Forest):
    """An isolation forest on the support set of normal samples."""

    kinds = ("anomaly",)
    alternative = "choose random-forest"

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        ensemble = _ensemble()
        forests = [
            ensemble.IsolationForest(n_estimators=self.config.trees, random_state=self.seed).fit(x.numpy())
            for x in support_x.flatten(2)
        ]
        normality = self._per_task([f.score_samples for f in forests])
        return lambda x: -normality(x)
