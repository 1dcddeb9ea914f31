"""The plan of a night for a user's own targets, as a telescope operator reads it."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from metaenv.errors import TaskError, nearest
from metaenv.evaluation import write_text
from metaenv.policies import AgentPolicy, Policy
from metaenv.telescope.baselines import baselines
from metaenv.telescope.planner.angles import sexagesimal
from metaenv.telescope.planner.assignment_bound import AssignmentPolicy
from metaenv.telescope.planner.catalogue import TargetList
from metaenv.telescope.planner.custom_targets import CustomTargetsVectorEnv, Where
from metaenv.telescope.planner.reading import read_targets
from metaenv.telescope.planner.schedulers import PriorityPolicy, SequentialPolicy
from metaenv.telescope.references import InformedPolicy
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.exposure import exposure_seconds
from metaenv.telescope.sim.julian_dates import iso
from metaenv.telescope.tasks import NIGHT_SETUPS, Variant
from metaenv.trial import VectorTrial

GREEDY = "greedy"


@dataclass(frozen=True)
class Exposure:
    """One line of a plan."""

    utc: str
    """Beginning of the slot, ISO 8601; the slew comes first."""
    target: str
    ra: str
    """J2000, hours, minutes, seconds."""
    dec: str
    """J2000, degrees, minutes, seconds."""
    magnitude: float
    """V."""
    airmass: float
    """In the middle of the slot."""
    exposure_s: float
    """Seconds of the slot, or slots, that slew and readout leave."""
    slew_s: float
    """Settling included."""
    moon_deg: float
    """Separation from the moon."""
    snr: float
    """Expected signal-to-noise ratio under the sky that was assumed."""
    priority: float
    """As in the list: the lowest comes first."""


COLUMNS = tuple(f.name for f in fields(Exposure))
_UNITS = {"magnitude": "mag", "exposure_s": "s", "slew_s": "s", "moon_deg": "deg"}
_DIGITS = {"magnitude": 2, "airmass": 2, "exposure_s": 0, "slew_s": 0, "moon_deg": 0, "snr": 1, "priority": 3}


@dataclass(frozen=True)
class NightPlan:
    """The exposures of a night in the order of time, with notes."""

    site: str
    date: str
    """The day whose evening begins the night."""
    policy: str
    dusk: str
    """UTC of the end of astronomical twilight, and of its beginning in the morning."""
    dawn: str
    slots: int
    slot_s: float
    worth: float
    """Sum of worth times expected quality, in units of the average target's worth."""
    exposures: tuple[Exposure, ...]
    notes: tuple[str, ...]
    """What was assumed, and which targets were left out and why."""

    def __len__(self) -> int:
        return len(self.exposures)

    def __iter__(self) -> Iterator[Exposure]:
        return iter(self.exposures)

    def to_csv(self, path: str | Path | None = None) -> str:
        """The table as CSV, also written to ``path`` if there is one (under a temporary name, then renamed)."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([_cell(e, name) for name in COLUMNS] for e in self.exposures)
        if path is not None:
            write_text(path, stream.getvalue())
        return stream.getvalue()

    def to_astropy(self) -> Any:
        """An `astropy.table.Table` with units; needs Astropy."""
        try:
            from astropy.table import Table
        except ImportError as error:
            raise ImportError("this table is Astropy's: pip install 'metaenv-science[astronomy]'") from error
        text = ("utc", "target", "ra", "dec")
        columns = {n: np.array([getattr(e, n) for e in self], str if n in text else float) for n in COLUMNS}
        about = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("exposures", "notes")}
        return Table(columns, units=_UNITS, meta={**about, "notes": list(self.notes)})

    def text(self) -> str:
        """The plan for people: a heading, a line an exposure, notes."""
        heading = (
            f"{self.site}, night of {self.date}: dark from {self.dusk[11:16]} to {self.dawn[11:16]} UTC, {self.slots} "
            f"slots of {self.slot_s:.0f} s; {_count(len(self), 'exposure')} by {self.policy}, worth {self.worth:.2f}"
        )
        cells = [list(COLUMNS), *([_cell(e, name) for name in COLUMNS] for e in self.exposures)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        left = {COLUMNS.index("utc"), COLUMNS.index("target")}
        lines = [
            "  ".join(c.ljust(w) if j in left else c.rjust(w) for j, (c, w) in enumerate(zip(row, widths, strict=True)))
            for row in cells
        ]
        return "\n".join([heading, *(line.rstrip() for line in lines), *(f"note: {n}" for n in self.notes)])

    __str__ = text


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _cell(exposure: Exposure, name: str) -> str:
    value = getattr(exposure, name)
    if name not in _DIGITS:
        return str(value)
    return f"{value:g}" if name == "priority" else f"{value:.{_DIGITS[name]}f}"


def planners() -> dict[str, Policy]:
    """The planners, by name.

    ``greedy`` takes in each slot what promises the highest worth times quality, slew counted, under the sky assumed:
    in a plan nothing is hidden. ``assignment`` is the best plan if slews took no time (it needs SciPy). ``priority``
    and ``sequential`` follow astroplan's schedulers. The others are the policies of TargetSelection: they see no
    priorities, and those called Bayes learn them in rehearsals.
    """
    return {
        GREEDY: InformedPolicy(clairvoyant=True),
        "assignment": AssignmentPolicy(),
        "priority": PriorityPolicy(),
        "sequential": SequentialPolicy(),
        **baselines(),
    }


def plan_night(
    targets: TargetList | str | Path,
    site: Where,
    date: str | dt.date,
    policy: str | Policy = GREEDY,
    *,
    slots: int | None = None,
    rehearsals: int | None = None,
    assumptions: Mapping[str, float] | None = None,
    seed: int = 0,
) -> NightPlan:
    """Plan one night: the target of every slot.

    Args:
        targets: a list, or the path of a file for `read_targets`.
        site: a name (`metaenv.telescope.sim.sites`), or latitude and longitude in degrees, east positive.
        date: the day whose evening begins the night, ``"2027-03-14"``.
        policy: a name of `planners`, a policy, or an agent as `AgentPolicy(RL2.load(...))`. An agent plays the variant
            it was trained on, which fixes the number of slots and of targets; of a longer list it sees the most
            promising ones.
        slots: equal parts of the night, one exposure each; 24 by default.
        rehearsals: simulated nights on the same list before the one that is planned. An agent learns in them what is
            wanted, because the rewards follow the list's priorities; by default it has all but one of a trial's nights,
            and other policies have none.
        assumptions: what is known of sky and instrument, by the keys of
            `metaenv.telescope.planner.custom_targets.ASSUMPTIONS`; otherwise they are clear and nominal.
        seed: of the policy's own draws.

    Raises:
        TaskError: see `metaenv.telescope.planner.custom_targets.CustomTargetsEnv`; an unknown policy, or an agent of
        another environment.
    """
    listed = targets if isinstance(targets, TargetList) else read_targets(targets)
    who, name = _policy(policy)
    variant = _variant(who)
    before = _rehearsals(rehearsals, variant)
    env = CustomTargetsVectorEnv(
        listed, site, date, slots=slots, variant=variant, nights=before + 1, assumptions=assumptions,
        autoreset_mode="Disabled", render_mode="ansi",
    )  # fmt: skip
    exposures = _played(env, who, before + 1, seed)
    start, hours = env.state.night.start[0], float(env.state.night.hours[0])
    return NightPlan(
        site=env.site.name,
        date=env.date,
        policy=name,
        dusk=iso(float(start[0])),
        dawn=iso(float(start[-1]) + hours / 24),
        slots=env.setup.slots,
        slot_s=hours * 3600,
        worth=float(env.state.score[0]) * env.setup.unit,
        exposures=exposures,
        notes=env.notes,
    )


def _policy(given: str | Policy) -> tuple[Policy, str]:
    if not isinstance(given, str):
        return given, type(getattr(given, "agent", given)).__name__
    known = planners()
    if given not in known:
        raise TaskError(f"no policy {given!r}.{nearest(given, known)}")
    return known[given], given


def _variant(policy: Policy) -> Variant | None:
    """The variant that an agent was trained on, by its number of actions; None for those that play any."""
    if not isinstance(policy, AgentPolicy):
        return None
    agent = policy.agent
    space = getattr(agent, "action_space", None)
    actions = getattr(getattr(agent, "dims", None), "n_actions", None) or getattr(space, "n", None)
    known: dict[int, Variant] = {len(p.lengths) * p.targets + 1: name for name, p in NIGHT_SETUPS.items()}
    if actions is None or int(actions) not in known:
        raise TaskError(
            f"expected an agent trained on TargetSelection, with {', '.join(f'{n} ({p})' for n, p in known.items())} "
            f"actions, got {type(agent).__name__} with {actions}"
        )
    return known[int(actions)]


def _rehearsals(given: int | None, variant: Variant | None) -> int:
    if given is None:
        return 0 if variant is None else NIGHT_SETUPS[variant].nights - 1
    if not 0 <= given <= 6:
        raise TaskError(f"expected 0 to 6 rehearsals, got {given}")
    return given


def _played(env: CustomTargetsVectorEnv, policy: Policy, nights: int, seed: int) -> tuple[Exposure, ...]:
    """The exposures of the last of ``nights``."""
    trials = VectorTrial(env, episodes=nights, **getattr(policy, "trial_options", {}))
    observation, _ = trials.reset(seed=seed)
    size = getattr(getattr(getattr(policy, "agent", None), "dims", None), "observation_size", len(observation[0]))
    if size != len(observation[0]):
        raise TaskError(f"the agent expects observations of {size} numbers, trials here have {len(observation[0])}")
    policy.start(trials, np.random.default_rng(seed))
    made: list[Exposure] = []
    over = False
    while not over:
        if env.state.slot[0] == 0:
            made.clear()
        action = policy.act(observation)
        slews = env.state.slew[0].copy()
        observation, _, terminated, _, _ = trials.step(action)
        policy.observe(action, trials.trial_state.last_reward.copy())
        over = bool(terminated[0])
        if env._log[0] and env._log[0][-1].target >= 0:
            made.append(_exposure(env, slews))
    return tuple(made)


def _exposure(env: TargetSelectionVectorEnv, slews: Any) -> Exposure:
    """The last one of the night, from the environment's tables; ``slews`` (N,) min are those before it."""
    assert isinstance(env, CustomTargetsVectorEnv)
    last = env._log[0][-1]
    slot, k, units = last.slot, last.target, last.units
    night, slew_s, hours = env.state.night, 60.0 * float(slews[k]), env.state.night.hours[0]
    log_snr = env.state.globals_[0, env.layout.globals_.index("ln(1 + SNR)")]
    seconds = exposure_seconds(hours, slew_s) + (units - 1) * exposure_seconds(hours, 0.0)
    return Exposure(
        utc=iso(float(night.start[0, slot])),
        target=env.names[k],
        ra=sexagesimal(float(env.state.targets.ra[0, k]), "ra"),
        dec=sexagesimal(float(env.state.targets.dec[0, k]), "dec"),
        magnitude=float(env.target_list.magnitude[k]),
        airmass=float(night.airmass[0, slot, k]),
        exposure_s=float(seconds),
        slew_s=slew_s,
        moon_deg=float(np.degrees(np.arccos(np.clip(night.cos_moon[0, slot, k], -1, 1)))),
        snr=float(np.expm1(log_snr)),
        priority=float(env.priority[k]),
    )
