"""An upper bound of the score of a night: the best assignment of targets to slots if slews took no time.

The bound holds for policies that visit a target once a night, for one slot each. It uses the true classes and the
weather to come, so it may stand beside scores but never normalises them.
"""

from __future__ import annotations

import numpy as np

from metaenv.telescope.assignment import NO_TARGET, best_assignment
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.exposure import exposure_seconds, quality
from metaenv.telescope.sim.visibility import expected_snr
from metaenv.typing import Floats, Index


def rewards_without_slews(env: TargetSelectionVectorEnv) -> Floats:
    """(n, T, N) rewards of exposing each target in each slot of tonight, under the true sky and without slews."""
    if not env.setup.single_visits:
        raise ValueError(f"the bound is for one visit of one slot each; variant {env.variant!r} has others")
    tasks, seconds = env.tasks, exposure_seconds(env.state.night.hours, 0.0)
    snr = expected_snr(
        env.state.night, env.state.air, env.state.targets.magnitude, tasks.zero_point_mag, seconds
    ).astype(np.float64)
    good = quality(snr, tasks.snr_needed[:, None, None])
    return env.state.value[:, None, :] * good * (env.state.slots_left > 0) / env.setup.unit


def best_assignments(rewards: Floats) -> tuple[Index, Floats]:
    """(n, T) targets, -1 for none, and (n,) sums of the best assignment for ``rewards`` (n, T, N)."""
    schedule = np.stack([best_assignment(table) for table in rewards])
    paid = np.take_along_axis(rewards, np.maximum(schedule, 0)[:, :, None], axis=2)[:, :, 0]
    return schedule, (paid * (schedule != NO_TARGET)).sum(axis=1)
