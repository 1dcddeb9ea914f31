"""The family: its members, its splits and its frozen lists."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kstest

from metaenv.errors import TaskError
from metaenv.materials.build_data import SEED, frozen_tasks
from metaenv.materials.kinetics import simulate
from metaenv.materials.recipes import from_action
from metaenv.materials.tasks import (
    FROZEN_SIZES,
    PARAMETERS,
    SCREENED,
    STORE,
    SolidStateDistribution,
    SolidStateTask,
    draw,
    informed_recipes,
    solvable,
)
from metaenv.materials.utility import utility

D = SolidStateDistribution()
UNIT_DIM = D.unit_dim
SPLITS = list(FROZEN_SIZES)


def uniform(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, UNIT_DIM))


# MEMBERS


@settings(max_examples=30, deadline=None)
@given(arrays(float, (1, UNIT_DIM), elements=st.floats(0, 1, exclude_max=True)), st.sampled_from(["train", *SPLITS]))
def test_a_task_survives_json(unit, split):
    task = draw(unit, split).task(0)
    assert SolidStateTask.from_json(task.to_json()) == task
    assert SolidStateTask.from_json(task.to_json()).id == task.id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"onset_target_K": 90.0}, "onset_target_K must lie in"),
        ({"intermediate_a": 1.0}, "intermediate_a must lie in"),
        ({"phase_bias": (0.0, 0.0)}, "phase_bias must have 5 numbers"),
        ({"precursor_onset_K": 900.0}, "precursor_onset_K must be a tuple of numbers"),
        ({"goal_um": float("nan")}, "goal_um must be finite"),
        ({"phase_bias": (1e4, 0.0, 0.0, 0.0, 0.0)}, "phase_bias must lie in"),
        ({"carbonate_enthalpy_kJ_mol": 1e308}, "carbonate_enthalpy_kJ_mol must lie in"),
        ({"decomposition_enthalpy_kJ_mol": -1e308}, "decomposition_enthalpy_kJ_mol must lie in"),
    ],
)
def test_impossible_tasks_are_refused(changes, message):
    with pytest.raises(TaskError, match=message):
        replace(draw(uniform(1), "train").task(0), **changes)


def test_draws_lie_in_their_stated_ranges():
    tasks = draw(uniform(5000), "train")
    for name, drawn in PARAMETERS.drawn(tasks).items():
        low, high = PARAMETERS.parameters[name].low, PARAMETERS.parameters[name].high
        if np.isfinite(high) and name != "nucleation_J_m2":
            assert low - 1e-9 <= drawn.min() < low + 0.05 * (high - low), name
            assert high - 0.05 * (high - low) < drawn.max() <= high + 1e-9, name
    above = tasks.onset_intermediate_K - tasks.onset_target_K
    assert above.min() >= -180 and above.max() <= 60
    ratio = tasks.energy_intermediate_kJ_mol / tasks.energy_target_kJ_mol
    assert ratio.min() >= 0.55 and ratio.max() <= 0.9
    assert (tasks.decomposition_K <= tasks.onset_decomposition_K).all()
    assert (tasks.nucleation_J_m2 == 0).all() and (tasks.precursor_contact[:, 0] == 1).all()
    assert min(t.precursor_onset_K.min() for t in (tasks, draw(uniform(5000), "ood-cold"))) > 400


def test_biases_and_offsets_are_normal():
    tasks = draw(uniform(4000), "train")
    for k in range(5):
        assert kstest(tasks.phase_bias[:, k] / 0.15, "norm").pvalue > 1e-3
    offset = tasks.furnace_offset_K
    assert abs(offset).max() == 40 and kstest(offset[abs(offset) < 39] / 15, "norm").pvalue > 1e-4


def test_each_row_of_the_unit_cube_makes_its_own_task():
    unit = uniform(40)
    whole = draw(unit, "train")
    assert draw(unit[7:8], "train").task(0) == whole.task(7)
    assert (draw(unit[::3], "train").ids == whole.ids[::3]).all()


# WHO IS A MEMBER


def test_more_than_half_of_the_draws_are_members_and_every_member_can_be_made():
    drawn = draw(uniform(2000), "train")
    good = solvable(drawn)
    assert good.mean() > 0.5
    members = drawn.take(np.flatnonzero(good))
    recipe, known = informed_recipes(members), members.repeated(len(SCREENED))
    out = simulate(known, recipe, 200)
    value = utility(out.target_fraction, out.grain_um, known.goal_um, recipe)
    assert value.reshape(len(members), -1).max(axis=1).min() > 0.45


def test_train_tasks_are_members_and_reproducible():
    tasks = D.sample(200, "train", np.random.default_rng(3))
    assert D.accept(tasks).all()
    assert (tasks.ids == D.sample(200, "train", np.random.default_rng(3)).ids).all()
    assert len(set(tasks.ids)) == 200


# SPLITS


@pytest.mark.parametrize("split", SPLITS)
def test_frozen_lists_are_whole_certified_and_what_was_frozen(split):
    frozen = D.frozen(split)
    assert len(frozen) == len(set(frozen.tasks.ids)) == FROZEN_SIZES[split]
    assert frozen.sha256 == frozen.tasks.sha256 == STORE.manifest()["splits"][split]["sha256"]
    assert D.accept(frozen.tasks).all()
    assert frozen.reference.oracle.min() >= 0.5
    assert (frozen.reference.oracle > frozen.reference.random + 0.2).all()
    for task in frozen.tasks.tasks()[:20]:
        assert SolidStateTask.from_json(task.to_json()).id == task.id


@pytest.mark.parametrize("split", SPLITS)
def test_frozen_lists_are_what_draw_gives(split):
    seeds = np.random.SeedSequence(SEED).spawn(len(SPLITS))
    drawn = frozen_tasks(split, np.random.default_rng(seeds[list(FROZEN_SIZES).index(split)]))
    assert drawn.sha256 == STORE.manifest()["splits"][split]["sha256"]


def test_splits_share_no_task():
    train = set(D.sample(2000, "train", np.random.default_rng(0)).ids)
    lists = [set(D.frozen(s).tasks.ids) for s in SPLITS]
    assert len(train.union(*lists)) == len(train) + sum(FROZEN_SIZES.values())


def test_splits_differ_in_what_their_names_say():
    tasks = {s: D.frozen(s).tasks for s in SPLITS}
    for s in ("validation", "test", "ood-instrument", "ood-mechanism"):
        assert tasks[s].onset_target_K.min() >= 900 and tasks[s].onset_target_K.max() <= 1400
    assert tasks["ood-hot"].onset_target_K.min() >= 1400 and tasks["ood-hot"].onset_target_K.max() <= 1550
    assert tasks["ood-cold"].onset_target_K.min() >= 800 and tasks["ood-cold"].onset_target_K.max() <= 900
    assert (abs(tasks["ood-instrument"].furnace_offset_K) == 40).all()
    assert tasks["ood-instrument"].phase_bias.std() == pytest.approx(0.30, rel=0.06)
    assert tasks["test"].phase_bias.std() == pytest.approx(0.15, rel=0.06)
    assert tasks["ood-mechanism"].nucleation_J_m2.min() >= 0.15
    assert all((tasks[s].nucleation_J_m2 == 0).all() for s in SPLITS if s != "ood-mechanism")
    # Elsewhere they are alike: each differs in one thing.
    for s in SPLITS:
        assert kstest(tasks[s].avrami_target, tasks["test"].avrami_target).pvalue > 1e-3


def test_frozen_splits_pick_from_their_list():
    unit = np.zeros((3, UNIT_DIM))
    unit[:, 0] = (0.0, 0.5, np.nextafter(1, 0))
    picked = D.from_unit(unit, "test").ids
    assert (picked == D.frozen("test").tasks.ids[[0, 500, 999]]).all()
    assert set(D.sample(50, "ood-hot", np.random.default_rng(0)).ids) <= set(D.frozen("ood-hot").tasks.ids)


def test_unknown_and_endless_splits_are_refused():
    with pytest.raises(TaskError, match="Did you mean 'ood-hot'"):
        D.frozen("ood-hto")
    with pytest.raises(TaskError, match="endless"):
        D.frozen("train")


def test_a_changed_file_is_noticed(tmp_path):
    shutil.copytree(STORE.folder, tmp_path / "data")
    with np.load(tmp_path / "data" / "validation.npz") as file:
        columns = dict(file)
    columns["goal_um"] = columns["goal_um"] + np.float32(1e-3)
    np.savez(tmp_path / "data" / "validation.npz", **columns)
    with pytest.raises(TaskError, match="SHA-256"):
        replace(STORE, folder=tmp_path / "data").frozen("validation", "recipe")


def test_the_data_files_are_small():
    assert sum(f.stat().st_size for f in STORE.folder.iterdir()) < 1_000_000


# VIEWS


def test_the_task_vector_is_where_in_the_ranges_a_task_lies():
    unit = uniform(300)
    vector = D.task_vector(draw(unit, "train"))
    assert vector.shape == (300, 41) and vector.dtype == np.float32
    for k, name in enumerate(PARAMETERS.coordinates[:-6]):  # all but the normals
        if name == "onset_target_K":
            expected = 2 * (500 * unit[:, k] + 100) / 750 - 1  # 900-1400 K seen on 800-1550 K
        elif name == "nucleation_J_m2":
            expected = np.full(300, -1.0)
        else:
            expected = 2 * unit[:, k] - 1
        np.testing.assert_allclose(vector[:, k], expected, atol=1e-5)
    for split in SPLITS:
        assert abs(D.task_vector(D.frozen(split).tasks)).max() <= 1


@pytest.mark.parametrize("variant", ["recipe", "full"])
def test_labels_are_true_utilities(variant):
    d = SolidStateDistribution(variant)
    tasks = d.sample(4, "train", np.random.default_rng(1))
    labelled = d.labelled(tasks, 50, np.random.default_rng(2))
    dim = {"recipe": 5, "full": 11}[variant]
    assert labelled.x.shape == (4, 50, dim + 1) and labelled.y.shape == (4, 50)
    assert (labelled.task_ids == tasks.ids).all() and abs(labelled.x).max() <= 1
    recipe, one = from_action(labelled.x[2, :, :dim], variant), tasks.take(np.array([2])).repeated(50)
    out = simulate(one, recipe)
    assert (labelled.y[2] == utility(out.target_fraction, out.grain_um, one.goal_um, recipe)).all()
    low, high = np.log([0.5, 8.0])
    assert labelled.x[2, 0, dim] == pytest.approx(2 * (np.log(tasks.goal_um[2]) - low) / (high - low) - 1)
