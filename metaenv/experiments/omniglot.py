"""All few-shot learners on Omniglot, with and without transduction, beside the papers' numbers.

A learner that normalises by statistics of the queries has seen the other queries: it is transductive, and may not
be compared with one that has not. Here each has two rows, one with batch normalisation (over support and over queries,
each task on its own) and one with group normalisation. What is finished is kept, and what was interrupted is resumed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.evaluation import write_text
from metaenv.experiments.omniglot_papers import PUBLISHED, Cell, TrainingSettings, row_name, training_settings
from metaenv.experiments.runner import Experiment
from metaenv.markdown import table
from metaenv.runs.choosing import Chooser
from metaenv.runs.curves import draw_curves
from metaenv.runs.folder import RunFolder
from metaenv.runs.learning import lines_of, meta_train, updates_a_line
from metaenv.runs.parallel import map_runs
from metaenv.stats import bootstrap_interval
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import Episodes, FrozenEpisodes, frozen_episodes
from metaenv.supervised.data.omniglot import CHARACTERS, SIDE, load_omniglot
from metaenv.supervised.data.omniglot import Omniglot as Characters
from metaenv.supervised.evaluation import INTERVAL_SEED, evaluate
from metaenv.supervised.learner import Learner
from metaenv.supervised.learners.backbones import ConvNet
from metaenv.supervised.registry import LEARNERS, learner_class, make_learner
from metaenv.threads import weights_drawn_from

Split = Literal["validation", "test"]
Name = Literal[
    "deep-kernel", "maml", "mann", "matching", "meta-lstm", "neural-process", "pretrained", "prototypical", "reptile",
    "snail", "transformer-process",
]  # fmt: skip
BASELINE = "nearest-centroid"
EPISODE_SEED = 423  # of the frozen episodes (chosen)
CHECKS = 20  # of a training: scores on validation episodes (chosen)
CHECKS_AT_CHANCE, CHANCE_MARGIN = 5, 0.05  # a learner no better than chance by this much then is told of (chosen)
TEST_QUERIES = 5  # of each class (chosen; ProtoNet's code has 5, and 20 drawers allow 15 at 5 shots)
Found = dict[str, dict[Cell, str]]


@dataclass(frozen=True)
class Omniglot(Experiment):
    """Few-shot learners on Omniglot, with and without transduction, beside what their papers say."""

    name = "omniglot"
    title = "Omniglot, Vinyals' split: accuracy in percent, ± half the 95 % interval"

    data: Path = field(kw_only=True)
    """An npz file with images (1623, 20, 28, 28), or the folder of images_background and images_evaluation."""
    seeds: int = 1
    learners: tuple[Name, ...] = tuple(sorted(LEARNERS))  # type: ignore[assignment]
    """Names of the learners."""
    ways: tuple[int, ...] = (5, 20)
    """Numbers of classes of an episode."""
    shots: tuple[int, ...] = (1, 5)
    """Numbers of pictures of each class to learn from."""
    transduction: tuple[bool, ...] = (False, True)
    """Whether to normalise by single pictures (False), by batches (True), or both."""
    iterations: int | None = None
    """Number of meta-updates; by default those of the papers, which are days on one core."""
    episodes: int = 1_000
    """Number of frozen episodes, the same for all."""
    split: Split = "test"
    """Characters to test on."""
    iterations_of: dict[str, int] = field(default_factory=dict)
    """Numbers of meta-updates of single learners, which come before ``iterations``."""
    validation_episodes: int = 100
    """Number of frozen episodes of validation characters that choose the number of meta-updates; 0 for the last one."""
    torch_threads: int = 1
    """Threads of torch in training."""
    workers: int = 1
    """Number of local processes that train at the same time."""
    train_once: bool = False
    """Train each learner for the first column only, and test it on all columns that it can be adapted to."""

    def run(self) -> None:
        characters = load_omniglot(self.data)
        parts = characters.split()
        found: Found = {}
        lines: list[str] = []
        if self.workers > 1:  # each writes its folder, which is read below
            map_runs(_work, [(self, *job) for job in self._jobs()], "local", self.workers)
        for cell in self._cells():
            test = self._test(parts, cell)
            found.setdefault(BASELINE, {})[cell] = _percent(_baseline(parts["train"], cell, test))
            for learner, transductive in ((a, b) for a in self.learners for b in self.transduction):
                if self._trained_for(learner, cell) is None:
                    continue
                scores = [self.accuracy(parts, learner, cell, transductive, s) for s in range(self.seeds)]
                found.setdefault(row_name(learner, transductive), {})[cell] = _percent(np.stack(scores))
            lines = self._lines(found, characters)
            self.write(lines)
        places = {str(f.relative_to(self.folder)): RunFolder(f) for f in sorted(self.folder.glob("*/*/seed-*"))}
        draw_curves(places, "accuracy", self.folder / "training.png")
        plain = {title: {_column(cell): x for cell, x in cells.items()} for title, cells in found.items()}
        write_text(self.folder / "table.json", json.dumps(plain, indent=1) + "\n")
        self.finish(lines)

    def _cells(self) -> list[Cell]:
        return [(way, shot) for way in self.ways for shot in self.shots]

    def _jobs(self) -> list[tuple[str, Cell, bool, int]]:
        """What is to be trained: learner, cell, transduction and seed."""
        cells = self._cells()[:1] if self.train_once else self._cells()
        kinds = [(cell, learner, t) for cell in cells for learner in self.learners for t in self.transduction]
        return [(learner, cell, t, seed) for cell, learner, t in kinds for seed in range(self.seeds)]

    def _trained_for(self, learner: str, cell: Cell) -> Cell | None:
        """The column that a learner is trained for, to be tested in another one; None if it cannot be adapted to it."""
        if not self.train_once:
            return cell
        first = self._cells()[0]
        return first if cell[0] == first[0] or learner_class(learner).variable_n_way else None

    def _test(self, parts: Mapping[str, Dataset], cell: Cell) -> FrozenEpisodes:
        stream = Episodes(parts[self.split], cell[1], TEST_QUERIES, n_way=cell[0], seed=EPISODE_SEED)
        return frozen_episodes(stream, self.episodes)

    def accuracy(
        self, parts: Mapping[str, Dataset], learner: str, cell: Cell, transductive: bool, seed: int
    ) -> NDArray[Any]:
        """(episodes,) accuracies of a learner, trained, resumed or read back."""
        run = self._run_of(learner, self._trained_for(learner, cell) or cell, transductive, seed, parts["train"])
        test, how = self._test(parts, cell), (self.validation_episodes, self.torch_threads)
        return _accuracy(run, parts, cell, test, self.folder / run.folder, *how)

    def _run_of(self, learner: str, cell: Cell, transductive: bool, seed: int, train: Dataset) -> Run:
        training = training_settings(learner, *cell, transductive)
        ways = min(training.ways or cell[0], len(np.unique(train.y)))
        iterations = training.iterations if self.iterations is None else self.iterations
        iterations = self.iterations_of.get(learner, iterations)
        return Run(learner, *cell, transductive, seed, replace(training, ways=ways, iterations=iterations))

    def _lines(self, found: Found, characters: Characters) -> list[str]:
        cells, count = self._cells(), len(characters.names)
        whole = "" if count == CHARACTERS else f" NOT the whole of Omniglot, which has {CHARACTERS:,} characters."
        whole += "" if characters.has_vinyals_names else " The split is drawn, as these names are not Omniglot's."
        length = "as many meta-updates as in the papers"
        if self.iterations is not None:
            length = f"{self.iterations:,} meta-updates"
        length += "".join(f", {n:,} of {name}" for name, n in self.iterations_of.items())
        if self.validation_episodes:
            length += f", of which {self.validation_episodes:,} episodes of validation characters chose how many"
        if self.train_once:
            length += f", all of them for {_column(cells[0])}"
        papers = [
            (p.row_of_ours, _row(f"*{row_name(p.method, p.transductive)}*", p.cells, cells, p.source))
            for p in PUBLISHED
        ]
        rows: list[list[str]] = []
        for title, accuracies in found.items():
            rows.append(_row(title, accuracies, cells, "here"))
            rows += [row for ours, row in papers if ours == title]
        rows += [row for ours, row in papers if ours not in found]
        return [
            f"# {self.title}",
            "",
            f"{count:,} characters, {self.episodes:,} frozen episodes, {self.seeds} seed(s), {length}.{whole} "
            "Transductive rows normalise over all queries of a task; compare them with transductive rows only.",
            "",
            *table(["method", *map(_column, cells), "source"], rows, text=(0, len(cells) + 1)),
        ]


@dataclass(frozen=True)
class Run:
    """One training with all its settings."""

    learner: str
    ways: int
    shots: int
    transductive: bool
    seed: int
    training: TrainingSettings

    @property
    def folder(self) -> Path:
        """Of the run, below that of the table."""
        kind = f"{self.learner}-transductive" if self.transductive else self.learner
        return Path(_place((self.ways, self.shots))) / kind / f"seed-{self.seed}"


def _accuracy(
    run: Run,
    parts: Mapping[str, Dataset],
    cell: Cell,
    test: FrozenEpisodes,
    folder: Path,
    validation: int,
    torch_threads: int,
) -> NDArray[Any]:
    """(episodes,) accuracies of one run in the episodes of a column, trained, resumed or read back."""
    wanted = {"run": asdict(run), "train": parts["train"].sha256, "test": test.sha256, "validation": validation}
    own = cell == (run.ways, run.shots)
    done = folder / ("accuracy.json" if own else f"accuracy-{_place(cell)}.json")
    if done.exists():
        kept, now = json.loads(done.read_text(encoding="utf-8")), json.loads(json.dumps(wanted))
        if kept["of"] == now:
            return np.array(kept["accuracy"])
        before = kept["of"]["run"]["training"].pop("iterations")
        if kept["of"] != _without_iterations(now) or before > run.training.iterations:
            raise ValueError(f"{folder} holds a run of other settings or data. Choose another --out, or delete it.")
    learner = trained(run, parts, folder, validation, torch_threads)
    scores = evaluate({"it": learner}, test, tasks_at_once=20).scores["it"].by_episode["accuracy"]
    write_text(done, json.dumps({"of": wanted, "updates": learner.iteration, "accuracy": scores.tolist()}) + "\n")
    return scores


def _without_iterations(wanted: dict[str, Any]) -> dict[str, Any]:
    training = {k: v for k, v in wanted["run"]["training"].items() if k != "iterations"}
    return {**wanted, "run": {**wanted["run"], "training": training}}


def _work(experiment: Omniglot, learner: str, cell: Cell, transductive: bool, seed: int) -> None:
    """Train and score one learner in a process of its own."""
    experiment.accuracy(load_omniglot(experiment.data).split(), learner, cell, transductive, seed)


def trained(
    run: Run, parts: Mapping[str, Dataset], folder: Path, validation: int = 0, torch_threads: int = 1
) -> Learner:
    """The learner of a run, trained, or resumed from its checkpoint: the best on validation episodes, or the last.

    A run of fewer meta-updates is gone on with. A Ctrl-C ends it after the present update, and nothing is lost.

    The folder gets ``checkpoint.pt``, ``best.pt`` and ``log.jsonl`` with the loss and the validation accuracy.
    """
    training, place = run.training, RunFolder(folder)
    stream = Episodes(parts["train"], run.shots, training.n_query, n_way=training.ways or run.ways, seed=run.seed)

    def backbone() -> ConvNet:
        with weights_drawn_from(run.seed):
            return ConvNet((1, SIDE, SIDE), training.width, batch_norm=run.transductive)

    if begun := place.checkpoint.exists():
        learner = learner_class(run.learner).load(place.checkpoint, backbone())
    else:
        given = {"transductive": run.transductive, "scale": "none", **training.settings}
        learner = make_learner(run.learner, stream.problem, seed=run.seed, backbone=backbone(), **given)
    every = updates_a_line(training.iterations)
    chooser = Chooser(
        place.best,
        (lambda: _validation(parts["validation"], run.ways, run.shots, validation)) if validation else None,
        "accuracy",
        every * max(1, round(training.iterations / CHECKS / every)),
        lines_of(learner, place),
    )
    how: dict[str, Any] = {"resume": begun, "progress_bar": True, "torch_threads": torch_threads}
    how["checked"] = _AtChance(run, learner, chooser)
    meta_train(learner, stream, training.iterations, place, chooser, **how)
    return learner if chooser.best is None else learner_class(run.learner).load(place.best, backbone())


@lru_cache(maxsize=2)
def _validation(data: Dataset, ways: int, shots: int, episodes: int) -> FrozenEpisodes:
    stream = Episodes(data, shots, TEST_QUERIES, n_way=ways, seed=EPISODE_SEED + 1)
    return frozen_episodes(stream, episodes)


class _AtChance:
    """Called after every check: says once if a learner has learned nothing by then."""

    def __init__(self, run: Run, learner: Learner, chooser: Chooser) -> None:
        self.run, self.learner, self.chooser = run, learner, chooser
        self._checks = 0

    def __call__(self) -> None:
        self._checks += 1
        best = self.chooser.best
        if self._checks == CHECKS_AT_CHANCE and best and best[1] < 1 / self.run.ways + CHANCE_MARGIN:
            print(
                f"{self.run.folder}: still at chance after {self.learner.iteration:,} meta-updates, {best[1]:.3f} of "
                "the validation queries right at best; Ctrl-C keeps what was learned"
            )


def _baseline(train: Dataset, cell: Cell, test: FrozenEpisodes) -> NDArray[Any]:
    stream = Episodes(train, cell[1], 1, n_way=cell[0], seed=0)
    learner = make_learner(BASELINE, stream.problem, scale="none").meta_fit(stream, 0)
    return evaluate({"it": learner}, test).scores["it"].by_episode["accuracy"][None]


def _percent(accuracy: NDArray[Any]) -> str:
    """Mean and half of its 95 % interval over episodes and seeds, of accuracies (seeds, episodes)."""
    interval = bootstrap_interval(accuracy, rng=np.random.default_rng(INTERVAL_SEED))
    return f"{100 * interval.estimate:.2f} ± {50 * (interval.high - interval.low):.2f}"


def _place(cell: Cell) -> str:
    return f"{cell[0]}-way-{cell[1]}-shot"


def _column(cell: Cell) -> str:
    return f"{cell[0]}-way {cell[1]}-shot"


def _row(title: str, accuracies: Mapping[Cell, str], cells: list[Cell], source: str) -> list[str]:
    return [title, *(accuracies.get(cell, "–") for cell in cells), source]
