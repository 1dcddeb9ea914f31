"""Tasks that come from outside, through the constructor: they are played all the time, in whatever makes the env."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from metaenv import ENVIRONMENTS, full_id, make_trials, task_from_json, task_id
from metaenv.classic.bandit.tasks import BanditDistribution, BanditTask
from metaenv.classic.gridnavi.env import GridNaviDistribution
from metaenv.errors import TaskError
from metaenv.evaluation import evaluate
from metaenv.policies import RandomPolicy
from metaenv.task_sets import FixedTasks, NarrowedTasks
from metaenv.tasks import FrozenTasks, Reference, TaskBatch

BANDIT = "metaenv:metaenv/BernoulliBandit-v0"
SURE = BanditTask((0.0, 1.0, 0.0, 0.0, 0.0))


def needs(name: str) -> None:
    if name.startswith("MoleculeDesign"):
        pytest.importorskip("rdkit", reason="molecules are scored by RDKit")


def own(name: str, n: int) -> TaskBatch:
    distribution = gym.make(full_id(name)).unwrapped.distribution  # type: ignore[attr-defined]
    return distribution.sample(n, "train", np.random.default_rng(3))


def played(env: Any, steps: int) -> set[str]:
    """Ids of the tasks that a vector environment plays in so many steps."""
    rng = np.random.default_rng(0)
    _, info = env.reset(seed=1)
    found = set(info["task_id"].tolist())
    for _ in range(steps):
        if isinstance(env.single_action_space, gym.spaces.Discrete):
            mask = info["action_mask"]
            action = np.argmax(np.where(mask, rng.random(mask.shape), -1), axis=1)
        else:
            action = rng.uniform(-1, 1, env.action_space.shape)
        *_, info = env.step(action)
        found |= set(info["task_id"].tolist())
    return {task_id(number) for number in found}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_given_tasks_are_kept_across_autoresets(name: str):
    needs(name)
    tasks = own(name, 3)
    env = gym.make_vec(full_id(name), num_envs=4, tasks=tasks.tasks())
    assert played(env, 110) <= set(tasks.ids)
    one = gym.make(full_id(name), task=tasks.task(0).to_dict())
    assert {task_id(one.reset()[1]["task_id"]) for _ in range(3)} == {tasks.ids[0]}
    assert task_from_json(tasks.task(1).to_json()) == tasks.task(1)


def test_a_number_of_tasks_is_the_same_set_everywhere():
    sets = [played(gym.make_vec(BANDIT, num_envs=n, tasks=5), 300) for n in (1, 8)]
    assert sets[0] == sets[1] and len(sets[0]) == 5
    copies = gym.make_vec(BANDIT, num_envs=2, vectorization_mode="sync", tasks=2)
    assert played(copies, 60) <= played(gym.make_vec(BANDIT, num_envs=1, tasks=2), 60)
    for split in ("train", "test"):
        assert played(make_trials("BernoulliBandit", 2, tasks=[SURE], split=split), 25) == {SURE.id}
    spec = gym.make(BANDIT, tasks=[SURE]).spec
    assert spec is not None
    again = gym.make(gym.envs.registration.EnvSpec.from_json(spec.to_json()))
    assert task_id(again.reset()[1]["task_id"]) == SURE.id


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tasks": 0}, "at least one task"),
        ({"tasks": [BanditTask((0.1, 0.2))]}, "must have 5 numbers"),
        ({"tasks": "many"}, "expected a BanditTask"),
        ({"task": 3}, "expected a BanditTask, got int"),
        ({"task": SURE, "tasks": [SURE]}, "not both"),
        ({"task": {"family": "SolidState"}}, "expected a task of family"),
        ({"distribution": 5}, "a distribution of BanditTask"),
        ({"max_episode_steps": 0}, "at least 1"),
    ],
)
def test_what_is_no_task_is_refused(given: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        gym.make_vec(BANDIT, num_envs=1, **given)


def test_a_narrowed_distribution_draws_and_lists_only_what_is_inside():
    whole = BanditDistribution()
    narrow = whole.narrowed(**{"probabilities[0]": (0.5, 1.0)})
    drawn = narrow.sample(500, "train", np.random.default_rng(0)).probabilities
    assert drawn[:, 0].min() >= 0.5 and drawn[:, 1].min() < 0.1
    frozen, everything = narrow.frozen("test"), whole.frozen("test")
    inside = everything.tasks.probabilities[:, 0] >= 0.5
    assert len(frozen) == inside.sum() < len(everything)
    np.testing.assert_array_equal(frozen.reference.oracle, everything.reference.oracle[inside])
    assert frozen.sha256 != everything.sha256
    env = gym.make_vec(BANDIT, num_envs=4, distribution=narrow, split="test")
    assert played(env, 40) <= set(frozen.tasks.ids)
    again = pickle.loads(pickle.dumps(narrow))
    assert isinstance(again, NarrowedTasks) and again.ranges == narrow.ranges and again.n_arms == 5
    both = narrow.narrowed(**{"probabilities[1]": (0.5, 1.0)})
    assert len(both.frozen("test")) < len(frozen)
    assert both.sample(50, "train", np.random.default_rng(0)).probabilities[:, :2].min() >= 0.5
    assert whole.narrowed(probabilities=(0.2, 1.0)).sample(50, "train", np.random.default_rng(0)).matrix().min() >= 0.2
    column = GridNaviDistribution().narrowed(goal_x=(2, 2)).members("train")
    assert column is not None and set(column.goal_x) == {2.0} and len(column) == 5


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"probability": (0, 1)}, "Did you mean 'probabilities'"),
        ({"probabilities[5]": (0, 1)}, "has 5 numbers"),
        ({"probabilities": (1, 0)}, "from low to high"),
    ],
)
def test_ranges_that_mean_nothing_are_refused(ranges: dict[str, tuple[float, float]], message: str):
    with pytest.raises(TaskError, match=message):
        BanditDistribution().narrowed(**ranges)


def test_evaluation_on_tasks_of_ones_own():
    tasks = [SURE, BanditTask((0.5,) * 5)]
    evaluation = evaluate({"random": RandomPolicy()}, "BernoulliBandit", tasks=tasks, shots=(1,))
    assert (evaluation.split, evaluation.n_tasks) == ("given", 2)
    assert evaluation.tasks_sha256 == TaskBatch.from_tasks(tasks).sha256
    assert evaluation.rows[0].fraction[0].estimate <= 1
    listed = FrozenTasks("mine", TaskBatch.from_tasks(tasks), Reference(np.zeros(2), np.array([2.0, 2.0])), "abc")
    evaluation = evaluate({"random": RandomPolicy()}, "BernoulliBandit", tasks=listed, shots=(1,))
    assert (evaluation.split, evaluation.tasks_sha256) == ("mine", "abc")
    assert evaluation.rows[0].fraction[0].estimate <= 0.5, "the references that came with the list count"


def test_fixed_tasks_leave_the_other_splits_as_they_are():
    whole, tasks = BanditDistribution(), TaskBatch.from_tasks([SURE])
    fixed = FixedTasks(whole, "train", tasks)
    assert fixed.frozen("test").sha256 == whole.frozen("test").sha256
    listed = fixed.frozen("train")
    assert (
        listed.tasks is tasks
        and listed.reference.oracle.tolist() == [1.0]
        and listed.reference.random.tolist() == [0.2]
    )
    members, others = fixed.members("train"), fixed.members("test")
    assert members is not None and len(members) == 1 and fixed.n_arms == 5
    assert others is not None and (others.ids == whole.frozen("test").tasks.ids).all()
    outside = FixedTasks(whole.narrowed(**{"probabilities[0]": (0.5, 1.0)}), "train", tasks)
    assert outside.sample(3, "train", np.random.default_rng(0)).tasks() == [SURE] * 3, "whatever is given is played"
    assert pickle.loads(pickle.dumps(fixed)).listed.task(0) == SURE
    with pytest.raises(TaskError, match="no split"):
        FixedTasks(whole, "tset", tasks)


@pytest.mark.parametrize("text", ["{}", "no json", '{"family": "Bandt"}', "[1]"])
def test_text_that_is_no_task_is_refused(text: str):
    with pytest.raises(TaskError):
        task_from_json(text)
