"""RL² where instruments are missing: which laboratories, which agents, and what the table says."""

import json

import numpy as np
import pytest

from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.experiments import runner
from metaenv.experiments.missing_instruments import ALL, DRAWN, LABORATORIES, MissingInstruments
from metaenv.experiments.settings import preset
from metaenv.runs.training import TrainConfig


@pytest.fixture(autouse=True)
def small_presets(monkeypatch):
    agent = RL2Config(n_minibatches=2, network=Network((8,), 8))

    def small(name, algorithm="rl2"):
        return TrainConfig(preset(name).env, 480, num_envs=20, settings=preset(name).settings, agent=agent)

    monkeypatch.setattr(runner, "preset", small)


def test_one_agent_is_trained_with_drawn_instruments_and_one_with_all():
    runs = MissingInstruments().trainings()
    assert runs["drawn"].config.settings == {"missing": "drawn"} and not runs["all"].config.settings
    assert runs["drawn"].config.agent == runs["all"].config.agent


def test_the_table_has_each_laboratory_and_what_is_lost_or_won(tmp_path, capsys):
    MissingInstruments(tmp_path, seeds=2, tasks=8).run()
    text = (tmp_path / "table.md").read_text()
    assert text.count("## Missing: ") == len(LABORATORIES)
    for missing in LABORATORIES:
        folder = tmp_path / missing.replace(",", "-")
        written = json.loads((folder / "evaluation-test.json").read_text())
        rows = {row["name"]: row for row in written["rows"]}
        assert set(rows) == {"random", "best fixed recipe", DRAWN, ALL, "task oracle"} and written["shots"][-1] == 12
        last = {name: np.mean(row["mean_score_of_each_seed"], axis=0)[-1] for name, row in rows.items()}
        section = text.split(f"## Missing: {missing.replace(',', ', ')}\n")[1].split("## ")[0]
        for other in ("best fixed recipe", ALL):
            (line,) = [x for x in section.splitlines() if x.startswith(f"- {other}")]
            assert float(line.split(":")[1].split()[0]) == pytest.approx(last[DRAWN] - last[other], abs=6e-4)

    def values(folder, name):
        rows = json.loads((tmp_path / folder / "evaluation-test.json").read_text())["rows"]
        return next(row["mean_score_of_each_seed"] for row in rows if row["name"] == name)

    assert values("none", "best fixed recipe") == values("XRD", "best fixed recipe")  # it looks at nothing
    assert values("none", ALL) != values("XRD", ALL)
