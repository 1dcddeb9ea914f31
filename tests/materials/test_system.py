"""MaterialsSynthesis in its default variant: options in the physics, compounds in turn, lists and references."""

import math

import gymnasium as gym
import numpy as np
import pytest

from metaenv import ObserveTask, Trial, make_trials
from metaenv.errors import TaskError
from metaenv.materials.kinetics import simulate
from metaenv.materials.recipes import one_step
from metaenv.materials.system.baselines import baselines
from metaenv.materials.system.distribution import FROZEN_SIZES, STORE, SystemDistribution, references
from metaenv.materials.system.env import SystemSynthesisVectorEnv
from metaenv.materials.system.layout import GRAIN, LAYOUT, MADE, MEASURED, SHOWN
from metaenv.materials.system.options import COMPOUNDS, LOADINGS, OPTIONS, PLACES, SIZES, affinities_of_choice
from metaenv.materials.system.oracle import Search, oracle, utility_table
from metaenv.materials.system.particle_bayes import ParticleBayes
from metaenv.materials.system.recipes import ACTIONS, N_QUANTITIES, from_action, to_action
from metaenv.materials.system.tasks import SystemTask, materials
from metaenv.materials.tasks import SolidStateDistribution
from metaenv.materials.utility import utility
from metaenv.policies import play_trials
from metaenv.tasks import TaskBatch
from metaenv.testing import check_meta_env, check_vector_env
from metaenv.vector import BatchedEnv

ID = "metaenv:metaenv/MaterialsSynthesis-v1"
D = SystemDistribution()
TASKS = D.sample(8, "train", np.random.default_rng(5))


def changed(task: SystemTask, **values: object) -> SystemTask:
    return SystemTask.from_dict({**task.to_dict(), **values})


def suits(task: SystemTask, compound: int, option: int) -> float:
    """The affinity by hand, above the neutral one."""
    of_compound = task.traits_of_compounds[3 * compound : 3 * compound + 3]
    return sum(c * v for c, v in zip(of_compound, LOADINGS[option], strict=True)) + task.own_affinity[option] - 0.8


def test_a_compound_made_from_options_is_the_material_computed_by_hand():
    rng = np.random.default_rng(0)
    for i, task in enumerate(TASKS.tasks()):
        e, choice = i % COMPOUNDS, [int(k) for k in rng.integers(0, SIZES)]
        a, b, flux, gas = (suits(task, e, place.start + k) for place, k in zip(PLACES, choice, strict=True))
        batch = materials(TASKS.take(np.array([i])), np.array([e]), np.array([choice]))
        made = {name: np.ravel(column)[0] for name, column in batch.columns.items()}
        onset = task.onset_target_K[e]
        decomposition = onset + task.decomposition_above_K[e] + 90 * gas
        expected = {
            "onset_target_K": onset,
            "onset_intermediate_K": onset + task.trap_above_K[e],
            "onset_loss_K": onset + task.loss_above_K[e] + 160 * a,
            "precursor_contact": math.exp(3 * b),
            "onset_transform_K": onset + task.transform_above_K[e] - 110 * flux,
            "onset_decomposition_K": decomposition,
            "decomposition_K": decomposition - task.stable_below_K,
            "precursor_onset_K": onset - task.precursor_below_K,
            "carbonate_K": onset - task.precursor_below_K + task.carbonate_above_K,
            "precursor_energy_kJ_mol": task.precursor_energy,
            "goal_um": task.goal_um[e],
            "growth_um": task.growth_um[e],
        }
        own = {"phase_bias": task.phase_bias[0]}
        shared = {name: getattr(task, name) for name in made.keys() - expected.keys() - own.keys()}
        assert made == pytest.approx({**expected, **own, **shared}, rel=1e-12)


