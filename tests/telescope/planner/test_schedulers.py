"""Queues, beside astroplan itself where it is installed."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy_places import offline_astropy

from metaenv.policies import play_trials
from metaenv.telescope.planner.catalogue import TargetList
from metaenv.telescope.planner.custom_targets import CustomTargetsVectorEnv
from metaenv.telescope.planner.schedulers import (
    MOST_AIRMASS,
    PriorityPolicy,
    SequentialPolicy,
    airmass_score,
    priority_schedule,
    sequential_schedule,
)
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.trial import VectorTrial

SITE, DATE, SLOTS, N = (28.75833, -17.88), "2027-03-14", 24, 20


def own_targets(n=N, seed=1):
    rng = np.random.default_rng(seed)
    names = [f"T{i}" for i in range(n)]
    ra, dec = rng.uniform(90, 290, n), rng.uniform(-25, 75, n)
    return TargetList.of(names, ra, dec, rng.uniform(16, 20, n), priority=rng.integers(1, 6, n))


def scheduled(policy, targets):
    """Which target a policy has in each slot, by name, and the environment."""
    env = CustomTargetsVectorEnv(targets, SITE, DATE, slots=SLOTS)
    trials = VectorTrial(env)
    trials.reset(seed=0)
    policy.start(trials, np.random.default_rng(0))
    return [env.names[k] if k >= 0 else "" for k in policy.schedule()[0]], env


def test_priority_comes_before_score():
    score = np.array([[0.9, 0.2], [0.8, 0.1]])[None, None]  # two slots, two targets
    assert priority_schedule(score, np.array([[1.0, 2.0]])).tolist() == [[0, 1]]
    assert priority_schedule(score, np.array([[2.0, 1.0]])).tolist() == [[1, 0]]


def test_an_instant_without_score_closes_the_slot():
    score = np.array([[[0.9], [0.2]], [[0.0], [0.2]]])[None]  # two instants, two slots, one target
    assert priority_schedule(score, np.ones((1, 1))).tolist() == [[-1, 0]]
    assert sequential_schedule(score).tolist() == [[-1, 0]]


def test_sequential_takes_the_best_now():
    score = np.array([[0.5, 0.4], [1.0, 0.1], [1.0, 1.0]])[None, None]
    assert sequential_schedule(score).tolist() == [[0, 1, -1]]


def test_score_is_one_at_the_zenith_and_none_below_the_limit():
    assert airmass_score(np.array([1.0, 1 / MOST_AIRMASS - 1e-6, -0.5])) == pytest.approx([1.0, 0.0, 0.0])
    assert airmass_score(np.array([0.8]), 2.0) == pytest.approx([0.75])  # airmass 1.25


@pytest.fixture(scope="module")
def astroplan():
    """The modules that are needed, offline."""
    with offline_astropy() as c:
        pytest.importorskip("astroplan", reason="astroplan, whose decisions these are, is not installed")
        import astroplan
        from astropy import units as u
        from astropy.time import Time

        yield SimpleNamespace(plan=astroplan, c=c, u=u, Time=Time)


def blocks_of(a, targets, minutes):
    degrees = np.degrees(targets.ra), np.degrees(targets.dec)
    return [
        a.plan.ObservingBlock(
            a.plan.FixedTarget(a.c.SkyCoord(ra * a.u.deg, dec * a.u.deg), name=name), minutes * a.u.min, priority
        )
        for name, ra, dec, priority in zip(targets.names, *degrees, targets.priority, strict=True)
    ]


def decisions(a, scheduler, blocks, env, **settings):
    """Which target astroplan puts in each slot."""
    place = a.c.EarthLocation.from_geodetic(SITE[1] * a.u.deg, SITE[0] * a.u.deg, 0 * a.u.m)
    start, hours = env.state.night.start[0, 0], env.state.night.hours[0]
    # A millisecond less: steps of a slot then never begin another one after the last.
    schedule = a.plan.Schedule(*(a.Time(t, format="jd") for t in (start, start + (SLOTS * hours) / 24 - 1e-8)))
    constraints = settings.pop("constraints", [])
    constraints.append(a.plan.AirmassConstraint(MOST_AIRMASS, boolean_constraint=False))
    scheduler(
        constraints=constraints, observer=a.plan.Observer(place), transitioner=a.plan.Transitioner(), **settings
    )(blocks, schedule)  # fmt: skip
    found = [""] * SLOTS
    for block in schedule.observing_blocks:
        slot = (block.start_time.jd - start) * 24 / hours
        assert slot == pytest.approx(round(slot), abs=1e-3)
        found[round(slot)] = block.target.name
    return found


@pytest.mark.parametrize("n", [6, pytest.param(N, marks=pytest.mark.slow)])  # 20 targets take astroplan half a minute
def test_sequential_decides_as_astroplan(astroplan, n):
    a, targets = astroplan, own_targets(n)
    mine, env = scheduled(SequentialPolicy(), targets)
    minutes = env.state.night.hours[0] * 60
    theirs = decisions(
        a, a.plan.SequentialScheduler, blocks_of(a, env.target_list, minutes), env, gap_time=minutes * a.u.min
    )  # fmt: skip
    assert mine == theirs and len(set(mine)) > 0.8 * n


def test_priority_decides_as_astroplan(astroplan):
    """A block fills two thirds of a slot and may not reach into the last third, so that it begins with a slot."""
    a, targets = astroplan, own_targets()
    mine, env = scheduled(PriorityPolicy((0.0, 1 / 3)), targets)
    third = env.state.night.hours[0] * 20

    class InSlots(a.plan.Constraint):
        def compute_constraint(self, times, observer, targets):
            part = np.round((times.jd - env.state.night.start[0, 0]) * 1440 / third).astype(int)
            return (part % 3 != 2).astype(float)

    theirs = decisions(
        a, a.plan.PriorityScheduler, blocks_of(a, env.target_list, 2 * third), env, constraints=[InSlots()],
        time_resolution=third * a.u.min,
    )  # fmt: skip
    assert mine == theirs and len(set(mine)) > 0.8 * N


@pytest.mark.parametrize("policy", [PriorityPolicy(), SequentialPolicy()])
def test_queues_play_the_benchmark(policy):
    env = TargetSelectionVectorEnv(3, "short")
    tasks = env.distribution.sample(3, "train", np.random.default_rng(0))
    record = play_trials(policy, VectorTrial(env, episodes=2), tasks, 0)
    assert record.scores.shape == (3, 2) and (record.scores.mean(axis=0) > 0).all()
    played = record.actions[:, :24]
    for row in played:  # nobody is visited twice in a night
        targets = row[row < 64]
        assert len(targets) == len(set(targets.tolist())) > 15


def test_queues_refuse_long_exposures_and_revisits():
    for variant in ("depth", "cadence"):
        trials = VectorTrial(TargetSelectionVectorEnv(1, variant))
        trials.reset(seed=0)
        with pytest.raises(ValueError, match=f"{variant!r} has others; take 'short'"):
            PriorityPolicy().start(trials, np.random.default_rng(0))
