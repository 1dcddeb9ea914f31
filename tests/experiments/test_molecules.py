"""`metaenv reproduce molecules`, trained and played for real on very small settings."""

import json

import pytest

pytest.importorskip("torch", reason="agents need torch")
pytest.importorskip("matplotlib", reason="results are drawn")
pytest.importorskip("rdkit", reason="molecules are scored by RDKit")

from dataclasses import replace

from metaenv.agents.config import TaskPrediction, Teacher
from metaenv.agents.pearl_config import BeliefConfig, PEARLConfig, PEARLNetwork
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.experiments import molecules as reproduce_molecules
from metaenv.experiments import runner
from metaenv.experiments.command import EXPERIMENTS
from metaenv.experiments.settings import preset
from metaenv.runs.training import TrainConfig

TINY = RL2Config(n_minibatches=2, n_epochs=1, network=Network((8,), 8))
AGENTS = {
    "molecules-windows": TINY,
    "molecules-windows-taught": replace(
        TINY,
        teacher=Teacher("Bayes adapter", rollout_fraction=0.5),
        task_prediction=TaskPrediction(1.0, "bce", feed_to_policy=True),
    ),
    "molecules-windows-pearl": PEARLConfig(
        n_tasks=10, gradient_steps=2, belief=BeliefConfig(latent_size=2, encoder_sizes=(8,)), network=PEARLNetwork((8,))
    ),
}


def small(name, algorithm="rl2"):
    """Settings as those of the same name that are kept in the repository, but very small."""
    agent = AGENTS[name + ("-pearl" if algorithm == "pearl" else "")]
    return TrainConfig(env="MoleculeDesign-v1", steps=300, num_envs=10, agent=agent, settings={"variant": "windows-3"})


def test_every_agent_beside_every_classical_policy(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runner, "preset", small)
    monkeypatch.setattr(reproduce_molecules, "SPLITS", ("test",))
    reproduce_molecules.Molecules(tmp_path, seeds=2, tasks=6, pearl=True, taught=True).run()
    found = json.loads((tmp_path / "evaluation-test.json").read_text())
    rows = {row["name"]: row for row in found["rows"]}
    assert set(rows) == {
        "random", "best fixed molecule", "best fixed set", "screen and keep", "graph GA", "Bayes adapter",
        "RL²", "RL², taught", "PEARL", "PPO, context-blind", "PPO, told the task", "task oracle",
    }  # fmt: skip
    assert found["shots"] == [1, 2, 3, 4, 5] and found["n_tasks"] == 6
    assert len(rows["RL²"]["mean_score_of_each_seed"]) == 2
    assert [i["estimate"] for i in rows["task oracle"]["fraction"]] == [1.0] * 5
    fixed = rows["best fixed molecule"]["fraction"]
    assert fixed[0] == fixed[4], "the same molecule five times"
    text = (tmp_path / "table.md").read_text()
    assert "distinct molecules" in text and "internal diversity" in text
    assert "Bayes adapter as a fading teacher" in text and "paired by objective" in text
    assert (tmp_path / "evaluation-test.png").stat().st_size > 1_000
    assert text.strip().splitlines()[0] in capsys.readouterr().out


def test_the_settings_in_the_repository_are_those_of_the_result():
    assert "molecules" in EXPERIMENTS
    own, taught = preset("molecules-windows"), preset("molecules-windows-taught")
    pearl = preset("molecules-windows", "pearl")
    assert taught.agent.teacher.name == "Bayes adapter"
    assert taught.agent.task_prediction.feed_to_policy
    assert own.agent.teacher is None and own.agent.task_prediction is None
    assert {c.env for c in (own, taught, pearl)} == {"MoleculeDesign-v1"}
    assert all(c.settings == {"variant": "windows-3"} for c in (own, taught, pearl))
