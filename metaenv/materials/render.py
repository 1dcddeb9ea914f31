"""Pictures and texts of experiments and furnace runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metaenv.actions import listed
from metaenv.canvas import BLUE, GREEN, GREY, INK, Chart, Pixels
from metaenv.materials.kinetics import PHASES
from metaenv.materials.laboratory import DEFAULT, INSTRUMENTS, Laboratory
from metaenv.materials.recipes import ACTION_NAMES, AIR_LOG10_PCO2_BAR, PRECURSORS, Recipe, Variant
from metaenv.typing import Floats

# Okabe and Ito's colours, one for each of PHASES.
PHASE_COLOURS = ("#999999", "#56B4E9", "#E69F00", "#009E73", "#D55E00")
RANGES = {
    "temperature": ("temperature_K", "K"),
    "hold": ("hold_h", "h, logarithmic"),
    "ramp": ("ramp_K_per_min", "K/min, logarithmic"),
    "excess A": ("excess_a", "of the stoichiometric amount"),
    "particle size": ("particle_um", "um, logarithmic"),
    "second temperature": ("temperature_K", "K"),
    "second hold": ("hold_h", "h, logarithmic, for numbers above 0, and no second step below"),
    "log pCO2": ("log10_pco2_bar", "decimal logarithm of the pressure of CO2 in bar"),
}
WIDTH, HEIGHT, SHOWN = 920, 500, 20  # pixels; experiments at most
EARLIER = "#A9B6C4"  # runs


@dataclass(frozen=True)
class Result:
    """What came of an experiment or of a furnace run."""

    done: str
    """What was done."""
    seen: NDArray[np.float32]
    """(8,) shares of the five phases, grain size as `metaenv.materials.env.scaled_size`, mass loss and reading."""
    score: float
    """The true utility."""
    instruments: tuple[str, ...] = INSTRUMENTS
    """Those whose numbers are shown."""
    trace: Floats | None = None
    """(steps + 1, 3) hours, K and mass loss in the course of a furnace run."""

    def text(self, hidden: bool) -> str:
        """One line."""
        shown: list[str] = []
        if "XRD" in self.instruments:
            shown = [f"{name} {share:.2f}" for name, share in zip(PHASES, self.seen[:5], strict=True) if share > 0]
        if "SEM" in self.instruments:
            shown.append(f"grains {micrometres(self.seen[5]):.2f} um")
        if "balance" in self.instruments:
            shown.append(f"mass loss {self.seen[6]:.3f}")
        true = f", true utility {self.score:.3f}" if hidden else ""
        return f"{self.done}: {', '.join([*shown, ''])}reading {self.seen[7]:.3f}{true}"


def micrometres(scaled: float) -> float:
    """The length that `metaenv.materials.env.scaled_size` turns into this number."""
    return float(100.0**scaled)


def recipe_text(recipe: Recipe, row: int = 0) -> str:
    """A recipe in words, such as ``1210 K for 5.2 h (6 K/min), oxide A +8 %, powders of 0.70 um``."""
    r = recipe
    text = (
        f"{r.temperature_K[row]:.0f} K for {_number(r.hold_h[row], 1)} h ({_number(r.ramp_K_per_min[row], 0)} K/min), "
        f"oxide A {100 * r.excess_a[row]:+.0f} %, powders of {_number(r.particle_um[row], 2)} um"
    )
    if r.second_hold_h[row] > 0:
        text += f", then {r.second_temperature_K[row]:.0f} K for {_number(r.second_hold_h[row], 1)} h"
    if r.precursor[row] != 0:
        text += f", B from its {PRECURSORS[r.precursor[row]]}"
    if r.log10_pco2_bar[row] != AIR_LOG10_PCO2_BAR:
        text += f", CO2 at 10^{r.log10_pco2_bar[row]:.1f} bar"
    return text


def _number(value: float, places: int) -> str:
    """With so many decimal places, or with two digits where it is smaller than the last of them."""
    return f"{value:.{places}f}" if value >= 10.0**-places else f"{value:.2g}"


def synthesis_text(
    goal_um: float, results: Sequence[Result], variant: Variant, hidden: bool, laboratory: Laboratory = DEFAULT
) -> str:
    """The goal, the experiments on the material so far, and what the numbers of an action mean."""
    chosen = "the precursor, if it is the largest of these three"
    named = (
        f"{i} {name} " + (quantity_text(name, laboratory) if name in RANGES else chosen)
        for i, name in enumerate(ACTION_NAMES[variant])
    )
    return "\n".join(
        [_results_text(goal_um, results, "experiment", hidden), listed("actions, numbers from -1 to 1", named)]
    )


def quantity_text(name: str, laboratory: Laboratory) -> str:
    """What an action's number for this quantity covers, in words."""
    field, unit = RANGES[name]
    low, high = getattr(laboratory.bounds, field)
    return f"from {low:g} to {high:g} {unit}"


