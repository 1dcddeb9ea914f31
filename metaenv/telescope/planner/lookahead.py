"""The default planner: the best schedule of a whole night, slews counted.

Visits of one slot each are an assignment of targets to slots, which is solved exactly. Longer ones are a packing of
intervals: prices on the targets make a dynamic program over the slots take each target once (Lagrangian relaxation by
subgradients; M. L. Fisher 1981, Management Science 27, 1), and moves of single visits improve what it finds. Slews
depend on the order; they enter by these moves, and by solving again with the slews that the schedule before had. The
schedule that is worth most when it is played is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heapreplace
from typing import Any

import numpy as np

from metaenv.telescope.planner.schedulers import NO_TARGET, Queue
from metaenv.telescope.planner.yields import Yields, promising
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index

LEAST_STEPS, MOST_STEPS = 40, 240  # of the prices, on long and on short lists (chosen)
LEAST_MOVES, MOST_MOVES = 15, 100  # that are tried on a schedule (chosen)
SLEW_ROUNDS = 2  # of schedules that know each other's slews (chosen)


def assign(rewards: Floats) -> Index:
    """(T,) the column of each row, or -1, of the assignment with the highest sum of ``rewards`` (T, N), at least 0.

    Shortest augmenting paths (R. Jonker and A. Volgenant 1987, Computing 38, 325), a row at a time.
    """
    count, n = rewards.shape
    cost = np.concatenate([-rewards, np.zeros((count, count))], axis=1)  # a row may stay without a target
    columns = n + count
    owner, price, duals = np.full(columns, -1), np.zeros(columns), np.zeros(count)
    for row in range(count):
        distance, before = np.full(columns, np.inf), np.full(columns, -1)
        open_ = np.zeros(columns)  # inf where a column is done
        at, here, column = row, 0.0, -1
        order: list[int] = []
        while True:
            reduced = cost[at] - price
            reduced += here - duals[at]
            better = reduced < distance
            better &= open_ == 0
            distance[better] = reduced[better]
            before[better] = column
            column = int(np.argmin(distance + open_))
            here = float(distance[column])
            order.append(column)
            open_[column] = np.inf
            if owner[column] < 0:
                break
            at = int(owner[column])
        done = np.array(order[:-1], np.intp)
        duals[row] += here
        duals[owner[done]] += here - distance[done]
        price[done] -= here - distance[done]
        while column >= 0:
            previous = int(before[column])
            owner[column] = row if previous < 0 else owner[previous]
            column = previous
    schedule = np.full(count, NO_TARGET)
    for column in np.flatnonzero(owner[:n] >= 0):
        if rewards[owner[column], column] > 0:
            schedule[owner[column]] = column
    return schedule


def _assigned(rewards: Floats) -> Index:
    """`assign`, by SciPy where it is installed: ten times as fast, and as good."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        return assign(rewards)
    schedule = np.full(len(rewards), NO_TARGET)
    slot, target = linear_sum_assignment(rewards, maximize=True)
    paid = rewards[slot, target] > 0
    schedule[slot[paid]] = target[paid]
    return schedule


def pack(rewards: Floats, units: Index) -> Index:
    """(T,) which target's visit begins in each slot, or -1: visits of ``units`` (N,) slots, each target once.

    Args:
        rewards: (T, N) of a visit that begins there; 0 where it may not.
        units: slots that it takes.
    """
    count, n = rewards.shape
    padded = np.where((np.arange(count)[:, None] + units) <= count, rewards, 0.0)
    highest, ratio, takes = padded.max(axis=0, initial=0.0), -padded / units, [*units.tolist(), 0]
    thrifty = np.argsort(ratio.min(axis=0, initial=0.0), kind="stable")
    full = thrifty[np.cumsum(units[thrifty]) > count][:1]  # the first target for which a night of these has no slot
    price = np.maximum(highest - units * np.sum(highest[full] / units[full]), 0.0)  # as if slots were alike
    best, most, least, stride, waited, move = np.full(count, NO_TARGET), -1.0, np.inf, 1.0, 0, np.zeros(n)
    order = np.argsort(ratio, axis=1, kind="stable")
    order = [row[: np.count_nonzero(paid)] for row, paid in zip(order, padded > 0, strict=True)]
    ranked = [[*zip(r[k].tolist(), k.tolist(), strict=True), (0.0, n)] for r, k in zip(ratio, order, strict=True)]
    lengths = [(int(u), np.flatnonzero(units == u)) for u in np.unique(units)]
    tables = [np.where(padded[:, same] > 0, padded[:, same], -np.inf) for _, same in lengths]
    steps = _effort(n, LEAST_STEPS, MOST_STEPS)
    for step in range(steps):
        if step and 2 * step == steps == MOST_STEPS:  # another way to the same prices
            price, move, stride, waited = np.zeros(n), np.zeros(n), 1.0, 0
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
            t += takes[k]
        schedule = _repaired(ranked, takes, begun)
        total = _total(padded, schedule)
        if total > most:
            best, most = schedule, total
        bound = worth[0] + float(price.sum())
        waited = 0 if bound < least else waited + 1
        least = min(bound, least)
        if waited == steps // 15:
            stride, waited = stride / 2, 0
        move = np.where((price > 0) | (taken > 0), taken - 1, 0.0) + move / 2
        if most > least * (1 - 1e-6) or not (length := float(move @ move)):
            break
        price = np.maximum(price + stride * (bound - most) / length * move, 0.0)
    return best


