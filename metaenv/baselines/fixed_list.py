"""The best list of actions that is played whatever comes of it: what an environment pays a player that never adapts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.controls import FixedLists
from metaenv.policies import play_trials
from metaenv.tasks import TaskBatch
from metaenv.trial import VectorTrial
from metaenv.typing import Floats

ALL_LISTS = 1024  # as many lists are tried one and all (chosen)
CONSTANTS = 64  # actions tried throughout a trial: all, or so many random ones (chosen)
RANDOM_LISTS = 32  # chosen
PLAYED = 16  # lists of each agent and baseline that are tried, at random where it has played more (chosen)
SIEVE_TASKS = 16  # on which all candidates are tried first (chosen)
KEPT = 16  # candidates that pass, and changed lists that are tried at once (chosen)
PLAYED_AT_ONCE = 2048  # trials (chosen)


@dataclass(frozen=True)
class FixedList:
    """A list of actions and how it was found."""

    actions: NDArray[Any]
    """(steps, …)"""
    found: str
    """A phrase that says what was tried."""


def best_fixed_list(
    env: VectorTrial, tasks: TaskBatch, played: Sequence[NDArray[Any]], steps: int, seed: int = 0
) -> FixedList:
    """The list that pays most on training tasks.

    Where there are at most 1,024 lists in all, each is tried. Else the candidates are the same action throughout,
    random lists and those that others have played; the best of them is then changed, at single places or by parts of
    the others, as long as that helps and steps are left.

    Args:
        env: trials to play in.
        tasks: of training; the list is judged on all of them.
        played: lists (lists, steps, …) that agents and baselines have played, all for trials of ``env``.
        steps: of the environment, to be spent at most on changes.
        seed: of random lists and of noise.
    """
    rng = np.random.default_rng(seed)
    env.reset(seed=seed)
    space, length = env.single_action_space, max(lists.shape[1] for lists in played)
    if isinstance(space, gym.spaces.Discrete) and int(space.n) ** length <= ALL_LISTS:
        lists = np.indices([int(space.n)] * length).reshape(length, -1).T + space.start
        best = lists[np.argmax(_worth(env, tasks, lists))]
        return FixedList(best, f"the best of all {len(lists):,} lists")
    lists = np.concatenate([_constant(space, length, rng), _random(space, RANDOM_LISTS * length, length, rng)])
    some = [rng.permutation(np.unique(_lengthened(x, length).astype(lists.dtype), axis=0))[:PLAYED] for x in played]
    lists = np.unique(np.concatenate([lists, *some]), axis=0)
    sieve = _worth(env, tasks.take(np.arange(min(SIEVE_TASKS, len(tasks)))), lists)
    pool = lists[np.argsort(-sieve)[:KEPT]]
    worth = _worth(env, tasks, pool)
    best, best_worth = pool[np.argmax(worth)], float(worth.max())
    generations = steps // (KEPT * len(tasks) * length)
    for _ in range(generations):
        children = np.stack([_changed(best, pool, space, rng) for _ in range(KEPT)])
        worth = _worth(env, tasks, children)
        if worth.max() > best_worth:
            best, best_worth = children[np.argmax(worth)], float(worth.max())
    tried = len(lists) + KEPT * generations
    return FixedList(
        best, f"the best of {tried:,} lists tried: played by agents and baselines, constant, random, changed"
    )


def _worth(env: VectorTrial, tasks: TaskBatch, lists: NDArray[Any]) -> Floats:
    """(lists,) what each earns in the mean over the tasks, by the trial's objective."""
    found: list[Floats] = []
    at_once = max(1, PLAYED_AT_ONCE // len(tasks))
    for start in range(0, len(lists), at_once):
        some = lists[start : start + at_once]
        every = tasks.take(np.tile(np.arange(len(tasks)), len(some)))
        record = play_trials(FixedLists(some, len(tasks)), env, every, seed=None)
        earned = record.best_so_far()[:, -1] if env.trial_state.objective == "best" else record.scores.sum(axis=1)
        found.append(earned.reshape(len(some), len(tasks)).mean(axis=1))
    return np.concatenate(found)


def _random(space: gym.spaces.Space[Any], n: int, length: int, rng: np.random.Generator) -> NDArray[Any]:
    """``n`` random actions as lists of that length."""
    if isinstance(space, gym.spaces.Discrete):
        return rng.integers(space.start, space.start + space.n, (n // length, length))
    assert isinstance(space, gym.spaces.Box), "the only other kind that trials have"
    return rng.uniform(space.low, space.high, (n // length, length, *space.shape)).astype(space.dtype)


def _constant(space: gym.spaces.Space[Any], length: int, rng: np.random.Generator) -> NDArray[Any]:
    if isinstance(space, gym.spaces.Discrete) and space.n <= CONSTANTS:
        actions: NDArray[Any] = np.arange(space.n)[:, None] + space.start
    else:
        actions = _random(space, CONSTANTS, 1, rng)
    return np.repeat(actions, length, axis=1)


def _lengthened(lists: NDArray[Any], length: int) -> NDArray[Any]:
    """Lists of that length, which end with their last action over and over."""
    return lists[:, np.minimum(np.arange(length), lists.shape[1] - 1)]


def _changed(best: NDArray[Any], pool: NDArray[Any], space: gym.spaces.Space[Any], rng: np.random.Generator) -> Any:
    """The list with a part of another one, at any place, or with some other actions."""
    child, length = best.copy(), len(best)
    if rng.random() < 0.5:
        size = int(rng.integers(1, length + 1))
        to, start = rng.integers(0, length - size + 1, 2)
        child[to : to + size] = pool[rng.integers(len(pool)), start : start + size]
        return child
    places = rng.random(length) < 1.5 / length
    places[rng.integers(length)] = True
    if isinstance(space, gym.spaces.Box):
        spread = 10 ** rng.uniform(-2, -0.3) * (space.high - space.low)
        moved = child[places] + spread * rng.normal(size=child[places].shape)
        child[places] = np.clip(moved, space.low, space.high)
    else:
        child[places] = _random(space, int(places.sum()), 1, rng)[:, 0]
    return child
