"""Hidden observing tasks: a science programme, an instrument, a site, a season and its sky."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.frozen import FrozenStore
from metaenv.parameters import Parameter, ParameterTable, ParameterTask, standard_normals
from metaenv.tasks import FrozenTasks, Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.telescope.sim.ephemeris import night_limits
from metaenv.telescope.sim.exposure import SNR_NEEDED, ZERO_POINT_MAG
from metaenv.telescope.sim.julian_dates import FIRST, LAST
from metaenv.telescope.sim.sites import SITES
from metaenv.telescope.sim.targets import (
    CLASSES,
    FEATURES,
    N_CLASSES,
    N_FEATURES,
    NORMALS,
    UNIFORMS,
    VALUE_SD,
    WEIGHT_SD,
    concentrated,
    draw_targets,
    normalised,
    values,
    without_held_out_pairs,
)
from metaenv.typing import Bools, Floats

MJD = 2400000.5  # JD of MJD 0
Variant = Literal["faint", "short", "depth", "cadence", "full"]
ValuesKnown = Literal["at once", "dawn"]
"""When it is known what an exposure was worth: after it, or the next morning."""


@dataclass(frozen=True)
class NightSetup:
    """The settings of a trial's nights that a variant fixes."""

    slots: int
    """Equal parts of a night between the two ends of astronomical twilight."""
    targets: int
    """Targets on the list."""
    nights: int
    """Nights of a trial."""
    lengths: tuple[int, ...]
    """How many slots an exposure may take."""
    revisits: bool
    """Whether the same targets come back every night, and repeated visits are rewarded."""
    magnitude: tuple[float, float]
    """Mean and standard deviation of the targets' V (chosen: the fainter they are, the more the sky matters, and the
    better does a rule that takes bright ones)."""
    unit: float
    """The value that gives a reward of 1: about what greed that knows the task earns in a night, on training tasks. It
    is one number for all tasks, so that it tells nothing about any of them."""

    @property
    def single_visits(self) -> bool:
        """Whether each target is visited once, for one slot."""
        return not self.revisits and self.lengths == (1,)

    def check_single_visits(self, what: str) -> None:
        """Raise ValueError where targets may be visited again, or exposures take several slots."""
        if not self.single_visits:
            raise ValueError(
                f"{what} is for nights in which each target is visited once, for one slot, as in the variants "
                f"'faint', 'short' and 'full'; here exposures take {self.lengths} slots"
                f"{' and targets are visited again' if self.revisits else ''}"
            )


NIGHT_SETUPS: dict[Variant, NightSetup] = {
    "faint": NightSetup(6, 24, 5, (1,), False, (20.25, 0.8), 11.5),
    "short": NightSetup(24, 64, 5, (1,), False, (19.5, 0.8), 26.0),
    "depth": NightSetup(48, 64, 3, (1, 2, 4), False, (21.0, 1.0), 13.0),
    "cadence": NightSetup(40, 32, 4, (1,), True, (19.5, 0.8), 11.0),
    "full": NightSetup(80, 200, 3, (1,), False, (18.5, 0.8), 74.0),
}

TRAIN_SITES = (
    "tololo", "las campanas", "la silla", "la palma", "san pedro martir",
    "palomar", "kitt peak", "sutherland", "calar alto", "wise",
)  # fmt: skip
TEST_SITES = ("paranal", "mauna kea", "siding spring", "hanle", "tug", "haute-provence")

SPLITS = ("train", "validation", "test", "ood-site", "ood-season", "ood-programme", "ood-purity", "ood-all")
FROZEN_SIZE = 256

YEARS = (2025, 2035)  # first, and the one after the last (chosen)
_JANUARY_2025_MJD = 60676.0
TRAIN_SEASON, TEST_SEASON = (31.0, 298.0), (305.0, 390.0)
"""Days of the year on which a trial may begin: February to October, less a week, and November to January."""
SHORTEST_HOURS = 4.0  # of dark time; dates with less are refused (chosen)
LONGEST_TRIAL = 7  # nights; dates are checked that far ahead

TEST_PURITY = (0.35, 0.55)
NEEDED_SD, NEEDED_RANGE = 0.8, (4.0, 80.0)
ZERO_POINT_SD = 0.4  # mag
EXTINCTION, EXTINCTION_SD = (0.11, 0.22), 0.35  # mag per airmass, by site; sd of its logarithm
DARK_SKY_MAG, DARK_SKY_SD = 21.5, 0.45
CLOUD_ODDS, CLOUD_SD = -0.5, 0.7
SLEW, SLEW_SD = 1.5, 0.6  # deg/s, and the sd of its logarithm
CADENCE_HOURS, CADENCE_WEIGHT, NIGHT_HOURS = (1.0, 6.0), (0.5, 1.0), 24.0


