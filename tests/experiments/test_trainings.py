"""Each table says how its rows were trained, as the settings have it; and each published result can be found."""

import sys
from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="agents need torch")

from metaenv.agents.config import Teacher
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.cli import main
from metaenv.experiments.command import EXPERIMENTS, experiment
from metaenv.experiments.molecules import Molecules
from metaenv.experiments.settings import preset
from metaenv.experiments.telescope import Telescope
from metaenv.experiments.trainings import Training, control_lines, description, training_section
from metaenv.runs.training import TrainConfig


def test_a_plain_training_has_no_help():
    config = TrainConfig(env="BernoulliBandit-v0", agent=RL2Config(network=Network(hidden_size=7)))
    assert description(config) == {
        "memory": "lstm of 7 units",
        "observes": "the whole trial",
        "teacher": "none",
        "predicts the task": "no",
        "critics' reward": "the environment's",
    }
    assert description(replace(config, hide_history=True))["observes"] == "the current step only"
    assert description(replace(config, shows="episode"))["observes"] == "the present episode"
    assert description(replace(config, shows="start"))["observes"] == "the trial's first observation only"
    assert description(replace(config, observe_task=True))["observes"] == "the whole trial, and the true task"


def test_every_privilege_of_the_published_runs_is_named():
    molecules = description(preset("molecules-windows-taught"))
    pearl = description(preset("molecules-windows", "pearl"))
    assert molecules["teacher"].startswith("Bayes adapter as a fading teacher in the first 40 %")
    assert molecules["teacher"].endswith("playing 90 % of the trials at first")
    assert molecules["predicts the task"] == "in training, and acts on its prediction"
    assert pearl["memory"] == "belief over 64 numbers, its mean without sampling, no KL term"
    assert description(preset("SparsePointRobot", "pearl"))["critics' reward"] == "dense: `dense_reward`"
    assert description(preset("bandit-100-5-taught"))["teacher"].startswith("Gittins index")
    assert description(preset("MaterialsSynthesis"))["teacher"] == "none"
    always = TrainConfig(agent=RL2Config(teacher=Teacher("Gittins index", anneal_fraction=1e9, rollout_fraction=1.0)))
    assert description(always)["teacher"] == "Gittins index as a teacher to the end, playing 100 % of the trials"


def test_a_control_says_in_what_it_differs_from_its_agent(tmp_path):
    trainings = {
        key: replace(training, folders=[tmp_path / str(i) for i in range(training.seeds or 3)])
        for key, training in Molecules(tmp_path).trainings().items()
    }
    blind, told = control_lines(trainings)
    assert blind.endswith("differs in observes: the current step only, not the whole trial.")
    assert told.startswith("- PPO, told the task is a control of RL²")
    section = training_section(trainings)
    (row,) = [line for line in section if line.startswith("| PPO, context-blind")]
    assert "| 3 | 4,000,000 | 0.0 |" in row
    taught = replace(trainings["blind"], control_of="rl2-taught")
    helped = Training("RL², taught", preset("molecules-windows-taught"), folders=trainings["rl2"].folders)
    (line,) = control_lines({"rl2-taught": helped, "blind": taught})
    assert "steps per run: 4,000,000, not 12,000,000" in line and "teacher: none, not Bayes adapter" in line
    assert "predicts the task: no, not in training" in line
    telescope = {
        key: replace(training, folders=[tmp_path] * (training.seeds or 3))
        for key, training in Telescope(tmp_path, kinds=("rl2", "blind")).trainings().items()
    }
    (line,) = control_lines(telescope)
    assert "runs: 1, not 3" in line and "steps per run: 1,500,000, not 4,000,000" in line and "memory: none" in line


def test_how_often_a_belief_is_drawn_is_said_where_it_is_drawn(tmp_path):
    robot = preset("SparsePointRobot", "pearl")
    section = training_section({"pearl": Training("PEARL", robot, folders=[tmp_path])})
    assert "- PEARL: it draws z anew every 12 steps of an episode." in section
    paper = replace(robot.agent, exploration=replace(robot.agent.exploration, resample_every=None))
    mean = replace(robot.agent, belief=replace(robot.agent.belief, sample=False))
    for agent in (paper, mean):
        training = Training("PEARL", replace(robot, agent=agent), folders=[tmp_path])
        assert "draws z anew" not in "".join(training_section({"pearl": training}))


def test_rows_without_a_training_need_no_section():
    assert training_section({}) == [] and control_lines({"a": Training("a", TrainConfig())}) == []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_result_is_found_and_explained_without_matplotlib(name, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert experiment(name).name == name
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", name, "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert "--out" in said and "--seeds" in said


def test_pictures_are_left_out_without_matplotlib(tmp_path, monkeypatch, capsys):
    from metaenv.evaluation import evaluate
    from metaenv.experiments.evaluate import save
    from metaenv.policies import RandomPolicy

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    evaluation = evaluate({"random": RandomPolicy()}, "BernoulliBandit", "test", 20, shots=(1,), episodes=2, n_arms=3)
    assert [path.name for path in save(evaluation, tmp_path)] == ["evaluation-test.json"]
    assert 'left out, which needs matplotlib: pip install "metaenv-science[plots]"' in capsys.readouterr().err
