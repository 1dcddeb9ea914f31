"""The memory ladder of environments of which it is known, trained and played for real."""

import json
import shutil
import time
from pathlib import Path

import levers  # noqa: F401 (registers the environments)
import numpy as np
import pytest

from metaenv.agents.rl2_config import RL2Config, VariationalBelief
from metaenv.cli import main
from metaenv.experiments.certificate import ladder
from metaenv.experiments.certificate.card import figure, save
from metaenv.experiments.certificate.command import _at_once, certify_command
from metaenv.experiments.certificate.ladder import Ladder, Rung, still_learned, trainings
from metaenv.runs.training import TrainConfig
from metaenv.tasks import FrozenTasks, Reference

STEPS = 32_000


def certify(folder, name, steps, *more):
    options = ["--steps", str(steps), "--num-envs", "128", "--out", str(folder / "out")]
    assert certify_command([f"test/{name}-v0", *options, *more]) == 0
    found = json.loads((folder / "out" / "card.json").read_text())
    return found, {rung["name"]: rung for rung in found["rungs"]}


@pytest.fixture(scope="module")
def remembered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("levers")
    return folder, *certify(folder, "Levers", STEPS, "--card", str(folder / "x.md"))


def test_the_ladder_of_two_pairs_of_levers_in_turn(remembered):
    """The last of four pulls is a guess for everybody who does not remember the second one."""
    last = {name: rung["score"]["4"]["estimate"] for name, rung in remembered[2].items()}
    ones = {"full memory", "full memory, last 2 episodes", "full memory, last 3 episodes", "oracle"}
    ones |= {"told the task", "strongest baseline: remembers"}
    guesses = {"best fixed rule: always the left", "best fixed list", "blind", "no memory", "forgets each episode"}
    assert {name for name, score in last.items() if score == 1} == ones
    assert {name for name, score in last.items() if score == 0} >= guesses
    assert abs(last["feedback of another task"]) < 0.4 and abs(last["random"]) < 0.4  # 40 pulls
    first = {name: rung["score"]["1"]["estimate"] for name, rung in remembered[2].items()}
    assert {name for name, score in first.items() if score == 1} == {"told the task", "oracle"}


def test_the_four_numbers_and_their_bars(remembered):
    found = remembered[1]
    for name in ("adaptation gap", "memory gap", "across-episode gap"):
        assert found["gaps"][name]["estimate"] == 1 and found["gaps"][name]["low"] > 0.5
    scores = [remembered[2][name]["score"]["4"]["estimate"] for name in ("full memory", "feedback of another task")]
    assert found["gaps"]["use of feedback"]["estimate"] == pytest.approx(scores[0] - scores[1])
    assert [check["passed"] for check in found["checks"]] == [True] * 5
    assert {check["what"] for check in found["checks"]} >= {"best fixed list over told the task", "memory gap"}