CLASS_VALUES = [
    Parameter(f"Value of a target of true class {name}: exp({VALUE_SD} N), scaled to a mean of 1 over targets.",
              0, np.inf, limits=(0, 1e3))
    for name in CLASSES
]  # fmt: skip
FEATURE_WEIGHTS = [
    Parameter(f"Weight of the {name} in the logarithm of the value.", -np.inf, np.inf, "", "normal", WEIGHT_SD,
              limits=(-10, 10))
    for name in FEATURES
]  # fmt: skip


@dataclass(frozen=True)
class TargetSelectionTask(ParameterTask):
    """One hidden observing task; N stands for a standard normal number.

    The sources of seeing, clouds and extinction are given in `metaenv.telescope.sim.weather` and `exposure`.
    """

    family: ClassVar[str] = "TargetSelection"

    latitude_deg: Annotated[
        float, Parameter("Latitude of a real observatory (`metaenv.telescope.sim.sites`), north positive.",
                         -33, 38, "deg", limits=(-90, 90), source="site registry of Astropy"),
    ]  # fmt: skip
    longitude_deg: Annotated[
        float, Parameter("Its longitude, east positive.", -117, 35, "deg", limits=(-180, 180),
                         source="site registry of Astropy"),
    ]  # fmt: skip
    evening_mjd: Annotated[
        float, Parameter("MJD at 0 h of the day whose evening begins the first night, whole; February to October.",
                         60707, 64261, "d", limits=(FIRST - MJD, LAST - MJD - 400)),
    ]  # fmt: skip
    class_value: Annotated[tuple[float, ...], *CLASS_VALUES]
    feature_weight: Annotated[tuple[float, ...], *FEATURE_WEIGHTS]
    purity: Annotated[
        float, Parameter("Probability that a photometric class is right, triangular.", 0.60, 0.95, limits=(0, 1),
                         source="the range of brokers' classifiers"),
    ]  # fmt: skip
    snr_needed: Annotated[
        float, Parameter(f"Signal-to-noise that makes an exposure half usable: {SNR_NEEDED:g} exp({NEEDED_SD} N), cut.",
                         *NEEDED_RANGE, scale="log", limits=(0.1, 1e3), source="photometry to spectroscopy; chosen"),
    ]  # fmt: skip
    zero_point_mag: Annotated[
        float, Parameter(f"V of one electron a second: {ZERO_POINT_MAG} + {ZERO_POINT_SD} N; mirrors age, slits lose "
                         "light.", -np.inf, np.inf, "mag", limits=(0, 40)),
    ]  # fmt: skip
    extinction_mag: Annotated[
        float, Parameter(f"Extinction in V per airmass: {EXTINCTION[0]}-{EXTINCTION[1]} by site, times "
                         f"exp({EXTINCTION_SD} N), cut.", 0.05, 0.8, "mag", scale="log", limits=(0, 5),
                         source="0.12 at Paranal (Patat et al. 2011, A&A 527, A91)"),
    ]  # fmt: skip
    dark_sky_mag: Annotated[
        float, Parameter(f"V per arcsec^2 of the moonless zenith: {DARK_SKY_MAG} - |{DARK_SKY_SD} N|, cut.",
                         20.0, 21.9, "mag", limits=(10, 25), source="Paranal 21.6 (Patat 2003); chosen"),
    ]  # fmt: skip
    seeing_arcsec: Annotated[
        float, Parameter("Median of the seeing at the zenith.", 0.55, 1.0, "arcsec", scale="log", limits=(0.05, 20),
                         source="medians of four sites"),
    ]  # fmt: skip
    cloud_log_odds: Annotated[
        float, Parameter(f"Added to the log odds of the season's closed time: {CLOUD_ODDS} + {CLOUD_SD} N.",
                         -np.inf, np.inf, limits=(-20, 20)),
    ]  # fmt: skip
    bank_mag: Annotated[
        float, Parameter("Extinction of the cloud bank where it is thickest.", 0, 3, "mag", limits=(0, 20))
    ]
    bank_azimuth_rad: Annotated[
        float, Parameter("Where the bank stands at dusk of every night, north over east.", 0, 2 * np.pi, "rad",
                         limits=(-7, 7)),
    ]  # fmt: skip
    bank_drift_rad_h: Annotated[
        float, Parameter("Drift of the bank.", -np.pi / 24, np.pi / 24, "rad/h", limits=(-10, 10))
    ]
    slew_deg_s: Annotated[
        float, Parameter(f"Speed of the mount: {SLEW} exp({SLEW_SD} N), cut.", 0.5, 5.0, "deg/s", scale="log",
                         limits=(0.25, 100), source="ZTF 2.5-3.0 (Bellm et al. 2019, PASP 131, 018002)"),
    ]  # fmt: skip
    settle_s: Annotated[float, Parameter("Time to settle after a move.", 1, 30, "s", scale="log", limits=(0, 120))]
    cadence_hours: Annotated[
        float, Parameter("Best time between two visits: 1-6 h in two tasks of three, else 24 h.", 1, 24, "h",
                         scale="log", limits=(0.01, 1000), source="ZTF pairs an hour apart; the next night"),
    ]  # fmt: skip
    cadence_weight: Annotated[
        float, Parameter("Worth of a repeated visit at that time as a share of a first one: 0 in one task of three, "
                         "else 0.5-1. Variants without revisits ignore it and the time.", 0, 1, limits=(0, 10)),
    ]  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        hours = dark_hours(np.array([self.evening_mjd]), np.radians([self.latitude_deg]), np.zeros(1))[0]
        if hours < 1.0:
            raise TaskError(
                f"at latitude {self.latitude_deg:.1f} the night of MJD {self.evening_mjd:.0f} has {hours:.1f} h of "
                "astronomical darkness; expected at least 1 h: choose another date or site"
            )

    @property
    def site(self) -> str:
        """The known site nearest to the task's coordinates."""
        return min(
            SITES,
            key=lambda k: (
                abs(SITES[k].latitude_deg - self.latitude_deg) + abs(SITES[k].longitude_deg - self.longitude_deg)
            ),
        )


