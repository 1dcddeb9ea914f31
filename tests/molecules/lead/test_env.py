"""The environment against the library and RDKit, and how far policies get."""

import gymnasium as gym
import numpy as np
import pytest

from metaenv.molecules.chem.fragmentation import to_mol
from metaenv.molecules.chem.properties import COLUMNS, by_rdkit
from metaenv.molecules.lead.baselines import (
    BayesianChemist,
    FixedMolecule,
    HillClimbing,
    baselines,
    best_fixed,
    step_towards,
)
from metaenv.molecules.lead.env import LeadOptimizationVectorEnv
from metaenv.molecules.lead.library import N_GROUPS, SITES, libraries
from metaenv.molecules.lead.tasks import LeadDistribution, LeadTask, tables
from metaenv.policies import RandomPolicy, play_trials
from metaenv.trial import make_trials

BENZENE = "[1*]c1ccc([2*])c([3*])c1"


def frozen():
    return LeadDistribution().frozen("test")


def env_of(tasks, **settings) -> LeadOptimizationVectorEnv:
    env = LeadOptimizationVectorEnv(len(tasks), autoreset_mode="Disabled", **settings)
    env.reset(seed=0, options={"tasks": tasks})
    return env


def test_observation_shows_the_molecule_and_its_score():
    env = env_of(frozen().tasks.take(np.arange(64)), text_info=True)
    observation, _, _, _, info = env.step(np.arange(64))
    scaffold, choice, score, left = env.layout.read(observation)
    np.testing.assert_array_equal(scaffold, env.tasks.scaffold)
    np.testing.assert_array_equal(choice, env.choice)
    np.testing.assert_allclose(score, info["score"], rtol=1e-6)
    np.testing.assert_allclose(left, 3 / 4)
    theirs = np.array([by_rdkit(to_mol(text)) for text in info["smiles"]])[:, COLUMNS]
    expected = (theirs - [328, 2.95, 60.5, 0.98, 4.4, 1.97, 0.37]) / [110, 2.3, 40, 1.5, 2.6, 1.7, 0.42]
    np.testing.assert_allclose(observation[:, env.layout.properties], expected, rtol=1e-5, atol=1e-5)


def test_score_of_a_molecule_worked_out_by_hand():
    """Benzene with hydrogens only: 78.114 Da and logP 1.6866 (six aromatic carbons of 0.1581 and six hydrogens of
    0.1230: Crippen), so 25 Da below a range that begins at 103.114 and 0.45 above one that ends at 1.2366."""
    task = LeadTask.from_ranges(BENZENE, {"mw": (103.114, 300), "logp": (-3, 1.2366), "hbd": (0, 5)})
    env = env_of([task])
    for site in range(SITES):
        _, _, over, _, info = env.step(np.array([site * N_GROUPS]))
    assert not over[0]
    assert info["score"][0] == pytest.approx(np.exp(-0.5) * np.exp(-0.5), rel=1e-6)


def test_rewards_add_up_to_the_change_of_score():
    env = env_of(frozen().tasks.take(np.arange(100)))
    first = env.report(slice(None))["score"]
    rng, total = np.random.default_rng(0), np.zeros(100)
    for step in range(4):
        _, reward, over, truncated, info = env.step(rng.integers(SITES * N_GROUPS, size=100))
        total += reward
        assert (over == (step == 3)).all() and not truncated.any()
    np.testing.assert_allclose(total, info["score"] - first, atol=1e-12)
    assert total.std() > 0.05


def test_masked_actions_and_present_groups_change_nothing():
    tasks = frozen().tasks.take(np.arange(200))
    env = env_of(tasks)
    before, mask = env.choice.copy(), env.action_masks()
    masked = np.flatnonzero(~mask.all(axis=1))
    action = before[:, 0].copy()
    action[masked] = mask[masked].argmin(axis=1)
    assert len(masked) > 10
    _, reward, _, _, _ = env.step(action)
    np.testing.assert_array_equal(env.choice, before)
    assert (reward == 0).all()


def test_starts_are_uniform_over_the_library():
    """Mean first score is the exact mean of the library; three standard errors of 4,000 draws."""
    i = 3
    env = env_of(frozen().tasks.take(np.full(4000, i)))
    first = env.report(slice(None))["score"]
    assert abs(first.mean() - frozen().reference.random[i]) < 3 * first.std() / np.sqrt(4000)


