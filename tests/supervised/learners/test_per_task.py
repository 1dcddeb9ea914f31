"""A batch of tasks at once, and one task after the other: the same numbers, and those of plain autograd."""

import pytest
import torch
from torch import Tensor

from metaenv.supervised.learners import per_task
from metaenv.supervised.learners.per_task import gradients, outputs

SHAPES = [(3,), (2, 5), (1, 4, 4)]
"""Of vectors, sequences and images."""


def batch(shape: tuple[int, ...]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Weights, samples and targets of ten tasks with four samples."""
    torch.manual_seed(0)
    x = torch.randn(10, 4, *shape)
    size = x[0, 0].numel()
    return {"w": torch.randn(10, size), "b": torch.randn(10)}, x, torch.randn(10, 4)


def line(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    return x.flatten(1) @ weights["w"] + weights["b"]


def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    return (line(weights, x) - y).square().mean()


@pytest.fixture(params=[False, True], ids=["at once", "one by one"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(per_task, "_one_by_one", lambda _: request.param)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_each_task(shape: tuple[int, ...]) -> None:
    weights, x, y = batch(shape)
    with torch.no_grad():  # as when a learner adapts
        found, losses = gradients(loss, weights, x, y)
    for i in range(10):
        error = line({k: w[i] for k, w in weights.items()}, x[i]) - y[i]
        torch.testing.assert_close(losses[i], error.square().mean())
        torch.testing.assert_close(found["w"][i], (2 / 4) * error @ x[i].flatten(1))
        torch.testing.assert_close(found["b"][i], 2 * error.mean())
    assert not losses.requires_grad and not found["w"].requires_grad


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_go_through_outputs(shape: tuple[int, ...]) -> None:
    weights, x, shift = batch(shape)
    weights = {k: w.requires_grad_() for k, w in weights.items()}
    found = outputs(lambda w, x, more: line(w, x) + more, weights, x, shift)
    torch.testing.assert_close(
        found, torch.stack([line({k: w[i] for k, w in weights.items()}, x[i]) for i in range(10)]) + shift
    )
    found.sum().backward()
    torch.testing.assert_close(weights["w"].grad, x.flatten(2).sum(1))
    torch.testing.assert_close(weights["b"].grad, torch.full((10,), 4.0))


def test_only_images_go_one_by_one() -> None:
    assert [per_task._one_by_one(batch(shape)[1]) for shape in SHAPES] == [False, False, True]
    assert not per_task._one_by_one(torch.empty(2, 2, 1, 4, 4, device="meta"))
