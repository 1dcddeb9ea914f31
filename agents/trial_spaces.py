"""What an agent must know of the trials it plays, and the checks that an env delivers such trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray


@dataclass(frozen=True)
class TrialSpaces:
    """What a network must know of the environment it was made for; all of it is stored in checkpoints."""

    observation_size: int
    """Length of the flat observation of the trial."""
    n_actions: int | None
    """Number of discrete actions; None for a continuous action."""
    action_size: int
    """Dimensions of a continuous action in [-1, 1]; 0 for discrete actions."""
    trial_length: int | None
    """Steps in every trial; None where trials end early or late."""
    context_size: int = 0
    """Length of the hidden task's context vector, where it is used as a training signal; else 0."""
    items: tuple[int, int] | None = None
    """Features of an item, and number of items, where the observation begins with a list that is used as one (see
    `metaenv.agents.entities`); else None."""

    def __post_init__(self) -> None:
        if self.items is not None:  # a checkpoint has it as a list
            object.__setattr__(self, "items", tuple(self.items))


def find_attribute(env: VectorEnv[Any, Any, Any], name: str) -> Any:
    """The attribute of the outermost wrapper that has it, or None: gymnasium's wrappers pass no attributes on."""
    layer: Any = env
    while layer is not None and not hasattr(layer, name):
        layer = layer.env if hasattr(layer, "env") else None
    return None if layer is None else getattr(layer, name)


def resolve_spaces(
    env: VectorEnv[Any, Any, Any] | None,
    expected: TrialSpaces | None,
    predicts_context: bool,
    lists_items: bool = False,
) -> TrialSpaces:
    """The sizes of the env's spaces, checked.

    Args:
        env: the env; None returns what is expected.
        expected: what they must be, or None.
        predicts_context: whether the env must tell its hidden task's context vector.
        lists_items: whether the env must say how its observation lists items.

    Raises:
        ValueError: the spaces or the autoreset mode are not those of trials, or not what was expected.
    """
    if env is None:
        if expected is None:
            raise ValueError("Expected an env to take the sizes of the spaces from, or `trial_spaces`; got neither.")
        return expected
    _check_env(env)
    found = TrialSpaces(
        observation_size=int(np.prod(cast(tuple[int, ...], env.single_observation_space.shape))),
        n_actions=int(env.single_action_space.n) if isinstance(env.single_action_space, Discrete) else None,
        action_size=env.single_action_space.shape[0] if isinstance(env.single_action_space, Box) else 0,
        trial_length=find_attribute(env, "trial_length"),
        context_size=_context_size(env) if predicts_context else 0,
        items=_items(env) if lists_items else None,
    )
    if expected is not None and found != expected:
        raise ValueError(f"Expected the environment this agent was made for, {expected}; got {found}.")
    return found


def _check_env(env: VectorEnv[Any, Any, Any]) -> None:
    observation, action = env.single_observation_space, env.single_action_space
    if not _has_trials(env):
        raise ValueError(
            f"Expected an env whose episodes are trials, got {type(env).__name__}. Make one by "
            "metaenv.make_trials(env_id, num_envs), or by metaenv.VectorTrial.from_gym(env, num_envs) of a plain "
            "Gymnasium environment; or give your own trials the attribute trial_length, their steps or None."
        )
    if not (isinstance(observation, Box) and len(observation.shape) == 1):
        raise ValueError(f"Expected a flat Box observation of a trial, got {observation}. Wrap the env in a Trial.")
    unit_box = isinstance(action, Box) and len(action.shape) == 1 and bool(np.all(abs(action.low) == 1))
    unit_box = unit_box and bool(np.all(cast(Box, action).high == 1))
    if not (unit_box or (isinstance(action, Discrete) and action.start == 0)):
        raise ValueError(
            f"Expected the action space Discrete(k) or Box(-1, 1, (d,)), got {action}. "
            "Rescale it, for instance by gymnasium.wrappers.vector.RescaleAction."
        )
    if env.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
        raise ValueError(
            f"Expected autoreset mode SAME_STEP, got {env.metadata.get('autoreset_mode')}. Make the vector env with "
            "vector_kwargs/autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP."
        )


def _has_trials(env: VectorEnv[Any, Any, Any]) -> bool:
    """Whether the episodes of a vector env are trials: it says how long, or each of its copies is a `Trial`."""
    layer: Any = env
    while layer is not None:
        if hasattr(layer, "trial_length"):
            return True
        if isinstance(layer, SyncVectorEnv | AsyncVectorEnv):
            try:
                return bool(layer.get_attr("trial_state"))
            except AttributeError:
                return False
        layer = getattr(layer, "env", None)
    return False


def _context_size(env: VectorEnv[Any, Any, Any]) -> int:
    task_vector = find_attribute(env, "task_vector")
    if task_vector is None:
        raise ValueError(
            "Expected an env with task_vector() -> (n, c), because task_prediction_coef > 0. Set it to 0, or use an "
            "env that offers its hidden task's context vector."
        )
    env.reset(seed=0)
    return int(task_vector().shape[1])


def _items(env: VectorEnv[Any, Any, Any]) -> tuple[int, int]:
    layout = find_attribute(env, "item_layout")
    if layout is None or not isinstance(env.single_action_space, Discrete):
        raise ValueError(
            "Expected an env with discrete actions and item_layout -> (features, items), because items is True. Set it "
            "to False, or use an env whose observation lists items, such as TargetSelection."
        )
    return int(layout[0]), int(layout[1])


def check_binary(contexts: NDArray[np.float32]) -> None:
    """Raise ValueError unless all contexts (..., c) lie in [0, 1]."""
    if not ((contexts >= 0) & (contexts <= 1)).all():
        raise ValueError(
            f'Expected contexts in [0, 1] with task_prediction_loss="bce", got {contexts.min():g} to '
            f'{contexts.max():g} from task_vector(). Use "mse", or an env whose context is a vector of indicators.'
        )
