"""Hidden objectives for a chemical series of one's own, each certified by one of its molecules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError
from metaenv.molecules.chem.scoring import score_table
from metaenv.molecules.lead.series import Series
from metaenv.molecules.lead.tasks import CHUNK, FROZEN_SEED, first_inside, objectives, ranges_vector
from metaenv.molecules.objectives import PropertyRanges, Range, TabulatedDistribution, range_columns
from metaenv.tasks import Reference, Task, TaskBatch
from metaenv.typing import Floats

SPLITS = ("train", "validation", "test")
SIZES = {"validation": 200, "test": 500}


@dataclass(frozen=True)
class SeriesTask(PropertyRanges, Task):
    """Hidden ranges of properties of the molecules of a series, and a molecule that lies in all of them."""

    family: ClassVar[str] = "SeriesObjective"

    series: int
    """`Series.key` of the series that it belongs to."""
    wanted: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    certificate: tuple[float, ...]
    """R-groups of a molecule of score 1, by their places in the list of each site."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_numbers()
        if not any(self.wanted):
            raise TaskError("the objective asks for nothing: expected a range of at least one property")

    @classmethod
    def from_ranges(cls, series: Series, ranges: Mapping[str, Range]) -> Self:
        """A task of one's own; its certificate is the first molecule of the series that lies in all ranges.

        Args:
            series: as `lead_series` makes it; of an environment, ``env.unwrapped.batch.library``.
            ranges: lowest and highest value that is asked for of some of `properties.PROPERTIES`; None for an open end.

        Raises:
            TaskError: an unknown name, an empty range, or ranges in which the series has no molecule.
        """
        columns = range_columns(ranges)
        found = series.choice[first_inside(series.values, columns)].astype(float)
        return cls(series.key, *(tuple(a.tolist()) for a in (*columns, found)))


def check_series_tasks(series: Series, tasks: TaskBatch) -> None:
    """Refuse, with a TaskError, tasks of another series, and those whose certificate is not in their ranges."""
    if (tasks.series != series.key).any():
        raise TaskError(
            f"expected tasks of the series {series.smiles[0]} with these R-groups, got another one's; make them with "
            "SeriesTask.from_ranges(env.unwrapped.batch.library, ranges)"
        )
    certificate = tasks.certificate
    if certificate.shape[1] != series.sites:
        raise TaskError(f"SeriesTask.certificate must have {series.sites} numbers, got {certificate.shape[1]}")
    numbers = series.numbers(np.zeros(len(tasks), np.intp), certificate.astype(np.intp))
    if (wrong := (numbers < 0) | (certificate != certificate.astype(np.intp)).any(axis=1)).any():
        raise TaskError(
            f"there is no molecule {certificate[np.argmax(wrong)].tolist()} in the series {series.smiles[0]}"
        )
    for task, values in zip(tasks.tasks(), series.values[numbers], strict=True):
        if isinstance(task, SeriesTask):
            task.check_inside(values)


@dataclass(frozen=True)
class SeriesDistribution(TabulatedDistribution):
    """Objectives that some molecule of a series meets, each as likely as the others; as `LeadDistribution` has them.

    Which tenths of which properties an objective asks for decides to which of ``train`` (7 in 10), ``validation`` (1;
    at most 200 tasks) and ``test`` (2; at most 500) it belongs. A small series has few objectives, or none in a split.
    """

    series: Series
    task_type: ClassVar[type[Task]] = SeriesTask
    splits: ClassVar[tuple[str, ...]] = SPLITS  # type: ignore[misc]
    frozen_sizes: ClassVar[Mapping[str, int]] = SIZES

    def enumerate_tasks(self, split: str) -> TaskBatch:
        found = objectives(0, split, self.series)
        if not len(found):
            raise TaskError(
                f"a series of {len(self.series.texts):,} molecules has no objective for split {split!r}; give tasks of "
                "your own (SeriesTask.from_ranges), or more R-groups"
            )
        key = np.full(len(found), float(self.series.key))
        return TaskBatch(SeriesTask, {"series": key, **{n: v for n, v in found.columns.items() if n != "scaffold"}})

    def frozen_seed(self, split: str) -> list[int]:
        return [FROZEN_SEED, SPLITS.index(split)]

    def check_list(self, split: str, tasks: TaskBatch) -> None:
        """The list is drawn the same way each time; no file holds its hash."""

    def manifest(self) -> dict[str, Any]:
        """As it would be, were the lists frozen now."""
        return self.sizes()

    def reference(self, tasks: TaskBatch) -> Reference:
        """Both exact, by a table of the whole series: mean score of a uniformly random molecule, and the highest."""
        random, oracle = np.empty(len(tasks)), np.empty(len(tasks))
        for rows in np.split(np.arange(len(tasks)), range(CHUNK, len(tasks), CHUNK)):
            table: Floats = score_table(self.series.values, tasks.take(rows))
            random[rows], oracle[rows] = table.mean(axis=1), table.max(axis=1)
        return Reference(random, oracle)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, 21) which properties have ranges, then the lower and the upper ends, scaled; 0 where there is none."""
        return ranges_vector(tasks)