def test_contact_speeds_up_avrami_s_law_as_the_source_of_b_says():
    """X = 1 - exp[-(k t)^n] at one temperature, k = exp[3 (affinity - 0.8)] / h at the onset with 1 um powder."""
    task = changed(
        TASKS.task(0),
        onset_target_K=[1200.0] * 3, trap_above_K=[900.0] * 3, transform_above_K=[900.0] * 3, loss_above_K=[900.0] * 3,
        decomposition_above_K=[900.0] * 3, precursor_below_K=600.0, carbonate_above_K=-300.0, avrami_target=2.0,
        energy_target_kJ_mol=420.0, formation_enthalpy_kJ_mol=-300.0, formation_entropy_J_mol_K=0.0,
        furnace_offset_K=0.0, traits_of_compounds=[0.0] * 9, own_affinity=[0.8] * 6 + [0.5] + [0.8] * 11,
    )  # fmt: skip
    for option, affinity in ((0, 0.8), (1, 0.5)):
        batch = TaskBatch.from_tasks([task])
        made = materials(batch, np.array([1]), np.array([[0, option, 0, 0]]))
        hours = 0.5
        share = simulate(made, one_step(1200.0, hours, 500.0, 0.0, 1.0), 4000).amounts.target[0]
        # Heating and cooling at 500 and 10 K/min last as long at 1200 K as k falls by 1/e in: R T^2 / E over the rate.
        more = 8.314 * 1200**2 / 420e3 * (1 / 500 + 1 / 10) / 60
        assert share == pytest.approx(1 - math.exp(-((math.exp(3 * (affinity - 0.8)) * (hours + more)) ** 2)), abs=5e-3)


def test_scores_readings_and_returns_are_those_of_the_one_simulator():
    env = make_trials("MaterialsSynthesis", 4, noise_factor=0.0, autoreset_mode="Disabled")
    tasks = TaskBatch.from_tasks([changed(task, phase_bias=[0.0] * 5) for task in TASKS.tasks()[:4]])
    env.reset(seed=3, options={"tasks": tasks})
    rng, total = np.random.default_rng(0), np.zeros(4)
    for _ in range(env.episodes):
        action = rng.uniform(-1, 1, (4, len(ACTIONS)))
        _, reward, _, _, info = env.step(action)
        total += reward
        recipe, choice = from_action(action)
        made = materials(tasks, info["compound"], choice)
        outcome = simulate(made, recipe)
        expected = utility(outcome.target_fraction, outcome.grain_um, made.goal_um, recipe)
        np.testing.assert_array_equal(info["score"], expected)
        assert (reward >= expected - 0.08).all() and (reward <= expected + 0.08).all()  # phases below 2 % are not seen
    np.testing.assert_allclose(env.trial_state.total, total)


def test_every_block_has_each_compound_once_in_another_order():
    env = make_trials("MaterialsSynthesis", 16, autoreset_mode="SameStep")
    observation, _ = env.reset(seed=0)
    asked = []
    for _ in range(24):  # a second trial with the same object
        asked.append(np.argmax(observation[:, :COMPOUNDS], axis=1))
        observation, _, terminated, _, info = env.step(np.zeros((16, len(ACTIONS))))
        done = info["final_info"]["compound"] if terminated.all() else info["compound"]
        np.testing.assert_array_equal(done, asked[-1])
    blocks = np.array(asked).reshape(8, 3, 16)
    assert (np.sort(blocks, axis=1) == np.arange(3)[None, :, None]).all()
    assert len(np.unique(blocks.transpose(0, 2, 1).reshape(-1, 3), axis=0)) == 6


def test_a_new_system_begins_a_new_block_and_a_kept_one_goes_on():
    env = gym.make_vec(ID, num_envs=1, autoreset_mode="Disabled")
    first = [env.reset(seed=7)[1]["compound"][0]]
    for _ in range(2):
        first.append(env.reset(options={"keep_task": True})[1]["compound"][0])
    assert sorted(first) == [0, 1, 2]
    env.reset(options={"keep_task": True})
    again = [env.reset(options={"task": TASKS.task(0)})[1]["compound"][0]]
    for _ in range(2):
        again.append(env.reset(options={"keep_task": True})[1]["compound"][0])
    assert sorted(again) == [0, 1, 2]


def test_flags_say_what_was_not_measured():
    env = gym.make_vec(ID, num_envs=2, autoreset_mode="Disabled")
    observation, _ = env.reset(seed=0)
    assert (observation[:, MADE:] == 0).all() and observation[:, :COMPOUNDS].sum() == 2
    cold = to_action(one_step(np.full(2, 700.0), 0.33, 4.5), np.zeros((2, 4), np.intp))
    observation = env.step(cold)[0]
    columns = [MEASURED[name] for name in ("XRD", "SEM", "balance")]
    assert observation[:, columns].tolist() == [[1, 0, 1]] * 2 and (observation[:, GRAIN] == 0).all()
    assert (observation[:, LAYOUT.column("target")] == 0).all() and (observation[:, MADE] == 1).all()
    env = gym.make_vec(ID, num_envs=2, feedback="yield", autoreset_mode="Disabled")
    env.reset(seed=0)
    observation = env.step(cold)[0]
    assert (observation[:, columns] == 0).all() and (observation[:, SHOWN][:, :-1] == 0).all()
    assert (observation[:, SHOWN][:, -1] != 0).all()


