"""Settings that `metaenv fewshot` trains each learner with, unless told otherwise. Tuned on validation episodes only.

A recipe is looked up from the general to the particular: what suits a learner anywhere, what suits it on samples of a
shape (vectors, sequences, images: on one core a convolution costs what a hundred small layers do), what suits it on a
family. What these leave open is the learner's own default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from metaenv.supervised.data.problem import Problem


@dataclass(frozen=True)
class Recipe:
    """How a learner is trained."""

    iterations: int
    """Meta-updates."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the learner, by name."""
    query: int | None = None
    """Queries of a training episode, for each class in classification; None for as many as in evaluations."""
    bank: int | None = None
    """Regression on simulated tasks: draw so many training tasks once, with `BANK_EXAMPLES` examples each, and make all
    training episodes of these. None simulates new tasks for every update, which can take longer than learning."""


ANYWHERE: dict[str, tuple[int, dict[str, Any]]] = {
    "deep-kernel": (1_500, {"lr_decay": "linear"}),
    "maml": (1_500, {"lr_decay": "linear"}),
    "mann": (600, {"lr_decay": "linear"}),
    "matching": (3_000, {"lr_decay": "linear"}),
    "meta-lstm": (400, {"lr_decay": "linear"}),
    "prototypical": (3_000, {"lr_decay": "linear"}),
    "reptile": (3_000, {}),
    "snail": (800, {"lr_decay": "linear"}),
    "zero-shot": (2_000, {"lr_decay": "linear"}),
}
"""By learner: meta-updates and settings (chosen: a minute or so on one core with vectors)."""

BANK_EXAMPLES = 40  # of a task, at least those that an episode takes (chosen)
BANKS = {("materials-synthesis", "regression"): 8_192}
"""Tasks, by family and kind of problem (chosen: a quarter of a minute, then an update takes a fifth of the time)."""

CONVOLUTIONS: dict[str, Any] = {"sizes": (32,), "tasks_per_batch": 8}
CONVOLUTION_SHARE = 0.2  # of the meta-updates, so that a learner takes minutes and not an hour on one core (chosen)
CONVOLUTION_QUERY = 5

FAMILY: dict[tuple[str, str, str], tuple[int, dict[str, Any]]] = {
    # Classification stays at chance for the first 700 updates; nine and three minutes on one core.
    ("blood-cells", "classification", "snail"): (4_000, {"learning_rate": 2e-3}),
    ("blood-cells", "anomaly", "snail"): (3_000, {"learning_rate": 2e-3}),
    ("light-curves", "classification", "prototypical"): (2_000, {}),
    ("light-curves", "classification", "matching"): (2_000, {}),
    ("materials-synthesis", "regression", "deep-kernel"): (4_000, {"sizes": (128, 128), "learning_rate": 2e-3}),
    ("materials-synthesis", "regression", "mann"): (1_200, {}),
    ("materials-synthesis", "regression", "snail"): (6_000, {}),
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


def recipe(family: str, problem: Problem, learner: str) -> Recipe:
    """The stored recipe of a learner for a family; floors that are not trained have one of no updates."""
    vectors = len(problem.x_shape) == 1
    iterations, settings = ANYWHERE.get(learner, (0, {}))
    if iterations and not vectors:
        iterations, settings = round(CONVOLUTION_SHARE * iterations), {**settings, **CONVOLUTIONS}
    if learner == "maml":
        # Named, not timed: a run that is interrupted shall end as one that is not. The loop wins with convolutions.
        settings = {**settings, "engine": "vmap" if vectors else "loop"}
    better, more = FAMILY.get((family, problem.kind, learner), (iterations, {}))
    query = None if vectors or not iterations else CONVOLUTION_QUERY
    return Recipe(better, {**settings, **more}, query, BANKS.get((family, problem.kind)))
