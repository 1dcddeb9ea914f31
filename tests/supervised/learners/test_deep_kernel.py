import sys

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, Matern, WhiteKernel
from toy_problems import sines

from metaenv.supervised.data.problem import Problem
from metaenv.supervised.registry import make_learner

gpytorch = pytest.importorskip("gpytorch")
KERNELS = ["rbf", "matern", "linear", "cosine", "spectral"]


def on_raw_features(problem, **settings):
    return make_learner("deep-kernel", problem, backbone=torch.nn.Identity(), scale="none", **settings)


def data(n, seed=0, d=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)).astype(np.float32)
    return x, np.sin(2 * x[:, 0]) + 0.1 * rng.normal(size=n)


@pytest.mark.parametrize("name", ["rbf", "matern", "linear"])
def test_regression_against_scikit_learn(name):
    learner = on_raw_features(Problem("regression", (2,)), kernel=name, noise=0.05)
    kernel = learner.network.kernel
    if name == "linear":
        kernel.variance = 0.7
        theirs = 0.7 * DotProduct(0.0, "fixed")
    else:
        kernel.outputscale, kernel.base_kernel.lengthscale = 1.7, 0.6
        theirs = ConstantKernel(1.7) * (RBF(0.6) if name == "rbf" else Matern(0.6, nu=2.5))
    (x, y), (query, _) = data(12), data(5, 1)
    mean, std = (
        GaussianProcessRegressor(theirs + WhiteKernel(0.05), optimizer=None).fit(x, y).predict(query, return_std=True)
    )
    found = learner.adapt(x, y)(query)
    np.testing.assert_allclose(found.output, mean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.std, std, rtol=1e-4)


def test_one_sample_by_hand():
    """k = exp(-d^2 / 2) for unit scales: prior 1 + 0.25 of noise, one measurement 3 at distance 1, mean 1."""
    learner = on_raw_features(Problem("regression", (1,)), noise=0.25)
    learner.network.kernel.outputscale, learner.network.kernel.base_kernel.lengthscale = 1.0, 1.0
    with torch.no_grad():
        learner.network.mean.constant.fill_(1.0)
    k = np.exp(-0.5)
    found = learner.adapt([[0.0]], [3.0])([[1.0]])
    assert found.output.item() == pytest.approx(1 + k * 2 / 1.25, rel=1e-5)
    assert found.std.item() == pytest.approx(np.sqrt(1.25 - k**2 / 1.25), rel=1e-5)


@pytest.mark.parametrize("name", KERNELS)
def test_the_loss_is_minus_the_marginal_likelihood(name):
    """Against scipy's normal density, with the covariance that GPyTorch gives for one task."""
    episodes = sines(n_shot=3, n_query=4)
    batch = episodes.draw(2)
    learner = make_learner("deep-kernel", episodes.problem, kernel=name, scale="none", sizes=(8,))
    x, y = torch.cat([batch.support_x, batch.query_x], 1), torch.cat([batch.support_y, batch.query_y], 1)
    with torch.no_grad():
        loss, z = learner._meta_loss(batch), learner._embed(x)[1]
        z = torch.nn.functional.normalize(z, dim=-1) if name == "cosine" else z
        covariance = learner.network.kernel(z).to_dense().double().numpy() + 0.1 * np.eye(7)
    expected = -multivariate_normal(np.zeros(7), covariance).logpdf(y[1].numpy()) / 7
    assert loss[1].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", KERNELS)
def test_posterior_against_gpytorch(name):
    """GPyTorch's own exact inference, for one task."""

    class Exact(gpytorch.models.ExactGP):
        def __init__(self, x, y, process):
            super().__init__(x, y, process.likelihood)
            self.mean, self.kernel = process.mean, process.kernel

        def forward(self, x):
            return gpytorch.distributions.MultivariateNormal(self.mean(x), self.kernel(x))

    learner = on_raw_features(Problem("regression", (2,)), kernel=name, noise=0.2)
    (x, y), (query, _) = data(8), data(5, 1)
    if name == "cosine":
        x, query = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, query))
    exact = Exact(torch.tensor(x), torch.tensor(y).float(), learner.network).eval()
    with torch.no_grad():
        theirs = learner.network.likelihood.eval()(exact(torch.tensor(query)))
    found = learner.adapt(x, y)(query)
    np.testing.assert_allclose(found.output, theirs.mean, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.std, theirs.stddev, rtol=1e-3)


def test_classes_are_told_one_from_the_rest():
    """Logits 2 m / s^2 of three regressions of 1 and -1, by scikit-learn."""
    learner = on_raw_features(Problem("classification", (2,), 3), kernel="rbf", noise=0.3)
    learner.network.kernel.outputscale, learner.network.kernel.base_kernel.lengthscale = 1.0, 1.0
    (x, _), (query, _) = data(9), data(5, 1)
    y = np.arange(9) % 3
    expected = []
    for label in range(3):
        process = GaussianProcessRegressor(RBF(1.0) + WhiteKernel(0.3), optimizer=None)
        mean, std = process.fit(x, np.where(y == label, 1.0, -1.0)).predict(query, return_std=True)
        expected.append(2 * mean / std**2)
    np.testing.assert_allclose(learner.adapt(x, y)(query).output, np.stack(expected, -1), rtol=1e-3, atol=1e-4)


def test_fewer_and_more_classes_than_trained_on():
    learner = on_raw_features(Problem("classification", (2,), 3))
    x, _ = data(8)
    for ways in (2, 4):
        assert learner.adapt(x, np.arange(8) % ways)(x).output.shape == (8, ways)


def test_the_noise_is_learned():
    """Sines have none: it falls, and standard deviations are small where the support set is."""
    train = sines()
    learner = make_learner("deep-kernel", train.problem, learning_rate=1e-2, sizes=(32, 32)).meta_fit(train, 100)
    assert learner.network.likelihood.noise.item() < 0.05
    far = torch.tensor([[50.0]])
    batch = train.draw(1)
    predictor = learner.adapt(batch.support_x[0], batch.support_y[0])
    assert predictor(batch.support_x[0]).std.mean() < predictor(far).std.item()


def test_without_gpytorch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gpytorch", None)
    with pytest.raises(ImportError, match="pip install"):
        make_learner("deep-kernel", Problem("regression", (1,)))


def test_an_unknown_kernel_is_refused():
    with pytest.raises(ValueError, match="expected a kernel among"):
        make_learner("deep-kernel", Problem("regression", (1,)), kernel="cubic")
