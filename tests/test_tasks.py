"""Tasks are values: content decides identity, JSON keeps every bit, streams do not depend on how they are read."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_dose import Patients, TwoDrugsEnv, TwoDrugsVectorEnv

from metaenv.classic.bandit.tasks import BanditDistribution, BanditTask
from metaenv.errors import TaskError
from metaenv.rng import TaskStreams
from metaenv.tasks import Reference, Task, TaskBatch, TaskDistribution, TaskSampler
from metaenv.testing import check_distribution, check_meta_env, check_vector_env
from metaenv.wrappers import ObserveTask, VectorObserveTask

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=6).map(tuple)


@given(probabilities)
def test_json_keeps_every_bit(p):
    task = BanditTask(p)
    assert BanditTask.from_json(task.to_json()) == task
    assert BanditTask.from_json(task.to_json()).id == task.id


@given(probabilities, probabilities)
def test_id_is_content(p, q):
    assert (BanditTask(p).id == BanditTask(q).id) == (p == q)


def test_minus_zero_is_zero():
    assert BanditTask((-0.0, 1.0)).id == BanditTask((0.0, 1.0)).id


def test_ids_of_a_batch_are_those_of_its_tasks():
    batch = BanditDistribution(3).sample(20, "train", np.random.default_rng(0))
    assert list(batch.ids) == [task.id for task in batch.tasks()]
    assert len(set(batch.ids)) == 20
    assert list(batch.take(np.array([4, 2])).ids) == [batch.ids[4], batch.ids[2]]


def test_batch_operations_by_hand():
    batch = TaskBatch.from_tasks([BanditTask((0.1, 0.2)), BanditTask((0.3, 0.4))])
    assert batch.probabilities.tolist() == [[0.1, 0.2], [0.3, 0.4]]
    assert batch.repeated(2).probabilities[:, 0].tolist() == [0.1, 0.1, 0.3, 0.3]
    swapped = batch.replaced(np.array([0]), batch.take(np.array([1])))
    assert swapped.probabilities[:, 0].tolist() == [0.3, 0.3]
    assert batch.probabilities[0, 0] == 0.1, "replaced() must copy"
    assert batch.joined(swapped).probabilities[:, 0].tolist() == [0.1, 0.3, 0.3, 0.3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected a task as JSON"),
        ("[1]", "expected a JSON object"),
        ('{"family": "Other", "probabilities": [0.5]}', "family 'BernoulliBandit'"),
        ('{"family": "BernoulliBandit"}', "lacks probabilities"),
        ('{"family": "BernoulliBandit", "probabilities": [0.5], "probabilitis": 1}', "Did you mean 'probabilities'"),
        ('{"family": "BernoulliBandit", "probabilities": ["a"]}', "must be a tuple of numbers"),
        ('{"family": "BernoulliBandit", "probabilities": [NaN]}', "must be finite"),
        ('{"family": "BernoulliBandit", "probabilities": [1.5]}', r"each in \[0, 1\]"),
    ],
)
def test_a_bad_task_is_refused_with_a_reason(text, message):
    with pytest.raises(TaskError, match=message):
        BanditTask.from_json(text)


def test_mixed_and_empty_batches_are_refused():
    class Other(Task):
        family = "Other"

    with pytest.raises(TaskError, match="one family"):
        TaskBatch.from_tasks([BanditTask((0.5,)), Other()])
    with pytest.raises(TaskError, match="empty list"):
        TaskBatch.from_tasks([])


class Picky(BanditDistribution):
    """Accepts only bandits whose first arm is good: the members of the family are the accepted draws."""

    def accept(self, tasks):
        return tasks.probabilities[:, 0] > 0.7


def test_rejected_draws_are_drawn_again():
    tasks = Picky(2).sample(100, "train", np.random.default_rng(0))
    assert len(tasks) == 100
    assert tasks.probabilities[:, 0].min() > 0.7
    assert tasks.probabilities[:, 1].min() < 0.2


def test_a_distribution_that_accepts_nothing_says_so():
    class Never(BanditDistribution):
        def accept(self, tasks):
            return np.zeros(len(tasks), bool)

    with pytest.raises(TaskError, match="rejected"):
        Never(2).sample(3, "train", np.random.default_rng(0))


@pytest.mark.parametrize("distribution", [BanditDistribution(3), Picky(3)])
def test_a_stream_does_not_depend_on_its_neighbours(distribution: TaskDistribution):
    def seeds():
        return [np.random.SeedSequence(s) for s in (5, 6, 7)]

    together = TaskStreams(distribution, "train", seeds())
    seen: dict[int, list[str]] = {0: [], 1: [], 2: []}
    rng = np.random.default_rng(0)
    for _ in range(60):
        rows = np.flatnonzero(rng.random(3) < [0.9, 0.5, 0.1])
        if len(rows):
            for row, name in zip(rows, together.draw(rows).ids, strict=True):
                seen[row].append(name)
    for row, names in seen.items():
        alone = TaskStreams(distribution, "train", [seeds()[row]])
        assert names == [str(alone.draw(slice(None)).ids[0]) for _ in names]
        assert len(set(names)) == len(names)


def test_reseeding_one_stream_leaves_the_others():
    streams = TaskStreams(BanditDistribution(2), "train", [np.random.SeedSequence(s) for s in (1, 2)])
    first = streams.draw(slice(None)).ids.tolist()
    rest = [streams.draw(slice(None)).ids.tolist() for _ in range(6)]  # by now several are drawn ahead
    streams.reseed(0, np.random.SeedSequence(1))
    again = [streams.draw(slice(None)).ids.tolist() for _ in range(20)]
    assert [row[0] for row in again[:7]] == [first[0], *[row[0] for row in rest]]
    alone = TaskStreams(BanditDistribution(2), "train", [np.random.SeedSequence(2)])
    expected = [str(alone.draw(slice(None)).ids[0]) for _ in range(27)]
    assert [first[1], *[row[1] for row in rest], *[row[1] for row in again]] == expected


def test_sampler_repeats_by_seed_and_goes_on():
    a, b = (TaskSampler(BanditDistribution(2), "train", seed=3) for _ in range(2))
    assert (a.draw(5).ids == b.draw(5).ids).all()
    assert not set(a.draw(5).ids) & set(b.draw(10).ids[5:])


def test_unknown_split_names_the_nearest():
    with pytest.raises(TaskError, match="Did you mean 'validation'"):
        TaskSampler(BanditDistribution(2), "validaton")


def test_reference_is_a_ratio_of_means():
    reference = Reference(random=np.array([0.0, 0.0]), oracle=np.array([1.0, 3.0]))
    # The mean of ratios would be (1 + 0) / 2.
    assert reference.normalised(np.array([1.0, 0.0])) == 0.25


def test_a_normalised_score_is_a_share_of_the_gap_between_random_play_and_the_oracle():
    assert Reference(random=np.array([1.0]), oracle=np.array([3.0])).normalised(np.array([2.0])) == 0.5


def test_frozen_bandits_are_the_ones_that_were_frozen():
    # SHA-256 of the list, written down when it was frozen: a change of it is a new version.
    frozen = BanditDistribution(5).frozen("test")
    assert len(frozen) == 10_000
    assert frozen.sha256 == "62bbad969d505005f05bb9c6470eb2bd54fb68fd4d6c000b81d731bfe5469abc"


def test_tasks_come_back_from_their_numbers():
    batch = BanditDistribution(3).sample(5, "train", np.random.default_rng(0))
    again = batch.take(np.array([0])).with_matrix(batch.matrix().copy())
    assert again.task_type is BanditTask and again.tasks() == batch.tasks()
    assert again.ids.tolist() == batch.ids.tolist()
    np.testing.assert_array_equal(again.probabilities, batch.probabilities)
    for numbers in (np.zeros((5, 2)), np.zeros(3)):
        with pytest.raises(TaskError, match=r"shape \(n, 3\)"):
            batch.with_matrix(numbers)


def test_numbers_of_several_fields_keep_their_places():
    from metaenv.materials.tasks import SolidStateDistribution

    batch = SolidStateDistribution().sample(4, "train", np.random.default_rng(0))
    assert batch.with_matrix(batch.matrix()[::-1]).tasks() == batch.tasks()[::-1]


def test_members_of_finite_families():
    from metaenv.classic.gridnavi.env import GridNaviDistribution
    from metaenv.classic.point_robot.env import PointRobotDistribution

    assert BanditDistribution(2).members("train") is None
    goals = {(x, y) for x in range(5) for y in range(5)} - {(0, 0), (0, 1), (1, 0), (1, 1)}
    grid = GridNaviDistribution()
    for split in grid.splits:
        members = grid.members(split)
        assert members is not None
        assert sorted(zip(members.goal_x.tolist(), members.goal_y.tolist(), strict=True)) == sorted(goals)
    robot = PointRobotDistribution()
    sizes = {"train": 80, "validation": 20, "test": 20, "ood-lower": 100}
    for split, size in sizes.items():
        members = robot.members(split)
        assert members is not None and len(set(members.ids)) == len(members) == size
        drawn = robot.sample(3000, split, np.random.default_rng(0))
        assert set(drawn.ids) == set(members.ids), "every member is drawn, and nothing else"
    assert PointRobotDistribution("uniform").members("train") is None
    with pytest.raises(TaskError, match="Did you mean 'train'"):
        robot.members("trian")


def test_a_distribution_writes_only_how_a_task_is_drawn():
    family = Patients()
    unit = np.array([[0.0, 0.5], [0.999, 0.25]])
    np.testing.assert_array_equal(family.from_unit(unit, "train").best, 0.2 + 0.8 * unit)
    frozen = family.frozen("test")
    assert len(frozen) == 50 and frozen is family.frozen("test") and frozen.sha256 == frozen.tasks.sha256
    # The list is that of its seed, and a point of the unit cube picks one of it by its first coordinate.
    np.testing.assert_array_equal(frozen.tasks.best, 0.2 + 0.8 * np.random.default_rng(1).random((50, 2)))
    assert (family.from_unit(unit, "test").ids == frozen.tasks.ids[[0, 49]]).all()
    assert family.frozen("ood-frail").tasks.best.max() <= 0.2
    members = family.members("test")
    assert members is not None and (members.ids == frozen.tasks.ids).all() and family.members("train") is None
    with pytest.raises(TaskError, match=r"endless.*test, ood-frail have"):
        family.frozen("train")
    with pytest.raises(TaskError, match="Did you mean 'test'"):
        family.from_unit(unit, "tets")


def test_a_frozen_split_that_nothing_describes_is_refused():
    with pytest.raises(TaskError, match=r"'ood-tall'.*frozen_draws"):
        Patients(splits=("train", "ood-tall")).frozen("ood-tall")


def test_labelled_examples_and_task_vectors_are_optional():
    check_distribution(Patients())
    check_meta_env(TwoDrugsEnv(), steps=5)
    check_vector_env(TwoDrugsVectorEnv, steps=5)
    tasks = Patients().frozen("test").tasks
    with pytest.raises(NotImplementedError, match=r"Patients has no labelled examples: .* need labelled"):
        Patients().labelled(tasks, 3, np.random.default_rng(0))
    with pytest.raises(NotImplementedError, match=r"Patients has no task vector: ObserveTask, .* need task_vector"):
        VectorObserveTask(TwoDrugsVectorEnv(2))
    with pytest.raises(NotImplementedError, match="no task vector"):
        ObserveTask(TwoDrugsEnv())


@dataclass(frozen=True)
class Dose(Task):
    """A task whose last field is optional."""

    family: ClassVar[str] = "Dose"
    optional: ClassVar[str] = "notes"
    best: float
    notes: tuple[float, ...] = ()


@dataclass(frozen=True)
class PlainDose(Task):
    """The same without that field."""

    family: ClassVar[str] = "Dose"
    best: float


def test_an_optional_field_counts_only_where_it_is_used():
    without, short, long = Dose(2.0), Dose(2.0, (5.0,)), Dose(2.0, (5.0, 7.0))
    assert without.id == PlainDose(2.0).id and without.to_json() == PlainDose(2.0).to_json()
    assert len({task.id for task in (without, short, long)}) == 3
    assert [Dose.from_json(task.to_json()) for task in (without, short, long)] == [without, short, long]
    batch = TaskBatch.from_tasks([long, without, short])
    assert batch.tasks() == [long, without, short] and batch.widths == (None,)
    assert batch.ids.tolist() == [long.id, without.id, short.id]
    assert batch.notes.tolist() == [[5, 7], [0, 0], [5, 0]]
    plain = TaskBatch.from_tasks([without, Dose(3.0)])
    assert plain.notes.shape == (2, 0) and plain.sha256 == TaskBatch.from_tasks([PlainDose(2.0), PlainDose(3.0)]).sha256
    for joined in (plain.joined(batch), batch.joined(plain)):
        assert sorted(joined.ids) == sorted([*plain.ids, *batch.ids])
        assert {task.id for task in joined.tasks()} == set(joined.ids)
    replaced = plain.replaced(np.array([1]), TaskBatch.from_tasks([short]))
    assert replaced.tasks() == [without, short] and replaced.ids.tolist() == [without.id, short.id]
    back = replaced.replaced(np.array([1]), plain.take(np.array([1])))
    assert back.tasks() == plain.tasks() and back.sha256 == plain.sha256
    assert replaced.sha256 not in (plain.sha256, TaskBatch.from_tasks([short, without]).sha256)
