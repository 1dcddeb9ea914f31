"""Plan a night at the telescope for targets of one's own, and compare who plans it.

Run: python examples/telescope_night.py [targets.csv [site [date]]]
"""

import sys

from metaenv.telescope import TargetList, animate, plan_night, read_targets
from metaenv.telescope.baselines import baselines
from metaenv.telescope.planner.custom_targets import CustomTargetsEnv

if len(sys.argv) > 1:
    # Any table with columns such as name, ra, dec, vmag, priority: CSV, ECSV, FITS or VOTable (needs astropy).
    targets = read_targets(sys.argv[1], several="first", invalid="drop")
else:
    targets = TargetList.of(
        ["M31", "M33", "M51", "M81", "M82", "M87", "M101", "M104", "M13", "M57", "NGC 253", "NGC 4565"],
        ra_deg=[10.7, 23.5, 202.5, 148.9, 149.0, 187.7, 210.8, 190.0, 250.4, 283.4, 11.9, 189.1],
        dec_deg=[41.3, 30.7, 47.2, 69.1, 69.7, 12.4, 54.3, -11.6, 36.5, 33.0, -25.3, 26.0],
        magnitude=18.5,  # of a supernova in each of them
        priority=[1, 2, 1, 2, 1, 1, 2, 3, 3, 3, 1, 2],  # 1 comes first
    )
site = sys.argv[2] if len(sys.argv) > 2 else "calar alto"
date = sys.argv[3] if len(sys.argv) > 3 else "2027-03-14"

# Or an agent that has learned to observe: AgentPolicy(RL2.load("runs/telescope-short-0/checkpoint.pt")).
for name in ("look-ahead", "greedy", "priority", "sequential"):
    plan = plan_night(targets, site, date, name, slots=8)
    print(f"{name}: {len(plan)} exposures, worth {plan.worth:.2f} targets of the first priority")

plan = plan_night(targets, site, date, slots=8)
print(plan.text())
plan.to_csv("night.csv")

env = CustomTargetsEnv(targets=targets, site=site, date=date, slots=8, sky="drawn", render_mode="rgb_array")
print("drawn:", animate(env, baselines()["greedy SNR"], "night.gif", seed=1))
