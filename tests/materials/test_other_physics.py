"""The second kinetic model: diffusion through a layer of product, and grains that are pinned."""

import math

import numpy as np
import pytest

from metaenv.errors import TaskError
from metaenv.materials.kinetics import simulate
from metaenv.materials.other_physics import jander, pinned_grains_um
from metaenv.materials.recipes import one_step
from metaenv.materials.system.distribution import SystemDistribution
from metaenv.materials.system.tasks import SystemTask, materials
from metaenv.materials.tasks import SolidStateDistribution, SolidStateTask
from metaenv.tasks import TaskBatch

MATERIALS = SolidStateDistribution().sample(6, "train", np.random.default_rng(3))
SYSTEMS = SystemDistribution()


def pinned(task: SolidStateTask, limit_um: float, **values: object) -> SolidStateTask:
    return SolidStateTask.from_dict({**task.to_dict(), "limiting_grain_um": [limit_um], **values})


def test_the_rate_law_is_janders_and_has_63_per_cent_at_unit_extent():
    formed = 1 - np.exp(-jander(np.array([0.0, 0.25, 1.0, 4.0, 1e9])))
    # [1 - (1 - X)^(1/3)]^2 = k, with k such that X(1) = 1 - 1/e: sqrt(k) = 1 - exp(-1/3) = 0.283469.
    by_hand = [0.0, 1 - (1 - 0.283469 / 2) ** 3, 1 - 1 / math.e, 1 - (1 - 2 * 0.283469) ** 3, 1.0]
    np.testing.assert_allclose(formed, by_hand, atol=2e-6)


def test_the_target_forms_by_diffusion_in_the_furnace():
    only_target = {"onset_intermediate_K": 2500.0, "onset_transform_K": 2500.0, "onset_loss_K": 2500.0}
    calm = {
        "onset_decomposition_K": 2500.0,
        "decomposition_K": 2500.0,
        "furnace_offset_K": 0.0,
        "energy_target_kJ_mol": 420.0,
    }
    ready = {"precursor_onset_K": [600.0] * 3, "precursor_energy_kJ_mol": [250.0] * 3, "carbonate_K": 650.0}
    driven = {"formation_enthalpy_kJ_mol": -60.0, "formation_entropy_J_mol_K": 0.0, "onset_target_K": 1200.0}
    task = pinned(MATERIALS.task(0), 20.0, **only_target, **calm, **ready, **driven)
    # Heating and cooling at 500 and 10 K/min last as long at 1200 K as k falls by 1/e in: R T^2 / E over the rate.
    more = 8.314 * 1200**2 / 420e3 * (1 / 500 + 1 / 10) / 60
    drive = 1 - math.exp(-60e3 / (8.314 * 1200))
    for hours in (0.33, 2.0, 6.0):
        share = simulate(TaskBatch.from_tasks([task]), one_step(1200.0, hours, 500.0, 0.0, 1.0), 4000).amounts.target[0]
        extent = 0.283469 * math.sqrt(drive * (hours + more))
        assert share == pytest.approx(1 - (1 - min(extent, 1.0)) ** 3, abs=6e-3)


def test_grains_approach_the_size_at_which_they_are_pinned():
    start, hourly, m, limit = (np.array([x]) for x in (0.5, 3.0, 2.5, 12.0))
    for hours in (0.0, 0.5, 1.0, 3.0, 50.0):
        size = pinned_grains_um(start, hours * hourly**m, hourly, m, limit)[0]
        # dG/dt = s (12 - G), and from nothing 3 um in an hour: exp(-s) = 9/12.
        assert size == pytest.approx(12 - 11.5 * (9 / 12) ** hours, rel=1e-12)
    assert pinned_grains_um(np.array([20.0]), 5 * hourly**m, hourly, m, limit)[0] == 20  # larger ones do not shrink


def test_in_the_simulator_the_limit_is_kept_and_the_first_hour_grows_as_before():
    task = pinned(MATERIALS.task(1), 6.0, growth_um=3.0, furnace_offset_K=0.0, onset_target_K=1000.0)
    hot = simulate(TaskBatch.from_tasks([task] * 2), one_step(1150.0, [1.0, 100.0], 500.0, 0.0, 0.2))
    assert hot.grain_um[0] == pytest.approx(6 - 5.9 * 0.5, rel=0.15), "exp(-s) = 3/6; heating and cooling add a little"
    assert 5.9 < hot.grain_um[1] <= 6


def test_both_models_in_one_batch_are_what_each_is_alone():
    recipe = one_step(1250.0, 5.0)
    tasks = [MATERIALS.task(0), pinned(MATERIALS.task(1), 12.0), MATERIALS.task(2)]
    together = simulate(TaskBatch.from_tasks(tasks), recipe.take(np.zeros(3, np.intp)))
    for i, task in enumerate(tasks):
        alone = simulate(TaskBatch.from_tasks([task]), recipe)
        assert together.grain_um[i] == alone.grain_um[0] and together.target_fraction[i] == alone.target_fraction[0]
    plain = simulate(MATERIALS.take(np.array([1])), recipe)
    assert plain.grain_um[0] != together.grain_um[1] and plain.target_fraction[0] != together.target_fraction[1]


def test_the_list_of_systems_obeys_it_and_training_does_not():
    tasks = SYSTEMS.frozen("ood-physics").tasks
    assert (tasks.limiting_grain_um == 12).all() and SYSTEMS.frozen("test").tasks.limiting_grain_um.size == 0
    made = materials(tasks, np.zeros(len(tasks), np.intp), np.zeros((len(tasks), 4), np.intp))
    assert made.limiting_grain_um.tolist() == [[12.0]] * 50
    task = tasks.task(0)
    assert SystemTask.from_json(task.to_json()) == task and task.limiting_grain_um == (12.0,)
    assert "limiting_grain_um" not in MATERIALS.task(0).to_dict()


@pytest.mark.parametrize("given", [[1.0, 2.0], [-1.0], [1e9], [0.001]])
def test_an_absurd_size_is_refused(given):
    for task in (MATERIALS.task(0), SYSTEMS.frozen("test").tasks.task(0)):
        with pytest.raises(TaskError, match=r"limiting_grain_um must be empty or one number in \[0.01, 1000\] um"):
            type(task).from_dict({**task.to_dict(), "limiting_grain_um": given})
