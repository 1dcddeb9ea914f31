"""A scoring function of one's own in place of the hidden objective, such as a docking program or a trained model."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError
from metaenv.limits import COUNT, check
from metaenv.task_sets import ChangedDistribution
from metaenv.tasks import FrozenTasks, Reference, TaskBatch, TaskDistribution
from metaenv.typing import Bools, Floats, Index, Rows

ScoreFunction = Callable[..., Any]
"""``score(smiles)`` or ``score(smiles, tasks)``: a finite number for each of a list of canonical SMILES."""


class OwnScore:
    """Asks a function once for each distinct molecule, in one call for all that are new, and counts.

    A function of one argument is asked once for each canonical SMILES. A function of two arguments also gets the tasks,
    a `TaskBatch` of the same length, and is asked once for each pair of a SMILES and a task.

    Args:
        function: see `ScoreFunction`.
        num_envs: sub-environments.
        budget: molecules that a trial may have scored; None for any number. All distinct molecules of the trial count,
            also those whose score is already known from other trials.
    """

    def __init__(self, function: ScoreFunction, num_envs: int, budget: int | None = None) -> None:
        if not callable(function):
            raise ValueError(f"expected score to be a function of a list of SMILES, got {function!r}")
        if budget is not None:
            check("max_oracle_calls", budget, COUNT)
        self.function, self.budget = function, budget
        self.with_tasks = _takes_tasks(function)
        self.known: dict[tuple[str, int], float] = {}
        """The score of each molecule so far, by its SMILES and the number of its task, 0 where tasks do not matter."""
        self.calls: Index = np.zeros(num_envs, np.int64)
        """(num_envs,) molecules that the function was asked for, each counted where it came up first."""
        self._tried: list[set[str]] = [set() for _ in range(num_envs)]

    def begin_trials(self, rows: Rows) -> None:
        """Give ``rows`` their whole budget again."""
        for i in np.arange(len(self._tried))[rows]:
            self._tried[i] = set()

    def spent(self, rows: Rows) -> Bools:
        """(rows,) whether the budget of the trial is used up."""
        return np.array([self.budget is not None and len(self._tried[i]) >= self.budget for i in self._index(rows)])

    def __call__(self, index: Index, smiles: list[str], tasks: TaskBatch) -> Floats:
        """(n,) scores of the molecules that are finished in sub-environments ``index`` (n,), for their tasks.

        Raises:
            ValueError: the function did not give one finite number a molecule. The numbers that are finite are kept.
        """
        numbers = tasks.id_numbers.tolist() if self.with_tasks else [0] * len(smiles)
        keys = list(zip(smiles, numbers, strict=True))
        new = list({key: i for i, key in reversed(list(enumerate(keys))) if key not in self.known}.values())[::-1]
        if new:
            asked = [smiles[i] for i in new]
            self.calls[index[new]] += 1
            given = self.function(asked, tasks.take(np.array(new))) if self.with_tasks else self.function(asked)
            for i, score in zip(new, _numbers(given, asked), strict=True):
                if np.isfinite(score):
                    self.known[keys[i]] = float(score)
            if bad := [smiles[i] for i in new if keys[i] not in self.known]:
                more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
                raise ValueError(f"score gave no finite number for {bad[0]!r}{more}; give a number for every molecule")
        for i, text in zip(index.tolist(), smiles, strict=True):
            self._tried[i].add(text)
        return np.array([self.known[key] for key in keys])

    def _index(self, rows: Rows) -> list[int]:
        return np.arange(len(self._tried))[rows].tolist()


def _takes_tasks(function: ScoreFunction) -> bool:
    """Whether a function takes tasks beside SMILES. Raises ValueError if it takes neither one argument nor two."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of C, without a signature
        return False
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in places)
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if needed > 2 or keywords or not (places or any(p.kind is p.VAR_POSITIONAL for p in parameters)):
        raise ValueError(
            f"expected score(smiles) or score(smiles, tasks), got a function of {inspect.signature(function)}"
        )
    return needed == 2


def _numbers(given: Any, asked: list[str]) -> NDArray[np.float64]:
    try:
        found = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"expected score to give {len(asked)} numbers, got {str(given)[:80]} for {asked[0]!r}"
        ) from None
    if found.shape != (len(asked),):
        raise ValueError(
            f"expected score to give numbers of shape ({len(asked)},), one a molecule, got shape {found.shape} for "
            f"{', '.join(asked[:3])}"
        )
    return found


def warn_of_large(scores: Floats, limit: float) -> bool:
    """Say that the observation cannot show scores beyond ``limit``; whether there were any."""
    large = bool((np.abs(scores) > limit).any())
    if large:
        warnings.warn(
            f"score gave {scores[np.abs(scores).argmax()]:.4g}: rewards are exact, but observations show them within "
            f"-{limit:g} to {limit:g}; scale scores, best to 0 .. 1 with the best at 1",
            stacklevel=2,
        )
    return large


class ScoredTasks(ChangedDistribution):
    """The tasks of another distribution, whose molecules a function of one's own scores.

    Args:
        inner: the distribution.
        reference: scores of random play and of the best that can be hoped for, if they are known.
    """

    def __init__(self, inner: TaskDistribution, reference: tuple[float, float] | None) -> None:
        super().__init__(inner)
        if reference is not None:
            ends = np.asarray(reference, np.float64)
            if ends.shape != (2,) or not np.isfinite(ends).all() or not ends[0] < ends[1]:
                raise ValueError(
                    f"expected score_reference=(random, oracle), the oracle above random, got {reference!r}"
                )
        self.known = reference

    def reference(self, tasks: TaskBatch) -> Reference:
        """As given.

        Raises:
            TaskError: nothing was given: the best score of a function is not known.
        """
        if self.known is None:
            raise TaskError(
                "scores of a function of one's own have no reference: neither random play nor the best score is known. "
                "Give score_reference=(random, oracle) to the environment, or compare the scores as they are"
            )
        return Reference(np.full(len(tasks), float(self.known[0])), np.full(len(tasks), float(self.known[1])))

    def frozen(self, split: str) -> FrozenTasks:
        """The inner list, with the references of the function."""
        tasks = self.inner.frozen(split).tasks
        return FrozenTasks(split, tasks, self.reference(tasks), tasks.sha256)
