"""A function of one task and of weights that are the task's own, for a batch of tasks.

Small networks on vectors are computed for all tasks at once (`torch.func.vmap`). Convolutions whose weights differ from
task to task become grouped convolutions in that way, which take twice as long on a CPU as one task after the other, and
1.4 times as long with their gradients (28 x 28 pixels, 64 channels, 10 pictures of each of 4 tasks; measured). So
images go one by one there, and so do their gradients, by plain autograd: `torch.func.grad` takes 1.3 times as long.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

Weights = dict[str, Tensor]
"""By name."""
CHUNK = 8  # sequences of so many tasks at once: bounds the memory of convolutions (chosen)


def outputs(function: Callable[..., Tensor], weights: Weights, x: Tensor, *more: Tensor) -> Tensor:
    """``function(weights, x, *more)`` of each task, stacked; gradients go through it.

    Args:
        function: of one task.
        weights: each (tasks, ...).
        x: (tasks, samples, *x_shape).
        more: other inputs, each (tasks, ...).
    """
    if not _one_by_one(x):
        return vmap(function, chunk_size=_chunk(x))(weights, x, *more)
    each = zip(x, *more, strict=True)
    return torch.stack([function(_of_task(weights, i), *inputs) for i, inputs in enumerate(each)])


def gradients(
    loss: Callable[[Weights, Tensor, Tensor], Tensor], weights: Weights, x: Tensor, y: Tensor
) -> tuple[Weights, Tensor]:
    """Gradients of each task's loss by its weights, like them, and the losses (tasks,); constants both.

    Args:
        loss: of one task, a single number, from its weights, samples and targets.
        weights, x: see `outputs`.
        y: (tasks, samples).
    """
    if not _one_by_one(x):
        found, losses = vmap(grad_and_value(loss), chunk_size=_chunk(x))(weights, x, y)
        return found, losses.detach()
    each = [_gradient(loss, _of_task(weights, i), *of_task) for i, of_task in enumerate(zip(x, y, strict=True))]
    losses = torch.stack([value for _, value in each])
    return {name: torch.stack([found[i] for found, _ in each]) for i, name in enumerate(weights)}, losses


def _gradient(
    loss: Callable[[Weights, Tensor, Tensor], Tensor], weights: Weights, x: Tensor, y: Tensor
) -> tuple[tuple[Tensor, ...], Tensor]:
    with torch.enable_grad():
        own = {name: w.detach().requires_grad_() for name, w in weights.items()}
        value = loss(own, x, y)
    return torch.autograd.grad(value, [*own.values()]), value.detach()


def _one_by_one(x: Tensor) -> bool:
    return x.ndim > 4 and x.device.type == "cpu"


def _chunk(x: Tensor) -> int | None:
    return CHUNK if x.ndim > 3 else None


def _of_task(weights: Weights, i: int) -> Weights:
    return {name: w[i] for name, w in weights.items()}
