"""Baselines of TargetSelection: greedy rules, fixed or learning from what their exposures earned.

In each slot they take the exposure with the highest index per slot, and they differ in what goes into the index. They
read the trial's observation only; policies that know the task are in `metaenv.telescope.references`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from metaenv.policies import Policy
from metaenv.telescope.assignment import best_assignment
from metaenv.telescope.sim.exposure import OVERHEAD_S, SNR_NEEDED, exposure_seconds, quality
from metaenv.telescope.sim.forecast import Latitude, later_snr
from metaenv.telescope.sim.layout import LAST_SLOT, LOG, SHOWN_MAG
from metaenv.telescope.sim.reward import revisit_worth
from metaenv.telescope.sim.targets import CLASSES, N_CLASSES, N_FEATURES, SHARES, VALUE_SD, WEIGHT_SD
from metaenv.telescope.tasks import (
    CADENCE_HOURS,
    CADENCE_WEIGHT,
    NEEDED_RANGE,
    NEEDED_SD,
    NIGHT_HOURS,
)
from metaenv.trial import VectorTrial
from metaenv.typing import Floats, Index
from metaenv.vector import Observations

if TYPE_CHECKING:
    from metaenv.telescope.sim.env import TargetSelectionVectorEnv

GRID = 9
"""Values of the needed SNR that are considered, at even quantiles of the prior (chosen)."""
_QUANTILES = np.array([-1.593, -0.967, -0.589, -0.282, 0.0, 0.282, 0.589, 0.967, 1.593])
"""Of the standard normal at (i + 1/2) / 9."""
NEEDED_GRID = np.clip(SNR_NEEDED * np.exp(NEEDED_SD * _QUANTILES), *NEEDED_RANGE)


class ParsedObservation:
    """What a policy reads from a trial's observation; arrays are (n, N)."""

    def __init__(self, env: TargetSelectionVectorEnv, observation: Observations) -> None:
        layout = env.layout
        targets, globals_ = layout.split(observation)
        self.globals = globals_.copy()
        self._names = layout.globals_
        self.hours = self.number("slot hours")
        self.slot = np.rint(self.number("slot") * env.setup.slots).astype(np.intp)
        get = {name: targets[:, i] for i, name in enumerate(layout.per_target)}
        self.directions = targets[:, :3].astype(np.float64)
        self.sin_alt = get["sin(altitude)"].astype(np.float64)
        self.magnitude = get["magnitude - 20"].astype(np.float64)
        self.slew_s = get["slew / min"].astype(np.float64) * 60.0
        self.open = get["open"] > 0
        self.slots_left = np.rint(get["slots left"] * env.setup.slots)
        self.nominal_snr = np.expm1(get["ln(1 + nominal SNR)"].astype(np.float64))
        start = layout.row("SN Ia")
        self.one_hot = targets[:, start : start + N_CLASSES]
        self.features = targets[:, start + N_CLASSES : start + N_CLASSES + N_FEATURES].astype(np.float64)
        self.visited = get["visits"] > 0
        self.gap_hours = 24.0 * get["days since last visit"].astype(np.float64) if env.setup.revisits else None
        self.night_ended = observation[:, -2] > 0
        """(n,) whether the last step ended a night."""
        reported = observation[:, layout.width : layout.width + len(LOG) * layout.log_slots]
        self.log = reported.reshape(len(observation), len(LOG), layout.log_slots).astype(np.float64)
        """(n, 16, T) what the trial reports of the night before; (n, 16, 0) where values are known at once."""

    def light(self, units: int) -> Floats:
        """Share of the time of an exposure of ``units`` slots that the slew leaves, (n, N)."""
        whole = exposure_seconds(self.hours[:, None], 0.0, OVERHEAD_S)
        return 1.0 - np.minimum(self.slew_s, whole) / (whole * units)

    def number(self, name: str) -> Floats:
        """(n,) one of the numbers of the night, such as those of the last slot."""
        return self.globals[:, self._names.index(name)].astype(np.float64)

    def last_target(self) -> Floats:
        """(n, 11) class (one-hot) and features of the target exposed last."""
        start = self._names.index("SN Ia")
        return self.globals[:, start : start + N_CLASSES + N_FEATURES].astype(np.float64)

    def forget(self, rows: Index) -> None:
        """Be told nothing of the last slot and of the night before in ``rows``."""
        self.globals[rows, LAST_SLOT], self.log[rows] = 0, 0

    def logged(self, name: str, width: int = 1) -> Floats:
        """(n, T, width) the reduced log of the night before, from the column called ``name`` on."""
        start = LOG.index(name)
        return self.log[:, start : start + width].transpose(0, 2, 1)


