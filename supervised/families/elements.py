"""Properties of the elements from hydrogen to berkelium, as features of compositions: 22 for each of 97.

The set is that of Magpie: Logan Ward, Ankit Agrawal, Alok Choudhary, Christopher Wolverton, "A general-purpose machine
learning framework for predicting properties of inorganic materials", npj Computational Materials 2, 16028, 2016.
Sixteen numbers are stored, in the order of `STORED`; six are counted from them.

Sources. All but the Mendeleev numbers are Magpie's tables as matminer 0.10.1 distributes them (Copyright 2015, The
Regents of the University of California, through Lawrence Berkeley National Laboratory; modified BSD licence): covalent
radii of Cordero et al. 2008 (Dalton Trans. 2832; low spin), electronegativities after Pauling, and volume, gap and
moment of the ground state from density functional theory (OQMD: Kirklin et al. 2015, npj Computational Materials 1,
15010; europium and ytterbium are smaller there than in nature, oxygen has no gap). Group 3 holds all lanthanides and
actinides. Mendeleev numbers are Pettifor's scale (1984, Solid State Communications 51, 31) as pymatgen-core 2026.10
has them.

Compared with pymatgen-core 2026.10 and mendeleev 1.3, each number agrees with at least one of them: weights to 0.2 %,
radii to 1 pm, melting points to 1 % (of one allotrope), electronegativities and valence electrons exactly. Where Magpie
stands alone against both, theirs is taken: melting points of Pm, Er and Bk, space groups of Ge and of grey Sn. Volumes,
gaps and moments were not compared. Moments below 0.01 are numerical noise and set to 0. What no table has, or only by
a guess, is listed in `ESTIMATED`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from metaenv.typing import Floats

STORED = (
    "number", "mendeleev number", "weight", "melting point", "group", "period", "covalent radius", "electronegativity",
    "s valence", "p valence", "d valence", "f valence", "volume", "gap", "moment", "space group",
)  # fmt: skip
COUNTED = ("valence", "s unfilled", "p unfilled", "d unfilled", "f unfilled", "unfilled")
"""Valence electrons in all, and places free in those subshells that have at least one."""
PROPERTIES = (*STORED, *COUNTED)
UNITS = {
    "weight": "g/mol", "melting point": "K", "covalent radius": "pm", "electronegativity": "Pauling",
    "volume": "Å³/atom", "gap": "eV", "moment": "Bohr magnetons/atom",
}  # fmt: skip
"""Of properties that have one."""
CAPACITY = (2, 6, 10, 14)  # electrons that an s, p, d or f subshell holds

ESTIMATED: dict[str, tuple[str, ...]] = {
    # Helium freezes under pressure only (2.5 MPa here); francium's is extrapolated.
    "melting point": ("He", "Fr"),
    "covalent radius": ("Bk",),  # Pyykko and Atsumi 2009, another scale
    # Allen 1989 for the noble gases but radon (pymatgen); Magpie's means of neighbours for the others.
    "electronegativity": ("He", "Ne", "Ar", "Rn", "Pm", "Eu", "Tb", "Yb"),
    # At, Rn and Fr as Magpie fills them in; Ra and Am to Bk from measured molar volumes (pymatgen).
    "volume": ("At", "Rn", "Fr", "Ra", "Am", "Cm", "Bk"),
    "moment": ("Pu", "Am", "Cm", "Bk"),  # one number for four elements in Magpie
    "space group": ("At", "Rn", "Fr"),  # as iodine, xenon and caesium
}
"""Elements by property whose number is no measurement or calculation of its own."""

_ROWS = """
H 1 103 1.00794 14.01 1 1 31 2.2 1 0 0 0 6.615 7.853 0 194
He 2 1 4.0026 0.95 18 1 28 4.16 2 0 0 0 12.305 18.098 0 225
Li 3 12 6.941 453.69 1 2 128 0.98 1 0 0 0 16.5933 0 0 229
Be 4 77 9.01218 1560 2 2 96 1.57 2 0 0 0 7.89 0 0 194
B 5 86 10.811 2348 13 2 84 2.04 2 1 0 0 7.1725 1.524 0 166
C 6 95 12.0107 3823 14 2 76 2.55 2 2 0 0 5.64 4.496 0 194
N 7 100 14.0067 63.05 15 2 71 3.04 2 3 0 0 14.7688 6.437 0 194
O 8 101 15.9994 54.8 16 2 66 3.44 2 4 0 0 9.105 0 0 12
F 9 102 18.9984 53.5 17 2 57 3.98 2 5 0 0 9.7075 1.97 0 15
Ne 10 2 20.1791 24.56 18 2 58 4.787 2 6 0 0 12.64 13.088 0 225
Na 11 11 22.9898 370.87 1 3 166 0.93 1 0 0 0 29.2433 0 0 229
Mg 12 73 24.305 923 2 3 141 1.31 2 0 0 0 22.89 0 0 194
Al 13 80 26.9815 933.47 13 3 121 1.61 2 1 0 0 16.48 0 0 225
Si 14 85 28.0855 1687 14 3 111 1.9 2 2 0 0 20.44 0.773 0 227
P 15 90 30.9738 317.3 15 3 107 2.19 2 3 0 0 22.5702 1.625 0 2
S 16 94 32.065 388.36 16 3 105 2.58 2 4 0 0 25.7869 2.202 0 70
Cl 17 99 35.453 171.6 17 3 102 3.16 2 5 0 0 24.4975 2.493 0 64
Ar 18 3 39.948 83.8 18 3 106 3.242 2 6 0 0 28.54 9.26 0 225
K 19 10 39.0983 336.53 1 4 203 0.82 1 0 0 0 73.1067 0 0 229
Ca 20 16 40.078 1115 2 4 176 1 2 0 0 0 37.77 0 0 225
Sc 21 19 44.9559 1814 3 4 170 1.36 2 0 1 0 22.235 0 0 194
Ti 22 51 47.867 1941 4 4 160 1.54 2 0 2 0 16.69 0 0 194
V 23 54 50.9415 2183 5 4 153 1.63 2 0 3 0 13.01 0 0 229
Cr 24 57 51.9961 2180 6 4 139 1.66 1 0 5 0 11.19 0 0 229
Mn 25 60 54.938 1519 7 4 139 1.55 2 0 5 0 10.4876 0 0 217
Fe 26 61 55.845 1811 8 4 132 1.83 2 0 6 0 10.73 0 2.111 229
Co 27 64 58.9332 1768 9 4 126 1.88 2 0 7 0 10.245 0 1.548 194
Ni 28 67 58.6934 1728 10 4 124 1.91 2 0 8 0 10.32 0 0.595 225
Cu 29 72 63.546 1357.77 11 4 132 1.9 1 0 10 0 11.07 0 0 225
Zn 30 76 65.38 692.68 12 4 122 1.65 2 0 10 0 13.96 0 0 194
Ga 31 81 69.723 302.91 13 4 122 1.81 2 1 10 0 18.8575 0 0 64
Ge 32 84 72.64 1211.4 14 4 120 2.01 2 2 10 0 23.005 0.383 0 227
As 33 89 74.9216 1090 15 4 119 2.18 2 3 10 0 22.175 0 0 166
Se 34 93 78.96 494 16 4 120 2.55 2 4 10 0 25.92 0.799 0 14
Br 35 98 79.904 265.8 17 4 120 2.96 2 5 10 0 29.48 1.457 0 64
Kr 36 4 83.798 115.79 18 4 116 3 2 6 10 0 36.06 7.535 0 225
Rb 37 9 85.4678 312.46 1 5 220 0.82 1 0 0 0 90.7225 0 0 229
Sr 38 15 87.62 1050 2 5 195 0.95 2 0 0 0 54.23 0 0 225
Y 39 25 88.9059 1799 3 5 190 1.22 2 0 1 0 32.365 0 0 194
Zr 40 49 91.224 2128 4 5 175 1.33 2 0 2 0 23.195 0 0 194
Nb 41 53 92.9064 2750 5 5 164 1.6 1 0 4 0 18.18 0 0 229
Mo 42 56 95.96 2896 6 5 154 2.16 1 0 5 0 15.69 0 0 229
Tc 43 59 98 2430 7 5 147 1.9 2 0 5 0 14.285 0 0 194
Ru 44 62 101.07 2607 8 5 146 2.2 1 0 7 0 13.51 0 0 194
Rh 45 65 102.906 2237 9 5 142 2.28 1 0 8 0 13.64 0 0 225
Pd 46 69 106.42 1828.05 10 5 139 2.2 0 0 10 0 14.41 0 0 225
Ag 47 71 107.868 1234.93 11 5 145 1.93 1 0 10 0 16.33 0 0 225
Cd 48 75 112.411 594.22 12 5 144 1.69 2 0 10 0 19.495 0 0 194
In 49 79 114.818 429.75 13 5 142 1.78 2 1 10 0 24.26 0 0 139
Sn 50 83 118.71 505.08 14 5 139 1.96 2 2 10 0 33.285 0 0 227
Sb 51 88 121.76 903.78 15 5 139 2.05 2 3 10 0 31.56 0 0 166
Te 52 92 127.6 722.66 16 5 138 2.1 2 4 10 0 34.7633 0.464 0 152
I 53 97 126.904 386.85 17 5 139 2.66 2 5 10 0 43.015 1.062 0 64
Xe 54 5 131.293 161.3 18 5 140 2.6 2 6 10 0 53.65 6.456 0 225
Cs 55 8 132.905 301.59 1 6 244 0.79 1 0 0 0 115.765 0 0 229
Ba 56 14 137.327 1000 2 6 215 0.89 2 0 0 0 63.59 0 0 229
La 57 33 138.905 1193 3 6 207 1.1 2 0 1 0 36.8975 0 0 194
Ce 58 32 140.116 1071 3 6 204 1.12 2 0 1 1 37.24 0 0 194
Pr 59 31 140.908 1204 3 6 203 1.13 2 0 0 3 35.675 0 0 194
Nd 60 30 144.242 1294 3 6 201 1.14 2 0 0 4 34.81 0 0 194
Pm 61 29 145 1315.15 3 6 199 1.155 2 0 0 5 33.8425 0 0 194
Sm 62 28 150.36 1345 3 6 198 1.17 2 0 0 6 33.23 0 0 166
Eu 63 18 151.964 1095 3 6 198 1.185 2 0 0 7 36.46 0 0 229
Gd 64 27 157.25 1586 3 6 196 1.2 2 0 1 7 32.05 0 0 194
Tb 65 26 158.925 1629 3 6 194 1.21 2 0 0 9 31.7367 0 0 194
Dy 66 24 162.5 1685 3 6 192 1.22 2 0 0 10 31.24 0 0 194
Ho 67 23 164.93 1747 3 6 192 1.23 2 0 0 11 30.7333 0 0 194
Er 68 22 167.259 1802 3 6 189 1.24 2 0 0 12 30.585 0 0 194
Tm 69 21 168.934 1818 3 6 190 1.25 2 0 0 13 29.78 0 0 194
Yb 70 17 173.054 1092 3 6 187 1.26 2 0 0 14 34.12 0 0 225
Lu 71 20 174.967 1936 3 6 187 1.27 2 0 1 14 28.865 0 0 194
Hf 72 50 178.49 2506 4 6 175 1.3 2 0 2 14 22.2 0 0 194
Ta 73 52 180.948 3290 5 6 170 1.5 2 0 3 14 18.12 0 0 229
W 74 55 183.84 3695 6 6 162 2.36 2 0 4 14 16.05 0 0 229
Re 75 58 186.207 3459 7 6 151 1.9 2 0 5 14 14.655 0 0 194
Os 76 63 190.23 3306 8 6 144 2.2 2 0 6 14 14.09 0 0 194
Ir 77 66 192.217 2739 9 6 141 2.2 2 0 7 14 14.21 0 0 225
Pt 78 68 195.084 2041.4 10 6 136 2.28 1 0 9 14 15.02 0 0 225
Au 79 70 196.967 1337.33 11 6 136 2.54 1 0 10 14 16.7 0 0 225
Hg 80 74 200.59 234.32 12 6 132 2 2 0 10 14 25.2376 0 0 166
Tl 81 78 204.383 577 13 6 145 1.62 2 1 10 14 26.91 0 0 194
Pb 82 82 207.2 600.61 14 6 146 2.33 2 2 10 14 28.11 0 0 225
Bi 83 87 208.98 544.4 15 6 148 2.02 2 3 10 14 32.95 0 0 12
Po 84 91 209 527 16 6 140 2 2 4 10 14 38.7313 0 0 221
At 85 96 210 575 17 6 150 2.2 2 5 10 14 38.7313 0 0 64
Rn 86 6 222 202 18 6 150 2.2 2 6 10 14 38.7313 0 0 225
Fr 87 7 223 294.15 1 7 260 0.7 1 0 0 0 38.7313 0 0 229
Ra 88 13 226 973 2 7 221 0.9 2 0 0 0 68.23 0 0 229
Ac 89 48 227 1323 3 7 215 1.1 2 0 1 0 44.5125 0 0 225
Th 90 47 232.038 2023 3 7 206 1.3 2 0 2 0 32.37 0 0 225
Pa 91 46 231.036 1845 3 7 200 1.5 2 0 1 2 25.18 0 0 139
U 92 45 238.029 1408 3 7 196 1.38 2 0 1 3 20.025 0 0 63
Np 93 44 237 917 3 7 190 1.36 2 0 1 4 18.4537 0 0 62
Pu 94 43 244 913 3 7 187 1.28 2 0 0 6 18.08 0 0.318 11
Am 95 42 243 1449 3 7 180 1.3 2 0 0 7 29.28 0 0.318 194
Cm 96 41 247 1618 3 7 169 1.3 2 0 1 7 29.97 0 0.318 194
Bk 97 40 247 1259 3 7 168 1.3 2 0 0 9 27.96 0 0.318 194
"""

SYMBOLS: tuple[str, ...] = tuple(row.split()[0] for row in _ROWS.split("\n") if row)
"""(97,) symbols, in the order of the atomic numbers."""
PLACE: dict[str, int] = {symbol: i for i, symbol in enumerate(SYMBOLS)}
"""Row of an element in `table`."""


@lru_cache(maxsize=1)
def table() -> Floats:
    """(97, 22) properties, columns as in `PROPERTIES`. Read-only."""
    stored = np.array([row.split()[1:] for row in _ROWS.split("\n") if row], np.float64)
    first = STORED.index("s valence")
    valence = stored[:, first : first + 4]
    unfilled = np.where(valence > 0, np.array(CAPACITY) - valence, 0)
    found = np.column_stack([stored, valence.sum(axis=1), unfilled, unfilled.sum(axis=1)])
    found.flags.writeable = False
    return found


def column(name: str) -> Floats:
    """(97,) one property of all elements."""
    return table()[:, PROPERTIES.index(name)]
