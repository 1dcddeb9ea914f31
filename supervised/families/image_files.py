"""Labelled pictures from files: ``.npz`` archives, MedMNIST's among them, and folders with a subfolder a class."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metaenv.supervised.data.datasets import Dataset

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
PARTS = ("train", "val", "test")  # of MedMNIST's archives (Yang et al. 2023, Scientific Data 10, 41)


def load_images(path: str | os.PathLike[str], side: int = 28) -> Dataset:
    """Pictures as uint8 (channels, height, width), with labels and groups.

    Args:
        path: an ``.npz`` with ``images`` (n, h, w) or (n, h, w, 3) uint8 and ``labels`` (n,), perhaps also ``source``
            or ``groups`` (n,) and ``classes`` (names by label); one of MedMNIST, with ``train_images`` and so on; or a
            folder ``class/picture.png``, which needs Pillow.
        side: what pictures of a folder are resized to, pixels.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: the archive cannot be read, lacks an array, or holds pickled objects, which are never loaded;
            a folder without pictures.
    """
    place = Path(path)
    if place.is_dir():
        return _folder(place, side)
    if not place.exists():
        raise FileNotFoundError(f"no pictures at {place}: expected an .npz file, or a folder with a subfolder a class")
    arrays = load_npz(place)
    if "train_images" in arrays:
        present = [part for part in PARTS if f"{part}_images" in arrays]
        images = np.concatenate([arrays[f"{part}_images"] for part in present])
        labels = np.concatenate([_needed(arrays, f"{part}_labels", place).reshape(-1) for part in present])
        return Dataset(channels_first(images), labels)
    labels = _needed(arrays, "labels", place).reshape(-1)
    if "classes" in arrays:
        labels = arrays["classes"][labels]
    groups = arrays.get("groups", arrays.get("source"))
    return Dataset(channels_first(_needed(arrays, "images", place)), labels, groups)


def load_npz(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """All arrays of an archive; never unpickles. Raises ValueError if it is corrupt or holds objects."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"expected a whole .npz archive of plain arrays at {path}, but: {error}") from error


def channels_first(images: NDArray[Any]) -> NDArray[Any]:
    """(n, h, w) or (n, h, w, c) as (n, c, h, w)."""
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return images.transpose(0, 3, 1, 2)
    raise ValueError(f"expected images (n, h, w) or (n, h, w, 1 or 3), got shape {images.shape}")


def _needed(arrays: dict[str, NDArray[Any]], name: str, path: Path) -> NDArray[Any]:
    if name not in arrays:
        raise ValueError(f"expected an array {name!r} in {path}, found {', '.join(arrays)}")
    return arrays[name]


def _folder(place: Path, side: int) -> Dataset:
    files = sorted(f for f in place.glob("*/*") if f.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"expected pictures ({', '.join(SUFFIXES)}) in subfolders of {place}, one for each class")
    pictures = np.stack([read_picture(file, "RGB", side) for file in files])
    names = [str(f.relative_to(place)) for f in files]
    return Dataset(channels_first(pictures), [f.parent.name for f in files], ids=names)


def read_picture(file: Path, mode: Literal["RGB", "L"], side: int) -> NDArray[np.uint8]:
    """A picture as (side, side, 3) in colours, or (side, side) in grey, through Pillow.

    Raises:
        ImportError: there is no Pillow.
        ValueError: the file is no picture.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("reading a folder of pictures needs Pillow: pip install pillow") from error
    way = Image.Resampling.LANCZOS if mode == "L" else Image.Resampling.BICUBIC
    try:
        with Image.open(file) as picture:
            return np.asarray(picture.convert(mode).resize((side, side), way), np.uint8)
    except OSError as error:
        raise ValueError(f"{file} is no picture that can be read ({error}); take it out") from error
