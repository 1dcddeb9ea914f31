"""Hidden observing tasks: a science programme, an instrument, a site, a season and its sky."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.errors import TaskError, nearest
from metaenv.tasks import FrozenTasks, Labelled, Reference, Task, TaskBatch, TaskDistribution
from metaenv.telescope.sim.ephemeris import night_limits
from metaenv.telescope.sim.exposure import SNR_NEEDED, ZERO_POINT_MAG
from metaenv.telescope.sim.julian_dates import FIRST, LAST
from metaenv.telescope.sim.sites import SITES
from metaenv.telescope.sim.targets import (
    HELD_OUT_PAIRS,
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
Variant = Literal["default", "depth", "cadence", "full"]


@dataclass(frozen=True)
class NightSetup:
    """What a variant fixes."""

    slots: int
    """Equal parts of a night between the two ends of astronomical twilight."""
    targets: int
    """Targets on the list."""
    nights: int
    """Nights of a trial."""
    lengths: tuple[int, ...]
    """How many slots an exposure may take."""
    revisits: bool
    """Whether the same targets come back every night, and a visit again pays."""
    magnitude: tuple[float, float]
    """Mean and standard deviation of the targets' V (chosen: the fainter they are, the more the sky matters, and the
    better does a rule that takes bright ones)."""
    unit: float
    """Value of targets that is worth a reward of 1: about what the task oracle earns in a night, measured on training
    tasks. One number for all tasks, so that it tells nothing about any."""


NIGHT_SETUPS: dict[Variant, NightSetup] = {
    "default": NightSetup(24, 64, 5, (1,), False, (19.5, 0.8), 26.0),
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

TRAIN_PURITY, TEST_PURITY = (0.60, 0.95), (0.35, 0.55)
NEEDED_SD, NEEDED_RANGE = 0.8, (4.0, 80.0)
ZERO_POINT_SD = 0.4  # mag: age of the mirror, width of the slit (chosen)
EXTINCTION, EXTINCTION_SD, EXTINCTION_RANGE = (0.11, 0.22), 0.35, (0.05, 0.8)
DARK_SKY_MAG, DARK_SKY_SD, DARK_SKY_RANGE = 21.5, 0.45, (20.0, 21.9)
SEEING = (0.55, 1.0)
CLOUD_ODDS, CLOUD_SD = -0.5, 0.7
BANK_MAG, BANK_DRIFT = (0.0, 3.0), (-np.pi / 24, np.pi / 24)
SLEW, SLEW_SD, SLEW_RANGE, SETTLE = 1.5, 0.6, (0.5, 5.0), (1.0, 30.0)
CADENCE_HOURS, CADENCE_WEIGHT, NIGHT_HOURS = (1.0, 6.0), (0.5, 1.0), 24.0

_FIELD_LENGTHS = {"class_value": N_CLASSES, "feature_weight": N_FEATURES}
_LIMITS: dict[str, tuple[float, float]] = {
    "latitude_deg": (-90.0, 90.0),
    "longitude_deg": (-180.0, 180.0),
    "evening_mjd": (FIRST - MJD, LAST - MJD - 400.0),
    "class_value": (0.0, 1e3),
    "feature_weight": (-10.0, 10.0),
    "purity": (0.0, 1.0),
    "snr_needed": (0.1, 1e3),
    "zero_point_mag": (0.0, 40.0),
    "extinction_mag": (0.0, 5.0),
    "dark_sky_mag": (10.0, 25.0),
    "seeing_arcsec": (0.05, 20.0),
    "cloud_log_odds": (-20.0, 20.0),
    "bank_mag": (0.0, 20.0),
    "bank_azimuth_rad": (-7.0, 7.0),
    "bank_drift_rad_h": (-10.0, 10.0),
    "slew_deg_s": (0.01, 100.0),
    "settle_s": (0.0, 600.0),
    "cadence_hours": (0.01, 1000.0),
    "cadence_weight": (0.0, 10.0),
}
"""What the equations can bear; training draws from much narrower ranges."""


@dataclass(frozen=True)
class TargetSelectionTask(Task):
    """One hidden observing task.

    Sources: the seeing, cloud and extinction numbers are documented in `metaenv.telescope.sim.weather` and `exposure`;
    ranges that say "chosen" have none.
    """

    family: ClassVar[str] = "TargetSelection"

    latitude_deg: float
    """Of a real observatory (`metaenv.telescope.sim.sites`), north positive."""
    longitude_deg: float
    """East positive."""
    evening_mjd: float
    """MJD at 0 h of the day whose evening begins the first night; whole. 2025-2034, February to October."""
    class_value: tuple[float, ...]
    """(8,) what a target of each true class is worth, 1 on average over a list: exp(1.3 N) before scaling (chosen)."""
    feature_weight: tuple[float, ...]
    """(3,) of colour, age and host offset in the logarithm of the value: 0.8 N (chosen)."""
    purity: float
    """Probability that a photometric class is right: triangular on 0.60-0.95 (the range of brokers' classifiers)."""
    snr_needed: float
    """Signal-to-noise that makes an exposure half usable: 15 exp(0.8 N), 4-80 (photometry to spectroscopy)."""
    zero_point_mag: float
    """V of one electron a second: 20.75 + 0.4 N (chosen; mirrors age, slits lose light)."""
    extinction_mag: float
    """k_V per airmass: 0.11-0.22 by site (Patat et al. 2011, A&A 527, A91: 0.12 at Paranal) times exp(0.35 N)."""
    dark_sky_mag: float
    """V per arcsec^2 of the moonless zenith: 21.5 - |0.45 N|, at least 20.0 (chosen; Paranal 21.6: Patat 2003)."""
    seeing_arcsec: float
    """Median of the seeing at the zenith: 0.55-1.0, logarithmic (medians of four sites; `weather`)."""
    cloud_log_odds: float
    """Added to the log odds of the season's closed time: -0.5 + 0.7 N (chosen)."""
    bank_mag: float
    """Extinction of the cloud bank where it is thickest: 0-3 (chosen)."""
    bank_azimuth_rad: float
    """Where the bank stands at dusk of every night, north over east: 0-2 pi (chosen)."""
    bank_drift_rad_h: float
    """Its drift: +-7.5 deg/h (chosen)."""
    slew_deg_s: float
    """Speed of the mount: 1.5 exp(0.6 N), 0.5-5 (ZTF 2.5-3.0: Bellm et al. 2019, PASP 131, 018002)."""
    settle_s: float
    """Time to settle after a move: 1-30, logarithmic (chosen)."""
    cadence_hours: float
    """Best time between two visits: 1-6 h or 24 h, evenly (ZTF pairs an hour apart; the next night)."""
    cadence_weight: float
    """What a visit again at that time is worth, as a share of the first: 0 in one task of three, else 0.5-1 (chosen).
    Presets without revisits take no notice of both."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, length in _FIELD_LENGTHS.items():
            given = getattr(self, name)
            if not isinstance(given, tuple) or len(given) != length:
                raise TaskError(f"TargetSelectionTask.{name} must have {length} numbers, got {given!r}")
        for name, (low, high) in _LIMITS.items():
            given = np.asarray(getattr(self, name))
            if not np.all((low <= given) & (given <= high)):
                raise TaskError(f"TargetSelectionTask.{name} must lie in [{low}, {high}], got {getattr(self, name)!r}")
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

_UNIFORMS = 15
_TASK_NORMALS = 18  # 8 class values, 3 weights, 6 others and a spare: nine Box-Muller pairs
UNIT_DIM = _UNIFORMS + _TASK_NORMALS


def draw(unit: Floats, split: str) -> TaskBatch:
    """Tasks for points (n, `UNIT_DIM`) of the unit cube, with long enough nights or not."""
    u = np.ascontiguousarray(unit[:, :_UNIFORMS].T)
    z = _box_muller(unit[:, _UNIFORMS:])
    latitude, longitude = _sites(u[0], TEST_SITES if split in ("ood-site", "ood-all") else TRAIN_SITES)
    cadence_hours, cadence_weight = _cadence(u[11], u[12], u[13])
    drawn: dict[str, Floats] = {
        "latitude_deg": latitude,
        "longitude_deg": longitude,
        "evening_mjd": _evenings(u[1], u[2], TEST_SEASON if split in ("ood-season", "ood-all") else TRAIN_SEASON),
        "class_value": _class_values(z[:, :N_CLASSES], u[14], split),
        "feature_weight": WEIGHT_SD * z[:, N_CLASSES : N_CLASSES + N_FEATURES],
        "purity": _purity(u[3], u[4], split),
        "snr_needed": np.clip(SNR_NEEDED * np.exp(NEEDED_SD * z[:, 11]), *NEEDED_RANGE),
        "zero_point_mag": ZERO_POINT_MAG + ZERO_POINT_SD * z[:, 12],
        "extinction_mag": np.clip(_linear(u[5], EXTINCTION) * np.exp(EXTINCTION_SD * z[:, 13]), *EXTINCTION_RANGE),
        "dark_sky_mag": np.clip(DARK_SKY_MAG - np.abs(DARK_SKY_SD * z[:, 14]), *DARK_SKY_RANGE),
        "seeing_arcsec": _logarithmic(u[6], SEEING),
        "cloud_log_odds": CLOUD_ODDS + CLOUD_SD * z[:, 15],
        "bank_mag": _linear(u[7], BANK_MAG),
        "bank_azimuth_rad": 2 * np.pi * u[8],
        "bank_drift_rad_h": _linear(u[9], BANK_DRIFT),
        "slew_deg_s": np.clip(SLEW * np.exp(SLEW_SD * z[:, 16]), *SLEW_RANGE),
        "settle_s": _logarithmic(u[10], SETTLE),
        "cadence_hours": cadence_hours,
        "cadence_weight": cadence_weight,
    }
    return TaskBatch(TargetSelectionTask, {f.name: drawn[f.name] for f in fields(TargetSelectionTask)})


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


def _purity(first: Floats, second: Floats, split: str) -> Floats:
    if split in ("ood-purity", "ood-all"):
        return _linear(first, TEST_PURITY)
    return _linear(0.5 * (first + second), TRAIN_PURITY)


def _cadence(kind: Floats, hours: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Best gap and its worth: a third of the tasks each want none, one within the night, and the next night."""
    gap = np.where(kind < 2 / 3, _logarithmic(hours, CADENCE_HOURS), NIGHT_HOURS)
    return gap, np.where(kind < 1 / 3, 0.0, _linear(weight, CADENCE_WEIGHT))


def _linear(unit: Floats, ends: tuple[float, float]) -> Floats:
    return ends[0] + (ends[1] - ends[0]) * unit


def _logarithmic(unit: Floats, ends: tuple[float, float]) -> Floats:
    return ends[0] * np.exp(np.log(ends[1] / ends[0]) * unit)


def _box_muller(unit: Floats) -> Floats:
    """Standard normals for points of the unit cube, an even number of columns (Box and Muller 1958)."""
    columns = np.ascontiguousarray(unit.T)
    radius = np.sqrt(-2.0 * np.log1p(-columns[0::2]))
    angle = 2.0 * np.pi * columns[1::2]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)]).T.copy()


