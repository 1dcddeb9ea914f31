"""The few-shot family of assays of one's own, and what the measured molecules of variant `assay` are refused for."""

from __future__ import annotations

import numpy as np
import pytest

from metaenv.cli import main
from metaenv.molecules.assay.measurements import read_measurements
from metaenv.molecules.assay.tasks import AssayDistribution
from metaenv.supervised import Dataset, Episodes, evaluate, frozen_episodes, make_learner
from metaenv.supervised.families import make_family
from metaenv.supervised.families.assays import Assays
from metaenv.tasks import TaskSampler

NAMES = ("A", "B", "C", "D", "E")


def molecules(seed, n):
    """Amines and alcohols on chains and rings; the amines are the active ones."""
    rng = np.random.default_rng(seed)
    cores = [
        f"{'C' * a}{ring}{'C' * b}" for a in range(1, 9) for b in range(1, 9) for ring in ("", "C1CC1", "c1ccccc1")
    ]
    cores = sorted(set(cores))
    return [cores[i] + ("N" if k % 2 else "O") for k, i in enumerate(rng.permutation(len(cores))[:n])]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("assays") / "my.csv"
    rng = np.random.default_rng(0)
    lines = [
        f"{smiles},{name},{5 + i + smiles.endswith('N') + 0.3 * rng.standard_normal():.3f}"
        for i, name in enumerate(NAMES)
        for smiles in molecules(i, 60)
    ]
    path.write_text("smiles,assay,pIC50\n" + "\n".join(lines))
    return path


@pytest.fixture(scope="module")
def family(file):
    return make_family("assays", data=file)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_no_episode_mixes_assays_and_no_molecule_is_in_two_splits(family, kind):
    shown: dict[str, set[str]] = {}
    for split in family.splits:
        episodes = family.episodes(split, 3, 4, kind=kind)
        batch, data = episodes.draw(60), family.source(split, kind, 0)
        for i in range(60):
            ids = data.ids[np.concatenate([batch.support_ids[i], batch.query_ids[i]])]
            assay = {name.split(": ")[0] for name in ids}
            assert len(assay) == 1 and len(set(ids)) == len(ids)
            told = batch.task_ids[i]
            assert assay == ({told} if kind == "regression" else {t.rpartition(" ")[0] for t in told})
            shown.setdefault(split, set()).update(name.split(": ")[1] for name in ids)
        assert set(data.groups) == {n for n, s in zip(NAMES, family.division.assays, strict=True) if s == split}
    assert len(shown) == 3 and all(shown.values())
    assert not (shown["train"] & shown["test"] or shown["train"] & shown["validation"])
    assert not shown["validation"] & shown["test"]


def test_class_1_is_active_and_values_are_those_of_the_file(family):
    measured = family.measured
    batch, data = family.episodes("test", 4, 5).draw(20), family.source("test", "classification", 0)
    medians = {n: np.median(measured.value[measured.assay == a]) for a, n in enumerate(NAMES)}
    value = {f"{NAMES[a]}: {s}": v for a, s, v in zip(measured.assay, measured.smiles, measured.value, strict=True)}
    for i in range(20):
        ids = data.ids[batch.query_ids[i]]
        above = [value[name] > medians[name.split(": ")[0]] for name in ids]
        assert batch.query_y[i].tolist() == [int(a) for a in above] and sum(above) == 5
    regression, data = family.episodes("test", 4, 5, kind="regression").draw(5), family.source("test", "regression", 0)
    expected = [[value[name] for name in data.ids[rows]] for rows in regression.query_ids]
    np.testing.assert_allclose(regression.query_y, expected, rtol=1e-6)


