"""The state of telescopes during a night: the tables of the night, and where each telescope stands in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from metaenv.telescope.sim.layout import FACTS, LOG, REVISIT_STATUS, STATUS, TIMELINE, Layout
from metaenv.telescope.sim.tables import Table
from metaenv.telescope.sim.targets import Targets
from metaenv.telescope.sim.visibility import Conditions, Night, Singles
from metaenv.telescope.sim.weather import Weather
from metaenv.telescope.tasks import NightSetup
from metaenv.typing import Floats, Index, Rows

UNWRITTEN: Any = None
"""A table before the first reset."""


@dataclass
class NightState(Table):
    """All that a reset writes, for ``n`` telescopes, ``T`` slots and ``N`` targets."""

    slot: Index
    """(n,) the slot that comes next."""
    night_number: Index
    """(n,) nights of the present task that began before this one."""
    score: Floats
    """(n,) the sum of tonight's rewards."""
    pointing: Singles
    """(n, 3) direction of the telescope on the equator of date."""
    last_visit: Floats
    """(n, N) JD of the last exposure of a target."""
    speed: Singles
    """(n, 1) of the mount, rad/min."""
    settle: Singles
    """(n, 1) min after a move."""
    first_night: Floats
    """(n, 2) JD of dusk and dawn of the task's first night."""
    night_level: Floats
    """(n,) of ln seeing, see `metaenv.telescope.sim.weather.next_night`."""
    last_cloud: NDArray[np.int8]
    """(n,) the state of the sky in the last slot of the night."""
    cloud_shares: Floats
    """(n, 3) share of time that the season spends in each state of the sky."""
    cloud_step: Floats
    """(n, 3, 3) probabilities from state to state over one slot."""
    cloud_overnight: Floats
    """(n, 3, 3) probabilities from the last state of a night to the first of the next."""
    timeline: Singles
    """(n, T + 1, 6) the globals that depend on the slot only."""
    shut_and_seeing: Singles
    """(n, T, 2) whether the dome is shut, and the seeing in arcsec less the nominal one."""
    facts: Singles
    """(n, 12, N) magnitude, class and features of the targets, as observed."""
    status: Singles
    """(n, 3 or 5, N) slew, openness and visits of the targets, which change with the actions, as observed."""
    globals_: Singles
    """(n, 27 or 29) the numbers of an observation that are not of a target."""
    log: Singles
    """(n, 16, T) of each of tonight's slots, what the reduced log will tell; (n, 16, 0) where values are known at
    once."""
    night: Night = UNWRITTEN
    weather: Weather = UNWRITTEN
    targets: Targets = UNWRITTEN
    air: Conditions = UNWRITTEN
    """Under the true sky."""
    nominal: Conditions = UNWRITTEN
    """Under the sky that a planner assumes."""
    log_snr: Singles = UNWRITTEN
    """(n, T, N) ln(1 + nominal signal-to-noise)."""
    slots_left: NDArray[np.int16] = UNWRITTEN
    """(n, T, N) slots until the target sets, see `Night.slots_left`."""
    value: Floats = UNWRITTEN
    """(n, N) value of a target: that of a perfect exposure."""
    rate: Floats = UNWRITTEN
    """(n, N) electrons/s of a target above the atmosphere."""
    almanac: Singles = UNWRITTEN
    """(n, 3, T, N) see `metaenv.telescope.sim.almanac`, or (n, 0) where it is not shown."""

    @classmethod
    def zeros(cls, n: int, setup: NightSetup, layout: Layout) -> Self:
        """The state before the first reset."""
        t, k = setup.slots, setup.targets

        def zeros(*shape: int, dtype: Any = np.float32) -> Any:
            return np.zeros((n, *shape), dtype)

        return cls(
            slot=zeros(dtype=np.intp),
            night_number=zeros(dtype=np.intp),
            score=zeros(dtype=np.float64),
            pointing=zeros(3),
            last_visit=zeros(k, dtype=np.float64),
            speed=zeros(1),
            settle=zeros(1),
            first_night=zeros(2, dtype=np.float64),
            night_level=zeros(dtype=np.float64),
            last_cloud=zeros(dtype=np.int8),
            cloud_shares=zeros(3, dtype=np.float64),
            cloud_step=zeros(3, 3, dtype=np.float64),
            cloud_overnight=zeros(3, 3, dtype=np.float64),
            timeline=zeros(t + 1, TIMELINE),
            shut_and_seeing=zeros(t, 2),
            facts=zeros(len(FACTS), k),
            status=zeros(sum(name in (*STATUS, *REVISIT_STATUS) for name in layout.per_target), k),
            globals_=zeros(len(layout.globals_)),
            log=zeros(len(LOG), layout.log_slots),
            almanac=zeros(0),
        )

    @property
    def slew(self) -> Singles:
        """(n, N) minutes to move to each target: a view, as are the next two."""
        return self.status[:, 0]

    @property
    def open(self) -> Singles:
        """(n, N) 1 where a target may be chosen."""
        return self.status[:, 1]

    @property
    def visits(self) -> Singles:
        """(n, N) how often each target was exposed."""
        return self.status[:, 2]

    def put(self, rows: Rows, **tables: Any) -> None:
        """Let ``rows`` hold new ``tables``, by the names of the fields; for a slice, which means all, they are kept."""
        for name, table in tables.items():
            mine = getattr(self, name)
            if isinstance(rows, slice):
                setattr(self, name, table)
            elif isinstance(mine, Table):
                mine.assign(rows, table)
            else:
                mine[rows] = table
