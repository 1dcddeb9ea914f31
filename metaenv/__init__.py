"""metaenv: Gymnasium environments whose tasks come from a distribution of scientific problems."""

from metaenv.registry import ENVIRONMENTS, full_id, register_all
from metaenv.reveal import RevealTask, VectorRevealTask
from metaenv.tasks import (
    FrozenTasks,
    Labelled,
    Reference,
    Task,
    TaskBatch,
    TaskDistribution,
    TaskSampler,
)
from metaenv.trial import Trial, VectorTrial, make_trials
from metaenv.vector import BatchedEnv
from metaenv.version import __version__

register_all()

__all__ = [
    "ENVIRONMENTS",
    "BatchedEnv",
    "FrozenTasks",
    "Labelled",
    "Reference",
    "RevealTask",
    "Task",
    "TaskBatch",
    "TaskDistribution",
    "TaskSampler",
    "Trial",
    "VectorRevealTask",
    "VectorTrial",
    "__version__",
    "full_id",
    "make_trials",
    "register_all",
]
