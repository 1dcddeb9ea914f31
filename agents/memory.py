"""What a memory of the trial must offer, so that RL² can use one of your own: ``Network(cell="lab.memory:Mine")``."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from metaenv.imports import named

CELLS = {
    "lstm": "torch.nn:LSTM",
    "gru": "torch.nn:GRU",
    "attention": "metaenv.agents.attention:AttentionMemory",
}
"""The memories by name, "module:Class"."""


class Memory(Protocol):
    """A torch module that remembers the steps of a trial. Besides those of torch it has these parts.

    It is made as ``Mine(input_size, hidden_size, trial_length)``: the length of a step's embedding, the width of the
    output, and the steps in a trial, or None where trials vary in length. What it learns are its torch parameters.
    """

    state_size: int
    """Numbers that it remembers of a trial; a new trial starts from zeros."""

    def initialise(self) -> None:
        """Draw the initial weights from torch's global generator, which is seeded; called once."""
        ...

    def __call__(self, x: Tensor, state: Tensor | None, keep_state: bool = True) -> tuple[Tensor, Tensor]:
        """Play the steps x (T, N, input_size) from the state (N, state_size), None for zeros.

        In training T is the whole trial, and gradients flow through all of it; when it acts, T is 1. Both must come to
        the same.

        Returns:
            The output (T, N, hidden_size) and the new state, which may be (N, 0) where `keep_state` is False.
        """
        ...


def make_memory(cell: str, input_size: int, hidden_size: int, trial_length: int | None) -> nn.Module:
    """The memory of this name, a recurrent cell of torch or a `Memory`.

    Raises:
        ValueError: there is none of this name, it is no torch module, or it is attention and trials vary in length.
    """
    found: Any = named("memory cell", cell, CELLS)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ValueError(f"Expected a subclass of torch.nn.Module as memory cell, got {cell!r}, which is {found!r}.")
    if issubclass(found, nn.LSTM | nn.GRU):
        return found(input_size, hidden_size)
    if cell == "attention" and trial_length is None:
        raise ValueError(
            'Expected trials of a fixed length for cell="attention", which keeps every step; these vary in length. '
            'Use "lstm" or "gru".'
        )
    return found(input_size, hidden_size, trial_length)
