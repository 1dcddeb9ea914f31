"""Baselines that learn from the training tasks, against known laws and scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from sklearn.linear_model import Ridge
from toy_problems import blobs, sines

from metaenv.supervised.baselines.mean_ridge import FIRST_UPDATES, RidgeToMean, towards
from metaenv.supervised.baselines.meta_gp import MetaGP
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import Episodes, frozen_episodes
from metaenv.supervised.data.problem import Problem
from metaenv.supervised.evaluation import evaluate
from metaenv.supervised.learner import LearnerConfig
from metaenv.supervised.registry import make_learner

WITHIN, BETWEEN = np.array([[1.0, 0.6, 0.0], [0.6, 1.0, 0.0], [0.0, 0.0, 4.0]]), np.diag([1.0, 9.0, 1.0])


def gaussian_classes(n: int = 2_000, size: int = 12) -> Dataset:
    """Classes with normal centres and one covariance within, as the model of the projection has them."""
    rng = np.random.default_rng(0)
    centres = rng.multivariate_normal([3.0, 0.0, -2.0], BETWEEN, size=n)
    x = np.repeat(centres, size, axis=0) + rng.multivariate_normal(np.zeros(3), WITHIN, size=n * size)
    return Dataset(x, np.repeat(np.arange(n), size))


def posterior(support: np.ndarray, query: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Log density of queries (queries, 3) given samples (n, 3) of their class, by textbook formulas."""
    gain = BETWEEN @ np.linalg.inv(BETWEEN + WITHIN / len(support))
    centre = middle + gain @ (support.mean(0) - middle)
    return multivariate_normal(centre, WITHIN + BETWEEN - gain @ BETWEEN).logpdf(query)


def test_the_projection_finds_the_law_of_gaussian_classes():
    episodes = Episodes(gaussian_classes(), 4, 6, n_way=5)
    learner = make_learner("linear-projection", episodes.problem, scale="none", shrinkage=0.0).meta_fit(episodes, 60)
    batch = episodes.draw(1)
    x, y, q = batch.support_x[0].numpy(), batch.support_y[0].numpy(), batch.query_x[0].numpy()
    middle = x.mean(0)
    expected = np.stack([posterior(x[y == c], q, middle) for c in range(5)], 1)
    expected -= np.log(np.exp(expected).sum(1, keepdims=True))
    found = learner.adapt(x, y)(q).output.log_softmax(-1).numpy()
    likely = expected > -6
    assert np.abs(found - expected)[likely].max() < 0.35


def test_variance_within_classes_is_taken_off_that_of_their_means():
    """With two samples of a class its mean is spread by half of the variance within; the law has none of that."""
    episodes = Episodes(gaussian_classes(), 1, 1, n_way=5)
    settings = {"scale": "none", "shrinkage": 0.0, "tasks_per_batch": 100}
    learner = make_learner("linear-projection", episodes.problem, **settings).meta_fit(episodes, 60)
    found = np.sort(learner._solution().variance.numpy())
    expected = np.sort(np.linalg.eigvals(np.linalg.solve(WITHIN, BETWEEN)).real)
    np.testing.assert_allclose(found, expected, rtol=0.15, atol=0.05)


def test_shrinkage_does_not_depend_on_the_unit_of_the_features():
    learned = gaussian_classes(400)
    found = []
    for unit in (1.0, 10.0):
        episodes = Episodes(Dataset(unit * np.asarray(learned.x), learned.y), 4, 6, n_way=5, seed=0)
        learner = make_learner("linear-projection", episodes.problem, scale="none", shrinkage=0.5)
        found.append(np.sort(learner.meta_fit(episodes, 20)._solution().variance.numpy()))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3)


def test_the_projection_scores_anomalies_by_the_likelihood_ratio():
    episodes = Episodes(gaussian_classes(), 4, 6, kind="anomaly")
    settings = {"scale": "none", "shrinkage": 0.0, "tasks_per_batch": 100}
    learner = make_learner("linear-projection", episodes.problem, **settings).meta_fit(episodes, 60)
    batch = episodes.draw(1)
    x, q = batch.support_x[0].numpy(), batch.query_x[0].numpy()
    prior = multivariate_normal([3.0, 0.0, -2.0], BETWEEN + WITHIN)
    expected = prior.logpdf(q) - posterior(x, q, np.array([3.0, 0.0, -2.0]))
    found = learner.adapt(x, np.zeros(4, int))(q).output.numpy()
    likely = expected < 6
    assert np.abs(found - expected)[likely].max() < 0.5


def test_the_projection_ignores_what_tells_no_class():
    """Four of six features are noise, as the training classes show; few samples alone do not."""
    parts = blobs(60, noise=0.3).split_by_class({"train": 0.7, "test": 0.3}, np.random.default_rng(0))
    train, test = (Episodes(parts[name], 2, 6, n_way=3) for name in ("train", "test"))
    learners = {n: make_learner(n, train.problem).meta_fit(train, 20) for n in ("linear-projection", "lda")}
    report = evaluate(learners, frozen_episodes(test, 200))
    assert report.difference("linear-projection", "lda", "accuracy").low > 0.1


def test_more_features_than_components_are_reduced():
    episodes = Episodes(blobs(), 5, 6, n_way=3)
    learner = make_learner("linear-projection", episodes.problem, components=4).meta_fit(episodes, 5)
    assert learner.network.within.shape == (4, 4)
    batch = episodes.draw(2)
    assert learner.adapt(batch.support_x, batch.support_y)(batch.query_x).output.shape == (2, 18, 3)


