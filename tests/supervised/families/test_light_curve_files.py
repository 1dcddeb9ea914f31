"""Files in PLAsTiCC's format, as they come."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from metaenv.cli import main
from metaenv.supervised.families import light_curve_files
from metaenv.supervised.families.light_curve_files import read_plasticc
from metaenv.supervised.families.light_curve_survey import N_CHANNELS, N_VISITS
from metaenv.supervised.families.light_curves import LightCurves

VISITS = "object_id,mjd,passband,flux,flux_err,detected"
OBJECTS = "object_id,target,hostgal_photoz"


def write(folder: Path, visits: str, objects: str = OBJECTS + "\n1,90,0.5\n2,42,0.1\n") -> tuple[Path, Path]:
    curves, meta = folder / "curves.csv", folder / "meta.csv"
    curves.write_text(visits, encoding="utf-8")
    meta.write_text(objects, encoding="utf-8")
    return curves, meta


def plasticc(folder: Path, n_classes: int = 5) -> tuple[Path, Path]:
    lines, about = [VISITS], [OBJECTS]
    for i in range(n_classes * 4):
        about.append(f"{i},{i % n_classes},{0.1 * (i % n_classes)}")
        lines += [f"{i},{59_600 - 3 * j},{j % 6},{10 * j + i},{1 + j / 10},1" for j in range(5)]
    return write(folder, "\n".join(lines), "\n".join(about))


def test_visits_are_sorted(tmp_path: Path):
    found = read_plasticc(*plasticc(tmp_path))
    curves = found.photometry
    assert found.classes.tolist() == [str(i % 5) for i in range(20)] and found.ids.tolist() == list(map(str, range(20)))
    assert curves.t[2, :5].tolist() == [0, 3, 6, 9, 12] and curves.seen.sum(axis=1).tolist() == [5] * 20
    assert curves.flux[2, :5].tolist() == [42, 32, 22, 12, 2] and curves.band[2, :5].tolist() == [4, 3, 2, 1, 0]
    assert curves.error[2, :6].tolist() == pytest.approx([1.4, 1.3, 1.2, 1.1, 1.0, 1.0])
    assert curves.redshift[3] == pytest.approx(0.3) and found.notes == ()


TWO = "1,10,0,5,1,1\n2,10,2,7,1,1\n1,12,1,6,2,0\n"  # the visits of two objects, one after the other


@pytest.mark.parametrize(
    ("visits", "objects"),
    [
        (f"{VISITS}\n{TWO}", f"{OBJECTS}\n1,90,0.5\n2,42,0.1\n"),
        (f"{VISITS}\n{TWO}", f"{OBJECTS}\n         1,   90,  0.5\n         2, 42, 0.1\n"),
        (f"{VISITS}\n{TWO}", f"{OBJECTS}\n1.0,90.0,0.5\n2.,42,0.1\n"),
        (f"\ufeff{VISITS}\n{TWO}", f"\ufeff{OBJECTS}\n1,90,0.5\n2,42,0.1\n"),
        (f"{VISITS}\n{TWO}".replace(",", ", "), "object_id, target, hostgal_photoz\n1,90,.5\n2,42,.1"),
        (VISITS.upper() + "\n" + TWO, f"{OBJECTS}\n1,90,0.5\n2,42,0.1\n"),
        (VISITS + "\n1,10,u,5,1,1\n2,10,r,7,1,1\n1,12,lsstg,6,2,0\n", f"{OBJECTS}\n1,90,0.5\n2,42,0.1\n"),
        (VISITS + "\n1,10,0.0,5,1,1\n2,10,2.0,7,1,1\n1,12,1,6,2,0", f"{OBJECTS}\n1,90,0.5\n2,42,0.1\n"),
        (VISITS + "\n\n1,10,0,5,1,1\n\n2,10,2,7,1,1\n1,12,1,6,2,0\n\n", f"{OBJECTS}\n\n1,90,0.5\n2,42,0.1\n\n"),
        ("\r\n".join([VISITS, *TWO.split("\n")]), f"{OBJECTS}\r\n1,90,0.5\r\n2,42,0.1\r\n"),
        (f'{VISITS}\n"1","10","0","5","1","1"\n2,10,2,7,1,1\n1,12,1,6,2,0', f"{OBJECTS}\n1,90,0.5\n2,42,0.1\n"),
        (f"{VISITS}\n{TWO}", "hostgal_photoz,true_target,object_id\n0.5,90,1\n0.1,42,2\n"),
        (f"{VISITS}\n{TWO}".replace(",", ";"), f"{OBJECTS}\n1,90,0.5\n2,42,0.1\n".replace(",", "\t")),
    ],
    ids=[
        "plain", "padded ids", "ids of floats", "byte order mark", "blanks after commas", "capital heading", "letters",
        "bands of floats", "empty rows", "Windows lines", "quotes", "the published table",
        "other delimiters",
    ],
)  # fmt: skip
def test_files_as_they_come_are_the_same(tmp_path: Path, visits: str, objects: str):
    found = read_plasticc(*write(tmp_path, visits, objects))
    assert found.ids.tolist() == ["1", "2"] and found.classes.tolist() == ["90", "42"] and found.notes == ()
    assert found.photometry.redshift.tolist() == [0.5, 0.1]
    assert found.photometry.seen.sum(axis=1).tolist() == [2, 1]
    for name, first, second in (
        ("t", [0, 2], 0), ("band", [0, 1], 2), ("flux", [5, 6], 7), ("error", [1, 2], 1),
    ):  # fmt: skip
        values = getattr(found.photometry, name)
        assert values[0, :2].tolist() == first and values[1, 0] == second


def test_files_may_be_zipped(tmp_path: Path):
    curves, meta = write(tmp_path, f"{VISITS}\n{TWO}")
    zipped = tmp_path / "curves.csv.gz"
    zipped.write_bytes(gzip.compress(curves.read_bytes()))
    np.testing.assert_array_equal(
        read_plasticc(zipped, meta).photometry.flux, read_plasticc(curves, meta).photometry.flux
    )
    zipped.write_bytes(curves.read_bytes())
    with pytest.raises(ValueError, match=r"expected .*curves\.csv\.gz to be a table"):
        read_plasticc(zipped, meta)
    zipped.write_bytes(gzip.compress(curves.read_bytes())[:40])
    with pytest.raises(ValueError, match=r"expected .*curves\.csv\.gz to be a table"):
        read_plasticc(zipped, meta)


def test_what_is_missing_or_left_out_is_said(tmp_path: Path):
    objects = f"{OBJECTS}\n1,90,-9\n2,42,\n3,42,nan\n4,42,0.2\n5,42,1.5\n"
    visits = f"{VISITS}\n" + "".join(
        f"{i},{10 + j},0,5,1,1\n" for i in (1, 2, 3, 4, 9) for j in range(130 if i == 4 else 2)
    )
    found = read_plasticc(*write(tmp_path, visits, objects))
    assert found.photometry.redshift.tolist() == [0, 0, 0, 0.2]
    assert [note.split(";")[0] for note in found.notes] == [
        "1 objects of the table of objects have no light curve and are left out.",
        "1 objects with light curves are not in the table of objects and are left out.",
        "3 objects have no redshift, which counts as 0, as within the Milky Way.",
        "1 objects have more than 128 visits",
    ]


def test_of_a_long_curve_visits_are_kept_evenly_and_not_the_bright_ones(tmp_path: Path):
    visits = f"{VISITS}\n" + "".join(f"1,{10 + j},{j % 6},{1000 * (j < 100)},1,1\n" for j in range(256))
    curves = read_plasticc(*write(tmp_path, visits)).photometry
    assert curves.t[0].tolist() == [2.0 * j for j in range(N_VISITS)] and curves.seen.all()
    assert (curves.flux[0] > 0).sum() == 50


@pytest.mark.parametrize(
    ("visits", "message"),
    [
        ("", "an empty file"),
        ("object_id,mjd\n1,2\n", "passband, flux, flux_err missing in object_id, mjd"),
        ("object_id,mjd,passband,flux,flux,flux_err\n1,10,0,5,5,1\n", "two columns 'flux'"),
        (f"{VISITS}\n{TWO}1,abc,1,2,3,1", "a finite number as mjd, got 'abc' in row 5 of .*, object 1; mend"),
        (f"{VISITS}\n{TWO}1,13,1,nan,3,1", "a finite number as flux, got 'nan' in row 5"),
        (f"{VISITS}\n{TWO}1,13,1,,3,1", "a finite number as flux, got '' in row 5"),
        (f"{VISITS}\n{TWO}1,13,1,2,0,1", "a positive number as flux_err, got '0' in row 5 of .*, object 1"),
        (f"{VISITS}\n{TWO}1,13,1,2,-1,1", "a positive number as flux_err, got '-1'"),
        (f"{VISITS}\n{TWO}1,13,6,2,1,1", "passband from 0 to 5 or one of u, g, r, i, z, y, got '6' in row 5"),
        (f"{VISITS}\n{TWO}1,13,w,2,1,1", "passband from 0 to 5 or one of u, g, r, i, z, y, got 'w' in row 5"),
        (f"{VISITS}\n{TWO}1,13,1,2,1,1,7", "expected 6 cells as in the heading, got 7 in row 5"),
        (f"{VISITS}\n{TWO}1,13,1,2", "expected 6 cells as in the heading, got 4 in row 5"),
        (f"{VISITS}\n1,13,1,2,5,1,1\n2,13,1,2,1", "expected 6 cells as in the heading, got 7 in row 2"),
        (f"{VISITS}\n8,13,1,2,1,1", "no light curve of an object in"),
        (f"{VISITS}\n{TWO}1,10,0,\"5,1,1", "row 5"),
    ],
)  # fmt: skip
def test_bad_visits_are_refused_with_row_and_object(tmp_path: Path, visits: str, message: str):
    with pytest.raises(ValueError, match=message) as refusal:
        read_plasticc(*write(tmp_path, visits))
    assert "curves.csv" in str(refusal.value) and "\n" not in str(refusal.value)


def test_rows_are_counted_over_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(light_curve_files, "PIECE", 2)
    with pytest.raises(ValueError, match="got 'abc' in row 7 of"):
        read_plasticc(*write(tmp_path, f"{VISITS}\n{TWO}{TWO[:26]}1,abc,1,2,3,1\n"))


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ("object_id,class\n1,90\n", "target missing in object_id, class"),
        (f"{OBJECTS}\n1,90,0.5\n 1.0,42,0.5\n", "one row an object, got a second one in row 3 of .*, object 1"),
        (f"{OBJECTS}\n1,,0.5\n", "expected a target, got an empty cell in row 2"),
        (f"{OBJECTS}\n1,90,far\n", "a number as hostgal_photoz, got 'far' in row 2 of .*, object 1"),
        (f"{OBJECTS}\n1,90\n", "expected 3 cells as in the heading, got 2 in row 2"),
    ],
)
def test_bad_tables_of_objects_are_refused(tmp_path: Path, objects: str, message: str):
    with pytest.raises(ValueError, match=message) as refusal:
        read_plasticc(*write(tmp_path, f"{VISITS}\n{TWO}", objects))
    assert "meta.csv" in str(refusal.value)


def test_text_in_utf_16_is_read_and_in_another_encoding_refused(tmp_path: Path):
    curves, meta = write(tmp_path, f"{VISITS}\n{TWO}")
    meta.write_text(f"{OBJECTS}\n1,Algol-Veränderliche,0\n", encoding="utf-16")
    curves.write_bytes(curves.read_text().encode("utf-16"))
    assert read_plasticc(curves, meta).classes.tolist() == ["Algol-Veränderliche"]
    meta.write_bytes(f"{OBJECTS}\n1,Algol-Veränderliche,0\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"meta\.csv to be a table in UTF-8"):
        read_plasticc(curves, meta)


def test_both_ways_to_read_agree_and_memory_does_not_grow_with_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The quick way and the careful one, in pieces that cut objects in two; 60 MB may take 300 MB (1.3 MB: 8 here)."""
    rng = np.random.default_rng(0)
    rows = [
        f"{i},{rng.uniform(59_000, 60_000):.4f},{rng.integers(6)},{rng.normal(0, 50):.5f},{rng.uniform(1, 5):.5f},1"
        for i in rng.integers(200, size=30_000)
    ]
    about = [OBJECTS, *(f"{i},{i % 14},{i / 100}" for i in range(150))]
    files = write(tmp_path, "\n".join([VISITS, *rows]), "\n".join(about))
    monkeypatch.setattr(light_curve_files, "PIECE", 4_000)
    tracemalloc.start()
    quick = read_plasticc(*files)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6

    def not_quickly(path: object, about: object) -> None:
        raise ValueError

    monkeypatch.setattr(light_curve_files, "_quickly", not_quickly)
    careful = read_plasticc(*files)
    assert quick.ids.tolist() == careful.ids.tolist() and quick.notes == careful.notes
    assert quick.ids[0] == next(row.split(",")[0] for row in rows if int(row.split(",")[0]) < 150)
    for name in ("t", "band", "flux", "error", "redshift", "seen"):
        np.testing.assert_array_equal(getattr(quick.photometry, name), getattr(careful.photometry, name))


