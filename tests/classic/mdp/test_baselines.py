"""The policies of tabular MDPs against an independent Monte Carlo study, and their rules."""

import numpy as np
import pytest
from scipy.optimize import linprog

from metaenv.classic.mdp.baselines import (
    ALGORITHMS,
    PSRL,
    TUNED_BETA,
    UCRL2,
    EpsilonGreedy,
    ExplorationBonus,
    Greedy,
    OptimisticPSRL,
    Random,
    Replanning,
    optimistic_q,
    play,
    play_with,
)
from metaenv.classic.mdp.exact import optimal_q
from metaenv.classic.mdp.policies import baselines
from metaenv.classic.mdp.tasks import MDPDistribution
from metaenv.evaluation import evaluate

FAMILY = MDPDistribution()
OPTIMUM = 21.825  # of an episode, on average over the family
# Monte Carlo of 4,000 MDPs by other code: (algorithm, episodes): (total reward, 95 % half-width).
STUDY = {
    ("random", 10): (98.9, 1.3),
    ("PSRL", 10): (134.2, 0.8),
    ("greedy", 10): (150.4, 0.8),
    ("BEB", 10): (151.9, 0.8),
    ("PSRL", 25): (405.0, 1.8),
    ("greedy", 25): (426.3, 1.8),
    ("BEB", 25): (444.7, 1.8),
    ("BEB", 50): (964.6, 3.6),
    ("PSRL", 100): (1945.2, 7.2),
    ("BEB", 100): (2029.7, 7.2),
}
N_MDPS = {10: 1500, 25: 700, 50: 300, 100: 150}


def mdps(n, seed=0):
    return FAMILY.sample(n, "train", np.random.default_rng(seed))


def value(name, n_episodes, n_mdps, seed=1):
    """Mean total reward and its 95 % half-width, without the luck of the drawn MDPs, whose optima are known."""
    tasks = mdps(n_mdps)
    total = play(name, n_episodes, tasks, np.random.default_rng(seed))
    gap = n_episodes * (FAMILY.reference(tasks).oracle - OPTIMUM)
    slope = np.cov(total, gap)[0, 1] / gap.var()
    centred = total - slope * gap
    return centred.mean(), 1.96 * centred.std() / np.sqrt(n_mdps)


@pytest.mark.parametrize(("name", "n_episodes"), STUDY)
def test_total_rewards_are_those_of_the_study(name, n_episodes):
    expected, half_width = STUDY[name, n_episodes]
    mean, own = value(name, n_episodes, N_MDPS[n_episodes])
    assert abs(mean - expected) < 1.5 * np.hypot(own, half_width), (mean, own)


@pytest.mark.parametrize(("name", "paper"), [("OPSRL", 425.2), ("UCRL2", 424.1), ("epsilon-greedy", 377.3)])
def test_no_worse_than_the_papers_column(name, paper):
    """n = 25, the paper's mean of 1,000 MDPs; OPSRL stays 3 % below it, as PSRL does 1 %, the others lie above."""
    mean, own = value(name, 25, 300)
    assert mean + own > 0.96 * paper


def test_planning_again_is_worth_more_than_any_choice_of_policy():
    """It also beats the paper's RL² (156.2 for 10 episodes) and SNAIL (159.1)."""
    once, _ = value("BEB", 10, 1000)
    again, own = value("BEB (every step)", 10, 1000)
    assert again - own > 159.1 > once + 5
    greedy, own = value("greedy (every step)", 10, 1000)
    assert again > greedy > once + 5


def test_special_cases_are_one_another():
    def total(policy):
        return play_with(lambda: policy, 4, mdps(50), np.random.default_rng(3))

    greedy = total(Greedy())
    np.testing.assert_array_equal(total(ExplorationBonus(0)), greedy)
    np.testing.assert_array_equal(total(EpsilonGreedy(0)), greedy)
    np.testing.assert_array_equal(total(OptimisticPSRL(1)), total(PSRL()))
    # random actions whatever was learned: the mean reward of the family is 1 a step
    random = play_with(lambda: EpsilonGreedy(1), 10, mdps(2000), np.random.default_rng(4)) / 100
    assert abs(random.mean() - 1) < 3 * random.std() / np.sqrt(2000)


def started(policy, n=1, horizon=4):
    policy.start(n, 3, 2, horizon, np.random.default_rng(0))
    policy.begin()
    return policy


def test_posterior_is_bayes_rule():
    """Rewards 4 and 1 on a N(1, 1) prior with unit noise: mean (1 + 4 + 1) / 3; moves to 2, 2 and 0 on Dirichlet(1)."""
    policy = started(Greedy())
    at = np.array([1]), np.array([0])
    for reward in (4.0, 1.0):
        policy.observe(*at, np.array([reward]))
    for following in (2, 2, 0):
        policy.move(*at, np.array([following]))
    assert policy.reward_mean[0, 1, 0] == pytest.approx(2.0) and policy.reward_mean[0, 0, 0] == 1.0
    np.testing.assert_allclose(policy.mean_transitions()[0, 1, 0], [2 / 6, 1 / 6, 3 / 6])
    np.testing.assert_allclose(policy.mean_transitions()[0, 0, 0], [1 / 3] * 3)


