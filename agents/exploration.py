"""How PEARL explores: random actions at first, then by acting on a z that it has drawn from its belief."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metaenv.limits import Count, CountOrZero, check_limits


@dataclass(frozen=True)
class Exploration:
    """Random trials, and when z is drawn, and from what. The defaults are those of the paper: posterior sampling."""

    random_trials: CountOrZero = 1
    """Trials of each training task that are played before learning starts, with random actions."""
    random_action_repeat: Count = 1
    """Steps for which a random action is repeated in those trials; 20 goes in one direction for 20 steps."""
    prior_episodes: CountOrZero = 1
    """Episodes at the start of each training trial whose z is drawn from the prior, whatever has been seen. `predict`
    trusts the belief from the second episode on, or with 0 from the first step on."""
    resample_every: Count | None = None
    """Steps after which z is drawn anew within an episode; None draws it at the start of each episode only."""

    def __post_init__(self) -> None:
        check_limits(self)

    def is_due(self, age: Tensor) -> Tensor:
        """Whether a new z is to be drawn, bool, after `age` steps of the episode."""
        return age == 0 if self.resample_every is None else age % self.resample_every == 0

    def choose(self, episodes: Tensor, prior: Tensor, posterior: Tensor, training: bool) -> Tensor:
        """A new z (n, L): that of the prior in the first episodes, that of the posterior later.

        Args:
            episodes: (n, 1) episodes finished in the trial.
            prior: (n, L) drawn from the prior.
            posterior: (n, L) drawn from the belief.
            training: whether this is a training trial.
        """
        first = self.prior_episodes if training else min(self.prior_episodes, 1)
        return torch.where(episodes < first, prior, posterior)

    def random_actions(
        self,
        n: int,
        action_size: int,
        masks: NDArray[np.bool_] | None,
        last: NDArray[Any] | None,
        step: int,
        rng: np.random.Generator,
    ) -> NDArray[Any]:
        """Uniformly random allowed actions of n trials, or the last ones where they are to be repeated and allowed.

        Args:
            n: number of trials.
            action_size: dimensions of a continuous action.
            masks: (n, k) discrete actions allowed; None for continuous actions.
            last: the actions of the step before, None at the first step.
            step: number of the step in the trial.
            rng: source of randomness.
        """
        if masks is None:
            drawn = rng.uniform(-1, 1, (n, action_size)).astype(np.float32)
            allowed = np.ones(n, np.bool_)
        else:
            drawn = np.where(masks, rng.random(masks.shape), -1).argmax(1)
            allowed = masks[np.arange(n), drawn if last is None else last]
        if last is None or step % self.random_action_repeat == 0:
            return drawn
        return np.where(allowed.reshape(-1, *[1] * (drawn.ndim - 1)), last, drawn)
