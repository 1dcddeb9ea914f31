"""Baselines and the references: the family needs adaptation, and adaptation pays."""

from types import SimpleNamespace

import numpy as np
import pytest

from metaenv.baselines import baselines_of
from metaenv.policies import RandomPolicy, play_trials
from metaenv.telescope.baselines import (
    BEST_FIXED,
    NEEDED_GRID,
    BayesLinear,
    FlatValues,
    LowestAirmass,
    baselines,
    prior,
)
from metaenv.telescope.references import InformedPolicy, play_references
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.reward import revisit_worth
from metaenv.telescope.tasks import TargetSelectionDistribution
from metaenv.trial import VectorTrial

N = 96


@pytest.fixture(scope="module")
def scores():
    """(tasks, nights) of each policy on the first tasks of the test list."""
    tasks = TargetSelectionDistribution("short").frozen("test").tasks.take(np.arange(N))
    playing = {
        "random": RandomPolicy(),
        "fixed": FlatValues(),
        "bayes": BayesLinear(optimism=1.0),
        "values": InformedPolicy(knows_conditions=False),
        "greedy": InformedPolicy(),
        "oracle": InformedPolicy(plans=True),
        "clairvoyant": InformedPolicy(clairvoyant=True, plans=True),
    }
    return {
        k: play_trials(p, VectorTrial(TargetSelectionVectorEnv(N, "short")), tasks, 0).scores
        for k, p in playing.items()
    }


def normalised(scores, name):
    gap = (scores["oracle"] - scores["random"]).mean()
    return (scores[name] - scores["random"]).mean() / gap


def test_the_family_needs_adaptation(scores):
    """Bars of the design, with room for the error of so few tasks (0.05)."""
    assert scores["oracle"].mean() > 1.8 * scores["random"].mean()
    greedy = normalised(scores, "greedy")
    assert normalised(scores, "fixed") < 0.35 * greedy
    assert 0.80 * greedy < normalised(scores, "bayes") < 1.05 * greedy
    assert greedy < 0.9


def test_in_depth_conditions_matter():
    """Who knows sky and instrument but no values closes a quarter of the gap from the best fixed rule to the oracle."""
    tasks = TargetSelectionDistribution("depth").frozen("test").tasks.take(np.arange(64))
    fixed, conditions, oracle = (
        play_trials(policy, VectorTrial(TargetSelectionVectorEnv(64, "depth"), episodes=1), tasks, 0).scores.mean()
        for policy in (FlatValues(), InformedPolicy(knows_values=False), InformedPolicy())
    )
    assert oracle > fixed and conditions - fixed > 0.25 * (oracle - fixed)


def test_knowing_more_earns_more(scores):
    assert normalised(scores, "values") < 1.0 < normalised(scores, "clairvoyant")


def test_references_are_frozen_as_played():
    frozen = TargetSelectionDistribution("short").frozen("test")
    few = frozen.tasks.take(np.arange(8))
    # The noise depends on the task's place in the list and on its length only through the seed.
    again = play_references(few, "short")
    assert again.random.shape == again.oracle.shape == (8,)
    assert again.oracle.mean() > again.random.mean()


def test_frozen_reference_matches_the_oracle_on_the_same_nights(scores):
    frozen = TargetSelectionDistribution("short").frozen("test")
    # Same first N tasks and seed 0, so the very nights of the frozen references.
    np.testing.assert_allclose(frozen.reference.oracle[:N], scores["oracle"].mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(scores["greedy"].mean(), 1.0, atol=0.2)  # the unit of rewards


def test_lowest_airmass_takes_the_highest_open_target():
    env = TargetSelectionVectorEnv(3, "short")
    trials = VectorTrial(env)
    observation, _ = trials.reset(seed=0)
    policy = LowestAirmass()
    policy.start(trials, np.random.default_rng(0))
    np.testing.assert_array_equal(policy.act(observation), np.argmax(env.state.night.sin_alt[:, 0], axis=1))


def test_prior_of_class_values():
    mean, covariance = prior()
    assert mean.shape == (11,) and covariance.shape == (11, 11)
    assert (mean[:8] < 0).all() and np.abs(mean[8:]).max() < 0.1  # E[ln v] < ln E[v] = 0 (Jensen)
    np.testing.assert_allclose(np.diag(covariance)[8:], 0.64, rtol=0.1)
    assert np.all(np.diff(NEEDED_GRID) > 0)


def test_worth_of_another_visit_is_expected_over_the_tasks():
    tasks = TargetSelectionDistribution("cadence").sample(20_000, "train", np.random.default_rng(0))
    gap = np.array([[0.2, 1, 2.5, 6, 12, 24, 40]])
    expected = revisit_worth(gap[..., None], tasks.cadence_hours, tasks.cadence_weight).mean(-1)
    found = FlatValues().worth_again(SimpleNamespace(gap_hours=gap))
    np.testing.assert_allclose(found, expected, atol=0.03)  # within a night the mean is over five cadences


def test_bayes_forgets_where_a_new_trial_begins():
    env = VectorTrial(TargetSelectionVectorEnv(2, "short"))
    observation, _ = env.reset(seed=1)
    policy = BayesLinear()
    policy.start(env, np.random.default_rng(0))
    fresh = policy._mean[0].copy()
    for _ in range(10):
        action = policy.act(observation)
        observation, _, _, _, _ = env.step(action)
        policy.observe(action, env.trial_state.last_reward.copy())
    policy.act(observation)
    assert not np.allclose(policy._mean[0], fresh)
    learned = policy._mean[1].copy()
    policy.restart(np.array([0]))
    np.testing.assert_array_equal(policy._mean[0], fresh)
    np.testing.assert_array_equal(policy._mean[1], learned)


@pytest.mark.parametrize("variant", ["depth", "cadence"])
@pytest.mark.parametrize("name", list(baselines()))
def test_every_policy_plays_every_variant(variant, name):
    tasks = TargetSelectionDistribution(variant).frozen("validation").tasks.take(np.arange(2))
    record = play_trials(baselines()[name], VectorTrial(TargetSelectionVectorEnv(2, variant), episodes=1), tasks, 0)
    assert (record.scores >= 0).all() and np.isfinite(record.scores).all()


def test_policies_are_known_by_name():
    known, best = baselines_of(VectorTrial(TargetSelectionVectorEnv(1, "short")))
    assert best == BEST_FIXED and best in known and "Bayes-UCB" in known and "random" in known
