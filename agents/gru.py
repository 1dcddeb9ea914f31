"""A GRU over whole trials with its backward pass written out: torch's own is not fused on CPUs.

Cho et al. 2014, https://arxiv.org/abs/1406.1078, in the form of `torch.nn.GRU`, whose parameters are used as they are:
r and z gate, n = tanh(x_n + r * (W_hn h + b_hn)), h' = (1 - z) n + z h. What autograd would do in some thirty small
operations a step is seven here, and the gradient of the weights is one product over all steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def gru_sequence(cell: nn.GRU, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """What ``cell(x, state)`` gives.

    Args:
        cell: one layer, one direction.
        x: (T, N, input_size).
        state: (N, hidden_size); None for zeros.

    Returns:
        The states after every step (T, N, hidden_size), and the last one (N, hidden_size).
    """
    # nn.Module types its parameters as Tensor | Module.
    w_ih, w_hh, b_ih, b_hh = (getattr(cell, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    start = x.new_zeros(x.shape[1], cell.hidden_size) if state is None else state
    states = _GRUSequence.apply(nn.functional.linear(x, w_ih, b_ih), start, w_hh, b_hh)
    assert isinstance(states, Tensor)
    return states, states[-1]


class _GRUSequence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, start: Tensor, w_hh: Tensor, b_hh: Tensor) -> Tensor:
        """Gates (T, N, 3H) of the inputs, rows r, z, n; start (N, H). Returns the states (T, N, H)."""
        steps, n, size = gates.shape[0], gates.shape[1], start.shape[1]
        states = gates.new_empty(steps + 1, n, size)
        states[0] = start
        rz, fresh, inner = gates.new_empty(steps, n, 2 * size), states.new_empty(steps, n, size), []
        for t in range(steps):
            hidden = torch.addmm(b_hh, states[t], w_hh.t())
            torch.sigmoid(gates[t, :, : 2 * size] + hidden[:, : 2 * size], out=rz[t])
            inner.append(hidden[:, 2 * size :])
            torch.tanh(torch.addcmul(gates[t, :, 2 * size :], rz[t, :, :size], inner[t]), out=fresh[t])
            torch.lerp(fresh[t], states[t], rz[t, :, size:], out=states[t + 1])
        ctx.save_for_backward(states, rz, fresh, torch.stack(inner), w_hh)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gradients of gates, start, w_hh and b_hh from that of the states (T, N, H)."""
        (grad,) = grads
        states, rz, fresh, inner, w_hh = ctx.saved_tensors
        size = fresh.shape[2]
        r, z = rz[..., :size], rz[..., size:]
        # Derivatives by the step's own state, for all steps at once.
        by_n = (1 - z) * (1 - fresh * fresh)
        by_z = (states[:-1] - fresh) * z * (1 - z)
        by_r = by_n * inner * r * (1 - r)
        to_gates = torch.cat([by_r, by_z, by_n], dim=2)
        to_hidden = torch.cat([by_r, by_z, by_n * r], dim=2)
        d_hidden = torch.empty_like(to_hidden)
        d_states = torch.empty_like(fresh)
        d_state = torch.zeros_like(fresh[0])
        for t in range(len(fresh) - 1, -1, -1):
            torch.add(d_state, grad[t], out=d_states[t])
            torch.mul(to_hidden[t], d_states[t].repeat(1, 3), out=d_hidden[t])
            d_state = torch.addmm(d_states[t] * z[t], d_hidden[t], w_hh)
        d_gates = to_gates * d_states.repeat(1, 1, 3)
        flat = d_hidden.reshape(-1, 3 * size)
        return d_gates, d_state, flat.t() @ states[:-1].reshape(-1, size), flat.sum(0)


__all__ = ["gru_sequence"]
