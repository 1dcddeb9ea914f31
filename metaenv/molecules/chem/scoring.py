"""The score of a molecule: a product of desirabilities, times the constraints of drug design.

A desirability is 1 inside the range that is asked for of one property, and falls off outside it like a Gaussian. The
score is a product because with a mean, a molecule that is average in everything is good for every task, and there is
nothing to adapt to (measured: it reaches 0.79 of 1). The form is that of Derringer and Suich, J. Qual. Technol. 12, 214
(1980), with Gaussian flanks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.properties import PROPERTIES, Score
from metaenv.typing import Bools, Floats

if TYPE_CHECKING:
    from metaenv.tasks import TaskBatch

SOFTNESS = np.array([25.0, 0.45, 11.0, 0.6, 0.8, 0.6, 0.09])
"""(7,) standard deviation of the Gaussian flanks of each of `PROPERTIES`, in its unit (chosen: about half the width of
a fifth of real molecules)."""
MAX_SA = 4.5
"""Synthetic accessibility above which the score is 0 (chosen; 95 % of real molecules lie below 4)."""
GROUP_PENALTY = 0.15
"""Factor for a required group that is missing or a forbidden one that is there (chosen)."""
SIMILAR = 0.6
"""Tanimoto similarity of radius-2 Morgan fingerprints from which a molecule counts as the lead's equal (chosen)."""


def desirabilities(values: Floats, low: Floats, high: Floats, wanted: Floats, softness: Floats = SOFTNESS) -> Floats:
    """Desirability of each property; all arrays (n, 7) in the order of `PROPERTIES`, or broadcast against each other.

    Other properties than those come with the ``softness`` of their flanks.

    Both ends belong to a range; the desirability is 1 where the objective has no range of a property. ``wanted`` holds
    the weights of the ranges, which are exponents of their desirabilities, as Derringer and Suich have them.
    """
    outside = np.maximum(np.maximum(low - values, values - high), 0.0) / softness
    return np.exp(-0.5 * np.square(outside) * wanted)


def score_table(values: Floats, tasks: TaskBatch, softness: Floats = SOFTNESS) -> Floats:
    """(tasks, molecules) the products of desirabilities of every molecule, properties (m, 7), for every task.

    Other properties than `PROPERTIES` come with the ``softness`` of their flanks.
    """
    logs = np.zeros((len(tasks), len(values)))
    for j in range(values.shape[1]):
        rows = np.flatnonzero(tasks.wanted[:, j])
        if len(rows):
            low, high = tasks.low[rows, j, None], tasks.high[rows, j, None]
            outside = np.maximum(np.maximum(low - values[:, j], values[:, j] - high), 0.0) / softness[j]
            logs[rows] -= 0.5 * np.square(outside) * tasks.wanted[rows, j, None]
    return np.exp(logs)


PLACES = len(PROPERTIES) + 2
"""Factors of a score: one for each of `PROPERTIES`, one for what else is hidden (groups, similarity to a lead, or
activity), and one for the constraints."""
HIDDEN, CONSTRAINTS = -2, -1
"""The places of the latter two."""


def factors(
    values: Floats, tasks: TaskBatch, found: Sequence[Score] | None = None, softness: Floats = SOFTNESS
) -> Floats:
    """(n, 9) the factors of the score of molecule i, properties ``values`` (n, 7), for task i; `HIDDEN` is 1 here.

    Of p other properties, which come with the ``softness`` of their flanks, there are (n, p + 2).

    ``found`` are RDKit's scores of the molecules; None leaves out the constraints.
    """
    p = values.shape[1]
    product = np.ones((len(values), p + 2))
    product[:, :p] = desirabilities(values, tasks.low[:, :p], tasks.high[:, :p], tasks.wanted[:, :p], softness)
    if found is not None:
        product[:, -1] = [feasible(score) for score in found]
    return product


def packed(scores: Sequence[Score]) -> NDArray[np.uint8]:
    """(n, 128) packed fingerprints of scored molecules, which must have been asked for."""
    return np.stack([score.fingerprint for score in scores if score.fingerprint is not None])


def feasible(score: Score) -> bool:
    """Whether a molecule can be made and carries no structural alert, as every task demands."""
    return score.sa <= MAX_SA and not score.alert


def similarity(fingerprints: NDArray[np.uint8], lead: NDArray[np.uint8]) -> Floats:
    """(n,) Tanimoto similarity of packed fingerprints (n, 128) to another one (128,) or others (n, 128)."""
    both = np.bitwise_count(fingerprints & lead).sum(axis=-1)
    either = np.bitwise_count(fingerprints | lead).sum(axis=-1)
    return both / np.maximum(either, 1)


def similarity_factor(
    fingerprints: NDArray[np.uint8], lead: NDArray[np.uint8], asked: Floats | float = SIMILAR
) -> Floats:
    """(n,) the factor for similarity to a lead: similarity as a share of what is asked for, at most 1."""
    return np.minimum(similarity(fingerprints, lead) / asked, 1.0)


def group_factor(bits: NDArray[np.integer], required: Floats, forbidden: Floats) -> Floats:
    """(n,) 1 where the required group is there and the forbidden one is not, else `GROUP_PENALTY` for each fault.

    Group i is present if bit i of ``bits`` (n,) is set; ``required`` and ``forbidden`` (n,) are numbers, -1 for none.
    """

    def has(group: Floats) -> Bools:
        return ((np.asarray(bits, np.int64) >> np.maximum(group, 0).astype(np.int64)) & 1).astype(bool)

    faults = ((required >= 0) & ~has(required)).astype(float) + ((forbidden >= 0) & has(forbidden))
    return GROUP_PENALTY**faults
