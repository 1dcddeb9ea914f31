"""The certificate as numbers, table, picture and page."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from metaenv.evaluation import package_versions, ratio_interval
from metaenv.experiments.certificate.ladder import (
    BLIND,
    FIXED_LIST,
    FORGETS,
    FULL,
    NO_MEMORY,
    ORACLE,
    OTHER,
    RANDOM,
    TOLD,
    Ladder,
    Rung,
)
from metaenv.experiments.evaluate import drawn
from metaenv.files import write_text
from metaenv.markdown import interval_cell, table
from metaenv.plots import COLOURS, new_figure
from metaenv.plots import save as save_figure
from metaenv.stats import Interval, bootstrap_interval, paired_difference, ratio_of_means
from metaenv.typing import Floats

SHOWN = (1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500)
"""The episodes of the table, beside the last one."""
MOST_INTERVALS = MARKS = 20  # episodes of a picture with an interval at each, and marks on a line (chosen)
GAPS = {
    "adaptation gap": (BLIND, "what all that happens in a trial is worth"),
    "memory gap": (NO_MEMORY, "what is worth remembering beyond the last transition"),
    "across-episode gap": (FORGETS, "what earlier episodes are worth"),
    "use of feedback": (OTHER, "what the trained agent loses when it is shown what came of another task"),
}
"""The four numbers: full memory minus another rung at the trial's last episode, paired by task."""


@lru_cache(maxsize=1024)
def normalised(ladder: Ladder, rung: Rung, episode: int) -> Interval:
    """A rung's score after an episode (from 0), with its interval: normalised, or as it is without references."""
    values, reference = rung.values[:, :, episode], ladder.test.reference
    if not ladder.referenced:
        return bootstrap_interval(values, rng=np.random.default_rng(0), n_resamples=1000)
    return ratio_interval(values, reference.random, reference.oracle)


@lru_cache(maxsize=64)
def gap(ladder: Ladder, name: str) -> Interval | None:
    """One of the four numbers, on the scale of the table; None where its rung is not there."""
    return _difference(ladder, FULL, GAPS[name][0]) if GAPS[name][0] in ladder.rungs else None


def _difference(ladder: Ladder, name: str, other: str) -> Interval:
    """One rung minus another at the last episode, paired by task."""
    more, less = (ladder.rungs[each].values[:, :, -1] for each in (name, other))
    rng, reference = np.random.default_rng(0), ladder.test.reference
    span = reference.oracle - reference.random if ladder.referenced else np.ones(more.shape[1])
    nothing = np.zeros_like(span)
    if (name, other) == (FULL, OTHER):  # the same agents twice: paired by seed, too
        return bootstrap_interval(more - less, ratio_of_means, rng=rng, paired=(nothing, span))
    return paired_difference(more, less, ratio_of_means, rng=rng, paired=(nothing, span))


def checks(ladder: Ladder) -> list[tuple[str, float | None, str, bool]]:
    """What a family that needs memory shows: what, how much, the bar, and if it is passed; none for raw scores.

    A share of what an agent earns that is no better than random play has no value.
    """
    if not ladder.referenced:
        return []
    last = {name: normalised(ladder, rung, ladder.episodes - 1).estimate for name, rung in ladder.rungs.items()}
    found: list[tuple[str, float | None, str, bool]] = []
    for name, bar in ("memory gap", 0.15), ("across-episode gap", 0.1):
        if (interval := gap(ladder, name)) is not None:
            passed = interval.estimate >= bar and interval.low > 0
            found.append((name, interval.estimate, f"at least {bar:.2f}, interval above 0", passed))
    over_list = _difference(ladder, OTHER, FIXED_LIST)
    found.append((f"{OTHER} minus {FIXED_LIST}", over_list.estimate, "not above 0", over_list.low <= 0))
    if TOLD in last:
        share = last[FIXED_LIST] / last[TOLD] if last[TOLD] > 0 else None
        found.append((f"{FIXED_LIST} over {TOLD}", share, "at most 0.60", share is not None and share <= 0.6))
        found.append((f"{TOLD} over {ORACLE}", last[TOLD], "at least 0.85", last[TOLD] >= 0.85))
    return found


def to_dict(ladder: Ladder, title: str) -> dict[str, Any]:
    """All of it as plain values, the mean of each task left out."""
    shown = episodes_shown(ladder)
    rungs = [
        {
            "name": rung.name,
            "trainings": rung.trainings,
            "intervals_over": "tasks and training seeds" if (rung.trainings or 0) > 1 else "tasks",
            "mean_score_of_each_episode": rung.values.mean(axis=(0, 1)).tolist(),
            "mean_score_of_each_seed": rung.values.mean(axis=1).tolist(),
            "score": {str(k + 1): normalised(ladder, rung, k)._asdict() for k in shown},
        }
        for rung in ladder.rungs.values()
    ]
    gaps = {name: found._asdict() for name in GAPS if (found := gap(ladder, name)) is not None}
    return {
        "title": title,
        "env": ladder.config.env,
        "split": ladder.test.split,
        "n_tasks": len(ladder.test),
        "tasks_sha256": ladder.test.sha256,
        "normalised": ladder.referenced,
        "objective": ladder.objective,
        "gaps": gaps,
        "checks": [dict(zip(("what", "value", "bar", "passed"), check, strict=True)) for check in checks(ladder)],
        "rungs": rungs,
        "notes": ladder.notes,
        "training": asdict(ladder.config),
        "versions": package_versions(),
    }