def dark_hours(evening_mjd: Floats, latitude: Floats, longitude: Floats) -> Floats:
    """(n,) hours between the ends of astronomical twilight; latitude and longitude in rad."""
    dusk, dawn = night_limits(evening_mjd + MJD, latitude, longitude)
    return (dawn - dusk) * 24


# DRAWING TASKS

TABLE = ParameterTable(TargetSelectionTask)
STORE = FrozenStore(Path(__file__).parent / "data", TargetSelectionTask)
_UNIFORMS = 15
_NORMALS = 18  # 8 class values, 3 weights, 6 others and a spare: nine Box-Muller pairs
UNIT_DIM = _UNIFORMS + _NORMALS


def draw(unit: Floats, split: str) -> TaskBatch:
    """Tasks for points (n, `UNIT_DIM`) of the unit cube, with long enough nights or not."""
    u = np.ascontiguousarray(unit[:, :_UNIFORMS].T)
    z = standard_normals(unit[:, _UNIFORMS:])

    def plain(name: str, x: Floats, ends: tuple[float, float] | None = None) -> Floats:
        parameter = TABLE.parameters[name]
        return parameter.from_unit(x, ends or (parameter.low, parameter.high))

    def cut(name: str, value: Floats) -> Floats:
        return np.clip(value, TABLE.parameters[name].low, TABLE.parameters[name].high)

    latitude, longitude = _sites(u[0], TEST_SITES if split in ("ood-site", "ood-all") else TRAIN_SITES)
    purity = (u[3], TEST_PURITY) if split in ("ood-purity", "ood-all") else (0.5 * (u[3] + u[4]), None)
    cadence_hours, cadence_weight = _cadence(u[11], u[12], u[13])
    drawn: dict[str, Floats] = {
        "latitude_deg": latitude,
        "longitude_deg": longitude,
        "evening_mjd": _evenings(u[1], u[2], TEST_SEASON if split in ("ood-season", "ood-all") else TRAIN_SEASON),
        "class_value": _class_values(z[:, :N_CLASSES], u[14], split),
        "feature_weight": plain("feature_weight[0]", z[:, N_CLASSES : N_CLASSES + N_FEATURES]),
        "purity": plain("purity", *purity),
        "snr_needed": cut("snr_needed", SNR_NEEDED * np.exp(NEEDED_SD * z[:, 11])),
        "zero_point_mag": ZERO_POINT_MAG + ZERO_POINT_SD * z[:, 12],
        "extinction_mag": cut("extinction_mag", _linear(u[5], EXTINCTION) * np.exp(EXTINCTION_SD * z[:, 13])),
        "dark_sky_mag": cut("dark_sky_mag", DARK_SKY_MAG - np.abs(DARK_SKY_SD * z[:, 14])),
        "seeing_arcsec": plain("seeing_arcsec", u[6]),
        "cloud_log_odds": CLOUD_ODDS + CLOUD_SD * z[:, 15],
        "bank_mag": plain("bank_mag", u[7]),
        "bank_azimuth_rad": plain("bank_azimuth_rad", u[8]),
        "bank_drift_rad_h": plain("bank_drift_rad_h", u[9]),
        "slew_deg_s": cut("slew_deg_s", SLEW * np.exp(SLEW_SD * z[:, 16])),
        "settle_s": plain("settle_s", u[10]),
        "cadence_hours": cadence_hours,
        "cadence_weight": cadence_weight,
    }
    exact = {name: drawn[name] for name in ("latitude_deg", "longitude_deg", "evening_mjd")}
    return TaskBatch(TargetSelectionTask, {**TABLE.rounded(drawn), **exact})


