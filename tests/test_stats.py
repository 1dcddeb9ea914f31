"""Statistics against hand computation, scipy, and their promised coverage."""

import time

import numpy as np
import pytest
import scipy.stats

from metaenv.stats import (
    Interval,
    bootstrap_interval,
    greedy_portfolio,
    interquartile_mean,
    mean_score,
    paired_difference,
    ratio_of_means,
    seeds_half_width,
    t_quantile,
)


def generator(seed=0):
    return np.random.default_rng(seed)


def test_interquartile_mean_by_hand():
    assert interquartile_mean([100, 1, 2, 3, 4, 5, 6, -50]) == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert interquartile_mean([7, 1, 4]) == pytest.approx(4)  # 0.75 of a number: none is left out
    assert interquartile_mean([0, 0, 0, 10, 1000]) == pytest.approx((0 + 0 + 10) / 3)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 11, 40])
def test_interquartile_mean_is_scipys_trimmed_mean(n):
    x = generator(n).normal(size=(3, n, 2))
    np.testing.assert_allclose(interquartile_mean(x[0, :, 0]), scipy.stats.trim_mean(x[0, :, 0], 0.25))
    np.testing.assert_allclose(interquartile_mean(x), scipy.stats.trim_mean(x, 0.25, axis=None))


@pytest.mark.parametrize("x", [[], [1.0, np.nan, 2.0]])
def test_interquartile_mean_refuses_nothing_and_nan(x):
    with pytest.raises(ValueError, match="at least one number and no NaN"):
        interquartile_mean(x)


def test_ratio_of_means_by_hand():
    random, oracle = [0.0, 10.0], [1.0, 13.0]  # gaps 1 and 3
    assert ratio_of_means([1.0, 10.0], random, oracle) == pytest.approx(1 / 4)  # the mean of ratios would say 1/2
    assert ratio_of_means([[1.0, 10.0], [1.0, 13.0]], random, oracle) == pytest.approx((1 / 4 + 1) / 2)
    assert ratio_of_means(random, random, oracle) == 0
    assert ratio_of_means(oracle, random, oracle) == 1
    assert ratio_of_means([2.0, 14.0], random, oracle) == pytest.approx(1.5)  # better than the oracle stays visible


def test_ratio_of_means_keeps_leading_axes():
    score, random = generator().normal(size=(4, 3, 6)), generator(1).normal(size=(4, 6))
    oracle = random + 1
    each = [ratio_of_means(*row) for row in zip(score, random, oracle, strict=True)]
    np.testing.assert_allclose(ratio_of_means(score, random, oracle), each)


@pytest.mark.parametrize(
    ("score", "random", "oracle"),
    [
        (np.zeros((2, 3)), np.zeros(4), np.ones(4)),
        (np.zeros((2, 3)), np.zeros(3), np.ones(1)),
        (np.zeros((2, 3)), np.zeros((2, 1)), np.ones((2, 1))),
        (np.zeros(3), np.zeros(3), np.float64(1)),
        (np.zeros((2, 0)), np.zeros(0), np.ones(0)),
    ],
)
def test_ratio_of_means_refuses_other_shapes(score, random, oracle):
    with pytest.raises(ValueError, match=r"expected score \(seeds, tasks\)"):
        ratio_of_means(score, random, oracle)


@pytest.mark.parametrize("oracle", [[0.0, 1.0], [-5.0, 1.0]])
def test_ratio_of_means_refuses_an_oracle_no_better_than_random(oracle):
    with pytest.raises(ValueError, match="higher scores are better"):
        ratio_of_means([0.5, 0.5], [0.0, 1.0], oracle)


def trimmed_mean(x):
    return scipy.stats.trim_mean(x.reshape(*x.shape[:-2], -1), 0.25, axis=-1)


@pytest.mark.parametrize(
    ("statistic", "reference"),
    [(mean_score, np.mean), (trimmed_mean, lambda x, axis: scipy.stats.trim_mean(x, 0.25, axis=axis))],
)
def test_one_seed_agrees_with_scipy(statistic, reference):
    x = generator(1).gamma(2.0, size=80)
    ours = bootstrap_interval(x, statistic, rng=generator(2), n_resamples=20_000)
    theirs = scipy.stats.bootstrap(
        (x,),
        reference,
        n_resamples=20_000,
        confidence_level=0.95,
        method="percentile",
        rng=generator(3),
        vectorized=True,
    )
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.estimate == pytest.approx(reference(x, axis=0))
    np.testing.assert_allclose(ours[1:], tuple(theirs.confidence_interval), atol=0.04 * width)


def test_one_seed_is_the_same_as_a_single_row():
    x = generator(1).normal(size=30)
    assert bootstrap_interval(x, rng=generator()) == bootstrap_interval(x[None], rng=generator())


def test_interval_of_a_mean_covers_it():
    draws = generator(0).normal(2.0, 3.0, size=(400, 40))
    intervals = [bootstrap_interval(x, rng=generator(1), n_resamples=400) for x in draws]
    covered = [interval.low <= 2.0 <= interval.high for interval in intervals]
    assert 0.90 <= np.mean(covered) <= 0.98  # 95 %, a little less for 40 tasks; three standard errors


