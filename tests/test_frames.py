"""Frames of all environments, at moments throughout a trial: their words can be read."""

import gymnasium as gym
import numpy as np
import pytest

from metaenv.canvas import Pixels, letters_mask
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
TOUCHES = 2  # pixels by which the boxes of two lines may overlap, as few letters fill theirs


def overlaps(first, second):
    """Whether the boxes (left, top, right, bottom) of two words have more in common than `TOUCHES`."""
    return all(min(first[k + 2], second[k + 2]) - max(first[k], second[k]) > TOUCHES for k in (0, 1))


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_no_words_are_written_over_others(name, settings, hidden, monkeypatch):
    if name in ("MoleculeDesign", "LeadOptimization"):
        pytest.importorskip("rdkit", reason="molecules are drawn by RDKit")
    drawn = []
    plain = Pixels.words

    def watched(self, x, y, text, size=13, colour="#000000", side="left"):
        mask, _ = letters_mask(text, size)
        left = x - {"left": 0, "middle": mask.width / 2, "right": mask.width}[side]
        if text.strip():
            drawn.append((self, text, (left, y - 0.75 * size, left + mask.width, y), (self.width, self.height)))
        plain(self, x, y, text, size, colour, side)

    monkeypatch.setattr(Pixels, "words", watched)
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
    for i, (canvas, text, box, (width, height)) in enumerate(drawn):
        assert box[0] >= -1 and box[2] <= width + 1 and box[1] >= -1 and box[3] <= height + 1, f"{text!r} is cut off"
        for other_canvas, other, other_box, _ in drawn[:i]:
            assert canvas is not other_canvas or not overlaps(box, other_box), f"{text!r} over {other!r}"
