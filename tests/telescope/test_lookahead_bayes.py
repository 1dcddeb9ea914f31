"""Planning ahead and remembering earlier nights, each against a policy that differs in nothing else."""

from types import SimpleNamespace

import numpy as np
import pytest

from metaenv.policies import play_trials
from metaenv.telescope import baselines as module
from metaenv.telescope.baselines import BayesLinear, ForgetfulBayes, ForgetfulLookAhead, LookAheadBayes, baselines
from metaenv.telescope.build_data import references_sha256
from metaenv.telescope.references import ORACLE, informed_policies
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.tasks import NIGHT_SETUPS, SPLITS, STORE, TargetSelectionDistribution
from metaenv.trial import VectorTrial

N = 32


def scores(policy, values, nights=2):
    tasks = TargetSelectionDistribution("short").frozen("validation").tasks.take(np.arange(N))
    trials = VectorTrial(TargetSelectionVectorEnv(N, "short", values=values), episodes=nights)
    return play_trials(policy, trials, tasks, 0).scores.mean(axis=0)


def test_looking_ahead_pays():
    myopic, ahead = (scores(policy, "at once", 1)[0] for policy in (BayesLinear(1.0), LookAheadBayes(1.0)))
    assert ahead > 1.08 * myopic


@pytest.mark.parametrize("values", ["dawn", "at once"])
def test_references_are_frozen_as_played_and_hold(values):
    """Of the task's nights, from below: look-ahead Bayes, the oracle, the planner that knows the weather, the bound."""
    frozen, few = TargetSelectionDistribution("short", values).frozen("ood-all"), np.arange(16)
    trials = VectorTrial(TargetSelectionVectorEnv(16, "short", values=values))
    policies = {"bayes": LookAheadBayes(1.0), **informed_policies(trials.innermost.setup)}
    played = {k: play_trials(p, trials, frozen.tasks.take(few), 0).scores.mean(axis=1) for k, p in policies.items()}
    np.testing.assert_allclose(played[ORACLE], frozen.reference.oracle[few], rtol=1e-4)
    assert played["bayes"].mean() < played[ORACLE].mean() < played["clairvoyant"].mean()
    assert max(played[k].mean() for k in ("conditions known", "values known")) < played[ORACLE].mean()


@pytest.mark.parametrize("variant", NIGHT_SETUPS)
def test_the_oracle_plans_where_a_target_is_visited_once(variant):
    plans = {k: p.plans for k, p in informed_policies(NIGHT_SETUPS[variant]).items()}
    assert plans[ORACLE] == plans["clairvoyant"] == (variant not in ("depth", "cadence"))


def test_the_default_has_references_as_played_and_needs_memory():
    frozen, few = TargetSelectionDistribution().frozen("validation"), np.arange(64)
    trials = VectorTrial(TargetSelectionVectorEnv(64))
    informed = informed_policies(trials.innermost.setup)
    policies = {**informed, "bayes": LookAheadBayes(1.0), "forgets": ForgetfulLookAhead(1.0)}
    played = {k: play_trials(p, trials, frozen.tasks.take(few), 0).scores for k, p in policies.items()}
    oracle = played[ORACLE]
    np.testing.assert_allclose(oracle.mean(axis=1), frozen.reference.oracle[few], rtol=1e-4)
    bayes, forgets = (played[k].mean(axis=0) for k in ("bayes", "forgets"))
    assert bayes.mean() < oracle.mean() < played["clairvoyant"].mean()
    np.testing.assert_allclose(bayes[0], forgets[0])
    assert bayes[-1] > 1.25 * forgets[-1]


@pytest.mark.parametrize("split", SPLITS[1:])
def test_references_have_hashes(split):
    told = STORE.manifest()["splits"][split]["references_sha256"]
    assert told == {name: references_sha256(STORE.arrays(split), name) for name in NIGHT_SETUPS}


