"""FurnaceControl: the same synthesis, one decision at a time, by cheap signals from within the furnace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metaenv.env import MetaEnv
from metaenv.layout import Block, ObservationLayout
from metaenv.limits import COUNT, Limits, check
from metaenv.materials.env import HAS, scaled_size
from metaenv.materials.kinetics import (
    Outcome,
    State,
    begin,
    dwell,
    grain_um,
    mass_loss,
)
from metaenv.materials.laboratory import (
    DEFAULT,
    INSTRUMENTS,
    QUANTITIES,
    Given,
    Laboratory,
    check_laboratory,
    laboratory_of,
)
from metaenv.materials.measurement import DRAWS, measure
from metaenv.materials.rates import INTERMEDIATE, START_GRAIN, TARGET, VOLATILISATION, RateParameters
from metaenv.materials.recipes import Recipe, one_step
from metaenv.materials.schedule import ROOM_K
from metaenv.materials.tasks import SolidStateDistribution
from metaenv.materials.utility import least_utility, utility
from metaenv.tasks import TaskBatch
from metaenv.typing import Bools, Floats, Index, Rows
from metaenv.vector import BatchedEnv, EnvOptions, Info, Observations

if TYPE_CHECKING:
    from metaenv.materials.render import Result
    from metaenv.policies import Policy

HEAT, COOL, HOLD, REGRIND, STOP = range(5)
ACTION_NAMES = ("heat", "cool", "hold", "regrind", "stop")
HEAT_K, COOL_K = 75.0, 150.0  # change of the set point in one step (chosen)
RAMP_K_PER_MIN, COOL_K_PER_MIN = 5.0, 10.0  # or as near as the ramp may: a box furnace, and one left alone (chosen)
HOLD_STEP_H = 1.0  # chosen
REGRIND_H = 1.0  # of a person's time at the mortar (chosen)
CHANGE_K = np.array([HEAT_K, -COOL_K, 0.0, 0.0, 0.0])  # of the set point, for each action
HOT_H = np.array([0.0, 0.0, HOLD_STEP_H, 0.0, 0.0])  # hours at temperature
COLD_H = np.array([0.0, 0.0, 0.0, REGRIND_H, 0.0])  # hours outside the furnace
HANDLED_K = 400.0  # a sample hotter than this cannot be ground (chosen)
FIRED_K = 100.0  # a run that was never this near the lowest temperature cannot be stopped: nothing was made (chosen)
START_UM = 2.0  # particle size of the powders at the start, if it is within bounds; each regrinding halves it (chosen)
EPISODE_STEPS = 48
HOURS = 100.0  # at the end of their scale, where no step takes more than an hour
TEMPERATURE_NOISE_K = 3.0  # of the thermocouple (chosen)
UNUSED = {
    "hold_h": "it holds by the hour",
    "excess_a": "its powders are stoichiometric",
    "log10_pco2_bar": "it works in air",
    "nitrate": "it starts from the carbonate",
    "oxide": "it starts from the carbonate",
    "second_step": "a run is one step",
}
"""What of a laboratory FurnaceControl has no use for, and why."""


def hours_per_kelvin(laboratory: Laboratory) -> Floats:
    """(5,) of change of the set point, for each action."""
    rates = np.clip((RAMP_K_PER_MIN, COOL_K_PER_MIN), *laboratory.bounds.ramp_K_per_min)
    return 1.0 / (60.0 * np.array([*rates, 1.0, 1.0, 1.0]))


def longest_step_h(laboratory: Laboratory) -> float:
    """Hours of the longest step: one, unless the furnace is slow."""
    return max(1.0, float((np.abs(CHANGE_K) * hours_per_kelvin(laboratory)).max()))


def _check_used(laboratory: Laboratory) -> None:
    """Raise ValueError if something was changed that makes no difference here."""
    for what in ("bounds", "costs"):
        mine, default = getattr(laboratory, what), getattr(DEFAULT, what)
        for field, why in UNUSED.items():
            if getattr(mine, field, None) != getattr(default, field, None):
                name = QUANTITIES[field].name if field in QUANTITIES else field
                raise ValueError(f"{what}: FurnaceControl has no use for {name}, since {why}; leave {name} out")


def layout_of(laboratory: Laboratory) -> ObservationLayout:
    """What is observed; where an instrument is missing, also which there are."""
    top, hours = laboratory.bounds.temperature_K[1], HOURS * longest_step_h(laboratory)
    return ObservationLayout(
        [
            Block("goal size", "the grain size that is wanted, on a logarithmic scale from 0.01 to 100 um", -1),
            Block("temperature", f"of the furnace as the thermocouple reads it, from 300 to {top:g} K"),
            Block("hours", f"since the start, on a logarithmic scale to {hours:g} h"),
            Block("particle size", "of the powders, on the scale of the goal", -1),
            Block("mass loss", "of the sample, relative, as the balance reads it", -1),
            Block("mass loss in the last step", "its change", -1),
            Block("steps used", "of all that there are"),
            Block("stopped", "1 once the sample is taken out and measured; what follows is 0 before"),
            Block("phases", "shares of precursor, free oxides, intermediate, target and decomposed", width=5),
            Block("grain size", "of the target, on the scale of the goal", -1),
            Block("reading", "noisy estimate of the utility, which is also the reward", -1),
            *(HAS if laboratory.instruments.missing else ()),
        ]
    )


LAYOUT = layout_of(DEFAULT)
STOPPED, PHASES = LAYOUT.column("stopped"), LAYOUT.slice("phases")
GRAIN, READING = LAYOUT.column("grain size"), LAYOUT.column("reading")
MEASURED_BY = {"XRD": PHASES, "SEM": slice(GRAIN, GRAIN + 1), "balance": slice(4, 6)}


class FurnaceControlVectorEnv(BatchedEnv):
    """``num_envs`` furnaces, each with a hidden material; see `FurnaceControlEnv`."""

    trial_episodes: ClassVar[int] = 5
    trial_objective: ClassVar[str] = "best"
    reports_at_end: ClassVar[bool] = True
    best_fixed: ClassVar[str | None] = "best fixed programme"
    _rates: RateParameters
    """Of all furnaces, from the first reset on."""

    def __init__(
        self,
        num_envs: int = 1,
        noise_factor: float = 1.0,
        max_steps: int = EPISODE_STEPS,
        laboratory: Given = None,
        **options: Unpack[EnvOptions],
    ) -> None:
        check("noise_factor", noise_factor, Limits(0, 10))
        check("max_steps", max_steps, COUNT)
        if max_steps < 2:
            raise ValueError(f"a furnace run has at least two steps, got max_steps={max_steps}")
        self.laboratory = laboratory_of(laboratory)
        _check_used(self.laboratory)
        check_laboratory(options.get("distribution"), self.laboratory)
        layout = layout_of(self.laboratory)
        super().__init__(
            num_envs,
            SolidStateDistribution(laboratory=self.laboratory),
            layout,
            gym.spaces.Discrete(len(ACTION_NAMES)),
            **options,
        )
        self.noise_factor = float(noise_factor)
        self.max_steps = max_steps
        bounds, missing = self.laboratory.bounds, self.laboratory.instruments.missing
        self._shows = tuple(name for name in INSTRUMENTS if name not in missing)
        self._coldest, self._top = bounds.temperature_K
        self._finest, self._start_um = bounds.particle_um[0], float(np.clip(START_UM, *bounds.particle_um))
        self._h_per_K, step_h = hours_per_kelvin(self.laboratory), longest_step_h(self.laboratory)
        self._ramp, self._scale_h = 1.0 / (60.0 * self._h_per_K[HEAT]), HOURS * step_h
        # The ramp is paid for even where the powders were hot for less.
        ramp_h = (self._top - ROOM_K) / (60.0 * self._ramp)
        self.reward_range = (least_utility(max(max_steps * step_h, ramp_h), self.laboratory), 1.0)
        self._state = State(np.zeros((10, num_envs)))
        self._kelvin, self._hottest = np.full(num_envs, ROOM_K), np.full(num_envs, ROOM_K)
        self._hours, self._particle = np.zeros(num_envs), np.full(num_envs, self._start_um)
        self._steps = np.zeros(num_envs, np.int64)
        self._seen = np.zeros((layout.width, num_envs), np.float32)  # transposed: written row by row
        self._score = np.zeros(num_envs)
        self._allowed_now = np.ones((num_envs, len(ACTION_NAMES)), bool)
        # Kept for pictures only: hours, K and mass loss in the course of the run, and the results of earlier runs.
        self._trace: list[list[tuple[float, float, float]]] = [[] for _ in range(num_envs)]
        self._results: list[list[Result]] = [[] for _ in range(num_envs)]

    def baselines(self) -> Mapping[str, Policy]:
        # By name: the baselines know the environment, which therefore cannot import them.
        return resolve_name("metaenv.materials.furnace_baselines:baselines")(self.laboratory)

    def set_tasks(self, rows: Rows, tasks: TaskBatch) -> None:
        super().set_tasks(rows, tasks)
        if self.render_mode:
            for row in np.arange(self.num_envs)[rows]:
                self._results[row] = []

    def begin(self, rows: Rows) -> None:
        tasks = self.tasks.take(rows)
        n = len(tasks)
        state, rates = begin(tasks, one_step(ROOM_K, 0.0, self._ramp, 0.0, np.full(n, self._start_um)))
        self._state = self._state.replaced(rows, state)
        self._rates = rates if n == self.num_envs else _replaced(self._rates, rows, rates)
        self._kelvin[rows] = self._hottest[rows] = ROOM_K
        self._hours[rows], self._particle[rows], self._steps[rows] = 0.0, self._start_um, 0
        self._seen[:, rows] = 0
        self._seen[0, rows] = scaled_size(tasks.goal_um)
        self._seen[3, rows] = scaled_size(self._particle[rows])
        for k, name in enumerate(INSTRUMENTS[: len(self._seen) - LAYOUT.width], LAYOUT.width):
            self._seen[k, rows] = name in self._shows
        self._allowed_now[rows] = self._allowed(rows)
        if self.render_mode:
            for row in np.arange(self.num_envs)[rows]:
                self._trace[row] = [(0.0, ROOM_K, 0.0)]

    def transition(self, rows: Rows, action: NDArray[Any]) -> tuple[Floats, Bools, Bools]:
        allowed = self._allowed_now[rows][np.arange(len(action)), action]
        action = np.where(allowed, action, HOLD)
        if (ground := action == REGRIND).any():
            self._regrind(np.arange(self.num_envs)[rows][ground])
        self._heat(rows, action)
        self._steps[rows] += 1
        stopped = (action == STOP) | (self._steps[rows] >= self.max_steps)
        self._watch(rows)
        self._allowed_now[rows] = self._allowed(rows)
        reward = np.zeros(len(action))
        if stopped.any():
            reward[stopped] = self.characterise(np.arange(self.num_envs)[rows][stopped])
        if self.render_mode:
            self._remember(np.arange(self.num_envs)[rows], stopped)
        return reward, stopped, np.zeros(len(action), bool)

    def _remember(self, index: Index, stopped: Bools) -> None:
        """Keep what pictures show."""
        from metaenv.materials.render import Result

        for row, over in zip(index, stopped, strict=True):
            self._trace[row].append((float(self._hours[row]), float(self._kelvin[row]), float(self._seen[4, row])))
            if over:
                kelvin, hours, um = self._hottest[row], self._hours[row], self._particle[row]
                done = f"up to {kelvin:.0f} K, {hours:.1f} h, powders of {um:.2f} um"
                seen = self._seen[[*range(PHASES.start, PHASES.stop), GRAIN, 4, READING], row]
                self._results[row].append(
                    Result(done, seen, float(self._score[row]), self._shows, np.array(self._trace[row]))
                )

    def _allowed(self, rows: Rows) -> Bools:
        """(m, 5): heat below the highest temperature, cool above the room's, regrind when cold, stop once fired."""
        kelvin = self._kelvin[rows]
        allowed = np.ones((len(kelvin), len(ACTION_NAMES)), bool)
        allowed[:, HEAT] = kelvin < self._top
        allowed[:, COOL] = kelvin > ROOM_K
        allowed[:, REGRIND] = (kelvin <= HANDLED_K) & (self._particle[rows] > self._finest)
        allowed[:, STOP] = self._hottest[rows] >= self._coldest - FIRED_K
        return allowed

    def mask(self, rows: Rows) -> NDArray[np.int8] | None:
        return self._allowed_now[rows].astype(np.int8)

    def _heat(self, rows: Rows, action: NDArray[Any]) -> None:
        """Drive the furnaces for a step and let the samples react."""
        before = self._kelvin[rows]
        after = np.minimum(np.maximum(before + CHANGE_K[action], ROOM_K), self._top)
        hours = np.abs(after - before) * self._h_per_K[action] + HOT_H[action]
        offset = self.tasks.furnace_offset_K[rows]
        state, rates = State(np.ascontiguousarray(self._state.values[:, rows])), self._rates.take(rows)
        # The step's mean temperature stands for its ramp; a furnace at room temperature is off, and has no offset.
        mean = 0.5 * (before + after)
        state = dwell(state, rates, mean + np.where(mean > ROOM_K, offset, 0.0), hours)
        self._state = self._state.replaced(rows, state)
        self._kelvin[rows] = after
        self._hottest[rows] = np.maximum(self._hottest[rows], after)
        self._hours[rows] += hours + COLD_H[action]

    def _regrind(self, index: NDArray[np.intp]) -> None:
        """Halve the particles: grains break with them, contact and evaporation gain."""
        old = self._particle[index]
        new = np.maximum(0.5 * old, self._finest)
        self._particle[index] = new
        self._seen[3, index] = scaled_size(new)
        gain = np.log(old / new)
        offset, start = self._rates.offset.copy(), self._rates.start_um.copy()
        for row in (INTERMEDIATE, TARGET):
            offset[row, index] += self.tasks.contact_exponent[index] * gain
        offset[VOLATILISATION, index] += gain
        start[index] = START_GRAIN * new
        self._rates = replace(self._rates, offset=offset, start_um=start)
        values = self._state.values.copy()
        values[9, index] = 0.0  # grown so far
        self._state = State(values)

    def _watch(self, rows: Rows) -> None:
        """Thermocouple and balance, each with its noise."""
        normal = self.noise_factor * self.noise.draw(rows, 2)
        kelvin = self._kelvin[rows] + TEMPERATURE_NOISE_K * normal[:, 0]
        lost = np.minimum(np.maximum(self._loss(rows) + self.laboratory.instruments.noise[2] * normal[:, 1], -1.0), 1.0)
        seen = self._seen
        seen[1, rows] = np.minimum(np.maximum((kelvin - ROOM_K) / (self._top - ROOM_K), 0.0), 1.0)
        seen[2, rows] = np.minimum(np.log1p(self._hours[rows]) / np.log1p(self._scale_h), 1.0)
        seen[5, rows] = lost - seen[4, rows]
        seen[4, rows] = lost
        seen[6, rows] = self._steps[rows] / self.max_steps
        self._hide(rows)

    def _hide(self, rows: Rows) -> None:
        """Leave out what there is no instrument for."""
        for name in self.laboratory.instruments.missing:
            self._seen[MEASURED_BY[name], rows] = 0

    def _loss(self, rows: Rows) -> Floats:
        """(m,) true relative mass loss; the powders are stoichiometric."""
        rates, state = self._rates.take(rows), State(self._state.values[:, rows])
        return mass_loss(rates, state.amounts, np.zeros(len(rates)))

    def characterise(self, index: NDArray[np.intp]) -> Floats:
        """Take the samples out, measure them, and return the readings."""
        rates, tasks = self._rates.take(index), self.tasks.take(index)
        values = np.ascontiguousarray(self._state.values[:, index])
        recipe = self._recipe(index)
        amounts = State(values).amounts
        outcome = Outcome(
            amounts,
            grain_um(rates, values[9]),
            mass_loss(rates, amounts, recipe.excess_a),
            self._hours[index],
            rates.intermediate_a,
        )
        self._score[index] = utility(outcome.target_fraction, outcome.grain_um, tasks.goal_um, recipe, self.laboratory)
        found = measure(tasks, recipe, outcome, self.noise.draw(index, DRAWS), self.noise_factor, self.laboratory)
        self._seen[STOPPED, index] = 1
        self._seen[PHASES, index] = found.phases.T
        self._seen[GRAIN, index] = scaled_size(found.grain_um)
        self._seen[READING, index] = np.clip(found.reading, -1, 1)
        self._hide(index)
        return found.reading

    def _recipe(self, index: NDArray[np.intp]) -> Recipe:
        """What was done, as the recipe of the same cost: its ramp included in the hours."""
        ramp_h = (self._hottest[index] - ROOM_K) / (60.0 * self._ramp)
        hold_h = np.maximum(self._hours[index] - ramp_h, 0.0)
        return one_step(self._hottest[index], hold_h, self._ramp, 0.0, self._particle[index])

    def observe(self, rows: Rows) -> Observations:
        return self._seen[:, rows].T.copy()

    def report(self, rows: Rows) -> Info:
        return {"score": self._score[rows].copy()}

    def text(self, row: int) -> str:
        from metaenv.materials.render import furnace_text

        own = self.laboratory != DEFAULT
        meaning = (
            f"heat: {HEAT_K:g} K more, at {self._ramp:g} K/min" + f", to at most {self._top:g} K" * own,
            f"cool: {COOL_K:g} K less, at {1 / (60 * self._h_per_K[COOL]):g} K/min",
            f"hold: {HOLD_STEP_H:g} h at this temperature",
            f"regrind: halve the particles, {REGRIND_H:g} h" + f", to at least {self._finest:g} um" * own,
            "stop: take the sample out and measure it, which gives the reading",
        )
        actions = [f"{a} {meaning[a]}" for a in np.flatnonzero(self._allowed_now[row])]
        return furnace_text(*self._drawn(row), actions, self.draw_hidden)

    def frame(self, row: int) -> NDArray[np.uint8]:
        from metaenv.materials.render import furnace_frame

        return furnace_frame(*self._drawn(row), self.draw_hidden, self._top)

    def _drawn(self, row: int) -> tuple[float, str, Floats, list[Result]]:
        """The grain size that is wanted, a line on the furnace, the course of the run, and the results before."""
        balance = "balance" in self._shows
        now = (
            f"step {self._steps[row]} of {self.max_steps}: {self._kelvin[row]:.0f} K after {self._hours[row]:.2f} h, "
            f"powders of {self._particle[row]:.2f} um" + f", mass loss {self._seen[4, row]:.3f}" * balance
        )
        return self.tasks.goal_um[row], now, np.array(self._trace[row])[:, : 2 + balance], self._results[row]


