import pytest
import torch
from toy_problems import sines

from metaenv.supervised.data.problem import Problem
from metaenv.supervised.learners.reptile import Reptile, ReptileConfig, minibatches


def line(**settings):
    """y = w x + b from w = 0.5, b = 0."""
    learner = Reptile(
        Problem("regression", (1,)),
        ReptileConfig(scale="none", lr_decay="none", **settings),
        backbone=torch.nn.Identity(),
    )
    with torch.no_grad():
        learner.network[1].weight.fill_(0.5)
        learner.network[1].bias.zero_()
    return learner


def two_tasks():
    """All samples of task 0 are (2, 3), of task 1 (1, 1)."""
    batch = sines(n_shot=1, n_query=1).draw(2)
    for x, y in ((batch.support_x, batch.support_y), (batch.query_x, batch.query_y)):
        x[0], y[0], x[1], y[1] = 2.0, 3.0, 1.0, 1.0
    return batch


def test_an_update_moves_towards_the_mean_of_the_adapted_weights():
    """Step 0.1 on residuals -2 and -0.5 gives w = 1.3, 0.6 and b = 0.4, 0.1; half the way to their means."""
    learner = line(inner_optimizer="sgd", inner_lr=0.1, inner_steps=1, learning_rate=0.5)
    metrics = learner._update(two_tasks())
    assert learner.network[1].weight.item() == pytest.approx(0.5 + 0.5 * (0.95 - 0.5), rel=1e-5)
    assert learner.network[1].bias.item() == pytest.approx(0.5 * 0.25, rel=1e-5)
    assert metrics["loss"] == pytest.approx((4 + 0.25) / 2, rel=1e-5)


@pytest.mark.parametrize("max_grad_norm", [0.1, 10.0])
def test_the_move_is_clipped_where_it_is_long(max_grad_norm):
    """The mean move is (0.45, 0.25), of length 0.515."""
    learner = line(inner_optimizer="sgd", inner_lr=0.1, inner_steps=1, max_grad_norm=max_grad_norm)
    learner._update(two_tasks())
    share = min(1.0, max_grad_norm / (0.45**2 + 0.25**2) ** 0.5)
    assert learner.network[1].weight.item() == pytest.approx(0.5 + share * 0.45, rel=1e-4)
    assert learner.network[1].bias.item() == pytest.approx(share * 0.25, rel=1e-4)


def test_inner_adam_is_that_of_torch_without_momentum():
    episodes = sines()
    batch = episodes.draw(3)
    config = ReptileConfig(scale="none", sizes=(8,), inner_batch=20, test_steps=6, inner_lr=0.01)
    learner = Reptile(episodes.problem, config)
    predicted = learner.adapt(batch.support_x, batch.support_y)(batch.query_x).output
    for t in range(3):
        network = Reptile(episodes.problem, config).network
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01, betas=(0.0, 0.999))
        for _ in range(6):
            optimizer.zero_grad()
            (network(batch.support_x[t])[:, 0] - batch.support_y[t]).square().mean().backward()
            optimizer.step()
        torch.testing.assert_close(network(batch.query_x[t])[:, 0].detach(), predicted[t], rtol=1e-3, atol=1e-4)


def test_minibatches_walk_through_everything():
    rows = torch.cat(list(minibatches(7, 3, 7, torch.Generator().manual_seed(0))))
    assert rows.shape == (21,)
    assert all(sorted(rows[i : i + 7].tolist()) == list(range(7)) for i in (0, 7, 14))


def test_the_meta_step_falls_to_zero():
    episodes = sines()
    learner = Reptile(episodes.problem, ReptileConfig(sizes=(4,)))
    seen = []
    learner.meta_fit(episodes, 4, callback=lambda *_: seen.append(learner.optimizer.param_groups[0]["lr"]))
    assert seen == pytest.approx([1.0, 0.75, 0.5, 0.25])


def test_features_are_standardised_by_the_support_set_and_in_training_by_the_minibatch():
    """Support 1 and 3 has mean 2 and standard deviation 1, to which 0.1 is added; the head is 0.5 z."""
    learner = line(normalize="support", test_steps=0)
    predictor = learner.adapt(torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 0.0]))
    expected = [0.5 * (x - 2.0) / 1.1 for x in (2.0, 4.2)]
    assert predictor(torch.tensor([[2.0], [4.2]])).output.flatten().tolist() == pytest.approx(expected)
    loss = learner._loss(dict(learner.network.named_parameters()), torch.tensor([[5.0], [9.0]]), torch.zeros(2))
    assert loss.item() == pytest.approx((0.5 * 2 / 2.1) ** 2)
    with pytest.raises(ValueError, match="normalize 'support' or 'none', got 'batch'"):
        line(normalize="batch").adapt(torch.zeros(2, 1), torch.zeros(2))
