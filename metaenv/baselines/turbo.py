"""TuRBO: Bayesian optimisation inside a trust region, for when a model of the whole space cannot be had.

Eriksson, Pearce, Gardner, Turner and Poloczek 2019, "Scalable Global Optimization via Local Bayesian Optimization",
https://arxiv.org/abs/1910.01198; TuRBO-1 with one experiment at a time, and the constants of its supplement.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.baselines.gp_bo import GaussianProcessBO, fitted
from metaenv.trial import VectorTrial
from metaenv.typing import Floats

FIRST_LENGTH, LEAST_LENGTH, MOST_LENGTH = 0.8, 0.5**7, 1.6  # of the region's sides, as a share of the action's range
SUCCESSES = 3  # improvements in a row that double the region
IMPROVEMENT = 1e-3  # what counts as one, relative to the best reading
CHANGED = 20  # coordinates that a candidate changes, on average and at most
SAMPLED = 256  # candidates that Thompson sampling chooses from (chosen; the paper has at most 5,000)

JITTER = 1e-5  # variance that is added to standardised readings, so that near candidates can be sampled together


class TrustRegionBO(GaussianProcessBO):
    """A Gaussian process of each campaign's readings, sampled at candidates inside a box around the best action so far.

    The box is longer along coordinates in which the model is smooth. It doubles after three improvements in a row, and
    halves after as many failures in a row as there are coordinates, at least four. When it has become too small, it
    starts anew at its first size.
    """

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Begin with the same initial designs as `GaussianProcessBO` and a box of the first size."""
        super().start(env, rng)
        self._length = np.full(self._n, FIRST_LENGTH)
        self._better, self._worse = np.zeros(self._n, int), np.zeros(self._n, int)

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Add the reading, and let the box grow or shrink once the model has chosen."""
        if self._x.shape[1] >= self.initial:
            best = self._y[:, :, 0].amax(dim=1).numpy()
            improved = np.asarray(reward) > best + IMPROVEMENT * np.abs(best)
            self._better, self._worse = np.where(improved, self._better + 1, 0), np.where(improved, 0, self._worse + 1)
            grow, shrink = self._better == SUCCESSES, self._worse == max(4, self._d)
            self._length = np.where(grow, np.minimum(2 * self._length, MOST_LENGTH), self._length)
            self._length = np.where(shrink, self._length / 2, self._length)
            self._length = np.where(self._length < LEAST_LENGTH, FIRST_LENGTH, self._length)
            self._better[grow], self._worse[shrink] = 0, 0
        super().observe(action, reward)

    def _suggest(self) -> Any:
        torch = self._torch
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # BoTorch advises on the scaling of y, which `fitted` does
            with torch.enable_grad():
                model, _ = fitted(self._x, self._y)
            candidates = torch.as_tensor(self._in_the_box(_length_scales(model, self._n, self._d)))
            joint = model.posterior(candidates).distribution
            root = torch.linalg.cholesky(joint.covariance_matrix + JITTER * torch.eye(SAMPLED, dtype=torch.float64))
            noise = torch.as_tensor(self._rng.standard_normal((self._n, SAMPLED, 1)))
            sample = joint.mean + (root @ noise)[:, :, 0]
            return candidates[torch.arange(self._n), sample.argmax(dim=1)]

    def _in_the_box(self, scales: Floats) -> Floats:
        """(n, SAMPLED, d) the best actions so far, with some coordinates drawn anew within the box around them."""
        centre = self._incumbent().numpy()[:, None]
        weight = scales / np.exp(np.log(scales).mean(axis=1, keepdims=True))  # the volume is that of the cube
        half = (weight * self._length[:, None] / 2)[:, None]
        drawn = np.clip(centre + half * self._rng.uniform(-1, 1, (self._n, SAMPLED, self._d)), 0, 1)
        changed = self._rng.random(drawn.shape) < min(CHANGED / self._d, 1)
        one = self._rng.integers(self._d, size=drawn.shape[:2])  # at least one coordinate changes
        changed |= np.arange(self._d) == one[..., None]
        return np.where(changed, drawn, centre)


def _length_scales(model: Any, n: int, d: int) -> Floats:
    kernel = getattr(model.covar_module, "base_kernel", model.covar_module)
    return kernel.lengthscale.detach().numpy().reshape(n, d)
