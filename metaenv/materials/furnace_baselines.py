"""Baselines for FurnaceControl: fixed programmes of heat, hold and stop, the best over training materials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.furnace import HEAT, HOLD, STOP, FurnaceControlVectorEnv
from metaenv.policies import Policy
from metaenv.stats import greedy_portfolio
from metaenv.tasks import TaskSampler
from metaenv.trial import VectorTrial
from metaenv.typing import Floats
from metaenv.vector import Observations

HEATS = range(8, 21, 1)  # 900 to 1800 K
HOLDS = (0, 1, 2, 4, 8, 16, 24)  # hours
TASKS, SEED = 500, 7  # training materials to choose on; chosen
PROGRAMMES = ((13, 24), (11, 8), (15, 16), (12, 16), (10, 4))
"""Heat and hold steps of five programmes that complement one another, as `chosen_programmes` finds them in 10 s."""


class FixedProgrammes:
    """Programme k in run k, for every material: so many steps of heat, so many of hold, stop.

    Args:
        programmes: (heat steps, hold steps) for each run; from the start again when they run out.
    """

    def __init__(self, programmes: Sequence[tuple[int, int]]) -> None:
        self.programmes = programmes

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Begin with the first programme."""
        self._env = env
        self._step = np.zeros(env.num_envs, np.int64)

    def act(self, observation: Observations) -> NDArray[Any]:
        """The next action of each row's programme."""
        run = np.minimum(self._env.trial_state.finished, self._env.episodes - 1) % len(self.programmes)
        # The trial's boundary flag says that a new run has begun.
        self._step = np.where(observation[:, -2] > 0, 0, self._step)
        heat, hold = np.array(self.programmes)[run].T
        action = np.where(self._step < heat, HEAT, np.where(self._step < heat + hold, HOLD, STOP))
        self._step += 1
        return action

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Nothing is learned."""


def chosen_programmes() -> tuple[tuple[int, int], ...]:
    """Five programmes, each adding most to the mean, over training materials, of the best of those before."""
    every = [(heat, hold) for heat in HEATS for hold in HOLDS]
    table = np.stack([_utility(heat, hold) for heat, hold in every], axis=1)
    chosen, _ = greedy_portfolio(table, 5)
    return tuple(every[k] for k in chosen)


def _utility(heat: int, hold: int) -> Floats:
    """(TASKS,) true utility of one programme."""
    env = FurnaceControlVectorEnv(TASKS, autoreset_mode="Disabled")
    env.reset(seed=SEED, options={"tasks": TaskSampler(env.distribution, "train", SEED).draw(TASKS)})
    info: dict[str, Any] = {}
    for action in [HEAT] * heat + [HOLD] * hold + [STOP]:
        *_, info = env.step(np.full(TASKS, action))
    return info["score"]


def baselines() -> dict[str, Policy]:
    """The best fixed programme, and the list of five that complement one another."""
    return {"best fixed programme": FixedProgrammes(PROGRAMMES[:1]), "greedy portfolio": FixedProgrammes(PROGRAMMES)}