# THE DISTRIBUTION


@dataclass(frozen=True)
class TargetSelectionDistribution(TaskDistribution):
    """Observing tasks at real sites.

    Splits: ``train`` is endless; ``validation`` and ``test`` are frozen draws of the same; the five ``ood-`` lists
    differ from training in a named property, and ``ood-all`` in all four. Frozen lists have 256 tasks.

    * ``ood-site``: six observatories that training never sees, instead of ten others;
    * ``ood-season``: November to January instead of February to October;
    * ``ood-programme``: the two most valuable classes are a pair that never is in training, and worth twice as much;
    * ``ood-purity``: photometric classes are right with 0.35-0.55 instead of 0.60-0.95.

    Tasks do not depend on the variant; references do.
    """

    variant: Variant = "default"
    task_type: ClassVar[type[Task]] = TargetSelectionTask
    unit_dim: int = UNIT_DIM
    splits: tuple[str, ...] = SPLITS

    def __post_init__(self) -> None:
        if self.variant not in NIGHT_SETUPS:
            raise ValueError(f"no variant {self.variant!r}.{nearest(self.variant, NIGHT_SETUPS)}")

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
        from metaenv.telescope.stored import load_frozen

        return load_frozen(split, self.variant)

    def reference(self, tasks: TaskBatch) -> Reference:
        """Mean score of the nights of one trial, played at random and by the task oracle on the same nights."""
        from metaenv.telescope.baselines import play_references

        return play_references(tasks, self.variant)

    def labelled(self, tasks: TaskBatch, n: int, rng: np.random.Generator) -> Labelled:
        """Targets of a list and what they are worth.

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
        """(n, 30) the task's numbers, scaled to [-1, 1] and cut there; azimuths as sine and cosine."""
        t = tasks
        day = 2 * np.pi * ((t.evening_mjd - _JANUARY_2025_MJD) % 365.25) / 365.25
        singles = [
            t.latitude_deg / 60, np.sin(day), np.cos(day), 2 * t.purity - 1,
            np.log(t.snr_needed / SNR_NEEDED) / (2 * NEEDED_SD), (t.zero_point_mag - ZERO_POINT_MAG) / 1.2,
            np.log(t.extinction_mag / 0.16) / 1.5, (t.dark_sky_mag - 21.0) / 1.0, np.log(t.seeing_arcsec / 0.75) / 0.5,
            (t.cloud_log_odds - CLOUD_ODDS) / (3 * CLOUD_SD), 2 * t.bank_mag / 3 - 1, np.sin(t.bank_azimuth_rad),
            np.cos(t.bank_azimuth_rad), t.bank_drift_rad_h / BANK_DRIFT[1], np.log(t.slew_deg_s / SLEW) / 1.3,
            np.log(t.settle_s / 5.5) / 1.7, np.log(t.cadence_hours / 6) / 1.8, 2 * t.cadence_weight - 1,
        ]  # fmt: skip
        value = np.log(np.maximum(t.class_value, 1e-9)) / (3 * VALUE_SD)
        rows = np.concatenate([value, t.feature_weight / (3 * WEIGHT_SD), np.stack(singles, axis=1)], axis=1)
        return np.clip(rows, -1.0, 1.0).astype(np.float32)


def held_out(tasks: TaskBatch) -> Bools:
    """(n,) whether the two most valuable classes are one of the pairs that training never has."""
    top = np.sort(np.argsort(-tasks.class_value, axis=1)[:, :2], axis=1)
    return np.array([tuple(pair) in HELD_OUT_PAIRS for pair in top.tolist()])