class GreedyPolicy(ABC):
    """Takes the exposure with the highest index per slot among those that are open; waits if none is above 0."""

    def start(self, env: VectorTrial, rng: np.random.Generator) -> None:
        """New trials begin."""
        self.trials, self.rng = env, rng
        self.env = cast("TargetSelectionVectorEnv", env.innermost)
        self.setup = self.env.setup
        self.begin()

    def begin(self) -> None:  # noqa: B027 (optional)
        """Hook: called when new trials begin."""

    def act(self, observation: Observations) -> NDArray[Any]:
        """(n,) actions."""
        seen = ParsedObservation(self.env, observation)
        self.look(seen)
        self.seen = seen
        return self.choose(seen)

    def choose(self, seen: ParsedObservation) -> NDArray[Any]:
        """(n,) actions, by `index`."""
        best, action = np.zeros(len(seen.open)), np.full(len(seen.open), self.setup.targets)
        action *= len(self.setup.lengths)
        for j, units in enumerate(self.setup.lengths):
            index = self.index(seen, units) / units
            index = np.where(seen.open & (seen.slots_left >= units), index, -np.inf)
            k = np.argmax(index, axis=1)
            top = index[np.arange(len(index)), k]
            better = top > best
            best, action = np.where(better, top, best), np.where(better, j * self.setup.targets + k, action)
        return action

    def look(self, seen: ParsedObservation) -> None:  # noqa: B027 (optional)
        """Hook: called once per step before `index`."""

    @abstractmethod
    def index(self, seen: ParsedObservation, units: int) -> Floats:
        """(n, N) how much an exposure of ``units`` slots promises."""

    def worth_again(self, seen: ParsedObservation) -> Floats:
        """(n, N) worth of a repeated visit as a share of a first one, expected over the prior of the cadence."""
        assert seen.gap_hours is not None
        gap = np.maximum(seen.gap_hours, 0.05)[..., None]
        tonight = revisit_worth(gap, np.geomspace(*CADENCE_HOURS, 5), np.mean(CADENCE_WEIGHT)).mean(axis=-1)
        return (tonight + revisit_worth(gap[..., 0], NIGHT_HOURS, np.mean(CADENCE_WEIGHT))) / 3.0

    def observe(self, action: NDArray[Any], reward: Floats) -> None:  # noqa: B027 (optional)
        """Nothing is learned."""


class LowestAirmass(GreedyPolicy):
    """The highest target, which an observer takes who has no other reason to choose."""

    def index(self, seen: ParsedObservation, units: int) -> Floats:
        """The sine of the altitude; the shortest exposure wins."""
        return seen.sin_alt + 2.0


class BrightestFirst(GreedyPolicy):
    """The brightest open target."""

    def index(self, seen: ParsedObservation, units: int) -> Floats:
        """The negative magnitude, shifted to be positive."""
        return 20.0 - seen.magnitude


class GreedySNR(GreedyPolicy):
    """The highest nominal signal-to-noise, slews counted."""

    def index(self, seen: ParsedObservation, units: int) -> Floats:
        """The nominal SNR."""
        return seen.nominal_snr * np.sqrt(seen.light(units))


class FlatValues(GreedyPolicy):
    """The best fixed rule: the highest quality expected over the prior of the SNR needed, with all values equal.

    Classes and features may have any value, so that only planning ahead can improve a rule that does not learn.
    """

    def index(self, seen: ParsedObservation, units: int) -> Floats:
        """Expected quality under nominal conditions."""
        return expected_quality(seen, units, 1.0) * novelty(self, seen)


