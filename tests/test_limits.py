"""Numbers of settings have limits, all of them, and what is outside is refused with its name."""

import math
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaenv.limits import Count, CountOrZero, Finite, Limits, NotNegative, Positive, Share, check_limits

pytest.importorskip("torch", reason="agents need torch")
pytest.importorskip("tyro", reason="runs need tyro")

from metaenv.agents.config import TaskPrediction, Teacher
from metaenv.agents.pearl_config import MixtureConfig, PEARLConfig
from metaenv.agents.rl2_config import RL2Config, VariationalBelief
from metaenv.cli import main
from metaenv.runs.fewshot import FewShotOptions, resolve_run
from metaenv.runs.settings import TrainConfig
from metaenv.supervised.learner import LearnerConfig
from metaenv.supervised.registry import BASELINES, LEARNERS, learner_class


@dataclass(frozen=True)
class Settings:
    count: Count = 1
    none: CountOrZero = 0
    size: Positive | None = None
    weight: NotNegative = 0.0
    share: Share = 0.5
    anything: Finite = -1.0
    widths: tuple[Count, ...] = (3,)
    by_name: dict[str, Share] = field(default_factory=dict)
    free: float = math.nan

    def __post_init__(self) -> None:
        check_limits(self)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": 0}, "expected count to be a whole number of at least 1, got 0"),
        ({"count": 1.5}, "expected count to be a whole number of at least 1, got 1.5"),
        ({"count": 2.0}, "expected count to be a whole number of at least 1, got 2.0"),
        ({"count": True}, "expected count to be a whole number of at least 1, got True"),
        ({"count": "3"}, "expected count to be a whole number of at least 1, got '3'"),
        ({"count": None}, "expected count to be a whole number of at least 1, got None"),
        ({"none": -1}, "expected none to be a whole number of at least 0, got -1"),
        ({"size": 0}, "expected size to be a number above 0 or None, got 0"),
        ({"size": math.inf}, "expected size to be a number above 0 or None, got inf"),
        ({"weight": -1e-9}, "expected weight to be a number of at least 0, got -1e-09"),
        ({"share": 1.001}, "expected share to be a number from 0 to 1, got 1.001"),
        ({"share": math.nan}, "expected share to be a number from 0 to 1, got nan"),
        ({"anything": -math.inf}, "expected anything to be a number that is finite, got -inf"),
        ({"widths": (3, 0)}, "expected widths to be a whole number of at least 1 in each place, got (3, 0)"),
        ({"widths": 3.5}, "expected widths to be a whole number of at least 1 in each place, got 3.5"),
        ({"by_name": {"a": 2}}, "expected by_name to be a number from 0 to 1 in each place, got {'a': 2}"),
    ],
)
def test_what_is_outside_is_refused_with_its_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Settings(**given)
    assert str(caught.value) == message


def test_what_is_at_the_limits_is_taken() -> None:
    Settings(count=1, none=0, size=1e-300, weight=0, share=1, widths=(), by_name={"a": 0, "b": 1.0})
    Settings(count=10**400)
    Settings(count=np.int64(3), size=np.float32(2), share=np.float64(0), widths=[1, 2])  # type: ignore[arg-type]


@given(st.floats(), st.floats(-2, 0), st.floats(0, 2), st.booleans())
def test_limits_hold_the_finite_numbers_between_them(number: float, low: float, high: float, above: bool) -> None:
    expected = math.isfinite(number) and low <= number <= high and (number != low or not above)
    assert Limits(low, high, above).hold(number) is expected


GROUPS = (
    RL2Config(belief=VariationalBelief(2), teacher=Teacher("x"), task_prediction=TaskPrediction(1.0)),
    PEARLConfig(belief=replace(PEARLConfig().belief, mixture=MixtureConfig(4))),
    TrainConfig(),
    FewShotOptions(),
    *(learner_class(name).config_class() for name in (*LEARNERS, *BASELINES)),
)


def numbers(settings: Any) -> Iterator[tuple[Any, str, type]]:
    """Each number in settings and their groups: the group, the field's name, and int or float."""
    for name, hint in get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        if is_dataclass(value):
            yield from numbers(value)
        parts = set(get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)) - {NoneType}
        if parts & {int, float}:
            yield settings, name, (parts & {int, float}).pop()


@pytest.mark.parametrize("settings", GROUPS, ids=lambda s: type(s).__name__)
def test_every_number_of_all_settings_has_limits(settings: Any) -> None:
    found = list(numbers(settings))
    assert found or type(settings) is LearnerConfig
    for group, name, kind in found:
        with pytest.raises(ValueError, match=f"expected {name} to be .*, got nan"):
            replace(group, **{name: math.nan})
        if kind is int:
            with pytest.raises(ValueError, match=f"expected {name} to be a whole number .*, got -1"):
                replace(group, **{name: -1})
            with pytest.raises(ValueError, match=f"expected {name} to be a whole number .*, got 2.5"):
                replace(group, **{name: 2.5})


@pytest.mark.parametrize("settings", GROUPS, ids=lambda s: type(s).__name__)
def test_every_width_is_at_least_one(settings: Any) -> None:
    for f in fields(settings):
        if f.default is not MISSING and isinstance(f.default, tuple) and f.default and isinstance(f.default[0], int):
            with pytest.raises(ValueError, match=f"expected {f.name} to be a whole number of at least 1 in each place"):
                replace(settings, **{f.name: (0, 3)})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train rl2 BernoulliBandit --steps 0", "expected steps to be a whole number of at least 1, got 0"),
        ("train rl2 BernoulliBandit --seeds 0", "expected seeds to be a whole number of at least 1, got 0"),
        ("train rl2 BernoulliBandit --seeds 2 --workers 0", "expected workers to be a whole number of at least 1"),
        ("certify BernoulliBandit --workers 0", "expected workers to be a whole number of at least 1, got 0"),
        ("fewshot materials-synthesis maml --seed -1", "expected seed to be a whole number of at least 0, got -1"),
        ("fewshot all --workers 0", "expected workers to be a whole number of at least 1, got 0"),
        (
            "fewshot materials-synthesis maml --iterations-of maml -1",
            "expected iterations_of to be a whole number of at least 0",
        ),
        ("train pearl BernoulliBandit --agent.gamma 1.5", "expected gamma to be a number from 0 to 1, got 1.5"),
    ],
)
def test_a_command_with_such_a_number_ends_at_once(
    arguments: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main([*arguments.split(), "--out", str(tmp_path / "run")])
    except SystemExit as end:  # of tyro, which parses the options
        code = end.code
    told = " ".join(capfd.readouterr().err.replace("│", " ").split())
    assert code == 2 and message in told and not (tmp_path / "run" / "config.json").exists()


def test_a_few_shot_run_of_such_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="expected episodes to be a whole number of at least 1, got 0"):
        resolve_run("materials-synthesis", ["maml"], episodes=0)


def test_settings_of_a_type_that_is_local_keep_the_limits_they_inherit() -> None:
    class Local:
        pass

    @dataclass(frozen=True)
    class Mine(Settings):
        more: "Local | None" = None

    assert Mine(more=Local()).count == 1
    with pytest.raises(ValueError, match="expected count to be a whole number"):
        Mine(count=0)


def test_the_types_read_as_numbers_elsewhere() -> None:
    assert get_origin(Count) is Annotated and get_type_hints(Settings)["size"] == float | None
