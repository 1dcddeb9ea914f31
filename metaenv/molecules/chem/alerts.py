"""Structural alerts: which molecules have one, and which fragments can be joined without making one.

RDKit compares a molecule with all alerts, one after the other. For a molecule that is made of fragments, `AlertScreen`
finds the alerts that it can have at all, which are usually a handful. Its rule is exact. The query of an alert is cut
at the bonds that are in no ring of the query. The rings that remain must match rings of the molecule, which lie within
one fragment; each bond that was cut must match a bond within a fragment, or one between two. What the atoms of a
fragment match depends on the fragment and on which of its attachments are closed, so it is tabulated. A molecule that
lacks a piece of an alert cannot have the alert; a molecule that has all pieces is compared by RDKit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Any, cast

from metaenv.molecules.chem.assembly import ABSENT, CLOSED, OPEN
from metaenv.molecules.chem.fragmentation import pattern, to_mol
from metaenv.molecules.chem.fragments import MAX_ATTACHMENTS, Vocabulary
from metaenv.molecules.chem.property_tables import attachment_atoms
from metaenv.molecules.chem.smiles import ATOM, write

if TYPE_CHECKING:
    from rdkit.Chem import Mol

PICKLED = b"\xef\xbe\xad\xde"
"""How RDKit's binary form of a molecule begins (0xDEADBEEF, low byte first)."""
REMEMBERED = 4096  # sets of pieces whose alerts are remembered


def has_alert(mol: Mol) -> bool:
    """Whether a molecule has one of BRENK's 105 alerts (ChemMedChem 3, 435, 2008)."""
    return _alerts().HasMatch(mol)


def alert_names(mol: Mol) -> list[str]:
    """BRENK's names of a molecule's alerts."""
    return [str(entry.GetDescription()) for entry in _alerts().GetMatches(mol)]


@lru_cache(maxsize=1)
def _alerts() -> Any:
    from rdkit.Chem import FilterCatalog

    params = FilterCatalog.FilterCatalogParams()
    params.AddCatalog(params.FilterCatalogs.BRENK)
    return FilterCatalog.FilterCatalog(params)


def joined_without_alert(vocabulary: Vocabulary, open_port: int, action: int) -> bool:
    """Whether two fragments, joined and otherwise closed, are a molecule without an alert."""
    v, screen = vocabulary, alert_screen(vocabulary)
    fragments = [int(v.action_fragment[open_port]), int(v.action_fragment[action])]
    here, there = int(v.action_attachment[open_port]), MAX_ATTACHMENTS + int(v.action_attachment[action])
    bonds = {here: there, there: here}
    partner = [
        [bonds.get(MAX_ATTACHMENTS * p + j, CLOSED) if j < v.attachments[f] else ABSENT for j in range(MAX_ATTACHMENTS)]
        for p, f in enumerate(fragments)
    ]
    if not screen.possible(fragments, partner):  # as with most pairs, which is told without the molecule
        return True
    return not screen(to_mol(write(fragments, partner, v)), fragments, partner)


# WHICH ALERTS A MOLECULE MAY HAVE


@dataclass(frozen=True)
class Shown:
    """What pieces a fragment has, with some of its attachments closed and the others joined.

    Sets of pieces are integers, a bit a piece.
    """

    inside: int
    """Pieces that match within it."""
    ends: tuple[tuple[int, int], ...]
    """For each attachment the pieces of two atoms whose first, and whose second, its atom matches."""


