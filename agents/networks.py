"""The recurrent actor-critic: an embedding, a recurrent cell over the trial, and heads for actions and value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from metaenv.agents import numerics
from metaenv.agents.action_features import ActionFeatureHead
from metaenv.agents.config import TaskPrediction
from metaenv.agents.dims import EnvDims
from metaenv.agents.entities import EntityLayout, PointerHead, SetEncoder
from metaenv.agents.hypernetwork import head_layers, head_linear
from metaenv.agents.memory import Memory, make_memory
from metaenv.agents.rl2_config import Network
from metaenv.agents.task_prediction import TaskHead

MAX_LOG_STD_STAGES = 32
"""Stages of a long trial that have an exploration noise of their own (chosen)."""


@dataclass(frozen=True)
class Categorical:
    """Distribution over k discrete actions. `log_probs` has shape (..., k)."""

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
    """Distribution of u in R^d, played as the action tanh(u) in (-1, 1)^d. `mean` and `log_std` have shape (..., d).

    Samples, log-probabilities and the entropy are those of u, not of the action. The action's own log-density
    differs by the Jacobian of tanh at u, which does not depend on the policy: it cancels in the ratio of two
    policies, so PPO needs no correction and no atanh of a saturated action. The entropy bonus acts on u.
    """

    mean: Tensor
    log_std: Tensor

    def sample(self, generator: torch.Generator) -> Tensor:
        return self.mean + self.log_std.exp() * numerics.normal_like(self.mean, generator)

    def mode(self) -> Tensor:
        return self.mean

    def log_prob(self, sample: Tensor) -> Tensor:
        return numerics.gaussian_log_prob(sample, self.mean, self.log_std)

    def entropy(self) -> Tensor:
        return numerics.gaussian_entropy(self.log_std).expand(self.mean.shape[:-1])

    @staticmethod
    def action(sample: Tensor) -> Tensor:
        return sample.tanh()


@dataclass(frozen=True)
class Mixed:
    """Distribution over numbers in (-1, 1) and, behind them, choices, each of which is a group of coordinates.

    Samples hold the numbers as `SquashedGaussian` has them, and each choice one-hot; in actions the chosen coordinate
    of a group is 1 and the others are -1.
    """

    numbers: SquashedGaussian
    choices: tuple[Categorical, ...]

    def sample(self, generator: torch.Generator) -> Tensor:
        return self._joined(self.numbers.sample(generator), [choice.sample(generator) for choice in self.choices])

    def mode(self) -> Tensor:
        return self._joined(self.numbers.mode(), [choice.mode() for choice in self.choices])

    def log_prob(self, sample: Tensor) -> Tensor:
        numbers, *chosen = sample.split([self._n_numbers, *(choice.log_probs.shape[-1] for choice in self.choices)], -1)
        of_choices = ((c.log_probs * one).sum(-1) for c, one in zip(self.choices, chosen, strict=True))
        return self.numbers.log_prob(numbers) + sum(of_choices)

    def entropy(self) -> Tensor:
        return self.numbers.entropy() + sum(choice.entropy() for choice in self.choices)

    def action(self, sample: Tensor) -> Tensor:
        return torch.cat([sample[..., : self._n_numbers].tanh(), 2 * sample[..., self._n_numbers :] - 1], -1)

    @property
    def _n_numbers(self) -> int:
        return self.numbers.mean.shape[-1]

    def _joined(self, numbers: Tensor, chosen: Sequence[Tensor]) -> Tensor:
        sizes = (choice.log_probs.shape[-1] for choice in self.choices)
        one_hot = [nn.functional.one_hot(c, size).to(numbers) for c, size in zip(chosen, sizes, strict=True)]
        return torch.cat([numbers, *one_hot], -1)


class Trunk(nn.Module):
    """Embedding and recurrent cell. Features are [cell's output, embedding], or the former alone without `skip`."""

    def __init__(self, input_size: int, settings: Network, trial_length: int | None) -> None:
        super().__init__()
        embedding_size = [input_size, *settings.embedding_sizes][-1]
        self.embedding = head_layers(0, [input_size, *settings.embedding_sizes])
        self.cell = make_memory(settings.cell, embedding_size, settings.hidden_size, trial_length)
        self.skip, self.recurrent = settings.skip, settings.recurrent
        if isinstance(self.cell, nn.RNNBase):
            self.state_size = settings.hidden_size * (1 if settings.cell == "gru" else 2)
        else:
            self.state_size = cast(Memory, self.cell).state_size
        self.feature_size = settings.hidden_size + embedding_size * settings.skip

    def forward(self, x: Tensor, state: Tensor | None, keep_state: bool = True) -> tuple[Tensor, Tensor]:
        """Play (T, N, input_size) from state (N, state_size), None for zeros; return features (T, N, f) and state."""
        embedding = self.embedding(x)
        if self.recurrent:
            output, new_state = self._recur(embedding, state, keep_state)
        else:
            flat, _ = self._recur(embedding.reshape(1, -1, embedding.shape[-1]), None, False)
            output, new_state = flat.reshape(*x.shape[:2], -1), flat.new_zeros(x.shape[1], self.state_size)
        return (torch.cat([output, embedding], -1) if self.skip else output), new_state

    def _recur(self, x: Tensor, state: Tensor | None, keep_state: bool) -> tuple[Tensor, Tensor]:
        if not isinstance(self.cell, nn.RNNBase):
            return self.cell(x, state, keep_state)
        parts = None if state is None else [part.unsqueeze(0).contiguous() for part in self._split(state)]
        if isinstance(self.cell, nn.GRU):
            output, h = self.cell(x, parts and parts[0])
            return output, h[0]
        output, (h, c) = self.cell(x, parts and tuple(parts))
        return output, torch.cat([h[0], c[0]], -1)

    def _split(self, state: Tensor) -> Sequence[Tensor]:
        return (state,) if isinstance(self.cell, nn.GRU) else state.chunk(2, -1)


class RecurrentActorCritic(nn.Module):
    """Actor and critic with a memory of the trial.

    The state that is carried from step to step is one array (N, state_size): the cell's state (of both cells,
    actor's first, where they are separate; an LSTM's is h then c; for attention see `AttentionMemory`), the sum of the
    trial's reports, where it makes some that are encoded as sets, and, in the last column, the number of steps played
    in the trial. A new trial starts from zeros.

    A report comes in one step and is of use for the rest of the trial. So the network is shown the sum of all of the
    trial's reports up to now, beside what the cell remembers (an aggregator as in Beck et al. 2020, "AMRL: Aggregated
    Memory For Reinforcement Learning", https://openreview.net/forum?id=Bkl7bREtDr). Without it RL² did not learn within
    0.75 million steps to keep what the log of a night tells in TargetSelection; with it 0.3 million were enough.

    With ``recurrent=False`` the same parameters treat every step as if it were the first of a trial: the control
    without memory. It still sees the previous action and reward, which are part of the observation.

    Args:
        dims: sizes of the environment.
        settings: sizes and kind of the network.
        prediction: how the task's vector of length `dims.task_dim` is predicted from the actor's features; None for
            networks that do not predict it.

    Raises:
        ValueError: attention is asked for where trials have no fixed length.
    """

    def __init__(self, dims: EnvDims, settings: Network, prediction: TaskPrediction | None = None) -> None:
        super().__init__()
        self.trial_length, self.discrete = dims.trial_length, dims.n_actions is not None
        self.set_encoder = _set_encoder(dims, settings.entity_size)
        self.report_size = 0 if self.set_encoder is None else self.set_encoder.report_size
        seen_size = dims.observation_size if self.set_encoder is None else self.set_encoder.summary_size
        seen_size += self.report_size
        trunks = [Trunk(seen_size, settings, dims.trial_length) for _ in range(1 if settings.shared else 2)]
        self.trunks = nn.ModuleList(trunks)
        self.attends = settings.cell == "attention" and settings.recurrent
        self.recurrent = settings.recurrent
        self._trunk_size = trunks[0].state_size
        self.state_size = sum(trunk.state_size for trunk in trunks) + self.report_size + 1
        self.feed_to_policy = prediction is not None and prediction.feed_to_policy
        feature_size, outputs = trunks[0].feature_size, dims.n_actions or dims.action_size
        # Features begin with the cell's output, which makes the weights of a hypernetwork.
        memory = settings.hidden_size if settings.heads == "hypernetwork" else 0
        head_sizes = [feature_size + dims.task_dim * self.feed_to_policy, *(memory + n for n in settings.head_sizes)]
        if self.set_encoder is not None:
            self.policy_head = _PointerPolicy(memory, head_sizes, self.set_encoder.layout, settings.entity_size)
        elif dims.action_features:
            self.policy_head = ActionFeatureHead(memory, head_sizes, (outputs, dims.action_features))
        else:
            self.policy_head = _LinearHead(memory, head_sizes, outputs)
        self.value_head = _LinearHead(memory, head_sizes, 1)
        self.task_head = None if prediction is None else TaskHead(feature_size, dims.task_dim, prediction.loss)
        stages = min(dims.trial_length or 1, MAX_LOG_STD_STAGES)
        self.choices = dims.choices
        n_numbers = 0 if self.discrete else dims.action_size - sum(dims.choices)
        log_std = torch.full((stages, n_numbers), settings.log_std_init)
        self.log_std = nn.Parameter(log_std, requires_grad=not self.discrete)
        self._initialise()

    def forward(
        self, observations: Tensor, state: Tensor | None = None, masks: Tensor | None = None, keep_state: bool = True
    ) -> tuple[Categorical | SquashedGaussian | Mixed, Tensor, Tensor, Tensor]:
        """Play observations (T, N, o) through the network.

        Args:
            observations: (T, N, o).
            state: (N, state_size) before the first of them; None at the start of a trial. Attention changes it in place
                and passes no gradient through it.
            masks: (T, N, k) bool, the allowed actions; None allows all.
            keep_state: whether the new state is needed; attention saves memory if not.

        Returns:
            The distribution of the actions (T, N), the values (T, N), the actor's features (T, N, f), the new state.
        """
        size = self._trunk_size
        parts = [None if state is None else state[:, i * size : (i + 1) * size] for i in range(len(self.trunks))]
        played = observations.new_zeros(1) if state is None else state[:, -1]
        encoded = None if self.set_encoder is None else self.set_encoder(observations)
        inputs = observations if encoded is None else encoded.summary
        reports = [] if encoded is None or encoded.report is None else [self._summed(encoded.report, state)]
        inputs = _joined(inputs, *reports)
        results = [trunk(inputs, part, keep_state) for trunk, part in zip(self.trunks, parts, strict=True)]
        features, critic_features = results[0][0], results[-1][0]
        steps = played + torch.arange(len(observations), device=played.device).unsqueeze(-1)
        predicted = [cast(TaskHead, self.task_head).predict(features)] if self.feed_to_policy else []
        policy_input, value_input = _joined(features, *predicted), _joined(critic_features, *predicted)
        output = self.policy_head(policy_input, *([] if encoded is None else [encoded.embeddings]))
        dist = self._distribution(output, steps, masks)
        new_parts = [*(part for _, part in results), *(each[-1] for each in reports)]
        new_state = self._new_state(state, new_parts, steps[-1] + 1)
        return dist, self.value_head(value_input).squeeze(-1), features, new_state

    def _summed(self, reports: Tensor, state: Tensor | None) -> Tensor:
        """Reports (T, N, report_size), each added to those that the trial has made before it."""
        if not self.recurrent:
            return reports
        return reports.cumsum(0) + (0 if state is None else state[:, -1 - self.report_size : -1])

    def _new_state(self, state: Tensor | None, parts: list[Tensor], played: Tensor) -> Tensor:
        if state is not None and self.attends:
            state[:, -1] = played
            if self.report_size:
                state[:, -1 - self.report_size : -1] = parts[-1]
            return state
        return torch.cat([*parts, played.expand(len(parts[0])).unsqueeze(-1)], -1)

    def _distribution(
        self, output: Tensor, steps: Tensor, masks: Tensor | None
    ) -> Categorical | SquashedGaussian | Mixed:
        if self.discrete:
            return Categorical(numerics.masked_log_softmax(output, masks))
        mean, *logits = output.split([output.shape[-1] - sum(self.choices), *self.choices], -1)
        numbers = SquashedGaussian(mean, self._log_std_at(steps).expand_as(mean))
        if not logits:
            return numbers
        return Mixed(numbers, tuple(Categorical(numerics.masked_log_softmax(each, None)) for each in logits))

    def _log_std_at(self, steps: Tensor) -> Tensor:
        """Log standard deviations (..., d) at the steps (...) of the trial; the last stage goes on past its end."""
        stages = len(self.log_std)
        if stages == 1 or self.trial_length is None:
            return self.log_std[0]
        return self.log_std[(steps.long() * stages // self.trial_length).clamp(max=stages - 1)]

    def _initialise(self) -> None:
        """A nearly uniform first policy (Andrychowicz et al. 2021, sec. 3.2)."""
        initialise_layers(self)
        for last in self.policy_head.last_layers:
            nn.init.orthogonal_(last.weight, gain=0.01)
        for last in self.value_head.last_layers:
            nn.init.orthogonal_(last.weight, gain=1.0)


def initialise_layers(network: nn.Module) -> None:
    """Orthogonal weights and zero biases; memories that are not recurrent draw their own."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight, gain=2**0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.RNNBase):
            _initialise_cell(module)
    for trunk in network.modules():
        if isinstance(trunk, Trunk) and not isinstance(trunk.cell, nn.RNNBase):
            cast(Memory, trunk.cell).initialise()


class _LinearHead(nn.Sequential):
    """Layers, the last of them linear."""

    def __init__(self, memory_size: int, sizes: Sequence[int], outputs: int) -> None:
        super().__init__(*head_layers(memory_size, sizes), head_linear(memory_size, sizes[-1], outputs))

    @property
    def last_layers(self) -> tuple[nn.Linear, ...]:
        """The layer that makes the logits, the mean or the value."""
        return (cast(nn.Linear, self[-1]),)


class _PointerPolicy(nn.Module):
    """Layers, then `PointerHead`."""

    def __init__(self, memory_size: int, sizes: Sequence[int], layout: EntityLayout, entity_size: int) -> None:
        super().__init__()
        self.layers = head_layers(memory_size, sizes)
        self.head = PointerHead(sizes[-1], entity_size, layout, memory_size)

    @property
    def last_layers(self) -> tuple[nn.Linear, ...]:
        """The layer that makes the logits."""
        return (self.head.query,)

    def forward(self, features: Tensor, embeddings: Tensor) -> Tensor:
        return self.head(self.layers(features), embeddings)


def _set_encoder(dims: EnvDims, entity_size: int) -> SetEncoder | None:
    if dims.entities is None or dims.n_actions is None:
        return None
    return SetEncoder(EntityLayout(dims.entities, dims.n_actions), dims.observation_size, entity_size, dims.report)


def _joined(first: Tensor, *others: Tensor) -> Tensor:
    return torch.cat([first, *others], -1) if others else first


def _initialise_cell(cell: nn.RNNBase) -> None:
    """Each gate's matrix is orthogonal by itself."""
    for name, parameter in cell.named_parameters():
        if "bias" in name:
            nn.init.zeros_(parameter)
        else:
            for gate in parameter.detach().split(cell.hidden_size):
                nn.init.orthogonal_(gate)
