"""Real data are divided so that nothing is in two splits: by shares, by folds and by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metaenv.supervised import Dataset
from metaenv.supervised.families import make_family
from metaenv.supervised.families.division import split_real

GROUPS = np.repeat([f"smear {i}" for i in range(10)], 6)
CLASSES = np.tile(["red", "white", "platelet"], 20)
DATA = Dataset(np.arange(60.0)[:, None], CLASSES, GROUPS)


def test_over_all_folds_each_group_is_tested_once_and_is_in_one_split_at_a_time():
    tested: list[str] = []
    for fold in range(4):
        parts = split_real(DATA, 5, "group", folds=4, fold=fold)
        names = {split: set(part.groups.tolist()) for split, part in parts.items()}
        assert set().union(*names.values()) == set(GROUPS) and sum(map(len, names.values())) == 10
        assert {len(names[s]) for s in ("validation", "test")} <= {2, 3}  # ten groups in four parts
        assert names["validation"] == set(split_real(DATA, 5, "group", folds=4, fold=(fold + 1) % 4)["test"].groups)
        tested += names["test"]
    assert sorted(tested) == sorted(set(GROUPS))


def test_what_is_held_out_by_name_is_the_test_split():
    parts = split_real(DATA, 0, hold_out=("white",), shares={"train": 0.25, "validation": 0.25, "test": 0.5})
    assert set(parts["test"].y) == {"white"} and len(parts["test"]) == 20
    assert {len(set(parts[s].y)) for s in ("train", "validation")} == {1}
    two = split_real(DATA, 0, hold_out=("white",), shares={"train": 0.5, "test": 0.5})
    assert set(two) == {"train", "test"} and set(two["train"].y) == {"red", "platelet"}
    numbers = Dataset(DATA.x, np.repeat(np.arange(6), 10))
    assert set(split_real(numbers, 0, hold_out=("3",))["test"].y) == {3}


def test_samples_of_all_classes_and_groups_can_be_divided():
    parts = split_real(DATA, 0, "sample")
    assert [len(parts[s]) for s in ("train", "validation", "test")] == [36, 12, 12]
    ids = np.concatenate([part.ids for part in parts.values()])
    assert sorted(ids) == list(range(60)) and set(parts["test"].y) == set(CLASSES)
    assert set(parts["train"].groups) & set(parts["test"].groups)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"split_by": "slide"}, "'class', 'group' or 'sample', got 'slide'"),
        ({"split_by": "group", "folds": 2}, r"from 3 folds to as many .*\(10\), .* got folds=2"),
        ({"split_by": "group", "folds": 11}, r"got folds=11"),
        ({"split_by": "group", "folds": 4, "fold": 4}, r"fold from 0 to folds - 1, got folds=4, fold=4"),
        ({"folds": 3, "hold_out": ("red",)}, "folds are of equal size; leave shares and hold_out away"),
        ({"hold_out": ("rod",)}, "nothing called 'rod' to hold out. Did you mean 'red'"),
        ({"hold_out": ("red", "white", "platelet")}, "something to train on"),
        ({"shares": {"train": 0.5, "valid": 0.5}}, "shares of train, test and perhaps validation"),
    ],
)
def test_what_cannot_be_divided_is_refused(how, message):
    with pytest.raises(ValueError, match=message):
        split_real(DATA, 0, **how)


# FAMILIES OF PICTURES AND GENES


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crops") / "crops.npz"
    pictures = np.random.default_rng(0).integers(256, size=(60, 28, 28, 3), dtype=np.uint8)
    np.savez(path, images=pictures, labels=np.arange(60) % 3, groups=GROUPS)
    return path


def test_learners_train_on_drawn_cells_and_are_tested_on_the_test_split_of_the_files(crops: Path):
    drawn = make_family("blood-cells", per_class=8, data=crops, split_by="group", train_on="generator")
    files = make_family("blood-cells", data=crops, split_by="group")
    assert drawn.source("test", "classification", 0).sha256 == files.source("test", "classification", 0).sha256
    assert (drawn.ways, files.ways) == (3, 3) and drawn.splits == ("train", "validation", "test")
    generated = make_family("blood-cells", per_class=8)
    for split in ("train", "validation"):
        assert drawn.source(split, "classification", 0) is generated.source(split, "classification", 0)


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("blood-cells", {"train_on": "files", "split_by": "group"}, "split_by is for real pictures.*give data"),
        ("blood-cells", {"train_on": "generator"}, "train_on is for real pictures"),
        ("blood-cells", {"train_on": "both"}, "'files' or 'generator' as train_on, got 'both'"),
        ("gene-expression", {"folds": 3, "least": 2}, "folds, least is for real cells.*give data"),
    ],
)
def test_how_files_are_divided_needs_files(family, options, message):
    with pytest.raises(ValueError, match=message):
        make_family(family, **options)


def test_drawn_cells_need_pictures_of_their_size(tmp_path: Path):
    np.savez(
        tmp_path / "grey.npz", images=np.zeros((30, 28, 28), np.uint8), labels=np.arange(30) % 3, groups=GROUPS[:30]
    )
    with pytest.raises(ValueError, match=r"28 pixels a side.*\(1, 28, 28\)"):
        make_family("blood-cells", data=tmp_path / "grey.npz", split_by="group", train_on="generator")
