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
_NUMBER = r"\d+\.?\d*(?:[eE]-?\d+)?|\.\d+"
_TOKEN = re.compile(
    rf"(?:(?P<element>[A-Z][a-z]?)|(?P<close>[)\]}}]))(?P<amount>{_NUMBER})?|(?P<open>[(\[{{])|(?P<number>{_NUMBER})"
)


def parse_formula(formula: str) -> dict[str, float]:
    """Atoms of each element in a formula, positive amounts by symbol, in the order in which they come.

    Subscripts may be decimal ("Fe0.62C0.000953"), groups may be nested ("Ca10(PO4)6(OH)2", "[Co(NH3)6]Cl3"), and white
    space does not matter. There are no charges, dots or letters for numbers.

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
        token = _TOKEN.match(text, at)
        if token is None:
            raise ValueError(
                f"formula {text!r}: {text[at]!r} at place {at + 1} is no element, number or bracket; write plain "
                "formulas, without charges, dots or letters for numbers"
            )
        if token["number"]:
            raise ValueError(f"formula {formula!r}: the number {token[0]} at place {at + 1} follows no element")
        if token["open"]:
            stack.append({})
            brackets.append(token["open"])
        else:
            part = _closed(formula, token, stack, brackets) if token["close"] else _element(formula, token["element"])
            amount = float(token["amount"] or 1)
            if not 0 < amount < math.inf:
                raise ValueError(
                    f"formula {formula!r}: expected a positive amount, got {token['amount']} at place "
                    f"{token.start('amount') + 1}"
                )
            for symbol, count in part.items():
                stack[-1][symbol] = stack[-1].get(symbol, 0.0) + amount * count
        at = token.end()
    if brackets:
        raise ValueError(f"formula {formula!r}: {brackets[-1]!r} is never closed")
    return stack[0]


def _element(formula: str, symbol: str) -> dict[str, float]:
    if symbol not in PLACE:
        hint = nearest(symbol, SYMBOLS).partition(" Known")[0]
        raise ValueError(f"formula {formula!r}: no element {symbol!r} among H to Bk.{hint}")
    return {symbol: 1.0}


def _closed(formula: str, token: re.Match[str], stack: list[dict[str, float]], brackets: list[str]) -> dict[str, float]:
    """What stands between a closing bracket and its partner; both are taken off their lists."""
    place = token.start() + 1
    if not brackets or _OPEN.index(brackets.pop()) != _CLOSE.index(token["close"]):
        raise ValueError(f"formula {formula!r}: {token['close']!r} at place {place} closes no bracket of its kind")
    if not stack[-1]:
        raise ValueError(f"formula {formula!r}: brackets with nothing between them before place {place + 1}")
    return stack.pop()


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
