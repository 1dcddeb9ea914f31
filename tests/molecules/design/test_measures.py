"""What tables tell of whole trials of molecules."""

import numpy as np
import pytest

from metaenv import make_trials
from metaenv.evaluation import Evaluation, evaluate
from metaenv.molecules.design.baselines import FixedMolecules
from metaenv.molecules.design.measures import diversity, measures
from metaenv.molecules.reference_molecules import real_molecules
from metaenv.policies import TrialRecord

Chem = pytest.importorskip("rdkit.Chem")
from rdkit.Chem import rdFingerprintGenerator  # noqa: E402
from rdkit.DataStructs import TanimotoSimilarity  # noqa: E402


def test_internal_diversity_is_one_minus_the_mean_similarity_of_pairs():
    texts = ["c1ccccc1O", "CCN1CCOCC1", "Cc1ccncc1", "O=C(N)c1ccccc1"]
    morgan = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    bits = [morgan.GetFingerprint(Chem.MolFromSmiles(text)) for text in texts]
    pairs = [TanimotoSimilarity(bits[i], bits[j]) for i in range(4) for j in range(i)]
    assert diversity(texts) == pytest.approx(1 - sum(pairs) / 6)
    assert diversity(texts[:1]) == 0


def test_molecules_are_counted_once():
    made = np.array([["CO", "CC", "CO"], ["CO", "CO", "CO"]], object)
    nothing = np.zeros((2, 3))
    found = measures(TrialRecord(nothing, np.array([[0, 0.5, 0.1], [1, 0, 0]]), nothing, nothing, made))
    assert found["distinct molecules"].tolist() == [2, 1]
    assert found["best molecule"].tolist() == [0.5, 1]
    assert found["internal diversity"][1] == 0


def test_every_row_of_an_evaluation_has_them(tmp_path):
    trials = make_trials("MoleculeDesign", 1, variant="profile")
    some = real_molecules(trials.innermost.chemistry)
    policies = {
        "one": FixedMolecules(some.actions[:1], some.chemistry),
        "five": FixedMolecules(some.actions[:5], some.chemistry),
    }
    found = evaluate(policies, "MoleculeDesign", "validation", n_tasks=4, variant="profile")
    assert found.row("one").measures["distinct molecules"].estimate == 1
    assert found.row("five").measures["distinct molecules"].estimate == 5
    head, _, one, five = found.measures_table().splitlines()
    assert "best molecule" in head and "internal diversity" in head and "5.000" in five and "1.000" in one
    again = Evaluation.load(found.save(tmp_path / "found.json"))
    assert again.row("five").measures == found.row("five").measures


def test_other_environments_have_none():
    found = evaluate({"first": First()}, "BernoulliBandit", "test", n_tasks=2)
    assert found.measures_table() == "" and found.rows[0].measures == {}


class First:
    """Always pulls the first arm."""

    def start(self, env, rng):
        self.n = env.num_envs

    def act(self, observation):
        return np.zeros(self.n, int)

    def observe(self, action, reward):
        pass
