"""CSV files of one's own: read right, or refused with the file, the row, the column and a remedy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaenv.molecules.assay.holdout import divide, leaked
from metaenv.molecules.assay.measurements import read_measurements

PLAIN = "smiles,assay,value\nCCO,A,5.5\nc1ccccc1,A,6.5\nCCN,B,7\n"


def read(tmp_path, text, **how):
    file = tmp_path / "my.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_measurements(file, **how)


def rows(measured):
    """As a set of (assay, SMILES, value)."""
    names = [measured.names[a] for a in measured.assay]
    return set(zip(names, measured.smiles, measured.value.tolist(), strict=True))


EXPECTED = {("A", "CCO", 5.5), ("A", "c1ccccc1", 6.5), ("B", "CCN", 7.0)}

READ = {
    "plain": (PLAIN, {}),
    "semicolons and decimal commas": ("smiles;assay;value\nCCO;A;5,5\nc1ccccc1;A;6,5\nCCN;B;7\n", {}),
    "two decimal commas": ("smiles;assay;value\nCCO;A;5,5\nc1ccccc1;A;6,5\nCCN;B;7,0\n", {}),
    "a unit in all cells": ("smiles,assay,value\nCCO,A,5.5 nM\nc1ccccc1,A,6.5 nM\nCCN,B,7 nM\n", {}),
    "other usual names": (PLAIN.replace("smiles,assay,value", "Canonical SMILES,Target,pIC50"), {}),
    "names that are told": (
        PLAIN.replace("smiles,assay,value", "Structure X,protocol,result"),
        {"smiles": "Structure X", "assay": "protocol", "value": "result"},
    ),
    "quotation marks and columns beside": (
        'id,smiles,assay,value,remark\n1,"CCO",A,5.5,"a, b"\n2,C1=CC=CC=C1,A,6.5,\n3,NCC,B,7,""\n',
        {},
    ),
    "empty rows and a repeated header": (PLAIN.replace("CCN", "\nsmiles,assay,value\nCCN"), {}),
    "the same value twice": (PLAIN + "OCC,A,5.5\n", {}),
    "two values of a molecule": (PLAIN.replace("CCO,A,5.5", "CCO,A,5\nOCC,A,6"), {}),
    "no value in a row": (PLAIN + "CCCC,A,\n", {}),
    "salts": (PLAIN.replace("CCN", "CC[NH3+].[Cl-]"), {}),
    "atom maps and isotopes": (PLAIN.replace("CCO", "[13CH3][CH2:2][OH:1]"), {}),
    "an unreadable molecule": (PLAIN + "c1ccccc,A,7\n", {}),
    "concentrations": (
        "smiles,assay,IC50\nCCO,A,3162.27766016838\nc1ccccc1,A,316.227766016838\nCCN,B,100\n",
        {"value": "IC50", "concentration": 1e-9},
    ),
}


@pytest.mark.parametrize("kind", READ)
def test_it_is_read_right(kind, tmp_path):
    text, how = READ[kind]
    measured = read(tmp_path, text, **how)
    found = {(name, smiles, round(value, 9)) for name, smiles, value in rows(measured)}
    assert found == EXPECTED and not measured.labels
    assert measured == read(tmp_path, PLAIN) and measured.sha256 == read(tmp_path, PLAIN).sha256
    said = {
        "semicolons": "decimal commas",
        "header": "the header comes again in row 5",
        "unit": "the unit 'nM' of the cells is left out",
        "same value": "with the same value, count once: 1",
        "two values": "A rows 2, 3: 5 to 6",
        "no value": "rows without a value are left out: 1",
        "salts": "of salts or solvates the largest component is kept: 1 row",
        "maps": "isotopes or atom maps are taken off: 1 row",
        "unreadable": "molecules cannot be read: 1",
    }
    for word, note in said.items():
        assert word not in kind or note in "\n".join(measured.notes)
    if "unreadable" in kind:
        assert "my.csv, row 5, column smiles" in measured.unreadable[0] and "c1ccccc" in measured.report()


REFUSED = {
    "no file": (None, {}, "there is no file"),
    "an empty file": ("", {}, "the file is empty"),
    "a header alone": ("smiles,assay,value\n", {}, "found no row"),
    "no SMILES": ("molecule,assay,value\nCCO,A,5\n", {}, "no column of the smiles among molecule.*smiles='molecule'"),
    "no values": ("smiles,assay,remark\nCCO,A,5\n", {}, "no column of the value"),
    "a concentration": ("smiles,assay,IC50\nCCO,A,5\n", {}, "'IC50' may be a concentration.*concentration=1e-9"),
    "a column that is not there": (PLAIN, {"assay": "Assay"}, "no column 'Assay'. Did you mean 'assay'"),
    "two columns of values": ("smiles,assay,value,pIC50\nC,A,5,6\n", {}, "several.*value, pIC50; say which"),
    "a short row": (PLAIN + "CCC,A\n", {}, "row 5: expected 3 cells as in the header .row 1., got 2"),
    "a bound": (PLAIN + "CCC,A,>10\n", {}, "row 5, column value: .*'>10'; a bound is no value"),
    "a word": (PLAIN + "CCC,A,high\n", {}, "row 5, column value: expected a finite number as value, got 'high'"),
    "not a number": (PLAIN + "CCC,A,nan\n", {}, "row 5, column value: expected a finite number as value, got 'nan'"),
    "infinity": (PLAIN + "CCC,A,1e999\n", {}, "row 5, column value: expected a finite number as value, got '1e999'"),
    "a unit": (PLAIN + "CCC,A,5 nM\n", {}, "row 5, column value: expected a finite number as value, got '5 nM'"),
    "thousands": (PLAIN + 'CCC,A,"1,200.5"\n', {}, "row 5, column value: the comma in '1,200.5' may divide thousands"),
    "words for all": (PLAIN.replace("5.5", "low").replace("6.5", "mid").replace("7", "high"), {},
                      "row 2, column value: expected a finite number as value, got 'low'"),
    "only empty values": ("smiles,assay,value\nC,A,\n", {}, "the column value is empty"),
    "a nameless assay": (PLAIN + "CCC,,5\n", {}, "row 5, column assay: the name of the assay is missing"),
    "a split that is none": (
        "smiles,assay,value,split\nC,A,5,train\nCC,A,6,trian\n",
        {},
        "row 3, column split: expected train, validation or test, got 'trian'. Did you mean 'train'",
    ),
    "an empty split": ("smiles,assay,value,split\nC,A,5,train\nCC,A,6,\n", {}, "row 3, column split: expected train"),
    "a molecule in two splits": (
        "smiles,assay,value,split\nCCO,A,5,train\nOCC,A,5,test\n",
        {},
        "rows 2 and 3: the same molecule of assay 'A' is in two splits",
    ),
    "no SMILES in that column": (PLAIN, {"smiles": "assay", "assay": "smiles"}, "is assay the column of SMILES"),
    "words without a meaning": ("smiles,assay,value\nC,A,binder\nCC,A,none\n", {}, "active='binder'"),
    "one label": ("smiles,assay,label\nC,A,1\nCC,A,1\n", {}, "expected active and inactive"),
    "three labels": ("smiles,assay,label\nC,A,a\nCC,A,b\nCCC,A,c\n", {"active": "a"}, "expected two words"),
    "a concentration of zero": (
        "smiles,assay,value\nC,A,5\nCC,A,0.0\n", {"concentration": 1e-9}, "row 3, column value: a concentration must"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_with_its_place(kind, tmp_path):
    text, how, why = REFUSED[kind]
    with pytest.raises((ValueError, FileNotFoundError), match=why) as error:
        read_measurements(tmp_path / "my.csv") if text is None else read(tmp_path, text, **how)
    assert "my.csv" in str(error.value) and "\n" not in str(error.value)


@settings(max_examples=15, deadline=None)
@given(st.permutations(["smiles", "assay", "value"]), st.sampled_from(";,\t"), st.booleans(), st.randoms())
def test_order_delimiter_and_case_of_columns_do_not_matter(tmp_path_factory, order, delimiter, upper, random):
    table = [dict(zip(("smiles", "assay", "value"), row.split(","), strict=True)) for row in PLAIN.split()[1:]]
    random.shuffle(table)
    head = delimiter.join(name.upper() if upper else name for name in order)
    text = "\n".join([head, *(delimiter.join(row[name] for name in order) for row in table)])
    assert rows(read(tmp_path_factory.getbasetemp(), text)) == EXPECTED


@pytest.mark.parametrize(
    ("words", "how"),
    [(("1", "0"), {}), (("Active", "inactive"), {}), (("True", "False"), {}), (("binds", "none"), {"active": "binds"})],
)
def test_labels_and_what_becomes_of_those_that_disagree(words, how, tmp_path):
    yes, no = words
    text = f"smiles,target,active\nC,A,{yes}\nCC,A,{no}\nCCC,A,{yes}\nCCC,A,{no}\nCO,A,{yes}\nOC,A,{yes}\n"
    measured = read(tmp_path, text, **how)
    assert measured.labels and rows(measured) == {("A", "C", 1.0), ("A", "CC", 0.0), ("A", "CO", 1.0)}
    assert "several times, with different values, none counts (1)" in str(measured.notes)
    assert measured.active().sum() == 2


def test_without_a_column_of_assays_there_is_one_named_like_the_file(tmp_path):
    measured = read(tmp_path, "smiles,value\nC,5\nCC,6\n")
    assert measured.names == ("my",) and "has no column of assays" in measured.notes[0]


def test_values_that_look_like_concentrations_are_told(tmp_path):
    assert "look like concentrations" in str(read(tmp_path, "smiles,value\nC,0.5\nCC,60000\n").notes)
    assert "concentration" not in str(read(tmp_path, "smiles,value\nC,5\nCC,9\n").notes)


# SPLITS


def panel(tmp_path, n_assays, n_molecules=40, columns=""):
    """The same molecules in every assay: alkanes, and alkylbenzenes, which have one scaffold."""
    molecules = ["C" * (i + 1) for i in range(n_molecules // 2)] + [
        "c1ccccc1" + "C" * i for i in range(n_molecules // 2)
    ]
    lines = [f"{s},A{a},{(len(s) * (a + 3)) % 7}" for a in range(n_assays) for s in molecules]
    return read(tmp_path, f"smiles,assay,value{columns}\n" + "\n".join(lines))


@pytest.mark.parametrize("n_assays", [2, 3, 5, 10])
def test_no_assay_and_no_molecule_is_in_two_splits(n_assays, tmp_path):
    measured = panel(tmp_path, n_assays)
    division = divide(measured)
    flat = np.array(measured.flat)
    assert leaked(division.assays[measured.assay], flat) == 40, "all are shared before"
    assert leaked(division.split, flat) == 0
    for split in ("train", "validation", "test")[:: 1 if n_assays > 2 else 2]:
        kept = division.split == split
        assert kept.any() and set(division.assays[measured.assay[kept]]) == {split}
    assert (division.assays == "test").sum() == max(1, n_assays // 5)
    for molecule in set(measured.flat):  # none is lost: each is measured in all assays of one split
        there = {s for s in division.split[flat == molecule] if s}
        assert len(there) == 1
        assert (division.split[flat == molecule] != "").sum() == (division.assays == there.pop()).sum()
    assert "molecules that were measured in assays of several splits stay in one of them: 40" in str(division.notes)
    scaffolds = divide(measured, apart="scaffold")
    assert leaked(division.split, measured.scaffolds) == 1 and leaked(scaffolds.split, measured.scaffolds) == 0
    assert "scaffolds in several splits: 1;" in str(division.notes)


def test_stereoisomers_are_one_molecule_to_the_splits(tmp_path):
    """Fingerprints do not see them."""
    measured = read(tmp_path, "smiles,assay,value,split\nN[C@H](C)CO,A,5,train\nN[C@@H](C)CO,B,6,test\nCC,A,6,train\n"
                              "CC,B,6,test\nCCC,B,6,test\nCCCC,A,3,train")  # fmt: skip
    assert len(set(measured.smiles)) == 5 and len(set(measured.flat)) == 4
    assert (divide(measured).split == "").sum() == 2


def test_a_column_of_splits_divides_assays_or_molecules(tmp_path):
    by_assay = read(
        tmp_path,
        "smiles,assay,value,split\nC,A,1,Test\nCC,A,2,test\nCCC,B,3,train\nCCCC,B,3,train\nCO,C,1,validation\n",
    )
    division = divide(by_assay)
    assert dict(zip(by_assay.names, division.assays.tolist(), strict=True)) == {
        "A": "test", "B": "train", "C": "validation"
    }  # fmt: skip
    lines = [
        f"{'C' * (i + 1)}{'O' * (a + 1)},A{a},{i},{'test' if i % 4 == 0 else 'train'}"
        for a in range(5)
        for i in range(8)
    ]
    by_molecule = read(tmp_path, "smiles,assay,value,split\n" + "\n".join(lines))
    division = divide(by_molecule)
    for split, marked in (("train", "train"), ("validation", "train"), ("test", "test")):
        kept = division.split == split
        assert set(by_molecule.split[kept]) == {marked} and set(division.assays[by_molecule.assay[kept]]) == {split}
    assert "the column of splits divides molecules" in division.notes[1]
