"""The two verbs that all few-shot learners share, `meta_fit` and `adapt`, and what comes with them.

    learner = MAML(train.problem, MAMLConfig(inner_lr=0.01), seed=0)
    learner.meta_fit(train, iterations=10_000, progress_bar=True)
    predictor = learner.adapt(support_x, support_y)     # one task or a batch of them
    predictor(query_x).output                           # means or logits, see `Problem`

A new learner is a subclass that says how it builds its network (`_build`) and how it learns from a support set
(`_adapt`); the rest, that is meta-training by gradient descent on the query loss, scaling, checks, seeds, files and
resuming, is here. One that is not trained like that overrides `_meta_loss` or `_update`. Add it to
`metaenv.supervised.registry.LEARNERS`, and the tests and tables take it up.
"""

from __future__ import annotations

import math
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, Self

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from metaenv.checkpoints import load_checkpoint, save_checkpoint
from metaenv.supervised.data.episodes import EpisodeBatch, Episodes
from metaenv.supervised.data.normalization import Scaling
from metaenv.supervised.data.problem import Kind, Problem, task_loss
from metaenv.supervised.learners.backbones import backbone_for, check_no_batch_statistics, n_features
from metaenv.threads import torch_threads_of

SCALING_TASKS = 64  # tasks that the scaling is computed from (chosen)
MAX_SKIPPED = 100  # updates in a row that may be left out for a loss that is not finite (chosen)


@dataclass(frozen=True)
class Prediction:
    """What a predictor says of queries."""

    output: Tensor
    """Logits (tasks, queries, classes) for classification, means (tasks, queries) in the unit of y for regression,
    scores (tasks, queries) for anomalies: the larger, the more anomalous."""
    std: Tensor | None = None
    """(tasks, queries) standard deviation of a measured y, in its unit, where a learner has one."""

    @property
    def probabilities(self) -> Tensor:
        """(tasks, queries, classes), for classification."""
        return self.output.softmax(-1)

    @property
    def labels(self) -> Tensor:
        """(tasks, queries) int64, the most likely class."""
        return self.output.argmax(-1)


Adapted = Callable[[Tensor], Tensor | Prediction]
"""What `Learner._adapt` returns: from scaled queries (tasks, queries, *x_shape) to outputs in scaled units."""
Progress = Callable[[int, dict[str, float]], bool | None]
"""Called as ``callback(iteration, metrics)`` after each update; meta-training stops if it returns False."""


@dataclass(frozen=True)
class LearnerConfig:
    """Settings that all learners have."""

    learning_rate: float = 1e-3
    """Of the meta-update, by Adam."""
    lr_decay: Literal["none", "linear"] = "none"
    """Whether the learning rate falls to zero over the iterations asked for."""
    tasks_per_batch: int = 25
    """Episodes in a meta-update."""
    sizes: tuple[int, ...] = (64, 64)
    """Hidden layers of the default backbone; see `backbone_for`."""
    max_grad_norm: float = 10.0
    """Gradients of the meta-update are cut to this length (chosen; guards against the rare task that blows up)."""
    scale: Literal["meta", "none"] = "meta"
    """"meta": centre and scale x, by feature or channel, and y of regressions by what the first training tasks look
    like, all with the same numbers. "none": learn on the numbers as they are."""
    transductive: bool = False
    """Allow layers that normalise over a batch; queries of a task then see each other."""


