"""Random operations on every environment, by the fuzzer that is tools/fuzz.py, and what it would notice."""

from __future__ import annotations

import importlib.util
import sys
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import metaenv.tasks
import metaenv.vector
from metaenv import ENVIRONMENTS
from metaenv.classic.bandit.env import BernoulliBanditVectorEnv
from metaenv.rng import Streams
from metaenv.trial import VectorTrial
from metaenv.vector import BatchedEnv

PATH = Path(__file__).parents[1] / "tools" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzzer() -> Any:
    spec = importlib.util.spec_from_file_location("fuzz", PATH)
    assert spec is not None and spec.loader is not None
    module = sys.modules["fuzz"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_random_operations_are_answered_as_by_a_twin_that_gets_the_valid_ones(name: str, fuzzer: Any) -> None:
    result = fuzzer.fuzz(name, 128, count(), length=16, pictures=False)
    assert not result.faults, "\n".join(result.faults)
    assert {"step", "step, refused", "reset", "reset, refused"} <= set(result.done)


def report_its_own_arrays(trials: VectorTrial, rows: Any) -> Any:
    return (
        OWN_REPORT(trials, rows) if trials._end_report is None else {k: v[rows] for k, v in trials._end_report.items()}
    )


def draw_before_refusing(env: BatchedEnv, options: Any, mask: Any) -> Any:
    if env._seeded:
        env.draw_tasks(slice(None))
    return OWN_TASKS(env, options, mask)


def raise_what_is_not_documented(seed: Any, n: int) -> Any:
    return None if seed is None else [seed + i for i in range(n)]


def lose_a_stream(streams: Streams) -> Any:
    return {**vars(streams), "_next": np.full(len(streams), streams.block)}


def pay_nothing_but_nan(env: Any, rows: Any, action: Any) -> Any:
    reward, *over = OWN_TRANSITION(env, rows, action)
    return (np.where(action == 3, np.nan, reward), *over)


OWN_REPORT, OWN_TASKS = VectorTrial.report, BatchedEnv._given_tasks
OWN_TRANSITION = BernoulliBanditVectorEnv.transition


@pytest.mark.parametrize(
    ("where", "name", "broken", "told"),
    [
        (VectorTrial, "report", report_its_own_arrays, "the twin answers otherwise"),
        (BatchedEnv, "_given_tasks", draw_before_refusing, "the twin answers otherwise"),
        (metaenv.vector, "row_seeds", raise_what_is_not_documented, "TypeError"),
        (Streams, "__getstate__", lose_a_stream, "the twin answers otherwise"),
        (BernoulliBanditVectorEnv, "transition", pay_nothing_but_nan, "the reward is"),
        (metaenv.tasks, "_constant", lambda array: array, "the twin answers otherwise"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_notices(where: Any, name: str, broken: Any, told: str, fuzzer: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(where, name, broken, raising=False)
    faults = fuzzer.fuzz("BernoulliBandit-v0", 300, count(), length=50).faults
    assert any(told in fault for fault in faults)
