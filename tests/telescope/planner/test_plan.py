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
from metaenv.telescope.planner.constraints import Constraints
from metaenv.telescope.planner.custom_targets import CustomTargetsEnv, CustomTargetsVectorEnv
from metaenv.telescope.planner.instruments import find_instrument
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
    if variant == "faint":  # 24 rows of targets, 27 numbers of the night, and the log, now and as it is reported
        return First(actions, 24 * plan.targets + 27 + 2 * 16 * plan.slots + actions + 3)
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
    about = [line for line in text.splitlines() if line.startswith("# ")]
    assert about[0].startswith("# site: Roque de los Muchachos, La Palma, latitude 28.7583 deg, longitude -17.8800 deg")
    assert about[1].startswith("# night of 2027-03-14") and about[2] == f"# instrument: {plan.instrument}"
    assert [line[2:] for line in about[-len(plan.notes) :]] == [f"note: {n}" for n in plan.notes]
    rows = list(csv.DictReader(line for line in io.StringIO(text) if not line.startswith("#")))
    assert tuple(rows[0]) == COLUMNS and [r["target"] for r in rows] == [e.target for e in plan]
    lines = str(plan).splitlines()
    assert "night of 2027-03-14" in lines[0] and "10 slots" in lines[0] and len(lines) == 2 + len(plan) + 3
    assert lines[-2].startswith("note: left out") and lines[-1].startswith("note: assumed: a clear sky")
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


def test_plans_mind_priorities():
    plan = plan_night(many(60), SITE, DATE, slots=8)
    assert {e.priority for e in plan} == {1.0}


def test_the_default_plan_waits_for_better_times():
    """M51 was taken at airmass 2.1 as soon as it cleared 27 deg, with 21 of 24 slots empty."""
    targets = TargetList.of(["M51", "M101", "M13"], [202.5, 210.8, 250.4], [47.2, 54.3, 36.5], magnitude=18.5)
    plan = plan_night(targets, SITE, DATE)
    assert len(plan) == 3 and max(e.airmass for e in plan) < 1.15 and min(e.snr for e in plan) > 85
    assert plan.worth > plan_night(targets, SITE, DATE, "greedy").worth


@pytest.mark.parametrize("count", [16, 40, 100])
@pytest.mark.parametrize("site", ["la palma", "paranal", "siding spring", "mauna kea"])
def test_the_default_plan_is_worth_most(site, count):
    """The value is summed from the plan's lines, outside of the planner."""
    rng = np.random.default_rng(count)
    priority = rng.integers(1, 5, count)
    targets = TargetList.of(
        [f"T{i}" for i in range(count)], rng.uniform(0, 360, count), rng.uniform(-60, 60, count),
        rng.uniform(17, 20, count), priority,
    )  # fmt: skip
    first = priority.min()

    def value(policy):
        return sum(2.0 ** (first - e.priority) * quality(e.snr, 15.0) for e in plan_night(targets, site, DATE, policy))

    ahead = value("look-ahead")
    assert all(ahead > value(other) for other in ("greedy", "priority", "sequential"))


def test_worth_means_the_same_on_every_list():
    two = TargetList.of(["a", "b"], [150.0, 200.0], [30.0, 30.0], 17.0, [1, 1])
    more = [f"c{i}" for i in range(50)]
    many_ = TargetList.of(
        ["a", "b", *more], [150, 200, *np.linspace(140, 210, 50)], [30.0] * 52, 17.0, [1, 1, *[9] * 50]
    )
    short, long = plan_night(two, SITE, DATE, slots=2), plan_night(many_, SITE, DATE, slots=2)
    assert 1.5 < short.worth <= 2.0 and long.worth == pytest.approx(short.worth, rel=1e-6)


def test_twilight_of_choice():
    with pytest.raises(TaskError, match=r"0\.0 h in which the sun is 18 deg below"):
        plan_night(many(20), (51.5, 0.0), "2027-06-21")
    plan = plan_night(many(20), (51.5, 0.0), "2027-06-21", constraints=Constraints(twilight="nautical"))
    assert len(plan) and any("nautical twilight" in n for n in plan.notes)