def test_posterior_draws_have_the_posteriors_mean_and_variance():
    """A plan of one step is the drawn mean reward: after 3 visits its variance is 1 / 4."""
    policy = started(PSRL(), n=10_000, horizon=1)
    rows = np.zeros(10_000, int)
    for _ in range(3):
        policy.observe(rows, rows, np.full(10_000, 3.0))
    drawn = policy.sampled_q(1)[0, :, 0, 0]
    assert drawn.mean() == pytest.approx((1 + 9) / 4, abs=0.02)
    assert drawn.var() == pytest.approx(1 / 4, abs=0.02)


def test_the_bonus_falls_with_the_visits():
    policy = started(ExplorationBonus(2.0), horizon=1)
    policy.observe(np.array([0]), np.array([0]), np.array([1.0]))
    policy.observe(np.array([0]), np.array([0]), np.array([1.0]))
    policy.observe(np.array([0]), np.array([0]), np.array([1.0]))
    np.testing.assert_allclose(policy.plan(1)[0, 0], [[1.5, 3.0], [3.0, 3.0], [3.0, 3.0]])


def test_replanning_uses_what_the_episode_taught():
    """A first action that pays badly is not played again in the same episode; without replanning it may be."""
    policy = started(Replanning(Greedy()))
    state = np.array([0])
    first = policy.act(state)
    policy.observe(state, first, np.array([-50.0]))
    policy.move(state, first, state)
    assert policy.act(state) != first


def test_optimism_is_the_solution_of_the_linear_programme():
    rng = np.random.default_rng(5)
    rewards, centre = rng.normal(1, 1, (2, 4, 3)), rng.dirichlet(np.ones(4), (2, 4, 3))
    distance = rng.uniform(0, 2.2, (2, 4, 3))
    q = optimistic_q(rewards, centre, distance, horizon=2)
    value = rewards.max(axis=2)
    for n, s, a in np.ndindex(2, 4, 3):
        # maximise p @ value over p >= 0, sum p = 1, |p - centre| <= u, sum u <= distance; variables (p, u)
        eye = np.eye(4)
        result = linprog(
            np.concatenate([-value[n], np.zeros(4)]),
            A_ub=np.vstack([np.hstack([eye, -eye]), np.hstack([-eye, -eye]), [0] * 4 + [1] * 4]),
            b_ub=np.concatenate([centre[n, s, a], -centre[n, s, a], [distance[n, s, a]]]),
            A_eq=[[1] * 4 + [0] * 4],
            b_eq=[1],
        )
        assert q[0, n, s, a] == pytest.approx(rewards[n, s, a] - result.fun, abs=1e-9)
    np.testing.assert_allclose(optimistic_q(rewards, centre, 0 * distance, 5), optimal_q(rewards, centre, 5))


@pytest.mark.parametrize(
    ("make", "value"), [(EpsilonGreedy, 1.5), (ExplorationBonus, -1), (UCRL2, -0.1), (OptimisticPSRL, 0)]
)
def test_bad_settings_are_refused(make, value):
    with pytest.raises(ValueError, match="expected"):
        make(value)


def test_bad_calls_are_refused():
    with pytest.raises(ValueError, match="Did you mean 'PSRL'"):
        play("PRSL", 10, mdps(1), np.random.default_rng(0))
    with pytest.raises(ValueError, match="n_episodes >= 1"):
        play("PSRL", 0, mdps(1), np.random.default_rng(0))


def test_all_play_other_sizes():
    tasks = MDPDistribution(4, 3).sample(7, "train", np.random.default_rng(0))
    for name in ALGORITHMS:
        total = play(name, 2, tasks, np.random.default_rng(0), horizon=3)
        assert total.shape == (7,) and np.isfinite(total).all()
    assert set(TUNED_BETA) == {10, 25, 50, 75, 100}


def test_seated_policies_earn_what_they_earn_alone():
    """The same algorithms through the environment and the trial's observations, on the frozen MDPs."""
    seated = {name: p for name, p in baselines().items() if name in ("PSRL", "BEB (every step)")}
    evaluation = evaluate(seated, "TabularMDP", "validation", 400)
    tasks = FAMILY.frozen("validation").tasks.take(np.arange(400))
    for row in evaluation.rows:
        alone = play(row.name, 10, tasks, np.random.default_rng(8))
        noise = 1.96 * alone.std() / np.sqrt(400)
        assert abs(row.trial_return.estimate - alone.mean()) < 1.5 * noise
    assert set(baselines()) == set(ALGORITHMS) - {"random"}


def test_random_policy_needs_no_posterior():
    total = play_with(Random, 3, mdps(4), np.random.default_rng(0), horizon=5)
    np.testing.assert_array_equal(total, play("random", 3, mdps(4), np.random.default_rng(0), horizon=5))
