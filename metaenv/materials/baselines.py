"""Baselines for synthesis, at equal numbers of experiments: what RL² has to beat.

All see what the agent sees: the reading after each experiment and, `ParticleBayes`, the characterisation. Gaussian-
process Bayesian optimisation is in `metaenv.baselines.gp_bo`, because it needs BoTorch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.laboratory import DEFAULT, Laboratory
from metaenv.materials.oracle import even_cover, utility_table
from metaenv.materials.recipes import ACTION_DIM, Variant
from metaenv.materials.tasks import STORE, SolidStateDistribution
from metaenv.policies import Policy
from metaenv.stats import greedy_portfolio
from metaenv.trial import VectorTrial
from metaenv.typing import Floats
from metaenv.vector import Observations


class LatinHypercube:
    """A Latin hypercube over the trial's experiments (McKay, Beckman and Conover 1979, Technometrics 21(2)).

    Each action coordinate is cut into as many slices as there are experiments; every slice is visited once.
    """

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Draw a design for each row."""
        n, k, d = env.num_envs, env.episodes, env.single_action_space.shape[0]  # type: ignore[index]
        slices = np.argsort(rng.random((n, k, d)), axis=1)
        self._design = 2 * (slices + rng.random((n, k, d))) / k - 1
        self._k = 0

    def act(self, observation: Observations) -> NDArray[Any]:
        """The next point of each row's design."""
        self._k += 1
        return self._design[:, self._k - 1]

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Nothing is learned."""


class FixedRecipes:
    """The same recipes in the same order for every material; from the start again when they run out.

    Args:
        actions: (k, d) in [-1, 1], or a function that gives them and is called at the start.
    """

    def __init__(self, actions: Floats | Callable[[], Floats]) -> None:
        self._actions = actions

    @property
    def actions(self) -> Floats:
        """(k, d) in [-1, 1]."""
        return np.asarray(self._actions() if callable(self._actions) else self._actions, np.float64)

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Begin with the first recipe."""
        self._n, self._k, self._recipes = env.num_envs, 0, self.actions

    def act(self, observation: Observations) -> NDArray[Any]:
        """The next recipe, for every row."""
        recipe = self._recipes[self._k % len(self._recipes)]
        self._k += 1
        return np.tile(recipe, (self._n, 1))

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Nothing is learned."""


@dataclass(frozen=True)
class Portfolio:
    """Recipes that are good on average over training tasks: strong baselines that never adapt."""

    recipes: Floats
    """(10, d) actions, best first: each adds most to the best utility of those before. Row 0 is the best fixed
    recipe."""
    train_score: Floats
    """(10,) mean over training tasks of the best true utility of the first 1, 2, … recipes."""


OWN_TASKS, OWN_RECIPES, OWN_SEED = 500, 512, 20_250_602  # of a laboratory of one's own; chosen


@lru_cache(maxsize=8)
def load_portfolio(variant: Variant, laboratory: Laboratory = DEFAULT) -> Portfolio:
    """The ten recipes of ``variant`` that serve training tasks best, from ``data/portfolio.json``.

    For a laboratory of one's own they are computed, from 500 of its training tasks and 512 recipes, in seconds.
    """
    if laboratory != DEFAULT:
        rng = np.random.default_rng(OWN_SEED)
        tasks = SolidStateDistribution(variant, laboratory).sample(OWN_TASKS, "train", rng)
        recipes = even_cover(OWN_RECIPES, ACTION_DIM[variant], rng)
        chosen, scores = greedy_portfolio(utility_table(tasks, recipes, variant, laboratory), 10)
        return Portfolio(recipes[chosen], np.array(scores))
    stored = json.loads((STORE.folder / "portfolio.json").read_text())[variant]
    return Portfolio(np.array(stored["recipes"]), np.array(stored["train_score"]))


def best_fixed(variant: Variant = "recipe", laboratory: Laboratory = DEFAULT) -> FixedRecipes:
    """The single recipe with the highest mean score over 2,000 training materials."""
    return FixedRecipes(lambda: load_portfolio(variant, laboratory).recipes[:1])


def portfolio(variant: Variant = "recipe", laboratory: Laboratory = DEFAULT) -> FixedRecipes:
    """The greedy portfolio: each next recipe raises most the mean, over 2,000 training materials, of the best so far.

    It never adapts, and is the strongest simple opponent there is: an agent that does no better has learned a
    list of good recipes and not how to learn.
    """
    return FixedRecipes(lambda: load_portfolio(variant, laboratory).recipes)


def baselines(variant: Variant = "recipe", laboratory: Laboratory = DEFAULT) -> dict[str, Policy]:
    """The baselines of a variant, by name."""
    return {
        "Latin hypercube": LatinHypercube(),
        "best fixed recipe": best_fixed(variant, laboratory),
        "greedy portfolio": portfolio(variant, laboratory),
    }
