"""Scores of several divisions of the same data, as one report whose units are tasks."""

import numpy as np
import pytest

from metaenv.supervised.data.problem import Problem
from metaenv.supervised.evaluation import Scores
from metaenv.supervised.report import FewShotReport, by_task


def report(errors, few):
    scores = {
        4: {"snail": Scores({"mse": np.array(errors)}, 1.0), "random-forest": Scores({"mse": np.array(few)}, 2.0)}
    }
    seconds = {"snail": 3.0, "random-forest": 0.0}
    return FewShotReport("a", Problem("regression", (2,)), 4, 2, {4: "0" * 64}, scores, seconds, {"snail": 5})


def test_a_task_counts_once_however_many_episodes_it_has():
    first = report([[1.0, 3.0, 10.0], [2.0, 4.0, 20.0]], [5.0, 7.0])  # forests have the first two episodes
    second = report([[6.0, np.nan, 8.0], [6.0, 6.0, 9.0]], [1.0, 2.0])
    tasks = [{4: np.array(["x", "y", "x"])}, {4: np.array(["z", "z", "z"])}]
    whole = by_task([first, second], tasks, "both folds", "pairs")
    found = whole.scores[4]["snail"].by_episode["mse"]
    np.testing.assert_allclose(found, [[5.5, 3.0, 7.0], [11.0, 4.0, 7.0]])  # tasks x, y and z; NaN is left out
    np.testing.assert_allclose(whole.scores[4]["random-forest"].by_episode["mse"], [5.0, 7.0, 1.5])
    assert whole.train_seconds["snail"] == 6.0 and whole.scores[4]["random-forest"].seconds == 4.0
    assert whole.interval("snail", metric="mse").estimate == pytest.approx((5.5 + 3 + 7 + 11 + 4 + 7) / 6)
    assert len(whole.sha256[4]) == 64 and whole.sha256[4] != first.sha256[4]


def test_the_caption_says_what_the_units_are():
    one = report([[1.0, 3.0], [2.0, 4.0]], [5.0, 7.0])
    for scores in one.scores[4].values():
        scores.by_episode["rmse"] = np.sqrt(scores.by_episode["mse"])
    whole = by_task([one], [{4: np.array(["x", "y"])}], "recipes", "pairs")
    assert (
        "recipes: trained on 4 shots, 2 seeds; 2 pairs, ±" in whole.markdown() and "paired by pair" in whole.markdown()
    )


def test_a_task_without_a_finite_score_has_none():
    one = report([[np.nan, 3.0], [2.0, 4.0]], [5.0, 7.0])
    whole = by_task([one], [{4: np.array(["x", "y"])}], "recipes")
    np.testing.assert_array_equal(whole.scores[4]["snail"].by_episode["mse"], [[np.nan, 3.0], [2.0, 4.0]])
    assert whole.scores[4]["snail"].valid.tolist() == [False, True]
