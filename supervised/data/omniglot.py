"""Omniglot: 1,623 handwritten characters of 50 alphabets, each drawn by 20 people; the yardstick of few-shot learning.

Brenden M. Lake, Ruslan Salakhutdinov, Joshua B. Tenenbaum, "Human-level concept learning through probabilistic program
induction", Science 350, 1332, 2015. The pictures (MIT licence, https://github.com/brendenlake/omniglot) are not part of
this project; `load_omniglot` reads them from a file or the original folders.

The division is that of Vinyals et al. 2016 (Matching Networks, section 4.1.1): 1,200 characters to train on, 423 to
test on, and each rotated by 90, 180 and 270 degrees makes three classes more; 172 of the 1,200 are for validation.
Which characters go where is as in the lists that Snell et al. 2017 published, whole alphabets but for Gurmukhi
(https://github.com/jakesnell/prototypical-networks). It needs the names of all characters; where they are not known,
the division is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.families.image_files import load_npz, read_picture

SIDE = 28  # pixels that all learners since Vinyals et al. 2016 see, of 105
DRAWERS = 20
CHARACTERS = 1_623
SHARES = {"train": 1_028 / CHARACTERS, "validation": 172 / CHARACTERS, "test": 423 / CHARACTERS}
FOLDERS = ("images_background", "images_evaluation")
SPLIT_SEED = 1_200  # of the division, where names are not known (chosen)
VALIDATION = ("Armenian", "Bengali", "Early_Aramaic", "Hebrew", "Mkhedruli_(Georgian)")
TEST = (
    "Kannada", "Keble", "Malayalam", "Manipuri", "Mongolian", "Old_Church_Slavonic_(Cyrillic)", "Oriya", "Sylheti",
    "Syriac_(Serto)", "Tengwar", "Tibetan", "ULOG",
)  # fmt: skip
"""Alphabets of Vinyals' split; of Gurmukhi's 45 characters the last four are in the test, the others in training."""
GURMUKHI_TEST = tuple(f"Gurmukhi/character{i}" for i in range(42, 46))
TURNS = (0, 90, 180, 270)  # degrees, anticlockwise


@dataclass(frozen=True)
class Omniglot:
    """Characters as pictures. A value: treat the arrays as read-only."""

    images: NDArray[np.uint8]
    """(characters, drawers, 28, 28), 0 for paper and 255 for ink."""
    names: NDArray[np.str_]
    """(characters,), unique; "alphabet/character" from folders."""

    @property
    def has_vinyals_names(self) -> bool:
        """Whether all characters are there under their own names, so that Vinyals' split can be made."""
        alphabets = {name.split("/")[0] for name in self.names.tolist()}
        return len(self.names) == CHARACTERS and alphabets >= {*VALIDATION, *TEST, "Gurmukhi"}

    def split(self, rotations: bool = True) -> dict[str, Dataset]:
        """Train, validation and test: no character is in two, whatever its rotation, which make it four classes.

        Returns:
            Data sets of pictures (1, 28, 28); classes are "name, turned 90" and so on, groups are characters.

        Raises:
            ValueError: fewer than 8 characters.
        """
        turns = TURNS if rotations else TURNS[:1]
        if self.has_vinyals_names:
            alphabet = np.array([name.split("/")[0] for name in self.names])
            test = np.isin(alphabet, TEST) | np.isin(self.names, GURMUKHI_TEST)
            validation = np.isin(alphabet, VALIDATION)
            masks = {"train": ~(test | validation), "validation": validation, "test": test}
            return {name: self._dataset(np.flatnonzero(mask), turns) for name, mask in masks.items()}
        n = len(self.names)
        ends = np.round(np.cumsum(list(SHARES.values())) * n).astype(int)
        if len(set(ends.tolist())) < len(SHARES) or n < 8:
            raise ValueError(f"expected at least 8 characters to divide, got {n}; Omniglot has {CHARACTERS}")
        parts = np.split(np.random.default_rng(SPLIT_SEED).permutation(n), ends[:-1])
        return {name: self._dataset(np.sort(part), turns) for name, part in zip(SHARES, parts, strict=True)}

    def _dataset(self, characters: NDArray[np.intp], turns: Sequence[int]) -> Dataset:
        chosen = self.images[characters]
        turned = np.stack([np.rot90(chosen, k, axes=(2, 3)) for k in range(len(turns))], axis=1)
        drawers = chosen.shape[1]
        names = np.array([f"{name}, turned {turn}" for name in self.names[characters] for turn in turns])
        groups = np.repeat(self.names[characters], len(turns) * drawers)
        return Dataset(turned.reshape(-1, 1, SIDE, SIDE), np.repeat(names, drawers), groups)


