"""The vocabulary: real fragments, their attachment points, and which of them real molecules join.

A *fragment* is what remains of a drug-like molecule when every acyclic single bond at a ring atom is cut (in a
vocabulary of one's own perhaps further bonds: `fragmentation.cut`). Its cut
bonds are its *attachments*. An *action* is a fragment and the attachment by which it is joined (attachments that a
symmetry exchanges are one action); action 0, CLOSE, ends an attachment with hydrogen, or with methyl where hydrogen
would leave a structural alert or no valid molecule. `metaenv molecules mine` makes the table.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.typing import Bools

DATA = Path(__file__).parents[1] / "data"
Cuts = Literal["rings", "brics"]
CUTS: tuple[Cuts, ...] = ("rings", "brics")
CLOSE = 0
"""The action that ends the attachment on top of the stack."""
MAX_ACTIONS = 9
"""Most actions in a molecule of the package's vocabulary, closures included (chosen: 5 to 95 % of real molecules need 4
to 8)."""
MAX_HEAVY_ATOMS = 31
"""Most heavy atoms in such a molecule (chosen: 95 % of the real molecules that can be built have no more, and random
play fills whatever it is given; at 36 half of its molecules are too large to be drug-like)."""
MAX_ATTACHMENTS = 3
"""Most attachments of a fragment (chosen: keeps the property tables complete and small)."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """F fragments and A actions as arrays, and how molecules are made of them; K is `MAX_ATTACHMENTS`."""

    smiles: tuple[str, ...]
    """(F,) canonical SMILES, attachments as ``[1*]``, ``[2*]``, ``[3*]``; commonest first."""
    template: tuple[str, ...]
    """(F,) SMILES with ``{0}``, ``{1}``, ``{2}`` where an attachment's ring-bond number goes."""
    count: NDArray[np.int64]
    """(F,) how often it occurs in the mined molecules."""
    attachments: NDArray[np.int8]
    """(F,) 1 to K."""
    attachment_class: tuple[tuple[str, ...], ...]
    """(F,) the class of each attachment: see `fragmentation.attachment_class`."""
    heavy_atoms: NDArray[np.int8]
    """(F,) without closures."""
    ring: Bools
    """(F,) whether it has a ring; a molecule starts with a ring."""
    methyl: Bools
    """(F, K) whether CLOSE means methyl here."""
    action: NDArray[np.int16]
    """(F, K) the action that joins the fragment by this attachment; 0 where there is no attachment."""
    action_fragment: NDArray[np.int16]
    """(A,) its fragment, -1 for CLOSE."""
    action_attachment: NDArray[np.int8]
    """(A,) the attachment it joins by."""
    allowed: Bools
    """(A, A) ``allowed[open, action]``: whether ``action`` may be put on an open attachment; the attachment is named
    by the action that would join it. Row 0 is the empty molecule. Symmetric apart from row and column 0."""
    max_actions: int = MAX_ACTIONS
    """L: most actions in a molecule, closures included."""
    max_heavy_atoms: int = MAX_HEAVY_ATOMS
    """Most heavy atoms in a molecule."""
    cuts: Cuts = "rings"
    """Which bonds of a real molecule are cut: see `fragmentation.cut`."""
    folder: Path = DATA
    """Where it was read, and where its property tables are."""

    @property
    def n_actions(self) -> int:
        """A: all ways to join a fragment, and CLOSE."""
        return len(self.action_fragment)

    @property
    def action_class(self) -> tuple[str, ...]:
        """(A,) the class of the attachment that each action joins by; "" for CLOSE."""
        pairs = zip(self.action_fragment[1:], self.action_attachment[1:], strict=True)
        return ("", *(self.attachment_class[f][j] for f, j in pairs))

    @property
    def classes(self) -> tuple[str, ...]:
        """All classes of attachments that there are."""
        return tuple(sorted({name for names in self.attachment_class for name in names}))

    @property
    def n_fragments(self) -> int:
        """F."""
        return len(self.smiles)


@lru_cache(maxsize=1)
def load_vocabulary() -> Vocabulary:
    """The vocabulary in ``data/``; the same object at every call."""
    return read_vocabulary(DATA)


def read_vocabulary(folder: Path, **settings: Any) -> Vocabulary:
    """The vocabulary in a folder; ``settings`` are ``max_actions``, ``max_heavy_atoms`` and ``cuts``."""
    with open(folder / "fragments.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with np.load(folder / "allowed.npz", allow_pickle=False) as file:
        size = int(file["size"])
        allowed = np.unpackbits(file["allowed"], count=size * size).reshape(size, size).astype(bool)
    return vocabulary_from(rows, allowed, folder=folder, **settings)


def vocabulary_from(rows: list[dict[str, str]], allowed: Bools | None = None, **settings: Any) -> Vocabulary:
    """A vocabulary from the rows of ``fragments.csv``.

    Args:
        rows: fields ``smiles template count heavy_atoms ring classes methyl joins``; the last three hold one entry an
            attachment, separated by spaces. ``joins`` is the attachment that stands for its symmetry class.
        allowed: (A, A); None allows everything that starts or continues a molecule.
        settings: ``max_actions``, ``max_heavy_atoms``, ``cuts`` and ``folder``, if not those of the package.
    """
    joins = [[int(j) for j in r["joins"].split()] for r in rows]
    pairs = [(f, j) for f, js in enumerate(joins) for j in sorted(set(js))]
    number = {pair: i + 1 for i, pair in enumerate(pairs)}
    action = np.zeros((len(rows), MAX_ATTACHMENTS), np.int16)
    methyl = np.zeros((len(rows), MAX_ATTACHMENTS), bool)
    for f, row in enumerate(rows):
        action[f, : len(joins[f])] = [number[f, j] for j in joins[f]]
        methyl[f, : len(joins[f])] = [m == "1" for m in row["methyl"].split()]
    ring = np.array([r["ring"] == "1" for r in rows])
    if allowed is None:
        allowed = np.ones((len(pairs) + 1, len(pairs) + 1), bool)
        allowed[0] = [False, *(bool(ring[f]) and j == 0 for f, j in pairs)]
    return Vocabulary(
        smiles=tuple(r["smiles"] for r in rows),
        template=tuple(r["template"] for r in rows),
        count=np.array([int(r["count"]) for r in rows]),
        attachments=np.array([len(js) for js in joins], np.int8),
        attachment_class=tuple(tuple(r["classes"].split()) for r in rows),
        heavy_atoms=np.array([int(r["heavy_atoms"]) for r in rows], np.int8),
        ring=ring,
        methyl=methyl,
        action=action,
        action_fragment=np.array([-1, *(f for f, _ in pairs)], np.int16),
        action_attachment=np.array([0, *(j for _, j in pairs)], np.int8),
        allowed=allowed,
        **settings,
    )
