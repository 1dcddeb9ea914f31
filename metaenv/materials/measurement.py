"""What the laboratory sees of a sample: a biased, noisy diffraction pattern reduced to phases, a size, a balance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metaenv.materials.kinetics import Outcome
from metaenv.materials.recipes import Recipe
from metaenv.materials.utility import utility
from metaenv.tasks import TaskBatch
from metaenv.typing import Floats

FRACTION_NOISE = 0.015  # absolute, of a refined phase fraction (chosen; Rietveld round robins report 1-3 %)
DETECTION_LIMIT = 0.02  # a phase below this share is not seen (chosen, usual for laboratory diffractometers)
SIZE_NOISE = 0.10  # of the logarithm of a grain size read from micrographs (chosen)
MASS_NOISE = 0.002  # absolute, of the relative mass loss (chosen)
DRAWS = 7  # standard normal numbers that one measurement takes


@dataclass(frozen=True)
class Measurement:
    """What ``n`` experiments showed.

    Attributes:
        phases: (n, 5) shares of `metaenv.materials.kinetics.PHASES` as refined, summing to 1.
        grain_um: (n,) grain size.
        mass_loss: (n,) relative mass loss.
        reading: (n,) the utility computed from these.
    """

    phases: Floats
    grain_um: Floats
    mass_loss: Floats
    reading: Floats


def measure(
    tasks: TaskBatch, recipe: Recipe, outcome: Outcome, normal: Floats, noise_factor: float = 1.0
) -> Measurement:
    """Measure ``n`` outcomes.

    Args:
        tasks: the materials; each has its own instrument bias.
        recipe: what was done, whose costs are known.
        outcome: what came of it.
        normal: (n, 7) standard normal numbers.
        noise_factor: factor on all noise; the bias is the task's own.
    """
    seen = outcome.phase_fractions * np.exp(tasks.phase_bias)
    seen = seen / _total(seen) + noise_factor * FRACTION_NOISE * normal[:, :5]
    seen = np.where(seen < DETECTION_LIMIT, 0.0, seen)
    phases = seen / np.maximum(_total(seen), DETECTION_LIMIT)
    grain = outcome.grain_um * np.exp(noise_factor * SIZE_NOISE * normal[:, 5])
    mass_loss = outcome.mass_loss + noise_factor * MASS_NOISE * normal[:, 6]
    return Measurement(phases, grain, mass_loss, utility(phases[:, 3], grain, tasks.goal_um, recipe))


def _total(fractions: Floats) -> Floats:
    """(n, 1) sums over the five phases, in one order whatever the number of rows."""
    a = fractions
    return (a[:, 0] + a[:, 1] + a[:, 2] + a[:, 3] + a[:, 4])[:, None]
