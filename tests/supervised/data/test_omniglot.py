"""Omniglot: both layouts, the division and its rotations, and the yardstick end to end on a few drawn characters."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaenv.experiments.command import reproduce_command
from metaenv.experiments.omniglot import EPISODE_SEED, TEST_QUERIES
from metaenv.experiments.omniglot_papers import PUBLISHED, training_settings
from metaenv.supervised.data.episodes import Episodes, frozen_episodes
from metaenv.supervised.data.omniglot import FOLDERS, SHARES, SIDE, TEST, VALIDATION, Omniglot, load_omniglot
from metaenv.supervised.evaluation import evaluate
from metaenv.supervised.learners.backbones import ConvNet
from metaenv.supervised.learners.matching import Matching
from metaenv.supervised.learners.prototypical import Prototypical

image = pytest.importorskip("PIL.Image")
pen = pytest.importorskip("PIL.ImageDraw")


def drawn(characters: int, drawers: int = 4, seed: int = 0) -> list[list]:
    """Pictures of 105 x 105, black strokes on white, as in the original."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(characters):
        strokes = rng.uniform(15, 90, (3, 3, 2))
        found.append([])
        for _ in range(drawers):
            picture = image.new("1", (105, 105), 1)
            for stroke in strokes + rng.normal(0, 2.0, strokes.shape):
                pen.Draw(picture).line([tuple(point) for point in stroke], fill=0, width=4)
            found[-1].append(picture)
    return found


def small(pictures: list[list]) -> np.ndarray:
    size = (28, 28)
    return np.array(
        [[np.asarray(p.convert("L").resize(size, image.Resampling.LANCZOS)) for p in row] for row in pictures]
    )


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    np.savez(tmp_path / "omniglot.npz", images=small(drawn(24)))
    return tmp_path / "omniglot.npz"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for k, row in enumerate(drawn(9)):
        place = tmp_path / FOLDERS[k > 5] / f"Alphabet_{k % 2}" / f"character{k:02d}"
        place.mkdir(parents=True)
        for i, picture in enumerate(row):
            picture.save(place / f"{k:04d}_{i:02d}.png")
    return tmp_path


def test_the_division_is_1028_172_and_423_of_1623():
    assert [round(share * 1_623) for share in SHARES.values()] == [1_028, 172, 423]


def test_ink_is_bright_whatever_the_file_has(tmp_path: Path):
    pictures = small(drawn(8))
    variants = {"white paper": pictures, "black paper": 255 - pictures, "bits": (pictures < 128).astype(np.uint8)}
    loaded = []
    for name, images in variants.items():
        np.savez(tmp_path / f"{name}.npz", images=images)
        loaded.append(load_omniglot(tmp_path / f"{name}.npz").images)
    assert loaded[0].mean() < 60 and np.array_equal(loaded[0], loaded[1])
    assert set(np.unique(loaded[2]).tolist()) == {0, 255}
    assert np.array_equal(loaded[2] > 0, loaded[0] > 127)


def test_folders_give_what_an_archive_of_the_same_pictures_gives(folder: Path):
    found = load_omniglot(folder)
    expected = 255 - small(drawn(9)).astype(int)
    order = sorted(range(9), key=lambda k: (k > 5, k % 2, k))
    assert np.array_equal(found.images, expected[order])
    assert found.names[0] == "Alphabet_0/character00" and len(set(found.names)) == 9


def test_splits_share_no_character_and_rotations_stay_together(archive: Path):
    parts = load_omniglot(archive).split()
    groups = {name: set(part.groups.tolist()) for name, part in parts.items()}
    assert sum(map(len, groups.values())) == 24 and set.union(*groups.values()) == set(load_omniglot(archive).names)
    assert len(groups["train"]) > len(groups["test"]) > len(groups["validation"]) >= 2
    for part in parts.values():
        assert len(np.unique(part.y)) == 4 * len(np.unique(part.groups))
        assert len(part) == 4 * len(np.unique(part.y))
        assert all(y.rsplit(",", 1)[0] == g for y, g in zip(part.y, part.groups, strict=True))


