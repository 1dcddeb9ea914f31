import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from toy_problems import episodes_of

from metaenv.supervised.baselines import gp
from metaenv.supervised.baselines.simple import PENALTIES, best_ridge, logistic_regression
from metaenv.supervised.data.problem import Problem, one_hot
from metaenv.supervised.learner import LearnerConfig
from metaenv.supervised.registry import make_learner


def test_logistic_regression_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    for n, d, ways in ((15, 4, 3), (10, 40, 5)):
        x, y = rng.normal(size=(2, n, d)), np.stack([rng.permutation(np.arange(n) % ways) for _ in range(2)])
        weights = logistic_regression(torch.tensor(x), one_hot(torch.tensor(y), ways).double(), 0.5)
        for t in range(2):
            reference = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(x[t], y[t])
            np.testing.assert_allclose((x[t] @ weights[t].numpy()), x[t] @ reference.coef_.T, atol=5e-3)


def test_ridge_takes_the_penalty_of_least_leave_one_out_error():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(4, 9, 3)), rng.normal(size=(4, 9))
    found = best_ridge(torch.tensor(x), torch.tensor(y)).numpy()
    for t in range(4):
        centred, target = x[t] - x[t].mean(0), y[t] - y[t].mean()
        errors = []
        for penalty in PENALTIES:
            left_out = [
                Ridge(alpha=penalty, fit_intercept=False)
                .fit(np.delete(centred, i, 0), np.delete(target, i))
                .predict(centred[[i]])[0]
                for i in range(9)
            ]
            errors.append(np.mean((target - left_out) ** 2))
        best = Ridge(alpha=PENALTIES[int(np.argmin(errors))]).fit(x[t], y[t])
        np.testing.assert_allclose(found[t, :3, 0], best.coef_, rtol=1e-6)
        assert found[t, 3, 0] == pytest.approx(best.intercept_, rel=1e-6)


def test_neighbours_are_those_of_scikit_learn():
    rng = np.random.default_rng(2)
    x, y, q = rng.normal(size=(12, 3)), np.arange(12) % 3, rng.normal(size=(40, 3))
    learner = make_learner("knn", Problem("classification", (3,), 3), k=1)
    expected = KNeighborsClassifier(1).fit(x, y).predict(q)
    assert (learner.adapt(x, y)(q).labels.numpy() == expected).all()
    target = rng.normal(size=12)
    regressor = make_learner("knn", Problem("regression", (3,)), k=4)
    expected = KNeighborsRegressor(4).fit(x, target).predict(q)
    np.testing.assert_allclose(regressor.adapt(x, target)(q).output, expected, atol=1e-5)


def test_a_tie_of_votes_goes_to_the_nearer():
    learner = make_learner("knn", Problem("classification", (1,), 2), k=2)
    predictor = learner.adapt([[0.0], [1.0]], [0, 1])
    assert predictor([[0.4], [0.6]]).labels.tolist() == [0, 1]


def test_nearness_outweighs_no_vote_of_many():
    x = np.arange(41.0)[:, None]
    predictor = make_learner("knn", Problem("classification", (1,), 2), k=41).adapt(x, (x[:, 0] >= 20).astype(int))
    assert predictor([[-1.0]]).labels.tolist() == [1], "20 near ones have one vote less than 21 far ones"


def test_gaussian_process_is_that_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(gp, "LENGTH_SCALES", (0.7,))
    monkeypatch.setattr(gp, "NOISES", (0.01,))
    rng = np.random.default_rng(3)
    x, q = rng.uniform(-2, 2, size=(12, 2)), rng.uniform(-2, 2, size=(5, 2))
    y = np.sin(x[:, 0]) + 0.1 * rng.normal(size=12)
    prediction = make_learner("gp", Problem("regression", (2,)), scale="none").adapt(x, y)(q)
    # The signal's variance of greatest likelihood, at the given length scale and noise.
    centred, length = y - y.mean(), 0.7 * np.sqrt(2)
    kernel = RBF(length)(x) + 0.01 * np.eye(12)
    signal = centred @ np.linalg.solve(kernel, centred) / 12
    model = GaussianProcessRegressor(
        ConstantKernel(signal) * RBF(length) + WhiteKernel(0.01 * signal), optimizer=None, alpha=0
    ).fit(x, centred)
    mean, std = model.predict(q, return_std=True)
    np.testing.assert_allclose(prediction.output, mean + y.mean(), atol=1e-3)
    np.testing.assert_allclose(prediction.std, std, rtol=1e-2)


def test_gaussian_process_bears_samples_that_are_much_alike():
    """As alloys are that differ in the third digit: in single precision their kernel is not positive definite."""
    rng = np.random.default_rng(5)
    x, y = 30.0 + 0.01 * rng.normal(size=(20, 20, 93)), rng.normal(size=(20, 20))
    prediction = make_learner("gp", Problem("regression", (93,)), scale="none").adapt(x, y)(x)
    assert torch.isfinite(prediction.output).all() and (prediction.std > 0).all()


def test_gaussian_process_takes_the_likeliest_of_the_grid():
    rng = np.random.default_rng(4)
    x = rng.uniform(-2, 2, size=(10, 1))
    y = np.sin(2 * x[:, 0])
    learner = gp.TaskGP(Problem("regression", (1,)), LearnerConfig(scale="none"))
    distances = torch.tensor((x - x.T) ** 2)[None]
    scale, noise = learner._fit(distances, torch.tensor(y - y.mean())[None], 1)
    best = {}
    for s in gp.LENGTH_SCALES:
        for v in gp.NOISES:
            kernel = RBF(s)(x) + v * np.eye(10)
            signal = (y - y.mean()) @ np.linalg.solve(kernel, y - y.mean()) / 10
            model = GaussianProcessRegressor(
                ConstantKernel(signal) * RBF(s) + WhiteKernel(v * signal), optimizer=None, alpha=0
            ).fit(x, y - y.mean())
            best[s, v] = model.log_marginal_likelihood_value_
    expected = max(best, key=best.__getitem__)
    assert (scale.item(), noise.item()) == pytest.approx(expected, rel=1e-6)


def test_zero_shot_does_not_look_at_the_support_set():
    episodes = episodes_of("regression")
    learner = make_learner("no-adaptation", episodes.problem).meta_fit(episodes, 3)
    a, b = episodes.draw(2), episodes.draw(2)
    outputs = [learner.adapt(s.support_x, s.support_y)(a.query_x).output for s in (a, b)]
    assert torch.equal(*outputs)


def test_zero_shot_learns_what_tasks_share():
    """The mean of A sin(x - phase) over the tasks of the paper: E[A] = 2.55, E[sin(x - phase)] = -2 cos(x) / pi."""
    episodes = episodes_of("regression")
    learner = make_learner("no-adaptation", episodes.problem, learning_rate=5e-3, tasks_per_batch=100)
    learner.meta_fit(episodes, 300)
    x = torch.linspace(-4, 4, 30)[:, None]
    predicted = learner.adapt(torch.zeros(1, 1), torch.zeros(1))(x).output
    assert (predicted + 2.55 * 2 / np.pi * x[:, 0].cos()).abs().mean() < 0.25
