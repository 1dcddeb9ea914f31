"""The tables of the RL² paper: its numbers as printed, and ours beside them, trained and played for real."""

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="agents need torch")

from metaenv.evaluation import evaluate
from metaenv.experiments.bandits import RL2Bandits
from metaenv.experiments.command import EXPERIMENTS
from metaenv.experiments.mdps import RL2MDPs
from metaenv.experiments.paper_numbers import BANDITS, MDPS
from metaenv.experiments.paper_table import Number, _note, frozen_tests, trial_returns
from metaenv.experiments.settings import preset
from metaenv.policies import RandomPolicy


@pytest.mark.parametrize("table, rows", [(BANDITS, 9), (MDPS, 5)])
def test_the_papers_numbers_are_whole(table, rows):
    assert len(table.rows) == rows
    assert len(table.columns) == 8
    assert table.columns[-1] == "RL²"
    for row, numbers in table.rows.items():
        assert len(numbers) == 8
        # Random play has a mean reward of 1/2 a pull, and of 1 a step of an MDP (section 3).
        expected = int(row.split("-")[0]) * (0.5 if table is BANDITS else 10)
        assert numbers[0] == pytest.approx(expected, rel=0.02)
        assert min(numbers) == numbers[0]
        preset(table.preset.format(row))


def test_single_numbers_as_printed():
    assert dict(zip(BANDITS.columns, BANDITS.rows["100-5"], strict=True)) == {
        "Random": 49.9, "Gittins": 78.3, "TS": 74.7, "OTS": 77.9, "UCB1": 78.0, "ε-Greedy": 75.4, "Greedy": 74.8,
        "RL²": 78.7,
    }  # fmt: skip
    assert dict(zip(MDPS.columns, MDPS.rows["100"], strict=True))["OPSRL"] == 1973.9


def test_every_row_and_a_trained_cell(tmp_path, capsys):
    RL2Bandits(tmp_path, cells=("10-5", "10-10"), train=("10-5",), tasks=300, steps=20_000).run()
    lines = (tmp_path / "table.md").read_text().splitlines()
    for row, numbers in ("10-5", BANDITS.rows["10-5"]), ("10-10", BANDITS.rows["10-10"]):
        (line,) = [line for line in lines if line.startswith(f"| {row} |") and "/" in line]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert [float(cell.split("/")[0]) for cell in cells[1:9]] == list(numbers)
        assert cells[9] == {"10-5": "6.660", "10-10": "6.714"}[row], "the exact optimum, by dynamic programming"
        assert ("not trained" in cells[8]) == (row == "10-10")
    written = json.loads((tmp_path / "table.json").read_text())["rows"]["10-5"]
    assert set(written["ours"]) == set(BANDITS.columns)
    assert written["ours"]["RL²"]["steps"] >= 20_000
    assert written["ours"]["RL²"]["seconds"][0] > 0
    for column in ("Random", "UCB1"):  # 300 trials of standard deviation 2 have a standard error of 0.12
        assert written["ours"][column]["estimate"] == pytest.approx(written["paper"][column], abs=0.5)
    capsys.readouterr()
    before = (tmp_path / "10-5" / "ucb1.json").stat().st_mtime_ns
    RL2Bandits(tmp_path, cells=("10-5",), tasks=300, steps=20_000).run()
    said = capsys.readouterr().out
    assert "1 training runs, 1 of them complete already" in said
    assert "7 classical cells, 7 of them played already" in said
    assert (tmp_path / "10-5" / "ucb1.json").stat().st_mtime_ns == before


def test_a_taught_agent_has_a_column_and_a_folder_of_its_own(tmp_path):
    RL2Bandits(tmp_path, cells=("10-5", "100-5"), train=("10-5", "100-5"), taught=True, tasks=20, steps=1_000).run()
    assert {p.name for p in tmp_path.iterdir() if p.is_dir()} == {"10-5", "100-5", "100-5-taught"}
    written = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert "RL², taught" not in written["10-5"]["ours"], "no such settings are kept"
    assert written["100-5"]["ours"]["RL²"]["training"]["teacher"] == "none"
    assert written["100-5"]["ours"]["RL², taught"]["training"]["teacher"].startswith(
        "Gittins index as a fading teacher"
    )
    table = (tmp_path / "table.md").read_text()
    heads = [line for line in table.splitlines() if line.startswith("| row |")]
    assert "RL², taught" in heads[0]
    (note,) = [line for line in table.splitlines() if line.startswith("- 100-5:")]
    assert "best classical column (RL²" not in note


def test_a_teacher_comes_only_where_it_is_asked_for_and_kept(tmp_path):
    cells = ("10-5", "100-5", "500-50")
    assert list(RL2Bandits(tmp_path, cells=cells).trainings()) == list(cells)
    assert list(RL2Bandits(tmp_path, cells=cells, taught=True).trainings()) == [
        *cells, "100-5-taught", "500-50-taught"
    ]  # fmt: skip


def test_a_taught_agent_is_no_classical_column():
    earned = {"Random": 50.0, "Gittins": 78.0, "RL²": 77.0, "RL², taught": 90.0}
    numbers = {
        name: Number.of([{"returns": [mean - 1, mean + 1] * 50, "seconds": 1.0}]) for name, mean in earned.items()
    }
    assert "the best classical column (Gittins)" in _note(BANDITS, "100-5", numbers)


def test_the_note_names_what_beats_the_paper_and_only_that(tmp_path, capsys):
    RL2Bandits(tmp_path, cells=("10-50",), train=(), tasks=300).run()
    (note,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("- 10-50")]
    assert "has 6.8" in note, "the paper's number is above the optimum, 6.714, so nothing can be stronger"
    assert "Nothing here is stronger" in note


def test_noise_is_that_of_the_evaluation_and_chunks_do_not_change_it():
    config = preset("bandit-10-5")
    test = frozen_tests(config, 200)

    class FirstArm(RandomPolicy):
        def act(self, observation):
            return np.zeros(len(observation), np.int64)

    whole = trial_returns(FirstArm(), config.make_env(num_envs=200, split="test"), test)
    parts = trial_returns(FirstArm(), config.make_env(num_envs=64, split="test"), test)
    np.testing.assert_array_equal(whole, parts)
    row = evaluate({"first": FirstArm()}, config.env, "test", 200, shots=(1,), episodes=10, n_arms=5).row("first")
    assert row.trial_return is not None
    assert whole.mean() == pytest.approx(row.trial_return.estimate)


def test_mdps_have_their_columns_too(tmp_path):
    RL2MDPs(tmp_path, cells=("10",), train=(), tasks=200).run()
    written = json.loads((tmp_path / "table.json").read_text())["rows"]["10"]
    assert set(written["ours"]) == {*MDPS.columns, *MDPS.ours} - {"RL²"}
    # Exact value iteration on 4,000 other MDPs of the same law gave 218.25 ± 0.3; 200 have a standard error of 0.7.
    assert written["task oracle"] == pytest.approx(218.25, abs=3)
    assert written["ours"]["Random"]["estimate"] == pytest.approx(100, abs=6)


def test_the_command_knows_both_tables():
    assert {"rl2-bandits", "rl2-mdps"} <= set(EXPERIMENTS)