def test_the_division_of_all_characters_is_vinyals():
    """Counts of https://github.com/jakesnell/prototypical-networks: 33, 5 and 13 alphabets, Gurmukhi in two of them."""
    sizes = dict.fromkeys((*VALIDATION, *TEST), 0) | {"Gurmukhi": 45}
    sizes |= dict(zip(VALIDATION, (41, 46, 22, 22, 41), strict=True))
    others = [f"Other_{i}" for i in range(32)]
    for name, total in ((TEST, 419), (others, 1_623 - 45 - 172 - 419)):
        sizes |= {alphabet: total // len(name) + (i < total % len(name)) for i, alphabet in enumerate(name)}
    names = [f"{alphabet}/character{i:02d}" for alphabet, n in sizes.items() for i in range(1, n + 1)]
    whole = Omniglot(np.zeros((len(names), 1, 28, 28), np.uint8), np.array(names))
    groups = {name: set(part.groups.tolist()) for name, part in whole.split(rotations=False).items()}
    assert {name: len(group) for name, group in groups.items()} == {"train": 1_028, "validation": 172, "test": 423}
    assert {n for n in groups["test"] if n.startswith("Gurmukhi")} == {f"Gurmukhi/character{i}" for i in range(42, 46)}
    assert whole.has_vinyals_names
    assert not Omniglot(whole.images[:-1], whole.names[:-1]).has_vinyals_names
    other = np.where(whole.names == f"{TEST[0]}/character01", "Elvish/character01", whole.names)
    assert Omniglot(whole.images, other).has_vinyals_names, "of one alphabet a character less is left"
    unknown = np.array([f"Elvish_{name}" for name in whole.names])
    assert not Omniglot(whole.images, unknown).has_vinyals_names, "as many characters under other names"


def test_rotated_classes_are_the_pictures_turned(archive: Path):
    part = load_omniglot(archive).split()["test"]
    name = part.groups[0]
    upright, turned = (part.x[part.y == f"{name}, turned {angle}"][:, 0].numpy() for angle in (0, 90))
    assert np.array_equal(turned[2], np.rot90(upright[2]))
    assert len(load_omniglot(archive).split(rotations=False)["test"].x) * 4 == len(part.x)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((5, 28, 28), np.uint8), r"expected images \(1623, 20, 28, 28\)"),
        (np.zeros((5, 4, 105, 105), np.uint8), r"got \(5, 4, 105, 105\)"),
        (np.zeros((5, 4, 28, 28)), "of float64"),
        (np.full((5, 4, 28, 28), 7, np.uint8), "all pixels are 7"),
        (np.zeros((0, 4, 28, 28), np.uint8), "got \\(0, 4"),
        (np.array([{"a": 1}], dtype=object), r"whole \.npz"),
    ],
    ids=["three axes", "large", "floats", "blank", "empty", "pickled"],
)
def test_other_archives_are_refused(tmp_path: Path, images: np.ndarray, message: str):
    np.savez(tmp_path / "bad.npz", images=images)
    with pytest.raises(ValueError, match=message):
        load_omniglot(tmp_path / "bad.npz")


def test_corrupt_and_missing_files_are_refused(tmp_path: Path, archive: Path):
    half = tmp_path / "half.npz"
    half.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"whole \.npz"):
        load_omniglot(half)
    np.savez(tmp_path / "other.npz", pictures=np.zeros(3))
    with pytest.raises(ValueError, match=r"an array 'images'.*found pictures"):
        load_omniglot(tmp_path / "other.npz")
    with pytest.raises(FileNotFoundError, match="images_background"):
        load_omniglot(tmp_path / "nothing.npz")
    np.savez(tmp_path / "few.npz", images=small(drawn(3)))
    with pytest.raises(ValueError, match="at least 8 characters"):
        load_omniglot(tmp_path / "few.npz").split()
    np.savez(tmp_path / "enough.npz", images=small(drawn(8)))
    assert [len(np.unique(part.groups)) for part in load_omniglot(tmp_path / "enough.npz").split().values()] == [
        5,
        1,
        2,
    ]


