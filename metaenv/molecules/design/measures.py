"""What tables tell of the molecules of a trial besides their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.fragmentation import to_mol
from metaenv.molecules.chem.properties import fingerprint
from metaenv.molecules.chem.scoring import similarity
from metaenv.policies import TrialRecord
from metaenv.typing import Floats


def measures(record: TrialRecord) -> Mapping[str, Floats]:
    """Of each trial: the score of its best molecule, how many distinct ones it made, and their internal diversity."""
    distinct = [list(dict.fromkeys(filter(None, row))) for row in record.made.tolist()]
    return {
        "best molecule": record.scores.max(axis=1),
        "distinct molecules": np.array([float(len(each)) for each in distinct]),
        "internal diversity": np.array([diversity(each) for each in distinct]),
    }


def diversity(smiles: Sequence[str]) -> float:
    """1 - mean Tanimoto similarity of all pairs of molecules (Morgan fingerprints of radius 2); 0 for fewer than two.

    It is the internal diversity of Benhenda, arXiv:1708.08227, without the pairs of a molecule with itself.
    """
    if len(smiles) < 2:
        return 0.0
    bits = np.stack([_bits(text) for text in smiles])
    alike = [float(similarity(bits[i + 1 :], bits[i]).sum()) for i in range(len(bits) - 1)]
    return 1.0 - sum(alike) / (len(bits) * (len(bits) - 1) / 2)


@lru_cache(maxsize=100_000)
def _bits(smiles: str) -> NDArray[np.uint8]:
    return fingerprint(to_mol(smiles))
