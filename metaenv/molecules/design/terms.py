"""What an objective can ask for besides ranges of the seven properties, and how a task holds it.

A `Term` is a range of another quantity, a pattern of one's own that must or must not be there, or similarity to a
molecule of one's own. Tasks consist of numbers, so terms are kept as text in them, six bytes a number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.molecules.chem.fragmentation import neutral, pattern, to_mol
from metaenv.molecules.chem.properties import ADDITIVE, by_rdkit, fingerprint, synthetic_accessibility
from metaenv.molecules.chem.scoring import GROUP_PENALTY, similarity
from metaenv.typing import Floats

if TYPE_CHECKING:
    from rdkit.Chem import Mol

QUANTITIES = {"qed": 0.1, "sa": 0.3, "hba": 0.8, "rings": 0.6, "heavy_atoms": 1.5}
"""What a range can be asked of besides `PROPERTIES`, with the standard deviation of its flanks (chosen): QED (Bickerton
et al., Nat. Chem. 4, 90, 2012), synthetic accessibility, H-bond acceptors, rings, heavy atoms, all by RDKit."""
KINDS = ("range", "required", "forbidden", "similar")
BYTES = 6  # in a number: 48 bits, which double precision holds exactly
MOST_NUMBERS = 1000


@dataclass(frozen=True)
class Term:
    """One factor of a score."""

    kind: Literal["range", "required", "forbidden", "similar"]
    what: str
    """The quantity, the SMARTS, or the canonical SMILES of the lead."""
    low: float = 0.0
    """Lower end of a range; the similarity from which a molecule counts as the lead's equal."""
    high: float = 0.0
    softness: float = 1.0
    """Standard deviation of the flanks of a range."""

    def __post_init__(self) -> None:
        numbers = (self.low, self.high, self.softness)
        sound = all(isinstance(x, int | float) and math.isfinite(x) for x in numbers) and self.softness > 0
        if self.kind not in KINDS or not isinstance(self.what, str) or not sound:
            raise TaskError(f"expected a term of kind {', '.join(KINDS)}, its text and three numbers, got {self!r}")
        if self.kind == "range" and self.what not in QUANTITIES:
            raise TaskError(f"expected a range of {', '.join(QUANTITIES)}, got one of {self.what!r}")
        if self.kind == "similar" and not 0 < self.low <= 1:
            raise TaskError(f"expected a similarity above 0 and up to 1, got {self.low!r}")

    def value(self, mol: Mol) -> float:
        """The quantity; the similarity; or 1 where the pattern is there, else 0."""
        if self.kind == "range":
            return quantity(self.what, mol)
        if self.kind == "similar":
            return float(similarity(fingerprint(mol), _lead(self.what)))
        return float(mol.HasSubstructMatch(read_smarts(self.what)))

    def factor(self, value: Floats) -> Floats:
        """What scores are multiplied by, for values of the term."""
        if self.kind == "range":
            outside = np.maximum(np.maximum(self.low - value, value - self.high), 0.0) / self.softness
            return np.exp(-0.5 * np.square(outside))
        if self.kind == "similar":
            return np.minimum(value / self.low, 1.0)
        return np.where((value > 0) == (self.kind == "required"), 1.0, GROUP_PENALTY)

    def __str__(self) -> str:
        if self.kind == "range":
            return f"{self.what} from {self.low:.4g} to {self.high:.4g}"
        if self.kind == "similar":
            return f"similarity of {self.low:.2g} to {self.what}"
        return f"{self.kind} {self.what}"


def quantity(name: str, mol: Mol) -> float:
    """One of `QUANTITIES` of a molecule, by RDKit."""
    if name == "qed":
        from rdkit.Chem import QED

        return float(QED.qed(mol))
    return synthetic_accessibility(mol) if name == "sa" else float(by_rdkit(mol)[ADDITIVE.index(name)])


def read_smarts(smarts: str) -> Mol:
    """RDKit's query of a SMARTS. Raises TaskError for what is none."""
    from rdkit import rdBase

    with rdBase.BlockLogs():
        query = pattern(smarts) if smarts.isprintable() else None
    if query is None or not query.GetNumAtoms():
        raise TaskError(f"RDKit cannot read the SMARTS {smarts!r}")
    return query


