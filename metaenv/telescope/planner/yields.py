"""What each target of a list would yield in each slot of one night, and why it may not be observed."""

from __future__ import annotations

from typing import Any

import numpy as np

from metaenv.telescope.planner.constraints import Constraints, Requests, reasons_against
from metaenv.telescope.planner.instruments import Instrument
from metaenv.telescope.sim.ephemeris import moon, moon_phase_angle, sun
from metaenv.telescope.sim.exposure import electrons_per_second, quality, sky_electrons_per_second
from metaenv.telescope.sim.moonlight import moonlight_source, nanolamberts, sky_brightness
from metaenv.telescope.sim.sites import Site
from metaenv.telescope.sim.visibility import Night, conditions
from metaenv.telescope.sim.weather import clear_weather
from metaenv.typing import Bools, Floats, Index

SHORTEST_FRAME_S = 1.0  # a target that saturates sooner is left out (chosen; shutters are uneven below)
TYPICAL_SLEW_DEG = 40.0  # for which a block of fixed exposures leaves room (chosen)


class Yields:
    """Tables (T, N) of one night under the clear sky that a plan assumes.

    Args:
        night: the geometry, one row.
        magnitude: (N,) V.
        value: (N,) worth of a perfect exposure.
        task: sky, zero point, and SNR needed (`metaenv.telescope.tasks.TargetSelectionTask`).
        instrument: with which it is observed.
        limits: of the run.
        asked: of the targets.
    """

    def __init__(
        self, night: Night, magnitude: Floats, value: Floats, task: Any, instrument: Instrument, limits: Constraints,
        asked: Requests,
    ) -> None:  # fmt: skip
        count = night.lst.shape[1]
        self.night, self.instrument, self.asked, self.value = night, instrument, asked, value
        self.snr_needed, self.slot_s = task.snr_needed, float(night.hours[0]) * 3600
        self.allowance_s = task.settle_s + TYPICAL_SLEW_DEG / task.slew_deg_s
        self.units = block_units(asked, instrument, self.slot_s, self.allowance_s)
        k, dark, seeing = (np.array([x]) for x in (task.extinction_mag, task.dark_sky_mag, task.seeing_arcsec))
        air = conditions(night, k, dark, clear_weather(seeing, count))
        sky = _sky(night, k, dark)
        rate = electrons_per_second(magnitude, task.zero_point_mag).astype(np.float32)
        self.sky_mag = (20.7233 - np.log(sky / 34.08)) / 0.92104
        """V per square arcsecond (Krisciunas and Schaefer 1991, eq. 1)."""
        tables = (
            rate * air.transmission[0],
            sky_electrons_per_second(sky, np.float32(task.zero_point_mag)).astype(np.float32),
            instrument.area(air.zenith_area[0].astype(np.float32)[:, None] * night.seeing_area_factor[0]),
        )
        self.arrived, self.sky, self.area = (_over_blocks(table, self.units) for table in tables)
        self.saturates_s = instrument.seconds_to_saturation(self.arrived, self.sky, self.area)
        self.begin, self.forbidden = reasons_against(night, limits, asked, self.units)
        """(T, N) where an exposure may begin, and the (T, N) slots forbidden for each reason."""
        self.begin &= self.saturates_s >= SHORTEST_FRAME_S
        self.limits = limits

    def frames(self, cell: Any, slew_s: Any, units: Any) -> tuple[Any, Any]:
        """How many exposures of how many seconds, in ``cell`` (slot, target) of the tables, after a slew."""
        readout, asked = self.instrument.readout_s, self.asked.exposure_s[cell[1]]
        time = units * self.slot_s - slew_s
        least = np.where(self.units[cell[1]] == units, self.asked.repeats[cell[1]], units)
        filled = np.maximum(least, np.ceil(time / (self.saturates_s[cell] + readout)))
        fixed = np.isfinite(asked)
        fitting = np.minimum(
            self.asked.repeats[cell[1]], np.floor((time + 1e-6) / (np.where(fixed, asked, 1) + readout))
        )
        count = np.where(fixed, fitting, filled)
        seconds = np.where(fixed, asked, np.maximum(time / filled - readout, 0.0))
        return count, seconds

    def snr(self, cell: Any, slew_s: Any = 0.0, units: Any = None) -> Any:
        """Signal-to-noise ratio of all exposures of a visit together."""
        count, seconds = self.frames(cell, slew_s, self.units[cell[1]] if units is None else units)
        one = self.instrument.snr(self.arrived[cell], self.sky[cell], self.area[cell], seconds)
        return np.sqrt(np.maximum(count, 0)) * one

    def worth(self, cell: Any, slew_s: Any = 0.0) -> Any:
        """Value times quality, 0 where no exposure may begin."""
        return self.value[cell[1]] * quality(self.snr(cell, slew_s), self.snr_needed) * self.begin[cell]

    def table(self) -> Floats:
        """(T, N) the worth of visits without a slew."""
        everything = (slice(None), slice(None))
        return np.asarray(self.worth(everything), np.float64)

    def reasons(self, dec_deg: Floats, site: Site) -> dict[int, str]:
        """Why targets cannot be observed at all, by their numbers; it goes on after "because they"."""
        found: dict[int, str] = {}
        free: Any
        lowest = self.limits.min_altitude_deg
        whole = [(text, np.asarray(table.all(axis=0))) for text, table in self.forbidden]
        highest = 90.0 - np.abs(site.latitude_deg - dec_deg)
        some = [(text, np.asarray(table.any(axis=0))) for text, table in self.forbidden]
        free = ~np.any([table for _, table in self.forbidden], axis=0)
        for k in np.flatnonzero(~self.begin.any(axis=0)).tolist():
            if whole[0][1][k]:
                never = highest[k] < lowest
                found[k] = (
                    f"never rise above {lowest:g} deg at {site.name}"
                    if never
                    else f"do not stand above {lowest:g} deg in this night"
                )
            elif hit := next((text for text, table in whole[1:] if table[k]), None):
                found[k] = f"are {hit} all night"
            elif not free[:, k].any():
                found[k] = "meet no slot that all limits allow: at times they are " + ", at others ".join(
                    text for text, table in some if table[k]
                )
            elif (self.saturates_s[:, k][free[:, k]] < SHORTEST_FRAME_S).all():
                found[k] = f"saturate in less than {SHORTEST_FRAME_S:g} s"
            elif np.isfinite(self.asked.at[k]):
                found[k] = "cannot be observed at the time asked for"
            else:
                minutes = self.units[k] * self.slot_s / 60
                found[k] = f"may not be observed for the {minutes:.0f} min that they need at a stretch"
        return found


