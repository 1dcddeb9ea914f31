"""A belief about the hidden task that is inferred from the trial alone: VariBAD's encoder and decoder.

Zintgraf, Shiarlis, Igl, Schulze, Gal, Hofmann and Whiteson 2020, "VariBAD: A Very Good Method for Bayes-Adaptive Deep
RL via Meta-Learning", https://arxiv.org/abs/1910.08348. A memory of the trial puts out, at each step, a Gaussian over a
latent vector z. From a z drawn after step t a decoder predicts what *all* steps of the trial bring, those before t and
those after it, given each step's observation and action: the reward, and the outcome that the next observation shows.
So the belief comes to hold what helps to foresee the rest of the trial. Nothing about the task is told.

Differences from the paper: rewards and outcomes are standardised; where a trial is long, some of its steps and beliefs
are drawn, as in the paper's own code; and where trials report what an episode that has ended has shown, these reports
are the outcomes, and else the next observations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, silu

from metaenv.agents.dims import EnvDims
from metaenv.agents.entities import TRIAL_NUMBERS, EntityLayout, SetEncoder
from metaenv.agents.hypernetwork import head_layers
from metaenv.agents.networks import Trunk, initialise_layers
from metaenv.agents.rl2_config import Network

LOG_VARIANCE = -10.0, 5.0
"""Range of the logarithm of a belief's variances (chosen; the prior's is 0)."""


class Gaussians(NamedTuple):
    """Diagonal Gaussians over z; both parts have the shape (..., latent_size)."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, generator: torch.Generator) -> Tensor:
        """One z from each, through which gradients flow."""
        noise = torch.empty_like(self.mean, device=generator.device).normal_(generator=generator)
        return self.mean + (0.5 * self.log_variance).exp() * noise.to(self.mean.device)

    def steps(self) -> Tensor:
        """KL divergences (T, N) in nats of beliefs (T, N, L), each from the one before it, the first from N(0, I)."""
        before = [torch.cat([torch.zeros_like(part[:1]), part[:-1]]) for part in self]
        return Gaussians(*before).divergence_of(self)

    def divergence_of(self, other: Gaussians) -> Tensor:
        """KL(other || self) in nats, (...)."""
        difference = other.log_variance - self.log_variance
        shift = (other.mean - self.mean).square() * (-self.log_variance).exp()
        return 0.5 * (difference.exp() + shift - 1 - difference).sum(-1)


class BeliefEncoder(nn.Module):
    """The memory that infers: from observations of the trial to the belief after each of them.

    Args:
        dims: sizes of the environment.
        settings: sizes and cell of the memory.
        latent_size: L.
    """

    def __init__(self, dims: EnvDims, settings: Network, latent_size: int) -> None:
        super().__init__()
        self.set_encoder, seen_size = None, dims.observation_size
        if dims.entities is not None and dims.n_actions is not None:
            layout = EntityLayout(dims.entities, dims.n_actions)
            self.set_encoder = SetEncoder(layout, dims.observation_size, settings.entity_size, dims.report)
            seen_size = self.set_encoder.summary_size + self.set_encoder.report_size
        self.trunk = Trunk(seen_size, replace(settings, recurrent=True, skip=True), dims.trial_length)
        self.belief = nn.Linear(self.trunk.feature_size, 2 * latent_size)
        self.state_size = self.trunk.state_size

    def forward(
        self, observations: Tensor, state: Tensor | None = None, keep_state: bool = True
    ) -> tuple[Gaussians, Tensor]:
        """The beliefs (T, N, L) after each of the observations (T, N, o), and the memory's new state."""
        if self.set_encoder is not None:
            encoded = self.set_encoder(observations)
            parts = [encoded.summary, *([] if encoded.report is None else [encoded.report])]
            observations = torch.cat(parts, -1)
        features, new_state = self.trunk(observations, state, keep_state)
        mean, log_variance = self.belief(features).chunk(2, -1)
        return Gaussians(mean, log_variance.clamp(*LOG_VARIANCE)), new_state


