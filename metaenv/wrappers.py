"""Wrappers that show more in the observation.

`ObserveTask` shows the true task, for the ceiling that an agent who knew it would reach; `ObserveMask` the mask of the
allowed actions, for clients that look for it there. Each has a twin for vector environments.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector.utils import batch_space
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


class ObserveMask(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """A scalar environment whose observation is a dictionary of the observation and the mask of allowed actions.

    RLlib's ``ActionMaskingTorchRLModule`` takes it as it is; for tianshou, name the parts ``"obs"`` and ``"mask"``.

    Args:
        env: an environment of this package with Discrete actions, a `Trial` for example.
        observation: name of the observation.
        mask: name of the mask, float32 with 1 where an action is allowed.
    """

    def __init__(self, env: gym.Env[Any, Any], observation: str = "observations", mask: str = "action_mask") -> None:
        RecordConstructorArgs.__init__(self, observation=observation, mask=mask)
        gym.Wrapper.__init__(self, env)
        self._names = observation, mask
        self.observation_space = _with_mask(env.observation_space, env.action_space, *self._names)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment inside, with the mask."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._with_mask(observation, info), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment inside, with the mask."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._with_mask(observation, info), reward, terminated, truncated, info

    def _with_mask(self, observation: Any, info: dict[str, Any]) -> dict[str, Any]:
        return dict(zip(self._names, (observation, info["action_mask"].astype(np.float32)), strict=True))


class VectorObserveMask(gym.vector.VectorWrapper):
    """`ObserveMask` for vector environments of this package, such as trials; arguments as there."""

    def __init__(self, env: Any, observation: str = "observations", mask: str = "action_mask") -> None:
        super().__init__(env)
        self._names = observation, mask
        self.single_observation_space = _with_mask(
            env.single_observation_space, env.single_action_space, observation, mask
        )
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment inside, with the masks."""
        observations, info = self.env.reset(seed=seed, options=options)
        return self._with_mask(observations, info), info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """As the environment inside, with the masks, also in ``final_obs``."""
        observations, rewards, terminated, truncated, info = self.env.step(actions)
        if "final_obs" in info:
            info = {**info, "final_obs": self._with_mask(info["final_obs"], info["final_info"])}
        return self._with_mask(observations, info), rewards, terminated, truncated, info

    def _with_mask(self, observations: Any, info: dict[str, Any]) -> dict[str, Any]:
        return dict(zip(self._names, (observations, info["action_mask"].astype(np.float32)), strict=True))


def _with_mask(
    space: gym.spaces.Space[Any], actions: gym.spaces.Space[Any], observation: str, mask: str
) -> gym.spaces.Dict:
    if not isinstance(actions, gym.spaces.Discrete):
        raise ValueError(f"ObserveMask needs Discrete actions, which have masks; got {actions}")
    return gym.spaces.Dict({observation: space, mask: gym.spaces.Box(0, 1, (int(actions.n),), np.float32)})
