"""A memory of one's own: it sums up the steps of the trial."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Sum(nn.Module):
    """The sum of all steps up to now, as a linear layer sees them."""

    def __init__(self, input_size: int, hidden_size: int, trial_length: int | None) -> None:
        super().__init__()
        self.trial_length, self.state_size = trial_length, hidden_size
        self.layer = nn.Linear(input_size, hidden_size)

    def initialise(self) -> None:
        nn.init.normal_(self.layer.weight, std=0.5)

    def forward(self, x: Tensor, state: Tensor | None, keep_state: bool = True) -> tuple[Tensor, Tensor]:
        steps = self.layer(x)
        if state is not None:
            steps = torch.cat([steps[:1] + state, steps[1:]])
        sums = steps.cumsum(0)
        return sums, sums[-1]
