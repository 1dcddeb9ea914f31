"""Gaussian-process Bayesian optimisation of bounded actions by BoTorch: what a self-driving laboratory runs today.

Balandat et al. 2020, "BoTorch", https://arxiv.org/abs/1910.06403; the acquisition is LogEI of Ament et al. 2023,
https://arxiv.org/abs/2310.20708. A BoTorch model takes a batch of independent data sets, so the campaigns of many
tasks are fitted at once, each with hyperparameters of its own.
"""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.trial import VectorTrial
from metaenv.typing import Floats
from metaenv.vector import Observations

INITIAL = 3  # scrambled Sobol experiments before the first fit; chosen
CANDIDATES = 1024  # Sobol points the acquisition is maximised over, before refinement
REFINED = 64  # more points, normally distributed around the best candidate and the best action so far
SPREAD = 0.1  # of these, as a share of the action's range


class GaussianProcessBO:
    """BoTorch's default ``SingleTaskGP`` on standardised readings, and LogEI over candidate actions.

    It takes every action for an experiment of its own and the reward for the reading, on any bounded Box action.
    """

    initial = INITIAL
    """Experiments before the model chooses."""

    def check(self, env: VectorTrial) -> None:
        """Raise ValueError unless the actions of ``env`` are a bounded Box."""
        space = env.single_action_space
        if not isinstance(space, gym.spaces.Box) or not space.is_bounded():
            raise ValueError(f"Expected a bounded Box action for GP-BO (Bayesian optimisation), got {space}.")

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Draw an initial design and a set of candidates for each campaign."""
        self.check(env)
        try:
            import torch
            from torch.quasirandom import SobolEngine
        except ImportError as error:
            raise ImportError("GP-BO needs BoTorch: pip install 'metaenv-science[baselines]'") from error
        space = env.single_action_space
        assert isinstance(space, gym.spaces.Box), "checked above"
        self._shape, self._low = space.shape, space.low.ravel().astype(np.float64)
        self._range = space.high.ravel() - self._low
        self._n, self._d = env.num_envs, len(self._low)
        self._rng, self._torch = rng, torch
        seeds = rng.integers(2**31, size=self._n)
        engines = [SobolEngine(self._d, scramble=True, seed=int(s)) for s in seeds]
        points = torch.stack([e.draw(self.initial + CANDIDATES, dtype=torch.float64) for e in engines])
        self._initial, self._candidates = points[:, : self.initial], points[:, self.initial :]
        self._x = torch.empty(self._n, 0, self._d, dtype=torch.float64)
        self._y = torch.empty(self._n, 0, 1, dtype=torch.float64)

    def act(self, observation: Observations) -> NDArray[Any]:
        """The next action of each campaign."""
        k = self._x.shape[1]
        unit = self._initial[:, k] if k < self.initial else self._suggest()
        return (self._low + self._range * unit.numpy()).reshape(self._n, *self._shape)

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Add the reading to each campaign's data."""
        unit = (np.reshape(action, (self._n, 1, self._d)) - self._low) / self._range
        self._x = self._torch.cat([self._x, self._torch.as_tensor(unit)], dim=1)
        self._y = self._torch.cat([self._y, self._torch.as_tensor(reward).reshape(self._n, 1, 1)], dim=1)

    def _suggest(self) -> Any:
        from botorch.acquisition import LogExpectedImprovement

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # BoTorch advises on the scaling of y, which `fitted` does
            model, y = fitted(self._x, self._y)
            acquisition = LogExpectedImprovement(model, best_f=y.amax(dim=1))
            best = self._best_of(acquisition, self._candidates)
            refined = self._torch.cat([self._around(best), self._around(self._incumbent())], dim=1)
            return self._best_of(acquisition, self._torch.cat([best[:, None], refined], dim=1))

    def _best_of(self, acquisition: Any, candidates: Any) -> Any:
        """(n, d) the candidate of each campaign with the highest acquisition; ``candidates`` is (n, m, d)."""
        torch = self._torch
        with torch.no_grad():
            # BoTorch's batch layout: points first, then the models' batch, then one point a query.
            value = acquisition(candidates.transpose(0, 1).unsqueeze(2))
        index = value.argmax(dim=0)
        return candidates[torch.arange(self._n), index]

    def _incumbent(self) -> Any:
        return self._x[self._torch.arange(self._n), self._y[:, :, 0].argmax(dim=1)]

    def _around(self, centre: Any) -> Any:
        steps = SPREAD * self._rng.standard_normal((self._n, REFINED, self._d))
        return (centre[:, None] + self._torch.as_tensor(steps)).clamp(0, 1)


def fitted(x: Any, y: Any) -> tuple[Any, Any]:
    """BoTorch's default model of readings ``y`` (n, k, 1) at ``x`` (n, k, d), and ``y`` as it was standardised."""
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from gpytorch.mlls import ExactMarginalLogLikelihood

    spread = y.std(dim=1, keepdim=True).clamp_min(1e-4)
    y = (y - y.mean(dim=1, keepdim=True)) / spread
    model = SingleTaskGP(x, y, outcome_transform=None)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model, y