def test_the_page_says_what_was_done_and_that_there_is_one_seed(remembered):
    folder, found, rungs = remembered
    page = (folder / "out" / "card.md").read_text()
    assert "**one training seed**" in page and "full memory (1 seed)" in page and "| oracle " in page
    assert "the best of all 16 lists" in page and "5 of 5 passed" in page
    assert f"{STEPS:,} steps" in page and "40 tasks of the split test" in page
    assert (rungs["full memory"]["trainings"], rungs["full memory"]["intervals_over"]) == (1, "tasks")
    assert rungs["random"]["trainings"] is None and found["normalised"] is True
    assert (folder / "x.md").read_text() == page.replace("(card.png)", "(x.png)")
    assert (folder / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_line_of_many_episodes_has_a_few_marks_only():
    played = {name: Rung(name, np.zeros((1, 4, 500))) for name in (ladder.RANDOM, ladder.FIXED_LIST, ladder.ORACLE)}
    found = figure(_by_hand(played), "many")
    marked = [line for line in found.axes[0].get_lines() if line.get_marker() not in ("None", None)]
    assert [len(range(0, 500, line.get_markevery())) for line in marked] == [20]


def test_the_same_command_goes_on_and_keeps_what_is_trained(remembered, capsys):
    folder, found, _ = remembered
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").glob("*/seed-0/checkpoint.pt")}
    again, _ = certify(folder, "Levers", STEPS)
    assert "5 training runs, 5 of them complete already" in capsys.readouterr().out
    assert len(before) == 5 and all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert again == found
    assert main(["certify", "test/Levers-v0", "--steps", "500", "--num-envs", "128", "--out", str(folder / "out")]) == 2
    assert f"steps is {STEPS} and not 500" in capsys.readouterr().err


def test_each_rung_differs_in_its_memory_only(remembered):
    def config(key):
        return json.loads((remembered[0] / "out" / key / "seed-0" / "config.json").read_text())

    def flat(values, prefix=""):
        return {
            name: value
            for key, each in values.items()
            for name, value in (
                flat(each, f"{prefix}{key}.") if isinstance(each, dict) else {f"{prefix}{key}": each}
            ).items()
        }

    full, changed = flat(config("full")), {}
    for key in ("blind", "no-memory", "forgets", "told"):
        changed[key] = {name: value for name, value in flat(config(key)).items() if full[name] != value}
    assert changed == {
        "blind": {"shows": "start"},
        "no-memory": {"agent.network.recurrent": False},
        "forgets": {"shows": "episode", "agent.trials_per_env": 4},
        "told": {"observe_task": True},
    }


def test_an_agent_without_memory_has_no_belief_either():
    agent = RL2Config(belief=VariationalBelief(4))
    of_rungs = {key: x.config.agent for key, x in trainings(TrainConfig("GridNavi", agent=agent))[0].items()}
    assert {key for key, own in of_rungs.items() if own.belief is None} == {"no-memory"}
    assert of_rungs["full"] == agent


def test_nothing_is_worth_remembering_where_the_optimum_is_shown(tmp_path):
    found, rungs = certify(tmp_path, "Shown", 6_000)
    assert all(interval["estimate"] == 0 for interval in found["gaps"].values())
    last = {name: rung["score"]["4"]["estimate"] for name, rung in rungs.items()}
    assert {last.pop(name) for name in ("best fixed list",)} == {0} and abs(last.pop("random")) < 0.4
    assert set(last.values()) == {1} and len(last) == 10
    assert not any(name.startswith(("best fixed rule", "strongest")) for name in rungs)
    assert "declares no baselines that adapt" in " ".join(found["notes"])


def _by_hand(rungs):
    """A ladder of four tasks on which random play earns 0 and the oracle 1."""
    config = TrainConfig(env="BernoulliBandit-v0")
    test = config.make_env(num_envs=1).distribution.frozen("test")
    test = FrozenTasks("test", test.tasks.take(np.arange(4)), Reference(np.zeros(4), np.ones(4)), "")
    return Ladder(config, test, rungs, [], "sum")


def test_a_share_of_what_is_no_better_than_random_play_has_no_value(tmp_path):
    """Rungs made by hand: random play earns 0, the oracle 1, the list 0.5, and who is told the task what is given."""
    for told, share, passed in ((-0.25, None, False), (0.0, None, False), (1.0, 0.5, True), (0.625, 0.8, False)):
        earned = {ladder.RANDOM: 0.0, ladder.FIXED_LIST: 0.5, ladder.OTHER: 0.0, ladder.FULL: 0.0}
        earned |= {ladder.TOLD: told, ladder.ORACLE: 1.0}
        rungs = {name: Rung(name, np.full((1, 4, 2), value)) for name, value in earned.items()}
        written = save(_by_hand(rungs), "by hand", tmp_path / "card.md")
        assert {path.suffix for path in written} >= {".md", ".json"}
        found = json.loads((tmp_path / "card.json").read_text(), parse_constant=pytest.fail)
        (check,) = [check for check in found["checks"] if check["what"] == "best fixed list over told the task"]
        assert (check["value"], check["passed"]) == (share, passed)
        shown = "–" if share is None else f"{share:.3f}"
        assert f"| best fixed list over told the task             | {shown:5s}" in (tmp_path / "card.md").read_text()


@pytest.mark.parametrize(
    ("returns", "share"),
    [
        ([0, 1, 2, 3, 4], 0.25),
        ([0, 3, 4, 4, 4], 0),
        ([0, 0, 2, 2, 4, 4, 7, 7, 8, 8], 1 / 8),
        ([5, 4, 3, 2, 1], 0),
        ([3], 0),
    ],
)
def test_a_training_that_still_learned(tmp_path, returns, share):
    lines = [json.dumps({"rollout/return": value, "time/total_timesteps": k}) for k, value in enumerate(returns)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    assert still_learned([tmp_path, tmp_path]) == pytest.approx(share)


def test_raw_scores_where_no_references_are_known(tmp_path):
    found, rungs = certify(tmp_path, "Unknown", 512, "--seeds", "2", "--tasks", "30")
    assert found["normalised"] is False and found["checks"] == [] and found["n_tasks"] == 30
    assert {"oracle", "told the task"}.isdisjoint(rungs)
    notes = " ".join(found["notes"])
    assert "no references" in notes and "task_vector" in notes
    rule = rungs["best fixed rule: always the left"]["score"]["4"]["estimate"]
    assert rule == np.mean(np.arange(30) // 2 % 2 == 0), "the share of tasks whose left lever pays, as it is"
    full = rungs["full memory"]
    assert full["trainings"] == 2 and full["intervals_over"] == "tasks and training seeds"
    page = (tmp_path / "out" / "card.md").read_text()
    assert "raw scores, as there are no references" in page and "1 seed" not in page


@pytest.mark.slow
def test_a_third_partys_environment_takes_less_than_five_minutes(tmp_path, monkeypatch):
    """By the default budget; in seconds of this process, as other work on the machine does not count."""
    shutil.copy(Path(__file__).parents[2] / "examples" / "own_environment.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    start = time.process_time()
    assert main(["certify", "own_environment:example/Dose-v0"]) == 0
    assert time.process_time() - start < 300
    found = json.loads((tmp_path / "runs" / "certify" / "Dose-v0" / "card.json").read_text())
    assert found["gaps"]["adaptation gap"]["low"] > 0 and found["gaps"]["use of feedback"]["low"] > 0.1


@pytest.mark.parametrize(("steps", "expected"), [(10**6, 512), (600_000, 400), (1_500, 16)])
def test_short_trainings_play_fewer_trials_at_once(steps, expected):
    """A trial of the bandit is ten pulls: 600,000 steps are 150 iterations of 400 trials."""
    assert _at_once(TrainConfig(env="BernoulliBandit-v0", steps=steps, num_envs=512)) == expected


def test_help_and_mistakes(capsys):
    assert main(["certify", "--help"]) == 0
    assert "usage: metaenv certify ENV" in capsys.readouterr().out
    assert main(["certify", "GridNabi"]) == 2
    assert "Did you mean 'GridNavi'" in capsys.readouterr().err
    assert main(["certify", "GridNavi", "--split", "tset", "--steps", "60"]) == 2
    assert "Did you mean 'test'" in capsys.readouterr().err