def _sky(night: Night, extinction: Floats, dark_mag: Floats) -> Any:
    """(T, N) nanolamberts, with the moon's phase of each slot: it changes by 6 deg in a night, 12 % of its light."""
    jd = night.start[0] + night.hours[0] / 48
    phase = moon_phase_angle(sun(jd), moon(jd))
    source = moonlight_source(phase, night.moon.z[0], extinction)[:, None]
    k, dark, light = (np.asarray(x, np.float32) for x in (extinction, nanolamberts(dark_mag), source))
    return sky_brightness(night.sin_alt[0], k, dark, light, night.scatter[0])


def block_units(asked: Requests, instrument: Instrument, slot_s: float, allowance_s: float) -> Index:
    """(N,) slots that a visit takes: one for each exposure that fills a slot, or as many as fixed exposures need."""
    fixed = np.isfinite(asked.exposure_s)
    seconds = asked.repeats * (np.where(fixed, asked.exposure_s, 0.0) + instrument.readout_s) + allowance_s
    return np.where(fixed, np.maximum(np.ceil(seconds / slot_s), 1), asked.repeats).astype(np.intp)


def slots_for(asked: Requests, instrument: Instrument, night_s: float, allowance_s: float, usual: int) -> int:
    """Slots short enough for the shortest exposures and time windows, at most ten times as many as usual (chosen)."""
    fixed = np.isfinite(asked.exposure_s)
    needed = asked.repeats * (asked.exposure_s + instrument.readout_s) + allowance_s
    shortest = min(night_s / usual, *needed[fixed], *(asked.windows_h * 3600 / 2))
    return int(np.clip(np.floor(night_s / shortest), usual, 10 * usual))


def _over_blocks(table: Any, units: Index) -> Any:
    """The mean of a (T, N) table over the slots of a block that begins there, as far as the night lasts."""
    count, mean = len(table), np.array(table, np.float32)
    first = np.arange(count)
    for length in np.unique(units[units > 1]):
        same = np.flatnonzero(units == length)
        total = np.concatenate([np.zeros((1, len(same))), np.cumsum(table[:, same], axis=0, dtype=np.float64)])
        end = np.minimum(first + length, count)
        mean[:, same] = (total[end] - total[:count]) / (end - first)[:, None]
    return mean


def promising(table: Floats, units: Index) -> Bools:
    """(N,) targets of which a best plan without slews may take one.

    Of the visits of ``u`` slots at most ``T // u`` fit into a night, so that those are enough that are, for some slot,
    among the best ``T // u`` of that length.
    """
    keep, good = np.zeros(table.shape[1], bool), (table > 0).any(axis=0)
    for length in np.unique(units[good]):
        same = np.flatnonzero(good & (units == length))
        most = len(table) // int(length)
        if len(same) > most:
            best = np.argpartition(-table[:, same], most - 1, axis=1)[:, :most]
            same = same[np.unique(best)]
        keep[same] = True
    return keep
