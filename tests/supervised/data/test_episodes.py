import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from toy_problems import blobs, sines

from metaenv.materials.tasks import SolidStateDistribution
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import Episodes, frozen_episodes
from metaenv.supervised.data.sinusoid import SinusoidDistribution
from metaenv.supervised.data.sources import distinct
from metaenv.tasks import TaskSampler


def test_examples_of_a_sampler_are_those_of_its_tasks():
    episodes = sines(n_shot=7, n_query=5)
    batch = episodes.draw(40)
    tasks = TaskSampler(SinusoidDistribution(), "train", seed=0).draw(40)
    assert (batch.task_ids == tasks.ids).all()
    for x, y in ((batch.support_x, batch.support_y), (batch.query_x, batch.query_y)):
        expected = tasks.amplitude[:, None] * np.sin(x[:, :, 0].numpy() - tasks.phase[:, None])
        np.testing.assert_allclose(y.numpy(), expected, atol=2e-6)
    assert batch.support_x.shape == (40, 7, 1) and batch.query_y.shape == (40, 5)
    assert batch.support_x.dtype == torch.float32 and batch.n_classes is None
    assert not set(batch.support_ids[0]) & set(batch.query_ids[0])


def test_the_tasks_of_an_environment_make_episodes():
    sampler = TaskSampler(SolidStateDistribution(), "train", seed=3)
    batch = Episodes(sampler, 4, 6).draw(3)
    tasks = TaskSampler(SolidStateDistribution(), "train", seed=3).draw(3)
    assert (batch.task_ids == tasks.ids).all()
    assert batch.support_x.shape[:2] == (3, 4) and batch.query_x.shape[:2] == (3, 6)


@pytest.mark.parametrize("threshold", [0.0, "median"])
def test_a_threshold_makes_balanced_classes(threshold):
    sampler = TaskSampler(SinusoidDistribution(), "train", seed=0)
    batch = Episodes(sampler, 3, 4, threshold=threshold).draw(50)
    assert batch.n_classes == 2
    assert (batch.support_y.sum(1) == 3).all() and batch.support_y.shape == (50, 6)
    assert (batch.query_y.sum(1) == 4).all() and batch.query_y.shape == (50, 8)
    assert batch.task_ids.shape == (50, 2)
    # The highest sine value of class 0 lies below the lowest of class 1: recover y from the task by its x.
    distribution, again = SinusoidDistribution(), TaskSampler(SinusoidDistribution(), "train", seed=0)
    if threshold == 0.0:
        tasks = {t.id: t for t in again.draw(200).tasks()}
        for row in range(50):
            task = tasks.get(batch.task_ids[row, 0].split()[0])
            if task is not None:
                y = task.amplitude * np.sin(batch.query_x[row, :, 0].numpy() - task.phase)
                assert ((y > 0) == batch.query_y[row].numpy().astype(bool)).all()
    assert distribution.splits


def test_anomalies_of_a_sampler_are_above_the_threshold():
    sampler = TaskSampler(SinusoidDistribution(), "train", seed=0)
    batch = Episodes(sampler, 5, 8, kind="anomaly", n_anomalies=2, threshold=0.05).draw(30)
    assert (batch.support_y == 0).all() and batch.support_y.shape == (30, 5)
    assert (batch.query_y.sum(1) == 2).all() and batch.query_y.shape == (30, 10)


def test_a_threshold_that_no_task_passes_is_refused_by_a_task_s_name():
    episodes = Episodes(TaskSampler(SinusoidDistribution(), "train", seed=0), 3, 3, threshold=100.0)
    with pytest.raises(ValueError, match=r"task [0-9a-f]{16} has too few examples .*100\.0"):
        episodes.draw(2)


def test_ways_and_shots_of_a_data_set():
    data = blobs()
    batch = Episodes(data, 3, 4, n_way=5).draw(60)
    assert batch.support_x.shape == (60, 15, 6) and batch.query_x.shape == (60, 20, 6)
    assert batch.task_ids.shape == (60, 5)
    for x, y, rows in (
        (batch.support_x, batch.support_y, batch.support_ids),
        (batch.query_x, batch.query_y, batch.query_ids),
    ):
        assert (data.y[rows] == np.take_along_axis(batch.task_ids, y.numpy(), axis=1)).all()
        assert torch.equal(x, data.x[torch.from_numpy(rows)])
        assert (np.diff(np.sort(rows, axis=1), axis=1) > 0).all()
    assert all((batch.support_y == c).sum(1).eq(3).all() and (batch.query_y == c).sum(1).eq(4).all() for c in range(5))
    assert all(not set(s) & set(q) for s, q in zip(batch.support_ids, batch.query_ids, strict=True))
    assert all(len(set(names)) == 5 for names in batch.task_ids)


