"""MoleculeDesign: what is built, what is paid for it, and its options."""

import subprocess
import sys
from math import exp

import gymnasium as gym
import numpy as np
import pytest
from building import build
from rdkit import Chem
from rdkit.Chem import Crippen, Descriptors

from metaenv import make_trials
from metaenv.molecules.chem.assembly import random_actions
from metaenv.molecules.chem.chemistry import OWN
from metaenv.molecules.chem.fragments import CLOSE, MAX_ACTIONS, load_vocabulary
from metaenv.molecules.chem.smiles import parse
from metaenv.molecules.design.env import PANEL_SIZE, Layout, MoleculeDesignVectorEnv, magnitude
from metaenv.molecules.design.tasks import MoleculeDistribution, MoleculeTask
from metaenv.molecules.reference_molecules import random_molecules, real_molecules
from metaenv.testing import check_meta_env, check_vector_env

ID = "metaenv:metaenv/MoleculeDesign-v1"
BENZANILIDE = parse("O=C(Nc1ccccc1)c1ccccc1")
# C13H11NO by atomic weights: 197.237 Da; TPSA of a secondary amide 12.03 + 17.07 = 29.10 Å²; one donor.
RANGES = {"mw": (250.0, 300.0), "tpsa": (40.0, 60.0), "hbd": (0.0, 0.0)}
TASK = MoleculeTask.from_ranges(RANGES)
FACTORS = (exp(-0.5 * (52.763 / 25) ** 2), exp(-0.5 * (10.9 / 11) ** 2), exp(-0.5 * (1 / 0.6) ** 2))
SCORE = FACTORS[0] * FACTORS[1] * FACTORS[2]


def telling(*args, **settings):
    """An environment that resets in the same step and tells the SMILES."""
    return MoleculeDesignVectorEnv(
        *args, autoreset_mode="SameStep", text_info=True, **{"variant": "windows-3", **settings}
    )


def one_molecule(env, sequence=BENZANILIDE, **reset):
    """Play a sequence in a batch of one; the last step's reward, final observation and info."""
    if reset:
        env.reset(**reset)
    for action in sequence[sequence >= 0]:
        _, reward, done, _, info = env.step(np.array([action]))
    assert done[0]
    return float(reward[0]), info["final_obs"][0], {k: v[0] for k, v in info["final_info"].items()}


def seven_by_rdkit(smiles):
    mol = Chem.MolFromSmiles(smiles)
    assert mol is not None, smiles
    found = [Descriptors.MolWt(mol), Crippen.MolLogP(mol), Descriptors.TPSA(mol), Descriptors.NumHDonors(mol)]
    found += [Descriptors.NumRotatableBonds(mol), Descriptors.NumAromaticRings(mol), Descriptors.FractionCSP3(mol)]
    return np.array(found)


# THE CONTRACT


def test_it_keeps_the_contract():
    check_meta_env(gym.make(ID))
    check_vector_env(lambda **settings: gym.make_vec(ID, **settings), num_envs=3, steps=40)


def test_it_keeps_the_contract_with_every_option_on():
    options = {"variant": "groups", "feedback": "panel", "noise_std": 0.1, "duplicate_penalty": 0.2}
    check_meta_env(gym.make(ID, **options), steps=30)
    check_vector_env(lambda **settings: gym.make_vec(ID, **options, **settings), num_envs=2, steps=30)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"feedback": "pannel"}, "panel"),
        ({"noise_std": -0.1}, "noise_std from 0 to 1"),
        ({"duplicate_penalty": 2}, "duplicate_penalty from 0 to 1"),
        ({"variant": "window-3"}, "windows-3"),
        ({"variant": "groups", "constraints": False}, "needs constraints=True"),
        ({"variant": "scaffold-hop", "constraints": False}, "needs constraints=True"),
    ],
)
def test_bad_settings_are_refused(settings, why):
    with pytest.raises(ValueError, match=why):
        MoleculeDesignVectorEnv(**settings)


@pytest.mark.parametrize(("variant", "molecules"), [("windows-3", 5), ("windows-5", 10), ("groups", 10)])
def test_a_trial_has_as_many_molecules_as_its_variant_says(variant, molecules):
    trials = make_trials("MoleculeDesign", 2, variant=variant)
    assert trials.episodes == molecules and trials.trial_state.objective == "sum"


# WHAT IS BUILT


