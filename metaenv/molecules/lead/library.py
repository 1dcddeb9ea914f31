"""Libraries of lead optimisation: a scaffold with an R-group at each of its three sites, all of them enumerated.

Scaffolds are the ring fragments of the vocabulary that have three attachments; R-groups are CLOSE (hydrogen, or methyl
on nitrogen) and its commonest fragments with one attachment. A library holds every choice of three R-groups that the
vocabulary allows (real molecules have such bonds) within its limit of heavy atoms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.chemistry import OWN, Chemistry
from metaenv.molecules.chem.fragmentation import to_mol
from metaenv.molecules.chem.fragments import CLOSE, MAX_ATTACHMENTS, Vocabulary
from metaenv.molecules.chem.properties import properties_of
from metaenv.molecules.chem.smiles import fragment_smiles
from metaenv.typing import Floats, Index

SITES = MAX_ATTACHMENTS
N_GROUPS = 32
"""R: CLOSE and 31 fragments (chosen: all-carbon scaffolds then have 29,791 molecules)."""
MOST_SCAFFOLDS = 16  # the commonest (chosen: bounds the memory that libraries of a large vocabulary take)


@dataclass(frozen=True, eq=False)
class Libraries:
    """The libraries of all S scaffolds, one behind the other: m molecules in all. Arrays are read-only."""

    smiles: tuple[str, ...]
    """(S,) of the scaffolds, commonest first."""
    scaffold: Index
    """(S,) their fragments."""
    group: Index
    """(R,) the actions of the R-groups, CLOSE first, then commonest first."""
    start: Index
    """(S + 1,) molecules ``start[s]`` to ``start[s + 1] - 1`` are those of scaffold s."""
    choice: NDArray[np.int8]
    """(m, 3) the R-group at each site."""
    values: Floats
    """(m, 7) `properties.PROPERTIES`."""
    number: NDArray[np.int32]
    """(S, R, R, R) which molecule three R-groups on a scaffold make; -1 where the library has none."""
    fits: NDArray[np.int8]
    """(S, 3, 32, R) whether an R-group may be at a site and has no more than so many heavy atoms."""
    atoms: Index
    """(S, 3, R) heavy atoms of an R-group at a site."""
    room: Index
    """(S,) heavy atoms that the three R-groups together may have."""
    chemistry: Chemistry = field(default=OWN, kw_only=True)

    @property
    def sites(self) -> int:
        """Sites of a scaffold."""
        return self.choice.shape[1]

    @property
    def n_groups(self) -> int:
        """R: as many R-groups as a site has at most."""
        return self.fits.shape[3]

    @property
    def count(self) -> Index:
        """(S,) molecules of each library."""
        return np.diff(self.start)

    def of(self, scaffold: int) -> slice:
        """The molecules of one scaffold."""
        return slice(int(self.start[scaffold]), int(self.start[scaffold + 1]))

    def numbers(self, scaffold: Index, choice: Index) -> NDArray[np.int32]:
        """(n,) which molecules R-groups ``choice`` (n, 3) on ``scaffold`` (n,) make; -1 where the library has none."""
        a, b, c = choice.T
        return self.number.ravel()[((scaffold * N_GROUPS + a) * N_GROUPS + b) * N_GROUPS + c]

    def mask(self, scaffold: Index, choice: Index) -> NDArray[np.int8]:
        """(n, 3, R) which R-groups may replace the one at each site of ``choice`` (n, 3) on ``scaffold`` (n,)."""
        sites, groups = self.sites, self.n_groups
        place = scaffold[:, None] * sites + np.arange(sites)
        atoms = self.atoms.ravel()[place * groups + choice]
        room = (self.room[scaffold] - atoms.sum(axis=1))[:, None] + atoms
        return np.take(self.fits.reshape(-1, groups), place * self.fits.shape[2] + room, axis=0)

    def canonical(self, scaffold: Index, choice: NDArray[np.integer]) -> list[str]:
        """(n,) canonical SMILES of molecules ``choice`` (n, 3) on ``scaffold`` (n,), by RDKit; remembered."""
        return [_canonical(text) for text in self.drawn(scaffold, choice)]

    def drawn(self, scaffold: Index, choice: NDArray[np.integer]) -> list[str]:
        """(n,) the same in the notation that pictures are made from: a SMILES of the fragments, with dots."""
        return notation(scaffold, choice, self.chemistry)

    def group_names(self, site: int) -> tuple[str, ...]:
        """(R,) names of the R-groups of a site."""
        return ("hydrogen or methyl", *group_names(self.chemistry)[1:])


@lru_cache(maxsize=4)
def libraries(chemistry: Chemistry = OWN) -> Libraries:
    """All libraries, built by the package's own assembly and scored without RDKit; a second the first time.

    Raises:
        ValueError: a chemistry with too few scaffolds or R-groups.
    """
    v = chemistry.vocabulary
    scaffold = np.flatnonzero(v.ring & (v.attachments == SITES))[:MOST_SCAFFOLDS]
    single = np.flatnonzero(v.attachments == 1)[: N_GROUPS - 1]  # fragments are in order of how common they are
    if len(scaffold) < 2 or len(single) < N_GROUPS - 1 or v.max_actions < SITES + 1:
        raise ValueError(
            f"lead optimisation needs 2 rings with {SITES} attachments and {N_GROUPS - 1} fragments with one, and the "
            f"chemistry {chemistry} has {len(scaffold)} and {len(single)}; mine it with more --fragments"
        )
    group = np.concatenate([[CLOSE], v.action[single, 0]]).astype(np.intp)
    closes = group == CLOSE
    atoms = np.where(closes, 0, v.heavy_atoms[v.action_fragment[group]])
    atoms = atoms + v.methyl[scaffold].astype(np.intp)[:, :, None] * closes
    room = v.max_heavy_atoms - v.heavy_atoms[scaffold].astype(np.intp)
    bonds = v.allowed[v.action[scaffold]][:, :, group]
    number = np.full((len(scaffold), *[N_GROUPS] * SITES), -1, np.int32)
    start, choices, values = [0], [], []
    for s in range(len(scaffold)):
        legal = bonds[s, 0][:, None, None] & bonds[s, 1][:, None] & bonds[s, 2]
        total = atoms[s, 0][:, None, None] + atoms[s, 1][:, None] + atoms[s, 2]
        choice = np.argwhere(legal & (total <= room[s]))
        begin = np.full((len(choice), 1), _start_action(v, scaffold[s]))
        number[s][tuple(choice.T)] = start[s] + np.arange(len(choice))
        start.append(start[s] + len(choice))
        choices.append(choice)
        values.append(properties_of(np.concatenate([begin, group[choice]], axis=1), v))
    arrays = {
        "scaffold": scaffold,
        "group": group,
        "start": np.array(start),
        "choice": np.concatenate(choices).astype(np.int8),
        "values": np.concatenate(values),
        "number": number,
        "fits": (bonds[:, :, None] & (atoms[:, :, None] <= np.arange(v.max_heavy_atoms + 1)[:, None])).astype(np.int8),
        "atoms": atoms,
        "room": room,
    }
    # Row by row in memory, because rows are what is looked up; and read-only.
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    for array in arrays.values():
        array.flags.writeable = False
    return Libraries(tuple(v.smiles[f] for f in scaffold), **arrays, chemistry=chemistry)


def sequences(scaffold: Index, choice: NDArray[np.integer], chemistry: Chemistry = OWN) -> NDArray[np.int16]:
    """(n, 4) build sequences of molecules ``choice`` (n, 3) of ``scaffold`` (n,)."""
    known, v = libraries(chemistry), chemistry.vocabulary
    begin = np.array([_start_action(v, f) for f in known.scaffold])
    return np.column_stack([begin[scaffold], known.group[np.asarray(choice, np.intp)]]).astype(np.int16)


def notation(scaffold: Index, choice: NDArray[np.integer], chemistry: Chemistry = OWN) -> list[str]:
    """(n,) molecules as their fragments, joined by ring-bond numbers across dots (`metaenv.molecules.chem.smiles`).

    That is a valid SMILES, made without RDKit, but neither canonical nor free of dots: `Libraries.canonical` is.

    Raises:
        ValueError: R-groups that the vocabulary does not allow.
    """
    return fragment_smiles(sequences(scaffold, choice, chemistry), chemistry.vocabulary)


@lru_cache(maxsize=4)
def group_names(chemistry: Chemistry = OWN) -> tuple[str, ...]:
    """(R,) fragment SMILES of the R-groups; ``[1*]`` alone is CLOSE."""
    v = chemistry.vocabulary
    return tuple("[1*]" if a == CLOSE else v.smiles[v.action_fragment[a]] for a in libraries(chemistry).group)


@lru_cache(maxsize=100_000)
def _canonical(text: str) -> str:
    from rdkit import Chem

    return Chem.MolToSmiles(to_mol(text))


def _start_action(v: Vocabulary, fragment: int) -> int:
    """The action that puts the fragment down first; by which attachment makes no difference to the molecule."""
    return next(int(a) for a in v.action[fragment] if v.allowed[0, a])
