"""Causal self-attention over the steps of the trial, as a memory in place of a recurrent cell.

Vaswani et al. 2017, "Attention Is All You Need", https://arxiv.org/abs/1706.03762, with layer norm before each block
(Xiong et al. 2020, https://arxiv.org/abs/2002.04745). Mishra et al. 2018, "A Simple Neural Attentive Meta-Learner"
(https://arxiv.org/abs/1707.03141), brought attention into RL². A recurrent cell must learn to write each of, say, fifty
facts into its state and to find it again; attention finds the step at which the present situation was met before. To
this end each token is made of two steps, this one and the one before, so that it holds both the action taken in a
situation and its result.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

MAX_HEAD_SIZE = 16
"""Largest width of an attention head (chosen); the memory is split into as many heads as that takes."""


class AttentionMemory(nn.Module):
    """Causal attention over at most `span` steps.

    The state that is carried from step to step is one array (N, state_size): the keys and values of all layers for
    all `span` steps, the input of the step before, and the number of steps seen.

    Args:
        input_size: length of a step's embedding.
        hidden_size: width of the memory.
        span: the longest trial.
        layers: blocks of attention and feed-forward layers.
    """

    def __init__(self, input_size: int, hidden_size: int, span: int, layers: int = 2) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.span = input_size, hidden_size, span
        self.token = nn.Linear(2 * input_size, hidden_size)
        self.position = nn.Parameter(torch.zeros(span, 1, hidden_size))
        self.blocks = nn.ModuleList(Block(hidden_size) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden_size)
        self.cache_size = layers * 2 * span * hidden_size
        self.state_size = self.cache_size + input_size + 1

    def initialise(self) -> None:
        """Small positions; torch's own initial weights elsewhere."""
        nn.init.normal_(self.position, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.LayerNorm):
                module.reset_parameters()

    def forward(self, x: Tensor, state: Tensor | None, keep_state: bool = True) -> tuple[Tensor, Tensor]:
        """Attend from each of the steps x (T, N, input_size) to all steps up to it.

        Args:
            x: the steps.
            state: (N, state_size), which is *changed in place* and returned, without gradient: for acting. None at the
                start of a trial.
            keep_state: whether the state is needed; if not, the one returned is empty.

        Returns:
            The output (T, N, hidden_size), and the state.

        Raises:
            ValueError: more steps than the span.
        """
        if state is not None:
            found = [self._step(step, state) for step in x]
            return torch.stack(found), state
        if len(x) > self.span:
            raise ValueError(f"Expected trials of at most {self.span} steps (the memory's span), got {len(x)}.")
        before = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
        h = self.token(torch.cat([x, before], -1)) + self.position[: len(x)]
        caches: list[Tensor] = []
        for block in self.blocks:
            h, keys_values = block(h)
            caches.append(keys_values)
        return self.norm(h), self._state_after(x, caches) if keep_state else x.new_zeros(x.shape[1], 0)

    def _state_after(self, x: Tensor, caches: list[Tensor]) -> Tensor:
        steps, n = x.shape[:2]
        cache = x.new_zeros(n, len(caches), 2, self.span, self.hidden_size)
        for layer, keys_values in enumerate(caches):
            cache[:, layer, :, :steps] = keys_values.detach()
        count = x.new_full((n, 1), float(steps))
        return torch.cat([cache.flatten(1), x[-1].detach(), count], -1)

    @torch.no_grad()
    def _step(self, x: Tensor, state: Tensor) -> Tensor:
        """One step (N, input_size) of trials that may have seen different numbers of steps."""
        n, rows = len(x), torch.arange(len(x), device=x.device)
        cache = state[:, : self.cache_size].view(n, len(self.blocks), 2, self.span, self.hidden_size)
        before, count = state[:, self.cache_size : -1], state[:, -1].long()
        if int(count.max()) >= self.span:
            raise ValueError(f"Expected trials of at most {self.span} steps (the memory's span), got a longer one.")
        h = self.token(torch.cat([x, before], -1)) + self.position[count, 0]
        length = int(count.max()) + 1
        visible = torch.arange(length, device=x.device) <= count.unsqueeze(-1)
        for layer, block in enumerate(self.blocks):
            h = cast(Block, block).step(h, cache[:, layer], rows, count, visible)
        state[:, self.cache_size : -1] = x
        state[:, -1] += 1
        return self.norm(h)


class Block(nn.Module):
    """Attention, then a feed-forward layer, each on the normalised input and added to it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.heads = max(1, size // MAX_HEAD_SIZE)
        self.norm_in, self.norm_out = nn.LayerNorm(size), nn.LayerNorm(size)
        self.query_key_value = nn.Linear(size, 3 * size)
        self.mix = nn.Linear(size, size)
        self.widen, self.narrow = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Whole trials (T, N, d); returns them and their keys and values (N, 2, T, d)."""
        steps, n, size = h.shape
        query, key, value = self.query_key_value(self.norm_in(h)).transpose(0, 1).chunk(3, -1)
        split = (n, steps, self.heads, size // self.heads)
        q, k, v = (part.reshape(split).transpose(1, 2) for part in (query, key, value))
        seen = scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self.mix(seen.transpose(1, 2).reshape(n, steps, size).transpose(0, 1))
        return self._think(h), torch.stack([key, value], 1)

    def step(self, h: Tensor, cache: Tensor, rows: Tensor, count: Tensor, visible: Tensor) -> Tensor:
        """One step (N, d); its key and value are written into `cache` (N, 2, span, d) at `count` (N,)."""
        n, size = h.shape
        query, key, value = self.query_key_value(self.norm_in(h)).chunk(3, -1)
        cache[rows, 0, count], cache[rows, 1, count] = key, value
        length = visible.shape[1]
        split = (n, length, self.heads, size // self.heads)
        k, v = (cache[:, i, :length].reshape(split).transpose(1, 2) for i in (0, 1))
        q = query.reshape(n, 1, self.heads, -1).transpose(1, 2)
        seen = scaled_dot_product_attention(q, k, v, attn_mask=visible[:, None, None])
        return self._think(h + self.mix(seen.transpose(1, 2).reshape(n, size)))

    def _think(self, h: Tensor) -> Tensor:
        return h + self.narrow(gelu(self.widen(self.norm_out(h))))
