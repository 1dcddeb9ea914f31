"""The default planner: the best schedule of a whole night, slews counted.

Visits of one slot each are an assignment of targets to slots, which is solved exactly. Longer ones are a packing of
intervals: prices on the targets make a dynamic program over the slots take each target once (Lagrangian relaxation; M.
L. Fisher 1981, Management Science 27, 1). Slews depend on the order; they enter by solving again with the slews that
the schedule before had, and the schedule that is worth most when it is played is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from metaenv.telescope.assignment import NO_TARGET, best_assignment
from metaenv.telescope.planner.schedulers import Queue
from metaenv.telescope.planner.yields import Yields, promising
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index

PRICE_STEPS = 60  # of the prices (chosen; the gap to the bound no longer falls then)
SLEW_ROUNDS = 3  # of schedules that know each other's slews (chosen)


def pack(rewards: Floats, units: Index) -> Index:
    """(T,) which target's visit begins in each slot, or -1: visits of ``units`` (N,) slots, each target once.

    Args:
        rewards: (T, N) of a visit that begins there; 0 where it may not.
        units: slots that it takes.
    """
    count, n = rewards.shape
    padded = np.where((np.arange(count)[:, None] + units) <= count, rewards, 0.0)
    price, best, most = np.zeros(n), np.full(count, NO_TARGET), -1.0
    scale, ratio = float(padded.max(initial=0.0)) or 1.0, padded / units
    lengths = [(int(u), np.flatnonzero(units == u)) for u in np.unique(units)]
    tables = [np.where(padded[:, same] > 0, padded[:, same], -np.inf) for _, same in lengths]
    for step in range(PRICE_STEPS):
        worth, choice = [0.0] * (count + 1), np.full(count, NO_TARGET)
        offers = []  # of each length, the best target of each slot
        for (u, same), table in zip(lengths, tables, strict=True):
            paid = table - price[same]
            top = paid.argmax(axis=1)
            offers.append((u, paid[np.arange(count), top].tolist(), same[top]))
        for t in range(count - 1, -1, -1):
            worth[t] = worth[t + 1]
            for u, paid, target in offers:
                if t + u <= count and paid[t] + worth[t + u] > worth[t]:
                    worth[t], choice[t] = paid[t] + worth[t + u], target[t]
        taken, t = np.zeros(n), 0
        begun: list[tuple[float, int, int]] = []
        while t < count:
            if (k := int(choice[t])) == NO_TARGET:
                t += 1
                continue
            begun.append((float(padded[t, k]), t, k))
            taken[k] += 1
            t += int(units[k])
        schedule = _repaired(ratio, units, begun)
        total = float(sum(padded[t, schedule[t]] for t in np.flatnonzero(schedule >= 0)))
        if total > most:
            best, most = schedule, total
        if (taken <= 1).all() and not step:
            break
        price = np.maximum(price + 0.3 * scale / (1 + 0.2 * step) * (taken - 1), 0.0)
    return best


def _repaired(ratio: Floats, units: Index, begun: list[tuple[float, int, int]]) -> Index:
    """Each target once, where it earns most, and gaps filled with what earns most a slot."""
    count = len(ratio)
    schedule, free, used = np.full(count, NO_TARGET), np.ones(count, bool), np.zeros(len(units), bool)
    for _, t, k in sorted(begun, reverse=True):
        if not used[k]:
            schedule[t], used[k] = k, True
            free[t : t + units[k]] = False
    run = np.zeros(count + 1, int)  # free slots from here on
    for t in range(count - 1, -1, -1):
        run[t] = (run[t + 1] + 1) * free[t]
    most, choice = np.zeros(count), np.zeros(count, int)
    changed = np.flatnonzero(free).tolist()
    while True:
        for t in changed:
            gain = np.where((units <= run[t]) & ~used, ratio[t], 0.0)
            choice[t] = np.argmax(gain)
            most[t] = gain[choice[t]]
        t = int(np.argmax(most))
        if most[t] <= 0:
            return schedule
        k = int(choice[t])
        schedule[t], used[k] = k, True
        before = t
        while before > 0 and run[before - 1]:
            before -= 1
        run[before:t] = np.arange(t - before, 0, -1)
        run[t : t + units[k]], most[t : t + units[k]] = 0, 0.0
        changed = sorted({*range(before, t), *np.flatnonzero((choice == k) & (most > 0)).tolist()})


class _KnowsTheList(Queue):
    """A planner of one's own nights, in which nothing is hidden but the weather: it expects a clear sky."""

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """New trials begin."""
        super().start(env, rng)
        self._own = getattr(self.env, "yields_of", None)
        if self._own is None:
            raise ValueError(
                "this planner is for your own targets, in CustomTargetsEnv or plan_night; "
                f"{type(self.env).__name__} hides what its targets are worth: take 'priority' or 'sequential'"
            )
        self._seen: dict[int, tuple[int, Yields]] = {}

    def yields(self, row: int) -> Yields:
        """The tables of a telescope's present night."""
        night = int(self.env.nights_begun[row])
        if self._seen.get(row, (-1,))[0] != night:
            assert self._own is not None
            self._seen[row] = night, self._own(row)
        return self._seen[row][1]


