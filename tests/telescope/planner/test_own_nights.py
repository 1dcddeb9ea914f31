"""A user's own dates and sites as tasks."""

import datetime as dt
import pickle
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from metaenv.errors import TaskError
from metaenv.policies import play_trials
from metaenv.telescope.planner.catalogue import TargetList
from metaenv.telescope.planner.constraints import Constraints, Requests
from metaenv.telescope.planner.custom_targets import CustomTargetsEnv, CustomTargetsVectorEnv
from metaenv.telescope.planner.own_nights import evening, evenings
from metaenv.telescope.planner.plan import plan_night, planners
from metaenv.telescope.references import InformedPolicy
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.telescope.sim.sites import SITES
from metaenv.testing import _check_keeps_task, _check_seeding, check_meta_env, check_vector_env
from metaenv.trial import VectorTrial

RNG = np.random.default_rng(0)
TARGETS = TargetList.of(
    [f"T{i}" for i in range(8)], RNG.uniform(90, 290, 8), RNG.uniform(-15, 60, 8), 18.0, RNG.integers(1, 4, 8)
)
MARCH = 2461478.5  # JD of 2027-03-14, 0 h: astropy.time.Time("2027-03-14").jd


LIMITS = Constraints(min_altitude_deg=35, max_altitude_deg=75, max_airmass=1.6, min_moon_deg=60)
ASKED = {"max_airmass": {"T1": 1.3}, "begin": {"T2": "2027-03-21T23:00"}, "exposure_s": 600, "repeats": {"T3": 2}}


LIMITED = replace(TARGETS, requests=Requests.of(TARGETS.names, ASKED))


def test_conformance():
    settings = {"site": ["la palma", "VLT"], "date": "2027-03-14/2027-03-16", "sky": "drawn", "slots": 6}
    check_meta_env(CustomTargetsEnv(targets=TARGETS, **settings), steps=8)
    settings |= {"constraints": LIMITS, "date": "2027-03-20/2027-03-21"}
    check_meta_env(CustomTargetsEnv(targets=LIMITED, **settings), steps=8)
    check_vector_env(lambda **options: CustomTargetsVectorEnv(LIMITED, **settings, **options), num_envs=2, steps=8)


def test_limits_of_the_run_and_of_the_list():
    """The mask of actions is that of limits computed again from altitudes, times and the moon."""
    settings = {"site": "la palma", "date": ["2027-03-20", "2027-03-21"], "slots": 8, "constraints": LIMITS}
    env = CustomTargetsVectorEnv(LIMITED, num_envs=8, **settings)
    assert "requests that only plan_night meets, since an exposure fills a slot here: exposure_s, repeats" in env.notes
    env.reset(seed=1)
    night = env.state.night
    altitude, moon = np.degrees(np.arcsin(night.sin_alt)), np.degrees(np.arccos(night.cos_moon))
    near = (moon < 60) & (night.moon.z > 0)[:, :, None]
    most = np.array([1.3 if name == "T1" else 1.6 for name in env.names])
    airmass = 1 / (
        np.sin(np.radians(altitude)) + 0.50572 * np.maximum(altitude + 6.07995, 1) ** -1.6364
    )  # Kasten and Young 1989
    early = (night.start < MARCH + 7 + 23 / 24)[:, :, None] & np.array([name == "T2" for name in env.names])
    free = (altitude > 35) & (altitude <= 75) & (airmass <= most) & ~near & ~early
    clear = np.abs(airmass - most) > 0.003
    assert near.any() and early.any() and ((airmass > most) & (altitude > 35) & clear).any() and free.any()
    np.testing.assert_array_equal((env.state.slots_left > 0)[clear], free[clear])
    for slot in range(8):
        open_ = env.action_masks()[:, :-1]
        np.testing.assert_array_equal(open_[clear[:, slot]], free[:, slot][clear[:, slot]])
        env.step(np.full(8, env.setup.targets))
    for name in ("look-ahead", "greedy", "priority"):
        assert play_trials(planners()[name], VectorTrial(env), env.distribution.nights, 0).scores.min() > 0


def test_limits_that_the_simulator_does_not_know():
    plain, none = CustomTargetsVectorEnv(TARGETS, "VLT", "2027-03-14"), Constraints(min_moon_deg=0)
    limited = CustomTargetsVectorEnv(TARGETS, "VLT", "2027-03-14", constraints=none)
    for env in (plain, limited):
        env.reset(seed=0)
        np.testing.assert_array_equal(env.state.slots_left, env.state.night.slots_left())
    with pytest.raises(TaskError, match=r"astronomical twilight, .* got 'nautical'; plan_night takes the others"):
        CustomTargetsEnv(targets=TARGETS, site="VLT", date="2027-03-14", constraints=Constraints(twilight="nautical"))
    with pytest.raises(TaskError, match=r"expected Constraints\(…\), got \{'max_airmass': 2\}"):
        CustomTargetsEnv(targets=TARGETS, site="VLT", date="2027-03-14", constraints={"max_airmass": 2})
    with pytest.raises(TaskError, match=r"by the limits of the run or by their own: T"):
        CustomTargetsEnv(targets=TARGETS, site="VLT", date="2027-03-14", constraints=Constraints(max_airmass=1.0001))


