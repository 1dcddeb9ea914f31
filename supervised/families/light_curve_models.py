"""The twenty-one families of variable and transient objects.

A family's model maps uniform numbers (objects, 8) to light; the first two of them make the classes (see
`light_curves`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metaenv.supervised.families.light_curve_light import Light, Visits
from metaenv.supervised.families.light_curve_stars import (
    MIRA_BANDS,
    Pulsation,
    active_nucleus,
    blazar,
    dwarf_nova,
    eclipsing,
    flares,
    fu_orionis,
    microlensing,
)
from metaenv.supervised.families.light_curve_transients import (
    kilonova,
    superluminous,
    supernova_ia,
    supernova_ibc,
    supernova_ii,
    tidal_disruption,
)
from metaenv.typing import Floats

Model = Callable[[Floats, Visits, np.random.Generator], Light]


@dataclass(frozen=True)
class ObjectFamily:
    """A family: objects of one nature."""

    name: str
    model: Model
    parameters: tuple[str, str]
    """What the first two uniform numbers stand for: regions of these are the classes."""
    split: str
    usual: bool = False
    """Whether it is among what surveys find all the time, for the search of rare transients."""
    transient: bool = False
    """Whether it happens once or rarely, so that one would follow it up."""


_PULSE = ("period", "amplitude")
FAMILIES: tuple[ObjectFamily, ...] = (
    ObjectFamily("RR Lyrae ab", Pulsation((-0.245, 0.06), (-0.30, 0.16), (0.466, 0.32), (4.39, 2.68), 6600),
        _PULSE, "train", usual=True),
    ObjectFamily("Cepheid F", Pulsation((0.48, 0.27), (-0.33, 0.14), (0.444, 0.241), (4.53, 2.75), 5900),
        _PULSE, "train", usual=True),
    ObjectFamily("W Virginis", Pulsation((1.02, 0.15), (-0.40, 0.25), (0.134, 0.061), (0.40, 2.48), 5500),
        _PULSE, "train", usual=True),
    ObjectFamily("Mira", Pulsation((2.51, 0.15), (0.25, 0.18), (0.1, 0.05), (4.5, 2.5), 2900, MIRA_BANDS),
        _PULSE, "train"),
    ObjectFamily("eclipsing binary", eclipsing, ("period", "depth"), "train", usual=True),
    ObjectFamily("supernova Ia", supernova_ia, ("stretch", "dust"), "train", usual=True),
    ObjectFamily("supernova II", supernova_ii, ("plateau", "slope"), "train", usual=True),
    ObjectFamily("superluminous supernova", superluminous, ("rise", "fall"), "train", transient=True),
    ObjectFamily("active nucleus", active_nucleus, ("time scale", "amplitude"), "train", usual=True),
    ObjectFamily("M-dwarf flares", flares, ("rate", "strength"), "train", transient=True),
    ObjectFamily("dwarf nova", dwarf_nova, ("recurrence", "amplitude"), "train", transient=True),
    ObjectFamily("semi-regular", Pulsation((1.94, 0.2), (-0.90, 0.25), (0.1, 0.05), (4.5, 2.5), 3300, MIRA_BANDS),
        _PULSE, "train", usual=True),
    ObjectFamily("RR Lyrae c", Pulsation((-0.49, 0.06), (-0.585, 0.09), (0.135, 0.076), (4.94, 3.77), 7100),
        _PULSE, "validation"),
    ObjectFamily("supernova Ibc", supernova_ibc, ("rise", "fall"), "validation", transient=True),
    ObjectFamily("blazar", blazar, ("time scale", "amplitude"), "validation"),
    ObjectFamily("FU Orionis", fu_orionis, ("rise", "amplitude"), "validation", transient=True),
    ObjectFamily("Cepheid 1O", Pulsation((0.19, 0.22), (-0.627, 0.15), (0.166, 0.052), (4.38, 2.72), 6300),
        _PULSE, "test"),
    ObjectFamily("delta Scuti", Pulsation((-1.06, 0.15), (-0.69, 0.23), (0.25, 0.1), (4.0, 2.5), 7500),
        _PULSE, "test"),
    ObjectFamily("microlensing", microlensing, ("Einstein time", "impact"), "test", transient=True),
    ObjectFamily("tidal disruption", tidal_disruption, ("decay", "temperature"), "test", transient=True),
    ObjectFamily("kilonova", kilonova, ("decline", "temperature"), "test", transient=True),
)  # fmt: skip
"""Whole families are held out. Means and deviations of the pulsators: fitted to up to 300 stars a type of the OGLE-III
catalogue of variable stars (Soszynski et al. 2008-2013) from the 10, 50 and 90 % points of log period and log
amplitude and the medians of R21, R31 and phi; R and phi of Miras, semi-regular and delta Scuti stars are chosen."""
