"""Few-shot supervised learners on the tasks of the environments, and on labelled data sets.

    from metaenv.supervised import Episodes, evaluate, frozen_episodes, make_learner

    train = Episodes(TaskSampler(SolidStateDistribution(), "train", seed=0), n_shot=10, n_query=20)
    test = frozen_episodes(Episodes(TaskSampler(SolidStateDistribution(), "test", seed=1), n_shot=10, n_query=50))
    learners = {name: make_learner(name, train.problem).meta_fit(train, 2_000) for name in ("maml", "no-adaptation")}
    print(evaluate(learners, test).markdown())

Importing this package imports no torch; using it does (`metaenv[agents]`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaenv.supervised.data.datasets import Dataset
    from metaenv.supervised.data.episodes import EpisodeBatch, Episodes, FrozenEpisodes, frozen_episodes
    from metaenv.supervised.data.problem import Problem
    from metaenv.supervised.evaluation import Report, evaluate
    from metaenv.supervised.learner import Learner, LearnerConfig, Prediction, Predictor
    from metaenv.supervised.registry import BASELINES, LEARNERS, learner_class, make_learner

__all__ = [
    "BASELINES",
    "LEARNERS",
    "Dataset",
    "EpisodeBatch",
    "Episodes",
    "FrozenEpisodes",
    "Learner",
    "LearnerConfig",
    "Prediction",
    "Predictor",
    "Problem",
    "Report",
    "evaluate",
    "frozen_episodes",
    "learner_class",
    "make_learner",
]

_MODULES = {
    "BASELINES": "registry",
    "LEARNERS": "registry",
    "Dataset": "data.datasets",
    "EpisodeBatch": "data.episodes",
    "Episodes": "data.episodes",
    "FrozenEpisodes": "data.episodes",
    "Learner": "learner",
    "LearnerConfig": "learner",
    "Prediction": "learner",
    "Predictor": "learner",
    "Problem": "data.problem",
    "Report": "evaluation",
    "evaluate": "evaluation",
    "frozen_episodes": "data.episodes",
    "learner_class": "registry",
    "make_learner": "registry",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"metaenv.supervised.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
