"""Known molecules with what is scored: 6,000 real ones, and a pool of randomly built ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.molecules.chem.assembly import replay
from metaenv.molecules.chem.fragments import DATA
from metaenv.molecules.chem.properties import additive
from metaenv.molecules.chem.scoring import COLUMNS
from metaenv.molecules.reference_molecules import load_anchors
from metaenv.typing import Bools, Floats, Index


@dataclass(frozen=True)
class Molecules:
    """m finished molecules; arrays are read-only."""

    actions: NDArray[np.int16]
    """(m, 9) build sequences."""
    values: Floats
    """(m, 7) the properties that windows are on."""
    feasible: Bools
    """(m,) easy enough to make and without alert: `objectives.feasible`."""
    groups: NDArray[np.int64]
    """(m,) bit i is set where group i is there."""

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


@lru_cache(maxsize=8)
def load_portfolio(variant: str) -> Portfolio:
    """The ten molecules that serve the training tasks of ``variant`` best; those of ``assay`` are computed."""
    if variant == "assay":
        from metaenv.molecules.assay.tasks import portfolio

        return portfolio()
    stored = json.loads((DATA / "portfolio.json").read_text(encoding="utf-8"))
    if variant not in stored:
        raise TaskError(f"there is no portfolio for variant {variant!r}.{nearest(variant, stored)}")
    entry = stored[variant]
    found = Portfolio(np.array(entry["sequences"], np.int16), np.array(entry["train_score"]))
    found.sequences.flags.writeable = False
    return found


@lru_cache(maxsize=1)
def anchors() -> Molecules:
    """The 6,000 real molecules of `load_anchors`."""
    facts = _facts()
    return _molecules(load_anchors(), facts["anchor_feasible"], facts["anchor_groups"])


@lru_cache(maxsize=1)
def pool() -> Molecules:
    """Molecules built by uniformly random legal actions; a task's random score is their mean score."""
    facts = _facts()
    return _molecules(facts["pool_actions"].astype(np.int16) - 1, facts["pool_feasible"], facts["pool_groups"])


def scaffold_share() -> NDArray[np.int8]:
    """(6000,) 0 to 9: to which tenth of all Murcko scaffolds a real molecule belongs, by hash of the scaffold."""
    return _facts()["anchor_scaffold"]


def fingerprints(actions: NDArray[np.int16]) -> NDArray[np.uint8]:
    """(m, 128) packed Morgan fingerprints of build sequences (m, 9)."""
    from metaenv.molecules.build.fragmentation import to_mol
    from metaenv.molecules.chem.properties import fingerprint
    from metaenv.molecules.chem.smiles import fragment_smiles

    return np.stack([fingerprint(to_mol(text)) for text in fragment_smiles(actions)])


def frozen_sha256(variant: str, split: str) -> str:
    """The SHA-256 that the evaluation list of a variant and split had when it was frozen."""
    known = manifest()["frozen"][variant]
    if split not in known:
        raise TaskError(f"variant {variant!r} has no frozen list {split!r}.{nearest(split, known)}")
    return known[split]["sha256"]


def manifest() -> dict[str, Any]:
    """Seeds, sizes, versions and hashes of all that `metaenv.molecules.build.build_data` wrote."""
    return json.loads((DATA / "frozen.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _facts() -> dict[str, NDArray[Any]]:
    with np.load(DATA / "facts.npz", allow_pickle=False) as file:
        return dict(file)


def _molecules(actions: NDArray[np.int16], feasible: NDArray[Any], groups: NDArray[Any]) -> Molecules:
    values = additive(replay(actions))[:, COLUMNS]
    known = Molecules(actions, values, feasible.astype(bool), groups.astype(np.int64))
    for array in (known.actions, known.values, known.feasible, known.groups):
        array.flags.writeable = False
    return known


@lru_cache(maxsize=4)
def _fingerprints(actions: bytes) -> NDArray[np.uint8]:
    found = fingerprints(np.frombuffer(actions, np.int16).reshape(-1, 9))
    found.flags.writeable = False
    return found
