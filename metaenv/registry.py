"""The environments' ids. Entry points are strings, so that registering imports no domain."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from copy import copy
from enum import Enum
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator

from metaenv.errors import TaskError, nearest
from metaenv.tasks import Task, TaskBatch

NAMESPACE = "metaenv"

# id: (module, what makes the batched environment, class of the scalar one); one version of each name
ENVIRONMENTS: dict[str, tuple[str, str, str]] = {
    "BernoulliBandit-v0": ("metaenv.classic.bandit.env", "BernoulliBanditVectorEnv", "BernoulliBanditEnv"),
    "TabularMDP-v0": ("metaenv.classic.mdp.env", "TabularMDPVectorEnv", "TabularMDPEnv"),
    "SparsePointRobot-v0": ("metaenv.classic.point_robot.env", "SparsePointRobotVectorEnv", "SparsePointRobotEnv"),
    "GridNavi-v0": ("metaenv.classic.gridnavi.env", "GridNaviVectorEnv", "GridNaviEnv"),
    "MaterialsSynthesis-v1": ("metaenv.materials.synthesis", "vector_env", "MaterialsSynthesisEnv"),
    "FurnaceControl-v0": ("metaenv.materials.furnace", "FurnaceControlVectorEnv", "FurnaceControlEnv"),
    "MoleculeDesign-v1": ("metaenv.molecules.design.env", "MoleculeDesignVectorEnv", "MoleculeDesignEnv"),
    "LeadOptimization-v0": ("metaenv.molecules.lead.env", "LeadOptimizationVectorEnv", "LeadOptimizationEnv"),
    "TargetSelection-v1": ("metaenv.telescope.sim.env", "TargetSelectionVectorEnv", "TargetSelectionEnv"),
}


def register_all() -> None:
    """Register every environment; calling it twice changes nothing."""
    for name, (module, batched, scalar) in ENVIRONMENTS.items():
        env_id = f"{NAMESPACE}/{name}"
        if env_id not in gym.registry:
            gym.register(env_id, entry_point=f"{module}:{scalar}", vector_entry_point=f"{module}:{batched}")


def names() -> list[str]:
    """The environments' names without namespace and version, each once."""
    return sorted({known.rpartition("-v")[0] for known in ENVIRONMENTS})


def full_id(name: str) -> str:
    """The id that also works in spawned workers: ``metaenv:metaenv/Name-v0``.

    Accepts ``Name``, ``Name-v0``, ``metaenv/Name-v0`` and the full id. Another project's prefixed id
    (``module:name``) is returned as it is, and so is an id that somebody else has registered in this process.

    Raises:
        ValueError: an unknown name; the nearest known one is suggested.
    """
    ours = name.startswith((f"{NAMESPACE}:", f"{NAMESPACE}/"))
    if not ours and (":" in name or name in gym.registry):
        return name
    short = name.rpartition(":")[2].removeprefix(f"{NAMESPACE}/")
    if short not in ENVIRONMENTS:
        stem, _, version = short.rpartition("-v")
        stem = stem if version.isdecimal() and stem else short
        versions = [known for known in ENVIRONMENTS if known.rpartition("-v")[0] == stem]
        if not versions:
            raise ValueError(f"no environment {name!r}.{nearest(stem, names())}")
        if stem != short:
            raise ValueError(
                f"no environment {name!r}: its version is {versions[0].rpartition('-')[2]} now, and CHANGELOG.md says "
                f"what has changed. Write {stem!r} for the version that is registered."
            )
        short = versions[0]
    return f"{NAMESPACE}:{NAMESPACE}/{short}"


def task_from_json(text: str) -> Task:
    """The task of any registered environment that `Task.to_json` has written.

    The families of this package are found by their names; another project's module must have been imported.

    Raises:
        TaskError: text that is not such a task, or of a family that no imported module defines.
    """
    try:
        family = json.loads(text)["family"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise TaskError(f"expected a task as JSON with its family, got {str(text)[:60]!r} ({error})") from error
    for module in (None, *sorted({module for module, _, _ in ENVIRONMENTS.values()})):
        if module is not None:
            importlib.import_module(module)
        for kind in _kinds_of(Task):
            if getattr(kind, "family", None) == family:
                return kind.from_json(text)
    known = {kind.family for kind in _kinds_of(Task) if hasattr(kind, "family")}
    raise TaskError(f"no family of tasks {family!r}.{nearest(str(family), known)}")


def _kinds_of(kind: type[Task]) -> Iterator[type[Task]]:
    for derived in kind.__subclasses__():
        yield derived
        yield from _kinds_of(derived)


def vector_class(name: str) -> Any:
    """What makes an environment's native vector environment: its class, for one that is built as ours are.

    Raises:
        ValueError: an unknown name, a module that is not there, or an environment without a vector entry point.
    """
    env_id = full_id(name)
    module, _, plain = env_id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)
        entry = gym.spec(plain).vector_entry_point
    except (ModuleNotFoundError, gym.error.Error) as error:
        raise ValueError(f"Expected a registered environment, got {name!r}: {error}.") from error
    if entry is None:
        raise ValueError(
            f"Expected {name!r} to be registered with a vector_entry_point, the class of its BatchedEnv; it has none."
        )
    return load_env_creator(entry) if isinstance(entry, str) else entry


def told_spec(spec: EnvSpec, length: int | None) -> EnvSpec:
    """The specification of an environment as it can be written to JSON, with the length of its episodes."""
    found = copy(spec)  # not a deep copy: a setting may be a function that cannot be copied
    if found.max_episode_steps is None:
        found.max_episode_steps = length
    found.kwargs = {name: _plain(value) for name, value in found.kwargs.items()}
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Task):
        return value.to_dict()
    if isinstance(value, TaskBatch):
        return [task.to_dict() for task in value.tasks()]
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def parsed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings typed on a command line: ``2`` is a number, ``[64,64]`` a tuple, ``true`` a truth value, others text."""

    def value(text: Any) -> Any:
        try:
            found = json.loads(text) if isinstance(text, str) else text
        except json.JSONDecodeError:
            return text
        return tuple(found) if isinstance(found, list) else found

    return {name.replace("-", "_"): value(text) for name, text in settings.items()}
