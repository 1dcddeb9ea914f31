"""All few-shot learners on Omniglot, with and without transduction, beside the papers' numbers.

A learner that normalises by statistics of the queries has seen the other queries: it is transductive, and may not
be compared with one that has not. Here each has two rows, one with batch normalisation (over support and over queries,
each task on its own) and one with group normalisation. What is finished is kept, and what was interrupted is resumed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.evaluation import write_text
from metaenv.experiments.omniglot_papers import PUBLISHED, Cell, TrainingSettings, row_name, training_settings
from metaenv.experiments.runner import Experiment
from metaenv.markdown import table
from metaenv.stats import bootstrap_interval
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import Episodes, FrozenEpisodes, frozen_episodes
from metaenv.supervised.data.omniglot import CHARACTERS, SIDE, load_omniglot
from metaenv.supervised.evaluation import INTERVAL_SEED, evaluate
from metaenv.supervised.learner import Learner
from metaenv.supervised.learners.backbones import ConvNet
from metaenv.supervised.registry import LEARNERS, learner_class, make_learner

Split = Literal["validation", "test"]
Name = Literal[
    "deep-kernel", "maml", "mann", "matching", "meta-lstm", "neural-process", "pretrained", "prototypical", "reptile",
    "snail", "transformer-process",
]  # fmt: skip
BASELINE = "nearest-centroid"
EPISODE_SEED = 423  # of the frozen episodes (chosen)
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

    def run(self) -> None:
        characters = load_omniglot(self.data)
        parts = characters.split()
        found: Found = {}
        lines: list[str] = []
        for cell in self._cells():
            stream = Episodes(parts[self.split], cell[1], TEST_QUERIES, n_way=cell[0], seed=EPISODE_SEED)
            test = frozen_episodes(stream, self.episodes)
            found.setdefault(BASELINE, {})[cell] = _percent(_baseline(parts["train"], cell, test))
            for learner, transductive in ((a, b) for a in self.learners for b in self.transduction):
                runs = [self._run_of(learner, cell, transductive, s, parts["train"]) for s in range(self.seeds)]
                scores = [_accuracy(run, parts["train"], test, self.folder / run.folder) for run in runs]
                found.setdefault(row_name(learner, transductive), {})[cell] = _percent(np.stack(scores))
            lines = self._lines(found, len(characters.names))
            self.write(lines)
        plain = {title: {_column(cell): x for cell, x in cells.items()} for title, cells in found.items()}
        write_text(self.folder / "table.json", json.dumps(plain, indent=1) + "\n")
        self.finish(lines)

    def _cells(self) -> list[Cell]:
        return [(way, shot) for way in self.ways for shot in self.shots]

    def _run_of(self, learner: str, cell: Cell, transductive: bool, seed: int, train: Dataset) -> Run:
        training = training_settings(learner, *cell)
        ways = min(training.ways or cell[0], len(np.unique(train.y)))
        iterations = training.iterations if self.iterations is None else self.iterations
        return Run(learner, *cell, transductive, seed, replace(training, ways=ways, iterations=iterations))

    def _lines(self, found: Found, characters: int) -> list[str]:
        cells = self._cells()
        whole = "" if characters == CHARACTERS else f" NOT the whole of Omniglot, which has {CHARACTERS:,} characters."
        length = "as many meta-updates as in the papers"
        if self.iterations is not None:
            length = f"{self.iterations:,} meta-updates"
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
            f"{characters:,} characters, {self.episodes:,} frozen episodes, {self.seeds} seed(s), {length}.{whole} "
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
        return Path(f"{self.ways}-way-{self.shots}-shot") / kind / f"seed-{self.seed}"


def _accuracy(run: Run, train: Dataset, test: FrozenEpisodes, folder: Path) -> NDArray[Any]:
    """(episodes,) accuracies of one run, trained, resumed or read back."""
    wanted = {"run": asdict(run), "train": train.sha256, "test": test.sha256}
    done = folder / "accuracy.json"
    if done.exists():
        kept = json.loads(done.read_text(encoding="utf-8"))
        if kept["of"] == json.loads(json.dumps(wanted)):
            return np.array(kept["accuracy"])
        raise ValueError(f"{folder} holds a run of other settings or data. Choose another --out, or delete it.")
    learner = trained(run, train, folder / "checkpoint.pt")
    scores = evaluate({"it": learner}, test, tasks_at_once=20).scores["it"].by_episode["accuracy"]
    write_text(done, json.dumps({"of": wanted, "accuracy": scores.tolist()}) + "\n")
    return scores


def trained(run: Run, train: Dataset, checkpoint: Path) -> Learner:
    """The learner of a run, trained, or resumed from the checkpoint if there is one."""
    training = run.training
    stream = Episodes(train, run.shots, training.n_query, n_way=training.ways or run.ways, seed=run.seed)
    backbone = ConvNet((1, SIDE, SIDE), training.width, batch_norm=run.transductive)
    if checkpoint.exists():
        learner = learner_class(run.learner).load(checkpoint, backbone)
        return learner.meta_fit(stream, resume=True, progress_bar=True, checkpoint=checkpoint)
    given = {"backbone": backbone, "transductive": run.transductive, "scale": "none", **training.settings}
    learner = make_learner(run.learner, stream.problem, seed=run.seed, **given)
    return learner.meta_fit(stream, training.iterations, progress_bar=True, checkpoint=checkpoint)


def _baseline(train: Dataset, cell: Cell, test: FrozenEpisodes) -> NDArray[Any]:
    stream = Episodes(train, cell[1], 1, n_way=cell[0], seed=0)
    learner = make_learner(BASELINE, stream.problem, scale="none").meta_fit(stream, 0)
    return evaluate({"it": learner}, test).scores["it"].by_episode["accuracy"][None]


def _percent(accuracy: NDArray[Any]) -> str:
    """Mean and half of its 95 % interval over episodes and seeds, of accuracies (seeds, episodes)."""
    interval = bootstrap_interval(accuracy, rng=np.random.default_rng(INTERVAL_SEED))
    return f"{100 * interval.estimate:.2f} ± {50 * (interval.high - interval.low):.2f}"


def _column(cell: Cell) -> str:
    return f"{cell[0]}-way {cell[1]}-shot"


def _row(title: str, accuracies: Mapping[Cell, str], cells: list[Cell], source: str) -> list[str]:
    return [title, *(accuracies.get(cell, "–") for cell in cells), source]
