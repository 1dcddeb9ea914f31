"""Steps per second and time of a picture of every environment, beside Gymnasium's CartPole in the same run."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.experiments.speed.timing import SECONDS, scalar_rate, vector_rate
from metaenv.registry import ENVIRONMENTS, full_id
from metaenv.trial import Trial, VectorTrial
from metaenv.vector import BatchedEnv

NUM_ENVS = {"MaterialsSynthesis-v0": 4096}
DEFAULT_NUM_ENVS = 1024


def run(seconds: float = SECONDS) -> dict[str, dict[str, float]]:
    """Measure and print; returns the numbers."""
    cartpole = scalar_rate(gym.make("CartPole-v1"), seconds)
    print(f"Gymnasium's scalar CartPole-v1 on this machine, now: {cartpole:,.0f} steps/s\n")
    print(
        f"{'environment':26s}{'n':>6s}{'vector':>14s}{'x CartPole':>12s}{'as trials':>14s}{'scalar':>12s}"
        f"{'picture, ms':>13s}"
    )
    results: dict[str, dict[str, float]] = {"CartPole-v1": {"scalar": cartpole}}
    for name in ENVIRONMENTS:
        n = NUM_ENVS.get(name, DEFAULT_NUM_ENVS)
        vector = _vector(name, n)
        row = {
            "num_envs": n,
            "vector": vector_rate(vector, seconds),
            "trials": vector_rate(VectorTrial(_vector(name, n)), seconds),
            "scalar": scalar_rate(gym.make(full_id(name)), seconds),
            "picture_ms": max(picture_ms(name), picture_ms(name, trial=True)),
        }
        row["ratio"] = row["vector"] / cartpole
        results[name] = row
        if name == "FurnaceControl-v0":
            row["unstopped"] = vector_rate(VectorTrial(_vector(name, n)), seconds, _heat_cool_hold(n))
        rates = f"{row['vector']:14,.0f}{row['ratio']:12.2f}{row['trials']:14,.0f}{row['scalar']:12,.0f}"
        print(f"{name:26s}{n:6d}{rates}{row['picture_ms']:13.2f}")
    unstopped = results["FurnaceControl-v0"]["unstopped"]
    print(
        f"\nFurnaceControl as trials, by heat, cool and hold alone, so that runs last 48 steps: "
        f"{unstopped:,.0f} steps/s"
    )
    return results


def picture_ms(name: str, trial: bool = False, frames: int = 60) -> float:
    """Processor milliseconds of one picture after the first, the median over random play that is allowed."""
    env: gym.Env[Any, Any] = gym.make(full_id(name), render_mode="rgb_array")
    env = Trial(env) if trial else env
    rng, spent, over = np.random.default_rng(0), [], True
    for number in range(frames):
        if over:
            env.reset(seed=number)
            env.render()
        env.action_space.seed(number)
        discrete = isinstance(env.action_space, gym.spaces.Discrete)
        mask = env.get_wrapper_attr("action_masks")() if discrete else None
        action = env.action_space.sample() if mask is None else rng.choice(np.flatnonzero(mask))
        _, _, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
        started = time.process_time()
        env.render()
        spent.append(1e3 * (time.process_time() - started))
    return median(spent)


def _heat_cool_hold(n: int) -> list[NDArray[Any]]:
    """Actions that never end a run: it is the stepping that is measured, with a reset every 48 steps."""
    rng = np.random.default_rng(0)
    return list(rng.integers(3, size=(48, n)))


def _vector(name: str, n: int) -> BatchedEnv:
    env = gym.make_vec(full_id(name), num_envs=n)
    assert isinstance(env, BatchedEnv)
    return env
