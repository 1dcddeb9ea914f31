"""The demo, from its first line to its last, with a training that is too short to learn anything."""

import pytest

from metaenv.experiments import demo as module


@pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning")
def test_the_demo_leaves_what_it_says(tmp_path, capsys):
    module.demo(out=tmp_path / "demo", steps=9_600, tasks=8)
    told = capsys.readouterr().out
    for file in ("evaluation-test.json", "evaluation-test.png", "campaign-test.png", "checkpoint.pt", "log.jsonl"):
        assert (tmp_path / "demo" / file).stat().st_size > 0 and file in told
    assert "Three compounds of a hidden chemical system" in told and "8 tasks, never seen in training" in told
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in told.splitlines() if line.startswith("| ")}
    names = ("random", "best fixed recipe", "PEARL (1 seed)", "PEARL, last experiment only (1 seed)", "task oracle")
    assert all(len(rows[name]) == 5 for name in names)
    # In the first experiment there is nothing to remember, so that the two rows are one policy.
    assert rows["PEARL (1 seed)"][0] == rows["PEARL, last experiment only (1 seed)"][0]
    assert "particle Bayes" not in rows
