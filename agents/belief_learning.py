"""How a variational belief is learned: VariBAD's evidence lower bound, on the trials that the policy has played."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metaenv.agents.dims import EnvDims
from metaenv.agents.rl2_config import Network, VariationalBelief
from metaenv.agents.variational_belief import BeliefModel, Gaussians

MOST_BELIEFS, MOST_STEPS = 8, 16
"""How many beliefs of a trial are decoded at most in an update, and for how many of its steps each. Chosen; a pass over
the trials then takes about 0.4 to 1 times as long as PPO's update (measured on three families)."""


class Moments(nn.Module):
    """Means and standard deviations of targets over all batches up to now."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.count: Tensor
        self.mean: Tensor
        self.square: Tensor
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("square", torch.zeros(size, dtype=torch.float64))

    def add(self, rows: Tensor) -> None:
        """Take in rows (n, size)."""
        rows = rows.double()
        self.count += len(rows)
        share = len(rows) / self.count
        self.mean += share * (rows.mean(0) - self.mean)
        self.square += share * (rows.square().mean(0) - self.square)

    def standardised(self, rows: Tensor) -> Tensor:
        """(..., size) with mean 0 and standard deviation 1; numbers that have never varied are 0."""
        spread = (self.square - self.mean.square()).clamp(min=0).sqrt()
        scale = torch.where(spread > 1e-6 * (1 + self.mean.abs()), 1 / spread, 0.0)
        return ((rows - self.mean) * scale).to(rows.dtype)


class BeliefLearner:
    """A belief with its own optimiser.

    Args:
        dims: sizes of the environment.
        network: sizes and cell of the policy's network; the belief's memory has the same.
        settings: of the belief.
        device: where it lives.
    """

    def __init__(
        self, dims: EnvDims, network: Network, settings: VariationalBelief, device: torch.device | str = "cpu"
    ) -> None:
        self.settings = settings
        self.model = BeliefModel(dims, network, settings.latent_size, settings.decoder_sizes).to(device)
        self.moments = Moments(1 + self.model.columns.outcome_size).to(device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=settings.learning_rate)

    def update(self, batch: Mapping[str, NDArray[Any] | Tensor], generator: torch.Generator) -> dict[str, float]:
        """Learn from whole trials.

        Args:
            batch: "observations" (T, N, …) as the policy saw them, "actions" played, "rewards" and, where trials vary
                in length, "valid".
            generator: of all draws.

        Returns:
            Means of what is logged.
        """
        names = ("observations", "actions", "rewards", "valid")
        device = next(self.model.parameters()).device
        trials = {name: torch.as_tensor(batch[name], device=device) for name in names if name in batch}
        trials["observations"] = self.model.without_belief(trials["observations"])
        trials["targets"] = self._targets(trials["observations"], trials["rewards"])
        # The last step of a trial has no next observation in the batch.
        valid = trials.get("valid", torch.ones_like(trials["rewards"], dtype=torch.bool))
        trials["goes_on"] = torch.cat([valid[1:], torch.zeros_like(valid[:1])])
        trials["lengths"] = valid.sum(0)
        self.moments.add(trials["targets"][trials["goes_on"]])
        trials["targets"] = self.moments.standardised(trials["targets"])
        metrics: list[Tensor] = []
        n = trials["rewards"].shape[1]
        for _ in range(self.settings.n_epochs):
            order = torch.randperm(n, generator=generator, device=generator.device).to(device)
            for rows in order.split(self.settings.batch_size):
                parts = {name: x[..., rows] if name == "lengths" else x[:, rows] for name, x in trials.items()}
                reward, outcome, divergence = self.errors(parts, generator)
                settings = self.settings
                loss = reward + settings.outcome_coef * outcome + settings.kl_coef * divergence
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                metrics.append(torch.stack([reward, outcome, divergence]).detach())
        means = torch.stack(metrics).mean(0).tolist()
        return dict(zip(("belief/reward_error", "belief/outcome_error", "belief/kl"), means, strict=True))

    def _targets(self, observations: Tensor, rewards: Tensor) -> Tensor:
        """(T, N, 1 + outcomes): the reward of each step, and the outcome that the next observation shows."""
        following = torch.cat([observations[1:], torch.zeros_like(observations[:1])])
        return torch.cat([rewards.unsqueeze(-1), self.model.columns.outcome(following)], -1)

    def errors(self, trials: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """The parts of the negative evidence lower bound, means over trials and beliefs.

        Half of the squared error of the standardised reward, and of the standardised outcome as a mean over its
        numbers, both summed over the steps of the trial; and the divergence of a belief from the one before it.
        """
        observations, lengths = trials["observations"], trials["lengths"]
        beliefs, _ = self.model.encoder(observations, keep_state=False)
        when, what = (self._drawn(trials, most, generator) for most in (MOST_BELIEFS, MOST_STEPS))
        latents = Gaussians(*(_at(part, when) for part in beliefs)).sample(generator)
        steps = _at(self.model.columns.step(observations, trials["actions"]), what)
        errors = 0.5 * (self.model.decoder(steps, latents) - _at(trials["targets"], what)).square()
        goes_on = _at(trials["goes_on"].to(errors).unsqueeze(-1), what).squeeze(-1)
        outcome = errors[..., 1:].mean(-1) * goes_on
        played = (torch.arange(len(observations), device=lengths.device).unsqueeze(-1) < lengths).to(errors)
        divergence = (beliefs.steps() * played).sum(0) / lengths
        return (
            (errors[..., 0].mean((0, 1)) * lengths).mean(),
            (outcome.mean((0, 1)) * lengths).mean(),
            divergence.mean(),
        )

    @staticmethod
    def _drawn(trials: Mapping[str, Tensor], most: int, generator: torch.Generator) -> Tensor:
        """Steps (k, N) of each trial, at most so many: all of them, or drawn uniformly from those that were played."""
        lengths, longest = trials["lengths"], len(trials["observations"])
        if longest <= most and "valid" not in trials:
            return torch.arange(longest, device=lengths.device).unsqueeze(-1).expand(-1, len(lengths))
        unit = torch.rand(min(most, longest), len(lengths), generator=generator, device=generator.device)
        return (unit.to(lengths.device) * lengths).long().clamp(max=longest - 1)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        parts = {"model": self.model, "moments": self.moments, "optimizer": self.optimizer}
        return {name: part.state_dict() for name, part in parts.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self.moments.load_state_dict(state["moments"])
        self.optimizer.load_state_dict(state["optimizer"])


def _at(x: Tensor, steps: Tensor) -> Tensor:
    """x (T, N, ...) at steps (k, N) of each trial: (k, N, ...)."""
    return x[steps, torch.arange(steps.shape[1], device=steps.device)]
