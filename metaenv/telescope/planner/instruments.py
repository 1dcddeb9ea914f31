"""Instruments: what decides on the signal-to-noise ratio of an exposure, on its overheads and on saturation.

The equation is that of `metaenv.telescope.sim.exposure` with the instrument's own numbers and its dark current. Presets
state where their numbers come from. Zero points are V magnitudes, above the atmosphere, of one electron a second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np

from metaenv.errors import TaskError, nearest
from metaenv.telescope.planner.constraints import is_number
from metaenv.telescope.sim.exposure import (
    OVERHEAD_S,
    PIXEL_ARCSEC,
    READ_NOISE_E,
    SETTLE_S,
    SLEW_DEG_PER_S,
    ZERO_POINT_MAG,
    electrons_per_second,
)

_FWHM_PER_SIGMA = math.sqrt(8 * math.log(2))  # of a Gaussian
_AREA_PER_SIGMA2 = 4 * math.pi  # effective noise area of a Gaussian over sigma^2 (King 1983, PASP 95, 163)
_LIMITS = {
    "zero_point_mag": (0, 40), "read_noise_e": (0, 1e4), "pixel_arcsec": (1e-3, 100), "aperture_m": (0.01, 100),
    "readout_s": (0, 1e4), "full_well_e": (1, math.inf), "dark_e_s": (0, 1e4), "slew_deg_s": (0.25, 100),
    "settle_s": (0, 120),
}  # fmt: skip


@dataclass(frozen=True)
class Instrument:
    """A telescope with a camera, or with a spectrograph that is described by one resolution element.

    Raises:
        TaskError: a number that is not finite or not possible.
    """

    name: str
    zero_point_mag: float
    """V above the atmosphere that gives one electron a second."""
    read_noise_e: float
    """Electrons rms a pixel."""
    pixel_arcsec: float
    """Side of a pixel."""
    aperture_m: float
    """Diameter of the primary mirror; told to people only, because the zero point contains it."""
    readout_s: float
    """Overhead of each exposure."""
    full_well_e: float = math.inf
    """Electrons a pixel at which it saturates."""
    dark_e_s: float = 0.0
    """Dark current, electrons a second and pixel."""
    photometry_arcsec: float | None = None
    """Diameter of a fixed aperture that collects all light; None for the noise area of the seeing."""
    slew_deg_s: float = SLEW_DEG_PER_S
    settle_s: float = SETTLE_S
    source: str = ""
    """Where the numbers come from."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TaskError(f"expected the name of an instrument, got {self.name!r}")
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if not is_number(value) or not low <= value <= high:  # NaN fails
                raise TaskError(f"instrument {self.name!r}: expected {name} from {low:g} to {high:g}, got {value!r}")
        width = self.photometry_arcsec
        if width is not None and not (is_number(width) and 0 < width < 1e3):
            raise TaskError(f"instrument {self.name!r}: expected photometry_arcsec above 0 or None, got {width!r}")

    def area(self, seeing_area: Any) -> Any:
        """Noise area in arcsec^2: that of the fixed aperture, else ``seeing_area``, the noise area of the seeing."""
        if self.photometry_arcsec is None:
            return seeing_area
        return math.pi / 4 * self.photometry_arcsec**2 + 0.0 * seeing_area

    def snr(self, electrons_s: Any, sky_electrons_s: Any, area: Any, seconds: Any) -> Any:
        """Signal-to-noise ratio of one exposure; all arguments broadcast.

        Args:
            electrons_s: of the target, as they arrive.
            sky_electrons_s: of a square arcsecond of sky.
            area: noise area in arcsec^2, see `area`.
            seconds: of exposure; 0 gives 0.
        """
        signal = electrons_s * seconds
        pixels = area / self.pixel_arcsec**2
        noise = sky_electrons_s * seconds * area + pixels * (self.dark_e_s * seconds + self.read_noise_e**2)
        return signal / np.sqrt(np.maximum(signal + noise, 1e-12))

    def snr_of(
        self, magnitude: Any, seconds: Any, airmass: Any = 1.0, sky_mag: Any = 21.5, extinction_mag: Any = 0.15,
        fwhm_arcsec: Any = 1.0,
    ) -> Any:  # fmt: skip
        """The same from magnitudes; ``sky_mag`` is V/arcsec^2 as seen, and ``fwhm_arcsec`` that of a star's image."""
        rate = electrons_per_second(magnitude + extinction_mag * airmass, self.zero_point_mag)
        sky = electrons_per_second(sky_mag, self.zero_point_mag)
        area = self.area(_AREA_PER_SIGMA2 * np.square(np.asarray(fwhm_arcsec) / _FWHM_PER_SIGMA))
        return self.snr(rate, sky, area, seconds)

    def seconds_to_saturation(self, electrons_s: Any, sky_electrons_s: Any, area: Any) -> Any:
        """After which the brightest pixel is full: one that holds the middle of a Gaussian image of that noise area."""
        sigma = np.sqrt(area / _AREA_PER_SIGMA2)
        # erf(half a pixel / sqrt(2) sigma)^2 is within 0.7 % of this (Polya 1949)
        share = 1 - np.exp(-(self.pixel_arcsec**2) / (2 * np.pi * sigma * sigma))
        rate = electrons_s * share + sky_electrons_s * self.pixel_arcsec**2 + self.dark_e_s
        return self.full_well_e / np.maximum(rate, 1e-12)

    def text(self) -> str:
        """One line for people."""
        shown = ("zero_point_mag", "read_noise_e", "pixel_arcsec", "aperture_m", "readout_s", "full_well_e", "dark_e_s")
        return f"{self.name}: " + ", ".join(f"{n} {getattr(self, n):g}" for n in shown)


