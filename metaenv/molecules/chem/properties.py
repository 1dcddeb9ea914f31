"""Properties of molecules that scores are made of.

`additive` sums the tables of `metaenv.molecules.chem.property_tables`: ten properties, exact, thousands of molecules at
once, without RDKit, also for molecules that are still being built (an open attachment counts as closed). `Scores` asks
RDKit for the properties that are not additive, and remembers its answers. `by_rdkit` gives RDKit's own values of the
ten, for comparison.
"""

from __future__ import annotations

import importlib.util
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.assembly import ALL, OPEN, Assembly, replay
from metaenv.molecules.chem.fragmentation import assembled_mol, to_mol
from metaenv.molecules.chem.fragments import MAX_ATTACHMENTS, Vocabulary, load_vocabulary
from metaenv.molecules.chem.functional_groups import GROUPS, group_bits
from metaenv.molecules.chem.property_tables import CLOSED_CLASS, UNITS, PropertyTables, load_property_tables
from metaenv.molecules.chem.smiles import write
from metaenv.typing import Floats, Index, Rows

if TYPE_CHECKING:
    from rdkit.Chem import Mol

ADDITIVE = ("mw", "logp", "tpsa", "hbd", "hba", "rotatable", "rings", "aromatic_rings", "fsp3", "heavy_atoms")
"""Molecular weight / Da, Crippen logP, polar surface / Å², H-bond donors and acceptors, rotatable bonds (RDKit's strict
definition), rings, aromatic rings, share of carbons that are sp3, heavy atoms."""
PROPERTIES = ("mw", "logp", "tpsa", "hbd", "rotatable", "aromatic_rings", "fsp3")
"""The seven of them that objectives may ask for."""
COLUMNS = np.array([ADDITIVE.index(name) for name in PROPERTIES])
FINGERPRINT_BITS = 1024
FINGERPRINT_RADIUS = 2  # ECFP4 (Rogers and Hahn, J. Chem. Inf. Model. 50, 742, 2010)
CACHE_SIZE = 100_000  # molecules; about 400 bytes each

_COLUMN = {name: i for i, name in enumerate(UNITS)}


def properties_of(actions: NDArray[np.integer], vocabulary: Vocabulary | None = None) -> Floats:
    """(n, 7) the `PROPERTIES` of finished build sequences (n, up to L); arguments and errors as `replay`."""
    return additive(replay(actions, vocabulary))[:, COLUMNS]


def additive(built: Assembly, rows: Rows = ALL) -> Floats:
    """(rows, 10) the properties `ADDITIVE` of the molecules of ``rows``; an empty molecule has zeros."""
    tables = load_property_tables(built.vocabulary)
    fragment, partner = built.fragment[rows].astype(np.intp), built.partner[rows].astype(np.intp)
    combination = _combinations(fragment, partner, tables)
    present = fragment >= 0
    total = (tables.values[combination] * present[..., None]).sum(axis=1)
    total[:, _COLUMN["rotatable"]] += _bonds_between(tables.flags[combination], partner)
    out = np.empty((len(total), len(ADDITIVE)))
    out[:, :8] = total[:, :8] * list(UNITS.values())[:8]  # the first eight of `UNITS` are those of `ADDITIVE`
    out[:, 8] = total[:, _COLUMN["sp3_carbons"]] / np.maximum(total[:, _COLUMN["carbons"]], 1)
    out[:, 9] = total[:, _COLUMN["heavy_atoms"]]
    return out


def _combinations(fragment: Index, partner: Index, tables: PropertyTables) -> Index:
    """(n, 9) the row of `PropertyTables.values` for each place; meaningless where ``fragment`` is -1."""
    joined = partner >= 0
    other = np.where(joined, partner, 0)
    place, attachment = np.divmod(other, MAX_ATTACHMENTS)
    bits = (partner <= OPEN) @ (1 << np.arange(MAX_ATTACHMENTS))
    index = np.arange(len(fragment))[:, None, None]
    state = tables.state[fragment[index, place], attachment, bits[index, place]]
    local = tables.local[fragment[..., None], np.arange(MAX_ATTACHMENTS), state]
    local = np.where(joined, local, CLOSED_CLASS)
    return tables.base[fragment] + (tables.stride[fragment] * local).sum(axis=2)


