"""A laboratory: which recipes it can make, what they cost, which grain sizes it wants and what it can measure.

Everything that is not the hidden material. The default one follows recipes that people have published (30,031
text-mined solid-state syntheses, the 2020 release of the data of Kononova et al. 2019, Scientific Data 6, 203): heating
temperature P5-P95 873-1823 K, time at that temperature P1-P99 0.34-120 h, two heating steps in 32 % of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from metaenv.errors import nearest
from metaenv.files import read_toml
from metaenv.typing import Floats

Range = tuple[float, float]
"""The lowest and the highest value."""


class Quantity(NamedTuple):
    """A number of a recipe: what it is called, its unit, other units of it, and between which values it has a sense."""

    name: str
    unit: str
    units: Mapping[str, tuple[float, float]]
    """(factor, offset) of each unit that is understood."""
    limits: Range
    """What the equations can bear."""

    def read(self, value: Any) -> float:
        """A number in `unit`, or text such as "1.5 h"."""
        if isinstance(value, str):
            match = _WRITTEN.fullmatch(value)
            unit = match[2] or self.unit if match else ""
            if match is None or unit not in self.units:
                known = ", ".join(u for u in self.units if u) or "no unit"
                raise ValueError(f"{self.name}: expected a number with a unit ({known}), got {value!r}")
            factor, offset = self.units[unit]
            return round(float(match[1]) * factor + offset, 12)
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise ValueError(f"{self.name}: expected a number in {self.unit or 'parts of 1'}, or text, got {value!r}")
        return float(value)

    def range(self, value: Any) -> Range:
        """Two values, or text such as "700 K .. 1400 K"."""
        ends = re.split(r"\s*(?:\.\.+|…|–|\bto\b)\s*", value) if isinstance(value, str) else value
        if not isinstance(ends, tuple | list) or len(ends) != 2:
            raise ValueError(f"{self.name}: expected a range such as '{self.text(self.limits)}', got {value!r}")
        low, high = (self.read(end) for end in ends)
        if isinstance(ends[0], str) and isinstance(ends[1], str) and re.fullmatch(r"[\d.eE+-]+", ends[0].strip()):
            match = _WRITTEN.fullmatch(ends[1])  # "700 .. 1400 C": the unit is that of both
            low = self.read(f"{ends[0]} {match[2] if match and match[2] else self.unit}")
        if not self.limits[0] <= low < high <= self.limits[1]:
            raise ValueError(
                f"{self.name}: expected a range within {self.text(self.limits)}, the lower end first, got {value!r}"
                f"{'' if 'K' in str(value) else self.celsius(low, self.limits)}"
            )
        return low, high

    def text(self, ends: Range) -> str:
        """A range in words."""
        return f"{ends[0]:g} .. {ends[1]:g} {self.unit}".strip()

    def celsius(self, value: float, bounds: Range) -> str:
        """A question, where the number would be a temperature within the bounds in degrees Celsius."""
        if self.unit != "K" or not value < bounds[0] <= value + 273.15 <= bounds[1]:
            return ""
        return f"; is it in degrees Celsius? {value:g} °C is {value + 273.15:g} K"


_WRITTEN = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s].*?)?\s*")
_KELVIN = {"K": (1.0, 0.0), **dict.fromkeys(("C", "°C", "degC"), (1.0, 273.15))}
_HOURS = {
    **dict.fromkeys(("h", "hours", "hour"), (1.0, 0.0)),
    "min": (1 / 60, 0.0),
    "s": (1 / 3600, 0.0),
    "d": (24.0, 0.0),
}
_RATES = {
    **dict.fromkeys(("K/min", "C/min", "°C/min"), (1.0, 0.0)),
    **dict.fromkeys(("K/h", "C/h", "°C/h"), (1 / 60, 0.0)),
}
_LENGTHS = {**dict.fromkeys(("um", "µm", "μm"), (1.0, 0.0)), "nm": (1e-3, 0.0), "mm": (1e3, 0.0)}
QUANTITIES = {
    "temperature_K": Quantity("temperature", "K", _KELVIN, (550.0, 2500.0)),
    "hold_h": Quantity("hold", "h", _HOURS, (0.01, 2000.0)),
    "ramp_K_per_min": Quantity("ramp", "K/min", _RATES, (0.01, 500.0)),
    "excess_a": Quantity("excess A", "", {"": (1.0, 0.0), "%": (0.01, 0.0)}, (-0.5, 5.0)),
    "particle_um": Quantity("particle size", "um", _LENGTHS, (0.01, 500.0)),
    "log10_pco2_bar": Quantity("log pCO2", "", {"": (1.0, 0.0)}, (-12.0, 2.0)),
}
"""By the field of a `metaenv.materials.recipes.Recipe`."""
GOAL = Quantity("goal", "um", _LENGTHS, (0.01, 100.0))


@dataclass(frozen=True)
class Bounds:
    """Which recipes can be made; actions in [-1, 1] cover these ranges."""

    temperature_K: Range = (700.0, 1800.0)
    """Set point of the furnace; text-mined P5-P95, rounded."""
    hold_h: Range = (0.33, 100.0)
    """At the set point; text-mined P1-P99, rounded. Actions are logarithmic in it."""
    ramp_K_per_min: Range = (1.0, 20.0)
    """What a box furnace does (chosen). Logarithmic."""
    excess_a: Range = (-0.10, 0.30)
    """Of the volatile oxide A over stoichiometry (chosen)."""
    particle_um: Range = (0.1, 5.0)
    """Particle size after milling; planetary to hand milling (chosen). Logarithmic."""
    log10_pco2_bar: Range = (-5.0, 0.0)
    """Decimal logarithm of the pressure of CO2 in bar: from scrubbed gas to pure CO2 at ambient pressure."""


@dataclass(frozen=True)
class Costs:
    """What an experiment costs, in units of perfect target, and what product of a wrong grain size is worth."""

    any_grain: float = 0.3  # worth of pure target of a wrong grain size (chosen)
    grain_tolerance: float = 0.6  # standard deviation in ln(G/G*) (chosen)
    time: float = 0.08  # of `long_h` of furnace, logarithmic in the time (chosen)
    long: float = 0.10  # of `long_h`, quadratic: the furnace is wanted by others (chosen)
    long_h: float = 100.0
    short: float = 0.08  # of `short_h` or less, inverse square: not evenly hot (chosen)
    short_h: float = 0.33
    heat: float = 0.06  # of `hot_K`: radiation grows with T^4 (chosen)
    hot_K: float = 1800.0
    ramp: float = 0.05  # of `fast_K_per_min`, quadratic: cracked tubes and boats (chosen)
    fast_K_per_min: float = 20.0
    milling: float = 0.02  # of `milled_um`, inverse square: wear of the mill in the sample (chosen)
    milled_um: float = 0.3
    patchy: float = 0.15  # of `coarse_um`, quadratic: coarse powders mix badly (chosen)
    coarse_um: float = 5.0
    nitrate: float = 0.01  # its fumes (chosen)
    oxide: float = 0.01  # dearer than the carbonate (chosen)
    second_step: float = 0.01  # of opening the furnace again (chosen)

    def __post_init__(self) -> None:
        for f in fields(self):
            value, above = getattr(self, f.name), f.name in _NOT_ZERO
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < np.inf:
                raise ValueError(f"costs: expected {f.name} as a number of at least 0, got {value!r}")
            if above and value == 0:
                raise ValueError(f"costs: expected {f.name} above 0, got 0")
        if self.any_grain > 1:
            raise ValueError(f"costs: expected any_grain from 0 to 1, got {self.any_grain!r}")

    @cached_property
    def precursor(self) -> Floats:
        """(3,) of the carbonate, the nitrate and the oxide."""
        return np.array([0.0, self.nitrate, self.oxide])


_NOT_ZERO = ("grain_tolerance", "long_h", "short_h", "hot_K", "fast_K_per_min", "milled_um", "coarse_um")


@dataclass(frozen=True)
class Instruments:
    """What is measured of a sample, and how well: the noise, or None (or "none") where there is no such instrument.

    The reading, which is the reward, is always there, with the noise that it has by default where an instrument is
    missing: it stands for the test of the product that a laboratory cannot do without.
    """

    XRD: float | None = 0.015
    """Absolute noise of a refined share of a phase (chosen; Rietveld round robins report 1-3 %)."""
    SEM: float | None = 0.10
    """Noise of the logarithm of a grain size read from micrographs (chosen)."""
    balance: float | None = 0.002
    """Absolute noise of the relative mass loss (chosen)."""
    detection_limit: float = 0.02
    """A phase below this share is not seen (chosen, usual for laboratory diffractometers)."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value in (None, "none") and f.name != "detection_limit":
                object.__setattr__(self, f.name, None)
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                none = "" if f.name == "detection_limit" else ", or None where there is none"
                raise ValueError(f"instruments: expected the noise of {f.name} from 0 to 1{none}, got {value!r}")
        if self.detection_limit <= 0:
            raise ValueError("instruments: expected a detection_limit above 0, got 0")

    @property
    def missing(self) -> tuple[str, ...]:
        """Those that there are not."""
        return tuple(name for name in INSTRUMENTS if getattr(self, name) is None)

    @cached_property
    def noise(self) -> tuple[float, float, float]:
        """Of XRD, SEM and balance; where one is missing, of the default one, for the reading."""
        own = ((getattr(self, name), getattr(Instruments, name)) for name in INSTRUMENTS)
        xrd, sem, balance = (default if value is None else value for value, default in own)
        return xrd, sem, balance


