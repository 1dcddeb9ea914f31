"""Pictures and lines of text on a night."""

from dataclasses import replace

import numpy as np
import pytest

from metaenv.telescope.render import CENTRE, RADIUS, _lit, _project, frame, scene, text
from metaenv.telescope.sim.env import TargetSelectionVectorEnv
from metaenv.trial import VectorTrial


@pytest.fixture(scope="module")
def now():
    env = TargetSelectionVectorEnv(1, "short", render_mode="rgb_array")
    env.reset(seed=3)
    for _ in range(5):
        env.step(np.array([int(np.flatnonzero(env.action_masks()[0])[0])]))
    return scene(env, 0)


def test_north_is_up_and_east_left():
    zenith, north, east = (np.array(v, float).reshape(3, 1) for v in ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
    x, y = _project(zenith)
    assert (x[0], y[0]) == pytest.approx((CENTRE, CENTRE))
    x, y = _project(north)
    assert (x[0], y[0]) == pytest.approx((CENTRE, CENTRE - RADIUS))
    x, y = _project(east)
    assert (x[0], y[0]) == pytest.approx((CENTRE - RADIUS, CENTRE))


def test_moon_is_lit_in_proportion():
    full = np.asarray(_lit(1.0), float).sum()
    for share in (0.0, 0.25, 0.5, 0.75):
        assert np.asarray(_lit(share), float).sum() / full == pytest.approx(share, abs=0.05)


def test_frame_shows_what_changes(now):
    picture = frame(now)
    assert picture.shape == (508, 740, 3) and picture.dtype == np.uint8
    for other in (
        replace(now, visited=~now.visited),
        replace(now, cloud=2),
        replace(now, moon=(0.3, 0.3, 0.9), moon_share=1.0),
        replace(now, bank=(3.0, 1.0)),
        replace(now, scores=[0.4, 0.8]),
        replace(now, class_value=[1.0] * 8),
        replace(now, slot=20),
    ):
        assert not np.array_equal(frame(other), picture)


def test_text_says_where_the_night_stands(now):
    line = text(replace(now, scores=[0.25]))
    assert f"slot {now.slot} of 24" in line and now.weather in line and "nights before: 0.25" in line


def test_programme_is_hidden_unless_asked_for():
    for draw_hidden in (False, True):
        env = TargetSelectionVectorEnv(1, "short", draw_hidden=draw_hidden, render_mode="ansi")
        env.reset(seed=0)
        assert (scene(env, 0).class_value is not None) is draw_hidden
        assert (":" in scene(env, 0).title) is draw_hidden


def test_weather_is_told_by_exposures_unless_all_is_drawn():
    hidden, shown = (
        TargetSelectionVectorEnv(1, "short", draw_hidden=asked, render_mode="ansi") for asked in (False, True)
    )
    for env in (hidden, shown):
        env.reset(seed=5)
        env.state.weather.bank_mag[0] = 2.0
        env.state.weather.cloud[0] = 1
    assert scene(hidden, 0).bank == (0.0, 0.0) and scene(hidden, 0).cloud == 0
    assert scene(shown, 0).bank[0] == 2.0 and scene(shown, 0).cloud == 1
    for env in (hidden, shown):
        env.step(np.array([int(np.flatnonzero(env.action_masks()[0])[0])]))
    assert "in the last slot" in hidden.render()[0] and "partly cloudy, seeing" in shown.render()[0]


def test_text_lists_targets_and_what_was_exposed_in_all_nights():
    env = VectorTrial(TargetSelectionVectorEnv(1, variant="depth", render_mode="ansi"), autoreset_mode="Disabled")
    env.reset(seed=0)
    inner = env.innermost
    while inner.state.night_number[0] == 0:
        env.step(np.array([int(np.argmax(env.action_masks()[0]))]))
    chosen = int(np.argmax(env.action_masks()[0]))
    row = next(line for line in env.render()[0].split("\n") if line.split()[0].split("/")[0] == str(chosen))
    assert f"{inner.state.targets.magnitude[0, chosen]:.1f}" in row
    env.step(np.array([chosen]))
    told = " ".join(env.render()[0].split())
    assert "night 1 slot" in told and "night 2 slot 0: " in told and f": {inner._log[0][-1].reward:.3f} (colour" in told
