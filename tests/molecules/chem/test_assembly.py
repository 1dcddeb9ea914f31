"""The state machine: legal sequences, budgets, masked actions; validity of what it builds."""

import numpy as np
import pytest

from metaenv.molecules.chem.assembly import ALL, Assembly, random_actions, replay
from metaenv.molecules.chem.fragmentation import to_mol
from metaenv.molecules.chem.fragments import CLOSE, MAX_ACTIONS, MAX_HEAVY_ATOMS, load_vocabulary
from metaenv.molecules.chem.smiles import fragment_smiles, to_smiles

VOCABULARY = load_vocabulary()


def action_of(smiles: str, attachment: int = 0) -> int:
    return int(VOCABULARY.action[VOCABULARY.smiles.index(smiles), attachment])


PHENYL, PHENYLENE, METHYL = action_of("[1*]c1ccccc1"), action_of("[1*]c1ccc([2*])cc1"), action_of("[1*]C")


def padded(*actions: int) -> np.ndarray:
    return np.array(actions + (-1,) * (MAX_ACTIONS - len(actions)))


@pytest.mark.parametrize(
    ("actions", "smiles"),
    [((PHENYL, CLOSE), "c1ccccc1"), ((PHENYL, METHYL), "Cc1ccccc1"), ((PHENYLENE, METHYL, METHYL), "Cc1ccc(C)cc1")],
)
def test_small_molecules(actions, smiles):
    assert to_smiles(padded(*actions)) == [smiles]


def test_an_illegal_action_closes_and_one_on_an_empty_molecule_starts_with_a_ring():
    built = Assembly(1)
    built.place(ALL, np.array([CLOSE]))
    assert VOCABULARY.ring[built.fragment[0, 0]] and built.mask()[0, CLOSE]
    n_open = int(built.n_open[0])
    illegal = int(np.flatnonzero(built.mask()[0] == 0)[0])
    built.place(ALL, np.array([illegal]))
    assert built.actions[0, 1] == CLOSE and built.n_open[0] == n_open - 1


def test_closing_an_acyl_group_or_an_aromatic_nitrogen_means_methyl():
    acyl = [j for j, c in enumerate(VOCABULARY.attachment_class[VOCABULARY.smiles.index("[1*]C([2*])=O")])]
    assert VOCABULARY.methyl[VOCABULARY.smiles.index("[1*]C([2*])=O")][acyl].all()
    names = [(f, j) for f, cs in enumerate(VOCABULARY.attachment_class) for j, c in enumerate(cs) if c[0] == "n"]
    assert names and all(VOCABULARY.methyl[f, j] for f, j in names)


def test_a_finished_molecule_ignores_actions():
    built = Assembly(2)
    built.rollout(np.random.default_rng(0))
    before = built.actions.copy()
    built.place(ALL, np.array([PHENYL, CLOSE]))
    np.testing.assert_array_equal(built.actions, before)
    assert built.mask().sum() == 2 and built.mask()[:, CLOSE].all()


def test_actions_outside_the_space_are_refused():
    built = Assembly(1)
    with pytest.raises(ValueError, match=f"from 0 to {VOCABULARY.n_actions - 1}"):
        built.place(ALL, np.array([VOCABULARY.n_actions]))
    assert built.length[0] == 0


@pytest.mark.parametrize(
    ("actions", "why"),
    [
        (padded(CLOSE), "is not legal"),
        (padded(PHENYL), "leaves 1 attachments open"),
        (padded(PHENYL, METHYL, METHYL), "after the molecule is finished"),
    ],
)
def test_replay_says_what_is_wrong(actions, why):
    with pytest.raises(ValueError, match=why):
        replay(actions)


def test_rows_are_independent_and_reset_alone():
    rng = np.random.default_rng(3)
    together, alone = Assembly(8), Assembly(3)
    rows = np.array([1, 4, 6])
    for _ in range(3):
        actions = random_actions(together.mask(), rng)
        together.place(ALL, actions)
        alone.place(ALL, actions[rows])
    np.testing.assert_array_equal(together.actions[rows], alone.actions)
    np.testing.assert_array_equal(together.mask(rows), alone.mask())
    together.reset(rows)
    assert (together.length[rows] == 0).all() and (together.length > 0).sum() == 5


def test_thousands_of_random_molecules_are_valid_and_within_budget():
    from rdkit import Chem

    built = Assembly(5_000)
    actions = built.rollout(np.random.default_rng(20))
    assert built.done.all() and built.length.max() <= MAX_ACTIONS
    heavy = np.zeros(built.n, int)
    for i, text in enumerate(fragment_smiles(actions)):
        mol = Chem.MolFromSmiles(text)
        assert mol is not None, text
        assert not any(a.GetNumRadicalElectrons() or a.GetFormalCharge() for a in mol.GetAtoms()), text
        heavy[i] = mol.GetNumHeavyAtoms()
    np.testing.assert_array_equal(heavy, built.heavy_atoms)
    assert heavy.max() <= MAX_HEAVY_ATOMS


def test_every_legal_action_of_random_states_leads_to_a_finished_molecule():
    rng, built = np.random.default_rng(5), Assembly(4)
    for _ in range(3):
        built.place(ALL, random_actions(built.mask(), rng))
    row = int(np.argmax(built.n_open))
    legal = np.flatnonzero(built.mask(np.array([row]))[0])
    branches = Assembly(len(legal))
    for step in range(3):
        branches.place(ALL, np.full(len(legal), built.actions[row, step]))
    branches.place(ALL, legal)
    np.testing.assert_array_equal(branches.actions[:, 3], legal)
    while not branches.done.all():
        branches.place(ALL, np.zeros(len(legal), int))
    assert all(to_mol(t).GetNumHeavyAtoms() <= MAX_HEAVY_ATOMS for t in fragment_smiles(branches.actions))
