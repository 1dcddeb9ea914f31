"""A user's own targets: a list of them, from arrays or as `read_targets` reads it from a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metaenv.errors import TaskError
from metaenv.telescope.planner.constraints import Requests
from metaenv.telescope.planner.frames import moved
from metaenv.telescope.sim.ephemeris import ARCSEC
from metaenv.telescope.sim.julian_dates import J2000
from metaenv.telescope.sim.targets import CLASSES
from metaenv.typing import Floats, Index

MAGNITUDES = (-2.0, 35.0)  # V, what can be a target (chosen)
ASSUMED_MAGNITUDE = 19.5  # V of a list without magnitudes: the median of TargetSelection's targets
HALVINGS = 10.0  # steps of priority after which the worth falls no further (chosen)

_CLASS_WORDS: tuple[tuple[str, str], ...] = (
    (r"slsn", "SLSN"), (r"^(sn ?|type )*iax?\b", "SN Ia"), (r"^(sn ?|type )*i(bc?|bn|b/c|c|cn|c-bl)\b", "SN Ibc"),
    (r"^(sn ?|type )*ii([bnlp]|-[lp])?\b", "SN II"), (r"\btde\b", "TDE"),
    (r"\b(agn|qso|quasar|blazar|seyfert|sy[12]\b|bl ?lac|bll\b)", "AGN"),
    (r"\b(cv|dwarf nova|cataclysmic)\b", "CV"), (r"\bflare|\bm[- ]?dwarf", "flare star"),
)  # fmt: skip
UNKNOWN_CLASS = -1


@dataclass(frozen=True)
class TargetList:
    """Targets of the user's own, ``N`` of them.

    Raises:
        TaskError: an empty list, lengths that differ, a name given twice, or a number out of range; it says where.
    """

    names: tuple[str, ...]
    ra: Floats
    """(N,) rad, J2000 (ICRS), 0 to 2 pi."""
    dec: Floats
    """(N,) rad, -pi/2 to pi/2."""
    magnitude: Floats
    """(N,) V, -2 to 35."""
    priority: Floats
    """(N,) the lowest number comes first, as in astroplan."""
    value: Floats
    """(N,) worth of a perfect exposure, above 0; as read, not scaled."""
    label: NDArray[np.int8]
    """(N,) index of `metaenv.telescope.sim.targets.CLASSES`, or -1 where the class is none of them."""
    notes: tuple[str, ...] = field(default=())
    """What was assumed, chosen or dropped on reading, for people."""
    motion: Floats | None = None
    """(N, 3) proper motion along right ascension, cos(dec) included, and declination in mas a year, and the Julian year
    of the positions; None for targets that do not move."""
    requests: Requests | None = None
    """What the list itself asks for, by columns of exposures, times or limits."""

    def __post_init__(self) -> None:
        n = len(self.names)
        if not n:
            raise TaskError("expected at least one target, got an empty list")
        for name in ("ra", "dec", "magnitude", "priority", "value", "label"):
            if getattr(self, name).shape != (n,):
                raise TaskError(f"expected {n} numbers of {name}, one a target, got shape {getattr(self, name).shape}")
        for name, low, high, unit in (
            ("ra", 0.0, 2 * np.pi, " rad; is it in degrees or hours?"),
            ("dec", -np.pi / 2, np.pi / 2, " rad; is it in degrees?"),
            ("magnitude", *MAGNITUDES, " V mag"),
            ("priority", -1e9, 1e9, ""),
            ("value", 1e-12, 1e12, ""),
        ):
            _check_range(name, self.names, getattr(self, name), low, high, unit)
        if self.motion is not None and (self.motion.shape != (n, 3) or not np.isfinite(self.motion).all()):
            raise TaskError(f"expected {n} finite proper motions and years, (N, 3), got shape {self.motion.shape}")
        if repeated := sorted({self.names[i] for i in again(self.names)}):
            raise TaskError(f"targets must have different names, these come more than once: {_some(repeated)}")

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: Index) -> TargetList:
        """Some of the targets, in the order of ``index``."""
        arrays = {k: getattr(self, k)[index] for k in ("ra", "dec", "magnitude", "priority", "value", "label")}
        motion = None if self.motion is None else self.motion[index]
        requests = None if self.requests is None else self.requests.take(index)
        names = tuple(self.names[i] for i in index)
        return TargetList(names, **arrays, notes=self.notes, motion=motion, requests=requests)

    def at(self, jd: float) -> TargetList:
        """The targets where they stand on a Julian date, in ICRS: proper motion is applied, and nothing else."""
        if self.motion is None:
            return self
        year = 2000.0 + (jd - J2000) / 365.25
        pm_ra, pm_dec = self.motion[:, :2].T * ARCSEC / 1000
        ra, dec = moved(self.ra, self.dec, pm_ra, pm_dec, year - self.motion[:, 2])
        most = float((np.hypot(pm_ra, pm_dec) * np.abs(year - self.motion[:, 2])).max() / ARCSEC)
        note = f"positions are those of {year:.1f}: proper motions have moved targets by up to {most:.1f} arcsec"
        there = np.column_stack([self.motion[:, :2], np.full(len(self), year)])
        return replace(self, ra=ra, dec=dec, motion=there, notes=(*self.notes, note))

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        ra_deg: ArrayLike,
        dec_deg: ArrayLike,
        magnitude: ArrayLike = ASSUMED_MAGNITUDE,
        priority: ArrayLike | None = None,
        value: ArrayLike | None = None,
        classes: Sequence[str] | None = None,
        pm_ra_mas: ArrayLike | None = None,
        pm_dec_mas: ArrayLike | None = None,
        epoch: ArrayLike = 2000.0,
    ) -> TargetList:
        """From names and arrays (N,) in degrees (ICRS); one number serves for all.

        Proper motions are in mas a year, that in right ascension with cos(dec); ``epoch`` is the Julian year of the
        positions. Without values, those of `values_from_priorities`; without priorities, the most valuable target
        comes first.
        """
        n = len(names)
        ra, dec, mag = (_all(x, n) for x in (ra_deg, dec_deg, magnitude))
        for axis, given, low, high in (("ra", ra, 0.0, 360.0), ("dec", dec, -90.0, 90.0)):
            if given.shape == (n,):  # other shapes are refused by the list itself
                _check_range(axis, names, given, low, high, " deg")
        order, worth = order_and_worth(
            None if priority is None else _all(priority, n), None if value is None else _all(value, n), n
        )
        label = np.array([classify(c) for c in classes] if classes else [UNKNOWN_CLASS] * n, np.int8)
        motion = None
        if pm_ra_mas is not None or pm_dec_mas is not None:
            given = (0.0 if x is None else x for x in (pm_ra_mas, pm_dec_mas, epoch))
            motion = np.column_stack([_all(x, n) for x in given])
        return cls(
            tuple(map(str, names)), np.radians(ra) % (2 * np.pi), np.radians(dec), mag, order, worth, label,
            motion=motion,
        )  # fmt: skip


def values_from_priorities(priority: Floats) -> Floats:
    """(N,) worth 1 for the first priority and half as much with every unit of priority, at least 2^-10 (chosen)."""
    if not len(priority):
        return np.zeros(0)
    return 2.0 ** -np.minimum(priority - priority.min(), HALVINGS)


def classify(text: str) -> int:
    """The index in `CLASSES` of a class as catalogues write it (``"SN Ia-91T"``, ``"IIn"``, ``"QSO"``), or -1."""
    lowered = str(text).split(",")[0].strip().lower()
    for index, name in enumerate(CLASSES):
        if lowered == name.lower():
            return index
    return next((CLASSES.index(name) for words, name in _CLASS_WORDS if re.search(words, lowered)), UNKNOWN_CLASS)


# SMALL THINGS


def order_and_worth(priority: Floats | None, value: Floats | None, n: int) -> tuple[Floats, Floats]:
    """(n,) priorities, the lowest first, and values; either follows from the other where it is missing."""
    if value is None:
        priority = np.ones(n) if priority is None else priority
        return priority, values_from_priorities(priority)
    return -value if priority is None else priority, value


def again(names: Sequence[str]) -> list[int]:
    """Rows whose name stands in an earlier row."""
    seen: set[str] = set()
    return [i for i, name in enumerate(names) if name in seen or seen.add(name)]  # type: ignore[func-returns-value]


def _some(items: Sequence[str], most: int = 5) -> str:
    return ", ".join(map(repr, items[:most])) + (f" and {len(items) - most} more" if len(items) > most else "")


def _all(numbers: ArrayLike, n: int) -> Floats:
    given = np.asarray(numbers, np.float64)
    return np.full(n, float(given)) if given.ndim == 0 else given


def _check_range(what: str, names: Sequence[str], given: Floats, low: float, high: float, unit: str) -> None:
    if (bad := ~((low <= given) & (given <= high))).any():  # NaN fails both
        i = int(np.flatnonzero(bad)[0])
        raise TaskError(f"expected {what} from {low:g} to {high:g}{unit}, got {given[i]} for {names[i]!r}")