def test_three_changes_reach_any_molecule():
    """Also past the limit of heavy atoms: from any start to any molecule, so the oracle's score is reached."""
    tasks = frozen().tasks
    env = env_of(tasks, steps=3)
    for _ in range(3):
        mask = env.action_masks().reshape(-1, SITES, N_GROUPS)
        _, _, over, _, info = env.step(step_towards(env.choice, tasks.certificate.astype(np.intp), mask))
    assert over.all()
    np.testing.assert_allclose(info["score"], frozen().reference.oracle, atol=1e-12)


def test_too_few_steps_are_refused():
    with pytest.raises(ValueError, match="at least 3"):
        gym.make("metaenv:metaenv/LeadOptimization-v0", steps=2)


def test_no_rdkit_is_needed_to_play():
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['rdkit'] = None\n"
        "import gymnasium as gym; env = gym.make_vec('metaenv:metaenv/LeadOptimization-v0', num_envs=8, "
        "draw_hidden=True); env.reset(seed=0)\n"
        "for _ in range(9): info = env.step(env.action_space.sample())[4]\n"
        "print(len(info['score']))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "8\n"


def test_pictures_hide_the_ranges_unless_asked():
    tasks = frozen().tasks.take(np.arange(1))
    hidden, shown = (
        env_of(tasks, render_mode="ansi", draw_hidden=draw_hidden).render()[0] for draw_hidden in (False, True)
    )
    assert hidden.count("range ?") == 7
    assert shown.count("range") == 3 and "?" not in shown


# PLAYERS


def some():
    return frozen().tasks.take(np.arange(0, 500, 8))  # the list goes scaffold by scaffold


def played(policy, tasks=None):
    return play_trials(policy, make_trials("LeadOptimization", 50), some() if tasks is None else tasks)


def test_the_fixed_molecule_is_reached_and_kept():
    record = played(FixedMolecule())
    for rows, table in tables(some()):
        scaffold = int(some().scaffold[rows[0]])
        column = (
            libraries().numbers(np.array([scaffold]), np.array([best_fixed(scaffold)]))[0] - libraries().start[scaffold]
        )
        np.testing.assert_allclose(record.scores[rows], table[:, column, None].repeat(5, axis=1), atol=1e-9)


def test_hill_climbing_never_ends_below_its_start_nor_below_what_it_remembers():
    forgets, remembers = played(HillClimbing(False)), played(HillClimbing(True))
    assert (forgets.readings >= -1e-9).all()
    assert (np.diff(remembers.scores, axis=1) >= -1e-6).all()
    assert (np.diff(forgets.scores, axis=1) < -0.1).any()


def test_the_task_needs_adaptation():
    """What does not learn stays below 0.3, what learns over the trial does not; the optimum is 1."""
    known = baselines()
    chemist = known.pop("Bayesian chemist")  # slower than the others
    scores = {name: played(policy).scores.mean(axis=0) for name, policy in known.items()}
    scores["Bayesian chemist"] = played(chemist, some().take(np.arange(0, len(some()), 2))).scores.mean(axis=0)
    random = played(RandomPolicy()).scores.mean()
    assert random < 0.12
    assert random < scores["best fixed molecule"].mean() < 0.3
    assert scores["hill climbing"].mean() < 0.3
    assert scores["hill climbing, remembering"][-1] > scores["hill climbing, remembering"][0] + 0.2
    assert scores["Bayesian chemist"][-1] > max(0.75, scores["hill climbing, remembering"][-1])
    assert scores["Bayesian chemist"][0] < 0.55


def test_the_bayesian_chemist_believes_what_explains_the_scores():
    """If the hidden objective is one of training's, it ends up near the top of the belief."""
    env = make_trials("LeadOptimization", 8)
    train = LeadDistribution().members("train")
    tasks = train.take(np.linspace(0, len(train) - 1, 8).astype(int))
    policy = BayesianChemist()
    play_trials(policy, env, tasks)
    from metaenv.molecules.lead.tasks import objectives

    for row in range(8):
        prior = objectives(int(tasks.scaffold[row]), "train")
        weight = np.asarray(policy._log_weight[row])
        truth = int(np.flatnonzero(prior.ids == tasks.ids[row])[0])
        assert (weight > weight[truth] + 1e-9).sum() == 0