VARIANCES = [  # tasks, standard deviations of seeds, of tasks and of the rest
    (200, 0.02, 0.3, 0.2),
    (200, 0.005, 0.3, 0.2),
    (1000, 0.01, 0.1, 0.1),
    (1000, 0.03, 0.1, 0.1),
    (10_000, 0.02, 0.05, 0.05),
    (200, 0.0, 0.3, 0.2),
]


def simulated(n, seeds, tasks, between_seeds, between_tasks, rest, rng):
    """n times an agent's error, what its seeds score, and the variances that its tasks give."""
    by_seed = rng.normal(0, between_seeds, (n, seeds)) + rng.normal(0, rest / np.sqrt(tasks), (n, seeds))
    by_task = rng.normal(0, between_tasks / np.sqrt(tasks), n)
    residual = rest**2 / tasks * rng.chisquare((seeds - 1) * (tasks - 1), n) / ((seeds - 1) * (tasks - 1))
    of_tasks = (between_tasks**2 + rest**2 / seeds) / tasks * rng.chisquare(tasks - 1, n) / (tasks - 1)
    return by_seed.mean(axis=1) + by_task, by_seed, residual, of_tasks


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("variances", VARIANCES)
def test_intervals_cover_whether_seeds_or_tasks_vary_more(seeds, variances):
    error, by_seed, residual, of_tasks = simulated(20_000, seeds, *variances, generator(seeds))
    half = np.hypot(1.96 * np.sqrt(of_tasks), seeds_half_width([(by_seed, residual)]))
    assert 0.93 <= np.mean(np.abs(error) <= half) <= 0.97


@pytest.mark.parametrize(("first", "second"), [(3, 3), (3, 10), (5, 5), (10, 10)])
@pytest.mark.parametrize("variances", VARIANCES)
def test_differences_of_agents_cover(first, second, variances):
    rng, (tasks, between_seeds, _, rest) = generator(first + second), variances
    # The agents' tasks are the same, and what they have in common cancels.
    groups = [simulated(1000, n, tasks, between_seeds, 0.0, rest, rng) for n in (first, second)]
    half = np.hypot(1.96 * np.sqrt(sum(g[3] for g in groups)), seeds_half_width([(g[1], g[2]) for g in groups]))
    assert 0.92 <= np.mean(np.abs(groups[0][0] - groups[1][0]) <= half) <= 0.985


def test_the_interval_of_a_table_is_what_the_simulations_are_of():
    rng = generator(4)
    x = rng.normal(0, 0.2, (3, 1)) + rng.normal(0, 0.5, 400) + rng.normal(0, 2.0, (3, 400))
    residual = (x - x.mean(axis=0) - x.mean(axis=1, keepdims=True) + x.mean()) ** 2
    seeds = seeds_half_width([(x.mean(axis=1), residual.sum() / (2 * 399) / 400)])
    half = np.hypot(1.96 * x.mean(axis=0).std() / 20, seeds)
    interval = bootstrap_interval(x, rng=rng, n_resamples=8000)
    np.testing.assert_allclose((interval.high - interval.low) / 2, half, rtol=0.02)
    assert seeds > 1.96 * x.mean(axis=0).std() / 20, "otherwise the tasks alone would do"


def test_interval_of_a_table_covers():
    rng, covered = generator(4), []
    for _ in range(300):
        x = rng.normal(size=(4, 1)) + rng.normal(size=30) + rng.normal(size=(4, 30))
        _, low, high = bootstrap_interval(x, rng=rng, n_resamples=200)
        covered.append(low <= 0 <= high)
    assert 0.92 <= np.mean(covered) <= 0.98


# W. S. Gosset's table as handbooks print it: 97.5 % points by degrees of freedom.
@pytest.mark.parametrize(
    ("freedom", "t"), [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (30, 2.042), (120, 1.980), (1e7, 1.960)]
)
def test_students_t(freedom, t):
    assert t_quantile(freedom) == pytest.approx(t, abs=6e-4)
    assert t_quantile(freedom + 0.37) == pytest.approx(scipy.stats.t.ppf(0.975, freedom + 0.37), rel=1e-7)


def test_tasks_alone_and_seeds_alone():
    tasks = generator().normal(size=200)
    same_seeds = bootstrap_interval(np.tile(tasks, (5, 1)), rng=generator(1))
    one_seed = bootstrap_interval(tasks, rng=generator(2))
    assert same_seeds.high - same_seeds.low == pytest.approx(one_seed.high - one_seed.low, rel=0.1)
    # The mean of three numbers with Student's interval, as a handbook has it: 2 +- 4.303 / sqrt(3).
    three_seeds = bootstrap_interval([[1.0] * 9, [2.0] * 9, [3.0] * 9], rng=generator())
    np.testing.assert_allclose(three_seeds, (2, 2 - 4.3027 / np.sqrt(3), 2 + 4.3027 / np.sqrt(3)), atol=1e-4)


