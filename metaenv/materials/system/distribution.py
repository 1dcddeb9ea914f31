"""Which chemical systems there are: training ones without end, and frozen lists with references."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from metaenv.frozen import FrozenStore
from metaenv.materials.oracle import even_cover
from metaenv.materials.system.options import COMPOUNDS, N_OPTIONS, PLACES
from metaenv.materials.system.oracle import oracle, utility_table
from metaenv.materials.system.recipes import ACTIONS
from metaenv.materials.system.tasks import GOALS, OF_COMPOUND, PARAMETERS, SystemTask, affinity, materials
from metaenv.materials.tasks import solvable
from metaenv.parameters import Ranges
from metaenv.tasks import FrozenTasks, Reference, Task, TaskBatch, TaskDistribution
from metaenv.typing import Floats, Index

FROZEN_SIZES = {"validation": 50, "test": 200, "ood-hot": 50, "ood-options": 50, "ood-mechanism": 50, "ood-physics": 50}
STORE = FrozenStore(Path(__file__).parent / "data", SystemTask)
"""What `metaenv.materials.system.build_data` wrote; ``best_K`` are the oracle's scores of compound K + 1."""
SPLIT_RANGES: dict[str, Ranges] = {
    "ood-hot": {"onset_common_K": (1200.0, 1300.0)},
    "ood-options": {"traits[0]": (0.6, 1.5)},
    "ood-mechanism": {"nucleation_J_m2": (0.15, 0.30)},
}
"""Where a split draws from other ranges than training."""
SEEN_RANGES: Ranges = {
    "onset_common_K": (900.0, 1300.0),
    "traits[0]": (-1.2, 1.5),
    "nucleation_J_m2": (0.0, 0.30),
}
"""What the task vector scales to [-1, 1] beyond training's own ranges: those of all splits together."""
PINNED_UM = 12.0  # where grains of "ood-physics" are pinned: above all goals (chosen)
N_RANDOM = 128  # actions whose mean utility is a compound's random score (chosen)
RANDOM_SEED, ORACLE_SEED = 20_250_703, 20_250_704  # chosen; any fixed pair does
LARGEST_AFFINITY = 4.0  # which the task vector shows as 1 (chosen)
SEEN_OF_COMPOUND = {
    **{name: (whole, (whole.low, whole.high)) for name, whole in {**OF_COMPOUND, "goal_um": GOALS[0]}.items()},
    "onset_target_K": (OF_COMPOUND["onset_target_K"], (900.0, 1550.0)),
}
"""The same of what each compound is made of."""
OF_ONE = len(SEEN_OF_COMPOUND) + N_OPTIONS
"""Numbers of the task vector that are of one compound."""


@dataclass(frozen=True)
class SystemDistribution(TaskDistribution):
    """Chemical systems each of whose compounds somebody who knows it could make.

    Splits: ``train`` is endless; ``validation`` (50) and ``test`` (200) are frozen draws of the same; the rest are
    frozen lists of 50 that differ from training in one thing:

    * ``ood-hot``: the onsets of the compounds have 1200-1300 K in common instead of 900-1150 K;
    * ``ood-options``: the first property that the compounds have in common is 0.6 to 1.5, where training knows only
      -1.2 to 0.6, so that other options than in training suit them;
    * ``ood-mechanism``: nuclei of the products cost interface energy, which delays and reorders the reactions;
    * ``ood-physics``: the second kinetic model of `metaenv.materials.other_physics`, with grains pinned at 12 um.
    """

    task_type: ClassVar[type[Task]] = SystemTask
    unit_dim: int = PARAMETERS.unit_dim
    splits: tuple[str, ...] = ("train", *FROZEN_SIZES)

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        """Systems for points of the unit cube; ``train``, ``validation`` and ``test`` share their ranges."""
        columns = PARAMETERS.draw(unit, SPLIT_RANGES.get(split))
        if split == "ood-physics":
            columns[SystemTask.optional] = np.full((len(unit), 1), PINNED_UM)
        return TaskBatch(SystemTask, columns)

    def accept(self, tasks: TaskBatch) -> NDArray[np.bool_]:
        """(n,) whether an informed recipe makes every compound from the options that suit it best."""
        found, suits = np.ones(len(tasks), bool), affinity(tasks)
        for e in range(COMPOUNDS):
            left = np.flatnonzero(found)
            if len(left):
                best = np.stack([np.argmax(suits[left, e, place], axis=1) for place in PLACES], axis=1)
                found[left] = solvable(materials(tasks.take(left), np.full(len(left), e), best))
        return found

    def frozen_list(self, split: str) -> FrozenTasks:
        """The frozen list of a split and its references."""
        return STORE.frozen(split, "system")

    def reference(self, tasks: TaskBatch) -> Reference:
        """The means over the compounds of the mean utility of 128 fixed random actions, and of the oracle's."""
        random, best = references(tasks)
        return Reference(random=random.mean(axis=1), oracle=best.mean(axis=1))

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, 109) what training draws for the system, then for each compound what it is made of, in [-1, 1].

        A compound has six quantities and its goal, as they are with what it has in common with the others, and the
        affinities of all options.
        """
        own = ("traits", "own_affinity", *SEEN_OF_COMPOUND)
        scaled = PARAMETERS.scaled(tasks, SEEN_RANGES)
        parts = [np.stack([v for name, v in scaled.items() if not name.startswith(own)], axis=1)]
        suits = affinity(tasks) / LARGEST_AFFINITY
        for e in range(COMPOUNDS):
            values = [p.scaled(getattr(tasks, name)[:, e], ends) for name, (p, ends) in SEEN_OF_COMPOUND.items()]
            parts += [np.stack(values, axis=1), suits[:, e]]
        return np.clip(np.concatenate(parts, axis=1), -1.0, 1.0).astype(np.float32)


def beginning_with(vectors: NDArray[np.float32], compound: Index) -> NDArray[np.float32]:
    """Task vectors (n, 109) in which the parts of the compounds are turned so that one of them (n,) comes first."""
    ends = np.cumsum([vectors.shape[1] - COMPOUNDS * OF_ONE, *[OF_ONE] * COMPOUNDS])
    common, *parts = np.split(vectors, ends[:-1], axis=1)
    turned = (compound[:, None] + np.arange(COMPOUNDS)) % COMPOUNDS
    of_compounds = np.stack(parts, axis=1)[np.arange(len(vectors))[:, None], turned]
    return np.concatenate([common, of_compounds.reshape(len(vectors), -1)], axis=1)


def references(tasks: TaskBatch) -> tuple[Floats, Floats]:
    """Random and best utility of every compound, (n, compounds) each."""
    actions = even_cover(N_RANDOM, len(ACTIONS), np.random.default_rng(RANDOM_SEED))
    every = [np.full(len(tasks), e) for e in range(COMPOUNDS)]
    random = np.stack([utility_table(tasks, compound, actions).mean(axis=1) for compound in every], axis=1)
    best = np.stack([oracle(tasks, compound, ORACLE_SEED)[0] for compound in every], axis=1)
    return random, best