INSTRUMENTS = ("XRD", "SEM", "balance")
P = TypeVar("P", Bounds, Costs, Instruments)


@dataclass(frozen=True, init=False)
class Laboratory:
    """A laboratory of one's own, for `metaenv/MaterialsSynthesis-v1`.

        Laboratory(bounds={"temperature": "700 K .. 1400 K", "particle size": (0.5, 5)}, costs={"time": 0.1},
                   goal="1 um .. 4 um", instruments={"SEM": None})

    Args:
        bounds: `Bounds`, or some of them by name: temperature, hold, ramp, excess A, particle size, log pCO2. A range
            is two numbers in K, h, K/min, parts of 1, um and decimal logarithms of bar, or text with units.
        costs: `Costs`, or some of them by name.
        goal: range of the grain sizes that are wanted, from which tasks draw theirs.
        instruments: `Instruments`, or some by name: XRD, SEM, balance, detection_limit.

    Raises:
        ValueError: an unknown name or unit, or a number out of its limits; the message says which are known.
    """

    bounds: Bounds = field(default_factory=Bounds)
    costs: Costs = field(default_factory=Costs)
    goal: Range = (0.5, 8.0)
    instruments: Instruments = field(default_factory=Instruments)

    def __init__(
        self,
        bounds: Bounds | Mapping[str, Any] | None = None,
        costs: Costs | Mapping[str, Any] | None = None,
        goal: Range | str = (0.5, 8.0),
        instruments: Instruments | Mapping[str, Any] | None = None,
    ) -> None:
        names = {q.name: f for f, q in QUANTITIES.items()}
        given = _changed("bounds", Bounds(), bounds, names)
        read = {f: q.range(getattr(given, f)) for f, q in QUANTITIES.items()}
        object.__setattr__(self, "bounds", Bounds(**read))
        object.__setattr__(self, "costs", _changed("costs", Costs(), costs))
        object.__setattr__(self, "goal", GOAL.range(goal))
        object.__setattr__(self, "instruments", _changed("instruments", Instruments(), instruments))

    def changes(self) -> list[tuple[str, Laboratory, Laboratory]]:
        """What differs from the default laboratory, in words; the default one with only this, and this one without."""
        found: list[tuple[str, Laboratory, Laboratory]] = []
        if self.goal != DEFAULT.goal:
            told = f"goal {GOAL.text(self.goal)} (by default {GOAL.text(DEFAULT.goal)})"
            found.append((told, replace(DEFAULT, goal=self.goal), replace(self, goal=DEFAULT.goal)))
        for part in ("bounds", "costs", "instruments"):
            mine, default = getattr(self, part), getattr(DEFAULT, part)
            for f in fields(mine):
                own, usual = getattr(mine, f.name), getattr(default, f.name)
                if own != usual:
                    told = "{} {} (by default {})".format(*_words(part, f.name, own, usual))
                    only, without = replace(default, **{f.name: own}), replace(mine, **{f.name: usual})
                    found.append((told, replace(DEFAULT, **{part: only}), replace(self, **{part: without})))
        return found

    def __str__(self) -> str:
        return "; ".join(told for told, *_ in self.changes()) or "the default laboratory"

    def inside(self, name: str, values: Floats) -> Floats:
        """The values of a field of a recipe, if they lie within the bounds.

        Raises:
            ValueError: one lies outside or is NaN; the message names the field, the bound and the unit.
        """
        quantity, (low, high) = (
            QUANTITIES[name.removeprefix("second_")],
            getattr(self.bounds, name.removeprefix("second_")),
        )
        slack = 1e-9 * (high - low)
        if len(values) and not (values.min() >= low - slack and values.max() <= high + slack):
            row = int(np.argmin((values >= low - slack) & (values <= high + slack)))
            value, unit = float(values[row]), f" {quantity.unit}".rstrip()
            end = "not a number" if np.isnan(value) else f"{'below' if value < low else 'above'} the bound of "
            end += "" if np.isnan(value) else f"{low if value < low else high:g}{unit}"
            where = f" (recipe {row})" if len(values) > 1 else ""
            called = quantity.name if name in QUANTITIES else f"second {quantity.name}"
            raise ValueError(
                f"{called} {value:g}{unit}{where} is {end}; this laboratory makes {quantity.text((low, high))}"
                f"{quantity.celsius(value, (low, high))}"
            )
        return values


