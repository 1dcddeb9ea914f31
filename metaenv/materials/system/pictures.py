"""A picture of one campaign with a chemical system. matplotlib is imported when it is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metaenv.materials.system.baselines import fixed_recipe
from metaenv.materials.system.distribution import ORACLE_SEED
from metaenv.materials.system.layout import LAYOUT
from metaenv.materials.system.options import COMPOUNDS, OPTIONS, PLACES
from metaenv.materials.system.oracle import oracle, utility_table
from metaenv.materials.system.recipes import from_action
from metaenv.materials.system.tasks import affinity
from metaenv.plots import new_figure, save
from metaenv.policies import Policy, TrialRecord, play_trials
from metaenv.tasks import FrozenTasks, TaskBatch
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHOSEN_FROM = 8  # systems, of which the one with the median result is shown (chosen)
BEST_COLOUR, WORST_COLOUR = "#009E73", "#D55E00"


def draw_campaign(policy: Policy, trials: VectorTrial, frozen: FrozenTasks, folder: Path, name: str) -> Path:
    """Draw one campaign as ``campaign-SPLIT.png``; arguments as `metaenv.vector.BatchedEnv.pictures`.

    Of the first eight systems it is the one on which the policy did neither better nor worse than on the others.
    """
    few = frozen.take(np.arange(min(CHOSEN_FROM, len(frozen))))
    record = play_trials(policy, trials, few.tasks)
    row = int(np.argsort(record.scores.mean(axis=1) / few.reference.oracle, kind="stable")[len(few) // 2])
    figure = campaign_figure(few.tasks.take(np.array([row])), record, row, name)
    return save(figure, folder / f"campaign-{frozen.split}.png")


def made_compounds(record: TrialRecord, row: int) -> Index:
    """(K,) which compound each experiment of a trial made, as its report says."""
    reported = record.observations[row, :, LAYOUT.width :]
    return np.argmax(reported[:, LAYOUT.slice("compound")], axis=1)


def campaign_figure(task: TaskBatch, record: TrialRecord, row: int, name: str) -> Figure:
    """What a policy made each compound of, visit by visit, and what that was worth.

    The colour of an option says how well it suits the compound, which the policy is never told: green is the best of
    its group and orange the worst.

    Args:
        task: the system, a batch of one.
        record: of trials, of which one was played on it.
        row: which one.
        name: of the policy.
    """
    figure = new_figure(13.0, 6.4)
    panels: Any = figure.subplots(2, COMPOUNDS, height_ratios=(1.3, 1))
    compound, each = made_compounds(record, row), np.arange(COMPOUNDS)
    repeated = task.repeated(COMPOUNDS)
    best, _ = oracle(repeated, each, ORACLE_SEED)
    fixed = utility_table(repeated, each, fixed_recipe())[:, 0]
    least = min(0.0, float(record.readings[row].min()), float(fixed.min())) - 0.05
    suits = affinity(task)[0]
    for e, (above, below) in enumerate(panels.T):
        visits = np.flatnonzero(compound == e)
        _draw_worth(above, record, row, visits, float(best[e]), float(fixed[e]), name)
        above.set_title(f"compound {e + 1}, the target phase in grains of {task.goal_um[0, e]:.2g} um", fontsize=9)
        above.set_ylim(least, 1)
        _draw_choices(below, record.actions[row, visits], visits, suits[e])
    panels[0, 0].set_ylabel("utility")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.suptitle(f"{name} on the unseen system {task.ids[0]}: green options suit the compound best", fontsize=10)
    return figure


def _draw_worth(axes: Any, record: TrialRecord, row: int, visits: Index, best: float, fixed: float, name: str) -> None:
    count = np.arange(1, len(visits) + 1)
    axes.plot(count, record.readings[row, visits], "o", color="#56B4E9", ms=4, label="reading, with noise")
    axes.plot(count, record.scores[row, visits], "o-", color="#0072B2", lw=1.8, ms=3, label=f"{name}, true utility")
    axes.axhline(fixed, color="#CC79A7", ls="--", label="best fixed recipe")
    axes.axhline(best, color="#444444", ls=":", label="task oracle")
    axes.set_xlim(0.5, len(visits) + 0.5)
    axes.set_xticks(count, [f"no. {k + 1}" for k in visits], fontsize=8)


def _draw_choices(axes: Any, actions: NDArray[Any], visits: Index, suits: Floats) -> None:
    """A table of what was chosen: an experiment a column."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("suits", (WORST_COLOUR, "#FFFFFF", BEST_COLOUR))
    recipe, choice = from_action(actions)
    lines = ["temperature, hold", *OPTIONS]
    for k in range(len(visits)):
        furnace = f"{recipe.temperature_K[k]:.0f} K, {recipe.hold_h[k]:.2g} h"
        axes.text(k + 1, 0, furnace, ha="center", va="center", fontsize=7)
        for g, (place, names) in enumerate(zip(PLACES, OPTIONS.values(), strict=True)):
            of_group = suits[place]
            share = (of_group[choice[k, g]] - of_group.min()) / np.ptp(of_group)
            box = {"boxstyle": "round,pad=0.25", "fc": colours(0.15 + 0.7 * share), "ec": "none"}
            text = list(names)[choice[k, g]].replace(" ", "\n")
            axes.text(k + 1, g + 1, text, ha="center", va="center", fontsize=7, bbox=box, linespacing=0.9)
    axes.set(xlim=(0.5, len(visits) + 0.5), ylim=(len(lines) - 0.4, -0.6))
    axes.set_yticks(range(len(lines)), lines, fontsize=8)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
