"""The most that a night can pay: the best assignment of targets to slots, if slews took no time.

An upper bound for policies that visit a target once a night, for one slot each. It knows true classes and all weather
to come, so it is reported beside scores and never used to normalise them. Needs SciPy.
"""

from __future__ import annotations

import numpy as np

from metaenv.telescope.planner.schedulers import NOBODY, Queue
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.exposure import exposure_seconds, quality
from metaenv.telescope.sim.visibility import expected_snr
from metaenv.typing import Floats, Index


def rewards_without_slews(env: TargetSelectionVectorEnv) -> Floats:
    """(n, T, N) what an exposure of each target would earn in each slot of tonight, with the true sky and no slew."""
    if env.setup.revisits or env.setup.lengths != (1,):
        raise ValueError(f"the bound is for one visit of one slot each; variant {env.variant!r} has others")
    tasks, seconds = env.tasks, exposure_seconds(env.state.night.hours, 0.0)
    snr = expected_snr(
        env.state.night, env.state.air, env.state.targets.magnitude, tasks.zero_point_mag, seconds
    ).astype(np.float64)
    good = quality(snr, tasks.snr_needed[:, None, None])
    return env.state.value[:, None, :] * good * (env.state.slots_left > 0) / env.setup.unit


def best_assignment(rewards: Floats) -> tuple[Index, Floats]:
    """(n, T) targets, -1 for none, and (n,) sums of the best assignment for ``rewards`` (n, T, N)."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError("the assignment bound needs SciPy: pip install scipy") from error
    schedule, total = np.full(rewards.shape[:2], NOBODY), np.zeros(len(rewards))
    for i, table in enumerate(rewards):
        slot, target = linear_sum_assignment(table, maximize=True)
        paid = table[slot, target]
        schedule[i, slot[paid > 0]] = target[paid > 0]
        total[i] = paid.sum()
    return schedule, total


class AssignmentPolicy(Queue):
    """Plays the best assignment; slews then take their share. For plans: it knows all that there is to know."""

    def schedule(self) -> Index:
        """See `best_assignment`."""
        return best_assignment(rewards_without_slews(self.env))[0]