def expected_quality(seen: ParsedObservation, units: int, scale: Floats | float) -> Floats:
    """(n, N) quality, averaged over the prior of the SNR needed; ``scale`` multiplies the nominal SNR."""
    return prior_quality(seen.nominal_snr * np.sqrt(units * seen.light(units)) * scale)


def prior_quality(snr: Floats) -> Floats:
    """Quality at signal-to-noise ratios ``snr``, averaged over the prior of the SNR needed."""
    return sum((quality(snr, needed) for needed in NEEDED_GRID), start=np.zeros(1)) / GRID


def novelty(policy: GreedyPolicy, seen: ParsedObservation) -> Floats | float:
    """(n, N) 1 for first visits; for others ``policy.worth_again(seen)``."""
    return 1.0 if seen.gap_hours is None else np.where(seen.visited, policy.worth_again(seen), 1.0)


# LEARNING BASELINES

LABEL_SD = 0.9
"""sd of ln value about the linear model, for the targets whose class is wrong (chosen: a fifth of them, off by 2)."""
_X = N_CLASSES + N_FEATURES


def prior() -> tuple[Floats, Floats]:
    """Mean (11,) and covariance (11, 11) of the logarithms of class values and of the feature weights.

    Class values are scaled so that their mean by `SHARES` is 1; the moments after scaling are those of a fixed sample.
    """
    rng = np.random.default_rng(0)
    raw = np.exp(VALUE_SD * rng.standard_normal((4096, N_CLASSES)))
    weights = WEIGHT_SD * rng.standard_normal((4096, N_FEATURES))
    logs = np.log(raw / (raw @ SHARES)[:, None]) - 0.5 * np.square(weights).sum(axis=1, keepdims=True)
    both = np.concatenate([logs, weights], axis=1)
    return both.mean(axis=0), np.cov(both.T)


