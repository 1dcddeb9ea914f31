"""The meta-training of a few-shot learner in a run folder: its log, its checkpoints, and what a Ctrl-C leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from metaenv.devices import device_name
from metaenv.interrupts import stops_noted
from metaenv.runs.choosing import Chooser
from metaenv.runs.folder import LogFile, RunFolder, Saver
from metaenv.supervised.data.episodes import Episodes
from metaenv.supervised.learner import Learner

LOG_LINES = 200  # of a training (chosen)


def updates_a_line(iterations: int) -> int:
    """Meta-updates between two lines of the log of a training."""
    return max(1, iterations // LOG_LINES)


def lines_of(learner: Learner, place: RunFolder) -> list[dict[str, Any]]:
    """The lines of the log that tell of updates which a learner, new or loaded from the folder, has."""
    lines = place.read_log("iteration") if learner.iteration else []
    return [line for line in lines if line["iteration"] <= learner.iteration]


def meta_train(
    learner: Learner,
    episodes: Episodes,
    iterations: int,
    place: RunFolder,
    chooser: Chooser,
    *,
    resume: bool,
    progress_bar: bool = False,
    torch_threads: int = 1,
    checked: Callable[[], object] = lambda: None,
) -> None:
    """Train a learner for so many meta-updates; a loaded one goes on, to the same result and the same log.

    Args:
        learner: new, or loaded from the checkpoint of the folder.
        episodes: the stream that it is trained on, from its beginning.
        iterations: in all.
        place: the folder, made if it is not there; it gets ``checkpoint.pt``, ``log.jsonl`` and ``seconds.json``.
        chooser: what scores the learner on validation episodes, at lines of the log (`updates_a_line`).
        resume: whether the learner was loaded.
        progress_bar: show one.
        torch_threads: see `Learner.meta_fit`.
        checked: called after each check of the chooser.

    Raises:
        KeyboardInterrupt: there was a Ctrl-C or SIGTERM; raised after the present update, when all is saved.
    """
    place.path.mkdir(parents=True, exist_ok=True)
    with stops_noted() as stopped:
        watch = _Watch(learner, place, updates_a_line(iterations), stopped, chooser, checked)
        how: dict[str, Any] = {"progress_bar": progress_bar and learner.trained, "callback": watch}
        try:
            learner.meta_fit(episodes, iterations, resume=resume, torch_threads=torch_threads, **how)
            watch.save()
        finally:
            watch.log.close()


class _Watch:
    """Called after every update: log, checkpoints, and the end when there was a Ctrl-C.

    Checkpoints are written at lines of the log, which say how the updates since the line before went. Where a Ctrl-C
    ends the training between two lines, the last one keeps each loss, and training goes on from there.
    """

    def __init__(
        self,
        learner: Learner,
        place: RunFolder,
        every: int,
        stopped: Callable[[], bool],
        chooser: Chooser,
        checked: Callable[[], object],
    ) -> None:
        self.learner, self.every, self.stopped, self.chooser, self.checked = learner, every, stopped, chooser, checked
        self.log = LogFile(place, "iteration", learner.iteration)
        self._losses: list[float] = self.log.take_back("losses")
        self._saver = Saver(place, learner.save)

    def __call__(self, iteration: int, metrics: dict[str, float]) -> bool:
        self._losses.append(metrics["loss"])
        if iteration % self.every == 0:
            last = iteration == self.learner.iterations
            self._write(self._check() if self.chooser.due(iteration) or last else {})
            self._saver.save_if_due()
        return not self.stopped()

    def _check(self) -> dict[str, float]:
        found = self.chooser.check(self.learner)
        self.checked()
        return found

    def save(self) -> None:
        """Save the end, or the place of the interruption."""
        if self._losses:
            ended = self.learner.iteration == self.learner.iterations
            self._write(self._check() if ended else {"losses": [*self._losses]})
        self._saver.save()

    def _write(self, more: dict[str, Any]) -> None:
        finite = [x for x in self._losses if np.isfinite(x)]
        line = {
            "iteration": self.learner.iteration,
            "loss": float(np.mean(finite)) if finite else None,
            "skipped": self.learner.skipped,
            "seconds": round(self._saver.seconds, 3),
            "device": device_name(self.learner.device),
        }
        self.log.write(line | more)
        self._losses.clear()
