"""Measurements of one's own: a CSV file of molecules, assays and values, read with a report of what was found."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metaenv.delimited import Cell, TableError, numbers_of, place, read_sheet, refusal
from metaenv.errors import nearest
from metaenv.molecules.chem.fragmentation import MoleculeError, to_mol
from metaenv.typing import Bools, Floats, Index

SPLITS = ("train", "validation", "test")
USUAL = {
    "smiles": ("smiles", "canonical_smiles", "canonicalsmiles", "isomeric_smiles", "structure", "mol"),
    "assay": ("assay", "assay_id", "assay_chembl_id", "assay_name", "target", "target_id", "target_chembl_id", "task"),
    "value": ("value", "y", "label", "active", "activity", "pic50", "pki", "pec50", "pkd", "pchembl_value", "pchembl"),
    "split": ("split", "set", "fold"),
}
"""Names by which columns are found, whatever their case; spaces count as underscores."""
CONCENTRATIONS = ("ic50", "ki", "ec50", "kd")
ACTIVE = ("1", "1.0", "active", "true", "yes", "positive", "hit", "toxic")
INACTIVE = ("0", "0.0", "inactive", "false", "no", "negative", "non-toxic", "nontoxic")
DECADES = 4.0  # spanned by positive values from which on they are taken for concentrations (chosen)
SHOWN = 5  # faults of a kind that the report names one by one
LABELLED, CHARGED, STEREO = re.compile(r"\[\d|:\d+\]"), re.compile(r"[+-]\d*\]"), re.compile(r"[@/\\]")
"""What in a canonical SMILES tells of isotopes or atom maps, of charges, and of stereochemistry."""


class _Row(NamedTuple):
    line: int
    cells: dict[str, str]


@dataclass(frozen=True, eq=False)
class Measurements:
    """What a file holds: each molecule once an assay. A value, equal to another of the same content."""

    path: str
    names: tuple[str, ...]
    """Of the assays, sorted."""
    assay: Index
    """(n,) which assay was measured."""
    smiles: tuple[str, ...]
    """(n,) canonical SMILES of the largest component, neutral where protons balance the charge."""
    flat: tuple[str, ...]
    """(n,) the same without stereochemistry, as fingerprints see molecules."""
    value: Floats
    """(n,) more is better; or 1 for active and 0 for inactive."""
    labels: bool
    """Whether values are active and inactive."""
    split: NDArray[np.str_]
    """(n,) as the file says: train, validation or test; "" where it has no such column."""
    notes: tuple[str, ...]
    """What was assumed, merged or left out."""
    unreadable: tuple[str, ...]
    """Every row that was left out because RDKit cannot read its molecule, with the reason."""

    def __len__(self) -> int:
        return len(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Measurements) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the content, whatever the order of the rows was."""
        names = [self.names[a] for a in self.assay]
        rows = sorted(zip(names, self.smiles, self.value.tolist(), self.split.tolist(), strict=True))
        return hashlib.sha256(repr((self.labels, rows)).encode()).hexdigest()

    @cached_property
    def scaffolds(self) -> NDArray[np.str_]:
        """(n,) Murcko scaffold of each molecule; one without a ring counts as a scaffold of its own."""
        from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

        known = {text: MurckoScaffoldSmiles(mol=to_mol(text)) or text for text in set(self.flat)}
        return np.array([known[text] for text in self.flat])

    @property
    def sizes(self) -> Index:
        """(assays,) number of molecules."""
        return np.bincount(self.assay, minlength=len(self.names))

    def active(self, threshold: float | None = None) -> Bools:
        """(n,) labels; or which values lie above a threshold, by default above the median of the assay."""
        if self.labels:
            return self.value > 0
        if threshold is not None:
            return self.value > threshold
        medians = np.array([np.median(self.value[self.assay == a]) for a in range(len(self.names))])
        return self.value > medians[self.assay]

    def take(self, rows: Bools, note: str = "") -> Measurements:
        """Some of the rows, with the assays that are left."""
        left, code = np.unique(self.assay[rows], return_inverse=True)
        index = np.flatnonzero(rows)
        return replace(
            self,
            names=tuple(self.names[a] for a in left),
            assay=code,
            smiles=tuple(self.smiles[i] for i in index),
            flat=tuple(self.flat[i] for i in index),
            value=self.value[index],
            split=self.split[index],
            notes=(*self.notes, note) if note else self.notes,
        )

    def without(self, small: Bools, why: str) -> Measurements:
        """Without some assays (assays,), which a note names.

        Raises:
            ValueError: none is left.
        """
        if not small.any():
            return self
        gone = [f"{name} ({n})" for name, n, out in zip(self.names, self.sizes, small, strict=True) if out]
        note = f"{len(gone)} of {len(self.names)} assays are left out, as {why}: {_some(gone)}"
        if small.all():
            raise ValueError(f"{self.path}: {note}; so none is left")
        return self.take(~small[self.assay], note)

    def report(self) -> str:
        """What was read, as text: sizes of the assays, and every note."""
        rows = [f"{self.path}: {len(self):,} molecules measured in {len(self.names)} assays, {self._splits()}"]
        for a, name in enumerate(self.names):
            value = self.value[self.assay == a]
            what = (
                f"{value.mean():.0%} active"
                if self.labels
                else f"values {value.min():g} to {value.max():g}, median {np.median(value):g}"
            )
            rows.append(f"- {name}: {len(value):,} molecules, {what}")
        return "\n".join([*rows, *self.notes, *self.unreadable])

    def _splits(self) -> str:
        counts = Counter(self.split.tolist())
        told = ", ".join(f"{name} {counts[name]:,}" for name in SPLITS if counts[name])
        return f"splits as the file says: {told}" if told else "no column of splits"


