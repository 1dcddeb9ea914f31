"""Predictors: learners that have been adapted to tasks, what they return, and the checks of what they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from metaenv.errors import nearest
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
    classes: NDArray[Any] | None = None
    """The class behind each output: (classes,), or (tasks, classes) with a task axis; see `Predictor.classes`."""

    @property
    def probabilities(self) -> Tensor:
        """(tasks, queries, classes), for classification."""
        return self.output.softmax(-1)

    @property
    def labels(self) -> Tensor:
        """(tasks, queries) int64, the most likely class."""
        return self.output.argmax(-1)

    @property
    def names(self) -> NDArray[Any]:
        """(tasks, queries) the most likely class by its name, as the support labels called it.

        Raises:
            ValueError: the problem is not a classification.
        """
        if self.classes is None:
            raise ValueError("class names need a classification that was learned by Learner.adapt")
        return np.take_along_axis(self.classes, self.labels.numpy(), axis=-1)


Adapted = Callable[[Tensor], Tensor | Prediction]
"""The return type of `Learner._adapt`: a function of scaled queries (tasks, queries, *x_shape), with scaled outputs."""


class Predictor:
    """A learner adapted to tasks, as `Learner.adapt` returns it. Call it with queries; it does not change.

    ``n_tasks`` is None after adapting to a single task without a task axis.
    """

    classes: NDArray[Any] | None
    """The class behind each output: names in sorted order if the support labels were strings, else 0, 1, …; (classes,),
    or (tasks, classes) with a task axis, since tasks may have classes of their own. None without classification."""

    def __init__(
        self,
        adapted: Adapted,
        network: nn.Module,
        problem: Problem,
        scaling: Scaling,
        n_tasks: int | None,
        classes: NDArray[Any] | None = None,
        temperature: float = 1.0,
    ) -> None:
        self.classes = classes
        self._temperature = temperature
        self._adapted, self._network, self._problem = adapted, network, problem
        self._scaling, self._n_tasks = scaling, n_tasks

    def __call__(self, query_x: ArrayLike | Tensor) -> Prediction:
        """Predictions, with the leading axes of the queries; those of a query do not depend on the other queries.

        They are on the CPU, whatever the learner's device.

        Args:
            query_x: (tasks, queries, *x_shape), or (queries, *x_shape) after adapting to a single task.

        Raises:
            ValueError: another shape, another number of tasks, or numbers that are not finite.
        """
        single = self._n_tasks is None
        x = as_samples(query_x, "query_x", () if self._n_tasks is None else (self._n_tasks,), self._problem.x_shape)
        with inference(self._network):
            found = self._adapted(self._scaling.x((x[None] if single else x).to(self._scaling.x_mean.device)))
        prediction = found if isinstance(found, Prediction) else Prediction(found)
        output, std = self._scaling.unscaled(prediction.output, prediction.std)
        output, std = output.cpu(), None if std is None else std.cpu()
        output = output / self._temperature if self._problem.kind == "classification" else output
        std = None if std is None else std * self._temperature
        if single:
            output, std = output[0], None if std is None else std[0]
        return Prediction(output, std, self.classes)

    def predict_proba(self, query_x: ArrayLike | Tensor, of: str | int | None = None) -> Tensor:
        """Class probabilities, (…, queries, classes) in the order of `classes`.

        Args:
            query_x: as of a call.
            of: the name of a class, as the support labels called it: its probability alone, (…, queries). It is 0 in
                tasks that do not have the class.

        Raises:
            ValueError: the problem is not a classification, no task has such a class, or the queries do not fit.
        """
        if self._problem.kind != "classification" or self.classes is None:
            raise ValueError(f"class probabilities need a classification, but this problem is {self._problem.kind}")
        if of is None:
            return self(query_x).probabilities
        place = torch.from_numpy(self.classes == of)  # (…, classes)
        if not place.any():
            known = np.unique(self.classes).tolist()
            raise ValueError(f"expected the name of a class of the support sets, got {of!r}.{nearest(str(of), known)}")
        return (self(query_x).probabilities * place[..., None, :]).sum(-1)


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
        samples = torch.as_tensor(_plain(x)).detach().cpu()
        samples = samples / 255 if samples.dtype == torch.uint8 else samples.float()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"expected {name} as numbers in one shape, got {type(x).__name__}: {error}") from error
    n = len(lead)
    if samples.shape[:n] != lead or samples.shape[n + 1 :] != x_shape:
        wanted = ", ".join([*map(str, lead), "samples", *map(str, x_shape)])
        raise ValueError(f"expected {name} of shape ({wanted}), got {tuple(samples.shape)}")
    if not torch.isfinite(samples).all():
        raise ValueError(f"expected finite {name}, got NaN or infinity; fill them in, or leave the samples out")
    return samples


def _plain(values: Any) -> Any:
    """The array in a data frame or column of pandas or polars; all else as it is."""
    return values.to_numpy() if hasattr(values, "to_numpy") else values


def named_labels(support_y: Any, problem: Problem) -> tuple[Any, NDArray[Any] | None]:
    """Labels as numbers, and the names behind them, (…, classes) in sorted order; no names if they are numbers already.

    Raises:
        ValueError: strings among numbers or without a classification, an empty label, or a task with another number
            of classes than the others.
    """
    y = _plain(support_y)
    try:
        found = y if isinstance(y, Tensor) else np.asarray(y, dtype=None if isinstance(y, np.ndarray) else object)
    except ValueError:  # lists of different lengths, which the caller refuses
        return y, None
    if isinstance(found, Tensor) or found.dtype.kind not in "OSU" or found.ndim not in (1, 2):
        return y, None
    items = found.ravel().tolist()
    if not any(isinstance(item, str | bytes) for item in items):
        return y, None
    if problem.kind != "classification":
        raise ValueError(f"expected numbers as support_y for {problem.kind}, got names such as {items[0]!r}")
    odd = [i for i, item in enumerate(items) if not isinstance(item, str | bytes) or not item]
    if odd:
        raise ValueError(
            f"expected class names as support_y throughout, got {items[odd[0]]!r} for sample {odd[0]}; leave it "
            "out, or write its class"
        )
    text = found.astype(str)
    tasks = [np.unique(task, return_inverse=True) for task in np.atleast_2d(text)]
    if len({len(names) for names, _ in tasks}) > 1:
        raise ValueError(
            f"expected as many classes in each task, got {', '.join(str(len(names)) for names, _ in tasks)}; adapt to "
            "tasks with different numbers of classes one by one"
        )
    names, codes = np.stack([task[0] for task in tasks]), np.stack([task[1].reshape(-1) for task in tasks])
    return (codes[0], names[0]) if text.ndim == 1 else (codes, names)


def as_targets(support_y: ArrayLike | Tensor, problem: Problem) -> Tensor:
    """Targets as float32 for regression, labels as int64 otherwise.

    Raises:
        ValueError: targets that are no finite numbers, or labels that are no whole numbers.
    """
    try:
        y = torch.as_tensor(_plain(support_y)).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
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


def check_labels(y: Tensor, problem: Problem, variable_n_way: bool, names: NDArray[Any] | None = None) -> None:
    """Check the labels (tasks, support) of support sets, or the class names that they stand for.

    Raises:
        ValueError: anomalies in a support set, or a class without a sample in one of them.
    """
    if problem.kind == "anomaly" and (y != 0).any():
        raise ValueError("expected a support set of normal samples only (y = 0) to find anomalies; leave others out")
    if problem.kind != "classification":
        return
    ways = int(y.max()) + 1 if variable_n_way else problem.n_outputs
    if names is not None and (names.shape[-1] != ways or ways < 2):
        raise ValueError(
            f"expected {max(ways, 2)} classes in each support set, got {names.shape[-1]}: "
            f"{', '.join(np.unique(names).tolist()[:8])}"
        )
    counts = torch.stack([(y == label).sum(1) for label in range(ways)], 1)
    if y.min() < 0 or y.max() >= ways or ways < 2 or (counts == 0).any():
        raise ValueError(
            f"expected labels 0 to {max(ways, 2) - 1}, each at least once in each support set, got "
            f"{sorted(set(y.flatten().tolist()))} with smallest counts {counts.min(0).values.tolist()}"
        )
