"""Pictures and texts of seeded play, as hashes that `pictures.json` keeps with the versions that drew them.

Other versions of Pillow or RDKit draw other letters and lines, so that only the same ones are held against the file.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from trajectories import CASES, SEED

from metaenv import Trial, full_id

FILE = Path(__file__).parent / "pictures.json"
SHOWN = (0, 1, 4, 11, 23)  # after so many steps
VERSIONS = {name: version(name) for name in ("pillow", "rdkit", "numpy")}


def drawn(case: str) -> dict[str, list[str]]:
    """Hashes of the pictures and of the texts of a case, without and with what is hidden."""
    return {
        f"{mode}{' hidden' * hidden}": _shown(case, mode, hidden) for mode in ("rgb_array", "ansi") for hidden in (0, 1)
    }


def _shown(case: str, mode: str, hidden: int) -> list[str]:
    env_id, settings = CASES[case]
    env: Any = Trial(gym.make(full_id(env_id), **{**settings, "draw_hidden": bool(hidden)}, render_mode=mode))
    rng, found, over = np.random.default_rng(SEED), [], True
    for step in range(SHOWN[-1] + 1):
        if over:
            env.reset(seed=SEED + step)
        if step in SHOWN:
            shown = env.render()
            found.append(hashlib.sha256(shown.encode() if mode == "ansi" else shown.tobytes()).hexdigest()[:16])
        if isinstance(env.action_space, gym.spaces.Discrete):
            action = rng.choice(np.flatnonzero(env.get_wrapper_attr("action_masks")()))
        else:
            action = rng.uniform(-1, 1, env.action_space.shape)
        _, _, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
    return found


def read() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))
