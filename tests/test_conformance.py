"""The conformance tests pass a correct environment of six tasks, and notice each promise that one breaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest

from metaenv import BatchedEnv, MetaEnv, Reference, Task, TaskBatch, TaskDistribution
from metaenv.tasks import FrozenTasks
from metaenv.testing import check_meta_env, check_vector_env
from metaenv.vector import ALL


@dataclass(frozen=True)
class Box(Task):
    family: ClassVar[str] = "SixBoxes"
    prize: int


@dataclass(frozen=True)
class Boxes(TaskDistribution):
    """Six boxes, one of which holds the prize; every split has all of them."""

    task_type = Box
    closed = True
    unit_dim: int = 1
    splits: tuple[str, ...] = ("train", "test")

    def members(self, split: str) -> TaskBatch:
        self.check_split(split)
        return TaskBatch(Box, {"prize": range(6)})

    def frozen_list(self, split: str) -> FrozenTasks:
        tasks = self.members(split)
        return FrozenTasks(split, tasks, self.reference(tasks), tasks.sha256)

    def reference(self, tasks: TaskBatch) -> Reference:
        return Reference(np.full(len(tasks), 0.5), np.ones(len(tasks)))


class Searching(BatchedEnv):
    """Open one of six boxes, each time with a little noise, or, once, the lid of all of them."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"]}
    episode_length = 3
    reward_range = (-1.0, 2.0)
    noisy = True

    def __init__(self, num_envs: int = 1, **settings: Any) -> None:
        space = gym.spaces.Box(-2, 2, (3,))
        super().__init__(num_envs, Boxes(), space, gym.spaces.Discrete(7, start=1), **settings)
        self.steps, self.seen = np.zeros(num_envs, int), np.zeros((num_envs, 3), np.float32)

    def begin(self, rows: Any) -> None:
        self.steps[rows], self.seen[rows] = 0, 0
        self.seen[rows, 2] = self.noisy * self.dynamics.draw(rows, 1)[:, 0]

    def transition(self, rows: Any, action: Any) -> Any:
        noise = self.noisy * np.clip(0.1 * self.noise.draw(rows, 1)[:, 0], -0.9, 0.9)
        reward = (action - 1 == self.tasks.prize[rows]) + noise
        self.steps[rows] += 1
        self.seen[rows, 0], self.seen[rows, 1] = self.steps[rows] / self.episode_length, reward
        over = self.steps[rows] >= self.episode_length
        return reward, over, np.zeros_like(over)

    def observe(self, rows: Any) -> Any:
        return self.seen[rows].copy()

    def report(self, rows: Any) -> Any:
        return {"score": self.seen[rows, 1].astype(float)}

    def mask(self, rows: Any) -> Any:
        return np.concatenate([np.ones((len(self.steps[rows]), 6)), self.steps[rows, None] == 0], axis=1).astype(
            np.int8
        )

    def text(self, row: int) -> str:
        return f"{self.seen[row]}"


class SearchingEnv(MetaEnv):
    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"]}
    batched = Searching


def check_scalar() -> None:
    check_meta_env(SearchingEnv(), steps=20)


def check_vector() -> None:
    check_vector_env(Searching, num_envs=3, steps=20)