def test_a_hundred_random_molecules_are_valid_and_have_the_properties_shown():
    env, rng = telling(20), np.random.default_rng(0)
    env.reset(seed=0)
    seen, length = [], np.zeros(20, int)
    while len(seen) < 100:
        observation, reward, done, _, info = env.step(random_actions(env.action_masks(), rng))
        assert env.observation_space.contains(observation)
        length += 1
        assert (reward[~done] == 0).all() and (length <= MAX_ACTIONS).all()
        for row in np.flatnonzero(done):
            final, smiles, score = (info["final_obs"][row], info["final_info"]["smiles"][row], reward[row])
            assert env.single_observation_space.contains(final)
            assert smiles == Chem.CanonSmiles(smiles) and "." not in smiles
            shown = final[env.layout.properties] * OWN.spread + OWN.centre
            np.testing.assert_allclose(shown, seven_by_rdkit(smiles), rtol=1e-5, atol=1e-4)
            assert 0 <= score <= 1 and final[env.layout.reading] == np.float32(score)
            seen.append(smiles)
            length[row] = 0
    assert len(set(seen)) > 90


def test_an_observation_has_the_documented_size_and_begins_empty():
    env = telling(2)
    observation, info = env.reset(seed=0)
    assert observation.shape == (2, 213) and env.single_action_space.n == load_vocabulary().n_actions == 185
    np.testing.assert_array_equal(observation[:, 0], 1)  # no attachment is open
    np.testing.assert_array_equal(observation[:, 1:], 0)
    assert (info["smiles"] == "").all() and (info["score"] == 0).all()


def test_what_a_molecule_fits_and_how_large_a_reward_is():
    # 300 Da lies in the second range of weights and 17 Da below the third, whose flank has a deviation of 25 Da.
    values = np.array([[300.0, 0.0, 0.0, 1.0, 3.0, 2.0, 0.0]])
    weight = Layout().fit(values)[0, :5]
    assert weight[1] == 1 and weight[2] == pytest.approx(np.exp(-0.5 * (20 / 25) ** 2))
    assert list(Layout().fit(values)[0, 15:18]) == pytest.approx([np.exp(-0.5 / 0.36), 1, np.exp(-0.5 / 0.36)])
    np.testing.assert_allclose(magnitude(np.array([1.0, 0.01, 1e-4, 0.0, -0.3])), [1, 0.5, 0, 0, 0])


def test_a_masked_action_closes_and_starts_with_the_commonest_ring():
    env, v = telling(2), load_vocabulary()
    _, info = env.reset(seed=0)
    assert info["action_mask"][0, CLOSE] == 0
    commonest = next(a for a in range(1, 185) if v.ring[v.action_fragment[a]] and v.action_attachment[a] == 0)
    env.step(np.array([CLOSE, commonest]))
    assert env.assembly.actions[0, 0] == env.assembly.actions[1, 0] == commonest
    mask = env.action_masks()
    np.testing.assert_array_equal(mask[0], mask[1])
    env.step(np.array([int(np.argmin(mask[0])), CLOSE]))
    np.testing.assert_array_equal(env.assembly.actions[0], env.assembly.actions[1])


# WHAT IS PAID


def test_the_reward_of_a_known_molecule_by_hand():
    env = telling(1)
    reward, seen, info = one_molecule(env, seed=0, options={"task": TASK})
    assert 0.001 < SCORE < 0.1
    assert reward == info["score"] == pytest.approx(SCORE, rel=1e-9)
    assert info["smiles"] == Chem.CanonSmiles("O=C(Nc1ccccc1)c1ccccc1")
    np.testing.assert_array_equal(seen[env.layout.panel], np.zeros(PANEL_SIZE))
    assert seen[env.layout.finished] == 1


def test_a_missing_group_costs_its_factor():
    ranges = {"mw": (190.0, 300.0)}
    env = telling(1, variant="groups")
    for required, forbidden, expected in (
        ("nitrile", None, 0.15),
        (None, "nitrile", 1.0),
        ("nitrile", "ester", 0.15),
    ):
        task = MoleculeTask.from_ranges(ranges, required, forbidden)
        assert one_molecule(env, options={"task": task})[0] == pytest.approx(expected)


def test_similarity_to_the_lead():
    """The lead itself is worth 1 in the ranges it meets; another molecule its Tanimoto similarity over 0.6."""
    from rdkit import DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    lead = parse("O=C(NCc1ccccc1)c1ccccc1")
    task = MoleculeTask((1, 0, 0, 0, 0, 0, 0), (190, 0, 0, 0, 0, 0, 0), (220, 0, 0, 0, 0, 0, 0), -1, -1,
                        tuple(lead.astype(float)), tuple(lead.astype(float)))  # fmt: skip
    env = telling(1, variant="scaffold-hop")
    assert one_molecule(env, lead, options={"task": task})[0] == 1
    morgan = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    both = [morgan.GetFingerprint(Chem.MolFromSmiles(s)) for s in ("O=C(NCc1ccccc1)c1ccccc1", "O=C(Nc1ccccc1)c1ccccc1")]
    similarity = DataStructs.TanimotoSimilarity(*both)
    assert 0.1 < similarity < 0.6
    assert one_molecule(env, options={"task": task})[0] == pytest.approx(similarity / 0.6)