def test_at_dawn_the_second_night_needs_the_first():
    remembers, forgets = scores(LookAheadBayes(1.0), "dawn"), scores(ForgetfulLookAhead(1.0), "dawn")
    np.testing.assert_allclose(remembers[0], forgets[0])  # the first night is the same
    assert remembers[1] > 1.3 * forgets[1]


@pytest.mark.parametrize("values", ["dawn", "at once"])
@pytest.mark.parametrize("kind", [ForgetfulBayes, ForgetfulLookAhead])
def test_a_night_begins_from_the_prior(kind, values):
    """On the second night it plays as if that were the first, whatever it was told."""
    trials = VectorTrial(TargetSelectionVectorEnv(4, "short", values=values))
    forgets, fresh, base = kind(1.0), kind(1.0), kind.__mro__[1 if kind is ForgetfulBayes else 2](1.0)
    observation, _ = trials.reset(seed=2)
    for policy in (forgets, base):
        policy.start(trials, np.random.default_rng(0))
    differs = 0
    for step in range(48):
        if step == 24:
            fresh.start(trials, np.random.default_rng(0))
        action = forgets.act(observation)
        if step >= 24:
            blank = observation.copy()
            blank[:, trials.innermost.layout.width :] = 0
            if step == 24:
                fields = trials.innermost.layout
                targets = fields.rows * fields.targets
                blank[:, targets + fields.globals_.index("action was legal") : fields.width] = 0
            np.testing.assert_array_equal(action, fresh.act(blank))
            differs += (action != base.act(observation)).sum()
        else:
            np.testing.assert_array_equal(action, base.act(observation))
        observation, *_ = trials.step(action)
        for policy in (forgets, base, *([fresh] if step >= 24 else [])):
            policy.observe(action, trials.trial_state.last_reward.copy())
    assert differs > 10


@pytest.mark.parametrize("values", ["dawn", "at once"])
def test_no_list_of_tasks_is_within_reach(values, monkeypatch):
    """The baselines play the same where there is nothing but what a trial shows: no tasks, no state and no files."""
    trials = VectorTrial(TargetSelectionVectorEnv(2, "short", values=values), episodes=2)
    env = trials.innermost

    def forbidden(*args, **kwargs):
        raise AssertionError("a baseline opened a file")

    for name, policy in baselines().items():
        policy.start(trials, np.random.default_rng(0))
        observation, _ = trials.reset(seed=3)
        told = []
        for _ in range(30):
            action = policy.act(observation)
            told.append((observation, action))
            observation, *_ = trials.step(action)
            policy.observe(action, trials.trial_state.last_reward.copy())
            told[-1] += (trials.trial_state.last_reward.copy(),)
        shown = SimpleNamespace(layout=env.layout, setup=env.setup, num_envs=2, at_dawn=env.at_dawn)
        bare = SimpleNamespace(innermost=shown, num_envs=2)
        with monkeypatch.context() as patch:
            patch.setattr("builtins.open", forbidden)
            patch.setattr(np, "load", forbidden)
            again = baselines()[name]
            again.start(bare, np.random.default_rng(0))  # type: ignore[arg-type]
            for observation, action, reward in told:
                np.testing.assert_array_equal(again.act(observation), action, err_msg=name)
                again.observe(action, reward)


def test_the_prior_is_that_of_the_generator():
    """Means and covariances of the logarithms, from training tasks that are drawn afresh."""
    tasks = TargetSelectionDistribution("short").sample(4000, "train", np.random.default_rng(8))
    weights = tasks.feature_weight
    logs = np.log(tasks.class_value) - 0.5 * np.square(weights).sum(axis=1, keepdims=True)
    mean, covariance = module.prior()
    both = np.concatenate([logs, weights], axis=1)
    np.testing.assert_allclose(both.mean(axis=0), mean, atol=0.15)
    np.testing.assert_allclose(np.diag(np.cov(both.T)), np.diag(covariance), rtol=0.2)
