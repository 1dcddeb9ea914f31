"""Runs, their folders, and what an interruption does to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_kills import killed_at

from metaenv.experiments.fewshot import matrix, summary
from metaenv.runs.cells import load_learner, read_report, read_run, run_cell, run_fewshot
from metaenv.runs.fewshot import Run, resolve_run
from metaenv.runs.folder import RunError
from metaenv.supervised.data.episodes import frozen_episodes
from metaenv.supervised.evaluation import evaluate
from metaenv.supervised.families import FAMILIES, make_family
from metaenv.supervised.learner import Learner
from metaenv.supervised.registry import LEARNERS, learner_class, make_learner

FAMILY = "telescope-values"
TINY = {"iterations": 6, "episodes": 20, "n_shot": 4, "n_query": 5, "settings": {"sizes": [8, 8], "tasks_per_batch": 4}}


def tiny(*learners: str, **more: object) -> Run:
    return resolve_run(FAMILY, learners or ("prototypical",), **{**TINY, "baselines": False, **more})  # type: ignore[arg-type]


def quiet(text: str) -> None:
    del text


def weights(folder: Path, method: str, seed: int = 0) -> dict[str, torch.Tensor]:
    return load_learner(folder, method, seed).network.state_dict()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run_fewshot(tiny("maml", "knn", seeds=2), folder, say=quiet)
    return folder


def test_a_run_folder_tells_all(whole: Path):
    config = json.loads((whole / "config.json").read_text())
    assert config["methods"]["maml"]["iterations"] == 6 and config["versions"]["torch"]
    lines = [json.loads(line) for line in (whole / "maml/seed-1/log.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == list(range(1, 7)) and lines[-1]["loss"] > 0
    report = json.loads((whole / "report.json").read_text())
    assert len(report["sha256"]["4"]) == 64 and set(report["shots"]) == {"2", "4", "8"}
    assert set(report["shots"]["4"]) == {"maml", "knn"} and report["train_seconds"]["maml"] > 0
    text = (whole / "table.md").read_text()
    assert "| maml |" in text.replace("**", "") and "rmse, 8 shots" in text and "r2, 2 shots" in text
    torch.load(whole / "maml/seed-0/checkpoint.pt", weights_only=True)


def test_its_numbers_are_those_of_evaluate(whole: Path):
    run, report = read_run(whole), read_report(whole)
    again = [load_learner(whole, "maml", seed) for seed in (0, 1)]
    frozen = frozen_episodes(make_family(FAMILY).episodes("test", 8, 5, seed=8_128), 20)
    assert frozen.sha256 == report.sha256[8] == run.frozen(8).sha256
    expected = evaluate({"maml": again, "knn": make_learner("knn", frozen.problem)}, frozen)
    assert report.interval("maml", 8) == expected.interval("maml", "rmse")
    mine = report.scores[8]["maml"].by_episode["rmse"]
    assert mine.shape == (2, 20) and mine.mean() == pytest.approx(report.interval("maml", 8).estimate)
    # kNN here was scaled by the run's own training episodes, so that only its kind is the same.
    assert report.scores[8]["knn"].by_episode["rmse"].shape == (20,)


def test_gains_are_positive_for_the_better_one(whole: Path):
    report = read_report(whole)
    gain = report.gain("knn", "maml")
    scores = report.scores[4]
    by_hand = scores["maml"].by_episode["rmse"].mean() - scores["knn"].by_episode["rmse"].mean()
    assert gain.estimate == pytest.approx(by_hand) and gain.low <= gain.estimate <= gain.high
    assert ("knn" in report.beats("maml")) == (report.gain("maml", "knn").low > 0)


def test_the_same_command_again_changes_nothing(whole: Path):
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*.pt")}
    told: list[str] = []
    run_fewshot(tiny("maml", "knn", seeds=2), whole, say=told.append)
    assert told == ["3 of 3 cells are done already."]
    assert {p: p.stat().st_mtime_ns for p in whole.rglob("*.pt")} == before
    with pytest.raises(RunError, match="other settings"):
        run_fewshot(tiny("maml", "knn", seeds=3), whole, say=quiet)


@pytest.mark.parametrize("method", ["prototypical", "maml", "reptile", "no-adaptation"])
def test_ctrl_c_and_going_on_give_the_same_result(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = tiny(method)
    expected = run_fewshot(run, tmp_path / "whole", say=quiet)

    update = Learner._one_update

    def interrupted(self: Learner, episodes: object) -> dict[str, float]:
        if self.iteration == 3:
            os.kill(os.getpid(), signal.SIGINT)  # in the middle of an update, which is finished all the same
        return update(self, episodes)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "_one_update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_fewshot(run, tmp_path / "broken", say=quiet)
    assert load_learner(tmp_path / "broken", method).iteration == 4
    assert not (tmp_path / "broken" / method / "seed-0" / "cell.json").exists()
    found = run_fewshot(run, tmp_path / "broken", say=quiet)
    first, second = weights(tmp_path / "whole", method), weights(tmp_path / "broken", method)
    assert all(torch.equal(first[name], second[name]) for name in first)
    for k in run.shots:
        for metric, values in expected.scores[k][method].by_episode.items():
            assert np.array_equal(values, found.scores[k][method].by_episode[metric])
    log = (tmp_path / "broken" / method / "seed-0" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in log] == list(range(1, 7))


def test_a_kill_goes_on_from_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = tiny()
    run_fewshot(run, tmp_path / "whole", say=quiet)

    with killed_at(4, monkeypatch) as patch:
        patch.setattr("metaenv.runs.folder.CHECKPOINT_SECONDS", 0.0)
        run_fewshot(run, tmp_path / "killed", say=quiet)
    log = tmp_path / "killed/prototypical/seed-0/log.jsonl"
    log.write_text(log.read_text() + '{"iteration": 5, "lo')  # cut short
    run_fewshot(run, tmp_path / "killed", say=quiet)
    first, second = weights(tmp_path / "whole", "prototypical"), weights(tmp_path / "killed", "prototypical")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [json.loads(line)["iteration"] for line in log.read_text().splitlines()] == list(range(1, 7))


def test_a_second_seed_is_another_training(whole: Path):
    first, second = weights(whole, "maml", 0), weights(whole, "maml", 1)
    assert any(not torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_can_be_planned_with_all_its_learners(family: str):
    if family not in (FAMILY, "light-curves", "molecule-objectives"):
        pytest.skip("made of pictures or files: covered by the slow test")
    run = resolve_run(family, quick=True)
    kind = make_family(family).kinds[0]
    assert {m for m in run.methods if m in LEARNERS} == {m for m in LEARNERS if kind in learner_class(m).kinds}
    assert run.n_shot in run.shots and run.methods["knn"].iterations == 0
    assert Run.from_dict(json.loads(json.dumps(run.to_dict()))) == run


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: resolve_run("light-curve"), "Did you mean 'light-curves'"),
        (lambda: resolve_run(FAMILY, ["protypical"]), "Did you mean 'prototypical'"),
        (
            lambda: resolve_run("light-curves", ["reptile"], kind="anomaly"),
            "Reptile does classification and regression, not",
        ),
        (lambda: resolve_run(FAMILY, ["maml"], kind="anomaly"), "choose one of these"),
        (lambda: resolve_run(FAMILY, ["maml"], settings={"inner_rate": 1}), "Did you mean 'inner_lr'"),
        (lambda: resolve_run(FAMILY, ["maml"], split="tets"), "has no split 'tets'"),
        (lambda: resolve_run(FAMILY, ["maml"], seeds=0), "seeds to be a whole number of at least 1, got 0"),
        (lambda: resolve_run(FAMILY, ["maml"], shots=(0,)), "at least 1"),
        (lambda: resolve_run(FAMILY, ["maml"], n_shot=0), "n_shot to be a whole number of at least 1 or None, got 0"),
        (lambda: read_run("no/such/folder"), "expected a run folder"),
    ],
)
def test_mistakes_are_answered(call, message: str):  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        run_fewshot(tiny(), tmp_path, say=quiet)
    (tmp_path / "config.json").write_text('{"run": "few-shot"}')
    with pytest.raises(RunError, match="missing"):
        read_run(tmp_path)


def test_a_matrix_goes_on_cell_by_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("metaenv.runs.fewshot.FOREST_EPISODES", 1)
    settings = {**TINY, "episodes": 4, "quick": False}
    told: list[str] = []

    def first_two(text: str) -> None:
        told.append(text)
        if len(told) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        matrix(tmp_path, [FAMILY], ["prototypical"], say=first_two, **settings)
    assert len(list(tmp_path.rglob("cell.json"))) == 2
    reports = matrix(tmp_path, [FAMILY], ["prototypical"], say=told.append, **settings)
    assert f"2 of {sum(len(r.methods) for r in reports.values())} cells are done already." in told
    assert list(reports) == [f"{FAMILY}-regression", f"{FAMILY}-classification"]
    table = summary(reports)
    assert "| prototypical |" in table and "| gp |" in table
    assert table.splitlines()[2].count("|") == table.splitlines()[0].count("|")
    stored = json.loads((tmp_path / "matrix.json").read_text())
    assert stored[f"{FAMILY}-regression"]["shots"]["4"]["gp"]["rmse"]["estimate"] > 0
    assert (tmp_path / "table.md").read_text().count("## ") == 2


def test_a_cell_is_done_once(tmp_path: Path):
    run = tiny("knn")
    run_fewshot(run, tmp_path / "a", say=quiet)
    assert not list((tmp_path / "a").rglob("*.tmp"))
    run_cell(tmp_path / "a", "knn", 0)
    assert read_report(tmp_path / "a").methods == ["knn"]


@pytest.mark.slow
def test_ctrl_c_with_two_workers_keeps_everything(tmp_path: Path):
    """A real Ctrl-C on a real command, with processes that train; then on to the same result."""
    command = [sys.executable, "-c", "import sys; from metaenv.cli import main; sys.exit(main(sys.argv[1:]))"]
    command += ["fewshot", FAMILY, "all", "--workers", "2", "--iterations", "150", "--episodes", "20", "--no-baselines"]
    command += ["--settings", "sizes", "[8,8]", "tasks_per_batch", "2", "--out"]
    broken = subprocess.Popen([*command, str(tmp_path / "broken")], start_new_session=True)
    while not list((tmp_path / "broken").rglob("log.jsonl")) and broken.poll() is None:
        time.sleep(0.2)
    time.sleep(2)
    os.killpg(broken.pid, signal.SIGINT)
    assert broken.wait(120) == 130
    assert not list((tmp_path / "broken").rglob("*.tmp"))
    for name in ("broken", "whole"):
        subprocess.run([*command, str(tmp_path / name)], check=True)
    first, second = read_report(tmp_path / "broken"), read_report(tmp_path / "whole")
    assert set(first.methods) == set(second.methods) == set(LEARNERS)
    for method in LEARNERS:
        assert first.interval(method) == second.interval(method)
