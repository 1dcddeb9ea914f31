"""`ObserveTask`: show the true task to the policy, which gives an upper bound for agents that have to infer it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from metaenv.layout import Block, ObservationLayout
from metaenv.tasks import TaskBatch, TaskDistribution
from metaenv.typing import Rows
from metaenv.vector import BatchedEnv, BatchedWrapper, Observations


def _extended(
    space: gym.spaces.Space[Any], layout: ObservationLayout | None, distribution: TaskDistribution
) -> ObservationLayout:
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
        raise ValueError(f"ObserveTask needs a one-dimensional Box observation, got {space}")
    unit = np.full((1, distribution.unit_dim), 0.5)
    size = distribution.task_vector(distribution.from_unit(unit, distribution.splits[0])).shape[1]
    task = Block("task vector", "the hidden task, for oracles only", -1, 1, size)
    return (layout or ObservationLayout.of(space)).joined(ObservationLayout([task]))


class VectorObserveTask(BatchedWrapper):
    """A vector environment whose observation ends with the true task as a vector, in [-1, 1]."""

    def __init__(self, env: BatchedEnv) -> None:
        super().__init__(env, _extended(env.single_observation_space, env.layout, env.distribution))
        self._vectors = np.empty((env.num_envs, 0), np.float32)

    @property
    def episode_length(self) -> int | None:
        """Steps in an episode, where it is known."""
        return getattr(self.env, "episode_length", None)

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        super().set_tasks(rows, tasks)
        self._vectors = self.distribution.task_vector(self.tasks)

    def observe(self, rows: Rows) -> Observations:
        return np.concatenate([self.env.observe(rows), self._vectors[rows]], axis=1)


class ObserveTask(gym.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """A scalar environment whose observation ends with the true task as a vector, in [-1, 1]."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ObservationWrapper.__init__(self, env)
        self._distribution: TaskDistribution = env.get_wrapper_attr("distribution")
        self.observation_space = _extended(env.observation_space, None, self._distribution).box()

    def observation(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """The observation with the task vector behind it."""
        task = TaskBatch.from_tasks([self.env.get_wrapper_attr("task")])
        return np.concatenate([observation, self._distribution.task_vector(task)[0]])
