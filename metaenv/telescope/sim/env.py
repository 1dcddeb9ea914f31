"""TargetSelection: nights under a hidden sky, for a hidden science programme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from metaenv.env import MetaEnv
from metaenv.rng import BLOCK, Stream
from metaenv.tasks import TaskBatch
from metaenv.telescope.sim.ephemeris import Vector, dot, illuminated_fraction, night_limits
from metaenv.telescope.sim.exposure import (
    OVERHEAD_S,
    ZERO_POINT_MAG,
    electrons_per_second,
    exposure_seconds,
    quality,
)
from metaenv.telescope.sim.prefetch import NightsAhead, StreamAhead
from metaenv.telescope.sim.targets import (
    CLASSES,
    FEATURES,
    N_CLASSES,
    NORMALS,
    UNIFORMS,
    Targets,
    draw_targets,
    values,
)
from metaenv.telescope.sim.visibility import (
    Conditions,
    Night,
    Singles,
    cell_snr,
    conditions,
    expected_snr,
    prepare,
    slots,
)
from metaenv.telescope.sim.weather import (
    CLOSED,
    OVERNIGHT_HOURS,
    Weather,
    bank_path,
    clear_weather,
    closed_fraction,
    cloud_extinction,
    cloud_path,
    cloud_stationary,
    cloud_transition,
    draw_state,
    next_night,
    seeing_path,
)
from metaenv.telescope.tasks import MJD, NIGHT_SETUPS, NightSetup, TargetSelectionDistribution, Variant
from metaenv.typing import Bools, Floats, Index, Rows
from metaenv.vector import BatchedEnv, Info, Observations

if TYPE_CHECKING:
    from metaenv.telescope.render import Scene

NOMINAL_EXTINCTION, NOMINAL_DARK_MAG, NOMINAL_SEEING = 0.15, 21.5, 0.9
"""What a planner assumes of every sky: mag per airmass, V mag/arcsec^2, arcsec (chosen: about the middle of tasks)."""
DUST_NIGHTS, DUST_MAG = 0.1, (0.1, 0.4)
"""Share of nights with dust, and the extinction in mag per airmass that it adds (as in a summer on La Palma)."""
REVISIT_SD = 0.6  # of ln(time since the last visit) about the best one (chosen)
SHOWN_MAG = 20.0
LIMIT = 16.0  # of observations; nothing reaches it
LOSS_RANGE = (-2.0, 6.0)  # mag, of the measured loss of light
FAINTEST_REWARD = 1e-4
LEFT_AT_END = 10_000  # slots: nothing is open after the last one

SKY = ("east", "north", "up", "cos(moon separation)", "ln(1 + nominal SNR)", "slots left")
FACTS = ("magnitude - 20", *CLASSES, *FEATURES)
STATE = ("slew / min", "open", "visits")
REVISIT_STATE = ("days since last visit", "last reward")
GLOBALS = (
    "slot", "sin(sidereal time)", "cos(sidereal time)", "moon east", "moon north", "moon up",
    "night", "moon phase", "slot hours", "action was legal", "exposed", "dome shut", "seeing - 0.9", "loss of light",
    "ln(1 + SNR)", "ln(1 + nominal SNR)", "reward", "log10(reward)", *CLASSES, *FEATURES,
)  # fmt: skip
TIMELINE = 6
"""The first so many globals depend on night and slot only; those from "action was legal" on tell of the last slot."""
_NIGHT, _TOLD = GLOBALS.index("night"), GLOBALS.index("action was legal")


@dataclass(frozen=True)
class Layout:
    """Where things stand in an observation: ``per_target`` rows of ``targets`` numbers, then ``globals_``.

    ``seen[:, : rows * targets].reshape(n, rows, targets)`` is a picture of the targets, a feature a row.
    """

    targets: int
    per_target: tuple[str, ...]
    globals_: tuple[str, ...] = GLOBALS

    @property
    def rows(self) -> int:
        """Features of a target."""
        return len(self.per_target)

    @property
    def size(self) -> int:
        """Numbers of an observation."""
        return self.rows * self.targets + len(self.globals_)

    def split(self, observation: Observations) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Views of observations (n, d or longer, as a trial's): targets (n, rows, targets) and globals (n, g)."""
        end = self.rows * self.targets
        targets = observation[:, :end].reshape(len(observation), self.rows, self.targets)
        return targets, observation[:, end : end + len(self.globals_)]

    def row(self, name: str) -> int:
        """Which feature of a target is called ``name``."""
        return self.per_target.index(name)


