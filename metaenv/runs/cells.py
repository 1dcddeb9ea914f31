"""Carries out few-shot runs: every method with every seed is a cell, a run folder that its scores are added to.

A run folder holds ``config.json`` (the problem, the resolved settings of every method, package versions), a folder
``METHOD/seed-S`` for each cell, in which ``best.pt`` is the learner that is scored, and once all are done
``report.json``, ``table.md``, ``picture.png`` and ``training.png``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from metaenv.errors import nearest
from metaenv.files import read_sealed_json, read_sealed_zip, write_sealed_json, write_sealed_zip
from metaenv.limits import COUNT, check
from metaenv.runs.choosing import Chooser, best_of, chosen
from metaenv.runs.curves import draw_curves
from metaenv.runs.fewshot import FORESTS, Choice, Run
from metaenv.runs.folder import RunError, RunFolder
from metaenv.runs.learning import lines_of, meta_train, updates_a_line
from metaenv.runs.parallel import Engine, Failures, check_shared, map_runs
from metaenv.runs.settings import differences, told
from metaenv.supervised.evaluation import METRICS, Scores, evaluate
from metaenv.supervised.learner import Learner
from metaenv.supervised.registry import learner_class
from metaenv.supervised.report import FewShotReport

KIND = "few-shot"
"""Of a run's config.json."""
CHOICES: dict[Choice, str] = {"updates": "number of meta-updates", "temperature": "temperature of probabilities"}


def run_fewshot(
    run: Run,
    folder: str | Path,
    *,
    progress_bar: bool = False,
    workers: int = 1,
    engine: Engine = "local",
    say: Callable[[str], None] = print,
) -> FewShotReport:
    """Train and evaluate whatever of a run is not done yet, and write its report.

    Args:
        run: what `resolve_run` gave.
        folder: new, empty, or that of the same run, which is then gone on with, to the same result. That of a run with
            fewer iterations is gone on with after `lengthen`.
        progress_bar: show one for each training, unless there are several workers.
        workers: processes that do cells at once.
        engine: local processes, or a Ray cluster.
        say: told what begins.

    Raises:
        RunError: the folder holds something else, or at the end, when all others are done, if a cell failed.
        KeyboardInterrupt: after what was learned has been saved.
    """
    folder = Path(folder).resolve()
    with opened(run, folder):
        jobs = [(folder, method, seed) for method, seed in run.cells()]
        failures = run_cells(jobs, progress_bar, workers, engine, say)
        report = read_report(folder, failures.folders)
        if any(report.scores.values()):
            report.save(folder)
            draw_training(run, folder)
    failures.report("cells", len(jobs))
    return report


def draw_training(run: Run, folder: Path) -> None:
    """Write ``training.png``: loss and validation score of every training, if there was any."""
    trained = [(m, s) for m, s in run.cells() if run.methods[m].iterations]
    places = {f"{m}, seed {s}" if run.seeds > 1 else m: _cell(folder, m, s) for m, s in trained}
    draw_curves(places, METRICS[run.kind][0], folder / "training.png")


@contextmanager
def opened(run: Run, folder: Path) -> Iterator[None]:
    """Lock the folder of a run and write the settings into it, or see that they are those it has."""
    place = RunFolder(folder)
    if not place.config.exists() and not place.is_new:
        raise RunError(f"{folder} exists and is not empty; give another folder with --out")
    with place.locked():
        if not place.config.exists():
            place.write_config(KIND, run.to_dict())
        elif other := differences(read_run(folder).to_dict(), run.to_dict()):
            longer = any(name.endswith(".iterations") for name in other)
            raise RunError(
                f"{folder} holds a run with other settings: {told(other)}, which is asked for now; go on with it by "
                f"`metaenv resume {folder}{' --iterations N' * longer}`, or give another folder with --out"
            )
        yield


def lengthen(folder: str | Path, iterations: int) -> None:
    """Let the run of a folder have more meta-updates, which `run_fewshot` then makes.

    Raises:
        RunError: it was to have more than that already.
    """
    with RunFolder(folder).locked():
        RunFolder(folder).write_config(KIND, read_run(folder).lengthened(iterations).to_dict())


def read_run(folder: str | Path) -> Run:
    """The settings of a run folder. Raises RunError if it is none."""
    place = RunFolder(folder)
    return Run.from_dict(place.read_config(KIND), str(place.config))