def test_incomplete_folders_are_refused(folder: Path):
    picture = next((folder / FOLDERS[1]).glob("*/*/*.png"))
    content = picture.read_bytes()
    picture.write_bytes(b"\x89PNG nothing")
    with pytest.raises(ValueError, match="no picture that can be read"):
        load_omniglot(folder)
    picture.unlink()
    with pytest.raises(ValueError, match="as many pictures"):
        load_omniglot(folder)
    picture.write_bytes(content)
    (folder / FOLDERS[0]).rename(folder / "elsewhere")
    with pytest.raises(ValueError, match="images_background missing"):
        load_omniglot(folder)


def test_recipes_are_those_of_the_papers():
    """Finn et al. 2017, section 5.2; Nichol et al. 2018, table 5."""
    maml, reptile = training_settings("maml", 5, 1, True), training_settings("reptile", 20, 1)
    assert (maml.settings["inner_lr"], maml.settings["inner_steps"], maml.settings["tasks_per_batch"]) == (0.4, 1, 32)
    ours = training_settings("maml", 5, 1).settings  # without batch statistics
    assert (ours["inner_lr"], ours["inner_steps"], ours["tasks_per_batch"]) == (0.2, 2, 8)
    assert training_settings("maml", 20, 5).settings["inner_lr"] == 0.1 and maml.iterations == 60_000
    assert (reptile.settings["inner_batch"], reptile.settings["inner_steps"], reptile.iterations) == (20, 10, 200_000)
    assert training_settings("reptile", 5, 1).n_query + 1 == 10  # ten samples of a class in training
    assert training_settings("reptile", 5, 1).settings["normalize"] == "support"  # without batch statistics
    assert training_settings("reptile", 5, 1, True).settings["inner_steps"] == 5
    assert training_settings("prototypical", 20, 1).ways == 60
    assert training_settings("snail", 5, 1, True).settings["filters"] == 128
    assert {"regroupings": 8, "normalize": "support"}.items() <= training_settings("snail", 20, 1).settings.items()


def test_published_rows_say_where_they_are_from():
    assert all(row.source and len(row.cells) == 4 for row in PUBLISHED)
    by_name = {(row.learner, row.transductive): row.cells for row in PUBLISHED}
    assert by_name["reptile", True][5, 1].startswith("97.68") and by_name["reptile", False][5, 1].startswith("95.39")
    assert by_name["maml", True][20, 1].startswith("95.8") and ("maml", False) not in by_name


