"""The oracle, the references and the portfolios."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc

from metaenv.materials.baselines import load_portfolio
from metaenv.materials.oracle import Search, even_cover, oracle, true_utility, utility_table
from metaenv.materials.recipes import ACTION_DIM, from_action
from metaenv.materials.tasks import FROZEN_SIZES, STORE, SolidStateDistribution
from metaenv.stats import greedy_portfolio

D = SolidStateDistribution()
TASKS = D.sample(24, "train", np.random.default_rng(11))


def test_two_searches_agree():
    one, two = oracle(TASKS, 1)[0], oracle(TASKS, 2)[0]
    assert abs(one - two).mean() < 0.005 and abs(one - two).max() < 0.06


def test_the_oracle_beats_ten_thousand_random_recipes():
    few = TASKS.take(np.arange(4))
    actions = np.random.default_rng(0).uniform(-1, 1, (10_000, 5))
    assert (oracle(few, 3)[0] > utility_table(few, actions, "recipe").max(axis=1) - 1e-3).all()


def test_the_oracle_s_recipe_is_worth_what_it_says():
    for variant, n in (("recipe", 6), ("full", 2)):
        few = TASKS.take(np.arange(n))
        search = Search(cover=256, chains=4, rounds=6)
        value, action = oracle(few, 0, variant, search)
        assert action.shape == (n, ACTION_DIM[variant])
        assert (value == true_utility(few, from_action(action, variant))).all()


def test_more_freedom_is_never_worth_less():
    few = TASKS.take(np.arange(4))
    assert (oracle(few, 1, "full")[0] > oracle(few, 1, "recipe")[0] - 0.005).all()


@pytest.mark.parametrize("split", FROZEN_SIZES)
def test_stored_references_are_those_that_are_computed(split):
    frozen = D.frozen(split)
    rows = np.arange(0, len(frozen), len(frozen) // 6)
    now = D.reference(frozen.tasks.take(rows))
    np.testing.assert_allclose(now.random, frozen.reference.random[rows], atol=1e-6)
    assert abs(now.oracle - frozen.reference.oracle[rows]).mean() < 0.02


def test_stored_actions_reach_the_stored_oracle():
    for variant in ("recipe", "full"):
        frozen = SolidStateDistribution(variant).frozen("test")
        action = STORE.arrays("test")[f"action_{variant}"].astype(np.float64)
        value = true_utility(frozen.tasks, from_action(action, variant))
        # Actions are stored in single precision.
        np.testing.assert_allclose(value, frozen.reference.oracle, atol=1e-4)


def test_optima_lie_inside_the_box():
    action = STORE.arrays("test")["action_recipe"].astype(np.float64)
    assert (np.mean(action < -0.99, axis=0) < 0.10).all()
    assert (np.mean(action > 0.99, axis=0) < 0.10).all()
    assert np.mean(np.abs(action).max(axis=1) > 0.99) < 0.10


def test_the_oracle_is_near_the_top_and_random_play_near_nothing():
    reference = D.frozen("test").reference
    assert 0.75 < reference.oracle.mean() < 0.95
    assert abs(reference.random.mean()) < 0.1
    assert reference.oracle.max() < 1


def test_a_cover_is_more_even_than_chance():
    for dim in (5, 11):
        even = (even_cover(512, dim, np.random.default_rng(0)) + 1) / 2
        chance = np.random.default_rng(0).random((512, dim))
        assert even.min() >= 0 and even.max() <= 1
        assert qmc.discrepancy(even) < 0.5 * qmc.discrepancy(chance)


def test_the_greedy_portfolio_by_hand():
    table = np.array([[0.6, 1.0, 0.0], [0.6, 0.0, 0.9], [0.6, 0.1, 0.8]])
    # The mean of column 0 is highest; then column 1 makes (1 + .6 + .6)/3, column 2 (.6 + .9 + .8)/3.
    chosen, scores = greedy_portfolio(table, 3)
    assert chosen == [0, 2, 1]
    assert scores == pytest.approx([0.6, 2.3 / 3, 2.7 / 3])


@pytest.mark.parametrize("variant", ["recipe", "full"])
def test_the_stored_portfolio_holds_on_new_tasks(variant):
    portfolio = load_portfolio(variant)
    assert portfolio.recipes.shape == (10, ACTION_DIM[variant])
    assert (np.diff(portfolio.train_score) > 0).all()
    tasks = SolidStateDistribution(variant).sample(300, "train", np.random.default_rng(77))
    table = utility_table(tasks, portfolio.recipes, variant)
    best = np.maximum.accumulate(table, axis=1).mean(axis=0)
    np.testing.assert_allclose(best, portfolio.train_score, atol=0.06)
    # The best fixed recipe is better than typical recipes of an even cover.
    other = utility_table(tasks, even_cover(64, ACTION_DIM[variant], np.random.default_rng(0)), variant).mean(axis=0)
    assert table[:, 0].mean() > other.max() - 0.02
