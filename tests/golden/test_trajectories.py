"""A seed gives the trajectory that it gave when `trajectories.json` was written, on every machine."""

import pytest
from trajectories import CASES, read, recorded

GOLDEN = read()
# Some observations, and all task vectors, are in single precision.
TOLERANCE = {"observations": 1e-4, "rewards": 1e-5, "scores": 1e-5, "task_vectors": 1e-4}


def test_every_environment_has_a_golden_trajectory() -> None:
    assert list(GOLDEN) == list(CASES), "run tests/golden/write.py"


@pytest.mark.parametrize("case", CASES)
def test_seeded_play_is_what_it_was(case: str) -> None:
    for part, found in recorded(case).items():
        expected = GOLDEN[case][part]
        for name in ("tasks", "discrete"):
            assert found[name] == expected[name], f"{name} of the {part} have changed: that is a new version"
        assert found.keys() == expected.keys()
        for name in sorted(found.keys() & TOLERANCE.keys()):
            tolerance = TOLERANCE[name]
            assert found[name] == pytest.approx(expected[name], rel=tolerance, abs=tolerance), f"{name} of the {part}"
