"""Tables of what each fragment adds to a molecule's properties, given what it is joined to.

Atom by atom, Crippen's logP (J. Chem. Inf. Comput. Sci. 39, 868, 1999), Ertl's polar surface (J. Med. Chem. 43, 3714,
2000) and RDKit's counts look at neighbours only. So what a fragment adds is settled by, for each attachment, the
fragment joined there, its attachment, and which of its other attachments are closed: its *state*. States that make no
difference to a host are one *local class* of the host's attachment, and every combination of local classes is
tabulated with RDKit. All values are integers, in the units of `UNITS`: the published increments have few decimals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from itertools import combinations, compress, product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.assembly import CLOSED, OPEN
from metaenv.molecules.chem.fragmentation import pattern, to_mol
from metaenv.molecules.chem.fragments import MAX_ATTACHMENTS, Vocabulary
from metaenv.molecules.chem.smiles import ATOM, write

if TYPE_CHECKING:
    from rdkit.Chem import Mol

UNITS = {
    "mass": 1e-3,  # Da; RDKit's atomic weights have three decimals
    "logp": 1e-5,  # Crippen's increments have up to five
    "tpsa": 1e-2,  # Å², Ertl's have two
    "donors": 1,
    "acceptors": 1,
    "rotatable": 1,  # bonds inside the fragment; those between fragments follow from the flags
    "rings": 1,
    "aromatic_rings": 1,
    "carbons": 1,
    "sp3_carbons": 1,
    "heavy_atoms": 1,
}
"""Columns of `PropertyTables.values`, with the unit of one."""
CLOSED_CLASS = 0
HYDROGEN = 1.008  # Da, as RDKit has it
FILLERS = (("c",), ("Cr", "Cr~N", "Cr~O"), ("C=O~N", "C=O~O", "C=O"), ("Nr",))
"""Classes of attachment (`fragmentation.attachment_class`) between which neighbours can make a difference to each
other: aromatic, aliphatic, acyl, amine."""
SIGHT = 2
"""Bonds, the one between fragments included, within which a neighbour makes a difference. The patterns of `measure`
look no further, counted from the atom that they are about."""
CLOSED_SUBSETS = 2**MAX_ATTACHMENTS


@dataclass(frozen=True)
class PropertyTables:
    """S states, R combinations; K is `MAX_ATTACHMENTS`."""

    state: NDArray[np.int16]
    """(F, K, 2**K) state of a fragment joined by an attachment, with this subset (bits) of the others closed."""
    local: NDArray[np.uint8]
    """(F, K, S) local class of each state as neighbour of this attachment; 0 is a closed attachment."""
    stride: NDArray[np.int32]
    """(F, K) see `base`."""
    base: NDArray[np.int32]
    """(F,) the combination of a fragment and its local classes is ``base + sum(stride * local class)``."""
    values: NDArray[np.int32]
    """(R, len(UNITS)) what the fragment and its closing methyls add."""
    flags: NDArray[np.uint8]
    """(R,) bit j: attachment j's atom may end a rotatable bond; bit K + j: and it is not part of an amide."""


@lru_cache(maxsize=4)
def load_property_tables(vocabulary: Vocabulary) -> PropertyTables:
    """The tables in the vocabulary's folder."""
    with np.load(vocabulary.folder / "contexts.npz", allow_pickle=False) as file:
        return PropertyTables(**dict(file))


# WHAT ONE FRAGMENT ADDS IN ONE MOLECULE

