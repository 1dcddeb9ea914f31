import numpy as np
import pytest

from metaenv.agents.rollouts import TrialBuffer


def filled(ends: list[list[int]], capacity: int = 1) -> TrialBuffer:
    """A buffer of the field x = 10 * step + env; it has to grow from `capacity`."""
    buffer = TrialBuffer(capacity, len(ends[0]), {"x": ((), np.float32)})
    for step, row in enumerate(ends):
        buffer.add(np.array(row, bool), x=np.array([10 * step + env for env in range(len(row))], np.float32))
    return buffer


def test_fixed_trials_stand_side_by_side() -> None:
    buffer = filled([[0, 0], [1, 1], [0, 0], [1, 1]])
    assert buffer.fixed_trials(2)["x"].tolist() == [[0, 1, 20, 21], [10, 11, 30, 31]]
    assert buffer.finished.tolist() == [2, 2] and len(buffer) == 4


def test_a_wrong_trial_length_is_refused() -> None:
    with pytest.raises(ValueError, match="exactly 2 steps"):
        filled([[0, 1], [1, 0], [0, 0], [1, 1]]).fixed_trials(2)


def test_trials_of_different_lengths_are_padded_and_masked() -> None:
    # Env 0 plays trials of 2 and 1 steps, and one step of a third; env 1 plays 1 and 3.
    batch = filled([[0, 1], [1, 0], [1, 0], [0, 1]]).padded_trials(2)
    assert batch["valid"].astype(int).tolist() == [[1, 1, 1, 1], [1, 0, 0, 1], [0, 0, 0, 1]]
    assert batch["x"].tolist() == [[0, 1, 20, 11], [10, 0, 0, 21], [0, 0, 0, 31]]


def test_each_environment_gives_the_same_number_of_trials() -> None:
    batch = filled([[1, 0], [1, 0], [1, 1]]).padded_trials(1)
    assert batch["x"].tolist() == [[0, 1], [0, 11], [0, 21]]


def test_padding_agrees_with_the_fixed_layout() -> None:
    ends = [[0, 0], [1, 1]] * 3
    fixed, padded = filled(ends).fixed_trials(2), filled(ends).padded_trials(3)
    np.testing.assert_array_equal(fixed["x"], padded["x"])
    assert padded["valid"].all()


def test_a_cleared_buffer_starts_again() -> None:
    buffer = filled([[0, 0], [1, 1]])
    buffer.clear()
    for step in range(2):
        buffer.add(np.array([step, step], bool), x=np.array([step, step + 5], np.float32))
    assert buffer.fixed_trials(2)["x"].tolist() == [[0, 5], [1, 6]]
