"""What `metaenv envs` prints: the environments, and the page of one."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from metaenv.errors import nearest
from metaenv.parameters import ParameterTable, parameters_of
from metaenv.registry import ENVIRONMENTS, full_id, names, vector_class
from metaenv.trial import VectorTrial
from metaenv.vector import BatchedEnv, EnvOptions

RETURNS = {"sum": "their sum", "best": "the best of them"}


def overview(ids: list[str] | None = None) -> str:
    """A few lines on each environment: what it is, its spaces, trials and splits.

    Args:
        ids: of the environments; all that come with the package by default.
    """
    return "\n".join("\n".join([env_id, *_facts(env_id)]) for env_id in ids or map(full_id, ENVIRONMENTS))


def page(name: str, settings: Mapping[str, Any] | None = None) -> str:
    """All that an environment says of itself: its docstring, spaces, splits, trial, baselines, and observation.

    Args:
        name: of the environment.
        settings: options of it, whose values are told as it has read them.

    Raises:
        ValueError: there is no such environment, or one of the settings is wrong.
    """
    env_id, given = full_id(name), dict(settings or {})
    lines = [env_id, "=" * len(env_id), "", _docstring(env_id, given), "", *_facts(env_id, given)[1:]]
    trials = _trials(env_id, given)
    if trials is None:
        return "\n".join(lines)
    lines += [f"  with {key}: {getattr(trials.env, key, value)}" for key, value in given.items()]
    if trials.best_fixed:
        lines.append(f"  best fixed rule: {trials.best_fixed}")
    lines.append(f"  options of every environment: {', '.join(EnvOptions.__annotations__)} (see metaenv.BatchedEnv)")
    assert trials.layout is not None, "a trial has a layout"
    lines += ["", "Observation in a trial", "", trials.layout.table()]
    task_type = trials.distribution.task_type
    if parameters_of(task_type):
        lines += ["", f"Parameters of a task, {task_type.__name__}", "", ParameterTable(task_type).markdown()]
    return "\n".join(lines)


def ids_of(module: str) -> list[str]:
    """The full ids of the environments that a module registers when it is imported, in that order.

    Raises:
        ValueError: there is no such module, or it registers nothing.
    """
    before = set(gym.registry)
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ValueError(f"no environment and no module {module!r}.{nearest(module, names())}") from error
    found = [env_id for env_id, spec in gym.registry.items() if env_id not in before or _made_in(spec, module)]
    if not found:
        raise ValueError(f"Expected the module {module!r} to register environments by gymnasium.register; it has none.")
    return [f"{module}:{env_id}" for env_id in found]


def _made_in(spec: Any, module: str) -> bool:
    entry = spec.entry_point
    place = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
    return f"{place}.".startswith(f"{module}.")


def _facts(env_id: str, settings: Mapping[str, Any] | None = None) -> list[str]:
    summary = _docstring(env_id, settings).partition("\n")[0]
    trials = _trials(env_id, settings)
    if trials is None:
        env = gym.make(env_id, **(settings or {}))
        spaces = f"  action {env.action_space}; observation {env.observation_space}"
        return [f"  {summary}", spaces, "  a plain Gymnasium environment; VectorTrial.from_gym makes trials of it"]
    size, splits = trials.env.single_observation_space.shape, ", ".join(trials.distribution.splits)
    return [
        f"  {summary}",
        f"  action {trials.single_action_space}; observation {size}",
        f"  trial of {trials.episodes} episodes, its return {RETURNS[trials.trial_state.objective]}; splits {splits}",
    ]


def _docstring(env_id: str, settings: Mapping[str, Any] | None = None) -> str:
    """Of the scalar environment; of the batched one where it has none, or where a variant has a class of its own."""
    env = gym.make(env_id, **(settings or {})).unwrapped
    batch = type(getattr(env, "batch", None))
    of_variant = batch.__doc__ if batch not in (type(None), getattr(env, "batched", batch)) else None
    found = of_variant or type(env).__doc__ or getattr(vector_class(env_id), "__doc__", None) or ""
    return inspect.cleandoc(found)


def _trials(env_id: str, settings: Mapping[str, Any] | None = None) -> VectorTrial | None:
    """One trial of the environment; None for one that is not built as ours are."""
    if gym.spec(env_id.rpartition(":")[2]).vector_entry_point is None:
        return None
    env = gym.make_vec(env_id, num_envs=1, **(settings or {}))
    return VectorTrial(env) if isinstance(env, BatchedEnv) else None
