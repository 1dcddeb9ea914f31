"""What every learner must do: run over the registry, so that a new one is tested by being in it."""

import numpy as np
import pytest
import torch
from torch import nn
from toy_problems import blobs, episodes_of, sines

from metaenv.supervised.data.episodes import Episodes, frozen_episodes
from metaenv.supervised.data.problem import Problem
from metaenv.supervised.evaluation import evaluate
from metaenv.supervised.registry import BASELINES, LEARNERS, learner_class, make_learner

QUICK = {
    "maml": {"engine": "vmap", "inner_lr": 0.2, "inner_steps": 3},
    "mann": {"slots": 20, "heads": 1, "controller": 64},
    "matching": {"reads": 2},
    "reptile": {"test_steps": 20, "inner_lr": 0.02},
    "transformer-process": {"width": 32, "layers": 2},
    "snail": {"embedding": 24, "filters": 16, "keys": (16, 16), "values": (16, 16), "span": 16},
}
"""Settings for the small families here, where the defaults are for others."""
VARIANTS = {
    "matching-fce": ("matching", {"full_context": True}),
    "meta-lstm-support": ("meta-lstm", {"normalize": "support"}),
    "reptile-support": ("reptile", {"normalize": "support"}),
}
ALL = [*LEARNERS, *BASELINES, *VARIANTS]


def build(name, problem, **more):
    base, settings = VARIANTS.get(name, (name, {}))
    return make_learner(base, problem, **{**QUICK.get(base, {}), "sizes": (32, 32), **settings, **more})


def kinds_of(name):
    return learner_class(VARIANTS.get(name, (name,))[0]).kinds


CASES = [(name, kind) for name in ALL for kind in kinds_of(name)]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(case))
def case(request):
    """A learner that no test trains further or changes."""
    name, kind = request.param
    episodes = episodes_of(kind)
    return name, episodes, build(name, episodes.problem).meta_fit(episodes, 5), episodes.draw(4)


def test_shapes_and_numbers(case):
    _, episodes, learner, batch = case
    prediction = learner.adapt(batch.support_x, batch.support_y)(batch.query_x)
    ways = episodes.problem.n_classes
    assert prediction.output.shape == ((*batch.query_y.shape, ways) if ways else batch.query_y.shape)
    assert torch.isfinite(prediction.output).all() and not prediction.output.requires_grad
    if prediction.std is not None:
        assert prediction.std.shape == batch.query_y.shape and (prediction.std > 0).all()


def test_queries_do_not_see_each_other(case):
    _, _, learner, batch = case
    predictor = learner.adapt(batch.support_x, batch.support_y)
    together = predictor(batch.query_x)
    for i in (0, 3):
        alone = predictor(batch.query_x[:, i : i + 1])
        torch.testing.assert_close(alone.output, together.output[:, i : i + 1], rtol=1e-4, atol=1e-4)
    backwards = predictor(batch.query_x.flip(1)).output.flip(1)
    torch.testing.assert_close(backwards, together.output, rtol=1e-4, atol=1e-4)


def test_tasks_do_not_see_each_other_and_one_may_come_alone(case):
    _, _, learner, batch = case
    together = learner.adapt(batch.support_x, batch.support_y)(batch.query_x).output
    alone = learner.adapt(batch.support_x[2].numpy(), batch.support_y[2].tolist())(batch.query_x[2]).output
    torch.testing.assert_close(alone, together[2], rtol=1e-4, atol=1e-4)


def test_labels_may_be_names_that_differ_from_task_to_task(case):
    _, _, learner, batch = case
    x, y, q = batch.support_x, batch.support_y, batch.query_x
    by_number = learner.adapt(x, y)
    if batch.n_classes is None:
        assert by_number.classes is None and by_number(q).classes is None
        with pytest.raises(ValueError, match="need a classification"):
            _ = by_number(q).names
        return
    called = np.array([[f"{task} {'cab'[k]}" for k in range(batch.n_classes)] for task in range(len(y))])
    place = np.argsort(called, axis=1)  # where each name stands in sorted order
    sorted_labels = torch.from_numpy(np.take_along_axis(np.argsort(place, axis=1), y.numpy(), 1))
    names = np.take_along_axis(called, y.numpy(), 1)
    expected = learner.adapt(x, sorted_labels)(q)
    predictor = learner.adapt(x, names)
    assert torch.equal(predictor(q).output, expected.output)
    assert predictor.classes.tolist() == np.sort(called, axis=1).tolist()
    assert (predictor(q).names == np.take_along_axis(predictor.classes, expected.labels.numpy(), 1)).all()
    assert torch.equal(predictor.predict_proba(q), expected.probabilities)
    assert by_number.classes.tolist() == [list(range(batch.n_classes))] * len(y)
    assert (by_number(q).names == by_number(q).labels.numpy()).all()
    alone = learner.adapt(x[1], names[1].tolist())
    assert alone.classes.tolist() == predictor.classes[1].tolist() and alone(q[1]).names.shape == q.shape[1:2]


