"""Nights of a user's own targets, and the plans made of them."""

import csv
import datetime as dt
import io
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from metaenv.errors import TaskError
from metaenv.policies import AgentPolicy
from metaenv.telescope.planner.catalogue import TargetList
from metaenv.telescope.planner.custom_targets import CustomTargetsEnv, CustomTargetsVectorEnv
from metaenv.telescope.planner.plan import COLUMNS, plan_night, planners
from metaenv.telescope.sim.exposure import electrons_per_second, quality
from metaenv.telescope.tasks import NIGHT_SETUPS
from metaenv.testing import _check_final_observations, _check_rows_are_scalars

SITE, DATE = "la palma", "2027-03-14"  # Vega rises late in the night, Rigel sets early
STARS = TargetList.of(
    ["Vega", "Rigel", "Regulus", "Canopus", "Fomalhaut", "Arcturus"],
    [279.2347, 78.6345, 152.0930, 95.9880, 344.4127, 213.9153],
    [38.7837, -8.2016, 11.9672, -52.6957, -29.6222, 19.1824],
    [17.0, 17.1, 17.4, 16.3, 17.2, 17.0],
    priority=[3, 1, 2, 1, 1, 1],
)


def many(n, seed=0):
    rng = np.random.default_rng(seed)
    names = [f"T{i}" for i in range(n)]
    return TargetList.of(names, rng.uniform(90, 290, n), rng.uniform(-15, 70, n), 18.0, rng.integers(1, 4, n))


class First:
    """Stands for a trained agent: takes the first allowed action and remembers how often it was asked."""

    def __init__(self, n_actions, observation_size):
        self.dims = SimpleNamespace(n_actions=n_actions, observation_size=observation_size)
        self.asked = 0

    def predict(self, observation, state, episode_start, deterministic, action_masks):
        assert observation.shape[1] == self.dims.observation_size
        self.asked += 1
        return action_masks.argmax(axis=1), state


def agent(variant):
    plan = NIGHT_SETUPS[variant]
    actions = len(plan.lengths) * plan.targets + 1
    return First(actions, 20 * plan.targets + 28 + 1 * plan.targets + 1 + actions + 3)


def test_a_plan_for_operators():
    plan = plan_night(STARS, SITE, DATE)
    assert [e.target for e in plan] and {e.target for e in plan} == {"Vega", "Rigel", "Regulus", "Arcturus"}
    # -52.7 deg culminates at 8.5 deg from La Palma; Fomalhaut is up by day in March.
    assert "never rise above 27 deg at Roque de los Muchachos, La Palma: Canopus" in plan.notes[0]
    assert "do not stand above 27 deg in this night: Fomalhaut" in plan.notes[1]
    times = [e.utc for e in plan]
    assert times == sorted(times) and plan.dusk <= times[0] and times[-1] < plan.dawn
    assert plan.dusk.startswith("2027-03-14T20:") and plan.dawn.startswith("2027-03-15T06:")
    rigel = next(e for e in plan if e.target == "Rigel")
    assert rigel is plan.exposures[0] and rigel.dec == "-08:12:05.8" and rigel.ra == "05:14:32.28"
    for e in plan:
        assert 1.0 <= e.airmass < 2.3 and 0 <= e.moon_deg <= 180
        assert e.exposure_s + e.slew_s + 8.0 == pytest.approx(plan.slot_s, abs=0.01)  # 8 s of readout
    assert 0 < plan.worth <= len(plan) * 2


def test_a_line_agrees_with_astropy():
    """Airmass from the altitude by Kasten and Young (1989), and the moon's separation, of an independent library."""
    from astropy_places import frame, offline_astropy

    plan = plan_night(STARS, SITE, DATE, slots=20)
    with offline_astropy() as c:
        from astropy import units as u
        from astropy.time import Time

        for e in plan:
            jd = Time(e.utc).jd + plan.slot_s / 2 / 86400
            now = frame(c, jd, np.radians(28.75833), np.radians(-17.88))
            star = c.SkyCoord(e.ra, e.dec, unit=("hourangle", "deg")).transform_to(now)
            moon = c.get_body("moon", Time(jd, format="jd"), now.location).transform_to(now)
            altitude = star.alt.deg
            airmass = 1 / (np.sin(np.radians(altitude)) + 0.50572 * (altitude + 6.07995) ** -1.6364)
            assert e.airmass == pytest.approx(airmass, abs=0.005)
            assert e.moon_deg == pytest.approx(star.separation(moon).to_value(u.deg), abs=0.2)


