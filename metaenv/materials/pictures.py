"""A picture of one campaign on a single material. matplotlib is imported when it is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.kinetics import PHASES, trajectory
from metaenv.materials.laboratory import DEFAULT, Laboratory
from metaenv.materials.recipes import ACTION_NAMES, Recipe, Variant, from_action
from metaenv.materials.render import PHASE_COLOURS, recipe_text
from metaenv.plots import new_figure, save
from metaenv.policies import Policy, play_trials
from metaenv.tasks import FrozenTasks, TaskBatch
from metaenv.trial import VectorTrial
from metaenv.typing import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHOSEN_FROM = 8  # materials, of which the one with the median result is shown (chosen)
LISTED = "greedy portfolio"
"""The baseline that is drawn beside the policy."""


def draw_campaign(policy: Policy, trials: VectorTrial, frozen: FrozenTasks, folder: Path, name: str) -> Path:
    """Draw one campaign as ``campaign-SPLIT.png``; arguments as `metaenv.vector.BatchedEnv.pictures`.

    Of the first eight materials it is the one on which the policy did neither better nor worse than on the others.
    """
    env: Any = trials.innermost  # of which this module must not import the class
    phases = env.layout.width + env.layout.column(PHASES[0]) + np.arange(len(PHASES))
    few = frozen.take(np.arange(min(CHOSEN_FROM, len(frozen))))
    record = play_trials(policy, trials, few.tasks)
    best = record.best_so_far()
    row = int(np.argsort(best[:, -1] / few.reference.oracle, kind="stable")[len(few) // 2])
    listed = play_trials(env.baselines()[LISTED], trials, few.tasks).best_so_far()
    figure = campaign_figure(
        few.tasks.take(np.array([row])),
        record.actions[row],
        record.observations[row][:, phases].astype(np.float64),
        record.readings[row],
        record.scores[row],
        float(few.reference.oracle[row]),
        name,
        env.variant,
        env.laboratory,
        others={LISTED: listed[row]},
    )
    return save(figure, folder / f"campaign-{frozen.split}.png")


def campaign_figure(
    task: TaskBatch,
    actions: Floats,
    phases: Floats,
    readings: Floats,
    scores: Floats,
    oracle: float,
    name: str,
    variant: Variant = "recipe",
    laboratory: Laboratory = DEFAULT,
    others: dict[str, Floats] | None = None,
) -> Figure:
    """What was tried on one material, what was seen, and what it was worth.

    Args:
        task: the material, a batch of one.
        actions: (K, d) what the agent tried.
        phases: (K, 5) what it saw.
        readings: (K,) its readings.
        scores: (K,) their true utilities.
        oracle: the material's best utility.
        name: of the policy.
        variant: of the actions.
        laboratory: whose bounds they have.
        others: best true utility so far (K,) of other policies, by name.
    """
    figure = new_figure(11.0, 6.4)
    axes: Any = figure.subplots(2, 2, width_ratios=(1.25, 1))
    count = np.arange(1, len(actions) + 1)
    _draw_recipes(axes[0, 0], actions, readings, variant)
    _draw_phases(axes[0, 1], phases, count)
    best = int(np.argmax(readings))
    recipe = from_action(actions[best : best + 1], variant, laboratory)
    _draw_trajectory(axes[1, 0], task, recipe)
    axes[1, 0].set_title(f"best experiment, no. {best + 1}: {recipe_text(recipe)}", fontsize=9)
    _draw_best(axes[1, 1], count, readings, scores, oracle, name, others or {})
    return figure


def _draw_recipes(axes: Any, actions: Floats, readings: Floats, variant: Variant) -> None:
    """Parallel coordinates, an experiment a line, coloured from first (light) to last (dark)."""
    from matplotlib import colormaps

    names = ACTION_NAMES[variant]
    colours = colormaps["viridis_r"](np.linspace(0.1, 1.0, len(actions)))
    for k, (action, colour) in enumerate(zip(actions, colours, strict=True)):
        axes.plot(range(len(names)), action, "o-", color=colour, lw=1.2, ms=3, label=f"{k + 1}: {readings[k]:.2f}")
    axes.set_xticks(range(len(names)), names, fontsize=8, rotation=0 if variant == "recipe" else 45)
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


def _draw_best(
    axes: Any,
    count: NDArray[np.intp],
    readings: Floats,
    scores: Floats,
    oracle: float,
    name: str,
    others: dict[str, Floats],
) -> None:
    chosen = [int(np.argmax(readings[: k + 1])) for k in range(len(readings))]
    axes.plot(count, readings, "o", color="#56B4E9", ms=4, label=f"{name}, reading")
    axes.plot(count, scores[chosen], "o-", color="#0072B2", lw=1.8, ms=3, label=f"{name}, best so far (true)")
    for (other, best), colour in zip(others.items(), ("#CC79A7", "#999999", "#E69F00"), strict=False):
        axes.plot(count, best, "--", color=colour, label=other)
    axes.axhline(oracle, color="#444444", ls=":", label="task oracle")
    axes.set(xlabel="experiment", ylabel="utility", ylim=(min(-0.05, float(readings.min()) - 0.05), 1))
    axes.set_xticks(count)
    axes.legend(fontsize=7, frameon=False)
    axes.set_title("best so far", fontsize=9)
