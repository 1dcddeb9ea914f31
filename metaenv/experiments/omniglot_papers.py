"""What the papers say of Omniglot: their accuracies as printed, and how they trained.

Deep kernels and Meta-LSTM have no such accuracies in their papers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metaenv.supervised.learners.snail import PAPER as SNAIL_PAPER

Cell = tuple[int, int]
"""A column of the table: (ways, shots)."""


@dataclass(frozen=True)
class Published:
    """A row of a paper."""

    method: str
    learner: str | None
    """Which of ours it is."""
    transductive: bool
    cells: Mapping[Cell, str]
    """Accuracy in percent, and its 95 % interval where there is one."""
    source: str

    @property
    def row_of_ours(self) -> str | None:
        """The row of ours that it stands beside."""
        return None if self.learner is None else row_name(self.learner, self.transductive)


def row_name(method: str, transductive: bool) -> str:
    """Name of a row of the table."""
    return f"{method}, transductive" if transductive else method


def _row(five_1: str, five_5: str, twenty_1: str = "–", twenty_5: str = "–") -> dict[Cell, str]:
    return {(5, 1): five_1, (5, 5): five_5, (20, 1): twenty_1, (20, 5): twenty_5}


PUBLISHED = (
    Published("Matching Networks", "matching", False, _row("98.1", "98.9", "93.8", "98.5"), "Vinyals et al. 2016"),
    Published("MANN, no convolutions", "mann", False, _row("82.8", "94.9"), "Santoro et al. 2016 in Finn et al. 2017"),
    Published(
        "MAML", "maml", True, _row("98.7 ± 0.4", "99.9 ± 0.1", "95.8 ± 0.3", "98.9 ± 0.2"), "Finn et al. 2017, table 1"
    ),
    Published(
        "first-order MAML", None, True, _row("98.3 ± 0.5", "99.2 ± 0.2", "89.4 ± 0.5", "97.9 ± 0.1"),
        "Nichol et al. 2018, table 2",
    ),
    Published(
        "Reptile", "reptile", False, _row("95.39 ± 0.09", "98.90 ± 0.10", "88.14 ± 0.15", "96.65 ± 0.33"),
        "Nichol et al. 2018, table 2",
    ),
    Published(
        "Reptile", "reptile", True, _row("97.68 ± 0.04", "99.48 ± 0.06", "89.43 ± 0.14", "97.12 ± 0.32"),
        "Nichol et al. 2018, table 2",
    ),
    Published(
        "Prototypical Networks", "prototypical", False, _row("98.8", "99.7", "96.0", "98.9"),
        "Snell et al. 2017, table 1",
    ),
    Published(
        "SNAIL", "snail", False, _row("99.07 ± 0.16", "99.78 ± 0.09", "97.64 ± 0.30", "99.36 ± 0.18"),
        "Mishra et al. 2018, table 1, quoted from memory",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class TrainingSettings:
    """How a learner is trained for a column of the table."""

    iterations: int
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the learner."""
    width: int = 64
    """Channels of the four blocks of convolution."""
    n_query: int = 5
    """Queries of each class in training."""
    ways: int | None = None
    """Classes of a training episode; None for as many as in tests."""


def training_settings(learner: str, ways: int, shots: int, transductive: bool = False) -> TrainingSettings:
    """Settings of the papers where they say and a column is theirs; else chosen, on validation characters.

    - MAML: section 5.2 and appendix A.1, but for the steps in tests, which are those of training: with 3 after training
      for 1, as in the paper, a learner without batch statistics falls from 0.74 to 0.35. Without batch statistics, two
      steps of half the size learn as much as one in the same time, at 5 ways and in half as many updates; 8 tasks in
      an update, a quarter of the paper's, are due to the time there was.
    - Reptile: table 5 and the code's README, in which a training task has 10 samples of a class at 5 ways. With these a
      learner without batch statistics has 0.80 after 420 updates, and after 2,100; with features standardised by the
      support set, 8 inner steps of gradient descent and half the meta step it has 0.86 after 520, in five minutes.
    - Prototypical Networks: 60-way episodes.
    - SNAIL: `metaenv.supervised.learners.snail.PAPER`. It and the memory network read features that are standardised by
      the support set, and do not leave chance without (`metaenv.supervised.learners.support_statistics`). Without batch
      statistics it has the default sizes, and eight tasks are made of the pictures of one: after 3 minutes 0.89, with
      the paper's sizes 0.79; where tasks stay as they are drawn, 0.77 with the sizes of either.
    - Meta-LSTM: 12 steps for one sample of a class and 5 for five, as in the paper. Its gates read gradients and losses
      without an LSTM between, and an update has 4 tasks: 0.71 after 150 seconds, where the paper's LSTM and one task
      have 0.64. Without batch statistics its features are standardised, too, and one sample has 6 steps that are twice
      as large, with which an update takes half the time (0.73 after 160 seconds with 6 as with 12).
    """
    five = ways == 5
    more: dict[str, Any]
    if learner == "maml":
        inner = {"inner_lr": 0.4, "inner_steps": 1} if five else {"inner_lr": 0.1, "inner_steps": 5}
        inner |= {"tasks_per_batch": 32 if five else 16, "engine": "timed"}
        if five and not transductive:
            inner |= {"inner_lr": 0.2, "inner_steps": 2, "tasks_per_batch": 8, "lr_decay": "linear"}
        return TrainingSettings(60_000, inner, n_query=1)
    if learner == "reptile":
        rates = (1e-3, 10, 5) if five else (5e-4, 20, 10)
        inner = dict[str, Any](zip(("inner_lr", "inner_batch", "inner_steps"), rates, strict=True))
        iterations = 100_000 if five else 200_000
        inner |= {"tasks_per_batch": 5, "test_steps": 50}
        if five and not transductive:
            inner |= {"inner_optimizer": "sgd", "inner_lr": 0.1, "inner_steps": 8, "test_steps": 16}
            inner |= {"tasks_per_batch": 4, "learning_rate": 0.5, "normalize": "support"}
        return TrainingSettings(iterations, inner, n_query=10 - shots)
    if learner == "prototypical":
        return TrainingSettings(20_000, {"tasks_per_batch": 1, "lr_decay": "linear"}, ways=60)
    if learner == "meta-lstm":
        more = {"hidden": 0, "tasks_per_batch": 4, "lr_decay": "linear", "inner_steps": 12 if shots == 1 else 5}
        if not transductive:
            more |= {"normalize": "support", "learning_rate": 2e-3}
            more |= {"inner_steps": 6, "first_lr": 0.2} if shots == 1 else {}
        return TrainingSettings(20_000, more, width=32)
    more = {"normalize": "support"} if learner in ("snail", "mann") else {}
    if learner == "snail":
        more |= SNAIL_PAPER if transductive else {"regroupings": 8}
    return TrainingSettings(40_000, {"tasks_per_batch": 16, "lr_decay": "linear", **more}, n_query=1)
