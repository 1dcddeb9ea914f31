"""Chemical formulas: reading them, and describing a composition by the properties of its elements.

The description follows Magpie (Ward et al. 2016, npj Computational Materials 2, 16028) in spirit: of each of 22
properties of the elements the mean and standard deviation, weighted by atomic fraction, the least and the greatest; and
five numbers of the fractions themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from metaenv.errors import nearest
from metaenv.supervised.families.elements import PLACE, PROPERTIES, SYMBOLS, TABLE
from metaenv.typing import Floats, Index

STATISTICS = ("mean", "spread", "least", "greatest")
FRACTIONS = ("elements", "2-norm", "3-norm", "entropy", "greatest share")
FEATURES = tuple(f"{s} {p}" for s in STATISTICS for p in PROPERTIES) + FRACTIONS
"""Names of the 93 features, in order."""
_OPEN, _CLOSE = "([{", ")]}"
_TOKEN = re.compile(r"[A-Z][a-z]?|[(\[{]|[)\]}]|\d+\.?\d*(?:[eE]-?\d+)?|\.\d+")


def parse_formula(formula: str) -> dict[str, float]:
    """Atoms of each element in a formula, in the order in which they come.

    Subscripts may be decimal ("Fe0.62C0.000953"), groups may be nested ("Ca10(PO4)6(OH)2", "[Co(NH3)6]Cl3").

    Args:
        formula: element symbols, numbers and brackets; white space does not matter. No charges, dots or letters for
            numbers.

    Returns:
        Positive amounts by symbol.

    Raises:
        ValueError: an unknown element, an amount of zero, a bracket without its partner, or anything else that is no
            formula; the message names the place.
    """
    text = "".join(str(formula).split())
    if not text:
        raise ValueError("expected a chemical formula such as 'Fe2O3', got an empty one")
    stack: list[dict[str, float]] = [{}]
    brackets: list[str] = []
    at = 0
    while at < len(text):
        token = _token(text, at)
        at += len(token)
        if token in _OPEN:
            stack.append({})
            brackets.append(token)
            continue
        if token in _CLOSE:
            if not brackets or _OPEN.index(brackets.pop()) != _CLOSE.index(token):
                raise ValueError(f"formula {formula!r}: {token!r} at place {at} closes no bracket of its kind")
            inner = stack.pop()
            if not inner:
                raise ValueError(f"formula {formula!r}: brackets with nothing between them before place {at + 1}")
        elif token in PLACE:
            inner = {token: 1.0}
        else:
            raise ValueError(f"formula {formula!r}: {_complaint(token, at)}")
        amount, at = _amount(formula, text, at)
        for symbol, count in inner.items():
            stack[-1][symbol] = stack[-1].get(symbol, 0.0) + amount * count
    if brackets:
        raise ValueError(f"formula {formula!r}: {brackets[-1]!r} is never closed")
    return stack[0]


def _token(text: str, at: int) -> str:
    found = _TOKEN.match(text, at)
    if found is None:
        raise ValueError(
            f"formula {text!r}: {text[at]!r} at place {at + 1} is no element, number or bracket; write plain formulas, "
            "without charges, dots or letters for numbers"
        )
    return found.group()


def _complaint(token: str, end: int) -> str:
    if token[0].isdigit() or token[0] == ".":
        return f"the number {token} at place {end - len(token) + 1} follows no element"
    return f"no element {token!r} among H to Bk.{nearest(token, SYMBOLS).partition(' Known')[0]}"


def _amount(formula: str, text: str, at: int) -> tuple[float, int]:
    """The number that begins at ``at``, 1 if there is none, and where it ends."""
    found = _TOKEN.match(text, at)
    if found is None or not (found.group()[0].isdigit() or found.group()[0] == "."):
        return 1.0, at
    amount = float(found.group())
    if not 0 < amount < math.inf:
        raise ValueError(f"formula {formula!r}: expected a positive amount, got {found.group()} at place {at + 1}")
    return amount, found.end()


def fractions(amounts: Sequence[Mapping[str, float]]) -> Floats:
    """(n, 97) atomic fractions of compositions, given by the amounts of their elements; rows sum to 1."""
    found = np.zeros((len(amounts), len(SYMBOLS)))
    for row, composition in zip(found, amounts, strict=True):
        row[[PLACE[symbol] for symbol in composition]] = list(composition.values())
    return found / found.sum(axis=1, keepdims=True)


def describe(share: Floats) -> Floats:
    """(n, 93) features of atomic fractions (n, 97); see `FEATURES`."""
    most = int((share > 0).sum(axis=1).max())
    which = np.argsort(-share, axis=1, kind="stable")[:, :most]
    return describe_parts(which, np.take_along_axis(share, which, axis=1))


def describe_parts(which: Index, share: Floats) -> Floats:
    """(n, 93) features of ``k`` elements, rows ``which`` (n, k) of the table, with atomic fractions ``share`` (n, k).

    A fraction of 0 stands for an element that is not there.
    """
    properties, weight = TABLE[which], share[:, :, None]  # (n, k, 22)
    mean = (weight * properties).sum(axis=1)
    # About the mean, not as a difference of squares: what is constant must have no spread at all.
    spread = np.sqrt((weight * (properties - mean[:, None]) ** 2).sum(axis=1))
    least = np.where(weight > 0, properties, np.inf).min(axis=1)
    greatest = np.where(weight > 0, properties, -np.inf).max(axis=1)
    entropy = (share * -np.log(np.where(share > 0, share, 1.0))).sum(axis=1)
    norms = [(share**p).sum(axis=1) ** (1 / p) for p in (2, 3)]
    of_fractions = np.stack([(share > 0).sum(axis=1), *norms, entropy, share.max(axis=1)], axis=1)
    return np.concatenate([mean, spread, least, greatest, of_fractions], axis=1)


def formula_features(formulas: Sequence[str]) -> Floats:
    """(n, 93) features of formulas; see `FEATURES`."""
    return describe(fractions([parse_formula(formula) for formula in formulas]))
