"""Delimited text as people save it: read right, or refused with the file, the row, the column and a remedy.

Encodings, delimiters, decimal commas and units in cells are recognised, and whatever was assumed is said in notes.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from metaenv.errors import TaskError

DELIMITERS = ",;\t|"
MOST_CLASSES = 10  # codes such as 0, 1, 2 with at most so many values are classes (chosen)
BINARY = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PAR1": "a Parquet file",
    b"SIMPLE  =": "a FITS file",
    b"\x89HDF": "an HDF5 file",
    b"%PDF": "a PDF",
}
BYTE_ORDER = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
UNITS = (
    "% ° Å K °C C eV meV nm um µm μm mm cm m pm GPa MPa kPa Pa bar mbar g mg kg ug µg mol mmol M mM uM µM nM J kJ kcal "
    "V mV A mA W mW S s ms min h d Hz kHz MHz T mag pc kpc Mpc"
).split()
"""Units that are recognised without a space before them; with a space, any word is taken for one."""
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_PLAIN = re.compile(_NUMBER)
_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")
_WITH_UNIT = re.compile(rf"([+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?)(?:\s+([^\d\s].*)|({'|'.join(UNITS)}))")
_NUMERAL = re.compile(r"[<>~≤≥≈]?\s*[+-]?(?:\d|[.,]\d)[\d.,eE+-]*(?:\s*(?:±|\+/-|\+-|\(\d|\s).*)?")
_BROKEN = re.compile(r"#(?:REF!|N/A|DIV/0!|VALUE!|NAME\?|NULL!|NUM!|#+)")


class TableError(TaskError):
    """A file of a user's that is no table, or holds what cannot be read."""


def place(file: object, row: int | None = None, column: str | None = None) -> str:
    """Where something stands, in words."""
    return f"{file}{'' if row is None else f', row {row}'}{'' if column is None else f', column {column}'}"


def refusal(where: str, what: str, remedy: str) -> TableError:
    """The error for what cannot be read: its place, what was expected or came, and what to do."""
    return TableError(f"{where}: {what}; {remedy}")


class Cell(NamedTuple):
    """What a cell holds, without white space around it, and where it stands, see `place`."""

    text: str
    where: str


class Sheet(NamedTuple):
    """A table: every row has as many cells as the header, whose names are unique."""

    path: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    lines: list[int]
    """The line of the file that each row begins on; the header's is 1 unless something stands before it."""
    notes: tuple[str, ...]

    def column(self, name: str) -> list[Cell]:
        """The cells of a column. Raises TableError if there is none of that name."""
        if name not in self.head:
            raise TableError(f"{self.path} has no column {name}; it has {', '.join(self.head)}")
        k = self.head.index(name)
        return [Cell(row[k], place(self.path, line, name)) for row, line in zip(self.rows, self.lines, strict=True)]


Rows = list[tuple[int, tuple[str, ...]]]
"""The line of the file on which each row begins, and its cells."""


def read_sheet(path: str | os.PathLike[str]) -> Sheet:
    """The table of a CSV file with a header, which may be compressed (gzip).

    Encoding: see `decoded`. Delimiter: the one of comma, semicolon, tab and bar that cuts the rows into as many cells
    as the header. Lines before the header that begin with #, empty rows and repetitions of the header are left out. All
    but commas is noted.

    Raises:
        FileNotFoundError: there is no such file.
        TableError: it is empty or no text, a row has more or fewer cells than the header, a quotation mark is never
            closed, or a column has no name or that of another.
    """
    notes: list[str] = []
    if Path(path).is_dir():
        raise TableError(f"expected a CSV file, got the folder {path}; name the file in it")
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no file {str(path)!r}; expected a CSV file with a header")
    text = decoded(Path(path).read_bytes(), path, notes)
    start = 0
    lines = text.splitlines(keepends=True)
    while start < len(lines) and (not lines[start].strip() or re.match(r"#|sep=.$", lines[start].strip())):
        start += 1
    comments = [line for line in lines[:start] if line.startswith("#")]
    body = "".join(lines[start:])
    if not body.strip():
        raise refusal(f"{path}", "the file is empty", "write a first row with the names of the columns, and rows below")
    delimiter, found = _cut(path, body, start)
    if delimiter != ",":
        notes.append(f"{path}: cells are divided by {delimiter!r}")
    kept = [(line, row) for line, row in found if any(row)]
    (head_line, head), rows = kept[0], kept[1:]
    last = tuple(name.strip() for name in comments[-1].strip("# \t").split(delimiter)) if comments else ()
    if len(last) == len(head) and any(map(_PLAIN.fullmatch, head)) and not any(map(_PLAIN.fullmatch, last)):
        head_line, head, rows = head_line - 1, last, kept  # some programs comment the header out
    elif comments:
        notes.append(f"{path}: {start} lines before the header are left out as comments")
    if len(found) > len(kept):
        notes.append(f"{path}: {len(found) - len(kept)} empty rows are left out")
    if again := [line for line, row in rows if row == head]:
        rows = [(line, row) for line, row in rows if row != head]
        notes.append(f"{path}: the header comes again in row {again[0]}; such rows are left out")
    width = len(head)
    for k, (line, row) in enumerate(rows):
        if len(row) < width or any(row[width:]):
            raise refusal(
                place(path, line),
                f"expected {width} cells as in the header (row {head_line}), got {len(row)}",
                "put quotation marks around a cell that contains the delimiter, and write empty cells out",
            )
        rows[k] = line, row[:width]
    columns = _named(path, head, rows, notes)
    return Sheet(
        str(path),
        tuple(head[k] for k in columns),
        [tuple(row[k] for k in columns) for _, row in rows],
        [line for line, _ in rows],
        tuple(notes),
    )


