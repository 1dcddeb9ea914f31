"""The written-out GRU against torch's own, values and gradients."""

import pytest
import torch
from torch import nn

from metaenv.agents.gru import gru_sequence


@pytest.mark.parametrize("with_state", [True, False])
def test_values_and_gradients_are_torch_s(with_state: bool) -> None:
    torch.manual_seed(0)
    cell = nn.GRU(5, 7).double()
    x = torch.randn(11, 4, 5, dtype=torch.float64, requires_grad=True)
    start = torch.randn(4, 7, dtype=torch.float64, requires_grad=True) if with_state else None
    weight = torch.randn(11, 4, 7, dtype=torch.float64)
    wanted, last = cell(x, None if start is None else start[None])
    given, state = gru_sequence(cell, x, start)
    torch.testing.assert_close(given, wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(state, last[0], rtol=1e-12, atol=1e-12)
    sources = [x, *cell.parameters(), *([start] if start is not None else [])]
    for one, two in zip(
        torch.autograd.grad((given * weight).sum() + state.sum(), sources),
        torch.autograd.grad((wanted * weight).sum() + last.sum(), sources),
        strict=True,
    ):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(1)
    cell = nn.GRU(2, 3).double()
    x = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda inputs: gru_sequence(cell, inputs, None)[0], x)