def test_signal_to_noise_is_that_of_a_published_calculator():
    """lco-etc 0.0.1: Sinistro, V, new moon, airmass 1.2. Its sky goes with the zero point at airmass 1."""
    used = find_instrument("lco 1m sinistro")
    for magnitude, seconds, published in ((16, 60, 231.8), (18, 60, 76.6), (19, 60, 38.7), (20, 60, 17.7),
                                          (20, 300, 49.0), (21, 300, 21.8), (22, 900, 16.9)):  # fmt: skip
        snr = used.snr_of(magnitude, seconds, airmass=1.2, sky_mag=21.6 + 0.12, extinction_mag=0.12)
        assert snr == pytest.approx(published, abs=0.06)


def test_calendar():
    text = plan_night(TargetList.of(["M 51; a, \\ é" + "x" * 90], [202.5], [47.2], 18.5), SITE, DATE).to_ical()
    lines = text.split("\r\n")
    assert (
        lines[0] == "BEGIN:VCALENDAR" and lines[-2:] == ["END:VCALENDAR", ""] and "\n" not in text.replace("\r\n", "")
    )
    assert max(len(line.encode()) for line in lines) <= 75
    whole = text.replace("\r\n ", "")
    assert r"SUMMARY:M 51\; a\, \\ é" + "x" * 90 in whole and "DTSTART:20270315T" in whole


def test_expected_snr_by_hand():
    """The first exposure, from the CCD equation with the constants of the default instrument."""
    plan = plan_night(STARS, SITE, DATE, assumptions={"snr_needed": 100.0})
    env = CustomTargetsVectorEnv(STARS, SITE, DATE)
    env.reset(seed=0)
    first = plan.exposures[0]
    slot = round((np.datetime64(first.utc) - np.datetime64(plan.dusk)) / np.timedelta64(1, "s") / plan.slot_s)
    light = electrons_per_second(first.magnitude) * first.exposure_s * 10 ** (-0.4 * 0.15 * first.airmass)
    sky = electrons_per_second(first.sky_mag)
    area = env.state.air.zenith_area[0, slot] * first.airmass**1.2
    noise = np.sqrt(light + (sky * first.exposure_s + (4.0 / 0.4) ** 2) * area)
    assert first.snr == pytest.approx(light / noise, rel=1e-3)
    worth = sum({1.0: 1.0, 2.0: 0.5, 3.0: 0.25}[e.priority] * quality(e.snr, 100.0) for e in plan)
    assert plan.worth == pytest.approx(worth, rel=1e-5)


@pytest.mark.parametrize("variant", ["faint", "short", "depth", "full"])
def test_agents_plan_with_the_variant_they_know(variant):
    short, long = many(10), many(260, seed=2)
    for targets in (short, long):
        who = agent(variant)
        plan = plan_night(targets, SITE, DATE, AgentPolicy(who))
        # It rehearses on the nights before: all nights of a trial are played.
        assert plan.slots == NIGHT_SETUPS[variant].slots and who.asked >= NIGHT_SETUPS[variant].nights * min(
            10, plan.slots
        )
        assert plan.policy == "First" and 0 < len(plan) <= NIGHT_SETUPS[variant].slots
        assert {e.target for e in plan} <= set(targets.names)
    assert any(f"can choose among {NIGHT_SETUPS[variant].targets}" in note for note in plan.notes)
    assert plan.date == DATE and plan.dusk.startswith(DATE)


def test_agents_of_other_environments_are_refused():
    with pytest.raises(
        TaskError, match=r"trained on TargetSelection, with 25 \(faint\), 65 \(short\).*got First with 6"
    ):
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
        ({"slots": 0}, "at least one slot, a whole number, got 0"),
        ({"policy": "gredy"}, "no policy 'gredy'.*Did you mean 'greedy'"),
        ({"assumptions": {"seeing": 1.0}}, "assumptions have no 'seeing'.*Did you mean 'seeing_arcsec'"),
        ({"assumptions": {"seeing_arcsec": np.nan}}, "seeing_arcsec must be finite"),
        ({"rehearsals": 9}, "0 to 6 rehearsals, got 9"),
        ({"targets": STARS.take(np.array([3]))}, "none of the 1 targets can be observed; Canopus: they never rise"),
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
    with pytest.raises(TaskError, match="Sirius: they saturate in less than 1 s"):
        plan_night(bright, SITE, DATE)
