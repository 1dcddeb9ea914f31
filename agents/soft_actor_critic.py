"""Soft actor-critic on a flat input, for continuous and for masked discrete actions: networks and their losses.

Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and Applications", https://arxiv.org/abs/1812.05905; for discrete
actions Christodoulou 2019, "Soft Actor-Critic for Discrete Action Settings", https://arxiv.org/abs/1910.07207. The
continuous networks are those of Stable-Baselines3's SAC. All losses are means over the rows of the batch.
"""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch
from gymnasium.spaces import Box
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import FlattenExtractor, create_mlp
from stable_baselines3.common.utils import polyak_update
from stable_baselines3.sac.policies import Actor
from torch import Tensor, nn

from metaenv.agents import numerics
from metaenv.agents.action_features import ActionFeatureNetwork
from metaenv.agents.dims import EnvDims
from metaenv.agents.entities import EntityLayout, SetNetwork
from metaenv.agents.pearl_config import PEARLNetwork

CONTINUOUS_TARGET_ENTROPY, DISCRETE_TARGET_ENTROPY = -1.0, 0.2
"""Default target entropies: SAC's own; chosen."""
TANH_EPSILON = 1e-6
"""Keeps the log of tanh's Jacobian finite at saturated actions; the value Stable-Baselines3 uses."""


