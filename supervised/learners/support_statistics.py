"""Features of samples, standardised by the mean and the standard deviation of the support set.

Features of a convolutional network are nearly alike for all pictures: what they share is many times larger than what
tells them apart. Attention and a memory that is addressed by content cannot prefer a sample then, and a last layer
moves all classes at once. Batch normalisation takes away what they share, but queries then see each other. The
statistics of the support set alone do it without that: "MetaBN" in John Bronskill, Jonathan Gordon, James Requeima,
Sebastian Nowozin, Richard Turner, "TaskNorm: Rethinking Batch Normalization for Meta-Learning", ICML 2020,
https://arxiv.org/abs/2003.03284. On Omniglot SNAIL and the memory network stay at chance without, and Reptile and
Meta-LSTM learn little (see docs/results.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from torch import Tensor, nn

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


class StandardisedNetwork(nn.Sequential):
    """A backbone, then a head, for learners that change the weights of both on each task.

    The features between the two are standardised by those of a support set, where ``normalize`` asks for it.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, normalize: Normalize) -> None:
        super().__init__(backbone, head)
        self.normalize: Normalize = normalize

    def forward(self, input: Tensor, support_x: Tensor | None = None) -> Tensor:
        """Outputs for samples (n, *x_shape), which are a support set of their own if there is no other."""
        features = self[0](input)[None]
        support = features if support_x is None else self[0](support_x)[None]
        return self[1](normaliser(self.normalize, support)(features)[0])

    def support(self, support_x: Tensor) -> tuple[Tensor, ...]:
        """What `forward` needs beside the queries: the support set, if anything is standardised by it."""
        return (support_x,) if self.normalize == "support" else ()
