"""What holds of every family of the registry."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metaenv.supervised import Dataset, evaluate, frozen_episodes, make_learner
from metaenv.supervised.data.problem import Problem
from metaenv.supervised.data.sources import EpisodeBatch
from metaenv.supervised.families import FAMILIES, make_family
from metaenv.supervised.families.family import Family, draw_heatmap

SMALL = {"blood-cells": {"per_class": 20}, "gene-expression": {"per_class": 20}, "light-curves": {"per_class": 20}}
SHOTS = (2, 3)


def small(name: str) -> Family:
    return make_family(name, **SMALL.get(name, {}))


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> Family:
    return small(request.param)


def test_it_says_where_its_numbers_come_from(family: Family) -> None:
    assert "chosen" in family.provenance
    assert family.splits[:3] == ("train", "validation", "test")
    assert any(split.startswith("ood-") for split in family.splits)


def test_episodes_of_every_split_and_kind_are_whole(family: Family) -> None:
    for split in family.splits:
        for kind in family.kinds:
            batch = family.episodes(split, *SHOTS, kind=kind, seed=3).draw(4)
            assert batch.problem.kind == kind
            ways = batch.n_classes or 1
            assert batch.support_x.shape[:2] == (4, SHOTS[0] * ways)
            assert np.isfinite(batch.query_x.numpy()).all()
            if kind == "classification":
                assert all((batch.support_y == way).sum(1).eq(SHOTS[0]).all() for way in range(ways))
            if kind == "anomaly":
                assert (batch.support_y == 0).all() and (batch.query_y == 1).sum(1).eq(SHOTS[1]).all()


def test_the_same_seed_gives_the_same_episodes_and_another_others(family: Family) -> None:
    first, again, other = (family.episodes("test", *SHOTS, seed=seed).draw(3) for seed in (5, 5, 6))
    assert np.array_equal(first.support_x, again.support_x)
    assert not np.array_equal(first.support_x, other.support_x)


def test_no_sample_is_in_both_support_and_query(family: Family) -> None:
    batch = family.episodes("test", 5, 6, seed=1).draw(20)
    for support, query in zip(batch.support_x.flatten(2).numpy(), batch.query_x.flatten(2).numpy(), strict=True):
        assert not (support[:, None] == query[None]).all(axis=2).any()


def test_splits_share_no_class_group_or_task(family: Family) -> None:
    kind = family.kinds[0]
    seen: dict[str, set[str]] = {}
    for split in ("train", "validation", "test"):
        source = family.source(split, kind, 0)
        if isinstance(source, Dataset):
            seen[split] = {*source.y.tolist(), *source.groups.tolist()}
        else:
            seen[split] = set(source.draw(300).ids.tolist())
    assert not (seen["train"] & seen["test"] or seen["train"] & seen["validation"] or seen["validation"] & seen["test"])


def test_unknown_splits_and_kinds_are_refused(family: Family) -> None:
    with pytest.raises(ValueError, match=r"has no split 'tset'.*test"):
        family.episodes("tset")
    with pytest.raises(ValueError, match="choose one of these"):
        family.episodes("test", kind="ranking")  # type: ignore[arg-type]


def test_the_picture_of_an_episode_shows_something(family: Family, tmp_path) -> None:
    image = pytest.importorskip("matplotlib.image")
    for kind in family.kinds:
        picture = image.imread(family.picture(tmp_path / f"{kind}.png", kind=kind))
        assert picture.shape[0] > 400 and picture[..., :3].std() > 0.05


def test_lines_part_the_labels_of_a_heat_map() -> None:
    """Support labels 1, 0, 1 stand as rows 0, 1, 1: a line after the first row, which ends at 0.5."""
    figure = pytest.importorskip("matplotlib.figure").Figure()
    x, y = torch.arange(18.0).reshape(1, 3, 6) ** 2, torch.tensor([[1, 0, 1]])
    rows = np.arange(3)[None]
    problem = Problem("classification", (6,), 2)
    draw_heatmap(figure, EpisodeBatch(problem, x, y, x[:, :2], y[:, 1:], np.array([[0, 1]]), rows, rows[:, :2]))
    support, query = ([line.get_ydata()[0] for line in ax.lines] for ax in figure.axes[:2])
    assert (support, query) == ([0.5], [0.5])


def test_unknown_families_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="light-curves"):
        make_family("light-curve")


@pytest.mark.parametrize("name", ["light-curves", "gene-expression"])
def test_meta_learning_beats_the_nearest_centroid_of_raw_input(name: str) -> None:
    """On held-out classes, after 60 updates, outside the paired interval."""
    family = small(name)
    train, test = family.episodes("train", 5, 6), frozen_episodes(family.episodes("test", 5, 6, seed=1), 100)
    learners = {n: make_learner(n, train.problem, seed=0) for n in ("prototypical", "nearest-centroid")}
    for learner in learners.values():
        learner.meta_fit(train, 60)
    report = evaluate(learners, test)
    assert report.difference("prototypical", "nearest-centroid", "accuracy").low > 0
    assert 0.2 < report.interval("nearest-centroid", "accuracy").estimate < 0.8
