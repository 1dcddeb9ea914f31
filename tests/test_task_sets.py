"""Tasks that come from outside, through the constructor: they are played all the time, in whatever makes the env."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from metaenv import ENVIRONMENTS, full_id, make_trials, task_from_json, task_id
from metaenv.classic.bandit.tasks import BanditDistribution, BanditTask
from metaenv.classic.gridnavi.env import GridNaviDistribution
from metaenv.errors import TaskError
from metaenv.evaluation import Evaluation, evaluate
from metaenv.materials.tasks import SolidStateDistribution, SolidStateTask
from metaenv.parameters import ParameterTable
from metaenv.policies import RandomPolicy
from metaenv.task_sets import FixedTasks, NarrowedTasks, field_values
from metaenv.tasks import FrozenTasks, Reference, TaskBatch
from metaenv.telescope.tasks import TargetSelectionDistribution

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
    assert FixedTasks(whole, "mine", tasks).splits == (*whole.splits, "mine")


@pytest.mark.parametrize("text", ["{}", "no json", '{"family": "Bandt"}', "[1]"])
def test_text_that_is_no_task_is_refused(text: str):
    with pytest.raises(TaskError):
        task_from_json(text)


MATERIALS, SITES = SolidStateDistribution(), TargetSelectionDistribution()


@pytest.mark.parametrize(
    ("whole", "name", "ends", "logarithmic"),
    [
        (MATERIALS, "onset_target_K", (800.0, 1550.0), False),
        (MATERIALS, "nucleation_J_m2", (0.1, 0.3), False),  # always 0 in training
        (SITES, "seeing_arcsec", (0.3, 3.0), True),
        (SITES, "feature_weight[1]", (2.0, 3.0), False),  # normal in training
    ],
)
def test_a_widened_distribution_draws_a_parameter_between_the_ends_that_were_given(
    whole: Any, name: str, ends: tuple[float, float], logarithmic: bool
):
    wide, n = whole.widened(**{name: ends}), 400
    assert wide.unit_dim == whole.unit_dim + 1
    unit = np.random.default_rng(0).random((n, wide.unit_dim))
    tasks, before = wide.draw(unit, "train"), whole.draw(unit[:, :-1], "train")
    drawn = field_values(tasks, name)
    expected = ends[0] + (ends[1] - ends[0]) * unit[:, -1]
    if logarithmic:
        expected = ends[0] * (ends[1] / ends[0]) ** unit[:, -1]
    np.testing.assert_allclose(drawn, expected, rtol=1e-7)  # numbers of tasks are rounded
    # What is drawn relative to the parameter moves with it, and everything else stays.
    table = ParameterTable(whole.task_type)
    for other, parameter in table.parameters.items():
        if other != name and name not in (parameter.above, parameter.below, parameter.times):
            if not {parameter.above, parameter.below, parameter.times} - {""}:
                np.testing.assert_array_equal(field_values(tasks, other), field_values(before, other), err_msg=other)
    for other, value in table.drawn(before).items():
        if other != name:
            np.testing.assert_allclose(table.drawn(tasks)[other], value, rtol=1e-6, atol=2e-4, err_msg=other)
    assert wide.frozen("test").sha256 == whole.frozen("test").sha256
    again = pickle.loads(pickle.dumps(wide))
    np.testing.assert_array_equal(again.draw(unit, "train").ids, tasks.ids)


def test_a_widened_environment_plays_tasks_beyond_the_range_of_training():
    wide = MATERIALS.widened(onset_target_K=(1400.0, 1550.0))
    env = gym.make_vec(full_id("MaterialsSynthesis"), num_envs=8, variant="recipe", distribution=wide)
    for seed in range(2):
        env.reset(seed=seed)
        onset = env.unwrapped.tasks.onset_target_K  # type: ignore[attr-defined]
        assert onset.min() >= 1400 and MATERIALS.accept(env.unwrapped.tasks).all()  # type: ignore[attr-defined]
    assert len(wide.narrowed(goal_um=(2.0, 3.0)).sample(3, "train", np.random.default_rng(0))) == 3


def test_draws_beyond_what_the_equations_can_bear_are_drawn_again():
    table = ParameterTable(SolidStateTask)
    tasks = MATERIALS.draw(np.random.default_rng(0).random((4, MATERIALS.unit_dim)), "train")
    low, high = table.parameters["growth_exponent"].limits
    tasks = table.redrawn(tasks, {"growth_exponent": np.array([low, high, high + 1e-5, low - 1e-5])})
    assert table.bearable(tasks).tolist() == [True, True, False, False]
    wide = MATERIALS.widened(goal_um=(0.5, 8.0))
    assert not wide.accept(tasks)[2:].any()
    assert wide.accept(tasks.take(np.array([2, 3]))).tolist() == [False, False]  # none is left to simulate


@pytest.mark.parametrize(
    ("whole", "ranges", "message"),
    [
        (MATERIALS, {"onset_K": (800, 900)}, "no parameter 'onset_K'.* Did you mean"),
        (MATERIALS, {"goal_um": (0.0, 8.0)}, "positive"),
        (MATERIALS, {"goal_um": (5.0, 4.0)}, "low to high"),
        (MATERIALS, {"goal_um": (0.5, 1e6)}, r"lie in \[0.01, 100\] um"),
        (MATERIALS, {"goal_um": (0.5, np.nan)}, "finite"),
        (MATERIALS, {"goal_um": 5}, "low to high, got 5"),
        (MATERIALS, {"goal_um": ("small", "large")}, "finite"),
        (BanditDistribution(), {"probabilities[0]": (0, 1)}, "cannot be widened"),
        (MATERIALS.with_split("train", MATERIALS.frozen("test").tasks), {"goal_um": (1, 2)}, "cannot be widened"),
    ],
)
def test_ranges_that_cannot_be_drawn_from_are_refused(whole: Any, ranges: Any, message: str):
    with pytest.raises(TaskError, match=message):
        whole.widened(**ranges)


def test_a_split_of_ones_own_is_played_and_judged_on(tmp_path: Path):
    whole = BanditDistribution()
    mine = whole.with_split("sure", [SURE, SURE.to_dict()])
    assert mine.splits == (*whole.splits, "sure") and whole.splits == BanditDistribution().splits
    env = gym.make_vec(BANDIT, num_envs=3, distribution=mine, split="sure")
    assert played(env, 10) == {SURE.id}
    found = evaluate({"random": RandomPolicy()}, "BernoulliBandit", "sure", distribution=mine, seed=1)
    assert found.split == "sure" and found.row("random").values.shape[1] == 2
    assert "with_split('sure', 2 tasks" in str(Evaluation.load(found.save(tmp_path / "e.json")).settings)
    np.testing.assert_allclose(mine.frozen("sure").reference.oracle, whole.reference(mine.frozen("sure").tasks).oracle)
    assert mine.frozen("test").sha256 == whole.frozen("test").sha256
    with pytest.raises(TaskError, match="no split 'sure'"):
        gym.make_vec(BANDIT, num_envs=3, split="sure")
    with pytest.raises(TaskError, match="at least one task"):
        whole.with_split("none", [])
