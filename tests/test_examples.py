"""Every example runs."""

import runpy
import sys
from pathlib import Path

import gymnasium as gym
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
QUICK = {
    "train_rl2.py": ["8000"],
    "sb3_ppo.py": ["5000"],
    "own_environment.py": [],
    "own_baselines.py": [],
    "own_agent.py": ["5000"],
    "own_learner.py": [],
    "molecule_objective.py": [],
    "telescope_night.py": [],
    "few_shot_own_data.py": [],
    "mann_by_presentation.py": ["3"],
}
NEED_TORCH = {"train_rl2.py", "sb3_ppo.py", "own_agent.py", "own_learner.py"}
NEED_TORCH |= {"few_shot_own_data.py", "mann_by_presentation.py"}
SAYS = {
    "train_rl2.py": "RL²",
    "sb3_ppo.py": "of 10",
    "own_environment.py": "keeps the contract",
    "own_baselines.py": "| dose ladder  | 0.000 [0.000, 0.000]",
    "own_agent.py": "curious RL²: ",
    "own_learner.py": "| own |",
    "molecule_objective.py": "drawn:",
    "telescope_night.py": "drawn:",
    "few_shot_own_data.py": "predicted:",
    "mann_by_presentation.py": "never seen: 1:",
}


def test_every_example_is_run_here():
    assert {p.name for p in EXAMPLES.glob("*.py")} == set(QUICK)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to run a script in, as `python script` does but in this process, which has loaded torch already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    modules, ids = set(sys.modules), set(gym.registry)
    yield tmp_path
    for module in {name for name in sys.modules if name.startswith("own_")} - modules:
        del sys.modules[module]
    for env_id in set(gym.registry) - ids:
        del gym.registry[env_id]


@pytest.mark.parametrize("name", QUICK)
def test_example(name, place, monkeypatch, capsys):
    if name in NEED_TORCH:
        pytest.importorskip("torch", reason="this example needs the agents extra")
    monkeypatch.setattr(sys, "argv", [name, *QUICK[name]])
    for taken in [known for known in gym.registry if known.startswith("example/")]:
        monkeypatch.delitem(gym.registry, taken)
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert SAYS[name] in capsys.readouterr().out
