"""The console script, as a user types it."""

import json

import pytest

pytest.importorskip("tyro", reason="the console script needs the agents extra")
pytest.importorskip("torch", reason="agents need torch")

from metaenv.cli import main

TINY = [
    "--steps",
    "2000",
    "--num-envs",
    "20",
    "--agent.network.hidden-size",
    "8",
    "--agent.network.embedding-sizes",
    "8",
]


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("demo", "train", "resume", "fewshot", "evaluate", "envs", "bench", "reproduce"):
        assert f"metaenv {command}" in text
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip().count(".") == 2


@pytest.mark.parametrize("command", ["demo", "evaluate", "resume", "fewshot", "reproduce", "bench", "train", "envs"])
def test_every_command_explains_itself(command, capsys):
    try:
        assert main([command, "--help"]) == 0
    except SystemExit as end:
        assert end.code == 0
    assert command in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["demmo"], "Did you mean 'demo'"),
        (["train", "rl3", "BernoulliBandit"], "Did you mean 'rl2'"),
        (["train", "rl2", "MaterialSynthesis"], "Did you mean 'MaterialsSynthesis"),
        (["bench", "env"], "Did you mean 'envs'"),
        (["reproduce", "materials"], "Did you mean 'materials-rl2'"),
        (["evaluate", "no/such/run"], "expected a run folder"),
        (["resume", "no/such/run"], "expected a run folder"),
    ],
)
def test_mistakes_are_answered(args, message, capsys):
    assert main(args) == 2
    assert message in capsys.readouterr().err


def test_envs_lists_all(capsys):
    assert main(["envs"]) == 0
    out = capsys.readouterr().out
    assert "metaenv:metaenv/MaterialsSynthesis-v1" in out and "ood-mechanism" in out


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["train", "rl2", "BernoulliBandit", *TINY, "--verbose", "1", "--out", str(folder)]) == 0
    return folder


def test_seeds_are_counted_from_that_of_the_settings(tmp_path):
    args = ["train", "rl2", "BernoulliBandit", *TINY, "--steps", "200", "--seed", "5", "--seeds", "2"]
    assert main([*args, "--out", str(tmp_path)]) == 0
    assert sorted(run.name for run in tmp_path.iterdir() if run.is_dir()) == ["seed-5", "seed-6"]
    assert all(json.loads((tmp_path / f"seed-{s}" / "config.json").read_text())["seed"] == s for s in (5, 6))


def test_train_leaves_a_whole_run_folder(run):
    assert {p.name for p in run.iterdir()} >= {"config.json", "checkpoint.pt", "log.jsonl"}
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["time/total_timesteps"] == 2000
    assert json.loads((run / "config.json").read_text())["versions"]["metaenv"]


def test_an_existing_run_is_not_overwritten(run, capsys):
    assert main(["train", "rl2", "BernoulliBandit", *TINY, "--out", str(run)]) == 2
    assert "metaenv resume" in capsys.readouterr().err


def test_evaluate_writes_table_json_and_picture(run, capsys):
    pytest.importorskip("matplotlib", reason="pictures need the plots extra")
    assert main(["evaluate", str(run), "--split", "validation", "--tasks", "50"]) == 0
    out = capsys.readouterr().out
    assert "RL²" in out and "Gittins index" in out and "task oracle" in out
    saved = json.loads((run / "evaluation-validation.json").read_text())
    assert saved["n_tasks"] == 50 and (run / "evaluation-validation.png").stat().st_size > 5000


def test_unknown_split_and_truncated_checkpoint(run, tmp_path, capsys):
    assert main(["evaluate", str(run), "--split", "tset"]) == 2
    assert "Did you mean 'test'" in capsys.readouterr().err
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text((run / "config.json").read_text())
    (broken / "checkpoint.pt").write_bytes((run / "checkpoint.pt").read_bytes()[:500])
    assert main(["evaluate", str(broken)]) == 2
    assert "checkpoint" in capsys.readouterr().err


def test_a_blind_agent_is_evaluated_as_it_was_trained(tmp_path, capsys):
    folder = tmp_path / "blind"
    args = ["train", "rl2", "BernoulliBandit", *TINY, "--hide-history", "--verbose", "1", "--out", str(folder)]
    assert main(args) == 0
    capsys.readouterr()
    assert main(["evaluate", str(folder), "--split", "validation", "--tasks", "600"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "RL²" in line and "[" in line)
    # It cannot know which arm paid: on every pull it scores what random play does, 0.5 of the best arm's 0.83.
    assert 0.55 < float(row.split("|")[2].split()[0]) < 0.65


def test_settings_reach_the_environment(tmp_path):
    folder = tmp_path / "arms"
    args = ["train", "rl2", "BernoulliBandit", *TINY, "--settings", "n-arms", "3", "--out", str(folder)]
    assert main([*args, "--verbose", "1"]) == 0
    from metaenv.runs.training import load_run

    config, agent = load_run(folder)
    assert config.make_env().single_action_space.n == 3
    assert agent.dims.n_actions == 3


FEW_SHOT = ["--iterations", "4", "--episodes", "10", "--n-shot", "3", "--n-query", "4", "--no-baselines"]


def test_fewshot_trains_tables_and_resumes(tmp_path, capsys):
    folder = tmp_path / "run"
    args = ["fewshot", "telescope-values", "prototypical", *FEW_SHOT, "--settings", "sizes", "[8]"]
    assert main([*args, "--out", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "| prototypical |" in out and "rmse, 3 shots" in out and str(folder) in out
    assert {p.name for p in folder.iterdir()} >= {"config.json", "table.md", "report.json", "prototypical"}
    for command in (["resume"], ["fewshot", "resume"]):
        assert main([*command, str(folder)]) == 0
        assert "1 of 1 cells are done already" in capsys.readouterr().out


def test_fewshot_explains_itself(capsys):
    assert main(["fewshot", "--help"]) == 0
    text = capsys.readouterr().out
    assert "light-curves" in text and "prototypical" in text and "nearest-centroid" in text
    assert main(["fewshot", "materials-synthesis"]) == 0
    assert "splits:" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["fewshot", "all", "--help"])
    assert end.value.code == 0 and "--workers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["light-curve", "maml"], "Did you mean 'light-curves'"),
        (["light-curves", "mamml"], "Did you mean 'maml'"),
        (["light-curves", "reptile", "--kind", "anomaly"], "not anomaly"),
        (["light-curves", "--quick"], "expected a learner"),
        (["resume", "no/such/run"], "expected a run folder"),
    ],
)
def test_fewshot_mistakes_are_answered(args, message, capsys):
    assert main(["fewshot", *args]) == 2
    assert message in capsys.readouterr().err
