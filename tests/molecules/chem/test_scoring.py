"""The score of a molecule, by hand and against RDKit."""

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from metaenv.molecules.chem.functional_groups import GROUPS
from metaenv.molecules.chem.properties import PROPERTIES, Score
from metaenv.molecules.chem.scoring import (
    SOFTNESS,
    desirabilities,
    factors,
    feasible,
    group_factor,
    score_table,
    similarity,
)
from metaenv.molecules.chem.smiles import to_smiles
from metaenv.molecules.design.tasks import MoleculeTask
from metaenv.molecules.reference_molecules import fingerprints, real_sequences
from metaenv.tasks import TaskBatch

LOW = np.array([320, 2.0, 40, 1, 3, 2, 0.2])
HIGH = np.array([347, 2.7, 55, 1, 3, 2, 0.4])
INSIDE = np.array([330, 2.5, 50, 1, 3, 2, 0.3])


def score(values, tasks):
    """Molecule i's product of desirabilities for task i."""
    return desirabilities(values, tasks.low, tasks.high, tasks.wanted).prod(axis=1)


def test_a_desirability_is_one_inside_its_range_and_on_its_edges():
    for values in (INSIDE, LOW, HIGH):
        np.testing.assert_array_equal(desirabilities(values, LOW, HIGH, np.ones(7)), np.ones(7))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        # exp(-x² / 2), x the distance from the range over 25 Da, 0.45, 11 Å², 0.6, 0.8, 0.6, 0.09
        ("mw", 397, 0.1353353),  # 50 Da above: exp(-2)
        ("mw", 295, 0.6065307),  # 25 Da below: exp(-1/2)
        ("logp", 1.46, 0.4867523),  # 0.54 below: exp(-0.72)
        ("tpsa", 88, 0.0111090),  # 33 Å² above: exp(-4.5)
        ("hbd", 2, 0.2493522),  # 1 above: exp(-25/18)
        ("rotatable", 4, 0.4578334),  # 1 above: exp(-25/32)
        ("aromatic_rings", 1, 0.2493522),
        ("fsp3", 0.11, 0.6065307),  # 0.09 below
    ],
)
def test_flanks_by_hand(name, value, expected):
    values = INSIDE.copy()
    values[PROPERTIES.index(name)] = value
    found = desirabilities(values, LOW, HIGH, np.ones(7))
    assert found[PROPERTIES.index(name)] == pytest.approx(expected, abs=1e-6)
    assert found.prod() == pytest.approx(expected, abs=1e-6)
    not_wanted = np.array([float(n != name) for n in PROPERTIES])
    np.testing.assert_array_equal(desirabilities(values, LOW, HIGH, not_wanted), np.ones(7))


def test_scores_are_products():
    """Benzanilide (197.237 Da, TPSA 29.10 Å²): 52.763 Da short and 10.9 Å² short."""
    tasks = TaskBatch.from_tasks([MoleculeTask.from_ranges({"mw": (250, 300), "tpsa": (40, 60)})])
    values = np.array([[197.237, 3.0, 29.10, 1, 2, 2, 0]])
    expected = np.exp(-0.5 * (52.763 / 25) ** 2) * np.exp(-0.5 * (10.9 / 11) ** 2)
    assert expected == pytest.approx(0.0660, abs=1e-4)
    np.testing.assert_allclose(score(values, tasks), [expected])
    np.testing.assert_allclose(score_table(values, tasks), [[expected]])


def test_factors_are_the_properties_the_hidden_one_and_the_constraints():
    """As above, of a molecule that is too hard to make."""
    tasks = TaskBatch.from_tasks([MoleculeTask.from_ranges({"mw": (250, 300), "tpsa": (40, 60)})])
    values = np.array([[197.237, 3.0, 29.10, 1, 2, 2, 0]])
    mw, tpsa = np.exp(-0.5 * (52.763 / 25) ** 2), np.exp(-0.5 * (10.9 / 11) ** 2)
    hard = Score("c1ccccc1", 4.6, False, -1, None)
    np.testing.assert_allclose(factors(values, tasks), [[mw, 1, tpsa, 1, 1, 1, 1, 1, 1]])
    np.testing.assert_allclose(factors(values, tasks, [hard]), [[mw, 1, tpsa, 1, 1, 1, 1, 1, 0]])


def test_the_table_holds_every_pair():
    names = list(PROPERTIES)
    widths = [{names[j]: (LOW[j], HIGH[j]), names[j + 1]: (LOW[j + 1], HIGH[j + 1])} for j in range(6)]
    tasks = TaskBatch.from_tasks([MoleculeTask.from_ranges(w) for w in widths])
    values = INSIDE + np.random.default_rng(3).normal(0, 2, (5, 7)) * SOFTNESS
    table = score_table(values, tasks)
    assert table.shape == (6, 5) and 0.01 < table.mean() < 0.9
    for m in range(5):
        np.testing.assert_allclose(table[:, m], score(np.tile(values[m], (6, 1)), tasks))


@pytest.mark.parametrize(
    ("bits", "required", "forbidden", "expected"),
    [
        (0b0000, -1, -1, 1.0),
        (0b0100, 2, -1, 1.0),
        (0b0100, 1, -1, 0.15),
        (0b0100, -1, 2, 0.15),
        (0b0100, -1, 1, 1.0),
        (0b0110, 1, 2, 0.15),
        (0b0100, 1, 2, 0.0225),
        (0b0001, 0, 1, 1.0),
    ],
)
def test_group_factor(bits, required, forbidden, expected):
    found = group_factor(np.array([bits]), np.array([float(required)]), np.array([float(forbidden)]))
    assert found == pytest.approx([expected])


def test_the_last_group_is_told_from_the_others():
    last = len(GROUPS) - 1
    assert group_factor(np.array([1 << last]), np.array([float(last)]), np.array([0.0])) == pytest.approx([1.0])


def test_similarity_is_rdkits():
    actions = real_sequences()[:40]
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    theirs = [generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in to_smiles(actions)]
    ours = fingerprints(actions)
    for i in range(0, 40, 8):
        np.testing.assert_allclose(
            similarity(ours, ours[i]), DataStructs.BulkTanimotoSimilarity(theirs[i], theirs), atol=1e-12
        )
    np.testing.assert_allclose(
        similarity(ours[:20], ours[20:]),
        [DataStructs.TanimotoSimilarity(a, b) for a, b in zip(theirs[:20], theirs[20:], strict=True)],
    )
    nothing = np.zeros((1, 128), np.uint8)
    assert similarity(nothing, nothing) == [0]


@pytest.mark.parametrize(("sa", "alert", "expected"), [(4.5, False, True), (4.51, False, False), (2.0, True, False)])
def test_a_molecule_must_be_makeable_and_without_alert(sa, alert, expected):
    assert feasible(Score("c1ccccc1", sa, alert, -1, None)) is expected
