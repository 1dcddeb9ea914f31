"""`metaenv envs` and the manners of the console script; no agent is needed for them."""

import subprocess
import sys

import pytest

from metaenv import ENVIRONMENTS, make_trials
from metaenv.cli import _with_whole_steps, main
from metaenv.errors import install_hint, nearest_of
from metaenv.pages import page

OWN = """
import gymnasium as gym
from metaenv.classic.bandit.env import BernoulliBanditEnv, BernoulliBanditVectorEnv

class Slots(BernoulliBanditVectorEnv):
    "Pull a slot machine of somebody else's."
    best_fixed = None

class SlotsEnv(BernoulliBanditEnv):
    "Pull a slot machine of somebody else's."
    batched = Slots

gym.register("casino/Slots-v0", entry_point=SlotsEnv, vector_entry_point=Slots)
gym.register("casino/Plain-v3", entry_point="gymnasium.envs.classic_control.cartpole:CartPoleEnv")
"""


def test_the_list_names_every_environment_once(capsys):
    assert main(["envs"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert lines == [f"metaenv:metaenv/{name}" for name in ENVIRONMENTS]


@pytest.mark.parametrize("name", ["MaterialsSynthesis", "metaenv/MaterialsSynthesis-v1"])
def test_the_page_of_an_environment(name, capsys):
    assert main(["envs", name]) == 0
    out = capsys.readouterr().out
    assert out.startswith("metaenv:metaenv/MaterialsSynthesis-v1\n=====")
    for part in (
        "Make the compounds of a hidden chemical system",
        "Version history",
        "ood-physics\n",
        "best fixed rule: best fixed recipe",
    ):
        assert out.count(part) == 1, part
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("| ")]
    assert [
        "3",
        "goal size",
        "the grain size that is wanted, on a logarithmic scale from 0.01 to 100 um",
        "[-1, 1]",
    ] in rows
    assert any(row[:2] == ["34-67", "last report"] for row in rows)
    assert any(row[:2] == ["92", "progress"] for row in rows)
    onset = ["`onset_common_K`", "K", "900 to 1150", "300 to 2500"]
    assert any(row[:4] == onset for row in rows), "the parameters of a task"


def test_the_page_of_a_variant_that_has_a_class_of_its_own(capsys):
    assert main(["envs", "MaterialsSynthesis", "--settings", "variant", "full"]) == 0
    out = capsys.readouterr().out
    assert "Make one hidden material again and again" in out and "chemical system" not in out
    assert "action Box(-1.0, 1.0, (11,), float32); observation (10,)" in out and "with variant: full" in out


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_declares_the_layout_of_its_observation(name):
    trials = make_trials(name)
    layout = trials.env.layout
    assert layout is not None and layout.box() == trials.env.single_observation_space
    assert trials.layout.width == trials.single_observation_space.shape[0]
    assert trials.layout.column("progress") == trials.layout.width - 1
    assert trials.layout.table() in page(name)


def test_the_environments_of_a_module(tmp_path, monkeypatch, capsys):
    (tmp_path / "casino.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    assert main(["envs", "casino"]) == 0
    out = capsys.readouterr().out
    assert "casino:casino/Slots-v0\n  Pull a slot machine" in out and "splits train, validation, test" in out
    assert "casino:casino/Plain-v3" in out and "a plain Gymnasium environment" in out
    assert "MaterialsSynthesis" not in out
    assert main(["envs", "casino"]) == 0, "a module that was imported before"
    assert "casino:casino/Slots-v0" in capsys.readouterr().out
    assert main(["envs", "casino:casino/Slots-v0"]) == 0
    assert "boundary flag" in capsys.readouterr().out
    (tmp_path / "empty_handed.py").write_text("")
    assert main(["envs", "empty_handed"]) == 2
    assert "to register environments" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Materials", "MaterialSynthesis-v0", "MaterialsSyntesis"])
def test_the_nearest_environment_is_suggested_and_each_named_once(name, capsys):
    assert main(["envs", name]) == 2
    told = capsys.readouterr().err
    assert "Did you mean 'MaterialsSynthesis'?" in told and told.count("\n") == 1
    assert told.count("GridNavi") == 1 and "-v0" not in told.replace(name, "")


def test_options_of_several_kinds_are_kept_apart():
    told = nearest_of("grid", {"Environments": ["GridNavi", "Grids"], "Kept settings": ["grid-1"]})
    assert told == " Did you mean 'Grids'? Environments: GridNavi, Grids. Kept settings: grid-1."
    assert nearest_of("x", {"Known": ["abc"]}) == " Known: abc."


def test_the_module_runs_and_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m metaenv envs | head -n 1"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 0 and found.stdout == "metaenv:metaenv/BernoulliBandit-v0\n" and not found.stderr


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--steps", "1e6"], ["--steps", "1000000"]),
        (["--steps=2.5E3", "x"], ["--steps=2500", "x"]),
        (["--agent.warm-up-steps", "1e+2"], ["--agent.warm-up-steps", "100"]),
        (["--steps", "1_000"], ["--steps", "1_000"]),
        (["--agent.learning-rate", "1e-3", "--seed", "1e2"], ["--agent.learning-rate", "1e-3", "--seed", "1e2"]),
    ],
)
def test_counts_of_steps_may_be_written_as_powers_of_ten(given, expected):
    assert list(_with_whole_steps(given)) == expected


def test_half_a_step_is_refused(capsys):
    assert main(["train", "rl2", "BernoulliBandit", "--steps", "1.55e1"]) == 2
    assert "whole number of steps, got 1.55e1" in capsys.readouterr().err


def test_a_missing_package_names_its_extra(monkeypatch, capsys):
    assert install_hint(ImportError(name="torch.nn")) == 'pip install "metaenv-science[agents]"'
    assert install_hint(ImportError(name="unheard_of")) == 'pip install "metaenv-science[all]"'
    monkeypatch.setitem(sys.modules, "tyro", None)
    assert main(["demo"]) == 2
    assert capsys.readouterr().err.strip().endswith('pip install "metaenv-science[agents]"')
