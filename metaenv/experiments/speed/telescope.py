"""Speed of target selection: steps with full observations, and plans beside astroplan's in the same run.

Planned are 40 targets in one night of 24 slots, by the rules of astroplan's `PriorityScheduler`. astroplan (0.10)
is measured if it is installed: with blocks of the same length, an airmass constraint, a slew rate of 2.5 deg/s, and its
default time resolution of 20 s. It works offline, without new tables of the Earth's rotation. Positions are computed
anew in every plan.
"""

from __future__ import annotations

import warnings

import numpy as np
from gymnasium.vector import AutoresetMode

from metaenv.experiments.speed.timing import SECONDS, rate, scalar_rate, seconds_of, vector_rate
from metaenv.telescope.baselines import BayesLinear
from metaenv.telescope.planner.catalogue import TargetList
from metaenv.telescope.planner.custom_targets import CustomTargetsVectorEnv
from metaenv.telescope.planner.plan import plan_night
from metaenv.telescope.sim.env import TargetSelectionEnv, TargetSelectionVectorEnv
from metaenv.telescope.sim.sites import find_site
from metaenv.telescope.sim.visibility import LOWEST_DEG
from metaenv.trial import VectorTrial

SITE, DATE, SLOTS, TARGETS = "la palma", "2027-03-14", 24, 40


def run(seconds: float = SECONDS) -> dict[str, float]:
    """Measure and print; numbers by name."""
    results: dict[str, float] = {}
    print("TargetSelection, one process; steps a second, full observations, resets included\n")
    for n in (64, 256, 1024):
        results[f"n={n}"] = vector_rate(TargetSelectionVectorEnv(n), seconds)
    results["n=256, trials"] = vector_rate(VectorTrial(TargetSelectionVectorEnv(256)), seconds)
    for variant in ("short", "full"):
        results[f"n=256, {variant}"] = vector_rate(TargetSelectionVectorEnv(256, variant), seconds)
    results["scalar"] = scalar_rate(TargetSelectionEnv(), seconds)
    results["Bayes-UCB, n=256"] = policy_rate(256, seconds)
    for name, value in results.items():
        print(f"{name:<36}{value:>12,.0f} steps/s")
    timed = {"plan of 40 targets, priority": plan_ms("priority"), **astroplan_ms()}
    print()
    for name, value in timed.items():
        print(f"{name:<36}{value:>12,.1f} ms", flush=True)
    return results | {f"{k}, ms": v for k, v in timed.items()}


def policy_rate(n: int, seconds: float = SECONDS) -> float:
    """Steps a second of ``n`` trials that the best baseline plays, its own computing included."""
    trials = VectorTrial(TargetSelectionVectorEnv(n))
    trials.use_autoreset_mode(AutoresetMode.SAME_STEP)
    policy = BayesLinear(optimism=1.0)
    observation, _ = trials.reset(seed=0)
    policy.start(trials, np.random.default_rng(0))

    def work() -> int:
        nonlocal observation
        action = policy.act(observation)
        observation, _, _, _, _ = trials.step(action)
        policy.observe(action, trials.trial_state.last_reward.copy())
        return n

    return rate(work, seconds)


def targets() -> TargetList:
    """Invented ones that are up in the night of `DATE`."""
    rng = np.random.default_rng(0)
    names = [f"T{i}" for i in range(TARGETS)]
    ra, dec = rng.uniform(90, 290, TARGETS), rng.uniform(-15, 70, TARGETS)
    return TargetList.of(names, ra, dec, 18.0, rng.integers(1, 6, TARGETS))


def plan_ms(policy: str, times: int = 10) -> float:
    """Milliseconds of a whole plan: geometry, conditions, schedule and the night played."""
    listed = targets()
    plan_night(listed, SITE, DATE, policy, slots=SLOTS)
    return 1e3 * seconds_of(lambda: plan_night(listed, SITE, DATE, policy, slots=SLOTS), times)


def astroplan_ms() -> dict[str, float]:
    """Milliseconds of the same list in astroplan, or nothing where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import astroplan  # pyright: ignore[reportMissingImports]
            from astropy import units as u
            from astropy.coordinates import EarthLocation, SkyCoord
            from astropy.time import Time
            from astropy.utils import iers
        except ImportError:
            print("astroplan is not installed; pip install astroplan to measure it here")
            return {}
        listed, site = targets(), find_site(SITE)
        env = CustomTargetsVectorEnv(listed, SITE, DATE, slots=SLOTS)
        env.reset(seed=0)
        start, hours = float(env.state.night.start[0, 0]), float(env.state.night.hours[0])
        place = EarthLocation.from_geodetic(site.longitude_deg * u.deg, site.latitude_deg * u.deg)
        places = SkyCoord(listed.ra * u.rad, listed.dec * u.rad)

        def plan() -> None:
            blocks = [
                astroplan.ObservingBlock(astroplan.FixedTarget(p, name=n), hours * 60 * u.min, q)
                for p, n, q in zip(places, listed.names, listed.priority, strict=True)
            ]
            most = 1 / np.sin(np.radians(LOWEST_DEG))
            scheduler = astroplan.PriorityScheduler(
                constraints=[astroplan.AirmassConstraint(most, boolean_constraint=False)],
                observer=astroplan.Observer(place),
                transitioner=astroplan.Transitioner(2.5 * u.deg / u.s),
            )
            ends = (Time(start, format="jd"), Time(start + SLOTS * hours / 24, format="jd"))
            scheduler(blocks, astroplan.Schedule(*ends))

        with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("auto_max_age", None):
            return {"the same by astroplan": 1e3 * seconds_of(plan)}
