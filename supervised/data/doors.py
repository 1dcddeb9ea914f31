"""Doors to a `Dataset`: the columns of a table (a CSV file or a data frame), or the samples of a PyTorch data set.

What a column means is decided here, once for all tables. Whatever was assumed or left out is said in notes.
"""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from metaenv.delimited import Cell, are_codes, numbers_of, plain_numbers, read_sheet
from metaenv.typing import Floats

Missing = Literal["refuse", "drop"]
TargetKind = Literal["classification", "regression"]
MISSING = ("", "NaN", "nan", "NA", "N/A", "n/a", "null", "NULL", "<NA>", "NaT")
MISSING_NUMBERS = (*MISSING, "None", "none", "?", "-", "--")  # among words these may be names
TRUE_FALSE = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
NUMBERS_ROWS = re.compile(r"(?:.*[ _-])?(?:id|index|nr|no)\.?|unnamed: \d+", re.IGNORECASE)
"""Names of columns whose whole numbers tell rows apart."""


DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:\D|$)")


class Parts(TypedDict):
    """The arguments of a `Dataset`."""

    x: ArrayLike
    y: NDArray[Any]
    groups: NDArray[Any] | None
    ids: NDArray[Any] | None
    notes: tuple[str, ...]
    features: tuple[str, ...]


class _Cells(Sequence[Cell]):
    """The cells of a column, made when they are looked at: a table of genes has millions."""

    def __init__(self, values: Sequence[Any] | NDArray[Any], where: str, lines: Sequence[int]) -> None:
        self._values, self._where, self._lines = values, where, lines

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, i: Any) -> Any:
        return Cell(self.texts[i], self._where.replace("{}", str(self._lines[i]), 1))

    @cached_property
    def texts(self) -> list[str]:
        return ["" if value is None else str(value).strip() for value in self._values]


class _Column(NamedTuple):
    """A column: its cells as text, or numbers that were such already, in which NaN stands for a missing one."""

    name: str
    cells: _Cells
    numbers: Floats | None = None
    words: bool = False  # of a type that says so, such as categories


def of_csv(path: str | os.PathLike[str], **choices: Any) -> Parts:
    """The columns of a CSV file; see `Dataset.from_csv`."""
    sheet = read_sheet(path)
    columns = {
        name: _Column(name, _Cells([row[k] for row in sheet.rows], f"{path}, row {{}}, column {name}", sheet.lines))
        for k, name in enumerate(sheet.head)
    }
    return _chosen(str(path), columns, list(sheet.notes), **choices)


def of_frame(frame: Any, **choices: Any) -> Parts:
    """The columns of a data frame; see `Dataset.from_dataframe`."""
    names = list(frame) if isinstance(frame, Mapping) else list(getattr(frame, "columns", ()))
    if not names or not hasattr(frame, "__getitem__") or hasattr(type(frame), "collect"):  # a lazy frame has it
        raise ValueError(
            f"expected a data frame in memory with columns by name (pandas, polars) or a dict of columns, got "
            f"{type(frame).__name__}; collect() a lazy frame first"
        )
    counts = Counter(map(str, names))
    if odd := [name for name in names if isinstance(name, tuple) or counts[str(name)] > 1]:
        raise ValueError(f"expected columns of different, single names, got {odd[0]!r}; rename or flatten them")
    columns = {str(name): _frame_column(str(name), frame[name]) for name in names}
    return _chosen("the data frame", columns, [], **choices)


def _frame_column(name: str, series: Any) -> _Column:
    kind = str(getattr(series, "dtype", "")).lower()
    values = np.asarray(series)
    if values.ndim != 1:
        raise ValueError(f"expected one value in each cell of column {name}, got an array {values.shape}")
    words = kind.startswith(("categor", "enum"))
    cells = _Cells(values, f"row {{}} (counted from 0), column {name}", range(len(values)))
    if values.dtype.kind in "fiu" and not words:
        return _Column(name, cells, values.astype(np.float64))
    return _Column(name, cells, None, words)


