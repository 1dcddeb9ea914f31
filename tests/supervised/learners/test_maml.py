import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_problems import episodes_of, sines

from metaenv.supervised.data.problem import Problem
from metaenv.supervised.data.sinusoid import PAPER
from metaenv.supervised.learners.maml import MAML, MAMLConfig


class Line(torch.nn.Module):
    """y = w x: the features are x itself, the head has the one weight."""

    def forward(self, x):
        return x


def line(**settings):
    """MAML of y = w x + b from w = 0.5, b = 0, without scaling."""
    learner = MAML(
        Problem("regression", (1,)),
        MAMLConfig(scale="none", **{"engine": "vmap", "inner_steps": 1, **settings}),
        backbone=Line(),
    )
    head = learner.network.body[1]
    with torch.no_grad():
        head.weight.fill_(0.5)
        head.bias.zero_()
    return learner


def meta_gradient(learner, batch):
    weights = list(learner.network.body.parameters())
    return torch.autograd.grad(learner._meta_loss(learner.scaling.batch(batch)).mean(), weights, allow_unused=True)


def one_sample_batch():
    """One task: support (x, y) = (2, 3), query (1, 4)."""
    batch = sines(n_shot=1, n_query=1).draw(1)
    for tensor, value in (
        (batch.support_x, 2.0),
        (batch.support_y, 3.0),
        (batch.query_x, 1.0),
        (batch.query_y, 4.0),
    ):
        tensor.fill_(value)
    return batch


def test_gradients_by_hand():
    """Support residual r = 2 w + b - 3 = -2; gradient (2 r x, 2 r) = (-8, -4); at rate 0.1: w = 1.3, b = 0.4.

    Query residual s = w' + b' - 4 = -2.3, d loss = 2 s (dw' + db'). With second derivatives
    dw'/dw = 1 - 0.2 x^2 = 0.2, db'/dw = -0.2 x = -0.4, dw'/db = -0.4, db'/db = 1 - 0.2 = 0.8.
    """
    batch = one_sample_batch()
    second = meta_gradient(line(inner_lr=0.1), batch)
    assert second[0].item() == pytest.approx(2 * -2.3 * (0.2 - 0.4), rel=1e-5)
    assert second[1].item() == pytest.approx(2 * -2.3 * (-0.4 + 0.8), rel=1e-5)
    first = meta_gradient(line(inner_lr=0.1, first_order=True), batch)
    assert [g.item() for g in first] == pytest.approx([-4.6, -4.6], rel=1e-5)


def test_adapting_takes_the_steps_by_hand():
    learner = line(inner_lr=0.1)
    predictor = learner.adapt(torch.tensor([[2.0]]), torch.tensor([3.0]))
    assert predictor(torch.tensor([[1.0], [0.0]])).output.tolist() == pytest.approx([1.7, 0.4], rel=1e-5)
    learner.test_steps = 0
    assert learner.adapt(torch.tensor([[2.0]]), torch.tensor([3.0]))(torch.tensor([[1.0]])).output.item() == 0.5


