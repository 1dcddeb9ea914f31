"""The most that a night can pay: the best assignment of targets to slots, if slews took no time.

An upper bound for policies that visit a target once a night, for one slot each. It knows true classes and all weather
to come, so it is reported beside scores and never used to normalise them. Needs SciPy.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from metaenv.policies import play_trials
from metaenv.tasks import TaskBatch
from metaenv.telescope.planner.schedulers import NOBODY, Queue
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.exposure import exposure_seconds, quality
from metaenv.telescope.sim.visibility import expected_snr
from metaenv.telescope.tasks import Variant
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index
from metaenv.vector import Observations


def rewards_without_slews(env: TargetSelectionVectorEnv) -> Floats:
    """(n, T, N) what an exposure of each target would earn in each slot of tonight, with the true sky and no slew."""
    assert env.night is not None
    if env.plan.revisits or env.plan.lengths != (1,):
        raise ValueError(f"the bound is for one visit of one slot each; variant {env.variant!r} has others")
    tasks, seconds = env.tasks, exposure_seconds(env.night.hours, 0.0)
    snr = expected_snr(env.night, env.air, env.targets.magnitude, tasks.zero_point_mag, seconds).astype(np.float64)
    good = quality(snr, tasks.snr_needed[:, None, None])
    return env.value[:, None, :] * good * (env.left > 0) / env.plan.unit


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


def assignment_bounds(tasks: TaskBatch, variant: Variant = "default", seed: int = 0, chunk: int = 64) -> Floats:
    """(n, nights) bounds of the nights on which `metaenv.policies.play_trials` lets policies play ``tasks``."""
    watcher = _Watcher()
    trials = VectorTrial(TargetSelectionVectorEnv(min(chunk, len(tasks)), variant))
    play_trials(watcher, trials, tasks, seed)
    return np.concatenate(watcher.found)[: len(tasks)]


class _Watcher:
    """Waits, and notes the bound of every night: nights do not depend on what is played."""

    def __init__(self) -> None:
        self.found: list[Floats] = []

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        self.env = cast(TargetSelectionVectorEnv, env.innermost)
        self.found.append(np.zeros((env.num_envs, env.episodes)))

    def act(self, observation: Observations) -> NDArray[Any]:
        if not self.env.slot.any():
            night = int(self.env.night_number[0])
            self.found[-1][:, night] = best_assignment(rewards_without_slews(self.env))[1]
        return np.full(self.env.num_envs, self.env.plan.targets)

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        pass


class AssignmentPolicy(Queue):
    """Plays the best assignment; slews then take their share. For plans: it knows all that there is to know."""

    def schedule(self) -> Index:
        """See `best_assignment`."""
        return best_assignment(rewards_without_slews(self.env))[0]