def _chosen(
    source: str,
    columns: Mapping[str, _Column],
    notes: list[str],
    *,
    target: str,
    features: Sequence[str] | None,
    group: str | None,
    ids: str | None,
    kind: TargetKind | None,
    missing: Missing,
    categories: bool = False,
) -> Parts:
    if missing not in ("refuse", "drop") or kind not in (None, "classification", "regression"):
        raise ValueError(
            "expected missing='refuse' or 'drop', and kind='classification', 'regression' or None, got "
            f"missing={missing!r}, kind={kind!r}"
        )
    if isinstance(features, str):
        raise ValueError(f"expected features as a list of columns, got {features!r}; write [{features!r}]")
    named = [name for name in (target, group, ids) if name is not None]
    for name in [*named, *(features or ())]:
        if name not in columns:
            have = ", ".join([*columns][:12]) + (" …" if len(columns) > 12 else "")
            close = difflib.get_close_matches(str(name), columns, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{source} has no column {name!r}; it has {have}{hint}")
    if twice := [n for n in features or () if n in (target, ids) or list(features or ()).count(n) > 1]:
        raise ValueError(f"column {twice[0]!r} is named twice: as a feature, and as target, ids or a feature again")
    if features is not None and not len(features):
        raise ValueError("expected at least one feature, got none; leave features out to take all columns of numbers")
    if target in (group, ids):
        raise ValueError(f"column {target!r} is the target, and cannot be the group or ids as well")
    if not len(columns[target].cells):
        raise ValueError(f"{source} has a header but no rows; expected a sample in each row")
    picked: dict[str, Floats] = {}
    lacking: dict[str, NDArray[np.bool_]] = {}
    for name in [n for n in columns if n not in named] if features is None else features:
        if found := _feature(columns[name], features is None, categories, notes):
            picked |= found
            lacking[name] = np.isnan(np.sum(list(found.values()), axis=0))
    what = "numbers or categories" if categories else "numbers"
    if not picked:
        raise ValueError(f"{source} has no column of {what} beside {', '.join(named)}; samples need a feature")
    if features is None:
        shown = ", ".join([*lacking][:12]) + (f" and {len(lacking) - 12} more" if len(lacking) > 12 else "")
        notes.append(f"features are all other columns of {what}: {shown}")
    for name in named:
        lacking[name] = _lacks(columns[name], MISSING)
    y_numbers = (
        None
        if columns[target].words
        else _numbers(columns[target], notes, {"classification": True, None: None}.get(kind, False))
    )
    if y_numbers is not None:
        lacking[target] = np.isnan(y_numbers)
    kept = _complete(source, lacking, columns, missing, notes)
    x = np.stack([numbers[kept] for numbers in picked.values()], axis=1)
    _say_about(x, list(picked), notes)
    if y_numbers is None and kind == "regression":
        cell = columns[target].cells[int(kept[0])]
        raise ValueError(f"{cell.where}: expected numbers for regression, got {cell.text!r}; choose another target")
    y = _words(columns[target], kept) if y_numbers is None else _targets(columns[target], y_numbers, kept, kind, notes)
    if group is None and y.dtype.kind == "f":
        notes.append("no group is named, so that all rows are one task; name the column whose values are tasks")
    groups = None if group is None else _words(columns[group], kept)
    names = None if ids is None else _words(columns[ids], kept)
    if names is not None and len(set(names)) < len(names):
        first: dict[str, int] = {}
        for i, name in enumerate(names.tolist()):
            if name in first:
                a, b = (columns[ids or ""].cells[int(kept[k])].where for k in (first[name], i))
                raise ValueError(f"{b}: {name!r} is an id for the second time (before: {a}); ids tell samples apart")
            first[name] = i
    return Parts(x=x, y=y, groups=groups, ids=names, notes=tuple(notes), features=tuple(picked))


def _lacks(column: _Column, spellings: Sequence[str]) -> NDArray[np.bool_]:
    if column.numbers is not None:
        return np.isnan(column.numbers)
    return np.array([text in spellings for text in column.cells.texts], bool)


def _numbers(column: _Column, notes: list[str], words_allowed: bool | None = False) -> Floats | None:
    """The numbers of a column, NaN where one is missing; None for words. Words among numbers are refused unless they
    are allowed; None, that they may be by an option."""
    if column.numbers is not None:
        return column.numbers
    lacks = _lacks(column, MISSING_NUMBERS)
    filled = np.flatnonzero(~lacks)
    found, assumed = plain_numbers([column.cells.texts[i] for i in filled]), ()
    try:
        if found is None and len(filled):
            found, assumed = numbers_of([column.cells[i] for i in filled], column.name)
    except ValueError as error:
        if words_allowed is None:
            raise ValueError(f"{error}; kind='classification' takes all cells for words") from None
        if words_allowed:
            return None
        raise
    notes += assumed
    if found is None:
        return None
    numbers = np.full(len(lacks), np.nan)
    numbers[~lacks] = found
    return numbers


def _feature(column: _Column, chosen_by_default: bool, categories: bool, notes: list[str]) -> dict[str, Floats]:
    """The columns that a feature makes, by name: one of its numbers, one for each of its words if these are
    categories, or none if it is left out."""
    name, date = column.name, column.numbers is None and _is_date(column)
    try:
        numbers = None if column.words or date else _numbers(column, notes)
    except ValueError as error:
        raise ValueError(f"{error}; or name the columns to take in features") if chosen_by_default else error from None
    if numbers is not None:
        found = numbers[~np.isnan(numbers)]
        apart = NUMBERS_ROWS.fullmatch(name) and len(found) and bool((found == found.round()).all())
        counting = len(found) > 2 and found[0] in (0, 1) and bool((np.diff(found) == 1).all())
        if chosen_by_default and (apart or counting):
            notes.append(f"{name} tells rows apart and is left out; name it in features to use it")
            return {}
        return {name: numbers}
    texts = [text.lower() for text in column.cells.texts]
    lacks = _lacks(column, MISSING_NUMBERS)
    if not lacks.all() and all(no or text in TRUE_FALSE for text, no in zip(texts, lacks, strict=True)):
        notes.append(f"{name}: true and yes are read as 1, false and no as 0")
        return {name: np.array([np.nan if no else TRUE_FALSE[text] for text, no in zip(texts, lacks, strict=True)])}
    if categories and not date and not (missing := _lacks(column, MISSING)).all():
        words = np.array(column.cells.texts)
        each = np.unique(words[~missing]).tolist()
        if not chosen_by_default or len(each) < (~missing).sum():
            notes.append(f"{name}: a column of 0 and 1 for each of its {len(each)} words in the whole table")
            return {f"{name}={word}": np.where(missing, np.nan, words == word) for word in each}
        notes.append(f"{name} has another word in each row and is left out; name it in features to use it")
        return {}
    if chosen_by_default:
        what = "is empty" if lacks.all() else "holds dates" if date else "holds words"
        notes.append(f"{name} {what} and is left out")
        return {}
    if lacks.all():
        raise ValueError(f"column {name} is empty; take it out of features")
    cell = column.cells[int(np.argmin(lacks))]
    remedy = (
        "write days since a date"
        if date
        else "say categories=True for a column of 0 and 1 for each word, or leave it out"
    )
    raise ValueError(f"{cell.where}: expected a number as feature, got {cell.text!r}; {remedy}")


def _is_date(column: _Column) -> bool:
    texts = [text for text in column.cells.texts if text]
    return sum(DATE.match(text) is not None for text in texts) > len(texts) / 2


def _complete(
    source: str,
    lacking: Mapping[str, NDArray[np.bool_]],
    columns: Mapping[str, _Column],
    missing: Missing,
    notes: list[str],
) -> NDArray[np.intp]:
    """The rows in which nothing is missing."""
    lacks = np.stack(list(lacking.values()))
    rows = np.flatnonzero(lacks.any(axis=0))
    if len(rows) and missing == "refuse":
        name = list(lacking)[int(np.argmax(lacks[:, rows[0]]))]
        cell = columns[name].cells[int(rows[0])]
        what = f"{cell.text!r} stands for a missing value" if cell.text else "the cell is empty"
        more = f" ({len(rows)} rows lack something)" if len(rows) > 1 else ""
        raise ValueError(f"{cell.where}: {what}{more}; fill it in, or say missing='drop' to leave such rows out")
    if len(rows) == lacks.shape[1]:
        worst = list(lacking)[int(np.argmax(lacks.sum(axis=1)))]
        raise ValueError(f"each row of {source} lacks something, most often {worst}; choose the columns by features")
    if len(rows):
        where = ", ".join(name for name, gone in lacking.items() if gone.any())
        notes.append(f"{len(rows)} of {lacks.shape[1]} rows lack a value of {where} and are left out")
    return np.flatnonzero(~lacks.any(axis=0))


def _say_about(x: Floats, names: Sequence[str], notes: list[str]) -> None:
    constant = [name for name, column in zip(names, x.T, strict=True) if (column == column[0]).all()]
    if constant and len(x) > 1:
        shown = ", ".join(constant[:12]) + (f" and {len(constant) - 12} more" if len(constant) > 12 else "")
        notes.append(f"{shown}: the same in all rows; kept, but it tells nothing")
    with np.errstate(over="ignore"):
        single = x.astype(np.float32).astype(np.float64)
    for k in np.flatnonzero((single != x).any(axis=0) & (np.abs(x).max(axis=0) > 1e6)).tolist():
        if len(np.unique(single[:, k])) < len(np.unique(x[:, k])):
            notes.append(f"{names[k]}: values differ by less than float32 can hold; subtract their mean")


def _words(column: _Column, rows: NDArray[np.intp]) -> NDArray[Any]:
    if column.numbers is not None and (column.numbers[rows] == column.numbers[rows].round()).all():
        return column.numbers[rows].astype(np.int64)
    return np.array([column.cells.texts[i] for i in rows.tolist()])


def _targets(
    column: _Column, numbers: Floats, rows: NDArray[np.intp], kind: TargetKind | None, notes: list[str]
) -> NDArray[Any]:
    """Numbers to predict as float64, numbers of classes as int64."""
    values = numbers[rows]
    whole = values == values.round()
    classes = kind == "classification" or (kind is None and are_codes(values))
    if not classes:
        if kind is None and whole.all():
            notes.append(f"{column.name}: the whole numbers are amounts to predict; kind='classification' for classes")
        return values
    if not whole.all():
        cell = column.cells[int(rows[np.argmin(whole)])]
        raise ValueError(f"{cell.where}: expected a whole number or a word as class, got {cell.text!r}")
    if kind is None:
        shown = ", ".join(f"{value:g}" for value in np.unique(values))
        notes.append(f"{column.name}: the values {shown} are taken for classes; kind='regression' for numbers")
    return values.astype(np.int64)


# PYTORCH


def of_torch(dataset: Any, groups: ArrayLike | None, ids: ArrayLike | None) -> Parts:
    """The samples of a map-style PyTorch data set; see `Dataset.from_torch`."""
    what = type(dataset).__name__
    if not (hasattr(dataset, "__len__") and hasattr(type(dataset), "__getitem__")) or isinstance(
        dataset, IterableDataset
    ):
        raise ValueError(
            f"expected a map-style data set with a length and samples by number, got {what}; list the samples of an "
            "iterable one first: list(dataset)"
        )
    if len(dataset) == 0:
        raise ValueError(f"expected samples, but {what} is empty")
    samples: list[NDArray[Any]] = []
    labels: list[Any] = []
    notes: list[str] = []
    for i in range(len(dataset)):
        item = dataset[i]
        if not isinstance(item, tuple | list) or len(item) != 2:
            parts = f"{len(item)} values" if isinstance(item, tuple | list) else type(item).__name__
            raise ValueError(f"sample {i} of {what}: expected a pair (x, y), got {parts}; wrap it to give pairs")
        samples.append(_sample(item[0], i, what))
        labels.append(_label(item[1], i, what))
        if (samples[i].shape, samples[i].dtype) != (samples[0].shape, samples[0].dtype):
            raise ValueError(
                f"sample {i} of {what}: expected x as sample 0, {samples[0].dtype} {samples[0].shape}, got "
                f"{samples[i].dtype} {samples[i].shape}; resize or pad it in a transform"
            )
    kinds: set[Callable[..., Any]] = {str if isinstance(label, str) else float for label in labels}
    if len(kinds) > 1:
        raise ValueError(f"{what}: expected labels that are all names or all numbers, got both")
    y = np.array(labels)
    names = getattr(dataset, "classes", None)
    if y.dtype.kind in "iu" and isinstance(names, list | tuple) and all(isinstance(n, str) for n in names):
        if 0 <= y.min() and y.max() < len(names):
            y = np.array(names)[y]
            notes.append(f"labels are called by their names in {what}.classes")
    return Parts(
        x=np.stack(samples),
        y=y,
        groups=None if groups is None else np.asarray(groups),
        ids=None if ids is None else np.asarray(ids),
        notes=tuple(notes),
        features=(),
    )


def _sample(x: Any, i: int, what: str) -> NDArray[Any]:
    picture = hasattr(x, "getbands")  # of Pillow
    array = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
    if picture:
        array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    if array.dtype.kind not in "fiub" or array.ndim == 0:
        raise ValueError(
            f"sample {i} of {what}: expected x as an array of numbers, got {type(x).__name__} of dtype {array.dtype} "
            f"and shape {array.shape}; a single number needs x[None]"
        )
    return array


def _label(y: Any, i: int, what: str) -> Any:
    if isinstance(y, str):
        return y
    value = y.detach().cpu().numpy() if isinstance(y, Tensor) else np.asarray(y)
    if value.size != 1 or value.dtype.kind not in "fiub":
        raise ValueError(
            f"sample {i} of {what}: expected one label or number as y, got {type(y).__name__} of shape {value.shape}; "
            "of a vector of classes take the argmax"
        )
    return value.reshape(()).item()
