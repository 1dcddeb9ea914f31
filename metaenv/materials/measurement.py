"""What the laboratory sees of a sample: a biased, noisy diffraction pattern reduced to phases, a size, a balance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metaenv.materials.kinetics import Outcome
from metaenv.materials.laboratory import DEFAULT, Laboratory
from metaenv.materials.recipes import Recipe
from metaenv.materials.utility import utility
from metaenv.tasks import TaskBatch
from metaenv.typing import Floats

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
    tasks: TaskBatch,
    recipe: Recipe,
    outcome: Outcome,
    normal: Floats,
    noise_factor: float = 1.0,
    laboratory: Laboratory = DEFAULT,
) -> Measurement:
    """Measure ``n`` outcomes.

    Args:
        tasks: the materials; each has its own instrument bias.
        recipe: what was done, whose costs are known.
        outcome: what came of it.
        normal: (n, 7) standard normal numbers.
        noise_factor: factor on all noise; the bias is the task's own.
        laboratory: whose instruments and costs. What it has no instrument for is measured all the same, for the
            reading; the environment does not show it.
    """
    limit, (xrd, sem, balance) = laboratory.instruments.detection_limit, laboratory.instruments.noise
    seen = shares_without_noise(tasks, outcome) + noise_factor * xrd * normal[:, :5]
    seen = np.where(seen < limit, 0.0, seen)
    phases = seen / np.maximum(_total(seen), limit)
    grain = outcome.grain_um * np.exp(noise_factor * sem * normal[:, 5])
    mass_loss = outcome.mass_loss + noise_factor * balance * normal[:, 6]
    reading = utility(phases[:, 3], grain, tasks.goal_um, recipe, laboratory)
    return Measurement(phases, grain, mass_loss, reading)


def shares_without_noise(tasks: TaskBatch, outcome: Outcome) -> Floats:
    """(n, 5) the shares of the phases as each task's instrument would show them without noise."""
    biased = outcome.phase_fractions * np.exp(tasks.phase_bias)
    return biased / _total(biased)


def _total(fractions: Floats) -> Floats:
    """(n, 1) sums over the five phases, in one order whatever the number of rows."""
    a = fractions
    return (a[:, 0] + a[:, 1] + a[:, 2] + a[:, 3] + a[:, 4])[:, None]
