"""Frames of all environments, at moments throughout a trial: their words can be read."""

import gymnasium as gym
import numpy as np
import pytest
from drawn_words import assert_legible, watch

from metaenv.registry import full_id, names
from metaenv.trial import Trial

pytest.importorskip("PIL", reason="frames are drawn with Pillow")

VARIANTS = [
    *((name, {}) for name in names()),
    ("MaterialsSynthesis", {"variant": "recipe"}),
    ("MaterialsSynthesis", {"variant": "full"}),
    ("TargetSelection", {"variant": "short"}),
    ("TargetSelection", {"variant": "depth"}),
    ("MoleculeDesign", {"variant": "windows-3"}),
    ("MoleculeDesign", {"variant": "groups"}),
]


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_no_words_are_written_over_others(name, settings, hidden, monkeypatch):
    if name in ("MoleculeDesign", "LeadOptimization"):
        pytest.importorskip("rdkit", reason="molecules are drawn by RDKit")
    drawn = watch(monkeypatch)
    env = Trial(gym.make(full_id(name), render_mode="rgb_array", draw_hidden=hidden, **settings))
    rng = np.random.default_rng(0)
    for trial in range(2):
        env.reset(seed=trial)
        over, step = False, 0
        while not over and step < 150:
            if step in (0, 1, 2, 5, 11, 40):
                look(env, drawn)
            space = env.action_space
            mask = env.unwrapped.action_masks() if hasattr(space, "n") else None
            action = space.sample() if mask is None else rng.choice(np.flatnonzero(mask))
            over, step = env.step(action)[2], step + 1
        look(env, drawn)


def look(env, drawn):
    """Render, and compare all words with each other and with the frame's edges."""
    drawn.clear()
    env.render()
    assert drawn, "every frame says something"
    assert_legible(drawn)
