"""Pictures of white blood cells in stained smears, drawn from parameters: 28 x 28 pixels, RGB, thousands a second.

Light is absorbed as Beer and Lambert say: each structure has an optical density in red, green and blue, and densities
add up. Those of background, nucleus, cytoplasm and red cells are set by eye beside crops of the BCCD data set; all
other numbers are chosen. Good for training and comparing learners, not for diagnoses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.typing import Index

Images = NDArray[np.uint8]
_Array = NDArray[np.floating[Any]]

PIXELS = 28
BLOCK = 256  # images drawn together: fits the cache (chosen)
BACKGROUND = np.array([207.0, 203.0, 198.0], np.float32)
NUCLEUS = np.array([0.54, 1.00, 0.06], np.float32)  # optical densities, as all below
RED_CELL = np.array([0.08, 0.24, 0.20], np.float32)
CYTOPLASM = np.array([[0.05, 0.14, 0.03], [0.22, 0.14, 0.02]], np.float32)  # pink, blue
GRANULE = np.array([[0.0, 0.0, 0.0], [0.05, 0.55, 0.75], [0.75, 1.30, 0.35], [0.12, 0.40, 0.10]], np.float32)
"""None, red (eosinophil), dark violet (basophil), pink (neutrophil)."""
SIZES = ((6.0, 7.8), (7.8, 9.6), (9.6, 11.5))  # radius of the cell, pixels
SHARES = ((0.36, 0.50), (0.50, 0.64), (0.64, 0.80))  # radius of the nucleus over that of the cell
LOBES = (1, 2, 3, 4)
LATTICE = (len(SIZES), len(SHARES), len(LOBES), len(GRANULE), len(CYTOPLASM))
N_CLASSES = int(np.prod(LATTICE))


@dataclass(frozen=True)
class Smears:
    """How slides were stained and lit: one row a slide."""

    density: _Array  # (slides, 1) factor on all densities
    tint: _Array  # (slides, 3) factor on the densities in each channel
    light: _Array  # (slides, 3) factor on the background


def smears(n: int, rng: np.random.Generator, unusual: bool = False) -> Smears:
    """Slides of a laboratory; if unusual, stained a good deal weaker or stronger, and bluer or redder, than any other.

    Usual: density factor exp(+-0.3), tint exp(+-0.2). Unusual: exp(+-(0.45 to 0.7)) and exp(+-(0.3 to 0.5)).
    """

    def factor(low: float, high: float, width: int) -> _Array:
        size = rng.uniform(low, high, (n, width)) * rng.choice([-1, 1], (n, width))
        return np.exp(size).astype(np.float32)

    density = factor(0.45, 0.7, 1) if unusual else factor(0.0, 0.3, 1)
    tint = factor(0.3, 0.5, 3) if unusual else factor(0.0, 0.2, 3)
    return Smears(density, tint, factor(0.0, 0.08, 3))


def class_name(number: int) -> str:
    """What makes a class: "size 0, nucleus 2, lobes 3, granules 1, cytoplasm 0"."""
    size, share, lobes, granule, cytoplasm = (int(i) for i in np.unravel_index(number, LATTICE))
    return f"size {size}, nucleus {share}, lobes {LOBES[lobes]}, granules {granule}, cytoplasm {cytoplasm}"


def draw_cells(classes: Index, slide: Index, stain: Smears, rng: np.random.Generator) -> Images:
    """Pictures (n, 28, 28, 3) of cells of these classes (n,), in [0, N_CLASSES), on slides (n,), rows of ``stain``.

    Everything else is random: place, angle, shape, neighbours, focus, noise.
    """
    out = np.empty((len(classes), PIXELS, PIXELS, 3), np.uint8)
    for start in range(0, len(classes), BLOCK):
        rows = slice(start, start + BLOCK)
        out[rows] = _block(classes[rows], slide[rows], stain, rng)
    return out


def _block(classes: Index, slide: Index, stain: Smears, rng: np.random.Generator) -> Images:
    n = len(classes)
    size, share, lobes, granule, cytoplasm = np.unravel_index(classes, LATTICE)
    radius = _within(np.array(SIZES)[size], rng)
    centre = (PIXELS - 1) / 2 + _uniform(rng, (n, 2), -2.5, 2.5)
    x, y = _turned(centre, rng)
    cell = _disc(x * _uniform(rng, (n, 1, 1), 0.8, 1.0), y, radius)
    nucleus = _nucleus(x, y, radius, _within(np.array(SHARES)[share], rng), lobes + 1, rng) * cell
    grain = (rng.standard_normal(cell.shape, np.float32) > 0.6) * cell * (1 - 0.8 * nucleus)
    chromatin = 1 + 0.35 * _smooth(rng.standard_normal(cell.shape, np.float32))
    layers = (
        ((nucleus * chromatin * _uniform(rng, (n, 1, 1), 0.8, 1.2)), NUCLEUS[None]),
        (cell * (1 - 0.5 * nucleus) * _uniform(rng, (n, 1, 1), 0.7, 1.3), CYTOPLASM[cytoplasm]),
        (grain * _uniform(rng, (n, 1, 1), 0.5, 1.0), GRANULE[granule]),
        (_neighbours(n, rng) * (1 - cell), RED_CELL[None]),
    )
    density = np.zeros((n, PIXELS, PIXELS, 3), np.float32)
    for amount, colour in layers:
        density += amount[..., None] * colour[:, None, None]
    density *= (stain.density[slide] * stain.tint[slide])[:, None, None]
    picture = np.exp(-density) * (BACKGROUND * stain.light[slide])[:, None, None]
    # Uneven light, imperfect focus and noise of the camera.
    slope = _uniform(rng, (n, 2, 1), -0.08, 0.08) * np.linspace(-1, 1, PIXELS, dtype=np.float32)
    picture = picture * (1 + slope[:, 0, :, None] + slope[:, 1, None, :])[..., None]
    blur = _uniform(rng, (n, 1, 1, 1), 0.0, 0.8)
    picture = (1 - blur) * picture + blur * _smooth(picture)
    picture += 4.0 * rng.standard_normal(picture.shape, np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _nucleus(x: _Array, y: _Array, radius: _Array, share: _Array, lobes: Index, rng: np.random.Generator) -> _Array:
    """(n, 28, 28) lobes on an arc: together they have the area of a disc of ``share`` times the cell's radius."""
    n = len(x)
    each = radius * share / np.sqrt(lobes) * np.where(lobes > 1, 1.12, 1.0)
    arc = np.where(lobes > 1, np.maximum(radius * (0.82 - 0.35 * share) - 0.4 * each, each), 0.0)
    step = np.minimum(2.2 * each / np.maximum(arc, 1e-3), 2 * np.pi / lobes) * _uniform(rng, (n,), 0.8, 1.05)
    off = _uniform(rng, (n, 2), -0.15, 0.15) * radius[:, None]
    free = np.ones_like(x)
    for k in range(max(LOBES)):
        angle = step * (k - (lobes - 1) / 2) + _uniform(rng, (n,), -0.15, 0.15)
        at_x, at_y = arc * np.cos(angle) + off[:, 0], arc * np.sin(angle) + off[:, 1]
        stretch = _uniform(rng, (n, 1, 1), 0.8, 1.2)
        lobe = _disc((x - at_x[:, None, None]) * stretch, (y - at_y[:, None, None]) / stretch, each)
        free *= 1 - lobe * (k < lobes)[:, None, None]
    return 1 - free