def encoding_of(content: bytes) -> str:
    """The encoding of a text by its byte order mark; UTF-8 without one."""
    return next((name for mark, name in BYTE_ORDER.items() if content.startswith(mark)), "utf-8")


def decoded(content: bytes, file: object, notes: list[str]) -> str:
    """The text of a file, unpacked by gzip if need be: UTF-8, UTF-16 with a byte order mark, else Windows-1252, as a
    note says.

    Raises:
        TableError: it is no text.
    """
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise refusal(f"{file}", f"the gzip archive is cut short or damaged ({error})", "pack it again") from None
    for begin, what in BINARY.items():
        if content.startswith(begin):
            raise refusal(
                f"{file}", f"this is {what}", "save or unpack it as 'CSV UTF-8', and give the name of that file"
            )
    encoding, remedy = encoding_of(content), "save it as UTF-8"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise refusal(f"{file}", "the UTF-16 text breaks off, so it is cut short or damaged", remedy) from None
        row = content[: error.start].count(b"\n") + 1
        text = content.decode("cp1252", "replace")
        notes.append(f"{file} is no UTF-8 (row {row}); it is read as Windows-1252 (Latin-1)")
        if "\ufffd" in text:
            raise refusal(place(file, row), "the text is neither UTF-8 nor Windows-1252", remedy) from None
    if "\0" in text:
        row = text[: text.index("\0")].count("\n") + 1
        raise refusal(place(file, row), "contains a NUL character, so it is no text, or UTF-16", remedy)
    return text


def rows_of(lines: Iterable[str], delimiter: str, file: object, first: int = 1, quotes: bool = True) -> Rows:
    """The rows of delimited text; ``first`` is the number of the first line.

    Raises:
        TableError: a quotation mark is never closed, or stands within a cell.
    """
    quoting = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, skipinitialspace=True, strict=True)
    found: Rows = []
    before = 0
    try:
        for row in reader:
            found.append((first + before, tuple(cell.strip() for cell in row)))
            before = reader.line_num
    except csv.Error as error:
        remedy = "close quotation marks, and double those in a cell"
        raise refusal(place(file, first + before), str(error), remedy) from None
    return found


def _cut(file: object, body: str, skipped: int) -> tuple[str, Rows]:
    """The delimiter, and the rows."""
    best: tuple[tuple[bool, float, int], str, Rows] | None = None
    failure: TableError | None = None
    header = body.splitlines()[0]
    for delimiter in [mark for mark in DELIMITERS if mark in header] or DELIMITERS:
        try:
            found = rows_of(io.StringIO(body, newline=""), delimiter, file, skipped + 1)
        except TableError as error:
            failure = failure or error
            continue
        widths = [len(row) for _, row in found if any(row)]
        merit = (widths[0] > 1, sum(w == widths[0] for w in widths) / len(widths), widths[0])
        if best is None or merit > best[0]:
            best = merit, delimiter, found
    if best is None or (failure is not None and not best[0][0]):
        assert failure is not None
        raise failure
    return best[1] if best[0][0] else ",", best[2]


def _named(file: object, head: tuple[str, ...], rows: Rows, notes: list[str]) -> list[int]:
    """The columns that have a name; one without must be empty, or the first and number or name the rows, as pandas'
    index does."""
    if twice := [name for name, count in Counter(head).items() if name and count > 1]:
        at = " and ".join(str(k + 1) for k, name in enumerate(head) if name == twice[0])
        raise refusal(f"{file}", f"{twice[0]!r} is the name of columns {at}", "give each a name of its own")
    for k in [k for k, name in enumerate(head) if not name]:
        cells = [row[k] for _, row in rows]
        if any(cells) and not (k == 0 and (is_numbering(cells) or _name_rows(cells))):
            line, cell = next((line, row[k]) for line, row in rows if row[k])
            raise refusal(place(file, line), f"column {k + 1} holds {cell!r} but has no name", "name it or delete it")
        notes.append(f"{file}: column {k + 1} has no name and is left out")
    return [k for k, name in enumerate(head) if name]


def _name_rows(cells: Sequence[str]) -> bool:
    """Whether cells are names that tell the rows apart, as the barcodes of cells do."""
    return len(cells) > 1 and len(set(cells)) == len(cells) and not any(map(_NUMERAL.fullmatch, cells))


def is_numbering(cells: Sequence[str]) -> bool:
    """Whether cells number the rows: 0, 1, 2 … or 1, 2, 3 …, as an index of pandas or an id column does."""
    return len(cells) > 1 and any(list(cells) == [str(i + first) for i in range(len(cells))] for first in (0, 1))


