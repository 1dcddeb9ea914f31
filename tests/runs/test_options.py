"""Options of optional groups of settings, as `metaenv train` takes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import pytest
import tyro

from metaenv.agents.config import TaskPrediction, Teacher
from metaenv.agents.pearl_config import MixtureConfig, PEARLConfig
from metaenv.agents.rl2_config import Network, RL2Config
from metaenv.runs.options import OPTIONS

TAUGHT = RL2Config(teacher=Teacher("old", 0.3, 0.2), network=Network(hidden_size=7))


C = TypeVar("C", RL2Config, PEARLConfig)


def read(default: C, *args: str) -> C:
    with OPTIONS:
        return tyro.cli(type(default), default=default, args=args)


def test_a_group_is_given_by_its_name_and_its_further_settings() -> None:
    expected = RL2Config(teacher=Teacher("dose ladder"), n_epochs=3)
    assert read(RL2Config(), "--teacher", "dose ladder", "--n-epochs", "3") == expected
    args = ["--teacher", "new", "--teacher.rollout-fraction", "0.9", "--network.embedding-sizes", "8", "9"]
    network = Network(embedding_sizes=(8, 9))
    assert read(RL2Config(), *args) == RL2Config(teacher=Teacher("new", 0.5, 0.9), network=network)
    prediction = TaskPrediction(2.0, "bce", feed_to_policy=True)
    args = ["--task-prediction", "2", "--task-prediction.loss", "bce", "--task-prediction.feed-to-policy"]
    assert read(RL2Config(), *args) == RL2Config(task_prediction=prediction)


def test_what_is_not_given_stays_as_it_was() -> None:
    assert read(TAUGHT) == TAUGHT and read(PEARLConfig()) == PEARLConfig()
    changed = replace(TAUGHT, teacher=Teacher("old", 0.9, 0.2))
    assert read(TAUGHT, "--teacher.anneal-fraction", "0.9") == changed
    assert read(TAUGHT, "--teacher", "None") == replace(TAUGHT, teacher=None)


def test_a_group_within_a_group() -> None:
    found = read(
        PEARLConfig(), "--belief.mixture", "16", "--belief.mixture.pool-size", "32", "--belief.latent-size", "3"
    )
    assert found.belief.mixture == MixtureConfig(16, pool_size=32) and found.belief.latent_size == 3


def test_settings_of_a_group_that_is_not_there_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(RL2Config(), "--teacher.anneal-fraction", "0.9")
    assert "the name of the Teacher as well as its" in " ".join(capsys.readouterr().err.split())
