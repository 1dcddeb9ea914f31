"""TargetSelection: nights under a hidden sky, for a hidden science programme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.env import MetaEnv
from metaenv.rng import Stream
from metaenv.tasks import TaskBatch
from metaenv.telescope.sim.almanac import almanac as almanac_of
from metaenv.telescope.sim.ephemeris import Vector, dot, illuminated_fraction
from metaenv.telescope.sim.exposure import electrons_per_second
from metaenv.telescope.sim.layout import (
    ALMANAC,
    FACTS,
    GLOBALS,
    LAST_SLOT,
    LIMIT,
    LOG,
    NIGHT_GLOBALS,
    REVISIT_STATUS,
    SHOWN_MAG,
    SKY,
    STATUS,
    TIMELINE,
    WORTH,
    Layout,
)
from metaenv.telescope.sim.nights import (
    begin_tasks,
    draw_many,
    draw_weather,
    dusk_and_dawn,
    pieces,
    targets_of_night,
    weather_sizes,
    write_timeline,
)
from metaenv.telescope.sim.nominal import nominal_conditions, nominal_snr
from metaenv.telescope.sim.prefetch import NightPrefetcher, PeekableStream
from metaenv.telescope.sim.reward import Cell, expose, told_of_slot
from metaenv.telescope.sim.state import NightState
from metaenv.telescope.sim.targets import N_CLASSES, NORMALS, UNIFORMS, Targets, values
from metaenv.telescope.sim.visibility import Night, Singles, conditions, prepare, slots
from metaenv.telescope.sim.weather import Weather
from metaenv.telescope.tasks import NIGHT_SETUPS, NightSetup, TargetSelectionDistribution, ValuesKnown, Variant
from metaenv.typing import Bools, Floats, Index, Rows
from metaenv.vector import BatchedEnv, EnvOptions, Info, Observations

if TYPE_CHECKING:
    from metaenv.policies import Policy
    from metaenv.telescope.render import Exposure, Scene

LEFT_AT_END = 10_000  # slots: nothing is open after the last one
_SKY_END, _FACTS_END = len(SKY), len(SKY) + len(FACTS)
_TOLD = GLOBALS[LAST_SLOT]
_AT_ONCE = [i for i, name in enumerate(_TOLD) if name not in WORTH]
_IN_LOG = [_TOLD.index(name) for name in LOG]


class TargetSelectionVectorEnv(BatchedEnv):
    """``num_envs`` telescopes, each observing for a hidden programme; see `TargetSelectionEnv`."""

    trial_objective: ClassVar[str] = "sum"
    best_fixed: ClassVar[str | None] = "best fixed rule"
    prefetches: bool = True
    """Whether the nights of a single telescope may be prefetched, see `metaenv.telescope.sim.prefetch`; False where a
    subclass draws other random numbers."""

    def __init__(
        self,
        num_envs: int = 1,
        variant: Variant = "faint",
        setup: NightSetup | None = None,
        values: ValuesKnown | None = None,
        almanac: bool | None = None,
        **options: Unpack[EnvOptions],
    ) -> None:
        distribution = TargetSelectionDistribution(variant, values)
        values = distribution.known
        setup = setup or NIGHT_SETUPS[variant]
        if at_dawn := values == "dawn":
            setup.check_single_visits("values='dawn'")
        status = (*STATUS, *REVISIT_STATUS) if setup.revisits else STATUS
        told = tuple(name for name in GLOBALS if not (at_dawn and name in WORTH))
        almanac = at_dawn if almanac is None else almanac
        rows = (*SKY, *FACTS, *status, *(ALMANAC if almanac else ()))
        layout = Layout(setup.targets, rows, told, setup.slots * at_dawn)
        super().__init__(
            num_envs,
            distribution,
            layout,
            gym.spaces.Discrete(len(setup.lengths) * setup.targets + 1),
            **options,
        )
        self.variant: Variant = variant
        self.setup: NightSetup = setup
        self.values: ValuesKnown = values
        self.at_dawn, self.almanac = at_dawn, almanac
        self.reports_at_end, self.report_columns = at_dawn, layout.log if at_dawn else None  # type: ignore[misc]
        self.layout = layout
        self.trial_episodes = setup.nights  # type: ignore[misc]
        if setup.lengths == (1,):
            self.episode_length = setup.slots
        self.state = NightState.zeros(num_envs, setup, layout)
        self.nights_begun = np.zeros(num_envs, np.intp)
        """(n,) nights begun in all: when it changes, so have the tables."""
        self._index = np.arange(num_envs)
        self._lengths = np.array([*setup.lengths, 1])
        self._earned = np.zeros((num_envs, setup.slots), np.float32)
        self._prefetcher = NightPrefetcher(self) if num_envs == 1 and self.prefetches and not setup.revisits else None
        self._log: list[list[Exposure]] = [[] for _ in range(num_envs)]
        """What was done on the task, for pictures."""
        self._scores: list[list[float]] = [[] for _ in range(num_envs)]
        """Of the task's earlier nights."""
        self.names: tuple[str, ...] = ()
        """Of the targets, where a user gave them."""

    @property
    def entity_layout(self) -> tuple[int, int]:
        """Features of a target and number of targets: the observation begins with them, a feature after the other."""
        return self.layout.rows, self.layout.targets

    @property
    def report_layout(self) -> tuple[int, int] | None:
        """Features of a slot of the reduced log and number of slots, where a trial reports it."""
        return (len(LOG), self.layout.log_slots) if self.at_dawn else None

    def earned(self) -> Singles | None:
        """(n, T) what each slot of the last night that is over has earned, where it is paid at dawn."""
        return self._earned.copy() if self.at_dawn else None

    def baselines(self) -> Mapping[str, Policy]:
        from metaenv.telescope.baselines import baselines

        return baselines()

    # EPISODES

    def seed_rows(self, seeds: Sequence[int | None]) -> None:
        fresh = not self._seeded
        super().seed_rows(seeds)
        if self._prefetcher is None:
            return
        if fresh:
            k, (normals, uniforms) = self.setup.targets, weather_sizes(self.setup.slots)
            self.noise: Stream = PeekableStream(self.noise, [*pieces(normals), *pieces(NORMALS * k)])
            self.dynamics: Stream = PeekableStream(self.dynamics, [*pieces(uniforms), *pieces(UNIFORMS * k)])
        elif seeds[0] is not None:
            self._prefetcher.forget()

    def draw_tasks(self, rows: Rows) -> TaskBatch:
        tasks = super().draw_tasks(rows)
        if self._prefetcher is not None:
            self._prefetcher.task_drawn(tasks)
        return tasks

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        super().set_tasks(rows, tasks)
        if self.render_mode:
            for row in self._index[rows]:
                self._scores[row], self._log[row] = [], []
        if self._prefetcher is None or not self._prefetcher.task_set(tasks):
            begin_tasks(self.state, rows, tasks, self.setup.slots)

    def begin(self, rows: Rows) -> None:
        self.nights_begun[rows] += 1
        if self._prefetcher is not None and self._prefetcher.night_begins():
            return
        state, index = self.state, self._index[rows]
        if self.render_mode:
            for row in index:
                if state.night_number[row] >= 0:
                    self._scores[row].append(float(state.score[row]))
        state.night_number[rows] += 1
        tasks = self.tasks.take(rows)
        start, hours = slots(*self._dusk_and_dawn(rows, tasks), self.setup.slots)
        weather, extinction = self._draw_weather(rows, tasks, hours)
        targets = self._draw_targets(rows, tasks, start, hours)
        # Where all telescopes begin a night, its tables take the places of the old ones.
        old = state if isinstance(rows, slice) else None
        latitude, longitude = np.radians(tasks.latitude_deg), np.radians(tasks.longitude_deg)
        night = prepare(targets.ra, targets.dec, latitude, longitude, start, hours, out=old and old.night)
        air = conditions(night, extinction, tasks.dark_sky_mag, weather, out=old and old.air)
        nominal = nominal_conditions(night, out=old and old.nominal)
        snr = nominal_snr(night, nominal, targets.magnitude, out=old and old.log_snr)
        state.put(
            rows, night=night, weather=weather, targets=targets, air=air, nominal=nominal,
            log_snr=np.log1p(snr, out=snr), slots_left=self._slots_left(night), value=self._values(tasks, targets),
            rate=electrons_per_second(targets.magnitude, tasks.zero_point_mag[:, None]),
        )  # fmt: skip
        if self.almanac:
            state.put(rows, almanac=almanac_of(state.log_snr[rows], state.slots_left[rows]))
        write_timeline(state, rows, night, weather)
        self._reset_state(rows, index)

    def _dusk_and_dawn(self, rows: Rows, tasks: TaskBatch) -> tuple[Floats, Floats]:
        """JD at which tonight's slots begin and end, each (m,)."""
        return dusk_and_dawn(self.state, rows, tasks)

    def _slots_left(self, night: Night) -> NDArray[np.int16]:
        """(m, T, N) slots until a target may no longer be observed; 0 where an exposure must not begin."""
        return night.slots_left()

    def _units(self, kind: Any, target: Any) -> Any:
        """Slots that exposures take, by the kind of the action and the target."""
        return self._lengths[kind]

    def _expose(self, cell: Cell, units: Any, allowed: Any) -> tuple[Any, Any, Any]:
        """See `metaenv.telescope.sim.reward.expose`."""
        return expose(self.state, self.tasks, self.setup, cell, units, allowed)

    def _values(self, tasks: TaskBatch, targets: Targets) -> Floats:
        """(m, N) values of the targets, each that of a perfect exposure."""
        return values(tasks, targets)

    def _draw_weather(self, rows: Rows, tasks: TaskBatch, hours: Floats) -> tuple[Weather, Floats]:
        """Tonight's weather, and its extinction (m,)."""
        normals, uniforms = weather_sizes(self.setup.slots)
        normal, uniform = draw_many(self.noise, rows, normals), draw_many(self.dynamics, rows, uniforms)
        return draw_weather(self.state, rows, self._index[rows], tasks, hours, normal, uniform)

    def _draw_targets(self, rows: Rows, tasks: TaskBatch, start: Floats, hours: Floats) -> Targets:
        """A list for each of ``rows``; with revisits that of the task's first night."""
        if self.setup.revisits and not (fresh := self.state.night_number[rows] == 0).all():
            index, some = self._index[rows], np.flatnonzero(fresh)
            again = self.state.targets.take(index)
            if len(some):
                again.assign(some, self._fresh_targets(index[some], tasks.take(some), start[some], hours[some]))
            return again
        return self._fresh_targets(rows, tasks, start, hours)

    def _fresh_targets(self, rows: Rows, tasks: TaskBatch, start: Floats, hours: Floats) -> Targets:
        k = self.setup.targets
        normal, uniform = draw_many(self.noise, rows, NORMALS * k), draw_many(self.dynamics, rows, UNIFORMS * k)
        return targets_of_night(tasks, self.setup, start, hours, normal, uniform)

    def _reset_state(self, rows: Rows, index: Index) -> None:
        """Park the telescopes at the zenith, with nothing visited tonight."""
        state, targets = self.state, self.state.targets
        state.slot[rows] = 0
        state.score[rows] = 0
        if self.at_dawn:
            state.log[rows], state.globals_[rows, LAST_SLOT] = 0, 0
        state.pointing[rows] = np.stack([c[rows] for c in state.night.zenith], axis=1)
        facts = state.facts
        facts[rows, 0] = targets.magnitude[rows] - SHOWN_MAG
        facts[rows, 1 : 1 + N_CLASSES] = targets.label[rows][:, None] == np.arange(N_CLASSES)[:, None]
        facts[rows, 1 + N_CLASSES :] = targets.features[rows]
        new = index[state.night_number[rows] == 0] if self.setup.revisits else index
        state.status[new] = 0
        numbers = (
            np.minimum(state.night_number[rows] / self.setup.nights, 1.0),
            illuminated_fraction(state.night.phase_angle[rows]),
            state.night.hours[rows],
        )
        state.globals_[rows, NIGHT_GLOBALS] = np.stack(numbers, axis=1)
        self._write_slot(rows)

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        # A single telescope is played with plain numbers instead of arrays of one: a third faster (measured).
        one, setup, state = self.num_envs == 1, self.setup, self.state
        index: Any = 0 if one else self._index[rows]
        slot = state.slot[index]
        played = np.asarray(action, np.intp)
        kind, target = divmod(int(played[0]), setup.targets) if one else np.divmod(played, setup.targets)
        units, exposing = self._units(kind, target), kind < len(setup.lengths)
        allowed = (state.open[index, target] > 0) & (state.slots_left[index, slot, target] >= units) & exposing
        units = np.maximum(units * allowed, 1)
        cell = (index, slot, target)
        snr, exposed, reward = self._expose(cell, units, allowed)
        legal = allowed | (kind == len(setup.lengths))
        self._write_last_slot(cell, told_of_slot(state, self.tasks, cell, legal, exposed, snr, units, reward))
        self._point(cell, exposed, reward)
        if self.render_mode:
            from metaenv.telescope.render import exposure

            done_now = (np.atleast_1d(a).tolist() for a in (*cell, units, reward, exposed))
            for i, t, k, u, r, e in zip(*done_now, strict=True):
                self._log[i].append(exposure(self, i, t, k if e else -1, u, r))
        state.slot[index] = slot + units
        state.score[index] += reward
        self._write_slot(rows)
        done = self._over(rows)
        if self.at_dawn and done.any():
            over = self._index[rows][done]
            self._earned[over] = state.log[over, LOG.index("reward")]
        paid = state.score[rows] * done if self.at_dawn else np.atleast_1d(reward)
        return paid, done, np.zeros(done.shape, bool)

    def _over(self, rows: Rows) -> Bools:
        """(m,) whether the night is over."""
        return self.state.slot[rows] >= self.setup.slots

    def _point(self, cell: Cell, exposed: Any, reward: Any) -> None:
        """Point the telescopes at what they exposed, and count the visits."""
        if not exposed.any():
            return
        if np.ndim(exposed):
            cell, reward = (cell[0][exposed], cell[1][exposed], cell[2][exposed]), reward[exposed]
        state, (index, slot, target) = self.state, cell
        for j, c in enumerate(state.night.targets):
            state.pointing[index, j] = c[index, target]
        state.visits[index, target] = np.minimum(state.visits[index, target] + 1, LIMIT)
        if self.setup.revisits:
            state.last_visit[index, target] = state.night.start[index, slot]
            state.status[index, len(STATUS) + 1, target] = np.minimum(reward, LIMIT)

    def _write_last_slot(self, cell: Cell, numbers: Singles) -> None:
        """Write the globals that tell of the last slot, and the log."""
        if self.at_dawn:
            self.state.log[cell[0], :, cell[1]] = numbers[..., _IN_LOG]
            numbers = numbers[..., _AT_ONCE]
        self.state.globals_[cell[0], LAST_SLOT] = numbers

    def _write_slot(self, rows: Rows) -> None:
        """Write the slews, the open targets and the globals of the slot that comes next."""
        state, last, index = self.state, self.setup.slots - 1, self._index[rows]
        after = state.slot[rows]
        slot = np.minimum(after, last)
        pointing = state.pointing[rows]
        towards = Vector(pointing[:, 0:1], pointing[:, 1:2], pointing[:, 2:3])
        targets = Vector(*(c[rows] for c in state.night.targets))
        cosine = np.minimum(np.maximum(dot(targets, towards), np.float32(-1)), np.float32(1))
        state.slew[rows] = np.arccos(cosine) / state.speed[rows] + state.settle[rows]
        standing = state.slots_left[index, slot] > (LEFT_AT_END * (after > last))[:, None]
        if self.setup.revisits:
            days = state.night.start[index, slot][:, None] - state.last_visit[rows]
            state.status[rows, len(STATUS)] = np.minimum(days, LIMIT) * (state.visits[rows] > 0)
        else:
            standing &= state.visits[rows] == 0
        state.open[rows] = standing
        state.globals_[rows, :TIMELINE] = state.timeline[index, after]

    # WHAT IS SEEN

    def observe(self, rows: Rows) -> Observations:
        state, index, layout = self.state, self._index[rows], self.layout
        slot = np.minimum(state.slot[rows], self.setup.slots - 1)
        seen = np.empty((len(index), layout.width), np.float32)
        targets, globals_ = layout.split(seen)
        # Where all telescopes are in the same slot, tables are read as they stand.
        t: Any = int(slot[0]) if len(slot) and (len(slot) == 1 or (slot == slot[0]).all()) else slot
        who: Any = rows if isinstance(t, int) else index
        targets[:, :4] = state.night.directions[who, :, t]
        targets[:, 4] = state.log_snr[who, t]
        targets[:, 5] = state.slots_left[who, t] * np.float32(1 / self.setup.slots)
        targets[:, _SKY_END:_FACTS_END] = state.facts[rows]
        targets[:, _FACTS_END : _FACTS_END + state.status.shape[1]] = state.status[rows]
        if self.almanac:
            targets[:, -len(ALMANAC) :] = state.almanac[who, :, t]
        globals_[:] = state.globals_[rows]
        if self.at_dawn:
            log = state.log[rows] * self._over(rows)[:, None, None]
            seen[:, layout.log] = log.reshape(len(index), -1)
        return seen

    def mask(self, rows: Rows) -> NDArray[np.int8]:
        state, setup, index = self.state, self.setup, self._index[rows]
        mask = np.ones((len(index), len(setup.lengths) * setup.targets + 1), np.int8)
        is_open = state.open[rows] > 0
        if setup.lengths == (1,):
            mask[:, :-1] = is_open
            return mask
        left = state.slots_left[index, np.minimum(state.slot[rows], setup.slots - 1)]
        for j, length in enumerate(setup.lengths):
            mask[:, j * setup.targets : (j + 1) * setup.targets] = is_open & (left >= length)
        return mask

    def report(self, rows: Rows) -> Info:
        score = self.state.score[rows].copy()
        return {"score": score * self._over(rows) if self.at_dawn else score}

    def text(self, row: int) -> str:
        from metaenv.telescope.render import candidates, exposures, text

        return f"{text(self._scene(row), exposures(self, row))}\n{candidates(self, row)}"

    def frame(self, row: int) -> NDArray[np.uint8]:
        from metaenv.telescope.render import frame

        return frame(self._scene(row))

    def _scene(self, row: int) -> Scene:
        from metaenv.telescope.render import scene

        return scene(self, row)


