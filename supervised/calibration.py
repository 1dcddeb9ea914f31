"""Whether probabilities and standard deviations can be taken at their word, and one number that corrects them.

Expected calibration error: Mahdi Pakdaman Naeini, Gregory F. Cooper, Milos Hauskrecht, "Obtaining Well Calibrated
Probabilities Using Bayesian Binning", AAAI 2015. The temperature is that of Chuan Guo, Geoff Pleiss, Yu Sun, Kilian Q.
Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, https://arxiv.org/abs/1706.04599; for regression it
is a factor on the standard deviations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from metaenv.stats import Interval, bootstrap_interval
from metaenv.supervised.data.episodes import FrozenEpisodes
from metaenv.supervised.data.problem import Kind, normal_loss
from metaenv.supervised.learner import Learner
from metaenv.typing import Bools, Floats, Index

BINS = 15  # of confidence, all of the same width, as in Guo et al. 2017
GAP = "calibration gap {:02d}"
COVERED = 1.6448536269514722  # standard deviations either side of the mean that hold 90 % of a normal distribution
LIMIT = 1e3  # temperatures lie between 1 / LIMIT and LIMIT (chosen)
HALVINGS = 60  # of the bracket of the temperature's logarithm (chosen: exact to double precision)


def confidence_gaps(logits: Tensor, y: Tensor) -> dict[str, Tensor]:
    """What `calibration_error` adds up, by episode: in each bin, correct answers less confidences, per query.

    For logits (tasks, queries, classes) and labels (tasks, queries); each value is (tasks,).
    """
    confidence, label = logits.double().softmax(-1).max(-1)
    gap = (label == y).double() - confidence
    place = (confidence * BINS).long().clamp_max(BINS - 1)
    return {GAP.format(i): (gap * (place == i)).mean(1) for i in range(BINS)}


def calibration_error(columns: Mapping[str, Floats], episodes: Index | Bools, rng: np.random.Generator) -> Interval:
    """Expected calibration error of all episodes together, the mean over seeds, with a 95 % interval.

    Args:
        columns: of `confidence_gaps`, each (episodes,) or (seeds, episodes).
        episodes: which count.
        rng: draws the resamples.
    """
    gaps = np.stack(
        [np.atleast_2d(columns[GAP.format(i)])[:, episodes] for i in range(BINS)]
    )  # (bins, seeds, episodes)
    each = [bootstrap_interval(of[0], _summed, rng=rng, paired=list(of[1:])) for of in gaps.swapaxes(0, 1)]
    estimate = float(np.mean([x.estimate for x in each]))
    seeds = bootstrap_interval(np.repeat([[x.estimate] for x in each], 2, axis=1), rng=rng)  # what the seeds differ by
    low = math.hypot(estimate - seeds.low, float(np.mean([x.estimate - x.low for x in each])))
    high = math.hypot(seeds.high - estimate, float(np.mean([x.high - x.estimate for x in each])))
    return Interval(estimate, max(0.0, estimate - low), estimate + high)


def _summed(first: Floats, *others: Floats) -> Floats:
    """Gaps of the first bin (..., 1, tasks) and of the others (..., tasks) to the error (...)."""
    parts = [first[..., 0, :], *others]
    return np.asarray(sum(np.abs(part.mean(axis=-1)) for part in parts))


def normal_scores(mean: Tensor, std: Tensor, y: Tensor) -> dict[str, Tensor]:
    """ "nll", minus the mean log density of y, and "coverage" of the central 90 %, each (tasks,)."""
    covered = ((y - mean) / std).abs() <= COVERED
    return {"nll": normal_loss(mean, std, y).mean(1), "coverage": covered.float().mean(1)}


def calibrate(
    learner: Learner, episodes: FrozenEpisodes, *, tasks_at_once: int = 100, first: int | None = None
) -> float:
    """Set the learner's `temperature` to that of least log loss on episodes that it was not trained on.

    Labels are the same before and after. Of regression, standard deviations are multiplied; where a learner predicts
    none, and for anomalies, the temperature stays 1.

    Args:
        learner: any; its predictions are first made with a temperature of 1.
        episodes: of validation.
        tasks_at_once: episodes adapted together.
        first: only so many of them.

    Returns:
        The temperature.
    """
    learner.temperature = 1.0
    kind = learner.problem.kind
    if kind == "anomaly":
        return 1.0
    found: list[tuple[Tensor, Tensor]] = []
    left = len(episodes) if first is None else first
    for whole in episodes.batches(tasks_at_once):
        if left <= 0:
            break
        batch, left = whole.take(slice(0, left)), left - len(whole)
        prediction = learner.adapt(batch.support_x, batch.support_y)(batch.query_x)
        if kind == "classification":
            found.append((prediction.output.double().flatten(0, 1), batch.query_y.flatten()))
        elif prediction.std is not None:
            deviation = (batch.query_y - prediction.output) / prediction.std
            found.append((deviation.double().flatten(), batch.query_y.flatten()))
    learner.temperature = (
        fitted_temperature(kind, *(torch.cat(part) for part in zip(*found, strict=True))) if found else 1.0
    )
    return learner.temperature


def fitted_temperature(kind: Kind, values: Tensor, y: Tensor) -> float:
    """The temperature of least log loss, for logits (n, classes), or deviations in standard deviations (n,).

    That of logits is found by halving, as the loss is convex in 1 / temperature; predictions that are not finite do not
    count. It is 1 where none is left.
    """
    known = torch.isfinite(values) if values.ndim == 1 else torch.isfinite(values).all(1)
    values, y = values[known], y[known]
    if not len(values):
        return 1.0
    if kind == "regression":
        return float(values.square().mean().sqrt().clamp(1 / LIMIT, LIMIT))
    values = values - values.gather(1, y[:, None])  # the loss is then the mean of logsumexp
    low, high = -math.log(LIMIT), math.log(LIMIT)  # of the logarithm of 1 / temperature
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        slope = ((math.exp(middle) * values).softmax(1) * values).sum(1).mean()
        low, high = (low, middle) if slope > 0 else (middle, high)
    return math.exp(-(low + high) / 2)
