"""Pictures and text of a night: the sky over the telescope, and the rewards beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import pi
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metaenv.actions import listed
from metaenv.canvas import GREY, INK, PALE, PAPER, Pixels, disc_mask, shortened
from metaenv.telescope.sim.ephemeris import illuminated_fraction
from metaenv.telescope.sim.julian_dates import iso
from metaenv.telescope.sim.layout import REVISIT_STATUS, SHOWN_MAG
from metaenv.telescope.sim.nominal import NOMINAL_SEEING
from metaenv.telescope.sim.targets import CLASSES, FEATURES
from metaenv.telescope.sim.visibility import LOWEST_DEG
from metaenv.telescope.sim.weather import CLEAR, CLOSED, bank_extinction
from metaenv.typing import Bools, Floats

if TYPE_CHECKING:
    from PIL.Image import Image

    from metaenv.telescope.sim.env import TargetSelectionVectorEnv

WIDTH, HEIGHT = 740, 508  # pixels
CENTRE, RADIUS = 240, 222  # of the sky, pixels
STRIP, STRIP_WIDTH, NIGHTS = 496, 228, 320  # where the strip begins, its width, and where its bars begin
COARSE = 8  # pixels across a cell of the glow
NIGHT, GLOW, CLOUD = (14, 24, 48), (196, 200, 190), (116, 122, 132)
RING, TRAIL, MOON, MOON_SHADE, RIM = "#FFFFFF", "#F0E442", "#F7F3DC", "#4A4F5C", "#3A4A6B"
NOW, EARLIER, TIME = "#E69F00", "#009E73", "#0072B2"  # bars of tonight, of the nights before, of the time
FAINT = 0.35  # of the colour of a target that is not open
OTHER = "#E6EAF0"  # of an unknown class
CLASS_COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#B8C4CE", "#FF8FA3")
COVER = ("clear", "partly cloudy", "dome shut")
KEY = (
    "discs: targets, larger if brighter, faint if they cannot be chosen; rings: exposed; inner circle: altitude "
    f"{LOWEST_DEG:.0f}°"
)
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
    weather: str
    """In words."""
    last: str
    """The last exposure, in words."""
    score: float | None
    """Of tonight so far; None until dawn, where it is known then."""
    scores: Sequence[float]
    """Of the nights before."""
    class_value: Sequence[float] | None
    """Values of the classes, or None to keep them hidden."""


@dataclass(frozen=True)
class Exposure:
    """What was done in a slot."""

    night: int
    slot: int
    target: int
    """-1 for none, and where the dome was shut."""
    units: int
    """Slots taken."""
    reward: float | None
    """None until dawn, where it is known then."""
    what: str
    """The target, in words."""
    measured: str = ""
    """Its features, and what was measured."""

    def text(self) -> str:
        """Such as ``TDE of 18.3 mag, 1 slot: 0.027``."""
        worth = "known at dawn" if self.reward is None else f"{self.reward:.3f}"
        return f"{self.what}, {self.units} slot{'s' * (self.units > 1)}: {worth}"


def exposure(env: TargetSelectionVectorEnv, row: int, slot: int, target: int, units: int, reward: float) -> Exposure:
    """The last step of sub-environment ``row``."""
    night, targets = int(env.state.night_number[row]), env.state.targets
    if target < 0:
        return Exposure(night, slot, target, units, reward, "waited")
    what = f"{_name(env, row, target)} of {targets.magnitude[row, target]:.1f} mag"
    features = ", ".join(f"{n} {x:.1f}" for n, x in zip(FEATURES, targets.features[row, :, target], strict=True))
    snr = np.expm1(env.state.globals_[row, env.layout.globals_.index("ln(1 + SNR)")])
    return Exposure(night, slot, target, units, reward, what, f" ({features}, SNR {snr:.1f})")


def _name(env: TargetSelectionVectorEnv, row: int, target: int) -> str:
    return env.names[target] if env.names else CLASSES[env.state.targets.label[row, target]]


def exposures(env: TargetSelectionVectorEnv, row: int) -> list[Exposure]:
    """What was done on the task, as far as an observer is told: where values are known at dawn, tonight's exposures
    without them, and before the first slot, the reduced log of the night before."""
    log, night, over = env._log[row], int(env.state.night_number[row]), bool(env._over(np.array([row]))[0])
    if not env.at_dawn or env.draw_hidden:
        return log
    if not env.state.slot[row]:
        return [x for x in log if x.night == night - 1]
    return [x if over else replace(x, reward=None) for x in log if x.night == night]


def scene(env: TargetSelectionVectorEnv, row: int) -> Scene:
    """What sub-environment ``row`` looks like now, without what is hidden unless that is to be drawn."""
    t, targets, night = min(int(env.state.slot[row]), env.setup.slots - 1), env.state.targets, env.state.night
    weather, hidden = env.state.weather, not env.draw_hidden
    tonight = [done for done in exposures(env, row) if done.night == env.state.night_number[row]]
    known = not any(done.reward is None for done in tonight)
    cloud, bank, told = CLEAR, (0.0, 0.0), "weather: shown by exposures"
    if not hidden:
        cloud = int(weather.cloud[row, t])
        bank = (float(weather.bank_mag[row]), float(weather.bank_azimuth[row, t]))
        told = f"{COVER[cloud]}, seeing {weather.seeing[row, t]:.2f} arcsec"
    elif tonight:
        shut, seeing = env.state.shut_and_seeing[row, tonight[-1].slot]
        exposed = f"seeing {NOMINAL_SEEING + seeing:.2f} arcsec in the last slot"
        told = "dome shut in the last slot" if shut else exposed if tonight[-1].target >= 0 else told
    return Scene(
        f"TargetSelection, {env.variant}" + ("" if hidden else f": {env.tasks.task(row).site}"),  # type: ignore[attr-defined]
        night.directions[row, :3, t].astype(np.float64),
        targets.label[row],
        targets.magnitude[row],
        env.state.open[row] > 0,
        env.state.visits[row] > 0,
        [done.target for done in tonight if done.target >= 0],
        (float(night.moon.x[row, t]), float(night.moon.y[row, t]), float(night.moon.z[row, t])),
        float(illuminated_fraction(night.phase_angle[row])),
        bank,
        cloud,
        int(env.state.slot[row]),
        env.setup.slots,
        iso(float(night.start[row, t])),
        told,
        tonight[-1].text() if tonight else "parked at the zenith",
        float(env.state.score[row]) if known else None,
        list(env._scores[row]),
        None if hidden else env.tasks.class_value[row].tolist(),
    )


def text(s: Scene, log: Sequence[Exposure] = ()) -> str:
    """The night so far, and what was exposed on the task."""
    nights = " ".join(f"{x:.2f}" for x in s.scores)
    before = f"; nights before: {nights}" if nights else ""
    lines = [
        f"{s.utc} UTC, slot {s.slot} of {s.slots}, {s.weather}, moon {s.moon_share:.0%} lit"
        f"{'' if s.moon[2] > 0 else ' and down'}, {int(s.is_open.sum())} targets open",
        f"last: {s.last}; reward of tonight {'known at dawn' if s.score is None else f'{s.score:.3f}'}{before}",
    ]
    if s.class_value is not None:
        lines.append(listed("true values", (f"{n} {v:.2f}" for n, v in zip(CLASSES, s.class_value, strict=True))))
    done = [f"night {x.night + 1} slot {x.slot}: {x.text()}{x.measured}" for x in log if x.target >= 0]
    return "\n".join([*lines, *([listed("exposures and rewards on this task", done)] if done else [])])


def candidates(env: TargetSelectionVectorEnv, row: int) -> str:
    """A line for each target that may be chosen now, with the numbers of its actions."""
    setup, layout = env.setup, env.layout
    seen = layout.split(env.observe(np.array([row])))[0][0].astype(np.float64)
    legal = env.mask(np.array([row]))[0]

    def column(name: str) -> Floats:
        return seen[layout.row(name)]

    columns = {
        "mag": column("magnitude - 20") + SHOWN_MAG,
        "alt/deg": np.degrees(np.arcsin(np.clip(column("sin(altitude)"), -1, 1))),
        "az/deg": np.degrees(np.arctan2(column("east"), column("north"))) % 360,
        "moon/deg": np.degrees(np.arccos(np.clip(column("cos(moon separation)"), -1, 1))),
        "SNR": np.expm1(column("ln(1 + nominal SNR)")),
        "slots": setup.slots * column("slots left"),
        "slew/min": column("slew / min"),
        **{name: column(name) for name in FEATURES},
        **({name: column(name) for name in ("visits", *REVISIT_STATUS)} if setup.revisits else {}),
    }
    lengths = "/".join(f"{length} slot{'s' * (length > 1)}" for length in setup.lengths)
    names = [_name(env, row, k) for k in range(setup.targets)]
    wide = max(map(len, names))
    lines = [
        f"actions, a target to expose for {lengths}; SNR: of one slot under nominal conditions; slots: until it sets:",
        f"{'action':>11}  {'target':{wide}}" + "".join(f"{name:>{max(len(name), 6) + 2}}" for name in columns),
    ]
    for k in np.flatnonzero(legal[: setup.targets]).tolist():
        numbers = [j * setup.targets + k for j in range(len(setup.lengths)) if legal[j * setup.targets + k]]
        values = "".join(f"{values[k]:>{max(len(name), 6) + 2}.1f}" for name, values in columns.items())
        lines.append(f"{'/'.join(map(str, numbers)):>11}  {names[k]:{wide}}{values}")
    return "\n".join([*lines, f"{len(legal) - 1:>11}  wait"])


def frame(s: Scene) -> NDArray[np.uint8]:
    """(508, 740, 3) uint8: north up, east left, the zenith in the middle; altitude falls evenly to the rim."""
    moon = tuple(round(x, 2) for x in s.moon) if s.moon[2] > 0 else (0.0, 0.0, -1.0)
    canvas = Pixels(WIDTH, HEIGHT, _backdrop(moon, s.moon_share, s.bank, s.cloud))
    if s.moon[2] > 0:
        x, y = _project(np.array(s.moon))
        canvas.disc(float(x), float(y), 11, MOON_SHADE)
        canvas.stamp(float(x), float(y), MOON, _lit(round(s.moon_share, 2)))
    x, y = _project(s.sky)
    canvas.trail([(float(x[k]), float(y[k])) for k in s.trail if s.sky[2, k] > 0], TRAIL)
    _draw_targets(canvas, s, x, y)
    _draw_strip(canvas, s)
    return canvas.array()


@lru_cache(maxsize=1)
def _labels() -> Pixels:
    """What all pictures have in common."""
    canvas = Pixels(WIDTH, HEIGHT)
    for j, name in enumerate(CLASSES):
        canvas.disc(STRIP + 6, 128 + 20 * j, 5, _class_colour(j, True))
        canvas.words(STRIP + 20, 132 + 20 * j, name, 13, INK)
    canvas.words(STRIP, NIGHTS, "reward by night", 13, GREY)
    canvas.box(STRIP, NIGHTS + 134, STRIP_WIDTH, 1, GREY)
    canvas.words(8, HEIGHT - 10, KEY, 12, GREY)
    return canvas


@lru_cache(maxsize=128)
def _lit(share: float) -> Image:
    """The sunlit part of a disc 22 pixels across: between a half circle and half an ellipse."""
    from PIL import Image

    whole = np.asarray(disc_mask(22))
    y, x = np.mgrid[: len(whole), : len(whole)] - (len(whole) - 1) / 2
    rim = np.sqrt(np.maximum(11.0**2 - y * y, 0))
    return Image.fromarray((whole * np.clip(x + 0.5 - (1 - 2 * share) * rim, 0, 1)).astype(np.uint8))


@lru_cache(maxsize=1)
def _grid() -> tuple[NDArray[np.float32], Image]:
    """East, north, up (3, h, h) of the cells of a coarse picture of the sky, and a finer mask of what is no sky."""
    from PIL import Image

    h = 2 * CENTRE // COARSE
    y, x = (np.mgrid[:h, :h] + 0.5) * COARSE - CENTRE
    r = np.hypot(x, y)
    angle = np.minimum(r / RADIUS, 1.0) * pi / 2
    flat = np.sin(angle) / np.maximum(r, 1e-9)
    fine_y, fine_x = np.mgrid[:CENTRE, :CENTRE] * 2 + 1.0 - CENTRE
    mask = Image.fromarray(np.hypot(fine_x, fine_y) > RADIUS)
    return np.stack([-x * flat, -y * flat, np.cos(angle)]).astype(np.float32), mask


@lru_cache(maxsize=4)
def _backdrop(moon: tuple[float, ...], moon_share: float, bank: tuple[float, float], cover: int) -> Pixels:
    """The night with moonlight, cloud and bank."""
    from PIL import Image

    sky, no_sky = _grid()
    lit, covered = np.zeros(sky.shape[1:], np.float32), np.float32({CLEAR: 0.0, CLOSED: 0.85}.get(cover, 0.3))
    if moon[2] > 0:
        towards = sum(np.float32(m) * c for m, c in zip(moon, sky, strict=True))
        lit = np.float32(0.55 * moon_share) * np.exp(np.float32(FULL_MOON_SPREAD) * (towards - np.float32(1)))
    if bank[0] > 0:
        mag, azimuth = (np.float32(x) for x in bank)
        covered = np.maximum(covered, 1 - np.exp(np.float32(-0.6) * bank_extinction(sky[0], sky[1], mag, azimuth)))
    cloud = np.float32(0.8) * covered + np.zeros_like(lit)
    # Moonlight over the night, and cloud over both.
    shares = np.stack([(1 - lit) * (1 - cloud), lit * (1 - cloud), cloud], axis=-1)
    colours = np.array([(*NIGHT, 255), (*GLOW, 255), (*CLOUD, 255)], np.float32)
    small = Image.frombytes("RGBX", (len(lit), len(lit)), (shares @ colours).astype(np.uint8).tobytes())
    # Smooth to two pixels, which no eye tells from one: in half of the time.
    smooth = small.resize((CENTRE, CENTRE), Image.Resampling.BILINEAR)
    smooth.paste(PAPER, (0, 0), no_sky)
    canvas = Pixels(WIDTH, HEIGHT, _labels())
    side = 2 * CENTRE
    canvas.picture(0, 0, side, side, smooth.resize((side, side), Image.Resampling.NEAREST))
    canvas.ring(CENTRE, CENTRE, RADIUS, RIM, 2)
    canvas.ring(CENTRE, CENTRE, RADIUS * (1 - LOWEST_DEG / 90), RIM)
    for name, x, y in (("N", CENTRE, 15), ("E", 9, CENTRE + 5), ("S", CENTRE, 477), ("W", 471, CENTRE + 5)):
        canvas.words(x, y, name, 13, GREY, "middle")
    return canvas


def _project(sky: Floats) -> tuple[Floats, Floats]:
    """Pixels of directions (3, ...)."""
    flat = np.maximum(np.hypot(sky[0], sky[1]), 1e-9)
    r = RADIUS * np.arccos(np.clip(sky[2], -1, 1)) / (pi / 2)
    return CENTRE - r * sky[0] / flat, CENTRE - r * sky[1] / flat


def _draw_targets(canvas: Pixels, s: Scene, x: Floats, y: Floats) -> None:
    """Draw discs in the colours of the classes, larger for brighter targets, with rings around visited ones."""
    size = np.clip(5.0 - 1.2 * (s.magnitude - np.median(s.magnitude)), 2.0, 8.0)
    up = s.sky[2] > 0
    for x_k, y_k, size_k, label, visited, bright in zip(
        *(a[up].tolist() for a in (x, y, size, s.label, s.visited, s.is_open | s.visited)), strict=True
    ):
        canvas.disc(x_k, y_k, size_k, _class_colour(label, bright))
        if visited:
            canvas.ring(round(x_k), round(y_k), round(size_k) + 3, RING)
    if s.trail and up[s.trail[-1]]:
        canvas.ring(round(float(x[s.trail[-1]])), round(float(y[s.trail[-1]])), 13, TRAIL)


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


def _draw_strip(canvas: Pixels, s: Scene) -> None:
    """Draw the time, the weather, the classes, and the rewards of the nights."""
    width = STRIP_WIDTH
    canvas.words(STRIP, 24, shortened(s.title, width, 15), 15)
    canvas.words(STRIP, 48, f"{s.utc.replace('T', ' ')[:16]} UTC", 13, GREY)
    canvas.words(STRIP + width, 48, f"slot {s.slot}/{s.slots}", 13, GREY, "right")
    _bar(canvas, 55, width, s.slot / s.slots, TIME)
    canvas.words(STRIP, 82, s.weather, 13)
    canvas.words(STRIP, 102, shortened(s.last, width, 13), 13, GREY)
    seen = np.bincount(s.label[s.visited & (s.label >= 0)], minlength=len(CLASSES)).tolist()
    for j, count in enumerate(seen):
        words = f"{count} exposed" if s.class_value is None else f"worth {s.class_value[j]:.2f}"
        canvas.words(STRIP + width, 132 + 20 * j, words, 12, GREY, "right")
    _draw_nights(canvas, s, NIGHTS, width)


def _draw_nights(canvas: Pixels, s: Scene, top: int, width: int) -> None:
    """A bar for each night of the trial, the present one last."""
    nights = [*s.scores, s.score or 0.0][-12:]
    tonight = "known at dawn" if s.score is None else f"{s.score:.2f}"
    canvas.words(STRIP + width, top, f"tonight {tonight}", 13, INK, "right")
    most, pitch = max(1.0, *nights), width // max(len(nights), 6)
    for i, value in enumerate(nights):
        height = round(104 * value / most)
        colour = NOW if i == len(nights) - 1 else EARLIER
        if height:
            canvas.box(STRIP + i * pitch + 2, top + 134 - height, pitch - 6, height, colour)
        middle = STRIP + i * pitch + pitch / 2 - 1
        canvas.words(middle, top + 130 - height, f"{value:.2f}", 11, GREY, "middle")
        canvas.words(middle, top + 148, str(len(s.scores) - len(nights) + 2 + i), 11, GREY, "middle")


def _bar(canvas: Pixels, y: int, width: int, share: float, colour: str) -> None:
    canvas.box(STRIP, y, width, 6, PALE)
    if round(width * share):
        canvas.box(STRIP, y, round(width * share), 6, colour)
