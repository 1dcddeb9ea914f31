"""Few-shot supervised learners on the tasks of the environments, and on labelled data sets.

    from metaenv.supervised import Episodes, evaluate, frozen_episodes, make_learner

    train = Episodes(TaskSampler(SolidStateDistribution(), "train", seed=0), n_shot=10, n_query=20)
    test = frozen_episodes(Episodes(TaskSampler(SolidStateDistribution(), "test", seed=1), n_shot=10, n_query=50))
    learners = {name: make_learner(name, train.problem).meta_fit(train, 2_000) for name in ("maml", "no-adaptation")}
    print(evaluate(learners, test).markdown())

Importing this package imports no torch; using it does (`metaenv[agents]`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metaenv.imports import lazy_exports

if TYPE_CHECKING:
    from metaenv.supervised.data.datasets import Dataset
    from metaenv.supervised.data.episodes import EpisodeBatch, Episodes, FrozenEpisodes, frozen_episodes
    from metaenv.supervised.data.problem import Problem
    from metaenv.supervised.evaluation import Report, evaluate
    from metaenv.supervised.learner import Learner, LearnerConfig
    from metaenv.supervised.predictor import Prediction, Predictor
    from metaenv.supervised.registry import BASELINES, LEARNERS, learner_class, make_learner

__all__ = [
    "BASELINES", "LEARNERS", "Dataset", "EpisodeBatch", "Episodes", "FrozenEpisodes", "Learner", "LearnerConfig",
    "Prediction", "Predictor", "Problem", "Report", "evaluate", "frozen_episodes", "learner_class", "make_learner",
]  # fmt: skip

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "metaenv.supervised.data.datasets": ["Dataset"],
        "metaenv.supervised.data.episodes": ["EpisodeBatch", "Episodes", "FrozenEpisodes", "frozen_episodes"],
        "metaenv.supervised.data.problem": ["Problem"],
        "metaenv.supervised.evaluation": ["Report", "evaluate"],
        "metaenv.supervised.learner": ["Learner", "LearnerConfig"],
        "metaenv.supervised.predictor": ["Prediction", "Predictor"],
        "metaenv.supervised.registry": ["BASELINES", "LEARNERS", "learner_class", "make_learner"],
    },
)
