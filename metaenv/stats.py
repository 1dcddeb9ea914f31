"""Statistics for evaluations: what to report over seeds and tasks, and how sure one can be of it.

Arrays are (seeds, tasks), or (tasks,) for a single seed. All seeds are evaluated on the same tasks, so
seeds and tasks are crossed factors, and both are resampled: Art Owen, "The pigeonhole bootstrap", Annals
of Applied Statistics 1(2), 2007, https://doi.org/10.1214/07-AOAS122. Robust summaries follow Rishabh Agarwal,
Max Schwarzer, Pablo Samuel Castro, Aaron Courville, Marc Bellemare, "Deep Reinforcement Learning at the
Edge of the Statistical Precipice", NeurIPS 2021, https://arxiv.org/abs/2108.13264.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
Statistic = Callable[..., ArrayLike]
"""`statistic(values, *paired)`: values (..., seeds, tasks) and columns (..., tasks) to one number each, (...)."""

_CHUNK = 1 << 20  # chosen: resampled numbers held at once, 8 MB


class Interval(NamedTuple):
    """An estimate with its confidence interval.

    Attributes:
        estimate: the statistic of the data.
        low: lower end of the interval.
        high: upper end of the interval.
    """

    estimate: float
    low: float
    high: float


def mean_score(values: ArrayLike) -> FloatArray:
    """Mean over seeds and tasks: (..., seeds, tasks) to (...). A `Statistic`."""
    return _as_seeds(values).mean(axis=(-2, -1))


def iqm_score(values: ArrayLike) -> FloatArray:
    """Interquartile mean over seeds and tasks: (..., seeds, tasks) to (...). A `Statistic`."""
    return np.asarray(interquartile_mean(_as_seeds(values), axis=(-2, -1)))


def interquartile_mean(x: ArrayLike, axis: int | tuple[int, ...] | None = None) -> float | FloatArray:
    """Mean of the middle half: a quarter of the numbers, rounded down, is left out at each end.

    The same as `scipy.stats.trim_mean(x, 0.25, axis)` and as the IQM of Agarwal et al. 2021, section 4.3.

    Args:
        x: numbers, any shape.
        axis: taken over these axes together; all by default.

    Returns:
        A float when `axis` leaves no dimension, otherwise an array of what is left.

    Raises:
        ValueError: nothing to average, or NaN in `x`, which sorting would hide among the largest.
    """
    array = np.asarray(x, dtype=np.float64)
    axes = tuple(range(array.ndim)) if axis is None else np.atleast_1d(axis).tolist()
    pooled = np.moveaxis(array, axes, range(array.ndim - len(axes), array.ndim))
    pooled = pooled.reshape(*pooled.shape[: array.ndim - len(axes)], -1)
    n = pooled.shape[-1]
    if n == 0 or np.isnan(pooled).any():
        raise ValueError(f"expected at least one number and no NaN, got shape {array.shape}; leave out failed runs")
    cut = n // 4
    middle = np.partition(pooled, (cut, n - cut - 1), axis=-1)[..., cut : n - cut].mean(axis=-1)
    return float(middle) if middle.ndim == 0 else middle


def ratio_of_means(score: ArrayLike, random: ArrayLike, oracle: ArrayLike) -> float | FloatArray:
    """Normalised score: 0 is random play, 1 an oracle that knows the task.

    (mean score - mean random) / (mean oracle - mean random), the means over tasks (and seeds) first. The
    mean of ratios would give tasks with next to no gap an unlimited weight. A `Statistic`, with
    `paired=(random, oracle)`.

    Args:
        score: (seeds, tasks), or (tasks,); leading axes are kept.
        random: score of random play on the same tasks, (tasks,); leading axes as in `score`.
        oracle: score of the oracle, the same shape as `random`.

    Returns:
        A float, or an array of the leading axes; NaN where a leading index has no gap.

    Raises:
        ValueError: shapes differ, or the oracle is nowhere better than random play in the mean.
    """
    scores = np.asarray(score, dtype=np.float64)
    floor, ceiling = np.asarray(random, dtype=np.float64), np.asarray(oracle, dtype=np.float64)
    _check_reference_shapes(scores, floor, ceiling)
    axes = tuple(range(floor.ndim - 1, scores.ndim))
    gap = (ceiling - floor).mean(axis=-1)
    if not (gap > 0).any():
        raise ValueError(
            f"expected an oracle better than random play in the mean, got a gap of {np.max(gap):.3g}; "
            "check that higher scores are better, and use more tasks"
        )
    ratio = (scores.mean(axis=axes) - floor.mean(axis=-1)) / np.where(gap > 0, gap, np.nan)
    return float(ratio) if ratio.ndim == 0 else ratio


def bootstrap_interval(
    values: ArrayLike,
    statistic: Statistic = mean_score,
    *,
    rng: np.random.Generator,
    paired: Sequence[ArrayLike] = (),
    confidence: float = 0.95,
    n_resamples: int = 2000,
) -> Interval:
    """Percentile bootstrap over seeds and tasks.

    Each resample draws seeds with replacement, and tasks with replacement, and takes every drawn seed on
    every drawn task. A task drawn takes its entry of every `paired` column along.

    With a single seed only the tasks are resampled: the interval then says nothing about other training
    runs. With two or three seeds it is too narrow in the direction of the seeds, as no resampling of so
    few can show how much they vary.

    Args:
        values: scores, (seeds, tasks), or (tasks,) for one seed.
        statistic: see `Statistic`; `mean_score`, `iqm_score`, or `ratio_of_means` with
            `paired=(random, oracle)`.
        rng: draws the resamples.
        paired: further columns of the same tasks, each (tasks,), handed to `statistic` after the values.
        confidence: probability that the interval is to hold, in (0, 1).
        n_resamples: at least 1; 2000 gives the ends of a 95 % interval to about 5 % of its width.

    Returns:
        The statistic of the data with its interval; (-inf, inf) when it is undefined (NaN) for a resample, as
        when a few tasks cannot tell random play from the oracle.

    Raises:
        ValueError: shapes do not fit, a value is not finite, or a setting is out of range.
    """
    return _bootstrap([values], statistic, paired, rng, confidence, n_resamples)


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    statistic: Statistic = mean_score,
    *,
    rng: np.random.Generator,
    paired: Sequence[ArrayLike] = (),
    confidence: float = 0.95,
    n_resamples: int = 2000,
) -> Interval:
    """`statistic(a) - statistic(b)`, two agents on the same tasks, with its bootstrap interval.

    Tasks are drawn once for both, so that hard and easy tasks cancel; seeds are drawn for each on its own,
    as seed 0 of one agent has nothing to do with seed 0 of the other.

    Args:
        a: scores of the first agent, (seeds, tasks) or (tasks,).
        b: scores of the second, the same tasks in the same order; it may have another number of seeds.
        statistic: see `bootstrap_interval`.
        rng: see `bootstrap_interval`.
        paired: see `bootstrap_interval`.
        confidence: see `bootstrap_interval`.
        n_resamples: see `bootstrap_interval`.

    Returns:
        The difference with its interval: above 0 throughout, `a` is the better one.

    Raises:
        ValueError: shapes do not fit, a value is not finite, or a setting is out of range.
    """

    def difference(first: FloatArray, second: FloatArray, *columns: FloatArray) -> FloatArray:
        return np.asarray(statistic(first, *columns)) - np.asarray(statistic(second, *columns))

    return _bootstrap([a, b], difference, paired, rng, confidence, n_resamples)


def probability_of_improvement(
    a: ArrayLike,
    b: ArrayLike,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    n_resamples: int = 2000,
) -> Interval:
    """Probability that a run of `a` beats a run of `b` on a task drawn at random; a tie counts half.

    Agarwal et al. 2021, section 4.3: the Mann-Whitney statistic over the seeds, averaged over tasks.

    Args:
        a: scores of the first agent, (seeds, tasks) or (tasks,).
        b: scores of the second, the same tasks in the same order; it may have another number of seeds.
        rng: see `bootstrap_interval`.
        confidence: see `bootstrap_interval`.
        n_resamples: see `bootstrap_interval`.

    Returns:
        The probability with its interval: above 0.5 throughout, `a` is the better one.

    Raises:
        ValueError: shapes do not fit, a value is not finite, or a setting is out of range.
    """
    return _bootstrap([a, b], _win_rate, (), rng, confidence, n_resamples)


def _win_rate(a: FloatArray, b: FloatArray) -> FloatArray:
    # (..., seeds of a, seeds of b, tasks); the sign is 1 for a win, 0 for a tie, -1 for a loss.
    sign = np.sign(a[..., :, None, :] - b[..., None, :, :])
    return (1 + sign.mean(axis=(-3, -2, -1))) / 2


def _bootstrap(
    groups: Sequence[ArrayLike],
    statistic: Statistic,
    paired: Sequence[ArrayLike],
    rng: np.random.Generator,
    confidence: float,
    n_resamples: int,
) -> Interval:
    if not 0 < confidence < 1 or n_resamples < 1:
        raise ValueError(
            f"expected confidence in (0, 1) and n_resamples >= 1, got {confidence} and {n_resamples}; "
            "0.95 and 2000 are usual"
        )
    scores = [_as_seeds(group) for group in groups]
    columns = [np.asarray(column, dtype=np.float64) for column in paired]
    _check_samples(scores, columns)
    estimate = float(np.asarray(statistic(*scores, *columns)))
    resampled = np.concatenate(
        [_evaluate(statistic, sample) for sample in _resamples(scores, columns, rng, n_resamples)]
    )
    if np.isnan(resampled).any():
        return Interval(estimate, -np.inf, np.inf)
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(low), float(high))


def _evaluate(statistic: Statistic, sample: list[FloatArray]) -> FloatArray:
    result = np.asarray(statistic(*sample), dtype=np.float64)
    if result.shape != (len(sample[0]),):
        raise ValueError(
            f"expected a statistic that keeps the leading axis, {sample[0].shape} to ({len(sample[0])},), "
            f"got {result.shape}; reduce axes (-2, -1), as mean_score does"
        )
    return result


def _resamples(
    scores: list[FloatArray], columns: list[FloatArray], rng: np.random.Generator, n_resamples: int
) -> Iterator[list[FloatArray]]:
    n_tasks = scores[0].shape[-1]
    chunk = max(1, _CHUNK // sum(score.size for score in scores))
    for start in range(0, n_resamples, chunk):
        n = min(chunk, n_resamples - start)
        tasks = rng.integers(n_tasks, size=(n, n_tasks))
        drawn = [_draw(score, tasks, rng) for score in scores]
        yield drawn + [column[tasks] for column in columns]


def _draw(score: FloatArray, tasks: NDArray[np.int64], rng: np.random.Generator) -> FloatArray:
    # (seeds, tasks) to (resamples, seeds, tasks): every drawn seed meets every drawn task.
    seeds = rng.integers(len(score), size=(len(tasks), len(score)))
    return score[seeds[:, :, None], tasks[:, None, :]]


def _as_seeds(values: ArrayLike) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    return array[None] if array.ndim == 1 else array


def _check_samples(scores: list[FloatArray], columns: list[FloatArray]) -> None:
    n_tasks = scores[0].shape[-1] if scores[0].ndim else 0
    if any(score.ndim != 2 or score.size == 0 or score.shape[-1] != n_tasks for score in scores):
        raise ValueError(
            "expected scores of shape (seeds, tasks) or (tasks,), all for the same tasks, "
            f"got {[score.shape for score in scores]}; evaluate on one list of tasks"
        )
    if any(column.shape != (n_tasks,) for column in columns):
        raise ValueError(
            f"expected paired columns of shape ({n_tasks},), one number a task, got {[c.shape for c in columns]}"
        )
    if not all(np.isfinite(array).all() for array in [*scores, *columns]):
        raise ValueError("expected finite numbers, got NaN or infinity; leave out failed runs")


def _check_reference_shapes(scores: FloatArray, floor: FloatArray, ceiling: FloatArray) -> None:
    seeds_or_not = (floor.shape, (*floor.shape[:-1], *scores.shape[-2:-1], *floor.shape[-1:]))
    if floor.ndim == 0 or floor.size == 0 or floor.shape != ceiling.shape or scores.shape not in seeds_or_not:
        raise ValueError(
            "expected score (seeds, tasks) or (tasks,), random (tasks,) and oracle (tasks,), "
            f"got {scores.shape}, {floor.shape} and {ceiling.shape}"
        )


def greedy_portfolio(table: NDArray[np.floating], size: int) -> tuple[list[int], list[float]]:
    """Choose candidates that together serve many tasks, without adapting to any.

    Args:
        table: scores (tasks, candidates).
        size: how many to choose.

    Returns:
        The columns, each of which raises most the mean over tasks of the best score so far, and that mean after each.
    """
    best, chosen, scores = np.full(len(table), -np.inf, table.dtype), [], []
    for _ in range(size):
        mean = np.maximum(best[:, None], table).mean(axis=0, dtype=np.float64)
        chosen.append(int(np.argmax(mean)))
        scores.append(float(mean.max()))
        best = np.maximum(best, table[:, chosen[-1]])
    return chosen, scores
