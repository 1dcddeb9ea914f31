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
_PLAIN = {**str.maketrans("₀₁₂₃₄₅₆₇₈₉•∙⋅*−–", "0123456789····--"), ord("½"): "1/2"}
_TIMES = re.compile(r"\s+[xX](?=\s*\d)\s*|\s*×\s*")
_BEYOND = "Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og".split()
_NUMBER = r"\d+\.?\d*(?:[eE]-?\d+)?|\.\d+"
_TOKEN = re.compile(
    rf"(?:(?P<element>[A-Z][a-z]?)|(?P<close>[)\]}}]))(?P<amount>{_NUMBER})?|(?P<open>[(\[{{])|(?P<number>{_NUMBER})"
)
_SYMBOL = re.compile(r"[A-Z][a-z]?")
_FACTOR = re.compile(r"\d+/\d+|\d+\.?\d*|\.\d+")
_STOP = re.compile(r"(?P<before>(?<!\d)\d*)\.(?P<times>\d*(?:\.\d+|/\d+)?)(?=[A-Z(\[{])")
_CHARGE = re.compile(r"\^?\{?\d*[+-]+\d*\}?|[⁰¹²³⁴-⁹]*[⁺⁻]")
_UNKNOWN = re.compile(r"(?<=\d)[+±-](?=[xyznδ\d])|[xyznδ]")
_WATER = re.compile(r"(?:H2O|\(H2O\))(?=$|[.·])")


def parse_formula(formula: str) -> dict[str, float]:
    """Atoms of each element in a formula, positive amounts by symbol, in the order in which they come.

    Subscripts may be decimal ("Fe0.62C0.000953"), groups may be nested ("Ca10(PO4)6(OH)2", "[Co(NH3)6]Cl3"), and white
    space does not matter. Parts of hydrates and double salts are divided by a dot or an asterisk, and may begin with
    how often they come ("CuSO4·5H2O", "CuSO4 x 5 H2O", "3Al2O3*2SiO2"); so may a full stop before water
    ("CuSO4.5H2O"), unless it may be a decimal point. There are no charges and no letters for numbers.

    Raises:
        ValueError: an unknown element, an amount of zero, a bracket without its partner, a full stop of two readings,
            or anything else that is no formula; the message names the place.
    """
    if not isinstance(formula, str):
        raise ValueError(f"expected a chemical formula such as 'Fe2O3', got {formula!r}")
    text = "".join(_TIMES.sub("·", formula.translate(_PLAIN)).split())
    if not text:
        raise ValueError("expected a chemical formula such as 'Fe2O3', got an empty one")
    if "." in text:
        text = _stops_read(formula, text)
    whole: dict[str, float] = {}
    parts = text.split("·")
    start = 0
    for part in parts:
        times = _FACTOR.match(part) if len(parts) > 1 else None
        factor = _quotient(times[0]) if times else 1.0
        if not 0 < factor < math.inf:
            raise ValueError(f"formula {formula!r}: expected a positive number before {part!r}, got {factor:g}")
        if len(part) == (times.end() if times else 0):
            raise ValueError(f"formula {formula!r}: nothing stands at place {start + 1}, beside a dot that divides")
        for symbol, count in _counted(formula, text, start + (times.end() if times else 0), start + len(part)).items():
            whole[symbol] = whole.get(symbol, 0.0) + factor * count
        start += len(part) + 1
    return whole


def _counted(formula: str, text: str, at: int, end: int) -> dict[str, float]:
    """Atoms in the part of ``text`` from ``at`` to ``end``."""
    stack: list[dict[str, float]] = [{}]
    brackets: list[str] = []
    while at < end:
        token = _TOKEN.match(text, at, end)
        if token is None:
            raise ValueError(f"formula {text!r}: {text[at]!r} at place {at + 1} {_what_is_wrong(text, at)}")
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


def _stops_read(formula: str, text: str) -> str:
    """The text with a dot for each full stop that divides parts; the others are decimal points.

    A full stop is a decimal point after the subscript 0 or 1, between brackets, before a 0 and before anything but a
    group; it divides without a number behind it, and in "3.0.5". Any other one may be either: it divides where another
    does or before water, and is refused where a formula has decimal points too or would name an element twice.
    """
    found = [
        m for m in _STOP.finditer(text) if text.count("(", 0, m.start()) == text.count(")", 0, m.start())
        and text.count("[", 0, m.start()) == text.count("]", 0, m.start())
    ]  # fmt: skip
    either, divides = [], []
    for m in found:
        if not m["times"] or "." in m["times"]:
            divides.append(m)
        elif not (m["before"] in ("0", "1") or m["times"].startswith("0")):
            either.append(m)
    decimal = text.count(".") > len(either) + sum(m[0].count(".") for m in divides)
    water = any(_WATER.match(text, m.end()) for m in either)
    if either and (divides or water or "·" in text) and not decimal:
        divides += either
    elif either:
        for m in either:
            twice = set(_SYMBOL.findall(text, 0, m.start())) & set(_SYMBOL.findall(text, m.end()))
            if twice or _WATER.match(text, m.end()):
                raise ValueError(
                    f"formula {formula!r}: the full stop at place {text.index('.', m.start()) + 1} may be a decimal "
                    f"point or divide two parts; write {text[: text.index('.', m.start())]}·{m['times']}"
                    f"{text[m.end() :]}, or name each element once"
                )
    for m in divides:
        at = text.index(".", m.start())
        text = f"{text[:at]}·{text[at + 1 :]}"
    return text


def divided_by_stops(formula: str) -> bool:
    """Whether a formula that `parse_formula` reads has full stops for dots, as in "CuSO4.5H2O"."""
    text = "".join(formula.translate(_PLAIN).split())
    return "." in text and _stops_read(formula, text).count("·") > text.count("·")


def _quotient(text: str) -> float:
    over, _, under = text.partition("/")
    return float(over) / float(under or 1) if float(under or 1) else math.inf


def _what_is_wrong(text: str, at: int) -> str:
    if _CHARGE.fullmatch(text, at):
        return "is a charge, which is no part of a composition; leave it out, with its number"
    if _UNKNOWN.match(text, at):
        return "stands for an amount that is not known; write it as a number, such as O6.93 for O7-x"
    return (
        "is no element, number or bracket; write plain formulas, without charges, names of phases or letters for "
        "numbers"
    )


def _element(formula: str, symbol: str) -> dict[str, float]:
    if symbol not in PLACE:
        hint = nearest(symbol, SYMBOLS).partition(" Known")[0]
        if symbol in _BEYOND:
            hint = " It is heavier than Bk, and its properties are not known."
        elif symbol in ("D", "T"):
            hint = " Write H for deuterium and tritium."
        elif symbol[0] in PLACE and symbol[1:] in ("x", "y", "z"):
            hint = f" If {symbol[1]!r} stands for an amount, write a number."
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
