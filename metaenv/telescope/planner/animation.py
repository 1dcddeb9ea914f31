"""Animated pictures of nights, one frame per slot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from metaenv.env import MetaEnv
from metaenv.files import replacing
from metaenv.policies import Policy
from metaenv.telescope.render import drawn_colours
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.trial import VectorTrial

if TYPE_CHECKING:
    from PIL.Image import Image

GRADIENT = 160  # colours for what is not drawn in a colour of its own: smooth skies (chosen)
NEAR = 6  # of 255 (chosen)
LAST_FRAME = 8  # times as long as the others (chosen)


def animate(
    env: TargetSelectionVectorEnv | MetaEnv,
    policy: Policy,
    path: str | Path,
    *,
    nights: int = 1,
    seed: int = 0,
    options: dict[str, Any] | None = None,
    seconds: float = 0.4,
) -> Path:
    """Write an animated GIF of nights that a policy plays. Needs Pillow.

    Args:
        env: one telescope with ``render_mode="rgb_array"``: a `TargetSelectionEnv` or an
            `metaenv.telescope.planner.custom_targets.CustomTargetsEnv`, unwrapped.
        policy: a baseline, or ``AgentPolicy(agent)``.
        path: of the GIF; written under a temporary name and renamed.
        nights: how many to play, one after the other.
        seed: of the environment and of the policy.
        options: of ``reset``, such as ``{"task": task}``.
        seconds: for which a frame is shown.

    Raises:
        ValueError: an environment of several telescopes or without pictures, or a number out of range.
    """
    batch = cast(TargetSelectionVectorEnv, env.batch if isinstance(env, MetaEnv) else env)
    if batch.num_envs != 1 or batch.render_mode != "rgb_array":
        raise ValueError(
            f"expected one telescope with render_mode='rgb_array', got {batch.num_envs} with {batch.render_mode!r}"
        )
    if nights < 1 or not 0 < seconds <= 60:
        raise ValueError(f"expected at least one night and 0 to 60 s a frame, got {nights} and {seconds}")
    trials = VectorTrial(batch, episodes=nights, autoreset_mode="Disabled", **getattr(policy, "trial_options", {}))
    observation, _ = trials.reset(seed=seed, options=options)
    policy.start(trials, np.random.default_rng(seed))
    frames = [batch.frame(0)]
    over = False
    while not over:
        action = policy.act(observation)
        observation, _, terminated, _, _ = trials.step(action)
        policy.observe(action, trials.trial_state.last_reward.copy())
        over = bool(terminated[0])
        frames.append(batch.frame(0))
    return save_gif(path, frames, seconds)


def save_gif(path: str | Path, frames: Sequence[NDArray[np.uint8]], seconds: float = 0.4) -> Path:
    """Write pictures (height, width, 3) of one size as an endless GIF; the last one is shown longer."""
    from PIL import Image

    if not frames:
        raise ValueError("expected at least one frame, got none")
    path = Path(path)
    palette = _palette(frames)
    few = [Image.fromarray(f).quantize(palette=palette, dither=Image.Dither.NONE) for f in frames]
    shown = [round(1000 * seconds)] * (len(few) - 1) + [round(1000 * seconds * LAST_FRAME)]
    with replacing(path) as temporary:
        few[0].save(temporary, format="GIF", save_all=True, append_images=few[1:], duration=shown, loop=0)
    return path


def _palette(frames: Sequence[NDArray[np.uint8]]) -> Image:
    """256 colours for all frames: those of classes and words exactly, and shades of the sky."""
    from PIL import Image

    some = np.concatenate([f[::3, ::3] for f in frames[:: max(1, len(frames) // 12)]])
    found = Image.fromarray(np.ascontiguousarray(some)).quantize(GRADIENT, dither=Image.Dither.NONE).getpalette()
    exact, shades = np.array(drawn_colours())[: 256 - GRADIENT], np.array(found).reshape(-1, 3)
    # Pillow looks colours up in coarse boxes: a shade too near to an exact colour would take its place.
    apart = np.abs(shades[:, None] - exact).max(axis=2).min(axis=1) > NEAR
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([exact, shades[apart][:GRADIENT]]).ravel().tolist())
    return palette
