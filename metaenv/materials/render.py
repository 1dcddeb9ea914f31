"""Pictures of experiments and campaigns. matplotlib is imported when a picture is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.kinetics import PHASES, trajectory
from metaenv.materials.recipes import ACTION_NAMES, PRECURSORS, Recipe, Variant, from_action
from metaenv.plots import new_figure, pixels
from metaenv.tasks import TaskBatch
from metaenv.typing import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, one for each of PHASES.
PHASE_COLOURS = ("#999999", "#56B4E9", "#E69F00", "#009E73", "#D55E00")


def recipe_text(recipe: Recipe, row: int = 0) -> str:
    """A recipe as a laboratory would write it, such as ``1210 K for 5.2 h (6 K/min), A +8 %, 0.7 um``."""
    r = recipe
    text = (
        f"{r.temperature_K[row]:.0f} K for {r.hold_h[row]:.1f} h ({r.ramp_K_per_min[row]:.0f} K/min), "
        f"A {100 * r.excess_a[row]:+.0f} %, {r.particle_um[row]:.2f} um"
    )
    if r.second_hold_h[row] > 0:
        text += f", then {r.second_temperature_K[row]:.0f} K for {r.second_hold_h[row]:.1f} h"
    if r.precursor[row] != 0:
        text += f", {PRECURSORS[r.precursor[row]]}"
    return text


def synthesis_text(seen: NDArray[np.float32], action: Floats, variant: Variant) -> str:
    """One line on the experiment: what was done and what was seen."""
    goal = _micrometres(seen[0])
    if not seen[1]:
        return f"goal {goal:.2f} um; nothing made yet"
    shares = ", ".join(f"{name} {share:.2f}" for name, share in zip(PHASES, seen[2:7], strict=True) if share > 0)
    done = recipe_text(from_action(action[None], variant))
    return f"goal {goal:.2f} um; {done}: {shares}; {_micrometres(seen[7]):.2f} um; reading {seen[9]:.3f}"


def synthesis_frame(
    tasks: TaskBatch, row: int, seen: NDArray[np.float32], action: Floats, variant: Variant, readings: Sequence[float]
) -> NDArray[np.uint8]:
    """The last experiment on a material: phases and furnace over time, the recipe, best reading so far.

    Returns:
        (height, width, 3) uint8.
    """
    figure = new_figure(8.0, 3.4)
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    if seen[1]:
        _draw_trajectory(left, tasks.take(np.array([row])), from_action(action[None], variant))
    else:
        left.text(0.5, 0.5, "nothing made yet", ha="center", transform=left.transAxes)
        left.set_axis_off()
    _draw_readings(right, readings)
    figure.suptitle(synthesis_text(seen, action, variant).split(":")[0], fontsize=9)
    return pixels(figure)


def furnace_frame(trace: Sequence[tuple[float, float]], seen: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The furnace's temperature over time, and the phases found at the end.

    Returns:
        (height, width, 3) uint8.
    """
    figure = new_figure(7.0, 3.2)
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    hours, kelvin = np.array(trace).T
    left.plot(hours, kelvin, "o-", color="#D55E00", ms=3)
    left.set(xlabel="hours", ylabel="furnace, K", ylim=(250, 1850), title=f"mass loss {seen[4]:.3f}")
    right.bar(range(len(PHASES)), seen[8:13], color=PHASE_COLOURS)
    right.set_xticks(range(len(PHASES)), PHASES, rotation=60, ha="right", fontsize=7)
    right.set(ylim=(0, 1), title=f"reading {seen[14]:.3f}" if seen[7] else "not characterised yet")
    return pixels(figure)


def campaign_figure(
    task: TaskBatch,
    actions: Floats,
    phases: Floats,
    readings: Floats,
    scores: Floats,
    oracle: float,
    variant: Variant = "default",
    others: dict[str, Floats] | None = None,
) -> Figure:
    """One worked campaign on an unseen material.

    Args:
        task: the material, a batch of one.
        actions: (K, d) what the agent tried.
        phases: (K, 5) what it saw.
        readings: (K,) its readings.
        scores: (K,) their true utilities.
        oracle: the material's best utility.
        variant: of the actions.
        others: best true utility so far (K,) of other policies, by name.
    """
    figure = new_figure(11.0, 6.4)
    axes: Any = figure.subplots(2, 2, width_ratios=(1.25, 1))
    count = np.arange(1, len(actions) + 1)
    _draw_recipes(axes[0, 0], actions, readings, variant)
    _draw_phases(axes[0, 1], phases, count)
    best = int(np.argmax(readings))
    recipe = from_action(actions[best : best + 1], variant)
    _draw_trajectory(axes[1, 0], task, recipe)
    axes[1, 0].set_title(f"best experiment, no. {best + 1}: {recipe_text(recipe)}", fontsize=9)
    _draw_best(axes[1, 1], count, readings, scores, oracle, others or {})
    return figure


