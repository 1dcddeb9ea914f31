"""Episodes: batches of few-shot tasks, each with a support set to learn from and a query set to predict.

One class serves three kinds of problem and two kinds of source:

* A `metaenv.tasks.TaskSampler`, the same one that feeds an environment, gives examples of its tasks by the
  distribution's ``labelled``. They make a regression or, with a ``threshold``, a classification into below and above,
  or anomaly detection.
* A `Dataset` makes an N-way K-shot classification, a regression in which each group is a task, or anomaly detection in
  which one class is the normal one.

    train = Episodes(TaskSampler(SolidStateDistribution(), "train", seed=0), n_shot=10, n_query=20)
    batch = train.draw(25)                     # batch.support_x (25, 10, features), batch.query_y (25, 20)
    test = frozen_episodes(Episodes(TaskSampler(SolidStateDistribution(), "test", seed=1), 10, 20), 1_000)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.problem import Kind, Problem
from metaenv.supervised.data.sources import EpisodeBatch, EpisodeShape, Source, TaskSource, dataset_source
from metaenv.tasks import TaskSampler

__all__ = ["EpisodeBatch", "Episodes", "FrozenEpisodes", "frozen_episodes"]


class Episodes:
    """An endless, reproducible stream of episodes.

    Args:
        source: where tasks come from; see the module's docstring.
        n_shot: number of samples in the support set: of each class in classification ("shots"), of a task otherwise.
        n_query: number of samples in the query set, likewise; in anomaly detection, of normal samples.
        kind: the kind of problem. The default for a `Dataset` is regression if its y are floats, else classification;
            for a sampler it is regression, or classification if there is a threshold.
        n_way: number of classes in an episode, for a `Dataset`.
        n_anomalies: number of anomalous queries in an episode, by default ``n_query``.
        threshold: for a sampler, or a classification by group: the class of an example is 1, or it is an anomaly, if
            its y lies above. It is a number in the unit of y, or the "median" of the task's examples. Both classes get
            the same number of examples, and a sampler's task that does not have enough is replaced by a new one.
        pool: with a threshold, how many times more examples are drawn of a task than are used.
        by: "group" for a `Dataset`: each group is a task. A classification then has all classes of y, in their order,
            or those below and above the threshold (1), in every group, and an episode never mixes groups.
        seed: seed of everything that is drawn here; a sampler draws its tasks with a seed of its own.

    Raises:
        ValueError: a class or group is too small for ``n_shot + n_query``, or settings do not fit.
    """

    def __init__(
        self,
        source: TaskSampler | Dataset,
        n_shot: int,
        n_query: int,
        *,
        kind: Kind | None = None,
        n_way: int = 5,
        by: Literal["group"] | None = None,
        n_anomalies: int | None = None,
        threshold: float | Literal["median"] | None = None,
        pool: int = 8,
        seed: int | None = 0,
    ) -> None:
        if n_shot < 1 or n_query < 1 or (n_anomalies is not None and n_anomalies < 1):
            raise ValueError(
                f"expected at least one sample to learn from and one to predict, got n_shot={n_shot}, "
                f"n_query={n_query}, n_anomalies={n_anomalies}"
            )
        shape = EpisodeShape(n_shot, n_query, n_query if n_anomalies is None else n_anomalies)
        self._rng = np.random.default_rng(seed)
        self._sampler = None if isinstance(source, Dataset) else source
        self._source: Source
        if isinstance(source, Dataset):
            self._source = dataset_source(source, shape, kind, n_way, threshold, by)
        else:
            if by is not None:
                raise ValueError("by='group' is for a Dataset; each task of a TaskSampler is one by itself")
            self._source = TaskSource(source, shape, kind, threshold, pool)
        self.problem: Problem = self._source.problem

    def draw(self, n: int) -> EpisodeBatch:
        """The next ``n`` episodes."""
        return self._source.fill(self._plan(n))

    def _plan(self, n: int) -> EpisodeBatch:
        if n < 1:
            raise ValueError(f"expected to draw at least one episode, got {n}")
        return self._source.plan(n, self._rng)

    def state(self) -> dict[str, Any]:
        """The position of the stream, as plain numbers and strings, for `set_state`."""
        tasks = {} if self._sampler is None else self._sampler._rng.bit_generator.state
        return {"episodes": self._rng.bit_generator.state, "tasks": dict(tasks)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a position that `state` gave, for episodes that were made with the same arguments."""
        self._rng.bit_generator.state = state["episodes"]
        if self._sampler is not None:
            self._sampler._rng.bit_generator.state = state["tasks"]


class FrozenEpisodes:
    """Evaluation episodes that never change, the same for every learner.

    Episodes of a data set are stored as row numbers, and their samples are looked up when they are needed.
    """

    def __init__(self, plan: EpisodeBatch, source: Source) -> None:
        self.problem = plan.problem
        self._plan, self._source = plan, source
        digest = hashlib.sha256(f"{plan.problem}:{source.sha256()}".encode())
        for tensor in (plan.support_x, plan.support_y, plan.query_x, plan.query_y):
            digest.update(tensor.contiguous().numpy().tobytes())
        for ids in (plan.support_ids, plan.query_ids):
            digest.update(np.ascontiguousarray(ids).astype("<i8").tobytes())
        digest.update(repr(plan.task_ids.tolist()).encode())
        self.sha256 = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._plan)

    @property
    def task_ids(self) -> NDArray[Any]:
        """(episodes,) or (episodes, classes), as `EpisodeBatch.task_ids`."""
        return self._plan.task_ids

    def batches(self, size: int = 100) -> Iterator[EpisodeBatch]:
        """All episodes in order, ``size`` at a time (the last batch may be smaller)."""
        for start in range(0, len(self), size):
            yield self._source.fill(self._plan.take(slice(start, start + size)))


def frozen_episodes(episodes: Episodes, n: int = 1_000, *, sha256: str | None = None) -> FrozenEpisodes:
    """The next ``n`` episodes of a stream, frozen.

    At least 600 are usual (Snell et al. 2017); 1,000 separate two learners at 50 % accuracy that differ by 0.6 points.

    Raises:
        ValueError: the episodes do not have the hash ``sha256`` that was given, so that they have changed.
    """
    frozen = FrozenEpisodes(episodes._plan(n), episodes._source)
    if sha256 is not None and frozen.sha256 != sha256:
        raise ValueError(
            f"expected evaluation episodes with SHA-256 {sha256}, got {frozen.sha256}: data, settings or seed have "
            "changed; results are not comparable to those reported for the former"
        )
    return frozen
