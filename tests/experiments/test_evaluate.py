"""`metaenv evaluate` of runs of several seeds."""

import json
import shutil
from dataclasses import replace

import pytest

from metaenv.cli import main
from metaenv.experiments.settings import preset
from metaenv.runs.sets import train_one, train_set


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with two complete runs."""
    out = tmp_path_factory.mktemp("runs")
    train_set({"": replace(preset("BernoulliBandit"), steps=64, num_envs=4, episodes=4)}, 2, out)
    return out


def test_runs_of_several_seeds_are_one_row(runs, capsys):
    assert main(["evaluate", str(runs), "--tasks", "5"]) == 0
    assert "| RL² " in capsys.readouterr().out
    found = json.loads((runs / "evaluation-test.json").read_text())
    (row,) = [row for row in found["rows"] if row["name"] == "RL²"]
    assert len(row["mean_score_of_each_seed"]) == 2 and found["n_tasks"] == 5
    assert (runs / "evaluation-test.png").stat().st_size > 1_000
    alone = runs / "seed-1"
    assert main(["evaluate", str(alone), "--tasks", "5"]) == 0
    (single,) = [r for r in json.loads((alone / "evaluation-test.json").read_text())["rows"] if r["name"] == "RL²"]
    assert single["mean_score_of_each_seed"] == row["mean_score_of_each_seed"][1:]


def test_runs_of_other_settings_are_no_seeds(runs, tmp_path, capsys):
    shutil.copytree(runs / "seed-0", tmp_path / "seed-0")
    config = replace(preset("BernoulliBandit"), steps=64, num_envs=4, episodes=4, seed=1)
    train_one(replace(config, agent=replace(config.agent, gamma=0.5)), tmp_path / "seed-1")
    assert main(["evaluate", str(tmp_path), "--tasks", "5"]) == 2
    said = capsys.readouterr().err
    assert "expected runs with the same settings" in said and "agent.gamma is" in said and "seed is" not in said


def test_what_is_not_complete_is_left_out_and_other_settings_are_refused(runs, capsys):
    config = runs / "seed-1" / "config.json"
    kept = json.loads(config.read_text())
    try:
        config.write_text(json.dumps({**kept, "steps": 6400}))
        assert main(["evaluate", str(runs), "--tasks", "5"]) == 0
        assert "Left out, as the training is not complete: seed-1" in capsys.readouterr().err
        other = {**kept, "agent": {**kept["agent"], "gamma": 0.5}}
        config.write_text(json.dumps(other))
        assert main(["evaluate", str(runs), "--tasks", "5"]) == 2
        assert "agent.gamma" in capsys.readouterr().err
    finally:
        config.write_text(json.dumps(kept))
    for name in ("seed-0", "seed-1"):
        (runs / name / "checkpoint.pt").rename(runs / name / "away")
    assert main(["evaluate", str(runs)]) == 2
    assert "no run in" in (said := capsys.readouterr().err) and "metaenv resume" in said
    for name in ("seed-0", "seed-1"):
        (runs / name / "away").rename(runs / name / "checkpoint.pt")
