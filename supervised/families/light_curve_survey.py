"""Surveys that see light curves: cadence, depth and noise; and what a learner is given of a light curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.supervised.families.light_curve_light import BANDS, N_UNIT, Visits, flux_of
from metaenv.supervised.families.light_curve_models import FAMILIES
from metaenv.typing import Bools, Floats

N_VISITS = 128  # PLAsTiCC's wide survey has a median of 129 points an object
MAX_ROUNDS = 200  # chosen: an object that is found once in a thousand times is simulated wrongly
BLOCK = 2_000  # objects simulated together: fits the cache (chosen)
PHOTON = np.array([0.02, 0.174, 0.137, 0.119, 0.121, 0.140])
"""Variance a unit of flux. Measured on bright stars of PLAsTiCC; u is chosen."""


@dataclass(frozen=True)
class Survey:
    """A cadence and a depth."""

    name: str
    noise: tuple[float, ...]  # standard deviation of the sky in each band, flux units
    share: tuple[float, ...]  # of visits, in each band
    limit: float  # magnitude of 5 standard deviations in r
    seasons: int = 3
    season_days: float = 180.0

    @property
    def days(self) -> float:
        """From the first to the last night."""
        return 365.25 * (self.seasons - 1) + self.season_days

    def visits(self, n: int, rng: np.random.Generator) -> Visits:
        """When n objects are visited: pairs of visits in two bands, 22 minutes apart, with lognormal gaps."""
        gaps = np.exp(0.9 * rng.standard_normal((n, N_VISITS // 2)))
        nights = gaps.cumsum(axis=1) / (gaps.sum(axis=1, keepdims=True) * (1 + 0.02 * rng.random((n, 1))))
        open_days = nights * self.seasons * self.season_days
        t = open_days + (open_days // self.season_days) * (365.25 - self.season_days)
        band = rng.choice(len(BANDS), p=self.share, size=(n, N_VISITS))
        return Visits(np.repeat(t, 2, axis=1) + np.tile([0.0, 0.015], N_VISITS // 2), band, self.days, self.limit)


_SRD = np.array([56, 80, 184, 184, 160, 160]) / 824  # visits a band, LSST science requirements (Ivezic et al. 2019)
WIDE = Survey("wide", (11.1, 2.9, 4.1, 6.8, 14.0, 30.0), tuple(_SRD), 24.2)
"""Noise: medians of PLAsTiCC's wide-fast-deep training objects."""
_ZTF = float(flux_of(np.array(20.6)) / 5)
SHALLOW = Survey("shallow", (_ZTF,) * 6, (0.0, 0.5, 0.5, 0.0, 0.0, 0.0), 20.6)
"""g and r to 20.6 mag, as the Zwicky Transient Facility (Bellm et al. 2019, PASP 131, 018002)."""


