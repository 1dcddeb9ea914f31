"""The stronger classical opponents on single materials: transfer from training materials, and particles that move."""

import numpy as np
import pytest

from metaenv.materials import moving_particles, transfer_bo
from metaenv.materials.env import SingleMaterialVectorEnv
from metaenv.materials.moving_particles import MovingParticles
from metaenv.materials.particle_bayes import SEED, Table, tabulate
from metaenv.materials.tasks import SolidStateDistribution
from metaenv.materials.transfer_bo import (
    MetaGP,
    RankingEnsemble,
    conditioned,
    expected_improvement,
    ranking_weights,
)
from metaenv.materials.utility import utility
from metaenv.policies import play_trials
from metaenv.trial import VectorTrial

TASKS = SolidStateDistribution().frozen("validation").tasks.take(np.arange(12))


@pytest.fixture(scope="module")
def known() -> Table:
    return tabulate(120, 64)


def played(policy, tasks=TASKS, episodes=5):
    return play_trials(policy, VectorTrial(SingleMaterialVectorEnv(len(tasks)), episodes=episodes), tasks)


def test_utilities_of_the_table_are_those_of_the_experiment(known):
    from metaenv.materials.recipes import from_action

    found = known.utilities(np.log(5.0), particles=np.array([3, 7]))
    recipes = from_action(known.actions)
    for row, p in enumerate((3, 7)):
        expected = utility(known.target[p], np.exp(known.log_grain[p]), np.full(64, 5.0), recipes)
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


def test_a_process_after_one_measurement_by_hand():
    """Two recipes of variance 1 and covariance 0.5: one exact reading 2 above the mean says 1 and 0.75 of the other."""
    centred = np.sqrt(2) * np.linalg.cholesky(np.array([[1, 0.5], [0.5, 1]])).T
    mean, variance = conditioned(centred, centred[:, :1], np.array([2.0]), np.zeros(1), np.array([0.1, 0.2]))
    np.testing.assert_allclose(mean, [2.1, 1.2])
    np.testing.assert_allclose(variance, [0, 0.75], atol=1e-12)
    mean, variance = conditioned(
        centred, centred[:, :1], np.array([2.0]), np.ones(1), np.zeros(2)
    )  # noise of variance 1
    np.testing.assert_allclose([*mean, *variance], [1, 0.5, 0.5, 0.875])


def test_expected_improvement_of_standard_normals():
    gain = expected_improvement(np.array([0.0, 3.0, -np.inf]), np.array([1.0, 1e-6, 1.0]), 0.0)
    np.testing.assert_allclose(gain, [1 / np.sqrt(2 * np.pi), 3.0, 0.0], atol=1e-9)


def test_models_are_weighed_by_how_well_they_rank():
    """Three readings: the right order wins each bootstrap sample but those of one reading alone, 3 of 27, which tie."""
    forecasts = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    weight = ranking_weights(forecasts, np.array([0.1, 0.5, 0.9]), 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(weight, [1 - 1 / 18, 1 / 18], atol=0.005)
    np.testing.assert_allclose(ranking_weights(forecasts[:, :1], np.ones(1), 10, np.random.default_rng(0)), [0.5, 0.5])


def test_a_campaigns_own_process_is_scikit_learns(monkeypatch):
    learn = pytest.importorskip("sklearn.gaussian_process", reason="needs the baselines extra")
    kernels = pytest.importorskip("sklearn.gaussian_process.kernels")
    monkeypatch.setattr(transfer_bo, "LENGTH_SCALES", (0.8,))
    rng = np.random.default_rng(0)
    actions, place, readings = rng.uniform(-1, 1, (30, 5)), np.array([2, 9, 11, 20]), rng.random(4)
    mean, variance, left_out = transfer_bo._own_process(actions, place, readings)
    centre, spread = readings.mean(), readings.std()

    def process(kept):
        model = learn.GaussianProcessRegressor(kernels.Matern(0.8, nu=2.5), alpha=0.01, optimizer=None)
        return model.fit(actions[place[kept]], (readings[kept] - centre) / spread)

    expected, deviation = process(np.arange(4)).predict(actions, return_std=True)
    np.testing.assert_allclose(mean, centre + spread * expected, rtol=1e-8)
    np.testing.assert_allclose(variance, spread**2 * (np.square(deviation) + 0.01), rtol=1e-6)
    for i in range(4):
        without = process(np.delete(np.arange(4), i)).predict(actions[place[[i]]])[0]
        assert left_out[i] == pytest.approx(centre + spread * without, rel=1e-8)


@pytest.mark.parametrize(
    "make", [lambda t: MetaGP(known=t), lambda t: MetaGP(False, known=t), lambda t: RankingEnsemble(known=t)]
)
def test_training_materials_help_on_new_ones(make, known):
    found = played(make(lambda: known))
    best = found.best_so_far().mean(axis=0)
    np.testing.assert_array_equal(found.actions[:, 0], known.actions[_first(known)])
    assert best[4] > best[0] + 0.15, "it does not adapt"
    if isinstance(make(lambda: known), RankingEnsemble):
        assert all(len(np.unique(trial, axis=0)) == 5 for trial in found.actions), "no recipe is tried twice"


def _first(known: Table) -> list[int]:
    return [int(np.argmax(known.utilities(float(np.log(goal))).mean(axis=0))) for goal in TASKS.goal_um]


def test_a_laboratory_without_all_instruments_is_refused_before_play():
    from metaenv.materials.laboratory import Laboratory

    with pytest.raises(ValueError, match="one without SEM; leave characterised out"):
        MetaGP(laboratory=Laboratory(instruments={"SEM": None}))


def test_no_material_of_the_table_is_in_a_frozen_list():
    distribution = SolidStateDistribution()
    taught = set(distribution.sample(2000, "train", np.random.default_rng(SEED)).ids)
    for split in distribution.splits:
        if split != "train":
            assert not taught & set(distribution.frozen(split).tasks.ids), split


def test_particles_move_to_what_was_seen(monkeypatch):
    monkeypatch.setattr(moving_particles, "FIRST_PARTICLES", 150)
    monkeypatch.setattr(moving_particles, "PARTICLES", 64)
    monkeypatch.setattr(moving_particles, "COVER", 64)
    policy, tasks = MovingParticles(), TASKS.take(np.arange(4))
    best = played(policy, tasks, 4).best_so_far().mean(axis=0)
    assert best[3] > best[0] + 0.1
    spreads, policy._actions = moving_particles.SPREADS, policy._actions[:, :3]  # what came of the last is not yet seen
    for i in range(4):
        before = policy._log_likelihood(i, policy._first, spreads)
        after = policy._log_likelihood(i, policy._particles[i], spreads)
        assert np.median(after) > np.quantile(before, 0.9) + 1, "the particles have not followed"
        assert ((policy._particles[i] >= 0) & (policy._particles[i] < 1)).all()
        assert not np.isin(policy._particles[i], policy._first).all(axis=1).all(), "none has moved"
