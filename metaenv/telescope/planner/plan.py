"""The plan of a night for a user's own targets, as a telescope operator reads it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from metaenv.canvas import save_png
from metaenv.errors import TaskError, nearest
from metaenv.evaluation import write_text
from metaenv.files import replacing
from metaenv.policies import AgentPolicy, Policy
from metaenv.telescope.baselines import BayesLinear, baselines
from metaenv.telescope.planner.angles import sexagesimal
from metaenv.telescope.planner.catalogue import TargetList
from metaenv.telescope.planner.constraints import Constraints, Requests
from metaenv.telescope.planner.custom_targets import Where
from metaenv.telescope.planner.documents import calendar
from metaenv.telescope.planner.instruments import Instrument, find_instrument
from metaenv.telescope.planner.lookahead import GreedyPolicy, LookAheadPolicy
from metaenv.telescope.planner.own_nights import Day
from metaenv.telescope.planner.picture import night_picture
from metaenv.telescope.planner.reading import read_targets
from metaenv.telescope.planner.run_env import RunVectorEnv
from metaenv.telescope.planner.schedulers import PriorityPolicy, SequentialPolicy
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.ephemeris import apparent, horizontal
from metaenv.telescope.sim.julian_dates import iso
from metaenv.telescope.tasks import NIGHT_SETUPS, Variant
from metaenv.trial import VectorTrial

BEST = "look-ahead"


@dataclass(frozen=True)
class Exposure:
    """One line of a plan."""

    utc: str
    """Beginning of the slot, ISO 8601; the slew comes first."""
    end: str
    """End of the last slot of the visit."""
    target: str
    ra: str
    """J2000, hours, minutes, seconds."""
    dec: str
    """J2000, degrees, minutes, seconds."""
    magnitude: float
    """V."""
    airmass: float
    """In the middle of the slot, as are the angles."""
    alt_deg: float
    """Altitude, without refraction."""
    az_deg: float
    """Azimuth, north over east."""
    repeats: int
    """Exposures, one after the other."""
    exposure_s: float
    """Seconds of each of them."""
    slew_s: float
    """Settling included."""
    moon_deg: float
    """Separation from the moon."""
    moon_alt_deg: float
    sky_mag: float
    """V per square arcsecond behind the target."""
    snr: float
    """Expected signal-to-noise ratio under the sky that was assumed."""
    priority: float
    """As in the list: the lowest comes first."""


COLUMNS = tuple(f.name for f in fields(Exposure))
_UNITS = {
    "magnitude": "mag", "exposure_s": "s", "slew_s": "s", "moon_deg": "deg", "alt_deg": "deg", "az_deg": "deg",
    "moon_alt_deg": "deg", "sky_mag": "mag / arcsec2",
}  # fmt: skip
_DIGITS = {
    "magnitude": 2, "airmass": 2, "alt_deg": 2, "az_deg": 2, "exposure_s": 0, "slew_s": 0, "moon_deg": 0,
    "moon_alt_deg": 0, "sky_mag": 2, "snr": 1, "priority": 3,
}  # fmt: skip


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
    """Sum of value times expected quality. A target of the first priority is worth 1 and each step of priority halves
    it; values of the list's own count as they are. What else stands on the list does not matter."""
    exposures: tuple[Exposure, ...]
    notes: tuple[str, ...]
    """What was assumed, and which targets were left out and why."""
    left_out: dict[str, str]
    """Why each target that is not planned is not, by its name."""
    instrument: str
    latitude_deg: float
    longitude_deg: float
    """East positive."""
    constraints: Constraints

    def __len__(self) -> int:
        return len(self.exposures)

    def __iter__(self) -> Iterator[Exposure]:
        return iter(self.exposures)

    def to_csv(self, path: str | Path | None = None) -> str:
        """The table as CSV, also written to ``path`` if there is one (under a temporary name, then renamed).

        Lines that begin with ``#``, above the heading, say the site, the night, the instrument and the notes:
        ``pandas.read_csv(path, comment="#")``.
        """
        stream = io.StringIO()
        stream.writelines(f"# {' '.join(line.split())}\n" for line in self._about())
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([_cell(e, name) for name in COLUMNS] for e in self.exposures)
        if path is not None:
            write_text(path, stream.getvalue())
        return stream.getvalue()

    def _about(self) -> Iterator[str]:
        yield f"site: {self.site}, latitude {self.latitude_deg:.4f} deg, longitude {self.longitude_deg:.4f} deg east"
        yield f"night of {self.date}: from {self.dusk} to {self.dawn} UTC, {self.slots} slots of {self.slot_s:.1f} s"
        yield f"instrument: {self.instrument}"
        yield f"policy: {self.policy}, worth {self.worth:.3f}"
        yield from (f"note: {n}" for n in self.notes)

    def picture(self, path: str | Path) -> Path:
        """The altitudes of the targets over the night, with their visits, the moon, limits and twilight, as PNG."""
        return save_png(path, night_picture(self))

    def to_astropy(self) -> Any:
        """An `astropy.table.Table` with units; needs Astropy."""
        try:
            from astropy.table import Table
        except ImportError as error:
            raise ImportError("this table is Astropy's: pip install 'metaenv-science[astronomy]'") from error
        text = ("utc", "end", "target", "ra", "dec")
        columns = {n: np.array([getattr(e, n) for e in self], str if n in text else float) for n in COLUMNS}
        about = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "exposures"}
        about |= {"notes": list(self.notes), "constraints": asdict(self.constraints)}
        return Table(columns, units=_UNITS, meta=about)

    def to_ecsv(self, path: str | Path) -> Path:
        """The table with its units, site and notes as ECSV; needs Astropy."""
        with replacing(Path(path)) as temporary:
            self.to_astropy().write(temporary, format="ascii.ecsv", overwrite=True)
        return Path(path)

    def to_ical(self, path: str | Path | None = None) -> str:
        """The exposures as an iCalendar file (RFC 5545), also written to ``path`` if there is one."""
        text = calendar(self)
        if path is not None:
            with replacing(Path(path)) as temporary:
                Path(temporary).write_bytes(text.encode())
        return text

    def text(self) -> str:
        """The plan for people: a heading, a line an exposure, notes."""
        heading = (
            f"{self.site}, night of {self.date}: dark from {self.dusk[11:16]} to {self.dawn[11:16]} UTC, {self.slots} "
            f"slots of {self.slot_s:.0f} s; {_count(len(self), 'exposure')} by {self.policy}, worth {self.worth:.2f}"
        )
        cells = [list(COLUMNS), *([_cell(e, name) for name in COLUMNS] for e in self.exposures)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        left = {COLUMNS.index("utc"), COLUMNS.index("end"), COLUMNS.index("target")}
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

    ``look-ahead`` is the best: it plans the whole night, see `metaenv.telescope.planner.lookahead`. ``greedy`` takes in
    each slot what earns most there. ``priority`` and ``sequential`` follow astroplan's schedulers. The others are the
    policies of TargetSelection, which see the worth of targets as a class and a feature; the fixed rules multiply their
    index by the worth, and those called Bayes learn it in rehearsals.
    """
    return {
        BEST: LookAheadPolicy(),
        "greedy": GreedyPolicy(),
        "priority": PriorityPolicy(),
        "sequential": SequentialPolicy(),
        **{name: p if isinstance(p, BayesLinear) else _worth_minded(p) for name, p in baselines().items()},
    }


def _worth_minded(policy: Any) -> Policy:
    """A fixed rule whose index is multiplied by the worth that a user's list gives to its targets."""
    index = policy.index
    policy.index = lambda seen, units: (
        index(seen, units)
        * (
            policy.env.state.value
            if hasattr(policy.env, "priority")
            else 1.0  # TargetSelection hides what targets are worth
        )
    )
    return policy


def plan_night(
    targets: TargetList | str | Path,
    site: Where,
    date: Day,
    policy: str | Policy = BEST,
    *,
    slots: int | None = None,
    rehearsals: int | None = None,
    assumptions: Mapping[str, float] | None = None,
    constraints: Constraints | None = None,
    instrument: str | Instrument | None = None,
    requests: Mapping[str, Any] | None = None,
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
        constraints: limits of altitude, airmass and moon, and the twilight.
        instrument: a name of `metaenv.telescope.planner.instruments.INSTRUMENTS` or one's own.
        requests: what targets ask for: ``exposure_s``, ``repeats``, ``begin``, ``end``, ``at`` (ISO 8601, UTC),
            ``max_airmass``, ``min_moon_deg``; each a number or time for all, a sequence, or a dict by name. They
            replace what the list itself asks for; None asks for nothing.
        seed: of the policy's own draws.

    Raises:
        TaskError: see `metaenv.telescope.planner.custom_targets.CustomTargetsEnv`; an unknown policy, or an agent of
        another environment.
    """
    listed = targets if isinstance(targets, TargetList) else read_targets(targets)
    who, name = _policy(policy)
    variant = _variant(who)
    before = _rehearsals(rehearsals, variant, who)
    used = find_instrument(instrument)
    for given, kind in ((constraints, Constraints), (requests, Mapping)):
        if given is not None and not isinstance(given, kind):
            raise TaskError(
                f"expected {'Constraints(…)' if kind is Constraints else 'a dict of requests'}, got {given!r}"
            )
    asked = Requests.of(listed.names, dict(requests or {}), listed.requests)
    env = RunVectorEnv(
        listed, site, date, slots=slots, variant=variant, nights=before + 1, assumptions=assumptions,
        constraints=constraints, instrument=used, requests=asked, autoreset_mode="Disabled",
        render_mode="ansi",
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
        worth=float(env.state.score[0]) * env.setup.unit * float(env.target_list.value.mean()),
        exposures=exposures,
        notes=(*listed.notes, *_replaced(listed, requests or {}), *_grouped(env.left_out), *_assumed(env)),
        left_out={**env.left_out, **_crowded_out(env, exposures)},
        instrument=used.text(),
        latitude_deg=env.site.latitude_deg,
        longitude_deg=env.site.longitude_deg,
        constraints=env.limits,
    )


def _replaced(listed: TargetList, by_hand: Mapping[str, Any]) -> list[str]:
    both = [key for key in (listed.requests.asks() if listed.requests else []) if key in by_hand]
    return [f"requests=… replaces what the list asks for: {', '.join(both)}"] if both else []


def _grouped(left_out: Mapping[str, str], most: int = 8) -> list[str]:
    by: dict[str, list[str]] = {}
    for name, why in left_out.items():
        by.setdefault(why, []).append(name)
    return [
        f"left out, because they {why}: {', '.join(names[:most])}"
        + (f" and {len(names) - most} more" if len(names) > most else "")
        for why, names in by.items()
    ]


def _assumed(env: RunVectorEnv) -> list[str]:
    """The sky and the instrument, and what the model lacks."""
    t = env.task
    told = [
        f"assumed: a clear sky, seeing {t.seeing_arcsec:g} arcsec, extinction {t.extinction_mag:g} mag, dark sky "
        f"{t.dark_sky_mag:g} V/arcsec^2; {env.instrument.text()}"
    ]
    if env.limits.twilight != "astronomical":
        told.append(f"the night begins and ends in {env.limits.twilight} twilight, whose own light is not counted")
    return told


def _crowded_out(env: RunVectorEnv, exposures: tuple[Exposure, ...]) -> dict[str, str]:
    """Of targets that may be observed and are not: where they would stand best."""
    planned, table = {e.target for e in exposures}, env.yields.table()
    start, told = env.state.night.start[0], {}
    for k in [k for k, name in enumerate(env.names) if name not in planned]:
        t = int(table[:, k].argmax())
        told[env.names[k]] = (
            f"are worth at most {table[t, k]:.3g}, at {iso(float(start[t]))[11:16]} UTC, and the plan has "
            "other uses of the time"
        )
    return told


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


def _rehearsals(given: int | None, variant: Variant | None, policy: Policy) -> int:
    if given is None and isinstance(policy, BayesLinear):
        return NIGHT_SETUPS["short"].nights - 1
    if given is None:
        return 0 if variant is None else NIGHT_SETUPS[variant].nights - 1
    if not 0 <= given <= 6:
        raise TaskError(f"expected 0 to 6 rehearsals, got {given}")
    return given


def _played(env: RunVectorEnv, policy: Policy, nights: int, seed: int) -> tuple[Exposure, ...]:
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
    assert isinstance(env, RunVectorEnv)
    last = env._log[0][-1]
    slot, k, units = last.slot, last.target, last.units
    night, slew_s, yields = env.state.night, 60.0 * float(slews[k]), env.yields
    cell = (slot, k)
    count, seconds = yields.frames(cell, slew_s, units)
    latitude, targets = np.radians(env.site.latitude_deg), env.state.targets
    jd = float(night.start[0, slot]) + yields.slot_s / 2 / 86_400
    place = apparent(targets.ra[0, k : k + 1], targets.dec[0, k : k + 1], np.array(jd))
    east, north, up = (float(c[0]) for c in horizontal(place, night.lst[0, slot], latitude))
    return Exposure(
        utc=iso(float(night.start[0, slot])),
        end=iso(float(night.start[0, slot]) + units * yields.slot_s / 86_400),
        target=env.names[k],
        ra=sexagesimal(float(targets.ra[0, k]), "ra"),
        dec=sexagesimal(float(targets.dec[0, k]), "dec"),
        magnitude=float(env.target_list.magnitude[k]),
        airmass=float(night.airmass[0, slot, k]),
        alt_deg=float(np.degrees(np.arcsin(np.clip(up, -1, 1)))),
        az_deg=float(np.degrees(np.arctan2(east, north)) % 360),
        repeats=int(count),
        exposure_s=float(seconds),
        slew_s=slew_s,
        moon_deg=float(np.degrees(np.arccos(np.clip(night.cos_moon[0, slot, k], -1, 1)))),
        moon_alt_deg=float(np.degrees(np.arcsin(night.moon.z[0, slot]))),
        sky_mag=float(yields.sky_mag[slot, k]),
        snr=float(yields.snr(cell, slew_s, units)),
        priority=float(env.priority[k]),
    )