def test_one_night_under_a_clear_sky_is_always_the_same():
    env = CustomTargetsEnv(targets=TARGETS, site="la palma", date="2027-03-14", slots=6)
    _check_keeps_task(env, env)
    _check_seeding(env, steps=8)
    several = CustomTargetsEnv(targets=TARGETS, site="la palma", date="2027-03-14/2027-03-15", slots=6)
    several.distribution.nights = several.distribution.nights.take(np.array([0, 0]))  # two, but alike
    with pytest.raises(AssertionError, match=r"reset\(\) must draw new tasks"):
        _check_keeps_task(several, several)


@pytest.mark.parametrize(
    "day", ["2027-03-14", dt.date(2027, 3, 14), np.datetime64("2027-03-14"), np.datetime64("2027-03-14T00:00")]
)
def test_days(day):
    assert evening(day) == MARCH
    assert evenings(day) == evenings([day]) == [MARCH]


def test_several_days():
    assert evenings("2027-03-14/2027-03-16") == [MARCH, MARCH + 1, MARCH + 2]
    assert evenings(np.arange("2027-03-14", "2027-03-16", dtype="datetime64[D]")) == [MARCH, MARCH + 1]
    assert evenings(("2027-03-14", dt.date(2027, 3, 20))) == [MARCH, MARCH + 6]


@pytest.mark.parametrize(
    "date, message",
    [
        (np.datetime64("2027-03-14T03"), "got the time '2027-03-14T03:00'"),
        (np.datetime64("NaT"), "date NaT cannot be planned"),
        (20270314, "such as '2027-03-14', got 20270314"),
        (None, "such as '2027-03-14', got None"),
        ([], "expected 1 to 1098 days, got 0"),
        ("2027-03-14/2027-03-01", "expected first/last day"),
        ("2027-03-14/2037-03-01", "at most 1098 nights"),
        ("2027-03-14/2027-03-15/2027-03-16", "expected first/last day"),
        ("2027-03-14/soon", "date soon cannot be planned"),
    ],
)
def test_what_is_no_day(date, message):
    with pytest.raises(TaskError, match=message):
        evenings(date)


def test_each_site_and_day_is_a_task():
    env = CustomTargetsVectorEnv(TARGETS, ["la palma", "VLT"], "2027-03-14/2027-03-16", num_envs=64, slots=3)
    env.reset(seed=0)
    nights = set(zip(env.tasks.latitude_deg, env.tasks.evening_mjd, strict=True))
    expected = {(SITES[k].latitude_deg, MARCH - 2400000.5 + d) for k in ("la palma", "paranal") for d in range(3)}
    assert nights == expected and len(env.distribution.frozen("test")) == 6
    names = {env._scene(row).title for row in range(64)}
    assert names == {"Roque de los Muchachos, La Palma", "Paranal Observatory"}


def test_targets_of_any_night_are_kept():
    """Vega is up in September, Regulus in March, Canopus never from La Palma."""
    stars = TargetList.of(
        ["Vega", "Regulus", "Canopus", "Fomalhaut"], [279.2, 152.1, 96, 344.4], [38.8, 12, -52.7, -29.6]
    )
    for site, date, names in (
        ("la palma", "2027-01-20", {"Regulus"}),
        ("la palma", ["2027-01-20", "2027-09-01"], {"Regulus", "Vega", "Fomalhaut"}),
        (["la palma", "VLT"], "2027-01-20", {"Regulus", "Canopus"}),
    ):
        env = CustomTargetsVectorEnv(stars, site, date, slots=6)
        assert set(env.names) == names
    assert env.notes[0].endswith("do not stand above 27 deg in any of these nights: Vega, Fomalhaut")
    fixed = CustomTargetsVectorEnv(stars, ["la palma", "VLT"], "2027-01-20", 8, variant="short")
    fixed.reset(seed=0)
    padding = fixed.state.targets.dec[:, -1]  # never rises, north or south
    assert (np.sign(padding) == -np.sign(fixed.tasks.latitude_deg)).all() and len(set(padding)) == 2


def test_short_nights_are_left_out_with_a_note():
    env = CustomTargetsVectorEnv(TARGETS, (52.5, 13.4), "2027-05-10/2027-06-10", slots=3)
    assert 0 < len(env.distribution.frozen("test")) < 32
    assert "too short" in env.notes[-1] and "+52.500, +13.400" in env.notes[-1]
    with pytest.raises(TaskError, match=r"2027-06-10 at .* has 0.0 h in which the sun is 18 deg below"):
        CustomTargetsVectorEnv(TARGETS, (52.5, 13.4), "2027-06-10/2027-06-12", slots=3)


