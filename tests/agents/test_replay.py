"""The replay, with steps that carry the task, the trial and the place in it that they come from."""

import numpy as np
import pytest
import torch

from metaenv.agents.replay import Rows
from metaenv.agents.replay import TaskReplay as OnDevice

FIELDS = {"where": ((3,), torch.int64), "half": ((), torch.float32)}


class TaskReplay(OnDevice):
    """A replay whose steps are read as arrays here."""

    def _rows(self, tasks: np.ndarray, slot: np.ndarray) -> Rows:
        return {name: tensor.numpy() for name, tensor in super()._rows(tasks, slot).items()}  # type: ignore[misc]


def add(replay: TaskReplay, tasks: list[int], lengths: list[int]) -> None:
    """Add one trial of each task; every step says (task, which of the task's trials, step)."""
    most = max(lengths)
    where = np.zeros((most, len(tasks), 3), np.int64)
    for column, (task, length) in enumerate(zip(tasks, lengths, strict=True)):
        where[:, column] = task, replay.trials[task], 0
        where[:, column, 2] = np.arange(most)
        where[length:, column] = -1  # after the trial's end: never to be seen
    played = np.arange(most)[:, None] < np.array(lengths)
    replay.add(np.array(tasks), {"where": where, "half": where[..., 2] / 2}, played)


def filled(capacity: int = 20, context_trials: int = 1) -> TaskReplay:
    replay = TaskReplay(4, capacity, FIELDS, context_trials)
    for lengths in ([5, 8, 3], [7, 2, 9], [6, 6, 6], [9, 4, 1]):
        add(replay, [0, 1, 3], lengths)
    return replay


def test_steps_of_a_task_are_its_latest_and_equally_likely() -> None:
    sample = filled().sample(np.array([3, 0]), 4000, np.random.default_rng(0))
    assert sample["where"].shape == (2, 4000, 3) and sample["half"].dtype == np.float32
    np.testing.assert_array_equal(sample["where"][..., 2] / 2, sample["half"])
    # Task 0 played 5 + 7 + 6 + 9 = 27 steps, of which the last 20 are kept; task 3 played 19.
    for row, task, lengths, kept in ((0, 3, (3, 9, 6, 1), 19), (1, 0, (5, 7, 6, 9), 20)):
        every = [(task, trial, step) for trial, length in enumerate(lengths) for step in range(length)]
        found, counts = np.unique(sample["where"][row], axis=0, return_counts=True)
        assert [tuple(x) for x in found.tolist()] == every[-kept:]
        assert counts.min() > 4000 / kept * 0.6 and counts.max() < 4000 / kept * 1.4


@pytest.mark.parametrize(("context_trials", "expected"), [(1, {3}), (2, {2, 3}), (3, {1, 2, 3})])
def test_contexts_are_beginnings_of_latest_trials(context_trials: int, expected: set[int]) -> None:
    replay, rng = filled(100, context_trials), np.random.default_rng(0)
    tasks, lengths = np.array([1, 0, 3]), {0: (5, 7, 6, 9), 1: (8, 2, 6, 4), 3: (3, 9, 6, 1)}
    seen: dict[int, set[tuple[int, int]]] = {0: set(), 1: set(), 3: set()}
    for _ in range(800):
        context, counts = replay.contexts(tasks, 50, 0.0, rng)
        assert context["where"].shape[:2] == counts.shape and counts.shape[1] <= 50
        for task, where, count in zip(tasks, context["where"], counts, strict=True):
            steps = where[count]
            np.testing.assert_array_equal(count, np.arange(len(count)) < len(steps))
            np.testing.assert_array_equal(steps[:, 2], np.arange(len(steps)))
            assert (steps[:, 0] == task).all() and len(np.unique(steps[:, 1])) <= 1
            if len(steps):
                seen[int(task)].add((int(steps[0, 1]), len(steps)))
    for task, found in seen.items():
        every = {(trial, n) for trial in expected for n in range(1, lengths[task][trial] + 1)}
        assert found == every, "all lengths of all remembered trials, and nothing else"


def test_lengths_of_contexts_are_uniform_from_the_shortest_on() -> None:
    replay, rng = TaskReplay(1, 10, FIELDS), np.random.default_rng(0)
    add(replay, [0], [9])
    for shortest, lowest in ((0.0, 0), (0.5, 5), (1.0, 9)):
        lengths = [int(replay.contexts(np.array([0]), 10, shortest, rng)[1].sum()) for _ in range(2000)]
        found, counts = np.unique(np.minimum(lengths, 9), return_counts=True)
        assert found.tolist() == list(range(lowest, 10))
        share = 2000 / len(found)
        assert (np.abs(counts - share) < 5 * share**0.5).all()
        assert max(lengths) <= 9, "no more steps than the trial has"


def test_long_contexts_are_thinned() -> None:
    replay, rng = TaskReplay(2, 100, FIELDS), np.random.default_rng(0)
    add(replay, [0, 1], [100, 6])
    reached = set()
    for _ in range(200):
        context, counts = replay.contexts(np.array([0, 1]), 8, 0.0, rng)
        assert counts.shape[1] <= 8
        reached |= set(context["where"][0, counts[0], 2].tolist())
        short = context["where"][1, counts[1]]
        assert (short[:, 0] == 1).all() and short[:, 2].tolist() == list(range(len(short)))
    assert max(reached) > 90 and len(reached) > 80, "steps from all over the beginning"


