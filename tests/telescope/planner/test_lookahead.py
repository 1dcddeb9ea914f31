"""The packing of visits of several slots, and the targets that it needs, by trying everything."""

import numpy as np
import pytest

from metaenv.telescope.assignment import assign
from metaenv.telescope.planner.lookahead import pack
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
