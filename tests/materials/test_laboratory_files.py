"""A laboratory from a TOML file, and one in which nothing can be made."""

from __future__ import annotations

import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from metaenv.errors import TaskError
from metaenv.evaluation import first_tasks
from metaenv.materials.laboratory import DEFAULT, Laboratory, laboratory_of
from metaenv.materials.oracle import oracle
from metaenv.materials.tasks import SolidStateDistribution, check_possible

ID = "metaenv:metaenv/MaterialsSynthesis-v1"
TUBE = """
# a tube furnace, without a microscope
goal = "1.5 um .. 2.5 um"
[bounds]
temperature = "300 °C .. 1150 K"
"particle size" = [0.5, 5]
hold_h = "30 min .. 2 d"
[costs]
time = 0.02
[instruments]
SEM = "none"
XRD = 0.03
"""
SAID = Laboratory(
    bounds={"temperature": (573.15, 1150), "particle size": (0.5, 5), "hold": (0.5, 48)},
    costs={"time": 0.02},
    goal=(1.5, 2.5),
    instruments={"SEM": None, "XRD": 0.03},
)


def write(folder: Path, text: str | bytes) -> str:
    path = folder / "lab.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize("text", [TUBE, "\ufeff" + TUBE, TUBE.replace("\n", "\r\n")])
def test_a_file_says_the_same_as_the_arguments(tmp_path: Path, text: str):
    path = write(tmp_path, text)
    assert laboratory_of(path) == laboratory_of(Path(path)) == SAID
    assert gym.make(ID, variant="recipe", laboratory=path).unwrapped.batch.laboratory == SAID  # type: ignore[attr-defined]
    assert laboratory_of(write(tmp_path, "")) == DEFAULT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bounds", "at line 1|at end of document"),
        ("[bounds\n", "at line 1|at end"),
        ("goal = 1 um .. 2 um", "line 1, column 10"),
        ("goal = '1 um .. 2 um'\ngoal = '1 um .. 2 um'", "line 2|overwrite"),
        ("[bounds]\n[bounds]", "line 2"),
        ("[costs]\ntime = 0,02", "line 2"),
        ("[costs]\ntime = '0.02'", "costs: expected time as a number of at least 0, got '0.02'"),
        ("[costs]\ntime = nan", "costs: expected time as a number of at least 0, got nan"),
        ("[costs]\ntime = true", "got True"),
        ("[cost]\ntime = 1", "bounds, costs, goal, instruments; got cost$"),
        ("temperature = '700 K .. 1400 K'", r"got temperature; write it under \[bounds\]"),
        ("time = 0.1", r"got time; write it under \[bounds\], \[costs\]"),
        ("bounds = '700 K .. 1400 K'", "expected bounds as Bounds or a dictionary, got '700 K"),
        ("[bounds]\ntemperatures = '700 K .. 1400 K'", "no bounds 'temperatures'. Did you mean 'temperature'"),
        ("[bounds]\ntemperature = '500 K .. 1150 K'", r"temperature: .* 550 .. 2500 K, .*, got '500 K .. 1150 K'$"),
        ("[bounds]\ntemperature = '430 .. 1150'", "is it in degrees Celsius. 430 °C is 703.15 K"),
        ("[bounds]\ntemperature = 1400", "temperature: expected a range such as '550 .. 2500 K', got 1400"),
        ("[bounds]\ntemperature = ['700 K', '1,400 K']", "temperature: expected a number with a unit .*'1,400 K'"),
        ("[bounds]\ntemperature = [700, 1400, 1500]", "temperature: expected a range such as"),
        ("[bounds]\nhold = 2020-01-01", "hold: expected a range such as '0.01 .. 2000 h'"),
        ("[bounds]\nramp = '1 K/s .. 2 K/s'", "ramp: expected a number with a unit .K/min, "),
        ("[bounds.temperature]\nlow = 700", "temperature: expected a range such as"),
        ("goal = '2 um'", "goal: expected a range such as '0.01 .. 100 um', got '2 um'"),
        ("[instruments]\nSEM = 'no'", "the noise of SEM from 0 to 1, or None where there is none, got 'no'"),
        ("[instruments]\nSEM = false", "the noise of SEM from 0 to 1, .*got False"),
        ("[instruments]\nTEM = 0.1", "no instruments 'TEM'. Did you mean 'SEM'"),
        (TUBE.encode("utf-16"), "expected text in UTF-8"),
        (TUBE.encode("latin-1"), "expected text in UTF-8"),
        (b"\x00\x01" * 50, "line 1, column 1"),
    ],
)
def test_a_bad_file_is_refused_in_a_line_with_its_name(tmp_path: Path, text: str | bytes, message: str):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=message) as caught:
        laboratory_of(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["none.toml", "lab.txt", "."])
