"""The numbers of a task, each written once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from metaenv.errors import TaskError
from metaenv.parameters import Parameter, ParameterTable, ParameterTask, reflected, standard_normals
from metaenv.tasks import TaskBatch


@dataclass(frozen=True)
class OvenTask(ParameterTask):
    """Every scale and every relation once."""

    family: ClassVar[str] = "Oven"

    onset_K: Annotated[float, Parameter("Where it begins.", 900, 1400, "K", limits=(300, 2500), source="a handbook")]
    size_um: Annotated[float, Parameter("The size.", 0.5, 8, "um", "log", limits=(0.01, 100))]
    stages_K: Annotated[
        tuple[float, ...],
        Parameter("The first stage.", 20, 60, "K", above="onset_K"),
        Parameter("The second stage.", 1, 10, "K", below="stages_K[0]"),
    ]
    energy: Annotated[float, Parameter("A share of the onset.", 0.1, 0.2, times="onset_K")]
    factor: Annotated[float, Parameter("Always the same.", 3, 3, scale="constant")]
    offset_K: Annotated[float, Parameter("The error.", -40, 40, "K", "normal", 15)]
    bias: Annotated[float, Parameter("The bias.", -np.inf, np.inf, scale="normal", spread=0.5)]


TABLE = ParameterTable(OvenTask)
UNIT = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).random((4, TABLE.unit_dim)))


def tasks(unit: np.ndarray) -> TaskBatch:
    return TaskBatch(OvenTask, TABLE.draw(unit))


def test_numbers_are_the_same_where_processors_differ_in_the_last_bits() -> None:
    rng = np.random.default_rng(1)
    exact = {
        name: values * (1 + 1e-3 * rng.random(values.shape))
        for name, values in tasks(rng.random((999, 7))).columns.items()
    }
    found = TABLE.rounded(exact)
    assert list(found) == list(exact)
    for name, values in exact.items():
        other = values * (1 + rng.integers(-4, 5, values.shape) * 2.0**-53)
        assert (other != values).any()
        np.testing.assert_array_equal(TABLE.rounded({**exact, name: other})[name], found[name])
        np.testing.assert_allclose(found[name], values, rtol=2.0**-24)
        assert (found[name] != values).any()
    at_its_limit = {**exact, "size_um": np.full(999, 0.01), "onset_K": np.full(999, 2500.0)}
    assert (TABLE.rounded(at_its_limit)["size_um"] >= 0.01).all(), "0.01 rounded down would be refused"


def test_a_draw_by_hand() -> None:
    # Linear ones take the first coordinates, in the order of the fields, then logarithmic ones, then normal ones.
    assert TABLE.coordinates == ["onset_K", "stages_K[0]", "stages_K[1]", "energy", "size_um", "offset_K", "bias"]
    assert TABLE.unit_dim == 7
    task = tasks(np.array([[0.5, 0.25, 0.0, 1.0, 0.5, 1 - np.exp(-0.5), 0.0]])).task(0)
    assert isinstance(task, OvenTask)
    assert task.onset_K == 1150 and task.stages_K == (1180, 1179) and task.energy == pytest.approx(230)
    assert task.size_um == pytest.approx(2) and task.factor == 3  # the geometric mean of 0.5 and 8
    assert task.offset_K == pytest.approx(15) and task.bias == 0  # radius sqrt(-2 ln exp(-1/2)) = 1 at angle 0


@given(UNIT)
def test_what_was_drawn_is_found_again(unit: np.ndarray) -> None:
    scaled = TABLE.scaled(tasks(unit))
    for i, name in enumerate(TABLE.coordinates[:5]):
        np.testing.assert_allclose(scaled[name], 2 * unit[:, i] - 1, atol=1e-4)  # numbers of tasks are rounded
    assert np.abs(scaled["offset_K"]).max() <= 1, "cut at 40 K, which is 1"


@given(UNIT)
def test_a_drawn_task_is_accepted_and_survives_json(unit: np.ndarray) -> None:
    for task in tasks(unit).tasks():
        assert OvenTask.from_json(task.to_json()) == task


def test_other_ranges() -> None:
    unit = np.random.default_rng(0).random((500, TABLE.unit_dim))
    narrow = TaskBatch(OvenTask, TABLE.draw(unit, {"onset_K": (1000, 1010), "stages_K[1]": (5, 6)}))
    assert 1000 <= narrow.onset_K.min() and narrow.onset_K.max() <= 1010
    steps = narrow.stages_K[:, 0] - narrow.stages_K[:, 1]
    assert 5 - 1e-9 <= steps.min() and steps.max() <= 6 + 1e-9
    np.testing.assert_array_equal(narrow.size_um, tasks(unit).size_um)
    assert TABLE.scaled(narrow, {"onset_K": (1000, 1010)})["onset_K"].min() >= -1
    with pytest.raises(TaskError, match="no parameter 'onset'"):
        TABLE.draw(unit, {"onset": (1, 2)})


def test_a_task_outside_the_limits_or_of_the_wrong_shape_is_refused() -> None:
    good = tasks(np.full((1, TABLE.unit_dim), 0.5)).task(0).to_dict()
    with pytest.raises(TaskError, match=r"OvenTask.onset_K must lie in \[300, 2500\] K, got 90"):
        OvenTask.from_dict({**good, "onset_K": 90.0})
    with pytest.raises(TaskError, match="stages_K must have 2 numbers"):
        OvenTask.from_dict({**good, "stages_K": [1.0]})
    with pytest.raises(TaskError, match="onset_K must be one number"):
        OvenTask.from_dict({**good, "onset_K": [1000.0, 1000.0]})


def test_the_table_of_the_documentation() -> None:
    lines = TABLE.markdown().split("\n")
    assert len(lines) == 2 + len(TABLE.parameters)
    assert lines[2] == "| `onset_K` | K | 900 to 1400 | 300 to 2500 | Where it begins. | a handbook |"
    assert "| 0.5 to 8, logarithmic |" in TABLE.markdown() and "| 20 to 60 above onset_K |" in TABLE.markdown()
    assert "| normal, 15, cut at 40 |" in TABLE.markdown() and "| normal, 0.5 |" in TABLE.markdown()


def test_standard_normals_are_normal_and_independent() -> None:
    z = standard_normals(np.random.default_rng(0).random((4000, 4)))
    assert all(kstest(z[:, k], "norm").pvalue > 1e-3 for k in range(4))
    np.testing.assert_allclose(np.corrcoef(z.T), np.eye(4), atol=0.06)


def test_steps_out_of_the_cube_are_mirrored() -> None:
    np.testing.assert_allclose(reflected(np.array([-0.2, 0.3, 1.1])), [0.2, 0.3, 0.9])
    assert reflected(np.array([1.0])) < 1
