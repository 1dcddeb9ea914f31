"""Telescope values: what is a target worth to a hidden science programme, from a few that were observed?

The tasks are those of the environment (`TargetSelectionDistribution`). Of its splits those are here that differ in
programmes or purity: neither site nor season changes what a target is worth.

The true class is no target to predict: beyond the photometric class nothing that is seen depends on it, so that no
support set can help. Which targets are worth more than most, is what classification asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from metaenv.supervised.baselines.simple import UntrainedBaseline
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import Kind
from metaenv.supervised.families.family import Family
from metaenv.supervised.learner import LearnerConfig
from metaenv.supervised.predictor import Adapted
from metaenv.tasks import TaskSampler
from metaenv.telescope.sim.targets import CLASSES, CONFUSION, FEATURES, SHARES
from metaenv.telescope.tasks import NIGHT_SETUPS, TargetSelectionDistribution, Variant
from metaenv.typing import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPLITS = ("train", "validation", "test", "ood-programme", "ood-purity", "ood-all")
N_INPUTS = len(CLASSES) + len(FEATURES)
PRIOR_TASKS, PRIOR_SEED = 20_000, 43  # that the prior's moments are averaged over (chosen: they are right to 1 %)


class TelescopeValues(Family):
    """Targets of hidden programmes: ln of their value (regression), or whether it is above the median (two classes).

    A sample is the photometric class, one-hot, and colour, age and host offset: 11 numbers.

    Args:
        variant: of the environment; what targets are worth is alike in all.
    """

    name: ClassVar[str] = "telescope-values"
    provenance: ClassVar[str] = (
        "Simulated by metaenv.telescope.sim.targets: class values and feature weights are drawn anew in each task, "
        "their spreads and the shares of the classes are chosen; purities are those of brokers' classifiers."
    )
    kinds = ("regression", "classification")
    threshold = "median"
    splits = SPLITS
    shots = (10, 100)
    pool = 2  # half of all targets are above the median
    references = ("prior-ridge",)

    def __init__(self, variant: Variant = "short") -> None:
        if variant not in NIGHT_SETUPS:
            raise ValueError(f"expected a variant among {', '.join(NIGHT_SETUPS)}, got {variant!r}")
        self.variant: Variant = variant

    def source(self, split: str, kind: Kind, seed: int) -> TaskSampler:
        return TaskSampler(TargetSelectionDistribution(self.variant), split, seed)

    def draw(self, figure: Figure, batch: EpisodeBatch) -> None:
        """Values by photometric class and by each feature, support over queries."""
        axes: Any = figure.subplots(1, 1 + len(FEATURES), sharey=True, width_ratios=[2, *[1] * len(FEATURES)])
        sides = (
            (batch.query_x[0].numpy(), batch.query_y[0].numpy(), "query", 14, "#999999"),
            (batch.support_x[0].numpy(), batch.support_y[0].numpy(), "support", 60, "#D55E00"),
        )
        jitter = np.random.default_rng(0)
        for x, y, label, size, colour in sides:
            shown = y + (jitter.uniform(-0.2, 0.2, len(y)) if batch.n_classes else 0.0)
            columns = [x[:, : len(CLASSES)].argmax(axis=1), *x[:, len(CLASSES) :].T]
            for ax, column in zip(axes, columns, strict=True):
                ax.scatter(column, shown, s=size, color=colour, edgecolors="black", linewidths=0.5, label=label)
        axes[0].set_xticks(range(len(CLASSES)), CLASSES, rotation=60, fontsize=8)
        for ax, name in zip(axes, ("photometric class", *FEATURES), strict=True):
            ax.set_xlabel(name)
        axes[0].set_ylabel("above the median" if batch.n_classes else "ln value")
        axes[0].legend(fontsize=8)


# THE REFERENCE


@dataclass(frozen=True)
class PriorRidgeConfig(LearnerConfig):
    """Settings of `PriorRidge`: none but that it takes numbers as they are."""

    scale: Literal["meta", "none"] = "none"


class PriorRidge(UntrainedBaseline):
    """Ridge regression with the true prior: the best linear predictor for programmes of the training split.

    Coefficients of a task are normal in it, with the mean and covariance that they have over programmes, and noise
    has the mean variance that impure classes make. No predictor that is linear in the support's y has a smaller mean
    squared error (Rasmussen and Williams 2006, section 2.1), up to purities that differ from task to task; those
    that are not linear may.
    """

    config_class = PriorRidgeConfig
    kinds = ("regression",)
    alternative = "choose linear for classification"

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        if self.problem.x_shape != (N_INPUTS,):
            raise ValueError(f"expected samples of {N_INPUTS} numbers, got shape {self.problem.x_shape}")
        return super()._build(backbone, features)

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        mean, covariance, noise = (torch.as_tensor(part) for part in true_prior())
        x, y = support_x.double(), support_y.double()
        gram = x @ covariance @ x.transpose(1, 2) + noise * torch.eye(x.shape[1], dtype=x.dtype)
        gain = torch.linalg.solve(gram, (y - x @ mean)[..., None])
        posterior = mean[:, None] + covariance @ x.transpose(1, 2) @ gain  # (tasks, inputs, 1)
        return lambda query: (query.double() @ posterior)[..., 0].float()


@lru_cache(maxsize=1)
def true_prior() -> tuple[Floats, Floats, float]:
    """Mean (11,) and covariance (11, 11) of a task's coefficients, and the mean variance about its linear law.

    The law is E[ln value | photometric class c, features f] = b_c + w.f, of which b_c is the mean ln class value
    behind the photometric class less |w|^2 / 2.
    """
    tasks = TargetSelectionDistribution().sample(PRIOR_TASKS, "train", np.random.default_rng(PRIOR_SEED))
    right, log_value = tasks.purity[:, None], np.log(tasks.class_value)
    mean = right * log_value + (1 - right) * (log_value @ CONFUSION.T)
    square = right * log_value**2 + (1 - right) * (log_value**2 @ CONFUSION.T)
    level = mean - 0.5 * (tasks.feature_weight**2).sum(axis=1, keepdims=True)
    coefficients = np.concatenate([level, tasks.feature_weight], axis=1)
    noise = float(((square - mean**2) @ SHARES).mean())
    return coefficients.mean(axis=0), np.cov(coefficients.T), noise