@pytest.mark.parametrize("name", ["linear-projection", "ridge-to-mean"])
def test_what_has_not_been_trained_says_so(name: str):
    problem = Problem("classification", (1,), 2) if name == "linear-projection" else Problem("regression", (1,))
    with pytest.raises(ValueError, match="call meta_fit"):
        make_learner(name, problem).adapt([[0.0], [1.0]], [0, 1])


def test_ridge_towards_weights_is_ridge_of_the_residual():
    rng = np.random.default_rng(2)
    x, y, mean = rng.normal(size=(2, 8, 3)), rng.normal(size=(2, 8)), rng.normal(size=3)
    found = towards(torch.tensor(mean), torch.tensor(x), torch.tensor(y), 0.7, 0.7).numpy()
    for t in range(2):
        model = Ridge(alpha=0.7, fit_intercept=False).fit(x[t], y[t] - x[t] @ mean)
        np.testing.assert_allclose(found[t, :, 0], mean + model.coef_, rtol=1e-8)
    loose = towards(torch.tensor(mean), torch.tensor(x), torch.tensor(y), 1e9, 1e-9).numpy()
    np.testing.assert_allclose(loose[0, :2, 0], mean[:2], atol=1e-6)
    np.testing.assert_allclose((x[0] @ loose[0])[:, 0].mean() - y[0].mean(), 0, atol=0.5)


def lines(noise: float, offset: float) -> Episodes:
    """Each group is a line with the slopes (2, -1) and a level of its own."""
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(200), 20)
    x = rng.normal(size=(len(group), 2))
    y = x @ np.array([2.0, -1.0]) + offset * rng.normal(size=200)[group] + noise * rng.normal(size=len(group))
    return Episodes(Dataset(x, y, groups=group), 3, 10)


def test_ridge_to_mean_knows_what_all_tasks_share():
    """Levels differ, slopes do not: the slopes are kept, and the level is the mean of three residuals."""
    episodes = lines(noise=0.1, offset=1.0)
    learner = make_learner("ridge-to-mean", episodes.problem, scale="none").meta_fit(episodes, 30)
    mean, of_weights, of_offset = learner._solution()
    np.testing.assert_allclose(mean[:2], [2, -1], atol=0.1)
    assert of_weights >= 1e2 and of_offset <= 0.1
    error = evaluate({"it": learner}, frozen_episodes(episodes, 100)).interval("it", "rmse").estimate
    assert error == pytest.approx(0.1 * np.sqrt(1 + 1 / 3), rel=0.1)


def test_ridge_to_mean_chooses_in_the_middle_until_something_was_tried():
    learner = RidgeToMean(sines().problem, LearnerConfig()).meta_fit(sines(), FIRST_UPDATES)
    assert learner._solution()[1:] == (1e1, 1e1) and not learner.network.errors.any()


def test_meta_gp_is_a_gaussian_process_of_scikit_learn():
    rng = np.random.default_rng(4)
    x, q, y = rng.normal(size=(9, 2)), rng.normal(size=(4, 2)), rng.normal(size=9)
    learner = MetaGP(Problem("regression", (2,)), LearnerConfig(scale="none"))
    process = learner.network
    with torch.no_grad():
        process.mean_weights.copy_(torch.tensor([0.5, -1.0, 2.0]))
        process.log_scales.copy_(torch.tensor([[0.3, 0.3], [0.2, -0.4]]))
        process.log_signals.copy_(torch.tensor([-0.1, 0.4]))
        process.log_noise.fill_(-0.8)
    kernel = (
        ConstantKernel(np.exp(-0.2))
        + ConstantKernel(np.exp(0.6)) * DotProduct(0.0, "fixed")
        + ConstantKernel(np.exp(0.8)) * RBF(np.exp([-0.2, 0.4]))
        + WhiteKernel(np.exp(-1.6) + 1e-6)
    )
    residual = y - x @ [0.5, -1.0] - 2
    model = GaussianProcessRegressor(kernel, optimizer=None, alpha=0).fit(x, residual)
    mean, std = model.predict(q, return_std=True)
    found = learner.adapt(x, y)(q)
    np.testing.assert_allclose(found.output, mean + q @ [0.5, -1.0] + 2, atol=1e-5)
    np.testing.assert_allclose(found.std, std, rtol=1e-5)
    likelihood = process.log_likelihood(torch.tensor(x)[None], torch.tensor(y)[None]).item()
    assert likelihood == pytest.approx(model.log_marginal_likelihood_value_, rel=1e-6)


def test_meta_gp_learns_what_tasks_share():
    episodes = lines(noise=0.1, offset=5.0)
    learner = make_learner("meta-gp", episodes.problem, learning_rate=0.05, lr_decay="linear").meta_fit(episodes, 150)
    test = frozen_episodes(episodes, 100)
    alone = make_learner("gp", episodes.problem).meta_fit(episodes, 0)
    report = evaluate({"meta-gp": learner, "gp": alone}, test)
    assert report.interval("meta-gp", "rmse").estimate == pytest.approx(0.1 * np.sqrt(1 + 1 / 3), rel=0.15)
    assert report.difference("gp", "meta-gp", "rmse").low > 0.5
