import json

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from toy_problems import blobs, episodes_of, sines

from metaenv.stats import Interval
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import EpisodeBatch, Episodes, frozen_episodes
from metaenv.supervised.data.problem import Problem
from metaenv.supervised.evaluation import (
    Report,
    Scores,
    auroc,
    average_precision,
    episode_metrics,
    evaluate,
    interval_text,
)
from metaenv.supervised.predictor import Prediction
from metaenv.supervised.registry import make_learner


def test_ranking_metrics_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    score, y = rng.integers(0, 6, size=(30, 20)).astype(float), rng.integers(0, 2, size=(30, 20))
    y[:, 0], y[:, 1] = 0, 1
    s, t = torch.tensor(score), torch.tensor(y)
    expected = [roc_auc_score(y[i], score[i]) for i in range(30)]
    np.testing.assert_allclose(auroc(s, t), expected, atol=1e-6)
    expected = [average_precision_score(y[i], score[i]) for i in range(30)]
    np.testing.assert_allclose(average_precision(s, t), expected, atol=1e-6)


def test_an_interval_is_written_with_half_of_its_width():
    assert interval_text(Interval(0.5, 0.4, 0.66)) == "0.500 ± 0.130"
    assert interval_text(Interval(0.5, 0.4, 0.66), sign=True) == "+0.500 ± 0.130"
    assert interval_text(Interval(float("nan"), 0.0, 1.0)) == "–"


@pytest.mark.parametrize("ways", [2, 4])
def test_areas_of_classes_are_those_of_scikit_learn(ways):
    """Of class 1, or the mean over the classes, each against all others; logits are rounded so that there are ties."""
    rng = np.random.default_rng(ways)
    logits = torch.tensor(rng.integers(-1, 2, size=(20, 24, ways)).astype(np.float32))
    y = torch.tensor(rng.permuted(np.tile(np.arange(24) % ways, (20, 1)), axis=1))
    batch = EpisodeBatch(Problem("classification", (1,), ways), logits, y, logits, y, np.array([""]), y, y)
    found = episode_metrics(Prediction(logits), batch)
    for i, (p, t) in enumerate(zip(logits.double().softmax(-1).numpy(), y.numpy(), strict=True)):
        score, truth = (p[:, 1], t) if ways == 2 else (p, np.eye(ways)[t])
        assert found["auroc"][i] == pytest.approx(roc_auc_score(truth, score, average="macro"), abs=1e-6)
        assert found["auprc"][i] == pytest.approx(average_precision_score(truth, score, average="macro"), abs=1e-6)


