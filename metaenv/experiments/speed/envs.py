"""Steps per second and time of a picture of every environment, beside Gymnasium's CartPole in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from metaenv.experiments.speed.timing import SECONDS, scalar_rate, vector_rate
from metaenv.registry import ENVIRONMENTS, full_id
from metaenv.trial import Trial, VectorTrial, make_trials
from metaenv.vector import BatchedEnv

NUM_ENVS = {"MaterialsSynthesis-v1": 4096}
DEFAULT_NUM_ENVS = 1024
SB3_NUM_ENVS = 64  # what Stable-Baselines3 is compared at (chosen)
WARM_UP = 12  # steps there that do not count, as they load what all share (chosen)


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
    if find_spec("stable_baselines3"):
        print(
            f"\nIn Stable-Baselines3, {SB3_NUM_ENVS} environments, the same legal actions; steps per processor second"
        )
        print(
            f"{'environment':26s}{'':10s}{'native':>12s}{'SB3VecEnv':>12s}{'slower':>8s}{'DummyVecEnv':>14s}{'x':>8s}"
        )
        for name in ENVIRONMENTS:
            for trials in (False, True):
                row = beside_sb3(name, trials, 3 * seconds)
                results[name] |= {f"{way}{' of trials' * trials}": found for way, found in row.items()}
                native, adapter, scalar = row.values()
                print(
                    f"{name:26s}{'trials' if trials else 'episodes':10s}{native:12,.0f}{adapter:12,.0f}"
                    f"{native / adapter:8.2f}{scalar:14,.0f}{native / scalar:8.1f}"
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


def beside_sb3(name: str, trials: bool, seconds: float = SECONDS) -> dict[str, float]:
    """Steps per processor second of a native environment, alone and in `SB3VecEnv`, and of scalar ones in DummyVecEnv.

    All play the same tasks by the same random legal actions and take turns at every step. Each scores the molecules
    that it makes by itself: hardly one of them comes twice.

    Raises:
        RuntimeError: they do not pay the same.
    """
    from stable_baselines3.common.vec_env import DummyVecEnv

    from metaenv.sb3 import SB3VecEnv

    def native() -> BatchedEnv:
        env = make_trials(name, SB3_NUM_ENVS) if trials else _vector(name, SB3_NUM_ENVS)
        env.use_autoreset_mode(AutoresetMode.SAME_STEP)
        return env

    def scalar() -> gym.Env[Any, Any]:
        env = gym.make(full_id(name))
        return Trial(env) if trials else env

    alone, adapter, dummy = native(), SB3VecEnv(native()), DummyVecEnv([scalar] * SB3_NUM_ENVS)
    alone.reset(seed=0)
    for env in (adapter, dummy):
        env.seed(0)
        env.reset()
    ways: list[tuple[str, Callable[[Any], tuple[Any, ...]]]]
    ways = [("native", alone.step), ("SB3VecEnv", adapter.step), ("DummyVecEnv", dummy.step)]
    spent, rng, steps = {way: 0.0 for way, _ in ways}, np.random.default_rng(0), 0
    until = time.perf_counter() + seconds
    while steps <= WARM_UP or time.perf_counter() < until:
        action, paid = _legal(alone, rng), {}
        for way, step in (ways[steps % 3 :] + ways)[:3]:
            start = time.process_time()
            paid[way] = step(action)[1]
            spent[way] += time.process_time() - start if steps >= WARM_UP else 0
        if not all(np.allclose(each, paid["native"], rtol=1e-5, atol=1e-5) for each in paid.values()):
            raise RuntimeError(f"environments of {name} that should pay the same do not: {paid}")
        steps += 1
    return {way: (steps - WARM_UP) * SB3_NUM_ENVS / total for way, total in spent.items()}


def _legal(env: BatchedEnv, rng: np.random.Generator) -> NDArray[Any]:
    space = env.single_action_space
    if isinstance(space, gym.spaces.Box):
        return rng.uniform(space.low, space.high, env.action_space.shape).astype(space.dtype)
    masks = env.action_masks()
    return np.argmax(np.where(masks, rng.random(masks.shape), -1), axis=1)


def _heat_cool_hold(n: int) -> list[NDArray[Any]]:
    """Actions that never end a run: it is the stepping that is measured, with a reset every 48 steps."""
    rng = np.random.default_rng(0)
    return list(rng.integers(3, size=(48, n)))


def _vector(name: str, n: int) -> BatchedEnv:
    env = gym.make_vec(full_id(name), num_envs=n)
    assert isinstance(env, BatchedEnv)
    return env
