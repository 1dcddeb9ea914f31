"""Calibration: errors by hand and by scikit-learn's log loss, temperatures of known laws, and what they change."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import norm
from sklearn.metrics import log_loss
from toy_problems import blobs, episodes_of, sines

from metaenv.supervised.calibration import (
    BINS,
    calibrate,
    calibration_error,
    confidence_gaps,
    fitted_temperature,
    normal_scores,
)
from metaenv.supervised.data.episodes import Episodes, frozen_episodes
from metaenv.supervised.data.problem import Problem
from metaenv.supervised.evaluation import Report, Scores, evaluate
from metaenv.supervised.registry import make_learner


def test_calibration_error_by_hand():
    """Four queries, confidences 0.9, 0.9, 0.6 and 0.6 of two classes; one of the first two is right, both others."""
    p = torch.tensor([[[0.9, 0.1], [0.1, 0.9]], [[0.6, 0.4], [0.4, 0.6]]])
    y = torch.tensor([[0, 0], [0, 1]])
    columns = {name: v.numpy() for name, v in confidence_gaps(p.log(), y).items()}
    assert len(columns) == BINS
    found = calibration_error(columns, np.arange(2), np.random.default_rng(0))
    assert found.estimate == pytest.approx(0.5 * abs(0.5 - 0.9) + 0.5 * abs(1.0 - 0.6), abs=1e-6)
    assert found.low <= found.estimate <= found.high
    # Opposite gaps of one bin in two episodes cancel: the error is of all episodes together.
    p = torch.tensor([[[0.5, 0.5 - 1e-3]], [[0.5, 0.5 - 1e-3]]])
    columns = {name: v.numpy() for name, v in confidence_gaps(p.log(), torch.tensor([[0], [1]])).items()}
    assert calibration_error(columns, np.arange(2), np.random.default_rng(0)).estimate == pytest.approx(0, abs=1e-3)


def test_calibration_error_of_seeds_is_their_mean():
    rng = np.random.default_rng(0)
    logits, y = torch.tensor(rng.normal(size=(3, 40, 10, 4)) * 3), torch.tensor(rng.integers(0, 4, size=(40, 10)))
    each = [{k: v.numpy() for k, v in confidence_gaps(seed, y).items()} for seed in logits]
    alone = [calibration_error(one, np.arange(40), np.random.default_rng(0)) for one in each]
    together = {k: np.stack([one[k] for one in each]) for k in each[0]}
    found = calibration_error(together, np.arange(40), np.random.default_rng(0))
    assert found.estimate == pytest.approx(np.mean([x.estimate for x in alone]))
    assert found.high - found.low > alone[0].high - alone[0].low


def test_normal_scores_are_those_of_scipy():
    rng = np.random.default_rng(1)
    mean, std, y = rng.normal(size=(3, 50)), rng.uniform(0.5, 2, size=(3, 50)), rng.normal(size=(3, 50))
    found = normal_scores(*map(torch.tensor, (mean, std, y)))
    np.testing.assert_allclose(found["nll"], -norm(mean, std).logpdf(y).mean(1))
    inside = (norm(mean, std).cdf(y) > 0.05) & (norm(mean, std).cdf(y) < 0.95)
    np.testing.assert_allclose(found["coverage"], inside.mean(1))


def test_the_temperature_is_that_of_least_log_loss():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(400, 3)) * 4
    y = np.array([rng.choice(3, p=np.exp(z / 2.5) / np.exp(z / 2.5).sum()) for z in logits])

    def loss(t):
        p = np.exp(logits / t - (logits / t).max(1, keepdims=True))
        return log_loss(y, p / p.sum(1, keepdims=True))

    expected = minimize_scalar(loss, bounds=(0.1, 20), method="bounded").x
    found = fitted_temperature("classification", torch.tensor(logits), torch.tensor(y))
    assert found == pytest.approx(expected, rel=1e-3) and found == pytest.approx(2.5, rel=0.2)
    bad = torch.tensor(np.where(np.arange(400)[:, None] < 5, np.nan, logits))
    assert fitted_temperature("classification", bad, torch.tensor(y)) == pytest.approx(expected, rel=0.1)
    deviations = torch.tensor(3.0 * rng.normal(size=10_000))
    assert fitted_temperature("regression", deviations, deviations) == pytest.approx(3.0, rel=0.05)
    assert fitted_temperature("regression", deviations[:0], deviations[:0]) == 1.0


def test_a_calibrated_learner_keeps_labels_and_is_more_honest(tmp_path):
    parts = blobs(60, noise=1.5).split_by_class({"validation": 0.5, "test": 0.5}, np.random.default_rng(0))
    validation, test = (frozen_episodes(Episodes(parts[name], 5, 6, n_way=3), 150) for name in parts)
    learner = make_learner("naive-bayes", test.problem, smoothing=1e-9)
    batch = next(test.batches(1))
    before = learner.adapt(batch.support_x, batch.support_y)(batch.query_x)
    raw = evaluate({"it": learner}, test)
    temperature = calibrate(learner, validation)
    assert temperature > 1.2 and calibrate(learner, validation) == temperature, "fitted to what it says uncorrected"
    after = learner.adapt(batch.support_x, batch.support_y)(batch.query_x)
    torch.testing.assert_close(after.output, before.output / temperature)
    honest = evaluate({"it": learner}, test)
    assert honest.interval("it", "accuracy") == raw.interval("it", "accuracy")
    assert honest.difference("it", "it", "log_loss").estimate == 0
    assert honest.interval("it", "log_loss").high < raw.interval("it", "log_loss").low
    assert honest.interval("it", "ece").high < raw.interval("it", "ece").low
    learner.save(tmp_path / "it")
    assert type(learner).load(tmp_path / "it").temperature == temperature


def test_a_calibrated_regression_covers_what_it_says():
    train, test = sines(), frozen_episodes(sines("test", seed=4), 100)
    learner = make_learner("gp", train.problem).meta_fit(train, 0)
    calibrate(learner, frozen_episodes(sines("validation", seed=5), 100))
    report = evaluate({"it": learner}, test)
    batch = next(test.batches(1))
    std = learner.adapt(batch.support_x, batch.support_y)(batch.query_x).std
    learner.temperature *= 2
    torch.testing.assert_close(learner.adapt(batch.support_x, batch.support_y)(batch.query_x).std, 2 * std)
    assert report.interval("it", "nll").estimate < evaluate({"it": learner}, test).interval("it", "nll").estimate
    assert 0.8 < report.interval("it", "coverage").estimate < 1


def test_without_standard_deviations_there_is_no_density_and_no_temperature():
    test = frozen_episodes(sines("test", seed=4), 20)
    learner = make_learner("knn", test.problem)
    assert calibrate(learner, test) == 1.0
    report = evaluate({"it": learner}, test)
    assert np.isnan(report.interval("it", "nll").estimate) and "| – | – |" in report.markdown()
    anomalies = frozen_episodes(episodes_of("anomaly"), 10)
    assert calibrate(make_learner("knn", anomalies.problem), anomalies) == 1.0
    assert report.scores["it"].valid.all()
    with_nan = Report(test.problem, "", {"it": Scores({"mse": np.array([1.0, np.nan])}, 0.0)})
    assert with_nan.interval("it", "mse").estimate == 1.0


def test_probabilities_by_class_name():
    x, names = [[0.0], [1.0], [4.0], [5.0]], ["star", "star", "quasar", "quasar"]
    learner = make_learner("lda", Problem("classification", (1,), 2))
    predictor = learner.adapt(x, names)
    q = [[0.2], [4.4], [3.0]]
    assert predictor.classes.tolist() == ["quasar", "star"]
    assert torch.equal(predictor.predict_proba(q, of="star"), predictor.predict_proba(q)[:, 1])
    assert predictor.predict_proba(q, of="star")[0] > 0.9 and predictor.predict_proba(q, of="star")[1] < 0.1
    with pytest.raises(ValueError, match="Did you mean 'quasar'"):
        predictor.predict_proba(q, of="quasars")
    with pytest.raises(ValueError, match="need a classification"):
        make_learner("gp", Problem("regression", (1,))).adapt([[0.0], [1.0]], [0.0, 1.0]).predict_proba(q)
    both = learner.adapt([x, x], [["star", "star", "zodiac", "zodiac"], ["star", "star", "galaxy", "galaxy"]])
    found = both.predict_proba([q, q], of="zodiac")
    assert torch.equal(found[0], both.predict_proba([q, q])[0, :, 1]) and not found[1].any()
