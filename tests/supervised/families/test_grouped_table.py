"""The family of any table by group: what its columns mean, how it is divided, and that learners find what is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metaenv.cli import main
from metaenv.supervised import evaluate, frozen_episodes, make_learner
from metaenv.supervised.families import make_family

BASES, PAIRS, ROWS = ("NaOH", "CsF", "KOH"), 8, 24
SLOPE = {f"pair {i}": 10.0 * (i + 1) for i in range(PAIRS)}
OPTIONS = {"target": "yield", "group": "pair"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Yield = slope of the pair * (1 if the base is CsF) + temperature / 100, exactly."""
    path = tmp_path_factory.mktemp("table") / "recipes.csv"
    lines = [
        f"{pair},{BASES[k % 3]},{20 + 5 * k},{SLOPE[pair] * (BASES[k % 3] == 'CsF') + (20 + 5 * k) / 100}"
        for pair in SLOPE
        for k in range(ROWS)
    ]
    path.write_text("pair,base,temperature,yield\n" + "\n".join(lines))
    return path


def test_words_are_categories_and_numbers_stay_as_they_are(file: Path):
    family = make_family("table", data=file, **OPTIONS)
    assert family.columns == ("base=CsF", "base=KOH", "base=NaOH", "temperature")  # type: ignore[attr-defined]
    data = family.source("train", "regression", 0)
    for x, y, pair in zip(data.x.tolist(), data.y.tolist(), data.groups.tolist(), strict=True):
        assert sum(x[:3]) == 1 and y == pytest.approx(SLOPE[pair] * x[0] + x[3] / 100)
    assert "base: a column of 0 and 1 for each of its 3 words in the whole table" in family.notes
    assert family.kinds == ("regression", "classification") and family.quantity == "yield"


def test_a_task_is_a_group_and_no_group_is_in_two_splits(file: Path):
    tested: list[str] = []
    for fold in range(4):
        family = make_family("table", data=file, folds=4, fold=fold, **OPTIONS)
        for kind in family.kinds:
            names = [set(family.source(split, kind, 0).groups.tolist()) for split in family.splits]
            assert [len(n) for n in names] == [4, 2, 2] and len(set().union(*names)) == PAIRS
        batch, data = family.episodes("test", 4, 6).draw(30), family.source("test", "regression", 0)
        rows = np.concatenate([batch.support_ids, batch.query_ids], axis=1)
        assert (data.groups[rows] == batch.task_ids[:, None]).all()
        tested += set(batch.task_ids.tolist())
    assert sorted(tested) == sorted(SLOPE)


def test_numbers_are_classified_within_their_group_by_its_median_or_by_a_number(file: Path, tmp_path: Path):
    family = make_family("table", data=file, **OPTIONS)
    data = family.source("train", "classification", 0)
    assert {np.mean(data.y[data.groups == g]) for g in np.unique(data.groups)} == {0.5}
    above = make_family("table", data=file, threshold=5, **OPTIONS).source("train", "classification", 0)
    assert ((above.x[:, 0] == 1).numpy() == above.y).all()  # with CsF a yield is 10 at least, without 1.35 at most
    odd = tmp_path / "odd.csv"
    odd.write_text("g,x,y\n" + "\n".join(f"{g},{k / 7},{k / 2}" for g in "abcde" for k in range(3)))
    third = make_family("table", data=odd, target="y", group="g").source("train", "classification", 0)
    assert third.y.tolist() == [0, 0, 1] * 3  # the median itself does not lie above it