class BayesLinear(GreedyPolicy):
    """A linear model of ln value with a Gaussian posterior, and a grid of what SNR is needed.

    It learns from each exposure when its worth is known. The reward of an exposure is the value times a quality that
    depends on the measured SNR and on the SNR needed. For each value of the latter the model is a Bayesian linear
    regression on class and features; their weights follow from how well they predicted. It knows the priors of the
    family. The mean loss of light measured so far corrects the nominal SNR.

    Args:
        optimism: 0 ranks by the posterior mean of the value; otherwise by exp(mean + optimism sd) of ln value.
        thompson: rank by one draw from the posterior instead, new in every slot.
    """

    def __init__(self, optimism: float = 0.0, thompson: bool = False) -> None:
        self.optimism, self.thompson = optimism, thompson

    def begin(self) -> None:
        """Start from the prior."""
        n = self.env.num_envs
        self._prior = prior()
        self._mean, self._covariance = np.zeros((n, GRID, _X)), np.zeros((n, _X, _X))
        self._log_weight = np.zeros((n, GRID))
        self._loss_sum, self._loss_count, self._paid = np.zeros(n), np.zeros(n), np.zeros(n)
        self._was_first = np.ones(n, bool)
        self.restart(np.arange(n))

    def restart(self, rows: Index) -> None:
        """Forget what was learned in ``rows``, where new trials begin."""
        self._mean[rows], self._covariance[rows] = self._prior
        for array in (self._log_weight, self._loss_sum, self._loss_count, self._paid):
            array[rows] = 0.0

    def look(self, seen: ParsedObservation) -> None:
        """Learn from the last exposure, and compute the posterior of every target's value."""
        self._learn(seen)
        x = np.concatenate([seen.one_hot.astype(np.float64), seen.features], axis=1)  # (n, 11, N)
        weight = np.exp(self._log_weight - self._log_weight.max(axis=1, keepdims=True))
        self._weight = weight / weight.sum(axis=1, keepdims=True)
        if self.thompson:
            root = np.linalg.cholesky(self._covariance)
            shift = np.einsum("nij,nj->ni", root, self.rng.standard_normal(root.shape[:2]))
            drawn = (self.rng.random((len(root), 1)) > np.cumsum(self._weight, axis=1)).sum(axis=1)
            drawn = np.minimum(drawn, GRID - 1)
            self._weight = (np.arange(GRID) == drawn[:, None]).astype(float)
            self._value = np.exp(np.clip((self._mean + shift[:, None]) @ x, -20, 20))
            return
        variance = np.einsum("nik,nik->nk", x, self._covariance @ x)
        add = self.optimism * np.sqrt(variance) if self.optimism else 0.5 * np.minimum(variance, 4.0)
        self._value = np.exp(np.clip(self._mean @ x + add[:, None], -20, 20))  # (n, GRID, N)

    def index(self, seen: ParsedObservation, units: int) -> Floats:
        """Posterior value times expected quality."""
        snr = seen.nominal_snr * np.sqrt(units * seen.light(units)) * self._brightness()[:, None]
        total = np.zeros(snr.shape)
        for g, needed in enumerate(NEEDED_GRID):
            total += self._weight[:, g, None] * self._value[:, g] * quality(snr, needed)
        return total * novelty(self, seen)

    def _brightness(self) -> Floats:
        """(n,) the SNR over the nominal one, by the loss of light measured so far."""
        loss = self._loss_sum / (self._loss_count + 2.0)
        return 10 ** (-0.4 * 0.75 * loss)  # sky and target are both fainter: between the powers 1/2 and 1

    def observe(self, action: NDArray[Any], reward: Floats) -> None:
        """Remember the reward; the next observation tells what the exposure measured."""
        self._paid = np.asarray(reward, np.float64)
        if self.setup.revisits:
            # The reward of a repeated visit says less, because the best time between visits is not known.
            target = np.asarray(action) % self.setup.targets
            self._was_first = ~self.seen.visited[np.arange(len(target)), target]

    def _learn(self, seen: ParsedObservation) -> None:
        """Condition the posterior on the last exposure, where there was one, or on the log of the night before."""
        exposed = seen.number("exposed") > 0
        if self.env.at_dawn:
            self._add_loss(np.flatnonzero(exposed), seen.number("loss of light"))
            self._read_log(seen)
            return
        rows = np.flatnonzero(exposed & (self._paid > 0) & self._was_first)
        if len(rows):
            self._add_loss(rows, seen.number("loss of light"))
            self._condition(rows, seen.last_target()[rows], seen.number("ln(1 + SNR)")[rows], self._paid[rows])

    def _add_loss(self, rows: Index, loss: Floats) -> None:
        self._loss_sum[rows] += loss[rows]
        self._loss_count[rows] += 1

    def _read_log(self, seen: ParsedObservation) -> None:
        """Condition on the exposures of the night before, which the trial reports once."""
        if not (seen.log[:, 0] > 0).any():
            return
        told = np.concatenate([seen.logged(name) for name in ("ln(1 + SNR)", "reward")], axis=2)
        x, useful = seen.logged(CLASSES[0], _X), (seen.log[:, 0] > 0) & (told[:, :, 1] > 0)
        for t in np.flatnonzero(useful.any(axis=0)):
            rows = np.flatnonzero(useful[:, t])
            self._condition(rows, x[rows, t], *told[rows, t].T)

    def _condition(self, rows: Index, x: Floats, log_snr: Floats, paid: Floats) -> None:
        """Condition on an exposure in each of ``rows``: the target (m, 11), ln(1 + SNR), and the reward."""
        good = np.maximum(quality(np.expm1(log_snr)[:, None], NEEDED_GRID), 1e-12)
        y = np.log(paid * self.setup.unit)[:, None] - np.log(good)
        spread = np.einsum("nij,nj->ni", self._covariance[rows], x)
        variance = np.einsum("ni,ni->n", spread, x) + LABEL_SD**2
        error = y - np.einsum("ngi,ni->ng", self._mean[rows], x)
        self._log_weight[rows] -= 0.5 * np.square(error) / variance[:, None]
        gain = spread / variance[:, None]
        self._mean[rows] += error[:, :, None] * gain[:, None, :]
        self._covariance[rows] -= gain[:, :, None] * spread[:, None, :]


class ForgetfulBayes(BayesLinear):
    """Begins every night from the prior: a control that shows what memory across nights is worth.

    It reads nothing of what the trial's observation tells of the night before.
    """

    def _learn(self, seen: ParsedObservation) -> None:
        new = np.flatnonzero(seen.night_ended)
        if len(new):
            self.restart(new)
            seen.forget(new)
        super()._learn(seen)


