"""The benchmark of devices divides the time of a training, and stops at its target."""

from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="needs the agents extra")

from metaenv.experiments.settings import SETTINGS
from metaenv.experiments.speed import gpu

SHORT = replace(SETTINGS["bandit-10-5"], num_envs=64, steps=20_000)


@pytest.mark.parametrize("config", [SHORT, replace(SETTINGS["GridNavi-pearl"], num_envs=21)], ids=["RL2", "PEARL"])
def test_the_parts_of_the_time_are_those_that_were_spent(config, monkeypatch):
    seconds = iter(range(0, 10_000, 1))
    monkeypatch.setattr(gpu.time, "perf_counter", lambda: float(next(seconds)))
    found = gpu.parts(config, "cpu", 30.0)
    # Each reading of this clock takes a second, so that every call of a timed function lasts one second.
    assert found.environment + found.update + found.acting == pytest.approx(1)
    steps = config.make_env(num_envs=1).trial_length
    assert found.environment / found.update == pytest.approx(steps + 1, rel=0.01), "steps and a reset to an update"
    updates = 16 if config is SHORT else 50
    assert found.updates_per_second == updates


def test_a_training_ends_at_its_target(monkeypatch):
    monkeypatch.setattr(gpu, "EVERY", 2_000)
    _, steps, score = gpu.to_target(SHORT, 0.1, "cpu")
    assert score >= 0.1 and 2_000 <= steps < 4_000
    seconds, steps, score = gpu.to_target(SHORT, 2.0, "cpu")
    assert steps >= SHORT.steps and 0.3 < score < 2 and seconds > 0


def test_without_a_gpu_it_says_so_and_measures_the_cpu(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "SETTINGS", {"short": SHORT})
    monkeypatch.setattr(gpu, "PARTS", ("short",))
    monkeypatch.setattr(gpu, "TARGET", ("short", 0.1))
    monkeypatch.setattr(gpu, "EVERY", 2_000)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert list(gpu.run(0.1)) == ["short, cpu", "short to 0.1, cpu"]
    told = capsys.readouterr().out
    assert "GPU: none: torch finds no CUDA device" in told and "cuda " not in told
