"""Seeded play of every environment, summed up in a few numbers that `trajectories.json` keeps.

What is discrete (tasks, actions, masks, ends of episodes) is kept as a hash. Observations, rewards and scores are kept
as ten weighted sums each, which other machines reproduce up to rounding; the weights differ from number to number, so
two columns, rows or steps that change places show.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv import ENVIRONMENTS, full_id
from metaenv.tasks import TaskDistribution
from metaenv.trial import make_trials
from metaenv.vector import BatchedEnv

FILE = Path(__file__).parent / "trajectories.json"
STEPS, BLOCKS, NUM_ENVS, SEED = 200, 10, 3, 2_024

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("BernoulliBandit-v0", {"n_arms": 10, "split": "test"}),
    ("TabularMDP-v0", {"n_states": 4, "n_actions": 3, "horizon": 7}),
    ("SparsePointRobot-v0", {"goals": "uniform"}),
    ("SparsePointRobot-v0", {"split": "ood-lower"}),
    ("MaterialsSynthesis-v1", {"variant": "recipe"}),
    ("MaterialsSynthesis-v1", {"variant": "full", "split": "ood-instrument"}),
    ("MaterialsSynthesis-v1", {"variant": "recipe", "feedback": "yield", "noise_factor": 2.0}),
    ("FurnaceControl-v0", {"noise_factor": 0.0, "max_steps": 30}),
    ("MoleculeDesign-v1", {"variant": "windows-3"}),
    ("MoleculeDesign-v1", {"variant": "windows-5", "feedback": "panel", "noise_std": 0.1}),
    ("MoleculeDesign-v1", {"variant": "groups", "duplicate_penalty": 0.5, "split": "ood-group"}),
    ("MoleculeDesign-v1", {"variant": "scaffold-hop", "draw_hidden": True}),
    ("LeadOptimization-v0", {"draw_hidden": True, "split": "ood-scaffold"}),
    ("TargetSelection-v1", {"variant": "short"}),
    ("TargetSelection-v1", {"variant": "short", "values": "dawn"}),
    ("TargetSelection-v1", {"variant": "depth"}),
    ("TargetSelection-v1", {"variant": "cadence"}),
    ("TargetSelection-v1", {"variant": "full", "draw_hidden": True, "split": "ood-purity"}),
]
"""Environments with other settings than their own."""


def name_of(env: str, settings: dict[str, Any]) -> str:
    return " ".join([env, *(f"{key}={value}" for key, value in settings.items())])


CASES = {name_of(env, settings): (env, settings) for env, settings in [*((env, {}) for env in ENVIRONMENTS), *VARIANTS]}
"""What is played, by its name in the file."""


def recorded(case: str) -> dict[str, dict[str, Any]]:
    """What the file keeps of a case: one record of its episodes, one of its trials."""
    env, settings = CASES[case]
    settings = {**settings, "autoreset_mode": "SameStep"}
    episodes: Any = gym.make_vec(full_id(env), num_envs=NUM_ENVS, **settings)
    trials = make_trials(env, NUM_ENVS, **settings)
    parts = {"episodes": play(episodes), "trials": play(trials)}
    parts["episodes"]["task_vectors"] = task_vectors(trials.distribution)
    return parts


def task_vectors(distribution: TaskDistribution) -> list[float]:
    """Sums of what `ObserveTask` shows of 200 training tasks."""
    tasks = distribution.sample(STEPS, "train", np.random.default_rng(SEED))
    return _sums(list(distribution.task_vector(tasks)))


def play(env: BatchedEnv) -> dict[str, Any]:
    """Random allowed actions for `STEPS` steps."""
    rng = np.random.default_rng(SEED)
    observation, info = env.reset(seed=SEED)
    tasks, discrete = [*env.tasks.ids], []
    observations, rewards, scores = [], [], []
    action = None
    for _ in range(STEPS):
        action = _next_actions(env.single_action_space, action, info, rng)
        observation, reward, terminated, truncated, info = env.step(action)
        over = (terminated | truncated)[:, None]
        last = np.where(over, info["final_obs"], 0) if over.any() else np.zeros_like(observation)
        observations.append(np.concatenate([observation, last], axis=1))
        rewards.append(reward)
        if "score" in info:
            scores.append(
                np.where(over[:, 0], info["final_info"]["score"], info["score"]) if over.any() else info["score"]
            )
        tasks.extend(env.tasks.ids)
        discrete.extend([terminated, truncated])
        if "action_mask" in info:
            discrete.extend([action, info["action_mask"]])
    return {
        "tasks": _sha256("".join(tasks).encode()),
        "discrete": _sha256(b"".join(np.asarray(x).astype("<i8").tobytes() for x in discrete)),
        "observations": _sums(observations),
        "rewards": _sums(rewards),
        "scores": _sums(scores) if scores else [],
    }


def read() -> dict[str, dict[str, dict[str, Any]]]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def _next_actions(
    space: gym.Space[Any], last: NDArray[Any] | None, info: dict[str, Any], rng: np.random.Generator
) -> NDArray[Any]:
    if isinstance(space, gym.spaces.Discrete):
        mask = info["action_mask"]
        return np.argmax(np.where(mask, rng.random(mask.shape), -1), axis=1)
    assert isinstance(space, gym.spaces.Box)
    # Large actions that mostly stay as they are: a robot whose every step is drawn anew does not get to the goal.
    action = np.clip(rng.uniform(2 * space.low, 2 * space.high, (NUM_ENVS, *space.shape)), space.low, space.high)
    again = rng.random((NUM_ENVS, 1)) < 0.9
    return action if last is None else np.where(again, last, action)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _sums(arrays: Sequence[NDArray[Any]]) -> list[float]:
    """Of each tenth of the steps, scaled so that numbers of size 1 give sums of about that size."""
    sums = []
    for block in np.split(np.asarray(arrays, np.float64), BLOCKS):
        weights = np.random.default_rng(SEED).standard_normal(block.shape)
        sums.append(round(float((weights * block).sum() / np.sqrt(block.size)), 6))
    return sums
