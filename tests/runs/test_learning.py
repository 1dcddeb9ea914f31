"""The meta-training of a learner in a run folder; few-shot runs, Omniglot and the sines test more of it."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_problems import sines

from metaenv.runs.choosing import Chooser
from metaenv.runs.folder import RunFolder
from metaenv.runs.learning import lines_of, meta_train, updates_a_line
from metaenv.supervised.data.episodes import frozen_episodes
from metaenv.supervised.learners.maml import MAML, MAMLConfig

LINES = 8
UPDATES = 3 * LINES  # a line of the log for every three
CHECK = UPDATES // 4


@pytest.fixture(autouse=True)
def _short_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaenv.runs.learning.LOG_LINES", LINES)


def maml(folder: Path, checks: list[int], stop_at: int = 0, validation: bool = True) -> MAML:
    """A learner trained in a folder, new or gone on with, and the updates after which it was checked."""
    place, episodes = RunFolder(folder), sines(seed=0)
    if resume := place.checkpoint.exists():
        learner = MAML.load(place.checkpoint)
    else:
        learner = MAML(episodes.problem, MAMLConfig(sizes=(8,), tasks_per_batch=2, engine="vmap"), seed=0)
    frozen = frozen_episodes(sines(seed=1), 4)
    chooser = Chooser(place.best, (lambda: frozen) if validation else None, "mse", CHECK, lines_of(learner, place))

    def checked() -> None:
        checks.append(learner.iteration)
        if learner.iteration == stop_at:
            signal.raise_signal(signal.SIGTERM)

    meta_train(learner, episodes, UPDATES, place, chooser, resume=resume, checked=checked)
    return learner


def told(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def test_a_notice_to_end_is_obeyed_and_the_training_goes_on_to_the_same_end(tmp_path: Path) -> None:
    checks: list[int] = []
    whole = maml(tmp_path / "whole", checks)
    assert checks == [CHECK, 2 * CHECK, 3 * CHECK, UPDATES]
    log = told(tmp_path / "whole")
    assert [line["iteration"] for line in log] == [3 * i for i in range(1, LINES + 1)]
    assert [line["iteration"] for line in log if "validation" in line] == checks
    best = min((line for line in log if "validation" in line), key=lambda line: line["validation"])
    assert MAML.load(tmp_path / "whole" / "best.pt").iteration == best["iteration"]

    again: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        maml(tmp_path / "broken", again, stop_at=CHECK)
    kept = MAML.load(tmp_path / "broken" / "checkpoint.pt")
    assert (kept.iteration, again) == (CHECK, [CHECK])
    assert [line["iteration"] for line in lines_of(kept, RunFolder(tmp_path / "broken"))][-1] == CHECK
    found = maml(tmp_path / "broken", again)
    assert again == checks and told(tmp_path / "broken") == log
    expected = whole.network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in found.network.state_dict().items())
    assert RunFolder(tmp_path / "broken").seconds > 0


def test_without_validation_nothing_is_scored_or_chosen(tmp_path: Path) -> None:
    maml(tmp_path, [], validation=False)
    assert len(told(tmp_path)) == LINES and not any("validation" in line for line in told(tmp_path))
    assert not (tmp_path / "best.pt").exists()


def test_a_short_training_has_a_line_for_every_update() -> None:
    assert (updates_a_line(2), updates_a_line(LINES), updates_a_line(10 * LINES)) == (1, 1, 10)
