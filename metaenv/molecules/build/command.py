"""`metaenv molecules mine` and `metaenv molecules coverage`: a chemistry from molecules of one's own."""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.interrupts import stops_raised
from metaenv.molecules.build import build_data, mine
from metaenv.molecules.build.coverage import Coverage, coverage, read_molecules
from metaenv.molecules.build.progress import Work
from metaenv.molecules.chem.assembly import Assembly, replay
from metaenv.molecules.chem.chemistry import Chemistry, digest, load_chemistry
from metaenv.molecules.chem.fragmentation import pattern, to_mol
from metaenv.molecules.chem.fragments import CUTS, MAX_ACTIONS, MAX_HEAVY_ATOMS, Vocabulary
from metaenv.molecules.chem.functional_groups import GROUPS, read_groups
from metaenv.molecules.chem.properties import COLUMNS, Score, Scores, additive, by_rdkit, properties_of
from metaenv.molecules.chem.property_tables import FragmentTable, Tabulator
from metaenv.molecules.chem.smiles import notations
from metaenv.molecules.design.tasks import VARIANTS
from metaenv.molecules.lead.library import SITES

REFERENCES = 6_000  # real molecules that are kept, at most (chosen)
MANY = 6  # times as many molecules of a file of references are looked at (chosen)
LEAST = 200  # of them that are needed, unless less is asked for: few make few objectives (chosen)
CHECKED = 200  # real molecules, and random ones, whose properties are compared with RDKit's (chosen)
EXACT = 1e-6  # largest difference that rounding can make
SEED = 20_240_503  # chosen
PIECE = 250  # molecules that one process does at once (chosen)
MOST_GROUPS = 32  # functional groups: bits of a number


def molecules_command(args: list[str]) -> int:
    """Parse ``mine …`` or ``coverage …`` and do it."""
    parser = argparse.ArgumentParser("metaenv molecules", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="mine|coverage")
    new = commands.add_parser(
        "mine",
        help="make a chemistry, which environments take as chemistry=FOLDER",
        description="Cut molecules into fragments, and write a folder with the vocabulary of the commonest ones, their "
        "property tables, reference molecules, objectives and evaluation lists. Environments take it as "
        "chemistry=FOLDER. Ctrl-C leaves nothing behind.",
    )
    new.add_argument("--molecules", type=Path, required=True, help="a SMILES a line, or a table with a column smiles")
    new.add_argument("--out", type=Path, required=True, help="the folder to make, new or empty")
    new.add_argument("--fragments", type=int, default=128, help="fragments in the vocabulary (128)")
    new.add_argument("--cuts", choices=CUTS, default="rings", help="bonds to cut: at rings, or those of BRICS as well")
    new.add_argument("--placements", type=int, default=MAX_ACTIONS, help=f"actions in a molecule ({MAX_ACTIONS})")
    new.add_argument("--heavy-atoms", type=int, default=MAX_HEAVY_ATOMS, help=f"in a molecule ({MAX_HEAVY_ATOMS})")
    new.add_argument(
        "--alerts", action="store_true", help="keep molecules and fragments with alerts: built, though they score 0"
    )
    new.add_argument("--groups", type=Path, help="table of functional groups to ask for, with columns name and smarts")
    new.add_argument("--least", type=int, default=LEAST, help=f"molecules that it must be able to build ({LEAST})")
    new.add_argument("--limit", type=int, help="read only so many of the molecules, at random")
    new.add_argument(
        "--references", type=Path, help="molecules, without alerts, that certify objectives (those of --molecules)"
    )
    new.add_argument(
        "--held-out", type=int, default=0, help="molecules, at random, that are not mined and tell the coverage (0)"
    )
    new.add_argument("--include", nargs="+", default=(), help="fragments to have though they are rare: '*S(*)=O'")
    new.set_defaults(run=_mine)
    known = commands.add_parser("coverage", help="count how many molecules a chemistry can build")
    known.add_argument("--molecules", type=Path, required=True, help="a SMILES a line, or a table with a column smiles")
    known.add_argument("--chemistry", help="a folder that mine has made (the package's own)")
    known.set_defaults(run=_coverage)
    for command in (new, known):
        command.add_argument("--workers", type=int, default=1, help="processes (1)")
    try:
        given = vars(parser.parse_args(args))
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    with stops_raised():
        given.pop("run")(**given)
    return 0