class TargetSelectionEnv(MetaEnv):
    """Choose what a telescope observes: an episode is a night, a trial several nights for the same hidden programme.

    Every night offers a new list of targets, far more than there is time for. The value of a target depends on a hidden
    science programme, and the yield of an exposure on a hidden sky and instrument. Programme, sky and instrument stay
    the same over the nights of a trial, so that an agent can learn them. In the default variant, ``"faint"``, a night
    is six long exposures of faint targets, and what they were worth is known the next morning (``values="dawn"``).

    Observation: ``Box(-16, 16, (699,))`` in the default variant: 24 rows of 24 numbers, one row a feature and one
    column a target (``observation[:576].reshape(24, 24)``), then 27 numbers of the night and the 16 rows of 6 numbers
    of the reduced log. The attribute ``layout`` of the batched environment (`metaenv.telescope.sim.layout.Layout`)
    finds them by name.

    | row | of each target | range |
    |---|---|---|
    | 0-2 | direction now: east, north, sine of the altitude | -1 to 1 |
    | 3 | cosine of the separation from the moon | -1 to 1 |
    | 4 | ln(1 + SNR) of one slot under the nominal sky and instrument | 0 to 16 |
    | 5 | share of the night's slots until it sinks below 27 deg | 0 to 1 |
    | 6 | V magnitude less 20 | -5 to 5 |
    | 7-14 | photometric class, one-hot | 0 or 1 |
    | 15-17 | colour, age and host offset, standardised | -4 to 4 |
    | 18 | minutes to slew there and settle | 0 to 7 |
    | 19 | whether it may be chosen | 0 or 1 |
    | 20 | visits | 0 to 16 |
    | 21, 22 | with revisits only: days since the last visit, reward of the last visit | 0 to 16 |
    | last 3 | with ``almanac=True``, as by default: best ln(1 + SNR) in the slots still to come, as in row 4; \
the time until then, and the slots in which it will stand above 27 deg, as shares of the night | 0 to 16, 0 to 1 |

    | number | of the night | range |
    |---|---|---|
    | 0 | share of the slots that are over | 0 to 1 |
    | 1, 2 | sine and cosine of the sidereal time | -1 to 1 |
    | 3-5 | direction of the moon: east, north, sine of the altitude | -1 to 1 |
    | 6 | nights of the trial before this one, as a share of all | 0 to 1 |
    | 7 | illuminated fraction of the moon | 0 to 1 |
    | 8 | hours of a slot | 0 to 1 |
    | 9-11 | last slot: the action was legal, light was collected, the dome was shut | 0 or 1 |
    | 12 | last slot: seeing at the zenith less 0.9 arcsec | -0.9 to 16 |
    | 13 | last slot: loss of light against the nominal sky and instrument, mag | -2 to 6 |
    | 14, 15 | last slot: ln(1 + SNR), measured and nominal | 0 to 16 |
    | 16, 17 | with ``values="at once"`` only: reward of the last slot, and its logarithm to base 10 plus 2 | 0 to 16, \
-2 to 4 |
    | 18-28 (else 16-26) | last slot: class (one-hot) and features of the target | -4 to 4 |

    The numbers of the last slot are kept across the end of a night, but with ``values="dawn"`` they begin at 0; those
    from 12 on are 0 where no light was collected. Targets are listed in the order in which they culminate, so that a
    flat network can read the list; a network over sets may ignore the order.

    Action: ``Discrete(25)``: the target of the next slot, or 24 to wait. ``info["action_mask"]`` allows targets that
    stand above 27 deg and have not been visited; a masked action waits. In the variant ``depth``, which has several
    exposure lengths, action ``j * targets + k`` exposes target ``k`` for ``lengths[j]`` slots, and the last one waits.

    Reward: the value of the target times the quality of the exposure, in units of about what greed that knows the task
    earns in a night (`metaenv.telescope.sim.reward`). The value is ``class_value[true class] * exp(w.f - |w|^2 / 2)``,
    which is 1 for the average target. The photometric class is the true one with probability ``purity``. The quality is
    ``1 / (1 + (snr_needed / SNR)^4)``. The SNR follows from extinction, seeing, clouds, moonlight, the dark sky and the
    time that the slew leaves of the slot. Under a closed sky the dome is shut: the exposure earns nothing, and the
    target may still be visited later. In the variant ``cadence`` a repeated visit earns
    ``cadence_weight * exp(-ln(gap / cadence_hours)^2 / (2 * 0.6^2))`` of a first visit. With ``values="at once"`` it is
    paid and told after each exposure, and ``info["score"]`` is the sum of the night's rewards so far.

    With ``values="dawn"`` an exposure's worth is known when the data have been reduced, the next morning. The last slot
    pays the sum of the night, before it the reward and ``info["score"]`` are 0, and the observation after it holds the
    reduced log, which a trial reports once, before the next night. A night that is truncated pays and tells nothing.

    | row | of each slot, behind the numbers of the night; 0 until the night is over | range |
    |---|---|---|
    | 0 | a target was exposed; else the column is 0 | 0 or 1 |
    | 1-11 | class (one-hot) and features of the target | -4 to 4 |
    | 12, 13 | loss of light, mag; ln(1 + measured SNR) | -2 to 16 |
    | 14, 15 | reward of the exposure, and its logarithm to base 10 plus 2 | 0 to 16, -2 to 4 |

    Episode end: terminated when the slots of the night are used up. Slots are equal parts of the time between the ends
    of astronomical twilight. The nights of a trial follow each other; clouds and seeing carry over.

    Task: `metaenv.telescope.tasks.TargetSelectionTask` lists every parameter with its range and source: class values,
    feature weights, label purity, SNR needed, zero point, extinction, dark sky, seeing, cloudiness, cloud bank, mount,
    cadence, site and date. Splits: train, validation, test, ood-site, ood-season, ood-programme, ood-purity and
    ood-all; see `metaenv.telescope.tasks.TargetSelectionDistribution`.

    References: random play is uniform over the allowed actions. The oracle knows the task, but neither the true classes
    nor the weather to come, and plans: it assigns targets to the slots that are left, anew in every slot. Both play the
    same nights. In the variants ``depth`` and ``cadence`` the oracle takes the exposure with the highest expected value
    times expected quality. It looks one exposure ahead, so an agent can beat it by planning.

    Arguments:
        variant: ``"faint"`` (6 slots, 24 targets, five nights, values at dawn), ``"short"`` (24 slots, 64 targets, five
            nights), ``"depth"`` (48 slots, faint targets, exposures of 1, 2 or 4 slots, three nights), ``"cadence"``
            (40 slots, 32 targets that come back every night and may be visited again, four nights) or ``"full"``
            (80 slots, 200 targets, three nights). All but the first are easy presets: values are known at once by
            default, and memory of earlier nights is worth little.
        draw_hidden: whether pictures show the site, the class values and the weather to come.
        split: of the tasks.
        setup: slots, targets, nights and exposures of the user's own, instead of the variant's. For the user's own
            targets see `metaenv.telescope.planner.custom_targets.CustomTargetsEnv`.
        values: when it is known what an exposure was worth; ``"short"`` has both ``"at once"`` and ``"dawn"``.
        almanac: whether the rows of the almanac are shown; by default where values are known at dawn.

    Version history: v1, the variant ``"faint"``, with values at dawn, is the default; that of v0 is ``"short"``, whose
    nights have not changed. v0, first release.
    """

    batched: ClassVar[type[BatchedEnv]] = TargetSelectionVectorEnv
