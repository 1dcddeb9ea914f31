"""What is known of each action before it is played: numbers by which a policy can treat like fragments alike."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.assembly import ABSENT, CLOSED, Assembly
from metaenv.molecules.chem.chemistry import Chemistry
from metaenv.molecules.chem.fragmentation import assembled_mol
from metaenv.molecules.chem.fragments import MAX_ATTACHMENTS
from metaenv.molecules.chem.functional_groups import group_bits
from metaenv.molecules.chem.properties import additive
from metaenv.molecules.chem.smiles import write


@lru_cache(maxsize=4)
def action_features(chemistry: Chemistry) -> NDArray[np.float32]:
    """(A, d) what each action puts down, and by what it is joined; d is 16 + groups + twice the attachment classes.

    In this order: the ten properties `ADDITIVE` of the fragment alone, with its attachments closed, and the logarithm
    of how often real molecules have it, both centred and scaled over all fragments; one-hot how many attachments it has
    (3); 1 for a ring; 1 for each functional group of the chemistry that the fragment has by itself; how many
    attachments of each class it has; the class of the one that is joined, one-hot; and 1 for CLOSE, of which all the
    rest is 0. It is the same array at every call, which cannot be written to.
    """
    v, classes = chemistry.vocabulary, chemistry.vocabulary.classes
    alone = Assembly(v.n_fragments, v)
    alone.fragment[:, 0] = np.arange(v.n_fragments)
    alone.partner[:, 0] = np.where(np.arange(MAX_ATTACHMENTS) < v.attachments[:, None], CLOSED, ABSENT)
    of_fragment = [
        _scaled(np.column_stack([additive(alone), np.log(np.maximum(v.count, 1))])),
        v.attachments[:, None] == np.arange(1, MAX_ATTACHMENTS + 1),
        v.ring,
        _groups(alone, chemistry),
        np.array([[names.count(name) for name in classes] for names in v.attachment_class]),
    ]
    joined = np.array([[name == each for each in classes] for name in v.action_class])
    close = (v.action_fragment < 0)[:, None]
    found = np.column_stack([np.column_stack(of_fragment)[v.action_fragment] * ~close, joined, close])
    found = found.astype(np.float32)
    found.flags.writeable = False
    return found


def _groups(alone: Assembly, chemistry: Chemistry) -> NDArray[np.int64]:
    """(F, groups) 1 where a fragment has a group."""
    pairs = zip(alone.fragment.tolist(), alone.partner.tolist(), strict=True)
    mols = (assembled_mol(write(*pair, alone.vocabulary)) for pair in pairs)
    bits = np.array([group_bits(mol, chemistry.groups) for mol in mols])
    return bits[:, None] >> np.arange(len(chemistry.groups)) & 1


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