def _words(part: str, name: str, own: Any, usual: Any) -> tuple[str, str, str]:
    """A field of a part of a laboratory, and two values of it."""
    if part == "bounds":
        quantity = QUANTITIES[name]
        return quantity.name, quantity.text(own), quantity.text(usual)
    return f"{'cost of ' * (part == 'costs')}{name}", "none" if own is None else f"{own:g}", f"{usual:g}"


def _changed(what: str, default: P, given: Any, names: Mapping[str, str] | None = None) -> P:
    """The default with what a mapping changes."""
    if given is None or type(given) is type(default):
        return given or default
    if not isinstance(given, Mapping):
        raise ValueError(f"expected {what} as {type(default).__name__} or a dictionary, got {given!r}")
    known = {**{f.name: f.name for f in fields(default)}, **(names or {})}
    for name in given:
        if name not in known:
            raise ValueError(f"no {what} {name!r}.{nearest(str(name), names or known)}")
    return replace(default, **{known[name]: value for name, value in given.items()})


DEFAULT = Laboratory()
"""The laboratory of the frozen lists."""


Given = Laboratory | Mapping[str, Any] | str | Path | None
"""What `laboratory_of` takes."""


def laboratory_of(given: Given) -> Laboratory:
    """A laboratory: the default one for None, or one made of the arguments that a dictionary or a TOML file holds."""
    if given is None or isinstance(given, Laboratory):
        return given or DEFAULT
    if isinstance(given, str | Path):
        try:
            if not (Path(given).suffix == ".toml" and Path(given).is_file()):
                raise ValueError("no such file; laboratory= takes Laboratory(…), a dictionary or a file NAME.toml")
            return laboratory_of(read_toml(given))
        except ValueError as error:
            raise ValueError(f"{given}: {error}") from None
    names = ("bounds", "costs", "goal", "instruments")
    other = [str(name) for name in given if name not in names] if isinstance(given, Mapping) else [repr(given)]
    if other:
        inner = [*(q.name for q in QUANTITIES.values()), *INSTRUMENTS, *(f.name for f in fields(Costs))]
        where = "; write it under [bounds], [costs] or [instruments]" if other[0] in inner else ""
        raise ValueError(
            f"expected laboratory=Laboratory(…), or a dictionary or file of {', '.join(names)}; got "
            f"{', '.join(other)}{where}"
        )
    return Laboratory(**given)


def check_laboratory(distribution: Any, laboratory: Laboratory) -> None:
    """Raise ValueError if a distribution that an environment is given is one of another laboratory."""
    if getattr(distribution, "laboratory", laboratory) != laboratory:
        raise ValueError(
            "expected a distribution of the environment's own laboratory, got one of another; give both the same: "
            "SolidStateDistribution(laboratory=…) and laboratory=…"
        )