def _replaced(old: RateParameters, rows: Rows, new: RateParameters) -> RateParameters:
    columns = {name: getattr(old, name).copy() for name in old.__dataclass_fields__}
    for name, column in columns.items():
        column[..., rows] = getattr(new, name)
    return RateParameters(**columns)


class FurnaceControlEnv(MetaEnv):
    """Run a furnace on a hidden material, step by step: one episode is one synthesis of at most 48 steps.

    The physics, the hidden material and the utility are those of MaterialsSynthesis in its variant "recipe". During
    the run there is only what is cheap: a thermocouple and a balance. The sample is characterised once, when it is
    taken out.

    Observation: ``Box(15,)``: goal grain size; temperature (300-1800 K to [0, 1]); hours (log); particle size; mass
    loss; its change in the last step; steps used; then, 0 until the end, stopped, five phase shares, grain size and
    reading. Where the laboratory lacks an instrument it is ``Box(18,)``: three more numbers say which there are.

    Action: ``Discrete(5)``: heat (75 K at 5 K/min), cool (150 K at 10 K/min), hold (1 h), regrind (halves the
    particles; below 400 K), stop (take the sample out; once 600 K was reached). A masked action means hold.

    Reward: 0 until the end, then the reading, a noisy estimate of the utility. ``info["score"]`` is the true one.

    Episode end: terminated by stop, or after 48 steps. A trial is five runs, and its return the best reading.

    Task: `metaenv.materials.tasks.SolidStateTask`, and the same splits and frozen lists as MaterialsSynthesis.

    References: those of MaterialsSynthesis, the oracle over its recipes. Powders here are always stoichiometric.

    Arguments: ``noise_factor`` (of all measurement noise, 1), ``max_steps`` (48), ``split``, ``laboratory``
    (`metaenv.materials.laboratory.Laboratory`, or a TOML file). Of its bounds, temperature, ramp and particle size have
    a sense here: heating ends at the highest temperature, and rates and powders are as near those above as they may.

    Version history: v0, first release.
    """

    batched: ClassVar[type[BatchedEnv]] = FurnaceControlVectorEnv
