"""Variant ``assay`` with assays of one's own, from a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from building import build
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from rdkit.Chem.Descriptors import MolWt

from metaenv.errors import TaskError
from metaenv.molecules.assay.library import fit_ridge
from metaenv.molecules.assay.measurements import read_measurements
from metaenv.molecules.assay.own import OwnAssayDistribution, OwnAssayTask, assay_objectives
from metaenv.molecules.chem.smiles import to_smiles
from metaenv.molecules.design.baselines import baselines
from metaenv.molecules.design.env import MoleculeDesignVectorEnv
from metaenv.molecules.reference_molecules import random_molecules, real_molecules
from metaenv.tasks import TaskBatch
from metaenv.testing import check_meta_env

ID = "metaenv:metaenv/MoleculeDesign-v1"
NAMES = ("kinase X", "hERG", "solubility", "permeability", "binding Y")
MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)


def bits(smiles):
    return np.array([MORGAN.GetFingerprintAsNumPy(Chem.MolFromSmiles(text)) for text in smiles], float)


def write(path, names, held_out=(), seed=0, n=40):
    """Made-up assays of real molecules: activity is linear in their fingerprints."""
    rng = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["SMILES", "assay", "pIC50", *(["split"] if held_out else [])])
        for name in names:
            smiles = to_smiles(real_molecules().actions[rng.permutation(6000)[:n]])
            for text, y in zip(smiles, bits(smiles) @ rng.normal(0, 0.5, 1024) + 6, strict=True):
                table.writerow([text, name, f"{y:.3f}", *(["test" if name in held_out else "train"] * bool(held_out))])
    return str(path)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def source(own_cache, tmp_path_factory):
    return write(tmp_path_factory.mktemp("own") / "my.csv", NAMES, held_out=("hERG", "binding Y"))


def test_it_keeps_the_contract(source):
    env = gym.make(ID, variant="assay", assay_data=source)
    check_meta_env(env, steps=20)
    distribution = env.unwrapped.distribution
    assert isinstance(distribution, OwnAssayDistribution)
    assert {"best fixed set", "graph GA", "random"} <= {
        "random",
        *env.unwrapped.batched(1, "assay", assay_data=source).baselines(),
    }


def test_assays_are_held_out_as_the_file_says(source):
    distribution = assay_objectives(source)
    names = np.array(distribution.fitting.names)
    for split in distribution.splits:
        there = set(names[distribution.all_tasks(split).target.astype(int)])
        assert there == ({"hERG", "binding Y"} if split == "ood-target" else {"kinase X", "solubility", "permeability"})
    assert "assays of ood-target: binding Y, hERG" in distribution.notes


def test_a_score_by_hand(source):
    """Activity by a ridge regression that is fitted here, on the rows that the distribution says."""
    task = OwnAssayTask.from_ranges("solubility", {"mw": (200, 400)}, source=source)
    distribution = assay_objectives(source)
    measured, number = distribution.fitting, distribution.fitting.names.index("solubility")
    train = distribution.assays.assays[number].train
    assert 0.6 < train.mean() < 0.95
    with open(source, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["assay"] == "solubility"]
    value = {Chem.CanonSmiles(row["SMILES"]): float(row["pIC50"]) for row in rows}
    smiles = np.array(distribution.assays.assays[number].smiles)
    w, b = fit_ridge(bits(smiles[train]), np.array([value[text] for text in smiles[train]]))
    zero = (bits(to_smiles(random_molecules().actions[:300])) @ w + b).mean()
    assert zero == pytest.approx(distribution.assays.zero[number], abs=0.1)
    env = MoleculeDesignVectorEnv(12, variant="assay", assay_data=measured)
    sequences = np.array([task.certificate, *real_molecules().actions[:11]], np.int16)
    told = build(env, sequences, TaskBatch.from_tasks([task]).repeated(12))
    predicted = bits(told["smiles"]) @ w + b
    factor = np.clip(
        (predicted - distribution.assays.zero[number]) / (predicted[0] - distribution.assays.zero[number]), 0, 1
    )
    assert told["score"][0] == 1
    inside = [200 <= MolWt(Chem.MolFromSmiles(text)) <= 400 for text in told["smiles"]]
    fits = np.array(inside) & real_molecules().feasible[[0, *range(11)]]
    np.testing.assert_allclose(told["score"][1:][fits[1:]], factor[1:][fits[1:]], atol=1e-6)
    assert fits[1:].sum() > 3


@pytest.mark.parametrize("n", [1, 2, 40])
def test_any_number_of_assays(n, tmp_path):
    names = [f"assay {i}" for i in range(n)]
    distribution = assay_objectives(write(tmp_path / "my.csv", names, n=20))
    assert len(distribution.assays.assays) == n == len(distribution.fitting.names)
    assert ("ood-target" in distribution.splits) == (n > 1) and distribution.held_out.sum() == (0, 1, 8)[
        (n > 1) + (n > 2)
    ]
    shown = {split: set(distribution.all_tasks(split).target) for split in distribution.splits}
    assert len(set().union(*shown.values())) == n
    if n > 1:
        assert not shown["train"] & shown["ood-target"]


def test_assays_that_are_too_small_or_constant_are_left_out_and_told(tmp_path):
    file = tmp_path / "my.csv"
    write(file, ["large"], n=30)
    with file.open("a") as more:
        more.writelines(f"{'C' * (i + 1)}N,small,{i}\n" for i in range(5))
        more.writelines(f"{'C' * (i + 1)}O,constant,5\n" for i in range(30))
    distribution = assay_objectives(str(file))
    assert distribution.fitting.names == ("large",)
    notes = " ".join(distribution.notes)
    assert "small (5)" in notes and "constant (30)" in notes
    file.write_text("smiles,assay,value\nCCO,A,5\nCCC,A,6\n")
    with pytest.raises(ValueError, match=r"my\.csv: 1 of 1 assays are left out.*none is left"):
        gym.make(ID, variant="assay", assay_data=str(file))


def test_a_task_of_other_measurements_is_refused(source, tmp_path):
    other = write(tmp_path / "other.csv", NAMES, seed=1)
    task = OwnAssayTask.from_ranges("hERG", {"mw": (200, 400)}, source=other)
    assert OwnAssayTask.from_json(task.to_json()) == task
    env = gym.make(ID, variant="assay", assay_data=source)
    with pytest.raises(TaskError, match="belongs to other measurements"):
        env.reset(options={"task": task})
    with pytest.raises(ValueError, match=r"no assay 'herg'.*hERG"):
        OwnAssayTask.from_ranges("herg", {"mw": (200, 400)}, source=source)


def test_a_file_that_changes_is_read_again_and_columns_may_be_named(source, tmp_path):
    file = tmp_path / "my.csv"
    text = Path(source).read_text()
    file.write_text(text)
    first = assay_objectives(str(file)).measured
    assert assay_objectives(str(file)).measured is first
    file.write_text(text.replace("solubility", "solubility in water"))
    assert "solubility in water" in assay_objectives(str(file)).measured.names
    file.write_text(text.replace("SMILES,assay", "Molecule X,protocol"))
    with pytest.raises(ValueError, match="no column of the smiles"):
        gym.make(ID, variant="assay", assay_data=str(file))
    measured = read_measurements(file, smiles="Molecule X", assay="protocol")
    gym.make(ID, variant="assay", assay_data=measured).reset(seed=0)
    with pytest.raises(ValueError, match="takes no assay_data"):
        gym.make(ID, variant="groups", assay_data=str(file))


def test_its_baselines_begin_with_its_own_portfolio(source):
    ours = baselines("assay", source)["best fixed set"].sequences
    np.testing.assert_array_equal(ours, assay_objectives(source).portfolio().sequences)
    assert ours.shape == (10, 9)
