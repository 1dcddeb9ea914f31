"""A native vector environment as a Stable-Baselines3 ``VecEnv`` (SB3 refuses the former)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from metaenv.vector import BatchedEnv


class SB3VecEnv(VecEnv):
    """Stable-Baselines3's interface around a `BatchedEnv` (a `VectorTrial`, for example).

    Wrap it in SB3's ``VecMonitor`` to have episode returns logged. Masks arrive as sb3-contrib asks for them,
    through ``env_method("action_masks")``.

    Raises:
        ValueError: the environment does not reset in the same step, which is what SB3 expects.
    """

    def __init__(self, env: BatchedEnv) -> None:
        if env.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ValueError(f"SB3 needs autoreset_mode SAME_STEP, got {env.autoreset_mode.name}")
        self.env = env
        self.render_mode = env.render_mode
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._action: NDArray[Any] = np.zeros(0)

    def reset(self) -> NDArray[np.float32]:
        """Begin anew, with the seeds given to ``seed()``."""
        given = [s for s in self._seeds if s is not None]
        observation, info = self.env.reset(seed=list(self._seeds) if given else None)
        self.reset_infos = [self._row(info, i) for i in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observation

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for ``step_wait``."""
        self._action = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Play the actions; finished rows carry ``terminal_observation`` and ``TimeLimit.truncated``."""
        observation, reward, terminated, truncated, info = self.env.step(self._action)
        done = terminated | truncated
        final_obs, final_info = info.pop("final_obs", None), info.pop("final_info", None)
        infos = [self._row(info, i) for i in range(self.num_envs)]
        for i in np.flatnonzero(done).tolist():
            infos[i] = {**infos[i], **self._row(final_info, i)}
            infos[i]["terminal_observation"] = final_obs[i]
            infos[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
        return observation, reward.astype(np.float32), done, infos

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """The environment's attribute, once for each index."""
        value = getattr(self.env, attr_name)
        return [value for _ in self._indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None) -> None:
        """Refused: the rows of a native environment share their attributes."""
        raise AttributeError(f"cannot set {attr_name!r} of single rows of a native vector environment")

    def env_method(
        self, method_name: str, *args: Any, indices: int | Iterable[int] | None = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method whose result has rows first, such as ``action_masks``; one item for each index."""
        result = getattr(self.env, method_name)(*args, **kwargs)
        return [result[i] for i in self._indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: int | Iterable[int] | None = None) -> list[bool]:
        """Whether the environment is an instance of a class."""
        return [isinstance(self.env, wrapper_class) for _ in self._indices(indices)]

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """One picture for each row, or None without a picture mode."""
        frames = self.env.render() if self.render_mode == "rgb_array" else None
        return list(frames) if frames else [None] * self.num_envs

    def has_attr(self, attr_name: str) -> bool:
        """Whether the environment has an attribute."""
        return hasattr(self.env, attr_name)

    def _indices(self, indices: int | Iterable[int] | None) -> Iterable[int]:
        if indices is None:
            return range(self.num_envs)
        return [indices] if isinstance(indices, int) else indices

    @staticmethod
    def _row(info: dict[str, Any], i: int) -> dict[str, Any]:
        return {k: v[i] for k, v in info.items() if not k.startswith("_")}