def load_learner(folder: str | Path, method: str, seed: int | None = None, device: str = "auto") -> Learner:
    """A trained learner of a run folder, to adapt to tasks of one's own: the one that the run is scored with.

    Args:
        folder: of the run.
        method: a learner or a trained baseline.
        seed: of its training; by default the first.
        device: where it shall be, whatever it was trained on.
    """
    run = read_run(folder)
    if method not in run.methods:
        raise RunError(f"{folder} has no learner {method!r}.{nearest(method, run.methods)}")
    place = _cell(Path(folder), method, run.seed if seed is None else seed)
    path = best_of(place) if _result(run, method, place) is not None else place.checkpoint
    path = path if path.exists() else place.checkpoint
    if not path.exists():
        raise RunError(f"{path} is not there yet; train it first with `metaenv resume {folder}`")
    return learner_class(method).load(path, device=device)


def read_report(folder: str | Path, leave_out: Collection[Path] = ()) -> FewShotReport:
    """The report of a run folder: of all methods and seeds that are done, but for some folders of cells."""
    folder = Path(folder)
    run = read_run(folder)
    scores: dict[int, dict[str, Scores]] = {k: {} for k in run.shots}
    seconds: dict[str, float] = {}
    hashes: dict[int, str] = {}
    for method in run.methods:
        places = [_cell(folder, m, s) for m, s in run.cells() if m == method]
        found = {p: values for p in places if p.path not in leave_out and (values := _result(run, method, p))}
        if not found:
            continue
        seconds[method] = sum(values["train_seconds"] for values in found.values())
        for k in run.shots:
            each = [_read_scores(place, k, values["seconds"][str(k)]) for place, values in found.items()]
            scores[k][method] = each[0] if len(each) == 1 else Scores.of_seeds(each)
            hashes[k] = next(iter(found.values()))["sha256_of_episodes"][str(k)]
    updates = {m: r.iterations for m, r in run.methods.items()}
    problem = run.stream("train").problem
    return FewShotReport(run.name, problem, run.n_shot, run.seeds, hashes, scores, seconds, updates, _told_choice(run))


def _told_choice(run: Run) -> str:
    names = [name for what, name in CHOICES.items() if run.chooses(what)]
    if not names:
        return " Final parameters, no temperature."
    where = ", of the split that is scored here" if run.split == "validation" else ""
    episodes = f"{run.validation_episodes:,} validation episodes{where}"
    return f" The {' and the '.join(names)} of each method {'was' if len(names) == 1 else 'were'} chosen on {episodes}."


def _cell(folder: Path, method: str, seed: int) -> RunFolder:
    return RunFolder(folder / method.replace(":", "-") / f"seed-{seed}")


def _result(run: Run, method: str, place: RunFolder) -> dict[str, Any] | None:
    """What is in cell.json, if the cell has been trained for all iterations and evaluated.

    Raises:
        RunError: the file is damaged, or the settings are not those of the run.
    """
    path = place.path / "cell.json"
    if not path.exists():
        return None
    try:
        found = read_sealed_json(path)
    except ValueError as error:
        raise RunError(f"{error}; remove it, and the cell is scored again") from error
    return found if _check_settings(run, method, found["run"], path) else None


def _check_settings(run: Run, method: str, stored: dict[str, Any], path: Path) -> bool:
    """Whether a file belongs to all the iterations that the run has now. Raises RunError if it is of other settings."""
    other = differences(run.cell_settings(method), stored)
    now, then = other.pop("method.iterations", (0, 0))
    if other or now < then:
        other |= {"method.iterations": (now, then)} if now != then else {}
        raise RunError(f"config.json of the run was edited: {told(other)}, as {path} has it; put it back")
    return now == then


# CELLS


