"""A task with an impossible field is refused before anything has changed, whatever the family, or it can be played."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from metaenv import ENVIRONMENTS, full_id, task_from_json
from metaenv.errors import TaskError
from metaenv.parameters import parameters_of
from metaenv.tasks import Task, TaskBatch
from metaenv.vector import BatchedEnv

ABSURD: Any = (
    *(1e308, -1e308, 1e12, 1e4, -1.0, -1e-9, float("nan"), float("inf"), float("-inf"), 10**400, -(10**400), 2**63),
    *(
        True,
        None,
        "1",
        "",
        [],
        (),
        [1.0],
        [[1.0]],
        [[], [1.0]],
        {},
        {1.0},
        1j,
        b"1",
        object(),
        np.bool_(1),
        np.zeros(2),
    ),
)


def made(name: str, **settings: Any) -> BatchedEnv:
    env: Any = gym.make_vec(full_id(name), **{"num_envs": 2, **settings})
    return env


def good_task(name: str) -> Task:
    return made(name).distribution.sample(1, "train", np.random.default_rng(0)).task(0)


def absurd(good: Task) -> Iterator[tuple[str, dict[str, Any]]]:
    """The task with something absurd in one field: instead of all of it, and instead of one of several numbers."""
    values = good.to_dict()
    for name, value in values.items():
        bad = list(ABSURD)
        if isinstance(value, list):
            bad += [[each, *value[1:]] for each in ABSURD] + [[*value[:-1], each] for each in ABSURD]
            bad += [value[0], [*value, value[0]], [value, value]]
        yield from ((name, {**values, name: each}) for each in bad if name != "family")


def extreme(task_type: type[Task], n: int) -> Iterator[dict[str, Any]]:
    """Tasks whose numbers lie at the limits of what the equations are said to bear, or within."""
    rng = np.random.default_rng(0)
    for _ in range(n if parameters_of(task_type) else 0):
        values: dict[str, Any] = {"family": task_type.family}
        for name, parameters in parameters_of(task_type).items():
            low, high = np.array([parameter.limits for parameter in parameters]).T
            numbers = (low + rng.choice([0.0, 1.0, rng.random()], len(parameters)) * (high - low)).tolist()
            values[name] = numbers if len(numbers) > 1 else numbers[0]
        yield values


def unless_refused(task_type: type[Task], values: dict[str, Any]) -> list[Task]:
    try:
        return [task_type.from_dict(values)]
    except TaskError as refusal:
        assert "\n" not in str(refusal) and len(str(refusal)) < 400, "a number of 400 digits is not printed whole"
        return []


def play(env: BatchedEnv, tasks: list[Task], steps: int = 12) -> None:
    observation, info = env.reset(seed=0, options={"tasks": tasks})
    rng, (low, high) = np.random.default_rng(0), env.reward_range
    assert np.isfinite(env.task_vector()).all()
    for _ in range(steps):
        assert env.observation_space.contains(observation) and np.isfinite(observation).all()
        if isinstance(env.single_action_space, gym.spaces.Discrete):
            action = np.argmax(np.where(info["action_mask"], rng.random(info["action_mask"].shape), -1), axis=1)
        else:
            action = rng.uniform(-1, 1, env.action_space.shape)
        observation, reward, *_, info = env.step(action)
        assert np.isfinite(reward).all() and (low <= reward).all() and (reward <= high).all()
        assert np.isfinite(info["score"] if "score" in info else 0).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_absurd_tasks_are_refused_or_played(name: str) -> None:
    good, env = good_task(name), made(name)
    kind = type(good)
    env.reset(seed=1)
    ids = env.tasks.ids.copy()
    playable, first = [good], next(name for name in good.to_dict() if name != "family")
    for field, values in absurd(good):
        if task := unless_refused(kind, values):
            playable += task
            assert task_from_json(task[0].to_json()) == task[0] and isinstance(hash(task[0]), int)
        elif field == first:
            for call in (
                lambda values=values: kind(**{name: value for name, value in values.items() if name != "family"}),
                lambda values=values: task_from_json(json.dumps(values, default=str)),
                lambda values=values: env.reset(seed=5, options={"task": values}),
                lambda values=values: env.reset(seed=5, options={"tasks": [good, values]}),
                lambda values=values: made(name, task=values),
                lambda values=values: made(name, tasks=[good, values]),
            ):
                with pytest.raises(TaskError):
                    call()
    np.testing.assert_array_equal(env.tasks.ids, ids)
    for values in extreme(kind, 100):
        playable += unless_refused(kind, values)
    widths = TaskBatch.from_tasks([good]).widths
    playable = [task for task in playable if TaskBatch.from_tasks([task]).widths == widths]
    play(made(name, num_envs=len(playable), autoreset_mode="SameStep"), playable)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_absurd_ranges_are_refused_or_drawn_from(name: str) -> None:
    distribution, good = made(name).distribution, good_task(name)
    field = next(name for name in good.to_dict() if name != "family")
    nan, inf = float("nan"), float("inf")
    pairs = [(2, 1), (nan, 1), (0, nan), ("a", "b"), (None, 1), (1, 2, 3), ([0], [1]), (-inf, inf), (-1e308, 10**400)]
    for given in (*ABSURD[:-2], *pairs):
        try:
            narrow = distribution.narrowed(**{field: given})
            play(made(name, distribution=narrow), narrow.sample(2, "train", np.random.default_rng(0)).tasks(), 1)
        except TaskError as refusal:
            assert field in str(refusal) or "widen" in str(refusal)
    with pytest.raises(TaskError, match="widen"):
        made(name, distribution=distribution.narrowed(**{field: (1e307, 1e308)})).reset()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("first", [-2.0, -1e308, 1e308, 0.5, 1e4])
def test_a_lead_that_begins_with_nonsense_is_refused(first: float) -> None:
    good = good_task("MoleculeDesign-v1")
    lead = [first, *good.to_dict()["lead"][1:]]
    with pytest.raises(TaskError, match=r"MoleculeTask\.lead"):
        type(good).from_dict({**good.to_dict(), "lead": lead})


def test_numbers_of_numpy_are_numbers() -> None:
    kind = type(good_task("GridNavi-v0"))
    task = kind(np.int64(4), np.array(3))  # type: ignore[call-arg]
    assert task.to_json() == '{"family": "GridNavi", "goal_x": 4, "goal_y": 3}'
    bandit = type(good_task("BernoulliBandit-v0"))
    for given in (np.full(5, 0.5), [0.5] * 5, [np.float32(0.5)] * 5):
        assert bandit(given) == bandit((0.5,) * 5) and hash(bandit(given)) == hash(bandit((0.5,) * 5))  # type: ignore[call-arg]
    with pytest.raises(TaskError, match="expected finite numbers in the column 'goal_y'"):
        TaskBatch(kind, {"goal_x": [1.0, 2.0], "goal_y": [3.0, np.nan]})


@pytest.mark.parametrize("text", ["[" * 200_000, '{"family": "BernoulliBandit", "probabilities": ' + "1" * 5000 + "}"])
def test_text_that_no_parser_takes_is_no_task(text: str) -> None:
    for read in (task_from_json, made("BernoulliBandit-v0").distribution.task_type.from_json):
        with pytest.raises(TaskError, match="expected a task as JSON"):
            read(text)


def test_a_task_of_another_size_is_refused() -> None:
    env = made("BernoulliBandit-v0")
    task_type = env.distribution.task_type
    three: Any = task_type.from_dict({"family": task_type.family, "probabilities": [0.1, 0.2, 0.3]})
    with pytest.raises(TaskError, match="probabilities must have 5 numbers in this environment, got 3"):
        env.reset(options={"task": three})
