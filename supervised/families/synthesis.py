"""Materials synthesis: what comes of a recipe, in a material that one has made a few times only?

The tasks are those of the environment: hidden materials of `SolidStateDistribution`, each with its own furnace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from metaenv.materials.kinetics import simulate
from metaenv.materials.laboratory import DEFAULT, Given, Laboratory, laboratory_of
from metaenv.materials.oracle import ROWS
from metaenv.materials.recipes import ACTION_DIM, ACTION_NAMES, Variant, from_action
from metaenv.materials.tasks import SolidStateDistribution
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import Kind
from metaenv.supervised.families.family import Family, draw_plane
from metaenv.tasks import Labelled, TaskBatch, TaskSampler
from metaenv.typing import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PURE = 0.8  # share of the target above which a product is called pure (chosen; 18 % of random recipes)


@dataclass(frozen=True)
class SynthesisPurity(SolidStateDistribution):
    """`SolidStateDistribution`, of which one sees how pure the product is."""

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """Random recipes. ``x`` (tasks, n, 5 or 11): the action in [-1, 1]; ``y``: true share of the target."""
        x = rng.uniform(-1.0, 1.0, (len(tasks), n, ACTION_DIM[self.variant]))
        return Labelled(x, purity(tasks, x, self.variant, self.laboratory), tasks.ids)


def purity(tasks: TaskBatch, actions: Floats, variant: Variant, laboratory: Laboratory = DEFAULT) -> Floats:
    """(tasks, n) share of the target after recipes (tasks, n, d), without noise."""
    n = actions.shape[1]
    table = np.empty(actions.shape[:2])
    block = max(1, ROWS // n)
    for start in range(0, len(tasks), block):
        rows = np.arange(start, min(start + block, len(tasks)))
        recipe = from_action(actions[rows].reshape(len(rows) * n, -1), variant, laboratory)
        table[rows] = simulate(tasks.take(rows).repeated(n), recipe).target_fraction.reshape(-1, n)
    return table


class MaterialsSynthesis(Family):
    """Recipes in hidden materials: their worth (regression), or whether the product is pure (two classes).

    Args:
        variant: ``"recipe"``, five numbers a recipe, or ``"full"``, eleven.
        laboratory: where the recipes are made; a `metaenv.materials.laboratory.Laboratory`, its arguments, or a file.
    """

    name: ClassVar[str] = "materials-synthesis"
    provenance: ClassVar[str] = (
        "Simulated by the kinetics of metaenv.materials, whose tasks say which ranges have sources; "
        "pure means at least 80 % target (chosen)."
    )
    kinds = ("regression", "classification")
    threshold = PURE
    splits = SolidStateDistribution().splits
    shots = (10, 20)

    def __init__(self, variant: Variant = "recipe", laboratory: Given = None) -> None:
        if variant not in ACTION_DIM:
            raise ValueError(f"expected a variant among {', '.join(ACTION_DIM)}, got {variant!r}")
        self.variant: Variant = variant
        self.laboratory = laboratory_of(laboratory)

    def source(self, split: str, kind: Kind, seed: int) -> TaskSampler:
        cls = SolidStateDistribution if kind == "regression" else SynthesisPurity
        return TaskSampler(cls(self.variant, self.laboratory), split, seed)

    def draw(self, figure: Figure, batch: EpisodeBatch) -> None:
        """Recipes by temperature and time, coloured by what came of them."""
        names = [f"{name}, scaled" for name in ACTION_NAMES[self.variant][:2]]
        draw_plane(figure, batch, names, "share pure" if batch.n_classes else "utility")
