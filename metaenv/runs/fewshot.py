"""A few-shot run and its folder: learners and baselines on one problem of a family, resumable at any time.

    run = plan("light-curves", ["prototypical"], seeds=3)
    report = carry_out(run, "runs/curves")              # the same call again goes on where it stopped
    print(report.markdown())

A run folder holds ``config.json`` (the problem, the resolved settings of every method, package versions) and a folder
``METHOD/seed-S`` for each cell: ``checkpoint.pt``, ``log.jsonl``, and once it is done ``scores.npz`` and ``cell.json``.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property, lru_cache
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from metaenv.errors import nearest
from metaenv.evaluation import package_versions, write_text
from metaenv.files import replacing
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import Episodes, FrozenEpisodes, frozen_episodes
from metaenv.supervised.data.problem import Kind, Problem
from metaenv.supervised.evaluation import Scores, evaluate
from metaenv.supervised.families import make_family
from metaenv.supervised.families.family import Family
from metaenv.supervised.learner import Learner, config_names
from metaenv.supervised.registry import BASELINES, LEARNERS, learner_class, make_learner
from metaenv.supervised.report import FewShotReport
from metaenv.supervised.settings import CACHED_EXAMPLES, TrainingSettings, training_settings
from metaenv.tasks import TaskSampler

EVALUATION_SEED = 8_128  # of the frozen episodes; training streams have the seeds of the runs (chosen)
CHECKPOINT_SECONDS = 20.0  # what an interruption without warning may cost (chosen)
LOG_LINES = 200  # of a training (chosen)
FOREST_EPISODES = 100  # forests take a tenth of a second an episode, so they get the first so many only (chosen)
QUICK_EPISODES, QUICK_FORESTS, QUICK_SHARE = 50, 10, 20  # --quick: episodes, and a twentieth of the updates (chosen)
FORESTS = ("isolation-forest", "random-forest")


class RunError(ValueError):
    """A run, or a run folder, that cannot be used as asked."""


@dataclass(frozen=True)
class Run:
    """Learners and baselines on one problem, everything resolved. A value; JSON in and out."""

    family: str
    options: dict[str, Any]
    """Of the family."""
    kind: Kind
    n_way: int
    n_shot: int
    """Samples to learn from in training: of each class in classification."""
    n_query: int
    seed: int
    seeds: int
    """Trainings of each learner, with seeds ``seed``, ``seed + 1``, …"""
    shots: tuple[int, ...]
    """Samples to learn from in the evaluations."""
    split: str
    episodes: int
    """Frozen episodes of each shot count."""
    forest_episodes: int
    methods: dict[str, TrainingSettings]
    """Learners and baselines."""

    @property
    def name(self) -> str:
        """Such as "light-curves, 5-way classification"."""
        ways = f"{self.stream('train').problem.n_classes}-way " if self.kind == "classification" else ""
        return f"{self.family}, {ways}{self.kind}"

    def stream(self, split: str, k: int | None = None, n_query: int | None = None, seed: int = 0) -> Episodes:
        """Episodes of a split, by default with the shots and queries of the run."""
        k, n_query = self.n_shot if k is None else k, self.n_query if n_query is None else n_query
        return self._made.episodes(split, k, n_query, kind=self.kind, n_way=self.n_way, seed=seed)

    @cached_property
    def _made(self) -> Family:
        return _family(self.family, json.dumps(self.options))

    def training(self, method: str, seed: int) -> Episodes:
        """The training episodes of a method, with a seed."""
        chosen = self.methods[method]
        if chosen.task_cache is None:
            return self.stream("train", n_query=chosen.n_query, seed=seed)
        examples = max(CACHED_EXAMPLES, self.n_shot + self.n_query)
        data = _task_cache(self.family, json.dumps(self.options), self.kind, chosen.task_cache, examples, seed)
        return Episodes(data, self.n_shot, chosen.n_query or self.n_query, kind=self.kind, seed=seed)

    def frozen(self, k: int) -> FrozenEpisodes:
        """The evaluation episodes with ``k`` samples to learn from."""
        return _frozen(self.to_json(), k)

    def learner(self, method: str, seed: int) -> Learner:
        """A new one."""
        return make_learner(method, self.stream("train").problem, seed=seed, **self.methods[method].settings)

    def cells(self) -> list[tuple[str, int]]:
        """Every method with the first seed, then with the next; baselines that are not trained have one."""
        seeds = range(self.seed, self.seed + self.seeds)
        return [(m, s) for s in seeds for m in self.methods if s == self.seed or learner_class(m).trained]

    def to_json(self) -> str:
        """All of it."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Run:
        """What `to_json` wrote. Raises RunError if something is missing or unknown."""
        known = {f.name for f in fields(cls)}
        given = {k: v for k, v in values.items() if k in known}
        if missing := known - given.keys():
            raise RunError(f"expected a few-shot run's settings, but {', '.join(sorted(missing))} are missing")
        methods = {
            name: TrainingSettings(
                r["iterations"], {k: _tuples(v) for k, v in r["settings"].items()}, r["n_query"], r["task_cache"]
            )
            for name, r in given.pop("methods").items()
        }
        given["options"] = {k: _tuples(v) for k, v in given["options"].items()}
        return cls(**{k: _tuples(v) for k, v in given.items()}, methods=methods)


