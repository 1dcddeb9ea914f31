"""A laboratory from a file, from training to evaluation: the run keeps what the file said."""

import json

import pytest

pytest.importorskip("torch", reason="agents need torch")
pytest.importorskip("tyro", reason="runs need tyro")

from metaenv.cli import main
from metaenv.materials.laboratory import Laboratory
from metaenv.runs.settings import TrainConfig, with_files
from metaenv.runs.training import read_config

TUBE = """
goal = "1.5 µm .. 2.5 µm"
[bounds]
temperature = "300 °C .. 1150 K"
[instruments]
SEM = "none"
"""
SAID = Laboratory({"temperature": (573.15, 1150)}, goal=(1.5, 2.5), instruments={"SEM": None})
SMALL = ["--num-envs", "20", "--agent.network.hidden-size", "8", "--agent.network.embedding-sizes", "8"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tube.toml").write_text(TUBE, encoding="utf-8")
    return tmp_path


def test_a_run_keeps_its_laboratory(here, capsys, monkeypatch):
    for what, number in (("baselines.OWN_TASKS", 10), ("baselines.OWN_RECIPES", 20), ("tasks.BLOCK", 3)):
        monkeypatch.setattr(f"metaenv.materials.{what}", number)
    given = ["--settings", "variant", "recipe", "laboratory", "tube.toml", "feedback", "yield"]
    assert (
        main(["train", "rl2", "MaterialsSynthesis", *given, "--steps", "200", *SMALL, "--verbose", "1", "--out", "run"])
        == 0
    )
    (here / "tube.toml").unlink()
    assert read_config("run").make_env(num_envs=1).env.laboratory == SAID
    assert main(["resume", "run", "--steps", "400", "--verbose", "1"]) == 0
    # Another laboratory for the evaluation alone, and one whose observation the agent does not know.
    other = TUBE.replace("1150 K", "1250 K")
    (here / "other.toml").write_text(other, encoding="utf-8")
    assert main(["evaluate", "run", "--tasks", "3", "--settings", "laboratory", "other.toml"]) == 0
    assert "test: 3 tasks" in capsys.readouterr().out
    kept = json.loads((here / "run" / "evaluation-test.json").read_text())
    told = kept["settings"]["laboratory"]
    assert told["bounds"]["temperature"] == "300 °C .. 1250 K" and Laboratory(**told) != SAID
    assert Laboratory(**json.loads(kept["notes"]["training"]["settings"]["laboratory"])) == SAID
    (here / "other.toml").write_text(other.replace('SEM = "none"', ""), encoding="utf-8")
    capsys.readouterr()
    assert main(["evaluate", "run", "--tasks", "3", "--settings", "laboratory", "other.toml"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "observation" in error, error
    config = here / "run" / "config.json"
    config.write_text(config.read_text().replace("1150 K", "1160 K"))
    for command in ("resume", "evaluate"):
        assert main([command, "run"]) == 2
        error = capsys.readouterr().err
        assert "was edited: settings.laboratory is" in error and "1160 K" in error and error.count("\n") == 1


def test_the_page_of_an_environment_in_a_laboratory(here, capsys):
    assert main(["envs", "FurnaceControl", "--settings", "laboratory", "tube.toml", "max_steps", "30"]) == 0
    out = capsys.readouterr().out
    assert "with laboratory: goal 1.5 .. 2.5 um (by default 0.5 .. 8 um); temperature 573.15 .. 1150 K (by" in out
    assert "SEM none (by default 0.1)" in out and "with max_steps: 30" in out
    assert "from 300 to 1150 K" in out and "| has SEM" in out
    assert str(Laboratory()) == "the default laboratory"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "rl2", "MaterialsSynthesis"], "bad.toml: temperature: expected a range within 550 .. 2500 K"),
        (["train", "rl2", "FurnaceControl"], "bad.toml: temperature: expected a range within 550 .. 2500 K"),
        (["envs", "MaterialsSynthesis"], "bad.toml: temperature: expected a range within 550 .. 2500 K"),
        (["fewshot", "materials-synthesis", "maml"], "bad.toml: temperature: expected a range within 550 .. 2500 K"),
        (["train", "rl2", "BernoulliBandit"], "BernoulliBanditVectorEnv.* 'laboratory'"),
    ],
)
def test_a_bad_file_is_told_by_every_command(here, capsys, args, message):
    text = TUBE if "BernoulliBandit" in args else TUBE.replace("300 °C", "500 K")
    (here / "bad.toml").write_text(text, encoding="utf-8")
    option = "--options" if args[0] == "fewshot" else "--settings"
    out = [] if args[0] == "envs" else ["--out", "run"]
    variant = ["variant", "recipe"] if "MaterialsSynthesis" in args else []
    assert main([*args, *out, option, *variant, "laboratory", "bad.toml"]) == 2
    error = capsys.readouterr().err
    assert __import__("re").search(message, error) and error.count("\n") == 1, error
    assert not (here / "run").exists()


def test_settings_without_a_file_stay_as_they_are(here):
    for settings in ({}, {"variant": "full"}, {"variant": "recipe", "laboratory": '{"goal": [1, 2]}'}):
        assert with_files(settings, lambda given: 1 / 0) == settings == TrainConfig(settings=settings).settings
    assert (
        json.loads(TrainConfig(settings={"variant": "recipe", "laboratory": "tube.toml"}).settings["laboratory"])[
            "goal"
        ][0]
        == "1"
    )
