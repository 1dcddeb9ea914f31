"""Predictors: learners that have been adapted to tasks, what they return, and the checks of what they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from metaenv.supervised.data.normalization import Scaling
from metaenv.supervised.data.problem import Problem


@dataclass(frozen=True)
class Prediction:
    """The predictions for some queries."""

    output: Tensor
    """Logits (tasks, queries, classes) for classification, means (tasks, queries) in the unit of y for regression,
    scores (tasks, queries) for anomalies: the larger, the more anomalous."""
    std: Tensor | None = None
    """(tasks, queries) standard deviation of a measured y, in its unit, if the learner predicts one."""

    @property
    def probabilities(self) -> Tensor:
        """(tasks, queries, classes), for classification."""
        return self.output.softmax(-1)

    @property
    def labels(self) -> Tensor:
        """(tasks, queries) int64, the most likely class."""
        return self.output.argmax(-1)


Adapted = Callable[[Tensor], Tensor | Prediction]
"""The return type of `Learner._adapt`: a function of scaled queries (tasks, queries, *x_shape), with scaled outputs."""


class Predictor:
    """A learner adapted to tasks, as `Learner.adapt` returns it. Call it with queries; it does not change.

    ``n_tasks`` is None after adapting to a single task without a task axis.
    """

    def __init__(
        self, adapted: Adapted, network: nn.Module, problem: Problem, scaling: Scaling, n_tasks: int | None
    ) -> None:
        self._adapted, self._network, self._problem = adapted, network, problem
        self._scaling, self._n_tasks = scaling, n_tasks

    def __call__(self, query_x: ArrayLike | Tensor) -> Prediction:
        """Predictions, with the leading axes of the queries; those of a query do not depend on the other queries.

        Args:
            query_x: (tasks, queries, *x_shape), or (queries, *x_shape) after adapting to a single task.

        Raises:
            ValueError: another shape, another number of tasks, or numbers that are not finite.
        """
        single = self._n_tasks is None
        x = as_samples(query_x, "query_x", () if self._n_tasks is None else (self._n_tasks,), self._problem.x_shape)
        with inference(self._network):
            found = self._adapted(self._scaling.x(x[None] if single else x))
        prediction = found if isinstance(found, Prediction) else Prediction(found)
        output, std = self._scaling.unscaled(prediction.output, prediction.std)
        if single:
            output, std = output[0], None if std is None else std[0]
        return Prediction(output, std)

    def predict_proba(self, query_x: ArrayLike | Tensor) -> Tensor:
        """Class probabilities, (…, queries, classes) in the order of the labels 0, 1, … that were learned from.

        Raises:
            ValueError: the problem is not a classification, or the queries do not fit.
        """
        if self._problem.kind != "classification":
            raise ValueError(f"class probabilities need a classification, but this problem is {self._problem.kind}")
        return self(query_x).probabilities


@contextmanager
def inference(network: nn.Module) -> Iterator[None]:
    """Evaluate a network without gradients, and return it to the mode that it was in."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        network.train(training)


# CHECKS


def as_samples(x: ArrayLike | Tensor, name: str, lead: tuple[int, ...], x_shape: tuple[int, ...]) -> Tensor:
    """x as float32 (*lead, samples, *x_shape); uint8 is divided by 255, as `Dataset` does.

    Raises:
        ValueError: another shape, or numbers that are not finite; the message calls x by its ``name``.
    """
    try:
        samples = torch.as_tensor(x).detach()
        samples = samples / 255 if samples.dtype == torch.uint8 else samples.float()
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected {name} as numbers in one shape, got {type(x).__name__}: {error}") from error
    n = len(lead)
    if samples.shape[:n] != lead or samples.shape[n + 1 :] != x_shape:
        wanted = ", ".join([*map(str, lead), "samples", *map(str, x_shape)])
        raise ValueError(f"expected {name} of shape ({wanted}), got {tuple(samples.shape)}")
    if not torch.isfinite(samples).all():
        raise ValueError(f"expected finite {name}, got NaN or infinity; fill them in, or leave the samples out")
    return samples


def as_targets(support_y: ArrayLike | Tensor, problem: Problem) -> Tensor:
    """Targets as float32 for regression, labels as int64 otherwise.

    Raises:
        ValueError: targets that are no finite numbers, or labels that are no whole numbers.
    """
    try:
        y = torch.as_tensor(support_y).detach()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"expected support_y as numbers, got {type(support_y).__name__} ({error}); number the classes, as in "
            "np.unique(labels, return_inverse=True)[1]"
        ) from error
    if problem.kind == "regression":
        if not torch.isfinite(y).all():
            raise ValueError("expected finite support_y, got NaN or infinity; leave such samples out")
        return y.float()
    if y.is_floating_point() and not torch.equal(y, y.round()):
        raise ValueError(f"expected integer labels for {problem.kind}, got {y.dtype} that are not whole")
    return y.long()


def check_labels(y: Tensor, problem: Problem, variable_n_way: bool) -> None:
    """Check the labels (tasks, support) of support sets.

    Raises:
        ValueError: anomalies in a support set, or a class without a sample in one of them.
    """
    if problem.kind == "anomaly" and (y != 0).any():
        raise ValueError("expected a support set of normal samples only (y = 0) to find anomalies; leave others out")
    if problem.kind != "classification":
        return
    ways = int(y.max()) + 1 if variable_n_way else problem.n_outputs
    counts = torch.stack([(y == label).sum(1) for label in range(ways)], 1)
    if y.min() < 0 or y.max() >= ways or ways < 2 or (counts == 0).any():
        raise ValueError(
            f"expected labels 0 to {max(ways, 2) - 1}, each at least once in each support set, got "
            f"{sorted(set(y.flatten().tolist()))} with smallest counts {counts.min(0).values.tolist()}"
        )
