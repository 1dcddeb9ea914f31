"""`metaenv fewshot all`: every family and kind of problem with every learner and baseline, as one table.

Each problem is a run in a folder of its own, so that a matrix which was stopped goes on cell by cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import tyro

from metaenv.errors import nearest
from metaenv.files import write_text
from metaenv.limits import COUNT, check
from metaenv.markdown import table
from metaenv.plots import new_figure
from metaenv.plots import save as save_figure
from metaenv.runs.cells import draw_training, opened, read_report, run_cells
from metaenv.runs.fewshot import FewShotOptions, Run, resolve_run
from metaenv.runs.folder import RunError
from metaenv.runs.parallel import Engine
from metaenv.runs.stopping import or_stopped
from metaenv.supervised.evaluation import interval_text, write_json
from metaenv.supervised.families import FAMILIES, family_class, make_family
from metaenv.supervised.registry import BASELINES, LEARNERS, REFERENCES, learner_class
from metaenv.supervised.report import FewShotReport, draw

YARDSTICKS = ("no-adaptation", "nearest-centroid")
"""Baselines that each learner should beat somewhere, or it has learned nothing there."""


def matrix(
    out: str | Path,
    families: Sequence[str] = (),
    learners: Sequence[str] = (),
    *,
    first_kind_only: bool = False,
    workers: int = 1,
    engine: Engine = "local",
    progress_bar: bool = False,
    say: Callable[[str], None] = print,
    **settings: Any,
) -> dict[str, FewShotReport]:
    """Do the runs of a matrix, or go on with them, and write the table, JSON and picture.

    Args:
        out: folder of the matrix; the same call with the same folder goes on.
        families: names; all by default.
        learners: names; all by default.
        first_kind_only: leave out what a family has beside its first kind of problem.
        workers: processes that do cells at once.
        engine: local processes, or a Ray cluster.
        progress_bar: show one for each training, unless there are several workers.
        say: told what begins.
        **settings: of every run, the fields of `FewShotOptions`; ``kind`` leaves out the other kinds of problem.

    Returns:
        A report for each problem, by the name of its folder.

    Raises:
        ValueError: no such family or learner, or the folder holds something else.
    """
    check("workers", workers, COUNT)
    out = Path(out).resolve()
    runs = _runs(families, learners, first_kind_only, settings, say)
    jobs = [(out / name, method, seed) for name, run in runs.items() for method, seed in run.cells()]
    failed: list[Path] = []
    with ExitStack() as stack:
        for name, run in runs.items():
            stack.enter_context(opened(run, out / name))
        try:
            failures = run_cells(jobs, progress_bar, workers, engine, say)
            failed = failures.folders
        finally:
            reports = _finished(out, runs, failed)
            if reports:
                save(reports, out)
                for name in reports:
                    draw_training(runs[name], out / name)
    failures.report("cells", len(jobs))
    return reports


def _runs(
    families: Sequence[str],
    learners: Sequence[str],
    first_kind_only: bool,
    settings: dict[str, Any],
    say: Callable[[str], None],
) -> dict[str, Run]:
    for name in families:
        family_class(name)
    for name in learners:
        learner_class(name)
    runs: dict[str, Run] = {}
    for family in families or FAMILIES:
        kinds = make_family(family).kinds
        for kind in kinds[:1] if first_kind_only else kinds:
            if settings.get("kind") not in (None, kind):
                continue
            able = [name for name in learners or LEARNERS if kind in learner_class(name).kinds]
            if learners and not able:
                continue
            try:
                run = resolve_run(family, able if learners else None, **{**settings, "kind": kind})
            except ImportError as error:
                say(f"{family} is left out: {error}")
                continue
            runs[f"{family}-{kind}"] = run
    if not runs:
        asked = f"of {', '.join(learners)} " if learners else ""
        raise RunError(f"none {asked}does a kind of problem that is asked for; {nearest('', LEARNERS)}")
    return runs


def _finished(out: Path, runs: dict[str, Run], failed: Sequence[Path]) -> dict[str, FewShotReport]:
    """Reports of the problems of which something is done."""
    found = {name: read_report(out / name, failed) for name in runs if (out / name / "config.json").exists()}
    return {name: report for name, report in found.items() if any(report.scores[k] for k in report.scores)}


def summary(reports: dict[str, FewShotReport]) -> str:
    """One table: a row a method, a column a problem, at the shot count of its training."""
    names = [m for m in [*LEARNERS, *BASELINES, *REFERENCES] if any(m in r.methods for r in reports.values())]
    head = ["method", *(f"{name} ({r.metric})" for name, r in reports.items()), "training s"]
    rows: list[list[str]] = []
    for method in names:
        seconds = sum(r.train_seconds.get(method, 0.0) for r in reports.values() if r.updates.get(method))
        rows.append([method, *(_cell(report, method) for report in reports.values()), f"{seconds:.0f}"])
    rows.append(["shots of training", *(str(r.n_shot) for r in reports.values()), ""])
    note = (
        "Mean ± half the 95 % interval over episodes and seeds; rmse: lower is better. **Bold**: better than "
        "every baseline outside the interval of the paired difference; *: better than no-adaptation and nearest "
        "centroid outside it. Linear-projection, meta-gp, no-adaptation and ridge-to-mean learn from the training "
        "tasks, as learners do; the other baselines have the samples of an episode alone."
    )
    return "\n".join([*table(head, rows), "", note])


def _cell(report: FewShotReport, method: str) -> str:
    if method not in report.methods:
        return "–"
    text = interval_text(report.interval(method))
    if method not in LEARNERS:
        return text
    if report.beats_all(method):
        return f"**{text}**"
    return f"{text} *" if set(YARDSTICKS) <= set(report.beats(method)) else text


def save(reports: dict[str, FewShotReport], out: Path) -> None:
    """Write each problem's report, and ``table.md``, ``matrix.json`` and ``picture.png`` of all."""
    for name, report in reports.items():
        report.save(out / name)
    parts = ["# Few-shot learners on every family", summary(reports)]
    parts += [f"## {report.name}\n\n{report.markdown()}" for report in reports.values()]
    write_text(out / "table.md", "\n\n".join(parts) + "\n")
    write_json(out / "matrix.json", {n: r.to_dict() for n, r in reports.items()})
    draw_all(reports, out / "picture.png")


