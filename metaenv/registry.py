"""The environments' ids. Entry points are strings, so that registering imports no domain."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

from metaenv.errors import nearest

NAMESPACE = "metaenv"

# id: (module, class of the batched environment, class of the scalar one)
ENVIRONMENTS: dict[str, tuple[str, str, str]] = {
    "BernoulliBandit-v0": ("metaenv.classic.bandit.env", "BernoulliBanditVectorEnv", "BernoulliBanditEnv"),
    "TabularMDP-v0": ("metaenv.classic.mdp.env", "TabularMDPVectorEnv", "TabularMDPEnv"),
    "SparsePointRobot-v0": ("metaenv.classic.point_robot.env", "SparsePointRobotVectorEnv", "SparsePointRobotEnv"),
    "GridNavi-v0": ("metaenv.classic.gridnavi.env", "GridNaviVectorEnv", "GridNaviEnv"),
    "MaterialsSynthesis-v0": ("metaenv.materials.env", "MaterialsSynthesisVectorEnv", "MaterialsSynthesisEnv"),
    "FurnaceControl-v0": ("metaenv.materials.furnace", "FurnaceControlVectorEnv", "FurnaceControlEnv"),
    "MoleculeDesign-v0": ("metaenv.molecules.design.env", "MoleculeDesignVectorEnv", "MoleculeDesignEnv"),
    "LeadOptimization-v0": ("metaenv.molecules.lead.env", "LeadOptimizationVectorEnv", "LeadOptimizationEnv"),
    "TargetSelection-v0": ("metaenv.telescope.sim.env", "TargetSelectionVectorEnv", "TargetSelectionEnv"),
}


def register_all() -> None:
    """Register every environment; calling it twice changes nothing."""
    for name, (module, batched, scalar) in ENVIRONMENTS.items():
        env_id = f"{NAMESPACE}/{name}"
        if env_id not in gym.registry:
            gym.register(env_id, entry_point=f"{module}:{scalar}", vector_entry_point=f"{module}:{batched}")


def full_id(name: str) -> str:
    """The id that also works in spawned workers: ``metaenv:metaenv/Name-v0``.

    Accepts ``Name``, ``Name-v0``, ``metaenv/Name-v0`` and the full id. Another project's prefixed id
    (``module:name``) is returned as it is.

    Raises:
        ValueError: an unknown name; the nearest known one is suggested.
    """
    if ":" in name and not name.startswith(f"{NAMESPACE}:"):
        return name
    short = name.rpartition(":")[2].removeprefix(f"{NAMESPACE}/")
    if short not in ENVIRONMENTS:
        versions = sorted(known for known in ENVIRONMENTS if known.rpartition("-v")[0] == short)
        if not versions:
            raise ValueError(f"no environment {name!r}.{nearest(short, ENVIRONMENTS)}")
        short = versions[-1]
    return f"{NAMESPACE}:{NAMESPACE}/{short}"


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
