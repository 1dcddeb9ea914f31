"""Plans beside what Astropy and the literature's formulas say, and planners beside astroplan's schedulers."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from astropy_places import offline_astropy
from outside import LOWEST_DEG, visits, worth_of

from metaenv.telescope.planner.catalogue import TargetList
from metaenv.telescope.planner.constraints import Constraints
from metaenv.telescope.planner.plan import plan_night
from metaenv.telescope.sim.ephemeris import night_limits
from metaenv.telescope.sim.julian_dates import julian_date
from metaenv.telescope.sim.sites import find_site

NIGHTS = [("la palma", "2027-03-14"), ("paranal", "2027-06-20"), ("siding spring", "2026-10-25"),
          ("mauna kea", "2027-01-08"), ((-2.0, 37.0), "2026-12-15")]  # fmt: skip


def some_targets(n, seed):
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-0.97, 0.97, n)))
    return TargetList.of([f"T{i}" for i in range(n)], ra, dec, rng.uniform(16, 20.5, n), rng.integers(1, 5, n))


def slots_of(plan):
    """(n,) numbers of the slots of a plan's lines."""
    since = [float(julian_date(e.utc)) - float(julian_date(plan.dusk)) for e in plan]
    return np.rint(np.array(since) * 86_400 / plan.slot_s).astype(int)


def test_200_exposures_agree_with_astropy():
    """Of plans at five sites; altitude and azimuth to 2 arcsec on the sky, airmass to 0.01, SNR to 1 %."""
    worst = np.zeros(3)
    count = 0
    with offline_astropy() as c:
        for seed, (site, date) in enumerate(NIGHTS):
            targets, place = some_targets(300, seed), find_site(site)
            plan = plan_night(targets, site, date, slots=42)
            number = {name: i for i, name in enumerate(targets.names)}
            k = np.array([number[e.target] for e in plan])
            told = {n: np.array([getattr(e, n) for e in plan]) for n in ("alt_deg", "az_deg", "airmass", "snr")}
            # Lines tell whole seconds, in which the sky turns by 15 arcsec.
            day = np.array([float(julian_date(plan.date))])
            dusk = float(night_limits(day, *(np.radians([x]) for x in (place.latitude_deg, place.longitude_deg)))[0][0])
            jd = dusk + (slots_of(plan) + 0.5) * plan.slot_s / 86_400
            seconds = np.array([e.exposure_s for e in plan])
            ra, dec = np.degrees(targets.ra[k]), np.degrees(targets.dec[k])
            seen = visits(
                c, (place.latitude_deg, place.longitude_deg), ra, dec, targets.magnitude[k], jd, seconds
            )  # fmt: skip
            repeats, moon_alt = (np.array([getattr(e, n) for e in plan]) for n in ("repeats", "moon_alt_deg"))
            around = (told["az_deg"] - seen.az + 180) % 360 - 180
            off = np.hypot(told["alt_deg"] - seen.alt, around * np.cos(np.radians(seen.alt))) * 3600
            errors = [off, np.abs(told["airmass"] - seen.airmass), np.abs(told["snr"] / (seen.snr * repeats**0.5) - 1)]
            # Moonlight begins at once with moonrise, whose time differs by seconds.
            errors[2] = errors[2][np.abs(moon_alt) > 0.2]
            worst = np.maximum(worst, [e.max() for e in errors])
            count += len(plan)
            assert (seen.alt > LOWEST_DEG - 0.001).all() and np.ptp(told["airmass"]) > 0.3
    print(f"{count} exposures: {worst[0]:.2f} arcsec, airmass {worst[1]:.4f}, SNR {worst[2]:.2%}")
    assert count >= 200 and (worst <= [2.0, 0.01, 0.01]).all()


# THE PLANNERS' MEASURE


@pytest.fixture(scope="module")
def astroplan():
    with offline_astropy() as c:
        plan = pytest.importorskip("astroplan", reason="astroplan, whose schedulers are compared, is not installed")
        from astropy import units as u
        from astropy.time import Time

        yield SimpleNamespace(plan=plan, c=c, u=u, Time=Time)


