import numpy as np
import pytest

from metaenv.supervised.data.episodes import Episodes, frozen_episodes
from metaenv.supervised.data.sinusoid import PAPER, SinusoidDistribution, SinusoidTask
from metaenv.supervised.evaluation import evaluate
from metaenv.supervised.registry import make_learner
from metaenv.tasks import TaskBatch, TaskSampler


def test_ranges_of_the_paper():
    tasks = SinusoidDistribution().sample(20_000, "train", np.random.default_rng(0))
    assert 0.1 <= tasks.amplitude.min() < 0.11 and 4.99 < tasks.amplitude.max() <= 5.0
    assert 0 <= tasks.phase.min() < 0.01 and np.pi - 0.01 < tasks.phase.max() <= np.pi
    seen = SinusoidDistribution().labelled(tasks.take(slice(0, 1000)), 50, np.random.default_rng(0))
    assert -5 <= seen.x.min() < -4.99 and 4.99 < seen.x.max() <= 5


def test_the_sine_of_the_paper_is_sin_of_x_less_phase():
    task = TaskBatch.from_tasks([SinusoidTask(2.0, 1.0)])
    seen = SinusoidDistribution().labelled(task, 5, np.random.default_rng(0))
    np.testing.assert_allclose(seen.y, 2 * np.sin(seen.x[:, :, 0] - 1), rtol=1e-12)


def test_held_out_tasks_are_frozen_and_others():
    d = SinusoidDistribution()
    assert d.frozen("test").sha256 == SinusoidDistribution().frozen("test").sha256 != d.frozen("validation").sha256
    assert set(TaskSampler(d, "test", seed=0).draw(50).ids) <= set(d.frozen("test").tasks.ids)
    assert not set(d.frozen("test").tasks.ids) & set(d.frozen("validation").tasks.ids)


def test_reference_is_the_mean_square_of_a_sine():
    """Over [-5, 5]: A^2 / 2 * (1 - cos(2 phase) sin(10) / 10)."""
    tasks = SinusoidDistribution().sample(50, "train", np.random.default_rng(1))
    expected = tasks.amplitude**2 / 2 * (1 - np.cos(2 * tasks.phase) * np.sin(10) / 10)
    np.testing.assert_allclose(-SinusoidDistribution().reference(tasks).random, expected, rtol=5e-3)
    assert (SinusoidDistribution().reference(tasks).oracle == 0).all()


@pytest.mark.slow
def test_table_2_of_the_paper():
    """5-shot error 0.67, 0.38, 0.35 after 1, 5, 10 steps, on 2,000 tasks; two minutes, half of one to compile."""
    train = Episodes(TaskSampler(SinusoidDistribution(), "train", seed=0), 5, 10)
    learner = make_learner("maml", train.problem, **PAPER, engine="compiled").meta_fit(train, 70_000)
    test = frozen_episodes(Episodes(TaskSampler(SinusoidDistribution(), "test", seed=1), 5, 100, seed=7), 2_000)
    for steps, paper in ((1, 0.67), (5, 0.38), (10, 0.35)):
        learner.test_steps = steps
        report = evaluate({"maml": learner}, test, tasks_at_once=500, diverged_above=50.0)
        assert report.interval("maml", "mse").estimate <= paper
        assert report.rows()[0]["diverged"] <= 3
