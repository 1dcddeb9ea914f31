"""Target selection at the telescope: nights under a hidden sky for a hidden programme, and plans for one's own list."""

from metaenv.telescope.planner.animation import animate
from metaenv.telescope.planner.catalogue import TargetList
from metaenv.telescope.planner.custom_targets import CustomTargetsEnv, CustomTargetsVectorEnv
from metaenv.telescope.planner.plan import NightPlan, plan_night, planners
from metaenv.telescope.planner.reading import read_targets
from metaenv.telescope.sim.sites import SITES, Site, find_site

__all__ = [
    "SITES",
    "CustomTargetsEnv",
    "CustomTargetsVectorEnv",
    "NightPlan",
    "Site",
    "TargetList",
    "animate",
    "find_site",
    "plan_night",
    "planners",
    "read_targets",
]
