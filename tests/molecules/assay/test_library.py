"""Variant ``assay``: made-up measurements everywhere, and those of MoleculeACE where they are installed."""

import csv
import zipfile

import gymnasium as gym
import numpy as np
import pytest
from building import build
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from metaenv.errors import TaskError
from metaenv.molecules.assay import library as assays
from metaenv.molecules.assay.library import HELD_OUT, SOURCE_VARIABLE, TARGETS, Assay, fit_ridge, load, locate
from metaenv.molecules.assay.tasks import AssayDistribution, AssayTask
from metaenv.molecules.chem.chemistry import OWN
from metaenv.molecules.chem.properties import by_rdkit
from metaenv.molecules.chem.scoring import desirabilities
from metaenv.molecules.chem.smiles import to_smiles
from metaenv.molecules.design.env import MoleculeDesignVectorEnv
from metaenv.molecules.reference_molecules import random_molecules, real_molecules
from metaenv.tasks import TaskBatch
from metaenv.testing import check_distribution, check_meta_env, check_vector_env

ID = "metaenv:metaenv/MoleculeDesign-v1"
PER_TARGET = 60
MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)


def bits_by_rdkit(smiles):
    return np.array([MORGAN.GetFingerprintAsNumPy(Chem.MolFromSmiles(text)) for text in smiles], float)


def installed():
    try:
        locate()
    except (ImportError, FileNotFoundError):
        return False
    return True


real_data = pytest.mark.skipif(
    not installed(), reason="MoleculeACE is not installed: see metaenv.molecules.assay.library"
)


def write_assays(folder):
    """30 made-up assays of real molecules: activity is linear in their fingerprints, and a little noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for target in TARGETS:
        smiles = to_smiles(real_molecules().actions[rng.permutation(6000)[:PER_TARGET]])
        y = bits_by_rdkit(smiles) @ rng.normal(0, 0.5, 1024) + rng.normal(0, 0.1, PER_TARGET) - 3
        with (folder / f"{target.name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["smiles", "exp_mean [nM]", "y", "cliff_mol", "split"])
            for i in range(PER_TARGET):
                table.writerow([smiles[i], 10 ** -y[i], y[i], 0, "test" if i % 5 == 0 else "train"])


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Made-up models are kept out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def source(own_cache, tmp_path_factory):
    """Path of the made-up assays, as a string; they are loaded."""
    folder = tmp_path_factory.mktemp("assays") / "made_up"
    write_assays(folder)
    with pytest.warns(UserWarning, match="not those of MoleculeACE"):
        load(folder)
    return str(folder)


def rows_of(source, target):
    with open(f"{source}/{target.name}.csv", newline="") as file:
        return list(csv.DictReader(file))


# READING AND FITTING


@pytest.mark.parametrize("n", [30, 90])
def test_ridge_is_least_squares_with_a_penalty(n):
    """The same problem with alpha as extra rows of data, solved by LAPACK's least squares."""
    rng, d, alpha = np.random.default_rng(n), 50, 2.5
    x, y = rng.random((n, d)), rng.random(n)
    rows = np.block([[x, np.ones((n, 1))], [np.sqrt(alpha) * np.eye(d), np.zeros((d, 1))]])
    expected = np.linalg.lstsq(rows, np.concatenate([y, np.zeros(d)]), rcond=None)[0]
    weights, intercept = fit_ridge(x, y, alpha)
    np.testing.assert_allclose([*weights, intercept], expected, atol=1e-9)


def test_what_is_loaded_is_what_the_files_say(source):
    known = load(source)
    assert len(known.assays) == len(TARGETS) == 30
    for number in (0, 17):
        rows, assay = rows_of(source, TARGETS[number]), known.assays[number]
        assert list(assay.smiles) == [row["smiles"] for row in rows] and assay.target == TARGETS[number]
        np.testing.assert_allclose(assay.activity, [-np.log10(float(row["exp_mean [nM]"])) for row in rows])
        bits, train = bits_by_rdkit(assay.smiles), np.arange(PER_TARGET) % 5 > 0
        np.testing.assert_array_equal(assay.bits(), bits)
        weights, intercept = fit_ridge(bits[train], assay.activity[train])
        predicted = bits @ weights + intercept
        np.testing.assert_allclose(known.predict(assay.fingerprints, np.full(PER_TARGET, number)), predicted, atol=1e-9)
        expected = np.corrcoef(predicted[~train], assay.activity[~train])[0, 1]
        assert known.test_correlation[number] == pytest.approx(expected)


