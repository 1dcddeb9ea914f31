"""Hidden observing tasks: ranges, splits, and what their numbers mean."""

from dataclasses import replace

import numpy as np
import pytest

from metaenv.errors import TaskError
from metaenv.tasks import TaskBatch
from metaenv.telescope.build_data import frozen_tasks
from metaenv.telescope.sim.sites import SITES
from metaenv.telescope.sim.targets import HELD_OUT_PAIRS, SHARES, VALUE_SD, draw_targets, expected_values, tilt, values
from metaenv.telescope.tasks import (
    N_CLASSES,
    N_FEATURES,
    SLEW,
    SNR_NEEDED,
    SPLITS,
    STORE,
    TEST_SITES,
    TRAIN_SITES,
    UNIT_DIM,
    ZERO_POINT_MAG,
    TargetSelectionDistribution,
    dark_hours,
    draw,
)
from metaenv.testing import check_distribution

FAMILY = TargetSelectionDistribution()


def drawn(split, n=2000):
    return draw(np.random.default_rng(0).random((n, UNIT_DIM)), split)


def held_out(tasks):
    """(n,) whether the two most valuable classes are one of the pairs that training never has."""
    top = np.sort(np.argsort(-tasks.class_value, axis=1)[:, :2], axis=1)
    return np.array([tuple(pair) in HELD_OUT_PAIRS for pair in top.tolist()])


def many_targets(purity, n, rng):
    numbers = rng.random((len(purity), 6, n)), rng.standard_normal((len(purity), 4, n))
    return draw_targets(*numbers, purity, np.zeros(len(purity)), np.zeros((len(purity), 2)), (20.0, 1.0))


def months(tasks):
    days = (tasks.evening_mjd - 40587).astype("datetime64[D]")  # MJD 40587 is 1 January 1970
    return set((days.astype("datetime64[M]").astype(int) % 12 + 1).tolist())


def test_distribution_keeps_the_contract():
    check_distribution(FAMILY)


def test_a_target_of_a_list_is_worth_one_on_average():
    for split in ("train", "ood-programme"):
        np.testing.assert_allclose(drawn(split).class_value @ SHARES, 1.0, rtol=1e-7)  # numbers of tasks are rounded
    # E[exp(w.f)] = exp(|w|^2 / 2) for standard normal f
    features = np.random.default_rng(1).standard_normal((1, 3, 400_000))
    assert tilt(np.array([[0.5, -0.3, 0.2]]), features).mean() == pytest.approx(1.0, abs=0.01)


def test_training_ranges():
    t = drawn("train")
    assert 0.60 <= t.purity.min() and t.purity.max() <= 0.95
    assert t.snr_needed.min() >= 4 and t.snr_needed.max() <= 80
    assert np.median(t.snr_needed) == pytest.approx(15, rel=0.1)
    assert np.std(np.log(t.class_value).ravel()) > 1.0
    assert np.std(t.feature_weight) == pytest.approx(0.8, rel=0.05)
    assert t.zero_point_mag.mean() == pytest.approx(20.75, abs=0.03) and t.zero_point_mag.std() == pytest.approx(
        0.4, rel=0.1
    )
    assert 0.55 <= t.seeing_arcsec.min() and t.seeing_arcsec.max() <= 1.0
    assert t.dark_sky_mag.max() <= 21.5
    assert np.mean(t.cadence_weight == 0) == pytest.approx(1 / 3, abs=0.04)


def test_sites_of_training_and_test_differ():
    latitudes = {split: set(drawn(split).latitude_deg.tolist()) for split in ("train", "ood-site", "ood-season")}
    assert latitudes["train"] == latitudes["ood-season"] == {SITES[k].latitude_deg for k in TRAIN_SITES}
    assert latitudes["ood-site"] == {SITES[k].latitude_deg for k in TEST_SITES}
    assert not latitudes["train"] & latitudes["ood-site"]


def test_seasons_of_training_and_test_differ():
    assert months(drawn("train")) == set(range(2, 11))
    assert months(drawn("ood-season")) <= {11, 12, 1}
    assert months(drawn("ood-all")) <= {11, 12, 1}


def test_held_out_pairs_of_classes_lead_in_the_programme_split_only():
    assert not held_out(drawn("train")).any() and not held_out(drawn("ood-site")).any()
    tasks = drawn("ood-programme")
    assert held_out(tasks).all()
    top = {tuple(sorted(row)) for row in np.argsort(-tasks.class_value, axis=1)[:, :2].tolist()}
    assert top == set(HELD_OUT_PAIRS)


def test_labels_are_worse_in_the_purity_split():
    assert drawn("ood-purity").purity.max() <= 0.55 < 0.60 <= drawn("train").purity.min()


