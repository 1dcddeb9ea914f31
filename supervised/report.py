"""The report of a few-shot run: every method by shot count, the gap to the best baseline, a picture, and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metaenv.evaluation import package_versions
from metaenv.files import write_text
from metaenv.markdown import table
from metaenv.plots import COLOURS, STYLES, new_figure
from metaenv.plots import save as save_figure
from metaenv.stats import Interval
from metaenv.supervised.data.problem import Problem
from metaenv.supervised.evaluation import LOWER_IS_BETTER, METRICS, Report, Scores, interval_text, write_json
from metaenv.supervised.registry import BASELINES, LEARNERS, REFERENCES, is_learner
from metaenv.typing import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class FewShotReport:
    """Learners and baselines on one problem, by shot count."""

    name: str
    problem: Problem
    n_shot: int  # of training
    seeds: int
    sha256: dict[int, str]  # of the episodes of each shot count
    scores: dict[int, dict[str, Scores]]  # by shot count and method
    train_seconds: dict[str, float]  # wall time of each method's trainings, all seeds together
    updates: dict[str, int]  # meta-updates of each training
    chosen: str = ""  # what was chosen on validation episodes, a sentence
    units: str = "episodes"  # what the scores are of, and intervals over

    @property
    def metric(self) -> str:
        """The one that methods are ranked by."""
        return METRICS[self.problem.kind][0]

    @property
    def lower_is_better(self) -> bool:
        """Whether that is an error."""
        return self.metric in LOWER_IS_BETTER

    @cached_property
    def _intervals(self) -> dict[tuple[int, str, str], Interval]:
        return {}

    def at(self, k: int) -> Report:
        """All methods with ``k`` samples to learn from."""
        return Report(self.problem, self.sha256.get(k, ""), self.scores[k])

    def interval(self, method: str, k: int | None = None, metric: str | None = None) -> Interval:
        """Mean with 95 % interval over episodes and seeds; by default of the ranking metric at the training's shots."""
        key = (self.n_shot if k is None else k, method, metric or self.metric)
        if key not in self._intervals:
            self._intervals[key] = self.at(key[0]).interval(method, key[2])
        return self._intervals[key]

    def gain(self, method: str, baseline: str, k: int | None = None) -> Interval:
        """How much better a method is than another, paired by episode; positive is better, whatever the metric."""
        difference = self.at(self.n_shot if k is None else k).difference(method, baseline, self.metric)
        if not self.lower_is_better:
            return difference
        return Interval(-difference.estimate, -difference.high, -difference.low)

    @property
    def methods(self) -> list[str]:
        """Best first, at the shot count of training."""
        sign = 1 if self.lower_is_better else -1
        found = {m: self.interval(m).estimate for m in self.scores[self.n_shot]}
        return sorted(found, key=lambda m: (found[m] != found[m], sign * found[m]))

    @property
    def best_baseline(self) -> str | None:
        """The best method that is no few-shot learner."""
        return next((m for m in self.methods if m in BASELINES), None)

    def beats(self, method: str) -> list[str]:
        """The baselines that a method is better than, outside the 95 % interval of the paired difference."""
        return [m for m in self.methods if m in BASELINES and m != method and self.gain(method, m).low > 0]

    def beats_all(self, method: str) -> bool:
        """Whether a learner is better than every baseline in the run, outside the intervals; False without one."""
        baselines = [m for m in self.methods if m in BASELINES]
        return is_learner(method) and bool(baselines) and set(baselines) <= set(self.beats(method))

    def markdown(self) -> str:
        """A table of the ranking metric: a row a method, best first, a column a shot count."""
        head = ["method", *(f"{self.metric}, {_shots(k)}" for k in self.shots), "over the best baseline"]
        head += ["diverged", "training s", "evaluation s"]
        return "\n".join([*table(head, [self._row(m) for m in self.methods]), "", self.caption])

    @property
    def shots(self) -> list[int]:
        """Shot counts of the evaluations."""
        return sorted(self.scores)

    @property
    def caption(self) -> str:
        """What the numbers of the table are."""
        baseline, episodes = self.best_baseline, [len(s.valid) for s in self.scores[self.n_shot].values()]
        n, fewest = max(episodes), min(episodes)
        seeds = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        forests = f" (forests: the first {fewest:,})" if fewest < n else ""
        what = self.units[:-1]
        better = "lower" if self.lower_is_better else "higher"
        known = "".join(f" {m} knows the distribution of tasks." for m in self.methods if m in REFERENCES)
        seen = [m for m in self.methods if m in BASELINES and self.updates.get(m)]
        known += f" Of the baselines, {', '.join(seen)} learned from the training tasks." if seen else ""
        known += " **Bold**: a learner better than every baseline, outside the interval." if baseline else ""
        gap = f" Over the best baseline ({baseline}): positive is better, paired by {what}." if baseline else ""
        return (
            f"{self.name}: trained on {_shots(self.n_shot)}, {seeds}; {n:,} {self.units}{forests}, ± half the 95 % "
            f"interval. Better is {better}.{gap}{known}{self.chosen} SHA-256 of the episodes: "
            f"{self.sha256.get(self.n_shot, '')[:16]}…"
        )

    def _row(self, method: str) -> list[str]:
        baseline = self.best_baseline
        gap = interval_text(self.gain(method, baseline), sign=True) if is_learner(method) and baseline else ""
        found = [self.scores[k][method] for k in self.shots]
        diverged = sum(int((~s.finite).sum()) for s in found)
        trained = f"{self.train_seconds[method]:.1f}" if self.updates.get(method) else "–"
        name = f"**{method}**" if self.beats_all(method) else method
        done = 1 if found[0].finite.ndim == 1 else len(found[0].finite)
        if done < self.seeds and self.updates.get(method):
            name += f" ({done} of {self.seeds} seeds)"
        cells = [interval_text(self.interval(method, k)) for k in self.shots]
        return [name, *cells, gap, str(diverged), trained, f"{sum(s.seconds for s in found):.1f}"]

    def to_dict(self) -> dict[str, Any]:
        """All metrics of all methods and shot counts, hashes, wall times and versions."""
        shots = {
            str(k): {
                m: {x: self.interval(m, k, x)._asdict() for x in METRICS[self.problem.kind]}
                | {"diverged": int((~s.finite).sum()), "seconds": s.seconds}
                for m, s in self.scores[k].items()
            }
            for k in self.shots
        }
        return {
            "name": self.name,
            "kind": self.problem.kind,
            "x_shape": self.problem.x_shape,
            "n_shot": self.n_shot,
            "seeds": self.seeds,
            "sha256": {str(k): v for k, v in self.sha256.items()},
            "shots": shots,
            "beats": {m: self.beats(m) for m in self.methods},
            "train_seconds": self.train_seconds,
            "updates": self.updates,
            "versions": package_versions(),
        }

    def save(self, folder: str | Path) -> None:
        """Write ``report.json``, ``table.md`` (every metric) and, with matplotlib, ``picture.png``."""
        folder = Path(folder)
        write_json(folder / "report.json", self.to_dict())
        others = [self._by_metric(m) for m in METRICS[self.problem.kind][1:]]
        write_text(folder / "table.md", "\n\n".join([f"# {self.name}", self.markdown(), *others]) + "\n")
        try:
            figure = new_figure(8.0, 4.5)
        except ImportError:
            return
        draw(figure.add_subplot(), self)
        save_figure(figure, folder / "picture.png")

    def _by_metric(self, metric: str) -> str:
        rows = [[m, *(interval_text(self.interval(m, k, metric)) for k in self.shots)] for m in self.methods]
        return "\n".join(table(["method", *(f"{metric}, {_shots(k)}" for k in self.shots)], rows))


