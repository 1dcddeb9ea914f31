import numpy as np
import pytest
import torch
from toy_problems import blobs

from metaenv.supervised.data.datasets import Dataset


def test_splits_are_disjoint_and_whole():
    data = blobs()
    parts = data.split_by_class({"train": 0.6, "validation": 0.2, "test": 0.2}, np.random.default_rng(0))
    assert {name: len(set(part.y)) for name, part in parts.items()} == {"train": 18, "validation": 6, "test": 6}
    assert sorted(np.concatenate([p.ids for p in parts.values()])) == sorted(data.ids)
    classes = [set(p.y) for p in parts.values()]
    assert not classes[0] & classes[1] and not classes[0] & classes[2] and not classes[1] & classes[2]
    row = {name: i for i, name in enumerate(data.ids)}
    test = parts["test"]
    assert torch.equal(test.x, data.x[[row[i] for i in test.ids]])


def test_splits_by_group():
    data = Dataset(np.arange(20.0)[:, None], np.zeros(20), groups=np.repeat(np.arange(10), 2))
    parts = data.split_by_group({"train": 0.5, "test": 0.5}, np.random.default_rng(0))
    assert not set(parts["train"].groups) & set(parts["test"].groups)
    assert len(parts["train"]) == len(parts["test"]) == 10
    with pytest.raises(ValueError, match="sum to 1"):
        data.split_by_group({"train": 0.5, "test": 0.2}, np.random.default_rng(0))
    with pytest.raises(ValueError, match="too few"):
        data.split_by_group({"train": 0.99, "test": 0.01}, np.random.default_rng(0))


def test_bytes_stay_bytes_until_they_are_handed_out():
    data = Dataset(np.array([[0, 255], [51, 102]], np.uint8), ["a", "b"])
    assert data.x.dtype == torch.uint8
    np.testing.assert_allclose(data.gather(torch.tensor([[1], [0]])), [[[0.2, 0.4]], [[0.0, 1.0]]], atol=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "more", "message"),
    [
        ([[1.0], [np.nan]], [0, 1], {}, "NaN or infinity in row 1"),
        ([[1.0], [2.0]], [0.0, np.inf], {"ids": ["p", "q"]}, "finite y, got inf for sample q"),
        ([1.0, 2.0], [0, 1], {}, r"x\[:, None\]"),
        ([np.zeros((2, 2)), np.zeros((3, 3))], [0, 1], {}, "one shape"),
        ([["a"], ["b"]], [0, 1], {}, "of numbers, got dtype <U1"),
        ([[1.0], [2.0]], [0], {}, r"y of shape \(2,\)"),
        ([[1.0], [2.0]], [0, 1], {"ids": ["p", "p"]}, "unique ids"),
        (np.zeros((0, 3)), [], {}, "of numbers"),
    ],
)
def test_bad_data_is_refused(x, y, more, message):
    with pytest.raises(ValueError, match=message):
        Dataset(x, y, **more)


def test_the_hash_tells_data_sets_apart():
    a, b = blobs(), blobs()
    assert a.sha256 == b.sha256 and a.sha256 != blobs(seed=1).sha256
    assert a.sha256 != a.take(np.arange(len(a))[::-1]).sha256
