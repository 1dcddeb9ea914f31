"""Pictures and text of a night: the sky over the telescope, and the rewards beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import pi
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metaenv.canvas import GREY, INK, PALE, PAPER, Pixels
from metaenv.telescope.sim.ephemeris import illuminated_fraction
from metaenv.telescope.sim.julian_dates import iso
from metaenv.telescope.sim.targets import CLASSES
from metaenv.telescope.sim.visibility import LOWEST_DEG
from metaenv.telescope.sim.weather import CLEAR, CLOSED, bank_extinction
from metaenv.typing import Bools, Floats

if TYPE_CHECKING:
    from PIL.Image import Image

    from metaenv.telescope.sim.env import TargetSelectionVectorEnv

WIDTH, HEIGHT = 740, 480  # pixels
CENTRE, RADIUS = 240, 222  # of the sky, pixels
STRIP = 496  # where the strip begins
COARSE = 4  # pixels across a cell of the glow
NIGHT, GLOW, CLOUD = (14, 24, 48), (196, 200, 190), (116, 122, 132)
RING, TRAIL, MOON, MOON_SHADE, RIM = "#FFFFFF", "#F0E442", "#F7F3DC", "#4A4F5C", "#3A4A6B"
NOW, EARLIER, TIME = "#E69F00", "#009E73", "#0072B2"  # bars of tonight, of the nights before, of the time
FAINT = 0.35  # of the colour of a target that is not open
OTHER = "#E6EAF0"  # of an unknown class
CLASS_COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#B8C4CE", "#FF8FA3")
COVER = ("clear", "partly cloudy", "dome shut")
FULL_MOON_SPREAD = 9.0  # of the drawn glow: larger is tighter (chosen)


@dataclass(frozen=True)
class Scene:
    """One moment of a night."""

    title: str
    sky: Floats
    """(3, N) east, north, up of the targets now."""
    label: NDArray[np.int8]
    """(N,) photometric class."""
    magnitude: Floats
    """(N,) V."""
    is_open: Bools
    """(N,) whether a target may be chosen."""
    visited: Bools
    """(N,) whether a target was exposed tonight, or before if the list stays the same."""
    trail: Sequence[int]
    """Targets in the order of tonight's exposures."""
    moon: tuple[float, float, float]
    """East, north, up."""
    moon_share: float
    """Illuminated fraction, 0 to 1."""
    bank: tuple[float, float]
    """Extinction in mag where the bank is thickest, and its azimuth in rad."""
    cloud: int
    """State of the sky, of `metaenv.telescope.sim.weather`."""
    slot: int
    slots: int
    utc: str
    seeing: float
    """arcsec at the zenith."""
    last: str
    """The last exposure, in words."""
    score: float
    """Of tonight so far."""
    scores: Sequence[float]
    """Of the nights before."""
    class_value: Sequence[float] | None
    """Values of the classes, or None to keep them hidden."""


def scene(env: TargetSelectionVectorEnv, row: int) -> Scene:
    """What sub-environment ``row`` looks like now."""
    t, targets, night = min(int(env.state.slot[row]), env.setup.slots - 1), env.state.targets, env.state.night
    log = env._log[row]
    return Scene(
        f"TargetSelection, {env.variant}" + (f": {env.tasks.task(row).site}" if env.draw_hidden else ""),  # type: ignore[attr-defined]
        night.directions[row, :3, t].astype(np.float64),
        targets.label[row],
        targets.magnitude[row],
        env.state.open[row] > 0,
        env.state.visits[row] > 0,
        [target for _, target, _, _ in log if target >= 0],
        (float(night.moon.x[row, t]), float(night.moon.y[row, t]), float(night.moon.z[row, t])),
        float(illuminated_fraction(night.phase_angle[row])),
        (float(env.state.weather.bank_mag[row]), float(env.state.weather.bank_azimuth[row, t])),
        int(env.state.weather.cloud[row, t]),
        int(env.state.slot[row]),
        env.setup.slots,
        iso(float(night.start[row, t])),
        float(env.state.weather.seeing[row, t]),
        _last(log, targets, row, env.names),
        float(env.state.score[row]),
        list(env._scores[row]),
        env.tasks.class_value[row].tolist() if env.draw_hidden else None,
    )


def _last(log: Sequence[tuple[int, int, int, float]], targets: Any, row: int, names: Sequence[str]) -> str:
    if not log:
        return "parked at the zenith"
    _, target, units, reward = log[-1]
    if target < 0:
        return "waited"
    name, mag = names[target] if names else CLASSES[targets.label[row, target]], targets.magnitude[row, target]
    return f"{name} of {mag:.1f} mag, {units} slot{'s' * (units > 1)}: {reward:.3f}"


def text(s: Scene) -> str:
    """One line."""
    nights = " ".join(f"{x:.2f}" for x in s.scores)
    before = f"; nights before: {nights}" if nights else ""
    return (
        f"{s.utc} UTC, slot {s.slot}/{s.slots}, {COVER[s.cloud]}, seeing {s.seeing:.2f} arcsec, "
        f"{int(s.is_open.sum())} open; last: {s.last}; tonight {s.score:.3f}{before}"
    )