def read_measurements(
    path: str | os.PathLike[str],
    *,
    smiles: str | None = None,
    assay: str | None = None,
    value: str | None = None,
    split: str | None = None,
    active: str | None = None,
    concentration: float | None = None,
) -> Measurements:
    """Read a CSV file with a molecule, an assay and a value (or label) in each row.

    Salts are taken off, charges are balanced by protons where that is possible, and rows whose molecule RDKit cannot
    read are left out and listed. The same molecule several times in an assay counts once: with the mean of its
    numbers; with its label if all agree, else not at all. Empty values are left out.

    Args:
        path: of the file, see `metaenv.delimited.read_sheet`; a first row has the names of the columns.
        smiles, assay, value, split: names of the columns; by default the usual ones, see `USUAL`. Without an assay
            column there is one assay, named like the file. The split is train, validation or test.
        active: the word that stands for an active molecule, if the file has words of its own.
        concentration: values are concentrations (IC50, Ki), in units of this many mol/l, such as 1e-9; what is read is
            then -log10 of mol/l, so that more is better.

    Raises:
        FileNotFoundError: there is no such file.
        TableError: a column is missing or is there twice, or a cell cannot be what it should be; the message names the
            file, the row, the column and a remedy.
    """
    where = str(path)
    sheet = read_sheet(path)
    notes = list(sheet.notes)
    if not sheet.rows:
        raise refusal(where, "found no row below the header", "write a molecule, its assay and its value in each")
    rows = [
        _Row(line, dict(zip(sheet.head, cells, strict=True)))
        for line, cells in zip(sheet.lines, sheet.rows, strict=True)
    ]
    columns = _columns(where, sheet.head, {"smiles": smiles, "assay": assay, "value": value, "split": split})
    if columns["assay"] is None:
        notes.append(f"{where} has no column of assays: all rows are one assay, named {Path(path).stem!r}")
    rows = _with_value(where, rows, columns, notes)
    numbers, labels = _values(where, rows, str(columns["value"]), active, concentration, notes)
    splits = [_split(where, row, columns["split"]) for row in rows]
    names = [row.cells[columns["assay"]] if columns["assay"] else Path(path).stem for row in rows]
    if unnamed := next((row.line for row, name in zip(rows, names, strict=True) if not name), None):
        raise refusal(place(where, unnamed, columns["assay"]), "the name of the assay is missing", "fill it in")
    found, unreadable = _molecules(where, rows, str(columns["smiles"]), notes)
    kept = [i for i, text in enumerate(found) if text]
    merged = _merged([(names[i], found[i], numbers[i], splits[i], rows[i].line) for i in kept], labels, where, notes)
    assays, code = np.unique([name for name, *_ in merged], return_inverse=True)
    flat = _flat({text for _, text, _, _ in merged})
    return Measurements(
        where,
        tuple(assays.tolist()),
        code,
        tuple(text for _, text, _, _ in merged),
        tuple(flat[text] for _, text, _, _ in merged),
        np.array([number for *_, number, _ in merged]),
        labels,
        np.array([told for *_, told in merged], np.str_),
        tuple(notes),
        tuple(unreadable),
    )


# COLUMNS


