"""Baselines for chemical systems, at equal numbers of experiments: what an agent with memory has to beat."""

from __future__ import annotations

import json

import numpy as np

from metaenv.materials.baselines import FixedRecipes
from metaenv.materials.system.distribution import STORE
from metaenv.materials.system.particle_bayes import ParticleBayes
from metaenv.policies import Policy
from metaenv.typing import Floats


def fixed_recipe() -> Floats:
    """(1, 22) the action that serves training systems best, from ``data/fixed.json``."""
    return np.array([json.loads((STORE.folder / "fixed.json").read_text(encoding="utf-8"))["action"]])


def baselines() -> dict[str, Policy]:
    """The baselines, by name.

    The best fixed recipe is the best fixed list of twelve, too: each experiment counts by itself, and which compound it
    asks for is drawn anew.
    """
    return {"best fixed recipe": FixedRecipes(fixed_recipe), "particle Bayes": ParticleBayes()}