def _coverage(molecules: Path, chemistry: str | None, workers: int) -> None:
    smiles, _, notes = read_molecules(molecules)
    found = _covered(Work(1, workers), smiles, load_chemistry(chemistry).vocabulary)
    print("\n".join([*notes, str(found)]))


def _covered(work: Work, smiles: Sequence[str], vocabulary: Vocabulary) -> Coverage:
    found = Coverage()
    for part in work.map("coverage", coverage, pieces(smiles), vocabulary, total=len(smiles)):
        found.add(part)
    return found


def _mine(out: Path, **options: Any) -> None:
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise FileExistsError(f"expected a new or an empty folder, and there is something at {str(out)!r}")
    with _whole(out) as folder:
        report, chemistry = mined(folder, **options)
    chemistry.move(out.resolve())
    print(f"{report}\nwritten to {out}: take it as chemistry={str(out)!r}")


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that becomes it at the end, or is removed if that fails."""
    folder = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    folder.mkdir(parents=True)
    try:
        yield folder
        if out.is_dir():
            out.rmdir()
        folder.replace(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def mined(
    folder: Path,
    molecules: Path,
    fragments: int = 128,
    cuts: Any = "rings",
    placements: int = MAX_ACTIONS,
    heavy_atoms: int = MAX_HEAVY_ATOMS,
    alerts: bool = False,
    groups: Path | None = None,
    least: int = LEAST,
    limit: int | None = None,
    references: Path | None = None,
    held_out: int = 0,
    include: Sequence[str] = (),
    workers: int = 1,
) -> tuple[str, Chemistry]:
    """Write a chemistry into a folder that is there; returns what there is to say of it, and the chemistry.

    Raises:
        ValueError: numbers or files that make no sense, or too few molecules that the vocabulary can build.
    """
    _check_numbers(fragments=fragments, placements=placements, heavy_atoms=heavy_atoms, least=least, limit=limit)
    asked = GROUPS if groups is None else _own_groups(groups)
    smiles, sha256, notes = read_molecules(molecules)
    if not 0 <= held_out < len(smiles):
        raise ValueError(f"expected --held-out from 0 to {len(smiles) - 1:,}, as there are molecules, got {held_out}")
    work, rng = Work(7 if references is None else 8, workers), np.random.default_rng(SEED)
    smiles = [smiles[i] for i in rng.permutation(len(smiles))]
    others, smiles = smiles[:held_out], smiles[held_out:][: limit or len(smiles)]

    counts = mine.Counts()
    for part in work.map("cut molecules", _count, pieces(smiles), cuts, alerts, total=len(smiles)):
        counts.add(part)
    kept_molecules, everywhere, origin = counts.kept, mine.Counts(), dict[str, Any]()
    everywhere.add(counts)
    if references is not None:
        known, origin["references_sha256"], more = read_molecules(references)
        origin["references"], notes = references.name, [*notes, *more]
        known = [known[i] for i in rng.permutation(len(known))[: MANY * REFERENCES]]
        kept_molecules = []
        for part in work.map("cut references", _count, pieces(known), cuts, False, total=len(known)):
            kept_molecules += part.kept
            everywhere.add(part)
    rows = mine.choose(counts, fragments, alerts, include, everywhere)
    if not any(row["ring"] == "1" for row in rows):
        raise ValueError(f"{molecules}: no ring that is fit to be a fragment is in any of {len(smiles):,} molecules")
    settings = {"max_actions": placements, "max_heavy_atoms": heavy_atoms, "cuts": cuts}
    plain = mine.vocabulary_from(rows, folder=folder, **settings)
    vocabulary = mine.vocabulary_of(
        rows,
        counts,
        lambda parts: work.map("check pairs of fragments", _every if alerts else mine.without_alert, parts, plain),
        len(set(include)),
        everywhere,
        folder=folder,
        **settings,
    )
    found = (s for part in work.map("build molecules", _built, pieces(kept_molecules), vocabulary) for s in part)
    actions, reachable = mine.distinct(found, REFERENCES, rng)
    if reachable < least:
        seen = _covered(work, smiles, vocabulary)
        raise ValueError(
            f"expected at least {least} molecules that can be built, got {reachable}; give more "
            f"molecules, or more --fragments or --placements.\n{seen}"
        )
    _write_vocabulary(folder, rows, vocabulary)
    tabulator = Tabulator(vocabulary)
    tables = work.map("property tables", _table, range(vocabulary.n_fragments), tabulator)
    _save(folder / "contexts.npz", **vars(tabulator.tabulate(tables)))
    _check_properties(actions, vocabulary)

    score = lambda parts: work.map("score molecules", _scores, parts, vocabulary, asked)  # noqa: E731
    facts = build_data.facts(actions, vocabulary, asked, score)
    kept = mine.common_groups(asked, facts["anchor_groups"])
    _renumber(facts, asked, kept)
    feasible = facts["anchor_feasible"]
    if feasible.sum() < least:
        raise ValueError(
            f"expected at least {least} molecules that can be made and have no alert, got {feasible.sum()} of "
            f"{len(actions)}; give more molecules"
        )
    _save(folder / "anchors.npz", actions=build_data.stored(actions))
    _save(folder / "facts.npz", **facts)
    with open(folder / "functional_groups.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("name", "smarts"), *kept.items()])
    scaffolds = [vocabulary.smiles[f] for f in np.flatnonzero(vocabulary.ring & (vocabulary.attachments == SITES))]
    splits = {
        "held_out_groups": [list(kept)[i] for i in mine.every(len(kept), 1, 6)],
        "held_out_scaffolds": [scaffolds[i] for i in mine.every(min(len(scaffolds), 16), 1, 4)] if scaffolds else [],
    }
    values = properties_of(actions[feasible], vocabulary)
    _write_json(folder / "chemistry.json", {"limits": settings, **mine.scales(values), **splits})

    chemistry = Chemistry(folder, digest(folder))
    lists = work.over("objectives and evaluation lists", build_data.write_lists(chemistry), len(VARIANTS) + 2)
    notes += [note.replace(f"the chemistry {chemistry}", "this one") for note in lists if note]
    seen = _covered(work, others or smiles, vocabulary)
    if not feasible.all():
        notes.append(f"{(~feasible).sum()} of {len(actions)} reference molecules certify nothing: hard to make")
    provenance = {
        "file": molecules.name,
        "file_sha256": sha256,
        **origin,
        "molecules_read": counts.read,
        "molecules_kept": len(counts.kept),
        "kept_if": f"one neutral component with a ring{'' if alerts else ' and no BRENK alert'}",
        "distinct_fragments": len(counts.fragments),
        "cut_bonds": sum(counts.bonds.values()) // 2,
        "anchors_found": reachable,
        "anchors_stored": len(actions),
        "vocabulary_size": len(rows),
        "min_bond_share": mine.MIN_BOND_SHARE,
        "include": list(include),
        "seed": SEED,
        "coverage": {"held_out": bool(others), **seen.to_dict()},
        "notes": notes,
        "made_with": {**build_data.made_with(), "python": platform.python_version()},
    }
    _write_json(folder / "provenance.json", provenance)
    load_chemistry(folder)
    share = sum(int(row["count"]) for row in rows) / max(sum(counts.fragments.values()), 1)
    report = "\n".join(
        [
            f"{counts.read:,} molecules, of which {len(counts.kept):,} are neutral, with a ring"
            + ("" if alerts else " and no alert"),
            f"{len(counts.fragments):,} kinds of fragment; the {len(rows)} of the vocabulary are {share:.0%} of all "
            f"that were found; {vocabulary.n_actions} actions",
            f"{len(actions):,} reference molecules, {feasible.sum():,} of them feasible; {len(kept)} functional groups",
            *(f"note: {note}" for note in notes),
            str(seen),
        ]
    )
    return report, chemistry


# PIECES OF WORK


def pieces(items: Sequence[Any]) -> list[Sequence[Any]]:
    """Parts that take a second or less."""
    return [items[i : i + PIECE] for i in range(0, len(items), PIECE)]


def _count(cuts: Any, alerts: bool, smiles: Sequence[str]) -> mine.Counts:
    return mine.count(smiles, cuts, alerts)


def _every(vocabulary: Vocabulary, pairs: NDArray[np.intp]) -> list[bool]:
    return [True] * len(pairs)


def _built(vocabulary: Vocabulary, kept: Sequence[tuple[str, tuple[str, ...]]]) -> list[NDArray[np.int16]]:
    return mine.built(kept, vocabulary)


def _table(tabulator: Tabulator, fragment: int) -> FragmentTable:
    return tabulator.of(fragment)


def _scores(vocabulary: Vocabulary, groups: dict[str, str], actions: NDArray[np.int16]) -> list[Score]:
    return Scores(with_fingerprint=False, vocabulary=vocabulary, groups=groups)(actions)


# CHECKING


def _check_numbers(**given: int | None) -> None:
    least = {
        "fragments": (8, 4096),
        "placements": (3, 40),
        "heavy_atoms": (6, 100),
        "least": (40, REFERENCES),
        "limit": (1, 10**9),
    }
    for name, value in given.items():
        low, high = least[name]
        if value is not None and not low <= value <= high:
            raise ValueError(f"expected --{name.replace('_', '-')} from {low} to {high:,}, got {value}")


def _own_groups(path: Path) -> dict[str, str]:
    try:
        found = read_groups(path)
    except (KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected a table with the columns name and smarts; found wrong: {error}") from None
    for row, (name, smarts) in enumerate(found.items(), start=2):
        if not name or not smarts or pattern(smarts) is None:
            raise ValueError(f"{path}, row {row}: expected a name and a SMARTS, got {name!r} and {smarts!r}")
    if not 8 <= len(found) <= MOST_GROUPS:
        raise ValueError(f"{path}: expected 8 to {MOST_GROUPS} functional groups, got {len(found)}")
    return found


def _check_properties(actions: NDArray[np.int16], vocabulary: Vocabulary) -> None:
    """Raise unless the tables agree with RDKit on some real and some random molecules."""
    some = replay(actions[:: max(len(actions) // CHECKED, 1)], vocabulary)
    random = Assembly(CHECKED, vocabulary)
    random.rollout(np.random.default_rng(SEED))
    for made in (some, random):
        exact = np.array([by_rdkit(to_mol(text))[COLUMNS] for text in notations(made)])
        wrong = np.abs(additive(made)[:, COLUMNS] - exact).max(axis=1)
        if wrong.max() > EXACT:
            raise ValueError(
                f"the property tables differ by {wrong.max():g} from RDKit for {notations(made)[int(wrong.argmax())]}; "
                "this is a fault of metaenv: please report it"
            )


def _renumber(facts: dict[str, NDArray[Any]], asked: dict[str, str], kept: dict[str, str]) -> None:
    """Bits of the groups that are kept, in place of those of all groups."""
    places = np.array([list(asked).index(name) for name in kept])
    for name in ("anchor_groups", "pool_groups"):
        bits = facts[name].astype(np.int64)
        facts[name] = ((bits[:, None] >> places & 1) << np.arange(len(places))).sum(axis=1).astype(np.uint32)


# WRITING


def _write_vocabulary(folder: Path, rows: list[dict[str, str]], vocabulary: Vocabulary) -> None:
    with open(folder / "fragments.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, mine.FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    _save(folder / "allowed.npz", allowed=np.packbits(vocabulary.allowed), size=vocabulary.n_actions)


def _save(path: Path, **arrays: Any) -> None:
    np.savez_compressed(path, **arrays)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