def test_tables_say_the_same(tmp_path):
    plan = plan_night(STARS, SITE, dt.date(2027, 3, 14), "lowest airmass", slots=10)
    path = tmp_path / "new" / "plan.csv"
    text = plan.to_csv(path)
    assert path.read_text() == text and [p.name for p in path.parent.iterdir()] == ["plan.csv"]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS and [r["target"] for r in rows] == [e.target for e in plan]
    lines = str(plan).splitlines()
    assert "night of 2027-03-14" in lines[0] and "10 slots" in lines[0] and len(lines) == 2 + len(plan) + 2
    assert lines[-1].startswith("note: left out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("astropy.table", reason="astropy, for its table, is not installed")
        table = plan.to_astropy()
    assert table.colnames == list(COLUMNS) and str(table["exposure_s"].unit) == "s"
    np.testing.assert_allclose(table["airmass"], [e.airmass for e in plan])


@pytest.mark.parametrize("policy", list(planners()))
def test_every_planner_plans(policy):
    plan = plan_night(many(30), SITE, DATE, policy, slots=8)
    assert 6 <= len(plan) <= 8 and len({e.target for e in plan}) == len(plan)


def test_greedy_minds_priorities():
    plan = plan_night(many(60), SITE, DATE, slots=8)
    assert {e.priority for e in plan} == {1.0}
    blind = plan_night(many(60), SITE, DATE, "lowest airmass", slots=8)
    assert len({e.priority for e in blind}) > 1 and plan.worth > blind.worth


def test_expected_snr_by_hand():
    """The first exposure, from the CCD equation with the constants of the default instrument."""
    plan = plan_night(STARS, SITE, DATE, assumptions={"snr_needed": 100.0})
    env = CustomTargetsVectorEnv(STARS, SITE, DATE)
    env.reset(seed=0)
    first = plan.exposures[0]
    k = env.names.index(first.target)
    light = electrons_per_second(first.magnitude) * first.exposure_s * 10 ** (-0.4 * 0.15 * first.airmass)
    sky = electrons_per_second(21.5) * (env.state.air.sky[0, 0, k] / (34.08 * np.exp(20.7233 - 0.92104 * 21.5)))
    area = env.state.air.zenith_area[0, 0] * first.airmass**1.2
    noise = np.sqrt(light + (sky * first.exposure_s + (4.0 / 0.4) ** 2) * area)
    assert first.snr == pytest.approx(light / noise, rel=1e-3)
    worth = sum({1.0: 1.0, 2.0: 0.5, 3.0: 0.25}[e.priority] * quality(e.snr, 100.0) for e in plan)
    mean = np.mean([0.25, 1.0, 0.5, 1.0])
    assert plan.worth == pytest.approx(worth / mean, rel=1e-5)


@pytest.mark.parametrize("variant", ["default", "depth", "full"])
def test_agents_plan_with_the_variant_they_know(variant):
    short, long = many(10), many(260, seed=2)
    for targets in (short, long):
        who = agent(variant)
        plan = plan_night(targets, SITE, DATE, AgentPolicy(who))
        # It rehearses on the nights before: all nights of a trial are played.
        assert plan.slots == NIGHT_SETUPS[variant].slots and who.asked >= NIGHT_SETUPS[variant].nights * 10
        assert plan.policy == "First" and 0 < len(plan) <= NIGHT_SETUPS[variant].slots
        assert {e.target for e in plan} <= set(targets.names)
    assert any(f"can choose among {NIGHT_SETUPS[variant].targets}" in note for note in plan.notes)
    assert plan.date == DATE and plan.dusk.startswith(DATE)


def test_agents_of_other_environments_are_refused():
    with pytest.raises(TaskError, match=r"trained on TargetSelection, with 65 \(default\).*got First with 6"):
        plan_night(STARS, SITE, DATE, AgentPolicy(First(6, 1)))
    with pytest.raises(TaskError, match="expects observations of 3 numbers"):
        plan_night(STARS, SITE, DATE, AgentPolicy(First(65, 3)))
    with pytest.raises(TaskError, match="variant 'cadence' plans visits over several nights"):
        plan_night(STARS, SITE, DATE, AgentPolicy(First(33, 3)))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"site": "la plama"}, "no site 'la plama'.*Did you mean 'la palma'"),
        ({"site": (91.0, 0.0)}, "latitude_deg from -90 to 90"),
        ({"site": (69.6, 18.9), "date": "2027-06-21"}, r"night of 2027-06-21 at \+69.600, \+18.900 has 0.0 h"),
        ({"date": "2120-01-01"}, "date 2120-01-01 cannot be planned: expected a date from 1950"),
        ({"date": "1949-12-31"}, "date 1949-12-31 cannot be planned"),
        ({"date": "14.3.2027"}, "expected a time such as"),
        ({"date": "2027-03-14T22:00"}, "the day whose evening begins the night"),
        ({"date": dt.datetime(2027, 3, 14)}, "the day whose evening begins the night"),
        ({"slots": 5000}, "5000 slots of a night of 9.4 h last 7 s each.*ask for at most 1785 slots"),
        ({"slots": 0}, "at least one slot, got 0"),
        ({"policy": "gredy"}, "no policy 'gredy'.*Did you mean 'greedy'"),
        ({"assumptions": {"seeing": 1.0}}, "assumptions have no 'seeing'.*Did you mean 'seeing_arcsec'"),
        ({"assumptions": {"seeing_arcsec": np.nan}}, "seeing_arcsec must be finite"),
        ({"rehearsals": 9}, "0 to 6 rehearsals, got 9"),
        ({"targets": STARS.take(np.array([3]))}, "none of the 1 targets can be observed.*never rise.*Canopus"),
    ],
)  # fmt: skip
def test_refused(change, message):
    arguments = {"targets": STARS, "site": SITE, "date": DATE, **change}
    with pytest.raises(TaskError, match=message):
        plan_night(**arguments)