def _draw_recipes(axes: Any, actions: Floats, readings: Floats, variant: Variant) -> None:
    """Parallel coordinates, an experiment a line, coloured from first (light) to last (dark)."""
    from matplotlib import colormaps

    names = ACTION_NAMES[variant]
    colours = colormaps["viridis_r"](np.linspace(0.1, 1.0, len(actions)))
    for k, (action, colour) in enumerate(zip(actions, colours, strict=True)):
        axes.plot(range(len(names)), action, "o-", color=colour, lw=1.2, ms=3, label=f"{k + 1}: {readings[k]:.2f}")
    axes.set_xticks(range(len(names)), names, fontsize=8, rotation=0 if variant == "default" else 45)
    axes.set(ylim=(-1.08, 1.08), ylabel="recipe, low to high")
    axes.legend(title="experiment: reading", fontsize=7, title_fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_title("recipes tried", fontsize=9)


def _draw_phases(axes: Any, phases: Floats, count: NDArray[np.intp]) -> None:
    bottom = np.zeros(len(count))
    for name, share, colour in zip(PHASES, phases.T, PHASE_COLOURS, strict=True):
        axes.bar(count, share, bottom=bottom, color=colour, label=name, width=0.8)
        bottom = bottom + share
    axes.set(ylim=(0, 1.02), xlabel="experiment", ylabel="phase shares seen")
    axes.set_xticks(count)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axes.set_title("what the diffractometer showed", fontsize=9)


def _draw_trajectory(axes: Any, task: TaskBatch, recipe: Recipe) -> None:
    """Phase shares (stacked) and furnace temperature over time, as they truly were."""
    track = trajectory(task, recipe)
    axes.stackplot(track.hours, track.phase_fractions.T, colors=PHASE_COLOURS, labels=PHASES, alpha=0.85)
    axes.set(xlabel="hours", ylabel="phase shares", ylim=(0, 1), xlim=(0, float(track.hours[-1])))
    axes.legend(fontsize=6, loc="lower right", framealpha=0.8)
    twin = axes.twinx()
    twin.plot(track.hours, track.temperature_K, color="black", lw=1.2)
    twin.set(ylabel="sample, K", ylim=(250, 1850))


def _draw_readings(axes: Any, readings: Sequence[float]) -> None:
    count = np.arange(1, len(readings) + 1)
    axes.plot(count, readings, "o", color="#0072B2", ms=4, label="reading")
    if len(count):
        axes.step(count, np.maximum.accumulate(readings), where="post", color="#009E73", label="best so far")
        axes.legend(fontsize=7, frameon=False)
    axes.set(xlabel="experiment on this material", ylim=(-0.25, 1))


def _draw_best(
    axes: Any,
    count: NDArray[np.intp],
    readings: Floats,
    scores: Floats,
    oracle: float,
    others: dict[str, Floats],
) -> None:
    chosen = [int(np.argmax(readings[: k + 1])) for k in range(len(readings))]
    axes.plot(count, readings, "o", color="#56B4E9", ms=4, label="RL², reading")
    axes.plot(count, scores[chosen], "o-", color="#0072B2", lw=1.8, ms=3, label="RL², best so far (true)")
    for (name, best), colour in zip(others.items(), ("#CC79A7", "#999999", "#E69F00"), strict=False):
        axes.plot(count, best, "--", color=colour, label=name)
    axes.axhline(oracle, color="#444444", ls=":", label="task oracle")
    axes.set(xlabel="experiment", ylabel="utility", ylim=(min(-0.05, float(readings.min()) - 0.05), 1))
    axes.set_xticks(count)
    axes.legend(fontsize=7, frameon=False)
    axes.set_title("best so far", fontsize=9)


def _micrometres(scaled: float) -> float:
    return float(100.0**scaled)
