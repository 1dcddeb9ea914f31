"""Classification by group: an assay is a task, and no episode mixes assays."""

import numpy as np
import pytest

from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import Episodes
from metaenv.supervised.predictor import as_samples
from metaenv.supervised.registry import make_learner

RNG = np.random.default_rng(0)
GROUPS = np.repeat(["a", "b", "c"], 20)
Y = RNG.permuted(np.arange(60).reshape(3, 20), axis=1).ravel() + 0.5
DATA = Dataset(np.stack([Y, Y], axis=1), Y, GROUPS)


@pytest.mark.parametrize("labels", ["median", "strings"])
def test_episodes_of_a_group_hold_that_group_only(labels):
    above = Y % 20 > 10
    data = DATA if labels == "median" else Dataset(DATA.x, np.where(above, "b-active", "a-inactive"), GROUPS)
    threshold = "median" if labels == "median" else None
    batch = Episodes(data, 3, 4, kind="classification", by="group", threshold=threshold).draw(50)
    rows = np.concatenate([batch.support_ids, batch.query_ids], axis=1)
    assert all(len(set(GROUPS[r])) == 1 and len(set(r)) == 14 for r in rows)
    assert (above[rows] == np.concatenate([batch.support_y, batch.query_y], axis=1)).all()
    assert {str(i).split()[0] for i in batch.task_ids[:, 0]} == {"a", "b", "c"}


def test_a_value_at_the_threshold_is_not_above_it():
    y = np.tile(np.arange(20.0), 3)
    data = Dataset(np.stack([y, y], axis=1), y, GROUPS)
    batch = Episodes(data, 5, 5, kind="classification", by="group", threshold=9).draw(40)
    rows = np.concatenate([batch.support_ids, batch.query_ids], axis=1)
    assert (y[rows] == 9).any()
    assert ((y > 9)[rows] == np.concatenate([batch.support_y, batch.query_y], axis=1)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 15.0}, "group 'a' has|group 'b' has"),
        ({}, "two classes"),
        ({"threshold": "median", "kind": "anomaly"}, "by='group'"),
        ({"threshold": "median", "by": None}, "by='group'"),
    ],
)
def test_what_cannot_be_classified_by_group_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Episodes(DATA, 3, 4, **{"kind": "classification", "by": "group", **options})


def test_pictures_mean_the_same_in_adapt_and_in_episodes():
    pictures = RNG.integers(0, 256, (4, 3, 5, 5), dtype=np.uint8)
    assert np.allclose(as_samples(pictures, "x", (), (3, 5, 5)), pictures / 255)


@pytest.mark.parametrize("name", ["prototypical", "nearest-centroid"])
def test_probabilities_of_classes_sum_to_one(name):
    problem = Episodes(DATA, 3, 4, kind="classification", by="group", threshold="median").problem
    predictor = make_learner(name, problem).adapt([[0.0, 0], [0, 1], [9, 9], [9, 8]], [0, 0, 1, 1])
    chances = predictor.predict_proba([[0.0, 0.5], [9, 8.5]])
    assert chances.shape == (2, 2) and np.allclose(chances.sum(-1), 1, atol=1e-6)
    if name != "prototypical":
        assert chances.argmax(-1).tolist() == [0, 1]