# The strict definition of CalcNumRotatableBonds (RDKit, Code/GraphMol/Descriptors/Lipinski.cpp), cut at its bond into
# the conditions on either atom: both must hold END, and one of them also NO_AMIDE.
END = "[!$(*#*)&!D1&!$(C(F)(F)F)&!$(C(Cl)(Cl)Cl)&!$(C(Br)(Br)Br)&!$(C([CH3])([CH3])[CH3])]"
NO_AMIDE = (
    "[!$([CD3](=[N,O,S])-!@[#7,O,S!D1])&!$([#7,O,S!D1]-!@[CD3]=[N,O,S])"
    "&!$([CD3](=[N+])-!@[#7!D1])&!$([#7!D1]-!@[CD3]=[N+])]"
)
# RDKit's CalcNumHBA and CalcNumHBD (same file).
ACCEPTOR = (
    "[$([O,S;H1;v2]-[!$(*=[O,N,P,S])]),$([O,S;H0;v2]),$([O,S;-]),$([N;v3;!$(N-*=!@[O,N,P,S])]),$([nH0X2,o,s;+0])]"
)
DONOR = "[N&!H0&v3,N&!H0&+1&v4,O&H1&+0,S&H1&+0,n&H1&+0]"


def _matching(mol: Mol, smarts: str) -> set[int]:
    return {m[0] for m in mol.GetSubstructMatches(pattern(smarts), maxMatches=1000)}


