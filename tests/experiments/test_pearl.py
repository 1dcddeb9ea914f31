"""The commands that reproduce PEARL's results, trained and played for real on very small settings."""

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="agents need torch")
pytest.importorskip("matplotlib", reason="results are drawn")

from metaenv.agents.pearl_config import BeliefConfig, PEARLConfig, PEARLNetwork
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.classic.gridnavi.baselines import baselines
from metaenv.evaluation import evaluate
from metaenv.experiments import belief_figures, runner
from metaenv.experiments.bandits import PEARLBandit
from metaenv.experiments.command import EXPERIMENTS, reproduce_command
from metaenv.experiments.comparison import play_repeatedly
from metaenv.experiments.gridnavi import GridNavi
from metaenv.experiments.materials import PEARLMaterials
from metaenv.experiments.point_robot import PointRobot
from metaenv.runs.sets import is_complete, train_one
from metaenv.runs.training import TrainConfig, replace

PEARL = PEARLConfig(
    n_tasks=20, gradient_steps=2, belief=BeliefConfig(latent_size=2, encoder_sizes=(8,)), network=PEARLNetwork((8,))
)
RL2 = RL2Config(n_minibatches=2, network=Network((8,), 8))
ENVS = {
    "SparsePointRobot": ("SparsePointRobot-v0", 8000, None, {}),
    "GridNavi": ("GridNavi-v0", 2400, None, {}),
    "materials-recipe": ("MaterialsSynthesis-v1", 400, None, {"variant": "recipe"}),
    "bandit-100-5": ("BernoulliBandit-v0", 400, 10, {"n_arms": "5"}),
}


def small(name, algorithm="rl2"):
    """Settings as those of the same name that are kept in the repository, but very small; bandits of 10 pulls."""
    env, steps, episodes, settings = ENVS[name]
    agent = PEARL if algorithm == "pearl" else RL2
    return TrainConfig(env=env, steps=steps, num_envs=20, episodes=episodes, settings=settings, agent=agent)


@pytest.fixture(autouse=True)
def small_presets(monkeypatch):
    monkeypatch.setattr(runner, "preset", small)
    monkeypatch.setattr(belief_figures, "TASKS", 3)


def table(path):
    """Rows of the first table, by their first cell."""
    rows = [[c.strip() for c in x.strip("|").split("|")] for x in path.read_text().splitlines() if x.startswith("|")]
    return {row[0].removesuffix(", at most"): row[1:] for row in reversed(rows)}


def number(cell):
    return float(cell.removeprefix("at most ").split(" ")[0].rstrip(","))


def test_gridnavi_beside_its_exact_values(tmp_path, capsys):
    GridNavi(tmp_path, seeds=2, repetitions=3).run()
    rows = table(tmp_path / "table.md")
    # The known goal: 21 goals at 2 to 8 steps. Bayes-optimal: VariBAD's 4 + 3 * 11.0714. A blind walk is on a
    # goal cell from its second step on: 14 / 21 of 1.1 more than -0.1 on each of 15 steps, four times.
    exact = {"Bayes-optimal": 37.2143, "known goal": 44.2857, "best blind search": 16, "random": -4.6620}
    exact["PPO, context-blind"] = 4 * (-1.5 + 1.1 * 14 / 21)
    for name, total in exact.items():
        assert number(rows[name][-1]) == pytest.approx(total, abs=1e-4), name
    for name in ("Bayes-optimal", "best blind search"):
        assert number(rows[name][4]) == pytest.approx(exact[name], abs=1e-3), "played as computed"
        assert "[" not in rows[name][4], "all goals are played and nothing is drawn"
    assert number(rows["random"][4]) == pytest.approx(exact["random"], abs=1.5)
    assert number(rows["PPO, context-blind"][4]) <= exact["PPO, context-blind"] + 1e-3
    for name in ("RL²", "PEARL"):
        assert number(rows[name][4]) == pytest.approx(sum(map(number, rows[name][:4])), abs=3e-3)
    written = json.loads((tmp_path / "evaluation-test.json").read_text())
    assert {len(v) for v in written["notes"]["training_seconds"].values()} == {2}
    assert {r["name"]: r["trainings"] for r in written["rows"]}["RL²"] == 2
    capsys.readouterr()
    GridNavi(tmp_path, seeds=2, repetitions=3).run()
    assert "6 training runs, 6 of them complete already" in capsys.readouterr().out
    assert table(tmp_path / "table.md") == rows, "the same weights play the same"