def test_learners_find_the_amines(family):
    test = frozen_episodes(family.episodes("test", 5, 8, seed=1), 40)
    assert test.problem.n_classes == 2
    train = family.episodes("train", 5, 8)
    learners = {n: make_learner(n, train.problem) for n in ("prototypical", "linear")}
    learners["prototypical"].meta_fit(train, 60)
    report = evaluate(learners, test)
    for name in learners:
        assert report.interval(name, "auroc").low > 0.75 and report.interval(name, "auprc").low > 0.75
    assert "auroc" in report.markdown()


def test_labels_have_no_regression_and_a_threshold_makes_classes(file, family, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "smiles,assay,active\n"
        + "\n".join(f"{s},{n},{int(s.endswith('N'))}" for i, n in enumerate(NAMES) for s in molecules(i, 30))
    )
    found = make_family("assays", data=labels, least=5)
    assert found.kinds == ("classification",) and found.episodes("test", 2, 3).problem.n_classes == 2
    with pytest.raises(ValueError, match="assays has classification, not 'regression'"):
        found.episodes("test", kind="regression")
    with pytest.raises(ValueError, match=r"labels\.csv has labels"):
        Assays(labels, threshold=0.5)
    high = Assays(family.measured, threshold=7.5)
    data = high.source("train", "classification", 0)
    value = dict(zip(high.measured.smiles, high.measured.value, strict=True))
    assert 0 < data.y.mean() < 1
    assert data.y.mean() != family.source("train", "classification", 0).y.mean() and len(value)


def test_too_large_episodes_are_refused_before_training_with_the_remedy(family, file, tmp_path):
    with pytest.raises(
        ValueError, match=r"group '.' has \d+ samples of class [01], and an episode takes 40 of each.*least 40"
    ):
        family.episodes("train", 20, 20)
    with pytest.raises(ValueError, match=r"group '.' has \d+ samples, and an episode takes 100.*least 100"):
        family.episodes("train", 50, 50, kind="regression")
    lopsided = tmp_path / "lopsided.csv"
    lopsided.write_text(file.read_text() + "\n" + "\n".join(f"{'C' * i}Br,F,{i}" for i in range(1, 9)))
    with pytest.raises(ValueError, match="group 'F' has 4 samples of class"):
        for split in ("train", "validation", "test"):
            make_family("assays", data=lopsided, least=1).episodes(split, 3, 4)
    without = make_family("assays", data=lopsided)
    assert all(without.episodes(split, 3, 4).draw(1) for split in without.splits)
    assert "assays with fewer than 10 molecules of either class are left out: F" in " ".join(without.notes)


def test_what_is_missing_is_told(tmp_path):
    with pytest.raises(ValueError, match="needs a CSV file with columns smiles, assay and value"):
        make_family("assays")
    one = tmp_path / "one.csv"
    one.write_text("smiles,value\nC,1\nCC,2\n")
    with pytest.raises(ValueError, match=r"got 1 assays in .*one\.csv.*bring two assays at least"):
        make_family("assays", data=one)
    few = "\n".join(f"{'C' * i}{x},{n},{i % 2}" for i in range(1, 8) for n, x in ("AN", "BO"))
    one.write_text(f"smiles,assay,label\n{few}")
    with pytest.raises(
        ValueError,
        match=r"large enough for split 'train' and class.*lower least .now 10.*of either class are left out: B",
    ):
        make_family("assays", data=one).episodes()
    small = make_family("assays", data=one, least=2)
    assert small.shots == (1, 2) and small.episodes().draw(3) and small.episodes("test").draw(3)
    with pytest.raises(ValueError, match="no apart 'scafold'"):
        make_family("assays", data=one, apart="scafold")
    with pytest.raises(ValueError, match="give smiles to read_measurements"):
        make_family("assays", data=read_measurements(one), smiles="x")


