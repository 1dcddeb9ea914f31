"""A user's own nights: days as people give them, and the distribution of the tasks at these days and sites."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import cached_property
from pkgutil import resolve_name
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError
from metaenv.tasks import FrozenTasks, Reference, Task, TaskBatch, TaskDistribution
from metaenv.telescope.sim.julian_dates import FIRST, LAST, iso, julian_date
from metaenv.telescope.tasks import TargetSelectionDistribution, TargetSelectionTask, Variant

Day = Any  # text in ISO 8601, a date, numpy's datetime64 or Astropy's Time
LAST_DATE = LAST - 400.0  # JD; the tasks' own limit, which leaves room for a trial
LONGEST_RANGE = 3 * 366  # nights (chosen)
EXAMPLE = "expected the day whose evening begins the night, such as '2027-03-14'"


def evening(day: Day) -> float:
    """JD at 0 h of a calendar day; of Astropy's Time, which must be one, at 0 h.

    Raises:
        TaskError: what is no day, a time of the day, or a day outside 1950-2098.
    """
    text = day
    if isinstance(day, dt.datetime):
        raise TaskError(f"{EXAMPLE}, got the time {day}")
    if isinstance(day, np.datetime64):
        text = str(day.astype("datetime64[m]")).removesuffix("T00:00")
    elif isinstance(day, dt.date):
        text = day.isoformat()
    elif hasattr(day, "isot") and hasattr(day, "utc"):  # Astropy's Time
        text = str(day.utc.isot).removesuffix("T00:00:00.000")
    if not isinstance(text, str):
        raise TaskError(f"{EXAMPLE}, got {day!r}")
    try:
        jd = julian_date(text)
    except TaskError as error:
        raise TaskError(f"the date {text} cannot be planned: {error}") from error
    if jd % 1.0 != 0.5:
        raise TaskError(f"{EXAMPLE}, got the time {text!r}")
    if not FIRST + 10 <= jd <= LAST_DATE:
        raise TaskError(f"expected a date from {iso(FIRST + 10)[:10]} to {iso(LAST_DATE)[:10]}, got {text}")
    return jd


def evenings(date: Any) -> list[float]:
    """JD at 0 h of one day, of each of several, or of all of ``"2027-03-01/2027-03-31"``, both ends included.

    Raises:
        TaskError: see `evening`; an empty or a very long range.
    """
    if isinstance(date, str) and "/" in date:
        ends = [evening(day.strip()) for day in date.split("/")]
        if len(ends) != 2 or not 0 <= ends[1] - ends[0] < LONGEST_RANGE:
            raise TaskError(f"expected first/last day, at most {LONGEST_RANGE} nights, got {date!r}")
        return np.arange(ends[0], ends[1] + 1).tolist()
    several = isinstance(date, list | tuple) or (np.ndim(date) > 0 and not isinstance(date, str))
    if not several:
        return [evening(date)]
    if not 0 < len(date) <= LONGEST_RANGE:
        raise TaskError(f"expected 1 to {LONGEST_RANGE} days, got {len(date)}")
    return [evening(day) for day in date]


class OwnNights(TaskDistribution):
    """The tasks of a user's own nights, each as likely as the others; both splits hold all of them.

    Args:
        nights: the tasks.
        variant: whose task vector is theirs.
        make: an environment of these nights and targets with so many telescopes, for the references.
    """

    task_type: ClassVar[type[Task]] = TargetSelectionTask
    closed: ClassVar[bool] = True

    def __init__(self, nights: TaskBatch, variant: Variant, make: Callable[[int], Any]) -> None:
        self.unit_dim, self.splits = 1, ("train", "test")
        self.nights, self._make = nights, make
        self.variant: Variant = variant

    def members(self, split: str) -> TaskBatch:
        """All of them."""
        self.check_split(split)
        return self.nights

    def frozen_list(self, split: str) -> FrozenTasks:
        """All of them, with references, which are played when they are asked for."""
        return FrozenTasks(split, self.nights, self._reference, self.nights.sha256)

    def reference(self, tasks: TaskBatch) -> Reference:
        """Mean score of a trial's nights on the user's targets, at random and by the greedy planner, which knows the
        values and the weather."""
        return resolve_name("metaenv.telescope.references:play_own_references")(tasks, self._make)

    @cached_property
    def _reference(self) -> Reference:
        return self.reference(self.nights)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """As for tasks of TargetSelection."""
        return TargetSelectionDistribution(self.variant).task_vector(tasks)