def _results_text(goal_um: float, results: Sequence[Result], noun: str, hidden: bool) -> str:
    lines = [f"goal: the target phase in grains of {goal_um:.2f} um"]
    if results:
        best = max(range(len(results)), key=lambda k: results[k].seen[7])
        lines[0] += f"; {noun}s on this material: {len(results)}, the best reading is that of no. {best + 1}"
    else:
        lines[0] += "; nothing made yet"
    return "\n".join(lines + [f"  {noun} {k + 1}: {result.text(hidden)}" for k, result in enumerate(results)])


def synthesis_frame(goal_um: float, results: Sequence[Result], hidden: bool) -> NDArray[np.uint8]:
    """The readings and the phases of the experiments on a material, the last recipe and the best one.

    Returns:
        (500, 920, 3) uint8.
    """
    canvas = _canvas(goal_um)
    _draw_results(canvas, 56, 460, results, "experiment on this material", 10, hidden)
    if not results:
        canvas.words(580, 80, "nothing made yet", 15, GREY)
        return canvas.array()
    best = max(range(len(results)), key=lambda k: results[k].seen[7])
    for y, title, k in ((80, "last", len(results) - 1), (240, "best", best)):
        seen = results[k].seen
        canvas.words(580, y, f"{title} experiment, no. {k + 1}: reading {seen[7]:.3f}", 15)
        lines = results[k].done.split(", ")
        gave = [f"grains of {micrometres(seen[5]):.2f} um"] if "SEM" in results[k].instruments else []
        gave += [f"mass loss {seen[6]:.3f}"] if "balance" in results[k].instruments else []
        if gave:
            lines.append(f"gave {', '.join(gave)}")
        for i, words in enumerate(lines):
            canvas.words(580, y + 20 + 17 * i, words, 13, GREY)
    return canvas.array()


def furnace_text(
    goal_um: float,
    now: str,
    trace: Floats,
    results: Sequence[Result],
    actions: Sequence[str],
    hidden: bool,
) -> str:
    """The goal, the earlier runs on the material, the present run, and the actions allowed now.

    Args:
        goal_um: grain size that is wanted.
        now: a line on the furnace.
        trace: (steps + 1, 3) hours, K and mass loss of the present run; (steps + 1, 2) where there is no balance.
        results: of the finished runs.
        actions: those allowed, with their numbers.
        hidden: whether to tell true utilities.
    """
    course = listed(
        f"course of the run (h, K{', mass loss' * (trace.shape[1] > 2)})",
        (f"{h:.2f} {k:.0f}{''.join(f' {m:.3f}' for m in loss)}" for h, k, *loss in trace),
    )
    return "\n".join([_results_text(goal_um, results, "run", hidden), now, course, listed("actions", actions)])