def measure(mol: Mol, size: int, attachment_atoms: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """A row of `PropertyTables.values`, and flags, of the fragment made of the first ``size`` atoms of ``mol``."""
    from rdkit import Chem
    from rdkit.Chem import rdMolDescriptors

    atoms = [mol.GetAtomWithIdx(i) for i in range(size)]  # iterating over them is slow in Python
    hydrogens = [atom.GetTotalNumHs() for atom in atoms]
    mass = sum(atom.GetMass() for atom in atoms) + sum(hydrogens) * HYDROGEN
    # AddHs puts hydrogens behind all other atoms, in the order of the atoms that they are on.
    logp = np.array(rdMolDescriptors._CalcCrippenContribs(Chem.AddHs(mol)))[:, 0]
    first = mol.GetNumAtoms()
    logp = logp[:size].sum() + logp[first : first + sum(hydrogens)].sum()
    tpsa = sum(rdMolDescriptors._CalcTPSAContribs(mol)[:size])
    end, no_amide = _matching(mol, END), _matching(mol, NO_AMIDE)
    rotatable = 0
    for i, j in combinations(sorted(i for i in end if i < size), 2):
        bond = mol.GetBondBetweenAtoms(i, j)
        inner = bond is not None and not bond.IsInRing() and bond.GetBondTypeAsDouble() == 1
        rotatable += inner and (i in no_amide or j in no_amide)
    info = mol.GetRingInfo()
    rings = [bonds for atoms, bonds in zip(info.AtomRings(), info.BondRings(), strict=True) if atoms[0] < size]
    degrees = [atom.GetTotalDegree() for atom in atoms if atom.GetAtomicNum() == 6]
    values = (
        *(round(v / UNITS[k]) for k, v in (("mass", mass), ("logp", logp), ("tpsa", tpsa))),
        sum(i < size for i in _matching(mol, DONOR)),
        sum(i < size for i in _matching(mol, ACCEPTOR)),
        rotatable,
        len(rings),
        sum(all(mol.GetBondWithIdx(i).GetIsAromatic() for i in ring) for ring in rings),
        len(degrees),
        degrees.count(4),
        size,
    )
    flags = sum(1 << j for j, a in enumerate(attachment_atoms) if a in end)
    flags += sum(1 << (MAX_ATTACHMENTS + j) for j, a in enumerate(attachment_atoms) if a in no_amide)
    return values, flags


# EVERY FRAGMENT IN EVERY CONTEXT


@dataclass(frozen=True)
class State:
    """A neighbour: a fragment, the attachment it is joined by, and which of its others are closed."""

    fragment: int
    attachment: int
    closed: tuple[int, ...]


class FragmentTable(NamedTuple):
    """What one fragment adds."""

    local: NDArray[np.uint8]
    """(K, S) local class of each state."""
    sizes: list[int]
    """How many local classes each attachment has."""
    rows: list[tuple[tuple[int, ...], int]]
    """A row of `PropertyTables.values`, and flags, for each combination of them."""


class Tabulator:
    """Measures fragments in small molecules that show every context; see the module."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.states: list[State] = []
        for f, k in enumerate(vocabulary.attachments.tolist()):
            for j in range(k):
                others = [i for i in range(k) if i != j]
                for closed in product((False, True), repeat=len(others)):
                    self.states.append(State(f, j, tuple(compress(others, closed))))
        self.fillers = [[self._filler(port, kind) for port in range(vocabulary.n_actions)] for kind in FILLERS]
        self.atoms = [attachment_atoms(t) for t in vocabulary.template]
        self.seen = [self._seen(state) for state in self.states]
        """What a host can see of each state. It decides the local class, so one state of each kind is measured."""

    def of(self, f: int) -> FragmentTable:
        """What fragment ``f`` adds, next to whatever may be joined to it."""
        local = np.zeros((MAX_ATTACHMENTS, len(self.states)), np.uint8)
        shown = [self._local_classes(f, j, local[j]) for j in range(self.vocabulary.attachments[f])]
        # The first attachment's class varies fastest, as the strides say.
        rows = [self._measure(f, neighbours[::-1]) for neighbours in product(*reversed(shown))]
        return FragmentTable(local, [len(s) for s in shown], rows)

    def tabulate(self, tables: Iterable[FragmentTable] | None = None) -> PropertyTables:
        """All tables, from those that `of` gives for all fragments in order; half a minute for 128 fragments."""
        v = self.vocabulary
        local = np.zeros((v.n_fragments, MAX_ATTACHMENTS, len(self.states)), np.uint8)
        stride = np.zeros((v.n_fragments, MAX_ATTACHMENTS), np.int32)
        base = np.zeros(v.n_fragments, np.int32)
        values: list[tuple[int, ...]] = []
        flags: list[int] = []
        for f, table in enumerate(tables or map(self.of, range(v.n_fragments))):
            local[f], base[f] = table.local, len(values)
            stride[f, : len(table.sizes)] = np.cumprod([1, *table.sizes[:-1]])
            values += [row for row, _ in table.rows]
            flags += [bits for _, bits in table.rows]
        state = np.zeros((v.n_fragments, MAX_ATTACHMENTS, CLOSED_SUBSETS), np.int16)
        for s, (f, j, closed) in enumerate(map(astuple, self.states)):
            state[f, j, sum(1 << i for i in closed)] = s
        return PropertyTables(state, local, stride, base, np.array(values, np.int32), np.array(flags, np.uint8))

    def _local_classes(self, f: int, j: int, local: NDArray[np.uint8]) -> list[State | None]:
        """Fill in the class of every state as neighbour of attachment ``j`` of ``f``; one example of each class."""
        v, seen, known = self.vocabulary, dict[Any, int](), dict[str, int]()
        examples: list[State | None] = [None]
        for s, state in enumerate(self.states):
            if not v.allowed[v.action[f, j], v.action[state.fragment, state.attachment]]:
                continue
            if self.seen[s] not in known:
                key = tuple(self._measure(f, around) for around in self._surroundings(f, j, state))
                if key not in seen:
                    seen[key] = len(examples)
                    examples.append(state)
                known[self.seen[s]] = seen[key]
            local[s] = known[self.seen[s]]
        return examples

    def _seen(self, state: State) -> str:
        """The atoms within `SIGHT` bonds of the one that the state is joined by, with what matters of each."""
        from rdkit import Chem

        fragments, bonds = [state.fragment], dict[int, int]()
        self._fill(fragments, bonds, 0, state)
        partner = [[bonds.get(MAX_ATTACHMENTS * p + j, CLOSED) for j in range(3)] for p in range(len(fragments))]
        partner[0][state.attachment] = OPEN
        mol = to_mol(write(fragments, partner, self.vocabulary, open_as="*"))
        start = next(a.GetIdx() for a in mol.GetAtoms() if not a.GetAtomicNum())
        near = list(Chem.FindAtomEnvironmentOfRadiusN(mol, SIGHT, start, enforceSize=False))
        ends = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in map(mol.GetBondWithIdx, near)]
        names = [
            f"[{a.GetSmarts()};H{a.GetTotalNumHs()};D{a.GetDegree()};R{int(a.IsInRing())}]" for a in mol.GetAtoms()
        ]
        return Chem.MolFragmentToSmiles(
            mol, sorted({i for pair in ends for i in pair}), near, atomSymbols=names, rootedAtAtom=start
        )

    def _surroundings(self, f: int, j: int, state: State) -> list[list[State | None]]:
        """``state`` at ``j``, with the other attachments all closed, and all joined to each kind of filler."""
        k, ports = int(self.vocabulary.attachments[f]), self.vocabulary.action[f]
        closed: list[State | None] = [state if i == j else None for i in range(k)]
        if k == 1:
            return [closed]
        return [closed, *([state if i == j else kind[ports[i]] for i in range(k)] for kind in self.fillers)]

    def _measure(self, f: int, neighbours: Sequence[State | None]) -> tuple[tuple[int, ...], int]:
        v = self.vocabulary
        mol = to_mol(self._notation(f, neighbours))
        methyls = sum(n is None and bool(v.methyl[f, j]) for j, n in enumerate(neighbours))
        return measure(mol, int(v.heavy_atoms[f]) + methyls, self.atoms[f])

    def _notation(self, f: int, neighbours: Sequence[State | None]) -> str:
        """Fragment ``f`` first, its neighbours, and fillers on what the neighbours do not close."""
        fragments, bonds = [f], dict[int, int]()
        for j, state in enumerate(neighbours):
            if state is not None:
                self._fill(fragments, bonds, _add(fragments, bonds, j, state), state)
        partner = [[bonds.get(MAX_ATTACHMENTS * p + j, CLOSED) for j in range(3)] for p in range(len(fragments))]
        return write(fragments, partner, self.vocabulary)

    def _fill(self, fragments: list[int], bonds: dict[int, int], place: int, state: State) -> None:
        """Put fillers on the attachments of ``state``, which is at ``place``, that it says are not closed."""
        for i in range(self.vocabulary.attachments[state.fragment]):
            filler = self.fillers[0][self.vocabulary.action[state.fragment, i]]
            if i != state.attachment and i not in state.closed and filler is not None:
                _add(fragments, bonds, MAX_ATTACHMENTS * place + i, filler)

    def _filler(self, port: int, kind: tuple[str, ...]) -> State | None:
        """The commonest fragment with one attachment that may be joined to ``port``, of ``kind`` if there is one."""
        v = self.vocabulary
        actions = np.flatnonzero(v.allowed[port]) if port else np.array([], int)
        single = [int(f) for f in v.action_fragment[actions] if f >= 0 and v.attachments[f] == 1]
        single.sort(key=lambda f: (v.attachment_class[f][0] not in kind, not v.ring[f], f))
        return State(single[0], 0, ()) if single else None


def _add(fragments: list[int], bonds: dict[int, int], at: int, state: State) -> int:
    """Put ``state`` on the attachment ``at`` (3 * place + attachment); its place."""
    place = len(fragments)
    there = MAX_ATTACHMENTS * place + state.attachment
    bonds[at], bonds[there] = there, at
    fragments.append(state.fragment)
    return place


def attachment_atoms(template: str) -> list[int]:
    """The atom, counted along the template, that each attachment is on."""
    pieces = template.replace("{", "\n{").split("\n")
    atoms, found = 0, dict[int, int]()
    for piece in pieces:
        if piece.startswith("{"):
            found[int(piece[1])] = atoms - 1
            piece = piece[3:]
        atoms += len(ATOM.findall(piece))
    return [found[j] for j in sorted(found)]