class TargetSelectionVectorEnv(BatchedEnv):
    """``num_envs`` telescopes, each observing for a hidden programme; see `TargetSelectionEnv`."""

    trial_objective: ClassVar[str] = "sum"
    looks_ahead: bool = True
    """Whether a single telescope's nights may be made ready before they begin, see `metaenv.telescope.sim.prefetch`;
    False where a subclass draws other random numbers."""

    def __init__(
        self,
        num_envs: int = 1,
        variant: Variant = "default",
        reveal: bool = False,
        split: str = "train",
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        plan: NightSetup | None = None,
    ) -> None:
        distribution = TargetSelectionDistribution(variant)
        plan = plan or NIGHT_SETUPS[variant]
        state = (*STATE, *REVISIT_STATE) if plan.revisits else STATE
        layout = Layout(plan.targets, (*SKY, *FACTS, *state))
        super().__init__(
            num_envs,
            distribution,
            gym.spaces.Box(-LIMIT, LIMIT, (layout.size,), np.float32),
            gym.spaces.Discrete(len(plan.lengths) * plan.targets + 1),
            split,
            autoreset_mode,
            render_mode,
        )
        self.variant: Variant = variant
        self.plan: NightSetup = plan
        self.layout = layout
        self.reveal = reveal
        self.trial_episodes = plan.nights  # type: ignore[misc]
        if plan.lengths == (1,):
            self.episode_length = plan.slots
        self._sky_end, self._facts_end = len(SKY), len(SKY) + len(FACTS)
        n, t, k = num_envs, plan.slots, plan.targets
        self._index = np.arange(n)
        self.slot = np.zeros(n, np.intp)
        """(n,) the slot that comes next."""
        self.night_number = np.zeros(n, np.intp)
        """(n,) nights of the present task begun before this one."""
        self.nights_begun = np.zeros(n, np.intp)
        """(n,) nights begun in all: when it changes, so have the tables."""
        self._lengths = np.array([*plan.lengths, 1])
        self._state = np.zeros((n, len(state), k), np.float32)
        self._timeline = np.zeros((n, t + 1, TIMELINE), np.float32)
        self._shut_and_seeing = np.zeros((n, t, 2), np.float32)
        self._rate = np.zeros((n, k))  # electrons/s of targets above the atmosphere
        self._speed, self._settle = np.zeros((n, 1), np.float32), np.zeros((n, 1), np.float32)  # rad/min, min
        self._globals = np.zeros((n, len(GLOBALS)), np.float32)
        self._facts = np.zeros((n, len(FACTS), k), np.float32)
        self._last_visit = np.zeros((n, k))  # JD
        self._pointing = np.zeros((n, 3), np.float32)
        self._score = np.zeros(n)
        self._night_level, self._last_cloud = np.zeros(n), np.zeros(n, np.int8)
        self._chain, self._overnight = np.zeros((n, 3, 3)), np.zeros((n, 3, 3))
        self._stationary = np.zeros((n, 3))
        self._first_night = np.zeros((n, 2))  # JD of its ends
        self.night: Night | None = None
        self._ahead = NightsAhead(self) if n == 1 and self.looks_ahead and not plan.revisits else None
        self._log: list[list[tuple[int, int, int, float]]] = [[] for _ in range(n)]
        """What was done tonight, for pictures: slot, target (-1: waited), slots taken, reward."""
        self._scores: list[list[float]] = [[] for _ in range(n)]
        """Of the task's earlier nights."""
        self.names: tuple[str, ...] = ()
        """Of the targets, where they are a user's own."""

    @property
    def entity_layout(self) -> tuple[int, int]:
        """Features of a target and number of targets: the observation begins with them, a feature after the other."""
        return self.layout.rows, self.layout.targets

    @property
    def _slew(self) -> Singles:
        """(n, N) minutes to move to each target: a view, as are the next two."""
        return self._state[:, 0]

    @property
    def _open(self) -> Singles:
        """(n, N) 1 where a target may be chosen."""
        return self._state[:, 1]

    @property
    def _visits(self) -> Singles:
        """(n, N) how often each target was exposed."""
        return self._state[:, 2]

    # EPISODES

    def seed_rows(self, seeds: Sequence[int | None]) -> None:
        fresh = not self._seeded
        super().seed_rows(seeds)
        if self._ahead is None:
            return
        if fresh:
            t, k = self.plan.slots, self.plan.targets
            self.noise: Stream = StreamAhead(self.noise, [*_pieces(2 * t + 1), *_pieces(NORMALS * k)])
            self.dynamics: Stream = StreamAhead(self.dynamics, [*_pieces(t + 3), *_pieces(UNIFORMS * k)])
        elif seeds[0] is not None:
            self._ahead.forget()

    def draw_tasks(self, rows: Rows) -> TaskBatch:
        tasks = super().draw_tasks(rows)
        if self._ahead is not None:
            self._ahead.expect(tasks)
        return tasks

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        super().set_tasks(rows, tasks)
        if self.render_mode:
            for row in self._index[rows]:
                self._scores[row], self._log[row] = [], []
        if self._ahead is not None and self._ahead.move(tasks):
            return
        latitude, longitude = np.radians(tasks.latitude_deg), np.radians(tasks.longitude_deg)
        evening = tasks.evening_mjd + MJD
        dusk, dawn = night_limits(evening, latitude, longitude)
        self._first_night[rows] = np.stack([dusk, dawn], axis=1)
        closed = closed_fraction(evening, latitude, tasks.cloud_log_odds)
        # Once a task: nights and seasons change little within a week.
        hours = np.concatenate([(dawn - dusk) * (24 / self.plan.slots), np.full(len(closed), OVERNIGHT_HOURS)])
        self._chain[rows], self._overnight[rows] = np.split(cloud_transition(np.tile(closed, 2), hours), 2)
        self._stationary[rows] = cloud_stationary(closed)
        self._speed[rows, 0], self._settle[rows, 0] = np.radians(tasks.slew_deg_s) * 60, tasks.settle_s / 60
        self.night_number[rows] = -1
        self._globals[rows] = 0

    def begin(self, rows: Rows) -> None:
        index, plan = self._index[rows], self.plan
        if self._ahead is not None and self._ahead.begins():
            self.nights_begun += 1
            return
        if self.render_mode:
            for row in index:
                if self.night_number[row] >= 0:
                    self._scores[row].append(float(self._score[row]))
                self._log[row] = []
        self.night_number[rows] += 1
        self.nights_begun[rows] += 1
        tasks = self.tasks.take(rows)
        latitude, longitude = np.radians(tasks.latitude_deg), np.radians(tasks.longitude_deg)
        if self.night_number[rows].any():
            dusk, dawn = night_limits(tasks.evening_mjd + MJD + self.night_number[rows], latitude, longitude)
        else:
            dusk, dawn = self._first_night[rows].T.copy()
        start, hours = slots(dusk, dawn, plan.slots)
        whole = isinstance(rows, slice)
        weather, extinction = self._draw_weather(rows, tasks, hours)
        targets = self._draw_targets(rows, tasks, latitude, longitude, start, hours)
        old = self.night if whole else None
        night = prepare(targets.ra, targets.dec, latitude, longitude, start, hours, out=old)
        air = conditions(night, extinction, tasks.dark_sky_mag, weather, out=self.air if old else None)
        nominal = nominal_conditions(night, out=self.nominal if old else None)
        snr = nominal_snr(night, nominal, targets.magnitude, out=self.log_snr if old else None)
        np.log1p(snr, out=snr)
        left = night.slots_left()
        if whole:
            self.night, self.weather, self.targets, self.air, self.nominal = night, weather, targets, air, nominal
            self.log_snr, self.left = snr, left
            self.value = self._values(tasks, targets)
        else:
            assert self.night is not None
            for mine, new in (
                (self.night, night), (self.weather, weather), (self.targets, targets), (self.air, air),
                (self.nominal, nominal),
            ):  # fmt: skip
                mine.assign(rows, new)  # type: ignore[arg-type]
            self.log_snr[rows], self.left[rows] = snr, left
            self.value[rows] = self._values(tasks, targets)
        self._rate[rows] = electrons_per_second(targets.magnitude, tasks.zero_point_mag[:, None])
        self._write_timeline(rows, night, weather)
        self._reset_state(rows, index)

    def _values(self, tasks: TaskBatch, targets: Targets) -> Floats:
        """(n, N) what a perfect exposure of each target is worth."""
        return values(tasks, targets)

    def _write_timeline(self, rows: Rows, night: Night, weather: Weather) -> None:
        """What a step reads of the night and its weather."""
        count = self.plan.slots
        for j, column in enumerate((np.sin(night.lst), np.cos(night.lst), *night.moon)):
            self._timeline[rows, :count, 1 + j] = column
        self._timeline[rows, count] = self._timeline[rows, count - 1]  # after the last slot
        self._timeline[rows, :, 0] = np.arange(count + 1) / count
        self._shut_and_seeing[rows, :, 0] = weather.cloud == CLOSED
        self._shut_and_seeing[rows, :, 1] = weather.seeing - NOMINAL_SEEING

    def _draw_weather(self, rows: Rows, tasks: TaskBatch, hours: Floats) -> tuple[Weather, Floats]:
        """The night's weather, and its extinction (n,)."""
        t, first = self.plan.slots, self.night_number[rows] == 0
        normal = _draw(self.noise, rows, 2 * t + 1)
        uniform = _draw(self.dynamics, rows, t + 3)
        level = np.where(first, normal[:, 0], next_night(self._night_level[rows], normal[:, 0]))
        self._night_level[rows] = level
        before = self._overnight[self._index[rows], self._last_cloud[rows].astype(np.intp)]
        state = draw_state(np.where(first[:, None], self._stationary[rows], before), uniform[:, 0])
        cloud = cloud_path(state, self._chain[rows], uniform[:, 3:])
        self._last_cloud[rows] = cloud[:, -1]
        dust = np.where(uniform[:, 1] < DUST_NIGHTS, DUST_MAG[0] + (DUST_MAG[1] - DUST_MAG[0]) * uniform[:, 2], 0.0)
        weather = Weather(
            seeing_path(tasks.seeing_arcsec, level, normal[:, 1 : 1 + t], hours),
            cloud,
            cloud_extinction(cloud, normal[:, 1 + t :], hours),
            tasks.bank_mag.copy(),
            bank_path(tasks.bank_azimuth_rad, tasks.bank_drift_rad_h, hours, t),
        )
        return weather, tasks.extinction_mag + dust

    def _draw_targets(
        self, rows: Rows, tasks: TaskBatch, latitude: Floats, longitude: Floats, start: Floats, hours: Floats
    ) -> Targets:
        """A list for each of ``rows``; with revisits that of the task's first night."""
        if self.plan.revisits and not (fresh := self.night_number[rows] == 0).all():
            again = self.targets.take(self._index[rows])
            if not fresh.any():
                return again
            some = np.flatnonzero(fresh)
            new = self._fresh_targets(
                self._index[rows][some], tasks.take(some), latitude[some], longitude[some], start[some], hours[some]
            )
            again.assign(some, new)
            return again
        return self._fresh_targets(rows, tasks, latitude, longitude, start, hours)

    def _fresh_targets(
        self, rows: Rows, tasks: TaskBatch, latitude: Floats, longitude: Floats, start: Floats, hours: Floats
    ) -> Targets:
        k = self.plan.targets
        uniform = _draw(self.dynamics, rows, UNIFORMS * k).reshape(-1, UNIFORMS, k)
        normal = _draw(self.noise, rows, NORMALS * k).reshape(-1, NORMALS, k)
        lst = sidereal_ends(start, hours, longitude)
        return draw_targets(uniform, normal, tasks.purity, latitude, lst, self.plan.magnitude)

    def _reset_state(self, rows: Rows, index: Index) -> None:
        """The telescope parks at the zenith, and nothing was visited tonight."""
        assert self.night is not None
        targets = self.targets
        self.slot[rows] = 0
        self._score[rows] = 0
        self._pointing[rows] = np.stack([c[rows] for c in self.night.zenith], axis=1)
        facts = self._facts
        facts[rows, 0] = targets.magnitude[rows] - SHOWN_MAG
        facts[rows, 1 : 1 + N_CLASSES] = targets.label[rows][:, None] == np.arange(N_CLASSES)[:, None]
        facts[rows, 1 + N_CLASSES :] = targets.features[rows]
        old = self.night_number[rows] > 0
        new = index[~old] if self.plan.revisits else index
        self._state[new] = 0
        told = (
            np.minimum(self.night_number[rows] / self.plan.nights, 1.0),
            illuminated_fraction(self.night.phase_angle[rows]),
            self.night.hours[rows],
        )
        self._globals[rows, _NIGHT:_TOLD] = np.stack(told, axis=1)
        self._look(rows)

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        # Plain numbers instead of arrays of one: the same rules in a third of the time.
        one, plan = self.num_envs == 1, self.plan
        index: Any = 0 if one else self._index[rows]
        slot = self.slot[index]
        played = np.asarray(action, np.intp)
        kind, target = divmod(int(played[0]), plan.targets) if one else np.divmod(played, plan.targets)
        units, exposing = self._lengths[kind], kind < len(plan.lengths)
        allowed = (self._open[index, target] > 0) & (self.left[index, slot, target] >= units) & exposing
        units = np.maximum(units * allowed, 1)
        snr = self._expose(index, slot, target, units)
        exposed = allowed & (snr > 0)
        worth = self.value[index, target] * quality(snr, self.tasks.snr_needed[index])
        if plan.revisits:
            worth = worth * self._novelty(index, slot, target)
        reward = worth * exposed / plan.unit
        self._tell((index, slot, target), allowed | (kind == len(plan.lengths)), exposed, snr, units, reward)
        self._remember(index, slot, target, reward, exposed)
        if self.render_mode:
            done_now = (np.atleast_1d(a) for a in (index, slot, target, units, reward, exposed))
            for i, t, k, u, r, e in zip(*done_now, strict=True):
                self._log[i].append((int(t), int(k) if e else -1, int(u), float(r)))
        self.slot[index] = slot = slot + units
        self._score[index] += reward
        self._look(rows)
        done = slot >= plan.slots
        if one:
            reward, done = np.array([reward]), np.array([done])
        return reward, done, np.zeros(done.shape, bool)

    def _expose(self, index: Any, slot: Any, target: Any, units: Any) -> Any:
        """Signal-to-noise (m,), or one number for one sub-environment, as in all of these.

        An exposure of several slots is read out after each, and the parts are added: squares of the SNR add.
        """
        assert self.night is not None
        rate, zero_point = self._rate[index, target], self.tasks.zero_point_mag[index]
        hours, slew = self.night.hours[index], self._slew[index, target] * 60.0
        seconds = exposure_seconds(hours, slew)
        snr = cell_snr(self.night, self.air, (index, slot, target), rate, zero_point, seconds)
        if self.plan.lengths == (1,):
            return snr
        squared, seconds = snr * snr, exposure_seconds(hours, 0.0)
        for part in range(1, int(np.max(units))):
            cell = (index, np.minimum(slot + part, self.plan.slots - 1), target)
            squared += np.square(cell_snr(self.night, self.air, cell, rate, zero_point, seconds * (part < units)))
        return np.sqrt(squared)

    def _novelty(self, index: Any, slot: Any, target: Any) -> Any:
        """(m,) 1 for a first visit, and for another what the time since the last one makes of it."""
        assert self.night is not None
        gap = np.maximum((self.night.start[index, slot] - self._last_visit[index, target]) * 24, 1e-3)
        again = revisit_worth(gap, self.tasks.cadence_hours[index], self.tasks.cadence_weight[index])
        return np.where(self._visits[index, target] > 0, again, 1.0)

    def _remember(self, index: Any, slot: Any, target: Any, reward: Any, exposed: Any) -> None:
        """Where the telescope points now, and which targets were visited."""
        assert self.night is not None
        if self.num_envs == 1:
            if not exposed:
                return
            i, k = index, target
        else:
            i, slot, k, reward = (a[exposed] for a in (index, slot, target, reward))
        for j, c in enumerate(self.night.targets):
            self._pointing[i, j] = c[i, k]
        self._visits[i, k] = np.minimum(self._visits[i, k] + 1, LIMIT)
        if self.plan.revisits:
            self._last_visit[i, k] = self.night.start[i, slot]
            self._state[i, len(STATE) + 1, k] = np.minimum(reward, LIMIT)

    def _tell(self, cell: tuple[Any, Any, Any], legal: Any, exposed: Any, snr: Any, units: Any, reward: Any) -> None:
        """Write what the last slot told into the globals."""
        index, _, target = cell
        if self.num_envs == 1 and not exposed:
            told = self._globals[0, _TOLD:]
            told[0], told[1], told[2], told[3:] = legal, exposed, self._shut_and_seeing[cell[:2]][0], 0
            return
        told = np.empty((*np.shape(index), len(GLOBALS) - _TOLD), np.float32)
        told[..., 0], told[..., 1] = legal, exposed
        told[..., 2:4] = self._shut_and_seeing[cell[:2]]
        arrived = self.air.transmission[cell] / np.maximum(self.nominal.transmission[cell], np.float32(1e-6))
        zero_point = self.tasks.zero_point_mag[index]
        loss = ZERO_POINT_MAG - zero_point - 2.5 * np.log10(np.maximum(arrived, np.float32(1e-9)))
        told[..., 4] = np.minimum(np.maximum(loss, LOSS_RANGE[0]), LOSS_RANGE[1])
        told[..., 5] = np.log1p(snr)
        told[..., 6] = np.log1p(np.sqrt(units) * np.expm1(self.log_snr[cell]))
        told[..., 7] = np.minimum(reward, LIMIT)
        told[..., 8] = np.log10(np.maximum(reward, FAINTEST_REWARD)) + 2.0
        told[..., 9:] = self._facts[index, 1:, target]
        told[..., 3:] *= exposed[..., None]
        self._globals[index, _TOLD:] = told

    def _look(self, rows: Rows) -> None:
        """What stands where at the beginning of the next slot: slews, what is open, and the globals."""
        assert self.night is not None
        night, last = self.night, self.plan.slots - 1
        # Where all rows are meant, slices are quicker than indices.
        where: Any = 0 if self.num_envs == 1 else rows
        index: Any = 0 if self.num_envs == 1 else self._index[rows]
        after = self.slot[where]
        slot = np.minimum(after, last)
        pointing = self._pointing[where]
        towards = Vector(pointing[..., 0:1], pointing[..., 1:2], pointing[..., 2:3])
        targets = Vector(*(c[where] for c in night.targets))
        cosine = np.minimum(np.maximum(dot(targets, towards), np.float32(-1)), np.float32(1))
        self._slew[where] = np.arccos(cosine) / self._speed[where] + self._settle[where]
        standing = self.left[index, slot] > (LEFT_AT_END * (after > last))[..., None]
        if self.plan.revisits:
            days = night.start[index, slot][..., None] - self._last_visit[where]
            self._state[where, len(STATE)] = np.minimum(days, LIMIT) * (self._visits[where] > 0)
        else:
            standing &= self._visits[where] == 0
        self._open[where] = standing
        self._globals[where, :TIMELINE] = self._timeline[index, after]

    # WHAT IS SEEN

    def observe(self, rows: Rows) -> Observations:
        assert self.night is not None
        index, layout = self._index[rows], self.layout
        slot = np.minimum(self.slot[rows], self.plan.slots - 1)
        seen = np.empty((len(index), layout.size), np.float32)
        targets, globals_ = layout.split(seen)
        # Where all telescopes are in the same slot, tables are read as they stand.
        t: Any = int(slot[0]) if len(slot) and (len(slot) == 1 or (slot == slot[0]).all()) else slot
        who: Any = rows if isinstance(t, int) else index
        targets[:, :4] = self.night.directions[who, :, t]
        targets[:, 4] = self.log_snr[who, t]
        targets[:, 5] = self.left[who, t] * np.float32(1 / self.plan.slots)
        targets[:, self._sky_end : self._facts_end] = self._facts[rows]
        targets[:, self._facts_end :] = self._state[rows]
        globals_[:] = self._globals[rows]
        return seen

    def mask(self, rows: Rows) -> NDArray[np.int8]:
        plan, index = self.plan, self._index[rows]
        mask = np.ones((len(index), len(plan.lengths) * plan.targets + 1), np.int8)
        is_open = self._open[rows] > 0
        if plan.lengths == (1,):
            mask[:, :-1] = is_open
            return mask
        left = self.left[index, np.minimum(self.slot[rows], plan.slots - 1)]
        for j, length in enumerate(plan.lengths):
            mask[:, j * plan.targets : (j + 1) * plan.targets] = is_open & (left >= length)
        return mask

    def report(self, rows: Rows) -> Info:
        return {"score": self._score[rows].copy()}

    def text(self, row: int) -> str:
        from metaenv.telescope.render import text

        return text(self._scene(row))

    def frame(self, row: int) -> NDArray[np.uint8]:
        from metaenv.telescope.render import frame

        return frame(self._scene(row))

    def _scene(self, row: int) -> Scene:
        from metaenv.telescope.render import scene

        return scene(self, row)


