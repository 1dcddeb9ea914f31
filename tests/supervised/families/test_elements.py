"""The table of elements against RDKit's periodic table and textbook numbers."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit.Chem import GetPeriodicTable

from metaenv.supervised.families.elements import ESTIMATED, PLACE, PROPERTIES, SYMBOLS, TABLE, column

NOBLE = (0, 2, 10, 18, 36, 54, 86)


def test_there_are_97_elements_of_22_finite_properties():
    assert TABLE.shape == (97, 22) == (len(SYMBOLS), len(PROPERTIES))
    assert np.isfinite(TABLE).all() and (TABLE >= 0).all()
    assert not TABLE.flags.writeable


def test_symbols_weights_and_radii_are_those_of_rdkit():
    known = GetPeriodicTable()
    for z, symbol in enumerate(SYMBOLS, start=1):
        assert known.GetElementSymbol(z) == symbol and column("number")[z - 1] == z
        assert column("weight")[z - 1] == pytest.approx(known.GetAtomicWeight(z), rel=2e-3)
        if (symbol, "covalent radius") not in ESTIMATED:
            assert column("covalent radius")[z - 1] == pytest.approx(100 * known.GetRcovalent(z), abs=1.01)


def test_periods_and_electrons_follow_from_the_atomic_number():
    """Valence electrons are those outside of the last noble gas, but for full f and d shells far below."""
    for z, symbol in enumerate(SYMBOLS, start=1):
        period = max(p for p, core in enumerate(NOBLE) if core < z) + 1
        assert column("period")[z - 1] == period
        assert column("valence")[z - 1] == z - NOBLE[period - 1], symbol


def test_groups_are_those_of_the_long_table():
    expected = {"H": 1, "Cs": 1, "Ba": 2, "Sc": 3, "La": 3, "Gd": 3, "U": 3, "Hf": 4, "Fe": 8, "Au": 11, "Hg": 12,
                "Al": 13, "Pb": 14, "Bi": 15, "Te": 16, "I": 17, "Xe": 18}  # fmt: skip
    assert {symbol: int(column("group")[PLACE[symbol]]) for symbol in expected} == expected


def test_textbook_melting_points_and_electronegativities():
    """CRC Handbook of Chemistry and Physics: K; Pauling scale."""
    melting = {"Ga": 302.91, "Hg": 234.32, "Al": 933.47, "Cu": 1357.77, "Fe": 1811, "W": 3695, "Er": 1802, "Pm": 1315}
    pauling = {"F": 3.98, "O": 3.44, "N": 3.04, "C": 2.55, "H": 2.20, "Fe": 1.83, "Na": 0.93, "Cs": 0.79, "Au": 2.54}
    for name, known, rel in (("melting point", melting, 2e-3), ("electronegativity", pauling, 1e-9)):
        for symbol, value in known.items():
            assert column(name)[PLACE[symbol]] == pytest.approx(value, rel=rel), symbol


def test_open_shells_hold_what_is_missing():
    """Iron, 3d6 4s2, lacks four d electrons; oxygen, 2s2 2p4, two p; chromium, 3d5 4s1, one s and five d."""
    for symbol, unfilled in {"Fe": (0, 0, 4, 0, 4), "O": (0, 2, 0, 0, 2), "Cr": (1, 0, 5, 0, 6)}.items():
        assert tuple(TABLE[PLACE[symbol], -5:]) == unfilled


def test_magnets_are_iron_cobalt_and_nickel():
    """2.1, 1.6 and 0.6 Bohr magnetons an atom (Kittel, Introduction to Solid State Physics, has 2.22, 1.72, 0.606)."""
    moment = column("moment")
    measured = [moment[PLACE[s]] for s in ("Fe", "Co", "Ni")]
    assert measured == pytest.approx([2.22, 1.72, 0.606], rel=0.12)
    others = [s for s in SYMBOLS if moment[PLACE[s]] > 0 and s not in ("Fe", "Co", "Ni")]
    assert set(others) == {symbol for symbol, name in ESTIMATED if name == "moment"}


def test_what_is_estimated_is_named():
    assert len(ESTIMATED) == 25 and {name for _, name in ESTIMATED} <= set(PROPERTIES)
    assert ("He", "melting point") in ESTIMATED and ("Fe", "melting point") not in ESTIMATED