class Columns:
    """Which columns of a trial's observation a step's decoder is given, and which of the next it predicts.

    Where the trial is one of this package, the decoder is given the observation of the present episode and not what
    the trial remembers of the steps before, which z has to tell. It predicts the reward of the step and the report of
    an episode that has ended, or, where trials make no reports, the next observation of the episode. Otherwise it is
    given and predicts the whole observation.
    """

    def __init__(self, dims: EnvDims) -> None:
        self.n_actions = dims.n_actions
        self.layout = None
        if dims.entities is not None and dims.n_actions is not None:
            self.layout = EntityLayout(dims.entities, dims.n_actions)
        size, episode = dims.observation_size, dims.episode_size or dims.observation_size
        first = 0 if self.layout is None else self.layout.end
        self.given = slice(first, episode)
        action = size - TRIAL_NUMBERS - dims.action_vector_size
        reports = bool(dims.episode_size) and dims.reports_at_end
        outcome = range(episode, action) if reports else range(first, episode)
        reward = [size - TRIAL_NUMBERS] if dims.episode_size else []
        self.predicted = torch.tensor([*outcome, *reward])
        choice = dims.action_vector_size if self.layout is None else self.layout.choice_size
        self.step_size, self.outcome_size = episode - first + choice, len(self.predicted)

    def step(self, observations: Tensor, actions: Tensor) -> Tensor:
        """What is given of steps (..., step_size): observations (..., o) and the actions (...) or (..., d) there."""
        played = actions if self.n_actions is None else one_hot(actions, self.n_actions).to(observations)
        if self.layout is not None:
            played = self.layout.choice(self.layout.entities(observations), played)
        return torch.cat([observations[..., self.given], played], -1)

    def outcome(self, following: Tensor) -> Tensor:
        """What is predicted (..., outcome_size) of the observations (..., o) after steps."""
        return following[..., self.predicted.to(following.device)]


class Decoder(nn.Module):
    """From steps and latents to what the steps bring, for every pair of them.

    Args:
        step_size: length of a step.
        latent_size: L.
        outputs: numbers that are predicted.
        sizes: widths of the hidden layers, one at least.
    """

    def __init__(self, step_size: int, latent_size: int, outputs: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.of_step, self.of_latent = nn.Linear(step_size, sizes[0]), nn.Linear(latent_size, sizes[0], bias=False)
        self.layers = nn.Sequential(*head_layers(0, sizes), nn.Linear(sizes[-1], outputs))

    def forward(self, steps: Tensor, latents: Tensor) -> Tensor:
        """Predictions (P, S, N, outputs) for steps (S, N, step_size) and latents (P, N, L) of the same N trials."""
        return self.layers(silu(self.of_step(steps) + self.of_latent(latents).unsqueeze(1)))


class BeliefModel(nn.Module):
    """Encoder and decoder.

    Args:
        dims: sizes of the environment.
        network: sizes and cell of the memory.
        latent_size: L.
        decoder_sizes: widths of the decoder's hidden layers.
    """

    def __init__(self, dims: EnvDims, network: Network, latent_size: int, decoder_sizes: Sequence[int]) -> None:
        super().__init__()
        self.columns = Columns(dims)
        self.encoder = BeliefEncoder(dims, network, latent_size)
        self.decoder = Decoder(self.columns.step_size, latent_size, 1 + self.columns.outcome_size, decoder_sizes)
        initialise_layers(self)
        nn.init.orthogonal_(self.encoder.belief.weight, gain=0.01)  # the first belief is nearly the prior
        self._start = 0 if self.columns.layout is None else self.columns.layout.end
        self._shown_size = 2 * latent_size
        self.state_size = self.encoder.state_size

    @torch.no_grad()
    def shown(self, observations: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the policy sees: the observations (T, N, o) with mean and log variance of the belief at the place where
        the list of entities ends, or at the beginning; without gradient. And the memory's new state."""
        belief, new_state = self.encoder(observations, state)
        first, rest = observations.tensor_split([self._start], -1)
        return torch.cat([first, *belief, rest], -1), new_state

    def without_belief(self, shown: Tensor) -> Tensor:
        """The observations (..., o) of those that `shown` has made."""
        first, _, rest = shown.tensor_split([self._start, self._start + self._shown_size], -1)
        return torch.cat([first, rest], -1)
