"""`metaenv reproduce omniglot`: all learners on Omniglot, with and without transduction, beside the papers' numbers.

A learner that normalises by statistics of the queries has seen the other queries: it is transductive, and may not
be compared with one that has not. Here each has two rows, one with batch normalisation (over support and over queries,
each task on its own) and one with group normalisation. What is finished is kept, and what was interrupted is resumed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from metaenv.evaluation import write_text
from metaenv.stats import bootstrap_interval
from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import Episodes, FrozenEpisodes, frozen_episodes
from metaenv.supervised.data.omniglot import CHARACTERS, SIDE, load_omniglot
from metaenv.supervised.evaluation import INTERVAL_SEED, evaluate
from metaenv.supervised.learner import Learner
from metaenv.supervised.learners.backbones import ConvNet
from metaenv.supervised.learners.snail import PAPER as SNAIL_PAPER
from metaenv.supervised.registry import LEARNERS, learner_class, make_learner

Split = Literal["validation", "test"]
Name = Literal["deep-kernel", "maml", "mann", "matching", "meta-lstm", "prototypical", "reptile", "snail"]
BASELINE = "nearest-centroid"
EPISODE_SEED = 423  # of the frozen episodes (chosen)
TEST_QUERIES = 5  # of each class (chosen; ProtoNet's code has 5, and 20 drawers allow 15 at 5 shots)


@dataclass(frozen=True)
class Published:
    """A row of a paper."""

    method: str
    learner: str | None
    """Which of ours it is."""
    transductive: bool
    cells: Mapping[tuple[int, int], str]
    """Accuracy in percent, and its 95 % interval where there is one, by (ways, shots)."""
    source: str

    @property
    def title(self) -> str | None:
        """The row of ours that it stands beside."""
        return None if self.learner is None else _title(self.learner, self.transductive)


def _title(learner: str, transductive: bool) -> str:
    return f"{learner}, transductive" if transductive else learner


def _row(five_1: str, five_5: str, twenty_1: str = "–", twenty_5: str = "–") -> dict[tuple[int, int], str]:
    return {(5, 1): five_1, (5, 5): five_5, (20, 1): twenty_1, (20, 5): twenty_5}


PUBLISHED = (
    Published("Matching Networks", "matching", False, _row("98.1", "98.9", "93.8", "98.5"), "Vinyals et al. 2016"),
    Published("MANN, no convolutions", "mann", False, _row("82.8", "94.9"), "Santoro et al. 2016 in Finn et al. 2017"),
    Published(
        "MAML", "maml", True, _row("98.7 ± 0.4", "99.9 ± 0.1", "95.8 ± 0.3", "98.9 ± 0.2"), "Finn et al. 2017, table 1"
    ),
    Published(
        "first-order MAML", None, True, _row("98.3 ± 0.5", "99.2 ± 0.2", "89.4 ± 0.5", "97.9 ± 0.1"),
        "Nichol et al. 2018, table 2",
    ),
    Published(
        "Reptile", "reptile", False, _row("95.39 ± 0.09", "98.90 ± 0.10", "88.14 ± 0.15", "96.65 ± 0.33"),
        "Nichol et al. 2018, table 2",
    ),
    Published(
        "Reptile", "reptile", True, _row("97.68 ± 0.04", "99.48 ± 0.06", "89.43 ± 0.14", "97.12 ± 0.32"),
        "Nichol et al. 2018, table 2",
    ),
    Published(
        "Prototypical Networks", "prototypical", False, _row("98.8", "99.7", "96.0", "98.9"),
        "Snell et al. 2017, table 1",
    ),
    Published(
        "SNAIL", "snail", False, _row("99.07 ± 0.16", "99.78 ± 0.09", "97.64 ± 0.30", "99.36 ± 0.18"),
        "Mishra et al. 2018, table 1, quoted from memory",
    ),
)  # fmt: skip
"""Deep kernels and Meta-LSTM have no such numbers in their papers."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a learner is trained for a cell of the table."""

    iterations: int
    settings: dict[str, Any] = field(default_factory=dict)
    width: int = 64
    """Channels of the four blocks of convolution."""
    n_query: int = 5
    """Queries of each class in training."""
    ways: int | None = None
    """Classes of a training episode; None for as many as in tests."""


