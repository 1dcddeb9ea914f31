import numpy as np
import torch
from toy_problems import sines

from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import Episodes
from metaenv.supervised.data.normalization import Scaling
from metaenv.supervised.data.problem import Problem
from metaenv.supervised.registry import make_learner


def test_vectors_by_feature_and_constant_ones_by_their_size():
    rng = np.random.default_rng(0)
    x = rng.normal(loc=[5.0, -2.0, -7.0, 0.5], scale=[3.0, 0.1, 0.0, 0.0], size=(4000, 4))
    episodes = Episodes(Dataset(x, 100 + 20 * rng.normal(size=4000)), 10, 20)
    scaling = Scaling(episodes.problem)
    assert not scaling.fitted
    scaling.fit(episodes.draw(64))
    assert scaling.fitted
    torch.testing.assert_close(scaling.x_mean, torch.tensor([5.0, -2.0, -7.0, 0.5]), rtol=0.1, atol=0.05)
    torch.testing.assert_close(scaling.x_std, torch.tensor([3.0, 0.1, 7.0, 1.0]), rtol=0.05, atol=0.0)
    back, std = scaling.unscaled(scaling.y(torch.tensor([90.0])), torch.ones(1))
    assert abs(back.item() - 90) < 1e-4 and abs(std.item() - 20) < 1


def test_a_constant_that_was_rounded_is_no_scale():
    """A third of a thousand is one of two neighbours in single precision; beside it a spread of 1e-5 of the mean."""
    rng = np.random.default_rng(0)
    third = np.float32(1 / 3)
    rounded = rng.choice(np.array([third, np.nextafter(third, np.float32(1))]), size=4000)
    assert 0 < rounded.astype(float).std() < 1e-7
    x = np.stack([1_000 * rounded, rng.normal(loc=1_000, scale=0.01, size=4000)], axis=1)
    episodes = Episodes(Dataset(x, rng.normal(size=4000)), 10, 20)
    scaling = Scaling(episodes.problem)
    scaling.fit(episodes.draw(64))
    torch.testing.assert_close(scaling.x_std, torch.tensor([1_000 / 3, 0.01]), rtol=0.05, atol=0.0)


def test_images_by_channel():
    problem = Problem("classification", (2, 4, 4), 2)
    assert Scaling(problem).x_mean.shape == (2, 1, 1)


def test_predictions_come_in_the_unit_of_y():
    """Targets times a thousand: the same learner, up to rounding."""
    episodes = sines()
    batch, outputs = episodes.draw(3), {}
    rng = np.random.default_rng(0)
    x, group = rng.uniform(-5, 5, size=(600, 1)), np.repeat(np.arange(20), 30)
    y = np.sin(x[:, 0] + group)
    for unit in (1.0, 1000.0):
        train = Episodes(Dataset(x, unit * y, groups=group), 10, 10)
        learner = make_learner("maml", train.problem, engine="vmap").meta_fit(train, 5)
        outputs[unit] = learner.adapt(batch.support_x, unit * batch.support_y)(batch.query_x).output
    torch.testing.assert_close(outputs[1000.0] / 1000, outputs[1.0], rtol=1e-2, atol=1e-3)
