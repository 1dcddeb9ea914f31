"""A support set as a sequence, for the learners that read one sample after the other: SNAIL and the memory network.

Features of a convolutional network are nearly alike for all pictures: what they share is many times larger than what
tells them apart, and neither attention nor a memory that is addressed by content can then prefer a sample. Batch
normalisation takes away what they share, but queries then see each other. The mean and the standard deviation of the
support set alone do it without that: "MetaBN" in John Bronskill, Jonathan Gordon, James Requeima, Sebastian Nowozin,
Richard Turner, "TaskNorm: Rethinking Batch Normalization for Meta-Learning", ICML 2020,
https://arxiv.org/abs/2003.03284. On Omniglot both learners stay at chance without (see docs/results.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from metaenv.supervised.data.problem import Problem, one_hot

Normalize = Literal["support", "none"]
"""Whether features of samples are standardised by those of the support set."""
LEAST_SPREAD = 0.1  # added to the standard deviation of a feature, as few samples may agree in one (chosen)


def normaliser(how: Normalize, z: Tensor) -> Callable[[Tensor], Tensor]:
    """A function of features (tasks, samples, d) that standardises them by those of the support set, z.

    Raises:
        ValueError: there is no such way to normalise.
    """
    if how not in get_args(Normalize):
        raise ValueError(f"expected normalize 'support' or 'none', got {how!r}")
    if how == "none":
        return lambda x: x
    mean, spread = z.mean(1, keepdim=True), z.std(1, correction=0, keepdim=True) + LEAST_SPREAD
    return lambda x: (x - mean) / spread


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
