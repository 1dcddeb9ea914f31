"""Policies with a memory: an embedding, a recurrent cell over the trial, and heads for actions and value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from metaenv.agents import numerics
from metaenv.agents.attention import AttentionMemory
from metaenv.agents.entities import ItemEncoder, ItemHead, ItemView
from metaenv.agents.gru import gru_sequence
from metaenv.agents.trial_spaces import TrialSpaces

Cell = Literal["gru", "lstm", "attention"]


@dataclass(frozen=True)
class Categorical:
    """Law over k discrete actions. `log_probs` has shape (..., k)."""

    log_probs: Tensor

    def sample(self, generator: torch.Generator) -> Tensor:
        return numerics.sample_categorical(self.log_probs, generator)

    def mode(self) -> Tensor:
        return self.log_probs.argmax(-1)

    def log_prob(self, sample: Tensor) -> Tensor:
        return self.log_probs.gather(-1, sample.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        return numerics.categorical_entropy(self.log_probs)

    @staticmethod
    def action(sample: Tensor) -> Tensor:
        return sample


@dataclass(frozen=True)
class SquashedGaussian:
    """Law over u in R^d, played as the action tanh(u) in (-1, 1)^d. `mean` and `log_std` have shape (..., d).

    Samples, log-probabilities and the entropy are those of u, not of the action. The action's own log-density
    differs by the Jacobian of tanh at u, which does not depend on the policy: it cancels in the ratio of two
    policies, so PPO needs no correction and no atanh of a saturated action. The entropy bonus acts on u.
    """

    mean: Tensor
    log_std: Tensor

    def sample(self, generator: torch.Generator) -> Tensor:
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return self.mean + self.log_std.exp() * noise

    def mode(self) -> Tensor:
        return self.mean

    def log_prob(self, sample: Tensor) -> Tensor:
        return numerics.gaussian_log_prob(sample, self.mean, self.log_std)

    def entropy(self) -> Tensor:
        return numerics.gaussian_entropy(self.log_std).expand(self.mean.shape[:-1])

    @staticmethod
    def action(sample: Tensor) -> Tensor:
        return sample.tanh()


class Trunk(nn.Module):
    """Embedding and recurrent memory. Features are [memory, embedding], or the memory alone without `skip`."""

    def __init__(
        self,
        input_size: int,
        embedding_sizes: Sequence[int],
        hidden_size: int,
        cell: Cell,
        skip: bool,
        memory: bool,
        trial_length: int | None,
        half_precision: bool = False,
    ) -> None:
        super().__init__()
        embedding_size = [input_size, *embedding_sizes][-1]
        self.embedding = _layers([input_size, *embedding_sizes])
        self.cell = _cell(cell, embedding_size, hidden_size, trial_length)
        self.skip = skip
        self.memory = memory
        self.hidden_size = hidden_size
        self.half_precision = half_precision
        if isinstance(self.cell, AttentionMemory):
            self.state_size = self.cell.state_size
        else:
            self.state_size = hidden_size * (1 if cell == "gru" else 2)
        self.feature_size = hidden_size + embedding_size * skip

    def forward(self, x: Tensor, state: Tensor | None, keep_state: bool = True) -> tuple[Tensor, Tensor]:
        """Play (T, N, input_size) from state (N, state_size), None for zeros; return features (T, N, f) and state."""
        embedding = self.embedding(x)
        if self.memory:
            output, new_state = self._recur(embedding, state, keep_state)
        else:
            flat, _ = self._recur(embedding.reshape(1, -1, embedding.shape[-1]), None, False)
            output, new_state = flat.reshape(*x.shape[:2], -1), flat.new_zeros(x.shape[1], self.state_size)
        return (torch.cat([output, embedding], -1) if self.skip else output), new_state

    def _recur(self, x: Tensor, state: Tensor | None, keep_state: bool) -> tuple[Tensor, Tensor]:
        if isinstance(self.cell, AttentionMemory):
            return self.cell(x, state, keep_state)
        if isinstance(self.cell, nn.GRU):
            return gru_sequence(self.cell, x, state)
        halves = None if state is None else tuple(part.unsqueeze(0).contiguous() for part in state.chunk(2, -1))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half_precision):
            output, (h, c) = self.cell(x, halves)
        return output.float(), torch.cat([h[0], c[0]], -1).float()


class RecurrentActorCritic(nn.Module):
    """Actor and critic with a memory of the trial.

    The state that is carried from step to step is one array (N, state_size): the cell's state (of both cells,
    actor's first, where they are separate; an LSTM's is h then c; for attention see `AttentionMemory`) and, in the last
    column, the number of steps played in the trial. A new trial starts from zeros.

    With `memory=False` the same parameters see every step as if it were the first of a trial: the control
    that cannot remember. What one observation holds of the past (the previous action and reward) it still sees.

    Args:
        spaces: the environment's sizes.
        embedding_sizes: widths of the layers before the memory; () feeds the observation in directly.
        hidden_size: width of the recurrent cell.
        head_sizes: widths of the layers between the features and each head; () is a linear head.
        cell: "gru", "lstm", or "attention", which needs trials of a fixed length.
        shared: one trunk for actor and critic, or one each.
        skip: whether the heads see the embedding as well as the memory.
        memory: whether the state is carried from one step to the next.
        log_std_rows: number of stages of the trial with an exploration noise of their own.
        log_std_init: initial log standard deviation of a continuous action before squashing.
        belief: whether the heads also see the hidden task's context as the context head predicts it from the actor's
            features. No gradient flows through it. Needs `spaces.context_size` > 0.
        binary_context: whether the context head's output are logits of a context in [0, 1], and the belief
            probabilities; otherwise the output is the prediction itself.
        item_size: width of the embedding of items, where ``spaces.items`` says that the environment lists some.
        half_precision: whether an LSTM computes with bfloat16; all else, and its weights, are float32.
    """

    def __init__(
        self,
        spaces: TrialSpaces,
        embedding_sizes: Sequence[int] = (64,),
        hidden_size: int = 64,
        head_sizes: Sequence[int] = (),
        cell: Cell = "gru",
        shared: bool = True,
        skip: bool = True,
        memory: bool = True,
        log_std_rows: int = 1,
        log_std_init: float = -0.7,
        belief: bool = False,
        binary_context: bool = False,
        item_size: int = 48,
        half_precision: bool = False,
    ) -> None:
        super().__init__()
        self.belief, self.binary_context = belief, binary_context
        self.trial_length = spaces.trial_length
        self.discrete = spaces.n_actions is not None
        self.items = _item_encoder(spaces, item_size)
        seen_size = spaces.observation_size if self.items is None else self.items.summary_size
        trunks = [
            Trunk(seen_size, embedding_sizes, hidden_size, cell, skip, memory, spaces.trial_length, half_precision)
            for _ in range(1 if shared else 2)
        ]
        self.trunks = nn.ModuleList(trunks)
        self.attends = cell == "attention" and memory
        self.state_size = sum(trunk.state_size for trunk in trunks) + 1
        feature_size, outputs = trunks[0].feature_size, spaces.n_actions or spaces.action_size
        input_size = feature_size + spaces.context_size * belief
        self.policy_head = (
            _head([input_size, *head_sizes], outputs)
            if self.items is None
            else _ItemPolicy([input_size, *head_sizes], self.items.view, item_size)
        )
        self.value_head = _head([input_size, *head_sizes], 1)
        self.context_head = nn.Linear(feature_size, spaces.context_size) if spaces.context_size else None
        rows = (log_std_rows, 0 if self.discrete else spaces.action_size)
        self.log_std = nn.Parameter(torch.full(rows, log_std_init), requires_grad=not self.discrete)
        self._initialise()

    def forward(
        self,
        observations: Tensor,
        state: Tensor | None = None,
        masks: Tensor | None = None,
        keep_state: bool = True,
        contexts: Tensor | None = None,
        revealed: Tensor | None = None,
    ) -> tuple[Categorical | SquashedGaussian, Tensor, Tensor, Tensor]:
        """Play observations (T, N, o) through the memory.

        Args:
            observations: (T, N, o).
            state: (N, state_size) before the first of them; None at the start of a trial. Attention changes it in place
                and passes no gradient through it.
            masks: (T, N, k) bool, the allowed actions; None allows all.
            keep_state: whether the new state is wanted; attention saves memory if not.
            contexts: (T, N, c), the true ones, for training alone.
            revealed: (T, N) bool, where the heads are given them instead of the belief; None gives them nowhere.

        Returns:
            The law of the actions (T, N), the values (T, N), the actor's features (T, N, f), and the new state.
        """
        size = (self.state_size - 1) // len(self.trunks)
        parts = [None if state is None else state[:, i * size : (i + 1) * size] for i in range(len(self.trunks))]
        played = observations.new_zeros(1) if state is None else state[:, -1]
        seen = None if self.items is None else self.items(observations)
        inputs = observations if seen is None else seen.summary
        results = [trunk(inputs, part, keep_state) for trunk, part in zip(self.trunks, parts, strict=True)]
        features, critic_features = results[0][0], results[-1][0]
        steps = played + torch.arange(len(observations)).unsqueeze(-1)
        belief = [self._believe(features, contexts, revealed)] if self.belief else []
        told = _joined(features, *belief)
        output = self.policy_head(told) if seen is None else self.policy_head(told, seen.embeddings)
        law = self._law(output, steps, masks)
        new_state = self._new_state(state, [part for _, part in results], steps[-1] + 1)
        return law, self.value_head(_joined(critic_features, *belief)).squeeze(-1), features, new_state

    @torch.no_grad()
    def _believe(self, features: Tensor, contexts: Tensor | None, revealed: Tensor | None) -> Tensor:
        """What the heads are told of the hidden task, (T, N, c)."""
        output = cast(nn.Linear, self.context_head)(features)
        belief = output.sigmoid() if self.binary_context else output
        return belief if contexts is None or revealed is None else contexts.where(revealed.unsqueeze(-1), belief)

    def context_error(self, features: Tensor, contexts: Tensor) -> Tensor:
        """Loss (T, N) of predicting the contexts (T, N, c) from the features (T, N, f), averaged over their parts.

        The squared error; for a binary context the cross entropy in nats.
        """
        output = cast(nn.Linear, self.context_head)(features)
        if self.binary_context:
            return binary_cross_entropy_with_logits(output, contexts, reduction="none").mean(-1)
        return (output - contexts).square().mean(-1)

    def _new_state(self, state: Tensor | None, parts: list[Tensor], played: Tensor) -> Tensor:
        if state is not None and self.attends:
            state[:, -1] = played
            return state
        return torch.cat([*parts, played.expand(len(parts[0])).unsqueeze(-1)], -1)

    def _law(self, output: Tensor, steps: Tensor, masks: Tensor | None) -> Categorical | SquashedGaussian:
        if self.discrete:
            return Categorical(numerics.masked_log_softmax(output, masks))
        return SquashedGaussian(output, self._log_std_at(steps).expand_as(output))

    def _log_std_at(self, steps: Tensor) -> Tensor:
        """Rows (..., d) of the noise schedule for the steps (...) of the trial; the last row holds from the end on."""
        rows = len(self.log_std)
        if rows == 1 or self.trial_length is None:
            return self.log_std[0]
        index = (steps.long() * rows // self.trial_length).clamp(max=rows - 1)
        return self.log_std[index]

    def _initialise(self) -> None:
        """Orthogonal weights and zero biases; a nearly uniform first policy (Andrychowicz et al. 2021, sec. 3.2)."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight, gain=2**0.5)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.RNNBase):
                _initialise_cell(module)
        for trunk in self.trunks:
            if isinstance(cell := cast(Trunk, trunk).cell, AttentionMemory):
                cell.initialise()
        last = self.policy_head[-1] if isinstance(self.policy_head, nn.Sequential) else self.policy_head.head.query
        nn.init.orthogonal_(cast(nn.Linear, last).weight, gain=0.01)
        nn.init.orthogonal_(cast(nn.Linear, self.value_head[-1]).weight, gain=1.0)