def _columns(path: str, head: Sequence[str], given: dict[str, str | None]) -> dict[str, str | None]:
    """The names of the four columns; None for an assay or a split that the file lacks."""
    known = {re.sub(r"\W+", "_", name.lower()).strip("_"): name for name in head}
    found: dict[str, str | None] = {}
    for what, asked in given.items():
        if asked is not None:
            if asked not in head:
                raise TableError(f"{path} has no column {asked!r}.{nearest(asked, head)}")
            found[what] = asked
            continue
        usual = [known[name] for name in USUAL[what] if name in known and known[name] not in given.values()]
        if len(usual) > 1:
            several = f"several columns may be the {what}: {', '.join(usual)}"
            raise refusal(path, several, f"say which, such as {what}={usual[0]!r}")
        if not usual and what in ("smiles", "value"):
            raw = [known[name] for name in CONCENTRATIONS if name in known]
            remedy = (
                f"{raw[0]!r} may be a concentration: value={raw[0]!r}, concentration=1e-9 if it is in nM"
                if raw and what == "value"
                else f"say which it is, such as {what}={head[0]!r}"
            )
            raise refusal(path, f"there is no column of the {what} among {', '.join(head)}", remedy)
        found[what] = usual[0] if usual else None
    return found


# VALUES


def _with_value(path: str, rows: list[_Row], columns: dict[str, str | None], notes: list[str]) -> list[_Row]:
    kept = [row for row in rows if row.cells[str(columns["value"])]]
    if not kept:
        raise refusal(path, f"the column {columns['value']} is empty", "choose another by value")
    if len(kept) < len(rows):
        notes.append(f"{path}: rows without a value are left out: {len(rows) - len(kept)}")
    return kept


def _values(
    path: str, rows: list[_Row], column: str, active: str | None, concentration: float | None, notes: list[str]
) -> tuple[Floats, bool]:
    """Numbers, and whether they are labels."""
    texts, where = [row.cells[column] for row in rows], place(path, column=column)
    words = {text.lower() for text in texts}
    if active is not None or words <= {*ACTIVE, *INACTIVE}:
        yes = ACTIVE if active is None else (active.lower(),)
        if not words & set(yes) or len(words - set(yes)) < 1:
            what = f"expected active and inactive molecules, found only {sorted(words)[:SHOWN]}"
            raise refusal(where, what, "say which word is active, or choose the column by value")
        if active is not None and len(words) > 2:
            what = f"expected two words, {active!r} and another, found {sorted(words)[:SHOWN]}"
            raise refusal(where, what, "write two words, or leave cells empty")
        if concentration is not None:
            raise refusal(where, "these are labels", "leave out concentration")
        return np.array([float(text.lower() in yes) for text in texts]), True
    cells = [Cell(text, place(path, row.line, column)) for row, text in zip(rows, texts, strict=True)]
    found, assumed = numbers_of(cells, column)
    if found is None and len(words) == 2:
        raise refusal(where, f"{sorted(words)} may be labels", f"say which is active, as active={sorted(words)[0]!r}")
    if found is None:
        what = f"expected a finite number as {column}, got {texts[0]!r}"
        raise refusal(cells[0].where, what, "write numbers such as 6.5, or labels of two words")
    notes += [f"{path}, {note}" for note in assumed]
    numbers = np.array(found)
    positive = (numbers > 0).all()
    if concentration is not None:
        if not concentration > 0:
            raise ValueError(f"expected concentration as a positive number of mol/l, such as 1e-9, got {concentration}")
        if not positive:
            row = rows[int(np.argmin(numbers))]
            what = f"a concentration must be positive, got {row.cells[column]}"
            raise refusal(place(path, row.line, column), what, "leave the cell empty")
        return -np.log10(numbers * concentration), False
    if positive and np.log10(numbers.max() / numbers.min()) > DECADES:
        notes.append(
            f"{path}, column {column}: values from {numbers.min():g} to {numbers.max():g} look like concentrations, "
            "but are read as they are, more being better; if less is better, say concentration=1e-9 (for nM)"
        )
    return numbers, False


def _split(path: str, row: _Row, column: str | None) -> str:
    if column is None:
        return ""
    told = row.cells[column].lower()
    if told not in SPLITS:
        expected = f"expected {', '.join(SPLITS[:-1])} or {SPLITS[-1]}, got {row.cells[column]!r}"
        raise TableError(f"{place(path, row.line, column)}: {expected}.{nearest(told, SPLITS)}")
    return told


# MOLECULES