def test_a_wheel_a_folder_and_a_variable_are_the_same(source, tmp_path, monkeypatch):
    wheel = tmp_path / "MoleculeACE.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for target in TARGETS:
            inside = f"MoleculeACE/Data/benchmark_data/{target.name}.csv"
            file.write(f"{source}/{target.name}.csv", inside)
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site-packages")
    monkeypatch.setenv(SOURCE_VARIABLE, str(wheel))
    for given in (None, tmp_path / "site-packages"):
        with pytest.warns(UserWarning, match="not those of MoleculeACE"):
            assert load(given).sha256 == load(source).sha256


def test_the_cache_gives_the_same_and_a_broken_one_is_made_anew(source):
    first = load(source)
    (file,) = assays.cache_folder().glob("*")  # nothing else is left behind
    for broken in (False, True):
        if broken:
            file.write_bytes(file.read_bytes()[:1000])
        assays._load.cache_clear()
        with pytest.warns(UserWarning):
            again = load(source)
        np.testing.assert_array_equal(again.weights, first.weights)
        np.testing.assert_array_equal(again.random_activity, first.random_activity)
        np.testing.assert_array_equal(again.assays[3].fingerprints, first.assays[3].fingerprints)
    assert file.stat().st_size > 1000 and list(assays.cache_folder().glob("*")) == [file]