def frame(s: Scene) -> NDArray[np.uint8]:
    """(480, 740, 3) uint8: north up, east left, the zenith in the middle; altitude falls evenly to the rim."""
    canvas = _Sky(WIDTH, HEIGHT)
    canvas.paste(_backdrop(s))
    canvas.circle(CENTRE, CENTRE, RADIUS * (1 - LOWEST_DEG / 90), RIM)
    for name, x, y in (("N", CENTRE, 15), ("E", 9, CENTRE + 5), ("S", CENTRE, 477), ("W", 471, CENTRE + 5)):
        canvas.words(x, y, name, 13, GREY, "middle")
    if s.moon[2] > 0:
        x, y = _project(np.array(s.moon))
        canvas.moon(float(x), float(y), round(s.moon_share, 2))
    x, y = _project(s.sky)
    canvas.trail([(float(x[k]), float(y[k])) for k in s.trail if s.sky[2, k] > 0])
    _draw_targets(canvas, s, x, y)
    _draw_strip(canvas, s)
    return canvas.array()


class _Sky(Pixels):
    """A canvas that also has discs, rings and trails."""

    def paste(self, picture: Image) -> None:
        self._image.paste(picture, (0, 0))

    def circle(self, x: float, y: float, radius: float, colour: str) -> None:
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour)

    def disc(self, x: float, y: float, radius: float, colour: Any) -> None:
        self._stamp(x, y, colour, _disc(round(2 * radius)))

    def moon(self, x: float, y: float, share: float) -> None:
        self._stamp(x, y, MOON_SHADE, _disc(22))
        self._stamp(x, y, MOON, _lit(share))

    def _stamp(self, x: float, y: float, colour: Any, mask: Image) -> None:
        self._image.paste(colour, (round(x) - mask.width // 2, round(y) - mask.width // 2), mask)

    def trail(self, points: Sequence[tuple[float, float]]) -> None:
        if len(points) > 1:
            self._draw.line(points, TRAIL, 1)


@lru_cache(maxsize=64)
def _disc(diameter: int) -> Image:
    from PIL import Image, ImageDraw

    big = Image.new("L", (4 * diameter + 4, 4 * diameter + 4))
    ImageDraw.Draw(big).ellipse((2, 2, 4 * diameter + 1, 4 * diameter + 1), 255)
    return big.reduce(4)


@lru_cache(maxsize=128)
def _lit(share: float) -> Image:
    """The sunlit part of a disc 22 pixels across: between a half circle and half an ellipse."""
    from PIL import Image

    whole = np.asarray(_disc(22))
    y, x = np.mgrid[: len(whole), : len(whole)] - (len(whole) - 1) / 2
    rim = np.sqrt(np.maximum(11.0**2 - y * y, 0))
    return Image.fromarray((whole * np.clip(x + 0.5 - (1 - 2 * share) * rim, 0, 1)).astype(np.uint8))


@lru_cache(maxsize=1)
def _grid() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """East, north, up (3, h, h) of the cells of a coarse picture of the sky, and a mask of the sky (480, 480)."""
    h = 2 * CENTRE // COARSE
    y, x = (np.mgrid[:h, :h] + 0.5) * COARSE - CENTRE
    r = np.hypot(x, y)
    angle = np.minimum(r / RADIUS, 1.0) * pi / 2
    flat = np.sin(angle) / np.maximum(r, 1e-9)
    fine_y, fine_x = np.mgrid[: 2 * CENTRE, : 2 * CENTRE] + 0.5 - CENTRE
    mask = np.clip(RADIUS - np.hypot(fine_x, fine_y) + 0.5, 0, 1) * 255
    return np.stack([-x * flat, -y * flat, np.cos(angle)]).astype(np.float32), mask.astype(np.uint8)


def _backdrop(s: Scene) -> Image:
    """The night with moonlight, cloud and bank."""
    from PIL import Image

    sky, mask = _grid()
    lit, covered = np.zeros(sky.shape[1:], np.float32), np.float32({CLEAR: 0.0, CLOSED: 0.85}.get(s.cloud, 0.3))
    if s.moon[2] > 0:
        towards = sum(np.float32(m) * c for m, c in zip(s.moon, sky, strict=True))
        lit = np.float32(0.55 * s.moon_share) * np.exp(np.float32(FULL_MOON_SPREAD) * (towards - np.float32(1)))
    if s.bank[0] > 0:
        mag, azimuth = (np.float32(x) for x in s.bank)
        covered = np.maximum(covered, 1 - np.exp(np.float32(-0.6) * bank_extinction(sky[0], sky[1], mag, azimuth)))
    cloud = np.float32(0.8) * covered + np.zeros_like(lit)
    # Moonlight over the night, and cloud over both.
    shares = np.stack([(1 - lit) * (1 - cloud), lit * (1 - cloud), cloud], axis=-1)
    small = Image.fromarray((shares @ np.array([NIGHT, GLOW, CLOUD], np.float32)).astype(np.uint8))
    picture = Image.new("RGB", (2 * CENTRE, 2 * CENTRE), PAPER)
    # Smooth to two pixels, which no eye tells from one: in half of the time.
    smooth = small.resize((CENTRE, CENTRE), Image.Resampling.BILINEAR)
    picture.paste(smooth.resize(picture.size, Image.Resampling.NEAREST), (0, 0), Image.fromarray(mask))
    return picture


def _project(sky: Floats) -> tuple[Floats, Floats]:
    """Pixels of directions (3, ...)."""
    flat = np.maximum(np.hypot(sky[0], sky[1]), 1e-9)
    r = RADIUS * np.arccos(np.clip(sky[2], -1, 1)) / (pi / 2)
    return CENTRE - r * sky[0] / flat, CENTRE - r * sky[1] / flat


def _draw_targets(canvas: _Sky, s: Scene, x: Floats, y: Floats) -> None:
    """Draw discs in the colours of the classes, larger for brighter targets, with rings around visited ones."""
    size = np.clip(5.0 - 1.2 * (s.magnitude - np.median(s.magnitude)), 2.0, 8.0)
    for k in np.flatnonzero(s.sky[2] > 0).tolist():
        bright = s.is_open[k] or s.visited[k]
        canvas.disc(x[k], y[k], size[k], _class_colour(int(s.label[k]), bool(bright)))
        if s.visited[k]:
            canvas.circle(round(x[k]), round(y[k]), round(size[k]) + 3, RING)
    if s.trail and s.sky[2, s.trail[-1]] > 0:
        canvas.circle(round(x[s.trail[-1]]), round(y[s.trail[-1]]), 13, TRAIL)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


@lru_cache(maxsize=32)
def _class_colour(label: int, bright: bool) -> tuple[int, ...]:
    full = _rgb(CLASS_COLOURS[label] if label >= 0 else OTHER)
    return full if bright else tuple(round(n + FAINT * (c - n)) for c, n in zip(full, NIGHT, strict=True))


def drawn_colours() -> list[tuple[int, ...]]:
    """The colours in which targets, words and bars are drawn, for pictures that can hold few of them."""
    classes = [_class_colour(j, bright) for bright in (True, False) for j in range(-1, len(CLASSES))]
    named = (RING, TRAIL, MOON, MOON_SHADE, RIM, PAPER, PALE, GREY, INK, NOW, EARLIER, TIME)
    return classes + [_rgb(name) for name in named]


def _draw_strip(canvas: _Sky, s: Scene) -> None:
    """Draw the time, the weather, the classes, and the rewards of the nights."""
    from metaenv.canvas import shortened

    width = WIDTH - STRIP - 16
    canvas.words(STRIP, 24, shortened(s.title, width, 15), 15)
    canvas.words(STRIP, 48, f"{s.utc.replace('T', ' ')[:16]} UTC", 13, GREY)
    canvas.words(STRIP + width, 48, f"slot {s.slot}/{s.slots}", 13, GREY, "right")
    _bar(canvas, 55, width, s.slot / s.slots, TIME)
    canvas.words(STRIP, 82, f'{COVER[s.cloud]}, seeing {s.seeing:.2f}"', 13)
    canvas.words(STRIP, 102, shortened(s.last, width, 13), 13, GREY)
    for j, name in enumerate(CLASSES):
        y = 132 + 20 * j
        canvas.disc(STRIP + 6, y - 4, 5, _class_colour(j, True))
        canvas.words(STRIP + 20, y, name, 13, INK)
        if s.class_value is None:
            canvas.words(STRIP + width, y, f"{int((s.visited & (s.label == j)).sum())} seen", 12, GREY, "right")
        else:
            canvas.words(STRIP + width, y, f"worth {s.class_value[j]:.2f}", 12, GREY, "right")
    _draw_nights(canvas, s, 320, width)


def _draw_nights(canvas: _Sky, s: Scene, top: int, width: int) -> None:
    """A bar for each night of the trial, the present one last."""
    nights = [*s.scores, s.score][-12:]
    canvas.words(STRIP, top, "reward by night", 13, GREY)
    canvas.words(STRIP + width, top, f"tonight {s.score:.2f}", 13, INK, "right")
    canvas.box(STRIP, top + 134, width, 1, GREY)
    most, pitch = max(1.0, *nights), width // max(len(nights), 6)
    for i, value in enumerate(nights):
        height = round(118 * value / most)
        colour = NOW if i == len(nights) - 1 else EARLIER
        if height:
            canvas.box(STRIP + i * pitch + 2, top + 134 - height, pitch - 6, height, colour)


def _bar(canvas: _Sky, y: int, width: int, share: float, colour: str) -> None:
    canvas.box(STRIP, y, width, 6, PALE)
    if round(width * share):
        canvas.box(STRIP, y, round(width * share), 6, colour)
