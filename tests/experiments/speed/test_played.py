"""The benchmark of a trained run's environment: what it times, and what the command says of wrong arguments."""

from dataclasses import replace

import numpy as np
import pytest

from metaenv.agents.pearl_config import PEARLConfig
from metaenv.agents.rl2 import RL2
from metaenv.cli import main
from metaenv.experiments.settings import preset
from metaenv.experiments.speed import played
from metaenv.runs.training import train


@pytest.mark.parametrize("name", ["BernoulliBandit", "MaterialsSynthesis"])  # with masks, and with a box of actions
def test_an_environment_is_timed_as_its_agent_plays_it(name, tmp_path, monkeypatch, capsys):
    config = replace(preset(name), steps=64, num_envs=4, episodes=3)
    train(config, tmp_path / "run", progress_bar=False)
    monkeypatch.setattr(played, "NUM_ENVS", 8)
    found = played.run(str(tmp_path / "run"), seconds=0.02)
    assert found["ratio"] == pytest.approx(found["steps"] / found["cartpole"])
    assert found["steps"] > 100
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith(f"{name}-v") and "8 trials at once" in line


def test_pearl_plays_too(tmp_path, monkeypatch):
    config = replace(preset("BernoulliBandit"), steps=64, num_envs=4, episodes=3)
    agent = PEARLConfig(n_tasks=4, gradient_steps=1, replay_capacity=20)
    train(replace(config, algorithm="pearl", agent=agent), tmp_path / "run", progress_bar=False)
    monkeypatch.setattr(played, "NUM_ENVS", 8)
    assert played.run(str(tmp_path / "run"), seconds=0.02)["steps"] > 100


def test_an_agent_that_sees_the_present_episode_only_forgets_those_before(tmp_path, monkeypatch):
    config = replace(preset("GridNavi"), steps=64, num_envs=4, episodes=3, shows="episode")
    train(config, tmp_path / "run", progress_bar=False)
    starts: list[float] = []
    predict = RL2.predict

    def watched(self, observation, state, first, **options):
        starts.append(np.mean(first))
        return predict(self, observation, state, first, **options)

    monkeypatch.setattr(RL2, "predict", watched)
    monkeypatch.setattr(played, "NUM_ENVS", 8)
    played.run(str(tmp_path / "run"), seconds=0.02)
    assert set(starts) == {0.0, 1.0} and np.flatnonzero(starts)[:3].tolist() == [0, 15, 30], "every 15 steps"


def test_the_command_wants_a_folder_for_a_run_and_for_nothing_else(capsys):
    assert main(["bench", "run"]) == main(["bench", "envs", "somewhere"]) == main(["bench"]) == 2
    assert main(["bench", "--help"]) == 0
    capsys.readouterr()
    assert main(["bench", "runs"]) == 2
    assert "no benchmark 'runs'" in capsys.readouterr().err
    assert main(["bench", "run", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