class _ItemPolicy(nn.Module):
    """Layers, then `ItemHead`."""

    def __init__(self, sizes: Sequence[int], view: ItemView, item_size: int) -> None:
        super().__init__()
        self.layers = _layers(sizes)
        self.head = ItemHead(sizes[-1], item_size, view)

    def forward(self, features: Tensor, embeddings: Tensor) -> Tensor:
        return self.head(self.layers(features), embeddings)


def _item_encoder(spaces: TrialSpaces, item_size: int) -> ItemEncoder | None:
    if spaces.items is None or spaces.n_actions is None:
        return None
    return ItemEncoder(ItemView(spaces.items, spaces.n_actions), spaces.observation_size, item_size)


def _cell(cell: Cell, input_size: int, hidden_size: int, trial_length: int | None) -> nn.Module:
    if cell != "attention":
        return (nn.GRU if cell == "gru" else nn.LSTM)(input_size, hidden_size)
    if trial_length is None:
        raise ValueError(
            'Expected trials of a fixed length for cell="attention", which keeps every step; these vary in length. '
            'Use "lstm" or "gru".'
        )
    return AttentionMemory(input_size, hidden_size, trial_length)


def _layers(sizes: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(*(layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.SiLU())))


def _joined(first: Tensor, *others: Tensor) -> Tensor:
    return torch.cat([first, *others], -1) if others else first


def _head(sizes: Sequence[int], outputs: int) -> nn.Sequential:
    return nn.Sequential(*_layers(sizes), nn.Linear(sizes[-1], outputs))


def _initialise_cell(cell: nn.RNNBase) -> None:
    """Each gate's matrix is orthogonal by itself."""
    for name, parameter in cell.named_parameters():
        if "bias" in name:
            nn.init.zeros_(parameter)
        else:
            for gate in parameter.detach().split(cell.hidden_size):
                nn.init.orthogonal_(gate)