def test_a_single_seed_adds_nothing_to_a_difference():
    several, one = np.array([[1.0], [2.0], [3.0]]) + np.zeros((3, 9)), np.zeros(9)
    interval = paired_difference(several, one, rng=generator())
    np.testing.assert_allclose(interval, (2, 2 - 4.3027 / np.sqrt(3), 2 + 4.3027 / np.sqrt(3)), atol=1e-4)


def test_paired_columns_follow_their_tasks():
    # Gaps differ a thousandfold, yet the score is always half of the gap: only unpaired tasks could blur it.
    random = generator(0).normal(size=60)
    oracle = random + generator(1).uniform(0.01, 10, size=60)
    half = np.tile((random + oracle) / 2, (3, 1))
    interval = bootstrap_interval(half, ratio_of_means, paired=(random, oracle), rng=generator(2))
    np.testing.assert_allclose(interval, (0.5, 0.5, 0.5))


def test_an_undefined_ratio_has_no_bounds():
    random, oracle = np.zeros(3), np.array([2.0, -1.0, 0.0])
    interval = bootstrap_interval(np.ones(3), ratio_of_means, paired=(random, oracle), rng=generator())
    assert interval == Interval(3.0, -np.inf, np.inf)


def test_difference_is_paired_by_task():
    hard = generator(0).normal(0, 100, size=50)
    worse = hard + generator(1).normal(0, 0.1, size=(3, 50))
    better = hard + 1 + generator(2).normal(0, 0.1, size=(4, 50))
    interval = paired_difference(better, worse, rng=generator(3))
    assert interval.estimate == pytest.approx(better.mean() - worse.mean())
    assert 0.9 < interval.low < interval.estimate < interval.high < 1.1
    reverse = paired_difference(worse, better, rng=generator(3))
    assert reverse.estimate == -interval.estimate


def test_difference_of_ratios():
    random, oracle = np.zeros(40), generator(0).uniform(1, 5, size=40)
    interval = paired_difference(
        0.75 * oracle,
        np.tile(0.25 * oracle, (2, 1)),
        ratio_of_means,
        paired=(random, oracle),
        rng=generator(),
    )
    np.testing.assert_allclose(interval, (0.5, 0.5, 0.5))


def test_difference_adds_the_variances_of_both_agents_seeds():
    seeds = np.array([[0.0], [1.0]]) + np.zeros((2, 10))
    interval = paired_difference(seeds, seeds, rng=generator())
    half = 4.3027 * np.sqrt(0.25 + 0.25)  # Welch: two degrees of freedom
    np.testing.assert_allclose(interval, (0, -half, half), atol=1e-4)


def test_same_generator_same_interval():
    x = generator().normal(size=(3, 20))
    assert bootstrap_interval(x, rng=generator(7)) == bootstrap_interval(x, rng=generator(7))
    assert bootstrap_interval(x, rng=generator(7)) != bootstrap_interval(x, rng=generator(8))


@pytest.mark.parametrize("values", [np.zeros((2, 3, 4)), np.zeros((2, 0)), np.float64(1)])
def test_scores_of_another_shape_are_refused(values):
    with pytest.raises(ValueError, match=r"expected scores of shape \(seeds, tasks\)"):
        bootstrap_interval(values, rng=generator())


def test_other_tasks_are_refused():
    with pytest.raises(ValueError, match=r"all for the same tasks, got \[\(2, 5\), \(2, 4\)\]"):
        paired_difference(np.zeros((2, 5)), np.zeros((2, 4)), rng=generator())
    with pytest.raises(ValueError, match="same tasks"):
        paired_difference(np.zeros((2, 5)), np.zeros((2, 1)), rng=generator())
    with pytest.raises(ValueError, match="one number a task"):
        bootstrap_interval(np.zeros((2, 5)), ratio_of_means, paired=(np.zeros(5), np.ones(1)), rng=generator())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_failed_runs_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval([1.0, bad], rng=generator())


def test_no_resamples_are_refused():
    with pytest.raises(ValueError, match="n_resamples >= 1"):
        bootstrap_interval([1.0, 2.0], rng=generator(), n_resamples=0)


def test_statistics_that_pool_the_resamples_are_refused():
    with pytest.raises(ValueError, match="keeps the leading axis"):
        bootstrap_interval([1.0, 2.0], np.mean, rng=generator())


def test_an_evaluation_takes_less_than_a_second():
    x, random = generator().normal(size=(3, 1000)), generator(1).normal(size=1000) - 5
    start = time.process_time()
    bootstrap_interval(x, ratio_of_means, paired=(random, random + 9), rng=generator())
    assert time.process_time() - start < 1.0


def test_a_portfolio_is_chosen_by_what_each_candidate_adds():
    # Alone, the first is the best (mean 2); beside it the third adds 4/3, the second, better alone, nothing.
    table = np.array([[3.0, 2.9, 0.0], [3.0, 2.9, 0.0], [0.0, 0.0, 4.0]])
    chosen, scores = greedy_portfolio(table, 3)
    assert chosen[:2] == [0, 2], "the third choice adds nothing, whichever it is"
    np.testing.assert_allclose(scores, [2.0, 10 / 3, 10 / 3])
