"""The additive properties against RDKit; scores and their cache."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem, RDConfig

from metaenv.molecules.chem.alerts import alert_screen, has_alert, joined_without_alert, without_surroundings
from metaenv.molecules.chem.assembly import ALL, Assembly, random_actions, replay
from metaenv.molecules.chem.chemistry import load_chemistry
from metaenv.molecules.chem.fragmentation import MoleculeError, assembled_mol, to_mol
from metaenv.molecules.chem.fragments import load_vocabulary
from metaenv.molecules.chem.functional_groups import group_bits
from metaenv.molecules.chem.properties import ADDITIVE, Scores, additive, by_rdkit, fingerprint, synthetic_accessibility
from metaenv.molecules.chem.smiles import fragment_smiles, parse, write
from metaenv.molecules.reference_molecules import real_sequences

EXACT = 1e-9


def worst(built: Assembly) -> np.ndarray:
    """(10,) largest difference from RDKit over all molecules."""
    truth = np.array([by_rdkit(to_mol(text)) for text in fragment_smiles(built.actions)])
    return np.abs(truth - additive(built)).max(axis=0)


def test_random_molecules_have_rdkits_properties():
    built = Assembly(2000)
    built.rollout(np.random.default_rng(7))
    assert (worst(built) < EXACT).all(), dict(zip(ADDITIVE, worst(built), strict=True))


def everything_of(mol: Chem.Mol) -> list[object]:
    # In this order: alerts and scores need the rings, which later questions look for if they are not known.
    own = [has_alert(mol), synthetic_accessibility(mol), group_bits(mol), fingerprint(mol).tobytes()]
    bonds = [(bond.GetIsAromatic(), bond.GetIsConjugated(), bond.IsInRing()) for bond in mol.GetBonds()]
    atoms = [(a.GetIsAromatic(), a.GetTotalNumHs(), a.GetHybridization()) for a in mol.GetAtoms()]
    return [*own, bonds, atoms, by_rdkit(mol).tolist(), Chem.MolToSmiles(mol)]


@pytest.mark.parametrize("chemistry", ["zinc", "chembl"])
def test_molecules_of_fragments_need_no_whole_sanitisation(chemistry):
    vocabulary = load_chemistry(chemistry).vocabulary
    built = Assembly(60, vocabulary)  # whose alerts RDKit finds in 5 ms each
    built.rollout(np.random.default_rng(11))
    for fragment, partner in zip(built.fragment.tolist(), built.partner.tolist(), strict=True):
        text = write(fragment, partner, vocabulary)
        assert everything_of(assembled_mol(text)) == everything_of(to_mol(text)), text


def test_what_cannot_be_is_refused_by_the_short_way_too():
    for text in ("C(C)(C)(C)(C)C", "C1CC"):
        with pytest.raises(MoleculeError, match="RDKit cannot read it"):
            assembled_mol(text)


def test_anchors_have_rdkits_properties():
    built = replay(real_sequences()[:2000])
    assert (worst(built) < EXACT).all(), dict(zip(ADDITIVE, worst(built), strict=True))


def test_unfinished_molecules_count_as_closed():
    rng, built = np.random.default_rng(2), Assembly(300)
    for _ in range(3):
        built.place(ALL, random_actions(built.mask(), rng))
    texts = [write(f, p) for f, p in zip(built.fragment.tolist(), built.partner.tolist(), strict=True)]
    truth = np.array([by_rdkit(to_mol(text)) for text in texts])
    assert np.abs(truth - additive(built)).max() < EXACT
    np.testing.assert_array_equal(additive(built)[:, ADDITIVE.index("heavy_atoms")], built.heavy_atoms)


def test_benzanilide_by_hand():
    """C13H11NO: 13 * 12.011 + 11 * 1.008 + 14.007 + 15.999 = 197.237 Da; one amide (TPSA 12.03 + 17.07)."""
    row = dict(zip(ADDITIVE, additive(replay(parse("O=C(Nc1ccccc1)c1ccccc1")))[0], strict=True))
    assert row["mw"] == pytest.approx(197.237, abs=1e-9) and row["tpsa"] == pytest.approx(29.10, abs=1e-9)
    expected = {"hbd": 1, "hba": 1, "rings": 2, "aromatic_rings": 2, "fsp3": 0, "heavy_atoms": 15, "rotatable": 2}
    assert {k: row[k] for k in expected} == expected


def test_an_empty_molecule_has_nothing():
    np.testing.assert_array_equal(additive(Assembly(2)), np.zeros((2, len(ADDITIVE))))


def test_random_molecules_are_mostly_drug_like():
    from rdkit.Chem import QED

    built = Assembly(500)
    mols = [to_mol(t) for t in fragment_smiles(built.rollout(np.random.default_rng(11)))]
    good = [QED.qed(m) > 0.4 and synthetic_accessibility(m) < 4 and not has_alert(m) for m in mols]
    assert np.mean(good) >= 0.8


def test_no_fragment_has_an_alert():
    built = Assembly(1)
    v = built.vocabulary
    for f in np.flatnonzero(v.ring):
        assert not has_alert(to_mol(write([int(f)], [[-1, -1, -1]])))


def test_allowed_bonds_make_no_alert():
    v = Assembly(1).vocabulary
    pairs = np.argwhere(v.allowed[1:, 1:]) + 1
    for open_port, action in np.random.default_rng(4).choice(pairs, 500, replace=False).tolist():
        assert joined_without_alert(v, open_port, action)


def screened(built: Assembly) -> tuple[list[bool], list[bool], float]:
    """What the screen and RDKit say of molecules, and how many alerts the screen leaves to be looked for."""
    pairs = list(zip(built.fragment.tolist(), built.partner.tolist(), strict=True))
    mols = [to_mol(write(f, p)) for f, p in pairs]
    screen = alert_screen(load_vocabulary())
    found = [screen(mol, f, p) for mol, (f, p) in zip(mols, pairs, strict=True)]
    return found, [has_alert(mol) for mol in mols], float(np.mean([len(screen.possible(f, p)) for f, p in pairs]))


def test_the_screen_finds_the_alerts_that_rdkit_finds():
    built = Assembly(2000)
    built.rollout(np.random.default_rng(8))
    found, truth, left = screened(built)
    assert sum(truth) >= 5 and found == truth
    assert left < 6  # of 105
    found, truth, _ = screened(replay(real_sequences()[:1000]))
    assert found == truth


def test_the_screen_also_takes_molecules_that_are_not_finished():
    rng, built = np.random.default_rng(2), Assembly(1000)
    for _ in range(3):
        built.place(ALL, random_actions(built.mask(), rng))
    found, truth, _ = screened(built)
    assert found == truth


@pytest.mark.parametrize(
    ("smarts", "expected"),
    [
        ("CC", "CC"),
        ("[$([C&H1]),$(CC)]#C", "[C&H1,C]#C"),
        ("[$(C([C&X4])[C&X4])]=[N]", "[C]=[N]"),
        ("[N&!$(NC=O)]", "[N&*]"),
        ("[$([C,N]O)&H1]", "[*&H1]"),
    ],
)
def test_smarts_without_surroundings(smarts, expected):
    assert without_surroundings(smarts) == expected


def test_scores_of_molecules_that_stand_somewhere():
    built = replay(real_sequences()[:30])
    rows = np.array([3, 17, 3, 4])
    expected = Scores()(real_sequences()[rows])
    for got, want in zip(Scores().of(built, rows), expected, strict=True):
        assert (got.smiles, got.sa, got.alert, got.groups) == (want.smiles, want.sa, want.alert, want.groups)
        np.testing.assert_array_equal(got.fingerprint, want.fingerprint)


def test_scores_are_rdkits():
    from rdkit.Chem import rdFingerprintGenerator

    actions = real_sequences()[:20]
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    for score in Scores()(actions):
        mol = to_mol(score.smiles)
        assert 1 <= score.sa <= 10
        np.testing.assert_array_equal(np.unpackbits(score.fingerprint), generator.GetFingerprintAsNumPy(mol))


def test_synthetic_accessibility_is_the_authors():
    """RDKit ships a hundred molecules with the scores of its reference implementation."""
    path = Path(RDConfig.RDContribDir) / "SA_Score" / "data" / "zim.100.txt"
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:21]]
    for smiles, _, score in rows:
        assert synthetic_accessibility(to_mol(smiles)) == pytest.approx(float(score), abs=0.01)


def test_synthetic_accessibility_is_the_scripts_to_the_last_bit():
    """Also of a macrocycle, spiro and bridged rings, stereocentres and molecules that are easier than 1."""
    path = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = importlib.util.spec_from_file_location("their_sascorer", path)
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    built = Assembly(400)
    smiles = fragment_smiles(built.rollout(np.random.default_rng(5)))
    path = Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi"
    smiles += [line.split()[0] for line in path.read_text().splitlines()[:300]]
    smiles += ["C1CCCCCCCCCCC1", "C1CCC2(CC1)CCCC2", "C1CC2CCC1C2", "C[C@H](N)C(O)C(F)Cl", "CC", "C" * 40, "[He]"]
    mols = [mol for mol in map(Chem.MolFromSmiles, smiles) if mol is not None]
    assert len(mols) > 690
    assert [synthetic_accessibility(mol) for mol in mols] == [theirs.calculateScore(mol) for mol in mols]


def test_the_cache_is_bounded_and_keeps_what_was_asked_for_last():
    scores, actions = Scores(max_size=3), real_sequences()[:5]
    first = scores(actions)
    assert len(scores) == 3 and (scores.hits, scores.misses) == (0, 5)
    again = scores(actions[2:])
    assert scores.hits == 3 and [s.smiles for s in again] == [s.smiles for s in first[2:]]
    assert scores(actions[[0, 0]])[1].smiles == first[0].smiles and scores.misses == 6
    assert len(scores) == 3


def test_fingerprints_tell_molecules_apart():
    assert (fingerprint(to_mol("c1ccccc1")) != fingerprint(to_mol("c1ccncc1"))).any()