def test_no_place_for_a_cache_is_no_error(source, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assays._load.cache_clear()
    with pytest.warns(UserWarning):
        assert len(load(source).assays) == 30


# WHAT IS MISSING


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.delenv(SOURCE_VARIABLE, raising=False)
    monkeypatch.setattr(assays.importlib.util, "find_spec", lambda name: None)
    assays._installed.cache_clear()
    yield
    assays._installed.cache_clear()


def test_without_the_package_the_variant_says_what_to_install(nothing_installed):
    for make in (gym.make, gym.make_vec):
        with pytest.raises(ImportError, match=r"pip install --no-deps MoleculeACE==3\.0\.0.*METAENV_MOLECULEACE"):
            make(ID, variant="assay")
    gym.make(ID, variant="groups").reset(seed=0)


def test_missing_and_wrong_files_are_named(source, tmp_path, monkeypatch):
    monkeypatch.setenv(SOURCE_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"nothing at.*nowhere.*pip install"):
        gym.make(ID, variant="assay")
    with pytest.raises(FileNotFoundError, match="30 of 30 files are missing"):
        load(tmp_path)
    (tmp_path / "text.whl").write_text("no wheel")
    with pytest.raises(ValueError, match="expected a wheel or a folder"):
        load(tmp_path / "text.whl")


@pytest.mark.parametrize("text", ["smiles,y\nC,1\n", "smiles,y,split\nC,one,train\n", "smiles,y,split\nC,1,train\n"])
def test_a_file_of_another_form_is_named(text):
    with pytest.raises(ValueError, match=r"expected .* in CHEMBL1862_Ki\.csv"):
        assays._table("CHEMBL1862_Ki.csv", text.encode())


def test_bad_settings_are_refused(source):
    with pytest.raises(ValueError, match="needs constraints=True"):
        MoleculeDesignVectorEnv(variant="assay", assay_data=source, constraints=False)
    with pytest.raises(ValueError, match="fingerprint"):
        AssayDistribution(source, features="fingerprints")
    with pytest.raises(ValueError, match="active"):
        AssayDistribution(source, labels="activ")
    with pytest.raises(ValueError, match="CHEMBL1862_Ki"):
        AssayTask.from_ranges("CHEMBL1862", {"mw": (300, 340)}, source=source)


# TASKS


def test_it_keeps_the_contract(source):
    settings = {"variant": "assay", "assay_data": source, "feedback": "panel"}
    check_meta_env(gym.make(ID, **settings), steps=20)
    check_vector_env(lambda **more: gym.make_vec(ID, **settings, **more), num_envs=2, steps=20)


def test_splits_hold_out_objectives_and_whole_families(source):
    distribution = AssayDistribution(source)
    check_distribution(distribution)
    families = {}
    objectives = {}
    for split in distribution.splits:
        tasks = distribution.all_tasks(split)
        numbers = np.column_stack([tasks.target, tasks.wanted, tasks.low, tasks.high])
        objectives[split] = {row.tobytes() for row in numbers}
        families[split] = {TARGETS[int(t)].family for t in tasks.target}
        assert len(objectives[split]) == len(tasks) and (tasks.wanted.sum(axis=1) == 2).all()
        assert len(np.unique(tasks.target)) == (8 if split == "ood-target" else 22)
    assert HELD_OUT.sum() == 8 and families["ood-target"] == {"nuclear receptor", "protease"}
    assert not families["train"] & families["ood-target"]
    for first in objectives:
        for second in objectives:
            assert first == second or not objectives[first] & objectives[second]


def test_every_certificate_scores_one(source):
    distribution = AssayDistribution(source)
    for split in ("train", "ood-target"):
        tasks = distribution.all_tasks(split)
        tasks = tasks.take(np.arange(0, len(tasks), -(-len(tasks) // 200)))
        env = MoleculeDesignVectorEnv(len(tasks), variant="assay", assay_data=source)
        np.testing.assert_array_equal(build(env, tasks.certificate.astype(np.int16), tasks)["score"], 1)
        table = distribution.score_real(tasks)
        best = table.max(axis=1)
        np.testing.assert_allclose(best, 1, atol=1e-9)


def test_the_score_of_a_molecule_by_hand(source):
    """Windows and fingerprint by RDKit, activity by a ridge regression fitted here on the file."""
    number = 6
    task = AssayTask.from_ranges(TARGETS[number].name, {"mw": (283, 320), "tpsa": (42, 55)}, source=source)
    assert task.target_name == "CHEMBL214_Ki" and AssayTask.from_json(task.to_json()) == task
    rows = rows_of(source, TARGETS[number])
    train = [row for row in rows if row["split"] == "train"]
    weights, intercept = fit_ridge(
        bits_by_rdkit([row["smiles"] for row in train]), np.array([float(row["y"]) for row in train])
    )
    some = slice(None, None, 25)
    np.testing.assert_array_equal(
        random_molecules().bits()[some], bits_by_rdkit(to_smiles(random_molecules().actions[some]))
    )
    zero = (random_molecules().bits() @ weights + intercept).mean()
    full = (bits_by_rdkit([task.certificate_smiles()]) @ weights + intercept)[0]
    sequences = real_molecules().actions[real_molecules().feasible][:40]
    env = MoleculeDesignVectorEnv(40, variant="assay", assay_data=source)
    told = build(env, sequences, TaskBatch.from_tasks([task]).repeated(40))
    values = np.array([by_rdkit(Chem.MolFromSmiles(text)) for text in told["smiles"]])[:, [0, 1, 2, 3, 5, 7, 8]]
    ranges = [np.array(task.low), np.array(task.high), np.array(task.wanted)]
    factor = np.clip((bits_by_rdkit(told["smiles"]) @ weights + intercept - zero) / (full - zero), 0, 1)
    expected = desirabilities(values, *ranges).prod(axis=1) * factor
    np.testing.assert_allclose(told["score"], expected, atol=1e-9)
    assert (expected > 0.001).sum() > 5 and (factor == 0).any()
    feasible = np.flatnonzero(real_molecules().feasible)[:40]
    table = AssayDistribution(source).score_real(TaskBatch.from_tasks([task]))
    np.testing.assert_allclose(table[0, feasible], expected, atol=1e-9)


def test_a_certificate_without_activity_is_refused_and_nothing_changes(source):
    known, real = load(source), real_molecules()
    weak = np.flatnonzero(real.feasible & (known.real_activity[:, 0] < known.zero[0]))[0]
    with pytest.raises(TaskError, match="no more active on CHEMBL1862_Ki than random"):
        AssayTask.from_ranges("CHEMBL1862_Ki", {"mw": (100, 500)}, to_smiles(real.actions[[weak]])[0], source)
    good = AssayTask.from_ranges("CHEMBL1862_Ki", {"mw": (100, 500)}, source=source)
    bad = AssayTask.from_dict({**good.to_dict(), "certificate": real.actions[weak].astype(float).tolist()})
    env = gym.make(ID, variant="assay", assay_data=source)
    env.reset(seed=0)
    before = env.unwrapped.task
    with pytest.raises(TaskError, match="no more active"):
        env.reset(options={"task": bad})
    assert env.unwrapped.task == before
    for change, why in (
        ({"target": 30}, "target must be a place in TARGETS from 0 to 29"),
        ({"low": [0.0] * 6}, "AssayTask.low must have 7 numbers"),
        ({"high": [150.0] * 7}, "outside the task's range"),
    ):
        with pytest.raises(TaskError, match=why):
            AssayTask.from_dict({**good.to_dict(), **change})


def test_random_reference_and_context(source):
    distribution = AssayDistribution(source)
    frozen = distribution.frozen("ood-target")
    rows = np.arange(0, 256, 64)
    tasks, sequences = frozen.tasks.take(rows), random_molecules().actions[:200]
    env = MoleculeDesignVectorEnv(200, variant="assay", assay_data=source)
    for i in range(len(rows)):
        scores = build(env, sequences, tasks.take(np.full(200, i)))["score"]
        np.testing.assert_allclose(scores, distribution.score_random(tasks)[i, :200], atol=1e-9)
    np.testing.assert_allclose(distribution.score_random(tasks).mean(axis=1), frozen.reference.random[rows])
    context = distribution.task_vector(frozen.tasks)
    assert context.shape == (256, 31 + 64) and len(np.unique(context[:, 31:], axis=0)) == 8


def test_the_portfolio_raises_the_mean_of_the_best(source, monkeypatch):
    monkeypatch.setenv(SOURCE_VARIABLE, source)
    found = AssayDistribution().portfolio()
    assert found.sequences.shape == (10, 9) and (np.diff(found.train_score) > 0).all()
    tasks = AssayDistribution(source).members("train").take(np.arange(0, 6000, 40))
    mean = AssayDistribution(source).score_real(tasks).mean(axis=1).mean()
    assert found.train_score[0] > 2 * mean


# MEASURED MOLECULES


def test_labelled_molecules_are_measured_ones(source):
    number = 4
    rows = rows_of(source, TARGETS[number])
    y = np.array([float(row["y"]) for row in rows])
    bits = {row.tobytes(): i for i, row in enumerate(bits_by_rdkit([row["smiles"] for row in rows]))}
    tasks = AssayDistribution(source).members("ood-target")
    tasks = tasks.take(np.unique(tasks.target, return_index=True)[1])
    here = int(np.flatnonzero(tasks.target == number)[0])
    for labels, expected in (("activity", (y - y.mean()) / y.std()), ("active", (y > np.median(y)) * 1.0)):
        found = AssayDistribution(source, labels=labels).labelled(tasks, 40, np.random.default_rng(0))
        assert found.x.shape == (8, 40, 1024) and found.y.shape == (8, 40)
        which = [bits[x.tobytes()] for x in found.x[here]]
        np.testing.assert_allclose(found.y[here], expected[which])
        assert len(set(which)) == 40, "support and query may not share molecules"
    with pytest.raises(TaskError, match=r"at most 60 molecules.*n=61"):
        AssayDistribution(source).labelled(tasks, 61, np.random.default_rng(0))


def test_properties_of_measured_molecules_are_rdkits():
    smiles = ("CC(=O)Nc1ccc(O)cc1", "C[N+](C)(C)CC(O)c1ccccc1")  # any molecule of ChEMBL, not those of the vocabulary
    assay = Assay(TARGETS[0], smiles, np.array([0.0, -2.0]), np.array([True, False]), np.zeros((2, 128), np.uint8))
    # C8H9NO2: 151.165 Da, TPSA 49.33 Å2, two donors, one of eight carbons sp3.
    np.testing.assert_allclose(assay.values[0, [0, 2, 3, 6]], [151.165, 49.33, 2, 1 / 8], rtol=1e-5)
    assert assay.values.shape == (2, 7)
    np.testing.assert_allclose(assay.standardised, [1, -1])


# THE REAL MEASUREMENTS


@real_data
def test_models_of_the_real_assays_predict():
    known = load()
    assert known.sha256 == assays.SHA256 and sum(len(assay) for assay in known.assays) == 48_714
    # The notes that this variant follows found a mean of 0.76 over the 30 targets.
    assert known.test_correlation.mean() > 0.76 and known.test_correlation.min() > 0.5


@real_data
def test_frozen_lists_of_the_real_assays():
    distribution = AssayDistribution()
    assert distribution.assays.sha256 == OWN.json("assay_frozen.json")["moleculeace_sha256"]
    for split in ("validation", "test", "ood-target"):
        frozen = distribution.frozen(split)
        assert len(frozen) == distribution.manifest()[split]["n"]
        tasks = frozen.tasks.take(np.arange(0, len(frozen), 10))
        env = MoleculeDesignVectorEnv(len(tasks), variant="assay")
        np.testing.assert_array_equal(build(env, tasks.certificate.astype(np.int16), tasks)["score"], 1)
        assert 0.005 < frozen.reference.random.mean() < 0.1