def _neighbours(n: int, rng: np.random.Generator) -> _Array:
    """(n, 28, 28) red cells that reach into the picture, paler in the middle."""
    total = np.zeros((n, PIXELS, PIXELS), np.float32)
    for _ in range(3):
        angle, away = _uniform(rng, (n,), 0, 2 * np.pi), _uniform(rng, (n,), 13.0, 24.0)
        centre = (PIXELS - 1) / 2 + np.stack([np.cos(angle), np.sin(angle)], axis=1) * away[:, None]
        x, y = _turned(centre, rng)
        radius = _uniform(rng, (n,), 6.5, 8.5)
        total = np.maximum(total, _disc(x, y, radius) - 0.6 * _disc(x, y, 0.4 * radius))
    return total


_GRID = np.arange(PIXELS, dtype=np.float32)


def _turned(centre: NDArray[np.floating], rng: np.random.Generator) -> tuple[_Array, _Array]:
    """Coordinates (n, 28, 28) of pixels, from a centre (n, 2), turned by a random angle."""
    angle = _uniform(rng, (len(centre), 1, 1), 0, 2 * np.pi)
    dx = _GRID[None, None, :] - centre[:, 0, None, None].astype(np.float32)
    dy = _GRID[None, :, None] - centre[:, 1, None, None].astype(np.float32)
    return np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx


def _disc(x: _Array, y: _Array, radius: NDArray[np.floating]) -> _Array:
    """1 inside, 0 outside, with an edge about one pixel wide."""
    return np.clip(radius[:, None, None].astype(np.float32) - np.sqrt(x * x + y * y) + 0.5, 0, 1)


def _smooth(picture: _Array) -> _Array:
    """Means of 3 x 3 pixels along axes 1 and 2; the outermost pixels stay."""
    out = picture.copy()
    out[:, 1:-1] = (picture[:, :-2] + picture[:, 1:-1] + picture[:, 2:]) / 3
    again = out.copy()
    again[:, :, 1:-1] = (out[:, :, :-2] + out[:, :, 1:-1] + out[:, :, 2:]) / 3
    return again


def _within(bounds: NDArray[np.float64], rng: np.random.Generator) -> _Array:
    """(n,) uniform between the columns of (n, 2)."""
    return (bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) * rng.random(len(bounds))).astype(np.float32)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> _Array:
    return (low + (high - low) * rng.random(shape, np.float32)).astype(np.float32)
