import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from toy_problems import blobs

from metaenv.supervised.data.episodes import Episodes
from metaenv.supervised.data.problem import Problem
from metaenv.supervised.learners.prototypical import (
    Prototypical,
    PrototypicalConfig,
    prototypes,
    ridge_head,
    squared_distances,
)


def on_raw_features(problem):
    return Prototypical(problem, PrototypicalConfig(scale="none"), backbone=torch.nn.Identity())


def test_classes_by_hand():
    """Means (0, 1) and (4, 0); the query (1, 1) is 1 from the first and 10 from the second, squared."""
    learner = on_raw_features(Problem("classification", (2,), 2))
    support = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 2.0]])
    prediction = learner.adapt(support, torch.tensor([0, 1, 0]))(torch.tensor([[1.0, 1.0]]))
    assert prediction.output.tolist() == [pytest.approx([-1.0, -10.0])]
    assert prediction.probabilities[0, 0].item() == pytest.approx(1 / (1 + np.exp(-9)))


def test_anomaly_scores_grow_with_the_distance():
    learner = on_raw_features(Problem("anomaly", (2,)))
    predictor = learner.adapt(torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 0]))
    scores = predictor(torch.tensor([[1.0, 0.0], [1.0, 1.0], [5.0, 0.0]])).output
    assert scores.tolist() == pytest.approx([-1.0, -0.5, 7.0])  # (0, 1, 16) / 2 features - 1


def test_regression_is_ridge_regression():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 6, 4)), rng.normal(size=(3, 6))
    weights, offset = ridge_head(torch.tensor(x), torch.tensor(y), torch.tensor(0.7).double())
    for i in range(3):
        expected = Ridge(alpha=0.7).fit(x[i], y[i])
        np.testing.assert_allclose(weights[i, :, 0], expected.coef_, rtol=1e-6)
        assert offset[i].item() == pytest.approx(expected.intercept_, rel=1e-6)


def test_prototypes_and_distances_against_numpy():
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=(2, 7, 3)), np.array([[0, 1, 2, 0, 1, 2, 2], [2, 2, 1, 0, 0, 0, 1]])
    centres = prototypes(torch.tensor(z).float(), torch.tensor(y), 3).numpy()
    expected = np.array([[z[t][y[t] == c].mean(0) for c in range(3)] for t in range(2)])
    np.testing.assert_allclose(centres, expected, atol=1e-6)
    found = squared_distances(torch.tensor(z), torch.tensor(expected))
    np.testing.assert_allclose(found, ((z[:, :, None] - expected[:, None]) ** 2).sum(-1), atol=1e-10)


def test_more_classes_in_training_than_in_use():
    data = blobs()
    learner = Prototypical(Episodes(data, 2, 3, n_way=20).problem).meta_fit(Episodes(data, 2, 3, n_way=20), 3)
    batch = Episodes(data, 2, 3, n_way=4).draw(2)
    assert learner.adapt(batch.support_x, batch.support_y)(batch.query_x).output.shape == (2, 12, 4)