def run_cells(
    jobs: Sequence[tuple[Path, str, int]], progress_bar: bool, workers: int, engine: Engine, say: Callable[[str], None]
) -> Failures:
    """Do those cells (absolute run folder, method, seed) that are not done yet, in folders that are locked."""
    check("workers", workers, COUNT)
    failures, todo = Failures(say), list[tuple[Path, str, int, bool]]()
    for folder, method, seed in jobs:
        with failures.of(_cell(folder, method, seed).path):
            if not is_done(folder, method, seed):
                todo.append((folder, method, seed, progress_bar))
    if complete := len(jobs) - len(todo) - len(failures):
        say(f"{complete} of {len(jobs)} cells are done already.")
    alone = engine == "local" and (workers == 1 or len(todo) == 1)
    finished: list[int] = []

    def begun(folder: Path, method: str, seed: int, progress_bar: bool) -> None:
        updates = read_run(folder).methods[method].iterations
        say(f"{folder.name}: {method}" + (f", seed {seed}, {updates:,} meta-updates" if updates else ""))
        run_cell(folder, method, seed, progress_bar)

    def done(index: int, result: Any) -> None:
        folder, method, seed, _ = todo[index]
        finished.append(index)
        if isinstance(result, FloatingPointError):
            say(f"{folder.name}: {method}, seed {seed}, is left out: {result}")
            return
        place = _cell(folder, method, seed)
        with failures.of(place.path):
            if isinstance(result, Exception):
                raise result
            check_shared(place.path / "cell.json")
            if not alone:
                say(f"{len(finished)} of {len(todo)}: {folder.name}, {method}, seed {seed}")

    if alone:
        map_runs(begun, todo, done=done)
    else:
        map_runs(run_cell, [(*job[:3], False) for job in todo], engine, workers, done)
    return failures


def is_done(folder: Path, method: str, seed: int) -> bool:
    """Whether a cell has been trained and evaluated. Raises RunError if its files are damaged or of another run."""
    return _result(read_run(folder), method, _cell(folder, method, seed)) is not None


def run_cell(folder: Path, method: str, seed: int, progress_bar: bool = False) -> None:
    """Train a method with a seed and score it, going on where it was interrupted; nothing if that is done.

    Raises:
        KeyboardInterrupt: after the checkpoint was written.
    """
    run, place = read_run(folder), _cell(folder, method, seed)
    if _result(run, method, place) is not None:
        return
    learner = chosen(run, place, method, _trained(run, place, method, seed, progress_bar))
    first = run.forest_episodes if method in FORESTS else None
    seconds = place.seconds if learner.trained else 0.0
    found: dict[str, Any] = {"run": run.cell_settings(method), "train_seconds": seconds, "skipped": learner.skipped}
    found |= {"updates": learner.iteration, "temperature": learner.temperature}
    found |= {"seconds": {}, "sha256_of_episodes": {}}
    columns: dict[str, Any] = {}
    for k in run.shots:
        report = evaluate({method: learner}, run.frozen(k), first=first)
        columns |= {f"{k} {metric}": v for metric, v in report.scores[method].by_episode.items()}
        found["seconds"][str(k)] = report.scores[method].seconds
        found["sha256_of_episodes"][str(k)] = report.sha256
    archive = io.BytesIO()
    np.savez_compressed(archive, allow_pickle=False, **columns)
    write_sealed_zip(place.path / "scores.npz", archive)
    write_sealed_json(place.path / "cell.json", found)


def _trained(run: Run, place: RunFolder, method: str, seed: int, progress_bar: bool) -> Learner:
    """A learner at the end of its training."""
    iterations, episodes = run.methods[method].iterations, run.training(method, seed)
    begun = place.checkpoint.exists()
    learner = learner_class(method).load(place.checkpoint) if begun else run.learner(method, seed)
    if begun:
        _check_settings(run, method, learner.run, place.checkpoint)
    learner.run = run.cell_settings(method)
    chooser = Chooser.of_run(run, place, method, updates_a_line(iterations), lines_of(learner, place))
    how: dict[str, Any] = {"progress_bar": progress_bar, "torch_threads": run.torch_threads}
    meta_train(learner, episodes, iterations, place, chooser, resume=begun, **how)
    return learner


def _read_scores(place: RunFolder, k: int, seconds: float) -> Scores:
    path = place.path / "scores.npz"
    try:
        with np.load(read_sealed_zip(path), allow_pickle=False) as stored:
            names = [name for name in stored.files if name.startswith(f"{k} ")]
            return Scores({name.partition(" ")[2]: stored[name] for name in names}, seconds)
    except (ValueError, FileNotFoundError) as error:
        raise RunError(f"{error}; remove cell.json beside it, and the cell is scored again") from error