class Predictor:
    """A learner adapted to tasks. Call it with queries; it does not change."""

    def __init__(self, learner: Learner, adapted: Adapted, n_tasks: int, single: bool) -> None:
        self._learner, self._adapted, self._n_tasks, self._single = learner, adapted, n_tasks, single

    def __call__(self, query_x: ArrayLike | Tensor) -> Prediction:
        """Predict.

        Args:
            query_x: (tasks, queries, *x_shape), or (queries, *x_shape) after adapting to a single task.

        Returns:
            Predictions with the same leading axes. Those of a query do not depend on the other queries.

        Raises:
            ValueError: another shape, another number of tasks, or numbers that are not finite.
        """
        x_shape = self._learner.problem.x_shape
        x = _numbers(query_x, "query_x", (() if self._single else (self._n_tasks,)), x_shape)
        with self._learner._inference():
            scaling = self._learner.scaling
            found = self._adapted(scaling.x(x[None] if self._single else x))
            prediction = found if isinstance(found, Prediction) else Prediction(found)
        output, std = scaling.unscaled(prediction.output, prediction.std)
        if self._single:
            output, std = output[0], None if std is None else std[0]
        return Prediction(output, std)


class Learner(ABC):
    """A few-shot learner.

    Args:
        problem: what it will be asked; `Episodes.problem` says.
        config: settings, an instance of `config_class`.
        backbone: a network from (n, *x_shape) to (n, features) instead of the default for the shape; it is trained in
            place.
        seed: of the first weights and of whatever the learner draws.

    Raises:
        ValueError: the learner does not do such problems, or the backbone does not fit.
    """

    config_class: ClassVar[type[LearnerConfig]] = LearnerConfig
    kinds: ClassVar[tuple[Kind, ...]] = ("classification", "regression", "anomaly")
    any_way: ClassVar[bool] = False
    """Whether it can be adapted to another number of classes than it was trained on."""
    trained: ClassVar[bool] = True
    """Whether `meta_fit` trains anything beyond the scaling."""

    def __init__(
        self, problem: Problem, config: LearnerConfig | None = None, backbone: nn.Module | None = None, seed: int = 0
    ) -> None:
        if problem.kind not in self.kinds:
            raise ValueError(
                f"{type(self).__name__} does {' and '.join(self.kinds)}, not {problem.kind}; {self._why_not()}"
            )
        if config is not None and type(config) is not self.config_class:
            raise ValueError(
                f"expected a {self.config_class.__name__} for {type(self).__name__}, got {type(config).__name__}"
            )
        self.problem = problem
        self.config: Any = config or self.config_class()
        self.seed = int(seed)
        self.iteration = 0
        self.iterations = 0
        """Where the last `meta_fit` was to end."""
        self.run: dict[str, Any] = {}
        """Settings of the run that the learner belongs to, as plain values; a checkpoint keeps them."""
        self.skipped = 0
        """Updates left out, because the loss or its gradient was not finite."""
        self._own_backbone = backbone is not None
        self._episodes_state: dict[str, Any] | None = None
        self.generator = torch.Generator().manual_seed(self.seed + 1)
        self.scaling = Scaling(problem)
        with torch.random.fork_rng(devices=[]), torch_threads_of(1):  # the numbers drawn depend on the threads
            torch.manual_seed(self.seed)
            body = backbone_for(problem.x_shape, self.config.sizes) if backbone is None else backbone
            self.network = self._build(body, n_features(body, problem.x_shape))
        check_no_batch_statistics(self.network, self.config.transductive)
        self.optimizer = self._make_optimizer()

    # WHAT A LEARNER WRITES

    @abstractmethod
    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        """All that is trained, around a backbone that gives so many features; called once, with torch seeded."""

    @abstractmethod
    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        """Learn from support sets, scaled: x (tasks, support, *x_shape), y (tasks, support).

        The function returned must treat each query on its own. In training, gradients go through both.
        """

    def _meta_loss(self, batch: EpisodeBatch) -> Tensor:
        """(tasks,) what a meta-update lowers, for scaled episodes: by default the query loss after adapting."""
        found = self._adapt(batch.support_x, batch.support_y)(batch.query_x)
        output = found.output if isinstance(found, Prediction) else found
        return task_loss(self.problem.kind, output, batch.query_y)

    def _update(self, batch: EpisodeBatch) -> dict[str, float]:
        """One meta-update on scaled episodes; returns what is logged, with "loss" among it."""
        loss = self._meta_loss(batch).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.max_grad_norm)
        if torch.isfinite(norm) and torch.isfinite(loss):
            self.optimizer.step()
        return {"loss": float(loss.detach()) if torch.isfinite(norm) else math.nan}

    def _make_optimizer(self) -> torch.optim.Optimizer:
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        return torch.optim.Adam(parameters or [nn.Parameter(torch.zeros(1))], lr=self.config.learning_rate, fused=True)

    def _why_not(self) -> str:
        """What to do for a kind of problem that the learner does not do."""
        return "choose another learner"

    # META-TRAINING

    def meta_fit(
        self,
        episodes: Episodes,
        iterations: int,
        *,
        progress_bar: bool = False,
        callback: Progress | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1_000,
        torch_threads: int = 1,
    ) -> Self:
        """Train for so many meta-updates more, each on `LearnerConfig.tasks_per_batch` new episodes.

        Args:
            episodes: a stream of training episodes.
            iterations: meta-updates; the learning rate's decay is over these.
            progress_bar: show one (needs tqdm).
            callback: see `Progress`.
            checkpoint: where to `save`, every ``checkpoint_every`` updates and at the end.
            checkpoint_every: updates between two of them.
            torch_threads: threads of torch while training; small networks are slower with two.

        Raises:
            ValueError: the episodes are of another problem.
            FloatingPointError: 100 updates in a row gave a loss that was not finite.
        """
        self._check_episodes(episodes)
        if iterations < 0:
            raise ValueError(f"expected iterations >= 0, got {iterations}")
        self._start, self.iterations = self.iteration, self.iteration + iterations
        with torch_threads_of(torch_threads):
            if self.config.scale == "meta" and not self.scaling.fitted:
                self.scaling.fit(episodes.draw(SCALING_TASKS))
            self._train(episodes, progress_bar, callback, checkpoint, checkpoint_every)
        return self

    def resume(
        self,
        episodes: Episodes,
        iterations: int | None = None,
        *,
        progress_bar: bool = False,
        callback: Progress | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1_000,
        torch_threads: int = 1,
    ) -> Self:
        """Finish the training that a loaded learner was saved in the middle of, to the same result.

        Args:
            episodes: made as those were that training began with; they are wound on to where it stopped.
            iterations: at which it ends, if it is to be longer than it was to be; the learning rate's decay is then
                over all of them.
            progress_bar: see `meta_fit`, as all others.
            callback: see there.
            checkpoint: see there.
            checkpoint_every: see there.
            torch_threads: see there.
        """
        self._check_episodes(episodes)
        if self._episodes_state is None:
            raise ValueError("expected a learner saved in meta_fit, but this one has not been trained; call meta_fit")
        if iterations is not None and iterations < self.iteration:
            raise ValueError(f"expected iterations >= {self.iteration}, which are done already, got {iterations}")
        self.iterations = self.iterations if iterations is None else iterations
        episodes.set_state(self._episodes_state)
        with torch_threads_of(torch_threads):
            self._train(episodes, progress_bar, callback, checkpoint, checkpoint_every)
        return self

    def _train(
        self,
        episodes: Episodes,
        progress_bar: bool,
        callback: Progress | None,
        checkpoint: str | os.PathLike[str] | None,
        checkpoint_every: int,
    ) -> None:
        self._episodes_state = episodes.state()
        skipped_in_a_row = 0
        for _ in _progress(range(self.iteration, self.iterations if self.trained else self.iteration), progress_bar):
            self._set_learning_rate()
            metrics = self._one_update(episodes)
            skipped_in_a_row = 0 if math.isfinite(metrics["loss"]) else skipped_in_a_row + 1
            if skipped_in_a_row >= MAX_SKIPPED:
                raise FloatingPointError(
                    f"{MAX_SKIPPED} meta-updates in a row had a loss that is not finite; lower the learning rates"
                )
            if checkpoint is not None and self.iteration % checkpoint_every == 0:
                self.save(checkpoint)
            if callback is not None and callback(self.iteration, metrics) is False:
                break
        if checkpoint is not None:
            self.save(checkpoint)

    def _one_update(self, episodes: Episodes) -> dict[str, float]:
        self.network.train()
        metrics = self._update(self.scaling.batch(episodes.draw(self.config.tasks_per_batch)))
        self.network.eval()
        self.skipped += not math.isfinite(metrics["loss"])
        self.iteration += 1
        self._episodes_state = episodes.state()
        return metrics

    @property
    def progress(self) -> float:
        """Share of the iterations asked for that is done, in [0, 1]."""
        return (self.iteration - self._start) / max(1, self.iterations - self._start)

    _start: int = 0

    def _set_learning_rate(self) -> None:
        factor = 1.0 - self.progress if self.config.lr_decay == "linear" else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor

    def _check_episodes(self, episodes: Episodes) -> None:
        expected, got = self.problem, episodes.problem
        same_ways = expected.n_outputs == got.n_outputs or self.any_way
        if (expected.kind, expected.x_shape) != (got.kind, got.x_shape) or not same_ways:
            raise ValueError(f"expected episodes of {expected}, got {got}; make a learner with episodes.problem")

    # ADAPTING

    def adapt(self, support_x: ArrayLike | Tensor, support_y: ArrayLike | Tensor) -> Predictor:
        """Learn tasks from their support sets; the learner itself stays as it is.

        Args:
            support_x: (tasks, support, *x_shape), or (support, *x_shape) for a single task.
            support_y: (tasks, support) or (support,): labels 0, 1, … for classification, each of them present; numbers
                for regression; zeros for anomaly detection.

        Returns:
            A predictor of the queries of these tasks.

        Raises:
            ValueError: shapes do not fit, an empty support set, labels that are no integers or leave one out, or
                numbers that are not finite.
        """
        y = self._targets(support_y)
        single = y.ndim == 1
        x = _numbers(support_x, "support_x", tuple(y.shape[:-1]), self.problem.x_shape)
        if x.shape[: y.ndim] != y.shape or y.ndim not in (1, 2) or y.numel() == 0:
            raise ValueError(
                f"expected support_x (tasks, support, *{self.problem.x_shape}) and support_y (tasks, support) with at "
                f"least one sample, got {tuple(x.shape)} and {tuple(y.shape)}"
            )
        x, y = (x[None], y[None]) if single else (x, y)
        self._check_labels(y)
        with self._inference():
            adapted = self._adapt(self.scaling.x(x), self.scaling.y(y))
        return Predictor(self, adapted, len(y), single)

    def _targets(self, support_y: ArrayLike | Tensor) -> Tensor:
        try:
            y = torch.as_tensor(support_y).detach()
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"expected support_y as numbers, got {type(support_y).__name__} ({error}); number the classes, as in "
                "np.unique(labels, return_inverse=True)[1]"
            ) from error
        if self.problem.kind == "regression":
            if not torch.isfinite(y).all():
                raise ValueError("expected finite support_y, got NaN or infinity; leave such samples out")
            return y.float()
        if y.is_floating_point() and not torch.equal(y, y.round()):
            raise ValueError(f"expected integer labels for {self.problem.kind}, got {y.dtype} that are not whole")
        return y.long()

    def _check_labels(self, y: Tensor) -> None:
        kind = self.problem.kind
        if kind == "anomaly" and (y != 0).any():
            raise ValueError(
                "expected a support set of normal samples only (y = 0) for anomaly detection; leave others out"
            )
        if kind != "classification":
            return
        ways = int(y.max()) + 1 if self.any_way else self.problem.n_outputs
        counts = torch.stack([(y == label).sum(1) for label in range(ways)], 1)
        if y.min() < 0 or y.max() >= ways or ways < 2 or (counts == 0).any():
            raise ValueError(
                f"expected labels 0 to {max(ways, 2) - 1}, each at least once in each support set, got "
                f"{sorted(set(y.flatten().tolist()))} with least counts {counts.min(0).values.tolist()}"
            )

    @contextmanager
    def _inference(self) -> Iterator[None]:
        training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.network.train(training)

    # FILES

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, atomically; `.pt` is appended to a path without suffix."""
        state = {
            "problem": asdict(self.problem),
            "config": asdict(self.config),
            "own_backbone": self._own_backbone,
            "run": self.run,
            "seed": self.seed,
            "counts": [self.iteration, self.iterations, self._start, self.skipped],
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaling": self.scaling.state_dict(),
            "generator": self.generator.get_state(),
            "episodes": self._episodes_state,
            "more": self._more_state(),
        }
        save_checkpoint(path, self._checkpoint_kind(), state)

    @classmethod
    def load(cls, path: str | os.PathLike[str], backbone: nn.Module | None = None) -> Self:
        """Read a learner back, to adapt, or to `resume` its training.

        Args:
            path: what `save` wrote.
            backbone: a network like the one it was made with, if that was not the default; its weights are replaced.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is no whole checkpoint of this kind of learner, or lacks its backbone.
        """
        state = load_checkpoint(path, cls._checkpoint_kind())
        if state["own_backbone"] and backbone is None:
            raise ValueError(f"{path} was trained with a backbone of its own; load it with load(path, backbone=...)")
        try:
            learner = cls(Problem(**state["problem"]), cls.config_class(**state["config"]), backbone, state["seed"])
            learner._restore(state)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"expected a {cls.__name__} checkpoint of this version, but the contents of {path} do not fit: {error}"
            ) from error
        return learner

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaling.load_state_dict(state["scaling"])
        self.generator.set_state(state["generator"])
        self.iteration, self.iterations, self._start, self.skipped = state["counts"]
        self._episodes_state, self.run = state["episodes"], state["run"]
        self._set_more_state(state["more"])
        self.network.eval()

    def _more_state(self) -> dict[str, Any]:
        """What else a learner must keep: numbers, strings and tensors."""
        return {}

    def _set_more_state(self, state: dict[str, Any]) -> None:  # noqa: B027 (optional)
        """Put back what `_more_state` returned."""

    @classmethod
    def _checkpoint_kind(cls) -> str:
        return f"metaenv.supervised.{cls.__name__}"


def config_names(config_class: type[LearnerConfig]) -> list[str]:
    """Names of the settings of a learner."""
    return [f.name for f in fields(config_class)]


def _numbers(x: ArrayLike | Tensor, name: str, lead: tuple[int, ...], x_shape: tuple[int, ...]) -> Tensor:
    """x as float32 (*lead, samples, *x_shape)."""
    try:
        numbers = torch.as_tensor(x).detach().float()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"expected {name} as an array of numbers of one shape, got {type(x).__name__}: {error}"
        ) from error
    n = len(lead)
    if numbers.ndim != n + 1 + len(x_shape) or numbers.shape[:n] != lead or numbers.shape[n + 1 :] != x_shape:
        wanted = ", ".join([*map(str, lead), "samples", *map(str, x_shape)])
        raise ValueError(f"expected {name} of shape ({wanted}), got {tuple(numbers.shape)}")
    if not torch.isfinite(numbers).all():
        raise ValueError(f"expected finite {name}, got NaN or infinity; fill them in, or leave the samples out")
    return numbers


def _progress(steps: range, show: bool) -> Iterator[int]:
    if not show:
        return iter(steps)
    from tqdm import tqdm

    # On a terminal, five times a second; in a log file a line a minute is enough.
    interval = 0.2 if sys.stderr.isatty() else 60.0
    return iter(tqdm(steps, desc="meta-training", unit="update", mininterval=interval, miniters=1))
