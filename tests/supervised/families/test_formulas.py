"""Formulas by hand and against RDKit, and what features say of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit.Chem import MolFromSmiles
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from metaenv.supervised.families.elements import PLACE, SYMBOLS, column
from metaenv.supervised.families.formulas import FEATURES, formula_features, fractions, parse_formula

AMOUNTS = st.dictionaries(st.sampled_from(SYMBOLS), st.integers(1, 99), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("formula", "atoms"),
    [
        ("Fe2O3", {"Fe": 2, "O": 3}),
        ("Ca10(PO4)6(OH)2", {"Ca": 10, "P": 6, "O": 26, "H": 2}),
        ("[Co(NH3)6]Cl3", {"Co": 1, "N": 6, "H": 18, "Cl": 3}),
        ("Al(NiB)2", {"Al": 1, "Ni": 2, "B": 2}),
        ("K4[ON(SO3)2]2", {"K": 4, "O": 14, "N": 2, "S": 4}),
        ("Fe0.620C0.000953", {"Fe": 0.62, "C": 0.000953}),
        ("(Mg.5Zn0.5)2 O2", {"Mg": 1, "Zn": 1, "O": 2}),
        ("CoCO3", {"Co": 1, "C": 1, "O": 3}),
        ("HHe", {"H": 1, "He": 1}),
        ("CH3CH2OH", {"C": 2, "H": 6, "O": 1}),
        ("Nb1e-3Ti", {"Nb": 1e-3, "Ti": 1}),
    ],
)
def test_atoms_are_counted(formula: str, atoms: dict[str, float]):
    assert parse_formula(formula) == pytest.approx(atoms)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("Xx2O", "no element 'Xx'"),
        ("Fe2Ox", "no element 'Ox'"),
        ("fe2o3", "'f' at place 1"),
        ("Fe0O", "positive amount, got 0 at place 3"),
        ("Fe(OH)0", "positive amount"),
        ("Fe0.0", "positive amount"),
        ("Fe1e400", "positive amount"),
        ("2Fe", "the number 2 at place 1 follows no element"),
        ("Fe2.5.5", "follows no element"),
        ("Fe(OH", "never closed"),
        ("FeOH)", "closes no bracket"),
        ("Fe(O]", "closes no bracket of its kind"),
        ("Fe()2", "nothing between"),
        ("Fe3+", r"'\+' at place 4"),
        ("Fe-O", "'-' at place 3"),
    ],
)
def test_what_is_no_formula_is_refused_with_the_place(formula: str, message: str):
    with pytest.raises(ValueError, match=message):
        parse_formula(formula)


def test_molecular_formulas_of_rdkit_are_read():
    for smiles in ("CC(=O)Oc1ccccc1C(=O)O", "C1CC1Br", "ClCC(F)(F)S"):
        molecule = MolFromSmiles(smiles)
        counted: dict[str, int] = {"H": sum(a.GetTotalNumHs() for a in molecule.GetAtoms())}
        for atom in molecule.GetAtoms():
            counted[atom.GetSymbol()] = counted.get(atom.GetSymbol(), 0) + 1
        assert parse_formula(CalcMolFormula(molecule)) == counted


@given(AMOUNTS)
def test_what_is_written_is_read(atoms: dict[str, int]):
    assert parse_formula("".join(f"{symbol}{n}" for symbol, n in atoms.items())) == atoms


def test_features_by_hand():
    """Fe2O3: two fifths iron, three fifths oxygen."""
    found = dict(zip(FEATURES, formula_features(["Fe2O3"])[0], strict=True))
    iron, oxygen = (column("electronegativity")[PLACE[s]] for s in ("Fe", "O"))
    mean = 0.4 * 1.83 + 0.6 * 3.44
    assert (iron, oxygen) == (1.83, 3.44)
    assert found["mean electronegativity"] == pytest.approx(mean)
    assert found["spread electronegativity"] == pytest.approx(np.sqrt(0.4 * 0.6) * (3.44 - 1.83))
    assert (found["least electronegativity"], found["greatest electronegativity"]) == (1.83, 3.44)
    assert found["mean weight"] == pytest.approx(159.688 / 5, rel=1e-4)  # molar mass of iron(III) oxide
    assert found["elements"] == 2 and found["greatest share"] == pytest.approx(0.6)
    assert found["entropy"] == pytest.approx(-(0.4 * np.log(0.4) + 0.6 * np.log(0.6)))
    assert found["2-norm"] == pytest.approx(np.sqrt(0.52))


def test_features_depend_on_the_composition_alone():
    same = formula_features(["Fe2O3", "O6Fe4", "Fe0.4O0.6", "(FeO)2O"])
    assert np.allclose(same, same[0], rtol=1e-12, atol=1e-12)
    pure = dict(zip(FEATURES, formula_features(["Cu"])[0], strict=True))
    assert all(pure[name] == 0 for name in FEATURES if name.startswith("spread")) and pure["entropy"] == 0


def test_a_formula_alone_has_the_features_that_it_has_among_others():
    formulas = ["NaCl", "Ca10(PO4)6(OH)2", "W"]
    together = formula_features(formulas)
    assert np.allclose(np.concatenate([formula_features([f]) for f in formulas]), together, rtol=1e-12, atol=1e-12)
    assert np.allclose(fractions([parse_formula(f) for f in formulas]).sum(axis=1), 1)


@pytest.mark.parametrize(
    "formula",
    [
        "CuSO4.5H2O", "CuSO4·5H2O", "CuSO4•5H2O", "CuSO4*5H2O", "CuSO4 x 5H2O", "CuSO4 × 5 H2O", "CuSO4.5(H2O)",
        "CuSO4 . 5 H2O", "CuSO₄·5H₂O", "5H2O*CuSO4", "CuSO4(H2O)5", "Cu(H2O)4SO4·H2O", "CuSO4.H2O.4H2O",
    ],
)  # fmt: skip
def test_hydrates_in_every_spelling(formula: str):
    assert parse_formula(formula) == {"Cu": 1, "S": 1, "O": 9, "H": 10}


@pytest.mark.parametrize(
    ("formula", "atoms"),
    [
        ("CaSO4.0.5H2O", {"Ca": 1, "S": 1, "O": 4.5, "H": 1}),
        ("CaSO4·½H2O", {"Ca": 1, "S": 1, "O": 4.5, "H": 1}),
        ("CaSO4·1/2H2O", {"Ca": 1, "S": 1, "O": 4.5, "H": 1}),
        ("(NH4)2SO4.FeSO4.6H2O", {"N": 2, "H": 20, "S": 2, "O": 14, "Fe": 1}),  # Mohr's salt
        ("K2SO4.Al2(SO4)3.24H2O", {"K": 2, "S": 4, "O": 40, "Al": 2, "H": 48}),  # alum
        ("3Al2O3·2SiO2", {"Al": 6, "Si": 2, "O": 13}),  # mullite
        ("Al2O3.2SiO2.2H2O", {"Al": 2, "O": 9, "Si": 2, "H": 4}),  # kaolinite
        ("Li1.2Mn0.54Ni0.13Co0.13O2", {"Li": 1.2, "Mn": 0.54, "Ni": 0.13, "Co": 0.13, "O": 2}),
        ("Bi2.1Sr2CaCu2O8", {"Bi": 2.1, "Sr": 2, "Ca": 1, "Cu": 2, "O": 8}),
        ("YBa2Cu3O6.93", {"Y": 1, "Ba": 2, "Cu": 3, "O": 6.93}),
        ("Fe0.5H2O", {"Fe": 0.5, "H": 2, "O": 1}),
    ],
)
def test_full_stops_divide_or_are_decimal_points(formula: str, atoms: dict[str, float]):
    assert parse_formula(formula) == pytest.approx(atoms)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("Ca0.5Mg0.5SO4.2H2O", "full stop at place 14 may be a decimal point .*write Ca0.5Mg0.5SO4·2H2O"),
        ("Al2O3.2SiO2", "full stop at place 6 .*write Al2O3·2SiO2"),
        ("CuSO4·xH2O", "'x' at place 7 stands for an amount that is not known"),
        ("CuSO4·0H2O", "positive number before '0H2O'"),
        ("CuSO4·1/0H2O", "positive number"),
        ("CuSO4··5H2O", "nothing stands at place 7"),
        ("CuSO4·5", "nothing stands"),
        ("·5H2O", "nothing stands at place 1"),
        ("YBa2Cu3O7-x", "'-' at place 10 stands for an amount that is not known"),
        ("YBa2Cu3O7−δ", "'-' at place 10 stands for an amount"),
        ("La1-xSrxMnO3", "'-' at place 4 stands for an amount"),
        ("Fe2Ox", "If 'x' stands for an amount"),
        ("Fe3+", "'[+]' at place 4 is a charge"),
        ("Fe³⁺", "'³' at place 3 is a charge"),
        ("[Fe(CN)6]4-", "'-' at place 11 is a charge"),
        ("SO4^2-", r"'\^' at place 4 is a charge"),
        ("Cf2O3", "no element 'Cf' .*heavier than Bk"),
        ("D2O", "Write H for deuterium"),
        (None, "expected a chemical formula such as 'Fe2O3', got None"),
        (float("nan"), "got nan"),
    ],
)
def test_what_may_mean_two_things_or_nothing_known_is_refused(formula: str, message: str):
    with pytest.raises(ValueError, match=message):
        parse_formula(formula)
