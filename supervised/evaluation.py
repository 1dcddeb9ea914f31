"""Learners side by side on the same frozen episodes: metrics by episode, intervals, a table, JSON.

report = evaluate({"maml": maml, "knn": knn}, frozen_episodes(test))
print(report.markdown())
report.save("report.json")
report.difference("maml", "knn", "rmse")           # paired by episode
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaenv.files import write_text
from metaenv.markdown import table
from metaenv.stats import Interval, bootstrap_interval, paired_difference
from metaenv.supervised.calibration import calibration_error, confidence_gaps, normal_scores
from metaenv.supervised.data.episodes import EpisodeBatch, FrozenEpisodes
from metaenv.supervised.data.problem import Kind, Problem, task_loss
from metaenv.supervised.learner import Learner
from metaenv.supervised.predictor import Prediction
from metaenv.threads import torch_threads_of
from metaenv.typing import Bools, Floats, Index

METRICS: dict[Kind, tuple[str, ...]] = {
    "classification": ("accuracy", "log_loss", "ece", "auroc", "auprc"),
    "regression": ("rmse", "mse", "r2", "nll", "coverage"),
    "anomaly": ("auroc", "auprc"),
}
"""By episode; the first is the one that tables sort by. In classification, `auroc` and `auprc` are those of class 1 if
there are two classes, else the mean over the classes, each against all others (see `class_ranking`). `r2` is
1 - (all squared errors) / (all squared deviations from each task's mean), over all episodes together: by episode, one
task of constant y would decide it. `ece`, the expected calibration error, is of all episodes together, too. `nll`,
minus the log density of y, and `coverage`, the share of y in the central 90 % of a prediction, are of learners that
predict standard deviations; see `metaenv.supervised.calibration`."""
LOWER_IS_BETTER = ("log_loss", "ece", "rmse", "mse", "nll")
INTERVAL_SEED = 0  # of the resampling (chosen)
NO_INTERVAL = Interval(float("nan"), float("-inf"), float("inf"))  # where no episode is valid


@dataclass(frozen=True)
class Scores:
    """A learner on every episode, trained once or with several seeds."""

    by_episode: dict[str, Floats]
    """(episodes,) or (seeds, episodes) of each metric, and of what `r2` is made of; NaN for those that diverged, and
    for areas under curves where the queries are all of one class."""
    seconds: float
    """Wall time of adapting and predicting, all episodes."""

    @property
    def finite(self) -> Bools:
        """As the scores: where the predictions are finite numbers, and no worse than was allowed."""
        scores = [self.by_episode[name] for name in ("accuracy", "log_loss", "mse") if name in self.by_episode]
        scores = scores or list(self.by_episode.values())
        return np.asarray(np.isfinite(np.stack(scores)).all(axis=0))

    @property
    def valid(self) -> Bools:
        """(episodes,) that are finite for each seed."""
        return np.asarray(self.finite.reshape(-1, self.finite.shape[-1]).all(axis=0))

    @classmethod
    def of_seeds(cls, each: Sequence[Scores]) -> Scores:
        """One learner, trained with one or several seeds, on the same episodes."""
        if len(each) == 1:
            return each[0]
        names = each[0].by_episode
        return cls({n: np.stack([s.by_episode[n] for s in each]) for n in names}, sum(s.seconds for s in each))


@dataclass(frozen=True)
class Report:
    """What `evaluate` found."""

    problem: Problem
    sha256: str  # of the episodes
    scores: dict[str, Scores]

    def interval(self, learner: str, metric: str) -> Interval:
        """A learner's mean over episodes (and seeds) with its 95 % bootstrap interval, without diverged episodes."""
        found = self.scores[learner]
        known = found.valid & _known(found, metric)
        if not known.any():
            return NO_INTERVAL
        if metric == "ece":
            return calibration_error(found.by_episode, known, np.random.default_rng(INTERVAL_SEED))
        values, how = _values(found, metric, known)
        return bootstrap_interval(values, rng=np.random.default_rng(INTERVAL_SEED), **how)

    def difference(self, a: str, b: str, metric: str) -> Interval:
        """Metric of ``a`` less that of ``b``, paired by episode, where both have it and neither diverged.

        `ece` has none, as it is not a mean over episodes.
        """
        valid = [self.scores[name].valid & _known(self.scores[name], metric) for name in (a, b)]
        n = min(map(len, valid))
        both = np.flatnonzero(valid[0][:n] & valid[1][:n])
        if not len(both):
            return NO_INTERVAL
        (first, how), (second, _) = (_values(self.scores[name], metric, both) for name in (a, b))
        return paired_difference(first, second, rng=np.random.default_rng(INTERVAL_SEED), **how)

    def rows(self) -> list[dict[str, Any]]:
        """One row a learner, best first: plain numbers for tables and JSON."""
        metrics = METRICS[self.problem.kind]
        rows = []
        for name, found in self.scores.items():
            values = {m: self.interval(name, m)._asdict() for m in metrics}
            middle = found.by_episode[metrics[0]][..., found.valid].ravel()
            median = float(np.median(middle)) if len(middle) else None
            counts = {"median": median, "diverged": int((~found.finite).sum()), "seconds": found.seconds}
            rows.append({"learner": name, **values, **counts})
        sign = 1 if metrics[0] in LOWER_IS_BETTER else -1
        return sorted(rows, key=lambda row: (row["median"] is None, sign * row[metrics[0]]["estimate"]))

    def markdown(self) -> str:
        """A table: mean and half-width of the 95 % interval of each metric."""
        metrics = METRICS[self.problem.kind]
        rows = []
        for row in self.rows():
            median = "–" if row["median"] is None else f"{row['median']:.3f}"
            cells = [interval_text(Interval(**row[m])) for m in metrics]
            rows.append([row["learner"], *cells, median, str(row["diverged"]), f"{row['seconds']:.1f}"])
        lines = table(["learner", *metrics, f"median {metrics[0]}", "diverged", "s"], rows)
        count = max(len(found.valid) for found in self.scores.values())
        return "\n".join([*lines, "", f"{count} episodes, SHA-256 {self.sha256[:16]}…; ± half the 95 % interval."])

    def to_dict(self) -> dict[str, Any]:
        """All of the table, the problem and the episodes' hash."""
        return {"problem": asdict(self.problem), "sha256": self.sha256, "rows": self.rows()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` as JSON; numbers that are not finite become null."""
        write_json(path, self.to_dict())


def evaluate(
    learners: Mapping[str, Learner | Sequence[Learner]],
    episodes: FrozenEpisodes,
    *,
    first: int | None = None,
    tasks_at_once: int = 100,
    diverged_above: float = 1e6,
    torch_threads: int = 1,
) -> Report:
    """Adapt every learner to every episode, and score its predictions of the queries.

    Args:
        learners: by the name they get in the table; several of a name are one learner trained with several seeds.
        episodes: the same for all.
        first: only so many of them.
        tasks_at_once: episodes adapted together.
        diverged_above: a squared error (mean of an episode) beyond which an episode counts as diverged, and is left out
            of means; so does one with predictions that are not finite. It is in the square of y's unit, or in the
            variance of y over training tasks if that is more than 1.
        torch_threads: threads of torch.

    Raises:
        ValueError: a learner was made for another problem.
    """
    of_name = {n: [found] if isinstance(found, Learner) else list(found) for n, found in learners.items()}
    for name, learner in ((name, learner) for name, each in of_name.items() for learner in each):
        if not learner.fits(episodes.problem):
            raise ValueError(f"{name} was made for {learner.problem}, and the episodes are {episodes.problem}")
    with torch_threads_of(torch_threads):
        scores = {
            name: Scores.of_seeds([_scores(x, episodes, first, tasks_at_once, diverged_above) for x in each])
            for name, each in of_name.items()
        }
    return Report(episodes.problem, episodes.sha256, scores)


def _scores(
    learner: Learner, episodes: FrozenEpisodes, first: int | None, tasks_at_once: int, diverged_above: float
) -> Scores:
    parts: list[dict[str, Tensor]] = []
    seconds, left = 0.0, len(episodes) if first is None else first
    for whole in episodes.batches(tasks_at_once):
        if left <= 0:
            break
        batch, left = whole.take(slice(0, left)), left - len(whole)
        start = time.perf_counter()
        prediction = learner.adapt(batch.support_x, batch.support_y)(batch.query_x)
        seconds += time.perf_counter() - start
        parts.append(episode_metrics(prediction, batch))
    columns = {name: torch.cat([p[name] for p in parts]).double().numpy() for name in parts[0]}
    if "mse" in columns:
        limit = diverged_above * max(1.0, float(learner.scaling.y_std) ** 2)
        columns["mse"] = np.where(columns["mse"] > limit, np.nan, columns["mse"])
    return Scores(columns, seconds)


def episode_metrics(prediction: Prediction, batch: EpisodeBatch) -> dict[str, Tensor]:
    """Each metric, (tasks,), and for regression also "error" and "spread", sums of squares that `r2` is made of."""
    output, y = prediction.output, batch.query_y
    bad = ~torch.isfinite(output).flatten(1).all(1)
    found: dict[str, Tensor]
    if batch.problem.kind == "classification":
        found = {
            "accuracy": (prediction.labels == y).float().mean(1),
            "log_loss": task_loss("classification", output, y),
            **class_ranking(output, y),
            **confidence_gaps(output, y),
        }
    elif batch.problem.kind == "regression":
        error = (output - y).square()
        spread = (y - y.mean(1, keepdim=True)).square().sum(1)
        found = {"mse": error.mean(1), "rmse": error.mean(1).sqrt(), "error": error.sum(1), "spread": spread}
        if prediction.std is not None:
            found |= normal_scores(output, prediction.std, y)
    else:
        found = {"auroc": auroc(output, y), "auprc": average_precision(output, y)}
    return {name: v.masked_fill(bad, float("nan")) for name, v in found.items()}


def auroc(score: Tensor, y: Tensor) -> Tensor:
    """Probability (tasks,) that an anomaly (y = 1) scores above a normal sample (0); a tie counts half.

    ``score`` and ``y`` have the shape (tasks, queries); NaN for a task without samples of both kinds.
    """
    order = torch.sign(score[:, :, None] - score[:, None, :])
    pair = (y[:, :, None] == 1) & (y[:, None, :] == 0)
    return ((1 + order) / 2 * pair).sum((1, 2)) / pair.sum((1, 2))


def average_precision(score: Tensor, y: Tensor) -> Tensor:
    """Area under the precision-recall curve (tasks,), as a sum over its steps; equal scores are one step.

    NaN for a task without samples of both kinds.
    """
    above = score[:, None, :] >= score[:, :, None]  # (tasks, threshold, query)
    precision = (above * (y[:, None, :] == 1)).sum(2) / above.sum(2)
    area = (precision * (y == 1)).sum(1) / (y == 1).sum(1)
    return area.masked_fill((y == 1).all(1), float("nan"))


def class_ranking(logits: Tensor, y: Tensor) -> dict[str, Tensor]:
    """ "auroc" and "auprc" (tasks,) of the classes' probabilities, for logits (tasks, queries, classes).

    Of two classes, class 1 is the one to be found. Of more, each is held against all others, and the mean counts, as
    scikit-learn's "ovr" and "macro" have it. Equal probabilities are one step of a curve, so that a constant has an
    AUROC of 0.5 and an AUPRC of the share of the class. A class that none of the queries has, or all, has no curve and
    does not count; NaN where that is so of every class.
    """
    probability = logits.double().softmax(-1)
    classes = [1] if probability.shape[-1] == 2 else range(probability.shape[-1])
    found = {"auroc": auroc, "auprc": average_precision}
    return {
        name: torch.stack([curve(probability[..., c], (y == c).long()) for c in classes]).nanmean(0).to(logits.dtype)
        for name, curve in found.items()
    }


def _known(found: Scores, metric: str) -> Bools:
    """(episodes,) where a metric is a number, for each seed; all for `r2` and `ece`, none for what is not predicted."""
    n = found.finite.shape[-1]
    if metric not in found.by_episode:
        return np.full(n, metric in ("r2", "ece"))
    return np.asarray(np.isfinite(found.by_episode[metric]).reshape(-1, n).all(axis=0))


def _values(found: Scores, metric: str, episodes: Index | Bools) -> tuple[Floats, dict[str, Any]]:
    """What a metric is computed from, for some of the episodes, and the statistic if it is not the mean."""
    columns = {name: v[..., episodes] for name, v in found.by_episode.items()}
    if metric != "r2":
        return columns[metric], {}
    spread = columns["spread"].reshape(-1, columns["spread"].shape[-1])[0]  # the same for all seeds
    return columns["error"], {"statistic": _r2, "paired": (spread,)}


def _r2(error: Floats, spread: Floats) -> Floats:
    """(..., seeds, tasks) and (..., tasks) to (...)."""
    return 1 - error.mean(axis=(-2, -1)) / spread.mean(axis=-1)


def interval_text(interval: Interval, sign: bool = False) -> str:
    """Mean and half of the width of an interval; a dash if there is none."""
    if interval.estimate != interval.estimate:
        return "–"
    half = (interval.high - interval.low) / 2
    return f"{interval.estimate:+.3f} ± {half:.3f}" if sign else f"{interval.estimate:.3f} ± {half:.3f}"


def finite_numbers(value: Any) -> Any:
    """As it is, with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {k: finite_numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [finite_numbers(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write_json(path: str | os.PathLike[str], values: dict[str, Any]) -> None:
    """Write JSON; numbers that are not finite become null."""
    write_text(Path(path), json.dumps(finite_numbers(values), indent=1, allow_nan=False) + "\n")