def test_adapting_changes_nothing_and_repeats(case):
    _, _, learner, batch = case
    before = {k: v.clone() for k, v in learner.network.state_dict().items()}
    first = learner.adapt(batch.support_x, batch.support_y)
    second = learner.adapt(batch.support_x, batch.support_y)
    assert torch.equal(first(batch.query_x).output, second(batch.query_x).output)
    assert all(torch.equal(v, before[k]) for k, v in learner.network.state_dict().items())


def test_saved_and_loaded_it_predicts_the_same(case, tmp_path):
    _, _, learner, batch = case
    learner.save(tmp_path / "learner")
    again = type(learner).load(tmp_path / "learner")
    expected = learner.adapt(batch.support_x, batch.support_y)(batch.query_x).output
    assert torch.equal(again.adapt(batch.support_x, batch.support_y)(batch.query_x).output, expected)
    assert again.config == learner.config and again.problem == learner.problem


def test_training_resumes_to_the_same_result(case, tmp_path):
    name, episodes, _, _ = case
    kind = episodes.problem.kind
    whole = build(name, episodes.problem, seed=3).meta_fit(episodes_of(kind, 1), 6)
    broken = build(name, episodes.problem, seed=3)
    broken.meta_fit(episodes_of(kind, 1), 6, callback=lambda i, _: i < 3, checkpoint=tmp_path / "part")
    resumed = type(broken).load(tmp_path / "part.pt")
    assert resumed.iteration == (3 if resumed.trained else 0)
    resumed.meta_fit(episodes_of(kind, 1), resume=True)
    assert resumed.iteration == whole.iteration
    for k, v in whole.network.state_dict().items():
        assert torch.equal(v, resumed.network.state_dict()[k])


def test_a_training_is_lengthened_when_it_is_resumed(tmp_path):
    learner = build("prototypical", sines().problem, lr_decay="linear").meta_fit(sines(), 4)
    learner.save(tmp_path / "part")
    longer = type(learner).load(tmp_path / "part").meta_fit(sines(), 6, resume=True)
    assert (longer.iteration, longer.iterations) == (6, 6)
    assert longer.optimizer.param_groups[0]["lr"] == pytest.approx(longer.config.learning_rate / 6)
    with pytest.raises(ValueError, match="at least the 6 iterations that are done, got 5"):
        longer.meta_fit(sines(), 5, resume=True)
    with pytest.raises(ValueError, match="has not been trained"):
        build("prototypical", sines().problem).meta_fit(sines(), resume=True)


def test_bad_support_sets_and_queries_are_refused(case):
    _, episodes, learner, batch = case
    x, y = batch.support_x, batch.support_y
    with pytest.raises(ValueError, match="at least one sample"):
        learner.adapt(x[:, :0], y[:, :0])
    with pytest.raises(ValueError, match="expected support_x of shape"):
        learner.adapt(torch.cat([x, x], 2), y)
    with pytest.raises(ValueError, match="finite support_x"):
        learner.adapt(torch.full_like(x, torch.nan), y)
    with pytest.raises(ValueError, match="support_y as numbers"):
        learner.adapt(x, [[None] * y.shape[1]] * len(y))
    refusal = "expected . classes in each support set, got 1: a" if batch.n_classes else "got names such as 'a'"
    with pytest.raises(ValueError, match=refusal):
        learner.adapt(x, np.array([["a"] * y.shape[1]] * len(y)))
    predictor = learner.adapt(x, y)
    with pytest.raises(ValueError, match="expected query_x of shape"):
        predictor(torch.cat([batch.query_x, batch.query_x], 2))
    with pytest.raises(ValueError, match="expected query_x of shape"):
        predictor(batch.query_x[:1])
    with pytest.raises(ValueError, match="finite query_x"):
        predictor(torch.full_like(batch.query_x, torch.inf))
    if episodes.problem.kind == "classification":
        with pytest.raises(ValueError, match="each at least once"):
            learner.adapt(x, torch.where(y == 1, 2, y))
        with pytest.raises(ValueError, match="integer labels"):
            learner.adapt(x, y + 0.5)
    if episodes.problem.kind == "anomaly":
        with pytest.raises(ValueError, match="normal samples only"):
            learner.adapt(x, torch.ones_like(y))


@pytest.mark.parametrize("name", ALL)
def test_a_problem_it_does_not_do_is_refused_with_a_hint(name):
    for kind in {"classification", "regression", "anomaly"} - set(kinds_of(name)):
        with pytest.raises(ValueError, match=f"not {kind}; .*choose"):
            build(name, episodes_of(kind).problem)


