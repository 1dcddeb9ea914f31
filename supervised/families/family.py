"""What all families of few-shot problems share: named disjoint splits, episodes, provenance, a picture."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import nearest
from metaenv.plots import new_figure, save
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import EpisodeBatch, Episodes
from metaenv.supervised.data.problem import Kind
from metaenv.tasks import TaskSampler

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Family(ABC):
    """A family of few-shot problems of one science. A value: what it gives depends on its arguments alone.

        cells = make_family("blood-cells")
        train, test = cells.episodes("train", 5, 15), cells.episodes("test", 5, 15, seed=1)
        cells.picture("episode.png")

    A new family says where its tasks come from (`source`) and how an episode looks (`draw`), and gets a line in
    `metaenv.supervised.families.registry`.
    """

    name: ClassVar[str]
    provenance: ClassVar[str]
    """Where data or models come from: papers, licences, and what was chosen."""
    kinds: tuple[Kind, ...]
    """Problems that it has; the first is the default."""
    splits: tuple[str, ...]
    """No class, group or task is in two of ``train``, ``validation`` and ``test``; ``ood-…`` are like ``test``, but
    lie outside of what training shows in the property that they are named for."""
    shots: tuple[int, int] = (5, 15)
    """Default n_shot and n_query."""
    ways: int = 5
    """Default classes of an episode, where there are many to choose from."""
    threshold: float | Literal["median"] | None = None
    """What makes classes, or anomalies, of a sampler's targets; see `Episodes`."""
    classes_by: Literal["group"] | None = None
    """Of a data set: "group" if an episode is about one group, whose classes it tells apart; see `Episodes`."""
    pool: int = 8
    """Of a sampler: how many times more examples are drawn than used; see `Episodes`."""
    quantity: str = ""
    """What y is in regression, with its unit, where tables should say so."""
    notes: tuple[str, ...] = ()
    """What was left out of files, or assumed of them, a sentence each."""
    references: tuple[str, ...] = ()
    """Which of `metaenv.supervised.registry.REFERENCES` are shown beside learners of this family."""

    @abstractmethod
    def source(self, split: str, kind: Kind, seed: int) -> Dataset | TaskSampler:
        """Where the episodes of a split come from; the seed is of the tasks of a sampler."""

    @abstractmethod
    def draw(self, figure: Figure, batch: EpisodeBatch) -> None:
        """Draw the first episode of a batch."""

    def shots_of(self, kind: Kind) -> tuple[int, int]:
        """Default n_shot and n_query of a kind of problem."""
        return self.shots

    def episodes(
        self,
        split: str = "train",
        n_shot: int | None = None,
        n_query: int | None = None,
        *,
        kind: Kind | None = None,
        n_way: int | None = None,
        n_anomalies: int | None = None,
        seed: int = 0,
    ) -> Episodes:
        """An endless, reproducible stream of episodes of a split.

        Args:
            split: one of `splits`.
            n_shot: samples to learn from, of each class in classification; by default `shots`.
            n_query: samples to predict, likewise.
            kind: one of `kinds`, by default the first.
            n_way: classes of an episode, where there are many to choose from; by default `ways`.
            n_anomalies: anomalous queries, by default as many as ``n_query``.
            seed: of tasks and draws.

        Raises:
            ValueError: no such split or kind, or classes too small for the numbers asked for.
        """
        kind = self.check(split, kind)
        source = self.source(split, kind, seed)
        return Episodes(
            source,
            self.shots_of(kind)[0] if n_shot is None else n_shot,
            self.shots_of(kind)[1] if n_query is None else n_query,
            kind=kind,
            n_way=self.ways if n_way is None else n_way,
            by=self.classes_by,
            n_anomalies=n_anomalies,
            threshold=None if kind == "regression" or isinstance(source, Dataset) else self.threshold,
            pool=self.pool,
            seed=seed,
        )

    def check(self, split: str, kind: Kind | None) -> Kind:
        """The kind, or the default one. Raises ValueError unless this family has the split and the kind."""
        if split not in self.splits:
            raise ValueError(f"{self.name} has no split {split!r}.{nearest(split, self.splits)}")
        if kind is not None and kind not in self.kinds:
            raise ValueError(f"{self.name} has {' and '.join(self.kinds)}, not {kind!r}; choose one of these")
        return kind or self.kinds[0]

    def picture(
        self, path: str | os.PathLike[str], split: str = "test", *, kind: Kind | None = None, seed: int = 0
    ) -> Path:
        """Save a picture of one episode; needs matplotlib."""
        figure = new_figure(9.0, 5.0)
        self.draw(figure, self.episodes(split, kind=kind, seed=seed).draw(1))
        return save(figure, path, dpi=110)