@dataclass(frozen=True)
class Photometry:
    """Light curves as measured: all arrays (n, visits), sorted by time."""

    t: Floats  # days
    band: NDArray[np.intp]
    flux: Floats  # difference flux, zero point 27.5 mag
    error: Floats  # its standard deviation
    redshift: Floats  # (n,) photometric, 0 within the Milky Way; of the host galaxy otherwise
    seen: Bools  # visits that there are; others are padding

    def take(self, rows: NDArray[np.intp]) -> Photometry:
        """Some of the objects."""
        return Photometry(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @classmethod
    def joined(cls, parts: Sequence[Photometry]) -> Photometry:
        """The objects of all parts, in their order."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in cls.__dataclass_fields__))


def simulate(family: int, unit: Floats, survey: Survey, rng: np.random.Generator) -> tuple[Photometry, Bools]:
    """Objects of a family in a survey, and (n,) whether it would have found them.

    Found is what exceeds 5 standard deviations three times (flares: twice), as in PLAsTiCC.
    """
    visits = survey.visits(len(unit), rng)
    light = FAMILIES[family].model(unit, visits, rng)
    total = np.maximum(light.flux + light.constant, 0)
    sky = np.array(survey.noise)[visits.band] * np.exp(0.35 * rng.standard_normal(visits.t.shape))  # weather (chosen)
    error = np.sqrt(sky**2 + PHOTON[visits.band] * total + (0.005 * total) ** 2)  # calibration to 0.5 % (chosen)
    flux = light.flux + error * rng.standard_normal(error.shape)
    found = (np.abs(flux) > 5 * error).sum(axis=1) >= (2 if "flares" in FAMILIES[family].name else 3)
    # Redshifts have errors of 0.03 (1 + z), and 4 % are off by far (chosen, as in surveys: 3-5 %).
    z = light.redshift
    near = np.abs(z + 0.03 * (1 + z) * rng.standard_normal(len(z)))
    off = rng.random(len(z)) < 0.04
    redshift = np.where(z > 0, np.where(off, 2.5 * rng.random(len(z)), near), 0.0)
    return Photometry(visits.t, visits.band, flux, error, redshift, np.ones(flux.shape, bool)), found


def found_objects(
    family: int, cell: NDArray[np.intp], side: int, survey: Survey, rng: np.random.Generator
) -> Photometry:
    """One found object for each entry of ``cell``, a region number in [0, side**2) of the family.

    Raises:
        RuntimeError: a region whose objects the survey does not find.
    """
    parts, where = list[Photometry](), list[NDArray[np.intp]]()
    missing = np.arange(len(cell))
    for _ in range(MAX_ROUNDS):
        rows = missing[rng.integers(len(missing), size=min(BLOCK, 4 * len(missing)))] if parts else missing[:BLOCK]
        unit = rng.random((len(rows), N_UNIT))
        corner = np.stack([cell[rows] // side, cell[rows] % side], axis=1)
        unit[:, :2] = (corner + unit[:, :2]) / side
        measured, found = simulate(family, unit, survey, rng)
        rows, first = np.unique(rows[found], return_index=True)
        parts.append(measured.take(np.flatnonzero(found)[first]))
        where.append(rows)
        missing = np.setdiff1d(missing, rows)
        if not len(missing):
            return Photometry.joined(parts).take(np.argsort(np.concatenate(where)))
    raise RuntimeError(f"the survey {survey.name} does not find {FAMILIES[family].name} of region {cell[missing[0]]}")


# WHAT LEARNERS SEE

Variant = Literal["features", "sequence"]
N_CHANNELS = 11
_BY_BAND = ("share of detections", "largest", "smallest", "scatter", "skew", "roughness")
_OVERALL = (
    "photometric redshift", "chi square of a constant", "detections", "positive detections", "first to last detection",
    "from first detection to peak", "from peak to last detection", "spread of light in time", "scatter within a night",
    "blue minus red at the peak",
)  # fmt: skip
FEATURES = tuple(f"{what} {band}" for what in _BY_BAND for band in BANDS) + _OVERALL


def represent(photometry: Photometry, variant: Variant) -> NDArray[np.float32]:
    """What a learner sees of light curves."""
    return features(photometry) if variant == "features" else sequences(photometry)


def sequences(p: Photometry) -> NDArray[np.float32]:
    """(n, 11, visits): visits in the order of time, zeros for padding.

    Channels: flux over error and flux, both compressed by asinh; log error; log days since the visit before; six for
    the band; photometric redshift.
    """
    gap = np.diff(p.t, axis=1, prepend=p.t[:, :1])
    rows = [
        np.arcsinh(p.flux / p.error) / 3,
        np.arcsinh(p.flux / 10) / 5,
        np.log10(p.error),
        np.log10(np.maximum(gap, 0) + 0.01),
        *(p.band == b for b in range(len(BANDS))),
        np.broadcast_to(np.log1p(p.redshift)[:, None], p.t.shape),
    ]
    return (np.stack(rows, axis=1) * p.seen[:, None]).astype(np.float32)


def features(p: Photometry) -> NDArray[np.float32]:
    """(n, 46) statistics that need no fit; see `FEATURES`."""
    snr = np.where(p.seen, p.flux / p.error, 0.0)
    detected = (np.abs(snr) > 5) & p.seen
    by_band = [_of_band(p, snr, detected, b) for b in range(len(BANDS))]
    table = np.stack(by_band, axis=2).reshape(len(p.t), -1)  # (n, statistics * bands)
    return np.concatenate([table, _overall(p, snr, detected, table)], axis=1).astype(np.float32)


def _of_band(p: Photometry, snr: Floats, detected: Bools, band: int) -> Floats:
    """(n, 6) the statistics of `_BY_BAND`; zeros where a band has no visits."""
    here = (p.band == band) & p.seen
    count = np.maximum(here.sum(axis=1), 1)
    flux = np.where(here, p.flux, 0.0)
    mean = flux.sum(axis=1) / count
    away = np.where(here, p.flux - mean[:, None], 0.0)
    variance = (away**2).sum(axis=1) / count + 1e-9
    skew = (away**3).sum(axis=1) / count / variance**1.5
    # Visits of this band first, in the order of time; then steps between neighbours.
    order = np.argsort(~here, axis=1, kind="stable")
    sorted_away = np.take_along_axis(away, order, axis=1)
    step = np.diff(sorted_away, axis=1) * (np.arange(1, p.t.shape[1]) < count[:, None])
    rough = (step**2).sum(axis=1) / np.maximum(count - 1, 1) / variance
    largest = np.where(here, p.flux, -np.inf).max(axis=1)
    smallest = np.where(here, p.flux, np.inf).min(axis=1)
    any_here = here.any(axis=1)
    columns = [
        (detected & here).sum(axis=1) / count,
        np.arcsinh(np.where(any_here, largest, 0) / 10),
        np.arcsinh(np.where(any_here, smallest, 0) / 10),
        np.log10(variance) / 2,
        np.clip(skew, -6, 6),
        np.clip(rough, 0, 4),
    ]
    return np.stack(columns, axis=1) * any_here[:, None]


def _overall(p: Photometry, snr: Floats, detected: Bools, table: Floats) -> Floats:
    """(n, 10) the statistics of `_OVERALL`."""
    count = p.seen.sum(axis=1)
    n_detected = np.maximum(detected.sum(axis=1), 1)
    first = np.where(detected, p.t, np.inf).min(axis=1)
    last = np.where(detected, p.t, -np.inf).max(axis=1)
    peak = np.take_along_axis(p.t, np.where(p.seen, np.abs(snr), -1).argmax(axis=1)[:, None], axis=1)[:, 0]
    first, last = (np.where(np.isfinite(v), v, peak) for v in (first, last))
    weight = np.where(detected, np.abs(p.flux), 0.0) + 1e-9 * p.seen
    weight /= weight.sum(axis=1, keepdims=True)
    centre = (weight * p.t).sum(axis=1, keepdims=True)
    spread = np.sqrt((weight * (p.t - centre) ** 2).sum(axis=1))
    close = (np.diff(p.t, axis=1) < 0.5) & detected[:, 1:] & p.seen[:, :-1]
    nightly = np.abs(np.diff(np.arcsinh(snr), axis=1))
    peaks = table[:, len(BANDS) : 2 * len(BANDS)]
    columns = [
        np.log1p(p.redshift),
        np.log10((snr**2).sum(axis=1) / count),
        np.log10(n_detected),
        (detected & (snr > 0)).sum(axis=1) / n_detected,
        np.log10(last - first + 0.1),
        np.log10(peak - first + 0.1),
        np.log10(np.maximum(last - peak, 0) + 0.1),
        np.log10(spread + 0.1),
        np.where(close, nightly, 0).sum(axis=1) / np.maximum(close.sum(axis=1), 1),
        peaks[:, 1] - peaks[:, 3],
    ]
    return np.stack(columns, axis=1)