# AS A FAMILY


def test_files_make_a_family(tmp_path: Path):
    family = LightCurves("sequence", data=plasticc(tmp_path, 10))
    batch = family.episodes("test", 1, 2, n_way=2).draw(3)
    assert batch.support_x.shape == (3, 2, N_CHANNELS, N_VISITS)


def test_fourteen_classes_give_episodes_of_five(tmp_path: Path):
    """The public challenge has 14 classes: 60/20/20 % are 8, 3 and 3, and 9/14 and 5/14 are 9 and 5."""
    files = plasticc(tmp_path, 14)
    assert LightCurves(data=files).episodes("test", 1, 2).draw(1).problem.n_classes == 3
    with pytest.raises(ValueError, match=r"at least 5 classes, got 3; .*option shares"):
        LightCurves(data=files).episodes("test", 1, 2, n_way=5)
    family = LightCurves(data=files, shares={"train": 9 / 14, "test": 5 / 14})
    assert family.splits == ("train", "test")
    for split in family.splits:
        assert family.episodes(split, 1, 2).draw(1).problem.n_classes == 5


def test_training_on_the_generator_and_tests_on_files(tmp_path: Path):
    family, plain = LightCurves(data=plasticc(tmp_path, 7), train_on="generator", per_class=4), LightCurves(per_class=4)
    assert family.splits == ("train", "validation", "test") and family.kinds == ("classification",)
    for split in ("train", "validation"):
        one, other = (f.episodes(split, 1, 2).draw(2) for f in (family, plain))
        assert one.task_ids.tolist() == other.task_ids.tolist()
    assert set(family.episodes("test", 1, 2).draw(20).task_ids.ravel()) == set("0123456")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": None, "shares": {"train": 0.5, "test": 0.5}}, "give data=\\(visits, objects\\)"),
        ({"data": None, "train_on": "generator"}, "give data=\\(visits, objects\\)"),
        ({"train_on": "both"}, "'files' or 'generator' as train_on, got 'both'"),
        ({"train_on": "generator", "shares": {"train": 0.5, "test": 0.5}}, "leave shares out"),
        ({"shares": {"train": 1.0}}, "the shares of train, test and perhaps validation, got {'train': 1.0}"),
        ({"shares": {"train": 0.5, "test": 0.2}}, "positive shares that sum to 1"),
        ({"shares": {"train": 0.5, "tset": 0.5}}, "the shares of train, test"),
        ({"data": "curves.csv"}, "expected two files as data, of visits and of objects, got 'curves.csv'"),
        ({"variant": "pictures"}, "'features' or 'sequence'"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, settings: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        LightCurves(**{"data": plasticc(tmp_path), **settings})  # type: ignore[arg-type]


def test_one_command_trains_on_the_generator_and_tests_on_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plasticc(tmp_path, 7)
    monkeypatch.chdir(tmp_path)
    options = ["--options", "data", '["curves.csv", "meta.csv"]', "train_on", "generator", "per_class", "4"]
    more = ["--n-shot", "1", "--n-query", "2", "--iterations", "2", "--episodes", "5", "--no-baselines", "--out", "run"]
    assert main(["fewshot", "light-curves", "prototypical", *options, *more]) == 0
    assert "prototypical" in (tmp_path / "run" / "table.md").read_text()
