"""What is drawn of seeded play is what was drawn when somebody had looked at it."""

import pytest
from pictures import VERSIONS, drawn, read
from trajectories import CASES

GOLDEN = read()


def test_every_environment_has_golden_pictures() -> None:
    assert list(GOLDEN["cases"]) == list(CASES), "run tests/golden/write.py"


@pytest.mark.skipif(GOLDEN["versions"] != VERSIONS, reason=f"pictures were drawn with {GOLDEN['versions']}")
@pytest.mark.parametrize("case", CASES)
def test_pictures_and_texts_are_what_they_were(case: str) -> None:
    message = "look at what is drawn now, then run tests/golden/write.py"
    assert drawn(case) == GOLDEN["cases"][case], message