def draw_all(reports: dict[str, FewShotReport], path: Path) -> None:
    """Save one picture of all reports, if there is matplotlib."""
    try:
        figure = new_figure(14.0, 3.2 * ((len(reports) + 1) // 2))
    except ImportError:
        return
    axes: Any = figure.subplots((len(reports) + 1) // 2, 2, squeeze=False).ravel()
    for ax, report in zip(axes, reports.values(), strict=False):
        draw(ax, report)
    for ax in axes[len(reports) :]:
        ax.set_axis_off()
    save_figure(figure, path)


def matrix_command(args: list[str]) -> int:
    """Parse what comes after ``metaenv fewshot all`` and do it."""

    def run(
        options: Annotated[FewShotOptions, tyro.conf.arg(name="")],
        families: tuple[str, ...] = (),
        learners: tuple[str, ...] = (),
        first_kind_only: bool = False,
        workers: int = 1,
        engine: Engine = "local",
        out: Path | None = None,
    ) -> int:
        """Every learner and baseline on every family and kind of problem: one table, with a section a family.

        Args:
            options: of every run.
            families: some only.
            learners: some only.
            first_kind_only: leave out what a family has beside its first kind of problem.
            workers: processes that train at once.
            engine: local processes, or a Ray cluster.
            out: the folder; runs/fewshot/all by default. The same command with the same folder goes on.
        """
        folder = out or Path("runs/fewshot") / ("all-quick" if options.quick else "all")
        how: dict[str, Any] = {"first_kind_only": first_kind_only, "workers": workers, "engine": engine}

        def work() -> int:
            reports = matrix(folder, families, learners, **how, progress_bar=True, **vars(options))
            print(f"\n{summary(reports)}\n\nWritten: {folder / 'table.md'}, with JSON and pictures beside it.")
            return 0

        return or_stopped(work, "the same command goes on")

    return tyro.cli(run, args=args, prog="metaenv fewshot all")
