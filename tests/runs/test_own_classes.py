"""Agents, learners and families of a user's own file, named as module:Class, from training to evaluation."""

import json

import pytest

pytest.importorskip("torch", reason="agents need torch")
pytest.importorskip("tyro", reason="runs need tyro")

from metaenv.agents.registry import agent_class, agent_of
from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import RL2Config
from metaenv.cli import main
from metaenv.experiments.settings import preset
from metaenv.runs.settings import TrainConfig
from metaenv.supervised.registry import learner_class

LAB = '''
"""A laboratory's own classes."""
from dataclasses import dataclass

from metaenv.agents.rl2 import RL2
from metaenv.agents.rl2_config import RL2Config
from metaenv.supervised.families.synthesis import MaterialsSynthesis
from metaenv.supervised.learners.prototypical import Prototypical


@dataclass(frozen=True)
class CarefulConfig(RL2Config):
    caution: float = 0.5
    """Factor on the entropy bonus."""


class Careful(RL2):
    checkpoint_kind = "lab.Careful"
    title = "Careful RL²"
    config_class = CarefulConfig
    default_num_envs = 20


class Nearest(Prototypical):
    """Prototypical networks under another name."""


class family(MaterialsSynthesis):
    name = "our syntheses"


NOT_A_CLASS = 5
'''


@pytest.fixture
def lab(tmp_path, monkeypatch):
    (tmp_path / "lab_classes.py").write_text(LAB)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "lab_classes", raising=False)
    return "lab_classes"


def test_an_agent_of_ones_own(lab, tmp_path, capsys):
    folder, name = str(tmp_path / "run"), f"{lab}:Careful"
    small = ["--agent.network.hidden-size", "8", "--agent.caution", "0.25", "--verbose", "1"]
    assert main(["train", name, "BernoulliBandit", "--steps", "400", *small, "--out", folder]) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["algorithm"] == name and config["agent"]["caution"] == 0.25 and config["num_envs"] == 20
    assert main(["resume", folder, "--steps", "800", "--verbose", "1"]) == 0
    assert main(["evaluate", folder, "--split", "validation", "--tasks", "10"]) == 0
    out = capsys.readouterr().out
    assert "Careful RL²" in out and "Trained for 800 steps" in out
    with pytest.raises(SystemExit):
        main(["train", name, "BernoulliBandit", "--help"])
    assert "--agent.caution" in capsys.readouterr().out


def test_a_learner_and_a_family_of_ones_own(lab, tmp_path, capsys):
    args = ["fewshot", f"{lab}:family", f"{lab}:Nearest", "--iterations", "3", "--episodes", "8", "--shots", "4"]
    args += ["--n-shot", "4", "--n-query", "4", "--settings", "sizes", "[8]", "--out", str(tmp_path / "run")]
    assert main(args) == 0
    out = capsys.readouterr().out
    assert f"| {lab}:Nearest |" in out.replace("**", "") and "| nearest-centroid |" in out
    assert (tmp_path / "run" / f"{lab}-Nearest" / "seed-0" / "cell.json").exists()
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert main(["fewshot", f"{lab}:family"]) == 0
    assert "A laboratory's own classes." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "lab_clases:Careful", "BernoulliBandit"], "no module 'lab_clases' for the agent"),
        (["train", "lab_classes:Carefull", "BernoulliBandit"], "Did you mean 'Careful'"),
        (["train", "lab_classes:NOT_A_CLASS", "BernoulliBandit"], "expected a subclass of metaenv.agents.base.Agent"),
        (["train", "rl3", "BernoulliBandit"], "give one of your own as module:Class"),
        (["fewshot", "materials-synthesis", "lab_classes:family"], "expected a subclass of metaenv.supervised.Learner"),
        (["fewshot", "lab_classes:families", "maml"], "Did you mean 'family'"),
    ],
)
def test_mistakes_are_answered(lab, args, message, capsys):
    assert main(args) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_the_registry_knows_who_settings_are_for():
    assert agent_class("rl2") is RL2 and agent_of(RL2Config()) == "rl2"
    assert TrainConfig().algorithm == "rl2" and TrainConfig().title == "RL²"
    assert preset("BernoulliBandit", "pearl").num_envs == 20
    with pytest.raises(ValueError, match="settings of one of the agents rl2, pearl, got int"):
        TrainConfig(agent=5)
    with pytest.raises(ValueError, match="Did you mean 'maml'"):
        learner_class("mamml")