def test_the_yardstick_end_to_end(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    args = ["omniglot", "--data", str(archive), "--out", str(out), "--ways", "3", "--shots", "1", "--iterations", "2"]
    args += ["--episodes", "12", "--learners", "prototypical", "matching"]
    # With 4 drawers there are not 5 queries beside the support set: the error says so.
    with pytest.raises(ValueError, match="has 4 samples"):
        reproduce_command(args)
    np.savez(archive, images=small(drawn(16, drawers=6)))
    assert reproduce_command(args) == 0
    table = (out / "table.md").read_text()
    assert "NOT the whole of Omniglot" in table and table in capsys.readouterr().out
    rows = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("| ")}
    ours = {"nearest-centroid", "prototypical", "prototypical, transductive", "matching", "matching, transductive"}
    assert ours | {"*MAML, transductive*", "*Prototypical Networks*"} <= set(rows)
    assert "Snell" in rows["*Prototypical Networks*"]
    first = json.loads((out / "table.json").read_text())
    checkpoint = out / "3-way-1-shot" / "matching" / "seed-0" / "checkpoint.pt"
    before = checkpoint.stat().st_mtime_ns
    assert reproduce_command(args) == 0  # nothing is trained again
    assert checkpoint.stat().st_mtime_ns == before and json.loads((out / "table.json").read_text()) == first
    lines = [json.loads(line) for line in (checkpoint.parent / "log.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2] and all(0 <= line["validation"] <= 1 for line in lines)
    best = json.loads((checkpoint.parent / "accuracy.json").read_text())["updates"]
    assert best == max((1, 2), key=lambda i: (lines[i - 1]["validation"], -i))
    longer = [*args, "--iterations-of", "matching", "4", "--workers", "2"]
    assert reproduce_command(longer) == 0  # two more updates of one learner
    lines = [json.loads(line)["iteration"] for line in (checkpoint.parent / "log.jsonl").read_text().splitlines()]
    assert lines == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="other settings or data"):
        reproduce_command([*args, "--iterations-of", "matching", "3"])


def test_a_learner_can_be_trained_for_one_column_and_tested_on_others(archive: Path, tmp_path: Path) -> None:
    np.savez(archive, images=small(drawn(24, drawers=8)))
    args = ["omniglot", "--data", str(archive), "--ways", "2", "3", "--shots", "1", "2", "--iterations", "2"]
    args += ["--episodes", "12", "--learners", "matching", "maml", "--transduction", "False", "--train-once"]
    assert reproduce_command([*args, "--out", str(tmp_path)]) == 0
    assert [folder.name for folder in sorted(tmp_path.glob("*-way-*"))] == ["2-way-1-shot"]
    found = json.loads((tmp_path / "table.json").read_text())
    columns = {f"{ways}-way {shots}-shot" for ways in (2, 3) for shots in (1, 2)}
    assert set(found["matching"]) == columns and set(found["maml"]) == {"2-way 1-shot", "2-way 2-shot"}
    assert "all of them for 2-way 1-shot" in (tmp_path / "table.md").read_text()
    place = tmp_path / "2-way-1-shot" / "matching" / "seed-0"
    scores = {file.name: json.loads(file.read_text()) for file in place.glob("accuracy*.json")}
    assert set(scores) == {"accuracy.json"} | {
        f"accuracy-{name}.json" for name in ("2-way-2-shot", "3-way-1-shot", "3-way-2-shot")
    }
    assert len({kept["of"]["test"] for kept in scores.values()}) == 4
    assert len({kept["updates"] for kept in scores.values()}) == 1
    by_hand = Matching.load(place / "best.pt", ConvNet((1, SIDE, SIDE)))
    test = Episodes(load_omniglot(archive).split()["test"], 2, TEST_QUERIES, n_way=3, seed=EPISODE_SEED)
    expected = evaluate({"it": by_hand}, frozen_episodes(test, 12)).scores["it"].by_episode["accuracy"]
    np.testing.assert_allclose(scores["accuracy-3-way-2-shot.json"]["accuracy"], expected)


def without_seconds(log: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def test_a_ctrl_c_keeps_the_updates_that_are_done(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    np.savez(archive, images=small(drawn(16, drawers=6)))
    args = ["omniglot", "--data", str(archive), "--ways", "3", "--shots", "1", "--iterations", "7", "--episodes", "12"]
    args += ["--learners", "prototypical", "--transduction", "False", "--out"]
    assert reproduce_command([*args, str(tmp_path / "whole")]) == 0
    update = Prototypical._update

    def pressed(self: Prototypical, batch: object) -> dict[str, float]:
        if self.iteration == 3:
            signal.raise_signal(signal.SIGINT)
        return update(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(Prototypical, "_update", pressed)
        assert reproduce_command([*args, str(tmp_path / "broken")]) == 130
    place = Path("3-way-1-shot") / "prototypical" / "seed-0"
    log, checkpoint = tmp_path / "broken" / place / "log.jsonl", tmp_path / "broken" / place / "checkpoint.pt"
    assert [json.loads(line)["iteration"] for line in log.read_text().splitlines()] == [1, 2, 3, 4]
    assert Prototypical.load(checkpoint, ConvNet((1, SIDE, SIDE))).iteration == 4
    assert not (checkpoint.parent / "accuracy.json").exists()
    assert reproduce_command([*args, str(tmp_path / "broken")]) == 0
    assert without_seconds(log) == without_seconds(tmp_path / "whole" / place / "log.jsonl")
