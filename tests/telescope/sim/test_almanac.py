"""The almanac tells in every slot what the rest of the night will show."""

import numpy as np

from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.layout import ALMANAC, SKY
from metaenv.testing import check_vector_env


def test_it_is_what_the_later_slots_show():
    env = TargetSelectionVectorEnv(3, "short", almanac=True, autoreset_mode="Disabled")
    observation, _ = env.reset(seed=4)
    seen = []
    for _ in range(24):
        seen.append(env.layout.split(observation)[0].copy())
        observation, *_ = env.step(np.full(3, 64))
    told = np.stack(seen)  # (T, n, rows, N)
    snr, left = (told[:, :, env.layout.row(name)] for name in ("ln(1 + nominal SNR)", "slots left"))
    best, when, count = (told[:, :, env.layout.row(name)] for name in ALMANAC)
    waits = 0
    for t in range(24):
        later = np.where(left > 0, snr, 0)[t + 1 :]
        for row, k in np.ndindex(3, 64):
            series = later[:, row, k]
            top = series.max(initial=0.0)
            assert best[t, row, k] == top
            assert np.isclose(when[t, row, k] * 24, 1 + series.argmax() if top > 0 else 0)
            assert np.isclose(count[t, row, k] * 24, (series > 0).sum())
            waits += top > snr[t, row, k] > 0
    assert waits > 500


def test_it_stands_behind_the_other_rows_and_changes_nothing_else():
    plain, more = (TargetSelectionVectorEnv(2, "cadence", almanac=shown) for shown in (False, True))
    assert more.layout.per_target == (*plain.layout.per_target, *ALMANAC)
    a, b = plain.reset(seed=1)[0], more.reset(seed=1)[0]
    for _ in range(45):
        targets, globals_ = more.layout.split(b)
        np.testing.assert_array_equal(plain.layout.split(a)[0], targets[:, : -len(ALMANAC)])
        np.testing.assert_array_equal(plain.layout.split(a)[1], globals_)
        action = plain.action_masks().argmax(axis=1)
        (a, *_), (b, *_) = plain.step(action), more.step(action)
    assert plain.layout.per_target[: len(SKY)] == SKY


def test_conformance_of_several_telescopes_and_long_exposures():
    make = lambda **kw: TargetSelectionVectorEnv(kw.pop("num_envs"), "depth", almanac=True, **kw)  # noqa: E731
    check_vector_env(make, num_envs=2, steps=20)
