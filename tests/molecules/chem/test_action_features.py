"""Features of the actions, against RDKit and the vocabulary."""

import re

import numpy as np
import pytest
from rdkit import Chem

from metaenv.molecules.chem.action_features import action_features
from metaenv.molecules.chem.chemistry import load_chemistry
from metaenv.molecules.chem.fragments import CLOSE
from metaenv.molecules.chem.properties import Scores, by_rdkit


@pytest.mark.parametrize("name", ["zinc", "chembl"])
def test_features_tell_what_an_action_puts_down(name: str) -> None:
    chemistry = load_chemistry(name)
    v, n_groups = chemistry.vocabulary, len(chemistry.groups)
    classes = sorted({each for of_one in v.attachment_class for each in of_one})
    found = action_features(chemistry)
    assert found.shape == (v.n_actions, 16 + n_groups + 2 * len(classes)) and found.dtype == np.float32
    assert np.isfinite(found).all() and abs(found).max() < 7
    assert found[0, -1] == 1 and not found[0, :-1].any()
    ends = np.cumsum([10, 1, 3, 1, n_groups, len(classes), len(classes)])
    _, count, numbers, ring, groups, of_class, joined, close = np.split(found[1:], ends, axis=1)
    fragment = v.action_fragment[1:]
    np.testing.assert_array_equal(numbers.argmax(1) + 1, v.attachments[fragment])
    np.testing.assert_array_equal(ring[:, 0], v.ring[fragment])
    np.testing.assert_array_equal(of_class.sum(1), v.attachments[fragment])
    assert [classes[i] for i in joined.argmax(1)] == list(v.action_class[1:]) and (joined.sum(1) == 1).all()
    assert (np.diff(count[np.argsort(v.count[fragment], kind="stable"), 0]) >= 0).all() and not close.any()
    assert groups.any(0).mean() > 0.6 and groups.any(1).mean() < 0.9


@pytest.mark.parametrize("name", ["zinc", "chembl"])
def test_groups_of_molecules_of_one_fragment_are_those_of_the_features(name: str) -> None:
    """A ring that is closed at once is a molecule, of which scores tell the groups."""
    chemistry = load_chemistry(name)
    v = chemistry.vocabulary
    first = np.array([a for a in range(1, v.n_actions) if v.allowed[0, a]])
    actions = np.full((len(first), v.max_actions), -1)
    actions[:, 0] = first
    for row, action in enumerate(first):
        actions[row, 1 : 1 + v.attachments[v.action_fragment[action]]] = CLOSE
    scored = Scores(vocabulary=v, groups=chemistry.groups)(actions)
    expected = [[score.groups >> i & 1 for i in range(len(chemistry.groups))] for score in scored]
    np.testing.assert_array_equal(action_features(chemistry)[first, 15 : 15 + len(chemistry.groups)], expected)


def test_properties_of_fragments_are_those_of_rdkit() -> None:
    chemistry = load_chemistry("zinc")
    v = chemistry.vocabulary

    def closed(i: int) -> Chem.Mol:
        ends = ["C" if methyl else "[H]" for methyl in v.methyl[i]]
        return Chem.MolFromSmiles(re.sub(r"\[(\d)\*\]", lambda found: ends[int(found[1]) - 1], v.smiles[i]))

    expected = np.array([by_rdkit(closed(i)) for i in range(v.n_fragments)])
    expected = (expected - expected.mean(0)) / expected.std(0)
    np.testing.assert_allclose(action_features(chemistry)[1:, :10], expected[v.action_fragment[1:]], atol=2e-3)