PHASES, LOSS, READING = (LAYOUT.column(name) for name in ("precursor", "mass loss", "reading"))


def seen_without(missing):
    """What 40 campaigns show of their first experiments, (40, 34); their trials, and what they did."""
    env = make_trials("MaterialsSynthesis", 40, missing=missing)
    env.reset(seed=3)
    env.action_space.seed(3)
    action = env.action_space.sample()
    return env.step(action)[0][:, LAYOUT.width : 2 * LAYOUT.width], env, action


@pytest.mark.parametrize("missing", [(), ("SEM",), ("XRD", "balance"), ("XRD", "SEM", "balance")])
def test_a_laboratory_without_an_instrument_shows_the_same_but_for_what_it_measures(missing):
    full, shown = seen_without(())[0], seen_without(",".join(missing))[0]
    expected = full.copy()
    columns = {"XRD": [*range(PHASES, PHASES + 5)], "SEM": [GRAIN], "balance": [LOSS]}
    for name in missing:
        expected[:, [MEASURED[name], *columns[name]]] = 0
    assert (full[:, LOSS] != 0).all() and (full[:, GRAIN] != 0).any() and (full[:, READING] != 0).all()
    np.testing.assert_array_equal(shown, expected)
    np.testing.assert_array_equal(shown, seen_without(missing or "none")[0])


def test_drawn_instruments_belong_to_a_system():
    shown, env, action = seen_without("drawn")
    xrd, balance = shown[:, MEASURED["XRD"]], shown[:, MEASURED["balance"]]
    assert 0.4 < xrd.mean() < 0.9 and 0.4 < balance.mean() < 0.9 and (xrd != balance).any()  # two in three on average
    for _ in range(10):
        shown = env.step(action)[0][:, LAYOUT.width : 2 * LAYOUT.width]
        np.testing.assert_array_equal(shown[:, [MEASURED["XRD"], MEASURED["balance"]]].T, [xrd, balance])
        assert ((shown[:, PHASES : PHASES + 5] != 0).any(axis=1) == (xrd == 1)).all()
    env.step(action)  # the trials end, and others begin with other systems
    env.step(action)
    again = env.step(action)[0][:, LAYOUT.width : 2 * LAYOUT.width]
    assert (again[:, MEASURED["XRD"]] != xrd).any() and (again[:, MEASURED["balance"]] != balance).any()


def test_many_laboratories_lack_each_instrument_one_time_in_three():
    env = make_trials("MaterialsSynthesis", 3000, missing="drawn")
    env.reset(seed=0)
    env.action_space.seed(0)
    has = env.step(env.action_space.sample())[0][:, LAYOUT.width :][:, [MEASURED["XRD"], MEASURED["balance"]]]
    np.testing.assert_allclose(has.mean(axis=0), 2 / 3, atol=0.04)
    assert abs(np.corrcoef(has.T)[0, 1]) < 0.08


def test_what_was_chosen_is_shown_and_named():
    env = Trial(gym.make(ID, render_mode="ansi"))
    observation, _ = env.reset(seed=1)
    action = to_action(one_step(1250.0, 6.0, 4.5, 0.05, 0.7), np.array([[3, 4, 1, 2]]))[0]
    observation = env.step(action.astype(np.float32))[0]
    report = observation[LAYOUT.width : 2 * LAYOUT.width]
    for (group, names), k in zip(OPTIONS.items(), (3, 4, 1, 2), strict=True):
        assert report[LAYOUT.slice(group)].tolist() == np.eye(len(names))[k].tolist()
    text = env.render()
    assert "1250 K for 6.0 h" in text and "source of A acetate" in text and "source of B basic carbonate" in text
    assert "flux chlorides" in text and "gas nitrogen" in text and "now: compound" in text
    recipe, choice = from_action(action[None])
    assert recipe.temperature_K[0] == pytest.approx(1250) and choice.tolist() == [[3, 4, 1, 2]]


