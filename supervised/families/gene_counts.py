"""Counts of single cells: negative binomial, with marker programmes, library sizes, dropout and batch effects.

The form is that of Splatter (Zappia, Phipson and Oshlack 2017, Genome Biology 18, 174): gamma means, log-normal
factors, gamma-Poisson counts, logistic dropout; gene means and the dropout's slope are its defaults, all other numbers
are chosen. Cell types differ by which programmes are on; states, such as the cell cycle, come on top in any type.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metaenv.typing import Bools, Floats, Index

GENES = 256
PROGRAMMES, MARKERS, ON = 40, 12, 4  # programmes, genes of each, programmes that are on in a cell type
STATES, STATE_GENES = 6, 30
MEAN_SHAPE, MEAN_RATE = 0.6, 0.3  # gamma distribution of gene means, Splatter's defaults
DROPOUT_SLOPE = 1.0  # in log mean, Splatter's default
DISPERSION = 0.3  # squared biological coefficient of variation


@dataclass(frozen=True)
class Platform:
    """How cells are measured."""

    depth: float = 900.0  # median counts of a cell
    depth_spread: float = 0.45  # standard deviation of the log of it
    dropout_at: float = -1.0  # log of the mean at which half the counts are lost
    batch: float = 0.45  # standard deviation of the log factor that a batch has on each gene


SHALLOW = replace(Platform(), depth=250.0, dropout_at=0.5)


@dataclass(frozen=True)
class Biology:
    """What all cells of the family share."""

    base: Floats  # (genes,) mean expression
    programmes: Floats  # (programmes, genes) log of the factor when on
    states: Floats  # (states, genes) log of the factor at activity 1
    types: Bools  # (types, programmes) which are on; no two rows are alike


def biology(n_types: int, rng: np.random.Generator) -> Biology:
    """A family with so many cell types."""
    base = rng.gamma(MEAN_SHAPE, 1 / MEAN_RATE, GENES) + 0.05
    programmes = _sets(PROGRAMMES, MARKERS, GENES, rng) * rng.uniform(0.6, 1.6, (PROGRAMMES, GENES))
    states = _sets(STATES, STATE_GENES, GENES, rng) * rng.uniform(-1.2, 1.6, (STATES, GENES))
    types = np.unique(_sets(2 * n_types, ON, PROGRAMMES, rng), axis=0)
    return Biology(base, programmes, states, rng.permutation(types)[:n_types].astype(bool))


def counts(
    types: Index, batch: Index, n_batches: int, life: Biology, platform: Platform, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(cells, genes) molecules counted, in cells of some types (cells,) and batches (cells,) in [0, n_batches)."""
    activity = rng.gamma(0.6, 1 / 0.6, (len(types), STATES)) * rng.lognormal(0, 0.3, (n_batches, STATES))[batch]
    strength = life.types[types] * rng.uniform(0.5, 1.3, (len(types), PROGRAMMES))
    effect = rng.normal(0, platform.batch, (n_batches, GENES))
    log_mean = np.log(life.base) + strength @ life.programmes + np.minimum(activity, 3) @ life.states + effect[batch]
    mean = np.exp(log_mean)
    depth = rng.lognormal(np.log(platform.depth), platform.depth_spread, (len(types), 1))
    mean *= depth / mean.sum(axis=1, keepdims=True)
    found = rng.poisson(rng.gamma(1 / DISPERSION, DISPERSION, mean.shape) * mean)
    lost = 1 / (1 + np.exp(DROPOUT_SLOPE * (np.log(mean) - platform.dropout_at)))
    return found * (rng.random(mean.shape) > lost)


def log_normalised(found: NDArray[np.int64]) -> NDArray[np.float32]:
    """log(1 + counts a thousand), as is usual before cells are compared."""
    return np.log1p(1_000 * found / np.maximum(found.sum(axis=1, keepdims=True), 1)).astype(np.float32)


def _sets(n: int, k: int, size: int, rng: np.random.Generator) -> Floats:
    """(n, size) zeros and k ones a row, at random."""
    rank = rng.random((n, size)).argsort(axis=1).argsort(axis=1)
    return (rank < k).astype(np.float64)