def test_the_report_and_the_picture(family, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    text = family.report()
    assert "300 molecules measured in 5 assays" in text and "stay in one of them" in text
    assert sum(f"- {name} (" in text for name in NAMES) == 5
    for kind in family.kinds:
        assert image.imread(family.picture(tmp_path / f"{kind}.png", kind=kind))[..., :3].std() > 0.05


def test_it_runs_from_the_command_line(file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--options", "data", str(file), "--quick", "--n-shot", "3", "--n-query", "4", "--out", "run"]
    assert main(["fewshot", "assays", "prototypical", *options, "--no-baselines", "--iterations", "20"]) == 0
    assert "prototypical" in capsys.readouterr().out and "auroc" in (tmp_path / "run" / "table.md").read_text()
    assert main(["fewshot", "assays"]) == 0 and "A task is an assay" in capsys.readouterr().out


# DATA SETS, AND VARIANT `ASSAY`


def test_classes_within_a_group():
    y = np.tile(["no", "yes"], 12)
    data = Dataset(np.arange(24.0)[:, None], y, groups=np.repeat(["a", "b", "c"], 8))
    batch = Episodes(data, 1, 3, by="group").draw(30)
    for i in range(30):
        for rows, labels in ((batch.support_ids[i], batch.support_y[i]), (batch.query_ids[i], batch.query_y[i])):
            assert len(set(data.groups[rows])) == 1
            assert (data.y[rows] == np.array(["no", "yes"])[labels]).all()
    assert {tuple(t) for t in batch.task_ids} == {(f"{g} no", f"{g} yes") for g in "abc"}
    mixed = Episodes(data, 1, 3, n_way=2).draw(30)
    assert any(len(set(data.groups[rows])) > 1 for rows in mixed.query_ids)
    with pytest.raises(ValueError, match="expected by='group'"):
        Episodes(data, 1, 3, by="groups")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="group 'a' has 4 samples of class 'no', and an episode takes 5 of each"):
        Episodes(data, 2, 3, by="group")


class FakeAssays:
    """Eight targets of which the last two are held out; the smallest has 50 molecules."""

    def __init__(self):
        self.assays = [range(50 + 10 * i) for i in range(8)]


@pytest.fixture
def moleculeace(monkeypatch):
    monkeypatch.setattr(AssayDistribution, "__post_init__", lambda self: None)
    monkeypatch.setattr(AssayDistribution, "assays", property(lambda self: FakeAssays()))
    monkeypatch.setattr(AssayDistribution, "held_out", property(lambda self: np.arange(8) >= 6))
    return AssayDistribution(labels="active")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_splits_that_share_molecules_with_training_are_refused(moleculeace, split):
    with pytest.raises(ValueError, match=rf"split '{split}'.*trained on.*'ood-target'.*family 'assays'"):
        Episodes(TaskSampler(moleculeace, split, seed=0), 8, 8, threshold=0.5)


def test_more_than_the_smallest_assay_holds_is_refused_at_once(moleculeace):
    for split, limit in (("train", 50), ("ood-target", 110)):
        assert moleculeace.labelled_limit(split) == limit
        with pytest.raises(ValueError, match=rf"takes 112 examples.*split '{split}' has {limit}; lower n_shot"):
            Episodes(TaskSampler(moleculeace, split, seed=0), 24, 32, threshold=0.5)


def test_the_pool_adapts_to_what_there_is():
    """Eight times 60 examples would be asked for, and there are 100 of each task."""
    family = make_family("molecule-objectives")
    sampler = family.source("test", "classification", 0)
    limit = sampler.distribution.labelled_limit("test")
    assert 500 < limit < 6_000
    drawn = []

    class Counting(type(sampler.distribution)):
        def labelled(self, tasks, n, rng):
            drawn.append(n)
            return super().labelled(tasks, n, rng)

    counted = TaskSampler(Counting("windows-3", tenths=sampler.distribution.tenths), "test", 0)
    k = limit // 16
    Episodes(counted, k, k, threshold="median").draw(1)
    assert drawn[-1] == limit < 8 * 4 * k
    with pytest.raises(ValueError, match=f"the smallest task of split 'test' has {limit}"):
        Episodes(counted, limit // 4 + 1, limit // 4 + 1, threshold="median")