def _sites(unit: Floats, names: tuple[str, ...]) -> tuple[Floats, Floats]:
    places = np.array([[SITES[k].latitude_deg, SITES[k].longitude_deg] for k in names])
    return tuple(places[(unit * len(names)).astype(np.intp)].T)  # type: ignore[return-value]


def _evenings(year: Floats, day: Floats, season: tuple[float, float]) -> Floats:
    years = np.floor(year * (YEARS[1] - YEARS[0]))
    return _JANUARY_2025_MJD + np.floor(365.25 * years) + np.floor(_linear(day, season))


def _class_values(normal: Floats, pair: Floats, split: str) -> Floats:
    raw = np.exp(VALUE_SD * normal)
    new = split in ("ood-programme", "ood-all")
    return normalised(concentrated(raw, pair) if new else without_held_out_pairs(raw))


def _cadence(kind: Floats, hours: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Best gap and its worth: a third of the tasks each want none, one within the night, and the next night."""
    gap = np.where(kind < 2 / 3, _logarithmic(hours, CADENCE_HOURS), NIGHT_HOURS)
    return gap, np.where(kind < 1 / 3, 0.0, _linear(weight, CADENCE_WEIGHT))


def _linear(unit: Floats, ends: tuple[float, float]) -> Floats:
    return ends[0] + (ends[1] - ends[0]) * unit


def _logarithmic(unit: Floats, ends: tuple[float, float]) -> Floats:
    return ends[0] * np.exp(np.log(ends[1] / ends[0]) * unit)


# THE DISTRIBUTION


KINDS: tuple[tuple[Variant, ValuesKnown], ...] = (
    ("short", "at once"), ("depth", "at once"), ("cadence", "at once"), ("full", "at once"),
    ("short", "dawn"), ("faint", "dawn"),
)  # fmt: skip
"""The variants, and when values may be known in them; first what is usual."""


def values_known(variant: Variant, values: ValuesKnown | None) -> ValuesKnown:
    """When it is known what an exposure was worth; where ``values`` does not say it, what is usual in the variant.

    Raises:
        ValueError: an unknown variant or time, or a time that the variant does not have.
    """
    if variant not in NIGHT_SETUPS:
        raise ValueError(f"no variant {variant!r}.{nearest(variant, NIGHT_SETUPS)}")
    times: list[ValuesKnown] = [time for name, time in KINDS if name == variant]
    if values is None:
        return times[0]
    if values not in (known := get_args(ValuesKnown)):
        raise ValueError(f"values cannot be known {values!r}.{nearest(values, known)}")
    if values not in times:
        has = [name for name, time in KINDS if time == values]
        raise ValueError(f"values={values!r} is for the variants {', '.join(map(repr, has))}, not for {variant!r}")
    return values


@dataclass(frozen=True)
class TargetSelectionDistribution(TaskDistribution):
    """Observing tasks at real sites.

    Splits: ``train`` is endless; ``validation`` and ``test`` are frozen draws of the same; the five ``ood-`` lists
    differ from training in a named property, and ``ood-all`` in all four. Frozen lists have 256 tasks.

    * ``ood-site``: six observatories that training never sees, instead of ten others;
    * ``ood-season``: November to January instead of February to October;
    * ``ood-programme``: the two most valuable classes are a pair that never is in training, and worth twice as much;
    * ``ood-purity``: photometric classes are right with 0.35-0.55 instead of 0.60-0.95.

    Tasks do not depend on the variant, and references do. Neither depends on when values are known, as the oracle
    knows them anyway.
    """

    variant: Variant = "faint"
    values: ValuesKnown | None = None
    """By default what is usual in the variant."""
    task_type: ClassVar[type[Task]] = TargetSelectionTask
    unit_dim: int = UNIT_DIM
    splits: tuple[str, ...] = SPLITS

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", values_known(self.variant, self.values))

    @property
    def known(self) -> ValuesKnown:
        """When it is known what an exposure was worth."""
        return values_known(self.variant, self.values)

    def draw(self, unit: Floats, split: str) -> TaskBatch:
        """Tasks for points of the unit cube."""
        return draw(unit, split)

    def accept(self, tasks: TaskBatch) -> Bools:
        """(n,) which tasks have at least four hours of astronomical darkness in every night of a trial."""
        latitude, longitude = np.radians(tasks.latitude_deg), np.radians(tasks.longitude_deg)
        # Within a week nights grow, or shrink, or are about their longest or shortest: the ends tell.
        first, last = (dark_hours(tasks.evening_mjd + k, latitude, longitude) for k in (0, LONGEST_TRIAL))
        return np.minimum(first, last) >= SHORTEST_HOURS

    def frozen_list(self, split: str) -> FrozenTasks:
        """The frozen list of a split and its references in this variant."""
        return STORE.frozen(split, self.variant)

    def reference(self, tasks: TaskBatch) -> Reference:
        """Mean score of the nights of one trial, played at random and by the task oracle on the same nights."""
        # By name: the references are played, so their module stands above the environment, and that above this one.
        return resolve_name("metaenv.telescope.references:play_references")(tasks, self.variant)

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """Targets of a list and their values.

        ``x`` (tasks, n, 11): photometric class (one-hot, 8), colour, age and host offset; ``y``: ln of the value.
        """
        m = len(tasks)
        numbers = rng.random((m, UNIFORMS, n)), rng.standard_normal((m, NORMALS, n))
        nowhere = np.zeros(m), np.zeros((m, 2))
        targets = draw_targets(*numbers, tasks.purity, *nowhere, NIGHT_SETUPS[self.variant].magnitude)
        one_hot = (targets.label[:, :, None] == np.arange(N_CLASSES)).astype(float)
        x = np.concatenate([one_hot, targets.features.transpose(0, 2, 1)], axis=2)
        return Labelled(x, np.log(values(tasks, targets)), tasks.ids)

    def task_vector(self, tasks: TaskBatch) -> NDArray[np.float32]:
        """(n, 29) the task's numbers, scaled to [-1, 1] and cut there; azimuths as sine and cosine."""
        t = tasks
        extinction, settle = np.maximum(t.extinction_mag, 1e-9), np.maximum(t.settle_s, 1e-9)  # both may be 0
        day = 2 * np.pi * ((t.evening_mjd - _JANUARY_2025_MJD) % 365.25) / 365.25
        singles = [
            t.latitude_deg / 60, np.sin(day), np.cos(day), 2 * t.purity - 1,
            np.log(t.snr_needed / SNR_NEEDED) / (2 * NEEDED_SD), (t.zero_point_mag - ZERO_POINT_MAG) / 1.2,
            np.log(extinction / 0.16) / 1.5, (t.dark_sky_mag - 21.0) / 1.0, np.log(t.seeing_arcsec / 0.75) / 0.5,
            (t.cloud_log_odds - CLOUD_ODDS) / (3 * CLOUD_SD), 2 * t.bank_mag / 3 - 1, np.sin(t.bank_azimuth_rad),
            np.cos(t.bank_azimuth_rad), t.bank_drift_rad_h / (np.pi / 24), np.log(t.slew_deg_s / SLEW) / 1.3,
            np.log(settle / 5.5) / 1.7, np.log(t.cadence_hours / 6) / 1.8, 2 * t.cadence_weight - 1,
        ]  # fmt: skip
        value = np.log(np.maximum(t.class_value, 1e-9)) / (3 * VALUE_SD)
        rows = np.concatenate([value, t.feature_weight / (3 * WEIGHT_SD), np.stack(singles, axis=1)], axis=1)
        return np.clip(rows, -1.0, 1.0).astype(np.float32)
