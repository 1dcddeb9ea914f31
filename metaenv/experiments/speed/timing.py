"""How the benchmarks measure: steps per second of environments, and the least time of work that takes turns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from metaenv.vector import BatchedEnv

SECONDS = 3.0  # of each measurement (chosen: tasks drawn ahead and not used then hardly count)
ROUNDS = 5  # in which what is compared takes turns (chosen)


def rate(work: Callable[[], int], seconds: float = SECONDS) -> float:
    """Units of work per second: ``work`` does some and returns how many; the first call does not count."""
    work()
    done, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        done += work()
    return done / elapsed


def seconds_of(work: Callable[[], object], times: int = 1) -> float:
    """Seconds of one call, the mean over so many."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def fastest(work: Mapping[str, Callable[[], object]], at_least: float = SECONDS / 2) -> dict[str, float]:
    """Least processor seconds of one call of each, over rounds in which they take turns.

    The least counts, as other programs only ever slow one down.

    Args:
        work: what to compare, by name.
        at_least: seconds of measuring each.
    """
    for each in work.values():
        each()
    best = dict.fromkeys(work, math.inf)
    for _ in range(ROUNDS):
        for name, each in work.items():
            until = time.process_time() + at_least / ROUNDS
            while (start := time.process_time()) < until:
                each()
                best[name] = min(best[name], time.process_time() - start)
    return best


def scalar_rate(env: gym.Env[Any, Any], seconds: float = SECONDS) -> float:
    """Steps per second of a scalar environment under random actions, resets included."""
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(64)]

    def work() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return len(actions)

    return rate(work, seconds)


def vector_rate(env: BatchedEnv, seconds: float = SECONDS, actions: list[NDArray[Any]] | None = None) -> float:
    """Steps per second, summed over sub-environments, resets included; random actions by default."""
    env.use_autoreset_mode(AutoresetMode.SAME_STEP)  # every step is then one of an episode
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = actions or [np.asarray(env.action_space.sample()) for _ in range(8)]

    def work() -> int:
        for action in actions:
            env.step(action)
        return len(actions) * env.num_envs

    return rate(work, seconds)