def test_areas_of_a_constant_and_of_queries_of_one_class():
    """A constant has an AUROC of 0.5 and an AUPRC of the share of class 1; with one class there is no curve."""
    y = torch.tensor([[0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
    x = torch.zeros(3, 4, 2)
    batch = EpisodeBatch(Problem("classification", (1,), 2), x, y, x, y, np.array([""]), y, y)
    found = {name: v.numpy() for name, v in episode_metrics(Prediction(torch.zeros(3, 4, 2)), batch).items()}
    np.testing.assert_array_equal(found["auroc"], [0.5, np.nan, np.nan])
    np.testing.assert_array_equal(found["auprc"], [0.25, np.nan, np.nan])
    scores = Scores(found, 0.0)
    assert scores.valid.all(), "an episode without a curve has not diverged"
    report = Report(batch.problem, "", {"it": scores})
    assert report.interval("it", "auroc").estimate == 0.5 and report.difference("it", "it", "auprc").estimate == 0.0
    assert report.interval("it", "accuracy").estimate == pytest.approx((0.75 + 0 + 1) / 3)
    third = torch.tensor([[0, 0, 1, 1]])  # of three classes, the last has no query
    logits = torch.tensor([[[5.0, 0, 0], [5, 0, 0], [0, 5, 0], [0, 5, 0]]])
    batch = EpisodeBatch(Problem("classification", (1,), 3), logits, third, logits, third, np.array([""]), third, third)
    assert episode_metrics(Prediction(logits), batch)["auroc"] == 1.0


def test_regression_metrics_by_hand():
    batch = sines(n_query=2).draw(2)
    batch.query_y[:] = torch.tensor([[0.0, 2.0], [1.0, 3.0]])
    found = episode_metrics(Prediction(torch.tensor([[0.0, 0.0], [1.0, torch.nan]])), batch)
    assert found["mse"][0] == 2.0 and found["rmse"][0] == pytest.approx(2**0.5)
    assert found["error"][0] == 4.0 and found["spread"][0] == 2.0
    assert torch.isnan(found["mse"][1])


def test_a_table_of_floors_and_its_file(tmp_path):
    train = sines()
    test = frozen_episodes(sines("test", seed=4), 200)
    names = ("gp", "linear", "nearest-centroid")
    report = evaluate({n: make_learner(n, train.problem).meta_fit(train, 0) for n in names}, test, tasks_at_once=70)
    assert report.rows()[0]["learner"] == "gp"
    row = {r["learner"]: r for r in report.rows()}["linear"]
    mse = report.scores["linear"].by_episode["mse"]
    assert row["mse"]["estimate"] == pytest.approx(mse.mean())
    half = (row["mse"]["high"] - row["mse"]["low"]) / 2
    assert half == pytest.approx(1.96 * mse.std() / np.sqrt(len(mse)), rel=0.15)
    text = report.markdown()
    assert text.splitlines()[0] == "| learner | rmse | mse | r2 | nll | coverage | median rmse | diverged | s |"
    assert text.splitlines()[2].startswith("| gp | 0.") and test.sha256[:16] in text
    report.save(tmp_path / "report.json")
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["sha256"] == test.sha256 and stored["rows"][0]["learner"] == "gp"


def test_r2_is_of_all_episodes_together():
    test = frozen_episodes(sines("test", seed=4), 100)
    report = evaluate({"knn": make_learner("knn", test.problem)}, test)
    scores = report.scores["knn"].by_episode
    expected = 1 - scores["error"].sum() / scores["spread"].sum()
    assert report.interval("knn", "r2").estimate == pytest.approx(expected)


def test_differences_are_paired():
    test = frozen_episodes(Episodes(blobs(), 5, 6, n_way=3), 300)
    learners = {n: make_learner(n, test.problem) for n in ("nearest-centroid", "knn")}
    report = evaluate(learners, test)
    paired = report.difference("nearest-centroid", "knn", "accuracy")
    alone = [report.interval(n, "accuracy") for n in learners]
    assert paired.estimate == pytest.approx(alone[0].estimate - alone[1].estimate)
    assert paired.high - paired.low < sum(i.high - i.low for i in alone)
    again = report.difference("nearest-centroid", "nearest-centroid", "accuracy")
    assert again == (0.0, 0.0, 0.0)


def test_diverged_episodes_are_counted_and_left_out():
    test = frozen_episodes(sines("test", seed=4), 50)
    report = evaluate({"mean": make_learner("nearest-centroid", test.problem)}, test, diverged_above=8.0)
    mse = evaluate({"mean": make_learner("nearest-centroid", test.problem)}, test).scores["mean"].by_episode["mse"]
    assert 0 < (mse > 8).sum() < 50
    assert report.rows()[0]["diverged"] == (mse > 8).sum()
    assert report.interval("mean", "mse").estimate == pytest.approx(mse[mse <= 8].mean())
    nothing = evaluate({"mean": make_learner("nearest-centroid", test.problem)}, test, diverged_above=-1.0)
    assert nothing.rows()[0]["diverged"] == 50 and "– | 50" in nothing.markdown()


def test_what_diverges_does_not_depend_on_the_unit_of_y():
    """In nanometres an error of half the spread is of 1e16 and more; it is no worse than in metres."""
    rng = np.random.default_rng(0)
    x, group = rng.normal(size=(200, 3)), np.repeat(np.arange(10), 20)
    for unit in (1.0, 1e9):
        train = Episodes(Dataset(x, unit * rng.normal(size=200), group), 5, 10)
        learner = make_learner("nearest-centroid", train.problem).meta_fit(train, 0)
        assert evaluate({"mean": learner}, frozen_episodes(train, 20)).rows()[0]["diverged"] == 0


def test_anomaly_report():
    test = frozen_episodes(episodes_of("anomaly"), 100)
    names = ("nearest-centroid", "knn")
    report = evaluate({n: make_learner(n, test.problem) for n in names}, test)
    assert all(0.5 < report.interval(n, "auroc").estimate < 1 for n in names)


def test_a_learner_of_another_problem_is_refused():
    test = frozen_episodes(sines("test"), 10)
    with pytest.raises(ValueError, match="knn was made for"):
        evaluate({"knn": make_learner("knn", episodes_of("classification").problem)}, test)


def test_a_difference_leaves_out_what_diverged_in_either():
    nan = float("nan")
    a = Scores({"mse": np.array([1.0, nan, 3.0, 9.0])}, 0.0)
    b = Scores({"mse": np.array([2.0, 2.0, nan, 4.0])}, 0.0)
    found = Report(Problem("regression", (1,)), "", {"a": a, "b": b}).difference("a", "b", "mse")
    assert found.estimate == pytest.approx(((1 - 2) + (9 - 4)) / 2)
