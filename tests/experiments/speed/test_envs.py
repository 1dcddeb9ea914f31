"""The benchmark of environments measures ways into Stable-Baselines3 that play the same."""

import numpy as np
import pytest

from metaenv.experiments.speed.envs import beside_sb3

sb3 = pytest.importorskip("metaenv.sb3", reason="needs the agents extra")


@pytest.mark.parametrize("trials", [False, True])
def test_all_ways_into_stable_baselines_play_the_same(trials, monkeypatch):
    rates = beside_sb3("GridNavi", trials, 0.1)
    assert list(rates) == ["native", "SB3VecEnv", "DummyVecEnv"]
    assert rates["DummyVecEnv"] < min(rates["native"], rates["SB3VecEnv"])
    step = sb3.SB3VecEnv.step_wait
    monkeypatch.setattr(sb3.SB3VecEnv, "step_wait", lambda env: (None, np.ones(64), *step(env)[2:]))
    with pytest.raises(RuntimeError, match="do not"):
        beside_sb3("GridNavi", trials, 0.1)