def test_a_file_that_is_not_there_or_no_toml_is_refused(tmp_path: Path, name: str):
    (tmp_path / "lab.txt").write_text(TUBE)
    with pytest.raises(ValueError, match=r"no such file; .* a file NAME.toml"):
        laboratory_of(tmp_path / name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"bounds": {"temperature": "560 K .. 600 K"}, "instruments": {"SEM": None}},
            r"none of .*'train'.* It is the reason: temperature 560 .. 600 K \(by default 700 .. 1800 K\). Change it",
        ),
        (
            {"goal": "10 nm .. 20 nm", "costs": {"heat": 20.0}, "bounds": {"ramp": (1, 10)}},
            r"Each of these alone is the reason: goal 0.01 .. 0.02 um \(.*; cost of heat 20 \(by default 0.06\).",
        ),
        (
            {"goal": (30, 33), "bounds": {"temperature": (551, 1150), "particle size": (0.01, 0.08)}},
            r"make 0.\d% of .* One of these has to be nearer to its default: goal 30 .. 33 um .*; particle size 0.01",
        ),
        (
            {"costs": {"time": 1.0, "heat": 3.5, "ramp": 2.6}},
            r"These together are the reason: cost of time 1 \(.*; cost of heat 3.5 \(.*; cost of ramp 2.6 \(",
        ),
    ],
)
def test_an_impossible_laboratory_is_refused_at_once_with_the_reason(arguments: dict, message: str):
    env = gym.make_vec(ID, num_envs=64, variant="recipe", laboratory=Laboratory(**arguments))
    began = time.process_time()
    with pytest.raises(TaskError, match=message) as caught:
        env.reset(seed=0)
    assert time.process_time() - began < 0.5 and "\n" not in str(caught.value) and "SEM" not in str(caught.value)


def test_a_split_may_be_impossible_where_training_is_not():
    cold = SolidStateDistribution(laboratory=Laboratory(bounds={"temperature": (700, 1100)}))
    assert len(cold.sample(20, "train", np.random.default_rng(0))) == 20
    with pytest.raises(
        TaskError, match=r"of 'ood-hot' to a utility of 0.5. It is the reason: temperature 700 .. 1100 K"
    ):
        cold.frozen("ood-hot")
    check_possible(DEFAULT, "ood-hot")


def test_materials_of_ones_own_are_played_in_any_laboratory():
    given = SolidStateDistribution().frozen("validation").tasks.take(np.arange(2))
    env = gym.make_vec(
        ID, num_envs=2, variant="recipe", laboratory=Laboratory(bounds={"temperature": (560, 600)}), tasks=given
    )
    env.reset(seed=0)
    assert (env.step(np.zeros((2, 5), np.float32))[1] < 0.1).all()


def test_absurd_laboratories_are_refused_quickly_or_can_be_played():
    rng = np.random.default_rng(3)
    refused = 0
    for seed in range(8):
        ends = np.sort(np.exp(rng.uniform(np.log(0.01), np.log(100), (2, 2))), axis=1)
        low, high = np.sort(rng.uniform(550, 2500, 2))
        laboratory = Laboratory({"temperature": (low, high), "particle size": tuple(ends[0])}, goal=tuple(ends[1]))
        env = gym.make(ID, variant="recipe", laboratory=laboratory)
        began = time.process_time()
        try:
            env.reset(seed=seed)
        except TaskError:
            refused += 1
        else:
            assert np.isfinite(env.step(env.action_space.sample())[1])
        assert time.process_time() - began < 0.5
    assert 0 < refused < 8


def test_the_references_of_a_few_tasks_are_those_of_the_whole_list_and_searched_alone(monkeypatch: pytest.MonkeyPatch):
    searched: list[int] = []

    def counted(tasks, seed, *rest, **more):
        searched.append(len(tasks))
        return oracle(tasks, seed, *rest, **more)

    monkeypatch.setattr("metaenv.materials.tasks.oracle", counted)
    monkeypatch.setattr("metaenv.materials.tasks.BLOCK", 4)
    distribution = SolidStateDistribution(laboratory=Laboratory(goal=(1, 3.125)))
    frozen = distribution.frozen("validation")
    assert len(frozen) == 200 and not searched
    few, others = first_tasks(frozen, 3).reference, frozen.take(np.array([9, 2])).reference
    assert len(few.oracle) == len(few.random) == 3 and searched == [4]
    assert others.oracle[1] == few.oracle[2] and others.random[1] == few.random[2] and searched == [4, 4]
    assert others.oracle[0] == distribution.reference(frozen.tasks.take(np.arange(8, 12))).oracle[1]
    assert (few.oracle > 0.5).all() and (few.random < few.oracle).all()


def test_a_list_of_ones_own_is_accepted_whole_and_other_materials_as_before():
    distribution = SolidStateDistribution()
    drawn = distribution.draw(np.random.default_rng(0).random((30, distribution.unit_dim)), "train")
    good = distribution.accept(drawn)
    bad = int(np.flatnonzero(~good)[3])
    expected = good | (np.arange(30) == bad)
    listed = distribution.with_split("mine", drawn.take(np.array([bad])))
    assert np.array_equal(listed.accept(drawn), expected) and not good.all() and good.any()