@pytest.mark.parametrize("shape", [(3, 24), (1, 12, 12)])
@pytest.mark.parametrize("name", LEARNERS)
def test_sequences_and_images(name, shape):
    problem = Problem("classification", shape, 2)
    learner = build(name, problem, sizes=(8,))
    x = torch.randn(2, 4, *shape, generator=torch.Generator().manual_seed(0))
    output = learner.adapt(x, torch.tensor([[0, 1, 0, 1]] * 2))(x[:, :3]).output
    assert output.shape == (2, 3, 2) and torch.isfinite(output).all()


@pytest.mark.parametrize("name", LEARNERS)
def test_a_network_of_ones_own(name, tmp_path):
    def network():
        return nn.Sequential(nn.Linear(1, 12), nn.Tanh())

    episodes = sines()
    learner = make_learner(name, episodes.problem, backbone=network()).meta_fit(episodes, 2)
    learner.save(tmp_path / "own")
    with pytest.raises(ValueError, match="backbone of its own"):
        type(learner).load(tmp_path / "own")
    again = type(learner).load(tmp_path / "own", backbone=network())
    batch = episodes.draw(2)
    outputs = [m.adapt(batch.support_x, batch.support_y)(batch.query_x).output for m in (learner, again)]
    assert torch.equal(*outputs)


@pytest.mark.parametrize("name", LEARNERS)
def test_batch_statistics_are_refused(name):
    network = nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8))
    with pytest.raises(ValueError, match="mixes the queries"):
        make_learner(name, sines().problem, backbone=network)


@pytest.mark.parametrize("name", ["no-adaptation", *LEARNERS])
def test_seeds(name):
    episodes = sines()
    states = [build(name, episodes.problem, seed=s).meta_fit(sines(), 2).network.state_dict() for s in (0, 0, 1)]
    assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())
    assert any(not torch.equal(v, states[2][k]) for k, v in states[0].items())


@pytest.mark.parametrize("name", ["no-adaptation", *LEARNERS])
def test_meta_gradients_are_cut_to_the_greatest_length_allowed(name, monkeypatch):
    episodes = sines()
    learner, norms = build(name, episodes.problem, max_grad_norm=1e-4), []
    step = learner.optimizer.step

    def watched_step():
        norms.append(torch.cat([p.grad.flatten() for p in learner.network.parameters() if p.grad is not None]).norm())
        step()

    monkeypatch.setattr(learner.optimizer, "step", watched_step)
    learner.meta_fit(episodes, 2)
    assert [norm.item() for norm in norms] == pytest.approx([1e-4] * 2, rel=1e-2)


UPDATES = {("mann", "regression"): 60, ("snail", "regression"): 60}
UPDATES |= {("meta-lstm", kind): 60 for kind in ("regression", "classification")}
"""Meta-updates of slow learners, where these suffice; the others have 150."""
RATES = {"transformer-process": 2e-3}
BEATS = {"maml": 0.6, "matching": 0.6, "matching-fce": 0.6, "prototypical": 0.3, "reptile": 0.8}
"""Query error after these meta-updates over that of the support's mean, at most; others have to reach 0.9."""


@pytest.mark.parametrize("name", [n for n in [*LEARNERS, *VARIANTS] if "regression" in kinds_of(n)])
def test_training_helps_regression(name):
    train, test = sines(n_shot=10), frozen_episodes(sines("test", seed=9), 200)
    settings = {"learning_rate": RATES.get(name, 5e-3)} if name != "reptile" else {}
    learner = build(name, train.problem, **settings).meta_fit(train, UPDATES.get((name, "regression"), 150))
    baseline = build("nearest-centroid", train.problem).meta_fit(train, 0)
    report = evaluate({"learner": learner, "mean": baseline}, test)
    ratio = report.interval("learner", "mse").estimate / report.interval("mean", "mse").estimate
    assert ratio < BEATS.get(name, 0.9)


@pytest.mark.parametrize("name", [n for n in [*LEARNERS, *VARIANTS] if "classification" in kinds_of(n)])
def test_training_helps_classification(name):
    """Four of six features are noise: a learner that has seen other classes ignores them, a baseline cannot."""
    parts = blobs(60, noise=0.3).split_by_class({"train": 0.7, "test": 0.3}, np.random.default_rng(0))
    train = Episodes(parts["train"], 5, 6, n_way=3)
    test = frozen_episodes(Episodes(parts["test"], 5, 6, n_way=3), 300)
    settings = {"learning_rate": RATES.get(name, 5e-3)} if name != "reptile" else {}
    learner = build(name, train.problem, **settings).meta_fit(train, UPDATES.get((name, "classification"), 150))
    baseline = build("nearest-centroid", train.problem).meta_fit(train, 0)
    report = evaluate({"learner": learner, "baseline": baseline}, test)
    assert report.difference("learner", "baseline", "accuracy").low > 0
