"""Figures of evaluations. matplotlib is imported when a figure is drawn, never before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metaenv.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from metaenv.evaluation import Evaluation

# Okabe and Ito 2008, "Color universal design": eight colours that colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
STYLES = ("o-", "s:", "^-.")  # a second and third round through the colours
LABELS = {
    "fraction": "fraction of the oracle's score",
    "normalised": "normalised score: 0 random, 1 oracle",
    "adaptation": "adaptation score: 0 best fixed rule, 1 oracle",
}


def new_figure(width: float, height: float) -> Figure:
    """A figure that needs no display, ``width`` by ``height`` inches."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "pictures need matplotlib: pip install 'metaenv-science[plots]'", name="matplotlib"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def curves(evaluation: Evaluation, curve: str = "fraction", title: str | None = None) -> Figure:
    """The policies' curves over the number of episodes, with 95 % intervals."""
    figure = new_figure(8.0, 4.0)
    axes: Any = figure.add_subplot()
    shown = [row for row in evaluation.rows if getattr(row, curve) is not None]
    for i, row in enumerate(shown):
        mean, low, high = np.array(getattr(row, curve)).T
        oracle = row.name.endswith("oracle")
        colour = "#444444" if oracle else COLOURS[i % len(COLOURS)]
        style = "--" if oracle else STYLES[i // len(COLOURS) % len(STYLES)]
        axes.plot(evaluation.shots, mean, style, color=colour, label=row.label, lw=1.5, ms=3.5)
        axes.fill_between(evaluation.shots, low, high, color=colour, alpha=0.2, lw=0)
    axes.set_xticks(evaluation.shots)
    axes.set_xlabel("episodes played on the task")
    axes.set_ylabel(LABELS[curve])
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    tasks = "unseen tasks" if evaluation.notes.get("held_out", True) else "tasks, none held out"
    axes.set_title(title or f"{evaluation.env_id}: {evaluation.n_tasks} {tasks} ({evaluation.split})", fontsize=10)
    # Best first: the legend reads from top to bottom as the curves do at their right end.
    handles, labels = axes.get_legend_handles_labels()
    order = np.argsort([-np.array(getattr(row, curve))[-1, 0] for row in shown], kind="stable")
    axes.legend(
        [handles[k] for k in order], [labels[k] for k in order],
        frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5),
    )  # fmt: skip
    return figure


def save(figure: Figure, path: str | os.PathLike[str], dpi: int = 130) -> Path:
    """Write a PNG under a temporary name and rename it."""
    with replacing(path := Path(path)) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")
    return path
