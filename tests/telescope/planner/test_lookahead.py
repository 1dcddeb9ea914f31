"""The packing of visits of several slots, and the targets that it needs, by trying everything."""

import numpy as np
import pytest

from metaenv.telescope.planner.lookahead import assign, improved, pack
from metaenv.telescope.planner.yields import promising


def best(rewards, units, t=0, used=frozenset()):
    """The most that visits from slot ``t`` on can be worth."""
    if t == len(rewards):
        return 0.0
    found = best(rewards, units, t + 1, used)
    for k in range(rewards.shape[1]):
        if k not in used and rewards[t, k] > 0 and t + units[k] <= len(rewards):
            found = max(found, rewards[t, k] + best(rewards, units, t + int(units[k]), used | {k}))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_packs_and_promising_targets(seed):
    rng = np.random.default_rng(seed)
    rewards, units = rng.random((4, 14)) * (rng.random((4, 14)) > 0.3), rng.integers(1, 4, 14)
    rewards *= np.arange(4)[:, None] + units <= 4
    most, kept = best(rewards, units), np.flatnonzero(promising(rewards, units))
    assert len(kept) < 14 and best(rewards[:, kept], units[kept]) == pytest.approx(most)
    begun = pack(rewards, units)
    slots = np.flatnonzero(begun >= 0)
    ends = slots + units[begun[slots]]
    assert (ends[:-1] <= slots[1:]).all() and ends[-1] <= 4 and len(set(begun[slots])) == len(slots)
    assert 0.93 * most <= rewards[slots, begun[slots]].sum() <= most + 1e-9
    moved, packed = improved(begun, units, lambda _: rewards), rewards[slots, begun[slots]].sum()
    assert packed <= rewards[np.flatnonzero(moved >= 0), moved[moved >= 0]].sum() <= most + 1e-9
    ones = np.ones(14, int)
    alone = assign(rewards)
    assert rewards[np.arange(4), alone][alone >= 0].sum() == pytest.approx(best(rewards, ones))


def test_no_fewer_targets_are_enough():
    """Of two visits of two slots the better one must give way where both want the same slots."""
    rewards = np.zeros((4, 4))
    rewards[0, :2], rewards[2] = (5.0, 4.0), (6.0, 1.0, 3.0, 2.0)
    units = np.full(4, 2)
    assert np.flatnonzero(promising(rewards, units)).tolist() == [0, 1, 2]
    assert best(rewards[:, :3], units[:3]) == best(rewards, units) == 10.0


@pytest.mark.parametrize("seed, n", [(0, 40), (1, 40), (2, 200)])
def test_packs_of_many_targets_are_near_the_bound(seed, n):
    """Prices of slots bound what any schedule is worth: their sum, and what each target pays above them."""
    rng = np.random.default_rng(seed)
    count, units = 100, rng.integers(1, 9, n)
    hump = np.exp(-(((np.arange(count)[:, None] - rng.uniform(0, count, n)) / 20) ** 2))
    rewards = rng.uniform(0.1, 1, n) * units**0.5 * hump * (np.arange(count)[:, None] + units <= count)
    begun = pack(rewards, units)
    slots = np.flatnonzero(begun >= 0)
    worth = rewards[slots, begun[slots]].sum()
    free = np.ones(count, bool)
    for t, k in zip(slots, begun[slots], strict=True):
        assert free[t : t + units[k]].all()
        free[t : t + units[k]] = False
    price, bound = np.zeros(count), np.inf  # of slots: another relaxation than that of the planner
    for step in range(500):
        paid = np.concatenate([[0.0], np.cumsum(price)])
        ends = np.minimum(np.arange(count)[:, None] + units, count)
        rest = rewards - (paid[ends] - paid[:-1, None])
        first = rest.argmax(axis=0)
        gain = np.maximum(rest.max(axis=0), 0.0)
        bound = min(bound, price.sum() + gain.sum())
        used = np.zeros(count + 1)
        np.add.at(used, first[gain > 0], 1.0)
        np.add.at(used, (first + units)[gain > 0], -1.0)
        price = np.maximum(price + 0.1 / (1 + 0.02 * step) * (np.cumsum(used)[:-1] - 1), 0.0)
    assert 0.94 * bound <= worth <= bound + 1e-9


def test_moves_of_single_visits():
    """A visit moves to where it earns more, and another gives way to one that earns more than both lose."""
    units, rewards = np.array([2, 2, 1]), np.zeros((6, 3))
    rewards[0, 0], rewards[3, 0], rewards[1, 1], rewards[5, 2], rewards[2, 2] = 1.0, 1.5, 4.0, 0.5, 3.0
    assert improved(np.array([0, -1, -1, -1, -1, -1]), units, lambda _: rewards).tolist() == [-1, 1, -1, 0, -1, 2]
    # After a slew from target 1, target 2 would earn nothing, so that it does not follow.
    then = lambda schedule: rewards * np.where((np.arange(3) == 2) & (1 in schedule), 0.0, 1.0)  # noqa: E731
    assert improved(np.array([-1, -1, 2, -1, -1, -1]), units, then).tolist() == [-1, 1, -1, 0, -1, -1]
    rewards[5, 2] = 5.0
    assert improved(np.array([-1, -1, -1, -1, -1, 2]), units, then).tolist() == [-1, -1, -1, 0, -1, 2]