@pytest.mark.parametrize("length", [1, 3, 20])
def test_a_correct_environment_of_six_tasks_passes(length: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(Searching, "episode_length", length)
    check_scalar()
    check_vector()


def test_two_seeds_may_give_the_same_of_six_tasks(monkeypatch: Any) -> None:
    """Where an episode is long and nothing is random but the task, they then play the same."""
    monkeypatch.setattr(Searching, "episode_length", 20)
    monkeypatch.setattr(Searching, "noisy", False)
    env = SearchingEnv()
    first = [env.reset(seed=seed)[1]["task_id"] for seed in range(200)]
    pair = next(seed for seed in range(200) if first[seed] == first[seed + 1])
    # The check of seeds begins with 42 and 43.
    shifted = lambda env, seeds: BatchedEnv.seed_rows(env, [s if s is None else s + pair + 158 for s in seeds])  # noqa: E731
    monkeypatch.setattr(Searching, "seed_rows", shifted)
    check_scalar()


# HOW TO BREAK IT: what a method does instead; `own` is the one that it replaces


def after_the_first_step_only(own: Any, env: Any, rows: Any) -> Any:
    return own(env, rows) | ({"steps": env.steps[rows].copy()} if (env.steps > 0).any() else {})


def in_all_rows(own: Any, env: Any, rows: Any) -> None:
    own(env, ALL)


def from_the_streams_of_all_rows(own: Any, env: Any, rows: Any) -> None:
    env.noise.draw(ALL, 1)
    own(env, rows)


def drawing_tasks_first(own: Any, env: Any, **how: Any) -> Any:
    if env._seeded:
        env.draw_tasks(ALL)
    return own(env, **how)


def drawing_before_refusing(own: Any, env: Any, actions: Any) -> Any:
    if np.max(actions) > 7:
        env.noise.draw(ALL, 1)
    return own(env, actions)


def whatever_comes(own: Any, env: Any, actions: Any) -> Any:
    return own(env, np.clip(np.nan_to_num(np.resize(actions, env.num_envs).astype(float)), 1, 7).astype(int))


def accepting_all_options(own: Any, env: Any, *, seed: Any = None, options: Any = None) -> Any:
    return own(env, seed=seed, options={k: v for k, v in (options or {}).items() if k != "tsk"})


def before_any_reset(own: Any, env: Any) -> Any:
    return ("nothing",) * env.num_envs if env._tasks is None else own(env)


def without_a_copy(own: Any, env: Any, rows: Any) -> Any:
    return env.seen[rows]


def reports_without_a_copy(own: Any, env: Any, rows: Any) -> Any:
    return {"score": env.seen[rows, 1]}


def paying_too_much(own: Any, env: Any, rows: Any, action: Any) -> Any:
    reward, *over = own(env, rows, action)
    return (reward + 5.0 * (action == 2), *over)


def not_a_number(own: Any, env: Any, rows: Any, action: Any) -> Any:
    reward, *over = own(env, rows, action)
    return (np.where(action == 2, np.nan, reward), *over)


def ending_by_chance(own: Any, env: Any, rows: Any, action: Any) -> Any:
    reward, over, cut = own(env, rows, action)
    return reward, over | (action == 2), cut


def showing_too_much(own: Any, env: Any, rows: Any) -> Any:
    return own(env, rows) + 2 * (env.steps[rows, None] == 2).astype(np.float32)


def from_nowhere(own: Any, env: Any, rows: Any) -> None:
    own(env, rows)
    env.seen[rows, 2] = np.random.default_rng().random(len(env.steps[rows]))


def always_the_same(own: Any, env: Any, seeds: Any) -> None:
    own(env, [None if seed is None else 5 for seed in seeds])


def with_other_tasks(own: Any, env: Any, rows: Any, tasks: TaskBatch) -> None:
    own(env, rows, Boxes().members("train").take((tasks.prize.astype(int) + 1) % 6))


def of_floats(own: Any, env: Any, rows: Any) -> Any:
    return own(env, rows).astype(float)


def of_nothing(own: Any, env: Any, rows: Any) -> Any:
    return own(env, rows) * 0


def losing_its_steps(own: Any, env: Any) -> Any:
    return {**vars(env), "steps": env.steps * 0, "seen": env.seen * 0}


def raising_for_a_masked_action(own: Any, env: Any, rows: Any, action: Any) -> Any:
    assert (env.mask(rows)[:, action[0] - 1] == 1).all(), "that action is masked"
    return own(env, rows, action)


BROKEN_ROWS = [
    ("begin", in_all_rows, "a partial reset touched other rows"),
    ("begin", from_the_streams_of_all_rows, "a partial reset touched other rows or their streams"),
    ("reset", drawing_tasks_first, "touched other rows or their streams"),
    ("step", drawing_before_refusing, "a refused call has changed something"),
    ("step", whatever_comes, "the action 8 was accepted"),
    ("observe", without_a_copy, "handed out"),
    ("report", reports_without_a_copy, "handed out"),
    ("report", after_the_first_step_only, "other keys than before"),
]
BROKEN = [
    ("report", after_the_first_step_only, "other keys than before"),
    ("reset", drawing_tasks_first, "a refused call has changed something"),
    ("reset", accepting_all_options, "an unknown option was accepted"),
    ("render", before_any_reset, r"render\(\) before reset\(\) was accepted"),
    ("transition", paying_too_much, "the reward_range"),
    ("transition", not_a_number, "the reward nan is not"),
    ("transition", ending_by_chance, "the episode_length"),
    ("transition", raising_for_a_masked_action, "masked"),
    ("observe", showing_too_much, "outside its space"),
    ("begin", from_nowhere, "the same seed gave another trajectory"),
    ("seed_rows", always_the_same, "every seed gives the same trajectory"),
    ("set_tasks", with_other_tasks, "failed for 'train'"),
    ("mask", of_floats, "must be int8"),
    ("mask", of_nothing, "no action is allowed"),
    ("__getstate__", losing_its_steps, "a pickled copy plays otherwise"),
]


@pytest.mark.parametrize(
    ("check", "method", "broken", "told"),
    [*((check_scalar, *how) for how in BROKEN), *((check_vector, *how) for how in BROKEN_ROWS)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_promise_is_noticed(check: Any, method: str, broken: Any, told: str, monkeypatch: Any) -> None:
    own = getattr(Searching, method)
    monkeypatch.setattr(Searching, method, lambda *args, **how: broken(own, *args, **how))
    with pytest.raises(AssertionError, match=told):
        check()


def test_a_partial_reset_that_touches_other_streams_is_noticed(monkeypatch: Any) -> None:
    def reset(env: Any, *, seed: Any = None, options: Any = None) -> Any:
        if env._seeded and seed is not None:
            BatchedEnv.seed_rows(env, [seed + i for i in range(env.num_envs)])
        return BatchedEnv.reset(env, seed=seed, options=options)

    monkeypatch.setattr(Searching, "reset", reset)
    with pytest.raises(AssertionError, match="touched other rows or their streams"):
        check_vector()