def test_it_keeps_the_contract():
    check_meta_env(gym.make(ID), steps=4)
    check_vector_env(lambda **settings: gym.make_vec(ID, **settings), num_envs=2, steps=4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "systems"}, "Did you mean 'system'"),
        ({"laboratory": {"goal": (1, 2)}}, "default laboratory only"),
        ({"feedback": "phase"}, "Did you mean 'phases'"),
        ({"noise_factor": -1}, "from 0 to 10"),
        ({"missing": "sem"}, "Did you mean 'SEM'"),
        ({"missing": "XRD,drawn"}, "'drawn' alone"),
        ({"missing": 3}, "expected names of instruments"),
        ({"missing": "SEM", "feedback": "yield"}, "no missing= with feedback='yield'"),
        ({"split": "ood-instrument"}, "no split 'ood-instrument'"),
        ({"distribution": SolidStateDistribution()}, "ChemicalSystem|SystemTask"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises((ValueError, TaskError), match=message):
        gym.make_vec(ID, num_envs=1, **settings)


def test_the_affinities_of_what_was_chosen_are_those_of_all_options():
    rng = np.random.default_rng(1)
    compound, choice = rng.integers(0, COMPOUNDS, 8), np.stack([rng.integers(0, size, 8) for size in SIZES], axis=1)
    found = affinities_of_choice(TASKS.traits_of_compounds, TASKS.own_affinity, compound, choice)
    for i, task in enumerate(TASKS.tasks()):
        expected = [suits(task, compound[i], PLACES[g].start + choice[i, g]) + 0.8 for g in range(4)]
        np.testing.assert_allclose(found[i], expected, rtol=1e-12, atol=1e-12)


def test_who_is_told_the_system_sees_first_the_compound_that_is_made():
    env = make_trials("MaterialsSynthesis", 3, observe_task=True)
    observation, _ = env.reset(seed=2)
    assert env.trial_state.layout.slice("last report").stop - env.trial_state.layout.slice("last report").start == 34
    for _ in range(4):
        compound, told = np.argmax(observation[:, :COMPOUNDS], axis=1), observation[:, LAYOUT.width :]
        for i, task in enumerate(env.tasks.tasks()):
            for k in range(COMPOUNDS):
                e, start = (compound[i] + k) % COMPOUNDS, 34 + 25 * k
                onset, growth = task.onset_target_K[e], task.growth_um[e]
                assert told[i, start] == pytest.approx((onset - 900) / 650 * 2 - 1, abs=1e-6)
                assert told[i, start + 5] == pytest.approx(2 * math.log(growth / 0.3) / math.log(5 / 0.3) - 1, abs=1e-6)
                for option in range(18):
                    affinity = min(max((suits(task, e, option) + 0.8) / 4, -1), 1)
                    assert told[i, start + 7 + option] == pytest.approx(affinity, abs=1e-6)
        observation = env.step(np.zeros((3, len(ACTIONS))))[0]
    scalar = Trial(ObserveTask(gym.make(ID)))
    assert scalar.observation_space.shape == env.single_observation_space.shape
    np.testing.assert_array_equal(scalar.reset(seed=2)[0], env.reset(seed=2)[0][0])


def test_temperatures_of_an_absurd_system_are_kept_above_room_temperature():
    cold = changed(TASKS.task(0), trap_above_K=[-1900.0] * 3, stable_below_K=2000.0)
    made = materials(TaskBatch.from_tasks([cold]), np.array([1]), np.zeros((1, 4), np.intp))
    assert made.onset_intermediate_K[0] == 300 and made.decomposition_K[0] == 300
    assert made.onset_target_K[0] == cold.onset_target_K[1]


@pytest.mark.parametrize(
    ("variant", "numbers", "actions"), [("system", 34, 22), ("recipe", 10, 5), ("full", 10, 11), (None, 34, 22)]
)
def test_each_variant_can_be_made_by_its_name(variant, numbers, actions):
    given = {} if variant is None else {"variant": variant}
    env, vector, trials = gym.make(ID, **given), gym.make_vec(ID, num_envs=3, **given), make_trials(ID, 2, **given)
    assert env.observation_space.shape == vector.single_observation_space.shape == (numbers,)
    assert env.action_space.shape == trials.single_action_space.shape == (actions,)
    assert trials.episodes == (12 if numbers == 34 else 10) and vector.num_envs == 3
    again = gym.make(env.spec)
    assert again.observation_space == env.observation_space and again.spec.kwargs == given


@pytest.mark.parametrize("split", FROZEN_SIZES)
def test_stored_references_are_those_that_are_computed(split):
    frozen, stored = D.frozen(split), STORE.arrays(split)
    assert len(frozen) == FROZEN_SIZES[split]
    np.testing.assert_allclose(frozen.reference.oracle, stored["oracle_compounds"].mean(axis=1))
    random, best = references(frozen.tasks.take(np.array([17])))
    np.testing.assert_allclose(random[0], stored["random_compounds"][17], atol=1e-6)
    assert abs(best[0] - stored["oracle_compounds"][17]).mean() < 0.01


def test_ood_lists_hold_out_what_they_say():
    ranges = {"onset_common_K": ("ood-hot", 1200, 1300), "nucleation_J_m2": ("ood-mechanism", 0.15, 0.30)}
    for name, (split, low, high) in ranges.items():
        values = getattr(D.frozen(split).tasks, name)
        assert low <= values.min() and values.max() <= high
        assert not ((getattr(D.frozen("test").tasks, name) >= low) & (getattr(D.frozen("test").tasks, name) > 0)).any()
    assert D.frozen("ood-options").tasks.traits[:, 0].min() > 0.6 > D.frozen("test").tasks.traits[:, 0].max()


def test_two_searches_agree_and_beat_random_actions():
    few, compound = TASKS.take(np.arange(3)), np.array([0, 1, 2])
    search = Search(cover=16, chains=4, rounds=10)
    one, action = oracle(few, compound, 1, search)
    two = oracle(few, compound, 2)[0]
    assert abs(one - two).max() < 0.03
    tried = np.random.default_rng(0).uniform(-1, 1, (1500, len(ACTIONS)))
    assert (utility_table(few, compound, tried).max(axis=1) < two).all()
    np.testing.assert_array_equal(utility_table(few, compound, action[:, None])[:, 0], one)


def test_all_options_and_quantities_matter():
    """The oracle's action with another option of one group, or another number, is worth less on average."""
    tasks, compound = TASKS.repeated(COMPOUNDS), np.tile(np.arange(COMPOUNDS), len(TASKS))
    best, action = oracle(tasks, compound, 1, Search(cover=8, chains=3, proposals=10, rounds=10))
    for g, size in enumerate(SIZES):
        others = []
        for k in range(size):
            recipe, choice = from_action(action)
            choice[:, g] = k
            others.append(utility_table(tasks, compound, to_action(recipe, choice)[:, None])[:, 0])
        assert best.mean() - np.mean(others) > 0.05 and best.mean() - np.min(others, axis=0).mean() > 0.15
    for k in range(N_QUANTITIES):
        moved = action.copy()
        moved[:, k] = np.where(moved[:, k] > 0, moved[:, k] - 0.4, moved[:, k] + 0.4)
        assert best.mean() - utility_table(tasks, compound, moved[:, None])[:, 0].mean() > 0.01


def test_no_frozen_system_is_reachable_from_a_baseline(monkeypatch):
    """Baselines play without looking at a list, and their particles are none of the lists' systems."""
    env = make_trials("MaterialsSynthesis", 1, episodes=2)
    listed = {task_id for split in FROZEN_SIZES for task_id in D.frozen(split).tasks.ids}

    def refused(*args):
        raise AssertionError("a baseline looks at a frozen list")

    for name in ("frozen_list", "frozen"):
        monkeypatch.setattr(SystemDistribution, name, refused)
    monkeypatch.setattr("metaenv.materials.system.particle_bayes.PARTICLES", 48)
    for policy in baselines().values():
        play_trials(policy, env, TASKS.take(np.array([0])))
        if isinstance(policy, ParticleBayes):
            assert not listed & set(policy._campaigns[0]._tasks.ids)


def test_particles_come_to_fit_what_was_seen(monkeypatch):
    from metaenv.materials.system.particle_bayes import _log_likelihood

    monkeypatch.setattr("metaenv.materials.system.particle_bayes.PARTICLES", 48)
    env = make_trials("MaterialsSynthesis", 1, episodes=3)
    policy = ParticleBayes()
    play_trials(policy, env, TASKS.take(np.array([2])))
    campaign, prior = policy._campaigns[0], D.sample(48, "train", np.random.default_rng(1))
    assert len(campaign._seen) == 2

    def fit(tasks):
        return np.sum([_log_likelihood(tasks, seen) for seen in campaign._seen], axis=0)

    assert np.median(fit(prior)) < -60 and fit(campaign._tasks).min() > -15  # each of them
    np.testing.assert_allclose(campaign._fit, fit(campaign._tasks))


@pytest.mark.parametrize("missing", ["SEM", "XRD", "XRD,SEM", "XRD,balance", "XRD,SEM,balance"])
def test_particles_are_weighed_by_what_the_laboratory_measures(missing, monkeypatch):
    from metaenv.materials.system.particle_bayes import _log_likelihood

    monkeypatch.setattr("metaenv.materials.system.particle_bayes.PARTICLES", 48)
    env = make_trials("MaterialsSynthesis", 1, episodes=4, missing=missing)
    policy = ParticleBayes()
    play_trials(policy, env, TASKS.take(np.array([2])))
    campaign, prior = policy._campaigns[0], D.sample(200, "train", np.random.default_rng(1))
    assert len(campaign._seen) == 3
    for seen in campaign._seen:
        assert np.isnan(seen.phases).all() == ("XRD" in missing) and np.isnan(seen.mass_loss) == ("balance" in missing)
        assert not np.isnan(seen.reading) and ("SEM" not in missing or np.isnan(seen.log_grain))
    of_truth, of_prior = (
        np.sum([_log_likelihood(tasks, seen) for seen in campaign._seen], axis=0)
        for tasks in (TASKS.take(np.array([2])), prior)
    )
    assert of_truth[0] > -8 and of_truth[0] > np.quantile(of_prior, 0.9) and np.isfinite(of_prior).all()


def test_what_is_measured_beside_the_reading_tells_particles_apart():
    """A system's own results, of which one number is changed after the other, fit worse by the square of the change."""
    from metaenv.materials.system.particle_bayes import (
        LOSS_SPREAD,
        PHASE_SPREAD,
        READING_SPREAD,
        SIZE_SPREAD,
        Seen,
        _log_likelihood,
    )

    task, recipe = TASKS.take(np.array([2])), one_step(np.full(1, 1250.0), 6.0, 4.5)
    action = to_action(recipe, np.zeros((1, 4), np.intp))
    made = materials(task, np.array([1]), np.zeros((1, 4), np.intp))
    outcome = simulate(made, from_action(action)[0], 16)
    shares = outcome.phase_fractions * np.exp(task.phase_bias)
    shares = shares[0] / shares.sum()
    worth = utility(shares[3:4], outcome.grain_um, np.array([3.0]), from_action(action)[0])
    numbers = {"log_grain": np.log(outcome.grain_um[0]), "mass_loss": outcome.mass_loss[0], "reading": worth[0]}
    for name, spread in (("log_grain", SIZE_SPREAD), ("mass_loss", LOSS_SPREAD), ("reading", READING_SPREAD)):
        off = {**numbers, name: numbers[name] + 2 * spread}
        seen, other = (Seen(1, action[0], 3.0, np.full(5, np.nan), **own) for own in (numbers, off))
        assert _log_likelihood(task, seen)[0] == pytest.approx(0, abs=1e-9)
        assert _log_likelihood(task, other)[0] == pytest.approx(-2)
    off = {**numbers, "reading": worth[0] + 2 * READING_SPREAD, "mass_loss": np.nan}
    for grain, phases, expected in (
        (np.nan, shares, -2.0),  # no SEM: the reading counts
        (np.nan, np.where(np.arange(5) == 3, 0.0, shares), -0.5 * (shares[3] / PHASE_SPREAD) ** 2),  # no target seen
        (numbers["log_grain"], shares, 0.0),  # all is measured
    ):
        seen = Seen(1, action[0], 3.0, phases, **{**off, "log_grain": grain})
        assert _log_likelihood(task, seen)[0] == pytest.approx(expected, abs=1e-9)


def test_it_needs_no_more_than_a_batched_environment():
    assert issubclass(SystemSynthesisVectorEnv, BatchedEnv) and SystemSynthesisVectorEnv.action_choices == SIZES