def nominal_conditions(night: Night, out: Conditions | None = None) -> Conditions:
    """What a planner assumes of a night, whatever the task."""
    n, t = night.lst.shape
    k, dark, seeing = (np.full(n, x) for x in (NOMINAL_EXTINCTION, NOMINAL_DARK_MAG, NOMINAL_SEEING))
    return conditions(night, k, dark, clear_weather(seeing, t), out=out)


def nominal_snr(night: Night, air: Conditions, magnitude: Floats, out: Singles | None = None) -> Singles:
    """(n, T, N) of one slot without a slew, for a planner."""
    seconds = exposure_seconds(night.hours, 0.0, OVERHEAD_S)
    return expected_snr(night, air, magnitude, np.full(len(night.hours), ZERO_POINT_MAG), seconds, out=out)


def revisit_worth(gap_hours: Any, best_hours: Any, weight: Any) -> Any:
    """What a visit is worth ``gap_hours`` after the last: ``weight`` at ``best_hours``, log-normal about it."""
    return weight * np.exp(-0.5 * np.square(np.log(gap_hours / best_hours) / REVISIT_SD))


def sidereal_ends(start: Floats, hours: Floats, longitude: Floats) -> Floats:
    """(n, 2) sidereal time at the beginning of the first and the end of the last slot, the latter the larger."""
    from metaenv.telescope.sim.ephemeris import sidereal_time

    first = sidereal_time(start[:, 0], longitude)
    return np.stack([first, first + hours * start.shape[1] * (2 * np.pi * 1.00273791 / 24)], axis=1)


