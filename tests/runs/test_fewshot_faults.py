"""What can go wrong with few-shot runs: other settings, edits, damaged files, interruptions."""

import json
import os
import random
import signal

import numpy as np
import pytest

pytest.importorskip("torch", reason="learners need torch")
pytest.importorskip("tyro", reason="runs need tyro")

import torch

from metaenv.cli import main
from metaenv.runs.cells import lengthen, load_learner, read_report, read_run, run_fewshot
from metaenv.runs.fewshot import resolve_run
from metaenv.runs.folder import RunError
from metaenv.supervised.learner import Learner

FAMILY = "materials-synthesis"
TINY = {"iterations": 6, "episodes": 12, "n_shot": 4, "n_query": 5, "shots": (4,), "baselines": False}
SMALL = {"sizes": [8, 8], "tasks_per_batch": 4}


def tiny(*learners, **more):
    return resolve_run(FAMILY, learners or ("prototypical",), **{**TINY, "settings": SMALL, **more})


def quiet(text):
    del text


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run_fewshot(tiny("prototypical", "knn"), folder, say=quiet)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    for file in whole.rglob("*"):
        target = tmp_path / "copy" / file.relative_to(whole)
        target.mkdir(parents=True, exist_ok=True) if file.is_dir() else target.parent.mkdir(parents=True, exist_ok=True)
        if file.is_file():
            target.write_bytes(file.read_bytes())
    return tmp_path / "copy"


def edit(folder, **changes):
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **changes}))


def test_other_settings_are_refused_with_both_values(copy):
    longer = tiny("prototypical", "knn", iterations=9)
    with pytest.raises(RunError, match=r"prototypical.iterations is 6 and not 9, which is asked for.*--iterations N"):
        run_fewshot(longer, copy, say=quiet)
    with pytest.raises(RunError, match="split is 'test' and not 'validation'"):
        run_fewshot(tiny("prototypical", "knn", split="validation"), copy, say=quiet)


@pytest.mark.parametrize("method", ["prototypical", "maml"])
def test_a_longer_training_is_as_exact_as_any(method, tmp_path, monkeypatch):
    decays = {"settings": {**SMALL, "lr_decay": "linear"}}
    for name in ("a", "b"):
        run_fewshot(tiny(method, **decays), tmp_path / name, say=quiet)
    rates = []
    update = Learner._one_update

    def noted(self, episodes):
        metrics = update(self, episodes)
        rates.append(self.optimizer.param_groups[0]["lr"] / self.config.learning_rate)
        return metrics

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "_one_update", noted)
        assert main(["resume", str(tmp_path / "a"), "--iterations", "10"]) == 0
    np.testing.assert_allclose(rates, [0.4, 0.3, 0.2, 0.1])
    lengthen(tmp_path / "b", 10)

    def stops(self, episodes):
        if self.iteration == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(self, episodes)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "_one_update", stops)
        assert main(["resume", str(tmp_path / "b")]) == 143
    assert load_learner(tmp_path / "b", method).iteration == 9
    report = run_fewshot(read_run(tmp_path / "b"), tmp_path / "b", say=quiet)
    first, second = (load_learner(tmp_path / name, method).network.state_dict() for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert report.interval(method) == read_report(tmp_path / "a").interval(method)
    assert report.updates[method] == 10
    with pytest.raises(RunError, match="10 iterations; it can be lengthened, but not to 7"):
        lengthen(tmp_path / "b", 7)


def test_the_log_says_the_same_after_an_interruption_between_two_lines(tmp_path, monkeypatch):
    monkeypatch.setattr("metaenv.runs.learning.LOG_LINES", 2)  # a line every three updates
    run_fewshot(tiny(), tmp_path / "whole", say=quiet)
    update = Learner._one_update

    def stops(self, episodes):
        if self.iteration == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, episodes)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "_one_update", stops)
        with pytest.raises(KeyboardInterrupt):
            run_fewshot(tiny(), tmp_path / "cut", say=quiet)
    run_fewshot(tiny(), tmp_path / "cut", say=quiet)
    logs = [(tmp_path / n / "prototypical/seed-0/log.jsonl").read_text().splitlines() for n in ("whole", "cut")]
    first, second = ([{**json.loads(line), "seconds": 0} for line in log] for log in logs)
    assert first == second and [line["iteration"] for line in first] == [3, 6]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_query": 6}, "n_query is 6 and not 5"),
        ({"split": "validation"}, "split is 'validation' and not 'test'"),
        ({"episodes": 20}, "episodes is 20 and not 12"),
        ({"n_way": "5"}, "'n_way', got '5'"),
        ({"methods": ["maml"]}, "'methods', got ['maml']"),
        ({"kind": "regress"}, "'kind', got 'regress'"),
        ({"shots": [4, "x"]}, "'shots', got 'x'"),
    ],
)
def test_edits_are_named_in_one_line(copy, changes, words, capsys):
    edit(copy, **changes)
    assert main(["resume", str(copy)]) == 2
    error = capsys.readouterr().err
    assert words in error and "config.json" in error
    assert "Traceback" not in error and not (copy / ".lock").exists()


