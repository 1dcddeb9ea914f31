"""The sizes of an environment that an agent's networks are made for, and checks that it delivers whole trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from metaenv.trial import VectorTrial


@dataclass(frozen=True)
class EnvDims:
    """Sizes of an environment of trials; checkpoints hold them."""

    observation_size: int
    """Length of the flat observation of the trial."""
    n_actions: int | None
    """Number of discrete actions; None for a continuous action."""
    action_size: int
    """Dimensions of a continuous action in [-1, 1]; 0 for discrete actions."""
    trial_length: int | None
    """Steps in every trial; None where they differ, or where the agent does not need to know."""
    task_dim: int = 0
    """Length of the hidden task's vector, where it is a training signal; else 0."""
    entities: tuple[int, int] | None = None
    """Features of an entity and number of entities, where the observation begins with a list of them that is encoded as
    a set (`metaenv.agents.entities`); else None."""
    episode_size: int = 0
    """Length d of the observation of an episode, with which the trial's observation begins; 0 where the agent does not
    tell the two apart."""
    reports_at_end: bool = False
    """Whether the trial's observation repeats the last observation of the episode before."""
    report_columns: tuple[int, int] | None = None
    """The first column of that observation which is repeated, and the one after the last; None for all."""
    report: tuple[int, int] | None = None
    """Features of an entry and number of entries, where what is repeated is a list that is encoded as a set."""
    hide_history: bool = False
    """Whether the trial hides previous actions and rewards."""
    choices: tuple[int, ...] = ()
    """Sizes of the groups of the last coordinates of a continuous action that are drawn as one choice each."""
    action_features: int = 0
    """Length of the features of a discrete action, where the policy looks at them; else 0."""

    def __post_init__(self) -> None:
        for name in ("entities", "report_columns", "report"):
            if (value := getattr(self, name)) is not None:  # a checkpoint holds a list
                object.__setattr__(self, name, tuple(value))
        object.__setattr__(self, "choices", tuple(self.choices))

    @property
    def action_vector_size(self) -> int:
        """Length of an action as the trial's observation shows it: one-hot, or the action itself."""
        return self.action_size if self.n_actions is None else self.n_actions


def find_attribute(env: VectorEnv[Any, Any, Any], name: str) -> Any:
    """The attribute of the outermost wrapper that has it, or None: gymnasium's wrappers pass no attributes on."""
    layer: Any = env
    while layer is not None and not hasattr(layer, name):
        layer = layer.env if hasattr(layer, "env") else None
    return None if layer is None else getattr(layer, name)


def episode_credit(earned: Callable[[], NDArray[np.float32] | None] | None, steps: int) -> NDArray[np.float32] | None:
    """What each of the last L steps has earned in every row, (L, n), where an episode has just ended; else None.

    Args:
        earned: of the environment (`metaenv.agents.rl2.RL2`), or None.
        steps: how many have been played since the trials began.
    """
    each = None if earned is None else earned()
    return None if each is None or steps % each.shape[1] else each.T


def resolve_dims(
    env: VectorEnv[Any, Any, Any] | None,
    expected: EnvDims | None,
    *,
    predicts_task: bool = False,
    entities: bool = False,
    action_features: bool = False,
    replays: bool = False,
    episodes: bool = False,
) -> EnvDims:
    """The sizes of the env, checked.

    Args:
        env: an environment of trials; None returns `expected`.
        expected: what the sizes must be, or None.
        predicts_task: whether the env must offer the hidden task's vector.
        entities: whether the env must say how its observation lists entities.
        action_features: whether the env must tell the features of its discrete actions.
        replays: whether the agent replays single steps of episodes, for which the env must be a `VectorTrial`.
        episodes: whether the agent tells the observation of an episode from what the trial remembers, where the env is
            a `VectorTrial`.

    Raises:
        ValueError: spaces, autoreset mode or type of the env do not fit, or the sizes are not those expected.
    """
    if env is None:
        if expected is None:
            raise ValueError("Expected an env to take the sizes from, or `dims`; got neither.")
        return expected
    if replays and not isinstance(env, VectorTrial):
        raise ValueError(
            f"Expected a VectorTrial, whose steps PEARL can tell apart and replay; got {type(env).__name__}. Make one "
            "with metaenv.trial.make_trials(env_id, num_envs)."
        )
    _check_env(env)
    if replays and cast(VectorTrial, env).trial_state.shows != "trial":
        raise ValueError("Expected trials that show all of themselves, as steps are replayed; leave out `shows`.")
    state = find_attribute(env, "trial_state") if replays or episodes else None
    found = EnvDims(
        observation_size=int(np.prod(cast(tuple[int, ...], env.single_observation_space.shape))),
        n_actions=int(env.single_action_space.n) if isinstance(env.single_action_space, Discrete) else None,
        action_size=env.single_action_space.shape[0] if isinstance(env.single_action_space, Box) else 0,
        trial_length=None if replays else find_attribute(env, "trial_length"),
        task_dim=_task_dim(env) if predicts_task else 0,
        entities=_entities(env) if entities else None,
        episode_size=state.episode_size if state else 0,
        reports_at_end=state is not None and state.reports_at_end,
        report_columns=_columns(state.report_columns, state.episode_size) if state else None,
        report=_report(env) if entities else None,
        hide_history=state is not None and state.hide_history,
        choices=() if replays else tuple(find_attribute(env, "action_choices") or ()),
        action_features=_action_features(env) if action_features else 0,
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


def _task_dim(env: VectorEnv[Any, Any, Any]) -> int:
    task_vector = find_attribute(env, "task_vector")
    if task_vector is None:
        raise ValueError(
            "Expected an env with task_vector() -> (n, c), because task_prediction is set. Set it to None, or use an "
            "env that offers its hidden task's vector."
        )
    env.reset(seed=0)
    return int(task_vector().shape[1])


def _columns(kept: slice, size: int) -> tuple[int, int] | None:
    return None if kept == slice(None) else kept.indices(size)[:2]


def _report(env: VectorEnv[Any, Any, Any]) -> tuple[int, int] | None:
    layout = find_attribute(env, "report_layout")
    return None if layout is None else (int(layout[0]), int(layout[1]))


def _entities(env: VectorEnv[Any, Any, Any]) -> tuple[int, int]:
    layout = find_attribute(env, "entity_layout")
    if layout is None or not isinstance(env.single_action_space, Discrete):
        raise ValueError(
            "Expected an env with discrete actions and entity_layout -> (features, entities), because entities is "
            "True. Set it to False, or use an env whose observation lists entities, such as TargetSelection."
        )
    return int(layout[0]), int(layout[1])


def _action_features(env: VectorEnv[Any, Any, Any]) -> int:
    features, space = find_attribute(env, "action_features"), env.single_action_space
    if not isinstance(space, Discrete) or features is None or np.ndim(features) != 2 or len(features) != space.n:
        raise ValueError(
            "Expected an env with discrete actions and action_features (actions, features), because action_features is "
            "True. Set it to False, or use an env that tells them, such as MoleculeDesign."
        )
    return int(features.shape[1])