def are_codes(numbers: Iterable[float]) -> bool:
    """Whether numbers may be classes: 0, 1 … or 1, 2 … with none left out, or -1 and 1."""
    values = sorted(set(numbers))
    upwards = [values[0] + i for i in range(len(values))]
    return values == [-1, 1] or (len(values) <= MOST_CLASSES and values[0] in (0, 1) and values == upwards)


def plain_numbers(texts: Sequence[str]) -> list[float] | None:
    """The numbers of cells that are all finite numbers, written plainly; None otherwise."""
    if not texts or not all(map(_PLAIN.fullmatch, texts)):
        return None
    numbers = list(map(float, texts))
    return numbers if all(map(math.isfinite, numbers)) else None


def numbers_of(cells: Sequence[Cell], name: str) -> tuple[list[float] | None, tuple[str, ...]]:
    """The numbers of a column's cells, none of which is empty, and what was assumed; None for words.

    A decimal comma is read where it can be nothing else in the whole column, a unit where all cells have the same.

    Raises:
        TableError: words among numbers, "nan", a thousands separator or what may be one, several units, a bound,
            range or uncertainty, an error of a spreadsheet; the message names the cell.
    """
    texts = [cell.text.replace("\u2212", "-").replace("\u00a0", " ") for cell in cells]
    for cell, text in zip(cells, texts, strict=True):
        if _BROKEN.fullmatch(text):
            raise refusal(cell.where, f"{text!r} is an error of a spreadsheet", "mend it or leave the cell empty")
    numeral = [bool(_NUMERAL.fullmatch(t) or _WITH_UNIT.fullmatch(t)) for t in texts]
    if not any(numeral):
        return None, ()
    notes: list[str] = []
    if not all(map(_PLAIN.fullmatch, texts)):
        texts = _without_unit(cells, texts, name, notes)
        texts = _with_points(cells, texts, name, notes)
    for cell, text in zip(cells, texts, strict=True):
        if not _PLAIN.fullmatch(text) or not math.isfinite(float(text)):
            raise _no_number(cell, name, *_remedy(cell.text, numeral))
    return [float(text) for text in texts], tuple(notes)


def _no_number(cell: Cell, name: str, remedy: str, more: str = "") -> TableError:
    return refusal(cell.where, f"expected a finite number as {name}, got {cell.text!r}{more}", remedy)


def _remedy(text: str, numeral: list[bool]) -> tuple[str, str]:
    """What to do, and what more is to be said of the cell."""
    if "±" in text or "+/-" in text or re.search(r"\(\d+\)$", text):
        return "write the value alone, its uncertainty in another column", ""
    if text[0] in "<>~≤≥≈=":
        return "a bound is no value: leave the cell empty, or decide on a number", ""
    if not any(c.isdigit() for c in text):
        part = f" ({sum(numeral)} of {len(numeral)} cells are numbers)"
        return "leave the cell empty, or write words in all cells for classes", part
    return "write a plain number such as 1234.5, or leave the cell empty", ""


def _without_unit(cells: Sequence[Cell], texts: list[str], name: str, notes: list[str]) -> list[str]:
    found = [_WITH_UNIT.fullmatch(text) for text in texts]
    units = [(match[2] or match[3]).strip() if match else "" for match in found]
    if not any(units) or any(re.match(r"±|\+/-|\+-|-|to\b", unit) for unit in units):
        return texts
    if len(set(units)) > 1:
        odd = next(i for i, unit in enumerate(units) if unit != units[0])
        if units[0] and (_NUMERAL.fullmatch(texts[odd]) or units[odd]):
            raise refusal(
                cells[odd].where,
                f"expected the unit {units[0]!r} of the cells above, got {cells[odd].text!r}",
                "convert the column to one unit, and write numbers only",
            )
        raise _no_number(cells[odd], name, "write the unit in all cells or in none, or leave the cell empty")
    notes.append(f"{name}: the unit {units[0]!r} of the cells is left out")
    return [match[1] for match in found if match]


def _with_points(cells: Sequence[Cell], texts: list[str], name: str, notes: list[str]) -> list[str]:
    commas = [i for i, text in enumerate(texts) if "," in text and re.fullmatch(r"[+-]?[\d.,]+(?:[eE][+-]?\d+)?", text)]
    if not commas:
        return texts
    points = [i for i, text in enumerate(texts) if "." in text and _PLAIN.fullmatch(text)]
    odd = next((i for i in commas if not _COMMA.fullmatch(texts[i])), None)
    if odd is not None or all(_GROUPED.fullmatch(texts[i]) for i in commas) or points:
        i = commas[0] if odd is None else odd
        beside = f" ({cells[points[0]].text!r} has a point)" if points else ""
        raise refusal(
            cells[i].where,
            f"the comma in {cells[i].text!r} may divide thousands or decimals{beside}",
            "write numbers such as 1234.5",
        )
    read = [text.replace(",", ".") if "," in text else text for text in texts]
    notes.append(f"{name}: commas are decimal commas; {texts[commas[0]]!r} is read as {read[commas[0]]}")
    return read
