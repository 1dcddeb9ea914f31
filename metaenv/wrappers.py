"""The base of wrappers, and wrappers that show more in the observation.

`BatchedWrapper` hands everything on. `ObserveTask` shows the true task, for the ceiling that an agent who knew it would
reach; `ObserveMask` the mask of the allowed actions, for clients that look for it there. Each has a twin for vector
environments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from metaenv.layout import Block, ObservationLayout
from metaenv.tasks import FrozenTasks, TaskBatch, TaskDistribution
from metaenv.typing import Bools, Floats, Rows
from metaenv.vector import BatchedEnv, Info, Observations

if TYPE_CHECKING:
    from metaenv.policies import Policy, TrialRecord
    from metaenv.trial import VectorTrial


DECLARATIONS = (
    *("trial_episodes", "trial_objective", "reports_at_end", "best_fixed", "training_settings"),
    *("report_columns", "episode_length", "reward_range", "made_in_episode"),
)
"""What an environment declares and its wrappers copy."""


class BatchedWrapper(BatchedEnv):
    """A BatchedEnv that changes some of the five methods of another one and hands on the rest."""

    def __init__(
        self,
        env: BatchedEnv,
        observation: gym.spaces.Box | ObservationLayout | None = None,
        autoreset_mode: AutoresetMode | str | None = None,
    ) -> None:
        if not isinstance(env, BatchedEnv):
            raise TypeError(
                f"expected a metaenv BatchedEnv (gym.make_vec('metaenv:metaenv/…')), got {type(env).__name__}"
            )
        self.env = env
        super().__init__(
            env.num_envs,
            env.distribution,
            observation or env.layout or env.single_observation_space,  # type: ignore[arg-type]
            env.single_action_space,
            env.split,
            env.autoreset_mode if autoreset_mode is None else autoreset_mode,
            env.render_mode,
            text_info=env.text_info,
        )
        self.spec = env.spec
        for name in DECLARATIONS:
            setattr(self, name, getattr(env, name))

    @property
    def text_info(self) -> bool:  # type: ignore[override]
        """Whether ``info`` holds text: one setting for all layers, as text is made only where it is asked for."""
        return self.env.text_info

    @text_info.setter
    def text_info(self, value: bool) -> None:
        self.env.text_info = value

    @property
    def innermost(self) -> BatchedEnv:
        """The environment under all wrappers."""
        return self.env.innermost if isinstance(self.env, BatchedWrapper) else self.env

    def begin(self, rows: Rows) -> None:
        self.env.start(rows)

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        return self.env.play(rows, action)

    def observe(self, rows: Rows) -> Observations:
        return self.env.observe(rows)

    def report(self, rows: Rows) -> Info:
        return self.env.report(rows)

    def task_vector(self) -> NDArray[np.float32]:
        return self.env.task_vector()

    def mask(self, rows: Rows) -> NDArray[np.int8] | None:
        return self.env.mask(rows)

    def frame(self, row: int) -> NDArray[np.uint8]:
        return self.env.frame(row)

    def text(self, row: int) -> str:
        return self.env.text(row)

    def baselines(self) -> Mapping[str, Policy]:
        return self.env.baselines()

    def measures(self, record: TrialRecord) -> Mapping[str, Floats]:
        return self.env.measures(record)

    def pictures(
        self, policy: Policy, trials: VectorTrial, tasks: FrozenTasks, folder: Path, name: str
    ) -> Sequence[Path]:
        return self.env.pictures(policy, trials, tasks, folder, name)

    def seed_rows(self, seeds: Sequence[int | None]) -> None:
        self.env.seed_rows(seeds)
        self._seeded = True

    def draw_tasks(self, rows: Rows) -> TaskBatch:
        return self.env.draw_tasks(rows)

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        self.env.set_tasks(rows, tasks)
        self._tasks = self.env._tasks

    def close_extras(self, **kwargs: Any) -> None:
        """Close the environment inside, which is not there yet where the constructor has refused it."""
        if hasattr(self, "env"):
            self.env.close(**kwargs)


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
        if self.report_columns is None:  # the task is no report of an episode
            self.report_columns = slice(int(np.prod(env.single_observation_space.shape or ())))

    def observe(self, rows: Rows) -> Observations:
        return np.concatenate([self.env.observe(rows), self.env.task_vector()[rows]], axis=1)


class ObserveTask(gym.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """A scalar environment whose observation ends with the true task as a vector, in [-1, 1]."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ObservationWrapper.__init__(self, env)
        distribution: TaskDistribution = env.get_wrapper_attr("distribution")
        self.observation_space = _extended(env.observation_space, None, distribution).box()
        declared: slice | None = env.get_wrapper_attr("batch").report_columns
        self.report_columns = declared or slice(int(np.prod(env.observation_space.shape or ())))

    def observation(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """The observation with the task vector behind it."""
        return np.concatenate([observation, self.env.get_wrapper_attr("task_vector")()])


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