def load_omniglot(path: str | os.PathLike[str]) -> Omniglot:
    """Read the characters.

    Args:
        path: an ``.npz`` with ``images`` (1623, 20, 28, 28) uint8, in either polarity, and perhaps ``names`` (1623,);
            or a folder with the original ``images_background`` and ``images_evaluation``, whose pictures of 105 x 105
            are reduced through Pillow. Part of the set will do for trying things out.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ImportError: folders need Pillow.
        ValueError: the archive is corrupt, pickled or of another shape; a folder is missing, or a picture or drawer.
    """
    place = Path(path)
    if place.is_dir():
        return _from_folders(place)
    if not place.exists():
        raise FileNotFoundError(
            f"no Omniglot at {place}: expected an .npz file, or the folder of {' and '.join(FOLDERS)}"
        )
    arrays = load_npz(place)
    if "images" not in arrays:
        raise ValueError(f"expected an array 'images' in {place}, found {', '.join(arrays) or 'none'}")
    images = arrays["images"]
    if images.ndim != 4 or images.shape[2:] != (SIDE, SIDE) or images.dtype != np.uint8 or min(images.shape) < 1:
        raise ValueError(
            f"expected images ({CHARACTERS}, {DRAWERS}, {SIDE}, {SIDE}) of uint8 in {place}, got {images.shape} of "
            f"{images.dtype}; a character is a row, and each has as many drawings"
        )
    names = arrays.get("names", np.array([f"character {i:04d}" for i in range(len(images))]))
    return _checked(images, names, place)


def _checked(images: NDArray[np.uint8], names: NDArray[np.str_], place: Path) -> Omniglot:
    if names.shape != (len(images),) or names.dtype.kind not in "US" or len(np.unique(names)) != len(names):
        raise ValueError(f"expected {len(images)} different names in {place}, got shape {names.shape}, {names.dtype}")
    if images.min() == images.max():
        raise ValueError(f"expected drawings in {place}, but all pixels are {images.min()}")
    # Most of a picture is paper: bytes 0 and 1 stand for 0 and 255, and the more frequent end is no ink.
    bright = images > (int(images.min()) + int(images.max())) / 2
    full = images if images.max() > 1 else images * np.uint8(255)
    return Omniglot(255 - full if bright.mean() > 0.5 else full, names.astype(np.str_))


def _from_folders(place: Path) -> Omniglot:
    if missing := [name for name in FOLDERS if not (place / name).is_dir()]:
        raise ValueError(
            f"expected the folders {' and '.join(FOLDERS)} in {place}, {' and '.join(missing)} missing; unpack both "
            "archives of github.com/brendenlake/omniglot/python there"
        )
    characters = sorted(folder for name in FOLDERS for folder in (place / name).glob("*/*") if folder.is_dir())
    if not characters:
        raise ValueError(f"expected folders alphabet/character in {place / FOLDERS[0]}, found none")
    drawings: list[NDArray[np.uint8]] = []
    for folder in characters:
        files = sorted(folder.glob("*.png"))
        if not files or len(files) != len(drawings[0] if drawings else files):
            raise ValueError(
                f"expected as many pictures in {folder} as in {characters[0]}, got {len(files)}; unpack it again"
            )
        drawings.append(np.stack([read_picture(file, "L", SIDE) for file in files]))
    names = np.array([f"{folder.parent.name}/{folder.name}" for folder in characters])
    return _checked(np.stack(drawings), names, place)
