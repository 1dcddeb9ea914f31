import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from toy_problems import blobs, sines

from metaenv.supervised.data.episodes import Episodes
from metaenv.supervised.data.sinusoid import SinusoidDistribution
from metaenv.supervised.registry import make_learner
from metaenv.tasks import TaskSampler


def classes(n_classes: int = 30, **how: int) -> Episodes:
    return Episodes(blobs(n_classes), 5, 6, n_way=3, **how)


def test_a_class_has_one_output_in_all_tasks():
    train = classes()
    learner = make_learner("pretrained", train.problem, max_classes=40).meta_fit(train, 30)
    network = learner.network
    assert network.shared and network.count == 30
    names = train.draw(50).task_ids
    places = network.places(names)
    assert {(n, p) for n, p in zip(names.ravel().tolist(), places.ravel().tolist(), strict=True)} == {
        (n, p) for n, p in zip(names.ravel().tolist(), network.places(names).ravel().tolist(), strict=True)
    }
    assert len(set(places.ravel().tolist())) == len(set(names.ravel().tolist())) == 30
    assert network.count == 30, "no class is new any more"


def test_the_loss_is_that_of_one_classifier_of_all_classes():
    train = classes()
    learner = make_learner("pretrained", train.problem).meta_fit(train, 30)
    batch = learner.scaling.batch(train.draw(4))
    x, y = batch.samples()
    logits = learner.network.head(learner.network.backbone(x.flatten(0, 1)))[:, :30].log_softmax(-1)
    truth = learner.network.places(batch.task_ids).gather(1, y).flatten()
    expected = -logits[torch.arange(len(truth)), truth].reshape(4, -1).mean(1)
    torch.testing.assert_close(learner._meta_loss(batch), expected)


def test_a_task_is_logistic_regression_on_the_frozen_embedding():
    train = classes()
    learner = make_learner("pretrained", train.problem, length=3.0, penalty=0.5).meta_fit(train, 30)
    batch = train.draw(1)
    with torch.no_grad():
        z, q = (learner.network.backbone(learner.scaling.x(x[0])).numpy() for x in (batch.support_x, batch.query_x))
    z, q = (
        np.pad(3 * v / np.linalg.norm(v, axis=1, keepdims=True), ((0, 0), (0, 1)), constant_values=1) for v in (z, q)
    )
    model = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(z, batch.support_y[0])
    found = learner.adapt(batch.support_x, batch.support_y).predict_proba(batch.query_x)[0]
    np.testing.assert_allclose(found, model.predict_proba(q), atol=2e-3)


def test_more_classes_than_outputs_are_refused():
    with pytest.raises(ValueError, match="max_classes=20"):
        make_learner("pretrained", classes().problem, max_classes=20).meta_fit(classes(), 30)


def test_tasks_without_common_classes_teach_their_labels():
    sampler = TaskSampler(SinusoidDistribution(), "train", seed=0)
    train = Episodes(sampler, 5, 5, threshold=0.0)
    learner = make_learner("pretrained", train.problem).meta_fit(train, 3)
    assert not learner.network.shared and learner.network.count == 0


def test_looking_at_tasks_takes_none_from_the_stream():
    train, same = classes(seed=5), classes(seed=5)
    learner = make_learner("pretrained", train.problem, scale="none").meta_fit(train, 1)
    same.draw(learner.config.tasks_per_batch)
    assert torch.equal(train.draw(2).query_x, same.draw(2).query_x)


def test_a_penalty_without_end_leaves_the_shared_network():
    train = sines()
    learner = make_learner("pretrained", train.problem, penalty=1e9, scale="none").meta_fit(train, 20)
    batch = train.draw(2)
    with torch.no_grad():
        expected = learner.network.head(learner.network.backbone(batch.query_x.flatten(0, 1))).reshape(2, -1)
    found = learner.adapt(batch.support_x, batch.support_y)(batch.query_x).output
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
