"""A picture of the trainings of a few-shot run: loss and validation score by meta-update."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metaenv.plots import COLOURS, new_figure, save
from metaenv.runs.folder import RunFolder


def draw_curves(places: Mapping[str, RunFolder], metric: str, path: Path) -> Path | None:
    """Draw the logs of trainings.

    Args:
        places: folders by the name they get in the picture.
        metric: of the validation scores.
        path: of the picture.

    Returns:
        The path, or None if nothing has been trained or there is no matplotlib.
    """
    logs = {name: lines for name, place in places.items() if (lines := place.read_log("iteration"))}
    if not logs:
        return None
    try:
        figure = new_figure(9.0, 4.0)
    except ImportError:
        return None
    axes: Any = figure.subplots(1, 2)
    for i, (name, lines) in enumerate(logs.items()):
        colour = COLOURS[i % len(COLOURS)]
        for ax, entry in zip(axes, ("loss", "validation"), strict=True):
            points = [(line["iteration"], line[entry]) for line in lines if line.get(entry) is not None]
            if points:
                ax.plot(
                    *zip(*points, strict=True), color=colour, lw=1.2, label=name, marker="." if len(points) < 30 else ""
                )
    for ax, title in zip(
        axes, ("loss of training, of each method's own kind", f"{metric} on validation episodes"), strict=True
    ):
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("meta-updates")
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    axes[1].legend(
        *axes[0].get_legend_handles_labels(), frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5)
    )
    return save(figure, path)