def furnace_frame(
    goal_um: float, now: str, trace: Floats, results: Sequence[Result], hidden: bool, top_K: float
) -> NDArray[np.uint8]:
    """Temperature and mass loss of the present run and of those before, and what the runs gave.

    Returns:
        (500, 920, 3) uint8.
    """
    canvas = _canvas(goal_um)
    canvas.words(56, 54, now, 13, GREY)
    runs = [*(result.trace for result in results if result.trace is not None), trace]
    ends = (0.0, max(6.0, *(float(run[-1, 0]) for run in runs)))
    charts = [(Chart(canvas, (56, 88, 440, 140), ends, (300, top_K)), "temperature of the furnace in K")]
    if trace.shape[1] > 2:
        low, high = (f(0.0, *(float(f(run[:, 2])) for run in runs)) for f in (min, max))
        frame = (56, 278, 440, 110)
        charts.append((Chart(canvas, frame, ends, (low, max(high, 0.05))), "mass loss of the sample, relative"))
    for column, (chart, title) in enumerate(charts, 1):
        chart.axes("hours" * (column == len(charts)), title)
        for run in runs[:-1]:
            canvas.trail([chart.at(*point) for point in run[:, [0, column]]], EARLIER)
        canvas.trail([chart.at(*point) for point in trace[:, [0, column]]], BLUE, 2)
        chart.disc(trace[-1, [0, column]], 4, BLUE)
    canvas.legend(56, 442, [(BLUE, "present run"), (EARLIER, "earlier runs on this material")])
    _draw_results(canvas, 580, 280, results, "run on this material", 5, hidden)
    return canvas.array()


def _canvas(goal_um: float) -> Pixels:
    canvas = Pixels(WIDTH, HEIGHT)
    canvas.words(18, 28, f"goal: the target phase in grains of {goal_um:.2f} um", 16)
    return canvas


def _draw_results(
    canvas: Pixels, left: int, width: int, results: Sequence[Result], name: str, at_least: int, hidden: bool
) -> None:
    """Draw the latest readings and, below them, the phases."""
    first = max(len(results) - SHOWN, 0)
    last = max(first + at_least, len(results))
    numbers = range(first + 1, last + 1)
    ends = (first + 0.4, last + 0.6)
    reading = Chart(canvas, (left, 88, width, 140), ends, (-0.4, 1.0))
    reading.axes("", "reading: a noisy measure of utility", numbers)
    best = max((float(result.seen[7]) for result in results[:first]), default=-np.inf)
    for k, result in enumerate(results[first:], first + 1):
        value = max(float(result.seen[7]), -0.4)
        best = max(best, value)
        reading.bar(k, 1.0, best, best + 0.015, GREEN)
        reading.disc((k, value), 4, BLUE)
        if hidden:
            canvas.ring(*reading.at(k, max(result.score, -0.4)), 6, INK)
    draw_phases(canvas, (left, 278, width, 110), ends, name, results, first, numbers)
    keys = [(BLUE, "reading"), (GREEN, "best so far"), *([(INK, "true utility")] if hidden else [])]
    canvas.legend(left, 482, keys)


def draw_phases(
    canvas: Pixels,
    place: tuple[int, int, int, int],
    ends: tuple[float, float],
    name: str,
    results: Sequence[Result],
    first: int,
    numbers: Sequence[int],
) -> None:
    """Draw the shares of the phases as bars, and below them the legend of the phases.

    Args:
        canvas: what to draw on.
        place: left, top, width and height of the chart in pixels.
        ends: of its horizontal axis.
        name: of that axis.
        results: of all experiments or runs.
        first: how many of them are left out.
        numbers: of the ticks.
    """
    phases = Chart(canvas, place, ends, (0.0, 1.0))
    phases.axes(name, "share of each phase", numbers)
    for k, result in enumerate(results[first:], first + 1):
        low = 0.0
        for share, colour in zip(result.seen[:5].tolist(), PHASE_COLOURS, strict=True):
            phases.bar(k, 0.7, low, low + share, colour)
            low += share
    named = list(zip(PHASE_COLOURS, PHASES, strict=True))
    for i, row in enumerate((named[:3], named[3:])):
        canvas.legend(place[0], place[1] + 164 + 20 * i, row)
