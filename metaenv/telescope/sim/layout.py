"""What stands where in an observation: the numbers of a target, and those of the night."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metaenv.layout import Block, ObservationLayout
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
ALMANAC = ("best ln(1 + nominal SNR) to come", "time to the best slot", "slots to come")
GLOBALS = (
    "slot", "sin(sidereal time)", "cos(sidereal time)", "moon east", "moon north", "moon sin(altitude)",
    "night", "moon phase", "slot hours", "action was legal", "exposed", "dome shut", "seeing - 0.9", "loss of light",
    "ln(1 + SNR)", "ln(1 + nominal SNR)", "reward", "log10(reward)", *CLASSES, *FEATURES,
)  # fmt: skip
TIMELINE = 6
"""The first so many globals depend on the night and the slot only."""
NIGHT_GLOBALS = slice(GLOBALS.index("night"), GLOBALS.index("action was legal"))
"""The globals that are written once a night."""
LAST_SLOT = slice(GLOBALS.index("action was legal"), None)
"""The globals that tell of the last slot."""
WORTH = ("reward", "log10(reward)")
"""The globals that are not shown where values are known at dawn only."""
LOG = ("exposed", *CLASSES, *FEATURES, "loss of light", "ln(1 + SNR)", *WORTH)
"""What the reduced log of a night tells of each slot, 0 where nothing was exposed."""


OF_TARGETS = {
    "east": "direction of each target", "north": "direction", "sin(altitude)": "direction",
    "cos(moon separation)": "of the angle to the moon",
    "ln(1 + nominal SNR)": "signal to noise of one slot under a nominal sky and instrument",
    "slots left": "until it sets, as a share of the night",
    "magnitude - 20": "V magnitude", **dict.fromkeys(CLASSES, "1 for those of this photometric class"),
    **dict.fromkeys(FEATURES, "of the host or the light curve, standardised"),
    "slew / min": "minutes to turn the telescope there", "open": "1 if it may be chosen", "visits": "so far this night",
    "days since last visit": "0 before the first", "last reward": "what the last visit earned",
    ALMANAC[0]: "after this slot", ALMANAC[1]: "as a share of the night",
    ALMANAC[2]: "in which it may be observed, as a share of the night",
}  # fmt: skip
OF_THE_NIGHT = {
    "slot": "share of the night that is over", "night": "which one of the trial",
    "moon phase": "illuminated fraction", "slot hours": "length of a slot",
}  # fmt: skip
"""What the columns mean; the other globals tell of the sky, and from "action was legal" on of the last slot."""


class Layout(ObservationLayout):
    """Where things stand in an observation: ``per_target`` rows of ``targets`` numbers, then ``globals_``.

    Where values are known at dawn, the rows of `LOG` follow, of ``log_slots`` numbers each.

    ``observation[:, : rows * targets].reshape(n, rows, targets)`` is a picture of the targets, a feature a row.
    """

    def __init__(
        self, targets: int, per_target: tuple[str, ...], globals_: tuple[str, ...] = GLOBALS, log_slots: int = 0
    ) -> None:
        self.targets, self.per_target, self.globals_, self.log_slots = targets, per_target, globals_, log_slots
        blocks = [Block(name, OF_TARGETS[name], -LIMIT, LIMIT, targets) for name in per_target]
        told = globals_.index("action was legal")
        for i, name in enumerate(globals_):
            meaning = OF_THE_NIGHT.get(name, "of the sky now" if i < told else "of the last slot")
            twin = f"{name} (last slot)" if name in per_target else name
            blocks.append(Block(twin, meaning, -LIMIT, LIMIT))
        for name in LOG if log_slots else ():
            blocks.append(Block(f"{name} (log)", "of each slot, once the night is over", -LIMIT, LIMIT, log_slots))
        super().__init__(blocks)

    @property
    def rows(self) -> int:
        """Features of a target."""
        return len(self.per_target)

    def split(self, observation: Observations) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Views of observations (n, d) or longer, as a trial's: targets (n, rows, targets) and globals (n, g)."""
        end = self.rows * self.targets
        targets = observation[:, :end].reshape(len(observation), self.rows, self.targets)
        return targets, observation[:, end : end + len(self.globals_)]

    @property
    def log(self) -> slice:
        """The columns of the reduced log."""
        return slice(self.width - len(LOG) * self.log_slots, self.width)

    def row(self, name: str) -> int:
        """Which feature of a target is called ``name``."""
        return self.per_target.index(name)
