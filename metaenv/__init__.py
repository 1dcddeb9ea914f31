"""metaenv: Gymnasium environments whose tasks come from a distribution of scientific problems."""

from metaenv.env import MetaEnv
from metaenv.ids import task_id
from metaenv.registry import ENVIRONMENTS, full_id, register_all, task_from_json
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
from metaenv.wrappers import ObserveMask, ObserveTask, VectorObserveMask, VectorObserveTask

register_all()

__all__ = [
    "ENVIRONMENTS",
    "BatchedEnv",
    "FrozenTasks",
    "Labelled",
    "MetaEnv",
    "ObserveMask",
    "ObserveTask",
    "Reference",
    "Task",
    "TaskBatch",
    "TaskDistribution",
    "TaskSampler",
    "Trial",
    "VectorObserveMask",
    "VectorObserveTask",
    "VectorTrial",
    "__version__",
    "full_id",
    "make_trials",
    "register_all",
    "task_from_json",
    "task_id",
]
