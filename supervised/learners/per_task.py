"""A function of one task and of weights that are the task's own, for a batch of tasks.

Small networks on vectors are computed for all tasks at once (`torch.func.vmap`). Convolutions whose weights differ from
task to task become grouped convolutions in that way, which take twice as long on a CPU as one task after the other, and
1.4 times as long with their gradients (28 x 28 pixels, 64 channels, 10 pictures of each of 4 tasks; measured). So
images go one by one there, and so do their gradients, by plain autograd: `torch.func.grad` takes 1.3 times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

Weights = dict[str, Tensor]
W = TypeVar("W", Tensor, Weights)
CHUNK = 8  # sequences of so many tasks at once: bounds the memory of convolutions (chosen)


def outputs(function: Callable[..., Tensor], weights: W, x: Tensor, *more: Tensor) -> Tensor:
    """``function(weights, x, *more)`` of each task, stacked; gradients go through it.

    Args:
        function: of one task.
        weights: one tensor or several by name, each (tasks, ...).
        x: (tasks, samples, *x_shape).
        more: other inputs, each (tasks, ...).
    """
    if not _one_by_one(x):
        return vmap(function, chunk_size=_chunk(x))(weights, x, *more)
    each = zip(x, *more, strict=True)
    return torch.stack([function(_of_task(weights, i), *inputs) for i, inputs in enumerate(each)])


def gradients(loss: Callable[[W, Tensor, Tensor], Tensor], weights: W, x: Tensor, y: Tensor) -> tuple[W, Tensor]:
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
    if isinstance(weights, Tensor):
        return torch.stack([found[0] for found, _ in each]), losses
    return {name: torch.stack([found[i] for found, _ in each]) for i, name in enumerate(weights)}, losses


def _gradient(
    loss: Callable[[W, Tensor, Tensor], Tensor], weights: W, x: Tensor, y: Tensor
) -> tuple[tuple[Tensor, ...], Tensor]:
    with torch.enable_grad():
        if isinstance(weights, Tensor):
            own = weights.detach().requires_grad_()
            value, leaves = loss(own, x, y), [own]
        else:
            named = {name: w.detach().requires_grad_() for name, w in weights.items()}
            value, leaves = loss(cast(W, named), x, y), [*named.values()]
    return torch.autograd.grad(value, leaves), value.detach()


def _one_by_one(x: Tensor) -> bool:
    return x.ndim > 4 and x.device.type == "cpu"


def _chunk(x: Tensor) -> int | None:
    return CHUNK if x.ndim > 3 else None


def _of_task(weights: W, i: int) -> W:
    return cast(W, weights[i] if isinstance(weights, Tensor) else {name: w[i] for name, w in weights.items()})
