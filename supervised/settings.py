"""The default training settings of `metaenv fewshot`. They were tuned on validation episodes only.

Defaults are merged: those of the learner, then those for the shape of a sample (on one core a convolution costs as much
as a hundred small layers), then those of the family. Everything else is the default of the learner's config.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from metaenv.supervised.data.problem import Problem


@dataclass(frozen=True)
class TrainingSettings:
    """How a learner is trained."""

    iterations: int
    """Meta-updates."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Fields of the learner's config, by name."""
    n_query: int | None = None
    """Queries of a training episode, for each class in classification; None means as many as in evaluations."""
    task_cache: int | None = None
    """For regression on simulated tasks: the number of training tasks that are simulated once, with `CACHED_EXAMPLES`
    examples each, and that all training episodes are drawn from. None simulates new tasks for every update, which can
    take longer than learning."""
    checks: int = 20
    """Scores on validation episodes in the course of the training."""


ANYWHERE: dict[str, tuple[int, dict[str, Any]]] = {
    "deep-kernel": (1_500, {"lr_decay": "linear"}),
    "maml": (1_500, {"lr_decay": "linear"}),
    "mann": (600, {"lr_decay": "linear"}),
    "matching": (3_000, {"lr_decay": "linear"}),
    "meta-lstm": (400, {"lr_decay": "linear"}),
    "neural-process": (4_000, {"lr_decay": "linear"}),
    "pretrained": (3_000, {"lr_decay": "linear"}),
    "prototypical": (3_000, {"lr_decay": "linear"}),
    "reptile": (3_000, {}),
    "snail": (800, {"lr_decay": "linear"}),
    "transformer-process": (3_000, {"lr_decay": "linear", "layers": 4}),
    "linear-projection": (60, {}),
    "meta-gp": (600, {"lr_decay": "linear", "learning_rate": 0.02}),
    "no-adaptation": (2_000, {"lr_decay": "linear"}),
    "ridge-to-mean": (60, {}),
}
"""By learner: meta-updates and settings (chosen: a minute or so on one core with vectors)."""

CACHED_EXAMPLES = 40  # of a cached task; more if an episode takes more (chosen)
CACHED_TASKS = {("materials-synthesis", "regression"): 8_192}
"""Tasks, by family and kind of problem (chosen: a quarter of a minute, then an update takes a fifth of the time)."""

CONVOLUTIONS: dict[str, Any] = {"sizes": (32,), "tasks_per_batch": 8}
STANDARDISED = ("mann", "meta-lstm", "reptile", "snail")
"""Learners whose features of pictures are standardised by the support set to tell classes apart. On validation kinds of
blood cells the memory network has 0.70 after 300 updates, SNAIL 0.61; without, they are at chance after 3,500 and 700.
Meta-LSTM has 0.63 after 60 updates, and 0.36 without; Reptile has 0.72 after 150, and 0.67 without."""
CONVOLUTION_SHARE = 0.2  # of the meta-updates, so that a learner takes minutes and not an hour on one core (chosen)
CONVOLUTION_N_QUERY = 5
CONVOLUTION_CHECKS = 8  # on validation episodes, which take as long as training (chosen)

FAMILY: dict[tuple[str, str, str], tuple[int, dict[str, Any]]] = {
    ("blood-cells", "classification", "mann"): (1_200, {}),
    ("blood-cells", "classification", "snail"): (1_200, {}),
    ("blood-cells", "anomaly", "snail"): (3_000, {"learning_rate": 2e-3}),  # three minutes on one core
    # Genes of great variance tell more here (validation: 0.73 against 0.67, and 0.70 against 0.68).
    ("gene-expression", "classification", "lda"): (0, {"scale": "none"}),
    ("gene-expression", "classification", "linear"): (0, {"scale": "none"}),
    ("light-curves", "classification", "prototypical"): (2_000, {}),
    ("light-curves", "classification", "matching"): (2_000, {}),
    ("materials-synthesis", "regression", "deep-kernel"): (4_000, {"sizes": (128, 128), "learning_rate": 2e-3}),
    ("materials-synthesis", "regression", "mann"): (1_200, {}),
    ("materials-synthesis", "regression", "snail"): (6_000, {}),
    ("materials-synthesis", "regression", "transformer-process"): (6_000, {"learning_rate": 2e-3}),
    ("telescope-values", "regression", "maml"): (
        2_000,
        {"inner_lr": 0.05, "inner_steps": 5, "learn_rates": True, "learning_rate": 3e-3},
    ),
    ("telescope-values", "regression", "reptile"): (
        2_000,
        {"inner_optimizer": "sgd", "inner_lr": 0.02, "inner_steps": 8, "inner_batch": 10, "test_steps": 20},
    ),
}
"""By family, kind of problem and learner."""


def training_settings(family: str, problem: Problem, learner: str) -> TrainingSettings:
    """The stored settings of a learner for a family; untrained baselines have zero iterations."""
    vectors = len(problem.x_shape) == 1
    iterations, settings = ANYWHERE.get(learner, (0, {}))
    if iterations and not vectors:
        iterations, settings = round(CONVOLUTION_SHARE * iterations), {**settings, **CONVOLUTIONS}
    if len(problem.x_shape) == 3 and problem.kind == "classification" and learner in STANDARDISED:
        settings = {**settings, "normalize": "support"}
    if learner == "maml":
        # The loop is faster with convolutions.
        settings = {**settings, "engine": "vmap" if vectors else "loop"}
    better, more = FAMILY.get((family, problem.kind, learner), (iterations, {}))
    n_query = None if vectors or not iterations else CONVOLUTION_N_QUERY
    cache, checks = CACHED_TASKS.get((family, problem.kind)), 20 if vectors else CONVOLUTION_CHECKS
    return TrainingSettings(better, {**settings, **more}, n_query, cache, checks)
