"""Returns for equal steps and for equal minutes, from logs that are written by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="agents need torch")

from metaenv.agents.rl2_config import RL2Config
from metaenv.experiments.equal_minutes import equal_minutes_section, learning_curve
from metaenv.experiments.trainings import Training
from metaenv.runs.training import TrainConfig, train

CONFIG = TrainConfig(env="BernoulliBandit-v0", episodes=10)


def written(folder: Path, steps_per_second: int, returns: list[float | None], evaluations: bool = False) -> Path:
    """A run of 1,000 steps an iteration."""
    folder.mkdir(parents=True)
    with (folder / "log.jsonl").open("w", encoding="utf-8") as log:
        for i, value in enumerate(returns, 1):
            line = {"rollout/return": value, "time/fps": steps_per_second, "time/total_timesteps": 1_000 * i}
            log.write(json.dumps(line) + "\n")
            if evaluations:
                log.write(json.dumps({"eval/score": 1.0, "time/total_timesteps": 1_000 * i}) + "\n")
    return folder


def test_a_curve_counts_seconds_by_the_speed_of_each_iteration(tmp_path):
    curve = learning_curve(written(tmp_path / "a", 50, [1.0, 2.0, 3.0], evaluations=True))
    assert curve.steps.tolist() == [1_000, 2_000, 3_000] and curve.seconds.tolist() == [20, 40, 60]
    assert curve.returns.tolist() == [1, 2, 3]
    assert curve.until(59.9) == (2_000, 2.0) and curve.until(60.0) == (3_000, 3.0)
    steps, value = curve.until(19.0)
    assert steps == 0 and np.isnan(value)


def test_the_last_tenth_of_the_steps_is_averaged_without_trials_of_a_teacher(tmp_path):
    curve = learning_curve(written(tmp_path / "a", 1_000, [None] * 5 + [float(i) for i in range(6, 31)]))
    assert curve.until(np.inf) == (30_000, (28 + 29 + 30) / 3)
    assert np.isnan(curve.until(4.0)[1]) and curve.until(6.0)[1] == 6


def test_a_slow_row_is_read_where_the_fastest_ended(tmp_path):
    # 10 iterations: 100 s of the fast one; of the slow ones 200 s and 300 s, in which 5,000 and 3,000 steps take 100 s.
    fast = Training("fast", CONFIG, folders=[written(tmp_path / "fast", 100, [float(i) for i in range(1, 11)])])
    slow = [written(tmp_path / f"slow{s}", s, [10.0 * i for i in range(1, 11)]) for s in (50, 33)]
    runs = {"fast": fast, "slow": Training("slow", CONFIG, folders=slow)}
    lines = equal_minutes_section(runs)
    assert "BernoulliBandit-v0, 10 episodes:" in lines
    assert "| trained | all steps | return | steps in 1.7 min | return |" in lines
    assert "| fast | 10,000 | 10.00 | 10,000 | 10.00 |" in lines
    assert "| slow | 10,000 | 100.00 | 4,000 | 40.00 |" in lines


def test_rows_of_other_environments_or_without_a_log_are_not_compared(tmp_path):
    a, b = (Training(name, CONFIG, folders=[written(tmp_path / name, 10, [1.0])]) for name in "ab")
    assert equal_minutes_section({"a": a, "b": b})
    other = replace(b, config=replace(CONFIG, episodes=20))
    assert equal_minutes_section({"a": a, "b": other}) == []
    (tmp_path / "empty").mkdir()
    assert equal_minutes_section({"a": a, "b": replace(b, folders=[tmp_path / "empty"])}) == []
    assert equal_minutes_section({}) == []


def test_the_curve_of_a_training_takes_about_the_seconds_that_it_says(tmp_path):
    config = replace(CONFIG, steps=6_000, num_envs=20, agent=RL2Config())
    train(config, tmp_path / "run", progress_bar=False)
    curve = learning_curve(tmp_path / "run")
    assert curve.steps[-1] >= 6_000 and len(curve.steps) == curve.steps[-1] / 200
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert curve.seconds[-1] == pytest.approx(sum(200 / line["time/fps"] for line in log))