@pytest.mark.parametrize("name", ["cell.json", "scores.npz", "checkpoint.pt", "log.jsonl"])
@pytest.mark.parametrize("content", [b"", b"[]\n[]\n", None])
def test_damaged_files_are_named(copy, name, content, capsys):
    path = copy / "prototypical" / "seed-0" / name
    path.write_bytes(path.read_bytes()[:-3] if content is None else content)
    if name in ("checkpoint.pt", "log.jsonl"):
        (copy / "prototypical" / "seed-0" / "cell.json").unlink()  # so that it is looked at
    status = main(["resume", str(copy)])
    error = capsys.readouterr().err
    if name == "log.jsonl" and content != b"[]\n[]\n":
        assert status == 0, "a log that a kill has cut is gone on with"
    else:
        assert status == 2 and name in error and "Traceback" not in error


def test_a_damaged_cell_leaves_the_others_alone(copy, capsys):
    (copy / "prototypical" / "seed-0" / "cell.json").write_text("{}")
    (copy / "knn" / "seed-0" / "cell.json").unlink()
    with pytest.raises(RunError, match=r"1 of 2 cells failed(.|\n)*prototypical.seed-0.cell\.json"):
        run_fewshot(read_run(copy), copy, say=quiet)
    assert json.loads((copy / "report.json").read_text())["shots"]["4"].keys() == {"knn"}


def test_flipped_bits_of_results_are_refused_or_harmless(copy):
    expected = read_report(copy).scores[4]["prototypical"].by_episode
    rng = random.Random(0)
    for name in ("cell.json", "scores.npz"):
        path = copy / "prototypical" / "seed-0" / name
        whole = path.read_bytes()
        for bit in rng.sample(range(8 * len(whole)), 100):
            changed = bytearray(whole)
            changed[bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)
            try:
                found = read_report(copy).scores[4]["prototypical"].by_episode
            except RunError as error:
                assert name in str(error)
            else:
                assert name == "cell.json" and all(np.array_equal(expected[k], found[k]) for k in expected)
        path.write_bytes(whole)


def test_seeds_in_workers_give_the_same_scores(tmp_path):
    more = {"n_shot": 2, "n_query": 3, "shots": (2,), "settings": {"tasks_per_batch": 2}, "seeds": 2}
    run = resolve_run("light-curves", ["prototypical"], **{**TINY, **more})
    one = run_fewshot(run, tmp_path / "one", say=quiet)
    said = []
    two = run_fewshot(run, tmp_path / "two", workers=2, say=said.append)
    assert one.interval("prototypical") == two.interval("prototypical") and two.train_seconds["prototypical"] > 0
    assert sorted(text[:6] for text in said) == ["1 of 2", "2 of 2"]
