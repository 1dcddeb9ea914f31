"""A night as an animated GIF."""

import numpy as np
import pytest

from metaenv.telescope.baselines import LowestAirmass
from metaenv.telescope.planner.animation import animate, save_gif
from metaenv.telescope.planner.catalogue import TargetList
from metaenv.telescope.planner.custom_targets import CustomTargetsEnv
from metaenv.telescope.render import CLASS_COLOURS
from metaenv.telescope.sim.env import TargetSelectionEnv, TargetSelectionVectorEnv

Image = pytest.importorskip("PIL.Image", reason="pictures need Pillow, which is not installed")


def frames(path):
    with Image.open(path) as gif:
        found = []
        for i in range(gif.n_frames):
            gif.seek(i)
            found.append(np.asarray(gif.convert("RGB")))
        return found, gif.info["duration"]


def test_a_frame_a_slot(tmp_path):
    path = animate(
        TargetSelectionEnv(variant="short", render_mode="rgb_array"),
        LowestAirmass(),
        tmp_path / "new" / "night.gif",
        seed=4,
    )
    assert [p.name for p in path.parent.iterdir()] == ["night.gif"]
    shown, last_ms = frames(path)
    assert len(shown) == 25 and shown[0].shape == (508, 740, 3) and last_ms == 8 * 400
    # The bar of the night's time grows from frame to frame: blue (0, 114, 178) along one line of the strip.
    blue = [int((f[58, 496:] == (0, 114, 178)).all(axis=1).sum()) for f in shown]
    assert blue == sorted(blue) and blue[0] == 0 and blue[-1] > 200
    assert path.stat().st_size < 2_000_000


def test_colours_of_classes_and_paper_stay_exact(tmp_path):
    env = TargetSelectionVectorEnv(1, "short", render_mode="rgb_array")
    env.reset(seed=3)
    shown, _ = frames(save_gif(tmp_path / "one.gif", [env.frame(0)]))
    colours = {tuple(c) for c in shown[0].reshape(-1, 3).tolist()}
    assert {tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in CLASS_COLOURS} <= colours
    assert (shown[0][-1, -1] == 255).all()
    assert np.abs(shown[0].astype(int) - env.frame(0)).mean() < 4


def test_own_targets_and_several_nights(tmp_path):
    targets = TargetList.of(["a", "b"], [150, 200], [20, 10])
    env = CustomTargetsEnv(targets=targets, site="teide", date="2027-03-14", slots=6, render_mode="rgb_array", nights=2)
    shown, _ = frames(animate(env, LowestAirmass(), tmp_path / "own.gif", nights=2, seconds=0.1))
    assert len(shown) == 13


def test_refused(tmp_path):
    policy, path = LowestAirmass(), tmp_path / "a.gif"
    with pytest.raises(ValueError, match="one telescope with render_mode='rgb_array', got 2"):
        animate(TargetSelectionVectorEnv(2, "short", render_mode="rgb_array"), policy, path)
    with pytest.raises(ValueError, match="got 1 with None"):
        animate(TargetSelectionEnv(variant="short"), policy, path)
    with pytest.raises(ValueError, match="at least one night and 0 to 60 s a frame, got 0"):
        animate(TargetSelectionEnv(variant="short", render_mode="rgb_array"), policy, path, nights=0)
    for seconds in (0, 60.1):
        with pytest.raises(ValueError, match=f"got 1 and {seconds}"):
            animate(TargetSelectionEnv(variant="short", render_mode="rgb_array"), policy, path, seconds=seconds)
    with pytest.raises(ValueError, match="at least one frame"):
        save_gif(path, [])
    assert not path.exists()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    def full_disk(self, file, **settings):
        file.write_bytes(b"half")
        raise OSError("no space left")

    path = tmp_path / "a.gif"
    path.write_bytes(b"old")
    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="no space left"):
        save_gif(path, [np.zeros((4, 4, 3), np.uint8)])
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["a.gif"]
