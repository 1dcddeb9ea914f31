"""What RDKit knows of a chemistry's reference molecules for property profiles: accessibility, and leads for hops.

It is read from the chemistry's ``references.npz``; where there is none, it is computed, which takes ten seconds.
`metaenv.molecules.build.build_data` writes the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.assembly import replay
from metaenv.molecules.chem.chemistry import OWN, Chemistry
from metaenv.molecules.chem.descriptors import combined
from metaenv.molecules.chem.fragmentation import to_mol
from metaenv.molecules.chem.properties import additive, synthetic_accessibility
from metaenv.molecules.chem.smiles import fragment_smiles
from metaenv.molecules.objectives import SPLIT_TENTHS, in_split
from metaenv.molecules.reference_molecules import Molecules, random_molecules, real_molecules, scaffold_tenths
from metaenv.typing import Floats, Index

FILE = "references.npz"
PARTNERS = 3  # leads that a molecule may be a hop from (chosen)
LEAST_SIMILAR = 0.35
"""Similarity that a lead and the molecule that certifies the hop have at least (chosen: two real molecules taken at
random have 0.12, and three in four molecules have such a partner)."""


@dataclass(frozen=True)
class Hops:
    """For each real molecule, the most similar ones of its split that have another Murcko scaffold."""

    partner: Index
    """(m, 3) their places, the most similar first; -1 for none."""
    similarity: Floats
    """(m, 3) Tanimoto similarity of their fingerprints; 0 for none."""


@lru_cache(maxsize=4)
def real_descriptors(chemistry: Chemistry = OWN) -> Floats:
    """(m, 11) the `DESCRIPTORS` of `real_molecules`; read-only."""
    return _descriptors(real_molecules(chemistry), _stored(chemistry)["real_sa"])


def descriptors_of(actions: NDArray[np.integer], chemistry: Chemistry = OWN) -> Floats:
    """(n, 11) the `DESCRIPTORS` of build sequences (n, L); RDKit is asked only for those that are no reference."""
    known = _accessibility_of(chemistry)
    sequences = np.ascontiguousarray(actions, np.int16)
    found = np.array([known.get(row.tobytes(), np.nan) for row in sequences])
    new = np.flatnonzero(np.isnan(found))
    if len(new):
        found[new] = _accessibility(sequences[new], chemistry)
    return combined(additive(replay(sequences, chemistry.vocabulary)), found)


@lru_cache(maxsize=4)
def scale(chemistry: Chemistry = OWN) -> tuple[Floats, Floats]:
    """(11,) mean of each of `DESCRIPTORS` over real molecules, and (11,) twice the standard deviation, rounded."""
    values = real_descriptors(chemistry)
    spread = np.where(values.std(axis=0) > 0, 2 * values.std(axis=0), 1.0)
    return values.mean(axis=0).round(2), np.maximum(spread.round(2), 0.01)


@lru_cache(maxsize=4)
def hops(chemistry: Chemistry = OWN) -> Hops:
    """The leads from which real molecules are hops."""
    stored = _stored(chemistry)
    return Hops(stored["partner"].astype(np.intp), stored["similarity"].astype(np.float64))


def references(chemistry: Chemistry) -> dict[str, NDArray[Any]]:
    """What the file holds, computed anew."""
    real, random = real_molecules(chemistry), random_molecules(chemistry)
    partner, similarity = _partners(real)
    return {
        "real_sa": _accessibility(real.actions, chemistry).astype(np.float32),
        "random_sa": _accessibility(random.actions, chemistry).astype(np.float32),
        "partner": partner,
        "similarity": similarity.astype(np.float32),
    }


# PRIVATE


@lru_cache(maxsize=4)
def _stored(chemistry: Chemistry) -> dict[str, NDArray[Any]]:
    return chemistry.arrays(FILE) if (chemistry.folder / FILE).is_file() else references(chemistry)


@lru_cache(maxsize=4)
def _accessibility_of(chemistry: Chemistry) -> dict[bytes, float]:
    """Synthetic accessibility of the reference molecules by their build sequences."""
    stored = _stored(chemistry)
    pairs = (real_molecules(chemistry), stored["real_sa"]), (random_molecules(chemistry), stored["random_sa"])
    return {
        row.tobytes(): value
        for known, values in pairs
        for row, value in zip(known.actions, values.tolist(), strict=True)
    }


def _descriptors(molecules: Molecules, accessibility: NDArray[Any]) -> Floats:
    values = combined(additive(replay(molecules.actions, molecules.chemistry.vocabulary)), accessibility)
    values.flags.writeable = False
    return values


def _accessibility(actions: NDArray[np.int16], chemistry: Chemistry) -> NDArray[np.float64]:
    return np.array([synthetic_accessibility(to_mol(text)) for text in fragment_smiles(actions, chemistry.vocabulary)])


def _partners(real: Molecules) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """``partner`` and ``similarity`` of `Hops`; molecules that cannot be made are no leads."""
    from rdkit.Chem.Scaffolds import MurckoScaffold

    texts = fragment_smiles(real.actions, real.chemistry.vocabulary)
    scaffold = np.unique([MurckoScaffold.MurckoScaffoldSmiles(mol=to_mol(t)) for t in texts], return_inverse=True)[1]
    bits, tenths = real.bits().astype(np.float32), scaffold_tenths(real.chemistry)
    partner = np.full((len(real), PARTNERS), -1, np.int16)
    similarity = np.zeros((len(real), PARTNERS))
    for split in SPLIT_TENTHS:
        rows = np.flatnonzero(in_split(tenths, split) & real.feasible)
        for some in np.array_split(rows, max(len(rows) // 500, 1)):
            both = bits[some] @ bits[rows].T
            alike = both / (bits[some].sum(axis=1)[:, None] + bits[rows].sum(axis=1) - both)
            alike[scaffold[some][:, None] == scaffold[rows]] = 0
            best = np.argsort(-alike, axis=1, kind="stable")[:, :PARTNERS]
            near = np.take_along_axis(alike, best, axis=1).astype(np.float64)
            k = best.shape[1]
            partner[some, :k] = np.where(near >= LEAST_SIMILAR, rows[best], -1)
            similarity[some, :k] = np.where(near >= LEAST_SIMILAR, near, 0)
    return partner, similarity