class LookAheadPolicy(_KnowsTheList):
    """Plans the whole night before it begins; see the module."""

    def schedule(self) -> Index:
        """The schedule of each telescope that is worth most of those tried."""
        rows = range(self.env.num_envs)
        return np.stack([self._best(self.yields(row), self.env.tasks.task(row)) for row in rows])

    def _best(self, yields: Yields, task: Any) -> Index:
        table = yields.table()
        kept = np.flatnonzero(promising(table, yields.units))
        directions = np.stack([c[0, kept] for c in yields.night.targets], axis=1).astype(np.float64)
        zenith = np.array([c[0] for c in yields.night.zenith], np.float64)
        units, best, most = yields.units[kept], np.full(len(table), NO_TARGET), -1.0
        rewards = table[:, kept]
        for _ in range(SLEW_ROUNDS):
            schedule = best_assignment(rewards) if (units == 1).all() else pack(rewards, units)
            angle = np.degrees(np.arccos(np.clip(_pointing(schedule, directions, zenith) @ directions.T, -1, 1)))
            slews = angle / task.slew_deg_s + task.settle_s  # (T, N) seconds
            slots = np.flatnonzero(schedule >= 0)
            cells = (slots, kept[schedule[slots]])
            worth = float(np.sum(yields.worth(cells, slews[slots, schedule[slots]])))
            if worth <= most:
                break
            best, most = schedule, worth
            rewards = np.asarray(yields.worth((slice(None), kept), slews), np.float64)
        return np.where(best >= 0, kept[best], NO_TARGET)


def _pointing(schedule: Index, directions: Floats, zenith: Floats) -> Floats:
    """(T, 3) where the telescope points before each slot."""
    pointing, now = np.empty((len(schedule), 3)), zenith
    for t, k in enumerate(schedule):
        pointing[t] = now
        now = now if k < 0 else directions[k]
    return pointing


class GreedyPolicy(_KnowsTheList):
    """In each slot the target that earns most there, a slot; it never waits for a better time."""

    def schedule(self) -> Index:
        """Nothing is planned ahead."""
        return np.full((self.env.num_envs, self.env.setup.slots), NO_TARGET)

    def act(self, observation: object) -> Index:
        """(n,) targets, or to wait."""
        return np.array([self._now(row) for row in range(self.env.num_envs)])

    def _now(self, row: int) -> int:
        state, yields = self.env.state, self.yields(row)
        t = int(state.slot[row])
        worth = yields.worth((t, slice(None)), 60.0 * state.slew[row].astype(np.float64)) / yields.units
        worth = np.where(state.open[row] > 0, worth, 0.0)
        k = int(np.argmax(worth))
        return k if worth[k] > 0 else self.env.setup.targets
