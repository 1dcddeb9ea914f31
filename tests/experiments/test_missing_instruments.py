"""RL² where instruments are missing: which laboratories, which agents, and what the table says."""

import json

import numpy as np
import pytest

from metaenv.agents.pearl_config import BeliefConfig, ContextConfig, PEARLConfig, PEARLNetwork
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.experiments import runner
from metaenv.experiments.missing_instruments import ALL, DRAWN, LABORATORIES, MissingInstruments
from metaenv.experiments.settings import preset
from metaenv.runs.training import TrainConfig


@pytest.fixture(autouse=True)
def small_presets(monkeypatch):
    pearl = PEARLConfig(
        n_tasks=20,
        gradient_steps=1,
        context=ContextConfig(size=12),
        belief=BeliefConfig(2, (8,)),
        network=PEARLNetwork((8,)),
    )
    agents = {"rl2": RL2Config(n_minibatches=2, network=Network((8,), 8)), "pearl": pearl}

    def small(name, algorithm="rl2"):
        kept = preset(name, algorithm)
        return TrainConfig(kept.env, 480, num_envs=20, settings=kept.settings, agent=agents[algorithm])

    monkeypatch.setattr(runner, "preset", small)


def test_each_agent_is_trained_with_drawn_instruments_and_with_all(monkeypatch):
    monkeypatch.undo()
    runs = MissingInstruments().trainings()
    assert [*runs] == ["pearl-drawn", "pearl-all", "rl2-drawn", "rl2-all"]
    for agent in ("pearl", "rl2"):
        drawn, full = runs[f"{agent}-drawn"].config, runs[f"{agent}-all"].config
        assert drawn.settings == {"missing": "drawn"} and not full.settings and drawn.algorithm == agent
        assert drawn.agent == full.agent and drawn.steps == full.steps


def test_the_table_has_each_laboratory_and_what_is_lost_or_won(tmp_path, capsys):
    MissingInstruments(tmp_path, seeds=1, tasks=6).run()
    text = (tmp_path / "table.md").read_text()
    assert text.count("## Missing: ") == len(LABORATORIES)
    for missing in LABORATORIES:
        folder = tmp_path / missing.replace(",", "-")
        written = json.loads((folder / "evaluation-test.json").read_text())
        rows = {row["name"]: row for row in written["rows"]}
        agents = {f"{agent}, {how}" for agent in ("RL²", "PEARL") for how in (DRAWN, ALL)}
        assert set(rows) == {"random", "best fixed recipe", *agents, "task oracle"} and written["shots"][-1] == 12
        last = {name: np.mean(row["mean_score_of_each_seed"], axis=0)[-1] for name, row in rows.items()}
        section = text.split(f"## Missing: {missing.replace(',', ', ')}\n")[1].split("## ")[0]
        for agent in ("RL²", "PEARL"):
            own = section.split(f"{agent}, {DRAWN} less")[1].split("less")[0]
            for other in ("best fixed recipe", f"{agent}, {ALL}"):
                (line,) = [x for x in own.splitlines() if x.startswith(f"- {other}")]
                expected = last[f"{agent}, {DRAWN}"] - last[other]
                assert float(line.split(":")[1].split()[0]) == pytest.approx(expected, abs=6e-4)

    def values(folder, name):
        rows = json.loads((tmp_path / folder / "evaluation-test.json").read_text())["rows"]
        return next(row["mean_score_of_each_seed"] for row in rows if row["name"] == name)

    assert values("none", "best fixed recipe") == values("XRD", "best fixed recipe")  # it looks at nothing
    assert values("none", f"RL², {ALL}") != values("XRD", f"RL², {ALL}")
