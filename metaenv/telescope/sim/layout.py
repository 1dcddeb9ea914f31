"""What stands where in an observation: the numbers of a target, and those of the night."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metaenv.telescope.sim.targets import CLASSES, FEATURES
from metaenv.vector import Observations

SHOWN_MAG = 20.0  # V that is subtracted from the magnitudes
LIMIT = 16.0  # of observations; nothing reaches it
LOSS_RANGE = (-2.0, 6.0)  # mag, of the measured loss of light
FAINTEST_REWARD = 1e-4  # of which the logarithm is shown

SKY = ("east", "north", "sin(altitude)", "cos(moon separation)", "ln(1 + nominal SNR)", "slots left")
FACTS = ("magnitude - 20", *CLASSES, *FEATURES)
STATUS = ("slew / min", "open", "visits")
REVISIT_STATUS = ("days since last visit", "last reward")
GLOBALS = (
    "slot", "sin(sidereal time)", "cos(sidereal time)", "moon east", "moon north", "moon sin(altitude)",
    "night", "moon phase", "slot hours", "action was legal", "exposed", "dome shut", "seeing - 0.9", "loss of light",
    "ln(1 + SNR)", "ln(1 + nominal SNR)", "reward", "log10(reward)", *CLASSES, *FEATURES,
)  # fmt: skip
TIMELINE = 6
"""The first so many globals depend on the night and the slot only."""
NIGHT_GLOBALS = slice(GLOBALS.index("night"), GLOBALS.index("action was legal"))
"""The globals that are written once a night."""
LAST_SLOT = slice(GLOBALS.index("action was legal"), len(GLOBALS))
"""The globals that tell of the last slot."""


@dataclass(frozen=True)
class Layout:
    """Where things stand in an observation: ``per_target`` rows of ``targets`` numbers, then ``globals_``.

    ``observation[:, : rows * targets].reshape(n, rows, targets)`` is a picture of the targets, a feature a row.
    """

    targets: int
    per_target: tuple[str, ...]
    globals_: tuple[str, ...] = GLOBALS

    @property
    def rows(self) -> int:
        """Features of a target."""
        return len(self.per_target)

    @property
    def size(self) -> int:
        """Numbers of an observation."""
        return self.rows * self.targets + len(self.globals_)

    def split(self, observation: Observations) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Views of observations (n, d) or longer, as a trial's: targets (n, rows, targets) and globals (n, g)."""
        end = self.rows * self.targets
        targets = observation[:, :end].reshape(len(observation), self.rows, self.targets)
        return targets, observation[:, end : end + len(self.globals_)]

    def row(self, name: str) -> int:
        """Which feature of a target is called ``name``."""
        return self.per_target.index(name)