def _pieces(k: int, block: int = BLOCK) -> list[int]:
    """The draws that give ``k`` numbers of a stream, which gives no more than a block at once."""
    return [min(block, k - i) for i in range(0, k, block)]


def _draw(stream: Stream, rows: Rows, k: int) -> Floats:
    """The next ``k`` numbers of each stream, also more than a block holds."""
    parts = [stream.draw(rows, piece) for piece in _pieces(k, stream.block)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


class TargetSelectionEnv(MetaEnv):
    """Choose what a telescope observes: one episode is one night, a trial several nights for the same hidden programme.

    Every night brings a fresh list of targets, far more than there is time for. What a target is worth depends on a
    hidden science programme, and what an exposure of it yields on a hidden sky and instrument. Both stay the same over
    the trial's nights and can be learned from the rewards.

    Observation: ``Box(1373,)`` in the default variant: for each of 64 targets 21 numbers, a feature after the other
    (``observation[:1344].reshape(21, 64)``), and 29 numbers on the night; names and places are in `Layout` (attribute
    ``layout`` of the batched environment). Of a target: direction (east, north, up), cosine of its separation from the
    moon, ln(1 + signal-to-noise) of one slot under a nominal sky and instrument, share of the night until it sets;
    V magnitude less 20, photometric class (one-hot, 8), colour, age and host offset (standardised); minutes to slew
    there, whether it may be chosen, visits. Of the night: share of it that is over, sidereal time (sine, cosine), the
    moon's direction, which night of the trial, the moon's illuminated fraction, hours of a slot; and of the last slot,
    also across the end of a night: was the action legal, was light collected, was the dome shut, seeing at the zenith
    less 0.9 arcsec, loss of light against nominal in mag, ln(1 + signal-to-noise) measured and nominal, the reward and
    its logarithm to base 10 plus 2, class and features of the target. Targets are in the order in which they stand
    high, so the list means something to a flat network too; a network over targets may treat them as a set.

    Action: ``Discrete(65)``: the target of the next slot, or to wait (64). ``info["action_mask"]`` allows what stands
    above 27 deg and was not visited; a masked action waits. With several exposure lengths (variant ``depth``) action
    ``j * targets + k`` exposes target ``k`` for ``lengths[j]`` slots, and the last one waits.

    Reward: value times quality of the exposure, in units in which the task oracle earns about 1 a night. The value is
    ``class_value[true class] * exp(w.f - |w|^2 / 2)``, 1 for the average target; the photometric class is right with
    probability ``purity``, else the true one is another by its share. Quality is 1 / (1 + (needed / SNR)^4). The SNR
    follows from extinction, seeing, clouds, the moon, the dark sky, and from the time that the slew leaves of the slot.
    Under a closed sky the dome is shut: nothing is earned, and the target may be visited later. With revisits (variant
    ``cadence``) a visit again is worth ``cadence_weight * exp(-ln(gap / cadence_hours)^2 / (2 * 0.6^2))`` of the first.
    ``info["score"]`` is the night's scientific value so far: the sum of its rewards.

    Episode end: terminated when the slots of the night are used up; slots are equal parts of the time between the ends
    of astronomical twilight. Nights of a trial follow each other; clouds and seeing carry over.

    Task: `metaenv.telescope.tasks.TargetSelectionTask`: class values, feature weights, label purity, SNR needed, zero
    point, extinction, dark sky, seeing, cloudiness, cloud bank, mount, cadence, site and date, with ranges and their
    sources. Splits: train, validation, test, ood-site, ood-season, ood-programme, ood-purity, ood-all; see
    `TargetSelectionDistribution`.

    References: random, uniform over what is allowed; oracle, greedy by expected value times expected quality for one
    who knows the task, but neither true classes nor the weather to come. Both are played on the same nights. The oracle
    looks one exposure ahead, so it can be beaten: by one who sees what tonight's weather is like, and by planning.

    Arguments: ``variant`` ("default": 24 slots, 64 targets, five nights; "depth": 48 slots, an exposure takes 1, 2 or
    4, fainter targets, three nights; "cadence": 40 slots, 32 targets that are the same every night and may be visited
    again, four nights; "full": 80 slots, 200 targets, three nights), ``reveal`` (whether pictures show the site and
    what the classes are worth), ``split``, ``plan`` (slots, targets, nights and exposures of one's own, instead of the
    variant's; for one's own targets see `metaenv.telescope.planner.custom_targets.OwnTargetsEnv`).

    Version history: v0, first release.
    """

    batched: ClassVar[type[BatchedEnv]] = TargetSelectionVectorEnv
