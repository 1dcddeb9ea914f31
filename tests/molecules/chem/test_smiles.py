"""Build sequence to molecule and back."""

import numpy as np
import pytest
from rdkit import Chem

from metaenv.molecules.chem.assembly import Assembly
from metaenv.molecules.chem.fragmentation import MoleculeError, attachment_class, standardise, to_mol
from metaenv.molecules.chem.fragments import MAX_HEAVY_ATOMS, load_vocabulary
from metaenv.molecules.chem.smiles import parse, template, to_smiles
from metaenv.molecules.reference_molecules import real_sequences

# Drugs and everyday molecules, SMILES from their structures.
BUILDABLE = {
    "toluene": "Cc1ccccc1",
    "acetophenone": "CC(=O)c1ccccc1",
    "anisole": "COc1ccccc1",
    "benzene": "c1ccccc1",
    "4-benzylpiperidine, protonated": "C1C[NH2+]CCC1Cc1ccccc1",
    "benzanilide": "O=C(Nc1ccccc1)c1ccccc1",
    "biphenyl": "c1ccc(cc1)-c1ccccc1",
    "N-phenylpiperazine": "C1CN(CCN1)c1ccccc1",
    "4-fluoro-N-cyclopropylbenzamide": "O=C(NC1CC1)c1ccc(F)cc1",
    "moclobemide-like": "O=C(NCc1ccccc1)C1CCNCC1",
}


def same(smiles: str) -> str:
    return Chem.MolToSmiles(standardise(smiles))


@pytest.mark.parametrize("name", BUILDABLE)
def test_known_molecules_are_built(name):
    assert to_smiles(parse(BUILDABLE[name], warn=False)) == [same(BUILDABLE[name])]


def test_real_molecules_come_back_the_same():
    chosen = real_sequences()[:: len(real_sequences()) // 200]
    for smiles in to_smiles(chosen):
        assert to_smiles(parse(smiles)) == [smiles]


def test_random_molecules_come_back_the_same_or_are_refused():
    built = Assembly(250)
    refused = 0
    for smiles in to_smiles(built.rollout(np.random.default_rng(1))):
        try:
            assert to_smiles(parse(smiles)) == [smiles]
        except MoleculeError:  # methyl on an acyclic end can be cut into no fragment of the vocabulary
            refused += 1
    assert refused < 25


def test_a_sequence_for_a_real_molecule_is_legal_and_short():
    actions = parse("O=C(Nc1ccccc1)c1ccccc1")
    assert actions.dtype == np.int16 and actions.shape == (9,) and (actions >= 0).sum() == 3


@pytest.mark.parametrize(
    ("smiles", "why"),
    [
        ("c1ccccc", "RDKit cannot read"),
        ("", "RDKit cannot read"),
        ("CCO", "has no ring"),
        ("c1ccccc1.Cl", "several components"),
        ("C[N+](C)(C)Cc1ccccc1", "charges that no proton balances"),
        ("c1ccc2cc3cc4ccccc4cc3cc2c1", "not in the vocabulary: c1ccc2cc3cc4ccccc4cc3cc2c1"),
        ("FC(F)(F)CCCCc1ccccc1", r"not in the vocabulary: \*CCCCC\(F\)\(F\)F"),
        ("c1ccc(cc1)-c1ccc(cc1)-c1ccc(cc1)-c1ccc(cc1)-c1ccc(cc1)-c1ccccc1", f"at most {MAX_HEAVY_ATOMS}"),
        ("Clc1ccc(cc1)N1CCN(CC1)C(=O)c1ccc(cc1)N1CCN(CC1)C(=O)c1ccc(Cl)cc1", "at most"),
        ("FN1CCOCC1", "does not allow"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(smiles, why):
    with pytest.raises(MoleculeError, match=why):
        parse(smiles)


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("c1ccc([1*])cc1[2*]", "c1ccc{0}cc1{1}"),
        ("C([1*])([2*])=O", "C{0}{1}=O"),
        ("N(CC[2*])[1*]", "N{0}(CC{1})"),
        ("S(C)(=O)(=O)[1*]", "S{0}(C)(=O)(=O)"),
    ],
)
def test_template_puts_ring_bonds_behind_the_atom(smiles, expected):
    assert template(smiles) == expected


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("*c1ccccc1", "c"),
        ("*c1ccccn1", "c~N"),
        ("*n1cccc1", "n"),
        ("*N1CCCCC1", "Nr"),
        ("*N1CCCC1=O", "Nr~="),
        ("*C(=O)O", "C=O~O"),
        ("*NC(C)=O", "N~="),
        ("*C#N", "C#"),
        ("*C(F)(F)F", "C~F"),
        ("*Cl", "Cl"),
    ],
)
def test_attachment_classes(smiles, expected):
    assert attachment_class(to_mol(smiles), 0) == expected


def test_anchors_are_many_distinct_and_legal():
    anchors = real_sequences()
    assert len(anchors) >= 5000 and len(np.unique(anchors, axis=0)) == len(anchors)
    assert anchors.max() < load_vocabulary().n_actions
