"""How a night is drawn: its weather, and the list of targets that it offers."""

from __future__ import annotations

import numpy as np

from metaenv.rng import BLOCK, Stream
from metaenv.tasks import TaskBatch
from metaenv.telescope.sim.ephemeris import night_limits, sidereal_time
from metaenv.telescope.sim.layout import LIMIT
from metaenv.telescope.sim.nominal import NOMINAL_SEEING
from metaenv.telescope.sim.state import NightState
from metaenv.telescope.sim.targets import NORMALS, UNIFORMS, Targets, draw_targets
from metaenv.telescope.sim.visibility import Night
from metaenv.telescope.sim.weather import (
    CLOSED,
    OVERNIGHT_HOURS,
    Weather,
    bank_path,
    closed_fraction,
    cloud_extinction,
    cloud_path,
    cloud_stationary,
    cloud_transition,
    draw_state,
    next_night,
    seeing_path,
)
from metaenv.telescope.tasks import MJD, NightSetup
from metaenv.typing import Floats, Index, Rows

DUST_NIGHTS, DUST_MAG = 0.1, (0.1, 0.4)
"""Share of nights with dust, and the extinction in mag per airmass that it adds (as in a summer on La Palma)."""


def begin_tasks(state: NightState, rows: Rows, tasks: TaskBatch, slots: int) -> None:
    """Write into ``rows`` the mount, the first night and the chain of cloud states, which hold for the whole task.

    The chain is that of the first night: within a week the nights and the season change little.
    """
    evening, latitude = tasks.evening_mjd + MJD, np.radians(tasks.latitude_deg)
    dusk, dawn = night_limits(evening, latitude, np.radians(tasks.longitude_deg))
    state.first_night[rows] = np.stack([dusk, dawn], axis=1)
    closed = closed_fraction(evening, latitude, tasks.cloud_log_odds)
    hours = np.concatenate([(dawn - dusk) * (24 / slots), np.full(len(closed), OVERNIGHT_HOURS)])
    state.cloud_step[rows], state.cloud_overnight[rows] = np.split(cloud_transition(np.tile(closed, 2), hours), 2)
    state.cloud_shares[rows] = cloud_stationary(closed)
    state.speed[rows, 0], state.settle[rows, 0] = np.radians(tasks.slew_deg_s) * 60, tasks.settle_s / 60
    state.night_number[rows] = -1
    state.globals_[rows] = 0


def dusk_and_dawn(state: NightState, rows: Rows, tasks: TaskBatch) -> tuple[Floats, Floats]:
    """JD of the ends of tonight's astronomical twilight, each (m,)."""
    number = state.night_number[rows]
    if not number.any():
        dusk, dawn = state.first_night[rows].T.copy()
        return dusk, dawn
    return night_limits(
        tasks.evening_mjd + MJD + number, np.radians(tasks.latitude_deg), np.radians(tasks.longitude_deg)
    )


def weather_sizes(slots: int) -> tuple[int, int]:
    """Normal and uniform numbers that a night's weather takes."""
    return 2 * slots + 1, slots + 3


def draw_weather(
    state: NightState, rows: Rows, index: Index, tasks: TaskBatch, hours: Floats, normal: Floats, uniform: Floats
) -> tuple[Weather, Floats]:
    """Tonight's weather in ``rows``, and its extinction (m,) in mag per airmass; clouds and seeing carry over.

    Args:
        state: of the telescopes; the level of the seeing and the last cloud are written into it.
        rows: which telescopes.
        index: (m,) the same as numbers.
        tasks: theirs.
        hours: (m,) length of a slot.
        normal: (m, 2 T + 1) standard normal numbers.
        uniform: (m, T + 3).
    """
    t, first = uniform.shape[1] - 3, state.night_number[rows] == 0
    level = np.where(first, normal[:, 0], next_night(state.night_level[rows], normal[:, 0]))
    state.night_level[rows] = level
    before = state.cloud_overnight[index, state.last_cloud[rows].astype(np.intp)]
    at_dusk = draw_state(np.where(first[:, None], state.cloud_shares[rows], before), uniform[:, 0])
    cloud = cloud_path(at_dusk, state.cloud_step[rows], uniform[:, 3:])
    state.last_cloud[rows] = cloud[:, -1]
    dust = np.where(uniform[:, 1] < DUST_NIGHTS, DUST_MAG[0] + (DUST_MAG[1] - DUST_MAG[0]) * uniform[:, 2], 0.0)
    weather = Weather(
        seeing_path(tasks.seeing_arcsec, level, normal[:, 1 : 1 + t], hours),
        cloud,
        cloud_extinction(cloud, normal[:, 1 + t :], hours),
        tasks.bank_mag.copy(),
        bank_path(tasks.bank_azimuth_rad, tasks.bank_drift_rad_h, hours, t),
    )
    return weather, tasks.extinction_mag + dust


def targets_of_night(
    tasks: TaskBatch, setup: NightSetup, start: Floats, hours: Floats, normal: Floats, uniform: Floats
) -> Targets:
    """A list of targets for each of ``m`` nights, from (m, 4 N) normal and (m, 6 N) uniform numbers.

    ``start`` (m, T) is the JD of the slots and ``hours`` (m,) their length.
    """
    k = setup.targets
    first = sidereal_time(start[:, 0], np.radians(tasks.longitude_deg))
    turn = hours * start.shape[1] * (2 * np.pi * 1.00273791 / 24)
    return draw_targets(
        uniform.reshape(-1, UNIFORMS, k),
        normal.reshape(-1, NORMALS, k),
        tasks.purity,
        np.radians(tasks.latitude_deg),
        np.stack([first, first + turn], axis=1),
        setup.magnitude,
    )


def write_timeline(state: NightState, rows: Rows, night: Night, weather: Weather) -> None:
    """Write the tables of the night and its weather that steps read."""
    count = night.lst.shape[1]
    for j, column in enumerate((np.sin(night.lst), np.cos(night.lst), *night.moon)):
        state.timeline[rows, :count, 1 + j] = column
    state.timeline[rows, count] = state.timeline[rows, count - 1]  # after the last slot
    state.timeline[rows, :, 0] = np.arange(count + 1) / count
    state.shut_and_seeing[rows, :, 0] = weather.cloud == CLOSED
    state.shut_and_seeing[rows, :, 1] = np.minimum(weather.seeing - NOMINAL_SEEING, LIMIT)


# RANDOM NUMBERS


def pieces(k: int, block: int = BLOCK) -> list[int]:
    """The sizes of the draws that give ``k`` numbers of a stream, which gives no more than a block at once."""
    return [min(block, k - i) for i in range(0, k, block)]


def draw_many(stream: Stream, rows: Rows, k: int) -> Floats:
    """The next ``k`` numbers of each stream, also more than a block holds."""
    parts = [stream.draw(rows, piece) for piece in pieces(k, stream.block)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
