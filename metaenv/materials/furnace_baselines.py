"""Baselines for FurnaceControl: fixed programmes of heat, hold and stop, the best over training materials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.furnace import (
    EPISODE_STEPS,
    FIRED_K,
    HEAT,
    HEAT_K,
    HOLD,
    HOLD_STEP_H,
    STOP,
    FurnaceControlVectorEnv,
)
from metaenv.materials.laboratory import DEFAULT, QUANTITIES, Given, Laboratory, laboratory_of
from metaenv.materials.schedule import ROOM_K
from metaenv.policies import Policy
from metaenv.stats import greedy_portfolio
from metaenv.tasks import TaskSampler
from metaenv.trial import VectorTrial
from metaenv.typing import Floats
from metaenv.vector import Observations

COLDEST = 8  # steps of heat, to 900 K; or as many as there are
HOLDS = (0, 1, 2, 4, 8, 16, 24)  # hours
TASKS, SEED = 500, 7  # training materials to choose on; chosen
Programme = tuple[int, int]
"""Steps of heat, and steps of hold after them."""
PROGRAMMES = ((13, 24), (11, 8), (15, 16), (12, 16), (10, 4))
"""Five that complement one another, as `chosen_programmes` finds them for the default laboratory."""


class FixedProgrammes:
    """Programme k in run k, for every material: so many steps of heat, so many of hold, stop.

    Args:
        programmes: for each run; from the start again when they run out. Or a function that gives them and is called
            at the start.
    """

    def __init__(self, programmes: Sequence[Programme] | Callable[[], Sequence[Programme]]) -> None:
        self._programmes = programmes

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """Begin with the first programme."""
        self._env = env
        self._steps = np.array(self._programmes() if callable(self._programmes) else self._programmes)
        self._step = np.zeros(env.num_envs, np.int64)

    def act(self, observation: Observations) -> NDArray[Any]:
        """The next action of each row's programme."""
        run = np.minimum(self._env.trial_state.finished, self._env.episodes - 1) % len(self._steps)
        # The trial's boundary flag says that a new run has begun.
        self._step = np.where(observation[:, -2] > 0, 0, self._step)
        heat, hold = self._steps[run].T
        action = np.where(self._step < heat, HEAT, np.where(self._step < heat + hold, HOLD, STOP))
        self._step += 1
        return action

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Nothing is learned."""


def programme(temperature: float | str, hold: float | str, laboratory: Given = DEFAULT) -> Programme:
    """The programme that heats to a temperature and holds it: numbers in K and h, or text such as "1275 K", "10 h".

    Raises:
        ValueError: out of the laboratory's bounds, or between two steps.
    """
    laboratory = laboratory_of(laboratory)
    top = laboratory.bounds.temperature_K[1]
    kelvin = float(laboratory.inside("temperature_K", np.array([QUANTITIES["temperature_K"].read(temperature)]))[0])
    hours = QUANTITIES["hold_h"].read(hold)
    heat, held = int(np.ceil((kelvin - ROOM_K) / HEAT_K - 1e-9)), float(np.rint(hours / HOLD_STEP_H))
    ends = [min(ROOM_K + HEAT_K * k, top) for k in (heat - 1, heat)]
    if abs(kelvin - ends[1]) > 1e-6:
        raise ValueError(f"temperature {kelvin:g} K lies between two steps of heat, {ends[0]:g} and {ends[1]:g} K")
    most = EPISODE_STEPS - 1 - heat
    if not (0 <= held <= most and abs(hours - held * HOLD_STEP_H) < 1e-6):
        raise ValueError(
            f"hold {hours:g} h: expected whole hours from 0 to {most}, which are left after {heat} of heat"
        )
    return heat, int(held)


@lru_cache(maxsize=8)
def chosen_programmes(laboratory: Laboratory = DEFAULT) -> tuple[Programme, ...]:
    """Five programmes, each adding most to the mean, over training materials, of the best of those before."""
    low, top = laboratory.bounds.temperature_K
    most, fired = programme(top, 0, laboratory)[0], int(np.ceil((low - FIRED_K - ROOM_K) / HEAT_K))
    heats = range(min(max(COLDEST, fired), most), most + 1)
    table = np.concatenate([_utility(heat, laboratory) for heat in heats], axis=1)
    every = [(heat, hold) for heat in heats for hold in HOLDS if heat + hold < EPISODE_STEPS]
    chosen, _ = greedy_portfolio(table, 5)
    return tuple(every[k] for k in chosen)


def _utility(heat: int, laboratory: Laboratory) -> Floats:
    """(TASKS, holds) true utility of stopping after each of `HOLDS`, as far as an episode goes."""
    env = FurnaceControlVectorEnv(TASKS, laboratory=laboratory, autoreset_mode="Disabled")
    env.reset(seed=SEED, options={"tasks": TaskSampler(env.distribution, "train", SEED).draw(TASKS)})
    found: list[Floats] = []
    for step in range(min(heat + HOLDS[-1] + 1, EPISODE_STEPS)):
        if step - heat in HOLDS:
            env.characterise(np.arange(TASKS))
            found.append(env.report(slice(None))["score"])
        env.step(np.full(TASKS, HEAT if step < heat else HOLD))
    return np.stack(found, axis=1)


def baselines(laboratory: Laboratory = DEFAULT) -> dict[str, Policy]:
    """The best fixed programme, and the list of five that complement one another.

    For a laboratory of one's own they are chosen when they are first played, in seconds.
    """
    if laboratory == DEFAULT:
        return {
            "best fixed programme": FixedProgrammes(PROGRAMMES[:1]),
            "greedy portfolio": FixedProgrammes(PROGRAMMES),
        }
    return {
        "best fixed programme": FixedProgrammes(lambda: chosen_programmes(laboratory)[:1]),
        "greedy portfolio": FixedProgrammes(lambda: chosen_programmes(laboratory)),
    }
