"""Exact bandit solutions against hand computation, direct simulation of the definition and each other."""

from functools import cache

import numpy as np
import pytest

from metaenv.classic.bandit.exact import bayes_optimal_value, gittins_table

# An independent dynamic program over the same belief space, written for research before this code.
REFERENCE_VALUES = {
    (10, 5): 6.6600,
    (10, 10): 6.7140,
    (10, 50): 6.7140,
    (5, 2): 2.8889,
    (10, 2): 6.0218,
    (20, 2): 12.4313,
    (10, 3): 6.4096,
    (20, 3): 13.4658,
    (15, 5): 10.4315,
}


@pytest.mark.parametrize(("sizes", "value"), REFERENCE_VALUES.items())
def test_value_matches_an_independent_dynamic_program(sizes, value):
    assert bayes_optimal_value(*sizes) == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize(
    ("n_pulls", "n_arms", "value"),
    [
        (1, 1, 1 / 2),  # the mean of the prior
        (1, 7, 1 / 2),
        (2, 1, 1),  # no choice
        (30, 1, 15),
        # After a success stay at 2/3, after a failure move to a fresh arm at 1/2.
        (2, 2, 1 / 2 + 1 / 2 * 2 / 3 + 1 / 2 * 1 / 2),
        (
            3,
            3,
            1 / 2 + 1 / 2 * (2 / 3 * (1 + 3 / 4) + 1 / 3 * (1 / 2)) + 1 / 2 * (1 / 2 + 1 / 2 * 2 / 3 + 1 / 4),
        ),
    ],
)
def test_value_of_hand_cases(n_pulls, n_arms, value):
    # (3, 3). After a success (mean 2/3) stay: a second one leaves 3/4, a failure leaves Beta(2, 2), 1/2, the same as
    # a fresh arm. After a failure two pulls are left on fresh arms: 1/2 + 1/2 * 2/3 + 1/2 * 1/2.
    assert bayes_optimal_value(n_pulls, n_arms) == pytest.approx(value, abs=1e-12)


def test_value_agrees_with_a_recursion_over_ordered_arms():
    @cache
    def value(left, counts):
        if left == 0:
            return 0.0
        best = 0.0
        for arm, (s, f) in enumerate(counts):
            p = (1 + s) / (2 + s + f)
            won = (*counts[:arm], (s + 1, f), *counts[arm + 1 :])
            lost = (*counts[:arm], (s, f + 1), *counts[arm + 1 :])
            best = max(best, p * (1 + value(left - 1, won)) + (1 - p) * value(left - 1, lost))
        return best

    assert bayes_optimal_value(7, 3) == pytest.approx(value(7, ((0, 0),) * 3), abs=1e-12)


def test_arms_that_cannot_be_pulled_change_nothing_and_others_help():
    assert bayes_optimal_value(8, 8) == bayes_optimal_value(8, 80)
    values = [bayes_optimal_value(8, k) for k in range(1, 9)]
    assert (np.diff(values) > 0).all()


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0), (-1, 2)])
def test_empty_bandits_are_refused(sizes):
    with pytest.raises(ValueError, match="expected n_"):
        bayes_optimal_value(*sizes)


@pytest.mark.parametrize("sizes", [(100, 5), (500, 50), (2000, 2)])
def test_bandits_too_large_to_enumerate_are_refused_at_once(sizes):
    with pytest.raises(ValueError, match="gittins_table"):
        bayes_optimal_value(*sizes)


def test_index_of_the_last_pull_is_the_posterior_mean():
    successes, failures = np.array([0, 3, 0, 7, 19]), np.array([0, 2, 5, 9, 0])
    mean = (1 + successes) / (2 + successes + failures)
    np.testing.assert_allclose(gittins_table(20).index(successes, failures, 1), mean, atol=1e-6)


def test_index_with_two_pulls_left_by_hand():
    # Pull, and again only after a success: p + p q = λ (1 + p) at indifference, with p = 1/2 and q = 2/3.
    index = gittins_table(10).index(np.array(0), np.array(0), 2)
    assert index == pytest.approx((1 / 2 + 1 / 2 * 2 / 3) / (1 + 1 / 2), abs=2e-4)


def best_rate_per_pull(successes, failures, remaining):
    """The definition of the index: the largest expected reward / expected pulls of any stopping rule (Dinkelbach)."""

    def best(rate):
        @cache
        def gain(s, f, left):  # (reward - rate * pulls, reward, pulls) of the best rule that may stop now
            return max((0.0, 0.0, 0.0), pull(s, f, left)) if left else (0.0, 0.0, 0.0)

        def pull(s, f, left):
            p = (1 + s) / (2 + s + f)
            won, lost = gain(s + 1, f, left - 1), gain(s, f + 1, left - 1)
            reward, pulls = p * (1 + won[1]) + (1 - p) * lost[1], 1 + p * won[2] + (1 - p) * lost[2]
            return reward - rate * pulls, reward, pulls

        return pull(successes, failures, remaining)

    rate = 0.0
    for _ in range(50):
        _, reward, pulls = best(rate)
        rate = reward / pulls
    return rate


@pytest.mark.parametrize(
    ("successes", "failures", "remaining"),
    [(0, 0, 40), (1, 0, 30), (0, 3, 30), (12, 2, 20), (0, 25, 15), (20, 0, 20)],
)
def test_index_is_the_best_reward_rate_of_a_stopping_rule(successes, failures, remaining):
    index = gittins_table(40).index(np.array(successes), np.array(failures), remaining)
    assert index == pytest.approx(best_rate_per_pull(successes, failures, remaining), abs=1e-3)


def test_index_orders_arms_as_it_must():
    table = gittins_table(30)
    successes, failures = np.meshgrid(np.arange(8), np.arange(8), indexing="ij")
    index = table.index(successes, failures, 10)
    assert (index >= (1 + successes) / (2 + successes + failures) - 1e-6).all()
    assert (np.diff(index, axis=0) > 0).all()  # a success is good news
    assert (np.diff(index, axis=1) < 0).all()  # a failure is bad news
    assert (table.index(successes, failures, 11) >= index).all()  # more time, more worth in learning


def test_tables_are_shared_and_protected():
    table = gittins_table(12)
    assert gittins_table(12) is table
    with pytest.raises(ValueError, match="read-only"):
        table.values[0] = 1


@pytest.mark.parametrize(("successes", "remaining"), [(5, 6), (0, 0), (0, 11)])
def test_arms_beyond_the_trial_are_refused(successes, remaining):
    with pytest.raises(ValueError, match="longer trial"):
        gittins_table(10).index(np.array([successes]), np.array([0]), remaining)


def test_table_of_nothing_is_refused():
    with pytest.raises(ValueError, match="n_pulls >= 1"):
        gittins_table(0)
