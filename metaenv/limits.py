"""Numbers that a setting may be, written as its type: ``n_epochs: Count = 4``.

A dataclass of settings calls `check_limits` when it is made, so that a number that no training can use is refused at
once, with its name, and not after an hour or never.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, cast, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Limits:
    """A range of finite numbers."""

    low: float = -math.inf
    """The least."""
    high: float = math.inf
    """The greatest."""
    above: bool = False
    """Whether `low` itself is too little."""
    whole: bool = False
    """Whether only whole numbers are meant."""

    def hold(self, value: Any) -> bool:
        """Whether a value is one of these numbers."""
        if isinstance(value, bool) or not isinstance(value, numbers.Integral if self.whole else numbers.Real):
            return False
        number = int(value) if isinstance(value, numbers.Integral) else float(value)
        finite = isinstance(number, int) or math.isfinite(number)
        return finite and self.low <= number <= self.high and not (self.above and number == self.low)

    def __str__(self) -> str:
        """Such as "a whole number of at least 1" or "a number from 0 to 1"."""
        kind = "a whole number" if self.whole else "a number"
        if self.high < math.inf:
            return f"{kind} from {self.low:g} to {self.high:g}"
        if self.low > -math.inf:
            return f"{kind} above {self.low:g}" if self.above else f"{kind} of at least {self.low:g}"
        return f"{kind} that is finite"


COUNT, COUNT_OR_ZERO = Limits(1, whole=True), Limits(0, whole=True)
Count = Annotated[int, COUNT]
"""How many, 1 at least."""
CountOrZero = Annotated[int, COUNT_OR_ZERO]
"""How many, or 0 for none."""
Positive = Annotated[float, Limits(0, above=True)]
"""A size, such as a factor."""
NotNegative = Annotated[float, Limits(0)]
"""Such as the weight of a term of a loss, which 0 leaves out."""
Share = Annotated[float, Limits(0, 1)]
"""A part of a whole, or a discount."""
Finite = Annotated[float, Limits()]
"""Any number but infinity and NaN."""


def check(name: str, value: Any, limits: Limits) -> None:
    """Raise ValueError, with the name, unless a value is within limits."""
    if not limits.hold(value):
        raise ValueError(f"expected {name} to be {limits}, got {value!r}")


def check_limits(settings: Any) -> None:
    """Refuse settings whose numbers are outside the limits that their types name.

    Args:
        settings: an instance of a dataclass. Fields whose type names no limits may hold anything, a field with
            ``| None`` may hold None, and each number of a tuple, or value of a dictionary, has to be within the limits
            of its type.

    Raises:
        ValueError: the first that is not, with its name, its limits and what it is.
    """
    for name, rule in _rules(type(settings)).items():
        value = getattr(settings, name)
        if not rule.allows(value):
            raise ValueError(f"expected {name} to be {rule}, got {value!r}")


class _Rule(NamedTuple):
    """What a field may hold."""

    limits: Limits
    several: bool
    """Whether it is a tuple or dictionary of such numbers."""
    optional: bool
    """Whether it may be None."""

    def allows(self, value: Any) -> bool:
        if value is None:
            return self.optional
        if self.several and isinstance(value, dict):
            return all(map(self.limits.hold, cast(dict[Any, Any], value).values()))
        if self.several and isinstance(value, tuple | list):
            return all(map(self.limits.hold, cast(list[Any], value)))
        return self.limits.hold(value)

    def __str__(self) -> str:
        return f"{self.limits}{' in each place' if self.several else ''}{' or None' if self.optional else ''}"


@cache
def _rules(kind: type[Any]) -> dict[str, _Rule]:
    """Of the fields whose types name limits."""
    found: dict[str, _Rule] = {}
    for name, hint in _hints(kind).items():
        parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        for part in parts:
            several = get_origin(part) in (tuple, dict)
            for annotated in get_args(part) if several else (part,):
                for limits in getattr(annotated, "__metadata__", ()):
                    if isinstance(limits, Limits):
                        found[name] = _Rule(limits, several, NoneType in parts)
    return found


def _hints(kind: type[Any]) -> dict[str, Any]:
    """Types of fields; those of the first base class whose types can be found, where a type is local to a function."""
    for base in kind.__mro__:
        try:
            return get_type_hints(base, include_extras=True)
        except NameError:
            continue
    return {}
