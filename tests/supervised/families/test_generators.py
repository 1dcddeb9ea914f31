"""Blood cells, gene counts, purity and molecules: what is drawn, what is drawn once only, and files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from metaenv.materials.tasks import SolidStateDistribution
from metaenv.supervised.families import make_family
from metaenv.supervised.families.blood_cell_images import LATTICE, N_CLASSES, draw_cells, smears
from metaenv.supervised.families.gene_counts import GENES, ON, SHALLOW, Platform, biology, counts
from metaenv.supervised.families.gene_expression import load_expression
from metaenv.supervised.families.image_files import load_images
from metaenv.supervised.families.molecules import MoleculeScreen
from metaenv.supervised.families.synthesis import SynthesisPurity

BCCD = Path(os.environ.get("METAENV_BCCD", "bccd_crops28.npz"))
"""28 x 28 crops of the BCCD blood cells, as npz; not part of the project."""


def cells_of(rng: np.random.Generator, n: int = 200, **region: int) -> np.ndarray:
    """Pictures of classes, with the places in the lattice given by name, the others at random."""
    names = ("size", "share", "lobes", "granule", "cytoplasm")
    place = [np.full(n, region[k]) if k in region else rng.integers(LATTICE[i], size=n) for i, k in enumerate(names)]
    classes = np.ravel_multi_index(place, LATTICE)
    return draw_cells(classes, np.zeros(n, np.intp), smears(1, rng), rng).astype(float)


def test_larger_cells_and_nuclei_absorb_more_light():
    for name in ("size", "share"):
        means = [cells_of(np.random.default_rng(0), **{name: i}).mean() for i in range(3)]
        assert means[0] > means[1] > means[2]


def test_granules_roughen_the_picture_and_lobes_spread_the_nucleus():
    def roughness(x: np.ndarray) -> float:
        return float(np.abs(np.diff(x, axis=1)).mean())

    rng = np.random.default_rng(1)
    assert roughness(cells_of(rng, granule=2)) > 1.15 * roughness(cells_of(rng, granule=0))


def test_unusual_stains_lie_outside_of_the_usual_ones():
    rng = np.random.default_rng(0)
    usual, unusual = smears(500, rng), smears(500, rng, unusual=True)
    assert np.abs(np.log(usual.density)).max() <= 0.3 < 0.45 <= np.abs(np.log(unusual.density)).min() + 1e-6
    assert np.abs(np.log(usual.tint)).max() <= 0.2 < 0.3 <= np.abs(np.log(unusual.tint)).min() + 1e-6


def test_there_are_hundreds_of_classes_of_cells():
    assert N_CLASSES == 3 * 3 * 4 * 4 * 2 == 288


def test_counts_are_overdispersed_and_as_deep_as_the_platform():
    rng = np.random.default_rng(0)
    life = biology(240, rng)
    assert len(np.unique(life.types, axis=0)) == 240 and (life.types.sum(axis=1) == ON).all()
    types = np.zeros(2_000, np.intp)
    found = counts(types, types, 1, life, Platform(), rng)
    assert found.shape == (2_000, GENES) and found.min() == 0
    well_seen = found.mean(axis=0) > 2
    assert (found.var(axis=0) > found.mean(axis=0))[well_seen].all()  # Poisson counts would have them equal
    shallow = counts(types, types, 1, life, SHALLOW, rng)
    assert shallow.sum() < 0.5 * found.sum() and (shallow == 0).mean() > (found == 0).mean()


def test_batches_move_genes():
    rng = np.random.default_rng(0)
    life, types = biology(10, rng), np.zeros(4_000, np.intp)
    found = counts(types, np.arange(4_000) % 2, 2, life, Platform(), rng)
    ratio = np.log(found[::2].mean(axis=0) + 0.05) - np.log(found[1::2].mean(axis=0) + 0.05)
    assert 0.4 < ratio[found.mean(axis=0) > 1].std() < 0.9  # sqrt 2 times 0.45 = 0.64, and dropout


def test_purity_bounds_utility():
    """A product is worth no more than its share of the target: costs are positive, the grain factor at most 1."""
    tasks = SolidStateDistribution().sample(5, "train", np.random.default_rng(0))
    pure = SynthesisPurity().labelled(tasks, 50, np.random.default_rng(1))
    worth = SolidStateDistribution().labelled(tasks, 50, np.random.default_rng(1))
    assert np.array_equal(pure.x, worth.x[:, :, :5])
    assert (worth.y <= pure.y).all() and (pure.y >= -1e-12).all() and (pure.y <= 1).all()


def test_molecules_of_a_task_are_all_different_and_of_their_scaffolds():
    """Good molecules come first and run out, as they must if none is drawn twice."""
    screen = MoleculeScreen(tenths=(7, 10), features="properties")
    tasks = screen.sample(6, "test", np.random.default_rng(0))
    every = screen.labelled(tasks, 1_000, np.random.default_rng(1))
    low = screen.labelled(tasks, 60, np.random.default_rng(2))
    assert (low.y.mean(axis=1) > every.y.mean(axis=1)).all()
    with pytest.raises(ValueError, match="take fewer"):
        screen.labelled(tasks, 6_000, np.random.default_rng(3))


# FILES


def test_medmnist_archives_are_read(tmp_path: Path):
    rng = np.random.default_rng(0)
    parts = {"train": 6, "val": 2, "test": 4}
    arrays = {f"{k}_images": rng.integers(256, size=(n, 28, 28), dtype=np.uint8) for k, n in parts.items()}
    arrays |= {f"{k}_labels": np.arange(n)[:, None] % 2 for k, n in parts.items()}
    np.savez(tmp_path / "breastmnist.npz", **arrays)
    data = load_images(tmp_path / "breastmnist.npz")
    assert data.x_shape == (1, 28, 28) and len(data) == 12
    assert np.array_equal(data.x[6, 0].numpy(), arrays["val_images"][0])


def test_folders_are_read_and_resized(tmp_path: Path):
    image = pytest.importorskip("PIL.Image")
    for k, name in enumerate(("blast", "monocyte")):
        (tmp_path / name).mkdir()
        for i in range(2):
            image.new("RGB", (30 + i, 40), (200, 100 * k, 7)).save(tmp_path / name / f"{i}.png")
    data = load_images(tmp_path, side=16)
    assert data.y.tolist() == ["blast", "blast", "monocyte", "monocyte"] and data.x_shape == (3, 16, 16)
    assert data.x[3, :, 8, 8].tolist() == [200, 100, 7] and data.ids[0] == str(Path("blast") / "0.png")


def test_corrupt_and_pickled_archives_are_refused(tmp_path: Path):
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ValueError, match=r"whole \.npz"):
        load_images(bad)
    np.savez(bad, images=np.array([{"a": 1}], dtype=object), labels=np.zeros(1))
    with pytest.raises(ValueError, match=r"whole \.npz"):
        load_images(bad)
    with pytest.raises(FileNotFoundError, match="subfolder a class"):
        load_images(tmp_path / "nothing.npz")


def test_tables_of_expression_are_read(tmp_path: Path):
    path = tmp_path / "cells.csv"
    path.write_text("CD3,label,CD19,donor\n1.5,T,0,a\n0,B,2.5,b\n")
    data = load_expression(path, "label", "donor")
    assert data.x.tolist() == [[1.5, 0.0], [0.0, 2.5]]
    assert data.y.tolist() == ["T", "B"] and data.groups.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="no column 'cell_type'"):
        load_expression(path, "cell_type")
    path.write_text("CD3,label\nhigh,T\n")
    with pytest.raises(ValueError, match="no column of numbers"):
        load_expression(path)
    path.write_text("CD3,label\n1,T\nhigh,T\n")
    with pytest.raises(ValueError, match="row 3, column CD3: expected a finite number"):
        load_expression(path)
    path.write_bytes("\tCD3\tlabel\nAAAC-1\t1,5\tté\nAAAG-1\t2,5\t10\n".encode("cp1252"))  # pandas' index
    data = load_expression(path.rename(tmp_path / "cells.tsv"))
    assert data.x.tolist() == [[1.5], [2.5]] and data.y.tolist() == ["té", "10"]


def test_genes_are_chosen_from_the_training_split(tmp_path: Path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)) * np.array([1, 9, 1, 5, 1])
    np.savez(tmp_path / "cells.npz", x=x, y=np.arange(60) % 10)
    family = make_family("gene-expression", data=tmp_path / "cells.npz", n_genes=2)
    assert family.episodes("test", 1, 2, n_way=2).problem.x_shape == (2,)
    assert "ood-platform" not in family.splits


def test_types_of_few_cells_are_left_out(tmp_path: Path):
    y = np.repeat(np.arange(8), [20, 20, 3, 20, 20, 20, 20, 20])
    np.savez(tmp_path / "cells.npz", x=np.random.default_rng(0).normal(size=(len(y), 4)), y=y)
    with pytest.raises(ValueError, match=r"class 2 has 3 samples.* option least 9"):
        for split in ("train", "validation", "test"):
            make_family("gene-expression", data=tmp_path / "cells.npz").episodes(split, 1, 8, n_way=2)
    family = make_family("gene-expression", data=tmp_path / "cells.npz", least=9)
    names = {
        str(name)
        for split in ("train", "validation", "test")
        for name in np.unique(family.source(split, "classification", 0).y)
    }
    assert names == {"0", "1", "3", "4", "5", "6", "7"}


def test_annotated_data_of_the_single_cell_packages(tmp_path: Path):
    anndata = pytest.importorskip("anndata", reason="optional: pip install anndata")
    from scipy.sparse import csr_matrix

    x = np.random.default_rng(0).poisson(1.0, (40, 6)).astype(np.float32)
    obs = {"type": np.repeat(["a", "b", "c", "d"], 10), "donor": np.tile(["p", "q"], 20)}
    for name, values in (("dense", x), ("sparse", csr_matrix(x))):
        anndata.AnnData(values, obs=obs).write_h5ad(tmp_path / f"{name}.h5ad")
        data = load_expression(tmp_path / f"{name}.h5ad", label="type", group="donor")
        np.testing.assert_array_equal(data.x.numpy(), x)
        assert (data.y.astype(str) == obs["type"]).all()
        assert data.groups is not None
        assert (data.groups.astype(str) == obs["donor"]).all()
    with pytest.raises(ValueError, match="no column 'cell'"):
        load_expression(tmp_path / "dense.h5ad", label="cell")
    (tmp_path / "broken.h5ad").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"broken.h5ad, but it cannot be read"):
        load_expression(tmp_path / "broken.h5ad")
    obs["type"] = np.array(["a", None, *["b"] * 38], object)
    anndata.AnnData(x, obs=obs).write_h5ad(tmp_path / "hole.h5ad")
    with pytest.raises(ValueError, match=r"hole.h5ad, cell 1, column type of obs: expected a value"):
        load_expression(tmp_path / "hole.h5ad", label="type")


@pytest.mark.skipif(
    not BCCD.exists(), reason="set METAENV_BCCD to an npz of BCCD crops, which are not part of the project"
)
def test_real_cells_by_path():
    family = make_family("blood-cells", data=BCCD, split_by="group")
    assert family.episodes("test", 5, 5, n_way=3).draw(2).support_x.shape == (2, 15, 3, 28, 28)
