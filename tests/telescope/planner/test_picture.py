"""The night as a picture: visits and the moon stand where Astropy has them, and a long list stays legible."""

import io
from itertools import pairwise

import numpy as np
import pytest
from astropy_places import frame, offline_astropy
from drawn_words import assert_legible, watch
from PIL import Image

from metaenv.telescope.planner.catalogue import TargetList
from metaenv.telescope.planner.constraints import Constraints
from metaenv.telescope.planner.picture import COLOURS, ENTRIES, LIMIT, MOON, PLOT, SHADES, night_picture
from metaenv.telescope.planner.plan import plan_night

THREE = TargetList.of(["M51", "M101 å", "M13"], [202.5, 210.8, 250.4], [47.2, 54.3, 36.5], 18.5)


def where(picture, colour, inside=True):
    """Rows and columns in one colour, in the plot."""
    rows, columns = np.nonzero((picture == tuple(bytes.fromhex(colour[1:]))).all(axis=2))
    left, top, width, _ = PLOT
    keep = (columns > left) & (columns < left + width) & (rows < top + 460)
    return rows[keep], columns[keep]


@pytest.fixture(scope="module")
def plan():
    return plan_night(THREE, "la palma", "2027-03-14", constraints=Constraints(min_altitude_deg=30))


def altitude(rows):
    return 90 * (1 - (rows - PLOT[1]) / PLOT[3])


def test_visits_stand_at_their_altitudes(plan, tmp_path):
    path = plan.picture(tmp_path / "new" / "night.png")
    picture = np.asarray(Image.open(io.BytesIO(path.read_bytes())))
    assert picture.shape[2] == 3 and (picture == night_picture(plan)).all()
    middles = []
    for e, colour in zip(plan, COLOURS, strict=False):
        rows, columns = where(picture, colour)
        assert altitude(rows.mean()) == pytest.approx(e.alt_deg, abs=1.0)
        middles.append(columns.mean())
    # a pixel is as long everywhere: the visits' times are spaced as in the plan
    times = [np.datetime64(e.utc).astype(float) for e in plan]
    assert (middles[1] - middles[0]) / (middles[2] - middles[0]) == pytest.approx(
        (times[1] - times[0]) / (times[2] - times[0]), abs=0.01
    )
    rows, columns = where(picture, LIMIT)
    assert set(np.round(altitude(rows)).tolist()) == {30.0} and np.ptp(columns) > 600
    with offline_astropy() as c:
        from astropy.time import Time

        jd = Time(plan.exposures[0].utc).jd - 4 / 24  # 22:54, with the moon up
        now = frame(c, jd, np.radians(28.75833), np.radians(-17.88))
        moon = c.get_body("moon", Time(jd, format="jd"), now.location).transform_to(now).alt.deg
    pixels = (middles[2] - middles[0]) / (times[2] - times[0])
    x = middles[0] - pixels * (4 * 3600 + plan.slot_s / 2)
    rows, columns = where(picture, MOON)
    near = np.abs(columns - x) < 8
    assert altitude(rows[near].mean()) == pytest.approx(moon, abs=2.0)


def test_twilight_shades_come_in_order(plan):
    """From the day's edge to the night and back; the night lasts from the end of astronomical twilight."""
    left, top, width, height = PLOT
    row = night_picture(plan)[top + height - 2, left + 2 : left + width - 2]
    known = {tuple(bytes.fromhex(colour[1:])): sun for sun, colour in SHADES.items()}
    seen = [known[tuple(p)] for p in row.tolist() if tuple(p) in known]
    order = [s for i, s in enumerate(seen) if i == 0 or s != seen[i - 1]]
    assert order == [-6.0, -12.0, -18.0, -90.0, -18.0, -12.0, -6.0]
    hours = plan.slots * plan.slot_s / 3600
    assert seen.count(-90.0) / len(seen) == pytest.approx(hours / (hours + 2 * 1.32), abs=0.02)  # 79 min of twilight


def test_every_whole_hour_of_the_night_has_its_line(plan, monkeypatch):
    """From sunset to sunrise; a visit at the full hour would stand on the line of that hour."""
    words = watch(monkeypatch)
    picture = night_picture(plan)
    left, top, width, height = PLOT
    labels = [(word.x, int(word.text)) for word in words if word.text.isdigit() and word.y == top + height + 17]
    places, hours = np.array(labels).T
    pitch = np.diff(places)
    assert np.ptp(pitch) < 1e-3 * pitch[0], "an hour is as long everywhere"
    assert (np.diff(hours) % 24 == 1).all()
    assert left <= places[0] < left + pitch[0] and left + width - pitch[0] < places[-1] <= left + width
    first, when = plan.exposures[0], np.datetime64(plan.exposures[0].utc)
    seconds = (when - when.astype("datetime64[D]")).astype("timedelta64[s]").astype(float) + plan.slot_s / 2
    x = np.interp(seconds / 3600, hours[hours < 12], places[hours < 12])  # after midnight
    assert where(picture, COLOURS[0])[1].mean() == pytest.approx(x, abs=0.1 * pitch[0]), first


def test_all_words_lie_in_the_picture_and_none_over_another(plan, monkeypatch):
    words = watch(monkeypatch)
    night_picture(plan)
    assert len(words) > 20
    assert_legible(words)


def test_all_lines_of_a_long_list_are_in_the_legend(monkeypatch):
    rng = np.random.default_rng(1)
    n = 150
    targets = TargetList.of(
        [f"N{i}" for i in range(n)], rng.uniform(0, 360, n), rng.uniform(-60, 10, n), 18.0, rng.integers(1, 4, n)
    )
    words = watch(monkeypatch)
    plan = plan_night(targets, "paranal", "2027-06-20", slots=80)
    picture = night_picture(plan)
    names = {word.text: (word.x, word.y) for word in words if word.text.startswith("N")}
    assert len(plan) > ENTRIES and set(names) == {e.target for e in plan}
    places = sorted(names.values())
    below = 66  # pixels under the plot, for the hours
    assert len({x for x, _ in places}) == 2
    assert all(x < picture.shape[1] and y < picture.shape[0] - below for x, y in places)
    assert min(b[1] - a[1] for a, b in pairwise(places) if a[0] == b[0]) >= 13  # the font's size
