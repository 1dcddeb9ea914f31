"""The scalar environment: a batch of one, written once for all domains."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from metaenv.actions import check_action
from metaenv.registry import told_spec
from metaenv.tasks import Task, TaskDistribution
from metaenv.vector import ALL, BatchedEnv


class MetaEnv(gym.Env[NDArray[np.float32], Any]):
    """One episode at a time of one hidden task.

    A domain names its batched class and writes no dynamics here, so the two cannot drift apart. Keyword arguments
    go to the batched class. See `metaenv.vector.BatchedEnv` for ``reset``'s options (``"task"``, ``"keep_task"``).
    """

    batched: ClassVar[type[BatchedEnv]]
    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012 (Gymnasium)

    def __init__(self, render_mode: str | None = None, **settings: Any) -> None:
        self._spec: EnvSpec | None = None
        self.batch = self.make_batch(
            num_envs=1, autoreset_mode=AutoresetMode.DISABLED, render_mode=render_mode, **settings
        )
        self.render_mode = render_mode
        self.observation_space = self.batch.single_observation_space
        self.action_space = self.batch.single_action_space

    @classmethod
    def make_batch(cls, **settings: Any) -> BatchedEnv:
        """The batch that is played: of the class `batched`, or of another one where variants have their own."""
        return cls.batched(**settings)

    @property
    def spec(self) -> EnvSpec | None:
        """What `gymnasium.make` made the environment from, with the length of episodes where it is fixed."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._spec = None if spec is None else told_spec(spec, self.batch.episode_length)

    @property
    def task(self) -> Task:
        """The hidden task now being played. For evaluation and drawing, never for a policy."""
        return self.batch.tasks.task(0)

    @property
    def distribution(self) -> TaskDistribution:
        """Where the tasks come from."""
        return self.batch.distribution

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin a new episode, of ``options["task"]`` or of the next task of the env's sampler."""
        if seed is not None and not isinstance(seed, int | np.integer):
            raise ValueError(f"expected one seed, a whole number of at least 0, got {seed!r}")
        observation, info = self.batch.reset(seed=seed, options=options)  # refused, it changes nothing
        super().reset(seed=None if seed is None else int(seed))
        return observation[0], first_row(info)

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Play one action. Raises ValueError for a malformed one, ResetNeeded when the episode is over."""
        # What `BatchedEnv.step` does, without the arrays of one in which it notes what ended.
        batch = self.batch
        actions = check_action(action, batch.single_action_space)
        if not batch.is_playing(0):
            raise ResetNeeded("no episode is under way: call reset()")
        reward, terminated, truncated = batch.play(ALL, actions)
        over = bool(terminated[0]), bool(truncated[0])
        if any(over):
            batch.end_episode(0)
        return batch.observe(ALL)[0], float(reward[0]), *over, first_row(batch._columns(ALL))

    def task_vector(self) -> NDArray[np.float32]:
        """(c,) the hidden task as it matters at present: a privileged signal, for oracles only."""
        return self.batch.task_vector()[0]

    def action_masks(self) -> NDArray[np.bool_]:
        """(k,) which Discrete actions are allowed now, as sb3-contrib asks for them."""
        return self.batch.action_masks()[0]

    def render(self) -> Any:
        """A picture (``rgb_array``) or text (``ansi``)."""
        frames = self.batch.render()
        return None if frames is None else frames[0]


def first_row(info: dict[str, Any]) -> dict[str, Any]:
    """The info of sub-environment 0: arrays, and numbers of numpy's types, whose dtype clients such as TorchRL read."""
    return {k: v[0] for k, v in info.items() if not k.startswith("_")}
