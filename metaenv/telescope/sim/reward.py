"""The reward of a night: the value of each exposed target times the quality of its exposure; and what is told of it.

Index arguments are (m,) arrays, or plain numbers for a single telescope; results have their shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from metaenv.tasks import TaskBatch
from metaenv.telescope.sim.exposure import ZERO_POINT_MAG, exposure_seconds, quality
from metaenv.telescope.sim.layout import FAINTEST_REWARD, GLOBALS, LAST_SLOT, LIMIT, LOSS_RANGE
from metaenv.telescope.sim.state import NightState
from metaenv.telescope.sim.visibility import Singles, cell_snr
from metaenv.telescope.tasks import NightSetup

REVISIT_SD = 0.6  # of ln(time since the last visit) about the best one (chosen)

Cell = tuple[Any, Any, Any]
"""Telescope, slot and target of each exposure."""


def expose(
    state: NightState, tasks: TaskBatch, setup: NightSetup, cell: Cell, units: Any, allowed: Any
) -> tuple[Any, Any, Any]:
    """What exposures earn.

    Args:
        state: of the night, before the exposures.
        tasks: of all telescopes.
        setup: of the night.
        cell: what is exposed, and from which slot on.
        units: slots that each exposure takes.
        allowed: whether the target may be exposed.

    Returns:
        The signal-to-noise ratios, whether light was collected, and the rewards, which are 0 where it was not.
    """
    index, _, target = cell
    snr = exposure_snr(state, tasks, setup, cell, units)
    exposed = allowed & (snr > 0)
    worth = state.value[index, target] * quality(snr, tasks.snr_needed[index])
    if setup.revisits:
        worth = worth * visit_factor(state, tasks, cell)
    return snr, exposed, worth * exposed / setup.unit


def exposure_snr(state: NightState, tasks: TaskBatch, setup: NightSetup, cell: Cell, units: Any) -> Any:
    """The signal-to-noise ratio of exposures that begin in ``cell``, after a slew.

    An exposure of several slots is read out after each of them, and the parts are added: squares of the SNR add.
    """
    index, slot, target = cell
    rate, zero_point = state.rate[index, target], tasks.zero_point_mag[index]
    hours, slew = state.night.hours[index], state.slew[index, target] * 60.0
    snr = cell_snr(state.night, state.air, cell, rate, zero_point, exposure_seconds(hours, slew))
    if setup.lengths == (1,):
        return snr
    squared, seconds = snr * snr, exposure_seconds(hours, 0.0)
    for part in range(1, int(np.max(units))):
        later = (index, np.minimum(slot + part, setup.slots - 1), target)
        added = cell_snr(state.night, state.air, later, rate, zero_point, seconds * (part < units))
        squared += np.square(added)
    return np.sqrt(squared)


def told_of_slot(
    state: NightState, tasks: TaskBatch, cell: Cell, legal: Any, exposed: Any, snr: Any, units: Any, reward: Any
) -> Singles:
    """(..., 20) what is told of slots that were played: `metaenv.telescope.sim.layout.GLOBALS` from "legal" on."""
    index, _, target = cell
    numbers = np.zeros((*np.shape(index), len(GLOBALS[LAST_SLOT])), np.float32)
    shut_and_seeing = state.shut_and_seeing[cell[:2]]
    numbers[..., 0], numbers[..., 1], numbers[..., 2] = legal, exposed, shut_and_seeing[..., 0]
    if exposed.any():
        numbers[..., 3] = shut_and_seeing[..., 1]
        arrived = state.air.transmission[cell] / np.maximum(state.nominal.transmission[cell], np.float32(1e-6))
        zero_point = tasks.zero_point_mag[index]
        loss = ZERO_POINT_MAG - zero_point - 2.5 * np.log10(np.maximum(arrived, np.float32(1e-9)))
        numbers[..., 4] = np.minimum(np.maximum(loss, LOSS_RANGE[0]), LOSS_RANGE[1])
        numbers[..., 5] = np.log1p(snr)
        numbers[..., 6] = np.log1p(np.sqrt(units) * np.expm1(state.log_snr[cell]))
        numbers[..., 7] = np.minimum(reward, LIMIT)
        numbers[..., 8] = np.log10(np.maximum(reward, FAINTEST_REWARD)) + 2.0
        numbers[..., 9:] = state.facts[index, 1:, target]
        numbers[..., 3:] *= exposed[..., None]
    return numbers


def visit_factor(state: NightState, tasks: TaskBatch, cell: Cell) -> Any:
    """1 for a first visit; for a later one, its worth by the time since the last."""
    index, slot, target = cell
    gap = np.maximum((state.night.start[index, slot] - state.last_visit[index, target]) * 24, 1e-3)
    again = revisit_worth(gap, tasks.cadence_hours[index], tasks.cadence_weight[index])
    return np.where(state.visits[index, target] > 0, again, 1.0)


def revisit_worth(gap_hours: Any, best_hours: Any, weight: Any) -> Any:
    """Worth of a visit ``gap_hours`` after the last: ``weight`` at ``best_hours``, log-normal about it."""
    return weight * np.exp(-0.5 * np.square(np.log(gap_hours / best_hours) / REVISIT_SD))
