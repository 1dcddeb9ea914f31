"""Three small families on which every learner can be tried in seconds, and a data set with a known answer."""

from __future__ import annotations

import numpy as np

from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import Episodes
from metaenv.supervised.data.problem import Kind
from metaenv.supervised.data.sinusoid import SinusoidDistribution
from metaenv.tasks import TaskSampler


def blobs(n_classes: int = 30, size: int = 25, noise: float = 0.5, seed: int = 0) -> Dataset:
    """Gaussian blobs in six dimensions, of which two tell the class; labels are strings, ids too."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(n_classes), size)
    x = rng.normal(size=(len(label), 6)) * 3
    x[:, :2] = rng.normal(size=(n_classes, 2))[label] * 3 + noise * rng.normal(size=(len(label), 2))
    place = rng.permutation(len(label))
    names = np.char.add("class ", label.astype(str))
    return Dataset(x[place], names[place], ids=np.char.add("s", np.arange(len(label)).astype(str)))


def sines(split: str = "train", seed: int = 0, n_shot: int = 10, n_query: int = 10) -> Episodes:
    return Episodes(TaskSampler(SinusoidDistribution(), split, seed=seed), n_shot, n_query, seed=seed)


def episodes_of(kind: Kind, seed: int = 0) -> Episodes:
    if kind == "regression":
        return sines(seed=seed)
    return Episodes(blobs(), 5, 6, kind=kind, n_way=3, seed=seed)