DISCOUNT = 0.98
"""Of a later slot against the one before, because the dome may be shut by then (chosen)."""


def first_of_plan(worth: Floats, now: Floats, slots: Index, discount: float = DISCOUNT) -> Index:
    """(n,) the target of the present slot in the best assignment of targets to all slots that are left, or -1.

    Args:
        worth: (n, T, N) of an exposure in the present slot and the next ones, without a slew.
        now: (n, N) of one in the present slot, with the slew to it.
        slots: (n,) how many slots are left.
        discount: of a later slot against the one before.
    """
    worth = worth * discount ** np.arange(worth.shape[1])[:, None]
    worth[:, 0] = now
    return np.array([best_assignment(table[:left])[0] for table, left in zip(worth, slots, strict=True)])


class LookAheadBayes(BayesLinear):
    """The same posterior, but each slot is given the target that it has in the best plan of the rest of the night.

    What a target will yield later it works out from the observation, see `metaenv.telescope.sim.forecast`, under the
    loss of light measured so far. In the first slot of a trial, in which nothing has moved yet, and in variants in
    which targets are visited again or exposures take several slots, it does not look ahead.
    """

    def begin(self) -> None:
        """Know neither the programme nor the latitude."""
        self._latitude = Latitude(self.env.num_envs)
        super().begin()

    def restart(self, rows: Index) -> None:
        """Forget the site, too."""
        super().restart(rows)
        self._latitude.forget(rows)

    def choose(self, seen: ParsedObservation) -> NDArray[Any]:
        """(n,) actions, by plan where that is possible, else by `index`."""
        action, left = super().choose(seen), self.setup.slots - seen.slot
        if not self.setup.single_visits:
            return action
        self._latitude.watch(seen.directions, seen.slot)
        known = np.flatnonzero(self._latitude.known & (left > 0))
        if len(known):
            now = np.where(seen.open, self.index(seen, 1), 0.0)
            chosen = first_of_plan(self._worth(seen, known, int(left[known].max())), now[known], left[known])
            action[known] = np.where(chosen < 0, self.setup.targets, chosen)
        return action

    def _worth(self, seen: ParsedObservation, rows: Index, count: int) -> Floats:
        """(m, count, N) posterior value times expected quality, in the present slot and in those to come."""
        sidereal = np.arctan2(seen.number("sin(sidereal time)"), seen.number("cos(sidereal time)"))
        moon = np.stack([seen.number(f"moon {name}") for name in ("east", "north", "sin(altitude)")], axis=1)
        latitude, share = self._latitude.estimate(), seen.number("moon phase")
        snr, high = later_snr(
            seen.directions[rows], moon[rows], share[rows], sidereal[rows], latitude[rows], seen.hours[rows],
            seen.magnitude[rows] + SHOWN_MAG, count,
        )  # fmt: skip
        snr = snr * self._brightness()[rows, None, None]
        worth = np.zeros(snr.shape)
        for g, needed in enumerate(NEEDED_GRID):
            worth += (self._weight[rows, g, None] * self._value[rows, g])[:, None] * quality(snr, needed)
        return worth * (high & ~seen.visited[rows, None])


class ForgetfulLookAhead(ForgetfulBayes, LookAheadBayes):
    """`LookAheadBayes` that begins every night from the prior, as `ForgetfulBayes` does."""


BEST_FIXED = "best fixed rule"


def baselines() -> dict[str, Policy]:
    """The baselines, by name."""
    return {
        "lowest airmass": LowestAirmass(),
        "brightest first": BrightestFirst(),
        "greedy SNR": GreedySNR(),
        BEST_FIXED: FlatValues(),
        "Bayes-linear mean": BayesLinear(),
        "Bayes-UCB": BayesLinear(optimism=1.0),
        "Bayes-Thompson": BayesLinear(thompson=True),
        "look-ahead Bayes": LookAheadBayes(optimism=1.0),
        "look-ahead Bayes, forgets each night": ForgetfulLookAhead(optimism=1.0),
    }
