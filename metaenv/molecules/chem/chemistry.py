"""A chemistry: what molecules are made of, and the scales on which objectives measure them, as one frozen value.

It is read from a folder that `metaenv molecules mine` has written: one of two of the package, or one's own. "zinc" has
128 fragments of ZINC molecules, cut at rings, 9 actions and 31 heavy atoms. "chembl" has 512 fragments of ChEMBL
molecules, which the bonds that retrosynthesis would break are cut into, 12 actions and 40 heavy atoms.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.molecules.chem.fragments import DATA, Vocabulary, load_vocabulary, read_vocabulary
from metaenv.molecules.chem.functional_groups import read_groups
from metaenv.typing import Bools, Floats, Index

MEANING = (
    "allowed.npz",
    "anchors.npz",
    "chemistry.json",
    "contexts.npz",
    "facts.npz",
    "fragments.csv",
    "functional_groups.csv",
)
"""The files that settle what a chemistry's tasks are."""
FILES = (*MEANING, "frozen.json", "lead_frozen.json", "portfolio.json", "provenance.json")
"""What a folder holds."""
HINT = "make one with `metaenv molecules mine --molecules FILE --out FOLDER`"


@dataclass(frozen=True)
class Chemistry:
    """A folder with fragments, their property tables, reference molecules, and the bins of objectives."""

    folder: Path = field(compare=False)
    sha256: str = ""
    """Of the files `MEANING`, by which chemistries are told apart; the name of "chembl", and empty for "zinc"."""

    def __reduce__(self) -> tuple[Any, ...]:  # what has been read is not pickled
        return load_chemistry, (str(self),)

    def __str__(self) -> str:
        return next((name for name, known in PACKAGED.items() if known == self), str(self.folder))

    @property
    def suffix(self) -> str:
        """By which the families of its tasks differ from those of "zinc"."""
        return f"-{self.sha256[:8]}" if self.sha256 else ""

    def move(self, folder: Path) -> None:
        """Say that the folder has been renamed, for those who have made its files."""
        object.__setattr__(self, "folder", folder)
        self.__dict__.pop("vocabulary", None)  # which knows the folder, too

    def json(self, name: str) -> dict[str, Any]:
        """One of its JSON files."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays of one of its ``.npz`` files."""
        with np.load(self.folder / name, allow_pickle=False) as file:
            return dict(file)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """``chemistry.json``."""
        return self.json("chemistry.json")

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Fragments and actions."""
        return read_vocabulary(self.folder, **self.settings["limits"]) if self.sha256 else load_vocabulary()

    @cached_property
    def groups(self) -> dict[str, str]:
        """SMARTS of functional groups by name; a task names one by its place, so the order does not change."""
        return read_groups(self.folder / "functional_groups.csv")

    @cached_property
    def held_out_groups(self) -> tuple[int, ...]:
        """Groups that only tasks of the split ``ood-group`` require."""
        return tuple(list(self.groups).index(name) for name in self.settings["held_out_groups"])

    @cached_property
    def held_out_scaffolds(self) -> tuple[str, ...]:
        """Scaffolds that no training task of lead optimisation has."""
        return tuple(self.settings["held_out_scaffolds"])

    # THE SCALES OF OBJECTIVES

    @cached_property
    def centre(self) -> Floats:
        """(7,) mean of each of `properties.PROPERTIES` over real molecules, rounded."""
        return np.array(self.settings["centre"], np.float64)

    @cached_property
    def spread(self) -> Floats:
        """(7,) twice their standard deviation, rounded: with `centre`, the scale on which policies see properties."""
        return np.array(self.settings["spread"], np.float64)

    def scaled(self, values: Floats) -> Floats:
        """(…, 7) properties, centred on real molecules and divided by twice their standard deviation."""
        return (values - self.centre) / self.spread

    @cached_property
    def bins(self) -> tuple[tuple[tuple[float, float], ...], ...]:
        """The ranges of each property that objectives ask for, in its unit.

        Their ends are the outermost 1 %, 20, 40, 60, 80 % and the outermost 1 % of the real molecules, rounded; of
        counts, the values that at least 5 % of them have.
        """
        return tuple(tuple((low, high) for low, high in bins) for bins in self.settings["bins"])

    @cached_property
    def radix(self) -> Index:
        """(7,) bins of each property, none included."""
        return np.array([len(bins) + 1 for bins in self.bins])

    @cached_property
    def edges(self) -> Floats:
        """(7, b, 2) ends of the bins 1, 2, … of each property; bin 0 is none, and those that it lacks are NaN."""
        most = int(self.radix.max()) - 1
        return np.array([[(0, 0), *b, *[(np.nan, np.nan)] * (most - len(b))] for b in self.bins], np.float64)

    def covered_bins(self, low: Floats, high: Floats, wanted: Floats) -> Bools:
        """(n, bins) which bins' middles lie in the ranges (n, 7)."""
        middle = self.edges[:, 1:].mean(axis=2)  # NaN lies in no range
        covered = (low[..., None] <= middle) & (middle <= high[..., None]) & (wanted[..., None] > 0)
        return covered[:, ~np.isnan(middle)]


PACKAGED = {"zinc": Chemistry(DATA), "chembl": Chemistry(DATA / "chembl", "chembl")}
"""The chemistries of the package."""
OWN = PACKAGED["zinc"]


def load_chemistry(given: str | os.PathLike[str] | Chemistry | None = None) -> Chemistry:
    """The chemistry in a folder, or the one of the package of that name ("zinc" for None).

    Raises:
        FileNotFoundError: there is no such folder, or it lacks files.
        ValueError: a file is not what `metaenv molecules mine` writes.
    """
    if given is None or isinstance(given, Chemistry):
        return given or OWN
    if given in PACKAGED:
        return PACKAGED[str(given)]
    folder = Path(given).expanduser().resolve()
    for known in PACKAGED.values():
        if folder == known.folder.resolve():
            return known
    if not folder.is_dir():
        raise FileNotFoundError(
            f"expected a folder with a chemistry, or one of {', '.join(PACKAGED)}, and there is none at "
            f"{str(given)!r}; {HINT}"
        )
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise FileNotFoundError(f"the chemistry {str(given)!r} lacks {', '.join(missing)}; {HINT}")
    return _read(folder, digest(folder))


def digest(folder: Path) -> str:
    """SHA-256 of the files `MEANING`."""
    found = hashlib.sha256()
    for name in MEANING:
        found.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return found.hexdigest()


@lru_cache(maxsize=8)
def _read(folder: Path, sha256: str) -> Chemistry:
    """A chemistry whose files have been looked at, so that a damaged one is refused at once."""
    found = Chemistry(folder, sha256)
    try:
        known, tables = found.vocabulary, found.arrays("contexts.npz")
        sizes = {known.n_fragments, len(tables["base"]), len(tables["local"])}
        sound = len(sizes) == 1 and len(found.bins) == len(found.centre) == len(found.spread)
        sound = sound and known.allowed.shape == (known.n_actions,) * 2
        sound = sound and found.arrays("anchors.npz")["actions"].shape[1] == known.max_actions
        sound = sound and len(found.held_out_groups) > 0 and isinstance(found.held_out_scaffolds, tuple)
    except (ValueError, KeyError, TypeError, OSError, IndexError, EOFError) as error:
        raise ValueError(f"the chemistry {str(folder)!r} is damaged ({error}); {HINT}") from error
    if not sound:
        raise ValueError(f"the chemistry {str(folder)!r} is made of files that do not belong together; {HINT}")
    return found