class AlertScreen:
    """Finds alerts in molecules made of a vocabulary's fragments; agrees with `has_alert`.

    What a fragment has is looked up when it is first used, in 2 ms.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._pieces: dict[str, int] = {}
        catalog = _alerts()
        entries = [catalog.GetEntryWithIdx(i) for i in range(catalog.GetNumEntries())]
        self._alerts = [(entry, self._needed(_query_of(entry))) for entry in entries]
        self._shown = lru_cache(None)(self._show)
        self._possible = lru_cache(REMEMBERED)(self._with_all_pieces)

    def __call__(self, mol: Mol, fragment: Sequence[int], partner: Sequence[Sequence[int]]) -> bool:
        """Whether the molecule ``mol`` has an alert.

        ``fragment`` (p,) and ``partner`` (p, 3) are as `Assembly` has them; what is open counts as closed.
        """
        return any(entry.HasFilterMatch(mol) for entry in self.possible(fragment, partner))

    def possible(self, fragment: Sequence[int], partner: Sequence[Sequence[int]]) -> tuple[Any, ...]:
        """RDKit's filters of the alerts that a molecule may have."""
        shown: dict[int, Shown] = {}
        found = 0
        for place, f in enumerate(fragment):
            if f >= 0:
                closed = sum(1 << j for j, other in enumerate(partner[place]) if other <= OPEN)
                shown[place] = self._shown(f, closed)
                found |= shown[place].inside
        for place, here in shown.items():
            for (first, second), other in zip(here.ends, partner[place], strict=False):
                if other > MAX_ATTACHMENTS * place:  # each bond once, from its lower end
                    there = shown[other // MAX_ATTACHMENTS].ends[other % MAX_ATTACHMENTS]
                    found |= (first & there[1]) | (second & there[0])
        return self._possible(found)

    # PRIVATE

    def _with_all_pieces(self, found: int) -> tuple[Any, ...]:
        return tuple(entry for entry, needed in self._alerts if not needed & ~found)

    def _needed(self, query: Mol | None) -> int:
        """The pieces of a query, which are numbered as they come up."""
        from rdkit import Chem

        if query is None:
            return 0
        needed = 0
        for atoms, bonds in _cut(query):
            smarts = without_surroundings(Chem.MolFragmentToSmarts(query, atoms, bonds))
            needed |= 1 << self._pieces.setdefault(smarts, len(self._pieces))
        return needed

    def _show(self, f: int, closed: int) -> Shown:
        v = self._vocabulary
        k = int(v.attachments[f])
        partner = [[CLOSED if closed >> j & 1 else OPEN for j in range(k)] + [CLOSED] * (MAX_ATTACHMENTS - k)]
        mol = to_mol(write([f], partner, v, open_as="*"))
        atoms = attachment_atoms(v.template[f])
        inside, ends = 0, [[0, 0] for _ in range(k)]
        for smarts, bit in self._pieces.items():
            matches = mol.GetSubstructMatches(pattern(smarts), uniquify=False)
            # Within the fragment, a piece matches without the atoms that stand for neighbours.
            inside |= any(all(mol.GetAtomWithIdx(i).GetAtomicNum() for i in match) for match in matches) << bit
            for side, atom in enumerate(_bridged(smarts)):
                there = {match[0] for match in mol.GetSubstructMatches(pattern(atom))}
                for j in range(k):
                    ends[j][side] |= (atoms[j] in there) << bit
        return Shown(inside, tuple((first, second) for first, second in ends))


@lru_cache(maxsize=4)
def alert_screen(vocabulary: Vocabulary) -> AlertScreen:
    """The screen of a vocabulary, made once."""
    return AlertScreen(vocabulary)


def _query_of(entry: Any) -> Mol | None:
    """The query of one of RDKit's filters; None where it cannot be read, which only makes the screen slower."""
    from rdkit import Chem

    stored = bytes(entry.Serialize())
    start = stored.find(PICKLED)
    return cast(Any, Chem.Mol)(stored[start:]) if start >= 0 else None


def without_surroundings(smarts: str) -> str:
    """A SMARTS that asks no more than this one, and nothing of an atom's surroundings: ``$(CC)`` becomes ``C``.

    What ``$(…)`` asks is not settled by one fragment or two. Its first atom is; where even that is not a simple
    primitive, or is denied, any atom will do.
    """
    while (start := smarts.find("$(")) >= 0:
        depth, end = 1, start + 2
        while depth:
            depth += {"(": 1, ")": -1}.get(smarts[end], 0)
            end += 1
        first = ATOM.match(smarts, start + 2)
        atom = first.group().strip("[]") if first else "*"
        denied = smarts[start - 1] == "!"
        simple = not denied and not set(atom) & set(",;!$")
        smarts = smarts[: start - denied] + (atom if simple else "*") + smarts[end:]
    return smarts


def _cut(query: Mol) -> list[tuple[list[int], list[int]]]:
    """Atoms and bonds of the pieces of a query: its ring systems, its other bonds, and atoms without bonds."""
    from rdkit import Chem

    query = Chem.Mol(query)
    Chem.FastFindRings(query)
    rings = [set(ring) for ring in query.GetRingInfo().BondRings()]
    for a, b in combinations(range(len(rings)), 2):
        if rings[a] & rings[b]:
            rings[b] |= rings[a]
            rings[a] = set()
    in_ring = set().union(*rings)
    groups = [sorted(ring) for ring in rings if ring]
    groups += [[bond.GetIdx()] for bond in query.GetBonds() if bond.GetIdx() not in in_ring]
    pieces: list[tuple[list[int], list[int]]] = []
    for bonds in groups:
        ends = [query.GetBondWithIdx(i) for i in bonds]
        pieces.append((sorted({i for bond in ends for i in (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())}), bonds))
    return pieces + [([atom.GetIdx()], []) for atom in query.GetAtoms() if not atom.GetDegree()]


@lru_cache(maxsize=1024)
def _bridged(smarts: str) -> tuple[str, ...]:
    """The queries of both atoms of a piece that a bond between fragments can match; of other pieces none."""
    query = pattern(smarts)
    if query.GetNumBonds() != 1:
        return ()
    between = pattern(f"*{query.GetBondWithIdx(0).GetSmarts()}*")
    if not to_mol("CC").HasSubstructMatch(between):  # such a bond is single and in no ring
        return ()
    atoms: list[str] = [atom.GetSmarts() for atom in query.GetAtoms()]
    return tuple(text if text.startswith("[") else f"[{text}]" for text in atoms)
