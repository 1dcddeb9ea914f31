"""The chemistry "chembl": what it can build, that its tables are exact, and that it is played like the other."""

import json
import os
import pickle
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from building import build
from rdkit import Chem

from metaenv.molecules.build.coverage import coverage, read_molecules
from metaenv.molecules.chem.alerts import alert_screen, has_alert
from metaenv.molecules.chem.assembly import Assembly, replay
from metaenv.molecules.chem.chemistry import PACKAGED, load_chemistry
from metaenv.molecules.chem.fragmentation import MoleculeError, to_mol
from metaenv.molecules.chem.properties import additive, by_rdkit
from metaenv.molecules.chem.smiles import fragment_smiles, parse, to_smiles
from metaenv.molecules.design.env import MoleculeDesignVectorEnv
from metaenv.molecules.design.tasks import MoleculeDistribution
from metaenv.molecules.lead.tasks import LeadDistribution
from metaenv.molecules.reference_molecules import real_sequences
from metaenv.registry import task_from_json

CHEMBL = PACKAGED["chembl"]
MOLECULEACE = os.environ.get("METAENV_MOLECULEACE", "")


@pytest.fixture(scope="module")
def random_molecules():
    built = Assembly(300, CHEMBL.vocabulary)
    built.rollout(np.random.default_rng(3))
    return built


def test_names_and_folders_mean_the_same_chemistries(tmp_path, monkeypatch):
    assert load_chemistry("chembl") is load_chemistry(CHEMBL.folder) is CHEMBL and str(CHEMBL) == "chembl"
    assert load_chemistry("zinc") is load_chemistry() is PACKAGED["zinc"] and CHEMBL != PACKAGED["zinc"]
    assert pickle.loads(pickle.dumps(CHEMBL)) == CHEMBL
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="one of zinc, chembl, and there is none at 'chembel'"):
        load_chemistry("chembel")


def test_it_builds_nearly_half_of_the_molecules_that_were_held_out():
    told = json.loads((CHEMBL.folder / "provenance.json").read_text())["coverage"]
    assert told["held_out"] and told["molecules"] == 3_000 and told["built"] / told["molecules"] > 0.49


@pytest.mark.skipif(not Path(MOLECULEACE).is_file(), reason="METAENV_MOLECULEACE does not name MoleculeACE's wheel")
def test_the_share_is_what_the_wheel_says():
    told = json.loads((CHEMBL.folder / "provenance.json").read_text())
    smiles, sha256, _ = read_molecules(Path(MOLECULEACE))
    held_out = [smiles[i] for i in np.random.default_rng(told["seed"]).permutation(len(smiles))[:3_000]]
    assert sha256 == told["file_sha256"] and coverage(CHEMBL.vocabulary, held_out).built == told["coverage"]["built"]


@pytest.mark.parametrize(
    ("what", "smiles"),
    [
        ("nitro", "Cc1ccc([N+](=O)[O-])cc1"),
        ("N-oxide", "Cc1cc[n+]([O-])cc1"),
        ("sulfoxide", "CS(=O)c1ccccc1"),
        ("indole", "Cc1c[nH]c2ccccc12"),
        ("oxazole", "Cc1ncc(C)o1"),
        ("triazole", "Cn1cc(-c2ccccc2)nn1"),
        ("amidine", "N=C(N)c1ccccc1"),
        ("sulfonamide", "NS(=O)(=O)c1ccccc1"),
        ("long ether", "COCCOCCOc1ccccc1"),
        ("paracetamol", "CC(=O)Nc1ccc(O)cc1"),
        ("imatinib", "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1"),
    ],
)
def test_what_chemists_ask_for_comes_back(what, smiles):
    vocabulary = CHEMBL.vocabulary
    assert to_smiles(parse(smiles, vocabulary)[None], vocabulary) == [Chem.CanonSmiles(smiles)]
    if what in ("nitro", "N-oxide", "indole", "amidine"):
        with pytest.raises(MoleculeError, match="fragments that are not in the vocabulary"):
            parse(smiles)


@pytest.mark.parametrize("smiles", ["C[N+](C)(C)Cc1ccccc1", "[O-]C1=C[N+](C)=CC=C1"])
def test_ions_are_refused_and_named(smiles):
    with pytest.raises(MoleculeError, match="charges that no proton balances"):
        parse(smiles, CHEMBL.vocabulary)


def test_whatever_is_built_is_valid(random_molecules):
    for text in fragment_smiles(random_molecules.actions, CHEMBL.vocabulary):
        mol = to_mol(Chem.MolToSmiles(to_mol(text)))
        assert Chem.GetFormalCharge(mol) == 0 and "." not in Chem.MolToSmiles(mol)
        assert not any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
        assert mol.GetNumHeavyAtoms() <= 40
    assert random_molecules.length.max() <= 12 and len(set(random_molecules.length)) > 3


def test_properties_are_rdkits(random_molecules):
    for built in (random_molecules, replay(real_sequences(CHEMBL)[::20], CHEMBL.vocabulary)):
        mols = map(to_mol, fragment_smiles(built.actions, CHEMBL.vocabulary))
        np.testing.assert_allclose(additive(built), [by_rdkit(mol) for mol in mols], atol=1e-9)


def test_alerts_are_rdkits_and_bind(random_molecules):
    built, screen = random_molecules, alert_screen(CHEMBL.vocabulary)
    mols = map(to_mol, fragment_smiles(built.actions, CHEMBL.vocabulary))
    pairs = zip(mols, built.fragment.tolist(), built.partner.tolist(), strict=True)
    found = [(screen(mol, *pair), has_alert(mol)) for mol, *pair in pairs]
    assert all(ours == theirs for ours, theirs in found) and sum(ours for ours, _ in found) > 30


def test_certificates_score_one_and_random_molecules_do_not():
    known = MoleculeDistribution(chemistry=CHEMBL)
    frozen = known.frozen("test")
    tasks = frozen.tasks.take(np.arange(30))
    env = MoleculeDesignVectorEnv(30, chemistry="chembl", variant="windows-3")
    played = build(env, tasks.certificate.astype(int), tasks)
    np.testing.assert_allclose(played["score"], 1)
    assert 0 < frozen.reference.random.mean() < 0.2
    task = tasks.tasks()[0]
    assert task.family == "MoleculeObjective-chembl" and task_from_json(task.to_json()) == task


def test_leads_can_be_optimised_in_it():
    frozen = LeadDistribution(chemistry=CHEMBL).frozen("test")
    task = frozen.tasks.tasks()[0]
    assert len(frozen.tasks) > 100 and task_from_json(task.to_json()) == task


def test_it_is_made_by_name():
    env = gym.make("metaenv:metaenv/MoleculeDesign-v1", chemistry="chembl")
    _, info = env.reset(seed=0)
    assert env.action_space.n == CHEMBL.vocabulary.n_actions == len(info["action_mask"]) > 600
    assert "chembl" in env.spec.to_json()