def _bonds_between(flags: NDArray[np.uint8], partner: Index) -> Index:
    """(n,) rotatable bonds between fragments: both atoms may end one, and not both are part of an amide."""
    end = (flags[..., None] >> np.arange(MAX_ATTACHMENTS)) & 1
    no_amide = (flags[..., None] >> np.arange(MAX_ATTACHMENTS, 2 * MAX_ATTACHMENTS)) & 1
    n = len(flags)
    other = np.maximum(partner, 0).reshape(n, -1)
    end, no_amide = end.reshape(n, -1), no_amide.reshape(n, -1)
    there_end, there_free = np.take_along_axis(end, other, 1), np.take_along_axis(no_amide, other, 1)
    rotatable = (partner.reshape(n, -1) >= 0) & (end & there_end & (no_amide | there_free)).astype(bool)
    return rotatable.sum(axis=1) // 2


def by_rdkit(mol: Mol) -> Floats:
    """(10,) RDKit's values of `ADDITIVE`."""
    from rdkit.Chem import Descriptors, rdMolDescriptors

    counts = ("NumHBD", "NumHBA", "NumRotatableBonds", "NumRings", "NumAromaticRings", "FractionCSP3", "NumHeavyAtoms")
    exact = [Descriptors.MolWt(mol), rdMolDescriptors.CalcCrippenDescriptors(mol)[0], rdMolDescriptors.CalcTPSA(mol)]  # type: ignore[attr-defined]
    return np.array(exact + [getattr(rdMolDescriptors, f"Calc{name}")(mol) for name in counts], float)


def by_smiles(smiles: str) -> Floats:
    """(7,) the `PROPERTIES` of any molecule, by RDKit."""
    return by_rdkit(to_mol(smiles))[COLUMNS]


@dataclass(frozen=True)
class Score:
    """What RDKit computes for one finished molecule."""

    notation: str
    """Of its fragments, or another SMILES."""
    sa: float
    """Synthetic accessibility, 1 (easy) to 10 (Ertl and Schuffenhauer, J. Cheminf. 1, 8, 2009)."""
    alert: bool
    """Whether it has a structure of the Brenk list (Brenk et al., ChemMedChem 3, 435, 2008)."""
    groups: int
    """Bit i is set where `metaenv.molecules.chem.functional_groups.GROUPS` number i is part of it; -1 unless asked
    for."""
    fingerprint: NDArray[np.uint8] | None
    """(128,) 1,024 Morgan bits, packed; None unless asked for."""

    @cached_property
    def smiles(self) -> str:
        """Canonical; made when it is first asked for."""
        from rdkit import Chem

        return Chem.MolToSmiles(to_mol(self.notation))


class Scores:
    """RDKit's scores of finished molecules, remembered by build sequence.

    Args:
        max_size: molecules remembered at most; the one asked for longest ago goes first.
        with_groups: whether to look for functional groups.
        with_fingerprint: whether to make fingerprints.
        vocabulary: that the sequences are of; by default that of the package.
        groups: names and SMARTS of the groups; by default those of the package.

    ``with_smiles`` says whether `Score.smiles` is made with the score; else it is made when it is asked for, which is
    dearer.
    """

    with_smiles = True

    def __init__(
        self,
        max_size: int = CACHE_SIZE,
        with_groups: bool = True,
        with_fingerprint: bool = True,
        vocabulary: Vocabulary | None = None,
        groups: Mapping[str, str] = GROUPS,
    ) -> None:
        if max_size < 1:
            raise ValueError(f"expected max_size of at least 1, got {max_size}")
        self.max_size, self.with_groups, self.with_fingerprint = max_size, with_groups, with_fingerprint
        self.vocabulary, self.groups = vocabulary or load_vocabulary(), groups
        self.hits = self.misses = 0
        self._known: OrderedDict[bytes, Score] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def __call__(self, actions: NDArray[np.integer]) -> list[Score]:
        """(n,) scores of finished build sequences (n, L)."""
        sequences = np.ascontiguousarray(actions, np.int16).reshape(-1, self.vocabulary.max_actions)
        return self._look_up(sequences, lambda new: (replay(sequences[new], self.vocabulary), ALL))

    def look_for(self, groups: bool, fingerprint: bool) -> None:
        """Look for groups, or make fingerprints, from now on; scores that lack them are forgotten."""
        if (groups and not self.with_groups) or (fingerprint and not self.with_fingerprint):
            self.with_groups, self.with_fingerprint = self.with_groups or groups, self.with_fingerprint or fingerprint
            self._known.clear()

    def of(self, built: Assembly, rows: Index) -> list[Score]:
        """The same of finished molecules that stand in ``rows``, without building them again."""
        return self._look_up(built.actions[rows], lambda new: (built, rows[new]))

    def _look_up(
        self, sequences: NDArray[np.int16], build: Callable[[list[int]], tuple[Assembly, Rows]]
    ) -> list[Score]:
        """Scores (n,) of sequences (n, 9); ``build`` gives some of these molecules, and where they stand."""
        keys = [row.tobytes() for row in sequences]
        new = list({key: i for i, key in enumerate(keys) if key not in self._known}.values())
        fresh: dict[bytes, Score] = {}
        if new:
            built, rows = build(new)
            pairs = zip(built.fragment[rows].tolist(), built.partner[rows].tolist(), strict=True)
            fresh = {keys[i]: self._score(*pair) for i, pair in zip(new, pairs, strict=True)}
        found = [self._known.get(key) or fresh[key] for key in keys]
        self.hits, self.misses = self.hits + len(keys) - len(new), self.misses + len(new)
        for key, score in zip(keys, found, strict=True):
            self._known[key] = score
            self._known.move_to_end(key)
        while len(self._known) > self.max_size:
            self._known.popitem(last=False)
        return found

    def _score(self, fragment: Sequence[int], partner: Sequence[Sequence[int]]) -> Score:
        from rdkit import Chem

        from metaenv.molecules.chem.alerts import alert_screen

        text = write(fragment, partner, self.vocabulary)
        mol = assembled_mol(text)
        if self.with_smiles:  # while the molecule is at hand
            text = Chem.MolToSmiles(mol)
        sa = synthetic_accessibility(mol)
        groups = group_bits(mol, self.groups) if self.with_groups else -1
        bits = fingerprint(mol) if self.with_fingerprint else None
        found = Score(text, sa, alert_screen(self.vocabulary)(mol, fragment, partner), groups, bits)
        if self.with_smiles:
            vars(found)["smiles"] = text
        return found