@pytest.mark.parametrize("split", SPLITS[1:])
def test_frozen_lists(split):
    frozen = FAMILY.frozen(split)
    assert len(frozen) == len(set(frozen.tasks.ids)) == 256
    assert FAMILY.accept(frozen.tasks).all()
    assert frozen.reference.oracle.mean() > 1.8 * frozen.reference.random.mean()


@pytest.mark.parametrize("split", SPLITS[1:])
def test_frozen_lists_are_what_draw_gives(split):
    assert frozen_tasks(split).sha256 == STORE.manifest()["splits"][split]["sha256"]


def test_photometric_class_is_right_as_often_as_purity_says():
    purity = np.array([0.3, 0.6, 0.9])
    lists = many_targets(purity, 20_000, np.random.default_rng(2))
    np.testing.assert_allclose((lists.label == lists.true_class).mean(axis=1), purity, atol=0.012)
    shares = np.bincount(lists.label.ravel(), minlength=8) / lists.label.size
    np.testing.assert_allclose(shares, SHARES, atol=0.008)


def test_expected_value_is_the_mean_over_true_classes():
    tasks = drawn("train", 2)
    lists = many_targets(tasks.purity, 60_000, np.random.default_rng(3))
    lists = replace(lists, features=np.zeros_like(lists.features))  # their exponential has a long tail
    told, true = expected_values(tasks, lists), values(tasks, lists)
    for row in range(2):
        for label in range(8):
            of_label = lists.label[row] == label
            assert true[row, of_label].mean() == pytest.approx(told[row, of_label].mean(), rel=0.05)


def test_nights_are_long_enough():
    tasks = FAMILY.sample(64, "train", np.random.default_rng(4))
    for night in range(5):
        hours = dark_hours(tasks.evening_mjd + night, np.radians(tasks.latitude_deg), np.radians(tasks.longitude_deg))
        assert hours.min() > 3.95


def test_supervised_view():
    tasks = FAMILY.sample(5, "train", np.random.default_rng(5))
    seen = FAMILY.labelled(tasks, 400, np.random.default_rng(6))
    assert seen.x.shape == (5, 400, 11) and seen.y.shape == (5, 400)
    assert (seen.x[:, :, :8].sum(axis=2) == 1).all()
    # Where the label is right, ln value is linear: regression with a dummy for each class explains most of it.
    for i in range(5):
        fit = np.linalg.lstsq(seen.x[i], seen.y[i], rcond=None)[0]
        assert np.var(seen.y[i] - seen.x[i] @ fit) < np.var(seen.y[i])
        assert np.corrcoef(fit[8:], tasks.feature_weight[i])[0, 1] > 0.8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latitude_deg": 78.0, "evening_mjd": 61210.0}, "astronomical darkness"),  # Svalbard, 20 June 2026
        ({"purity": 1.2}, "purity"),
        ({"class_value": (1.0, 2.0)}, "8 numbers"),
        ({"latitude_deg": 100.0}, "latitude_deg"),
        ({"evening_mjd": 200_000.0}, "evening_mjd"),
        ({"snr_needed": float("nan")}, "finite"),
    ],
)
def test_bad_tasks_are_refused(changes, message):
    task = FAMILY.sample(1, "train", np.random.default_rng(0)).task(0)
    with pytest.raises(TaskError, match=message):
        type(task).from_dict({**task.to_dict(), **changes})


def test_unknown_variant_suggests_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'depth'"):
        TargetSelectionDistribution("dpth")  # type: ignore[arg-type]


def test_the_task_vector_by_hand():
    task = TargetSelectionDistribution("short").frozen("test").tasks.task(0)
    told = replace(
        task, latitude_deg=-30.0, purity=0.75, snr_needed=float(SNR_NEEDED), zero_point_mag=ZERO_POINT_MAG + 0.6,
        extinction_mag=0.16, dark_sky_mag=21.5, seeing_arcsec=0.75, bank_mag=1.5, slew_deg_s=float(SLEW), settle_s=5.5,
        cadence_hours=6.0, cadence_weight=1.0, evening_mjd=60676.0 + 0.25 * 365.25,  # a quarter of 2025
        class_value=(float(np.exp(1.5 * VALUE_SD)), *task.class_value[1:]),
    )  # fmt: skip
    (row,) = TargetSelectionDistribution("short").task_vector(TaskBatch.from_tasks([told]))
    singles = row[N_CLASSES + N_FEATURES :]
    np.testing.assert_allclose([row[0], *singles[1:3]], [0.5, 1.0, 0.0], atol=1e-6)
    assert row.shape == (29,) and singles[[0, 3, 4]].tolist() == [-0.5, 0.5, 0.0]
    np.testing.assert_allclose(singles[5:9], [0.5, 0.0, 0.5, 0.0], atol=1e-6)
    np.testing.assert_allclose(singles[[10, 14, 15, 16, 17]], [0.0, 0.0, 0.0, 0.0, 1.0], atol=1e-6)
