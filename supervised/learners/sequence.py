"""A support set as a sequence, for the learners that read one sample after the other: SNAIL and the memory network."""

from __future__ import annotations

import torch
from torch import Tensor

from metaenv.supervised.data.problem import Problem, one_hot


def reading_order(n: int, seed: int) -> Tensor:
    """(n,) the order in which a support set of n is read, always the same one.

    Episodes come in random order, but a user's support set is often sorted by class, which a learner that was trained
    on episodes has never seen.
    """
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def label_input(problem: Problem, y: Tensor) -> Tensor:
    """Labels (tasks, samples) as inputs of a network, (tasks, samples, n_outputs): one-hot, or the number."""
    if problem.kind == "classification":
        return one_hot(y, problem.n_outputs)
    return y.float()[..., None]
