"""A native vector environment as a Stable-Baselines3 ``VecEnv`` (SB3 refuses the former)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from metaenv.typing import Rows
from metaenv.vector import ALL, BatchedEnv

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise ImportError("metaenv.sb3 needs Stable-Baselines3: pip install stable-baselines3", name=error.name) from error


class SB3VecEnv(VecEnv):
    """Stable-Baselines3's interface around a `BatchedEnv` (a `VectorTrial`, for example).

    Wrap it in SB3's ``VecMonitor`` to have episode returns logged. Masks arrive as sb3-contrib asks for them,
    through ``env_method("action_masks")``.

    The environment resets in the same step from then on, as SB3 expects. Options of `set_options` are those of
    ``reset``, one dictionary for all or one for each row: ``{"task": task}`` or ``{"keep_task": True}``.

    Raises:
        TypeError: the environment is no `BatchedEnv`; wrap what comes out of here by SB3's own wrappers instead.
    """

    def __init__(self, env: BatchedEnv) -> None:
        if not isinstance(env, BatchedEnv):
            raise TypeError(
                f"expected a metaenv BatchedEnv, such as make_trials(...), got {type(env).__name__}; use VecMonitor, "
                "VecNormalize and the like around SB3VecEnv instead of Gymnasium's wrappers inside it"
            )
        env.use_autoreset_mode(AutoresetMode.SAME_STEP)
        self.env = env
        self.render_mode = env.render_mode
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._action: NDArray[Any] = np.zeros(0)

    def reset(self) -> NDArray[np.float32]:
        """Begin anew, with the seeds given to ``seed()`` and the options given to ``set_options()``."""
        given = [s for s in self._seeds if s is not None]
        seeds = list(self._seeds) if given else None
        observation, info = self.env.reset(seed=seeds, options=self._reset_options_of_all())
        self.reset_infos = _rows(info)
        self._reset_seeds()
        self._reset_options()
        return observation

    def _reset_options_of_all(self) -> dict[str, Any]:
        """The options of all rows as one dictionary, as a native vector environment takes them."""
        options: dict[str, Any] = {}
        for name in sorted({name for each in self._options for name in each}):
            values = [each.get(name) for each in self._options]
            if name == "task":
                options["tasks"] = values
            elif name == "keep_task":
                options[name] = np.array([bool(value) for value in values])
            else:
                options[name] = values[0]
        return options

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for ``step_wait``."""
        self._action = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Play the actions; finished rows carry ``terminal_observation`` and ``TimeLimit.truncated``."""
        observation, reward, terminated, truncated, info = self.env.step(self._action)
        done = terminated | truncated
        final_obs, final_info = info.pop("final_obs", None), info.pop("final_info", None)
        infos = _rows(info)
        if final_info is not None:
            rows = np.flatnonzero(done)
            cut = (truncated & ~terminated)[rows].tolist()
            last = _rows({**final_info, "terminal_observation": final_obs}, rows)
            for row, told, truncation in zip(rows.tolist(), last, cut, strict=True):
                infos[row] = told
                told["TimeLimit.truncated"] = truncation
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
        """Call a method whose result has rows first, such as ``action_masks``; one item for each index.

        ``env_method("reset", options=…)`` resets the rows and returns ``(observation, info)`` of each.
        """
        rows = list(self._indices(indices))
        if method_name == "reset":
            return self._reset_rows(rows, *args, **kwargs)
        result = getattr(self.env, method_name)(*args, **kwargs)
        return [result[i] for i in rows]

    def _reset_rows(
        self, rows: list[int], *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> list[tuple[NDArray[np.float32], dict[str, Any]]]:
        mask = np.isin(np.arange(self.num_envs), rows)
        every = {**(options or {}), **({} if mask.all() else {"reset_mask": mask})}
        seeds = None if seed is None else [seed] * self.num_envs
        observation, info = self.env.reset(seed=seeds, options=every)
        infos = _rows(info)
        return [(observation[i], infos[i]) for i in rows]

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
        return [int(indices)] if isinstance(indices, int | np.integer) else indices


def _rows(info: dict[str, Any], rows: Rows = ALL) -> list[dict[str, Any]]:
    """One dictionary for each of the rows, built column by column, which is faster than row by row."""
    columns = [zip(repeat(name), values[rows]) for name, values in info.items() if not name.startswith("_")]
    return list(map(dict, zip(*columns, strict=True)))
