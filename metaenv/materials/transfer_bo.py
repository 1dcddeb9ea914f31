"""Bayesian optimisation that has seen training materials: what a laboratory with records of other materials can do.

Both policies choose among the recipes of `particle_bayes.Table`, whose utilities for the training materials they know
under the goal at hand. They see the readings, as GP-BO does, and no frozen list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.env import SIZE_SCALE
from metaenv.materials.laboratory import DEFAULT, Laboratory
from metaenv.materials.particle_bayes import Table, characterisation, table
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index
from metaenv.vector import Observations

READING_SPREAD = 0.03  # of the noise of a reading, which the models suppose (chosen)
SHARE_SPREAD, GRAIN_SPREAD = 0.05, 0.2  # of phase shares and of ln(grain size), likewise
LEAST_VARIANCE = 1e-8


class OverRecipes(ABC):
    """Chooses the next of a table's recipes by what the earlier ones have shown.

    Args:
        laboratory: whose costs.
        known: gives the table; by default that of `particle_bayes.table`.
    """

    _members = slice(None)  # which of the table's materials

    def __init__(self, laboratory: Laboratory = DEFAULT, known: Callable[[], Table] | None = None) -> None:
        self._laboratory = laboratory
        self._known = known or (lambda: table("recipe", laboratory))

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Begin campaigns in which nothing is known."""
        self._table, self._rng, n = self._known(), rng, env.num_envs
        self._log_goal: Floats | None = None
        self._played: Index = np.empty((n, 0), np.intp)
        self._readings: Floats = np.empty((n, 0))

    def act(self, observation: Observations) -> NDArray[Any]:
        """The next recipe of each campaign."""
        if self._log_goal is None:
            self._log_goal = SIZE_SCALE * observation[:, 0].astype(np.float64)
        chosen = np.array([self._choose(i) for i in range(len(observation))])
        self._played = np.concatenate([self._played, chosen[:, None]], axis=1)
        return self._table.actions[chosen]

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Remember the readings."""
        self._readings = np.concatenate([self._readings, np.asarray(reward, np.float64)[:, None]], axis=1)

    def _choose(self, i: int) -> int:
        assert self._log_goal is not None
        utility = self._table.utilities(float(self._log_goal[i]), self._laboratory, self._members)
        if not self._played.shape[1]:
            return int(np.argmax(utility.mean(axis=0)))
        mean, variance = self._forecast(i, utility)
        best = self._readings[i].max()
        gain = expected_improvement(mean, np.sqrt(np.maximum(variance, LEAST_VARIANCE)), best)
        return int(np.argmax(gain))

    @abstractmethod
    def _forecast(self, i: int, utility: Floats) -> tuple[Floats, Floats]:
        """Mean and variance (M,) of the utility of each recipe in campaign ``i``.

        ``utility`` (P, M) holds the utilities that the training materials have under this campaign's goal.
        """


class MetaGP(OverRecipes):
    """A Gaussian process over the recipes whose mean and covariance are those of the training materials.

    With ``characterised`` it is a process over what the instruments show as well, so that phases and grain size tell
    of utilities that have not been measured.
    """

    def __init__(
        self,
        characterised: bool = True,
        laboratory: Laboratory = DEFAULT,
        known: Callable[[], Table] | None = None,
    ) -> None:
        super().__init__(laboratory, known)
        if characterised and laboratory.instruments.missing:
            raise ValueError(
                f"expected a laboratory with all instruments for characterised=True, got one without "
                f"{', '.join(laboratory.instruments.missing)}; leave characterised out"
            )
        self.characterised = characterised

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        super().start(env, rng)
        self._reports: Floats = np.empty((env.num_envs, 0, 6))

    def act(self, observation: Observations) -> NDArray[Any]:
        if self.characterised and self._played.shape[1]:
            self._reports = np.concatenate([self._reports, characterisation(observation)[:, None]], axis=1)
        return super().act(observation)

    def _forecast(self, i: int, utility: Floats) -> tuple[Floats, Floats]:
        played = self._played[i]
        centred = utility - utility.mean(axis=0)
        outputs, residuals = [centred[:, played]], [self._readings[i] - utility.mean(axis=0)[played]]
        noise = [np.full(len(played), READING_SPREAD**2)]
        if self.characterised:
            for recipe, report in zip(played, self._reports[i], strict=True):
                shown = np.column_stack([self._table.shown[:, recipe], self._table.log_grain[:, recipe]])
                outputs.append(shown - shown.mean(axis=0))
                residuals.append(report - shown.mean(axis=0))
                noise.append(np.r_[np.full(shown.shape[1] - 1, SHARE_SPREAD**2), GRAIN_SPREAD**2])
        return conditioned(centred, np.concatenate(outputs, axis=1), np.concatenate(residuals), np.concatenate(noise),
                           utility.mean(axis=0))  # fmt: skip


def conditioned(
    centred: Floats, outputs: Floats, residuals: Floats, noise: Floats, mean: Floats
) -> tuple[Floats, Floats]:
    """Mean and variance (M,) of a Gaussian process after noisy measurements.

    Args:
        centred: (P, M) draws of the process, less their mean: they make its covariance.
        outputs: (P, k) the same draws of what was measured, less their mean.
        residuals: (k,) what was measured, less its mean.
        noise: (k,) variances of the measurements' noise.
        mean: (M,) of the process.
    """
    covariance = outputs.T @ outputs / len(outputs) + np.diag(noise)
    between = centred.T @ outputs / len(outputs)
    weights = np.linalg.solve(covariance, between.T).T
    variance = np.square(centred).mean(axis=0) - (weights * between).sum(axis=1)
    return mean + weights @ residuals, variance


class RankingEnsemble(OverRecipes):
    """RGPE: training materials vote, each by how well it ranks the recipes that were tried.

    Feurer, Letham, Hutter and Bakshy 2018, "Practical Transfer Learning for Bayesian Optimization",
    https://arxiv.org/abs/1802.02219. A model's weight is the share of bootstrap samples of the readings in which no
    other ranks them better. The models are the true utilities of ``members`` training materials, which is more than
    Gaussian processes of a few experiments on each would know, and the campaign's own Gaussian process, which is ranked
    by what it forecasts of each reading without it. The ensemble's variance is that of the mixture, and no recipe is
    tried twice.
    """

    samples = 64
    """Bootstrap samples (chosen)."""

    def __init__(
        self,
        members: int = 1000,
        laboratory: Laboratory = DEFAULT,
        known: Callable[[], Table] | None = None,
    ) -> None:
        super().__init__(laboratory, known)
        self._members = slice(members)

    def _forecast(self, i: int, utility: Floats) -> tuple[Floats, Floats]:
        played, readings = self._played[i], self._readings[i]
        own_mean, own_variance, left_out = _own_process(self._table.actions, played, readings)
        at_played = np.concatenate([utility[:, played], left_out[None]])
        weight = ranking_weights(at_played, readings, self.samples, self._rng)
        means = np.concatenate([utility, own_mean[None]])
        used = np.flatnonzero(weight)
        mean = weight[used] @ means[used]
        variance = weight[used] @ np.square(means[used] - mean) + weight[-1] * own_variance
        mean[played] = -np.inf
        return mean, np.maximum(variance, READING_SPREAD**2)


def ranking_weights(forecasts: Floats, readings: Floats, samples: int, rng: np.random.Generator) -> Floats:
    """(m,) the share of bootstrap samples in which each model orders the readings with the fewest mistakes.

    Models that make equally few share a sample. With one reading all are alike.

    Args:
        forecasts: (m, k) of each model for what was read.
        readings: (k,) what was read.
        samples: how many bootstrap samples.
        rng: for the samples.
    """
    k = len(readings)
    wrong = (forecasts[:, :, None] < forecasts[:, None]) != (readings[:, None] < readings)  # (m, k, k)
    drawn = rng.integers(k, size=(samples, k))
    times = np.zeros((samples, k))
    np.add.at(times, (np.arange(samples)[:, None], drawn), 1.0)
    mistakes = np.einsum("sk,mkl,sl->sm", times, wrong.astype(np.float64), times, optimize=True)
    least = mistakes <= mistakes.min(axis=1, keepdims=True) + 1e-9
    return (least / least.sum(axis=1, keepdims=True)).mean(axis=0)


def _own_process(actions: Floats, played: Index, readings: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean and variance (M,) of a Gaussian process of the campaign's readings alone, and (k,) its forecast of each
    reading from the others (Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, equation 5.12)."""
    centre, spread = readings.mean(), max(float(readings.std()), 1e-4)
    y = (readings - centre) / spread
    best: tuple[float, Floats, Floats, float] | None = None
    distance = np.linalg.norm(actions[played][:, None] - actions[played], axis=2)
    for scale in LENGTH_SCALES:
        covariance = _matern(distance / scale) + np.eye(len(y)) * RELATIVE_NOISE
        inverse = np.linalg.inv(covariance)
        likelihood = -0.5 * y @ inverse @ y - 0.5 * np.linalg.slogdet(covariance)[1]
        if best is None or likelihood > best[0]:
            best = float(likelihood), np.asarray(inverse, np.float64), inverse @ y, scale
    assert best is not None
    _, inverse, alpha, scale = best
    between = _matern(np.linalg.norm(actions[:, None] - actions[played], axis=2) / scale)
    variance = 1 + RELATIVE_NOISE - ((between @ inverse) * between).sum(axis=1)
    left_out = y - alpha / np.diag(inverse)
    return centre + spread * (between @ alpha), spread**2 * variance, centre + spread * left_out


LENGTH_SCALES = (0.3, 0.6, 1.0, 1.6, 2.5)  # in units of actions in [-1, 1], of which the likeliest is taken (chosen)
RELATIVE_NOISE = 0.01  # variance, of standardised readings (chosen)


def _matern(r: Floats) -> Floats:
    """Matérn's covariance of smoothness 5/2 at distances in units of its length scale."""
    s = np.sqrt(5.0) * r
    return (1 + s + s * s / 3) * np.exp(-s)


def expected_improvement(mean: Floats, spread: Floats, best: float) -> Floats:
    """(M,) of normal distributions over ``best`` (Jones, Schonlau and Welch 1998, J. Global Optim. 13, 455)."""
    from scipy.special import ndtr

    z = np.where(np.isfinite(mean), (mean - best) / spread, -40.0)
    return spread * (z * ndtr(z) + np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi))