def test_references_are_those_of_the_own_targets():
    env = CustomTargetsVectorEnv(TARGETS, "la palma", "2027-03-14/2027-03-15", 2, slots=4)
    frozen = env.distribution.frozen("test")
    assert (frozen.reference.oracle >= frozen.reference.random).all()
    played = play_trials(InformedPolicy(clairvoyant=True), VectorTrial(env), frozen.tasks, 0)
    np.testing.assert_allclose(played.scores.mean(axis=1), frozen.reference.oracle)
    one = plan_night(TARGETS, "la palma", np.datetime64("2027-03-14"), "greedy", slots=4)
    assert one.date == "2027-03-14"
    copy = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(copy.distribution.frozen("train").reference.random, frozen.reference.random)


def test_made_by_gymnasium():
    kwargs = {"targets": TARGETS, "site": "VLT", "date": "2027-03-14/2027-03-15", "slots": 3}
    gym.register(
        "test/OwnNights-v0", entry_point=CustomTargetsEnv, vector_entry_point=CustomTargetsVectorEnv, kwargs=kwargs
    )
    try:
        env = gym.make("test/OwnNights-v0", disable_env_checker=True)
        several = gym.make_vec("test/OwnNights-v0", num_envs=3)
        assert env.reset(seed=0)[0].shape == several.reset(seed=0)[0].shape[1:]
        assert env.spec.max_episode_steps == 3
    finally:
        del gym.registry["test/OwnNights-v0"]


def test_proper_motion_is_applied_to_the_dates():
    """Barnard's star, 116 arcsec from its place of 2016 by 2027.2."""
    barnard = {
        "ra_deg": [269.4485],
        "dec_deg": [4.73942],
        "pm_ra_mas": -801.551,
        "pm_dec_mas": 10362.394,
        "epoch": 2016.0,
    }
    env = CustomTargetsVectorEnv(TargetList.of(["Barnard"], **barnard), "la palma", "2027-03-14", slots=3)
    env.reset(seed=0)
    assert np.degrees(env.state.targets.dec[0, 0]) == pytest.approx(4.739420 + 10.362394 * 11.2 / 3600, abs=1e-5)
    assert "positions are those of 2027.2" in env.notes[0]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"targets": "list.csv"}, "expected a TargetList, such as read_targets gives, got str"),
        ({"site": []}, "expected at least one site"),
        ({"site": ["VLT", "kek"]}, "no site 'kek'.*Did you mean 'keck'"),
        ({"slots": "8"}, "at least one slot, got '8'"),
        ({"slots": 2.5}, "at least one slot, got 2.5"),
        ({"slots": True}, "at least one slot, got True"),
        ({"nights": 1.5}, "at least one night, a whole number, got 1.5"),
        ({"nights": 0}, "at least one night, a whole number, got 0"),
        ({"assumptions": {"snr_needed": None}}, "expected a number for 'snr_needed' of the assumptions, got None"),
        ({"assumptions": {"snr_needed": "9"}}, "expected a number for 'snr_needed'"),
    ],
)
def test_refused(change, message):
    arguments = {"targets": TARGETS, "site": "VLT", "date": "2027-03-14", **change}
    with pytest.raises(TaskError, match=message):
        CustomTargetsEnv(**arguments)


def test_planners_play_own_nights():
    """Look-ahead earns most where the sky is as it expects, and knows nothing of clouds where it is not."""
    where, faint = (["la palma", "VLT"], "2027-03-14/2027-03-16"), replace(TARGETS, magnitude=np.full(8, 21.0))

    def scores(name, sky):
        env = CustomTargetsVectorEnv(faint, *where, num_envs=3, slots=6, nights=2, sky=sky)
        return play_trials(planners()[name], VectorTrial(env), env.distribution.nights, 0).scores

    ahead, greedy = scores("look-ahead", "nominal"), scores("greedy", "nominal")
    assert ahead.shape == (6, 2) and (ahead > greedy - 1e-6).all() and ahead.mean() > 1.03 * greedy.mean()
    assert 0 < scores("look-ahead", "drawn").mean() < ahead.mean()
    own = CustomTargetsVectorEnv(faint, "la palma", "2027-03-14", slots=6)
    played = play_trials(planners()["look-ahead"], VectorTrial(own), own.distribution.nights, 0)
    limits = Constraints(min_moon_deg=0.0)
    planned = [e.target for e in plan_night(faint, "la palma", "2027-03-14", slots=6, constraints=limits)]
    names = [own.names[k] for k in played.actions[0] if 0 <= k < len(own.names)]
    assert names == planned


@pytest.mark.parametrize("name", ["look-ahead", "greedy"])
def test_planners_that_need_the_worth_are_refused_where_it_is_hidden(name):
    trials = VectorTrial(TargetSelectionVectorEnv(1, "short"))
    trials.reset(seed=0)
    with pytest.raises(ValueError, match="TargetSelectionVectorEnv hides what its targets are worth: take 'priority'"):
        planners()[name].start(trials, np.random.default_rng(0))