ENDS = {"train": (0.0, 0.6), "validation": (0.6, 0.75), "test": (0.75, 1.0)}
"""Where each split begins and ends among generated classes (chosen); ``ood-…`` splits have those of ``test``."""


class ClassFamily(Family):
    """A family whose samples have classes and groups, and are made by a generator, ``per_class`` of each class.

    Or they are ``real``, divided by `split_real`; there is no ood split then. Where the smallest split has fewer than
    five classes, an episode has as many, unless ``n_way`` says otherwise.
    """

    kinds = ("classification", "anomaly")

    def __init__(self, per_class: int, real: dict[str, Dataset] | None) -> None:
        self.per_class, self._real = per_class, real
        if real is not None:
            self.splits = tuple(real)
            self.ways = max(2, min(self.ways, *(len(np.unique(part.y)) for part in real.values())))

    @abstractmethod
    def generated(self, split: str) -> Dataset:
        """The generated samples of a split."""

    def source(self, split: str, kind: Kind, seed: int) -> Dataset | TaskSampler:
        return self.generated(split) if self._real is None else self._real[split]


TrainOn = Literal["files", "generator"]
"""With files of real data: what training and validation episodes are made of."""


def check_train_on(train_on: str) -> None:
    """Raise ValueError unless it is one of `TrainOn`."""
    if train_on not in get_args(TrainOn):
        raise ValueError(f"expected 'files' or 'generator' as train_on, got {train_on!r}")


def fitting_shots(shots: tuple[int, int], smallest: int) -> tuple[int, int]:
    """Samples to learn from and to predict that the smallest class or group has: a third and the rest, if too few."""
    k = max(1, smallest // 3)
    return shots if smallest >= sum(shots) else (k, max(1, smallest - k))


# PICTURES


def draw_heatmap(figure: Figure, batch: EpisodeBatch, shown: int = 40) -> None:
    """Samples as rows, by label: the features that differ most between the labels in front."""
    sides = [
        (x[0].flatten(1).numpy(), y[0].numpy())
        for x, y in ((batch.support_x, batch.support_y), (batch.query_x, batch.query_y))
    ]
    axes: Any = figure.subplots(2, 1, sharex=True, height_ratios=[len(y) for _, y in sides])
    x, y = (np.concatenate(parts) for parts in zip(*sides, strict=True))
    means: NDArray[Any] = np.stack([x[y == label].mean(axis=0) for label in np.unique(y)])
    front = np.argsort(-means.std(axis=0), kind="stable")[:shown]
    scale = x[:, front].mean(axis=0), x[:, front].std(axis=0) + 1e-9
    for ax, (values, labels), title in zip(axes, sides, ("support", "query"), strict=True):
        order = np.argsort(labels, kind="stable")
        picture = (values[order][:, front] - scale[0]) / scale[1]
        ax.imshow(picture, aspect="auto", cmap="coolwarm", vmin=-2.5, vmax=2.5, interpolation="nearest")
        for end in np.flatnonzero(np.diff(labels[order])):
            ax.axhline(end + 0.5, color="black", lw=0.8)
        ax.set_ylabel(f"{title}, by class")
    axes[-1].set_xlabel("feature, those that differ most between the classes first")


def draw_plane(
    figure: Figure, batch: EpisodeBatch, names: Sequence[str], what: str, columns: tuple[int, int] = (0, 1)
) -> None:
    """Two features of the first episode, support and queries side by side, coloured by y."""
    axes: Any = figure.subplots(1, 2, sharex=True, sharey=True)
    sides = ((batch.support_x, batch.support_y, "support"), (batch.query_x, batch.query_y, "query"))
    low, high = float(batch.query_y[0].min()), float(batch.query_y[0].max())
    for ax, (x, y, title) in zip(axes, sides, strict=True):
        across, up = x[0, :, columns[0]], x[0, :, columns[1]]
        ax.scatter(across, up, c=y[0], vmin=low, vmax=high, cmap="viridis", s=60, edgecolors="black")
        ax.set_title(title)
        ax.set_xlabel(names[0])
    axes[0].set_ylabel(names[1])
    figure.colorbar(axes[1].collections[0], ax=axes, label=what)


def followed(batch: EpisodeBatch, columns: int | None = None) -> tuple[int, int]:
    """Of the first columns of vectors, all by default, the two that y follows most closely and that are unlike."""
    samples, targets = batch.samples()
    x, y = samples[0, :, :columns].double().numpy(), targets[0].double().numpy()
    deviation = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(deviation > 1e-9, deviation, np.inf)
    follows = np.abs(z.T @ (y - y.mean()))
    first = int(np.argmax(follows))
    alike = np.abs(z.T @ z[:, first]) > 0.8 * len(z)
    return first, int(np.argmax(np.where(alike, -1.0, follows)))