def _molecules(path: str, rows: list[_Row], column: str, notes: list[str]) -> tuple[list[str], list[str]]:
    """Canonical SMILES of each row, "" for those that RDKit cannot read, and these with the reason."""
    known: dict[str, tuple[str, list[str]]] = {}
    found: list[str] = []
    unreadable: list[str] = []
    what: Counter[str] = Counter()
    for row in rows:
        text = row.cells[column]
        if text not in known:
            known[text] = _standard(text)
        smiles, remarks = known[text]
        found.append(smiles)
        if not smiles:
            unreadable.append(f"{place(path, row.line, column)}: {remarks[0]}")
        else:
            what.update(remarks)
    if 2 * len(unreadable) > len(rows):
        remedy = f"so are {len(unreadable) - 1} more of {len(rows)} rows: is {column} the column of SMILES?"
        raise TableError(f"{unreadable[0]}; {remedy}")
    if unreadable:
        notes.append(f"{path}: rows are left out, as their molecules cannot be read: {len(unreadable)}")
    notes += [f"{path}: {which}: {n} rows" if n > 1 else f"{path}: {which}: 1 row" for which, n in sorted(what.items())]
    return found, unreadable


def _standard(text: str) -> tuple[str, list[str]]:
    """Canonical SMILES, and what was done to it; or "" and the reason."""
    from rdkit import Chem, rdBase
    from rdkit.Chem.MolStandardize import rdMolStandardize

    try:
        mol = to_mol(text)
    except MoleculeError as error:
        return "", [str(error) if text else "there is no SMILES"]
    done: list[str] = []
    smiles = Chem.MolToSmiles(mol)
    if "." in smiles:
        kinds = {part: to_mol(part) for part in set(smiles.split("."))}
        smiles, *others = sorted(kinds, key=lambda part: (-kinds[part].GetNumHeavyAtoms(), part))
        mol = kinds[smiles]
        alike = any(2 * kinds[other].GetNumHeavyAtoms() > mol.GetNumHeavyAtoms() and "c" in other.lower()
                    for other in others)  # fmt: skip
        done.append(f"of {'mixtures' if alike else 'salts or solvates'} the largest component is kept")
    if "*" in smiles:
        return "", [f"{text!r} has an open attachment (*), so it is no whole molecule"]
    if LABELLED.search(smiles):
        done.append("isotopes or atom maps are taken off")
        for atom in mol.GetAtoms():
            atom.SetIsotope(0)
            atom.SetAtomMapNum(0)
        mol = Chem.RemoveHs(mol)
        smiles = Chem.MolToSmiles(mol)
    if CHARGED.search(smiles):
        with rdBase.BlockLogs():
            neutral = Chem.MolToSmiles(rdMolStandardize.Uncharger().uncharge(mol))
        if neutral != smiles:
            done.append("charges are balanced by protons")
        smiles = neutral
    return smiles, done


def _flat(smiles: set[str]) -> dict[str, str]:
    """Canonical SMILES without stereochemistry, by SMILES."""
    from rdkit import Chem

    return {
        text: Chem.MolToSmiles(to_mol(text), isomericSmiles=False) if STEREO.search(text) else text for text in smiles
    }


def _merged(
    rows: list[tuple[str, str, float, str, int]], labels: bool, path: str, notes: list[str]
) -> list[tuple[str, str, float, str]]:
    """Each molecule once an assay: name, SMILES, value and split."""
    same: dict[tuple[str, str], list[tuple[float, str, int]]] = {}
    for name, smiles, number, told, line in rows:
        same.setdefault((name, smiles), []).append((number, told, line))
    merged: list[tuple[str, str, float, str]] = []
    agree, differ = 0, []
    for (name, smiles), each in same.items():
        numbers = [number for number, _, _ in each]
        if len({told for _, told, _ in each}) > 1:
            what = f"the same molecule of assay {name!r} is in two splits"
            raise refusal(f"{path}, rows {each[0][2]} and {each[-1][2]}", what, "give it one")
        agree += len(each) > 1 and len(set(numbers)) == 1
        if len(set(numbers)) > 1:
            differ.append(f"{name} rows {', '.join(str(line) for *_, line in each[:3])}: {min(numbers):g} to "
                          f"{max(numbers):g}")  # fmt: skip
            if labels:
                continue
        merged.append((name, smiles, float(np.mean(numbers)), each[0][1]))
    if agree:
        notes.append(f"{path}: molecules that an assay has several times, with the same value, count once: {agree}")
    if differ:
        what = "none counts" if labels else "the mean counts"
        notes.append(
            f"{path}: of molecules that an assay has several times, with different values, {what} ({len(differ)}): "
            f"{_some(differ)}"
        )
    if not merged:
        raise TableError(f"{path}: no row is left; {'; '.join(notes)}")
    return merged


def _some(texts: Sequence[str]) -> str:
    return "; ".join(texts[:SHOWN]) + (f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else "")