def by_task(
    reports: Sequence[FewShotReport], tasks: Sequence[Mapping[int, NDArray[Any]]], name: str, units: str = "tasks"
) -> FewShotReport:
    """The reports of several divisions of the same data, such as the folds of a cross-validation, as one.

    A score is the mean over the episodes of a task, so that intervals and differences are over tasks, of which there
    are few: many episodes of one say no more about others than some do. Those that diverged are left out.

    Args:
        reports: with the same methods and shot counts.
        tasks: for each report and shot count, (episodes,) names of the tasks.
        name: of the whole.
        units: what a task is called, in the plural.
    """
    first = reports[0]
    scores: dict[int, dict[str, Scores]] = {}
    for k in first.shots:
        scores[k] = {}
        for method in first.scores[k]:
            parts = [(report.scores[k][method], task[k]) for report, task in zip(reports, tasks, strict=True)]
            columns = {
                metric: np.concatenate([_task_means(found.by_episode[metric], task) for found, task in parts], axis=-1)
                for metric in parts[0][0].by_episode
            }
            scores[k][method] = Scores(columns, sum(found.seconds for found, _ in parts))
    whole = {k: sha256("".join(r.sha256[k] for r in reports).encode()).hexdigest() for k in first.shots}
    seconds = {m: sum(report.train_seconds[m] for report in reports) for m in first.train_seconds}
    return replace(first, name=name, sha256=whole, scores=scores, train_seconds=seconds, units=units)


def _task_means(values: Floats, tasks: NDArray[Any]) -> Floats:
    """(..., tasks) means of (..., episodes) over each task's episodes that are numbers; NaN where none is."""
    _, code = np.unique(tasks[: values.shape[-1]], return_inverse=True)
    here, known = np.eye(code.max() + 1)[code], np.isfinite(values)
    count = known @ here
    return np.where(count > 0, np.where(known, values, 0.0) @ here / np.maximum(count, 1), np.nan)


def _shots(k: int) -> str:
    return "1 shot" if k == 1 else f"{k} shots"


def draw(axes: Axes, report: FewShotReport) -> None:
    """Every method's curve over the shot counts, in the same style in every picture: baselines are dashed."""
    plot: Any = axes
    learners = [*LEARNERS, *(m for m in report.methods if is_learner(m) and m not in LEARNERS)]
    for method in report.methods:
        i = (learners if is_learner(method) else [*BASELINES, *REFERENCES]).index(method)
        found = [report.interval(method, k) for k in report.shots]
        mean = [x.estimate for x in found]
        low, high = [x.estimate - x.low for x in found], [x.high - x.estimate for x in found]
        colour = COLOURS[i % len(COLOURS)] if is_learner(method) else "#888888"
        mark = STYLES[i // len(COLOURS) % len(STYLES)] if is_learner(method) else "osv^D*PX"[i % 8] + "--"
        plot.errorbar(report.shots, mean, (low, high), fmt=mark, color=colour, label=method, lw=1.3, ms=4, capsize=2)
    plot.set_xscale("log")
    plot.set_xticks(report.shots, [str(k) for k in report.shots])
    plot.minorticks_off()
    plot.set_xlabel("samples to learn from" + (", of each class" if report.problem.n_classes else ""))
    plot.set_ylabel(report.metric)
    plot.set_title(report.name, fontsize=10)
    plot.grid(alpha=0.3)
    plot.spines[["top", "right"]].set_visible(False)
    plot.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