@lru_cache(maxsize=1024)
def _lead(smiles: str) -> NDArray[np.uint8]:
    return fingerprint(neutral(smiles))


# TERMS AS NUMBERS OF A TASK


def packed_terms(terms: Sequence[Term]) -> tuple[float, ...]:
    """The numbers in which a task holds terms; none for none."""
    if not terms:
        return ()
    text = json.dumps([list(astuple(term)) for term in terms], separators=(",", ":")).encode()
    numbers = tuple(float(int.from_bytes(text[i : i + BYTES].ljust(BYTES), "big")) for i in range(0, len(text), BYTES))
    if len(numbers) > MOST_NUMBERS:
        raise TaskError(f"expected terms of at most {MOST_NUMBERS * BYTES} characters in all, got {len(text)}")
    return numbers


@lru_cache(maxsize=4096)
def unpacked_terms(numbers: tuple[float, ...]) -> tuple[Term, ...]:
    """The terms that `packed_terms` made into numbers. Raises TaskError for other numbers."""
    try:
        text = b"".join(int(number).to_bytes(BYTES, "big") for number in numbers).decode()
        return tuple(Term(*each) for each in json.loads(text)) if numbers else ()
    except (ValueError, TypeError, OverflowError) as error:
        raise TaskError(f"MoleculeTask.terms holds no terms ({error}); MoleculeTask.from_ranges makes them") from None


def terms_of(row: Floats) -> tuple[Term, ...]:
    """The terms of one row of `TaskBatch.terms`."""
    return unpacked_terms(tuple(np.trim_zeros(row, "b").tolist()))


@lru_cache(maxsize=100_000)
def term_factor(smiles: str, terms: tuple[Term, ...]) -> float:
    """The product of the factors of terms for one molecule; remembered."""
    mol = to_mol(smiles)
    return float(np.prod([term.factor(np.array(term.value(mol))) for term in terms]))


# WHAT A PERSON WRITES


def range_weights(
    asked: Mapping[str, Any],
    weights: Mapping[str, float],
    softness: Mapping[str, float],
    usual: Mapping[str, float],
) -> dict[str, float]:
    """The exponents of the desirabilities of ranges: a flank that is half as wide counts four times.

    ``usual`` is the softness of each that the flanks have otherwise.

    Raises:
        TaskError: what is not positive, or belongs to no range.
    """
    for what, given in (("weight", weights), ("softness", softness)):
        for name, value in given.items():
            if name not in asked:
                raise TaskError(f"there is a {what} of {name!r} but no range.{nearest(str(name), asked)}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise TaskError(f"expected the {what} of {name!r} to be a number above 0, got {value!r}")
    exponents = {name: float(weights.get(name, 1.0)) for name in asked}
    return {n: e * (usual[n] / softness[n]) ** 2 if n in softness else e for n, e in exponents.items()}


def lead_smiles(smiles: str) -> str:
    """Canonical SMILES of a lead as fingerprints see it: neutral, without stereochemistry, isotopes and atom maps."""
    from rdkit import Chem

    return Chem.MolToSmiles(neutral(smiles))


def patterns_of(given: str | Sequence[str] | None, kind: str, groups: Mapping[str, str]) -> tuple[float, list[str]]:
    """The number of the first group that is named in ``groups``, -1 for none, and the SMARTS of the others.

    Raises:
        TaskError: neither the name of a group nor a SMARTS.
    """
    if given is not None and not isinstance(given, Sequence):
        raise TaskError(f"expected {kind} to be names of groups or SMARTS, got {given!r}")
    texts = [given] if isinstance(given, str) else list(given or ())
    number = -1.0
    patterns: list[str] = []
    for text in texts:
        if not isinstance(text, str):
            raise TaskError(f"expected {kind} to be names of groups or SMARTS, got {text!r}")
        if text in groups and number < 0:
            number = float(list(groups).index(text))
            continue
        try:
            read_smarts(groups.get(text, text))
        except TaskError as error:
            raise TaskError(f"there is no group {text!r}, and {error}.{nearest(text, groups)}") from None
        patterns.append(groups.get(text, text))
    return number, patterns
