"""The yardstick of the speed measurement does what it is said to do."""

import pytest

pytest.importorskip("rdkit", reason="MolDQN's moves are enumerated by RDKit")

from metaenv.experiments.speed.molecules import neighbours


def test_molecules_one_edit_away_from_methane_and_ethylene():
    assert neighbours("C") == {"CC", "C=C", "C#C", "CN", "C=N", "C#N", "CO", "C=O"}
    stronger, weaker, longer = {"C#C"}, {"CC"}, {"C=CC", "C=C=C", "C=CN", "C=C=N", "C=CO", "C=C=O"}
    assert neighbours("C=C") == stronger | weaker | longer
