"""Few-shot learners: `meta_fit` trains on many tasks, `adapt` learns a new task from its support set.

    learner = MAML(train.problem, MAMLConfig(inner_lr=0.01), seed=0)
    learner.meta_fit(train, iterations=10_000, progress_bar=True)
    predictor = learner.adapt(support_x, support_y)     # one task or a batch of them
    predictor(query_x).output                           # means or logits, see `Problem`

A new learner is a subclass that defines its network (`_build`) and how it learns from a support set (`_adapt`).
Meta-training by gradient descent on the query loss, scaling, checks, seeds, files and resuming are defined here. A
learner that is trained differently overrides `_meta_loss` or `_update`.
"""

from __future__ import annotations

import math
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from metaenv.checkpoints import load_checkpoint, save_checkpoint
from metaenv.devices import resolve_device
from metaenv.limits import Count, NotNegative, Positive, check_limits
from metaenv.supervised.data.episodes import EpisodeBatch, Episodes
from metaenv.supervised.data.normalization import Scaling
from metaenv.supervised.data.problem import Kind, Problem, task_loss
from metaenv.supervised.learners.backbones import backbone_for, check_no_batch_statistics, n_features
from metaenv.supervised.predictor import (
    Adapted,
    Prediction,
    Predictor,
    as_samples,
    as_targets,
    check_labels,
    inference,
    named_labels,
)  # fmt: skip
from metaenv.threads import torch_threads_of, weights_drawn_from

SCALING_TASKS = 64  # tasks that the scaling is computed from (chosen)
MAX_SKIPPED = 100  # updates in a row that may be skipped because their loss is not finite (chosen)

Progress = Callable[[int, dict[str, float]], bool | None]
"""Called as ``callback(iteration, metrics)`` after each update; meta-training stops if it returns False."""


@dataclass(frozen=True)
class LearnerConfig:
    """Settings that all learners have."""

    learning_rate: NotNegative = 1e-3
    """Of the meta-update, by Adam."""
    lr_decay: Literal["none", "linear"] = "none"
    """Whether the learning rate falls to zero over the iterations of `meta_fit`."""
    tasks_per_batch: Count = 25
    """Episodes in a meta-update."""
    sizes: tuple[Count, ...] = (64, 64)
    """Hidden layers of the default backbone; see `backbone_for`."""
    max_grad_norm: Positive = 10.0
    """Gradients of the meta-update are clipped to this norm (chosen; guards against the rare task that diverges)."""
    scale: Literal["meta", "none"] = "meta"
    """"meta" standardises x, by feature or channel, and y of regressions by the statistics of the first training tasks,
    with the same numbers for all tasks. "none" leaves the numbers as they are."""
    transductive: bool = False
    """Allow layers that normalise over a batch; queries of a task then see each other."""

    def __post_init__(self) -> None:
        check_limits(self)