def test_groups_are_the_tasks_of_a_regression():
    rng = np.random.default_rng(0)
    group = np.repeat(["a", "b", "c"], [6, 9, 30])
    y = rng.normal(size=45)
    data = Dataset(rng.normal(size=(45, 2)), y, groups=group)
    batch = Episodes(data, 2, 4).draw(50)
    for i, name in enumerate(batch.task_ids):
        rows = np.concatenate([batch.support_ids[i], batch.query_ids[i]])
        assert set(group[rows]) == {name} and len(set(rows)) == 6
    np.testing.assert_array_equal(batch.query_y.numpy(), y[batch.query_ids].astype(np.float32))
    assert set(batch.task_ids) == {"a", "b", "c"}


def test_anomalies_of_a_data_set_come_from_other_classes_as_often_as_they_are():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], [20, 30, 60])
    data = Dataset(rng.normal(size=(110, 2)), label)
    batch = Episodes(data, 4, 6, kind="anomaly", n_anomalies=3).draw(3000)
    assert (batch.support_y == 0).all() and (batch.query_y.sum(1) == 3).all()
    assert ((label[batch.query_ids] != batch.task_ids[:, None]) == batch.query_y.numpy().astype(bool)).all()
    assert (label[batch.support_ids] == batch.task_ids[:, None]).all()
    of_zero = batch.task_ids == 0
    found = label[batch.query_ids[of_zero]][batch.query_y[torch.from_numpy(of_zero)].bool().numpy()]
    assert (found == 1).mean() == pytest.approx(30 / 90, abs=0.03)
    assert all(len(set(row)) == 9 for row in batch.query_ids)


def test_distinct_draws_every_ordered_choice_equally_often():
    found = distinct(np.full(24_000, 4), 3, np.random.default_rng(0))
    counts = [int((found == c).all(axis=1).sum()) for c in itertools.permutations(range(4), 3)]
    assert sum(counts) == 24_000 and chisquare(counts).pvalue > 1e-3


def test_same_seed_same_episodes_and_a_state_goes_on_where_it_was_taken():
    for make in (sines, lambda: Episodes(blobs(), 2, 2), lambda: Episodes(blobs(), 2, 2, kind="anomaly")):
        first, second = make(), make()
        first.draw(3)
        state = first.state()
        expected = first.draw(5)
        second.set_state(state)
        got = second.draw(5)
        assert torch.equal(got.support_x, expected.support_x) and torch.equal(got.query_y, expected.query_y)
        assert (got.query_ids == expected.query_ids).all()


def test_frozen_episodes_are_the_same_for_all_and_hashed():
    frozen = frozen_episodes(Episodes(blobs(), 1, 2, seed=5), 1000)
    again = frozen_episodes(Episodes(blobs(), 1, 2, seed=5), 1000, sha256=frozen.sha256)
    assert len(frozen) == 1000 and frozen.sha256 == again.sha256
    whole = next(frozen.batches(1000))
    parts = list(frozen.batches(300))
    assert [len(p) for p in parts] == [300, 300, 300, 100]
    assert torch.equal(torch.cat([p.query_x for p in parts]), whole.query_x)
    for other in (
        Episodes(blobs(), 1, 2, seed=6),
        Episodes(blobs(seed=1), 1, 2, seed=5),
        Episodes(blobs(), 2, 1, seed=5),
    ):
        with pytest.raises(ValueError, match="not comparable"):
            frozen_episodes(other, 1000, sha256=frozen.sha256)
    of_sampler = [frozen_episodes(sines("test", seed=1), 20).sha256 for _ in range(2)]
    assert of_sampler[0] == of_sampler[1] != frozen_episodes(sines("test", seed=2), 20).sha256


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_shot": 20, "n_query": 6}, r"class 'class \d+' has 25 samples, and an episode takes 26"),
        ({"n_shot": 0}, "at least one sample"),
        ({"n_query": 0}, "at least one sample"),
        ({"n_way": 31}, "expected at least 31 classes, got 30"),
        ({"kind": "regression"}, "expected numbers as y for regression"),
        ({"kind": "anomoly"}, "expected a kind of problem"),
        ({"threshold": 1.0}, "for a Dataset, a threshold needs numbers"),
        ({"kind": "anomaly", "n_anomalies": 726}, "leaves too few anomalies"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Episodes(blobs(), **{"n_shot": 2, "n_query": 2, **arguments})


def test_a_ragged_group_is_named():
    data = Dataset(np.ones((7, 1)), np.arange(7.0), groups=["ok"] * 5 + ["short"] * 2)
    with pytest.raises(ValueError, match="group 'short' has 2 samples, and an episode takes 4"):
        Episodes(data, 2, 2)
    assert set(data.without_small(data.groups, 4).groups) == {"ok"}


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="expected at least 2 classes, got 1"):
        Episodes(Dataset(np.ones((9, 1)), ["only"] * 9), 1, 1, kind="anomaly")


def test_the_stream_is_fast():
    """Planning alone (no samples copied) must leave the copying to be the cost: 250,000 in 1 s on an idle core."""
    episodes = Episodes(blobs(200), 1, 1)
    import time

    episodes.draw(32)
    start = time.process_time()
    for _ in range(100):
        episodes.draw(32)
    assert 3200 / (time.process_time() - start) > 20_000  # far below, for a busy machine
