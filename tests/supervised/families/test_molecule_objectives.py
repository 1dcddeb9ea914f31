"""Molecule objectives of another chemistry than the usual one."""

import numpy as np
import pytest

from metaenv.molecules.chem.chemistry import load_chemistry
from metaenv.molecules.reference_molecules import real_molecules
from metaenv.supervised.families import make_family

pytest.importorskip("rdkit", reason="molecules are scored by RDKit")


def test_examples_are_molecules_of_the_chemistry_and_their_scores():
    family = make_family("molecule-objectives", chemistry="chembl")
    tasks = family.source("train", "regression", 0)
    batch = tasks.draw(3)
    shown = tasks.distribution.labelled(batch, 5, np.random.default_rng(0))
    known = load_chemistry("chembl")
    places = {row.tobytes(): i for i, row in enumerate(known.scaled(real_molecules(known).values))}
    assert batch.task_type.family == "MoleculeObjective-chembl"
    assert all(x.tobytes() in places for x in shown.x.reshape(-1, 7)) and ((shown.y >= 0) & (shown.y <= 1)).all()
