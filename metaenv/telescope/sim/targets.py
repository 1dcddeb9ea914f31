"""The science programme: the classes of targets, their values, and the lists of targets that nights offer.

The photometric class of a target is observed, its true class is hidden. The value of a target is
``v[true class] exp(w.f - |w|^2 / 2)`` with hidden class values ``v`` and feature weights ``w``; it is 1 on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.telescope.sim.tables import Table
from metaenv.typing import Floats

CLASSES = ("SN Ia", "SN II", "SN Ibc", "SLSN", "TDE", "AGN", "CV", "flare star")
N_CLASSES = len(CLASSES)
SHARES = np.array([0.22, 0.16, 0.10, 0.08, 0.08, 0.12, 0.14, 0.10])
"""Share of each photometric class in a list (chosen, between the magnitude-limited streams of ZTF, two thirds SN Ia,
and of CRTS, a third supernovae; and even shares)."""
FEATURES = ("colour", "age", "host offset")
"""Continuous features, standardised: normal with mean 0 and standard deviation 1, cut at 4 (chosen)."""
N_FEATURES = len(FEATURES)
FEATURE_CUT = 4.0

VALUE_SD = 1.3  # of ln class value (research notes: wide enough that fixed rules fail)
WEIGHT_SD = 0.8  # of a feature weight, likewise
HELD_OUT_PAIRS = ((0, 4), (1, 5), (2, 6), (3, 7))
"""Pairs of classes that are never the two most valuable ones in training (chosen: a perfect matching)."""

MAG_CUT = 4.0  # standard deviations
LOWEST_PLACE = np.sin(np.radians(35.0))  # sine of the altitude above which targets are placed (chosen)

UNIFORMS, NORMALS = 6, 1 + N_FEATURES
"""Random numbers that a target takes."""

# Row: photometric class; the true class when that is wrong, as a cumulative distribution over the other classes.
_OTHERS = SHARES * (1 - np.eye(N_CLASSES))
CONFUSION = _OTHERS / _OTHERS.sum(axis=1, keepdims=True)
"""(8, 8) true class (column) of a target whose photometric class (row) is wrong: the others by their shares."""
_WRONG = np.cumsum(CONFUSION, axis=1)
_SHARES = np.cumsum(SHARES)


@dataclass(frozen=True)
class Targets(Table):
    """The lists of ``n`` nights, ``N`` targets each."""

    ra: Floats
    """(n, N) rad, J2000."""
    dec: Floats
    """(n, N) rad, J2000."""
    magnitude: Floats
    """(n, N) V."""
    label: NDArray[np.int8]
    """(n, N) photometric class."""
    true_class: NDArray[np.int8]
    """(n, N) hidden."""
    features: Floats
    """(n, 3, N)."""


def draw_targets(
    uniform: Floats,
    normal: Floats,
    purity: Floats,
    latitude: Floats,
    lst: Floats,
    magnitude: tuple[float, float],
) -> Targets:
    """Lists of targets that stand high at some time of the night, in the order of that time.

    Args:
        uniform: (n, 6, N).
        normal: (n, 4, N).
        purity: (n,) probability that the photometric class is right.
        latitude: (n,) rad.
        lst: (n, 2) sidereal time at the night's beginning and at its end, rad, the latter the larger.
        magnitude: mean and standard deviation of V.
    """
    when = np.sort(uniform[:, 0], axis=1)
    ra, dec = _place(uniform[:, 1], uniform[:, 2], latitude[:, None])
    ra = (ra + lst[:, :1] + when * (lst[:, 1:] - lst[:, :1])) % (2 * np.pi)
    label = np.searchsorted(_SHARES[:-1], uniform[:, 3], side="right").astype(np.int8)
    wrong = _pick(_WRONG[label], uniform[:, 5])
    true_class = np.where(uniform[:, 4] < purity[:, None], label, wrong)
    brightness = magnitude[0] + magnitude[1] * np.clip(normal[:, 0], -MAG_CUT, MAG_CUT)
    features = np.clip(normal[:, 1:], -FEATURE_CUT, FEATURE_CUT)
    return Targets(ra, dec, brightness, label, true_class, features)


def _place(height: Floats, around: Floats, latitude: Floats) -> tuple[Floats, Floats]:
    """Minus the hour angle, and the declination, of places that are uniform on the sky above `LOWEST_PLACE`."""
    sin_alt = LOWEST_PLACE + (1 - LOWEST_PLACE) * height
    flat = np.sqrt(1 - sin_alt * sin_alt)
    east, north = flat * np.sin(2 * np.pi * around), flat * np.cos(2 * np.pi * around)
    sin_dec = sin_alt * np.sin(latitude) + north * np.cos(latitude)
    towards = sin_alt * np.cos(latitude) - north * np.sin(latitude)
    return np.arctan2(east, towards), np.arcsin(np.clip(sin_dec, -1, 1))


def _pick(cumulative: Floats, uniform: Floats) -> NDArray[np.int8]:
    """Which class, from cumulative shares (..., 8); the last share never decides, however it is rounded."""
    return (uniform[..., None] >= cumulative[..., :-1]).sum(axis=-1, dtype=np.int8)


def tilt(weights: Floats, features: Floats) -> Floats:
    """exp(w.f - |w|^2 / 2): (n, N) from (n, 3) and (n, 3, N)."""
    # Sums in one order, whatever the number of rows.
    exponent = np.zeros(features[:, 0].shape)
    for j in range(N_FEATURES):
        w = weights[:, j, None]
        exponent += w * (features[:, j] - 0.5 * w)
    return np.exp(exponent)


def values(tasks: Any, targets: Targets) -> Floats:
    """(n, N) values of the targets; ``tasks`` has ``class_value`` (n, 8) and ``feature_weight`` (n, 3)."""
    return np.take_along_axis(tasks.class_value, targets.true_class.astype(np.intp), axis=1) * tilt(
        tasks.feature_weight, targets.features
    )


def expected_values(tasks: Any, targets: Targets) -> Floats:
    """(n, N) values expected from the task and the photometric classes, without the true classes."""
    purity = tasks.purity[:, None]
    by_label = purity * tasks.class_value + (1 - purity) * (tasks.class_value @ CONFUSION.T)
    return np.take_along_axis(by_label, targets.label.astype(np.intp), axis=1) * tilt(
        tasks.feature_weight, targets.features
    )


def normalised(class_value: Floats) -> Floats:
    """Class values (n, 8) scaled so that the mean value of a list's targets is 1."""
    total = np.zeros(len(class_value))
    for share, column in zip(SHARES, class_value.T, strict=True):
        total += share * column
    return class_value / total[:, None]


