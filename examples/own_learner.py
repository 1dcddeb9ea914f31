"""A few-shot learner and a family of problems of your own.

python examples/own_learner.py, or metaenv fewshot own_learner:Spectra own_learner:NearestPrototype in this folder
"""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from metaenv.supervised import Learner, evaluate, frozen_episodes, make_learner
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.families.division import split_real
from metaenv.supervised.families.family import Family

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class NearestPrototype(Learner):
    """An embedding is meta-learned; a query belongs to the class whose mean embedding is nearest by the city-block
    distance."""

    kinds: ClassVar[Any] = ("classification",)
    variable_n_way: ClassVar[bool] = True

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        return backbone

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Any:
        embedded = self._embed(support_x)  # (tasks, samples, features)
        members = nn.functional.one_hot(support_y.long()).to(embedded.dtype)
        means = members.transpose(1, 2) @ embedded / members.sum(dim=1)[..., None]
        return lambda x: -torch.cdist(self._embed(x), means, p=1)

    def _embed(self, x: Tensor) -> Tensor:
        return self.network(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Spectra(Family):
    """Sixty kinds of spectrum, three lines each; a fifth of the kinds is kept for tests."""

    name: ClassVar[str] = "own-spectra"
    provenance: ClassVar[str] = "drawn here, with lines at random places"
    kinds: tuple[Any, ...] = ("classification",)
    splits: tuple[str, ...] = ("train", "validation", "test")
    shots: tuple[int, int] = (3, 5)

    def __init__(self) -> None:
        rng, place = np.random.default_rng(0), np.arange(64)
        kind = np.repeat(np.arange(60), 20)
        lines = rng.uniform(10, 54, (60, 3))[kind] + rng.normal(0, 0.5, (1200, 3))
        x = np.exp(-0.5 * np.square((place - lines[:, :, None]) / 2)).sum(axis=1)
        self._parts = split_real(Dataset(x + rng.normal(0, 0.3, x.shape), kind), seed=0)

    def source(self, split: str, kind: Any, seed: int) -> Dataset:
        return self._parts[split]  # a family of tasks gives a TaskSampler here

    def draw(self, figure: "Figure", batch: Any) -> None:
        figure.subplots().plot(batch.support_x[0].T)


if __name__ == "__main__":
    family = Spectra()
    train, test = family.episodes("train"), family.episodes("test", seed=1)
    learners = {"own": NearestPrototype(train.problem), "centroid": make_learner("nearest-centroid", train.problem)}
    for learner in learners.values():
        learner.meta_fit(train, iterations=200)
    print(evaluate(learners, frozen_episodes(test, 200)).markdown())