class Learner(ABC):
    """A few-shot learner.

    Args:
        problem: the problem that all tasks share, such as `Episodes.problem`.
        config: settings, an instance of `config_class`.
        backbone: a network from (n, *x_shape) to (n, features) instead of the default for the shape; it is trained in
            place.
        seed: seed of the initial weights and of all random numbers that the learner draws.
        device: where the network lives: "cpu", "cuda", or "auto", which is a GPU where there is one. Samples may be
            anywhere, and predictions are on the CPU. `metaenv.devices` says what is the same on all devices. Baselines
            always compute on the CPU.

    Raises:
        ValueError: the learner does not support the kind of problem, the backbone does not fit, or there is no such
            device.
    """

    config_class: ClassVar[type[LearnerConfig]] = LearnerConfig
    kinds: ClassVar[tuple[Kind, ...]] = ("classification", "regression", "anomaly")
    variable_n_way: ClassVar[bool] = False
    """Whether it can be adapted to another number of classes than it was trained on."""
    alternative: ClassVar[str] = "choose another learner"
    """What to do for a kind of problem that the learner does not support; a part of the error message."""
    trained: ClassVar[bool] = True
    """Whether `meta_fit` trains anything beyond the scaling."""
    cpu_only: ClassVar[bool] = False
    """Whether it computes on the CPU whatever its ``device`` is, as baselines do, whose matrices are small."""

    def __init__(
        self,
        problem: Problem,
        config: LearnerConfig | None = None,
        backbone: nn.Module | None = None,
        seed: int = 0,
        device: str | torch.device = "auto",
    ) -> None:
        if problem.kind not in self.kinds:
            raise ValueError(
                f"{type(self).__name__} does {' and '.join(self.kinds)}, not {problem.kind}; {self.alternative}"
            )
        if config is not None and type(config) is not self.config_class:
            expected = f"a {self.config_class.__name__} for {type(self).__name__}"
            raise ValueError(f"expected {expected}, got {type(config).__name__}")
        self.problem = problem
        self.config: Any = config or self.config_class()
        self.seed = int(seed)
        self.device = resolve_device("cpu" if self.cpu_only else device)
        self.iteration = 0
        """Meta-updates so far."""
        self.iterations = 0
        """The iteration at which the last `meta_fit` was to end."""
        self.run: dict[str, Any] = {}
        """Settings of the run that the learner belongs to, as plain values; a checkpoint keeps them."""
        self.skipped = 0
        """Updates that were skipped, because the loss or its gradient was not finite."""
        self.test_steps = 0
        """Gradient steps that `adapt` takes, of a learner that takes some; it may be set at any time."""
        self.temperature = 1.0
        """What logits are divided, and standard deviations multiplied by; see `metaenv.supervised.calibration`."""
        self._start = 0  # the iteration at which the last meta_fit began
        self._own_backbone = backbone is not None
        self._episodes_state: dict[str, Any] | None = None
        self.generator = torch.Generator().manual_seed(self.seed + 1)
        self.scaling = Scaling(problem).to(self.device)
        with weights_drawn_from(self.seed):
            body = backbone_for(problem.x_shape, self.config.sizes) if backbone is None else backbone.cpu()
            self.network: Any = self._build(body, n_features(body, problem.x_shape)).to(self.device)
        check_no_batch_statistics(self.network, self.config.transductive)
        self.optimizer = self._make_optimizer()

    # WHAT A LEARNER DEFINES

    @abstractmethod
    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        """The whole trained network, around a backbone with so many output features; called once, with torch seeded."""

    @abstractmethod
    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        """Learn from support sets, scaled: x (tasks, support, *x_shape), y (tasks, support).

        The function that is returned must treat each query on its own. In training, gradients go through both.
        """

    def _embed(self, x: Tensor) -> Tensor:
        """Features (tasks, samples, features) of x (tasks, samples, *x_shape), by ``network.backbone``."""
        if self.config.transductive:
            return torch.stack([self.network.backbone(of_task) for of_task in x])
        return self.network.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def _meta_loss(self, batch: EpisodeBatch) -> Tensor:
        """(tasks,) the loss of a meta-update on scaled episodes: by default the query loss after adapting."""
        found = self._adapt(batch.support_x, batch.support_y)(batch.query_x)
        output = found.output if isinstance(found, Prediction) else found
        return task_loss(self.problem.kind, output, batch.query_y)

    def _update(self, batch: EpisodeBatch) -> dict[str, float]:
        """One meta-update on scaled episodes; returns the metrics that are logged, "loss" among them."""
        loss = self._meta_loss(batch).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        return self._clipped_step(float(loss.detach()))

    def _clipped_step(self, loss: float) -> dict[str, float]:
        """Clip the gradients and step; the weights stay as they are if the loss or a gradient is not finite."""
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.max_grad_norm)
        if not (torch.isfinite(norm) and math.isfinite(loss)):
            return {"loss": math.nan}
        self.optimizer.step()
        return {"loss": loss}

    def _make_optimizer(self) -> torch.optim.Optimizer:
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        return torch.optim.Adam(parameters or [nn.Parameter(torch.zeros(1))], lr=self.config.learning_rate, fused=True)

    # META-TRAINING

    def meta_fit(
        self,
        episodes: Episodes,
        iterations: int | None = None,
        *,
        resume: bool = False,
        progress_bar: bool = False,
        callback: Progress | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1_000,
        torch_threads: int = 1,
    ) -> Self:
        """Train on new episodes, `LearnerConfig.tasks_per_batch` for each meta-update.

        Args:
            episodes: a stream of training episodes. To resume, it must be made like the one that training began with.
            iterations: number of meta-updates, over which the learning rate decays. May be left out to resume; a
                larger number than before lengthens the interrupted training.
            resume: continue the training during which a loaded learner was saved; the result is the same as without
                the interruption.
            progress_bar: show a progress bar (needs tqdm).
            callback: see `Progress`.
            checkpoint: path to `save` to, every ``checkpoint_every`` updates and at the end.
            torch_threads: threads of torch while training; small networks are slower with two.

        Raises:
            ValueError: the episodes are of another problem, or there is no training to resume.
            FloatingPointError: 100 updates in a row gave a loss that was not finite.
        """
        if not self.fits(episodes.problem):
            raise ValueError(
                f"expected episodes of {self.problem}, got {episodes.problem}; make a learner with episodes.problem"
            )
        self._begin(episodes, iterations, resume)
        with torch_threads_of(torch_threads):
            if self.config.scale == "meta" and not self.scaling.fitted:
                self.scaling.fit(episodes.draw(SCALING_TASKS).to(self.device))
            self._episodes_state = episodes.state()
            last = self.iterations if self.trained else self.iteration
            skipped_in_a_row = 0
            for _ in _progress(range(self.iteration, last), progress_bar):
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
        return self

    def _begin(self, episodes: Episodes, iterations: int | None, resume: bool) -> None:
        if not resume:
            if iterations is None or iterations < 0:
                raise ValueError(f"expected iterations >= 0, got {iterations}")
            self._start = self.iteration
        elif self._episodes_state is None:
            raise ValueError("expected a learner saved in meta_fit, but this one has not been trained; call meta_fit")
        else:
            episodes.set_state(self._episodes_state)
        if iterations is not None:
            self.iterations = self._start + iterations
        if self.iterations < self.iteration:
            done = self.iteration - self._start
            raise ValueError(f"expected at least the {done} iterations that are done, got {iterations}")

    def _one_update(self, episodes: Episodes) -> dict[str, float]:
        factor = 1.0 - self.progress if self.config.lr_decay == "linear" else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor
        self.network.train()
        batch = episodes.draw(self.config.tasks_per_batch).to(self.device)
        metrics = self._update(self.scaling.batch(batch))
        self.network.eval()
        self.skipped += not math.isfinite(metrics["loss"])
        self.iteration += 1
        self._episodes_state = episodes.state()
        return metrics

    @property
    def progress(self) -> float:
        """Fraction of the iterations of the last `meta_fit` that is done, in [0, 1]."""
        return (self.iteration - self._start) / max(1, self.iterations - self._start)

    def fits(self, problem: Problem) -> bool:
        """Whether the learner can be used on a problem."""
        same_n_way = self.problem.n_outputs == problem.n_outputs or self.variable_n_way
        return (self.problem.kind, self.problem.x_shape) == (problem.kind, problem.x_shape) and same_n_way

    # ADAPTING

    def adapt(self, support_x: ArrayLike | Tensor, support_y: ArrayLike | Tensor) -> Predictor:
        """Learn tasks from their support sets; the learner itself does not change.

        Args:
            support_x: (tasks, support, *x_shape), or (support, *x_shape) for a single task.
            support_y: (tasks, support) or (support,): labels 0, 1, … for classification, each of them present, or class
                names, which the predictions tell; numbers for regression; zeros for anomaly detection.

        Returns:
            A predictor of the queries of these tasks.

        Raises:
            ValueError: shapes do not fit, an empty support set, labels that are no integers or leave one out, or
                numbers that are not finite.
        """
        labels, names = named_labels(support_y, self.problem)
        y = as_targets(labels, self.problem)
        single = y.ndim == 1
        x = as_samples(support_x, "support_x", tuple(y.shape[:-1]), self.problem.x_shape)
        if x.shape[: y.ndim] != y.shape or y.ndim not in (1, 2) or y.numel() == 0:
            raise ValueError(
                f"expected support_x (tasks, support, *{self.problem.x_shape}) and support_y (tasks, support) with at "
                f"least one sample, got {tuple(x.shape)} and {tuple(y.shape)}"
            )
        x, y = (x[None], y[None]) if single else (x, y)
        check_labels(y, self.problem, self.variable_n_way, names)
        if names is None and self.problem.kind == "classification":
            ways = np.arange(int(y.max()) + 1 if self.variable_n_way else self.problem.n_outputs)
            names = ways if single else np.tile(ways, (len(y), 1))
        with inference(self.network):
            adapted = self._adapt(self.scaling.x(x.to(self.device)), self.scaling.y(y.to(self.device)))
        tasks = None if single else len(y)
        return Predictor(adapted, self.network, self.problem, self.scaling, tasks, names, self.temperature)

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
            "test_steps": self.test_steps,
            "temperature": self.temperature,
        }
        save_checkpoint(path, f"metaenv.supervised.{type(self).__name__}", state)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        backbone: nn.Module | None = None,
        device: str | torch.device = "auto",
    ) -> Self:
        """Load a learner, to adapt it, or to resume its training with ``meta_fit(episodes, resume=True)``.

        The device may be another than the one that it was saved on.

        One with a backbone of its own needs ``backbone``, a network like that one; its weights are replaced.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is no whole checkpoint of this kind of learner, or lacks its backbone; or there is no
                such device.
        """
        state = load_checkpoint(path, f"metaenv.supervised.{cls.__name__}")
        if state["own_backbone"] and backbone is None:
            raise ValueError(f"{path} was trained with a backbone of its own; load it with load(path, backbone=...)")
        try:
            problem, config = Problem(**state["problem"]), cls.config_class(**state["config"])
            learner = cls(problem, config, backbone, state["seed"], device)
            learner.network.load_state_dict(state["network"])
            learner.optimizer.load_state_dict(state["optimizer"])
            learner.scaling.load_state_dict(state["scaling"])
            learner.generator.set_state(state["generator"])
            learner.iteration, learner.iterations, learner._start, learner.skipped = state["counts"]
            learner._episodes_state, learner.run = state["episodes"], state["run"]
            learner.test_steps, learner.temperature = state["test_steps"], state["temperature"]
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"expected a {cls.__name__} checkpoint of this version, but the contents of {path} do not fit: {error}"
            ) from error
        learner.network.eval()
        return learner


def config_names(config_class: type[LearnerConfig]) -> list[str]:
    """Names of the settings of a learner."""
    return [f.name for f in fields(config_class)]


def _progress(steps: range, show: bool) -> Iterator[int]:
    if not show:
        return iter(steps)
    from tqdm import tqdm

    # On a terminal, five times a second; in a log file a line a minute is enough.
    interval = 0.2 if sys.stderr.isatty() else 60.0
    return iter(tqdm(steps, desc="meta-training", unit="update", mininterval=interval, miniters=1))