class SoftActorCritic(nn.Module):
    """Actor, two critics, two target critics, and the weight of the entropy.

    Args:
        actor: the policy's network.
        critic: both critics.
        ent_coef: weight of the entropy, fixed; None adapts it to the target entropy from 1 on.
    """

    def __init__(self, actor: nn.Module, critic: nn.Module, ent_coef: float | None) -> None:
        super().__init__()
        self.actor, self.critic = actor, critic
        self.target_critic = copy.deepcopy(critic).requires_grad_(False)
        self.adapts = ent_coef is None
        start = torch.tensor(1.0 if ent_coef is None else ent_coef)
        self.log_ent_coef = nn.Parameter(start.log(), requires_grad=self.adapts)

    @property
    def ent_coef(self) -> Tensor:
        """Weight of the entropy, without gradient."""
        return self.log_ent_coef.detach().exp()

    @abstractmethod
    def act(self, x: Tensor, masks: Tensor | None, generator: torch.Generator, deterministic: bool) -> Tensor:
        """Actions (n,) or (n, d) for inputs (n, i); `masks` (n, k) allows."""

    @abstractmethod
    def q_values(self, x: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Both critics' values (n,) of the actions that were taken."""

    @abstractmethod
    def soft_value(self, x: Tensor, masks: Tensor | None, generator: torch.Generator) -> Tensor:
        """(n,) the target critics' value of the policy, with its entropy bonus; without gradient."""

    @abstractmethod
    def actor_loss(self, x: Tensor, masks: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """The actor's loss, the policy's entropy (n,) and the target entropy (n,), the latter two without gradient."""

    def ent_coef_loss(self, entropy: Tensor, target: Tensor) -> Tensor:
        """Its gradient lowers the weight where the entropy (n,) is above its target (n,), and raises it below."""
        return self.log_ent_coef * (entropy - target).mean()

    def update_target(self, tau: float) -> None:
        """Move the target critics a step of `tau` towards the critics."""
        polyak_update(self.critic.parameters(), self.target_critic.parameters(), tau)


class ContinuousSoftActorCritic(SoftActorCritic):
    """Actions in (-1, 1)^d, a squashed Gaussian; the actor and critics of Stable-Baselines3.

    Args:
        input_size: length of the flat input.
        action_size: d.
        sizes: widths of the hidden layers of every network.
        ent_coef: see `SoftActorCritic`.
        target_entropy: in nats per action dimension; SAC's own choice is -1.
    """

    def __init__(
        self, input_size: int, action_size: int, sizes: Sequence[int], ent_coef: float | None, target_entropy: float
    ) -> None:
        seen, played = Box(-math.inf, math.inf, (input_size,)), Box(-1, 1, (action_size,))
        actor = Actor(seen, played, list(sizes), FlattenExtractor(seen), input_size)
        critic = ContinuousCritic(
            seen, played, list(sizes), FlattenExtractor(seen), input_size, share_features_extractor=False
        )
        super().__init__(actor, critic, ent_coef)
        self.target_entropy = target_entropy * action_size

    def act(self, x: Tensor, masks: Tensor | None, generator: torch.Generator, deterministic: bool) -> Tensor:
        """See `SoftActorCritic`; masks do not apply."""
        mean, log_std, _ = cast(Actor, self.actor).get_action_dist_params(x)
        if deterministic:
            return mean.tanh()
        return (mean + log_std.exp() * numerics.normal_like(mean, generator)).tanh()

    def q_values(self, x: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """See `SoftActorCritic`."""
        first, second = self.critic(x, actions)
        return first.squeeze(-1), second.squeeze(-1)

    @torch.no_grad()
    def soft_value(self, x: Tensor, masks: Tensor | None, generator: torch.Generator) -> Tensor:
        """See `SoftActorCritic`; of one sampled action."""
        action, log_prob = self._sample(x, generator)
        first, second = self.target_critic(x, action)
        return torch.minimum(first, second).squeeze(-1) - self.ent_coef * log_prob

    def actor_loss(self, x: Tensor, masks: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """See `SoftActorCritic`; the gradient flows through one sampled action (equation 9 of the paper)."""
        action, log_prob = self._sample(x, generator)
        value = torch.minimum(*self.q_values(x, action))
        entropy = -log_prob.detach()
        return (self.ent_coef * log_prob - value).mean(), entropy, torch.full_like(entropy, self.target_entropy)

    def _sample(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Actions (n, d) and their log-densities (n,) after squashing (appendix C of the paper)."""
        mean, log_std, _ = cast(Actor, self.actor).get_action_dist_params(x)
        before = mean + log_std.exp() * numerics.normal_like(mean, generator)
        action = before.tanh()
        jacobian = (1 - action.square() + TANH_EPSILON).log().sum(-1)
        return action, numerics.gaussian_log_prob(before, mean, log_std) - jacobian


class DiscreteSoftActorCritic(SoftActorCritic):
    """One of k actions, of which some may be forbidden; critics that give the values of all of them.

    Args:
        input_size: length of the flat input.
        n_actions: k.
        sizes: widths of the hidden layers of every network.
        ent_coef: see `SoftActorCritic`.
        target_entropy: as a fraction of the log of the number of *allowed* actions. Christodoulou's 0.98 leaves a
            policy that is nearly uniform; a value near 0.1 to 0.3 lets it decide.
        network: makes a network from the input (n, i) to (n, k), in place of a plain one with layers of `sizes`.
    """

    def __init__(
        self,
        input_size: int,
        n_actions: int,
        sizes: Sequence[int],
        ent_coef: float | None,
        target_entropy: float,
        network: Callable[[], nn.Module] | None = None,
    ) -> None:
        make = network or (lambda: nn.Sequential(*create_mlp(input_size, n_actions, list(sizes))))
        super().__init__(make(), _TwoCritics(make(), make()), ent_coef)
        self.n_actions = n_actions
        self.target_entropy = target_entropy

    def act(self, x: Tensor, masks: Tensor | None, generator: torch.Generator, deterministic: bool) -> Tensor:
        """See `SoftActorCritic`."""
        log_probs = self._log_probs(x, masks)
        return log_probs.argmax(-1) if deterministic else numerics.sample_categorical(log_probs, generator)

    def q_values(self, x: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """See `SoftActorCritic`."""
        first, second = self.critic(x)
        taken = actions.unsqueeze(-1)
        return first.gather(-1, taken).squeeze(-1), second.gather(-1, taken).squeeze(-1)

    @torch.no_grad()
    def soft_value(self, x: Tensor, masks: Tensor | None, generator: torch.Generator) -> Tensor:
        """See `SoftActorCritic`; the exact expectation over the actions (equation 10 of the paper)."""
        log_probs = self._log_probs(x, masks)
        value = torch.minimum(*self.target_critic(x)) - self.ent_coef * log_probs
        return (log_probs.exp() * value).sum(-1)

    def actor_loss(self, x: Tensor, masks: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """See `SoftActorCritic`; exact over the actions (equation 12 of the paper)."""
        log_probs = self._log_probs(x, masks)
        with torch.no_grad():
            value = torch.minimum(*self.critic(x))
        loss = (log_probs.exp() * (self.ent_coef * log_probs - value)).sum(-1).mean()
        entropy = numerics.categorical_entropy(log_probs.detach())
        allowed = torch.full_like(entropy, self.n_actions) if masks is None else masks.sum(-1).to(entropy.dtype)
        return loss, entropy, self.target_entropy * allowed.log()

    def _log_probs(self, x: Tensor, masks: Tensor | None) -> Tensor:
        return numerics.masked_log_softmax(self.actor(x), masks)


class _TwoCritics(nn.Module):
    """Two networks from the input to the values of all k actions."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.first(x), self.second(x)


def make_soft_actor_critic(
    dims: EnvDims,
    input_size: int,
    settings: PEARLNetwork,
    ent_coef: float | None,
    target_entropy: float | None,
) -> SoftActorCritic:
    """The soft actor-critic for the actions of an environment.

    Args:
        dims: sizes of the environment.
        input_size: length of the flat input.
        settings: of every network.
        ent_coef: see `SoftActorCritic`.
        target_entropy: see the two classes; None for the default.
    """
    if dims.n_actions is not None:
        target = DISCRETE_TARGET_ENTROPY if target_entropy is None else target_entropy
        network = _over_actions(dims, input_size, settings, dims.n_actions)
        return DiscreteSoftActorCritic(input_size, dims.n_actions, settings.sizes, ent_coef, target, network)
    target = CONTINUOUS_TARGET_ENTROPY if target_entropy is None else target_entropy
    return ContinuousSoftActorCritic(input_size, dims.action_size, settings.sizes, ent_coef, target)


def _over_actions(
    dims: EnvDims, input_size: int, settings: PEARLNetwork, n_actions: int
) -> Callable[[], nn.Module] | None:
    """What makes a network that knows more of the actions than their numbers, or None."""
    if dims.entities is not None:
        layout = EntityLayout(dims.entities, n_actions)
        return partial(SetNetwork, layout, input_size, settings.sizes, settings.entity_size)
    if dims.action_features:
        return partial(ActionFeatureNetwork, input_size, settings.sizes, (n_actions, dims.action_features))
    return None