def episodes_shown(ladder: Ladder) -> list[int]:
    """Episodes of the table, from 0."""
    return sorted({k - 1 for k in SHOWN if k <= ladder.episodes} | {ladder.episodes - 1})


def lines(ladder: Ladder, title: str, picture: str | None = None) -> list[str]:
    """The page in Markdown."""
    config, shown, seeds = ladder.config, episodes_shown(ladder), ladder.rungs[FULL].trainings or 0
    scale = (
        "0 is random play and 1 the oracle, as a ratio of means"
        if ladder.referenced
        else "raw scores, as there are no references"
    )
    what = "best so far, by its reading" if ladder.objective == "best" else "k-th episode"
    settings = "".join(f", {name} {value}" for name, value in config.settings.items())
    intervals = "tasks and training seeds" if seeds > 1 else "tasks only, as there is **one training seed**"
    found = [
        f"# {title}",
        "",
        f"The adaptation certificate of `{config.env}`{settings}, by `metaenv certify`. RL² without a teacher, "
        f"{config.steps:,} steps, {seeds} seed{'s' * (seeds > 1)} and the same settings for each agent; "
        f"{len(ladder.test)} tasks of the split {ladder.test.split}. Score of the {what}: {scale}. "
        f"Brackets hold 95 % intervals over {intervals}.",
        "",
        *table(["after episode", *(str(k + 1) for k in shown), "95 % interval"], _rows(ladder, shown), aligned=True),
        "",
        *table(["number", "is full memory minus", "worth", "it says"], _gap_rows(ladder), text=(0, 1, 3), aligned=True),
    ]
    if bars := checks(ladder):
        passed = sum(check[-1] for check in bars)
        rows = [[name, _number(value), bar, "yes" if ok else "**no**"] for name, value, bar, ok in bars]
        found += ["", f"Bars of a family that needs memory: {passed} of {len(bars)} passed.", ""]
        found += table(["what", "found", "bar", "passed"], rows, text=(0, 2, 3), aligned=True)
    found += ["", *(f"- {note}" for note in ladder.notes)]
    return [*found, "", f"![{title}]({picture})"] if picture else found


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _rows(ladder: Ladder, shown: list[int]) -> list[list[str]]:
    found: list[list[str]] = []
    for rung in ladder.rungs.values():
        each = [normalised(ladder, rung, k) for k in shown]
        label = f"{rung.name} (1 seed)" if rung.trainings == 1 else rung.name
        end = "" if rung.name == ORACLE else f"[{each[-1].low:.3f}, {each[-1].high:.3f}]"
        found.append([label, *(f"{interval.estimate:.3f}" for interval in each), end])
    return found


def _gap_rows(ladder: Ladder) -> list[list[str]]:
    rows: list[list[str]] = []
    for name, (other, meaning) in GAPS.items():
        interval = gap(ladder, name)
        rows.append([name, other, "–" if interval is None else interval_cell(interval, sign=True), meaning])
    return rows


def figure(ladder: Ladder, title: str) -> Any:
    """One line for each rung over the episodes of the trial."""
    drawing = new_figure(8.0, 4.5)
    axes: Any = drawing.add_subplot()
    strong = {FULL: COLOURS[0], FORGETS: COLOURS[1], NO_MEMORY: COLOURS[5], BLIND: COLOURS[3], TOLD: COLOURS[2]}
    rungs = sorted(ladder.rungs.values(), key=lambda rung: -float(rung.values[:, :, -1].mean()))
    x, marks = np.arange(1, ladder.episodes + 1), iter("osv^D*PX" * 2)
    for rung in rungs:
        y = _curve(ladder, rung.values)
        if rung.name in strong:
            axes.plot(x, y, color=strong[rung.name], lw=2, label=rung.name, zorder=3)
            k = range(ladder.episodes) if ladder.episodes <= MOST_INTERVALS else episodes_shown(ladder)
            low, high = np.array([normalised(ladder, rung, i)[1:] for i in k]).T
            axes.fill_between(x[list(k)], low, high, color=strong[rung.name], alpha=0.15, lw=0)
        elif rung.name in (RANDOM, ORACLE):
            axes.plot(x, y, "--", color="#444444", lw=1, label=rung.name)
        else:
            every = max(1, ladder.episodes // MARKS)
            axes.plot(x, y, color="#999999", lw=0.9, marker=next(marks), ms=4, markevery=every, label=rung.name)
    axes.set_xlabel("episodes of the trial")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel("score: 0 random, 1 oracle" if ladder.referenced else "score")
    axes.set_title(f"{title}: {len(ladder.test)} tasks ({ladder.test.split})", fontsize=10)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return drawing


def _curve(ladder: Ladder, values: Floats) -> list[float]:
    by_episode = np.moveaxis(values, 2, 0)
    return [ladder.test.reference.normalised(each) if ladder.referenced else float(each.mean()) for each in by_episode]


def save(ladder: Ladder, title: str, page: Path) -> list[Path]:
    """Write the page and, beside it under the same name, the JSON and the picture; returns what was written."""
    picture = drawn(lambda: save_figure(figure(ladder, title), page.with_suffix(".png")))
    text = lines(ladder, title, None if picture is None else picture.name)
    written = [write_text(page, "\n".join(text) + "\n")]
    written.append(
        write_text(page.with_suffix(".json"), json.dumps(to_dict(ladder, title), indent=1, allow_nan=False) + "\n")
    )
    return written if picture is None else [*written, picture]