def test_point_robot_in_fractions_of_the_oracle(tmp_path):
    PointRobot(tmp_path, seeds=1, tasks=5, repetitions=2).run()
    text = (tmp_path / "table.md").read_text()
    assert "prints no numbers" in text
    assert text.count("\n| 19 |") == 1, "20 trajectories, counted from 0"
    written = json.loads((tmp_path / "evaluation-test.json").read_text())
    assert written["shots"] == list(range(1, 21))
    curves = {row["name"]: [x["estimate"] for x in row["fraction"]] for row in written["rows"]}
    # A policy that draws nothing does the same in every repetition, and here as in `metaenv evaluate`.
    walk = evaluate({"walk": _classical("best fixed walk")}, "SparsePointRobot", "test", 5, shots=(1, 20)).row("walk")
    assert curves["best fixed walk"][0] == pytest.approx(walk.fraction[0].estimate)
    assert curves["best fixed walk"][19] == pytest.approx(walk.fraction[1].estimate)
    assert curves["task oracle"] == pytest.approx([1] * 20)
    assert curves["arc sweep, then stay"][19] > 0.99
    assert {"random", "posterior sampling", "PEARL"} <= set(curves)
    (names,) = [x for x in text.splitlines() if x.startswith("| trajectory | random")]
    (last,) = [x for x in text.splitlines() if x.startswith("| 19 |")]
    for name, cell in zip(names.split("|")[2:-1], last.split("|")[2:-1], strict=True):
        assert number(cell.strip()) == pytest.approx(curves[name.strip().removesuffix(" (1 seed)")][19], abs=1e-3)
    # Of PEARL's 100 goals the mean is 13.36, and single ones pay 11.9 to 14.8.
    assert 11.9 < number(table(tmp_path / "table.md")["known goal, exact"][0]) < 14.8
    for name in ("belief.png", "reward_map.png", "evaluation-test.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def _classical(name):
    from metaenv.classic.point_robot.baselines import baselines

    return baselines()[name]


def test_bandits_paired_and_with_rl2_where_it_was_trained_before(tmp_path):
    out = tmp_path / "pearl-bandit"
    PEARLBandit(out, tasks=60).run()
    rows = table(out / "table.md")
    assert "RL²" not in rows
    assert rows["any context-blind policy"][0] == "5, exactly"
    train_one(replace(small("bandit-100-5"), seed=0), tmp_path / "rl2-bandits" / "100-5" / "seed-0")
    PEARLBandit(out, tasks=60).run()
    rows = table(out / "table.md")
    assert {"random", "Thompson", "Gittins index", "RL²", "PEARL"} <= set(rows)
    ours = number(rows["PEARL"][0])
    assert rows["PEARL"][1] == ""
    for name in ("random", "Thompson", "Gittins index", "RL²"):
        assert number(rows[name][1]) == pytest.approx(ours - number(rows[name][0]), abs=2e-3), name
    assert number(rows["random"][0]) == pytest.approx(5, abs=0.8)  # 60 bandits have a standard error of 0.2


def test_materials_and_the_difference_to_the_portfolio(tmp_path):
    PEARLMaterials(tmp_path, seeds=1, tasks=40).run()
    lines = (tmp_path / "table.md").read_text().splitlines()
    written = json.loads((tmp_path / "evaluation-test.json").read_text())
    means = {row["name"]: np.mean(row["mean_score_of_each_seed"], axis=0) for row in written["rows"]}
    assert {"PEARL", "greedy portfolio", "best fixed recipe", "random", "Latin hypercube", "task oracle"} <= set(means)
    for k in (5, 10):
        (line,) = [x for x in lines if x.startswith(f"- after {k} experiments")]
        column = written["shots"].index(k)
        expected = means["PEARL"][column] - means["greedy portfolio"][column]
        assert float(line.split(":")[1].split()[0]) == pytest.approx(expected, abs=1e-4)


def test_repetitions_differ_and_tasks_keep_their_places():
    config = replace(small("GridNavi"))
    match = play_repeatedly(config, {}, 4, 3)
    assert match.scores["random"].shape == (1, 3, 4, 4)
    assert len({match.scores["random"][0, r].tobytes() for r in range(3)}) == 3
    plan = match.scores["Bayes-optimal"][0]
    assert (plan == plan[:1]).all()
    name = "Bayes-optimal"
    alone = evaluate({name: baselines()[name]}, "GridNavi", "test", 4, shots=(1, 2, 3, 4)).row(name)
    np.testing.assert_allclose(plan[0], alone.values[0])
    with pytest.raises(ValueError, match="repetitions >= 1"):
        play_repeatedly(config, {}, 4, 0)


def test_runs_of_both_agents_are_known_to_be_complete(tmp_path):
    for algorithm in ("rl2", "pearl"):
        folder = tmp_path / algorithm
        assert not is_complete(folder)
        train_one(small("GridNavi", algorithm), folder)
        assert is_complete(folder)


def test_the_command_knows_them(capsys):
    names = ("pearl-point-robot", "gridnavi", "pearl-materials", "pearl-bandit")
    assert set(names) <= set(EXPERIMENTS)
    assert reproduce_command([]) == 0
    said = capsys.readouterr().out
    for name in names:
        assert f"\n  {name} " in said
        with pytest.raises(SystemExit) as stopped:
            reproduce_command([name, "--help"])
        assert stopped.value.code == 0
        assert "--seeds" in capsys.readouterr().out