def training_settings(learner: str, ways: int, shots: int) -> TrainingSettings:
    """Settings of the papers where they say and a cell is theirs; else chosen.

    MAML: section 5.2 and appendix A.1. Reptile: table 5 and the code's README, in which a training task has 10 samples
    of a class at 5 ways. ProtoNet: 60-way episodes. SNAIL: `metaenv.supervised.learners.snail.PAPER`.
    """
    five = ways == 5
    if learner == "maml":
        inner = {"inner_lr": 0.4, "inner_steps": 1, "test_steps": 3} if five else {"inner_lr": 0.1, "inner_steps": 5}
        return TrainingSettings(60_000, {**inner, "tasks_per_batch": 32 if five else 16, "engine": "loop"}, n_query=1)
    if learner == "reptile":
        inner = {"inner_lr": 1e-3, "inner_batch": 10, "inner_steps": 5} if five else {
            "inner_lr": 5e-4, "inner_batch": 20, "inner_steps": 10
        }  # fmt: skip
        return TrainingSettings(
            100_000 if five else 200_000, {**inner, "tasks_per_batch": 5, "test_steps": 50}, n_query=10 - shots
        )
    if learner == "prototypical":
        return TrainingSettings(20_000, {"tasks_per_batch": 1, "lr_decay": "linear"}, ways=60)
    if learner == "meta-lstm":  # 32 channels, and 12 steps for one sample of a class but 5 for five, as there
        return TrainingSettings(20_000, {"tasks_per_batch": 1, "inner_steps": 12 if shots == 1 else 5}, width=32)
    more = SNAIL_PAPER if learner == "snail" else {}
    return TrainingSettings(40_000, {"tasks_per_batch": 16, "lr_decay": "linear", **more}, n_query=1)


def omniglot(
    data: Path,
    out: Path = Path("runs/reproduce/omniglot"),
    learners: tuple[Name, ...] = tuple(sorted(LEARNERS)),  # type: ignore[assignment]
    ways: tuple[int, ...] = (5, 20),
    shots: tuple[int, ...] = (1, 5),
    transduction: tuple[bool, ...] = (False, True),
    seeds: int = 1,
    iterations: int | None = None,
    episodes: int = 1_000,
    split: Split = "test",
) -> None:
    """Few-shot learners on Omniglot, with and without transduction, beside what their papers say.

    Args:
        data: npz with images (1623, 20, 28, 28), or the folder of images_background and images_evaluation.
        out: folder of the runs and the table.
        learners: which.
        ways: classes of an episode.
        shots: pictures of each class to learn from.
        transduction: normalise by single pictures (False), by batches (True), or both.
        seeds: trainings of each.
        iterations: meta-updates; by default those of the papers, which are days on one core.
        episodes: frozen ones, the same for all.
        split: which characters to test on.
    """
    characters = load_omniglot(data)
    parts = characters.split()
    cells = [(way, shot) for way in ways for shot in shots]
    found: dict[str, dict[tuple[int, int], str]] = {}
    for cell in cells:
        test = frozen_episodes(
            Episodes(parts[split], cell[1], TEST_QUERIES, n_way=cell[0], seed=EPISODE_SEED), episodes
        )
        found.setdefault(BASELINE, {})[cell] = _percent(_baseline(parts["train"], cell, test))
        for name in learners:
            for transductive in transduction:
                runs = []
                for seed in range(seeds):
                    plan = _plan(name, cell, transductive, seed, iterations, parts["train"])
                    runs.append(_accuracy(plan, parts["train"], test, out / _folder(plan)))
                found.setdefault(_title(name, transductive), {})[cell] = _percent(np.stack(runs))
        write_text(out / "table.md", _table(found, cells, len(characters.names), episodes, seeds, iterations))
    write_text(out / "table.json", json.dumps(_plain(found), indent=1) + "\n")
    print((out / "table.md").read_text(encoding="utf-8"))
    print(f"Written: {out / 'table.md'}, with JSON beside it.")


# ONE RUN


@dataclass(frozen=True)
class Plan:
    """One training, resolved."""

    learner: str
    ways: int
    shots: int
    transductive: bool
    seed: int
    settings: TrainingSettings


def _plan(
    name: str, cell: tuple[int, int], transductive: bool, seed: int, iterations: int | None, train: Dataset
) -> Plan:
    chosen = asdict(training_settings(name, *cell))
    chosen["iterations"] = chosen["iterations"] if iterations is None else iterations
    chosen["ways"] = min(chosen["ways"] or cell[0], len(np.unique(train.y)))
    return Plan(name, *cell, transductive, seed, TrainingSettings(**chosen))


def _folder(plan: Plan) -> str:
    kind = f"{plan.learner}-transductive" if plan.transductive else plan.learner
    return os.path.join(f"{plan.ways}-way-{plan.shots}-shot", kind, f"seed-{plan.seed}")


