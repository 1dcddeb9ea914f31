"""What is worked out from an observation is what the tables of the night say."""

import numpy as np

from metaenv.telescope.baselines import ParsedObservation
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.forecast import Latitude, later_snr
from metaenv.telescope.sim.layout import SHOWN_MAG
from metaenv.telescope.tasks import TargetSelectionDistribution
from metaenv.trial import VectorTrial


def test_latitude_and_the_rest_of_the_night():
    n, trials = 12, VectorTrial(TargetSelectionVectorEnv(12, "short"))
    env, rng = trials.innermost, np.random.default_rng(0)
    tasks = TargetSelectionDistribution("short").frozen("ood-site").tasks.take(rng.permutation(256)[:n])
    observation, _ = trials.reset(seed=1, options={"tasks": tasks})
    latitude, checked = Latitude(n), 0
    for slot in range(20):
        seen = ParsedObservation(env, observation)
        assert (seen.slot == slot).all()
        latitude.watch(seen.directions, seen.slot)
        assert latitude.known.all() == (slot > 0)
        if slot in (1, 8, 19):
            told = np.degrees(latitude.estimate())
            np.testing.assert_allclose(told, tasks.latitude_deg, atol=0.02)
            moon = np.stack([seen.number(f"moon {name}") for name in ("east", "north", "sin(altitude)")], axis=1)
            sidereal = np.arctan2(seen.number("sin(sidereal time)"), seen.number("cos(sidereal time)"))
            snr, high = later_snr(
                seen.directions, moon, seen.number("moon phase"), sidereal, latitude.estimate(), seen.hours,
                seen.magnitude + SHOWN_MAG, 24 - slot,
            )  # fmt: skip
            true, may = np.expm1(env.state.log_snr[:, slot:]), env.state.slots_left[:, slot:] > 0
            np.testing.assert_allclose(snr[:, 0][may[:, 0]], true[:, 0][may[:, 0]], rtol=2e-3)
            error = np.abs(snr / np.maximum(true, 1e-9) - 1)[may]
            assert np.median(error) < 2e-3 and np.quantile(error, 0.99) < 0.15  # the moon has moved by then
            assert (high != may).mean() < 1e-3
            checked += may.sum()
        observation, *_ = trials.step(np.full(n, 64))
    latitude.forget(np.array([3]))
    assert latitude.known.tolist() == [row != 3 for row in range(n)] and checked > 5_000
