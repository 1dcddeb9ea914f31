"""The Bayes adapter, and that the family rewards adaptation."""

import numpy as np
import pytest

from metaenv import make_trials
from metaenv.molecules.design.bayes import BayesAdapter, hypotheses
from metaenv.molecules.design.tasks import MoleculeTask
from metaenv.policies import NO_ADVICE, play_trials

pytest.importorskip("rdkit", reason="molecules are scored by RDKit")


def trials(n, variant="windows-3"):
    return make_trials("MoleculeDesign", n, variant=variant, split="test")


def test_adapting_pays_on_unseen_objectives():
    env = trials(128)
    tasks = env.distribution.frozen("test").tasks.take(np.arange(0, 464, 2))
    curve = play_trials(BayesAdapter(), env, tasks).scores.mean(axis=0)
    assert curve[0] <= 0.25, "the first molecule is the same for all objectives"
    assert curve[4] >= 0.6
    assert (np.diff(curve) > 0).all()


def test_a_perfect_molecule_is_made_again():
    known = hypotheses("windows-3")
    best = int(known.scores.mean(axis=0).argmax())
    met = int(np.flatnonzero(known.scores[:, best] == 1)[0])
    env = trials(1)
    record = play_trials(BayesAdapter(), env, known.tasks.take(np.array([met])))
    assert (record.scores == 1).all()


def test_advice_follows_what_the_pupil_builds():
    env = trials(2)
    observation, _ = env.reset(seed=0)
    adviser = BayesAdapter()
    adviser.start(env, np.random.default_rng(0))
    first = adviser.act(observation)
    begins = {tuple(row[:2]) for row in hypotheses("windows-3").actions.tolist()}
    mask = env.action_masks()
    unusual = next(a for a in np.flatnonzero(mask[0]) if not any(begin[0] == a for begin in begins) and a != first[0])
    action = np.array([unusual, first[1]])
    observation, *_ = env.step(action)
    adviser.observe(action, env.trial_state.last_reward)
    advice = adviser.act(observation)
    assert advice[0] == NO_ADVICE
    assert (first[1], advice[1]) in begins and env.action_masks()[1, advice[1]]


def test_the_score_of_the_pupils_molecule_is_learned_from():
    # Benzene alone (Da 78) meets no objective; a window around it must become likely, others not.
    task = MoleculeTask.from_ranges({"mw": (190.0, 283.0), "rotatable": (0, 2), "aromatic_rings": (1, 1)})
    env = trials(1)
    env.reset(options={"task": task})
    policy = BayesAdapter()
    policy.start(env, np.random.default_rng(0))
    tasks = hypotheses("windows-3").tasks
    same = np.flatnonzero((tasks.low == task.low).all(axis=1) & (tasks.high == task.high).all(axis=1))
    other = np.flatnonzero((tasks.wanted == task.wanted).all(axis=1) & (tasks.low[:, 0] == 374))
    certificate = np.array(task.certificate, int)
    for action in certificate[certificate >= 0]:
        env.step(np.array([action]))
        policy.observe(np.array([action]), env.trial_state.last_reward.copy())
    assert len(same) == 1 and len(other)
    assert (policy._log_posterior[0, same] > -1e-6).all(), "it predicted the score of 1"
    assert (policy._log_posterior[0, other] < -10).all()


def test_restart_forgets():
    env = trials(2)
    observation, _ = env.reset(seed=1)
    policy = BayesAdapter()
    policy.start(env, np.random.default_rng(0))
    fresh = policy.act(observation).copy()
    policy._log_posterior[:] = np.random.default_rng(0).normal(size=policy._log_posterior.shape) * 9
    policy.restart(np.array([0, 1]))
    assert (policy.act(observation) == fresh).all()