def _repaired(best: list[list[tuple[float, int]]], units: list[int], begun: list[tuple[float, int, int]]) -> Index:
    """(T,) each target once, where it earns most, and gaps filled with what earns most a slot.

    Args:
        best: of each slot, the rewards a slot of its targets, below 0, with their numbers, in order; 0 comes last.
        units: slots that each target takes, and 0 for the last.
        begun: reward, first slot and target of visits that may repeat a target.
    """
    count = len(best)
    schedule, run, used = np.full(count, NO_TARGET), [1] * count, [False] * len(units)
    for _, t, k in sorted(begun, reverse=True):
        if not used[k]:
            schedule[t], used[k] = k, True
            run[t : t + units[k]] = [0] * units[k]
    for t in range(count - 2, -1, -1):
        run[t] *= run[t + 1] + 1  # free slots from here on
    rank, offers = [0] * count, [(-np.inf, t) for t in range(count)]
    while offers:  # offers only become worse, so that the first that still holds is the best
        told, t = offers[0]
        ranked, room, i = best[t], run[t], rank[t]
        while room and (used[ranked[i][1]] or units[ranked[i][1]] > room):
            i += 1
        rank[t] = i
        reward, k = ranked[i]
        if not (room and reward):
            heappop(offers)
        elif reward > told:
            heapreplace(offers, (reward, t))
        else:
            schedule[t], used[k] = k, True
            run[t : t + units[k]] = [0] * units[k]
            while t and run[t - 1]:
                run[t - 1], t = run[t] + 1, t - 1
    return schedule


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

        def after_slews(schedule: Index) -> Floats:
            angle = np.degrees(np.arccos(np.clip(_pointing(schedule, directions, zenith) @ directions.T, -1, 1)))
            slews = angle / task.slew_deg_s + task.settle_s  # (T, N) seconds
            return np.asarray(yields.worth((slice(None), kept), slews), np.float64)

        units, best, most = yields.units[kept], np.full(len(table), NO_TARGET), -1.0
        rewards, alike = table[:, kept], bool((units == 1).all())
        for _ in range(SLEW_ROUNDS):
            schedule = _assigned(rewards) if alike else improved(pack(rewards, units), units, after_slews)
            rewards = after_slews(schedule)
            worth = _total(rewards, schedule)
            if worth <= most:
                break
            best, most = schedule, worth
        return np.where(best >= 0, kept[best], NO_TARGET)


def improved(schedule: Index, units: Index, rewards_of: Callable[[Index], Floats]) -> Index:
    """A schedule that is worth no less, by moves of one visit, before which those that it meets give way.

    Args:
        schedule: (T,) which target's visit begins in each slot, or -1.
        units: (N,) slots of a visit.
        rewards_of: (T, N) rewards of visits where the others are those of a schedule.
    """
    count, first = len(schedule), np.arange(len(schedule))[:, None]
    rewards = rewards_of(schedule)
    tried = rewards <= 0
    for _ in range(_effort(len(units), LEAST_MOVES, MOST_MOVES)):
        slots = np.flatnonzero(schedule >= 0)
        there = schedule[slots]
        paid, last = rewards[slots, there], slots + units[there] - 1
        lost = np.zeros((2, count + 1))  # sums of the visits that have begun, and that have ended, before a slot
        for sums, at in zip(lost, (slots, last), strict=True):
            sums[at + 1] = paid
        lost = lost.cumsum(axis=1)
        cost = lost[0][np.minimum(first + units, count)] - lost[1][:-1, None]
        cost[:, there] += np.where((slots < first + units[there]) & (last >= first), 0.0, paid)
        gain = np.where(tried, 0.0, rewards - cost)
        t, k = divmod(int(gain.argmax()), len(units))
        if gain[t, k] <= 1e-9 * paid.sum():
            break
        new = schedule.copy()
        new[slots[(there == k) | ((slots < t + units[k]) & (last >= t))]] = NO_TARGET
        new[t] = k
        then = rewards_of(new)
        if _total(then, new) > paid.sum() * (1 + 1e-9):
            schedule, rewards, tried = new, then, then <= 0
        else:
            tried[t, k] = True
    return schedule


def _effort(n: int, least: int, most: int) -> int:
    """Steps for ``n`` targets: ``most`` up to 100, and fewer the more there are."""
    return max(most * 100 // max(n, 100), least)


def _total(rewards: Floats, schedule: Index) -> float:
    slots = np.flatnonzero(schedule >= 0)
    return float(rewards[slots, schedule[slots]].sum())


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
