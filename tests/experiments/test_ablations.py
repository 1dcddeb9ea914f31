"""The table of RL²'s parts: what is trained, and that it is written with minutes and paired differences."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="agents need torch")

from metaenv.experiments.ablations import CHANGES, TEACHERS, TITLES, Ablations, base
from metaenv.experiments.settings import preset
from metaenv.experiments.trainings import description
from metaenv.policies import AgentPolicy, play_trials


def test_variants_differ_in_one_part_and_nobody_is_helped_but_where_it_says_so() -> None:
    trainings = Ablations().trainings()
    assert len(trainings) == 3 * len(CHANGES) + 2 * 2 and {*CHANGES, "teacher", "imitation"} == set(TITLES)
    assert {key.split("-")[0] for key in trainings if key.endswith(("teacher", "imitation"))} == set(TEACHERS)
    memories = {key: description(t.config)["memory"] for key, t in trainings.items() if key.startswith("materials")}
    assert memories == {
        "materials-lstm": "lstm of 64 units",
        "materials-gru": "gru of 64 units",
        "materials-attention": "attention of 64 units",
        "materials-no-memory": "none",
        "materials-hypernetwork": "lstm of 64 units, hypernetwork heads",
        "materials-belief": "lstm of 64 units, inferred belief over 8 numbers",
        "materials-varibad": "inferred belief over 8 numbers",
        "materials-told": "lstm of 64 units",
    }
    for key, training in trainings.items():
        told, variant = description(training.config), key.split("-", 1)[1]
        assert (told["teacher"] != "none") == (variant in ("teacher", "imitation")), key
        assert (told["predicts the task"] != "no") == (variant == "told"), key
        family = key.split("-")[0]
        assert training.config.steps == {"materials": 640_000, "gridnavi": 2_000_000, "bandit": 2_000_000}[family]
    assert base("materials").agent == preset("MaterialsSynthesis").agent


def test_the_lstm_is_always_trained_and_steps_are_those_asked_for() -> None:
    found = Ablations(families=("gridnavi",), variants=("belief",), steps=5).trainings()
    assert list(found) == ["gridnavi-lstm", "gridnavi-belief"]
    assert {t.config.steps for t in found.values()} == {5}


@pytest.mark.parametrize("family", TEACHERS)
def test_imitation_only_is_played_by_the_teacher_to_the_end_and_learns_from_nothing_else(family) -> None:
    config = (
        Ablations(families=(family,), variants=("imitation",), steps=2_000).trainings()[f"{family}-imitation"].config
    )
    agent = replace(config, num_envs=16).make_agent(replace(config, num_envs=16).make_training_env())
    logged: list[dict[str, float]] = []
    agent._log = lambda values, *rest: logged.append(values)  # type: ignore[method-assign]
    agent.learn(2_000)
    assert len(logged) > 1
    for line in logged:
        assert np.isnan(line["rollout/return"]) and line["train/policy_loss"] == 0 == line["train/value_loss"]
        assert line["train/imitation_loss"] > 0


@pytest.mark.slow
def test_the_table_is_written_and_a_second_call_trains_nothing(tmp_path: Path) -> None:
    asked = Ablations(tmp_path, families=("gridnavi",), variants=("varibad",), steps=1)
    asked.run()
    written = (tmp_path / "table.md").read_text()
    (lstm,) = [line for line in written.splitlines() if line.startswith("| LSTM ")]
    (varibad,) = [line for line in written.splitlines() if line.startswith("| belief alone")]
    assert "| 1 | 1 |" in lstm and "mean over 21 tasks of the split 'validation'" in written
    policy = AgentPolicy(asked.trainings()["gridnavi-varibad"].config.agent_class.load(_checkpoint(tmp_path)))
    trials = base("gridnavi").make_env(num_envs=21, split="validation")
    expected = play_trials(policy, trials, trials.distribution.frozen("validation").tasks).readings.sum(axis=1)
    assert varibad.rstrip("| ").endswith(f"{np.mean(expected):.2f}")
    before = _checkpoint(tmp_path).stat().st_mtime_ns
    asked.run()
    assert _checkpoint(tmp_path).stat().st_mtime_ns == before


def _checkpoint(folder: Path) -> Path:
    return folder / "gridnavi-varibad" / "seed-0" / "checkpoint.pt"