def _accuracy(plan: Plan, train: Dataset, test: FrozenEpisodes, folder: Path) -> np.ndarray[Any, Any]:
    """(episodes,) accuracies of one run, trained, resumed or read back."""
    want = {"plan": asdict(plan), "train": train.sha256, "test": test.sha256}
    done = folder / "accuracy.json"
    if done.exists():
        kept = json.loads(done.read_text(encoding="utf-8"))
        if kept["of"] == json.loads(json.dumps(want)):
            return np.array(kept["accuracy"])
        raise ValueError(f"{folder} holds a run of other settings or data; choose another --out, or delete it")
    learner = trained(plan, train, folder / "checkpoint.pt")
    scores = evaluate({"it": learner}, test, tasks_at_once=20).scores["it"].by_episode["accuracy"]
    write_text(done, json.dumps({"of": want, "accuracy": scores.tolist()}) + "\n")
    return scores


def trained(plan: Plan, train: Dataset, checkpoint: Path) -> Learner:
    """The learner of a plan, trained, or resumed from the checkpoint if there is one."""
    settings = plan.settings
    stream = Episodes(train, plan.shots, settings.n_query, n_way=settings.ways or plan.ways, seed=plan.seed)
    backbone = ConvNet((1, SIDE, SIDE), settings.width, batch_norm=plan.transductive)
    if checkpoint.exists():
        learner = learner_class(plan.learner).load(checkpoint, backbone)
        return learner.meta_fit(stream, resume=True, progress_bar=True, checkpoint=checkpoint)
    learner = make_learner(
        plan.learner,
        stream.problem,
        seed=plan.seed,
        backbone=backbone,
        transductive=plan.transductive,
        scale="none",
        **settings.settings,
    )
    return learner.meta_fit(stream, settings.iterations, progress_bar=True, checkpoint=checkpoint)


def _baseline(train: Dataset, cell: tuple[int, int], test: FrozenEpisodes) -> np.ndarray[Any, Any]:
    stream = Episodes(train, cell[1], 1, n_way=cell[0], seed=0)
    learner = make_learner(BASELINE, stream.problem, scale="none").meta_fit(stream, 0)
    return evaluate({"it": learner}, test).scores["it"].by_episode["accuracy"][None]


# THE TABLE


def _percent(accuracy: np.ndarray[Any, Any]) -> str:
    """Mean and half of its 95 % interval over episodes and seeds, of accuracies (seeds, episodes)."""
    interval = bootstrap_interval(accuracy, rng=np.random.default_rng(INTERVAL_SEED))
    return f"{100 * interval.estimate:.2f} ± {50 * (interval.high - interval.low):.2f}"


def _table(
    found: Mapping[str, Mapping[tuple[int, int], str]],
    cells: list[tuple[int, int]],
    characters: int,
    episodes: int,
    seeds: int,
    iterations: int | None,
) -> str:
    heads = [f"{way}-way {shot}-shot" for way, shot in cells]
    whole = "" if characters == CHARACTERS else f" NOT the whole of Omniglot, which has {CHARACTERS:,} characters."
    length = "as many meta-updates as in the papers" if iterations is None else f"{iterations:,} meta-updates"
    lines = [
        "# Omniglot, Vinyals' split: accuracy in percent, ± half the 95 % interval",
        "",
        f"{characters:,} characters, {episodes:,} frozen episodes, {seeds} seed(s), {length}.{whole} Transductive rows "
        "normalise over all queries of a task; compare them with transductive rows only.",
        "",
        "| method | " + " | ".join(heads) + " | source |",
        "| --- |" + " ---: |" * len(cells) + " --- |",
    ]
    for title, cell_of in found.items():
        lines.append(_line(title, cell_of, cells, "here"))
        lines += [_paper_line(paper, cells) for paper in PUBLISHED if paper.title == title]
    lines += [_paper_line(paper, cells) for paper in PUBLISHED if paper.title not in found]
    return "\n".join(lines) + "\n"


def _paper_line(paper: Published, cells: list[tuple[int, int]]) -> str:
    name = f"{paper.method}, transductive" if paper.transductive else paper.method
    return _line(f"*{name}*", paper.cells, cells, paper.source)


def _line(title: str, cell_of: Mapping[tuple[int, int], str], cells: list[tuple[int, int]], source: str) -> str:
    return f"| {title} | " + " | ".join(cell_of.get(cell, "–") for cell in cells) + f" | {source} |"


def _plain(found: Mapping[str, Mapping[tuple[int, int], str]]) -> dict[str, dict[str, str]]:
    return {title: {f"{w}-way {s}-shot": v for (w, s), v in cells.items()} for title, cells in found.items()}
