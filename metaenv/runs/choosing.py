"""What the validation episodes of a few-shot run choose: how many meta-updates a learner gets, and its temperature.

In the course of a training the learner is scored on frozen episodes of the split "validation", the log keeps the
scores, and ``best.pt`` the learner that scored best. At the end that one gets the temperature of least log loss on the
same episodes (`metaenv.supervised.calibration`) and is what the run is scored with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from metaenv.runs.fewshot import FORESTS, Run
from metaenv.runs.folder import RunError, RunFolder
from metaenv.supervised.calibration import calibrate
from metaenv.supervised.data.episodes import FrozenEpisodes
from metaenv.supervised.evaluation import LOWER_IS_BETTER, METRICS, evaluate
from metaenv.supervised.learner import Learner
from metaenv.supervised.registry import learner_class

TASKS_AT_ONCE = 50  # validation episodes adapted together (chosen)


class Chooser:
    """Scores a learner on validation episodes while it is trained, and keeps the best.

    Args:
        path: the file that the best is written to.
        episodes: gives the validation episodes; None if nothing is to be chosen.
        metric: the one that decides.
        every: meta-updates between two checks.
        lines: of the log so far, of an interrupted training.
    """

    def __init__(
        self,
        path: Path,
        episodes: Callable[[], FrozenEpisodes] | None,
        metric: str,
        every: int,
        lines: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._path, self._episodes, self._metric, self._every = path, episodes, metric, every
        self.best: tuple[int, float] | None = None
        """Meta-updates of the best learner so far, and its score on the validation episodes."""
        for line in lines:
            if line.get("validation") is not None:
                self._note(int(line["iteration"]), float(line["validation"]))

    @classmethod
    def of_run(
        cls, run: Run, place: RunFolder, method: str, every: int, lines: Sequence[Mapping[str, Any]] = ()
    ) -> Self:
        """The chooser of a training; checks are made at lines of the log, which are ``every`` so many updates."""
        chosen = run.methods[method]
        active = run.chooses("updates") and chosen.iterations > 0
        step = every * max(1, round(chosen.iterations / chosen.checks / every))
        return cls(best_of(place), run.validation if active else None, METRICS[run.kind][0], step, lines)

    def _note(self, iteration: int, score: float) -> bool:
        """Remember a score; whether it is the best so far, the first of equal ones."""
        sign = 1 if self._metric in LOWER_IS_BETTER else -1
        if score != score or (self.best is not None and sign * score >= sign * self.best[1]):
            return False
        self.best = (iteration, score)
        return True

    def due(self, iteration: int) -> bool:
        """Whether a learner of so many updates is to be scored."""
        return self._episodes is not None and iteration % self._every == 0

    def check(self, learner: Learner) -> dict[str, float]:
        """What the log says of a learner; it is kept if it is the best."""
        if self._episodes is None:
            return {}
        report = evaluate({"it": learner}, self._episodes(), tasks_at_once=TASKS_AT_ONCE)
        score = report.interval("it", self._metric).estimate
        if self._note(learner.iteration, score):
            learner.save(self._path)
        return {} if score != score else {"validation": score}


def best_of(place: RunFolder) -> Path:
    """The file of the learner that the run is scored with."""
    return place.path / "best.pt"


def chosen(run: Run, place: RunFolder, method: str, learner: Learner) -> Learner:
    """The learner that a run is scored with, calibrated, at the end of its training; ``best.pt`` then holds it.

    Raises:
        RunError: the file of the best is damaged, or gone.
    """
    path, trained = best_of(place), run.chooses("updates") and run.methods[method].iterations > 0
    if trained:
        try:
            learner = learner_class(method).load(path)
        except (FileNotFoundError, ValueError) as error:
            raise RunError(f"{error}; remove {place.path}, and it is trained again") from error
    if run.chooses("temperature"):
        first = run.forest_episodes if method in FORESTS else None
        calibrate(learner, run.validation(), tasks_at_once=TASKS_AT_ONCE, first=first)
    if trained or run.chooses("temperature"):
        place.path.mkdir(parents=True, exist_ok=True)
        learner.save(path)
    return learner
