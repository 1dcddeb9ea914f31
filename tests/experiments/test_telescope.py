"""`metaenv reproduce telescope`: scores by night, its table and picture, and a whole run of few steps."""

import numpy as np
import pytest

from metaenv.evaluation import Evaluation, Row
from metaenv.experiments import runner
from metaenv.experiments.settings import preset
from metaenv.experiments.telescope import (
    BLIND,
    KINDS,
    RL2_TITLE,
    Telescope,
    nightly,
    nightly_figure,
    nightly_table,
)
from metaenv.runs.training import replace
from metaenv.telescope.baselines import BEST_FIXED


def row(name, *seeds):
    """A policy's scores: (tasks, nights) of each seed."""
    return Row(name, np.array(seeds, float), [], [], None, [])


@pytest.fixture
def evaluation():
    rows = [
        row("random", [[0, 1], [0, 1]]),
        row(BEST_FIXED, [[1, 2], [1, 2]]),
        row("task oracle", [[4, 5], [4, 9]]),
        row(RL2_TITLE, [[1, 3], [3, 5]], [[2, 4], [2, 4]]),
    ]
    return Evaluation("TargetSelection-v1", "test", "", 2, (1, 2), {}, 0, rows)


def test_scores_by_night_are_ratios_of_means(evaluation):
    nights, whole = nightly(evaluation, evaluation.row(RL2_TITLE))
    # night 1: (2 - 0) / (4 - 0); night 2: (4 - 1) / (7 - 1); together: (3 - .5) / (5.5 - .5)
    assert [i.estimate for i in nights] == pytest.approx([0.5, 0.5])
    assert whole.estimate == pytest.approx(0.5)
    assert whole.low <= 0.5 <= whole.high
    gained = nightly(evaluation, evaluation.row(RL2_TITLE), BEST_FIXED)[1]
    assert gained.estimate == pytest.approx((3 - 1.5) / (5.5 - 1.5))


def test_table_and_picture_have_everyone(evaluation):
    table, figure = nightly_table(evaluation), nightly_figure(evaluation)
    shown = {line.get_label() for line in figure.axes[0].lines}
    for one in evaluation.rows:
        assert f"| {one.name} |" in table and one.name in shown
    assert "| random | 0.00 | 0.00 | 0.000 |" in table


def test_unknown_kinds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="rl3"):
        Telescope(tmp_path, kinds=("rl3",)).run()


def test_a_whole_reproduction_of_few_steps(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(runner, "preset", lambda name, algorithm: replace(preset(name, algorithm), num_envs=32))
    Telescope(tmp_path, seeds=1, kinds=("blind",), splits=("test",), tasks=12, steps=32 * 120).run()
    assert (tmp_path / "blind/seed-0/checkpoint.pt").exists()
    assert (tmp_path / "short/nights-test.png").stat().st_size > 10_000
    written = (tmp_path / "table.md").read_text()
    assert KINDS["blind"] == BLIND and f"| {BLIND} |" in written and "| task oracle | 1.00 |" in written
    assert "table.md" in capsys.readouterr().out
