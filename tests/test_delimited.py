"""CSV files as people save them: read right, or refused in one line with the file, row and column."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaenv.delimited import Cell, TableError, numbers_of, read_sheet

PLAIN = "name,y\nä,1.5\nb,2.5\n"


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (PLAIN, None),
        (PLAIN.replace("\n", "\r\n"), None),
        (PLAIN.replace("\n", "\r"), None),
        (PLAIN.encode("utf-8-sig"), None),
        (PLAIN.encode("utf-16"), None),
        (gzip.compress(PLAIN.encode(), mtime=0), None),
        (PLAIN.encode("latin-1"), r"no UTF-8 \(row 2\)"),
        (PLAIN.replace(",", ";"), "divided by ';'"),
        (PLAIN.replace(",", "\t"), r"divided by '\\t'"),
        (PLAIN.replace(",", ";").replace(".", ","), "divided by ';'"),
        ("sep=,\n" + PLAIN, None),
        ("# made by an instrument\n\n" + PLAIN, "2 lines before the header are left out"),
        ("#name,y\nä,1.5\nb,2.5\n", None),
        ('"name", "y"\n"ä", "1.5"\n"b", "2.5"\n', None),
        (PLAIN + "\n,\n", "2 empty rows are left out"),
        (PLAIN + "name,y\n", "the header comes again in row 4"),
        (" name , y \n ä , 1.5\nb,2.5 ,\n", None),
        ('"name","y"\n"ä","1.5"\n"b","2.5"\n', None),
        (",name,y\n0,ä,1.5\n1,b,2.5\n", "column 1 has no name and is left out"),
        ("name,y,\nä,1.5,\nb,2.5,\n", "column 3 has no name and is left out"),
    ],
)
def test_one_table_in_many_forms(tmp_path: Path, content: str | bytes, note: str | None):
    sheet = read_sheet(written(tmp_path, content))
    assert sheet.head == ("name", "y") and [row[0] for row in sheet.rows] == ["ä", "b"]
    assert numbers_of(sheet.column("y"), "y")[0] == [1.5, 2.5]
    assert len(sheet.notes) == (note is not None) and (note is None or re.search(note, sheet.notes[0]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; write a first row"),
        (b" \n\n", "the file is empty; write a first row"),
        (b"PK\x03\x04...", "is an Excel workbook or a zip archive; save or unpack it as 'CSV UTF-8'"),
        (b"\xd0\xcf\x11\xe0...", "an old Excel workbook"),
        (b"\x1f\x8b...", "gzip archive is cut short or damaged"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:20], "gzip archive is cut short or damaged"),
        (b"PAR1...", "Parquet"),
        ("a,b\n1,2\n".encode("utf-16-le"), "row 1: contains a NUL character"),
        (b"\xff\xfea\x00,", "cut short or damaged"),
        (b"a,b\n\x81,2\n", "row 2: .*neither UTF-8 nor Windows-1252"),
        ("a,b\n1,2\n3\n", r"row 3: expected 2 cells as in the header \(row 1\), got 1"),
        ("# x\n#a,b\n1,2\n3\n", r"row 4: expected 2 cells as in the header \(row 2\)"),
        ("a,b\n1,2,3\n", "row 2: expected 2 cells .*got 3; put quotation marks"),
        ("# x\na,b\n1,2,3\n", r"row 3: expected 2 cells as in the header \(row 2\)"),
        ('a,b\n"x\ny",2\n3\n', "row 4: expected 2 cells"),
        ('a,b\n1,2\n"3,4\n', "row 3: .*close quotation marks"),
        ('a,b\n"q"z,2\n', "row 2: .*close quotation marks"),
        ("a,b\n" + "x" * 200_000 + ",2\n", "row 2: field larger than"),
        ("a,b,a\n1,2,3\n", "'a' is the name of columns 1 and 3; give each"),
        ("a,,b\n1,2,3\n", "row 2: column 2 holds '2' but has no name"),
    ],
)
def test_what_is_no_table_is_refused_with_the_place(tmp_path: Path, content: str | bytes, message: str):
    with pytest.raises(TableError, match=f"t.csv.*{message}") as caught:
        read_sheet(written(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.csv"):
        read_sheet(tmp_path / "none.csv")
    with pytest.raises(TableError, match="got the folder"):
        read_sheet(tmp_path)
    with pytest.raises(TableError, match=r"t\.csv has no column z; it has name, y"):
        read_sheet(written(tmp_path, PLAIN)).column("z")


def test_decimal_commas_of_a_single_column_divide_no_cells(tmp_path: Path):
    assert numbers_of(read_sheet(written(tmp_path, "y\n1,5\n2,5\n")).column("y"), "y")[0] == [1.5, 2.5]


def cells(*texts: str) -> list[Cell]:
    return [Cell(text, f"t.csv, row {i + 2}, column y") for i, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("texts", "numbers", "note"),
    [
        (("1", "2.5", "1e-3", "-.5", "+4.", "\u22123"), [1, 2.5, 1e-3, -0.5, 4, -3], None),
        (("2,1", "3", "4,25"), [2.1, 3, 4.25], "'2,1' is read as 2.1"),
        (("0,200", "1,300"), [0.2, 1.3], "decimal commas"),
        (("2.1 eV", "3 eV"), [2.1, 3], "the unit 'eV' of the cells is left out"),
        (("12%", "15 %"), [12, 15], "the unit '%'"),
        (("2,1 °C", "3,5 °C"), [2.1, 3.5], "the unit '°C'"),
        (("low", "high"), None, None),
        (("2H", "3R", "perovskite"), None, None),
    ],
)
def test_numbers_of_cells(texts: tuple[str, ...], numbers: list[float] | None, note: str | None):
    read, notes = numbers_of(cells(*texts), "y")
    assert read == numbers
    assert (note is None and not notes) or (note is not None and note in " ".join(notes))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("1", "nan"), r"row 3, column y: expected a finite number as y, got 'nan' \(1 of 2 cells are numbers\)"),
        (("1", "inf"), "row 3, .*got 'inf'"),
        (("1e999", "2"), "row 2, .*got '1e999'"),
        (("low", "1"), "row 2, .*got 'low'"),
        (("1,200", "2,300"), "row 2, .*may divide thousands or decimals"),
        (("1,234,567", "2,5"), "row 2, .*may divide thousands"),
        (("1.5", "2,5"), r"row 3, .*'1.5' has a point"),
        (("1.234,5", "2,5"), "row 2, .*may divide thousands"),
        (("2.1 eV", "3 meV"), "row 3, .*expected the unit 'eV' of the cells above, got '3 meV'"),
        (("2.1 eV", "3"), "row 3, .*the unit 'eV'"),
        (("3", "2.1 eV"), "row 3, .*write the unit in all cells or in none"),
        (("2.1±0.1", "3"), "row 2, .*its uncertainty in another column"),
        (("2.1 +/- 0.1", "3.0 +/- 0.1"), "row 2, .*its uncertainty in another column"),
        (("2.1(3)", "3.2(1)"), "row 2, .*its uncertainty in another column"),
        (("<0.1", "3"), "row 2, .*a bound is no value"),
        (("=0.1", "3"), "row 2, .*a bound is no value"),
        (("1-2", "3-4"), "row 2, .*got '1-2'; write a plain number"),
        (("1_000", "2"), "row 2, .*got '1_000'"),
        (("2020-01-01", "2020-01-02"), "row 2, .*got '2020-01-01'"),
        (("a", "#REF!"), "row 3, .*an error of a spreadsheet"),
        (("1", "#N/A"), "row 3, .*an error of a spreadsheet"),
    ],
)
def test_what_is_no_number_is_refused_with_the_place(texts: tuple[str, ...], message: str):
    with pytest.raises(TableError, match=f"^t.csv, {message}") as caught:
        numbers_of(cells(*texts), "y")
    assert "\n" not in str(caught.value)


@given(
    st.lists(st.floats(-1e9, 1e9).filter(lambda v: "." in repr(v)), min_size=1, max_size=6),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", ","), ("|", ",")]),
)
def test_numbers_come_back_in_any_dress(tmp_path_factory, values: list[float], encoding: str, end: str, marks):
    """Decimal commas with three digits behind them all are the one case that is refused: they may divide thousands."""
    delimiter, point = marks
    rows = [f"x{i}{delimiter}{value!r}".replace(".", point) for i, value in enumerate(values)]
    content = end.join([f"name{delimiter}y", *rows, ""]).encode(encoding)
    path = written(tmp_path_factory.mktemp("t"), content)
    try:
        read, _ = numbers_of(read_sheet(path).column("y"), "y")
    except TableError as error:
        assert point == "," and "thousands" in str(error)
        assert all(re.fullmatch(r"-?[1-9]\d{0,2}\.\d{3}", repr(v)) for v in values) or any(
            "e" in repr(v) for v in values
        )
    else:
        assert read == values