_ETC = (
    "exposure-time calculator of the Las Cumbres Observatory (exposure-time-calculator.lco.global; lco-etc 0.0.1): "
    "V zero point at airmass 1 plus 0.12 mag of extinction, read noise, dark current, pixel and aperture of 3 arcsec"
)
INSTRUMENTS: dict[str, Instrument] = {
    "transient spectrograph": Instrument(
        "transient spectrograph", ZERO_POINT_MAG, READ_NOISE_E, PIXEL_ARCSEC, 2.5, OVERHEAD_S, 100_000.0,
        source="a resolution element of 50 Angstrom, see metaenv.telescope.sim.exposure; full well chosen",
    ),
    "lco 1m sinistro": Instrument(
        "lco 1m sinistro", 23.5 + 0.12, 8.0, 0.389, 1.0, 28.0, 100_000.0, 0.002, 3.0,
        source=_ETC + "; readout and full well: lco.global/observatory/instruments/sinistro; slews chosen",
    ),
    "lco 0.4m qhy600": Instrument(
        "lco 0.4m qhy600", 21.4 + 0.12, 3.0, 0.73, 0.35, 3.0, 47_000.0, 0.04, 3.0,
        source=_ETC + ", full well; readout and slews chosen",
    ),
}  # fmt: skip
"""Presets by name; the first is the default."""
DEFAULT_INSTRUMENT = next(iter(INSTRUMENTS))


def find_instrument(given: str | Instrument | Mapping[str, Any] | None) -> Instrument:
    """An instrument by its name in `INSTRUMENTS`, from its fields, or itself; None is the default."""
    if isinstance(given, Instrument):
        return given
    if isinstance(given, Mapping):
        known = [f.name for f in fields(Instrument)]
        for name in given:
            if name not in known:
                raise TaskError(f"an instrument has no {name!r}.{nearest(name, known)}")
        whole = {"name": "own instrument", **given}
        if missing := [f.name for f in fields(Instrument) if f.default is MISSING and f.name not in whole]:
            raise TaskError(f"the instrument lacks {', '.join(missing)}")
        return Instrument(**whole)
    key = DEFAULT_INSTRUMENT if given is None else given
    if not isinstance(key, str) or key.lower() not in INSTRUMENTS:
        raise TaskError(f"no instrument {given!r}; give an Instrument or a name.{nearest(str(given), INSTRUMENTS)}")
    return INSTRUMENTS[key.lower()]
