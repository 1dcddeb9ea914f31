"""Episodes: batches of few-shot tasks, each a support set to learn from and a query set to be judged on.

One class serves three kinds of problem from two kinds of source:

* a `metaenv.tasks.TaskSampler`, the very one that feeds an environment, by its distribution's ``labelled`` view:
  regression, or with a ``threshold`` classification into below and above, or anomaly detection;
* a `Dataset`: N-way K-shot classification, regression with a group as task, or anomaly detection with one class as
  the normal one.

    train = Episodes(TaskSampler(SolidStateDistribution(), "train", seed=0), n_shot=10, n_query=20)
    batch = train.draw(25)                     # batch.support_x (25, 10, features), batch.query_y (25, 20)
    test = frozen_episodes(Episodes(TaskSampler(SolidStateDistribution(), "test", seed=1), 10, 20), 1_000)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.problem import Kind, Problem
from metaenv.supervised.data.sources import EpisodeBatch, EpisodeShape, Source, TaskSource, dataset_source
from metaenv.tasks import TaskSampler

__all__ = ["EpisodeBatch", "Episodes", "FrozenEpisodes", "frozen_episodes"]


class Episodes:
    """An endless, reproducible stream of episodes.

    Args:
        source: where tasks come from; see the module's docstring.
        n_shot: samples to learn from: of each class in classification ("shots"), of a task otherwise.
        n_query: samples to be judged on, likewise. In anomaly detection: normal ones.
        kind: what to make of a `Dataset`; by default regression if its y are floats, else classification. Of a
            sampler: by default regression, or classification if there is a threshold.
        n_way: classes of an episode, for a `Dataset`.
        n_anomalies: anomalous queries of an episode, by default ``n_query``.
        threshold: for a sampler: an example's class is 1 if its y is above, and an anomaly is one above. A number in
            the unit of y, or "median" of the examples of the task. Both classes get the same number of examples, and
            tasks that do not yield them are drawn anew.
        pool: how many times more examples to draw of a task than are used, to choose from with a threshold.
        seed: of everything that is drawn here; the tasks of a sampler have that sampler's.

    Raises:
        ValueError: a class or group too small for ``n_shot + n_query`` (named), or settings that do not fit.
    """

    def __init__(
        self,
        source: TaskSampler | Dataset,
        n_shot: int,
        n_query: int,
        *,
        kind: Kind | None = None,
        n_way: int = 5,
        n_anomalies: int | None = None,
        threshold: float | Literal["median"] | None = None,
        pool: int = 8,
        seed: int | None = 0,
    ) -> None:
        if n_shot < 1 or n_query < 1 or (n_anomalies is not None and n_anomalies < 1):
            raise ValueError(
                f"expected at least one sample to learn from and to be judged on, got n_shot={n_shot}, "
                f"n_query={n_query}, n_anomalies={n_anomalies}"
            )
        shape = EpisodeShape(n_shot, n_query, n_query if n_anomalies is None else n_anomalies)
        self._rng = np.random.default_rng(seed)
        self._sampler = None if isinstance(source, Dataset) else source
        self._source: Source
        if isinstance(source, Dataset):
            self._source = dataset_source(source, shape, kind, n_way, threshold)
        else:
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
        """Where the stream is, as plain numbers and strings; `set_state` goes back to there."""
        tasks = {} if self._sampler is None else self._sampler._rng.bit_generator.state
        return {"episodes": self._rng.bit_generator.state, "tasks": dict(tasks)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a place that `state` told, of episodes made with the same arguments."""
        self._rng.bit_generator.state = state["episodes"]
        if self._sampler is not None:
            self._sampler._rng.bit_generator.state = state["tasks"]


class FrozenEpisodes:
    """Evaluation episodes that never change, the same for every learner.

    Those of a data set are kept as row numbers and filled in when asked for.
    """

    def __init__(self, plan: EpisodeBatch, source: Source) -> None:
        self.problem = plan.problem
        self._plan, self._source = plan, source
        self.sha256 = _sha256(plan, source.sha256())

    def __len__(self) -> int:
        return len(self._plan)

    def batches(self, size: int = 100) -> Iterator[EpisodeBatch]:
        """All episodes in order, ``size`` at a time (the last batch may be smaller)."""
        for start in range(0, len(self), size):
            yield self._source.fill(self._plan.take(slice(start, start + size)))


def frozen_episodes(episodes: Episodes, n: int = 1_000, *, sha256: str | None = None) -> FrozenEpisodes:
    """The next ``n`` episodes of a stream, frozen.

    At least 600 are usual (Snell et al. 2017); 1,000 tell two learners at 50 % accuracy apart by 0.6 points.

    Args:
        episodes: of a test split.
        n: how many.
        sha256: what their hash was, for a list that must not have changed.

    Raises:
        ValueError: the hash is another.
    """
    frozen = FrozenEpisodes(episodes._plan(n), episodes._source)
    if sha256 is not None and frozen.sha256 != sha256:
        raise ValueError(
            f"expected evaluation episodes with SHA-256 {sha256}, got {frozen.sha256}: data, settings or seed have "
            "changed; results are not comparable to those reported for the former"
        )
    return frozen


def _sha256(plan: EpisodeBatch, source: str) -> str:
    digest = hashlib.sha256(f"{plan.problem}:{source}".encode())
    for tensor in (plan.support_x, plan.support_y, plan.query_x, plan.query_y):
        digest.update(tensor.contiguous().numpy().tobytes())
    for ids in (plan.support_ids, plan.query_ids):
        digest.update(np.ascontiguousarray(ids).astype("<i8").tobytes())
    digest.update(repr(plan.task_ids.tolist()).encode())
    return digest.hexdigest()
