"""Gene expression of single cells: which cell type is this, from a few cells of each?

Types are combinations of marker programmes (`gene_counts`), groups are batches; neither is in two splits. In
``ood-platform`` the types are those of ``test``, measured with fewer counts and more dropout than any other.
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np

from metaenv.supervised.data.datasets import Dataset
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.families.division import Division, split_real
from metaenv.supervised.families.family import ENDS, ClassFamily, draw_heatmap
from metaenv.supervised.families.gene_counts import SHALLOW, Platform, biology, counts, log_normalised
from metaenv.supervised.families.image_files import load_npz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEED = 10_090  # of the stored cells (chosen)
TYPES = 240
SPLITS = ("train", "validation", "test", "ood-platform")
BATCHES = 12  # in each split (chosen)
WHEEL = "scanpy:pbmc68k_reduced"


class GeneExpression(ClassFamily):
    """Expression of 256 genes in single cells, as log(1 + counts a thousand).

    Args:
        per_class: cells of each type.
        data: real cells instead, see `load_expression`. There is no ood split then.
        label: column of ``data`` that names the cell type.
        group: column that names the batch, patient or study, if any.
        n_genes: keep the genes that vary most in the training split; None keeps all.
        **division: how ``data`` are divided, see `split_real`: by default so that types are new in tests.

    Raises:
        ValueError: cells cannot be read or divided, or it is said without ``data`` how.
    """

    name: ClassVar[str] = "gene-expression"
    provenance: ClassVar[str] = (
        "Simulated in the form of Splatter (Zappia et al. 2017); gene means and dropout slope are its defaults, all "
        "else chosen. Real cells by path carry the licence of their study."
    )
    splits = SPLITS

    def __init__(
        self,
        per_class: int = 40,
        data: str | os.PathLike[str] | None = None,
        label: str = "label",
        group: str | None = None,
        n_genes: int | None = None,
        **division: Unpack[Division],
    ) -> None:
        if data is None and division:
            raise ValueError(f"{', '.join(division)} is for real cells, which are missing: give data")
        real = None if data is None else split_real(load_expression(data, label, group), SEED, **division)
        super().__init__(per_class, None if real is None else _most_variable(real, n_genes))

    def generated(self, split: str) -> Dataset:
        return simulated(split, self.per_class)

    def draw(self, figure: Figure, batch: EpisodeBatch) -> None:
        """Support cells, then queries, by class; the genes that differ most between the classes."""
        draw_heatmap(figure, batch)


@lru_cache(maxsize=8)
def simulated(split: str, per_class: int) -> Dataset:
    """The cells of a split."""
    life = biology(TYPES, np.random.default_rng(SEED))
    start, end = (round(share * TYPES) for share in ENDS.get(split, ENDS["test"]))
    rng = np.random.default_rng([SEED, SPLITS.index(split)])
    types = np.repeat(np.arange(start, end), per_class)
    batch = rng.integers(BATCHES, size=len(types))
    platform = SHALLOW if split == "ood-platform" else Platform()
    x = log_normalised(counts(types, batch, BATCHES, life, platform, rng))
    return Dataset(x, np.char.add("type ", types.astype(str)), np.char.add(f"{split} batch ", batch.astype(str)))


def load_expression(path: str | os.PathLike[str], label: str = "label", group: str | None = None) -> Dataset:
    """Cells or samples from a file, with values as they are there: log them before if they are counts.

    Args:
        path: ``.csv`` (or ``.tsv``), a cell a row, a column a gene; ``.npz`` with ``x`` and ``y``, perhaps ``classes``
            and ``groups``; ``.h5ad``, which needs anndata; or ``"scanpy:pbmc68k_reduced"``, 700 blood cells that the
            scanpy package carries.
        label: column (of ``obs`` in ``.h5ad``) with the cell type; in PBMC68k it is ``bulk_labels``.
        group: column with the batch, patient or study.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing, a value is no number, or the suffix is unknown.
    """
    if os.fspath(path) == WHEEL:
        return _from_anndata(WHEEL, label, group)
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"no expression data at {place}: expected a .csv, .tsv, .npz or .h5ad file")
    if place.suffix == ".npz":
        return _from_npz(place)
    if place.suffix == ".h5ad":
        return _from_anndata(place, label, group)
    if place.suffix in (".csv", ".tsv"):
        data = Dataset.from_csv(place, label, group=group, kind="classification")
        return Dataset(data.x, data.y.astype(str), data.groups, data.ids, data.notes)
    raise ValueError(f"expected .csv, .tsv, .npz or .h5ad, got {place.name}; convert it to one of these")


def _from_npz(place: Path) -> Dataset:
    arrays = load_npz(place)
    if not {"x", "y"} <= arrays.keys():
        raise ValueError(f"expected arrays x (cells, genes) and y (cells,) in {place}, found {', '.join(arrays)}")
    y = arrays["classes"][arrays["y"]] if "classes" in arrays else arrays["y"]
    return Dataset(arrays["x"], y, arrays.get("groups"))


def _from_anndata(path: str | Path, label: str, group: str | None) -> Dataset:
    """Annotated cells of a file, or those that the scanpy package carries."""
    package = "scanpy" if path == WHEEL else "anndata"
    try:
        module: Any = import_module("scanpy.datasets" if path == WHEEL else package)
    except ImportError as error:
        raise ImportError(f"reading {path} needs {package}: pip install {package}") from error
    try:
        cells = module.pbmc68k_reduced() if path == WHEEL else module.read_h5ad(path)
    except (OSError, KeyError) as error:
        raise ValueError(
            f"expected annotated cells in {path}, but it cannot be read ({error}); write it again"
        ) from error
    label = "bulk_labels" if path == WHEEL and label == "label" else label
    for name in (label, group):
        if name is not None and name not in cells.obs:
            raise ValueError(f"obs has no column {name!r}; it has {', '.join(map(str, cells.obs.columns))}")
        if name is not None and cells.obs[name].isna().any():
            cell = cells.obs_names[cells.obs[name].isna()][0]
            raise ValueError(
                f"{path}, cell {cell}, column {name} of obs: expected a value, got none; leave such cells out: "
                f"cells[cells.obs[{name!r}].notna()]"
            )
    values = cells.X.toarray() if hasattr(cells.X, "toarray") else cells.X
    labels = np.asarray(cells.obs[label], dtype=str)
    return Dataset(np.asarray(values), labels, None if group is None else np.asarray(cells.obs[group], dtype=str))


def _most_variable(parts: dict[str, Dataset], n_genes: int | None) -> dict[str, Dataset]:
    if n_genes is None:
        return parts
    spread = parts["train"].x.float().var(dim=0).numpy()
    kept = np.sort(np.argsort(-spread, kind="stable")[:n_genes])
    return {name: Dataset(d.x[:, kept], d.y, d.groups, d.ids) for name, d in parts.items()}
