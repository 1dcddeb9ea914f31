"""A task with an impossible field is refused before anything has changed, whatever the family."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from metaenv import ENVIRONMENTS, full_id
from metaenv.errors import TaskError
from metaenv.vector import BatchedEnv


def made(name: str) -> BatchedEnv:
    env: Any = gym.make_vec(full_id(name), num_envs=2)
    return env


def fields_of(name: str) -> dict[str, Any]:
    env = made(name)
    task = env.distribution.sample(1, "train", np.random.default_rng(0)).task(0)
    return task.to_dict()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_fields_of_the_wrong_shape_are_refused_in_one_line(name: str) -> None:
    env = made(name)
    task_type, good = env.distribution.task_type, fields_of(name)
    env.reset(seed=1)
    ids = env.tasks.ids.copy()
    for field, value in good.items():
        if field == "family":
            continue
        wrong: list[Any] = [[], [[1.0]], None, "1", 10**400]
        wrong += [value[0], [*value, value[0]]] if isinstance(value, list) else [[value, value]]
        for bad in wrong:
            with pytest.raises(TaskError) as refusal:
                env.reset(options={"task": task_type.from_dict({**good, field: bad})})
            assert field in str(refusal.value) and "\n" not in str(refusal.value)
            assert len(str(refusal.value)) < 400, "a number of 400 digits is not printed whole"
    np.testing.assert_array_equal(env.tasks.ids, ids)


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("number", [1e308, -1e308, 1e12, -1e12])
def test_an_absurd_number_is_refused_or_played_without_nan(name: str, number: float) -> None:
    env = made(name)
    good = fields_of(name)
    for field, value in good.items():
        if field == "family":
            continue
        absurd = [number, *value[1:]] if isinstance(value, list) else number
        try:
            task = env.distribution.task_type.from_dict({**good, field: absurd})
            observation, _ = env.reset(seed=0, options={"task": task})
        except TaskError:
            continue
        assert np.isfinite(observation).all(), field
        env.action_space.seed(0)
        for _ in range(12):
            observation, reward, *_ = env.step(env.action_space.sample())
            assert np.isfinite(observation).all() and np.isfinite(reward).all(), field


def test_text_that_is_too_deep_is_no_task() -> None:
    task_type = made("BernoulliBandit-v0").distribution.task_type
    with pytest.raises(TaskError, match="expected a task as JSON"):
        task_type.from_json("[" * 200_000)
    with pytest.raises(TaskError):
        task_type.from_json(json.dumps({"family": "BernoulliBandit", "probabilities": 0.5}))


def test_a_task_of_another_size_is_refused() -> None:
    env = made("BernoulliBandit-v0")
    task_type = env.distribution.task_type
    three: Any = task_type.from_dict({"family": task_type.family, "probabilities": [0.1, 0.2, 0.3]})
    with pytest.raises(TaskError, match="probabilities must have 5 numbers in this environment, got 3"):
        env.reset(options={"task": three})
