import numpy as np
import pytest
import torch

from metaenv.supervised.data.problem import Problem
from metaenv.supervised.learners.matching import FullContext, Matching, MatchingConfig


def on_raw_features(problem, **settings):
    """Cosines of x itself: the linear layer after the backbone is made the identity."""
    config = MatchingConfig(scale="none", sharpness=2.0, **settings)
    learner = Matching(problem, config, backbone=torch.nn.Identity())
    with torch.no_grad():
        linear = learner.network.backbone[1]
        linear.weight.copy_(torch.eye(2))
        linear.bias.zero_()
    return learner


SUPPORT = torch.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 0.0]])
QUERY = torch.tensor([[5.0, 0.0]])  # cosines 1, 0, 1


def test_classes_by_hand():
    predictor = on_raw_features(Problem("classification", (2,), 2)).adapt(SUPPORT, torch.tensor([0, 1, 0]))
    share = 2 * np.exp(2) / (2 * np.exp(2) + 1)
    assert predictor(QUERY).probabilities.tolist() == [pytest.approx([share, 1 - share], rel=1e-5)]


def test_regression_by_hand():
    predictor = on_raw_features(Problem("regression", (2,))).adapt(SUPPORT, torch.tensor([1.0, 5.0, 3.0]))
    expected = (np.exp(2) * (1 + 3) + 5) / (2 * np.exp(2) + 1)
    assert predictor(QUERY).output.item() == pytest.approx(expected, rel=1e-5)


def test_anomaly_score_by_hand():
    predictor = on_raw_features(Problem("anomaly", (2,))).adapt(SUPPORT, torch.zeros(3))
    assert predictor(QUERY).output.item() == pytest.approx(1.0 - np.log((2 * np.exp(2) + 1) / 3), rel=1e-5)
    assert predictor(torch.tensor([[-1.0, -1.0]])).output.item() > predictor(QUERY).output.item()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_full_context_of_queries_against_the_equations():
    """Equations 3 to 6 of the paper in numpy, for one query and two support samples."""
    torch.manual_seed(0)
    context = FullContext(3, reads=2)
    rng = np.random.default_rng(0)
    support, query = rng.normal(size=(2, 3)), rng.normal(size=3)
    cell = context.query_lstm
    w, u = cell.weight_ih.detach().numpy(), cell.weight_hh.detach().numpy()
    b = (cell.bias_ih + cell.bias_hh).detach().numpy()
    h, c = query, np.zeros(3)
    for _ in range(2):
        attention = np.exp(support @ h) / np.exp(support @ h).sum()
        i, f, g, o = np.split(w @ np.concatenate([query, attention @ support]) + u @ h + b, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c) + query
    got = context.of_queries(torch.tensor(query).float()[None, None], torch.tensor(support).float()[None])
    np.testing.assert_allclose(got[0, 0].detach(), h, atol=1e-5)


def test_full_context_of_the_support_sees_all_of_it():
    torch.manual_seed(0)
    context = FullContext(3, reads=1)
    z = torch.randn(1, 5, 3)
    changed = z.clone()
    changed[0, 4] += 1
    assert (context.of_support(z) != context.of_support(changed)).any(-1).all()
