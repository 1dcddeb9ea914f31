"""Nights that are made ready together are those that are made one by one."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaenv.rng import Streams
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.prefetch import MAX_NIGHTS, PeekableStream
from metaenv.trial import VectorTrial


class OneByOne(TargetSelectionVectorEnv):
    """The same telescope, without prefetching."""

    prefetches = False


def same(a: Any, b: Any) -> None:
    (seen, info), (seen_plain, info_plain) = a, b
    np.testing.assert_array_equal(seen, seen_plain)
    np.testing.assert_array_equal(info["action_mask"], info_plain["action_mask"])
    assert info["task_id"][0] == info_plain["task_id"][0]


def play(env: TargetSelectionVectorEnv, steps: int) -> list[Any]:
    """Some steps from where the env stands: the last open target each time."""
    told: list[Any] = []
    for _ in range(steps):
        action = np.flatnonzero(env.mask(slice(None))[0])[-2:-1]
        if len(action):
            told.append(env.step(action)[:2])
    return told


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["new"] * 6 + ["keep", "given", "seed", "copy"]), min_size=1, max_size=40))
def test_any_sequence_of_resets(events: list[str]) -> None:
    kind: dict[str, Any] = {"autoreset_mode": "Disabled"}
    env, plain = TargetSelectionVectorEnv(1, **kind), OneByOne(1, **kind)
    given_task = env.distribution.sample(1, "validation", np.random.default_rng(5)).task(0)
    same(env.reset(seed=3), plain.reset(seed=3))
    for number, event in enumerate(events):
        options = {"keep": {"keep_task": True}, "given": {"task": given_task}}.get(event)
        seed = number if event == "seed" else None
        if event == "copy":
            env = pickle.loads(pickle.dumps(env)) if number % 2 else copy.deepcopy(env)
        same(env.reset(seed=seed, options=options), plain.reset(seed=seed, options=options))
        for (a, paid), (b, paid_plain) in zip(play(env, 2), play(plain, 2), strict=True):
            np.testing.assert_array_equal(a, b)
            assert paid == paid_plain
        assert env.state.night_number[0] == plain.state.night_number[0]
        assert env.nights_begun[0] == plain.nights_begun[0]


@pytest.mark.parametrize("variant", ["short", "depth", "cadence"])
def test_whole_nights_in_a_row(variant: Any) -> None:
    kind: dict[str, Any] = {"variant": variant, "autoreset_mode": "SameStep"}
    env, plain = TargetSelectionVectorEnv(1, **kind), OneByOne(1, **kind)
    same(env.reset(seed=11), plain.reset(seed=11))
    rng, nights = np.random.default_rng(0), 0
    while nights < 24:
        action = rng.choice(np.flatnonzero(env.mask(slice(None))[0]), 1)
        (seen, reward, over, _, info), (b, paid, *_) = env.step(action), plain.step(action)
        np.testing.assert_array_equal(seen, b)
        np.testing.assert_array_equal(reward, paid)
        assert info["task_id"][0] == plain.tasks.id_numbers[0]
        nights += int(over[0])


def test_it_does_prefetch() -> None:
    env = TargetSelectionVectorEnv(1, "short")
    env.reset(seed=0)
    for _ in range(3 * MAX_NIGHTS):
        env.reset()
    assert env._prefetcher is not None
    assert env._prefetcher._rows == MAX_NIGHTS


def test_trials_do_not_waste_nights() -> None:
    """Kept tasks interrupt the row of new ones: nothing is made ready that is then thrown away."""
    trials = VectorTrial(TargetSelectionVectorEnv(1, "short"))
    trials.reset(seed=0)
    for _ in range(3 * 5 * 24):
        trials.step(np.array([64]))
    inner = trials.env
    assert isinstance(inner, TargetSelectionVectorEnv)
    assert inner._prefetcher is not None
    assert inner._prefetcher._rows == 0


def test_a_stream_that_was_peeked_into_gives_the_same_numbers() -> None:
    sizes = [49, 128, 30]
    plain = Streams([np.random.SeedSequence(1)], "normal")
    peekable = PeekableStream(Streams([np.random.SeedSequence(1)], "normal"), sizes)
    expected = [[plain.draw(slice(None), k) for k in sizes] for _ in range(6)]
    for k in sizes:
        peekable.draw(slice(None), k)
    seen = peekable.peek(3)
    for row, episode in zip(seen, expected[1:4], strict=True):
        np.testing.assert_array_equal(row, np.concatenate(episode, axis=1)[0])
    np.testing.assert_array_equal(peekable.draw(slice(None), 49), expected[1][0])
    for k in sizes[1:]:
        peekable.draw(slice(None), k)
    peekable.skip()
    np.testing.assert_array_equal(peekable.peek(2)[1], np.concatenate(expected[4], axis=1)[0])