def test_a_word_as_target_against_the_others_and_groups_without_it_left_out(tmp_path: Path):
    path = tmp_path / "crystals.csv"
    rows = [
        f"{c},{k},{'large' if k % (2 + c) == 0 and c < 5 else 'fine' if k % 2 else 'none'}"
        for c in range(6)
        for k in range(12)
    ]
    path.write_text("cation,hours,crystal\n" + "\n".join(rows))
    options = {"data": path, "target": "crystal", "group": "cation"}
    family = make_family("table", positive="large", least=2, **options)
    assert family.kinds == ("classification",) and "samples of each class are left out: 5" in " ".join(family.notes)
    data = family.source("train", "classification", 0)
    assert (data.y == (data.x[:, 0].numpy() % (2 + data.groups.astype(int)) == 0)).all()
    batch = family.episodes("train", 1, 1).draw(5)
    assert {tuple(i) for i in batch.task_ids.tolist()} <= {(f"{c} 0", f"{c} 1") for c in range(5)}
    with pytest.raises(ValueError, match=r"no word 'lage'\. Did you mean 'large'"):
        make_family("table", positive="lage", **options)
    with pytest.raises(ValueError, match=r"at least two groups, .* of 9 samples of each class, got 0 \(6 in all\)"):
        make_family("table", least=9, **options)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"group": None}, "the column of groups; group is not given: make_family.*or --options data my.csv"),
        ({"group": "pairs"}, "no column 'pairs'.*did you mean 'pair'"),
        ({"group": "constant"}, r"at least two groups, .* got 1 \(1 in all\); choose another column"),
        ({"folds": 9}, r"as many as there are classes, groups or samples \(8\)"),
        ({"hold_out": ("pair 9",)}, "nothing called 'pair 9' to hold out"),
        ({"least": 25}, "of 25 samples, got 0"),
    ],
)
def test_what_is_no_table_of_groups_is_refused(tmp_path: Path, file: Path, more, message):
    path = tmp_path / "t.csv"
    head, *rows = file.read_text().splitlines()
    path.write_text("\n".join([f"{head},constant", *(f"{row},a" for row in rows)]))
    with pytest.raises(ValueError, match=message):
        make_family("table", **{"data": path, **OPTIONS, **more})


def test_groups_too_small_for_an_episode_are_refused_with_the_remedy(file: Path):
    exactly = make_family("table", data=file, least=ROWS, **OPTIONS)  # as many as each group has, but not of a class
    assert exactly.kinds == ("regression",) and not any("left out" in note for note in exactly.notes)
    family = make_family("table", data=file, **OPTIONS)
    shots = family.shots_of("regression"), family.shots_of("classification")
    assert shots == ((8, 16), (4, 8))  # of 24 rows, and of 12 in each class, a third is there to learn from
    with pytest.raises(ValueError, match=r"group 'pair \d' has 24 samples, and an episode takes 30 .*option least 30"):
        family.episodes("train", 10, 20)


def test_what_all_pairs_share_is_learned_from_the_training_pairs(file: Path):
    """That the base decides and by how much is to be found from one measurement of each; the mean cannot say."""
    family = make_family("table", data=file, **OPTIONS)
    train, test = family.episodes("train", 4, 10), frozen_episodes(family.episodes("test", 4, 10, seed=1), 20)
    learners = {n: make_learner(n, train.problem) for n in ("prototypical", "nearest-centroid")}
    for learner in learners.values():
        learner.meta_fit(train, 40)
    report = evaluate(learners, test)
    assert report.difference("nearest-centroid", "prototypical", "rmse").low > 0


def test_pictures_and_the_command(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    image = pytest.importorskip("matplotlib.image")
    family = make_family("table", data=file, **OPTIONS)
    for kind in family.kinds:
        picture = image.imread(family.picture(tmp_path / f"{kind}.png", kind=kind))
        assert picture.shape[0] > 400 and picture[..., :3].std() > 0.05
    options = ["--options", "data", str(file), "target", "yield", "group", "pair", "folds", "4", "fold", "1"]
    command = ["fewshot", "table", "prototypical", *options, "--iterations", "5", "--episodes", "10", "--no-baselines"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().out
    assert "table, regression of yield" in told and "each of its 3 words" in told
    assert main(["fewshot", "table"]) == 0 and "Any table of one's own by group" in capsys.readouterr().out