def test_polar_night_is_long():
    plan = plan_night(many(60), (69.6, 18.9), "2027-12-21")
    assert plan.slots * plan.slot_s > 12 * 3600 and len(plan) > 10


def test_rows_are_scalar_environments():
    def make(**kw):
        return CustomTargetsVectorEnv(many(20), SITE, DATE, sky="drawn", **kw)

    for mode in AutoresetMode:
        _check_rows_are_scalars(make, 2, 60, mode)
    _check_final_observations(make, 2, 60)


def test_scalar_env_and_weather():
    targets = many(20)
    env = CustomTargetsEnv(targets=targets, site=SITE, date=DATE, sky="drawn", slots=12)
    transmission = []
    for seed in (0, 1):
        observation, info = env.reset(seed=seed)
        assert env.observation_space.contains(observation) and info["action_mask"].shape == (21,)
        transmission.append(env.batch.state.air.transmission.copy())
    assert not np.array_equal(*transmission)
    clear = CustomTargetsEnv(targets=targets, site=SITE, date=DATE, slots=12)
    clear.reset(seed=0)
    first = clear.batch.state.air.transmission.copy()
    clear.reset(seed=1)
    np.testing.assert_array_equal(clear.batch.state.air.transmission, first)
    with pytest.raises(TaskError, match="no sky 'cloudy'"):
        CustomTargetsEnv(targets=targets, site=SITE, date=DATE, sky="cloudy")


def test_very_bright_targets_stay_inside_the_observation():
    bright = TargetList.of(["Sirius", "Arcturus"], [101.287, 213.915], [-16.716, 19.182], [-1.46, -0.05])
    env = CustomTargetsEnv(targets=bright, site=SITE, date=DATE)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert plan_night(bright, SITE, DATE).exposures[0].magnitude == -1.46
