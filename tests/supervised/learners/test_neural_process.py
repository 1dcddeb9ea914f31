import numpy as np
import pytest
import torch
from scipy.stats import norm
from toy_problems import blobs, episodes_of, sines

from metaenv.supervised.data.episodes import Episodes, frozen_episodes
from metaenv.supervised.evaluation import evaluate
from metaenv.supervised.learners.neural_process import negative_log_density
from metaenv.supervised.learners.transformer_process import AttentionLayer
from metaenv.supervised.predictor import Prediction
from metaenv.supervised.registry import make_learner

BOTH = ("neural-process", "transformer-process")


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("kind", ["regression", "classification", "anomaly"])
def test_the_order_of_the_support_set_does_not_matter(name: str, kind):
    episodes = episodes_of(kind)
    learner = make_learner(name, episodes.problem).meta_fit(episodes, 3)
    batch = episodes.draw(2)
    forth = learner.adapt(batch.support_x, batch.support_y)(batch.query_x)
    back = learner.adapt(batch.support_x.flip(1), batch.support_y.flip(1))(batch.query_x)
    torch.testing.assert_close(forth.output, back.output, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BOTH)
def test_training_lowers_minus_the_log_density(name: str):
    train = sines()
    learner = make_learner(name, train.problem, scale="none", beta=0.0)
    batch = train.draw(3)
    found = learner.adapt(batch.support_x, batch.support_y)(batch.query_x)
    expected = -norm(found.output, found.std).logpdf(batch.query_y).mean(1)
    np.testing.assert_allclose(learner._meta_loss(batch).detach(), expected, rtol=1e-4)


def test_with_beta_one_the_mean_has_the_gradient_of_the_squared_error():
    mean, std, y = torch.randn(2, 5, requires_grad=True), torch.rand(2, 5) + 0.1, torch.randn(2, 5)
    negative_log_density(Prediction(mean, std), y, 1.0).sum().backward()
    torch.testing.assert_close(mean.grad, ((mean - y) / 5).detach())


@pytest.mark.parametrize("name", BOTH)
def test_its_standard_deviations_mean_something(name: str):
    train = sines(n_shot=10)
    small = {"layers": 2, "width": 32} if name == "transformer-process" else {}
    learner = make_learner(name, train.problem, learning_rate=3e-3, lr_decay="linear", **small).meta_fit(train, 150)
    test = frozen_episodes(sines("test", seed=9, n_shot=10), 200)
    report = evaluate({"it": learner}, test)
    mean = norm(0, np.sqrt(report.interval("it", "mse").estimate))
    assert report.interval("it", "nll").estimate < mean.entropy(), "better than the best constant deviation"
    assert 0.8 < report.interval("it", "coverage").estimate < 0.98


def test_a_neural_process_takes_other_numbers_of_classes():
    train = Episodes(blobs(), 5, 6, n_way=3)
    learner = make_learner("neural-process", train.problem).meta_fit(train, 2)
    batch = Episodes(blobs(), 2, 4, n_way=5).draw(2)
    assert learner.adapt(batch.support_x, batch.support_y)(batch.query_x).output.shape == (2, 20, 5)


def test_classes_of_a_neural_process_are_interchangeable():
    train = Episodes(blobs(), 5, 6, n_way=3)
    learner = make_learner("neural-process", train.problem).meta_fit(train, 2)
    batch = train.draw(2)
    found = learner.adapt(batch.support_x, batch.support_y)(batch.query_x).output
    turned = learner.adapt(batch.support_x, (batch.support_y + 1) % 3)(batch.query_x).output
    torch.testing.assert_close(turned.roll(-1, -1), found, rtol=1e-4, atol=1e-5)


def test_attention_is_that_of_torch():
    layer = AttentionLayer(8, 2, 16)
    reference = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key_value.weight]))
        reference.in_proj_bias.copy_(torch.cat([layer.query.bias, layer.key_value.bias]))
        reference.out_proj.weight.copy_(layer.out.weight)
        reference.out_proj.bias.copy_(layer.out.bias)
    tokens, others = torch.randn(3, 5, 8), torch.randn(3, 7, 8)
    read, _ = reference(layer.before(tokens), layer.before(others), layer.before(others))
    expected = tokens + read
    expected = expected + layer.network(layer.after(expected))
    torch.testing.assert_close(layer(tokens, others), expected)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="multiple of the heads"):
        make_learner("transformer-process", sines().problem, width=30, heads=4)
