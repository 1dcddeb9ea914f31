"""Statistics for evaluations: summaries over seeds and tasks, and their uncertainty.

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

from metaenv.typing import Floats

Statistic = Callable[..., ArrayLike]
"""`statistic(values, *paired)`: values (..., seeds, tasks) and columns (..., tasks) to one number each, (...)."""

CONFIDENCE = 0.95  # probability that an interval is to hold
CHUNK = 1 << 20  # resampled numbers held at once, 8 MB (chosen)


class Interval(NamedTuple):
    """The statistic of the data, and the lower and upper end of its confidence interval."""

    estimate: float
    low: float
    high: float


def mean_score(values: ArrayLike) -> Floats:
    """Mean over seeds and tasks: (..., seeds, tasks) to (...). A `Statistic`."""
    return _as_seeds(values).mean(axis=(-2, -1))


def interquartile_mean(x: ArrayLike) -> float:
    """Mean of the middle half: a quarter of all numbers, rounded down, is left out at each end.

    The same as `scipy.stats.trim_mean(x, 0.25, axis=None)` and as the IQM of Agarwal et al. 2021, section 4.3.

    Raises:
        ValueError: nothing to average, or NaN in `x`, which sorting would hide among the largest.
    """
    numbers = np.asarray(x, dtype=np.float64).ravel()
    n = numbers.size
    if n == 0 or np.isnan(numbers).any():
        raise ValueError(f"expected at least one number and no NaN, got {n} numbers; leave out failed runs")
    cut = n // 4
    return float(np.partition(numbers, (cut, n - cut - 1))[cut : n - cut].mean())


def ratio_of_means(score: ArrayLike, random: ArrayLike, oracle: ArrayLike) -> float | Floats:
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
    n_resamples: int = 2000,
) -> Interval:
    """95 % percentile bootstrap over seeds and tasks.

    Each resample draws seeds with replacement, and tasks with replacement, and takes every drawn seed on every drawn
    task. A task drawn takes its entry of every `paired` column along.

    With a single seed only the tasks are resampled: the interval then says nothing about other training runs. With two
    or three seeds it is too narrow in the direction of the seeds, as no resampling of so few can show how much they
    vary.

    Args:
        values: scores, (seeds, tasks), or (tasks,) for one seed.
        statistic: see `Statistic`; `mean_score`, or `ratio_of_means` with `paired=(random, oracle)`.
        rng: draws the resamples.
        paired: further columns of the same tasks, each (tasks,), which are given to `statistic` after the values.
        n_resamples: at least 1; 2000 gives the ends of the interval to about 5 % of its width.

    Returns:
        The statistic of the data with its interval; (-inf, inf) when it is undefined (NaN) for a resample, as
        when a few tasks cannot tell random play from the oracle.

    Raises:
        ValueError: shapes do not fit, a value is not finite, or `n_resamples` is below 1.
    """
    return _bootstrap([values], statistic, paired, rng, n_resamples)


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    statistic: Statistic = mean_score,
    *,
    rng: np.random.Generator,
    paired: Sequence[ArrayLike] = (),
    n_resamples: int = 2000,
) -> Interval:
    """`statistic(a) - statistic(b)`, two agents on the same tasks in the same order, with its bootstrap interval.

    Tasks are drawn once for both, so that hard and easy tasks cancel. Seeds are drawn for each agent on its own, as
    seed 0 of one agent has nothing to do with seed 0 of the other; there may be more of one agent. Above 0 throughout,
    `a` is the better one. The other arguments and the errors are those of `bootstrap_interval`.
    """

    def difference(first: Floats, second: Floats, *columns: Floats) -> Floats:
        return np.asarray(statistic(first, *columns)) - np.asarray(statistic(second, *columns))

    return _bootstrap([a, b], difference, paired, rng, n_resamples)


def _bootstrap(
    groups: Sequence[ArrayLike],
    statistic: Statistic,
    paired: Sequence[ArrayLike],
    rng: np.random.Generator,
    n_resamples: int,
) -> Interval:
    if n_resamples < 1:
        raise ValueError(f"expected n_resamples >= 1, got {n_resamples}; 2000 is usual")
    scores = [_as_seeds(group) for group in groups]
    columns = [np.asarray(column, dtype=np.float64) for column in paired]
    _check_samples(scores, columns)
    estimate = float(np.asarray(statistic(*scores, *columns)))
    resampled = np.concatenate(
        [_evaluate(statistic, sample) for sample in _resamples(scores, columns, rng, n_resamples)]
    )
    if np.isnan(resampled).any():
        return Interval(estimate, -np.inf, np.inf)
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(estimate, float(low), float(high))


def _evaluate(statistic: Statistic, sample: list[Floats]) -> Floats:
    result = np.asarray(statistic(*sample), dtype=np.float64)
    if result.shape != (len(sample[0]),):
        raise ValueError(
            f"expected a statistic that keeps the leading axis, {sample[0].shape} to ({len(sample[0])},), "
            f"got {result.shape}; reduce axes (-2, -1), as mean_score does"
        )
    return result


def _resamples(
    scores: list[Floats], columns: list[Floats], rng: np.random.Generator, n_resamples: int
) -> Iterator[list[Floats]]:
    n_tasks = scores[0].shape[-1]
    chunk = max(1, CHUNK // sum(score.size for score in scores))
    for start in range(0, n_resamples, chunk):
        n = min(chunk, n_resamples - start)
        tasks = rng.integers(n_tasks, size=(n, n_tasks))
        drawn = [_draw(score, tasks, rng) for score in scores]
        yield drawn + [column[tasks] for column in columns]


def _draw(score: Floats, tasks: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    # (seeds, tasks) to (resamples, seeds, tasks): every drawn seed meets every drawn task.
    seeds = rng.integers(len(score), size=(len(tasks), len(score)))
    return score[seeds[:, :, None], tasks[:, None, :]]


def _as_seeds(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[None] if array.ndim == 1 else array


def _check_samples(scores: list[Floats], columns: list[Floats]) -> None:
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


def _check_reference_shapes(scores: Floats, floor: Floats, ceiling: Floats) -> None:
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
