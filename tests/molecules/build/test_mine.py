"""The mining script on a few molecules, and what it wrote."""

import subprocess
import sys

import numpy as np
import pytest

from metaenv.molecules.build.mine import allowed_pairs, choose, count, describe
from metaenv.molecules.chem.chemistry import OWN
from metaenv.molecules.chem.fragmentation import symmetries
from metaenv.molecules.chem.fragments import DATA, load_vocabulary, vocabulary_from
from metaenv.molecules.chem.property_tables import Tabulator, attachment_atoms, load_property_tables

MOLECULES = ["Cc1ccc(C)cc1", "CC(=O)c1ccccc1", "Cc1ccccc1", "Cc1ccccc1", "not a molecule", "O=[N+]([O-])c1ccccc1C"]


def test_counts_of_five_molecules():
    counts = count(MOLECULES)
    assert counts.read == 6 and len(counts.kept) == 4
    assert counts.fragments == {"*C": 4, "*c1ccccc1": 3, "*c1ccc(*)cc1": 1, "*C(C)=O": 1}
    assert counts.bonds["C", "c"] == counts.bonds["c", "C"] == 4


def test_a_vocabulary_of_four_fragments():
    counts = count(MOLECULES)
    vocabulary = vocabulary_from(choose(counts, 4))
    allowed = allowed_pairs(vocabulary, counts.bonds)
    assert vocabulary.n_fragments == 4 and allowed.shape == (5, 5)
    np.testing.assert_array_equal(allowed[1:, 1:], allowed[1:, 1:].T)


def test_fragments_that_are_asked_for_come_last_and_once():
    counts = count(MOLECULES)
    asked = [row["smiles"] for row in choose(counts, 3, include=["C(*)(C)=O", "C*"])]
    assert asked == ["[1*]c1ccccc1", "[1*]C", "[1*]C(C)=O"]
    with pytest.raises(ValueError, match=r"'\*CC' is in 0 molecules as a fragment"):
        choose(counts, 3, include=["*CC"])


@pytest.mark.parametrize("smiles", ["*S", "*[N+](=O)[O-]", "*[Si](C)(C)C", "*c1c(*)c(*)c(*)c(*)c1"])
def test_unfit_fragments_are_left_out(smiles):
    assert describe(smiles, 1) is None


def test_symmetric_attachments_are_one_action():
    assert symmetries("[1*]c1ccc([2*])cc1") == ((0, 1), (1, 0))
    assert symmetries("[1*]NC([2*])=O") == ((0, 1),)
    assert symmetries("[1*]c1n[nH]c([2*])n1") == ((0, 1),), "the hydrogen makes a difference"
    assert attachment_atoms("c1{0}ccc{1}cc1") == [0, 3]


def test_the_stored_vocabulary_is_of_the_promised_size():
    v = load_vocabulary()
    assert v.n_fragments == OWN.json("provenance.json")["vocabulary_size"] == 128 and 150 <= v.n_actions <= 250
    np.testing.assert_array_equal(v.allowed[1:, 1:], v.allowed[1:, 1:].T)
    assert not v.allowed[0, 0] and v.allowed[1:, 0].all()
    assert sum(f.stat().st_size for f in DATA.iterdir()) < 1_000_000


def test_the_tables_of_contexts_are_complete():
    v = load_vocabulary()
    tables = load_property_tables(v)
    tabulator = Tabulator(v)
    for f in range(v.n_fragments):
        for j in range(v.attachments[f]):
            ports = np.array([v.action[s.fragment, s.attachment] for s in tabulator.states])
            allowed = v.allowed[v.action[f, j], ports]
            np.testing.assert_array_equal(tables.local[f, j] > 0, allowed)
    rows = np.append(tables.base, len(tables.values))
    combinations = np.prod(tables.local.max(axis=2).astype(int) + 1, axis=1)
    np.testing.assert_array_equal(np.diff(rows), combinations)


def test_rdkit_is_not_imported_with_the_package():
    modules = "metaenv, metaenv.molecules.reference_molecules, metaenv.molecules.build.command"
    code = f"import sys, {modules}; print('rdkit' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