# SYNTHETIC ACCESSIBILITY

UNKNOWN = -4.0  # contribution of an environment that no molecule of PubChem had
LEAST, MOST = -4.0, 2.5  # of the raw score, which become 10 and 1
MACROCYCLE = 9  # atoms of a ring, at least


def synthetic_accessibility(mol: Mol) -> float:
    """Ertl and Schuffenhauer's score (J. Cheminf. 1, 8, 2009), 1 (easy) to 10, as RDKit's contributed script gives it.

    It is equal to the script's to the last bit, with that script's table of contributions, and three times as fast:
    the script asks for the label of every stereocentre, of which only the number counts.
    """
    from rdkit import Chem
    from rdkit.Chem import rdMolDescriptors

    contribution, generator = _contributions()
    environments: dict[int, int] = generator.GetSparseCountFingerprint(mol).GetNonzeroElements()
    known = 0.0
    for environment, times in environments.items():  # sum() rounds otherwise, depending on Python's version
        known += contribution.get(environment, UNKNOWN) * times
    known /= sum(environments.values())
    n_atoms, n = mol.GetNumAtoms(), len(environments)
    Chem.AssignStereochemistry(mol, cleanIt=True, force=True, flagPossibleStereoCenters=True)
    stereo = math.log10(rdMolDescriptors.CalcNumAtomStereoCenters(mol) + 1)
    spiro = math.log10(rdMolDescriptors.CalcNumSpiroAtoms(mol) + 1)
    bridge = math.log10(rdMolDescriptors.CalcNumBridgeheadAtoms(mol) + 1)
    large = any(len(ring) >= MACROCYCLE for ring in mol.GetRingInfo().AtomRings())
    complexity = 0.0 - (n_atoms**1.005 - n_atoms) - stereo - spiro - bridge - (math.log10(2) if large else 0.0)
    symmetry = math.log(float(n_atoms) / n) * 0.5 if n_atoms > n else 0.0
    score = 11.0 - (known + complexity + symmetry - LEAST + 1) / (MOST - LEAST) * 9.0
    if score > 8:  # the hard end is smoothed
        score = 8.0 + math.log(score + 1.0 - 9.0)
    return min(max(score, 1.0), 10.0)


@lru_cache(maxsize=1)
def _contributions() -> tuple[dict[int, float], Any]:
    """What each Morgan environment of radius 2 contributes, and what finds environments; both are the script's."""
    from rdkit import RDConfig

    path = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = importlib.util.spec_from_file_location("sascorer", path)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError(f"expected RDKit's SA_Score script at {path}; install rdkit from its wheel")
    script: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.readFragmentScores()
    return script._fscores, script.mfpgen


# FINGERPRINTS


def fingerprint(mol: Mol) -> NDArray[np.uint8]:
    """(128,) Morgan fingerprint of radius 2 folded to 1,024 bits, packed; `np.unpackbits` gives the bits."""
    return np.packbits(_morgan().GetFingerprintAsNumPy(mol))


@lru_cache(maxsize=1)
def _morgan() -> Any:
    from rdkit.Chem import rdFingerprintGenerator

    return rdFingerprintGenerator.GetMorganGenerator(radius=FINGERPRINT_RADIUS, fpSize=FINGERPRINT_BITS)
