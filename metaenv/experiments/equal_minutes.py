"""What trainings on one environment earn for equal steps and for equal minutes, as their logs have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metaenv.experiments.trainings import Trainings
from metaenv.markdown import table
from metaenv.runs.folder import RunFolder
from metaenv.runs.training import COUNTER
from metaenv.typing import Floats

SHARE = 0.1
"""Of the steps up to a moment: the last so many are averaged (chosen)."""
HEAD = ("trained", "all steps", "return", "steps in {minutes} min", "return")
NOTE = (
    "Return of a trial in training, where agents explore and some are helped: the mean over the last tenth of the "
    "steps until then, and over runs. The minutes are those of the row that was trained fastest. Whoever plans so few "
    "minutes lets the learning rate fall sooner, and may earn more in them."
)


@dataclass(frozen=True)
class LearningCurve:
    """An entry for each iteration that was logged, all (n,)."""

    steps: Floats
    """Made by the end of the iteration."""
    seconds: Floats
    """Of training by then."""
    returns: Floats
    """Mean of the iteration's trials; NaN where a teacher played all of them."""

    def until(self, seconds: float) -> tuple[float, float]:
        """Steps made within so many seconds, and the mean return over the last `SHARE` of these."""
        count = int(np.searchsorted(self.seconds, seconds * (1 + 1e-9), side="right"))
        if not count:
            return 0.0, np.nan
        steps = self.steps[count - 1]
        late = self.returns[:count][self.steps[:count] > (1 - SHARE) * steps]
        return float(steps), float(np.mean(late[np.isfinite(late)])) if np.isfinite(late).any() else np.nan


def learning_curve(folder: Path) -> LearningCurve:
    """The curve of a run folder; empty where nothing was logged."""
    lines = [line for line in RunFolder(folder).read_log(COUNTER) if "time/fps" in line and "rollout/return" in line]
    steps = np.array([line[COUNTER] for line in lines], dtype=float)
    speed = np.array([max(line["time/fps"], 1) for line in lines], dtype=float)  # whole steps per second
    returns = np.array([line["rollout/return"] for line in lines], dtype=float)  # None becomes NaN
    return LearningCurve(steps, np.cumsum(np.diff(steps, prepend=0.0) / speed), returns)


def equal_minutes_section(runs: Trainings) -> list[str]:
    """A section of Markdown with a table for each environment on which more than one row was trained."""
    lines: list[str] = []
    for title, group in _groups(runs):
        fastest = min(float(np.mean([curve.seconds[-1] for curve in row])) for row in group.values())
        rows = [[name, *_cells(row, np.inf), *_cells(row, fastest)] for name, row in group.items()]
        head = [name.format(minutes=f"{fastest / 60:.1f}") for name in HEAD]
        lines += ["", f"{title}:", "", *table(head, rows)]
    return ["## For equal steps and for equal minutes", "", NOTE, *lines] if lines else []


def _groups(runs: Trainings) -> Iterator[tuple[str, dict[str, list[LearningCurve]]]]:
    """The curves of rows with a log, by what they were trained on; none with fewer than two rows."""
    found: dict[str, dict[str, list[LearningCurve]]] = {}
    for training in runs.values():
        config, curves = training.config, [learning_curve(folder) for folder in training.folders]
        given = "".join(f", {name} {value}" for name, value in config.settings.items())
        given += "" if config.episodes is None else f", {config.episodes} episodes"
        if curves and all(len(curve.steps) for curve in curves):
            found.setdefault(f"{config.env}{given}", {})[training.title] = curves
    yield from ((title, group) for title, group in found.items() if len(group) > 1)


def _cells(row: list[LearningCurve], seconds: float) -> tuple[str, str]:
    steps, returns = np.mean([curve.until(seconds) for curve in row], axis=0)
    return f"{steps:,.0f}", "–" if np.isnan(returns) else f"{returns:.2f}"