def scheduled(a, sequential, targets, place, start, slot_s, moon_deg):
    """(n,) targets and slots of a schedule of astroplan, a block a slot, under the same limits of altitude and moon.

    For the PriorityScheduler a block fills two thirds of a slot and may not reach into the last third, so that it
    begins with a slot; it is worth the whole slot here.
    """
    u, third = a.u, slot_s / 3

    class InSlots(a.plan.Constraint):
        def compute_constraint(self, times, observer, targets):
            return (np.round((times.jd - start[0]) * 86_400 / third).astype(int) % 3 != 2).astype(float)

    class FromTheMoon(a.plan.MoonSeparationConstraint):  # as for our planners, while the moon is up
        def compute_constraint(self, times, observer, targets):
            with warnings.catch_warnings():  # of angles between frames that move, which differ by arc seconds here
                warnings.simplefilter("ignore")
                far = super().compute_constraint(times, observer, targets)
                return far | (observer.moon_altaz(times).alt <= 0 * u.deg)

    seconds = slot_s if sequential else 2 * third
    blocks = [
        a.plan.ObservingBlock(a.plan.FixedTarget(a.c.SkyCoord(ra * u.rad, dec * u.rad), name=str(i)), seconds * u.s, p)
        for i, (ra, dec, p) in enumerate(zip(targets.ra, targets.dec, targets.priority, strict=True))
    ]
    limits = [a.plan.AirmassConstraint(1 / np.sin(np.radians(LOWEST_DEG)), boolean_constraint=False)]
    if moon_deg:
        limits.append(FromTheMoon(min=moon_deg * u.deg))
    about = {
        "observer": a.plan.Observer(a.c.EarthLocation.from_geodetic(place[1] * u.deg, place[0] * u.deg, 0 * u.m)),
        "transitioner": a.plan.Transitioner(),
    }
    if sequential:
        scheduler = a.plan.SequentialScheduler(constraints=limits, gap_time=seconds * u.s, **about)
    else:
        scheduler = a.plan.PriorityScheduler(constraints=[InSlots(), *limits], time_resolution=third * u.s, **about)
    ends = (a.Time(t, format="jd") for t in (start[0], start[-1] + slot_s / 86_400 - 1e-8))
    schedule = scheduler(blocks, a.plan.Schedule(*ends))
    found = sorted(
        (round((b.start_time.jd - start[0]) * 86_400 / slot_s), int(b.target.name)) for b in schedule.observing_blocks
    )
    return np.array([k for _, k in found]), np.array([t for t, _ in found])


@pytest.mark.slow
@pytest.mark.parametrize("moon_deg", [0.0, 20.0])
@pytest.mark.parametrize("count, lists, sequential", [(16, 3, 3), (40, 3, 3), (100, 3, 1)])
def test_the_default_planner_is_worth_most_outside(astroplan, count, lists, sequential, moon_deg):
    """At four sites, with limits of altitude and moon that all know. Run with ``-m slow -s`` to see the table.

    astroplan's SequentialScheduler takes a minute on a long list, and plays one there.
    """
    a, found = astroplan, {}
    for site, date in NIGHTS[:4]:
        place = find_site(site).latitude_deg, find_site(site).longitude_deg
        for seed in range(lists):
            targets = some_targets(count, 100 * count + seed)
            number = {name: i for i, name in enumerate(targets.names)}
            here = {}
            for name in ("look-ahead", "greedy", "priority", "sequential"):
                plan = plan_night(targets, site, date, name, constraints=Constraints(min_moon_deg=moon_deg))
                start = float(julian_date(plan.dusk)) + np.arange(plan.slots) * plan.slot_s / 86_400
                here[name] = np.array([number[e.target] for e in plan]), slots_of(plan)
            here["astroplan Priority"] = scheduled(a, False, targets, place, start, plan.slot_s, moon_deg)
            if seed < sequential:
                here["astroplan Sequential"] = scheduled(a, True, targets, place, start, plan.slot_s, moon_deg)
            for name, (k, slot) in here.items():
                found.setdefault((name, site), []).append(worth_of(a.c, place, targets, k, slot, start, plan.slot_s))
    ahead = {site: np.mean([w for w, *_ in found["look-ahead", site]]) for site, _ in NIGHTS[:4]}
    for (name, site), rows in found.items():
        worth, mass, seen = np.mean(rows, axis=0)
        case = f"{count:4d} {moon_deg:3.0f} deg {name:21} {site:14}"
        print(f"{case} value {worth:6.2f} airmass {mass:.2f} visits {seen:.1f}")
        best = ahead[site] if len(rows) == lists else np.mean([w for w, *_ in found["look-ahead", site]][: len(rows)])
        assert name == "look-ahead" or best > worth
