import math

import pytest
import torch
from toy_problems import sines

from metaenv.supervised.data.problem import Problem
from metaenv.supervised.learners.meta_lstm import MetaLSTM, MetaLSTMConfig, UpdateRule, logarithm_and_sign


def fixed(rule, forget_bias, input_bias):
    """Gates that give the same whatever they see."""
    with torch.no_grad():
        for gate, bias in ((rule.forget_gate, forget_bias), (rule.input_gate, input_bias)):
            gate.weight.zero_()
            gate.bias.fill_(bias)
    return rule


@pytest.mark.parametrize("hidden", [0, 7])
def test_a_cell_that_forgets_nothing_is_gradient_descent(hidden):
    rule = fixed(UpdateRule(hidden, 0.5), 100.0, math.log(0.1 / 0.9))
    weights, gradient = torch.tensor([[1.0, -2.0], [0.5, 3.0]]), torch.tensor([[10.0, 1e-6], [-3.0, 0.0]])
    after, _ = rule(weights, gradient, torch.tensor([4.0, 0.1]), rule.start(weights))
    torch.testing.assert_close(after, torch.tensor([[0.0, -2.0000001], [0.8, 3.0]]))


def test_a_learner_with_such_a_cell_is_torch_sgd():
    """Three steps at rate 0.1 on a small network, against torch.optim."""
    episodes = sines()
    learner = MetaLSTM(episodes.problem, MetaLSTMConfig(sizes=(6,), inner_steps=3, scale="none"))
    fixed(learner.network.rule, 100.0, math.log(0.01 / 0.99))
    batch = episodes.draw(2)
    found = learner.adapt(batch.support_x, batch.support_y)(batch.query_x).output
    body = learner.network.body
    optimizer = torch.optim.SGD(body.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        (body(batch.support_x[1])[:, 0] - batch.support_y[1]).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(found[1], body(batch.query_x[1])[:, 0].detach(), rtol=1e-4, atol=1e-4)


def test_with_features_standardised_it_is_torch_sgd_on_such_a_network():
    """Two steps of a learner that forgets nothing, and queries beside the support set, against torch.optim."""
    episodes = sines()
    settings = MetaLSTMConfig(sizes=(6,), inner_steps=2, scale="none", normalize="support")
    learner = MetaLSTM(episodes.problem, settings)
    fixed(learner.network.rule, 100.0, math.log(0.01 / 0.99))
    batch = episodes.draw(2)
    found = learner.adapt(batch.support_x, batch.support_y)(batch.query_x).output
    backbone, head = learner.network.body
    optimizer = torch.optim.SGD([*backbone.parameters(), *head.parameters()], lr=0.01)

    def output(x):
        seen, z = backbone(batch.support_x[1]), backbone(x)
        return head((z - seen.mean(0)) / (seen.std(0, correction=0) + 0.1))[:, 0]

    for _ in range(2):
        optimizer.zero_grad()
        (output(batch.support_x[1]) - batch.support_y[1]).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(found[1], output(batch.query_x[1]).detach(), rtol=1e-4, atol=1e-4)


def test_forgetting_shrinks_weights_by_hand():
    rule = fixed(UpdateRule(3, 0.5), math.log(0.8 / 0.2), math.log(0.25 / 0.75))
    weights = torch.tensor([[2.0]])
    after, _ = rule(weights, torch.tensor([[4.0]]), torch.tensor([1.0]), rule.start(weights))
    assert after.item() == pytest.approx(0.8 * 2.0 - 0.25 * 4.0)


def test_gates_see_the_weight_and_their_own_last_value():
    """Without the LSTM below: sigma of w . [gradient, loss, weight, last gate] + b, by hand for two steps."""
    rule = UpdateRule(0, 0.5)
    with torch.no_grad():
        rule.forget_gate.weight.copy_(torch.tensor([[0.0, 0.0, 0.0, 0.0, 1.0, 2.0]]))
        rule.forget_gate.bias.fill_(-1.0)
        rule.input_gate.weight.copy_(torch.tensor([[0.0, 0.5, 1.0, 0.0, 0.0, 0.0]]))  # sign of g, log of the loss
        rule.input_gate.bias.zero_()
    w, gradient, loss = torch.tensor([[1.5]]), torch.tensor([[-2.0]]), torch.tensor([math.e])
    state = rule.start(w)
    f = i = 0.0
    expected = 1.5
    for _ in range(2):
        f = 1 / (1 + math.exp(-(expected + 2 * f - 1)))
        i = 1 / (1 + math.exp(-(-0.5 + 0.1)))
        expected = f * expected + i * 2.0
        w, state = rule(w, gradient, loss, state)
        assert w.item() == pytest.approx(expected, rel=1e-5)


def test_numbers_are_scaled_as_in_the_appendix():
    x = torch.tensor([math.e**2, -math.exp(-5), 0.0, 1e-6])
    expected = [[0.2, 1.0], [-0.5, -1.0], [-1.0, 0.0], [-1.0, 1e-6 * math.exp(10)]]
    torch.testing.assert_close(torch.stack(logarithm_and_sign(x), -1), torch.tensor(expected))


def test_gates_start_at_keeping_weights_and_at_the_first_learning_rate():
    rule = UpdateRule(20, 0.1)
    w = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    _, (i, f, _, _) = rule(w, 0.1 * w, torch.ones(3), rule.start(w))
    assert (f > 0.99).all() and ((i > 0.09) & (i < 0.11)).all()


def test_gradients_are_constants_to_the_meta_learner():
    """y = w x + b, one step, f = 1: dL/dw_0 = dL/dw_1, which second derivatives would change."""
    learner = MetaLSTM(
        Problem("regression", (1,)), MetaLSTMConfig(scale="none", inner_steps=1), backbone=torch.nn.Identity()
    )
    fixed(learner.network.rule, 100.0, math.log(0.1 / 0.9))
    head = learner.network.body[1]
    with torch.no_grad():
        head.weight.fill_(0.5)
        head.bias.zero_()
    batch = sines(n_shot=1, n_query=1).draw(1)
    for tensor, value in ((batch.support_x, 2.0), (batch.support_y, 3.0), (batch.query_x, 1.0), (batch.query_y, 4.0)):
        tensor.fill_(value)
    gradient = torch.autograd.grad(learner._meta_loss(batch).mean(), [head.weight, head.bias])
    # As in test_maml's first-order case: w_1 = 1.3, b_1 = 0.4, residual -2.3.
    assert [g.item() for g in gradient] == pytest.approx([-4.6, -4.6], rel=1e-4)


def test_frozen_weights_stay_and_bad_settings_are_refused():
    backbone = torch.nn.Linear(1, 4)
    backbone.requires_grad_(False)
    learner = MetaLSTM(sines().problem, backbone=backbone)
    assert learner.network.flat().shape == (4 + 1,)
    before = backbone.weight.clone()
    learner.meta_fit(sines(), 2)
    assert torch.equal(backbone.weight, before)
    with pytest.raises(ValueError, match="first_lr strictly between 0 and 1, got 1"):
        MetaLSTM(sines().problem, MetaLSTMConfig(first_lr=1.0))