def without_held_out_pairs(class_value: Floats) -> Floats:
    """Class values whose top two classes are not a held-out pair: if they were, second and third change places."""
    order = np.argsort(-class_value, axis=1, kind="stable")
    rows = np.flatnonzero(PARTNER[order[:, 0]] == order[:, 1])
    changed = class_value.copy()
    second, third = order[rows, 1], order[rows, 2]
    changed[rows, second], changed[rows, third] = class_value[rows, third], class_value[rows, second]
    return changed


def concentrated(class_value: Floats, unit: Floats) -> Floats:
    """Class values whose two most valuable classes are one of `HELD_OUT_PAIRS`, and worth twice as much."""
    pairs = np.array(HELD_OUT_PAIRS)[(unit * len(HELD_OUT_PAIRS)).astype(np.intp)]
    changed = class_value.copy()
    for j in range(2):
        rows = np.arange(len(changed))
        # The j-th largest of the classes not yet placed goes to the pair's j-th class, and what stood there goes back.
        free = changed.copy()
        if j:
            free[rows, pairs[:, 0]] = -np.inf
        largest = np.argmax(free, axis=1)
        mine, theirs = changed[rows, pairs[:, j]].copy(), changed[rows, largest].copy()
        changed[rows, largest], changed[rows, pairs[:, j]] = mine, theirs
    changed[np.arange(len(changed))[:, None], pairs] *= 2.0
    return changed


PARTNER = np.zeros(N_CLASSES, np.intp)
"""(8,) the class that each one is held out with."""
for _a, _b in HELD_OUT_PAIRS:
    PARTNER[_a], PARTNER[_b] = _b, _a