def plan(
    family: str,
    learners: Sequence[str] | None = None,
    *,
    kind: Kind | None = None,
    n_way: int = 5,
    n_shot: int | None = None,
    n_query: int | None = None,
    iterations: int | None = None,
    seed: int = 0,
    seeds: int = 1,
    shots: Sequence[int] = (),
    split: str = "test",
    episodes: int = 1_000,
    baselines: bool = True,
    quick: bool = False,
    settings: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Run:
    """Resolve what was asked for into a `Run`.

    Args:
        family: name of a family, see `metaenv.supervised.families.FAMILIES`.
        learners: names of learners or baselines; None for every learner that does such problems.
        kind: "classification", "regression" or "anomaly"; by default the family's first.
        n_way: classes of an episode, for families of many classes.
        n_shot: samples to learn from (of each class in classification); the family's default.
        n_query: samples to be judged on, likewise.
        iterations: meta-updates, instead of those stored in `metaenv.supervised.settings`.
        seed: of the first training.
        seeds: trainings of each learner.
        shots: counts of samples to evaluate with; by default a half or one, once and twice ``n_shot``.
        split: of the evaluation.
        episodes: frozen episodes of each shot count.
        baselines: also evaluate every baseline that does such problems.
        quick: a twentieth of the meta-updates, 50 episodes; to see that it works.
        settings: of the learners, over the stored ones.
        options: of the family, such as ``{"variant": "sequence"}``.

    Raises:
        ValueError: no such family, learner, kind, split or setting; or a learner that does not do such problems.
    """
    made = _family(family, json.dumps(dict(options or {})))
    kind = made.check(split, kind)
    if seeds < 1 or episodes < 1 or (iterations is not None and iterations < 0):
        raise RunError(f"expected seeds and episodes >= 1 and iterations >= 0, got {seeds}, {episodes}, {iterations}")
    k, q = made.shots[0] if n_shot is None else n_shot, made.shots[1] if n_query is None else n_query
    problem = made.episodes("train", k, q, kind=kind, n_way=n_way).problem
    names = _methods(problem, learners, [*BASELINES, *made.references] if baselines else [])
    asked = learners or names
    methods = {
        name: _resolved(
            training_settings(family, problem, name), name, name in asked, iterations, settings or {}, quick
        )
        for name in names
    }
    for name in methods:  # refuses settings that do not exist before anything is trained
        make_learner(name, problem, **methods[name].settings)
    kept = {k: _tuples(v) for k, v in dict(options or {}).items()}
    run = Run(
        family, kept, kind, n_way, k, q, seed, seeds, tuple(sorted(shots)), split,
        QUICK_EPISODES if quick else episodes, QUICK_FORESTS if quick else FOREST_EPISODES, methods,
    )  # fmt: skip
    return _with_shots(run)


def _resolved(
    stored: TrainingSettings, name: str, asked: bool, iterations: int | None, settings: Mapping[str, Any], quick: bool
) -> TrainingSettings:
    trained = learner_class(name).trained
    updates = stored.iterations if iterations is None else iterations
    mine = config_names(learner_class(name).config_class)
    # A baseline beside a learner takes of its settings what it knows too, such as the sizes of the network.
    more = {k: v for k, v in settings.items() if (asked and name in LEARNERS) or k in mine}
    return TrainingSettings(
        (max(1, updates // QUICK_SHARE) if quick and updates else updates) if trained else 0,
        {**stored.settings, **{k: _tuples(v) for k, v in more.items()}},
        stored.n_query,
        stored.task_cache if trained else None,
    )


def _methods(problem: Problem, learners: Sequence[str] | None, beside: Sequence[str]) -> list[str]:
    asked = list(learners) if learners else [n for n in LEARNERS if _can(n, problem)]
    for name in asked:
        if problem.kind not in learner_class(name).kinds:
            make_learner(name, problem)  # says what it does, and what to choose
    return list(dict.fromkeys([*asked, *(n for n in beside if _can(n, problem))]))


def _can(name: str, problem: Problem) -> bool:
    if problem.kind not in learner_class(name).kinds:
        return False
    needs = "sklearn" if name in FORESTS else "gpytorch" if name == "deep-kernel" else "torch"
    return find_spec(needs) is not None


def _with_shots(run: Run) -> Run:
    """With shot counts that the classes of the split are large enough for."""
    given, k = run.shots, run.n_shot
    if given and min(given) < 1:
        raise RunError(f"expected shot counts of at least 1, got {given}")
    few = 1 if run.kind == "classification" else max(1, k // 2)
    fitting: list[int] = []
    for count in given or sorted({few, k, 2 * k}):
        try:
            run.stream(run.split, count).draw(1)
            fitting.append(count)
        except ValueError:
            if given or count == k:
                raise
    return Run(**{**{f.name: getattr(run, f.name) for f in fields(run)}, "shots": tuple(fitting)})


@lru_cache(maxsize=4)
def _family(name: str, options: str) -> Family:
    """Kept, as one may have been read from files."""
    return make_family(name, **{k: _tuples(v) for k, v in json.loads(options).items()})


@lru_cache(maxsize=8)
def _frozen(run_json: str, k: int) -> FrozenEpisodes:
    run = Run.from_dict(json.loads(run_json))
    return frozen_episodes(run.stream(run.split, k, seed=EVALUATION_SEED), run.episodes)


@lru_cache(maxsize=1)
def _task_cache(family: str, options: str, kind: Kind, n_tasks: int, n_examples: int, seed: int) -> Dataset:
    """Examples of training tasks, a group each."""
    sampler = _family(family, options).source("train", kind, seed)
    assert isinstance(sampler, TaskSampler), "task caches are for families of tasks"
    seen = sampler.distribution.labelled(sampler.draw(n_tasks), n_examples, np.random.default_rng([seed, n_tasks]))
    x = seen.x.reshape(n_tasks * n_examples, *seen.x.shape[2:])
    return Dataset(x, seen.y.reshape(-1).astype(np.float64), np.repeat(np.arange(n_tasks), n_examples))


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# THE FOLDER


def carry_out(
    run: Run, folder: str | Path, *, progress_bar: bool = False, workers: int = 1, say: Callable[[str], None] = print
) -> FewShotReport:
    """Train and evaluate whatever of a run is not done yet, and write its report.

    Args:
        run: what `plan` gave.
        folder: new, empty, or that of the same run, which is then gone on with, to the same result.
        progress_bar: show one for each training, unless there are several workers.
        workers: processes that do cells at once.
        say: told what begins.

    Raises:
        RunError: the folder holds something else.
        KeyboardInterrupt: after what was learned has been saved.
    """
    folder = Path(folder)
    begin(run, folder)
    do_cells([(folder, method, seed) for method, seed in run.cells()], progress_bar, workers, say)
    report = read_report(folder)
    report.save(folder)
    return report


def begin(run: Run, folder: Path) -> None:
    """Write the settings into a new folder, or see that they are those it has."""
    path = folder / "config.json"
    if path.exists():
        if read_run(folder) != run:
            raise RunError(
                f"{folder} holds a run with other settings; go on with it by `metaenv resume {folder}`, or give "
                "another folder with --out"
            )
    elif folder.exists() and any(folder.iterdir()):
        raise RunError(f"{folder} exists and is not empty; give another folder with --out")
    else:
        write_text(path, json.dumps({**asdict(run), "versions": package_versions()}, indent=1) + "\n")


def read_run(folder: str | Path) -> Run:
    """The settings of a run folder. Raises RunError if it is none."""
    path = Path(folder) / "config.json"
    if not path.exists():
        raise RunError(f"expected a run folder with a config.json, found none in {folder}; `metaenv fewshot` makes one")
    try:
        return Run.from_dict(json.loads(path.read_text()))
    except (json.JSONDecodeError, TypeError, KeyError) as error:
        raise RunError(f"{path} is not a few-shot run's settings ({error}); was it edited?") from error


def load_learner(folder: str | Path, method: str, seed: int | None = None) -> Learner:
    """A trained learner of a run folder, to adapt to tasks of one's own.

    Args:
        folder: of the run.
        method: a learner or a trained baseline.
        seed: of its training; by default the first.
    """
    run = read_run(folder)
    if method not in run.methods:
        raise RunError(f"{folder} has no learner {method!r}.{nearest(method, run.methods)}")
    path = _cell(Path(folder), method, run.seed if seed is None else seed) / "checkpoint.pt"
    if not path.exists():
        raise RunError(f"{path} is not there yet; train it first with `metaenv resume {folder}`")
    return learner_class(method).load(path)


def read_report(folder: str | Path) -> FewShotReport:
    """The report of a run folder: of all methods and seeds that are done."""
    folder = Path(folder)
    run = read_run(folder)
    scores: dict[int, dict[str, Scores]] = {k: {} for k in run.shots}
    seconds: dict[str, float] = {}
    hashes: dict[int, str] = {}
    for method in run.methods:
        cells = [_cell(folder, m, s) for m, s in run.cells() if m == method and is_done(_cell(folder, m, s))]
        if not cells:
            continue
        told = [json.loads((cell / "cell.json").read_text()) for cell in cells]
        seconds[method] = sum(t["train_seconds"] for t in told)
        for k in run.shots:
            each = [_read_scores(cell, k, t["seconds"][str(k)]) for cell, t in zip(cells, told, strict=True)]
            scores[k][method] = each[0] if len(each) == 1 else Scores.of_seeds(each)
            hashes[k] = told[0]["sha256"][str(k)]
    updates = {m: r.iterations for m, r in run.methods.items()}
    return FewShotReport(run.name, _problem(run), run.n_shot, run.seeds, hashes, scores, seconds, updates)


def _problem(run: Run) -> Problem:
    return run.stream("train").problem


def _cell(folder: Path, method: str, seed: int) -> Path:
    return folder / method / f"seed-{seed}"


def is_done(cell: Path) -> bool:
    """Whether a cell has been trained and evaluated."""
    return (cell / "cell.json").exists()


# CELLS


def do_cells(
    jobs: Sequence[tuple[Path, str, int]], progress_bar: bool, workers: int, say: Callable[[str], None]
) -> None:
    """Do those cells (run folder, method, seed) that are not done yet."""
    todo = [job for job in jobs if not is_done(_cell(*job))]
    if len(todo) < len(jobs):
        say(f"{len(jobs) - len(todo)} of {len(jobs)} cells are done already.")
    if workers > 1 and len(todo) > 1:
        _in_processes(todo, workers, say)
        return
    for folder, method, seed in todo:
        updates = read_run(folder).methods[method].iterations
        say(f"{folder.name}: {method}" + (f", seed {seed}, {updates:,} meta-updates" if updates else ""))
        try:
            do_cell(folder, method, seed, progress_bar)
        except FloatingPointError as error:
            say(_left_out((folder, method, seed), error))


def _in_processes(jobs: Sequence[tuple[Path, str, int]], workers: int, say: Callable[[str], None]) -> None:
    # spawn: a forked child of a process that has used torch's threads can hang.
    context = get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_heed, initargs=(stop,)) as pool:
        futures = {pool.submit(do_cell, *job): job for job in jobs}
        try:
            for done, future in enumerate(as_completed(futures), 1):
                folder, method, seed = futures[future]
                try:
                    future.result()
                    say(f"{done} of {len(jobs)}: {folder.name}, {method}, seed {seed}")
                except FloatingPointError as error:
                    say(_left_out(futures[future], error))
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _left_out(job: tuple[Path, str, int], error: FloatingPointError) -> str:
    return f"{job[0].name}: {job[1]}, seed {job[2]}, is left out: {error}"


_stop: Any = None
"""In worker processes: the event that ends their trainings. Ctrl-C reaches the parent, which sets it."""


def _heed(stop: Any) -> None:
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def do_cell(folder: Path, method: str, seed: int, progress_bar: bool = False) -> None:
    """Train a method with a seed and score it, going on where it was interrupted; nothing if that is done.

    Raises:
        KeyboardInterrupt: after the checkpoint was written.
    """
    if is_done(_cell(folder, method, seed)):
        return
    if _stop is not None and _stop.is_set():
        raise KeyboardInterrupt
    run, cell = read_run(folder), _cell(folder, method, seed)
    learner, seconds = _trained(run, cell, method, seed, progress_bar)
    first = run.forest_episodes if method in FORESTS else None
    told: dict[str, Any] = {"train_seconds": seconds, "skipped": learner.skipped, "seconds": {}, "sha256": {}}
    columns: dict[str, Any] = {}
    for k in run.shots:
        report = evaluate({method: learner}, run.frozen(k), first=first)
        columns |= {f"{k} {metric}": v for metric, v in report.scores[method].by_episode.items()}
        told["seconds"][str(k)] = report.scores[method].seconds
        told["sha256"][str(k)] = report.sha256
    _write_arrays(cell / "scores.npz", columns)
    write_text(cell / "cell.json", json.dumps(told, indent=1) + "\n")


def _trained(run: Run, cell: Path, method: str, seed: int, progress_bar: bool) -> tuple[Learner, float]:
    """A learner at the end of its training, and the seconds that this took, interruptions left out."""
    chosen, path = run.methods[method], cell / "checkpoint.pt"
    episodes = run.training(method, seed)
    learner = learner_class(method).load(path) if path.exists() else run.learner(method, seed)
    with _interrupts() as interrupted:
        watch = _Watch(learner, cell, max(1, chosen.iterations // LOG_LINES), interrupted)
        shown = progress_bar and learner.trained
        if path.exists():
            learner.meta_fit(episodes, resume=True, progress_bar=shown, callback=watch)
        else:
            learner.meta_fit(episodes, chosen.iterations, progress_bar=shown, callback=watch)
        watch.close()
        if interrupted():
            raise KeyboardInterrupt
    return learner, watch.seconds if learner.trained else 0.0


class _Watch:
    """Called after every update: log, checkpoints, and the end when there was a Ctrl-C."""

    def __init__(self, learner: Learner, cell: Path, every: int, interrupted: Callable[[], bool]) -> None:
        self.learner, self.path, self.every, self.interrupted = learner, cell / "checkpoint.pt", every, interrupted
        self._log = cell / "log.jsonl"
        kept = _lines_until(self._log, learner.iteration)
        write_text(self._log, "".join(json.dumps(line) + "\n" for line in kept))
        self._before = kept[-1]["seconds"] if kept else 0.0
        self._started = self._saved = time.monotonic()
        self._losses: list[float] = []

    @property
    def seconds(self) -> float:
        """Wall time of training so far."""
        return self._before + time.monotonic() - self._started

    def __call__(self, iteration: int, metrics: dict[str, float]) -> bool:
        self._losses.append(metrics["loss"])
        stop = self.interrupted()
        if iteration % self.every == 0:
            self._write(iteration)
        if stop or time.monotonic() - self._saved > CHECKPOINT_SECONDS:
            self._save()
        return not stop

    def close(self) -> None:
        """Save the end, or the place of the interruption."""
        if self._losses:
            self._write(self.learner.iteration)
        self._save()

    def _save(self) -> None:
        self.learner.save(self.path)
        self._saved = time.monotonic()

    def _write(self, iteration: int) -> None:
        finite = [x for x in self._losses if np.isfinite(x)]
        line = {
            "iteration": iteration,
            "loss": float(np.mean(finite)) if finite else None,
            "skipped": self.learner.skipped,
            "seconds": round(self.seconds, 3),
        }
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._losses.clear()


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Whether there was a Ctrl-C, which ends a training after an update; a second one ends it at once."""
    if _stop is not None:
        yield _stop.is_set
        return
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number: int, frame: Any) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)


def _lines_until(path: Path, iteration: int) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
        except json.JSONDecodeError:  # cut short by a kill
            continue
        if line["iteration"] <= iteration:
            kept.append(line)
    return kept


def _read_scores(cell: Path, k: int, seconds: float) -> Scores:
    with np.load(cell / "scores.npz", allow_pickle=False) as stored:
        names = [name for name in stored.files if name.startswith(f"{k} ")]
        return Scores({name.partition(" ")[2]: stored[name] for name in names}, seconds)


def _write_arrays(path: Path, columns: Mapping[str, Any]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **columns)


__all__ = [
    "Run",
    "RunError",
    "carry_out",
    "load_learner",
    "plan",
    "read_report",
    "read_run",
]