def test_a_trial_overwritten_in_part_is_no_context() -> None:
    replay, rng = TaskReplay(1, 10, FIELDS, context_trials=3), np.random.default_rng(0)
    for length in (4, 4, 4):  # the third overwrites half of the first
        add(replay, [0], [length])
    trials = set()
    for _ in range(200):
        context, counts = replay.contexts(np.array([0]), 10, 0.0, rng)
        trials |= set(context["where"][0, counts[0], 1].tolist())
    assert trials == {1, 2}


def test_a_task_without_trials_gives_empty_contexts() -> None:
    replay, rng = filled(), np.random.default_rng(0)
    assert not replay.contexts(np.array([2]), 10, 1.0, rng)[1].any()
    replay.clear(np.array([0]))
    _, counts = replay.contexts(np.array([0, 1]), 10, 1.0, rng)
    assert not counts[0].any() and counts[1].sum() == 4


def test_a_cleared_task_shows_only_what_comes_after() -> None:
    replay, rng = filled(context_trials=3), np.random.default_rng(0)
    replay.clear(np.array([0]))
    add(replay, [0, 1], [3, 3])
    assert set(replay.sample(np.array([0]), 200, rng)["where"][0, :, 1].tolist()) == {4}
    for _ in range(50):
        context, counts = replay.contexts(np.array([0, 1]), 10, 0.0, rng)
        assert set(context["where"][0, counts[0], 1].tolist()) <= {4}


def test_trials_longer_than_the_capacity_are_refused_before_anything_changes() -> None:
    replay = filled()
    before = replay.state()
    before = {name: value.clone() for name, value in before.items()}
    with pytest.raises(ValueError, match=r"at most 20 steps.*got 21"):
        add(replay, [0, 1], [3, 21])
    for name, value in replay.state().items():
        np.testing.assert_array_equal(value, before[name])
    add(replay, [0], [20])


@pytest.mark.parametrize("capacity", [20, 1000])
def test_state_round_trip(capacity: int) -> None:
    replay = filled(capacity, 2)
    copy = TaskReplay(4, capacity, FIELDS, 2)
    copy.set_state({name: value.clone() for name, value in replay.state().items()})
    assert replay.state()["where"].shape[1] == min(capacity, 27), "the room never written to is left out"
    for each in (replay, copy):
        add(each, [0, 2], [7, 3])
    for draw in (
        lambda r: r.sample(np.array([0, 1, 2, 3]), 30, np.random.default_rng(1))["where"],
        lambda r: r.contexts(np.array([0, 1, 2]), 9, 0.0, np.random.default_rng(2))[0]["where"],
    ):
        np.testing.assert_array_equal(draw(replay), draw(copy))


def test_paid_steps_are_those_with_a_reward_and_equally_likely() -> None:
    replay = TaskReplay(3, 10, {"step": ((), torch.int64), "context_rewards": ((), torch.float32)})
    rewards = np.zeros((14, 2), np.float32)
    rewards[[2, 5, 9, 12], 0] = 1, -1, 0.5, 2  # of task 0 the first four steps are overwritten; task 1 is never paid
    steps = {"step": np.tile(np.arange(14)[:, None], (1, 2)), "context_rewards": rewards}
    for part in (slice(0, 7), slice(7, 14)):
        replay.add(np.array([0, 1]), {k: v[part] for k, v in steps.items()}, np.ones((7, 2), bool))
    paid = replay.paid(np.array([1, 0]), 3000, np.random.default_rng(0))
    assert paid["step"].shape == (2, 3000)
    found, counts = np.unique(paid["step"][1], return_counts=True)
    assert found.tolist() == [5, 9, 12] and counts.min() > 900 and counts.max() < 1100
    np.testing.assert_array_equal(paid["context_rewards"][1], rewards[paid["step"][1], 0])
    assert set(paid["step"][0]) == set(range(4, 14)), "where nothing was paid, all steps that are kept"


def test_contexts_of_ends_are_sets_of_last_steps() -> None:
    """Episodes of 3 steps: task 0 has 4 of them, task 1 has 1, task 2 nothing yet."""
    replay = TaskReplay(3, 12, {"where": ((), torch.int64), "ended": ((), torch.float32)})
    for tasks, length in (([0, 1], 3), ([0], 9), ([0], 3)):
        steps = np.arange(length)[:, None] + 100 * replay.written[tasks]
        replay.add(np.array(tasks), {"where": steps, "ended": np.float32(steps % 3 == 2)}, np.ones(steps.shape, bool))
    rng, sizes = np.random.default_rng(0), [list[int]() for _ in range(3)]
    seen = set[tuple[int, ...]]()
    for _ in range(600):
        context, counts = replay.ends(np.arange(3), 3, rng)
        assert context["where"].shape == counts.shape == (3, 3)
        for task in range(3):
            found = context["where"][task][counts[task]].tolist()
            sizes[task].append(len(found))
            assert len(set(found)) == len(found), "drawn without replacement"
            assert (context["ended"][task][counts[task]] == 1).all()
            if task == 0:
                seen.add(tuple(found))
    np.testing.assert_allclose(np.bincount(sizes[0]) / 600, 1 / 4, atol=0.06)
    np.testing.assert_allclose(np.bincount(sizes[1]) / 600, 1 / 2, atol=0.07)
    assert set(sizes[2]) == {0}
    assert len(seen) == 1 + 4 + 4 * 3 + 4 * 3 * 2, "every ordered choice of up to 3 of the 4 that are kept"
    assert {x for found in seen for x in found} == {302, 305, 308, 1202}, "its first episode was overwritten"