def test_the_panel_holds_the_factors_in_an_order_of_the_tasks_own():
    env = telling(1, feedback="panel")
    reward, seen, _ = one_molecule(env, seed=0, options={"task": TASK})
    panel = seen[env.layout.panel]
    assert panel.prod() == pytest.approx(reward, rel=1e-5)
    np.testing.assert_allclose(np.sort(panel), np.sort([*FACTORS, *[1.0] * (PANEL_SIZE - 3)]), rtol=1e-5)
    place = int(np.argmin(np.abs(panel - FACTORS[0])))  # where the weight is shown
    another = real_molecules().actions[7]
    _, seen, info = one_molecule(env, another)  # a new task: SAME_STEP has drawn it
    _, seen, info = one_molecule(env, another, options={"task": TASK})
    weight = Descriptors.MolWt(Chem.MolFromSmiles(info["smiles"]))
    outside = max(250 - weight, weight - 300, 0)
    assert seen[env.layout.panel][place] == pytest.approx(exp(-0.5 * (outside / 25) ** 2), rel=1e-4)


def test_the_order_of_the_panel_differs_from_task_to_task():
    env = telling(64, feedback="panel")
    tasks = MoleculeDistribution().frozen("test").tasks.take(np.arange(64))
    panel = build(env, np.tile(BENZANILIDE, (64, 1)), tasks)["obs"][:, env.layout.panel]
    below = (panel < 1).mean(axis=0)
    assert (below > 0.05).all(), "no place may be reserved for what is never wanted"


def test_noise_is_on_the_reward_and_not_on_the_score():
    tasks = MoleculeDistribution().frozen("test").tasks.take(np.zeros(400, int))
    env = telling(400, noise_std=0.2)
    first = build(env, np.tile(BENZANILIDE, (400, 1)), tasks)
    error = first["reward"] - first["score"]
    assert np.ptp(first["score"]) == 0
    # 400 draws: the mean's standard error is 0.01, the deviation's 0.007.
    assert abs(error.mean()) < 0.04 and error.std() == pytest.approx(0.2, abs=0.03)
    again = build(env, np.tile(BENZANILIDE, (400, 1)), tasks)
    np.testing.assert_array_equal(first["reward"], again["reward"])
    np.testing.assert_allclose(first["obs"][:, env.layout.reading], first["reward"], rtol=1e-5)


def test_a_molecule_made_again_is_paid_less_and_scored_alike():
    trials = make_trials("MoleculeDesign", 1, duplicate_penalty=0.3, variant="windows-3")
    assert trials.reward_range == (-0.3, 1.0)
    trials.reset(seed=0, options={"task": TASK})
    paid = []
    for _ in range(2):
        for sequence in (BENZANILIDE, real_molecules().actions[7]):
            for action in sequence[sequence >= 0]:
                *_, info = trials.step(np.array([action]))
            paid.append((trials.trial_state.last_reward[0], info["score"][0]))
    for (first, score), (second, same) in zip(paid[:2], paid[2:], strict=True):
        assert first == score == same and second == pytest.approx(score - 0.3)
    trials.reset(options={"task": TASK})
    for action in BENZANILIDE[BENZANILIDE >= 0]:
        *_, info = trials.step(np.array([action]))
    assert trials.trial_state.last_reward[0] == info["score"][0], "a new trial remembers no molecule"


def test_molecules_that_break_the_constraints_are_worth_nothing():
    env = telling(1)
    ranges = {"mw": (190.0, 453.0)}
    task = MoleculeTask.from_ranges(ranges)
    bad = random_molecules().actions[int(np.argmin(random_molecules().feasible))]
    assert one_molecule(env, bad, options={"task": task})[0] == 0
    without = telling(1, constraints=False)
    assert one_molecule(without, bad, options={"task": task})[0] > 0


def test_without_constraints_rdkit_is_not_needed():
    code = """
import sys
sys.modules["rdkit"] = None  # importing it fails
import numpy as np
from metaenv import make_trials
from metaenv.policies import RandomPolicy, play_trials
env = make_trials("MoleculeDesign", 8, constraints=False, split="test", variant="windows-3")
record = play_trials(RandomPolicy(), env, env.distribution.frozen("test").tasks.take(np.arange(8)))
assert record.scores.shape == (8, 5) and (record.scores > 0).any(), record.scores
print("played")
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert out.stdout.strip() == "played", out.stderr


def test_smiles_without_constraints_are_the_same_molecules():
    tasks = MoleculeDistribution().frozen("test").tasks.take(np.arange(30))
    sequences = real_molecules().actions[:30]
    told = [build(telling(30, constraints=c), sequences, tasks) for c in (True, False)]
    assert [Chem.CanonSmiles(s) for s in told[1]["smiles"]] == list(told[0]["smiles"])
    np.testing.assert_array_equal(told[0]["score"], told[1]["score"])