@pytest.mark.parametrize("kind", ["regression", "classification", "anomaly"])
@pytest.mark.parametrize("settings", [{}, {"first_order": True}, {"anil": True}, {"learn_rates": True}])
def test_engines_agree(kind, settings):
    episodes = episodes_of(kind)
    batch = episodes.draw(11)
    learner = MAML(episodes.problem, MAMLConfig(inner_steps=2, inner_lr=0.1, sizes=(8, 8), **settings))
    batch = learner.scaling.batch(batch)
    losses, gradients, predictions = {}, {}, {}
    for engine in ("vmap", "loop"):
        learner.config = replace(learner.config, engine=engine)
        losses[engine] = learner._meta_loss(batch)
        gradients[engine] = torch.autograd.grad(losses[engine].mean(), list(learner.network.parameters()))
        predictions[engine] = learner.adapt(batch.support_x, batch.support_y)(batch.query_x).output
    torch.testing.assert_close(losses["loop"], losses["vmap"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(predictions["loop"], predictions["vmap"], rtol=1e-3, atol=1e-4)
    for a, b in zip(gradients["loop"], gradients["vmap"], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_second_order_gradient_against_finite_differences():
    episodes = sines()
    learner = MAML(episodes.problem, MAMLConfig(inner_steps=2, inner_lr=0.05, sizes=(6,), scale="none", engine="vmap"))
    learner.network.double()
    batch = episodes.draw(3)
    data = [t.double() for t in (batch.support_x, batch.support_y, batch.query_x, batch.query_y)]

    def loss():
        batched = type(batch)(batch.problem, *data, batch.task_ids, batch.support_ids, batch.query_ids)
        return learner._meta_loss(batched).mean()

    weight = learner.network.body[0][0].weight
    gradient = torch.autograd.grad(loss(), weight)[0]
    for i in range(6):
        with torch.no_grad():
            weight[i, 0] += 1e-5
            up = loss()
            weight[i, 0] -= 2e-5
            down = loss()
            weight[i, 0] += 1e-5
        assert gradient[i, 0].item() == pytest.approx(((up - down) / 2e-5).item(), rel=1e-4, abs=1e-7)


def test_anil_adapts_the_head_only():
    episodes = sines()
    learner = MAML(episodes.problem, MAMLConfig(anil=True, sizes=(8, 8)))
    assert learner.network.adapting == ["1.weight", "1.bias"]
    everything = MAML(episodes.problem, MAMLConfig(sizes=(8, 8)))
    assert len(everything.network.adapting) == 6


def test_learned_rates_are_learned():
    episodes = sines()
    learner = MAML(episodes.problem, MAMLConfig(learn_rates=True, inner_lr=0.01, engine="vmap")).meta_fit(episodes, 3)
    rates = torch.cat([r.flatten() for r in learner.network.rates().values()])
    assert len(rates) == sum(p.numel() for p in learner.network.body.parameters())
    assert len(rates.unique()) > 100 and rates.mean().item() == pytest.approx(0.01, abs=5e-3)


@pytest.mark.parametrize(("slow", "fast"), [("vmap", "loop"), ("loop", "vmap")])
def test_a_timed_engine_is_the_faster_one_and_stays_so(slow, fast, monkeypatch, tmp_path):
    plain = MAML._meta_loss

    def delayed(self, batch):
        time.sleep(0.2 * (self.config.engine == slow))
        return plain(self, batch)

    monkeypatch.setattr(MAML, "_meta_loss", delayed)
    learners = {e: MAML(sines().problem, MAMLConfig(sizes=(6,), tasks_per_batch=2, engine=e)) for e in ("timed", fast)}
    support = sines().draw(1)
    learners["timed"].adapt(support.support_x, support.support_y)  # without training, too
    for learner in learners.values():
        learner.meta_fit(sines(), 3)
    timed = learners["timed"]
    assert timed.config.engine == fast
    for name, weights in timed.network.state_dict().items():
        assert torch.equal(weights, learners[fast].network.state_dict()[name])
    timed.save(tmp_path / "it.pt")
    assert MAML.load(tmp_path / "it.pt").config.engine == fast


def test_unknown_engines_are_refused():
    with pytest.raises(ValueError, match="expected an engine among vmap, loop, compiled, timed, got 'auto'"):
        MAML(sines().problem, MAMLConfig(engine="auto"))  # type: ignore[arg-type]


def test_a_loss_that_is_not_finite_leaves_the_weights_alone():
    episodes = sines()
    learner = MAML(episodes.problem, MAMLConfig(inner_lr=1e30, inner_steps=3, engine="vmap", sizes=(8, 8)))
    before = {k: v.clone() for k, v in learner.network.state_dict().items()}
    learner.meta_fit(episodes, 2)
    assert learner.skipped == 2
    assert all(torch.equal(v, before[k]) for k, v in learner.network.state_dict().items())
    with pytest.raises(FloatingPointError, match="100 meta-updates in a row"):
        learner.meta_fit(episodes, 200)


def test_a_batch_is_faster_than_a_loop():
    episodes = sines()
    learner = MAML(episodes.problem, MAMLConfig(**PAPER))
    batch = episodes.draw(25)
    parameters = list(learner.network.parameters())

    def seconds(engine):
        learner.config = replace(learner.config, engine=engine)
        start = time.process_time()
        torch.autograd.grad(learner._meta_loss(batch).mean(), parameters)
        return time.process_time() - start

    for engine in ("loop", "vmap"):
        seconds(engine)  # warms up
    ratio = [seconds("loop") / seconds("vmap") for _ in range(5)]
    assert np.median(ratio) > 3  # 7 on an idle core


@pytest.mark.parametrize("settings", [{}, {"learn_rates": True}])
def test_gradients_for_the_compiled_update_are_cut_where_they_are_long_and_left_where_they_are_short(settings):
    """The function that is compiled, played without compiling it."""
    episodes = sines()
    learner = MAML(episodes.problem, MAMLConfig(sizes=(8,), engine="vmap", **settings))
    batch = learner.scaling.batch(episodes.draw(5))
    weights, rates = learner.network.weights(), learner.network.rates()
    parameters = [*weights.values(), *rates.values()]
    whole = torch.autograd.grad(learner._meta_loss(batch).mean(), parameters)
    norm = torch.cat([g.flatten() for g in whole]).norm().item()
    data = (batch.support_x, batch.support_y, batch.query_x, batch.query_y)
    for limit, share in ((1e3 * norm, 1.0), (0.5 * norm, 0.5)):
        learner.config = replace(learner.config, max_grad_norm=limit)
        found, _, found_norm = learner._clipped_gradients(weights, rates, *data)
        assert found_norm.item() == pytest.approx(norm, rel=1e-4)
        for gradient, expected in zip(found, whole, strict=True):
            torch.testing.assert_close(gradient, share * expected, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("max_grad_norm", [0.5, 1e3])
def test_compiled_updates_are_the_same_updates(max_grad_norm):
    """Half a minute to compile; all gradients are long enough to be cut, or none is."""
    runs = {}
    for engine in ("vmap", "compiled"):
        episodes = sines()
        config = MAMLConfig(**PAPER, max_grad_norm=max_grad_norm, engine=engine)
        runs[engine] = MAML(episodes.problem, config).meta_fit(episodes, 5).network.state_dict()
    for name, value in runs["vmap"].items():
        torch.testing.assert_close(runs["compiled"][name], value, rtol=1e-4, atol=1e-5)
