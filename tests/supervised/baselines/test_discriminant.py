import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf
from sklearn.naive_bayes import GaussianNB

from metaenv.supervised.data.problem import Problem
from metaenv.supervised.registry import make_learner


def a_task(rng: np.random.Generator, ways: int, shots: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Support set with correlated features, labels, and queries."""
    mixing = rng.normal(size=(d, d))
    y = rng.permutation(np.arange(ways * shots) % ways)
    x = rng.normal(size=(ways, d))[y] * 2 + rng.normal(size=(ways * shots, d)) @ mixing
    return x, y, rng.normal(size=(7, d))


@pytest.mark.parametrize("shots, d", [(5, 4), (4, 60)])
def test_discriminant_analysis_has_the_covariance_of_scikit_learn(shots: int, d: int):
    x, y, q = a_task(np.random.default_rng(0), 3, shots, d)
    means = np.stack([x[y == c].mean(0) for c in range(3)])
    covariance, _ = ledoit_wolf(x - means[y], assume_centered=True)
    solved = np.linalg.solve(covariance, means.T)
    expected = q @ solved - 0.5 * (means.T * solved).sum(0) - np.log(3)
    found = make_learner("lda", Problem("classification", (d,), 3), scale="none").adapt(x, y)(q).output
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_one_sample_of_a_class_leaves_the_nearest():
    found = make_learner("lda", Problem("classification", (2,), 2)).adapt([[0.0, 0.0], [2.0, 1.0]], [0, 1])
    predictor = found([[0.4, 0.4], [1.8, 0.9]])
    assert predictor.labels.tolist() == [0, 1]
    # Minus half the squared distances, up to a constant: 0.16 and 2.56 + 0.36 for the first query.
    assert (predictor.output[0, 0] - predictor.output[0, 1]).item() == pytest.approx((2.92 - 0.32) / 2)


def test_naive_bayes_is_that_of_scikit_learn():
    x, y, q = a_task(np.random.default_rng(1), 3, 6, 5)
    keep = np.flatnonzero(~((y == 0) & (np.arange(len(y)) % 2 == 0)))  # classes of different size
    x, y = x[keep], y[keep]
    expected = GaussianNB(var_smoothing=0.03).fit(x, y).predict_log_proba(q)
    found = make_learner("naive-bayes", Problem("classification", (5,), 3), scale="none").adapt(x, y)
    np.testing.assert_allclose(torch.log(found.predict_proba(q)), expected, rtol=1e-4, atol=1e-4)
