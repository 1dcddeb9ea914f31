"""The demo, from its first line to its last, with a training that is too short to learn anything."""

import pytest

from metaenv.experiments import demo as module


@pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning")
def test_the_demo_leaves_what_it_says(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)  # Gaussian processes have tests of their own
    module.demo(out=tmp_path / "demo", steps=5_120, tasks=8)
    told = capsys.readouterr().out
    for file in ("evaluation-test.json", "evaluation-test.png", "campaign.png", "checkpoint.pt", "log.jsonl"):
        assert (tmp_path / "demo" / file).stat().st_size > 0 and file in told
    assert "furnace recipe of five numbers" in told and "10. " in told and "8 tasks, never seen in training" in told
    for row in ("random", "best fixed recipe", "greedy portfolio", "RL² (1 seed)", "task oracle"):
        assert f"| {row} " in told
